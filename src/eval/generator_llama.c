/* Token models as generators, and as judges of what is likely. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/generator.h"
#include "eval/task_data.h"
#include "llama/score.h"
#include "llama/story.h"

typedef struct collector {
    lcm_sentences *out;
} collector;

static lcm_status take(lcm_ctx *ctx, void *user, const lcm_llama_sentence *s) {
    return lcm_sentences_add(ctx, ((collector *)user)->out, s->text, strlen(s->text));
}

static lcm_status fill_prompt(lcm_ctx *ctx, lcm_buf *prompt, lcm_buf *text, const lcm_generator_job *job, int64_t d) {
    int64_t n, first = lcm_sentences_doc(job->given, d, &n);
    lcm_eval_slot slot = {.name = "{text}"};
    text->len = prompt->len = 0;
    LCM_TRY(lcm_sentences_join(ctx, text, job->given, first, n));
    slot.text = text->data;
    slot.len = text->len;
    return lcm_eval_fill(ctx, prompt, job->task->prompt, &slot, 1);
}

static lcm_status go_on(lcm_ctx *ctx, lcm_sentences *out, const lcm_generator *g, const lcm_generator_job *job, uint64_t seed) {
    lcm_llama_writer *w = g->self;
    lcm_llama_story_opts o = {.sentences = job->sentences, .sampler = {.temperature = job->task->temperature}, .lang = job->task->lang};
    collector c = {out};
    lcm_buf prompt = {0}, text = {0};
    lcm_status st = LCM_OK;
    for (int64_t d = 0; st == LCM_OK && d < job->given->n_docs; d++) {
        lcm_llama_story told;
        o.seed = seed * UINT64_C(1000003) + (uint64_t)d; /* documents draw apart */
        st = fill_prompt(ctx, &prompt, &text, job, d);
        if (st == LCM_OK) st = lcm_llama_tell(ctx, &told, w->file, prompt.data, prompt.len, &o, take, &c);
        if (st == LCM_OK) st = lcm_sentences_end_doc(ctx, out);
        if (st == LCM_OK) w->window_ends += told.end == LCM_LLAMA_END_WINDOW;
        if (st) lcm_fail_within(ctx, st, "document %lld", (long long)(d + 1));
    }
    lcm_buf_free(&prompt);
    lcm_buf_free(&text);
    return st;
}

/* ---- likelihood ---- */

static lcm_status score_all(lcm_ctx *ctx, double *out, const lcm_llama_file *file, const lcm_llama_text *texts, size_t n) {
    lcm_llama_score_opts o = {.end = false};
    lcm_llama_score *scores;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &scores, n + 1, sizeof *scores));
    st = lcm_llama_score_texts(ctx, scores, file, texts, n, &o);
    for (size_t i = 0; st == LCM_OK && i < n; i++)
        out[i] = scores[i].n_tokens ? scores[i].log_prob / (double)scores[i].n_tokens : -INFINITY;
    free(scores);
    return st;
}

static lcm_status likelihood(lcm_ctx *ctx, double *out, const lcm_generator *g, const lcm_sentences *given, const lcm_sentences *text) {
    const lcm_llama_writer *w = g->self;
    lcm_llama_text *texts;
    lcm_buf context = {0};
    size_t *at = NULL;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &texts, (size_t)text->n + 1, sizeof *texts));
    st = lcm_calloc(ctx, &at, (size_t)given->n_docs + 1, sizeof *at);
    for (int64_t d = 0; st == LCM_OK && d < given->n_docs; d++) {
        int64_t n, first = lcm_sentences_doc(given, d, &n);
        st = lcm_sentences_join(ctx, &context, given, first, n);
        at[d + 1] = context.len;
    }
    for (int64_t d = 0; st == LCM_OK && d < text->n_docs; d++) {
        int64_t n, first = lcm_sentences_doc(text, d, &n);
        for (int64_t i = first; i < first + n; i++) {
            texts[i].context = context.data + at[d];
            texts[i].context_len = at[d + 1] - at[d];
            texts[i].text = lcm_sentences_at(text, i, &texts[i].len);
        }
    }
    if (st == LCM_OK) st = score_all(ctx, out, w->file, texts, (size_t)text->n);
    lcm_buf_free(&context);
    free(at);
    free(texts);
    return st;
}

lcm_generator lcm_generator_llama(const char *name, lcm_llama_writer *w, const lcm_eval_task *task) {
    return (lcm_generator){.name = name, .kind = "llama", .parameters = w->file->model->params.count, .seeded = task->temperature > 0,
                           .go_on = go_on, .likelihood = likelihood, .self = w};
}
