/* Concept models as generators. */
#include <stdlib.h>
#include <string.h>

#include "eval/generator.h"
#include "eval/stories.h"
#include "lcm/registry.h"

enum { GROUP = 64 }; /* contexts side by side */

/* What stands before and behind each context: (n, D), borrowed or own. */
typedef struct around {
    const real *before, *behind[2];
    int64_t n_before, n_behind[2];
    real *own;
} around;

static lcm_status make_around(lcm_ctx *ctx, around *a, const lcm_concept_writer *w, const char *suffix) {
    size_t len = strlen(suffix);
    *a = (around){0};
    if (w->affixes) {
        a->before = w->affixes->x[LCM_AFFIX_SOURCE_PREFIX];
        a->n_before = w->affixes->n[LCM_AFFIX_SOURCE_PREFIX];
        for (int i = 0; i < 2; i++) {
            lcm_affix which = i ? LCM_AFFIX_TARGET_PREFIX : LCM_AFFIX_SOURCE_SUFFIX;
            a->behind[i] = w->affixes->x[which];
            a->n_behind[i] = w->affixes->n[which];
        }
    } else if (len) {
        LCM_TRY(lcm_calloc(ctx, &a->own, (size_t)lcm_codec_dim(w->codec), sizeof *a->own));
        a->behind[0] = a->own;
        a->n_behind[0] = 1;
        return lcm_codec_encode(ctx, a->own, NULL, w->codec, &suffix, &len, 1, -1);
    }
    return LCM_OK;
}

static real *put(real *at, const real *x, int64_t n, int64_t D) {
    if (n) memcpy(at, x, (size_t)(n * D) * sizeof *at);
    return at + n * D;
}

/* Contexts first … first+n-1, encoded: x, off. */
static lcm_status encode_group(lcm_ctx *ctx, real **x, int32_t *off, const lcm_concept_writer *w, const lcm_generator_job *job,
                               const around *a, int64_t first, int64_t n) {
    int64_t D = lcm_codec_dim(w->codec), begin, count, more = a->n_before + a->n_behind[0] + a->n_behind[1];
    real *at;
    off[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        lcm_sentences_doc(job->given, first + i, &count);
        off[i + 1] = off[i] + (int32_t)(count + more);
        if (count + more + job->sentences > w->model->max_seq_len)
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "document %lld: %lld sentences and %lld to write, the model reads %lld; the task's max_given limits them",
                     (long long)(first + i + 1), (long long)(count + more), (long long)job->sentences, (long long)w->model->max_seq_len);
    }
    LCM_TRY(lcm_calloc(ctx, x, (size_t)(off[n] * D) + 1, sizeof **x));
    at = *x;
    for (int64_t i = 0; i < n; i++) {
        begin = lcm_sentences_doc(job->given, first + i, &count);
        at = put(at, a->before, a->n_before, D);
        LCM_TRY(lcm_sentences_encode(ctx, at, NULL, w->codec, job->given, begin, count));
        at += count * D;
        for (int k = 0; k < 2; k++) at = put(at, a->behind[k], a->n_behind[k], D);
    }
    return LCM_OK;
}

static lcm_status append(lcm_ctx *ctx, lcm_sentences *out, const lcm_sentences *s) {
    for (int64_t d = 0, i = 0; d < s->n_docs; d++) {
        for (; i < s->doc_end[d]; i++) {
            size_t len;
            const char *text = lcm_sentences_at(s, i, &len);
            LCM_TRY(lcm_sentences_add(ctx, out, text, len));
        }
        LCM_TRY(lcm_sentences_end_doc(ctx, out));
    }
    return LCM_OK;
}

static lcm_status write_group(lcm_ctx *ctx, lcm_sentences *out, lcm_concept_writer *w, const lcm_generator_job *job, const around *a,
                              int64_t first, int64_t n, uint64_t seed) {
    int32_t off[GROUP + 1];
    uint64_t doc[GROUP];
    real *x = NULL;
    lcm_stories s = {0};
    lcm_generate_config c = w->config;
    lcm_prompts prompts = {.n = n, .off = off, .eos = w->end, .doc = doc};
    lcm_status st = encode_group(ctx, &x, off, w, job, a, first, n);
    for (int64_t i = 0; i < n; i++) doc[i] = (uint64_t)(first + i);
    prompts.x = x;
    c.seed = (int64_t)seed;
    c.max_gen_len = job->sentences;
    if (st == LCM_OK) st = lcm_stories_generate(ctx, &s, w->codec, w->model, &prompts, &c, w->text_feedback, &w->beam);
    if (st == LCM_OK) st = append(ctx, out, &s.text);
    for (int i = 0; st == LCM_OK && i < LCM_STOPS; i++) w->stops[i] += s.stops[i];
    lcm_stories_free(&s);
    free(x);
    return st;
}

static lcm_status go_on(lcm_ctx *ctx, lcm_sentences *out, const lcm_generator *g, const lcm_generator_job *job, uint64_t seed) {
    around a;
    lcm_status st = make_around(ctx, &a, g->self, job->task->suffix);
    for (int64_t d = 0; st == LCM_OK && d < job->given->n_docs; d += GROUP) {
        int64_t n = job->given->n_docs - d < GROUP ? job->given->n_docs - d : GROUP;
        st = write_group(ctx, out, g->self, job, &a, d, n, seed);
        if (st == LCM_OK)
            lcm_log(ctx, LCM_LOG_INFO, "%s, seed %llu: %lld of %lld documents", g->name, (unsigned long long)seed, (long long)(d + n),
                    (long long)job->given->n_docs);
    }
    free(a.own);
    return st;
}

lcm_generator lcm_generator_concept(const char *name, lcm_concept_writer *w) {
    return (lcm_generator){.name = name, .kind = w->model->type->name, .parameters = lcm_model_parameters(w->model),
                           .fixed = lcm_model_fixed(w->model),
                           .seeded = w->model->schedule != NULL || w->config.temperature > 0 || w->beam.draw.sampler.temperature > 0, .go_on = go_on, .self = w};
}
