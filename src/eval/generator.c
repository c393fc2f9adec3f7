/* Baselines, remote models, and generators as forecasters. */
#include "eval/generator.h"

#include <stdlib.h>
#include <string.h>

#include "eval/nearest.h"
#include "eval/task_data.h"

static lcm_status repeat(lcm_ctx *ctx, lcm_sentences *out, const char *text, size_t len, int64_t times) {
    for (int64_t i = 0; i < times; i++) LCM_TRY(lcm_sentences_add(ctx, out, text, len));
    return lcm_sentences_end_doc(ctx, out);
}

/* ---- baselines ---- */

static lcm_status copy_last(lcm_ctx *ctx, lcm_sentences *out, const lcm_generator *g, const lcm_generator_job *job, uint64_t seed) {
    (void)g;
    (void)seed;
    for (int64_t d = 0; d < job->given->n_docs; d++) {
        size_t len;
        const char *text = lcm_sentences_at(job->given, job->given->doc_end[d] - 1, &len);
        LCM_TRY(repeat(ctx, out, text, len, job->sentences));
    }
    return LCM_OK;
}

static lcm_status lead(lcm_ctx *ctx, lcm_sentences *out, const lcm_generator *g, const lcm_generator_job *job, uint64_t seed) {
    (void)seed;
    for (int64_t d = 0; d < job->given->n_docs; d++) {
        int64_t n, first = lcm_sentences_doc(job->given, d, &n);
        for (int64_t i = 0; i < n && i < g->k && i < job->sentences; i++) {
            size_t len;
            const char *text = lcm_sentences_at(job->given, first + i, &len);
            LCM_TRY(lcm_sentences_add(ctx, out, text, len));
        }
        LCM_TRY(lcm_sentences_end_doc(ctx, out));
    }
    return LCM_OK;
}

static lcm_status decode_mean(lcm_ctx *ctx, lcm_sentences *one, const lcm_baseline_needs *needs) {
    int32_t off[2] = {0, 1}, from = 1, to = 2;
    int64_t D = lcm_codec_dim(needs->codec);
    lcm_forecast_job job = {.n = 1, .D = D, .off = off, .from = &from, .to = &to};
    const lcm_baseline *b = lcm_baselines;
    lcm_forecaster f;
    real *mean;
    lcm_status st;
    while (strcmp(b->name, "mean") != 0) b++;
    f = lcm_forecast_baseline(b, needs->train);
    LCM_TRY(lcm_calloc(ctx, &mean, (size_t)D, sizeof *mean));
    st = f.predict(ctx, mean, &f, &job, 0);
    if (st == LCM_OK) st = lcm_sentences_decode(ctx, one, needs->codec, mean, 1, needs->beam);
    free(mean);
    return st;
}

static lcm_status say_mean(lcm_ctx *ctx, lcm_sentences *out, const lcm_generator *g, const lcm_generator_job *job, uint64_t seed) {
    lcm_sentences one = {0};
    lcm_status st = decode_mean(ctx, &one, g->self);
    (void)seed;
    for (int64_t d = 0; st == LCM_OK && d < job->given->n_docs; d++) {
        size_t len;
        const char *text = lcm_sentences_at(&one, 0, &len);
        st = repeat(ctx, out, text, len, job->sentences);
    }
    lcm_sentences_free(&one);
    return st;
}

/* The rest of the document from concept `at`. */
static lcm_status copy_rest(lcm_ctx *ctx, lcm_sentences *out, const lcm_store *s, const int64_t *doc_end, int64_t at, int64_t count) {
    int64_t lo = 0, hi = lcm_store_n_docs(s) - 1;
    while (lo < hi) { /* first document that ends behind `at` */
        int64_t mid = (lo + hi) / 2;
        if (doc_end[mid] > at) hi = mid;
        else lo = mid + 1;
    }
    for (int64_t i = at; i < at + count && i < doc_end[lo]; i++) {
        const char *text;
        size_t len;
        LCM_TRY(lcm_store_text(ctx, &text, &len, s, i));
        LCM_TRY(lcm_sentences_add(ctx, out, text, len));
    }
    return lcm_sentences_end_doc(ctx, out);
}

static lcm_status find_nearest(lcm_ctx *ctx, int64_t *where, const lcm_baseline_needs *needs, const lcm_sentences *given) {
    int64_t n = given->n_docs, D = lcm_codec_dim(needs->codec);
    real *x;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &x, (size_t)(n * D) + 1, sizeof *x));
    st = LCM_OK;
    for (int64_t d = 0; st == LCM_OK && d < n; d++)
        st = lcm_sentences_encode(ctx, x + d * D, NULL, needs->codec, given, given->doc_end[d] - 1, 1);
    if (st == LCM_OK) st = lcm_nearest_find(ctx, where, x, n, needs->train);
    free(x);
    return st;
}

static lcm_status nearest(lcm_ctx *ctx, lcm_sentences *out, const lcm_generator *g, const lcm_generator_job *job, uint64_t seed) {
    const lcm_baseline_needs *needs = g->self;
    int64_t n = job->given->n_docs, docs = lcm_store_n_docs(needs->train), *where, *doc_end = NULL;
    lcm_status st;
    (void)seed;
    LCM_TRY(lcm_calloc(ctx, &where, (size_t)n + 1, sizeof *where));
    st = lcm_calloc(ctx, &doc_end, (size_t)docs + 1, sizeof *doc_end);
    if (st == LCM_OK) st = find_nearest(ctx, where, needs, job->given);
    if (st == LCM_OK) lcm_store_doc_counts(doc_end, needs->train);
    for (int64_t i = 1; st == LCM_OK && i < docs; i++) doc_end[i] += doc_end[i - 1];
    for (int64_t d = 0; st == LCM_OK && d < n; d++) st = copy_rest(ctx, out, needs->train, doc_end, where[d] + 1, job->sentences);
    free(where);
    free(doc_end);
    return st;
}

lcm_status lcm_generator_baseline(lcm_ctx *ctx, lcm_generator *out, const char *name, const lcm_baseline_needs *needs) {
    bool has_codec = needs->codec != NULL, has_store = needs->train != NULL;
    char *end;
    *out = (lcm_generator){.name = name, .kind = "baseline", .self = (void *)(uintptr_t)needs};
    if (strcmp(name, "copy-last") == 0) out->go_on = copy_last;
    else if (strcmp(name, "mean") == 0) out->go_on = say_mean;
    else if (strcmp(name, "nearest") == 0) out->go_on = nearest;
    else if (strncmp(name, "lead-", 5) == 0 && name[5] >= '1' && name[5] <= '9') {
        out->k = strtoll(name + 5, &end, 10);
        if (*end == '\0') out->go_on = lead;
    }
    if (out->go_on == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "no baseline '%.40s'; there are copy-last, mean, nearest and lead-K", name);
    if (out->go_on != say_mean && out->go_on != nearest) return LCM_OK;
    if (!has_store) LCM_FAIL(ctx, LCM_ERR_ARG, "baseline '%s' needs a training store", name);
    if (!has_codec) LCM_FAIL(ctx, LCM_ERR_ARG, "baseline '%s' needs an autoencoder", name);
    return LCM_OK;
}

/* ---- remote models ---- */

static lcm_status ask(lcm_ctx *ctx, lcm_sentences *out, const lcm_generator *g, const lcm_generator_job *job,
                      const lcm_eval_request *request) {
    lcm_remote_writer *w = g->self;
    char *text = NULL, error[512] = "";
    size_t len, good;
    int64_t before = out->n;
    lcm_status st;
    w->asked++;
    if (w->complete(w->user, &text, request, error, sizeof error) != 0 || text == NULL)
        LCM_FAIL(ctx, LCM_ERR_IO, "%s", *error ? error : "the model gave no answer");
    len = strlen(text);
    good = lcm_utf8_valid_prefix(text, len);
    st = good == len ? lcm_sentences_cut(ctx, out, &w->cut, text, len, job->task->lang, job->sentences)
                     : lcm_fail(ctx, LCM_ERR_UTF8, "the answer is not UTF-8 at byte %zu", good);
    free(text);
    w->empty += st == LCM_OK && out->n == before;
    return st;
}

static lcm_status ask_all(lcm_ctx *ctx, lcm_sentences *out, const lcm_generator *g, const lcm_generator_job *job, uint64_t seed) {
    const lcm_eval_task *t = job->task;
    lcm_buf text = {0}, prompt = {0}, chat = {0};
    lcm_status st = LCM_OK;
    for (int64_t d = 0; st == LCM_OK && d < job->given->n_docs; d++) {
        int64_t n, first = lcm_sentences_doc(job->given, d, &n);
        lcm_eval_slot slot = {.name = "{text}"};
        lcm_eval_request r = {.max_tokens = t->max_tokens * job->sentences, .seed = (int64_t)seed, .temperature = t->temperature};
        text.len = prompt.len = chat.len = 0;
        st = lcm_sentences_join(ctx, &text, job->given, first, n);
        slot.text = text.data;
        slot.len = text.len;
        if (st == LCM_OK) st = lcm_eval_fill(ctx, &prompt, t->prompt, &slot, 1);
        if (st == LCM_OK) st = lcm_eval_fill(ctx, &chat, t->chat_prompt, &slot, 1);
        r.prompt = prompt.data;
        r.chat = chat.data;
        if (st == LCM_OK) st = ask(ctx, out, g, job, &r);
    }
    lcm_buf_free(&text);
    lcm_buf_free(&prompt);
    lcm_buf_free(&chat);
    return st ? lcm_fail_within(ctx, st, "'%s'", g->name) : LCM_OK;
}

lcm_generator lcm_generator_remote(const char *name, lcm_remote_writer *w) {
    return (lcm_generator){.name = name, .kind = "url", .seeded = true, .go_on = ask_all, .self = w};
}

/* ---- as forecasters ---- */

/* A context per prediction that is asked for. */
static lcm_status contexts(lcm_ctx *ctx, lcm_sentences *out, const lcm_sentences *texts, const lcm_forecast_job *job) {
    for (int64_t d = 0; d < job->n; d++) {
        for (int64_t t = job->from[d]; t < job->to[d]; t++) {
            for (int64_t i = 0; i < t; i++) {
                size_t len;
                const char *text = lcm_sentences_at(texts, job->off[d] + i, &len);
                LCM_TRY(lcm_sentences_add(ctx, out, text, len));
            }
            LCM_TRY(lcm_sentences_end_doc(ctx, out));
        }
    }
    return LCM_OK;
}

/* A text that is empty is the concept of the empty sentence: a wrong prediction, not a missing one. */
static lcm_status encode_first(lcm_ctx *ctx, real *out, const lcm_sentences *written, lcm_codec *codec) {
    int64_t D = lcm_codec_dim(codec);
    for (int64_t d = 0; d < written->n_docs; d++) {
        int64_t n, first = lcm_sentences_doc(written, d, &n);
        size_t len = 0;
        const char *text = n ? lcm_sentences_at(written, first, &len) : "";
        LCM_TRY(lcm_codec_encode(ctx, out + d * D, NULL, codec, &text, &len, 1, -1));
    }
    return LCM_OK;
}

static lcm_status predict_writer(lcm_ctx *ctx, real *out, const lcm_forecaster *f, const lcm_forecast_job *job, uint64_t seed) {
    const lcm_writer_forecast *w = f->self;
    lcm_sentences given = {0}, written = {0};
    lcm_generator_job gj = {.given = &given, .sentences = 1, .task = w->task};
    lcm_status st = contexts(ctx, &given, w->texts, job);
    if (st == LCM_OK) st = w->generator->go_on(ctx, &written, w->generator, &gj, seed);
    if (st == LCM_OK) st = encode_first(ctx, out, &written, w->codec);
    lcm_sentences_free(&given);
    lcm_sentences_free(&written);
    return st;
}

lcm_forecaster lcm_forecast_writer(const lcm_writer_forecast *w) {
    return (lcm_forecaster){.name = w->generator->name, .parameters = w->generator->parameters, .seeded = w->generator->seeded,
                            .predict = predict_writer, .self = w};
}
