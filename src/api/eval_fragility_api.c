/* lcm_eval_fragility: fragility of the concepts of a store, as a report and as a column beside the store. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/eval_int.h"
#include "base/io.h"
#include "data/column.h"
#include "eval/fragility.h"
#include "text/segment.h"

enum { BLOCK = 256, MAX_LEVELS = 64, WORST = 10 };

static const int64_t lengths[] = {25, 50, 100, 150, 200, 250, INT64_MAX}; /* characters, up to and with */
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

typedef struct bench {
    const lcm_eval_fragility_opts *o;
    lcm_store *store;
    lcm_coder coder, judge; /* judge: not open without one */
    lcm_model *model;       /* NULL: the normaliser is fitted to the store */
    lcm_normalizer *fitted;
    const lcm_normalizer *nz;
    int64_t n, D;
    real *f; /* (n) */
    double level_sum[MAX_LEVELS], by_length[N_LENGTHS];
    int64_t n_length[N_LENGTHS];
} bench;

lcm_eval_fragility_opts lcm_eval_fragility_defaults(void) {
    static const double nine[9] = {.1, .2, .3, .4, .5, .6, .7, .8, .9};
    return (lcm_eval_fragility_opts){.noise = nine, .n_noise = 9, .draws = 1, .beam = 1, .seed = 1};
}

static lcm_status row(lcm_ctx *ctx, void *user, real *out, int64_t i) { return lcm_store_vectors(ctx, out, user, i, 1); }

static lcm_status open_normalizer(lcm_ctx *ctx, bench *b) {
    lcm_normalizer_config c = lcm_normalizer_config_default();
    lcm_model_meta meta;
    if (b->o->model) {
        LCM_TRY(lcm_eval_load_model(ctx, &b->model, &meta, b->o->model, &b->coder));
        lcm_model_meta_free(&meta);
        b->nz = b->model->normalizer;
        if (b->nz == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' does not normalise concepts", b->o->model);
        return LCM_OK;
    }
    c.dim = b->D;
    LCM_TRY(lcm_normalizer_new(ctx, &b->fitted, &c));
    b->nz = b->fitted;
    return lcm_normalizer_fit(ctx, b->fitted, row, b->store, lcm_store_n_concepts(b->store), 0);
}

static lcm_status open_all(lcm_ctx *ctx, bench *b) {
    const lcm_eval_fragility_opts *o = b->o;
    if (o->store == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "no concept store given");
    if (o->n_noise > MAX_LEVELS) LCM_FAIL(ctx, LCM_ERR_ARG, "more than %d noise levels", MAX_LEVELS);
    LCM_TRY(lcm_store_open(ctx, &b->store, o->store));
    LCM_TRY(lcm_coder_open(ctx, &b->coder, o->sonar, o->beam));
    b->D = lcm_codec_dim(b->coder.codec);
    if (strcmp(b->coder.file.space_hex, lcm_store_space(b->store)) != 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' speaks space %s, the store '%s' was made in %s", o->sonar, b->coder.file.space_hex,
                 o->store, lcm_store_space(b->store));
    b->n = lcm_store_n_concepts(b->store);
    if (o->max_concepts > 0 && o->max_concepts < b->n) b->n = o->max_concepts;
    if (b->n < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' holds no concept", o->store);
    if (o->write && b->n < lcm_store_n_concepts(b->store))
        LCM_FAIL(ctx, LCM_ERR_ARG, "fragility of %lld concepts only is not written", (long long)b->n);
    LCM_TRY(lcm_calloc(ctx, &b->f, (size_t)b->n, sizeof *b->f));
    if (o->judge) LCM_TRY(lcm_coder_open(ctx, &b->judge, o->judge, 1));
    return open_normalizer(ctx, b);
}

static void count_length(bench *b, const char *text, size_t len, double f) {
    int64_t chars = (int64_t)lcm_span_chars(text, (lcm_span){0, len});
    int k = 0;
    while (chars > lengths[k]) k++;
    b->by_length[k] += f;
    b->n_length[k]++;
}

static lcm_status measure_block(lcm_ctx *ctx, bench *b, int64_t at, int64_t n, real *x, double *f, lcm_sentences *s) {
    lcm_fragility_opts o = {.levels = b->o->noise, .n_levels = b->o->n_noise, .draws = b->o->draws, .seed = (uint64_t)b->o->seed,
                            .nz = b->nz, .codec = b->coder.codec, .tok = b->coder.file.tok, .beam = &b->coder.beam,
                            .judge = b->judge.codec};
    const char *text;
    size_t len;
    lcm_sentences_clear(s);
    for (int64_t i = 0; i < n; i++) {
        LCM_TRY(lcm_store_text(ctx, &text, &len, b->store, at + i));
        LCM_TRY(lcm_sentences_add(ctx, s, text, len));
    }
    LCM_TRY(lcm_store_vectors(ctx, x, b->store, at, n));
    LCM_TRY(lcm_fragility(ctx, f, b->level_sum, s, x, at, &o));
    for (int64_t i = 0; i < n; i++) {
        b->f[at + i] = (real)f[i];
        text = lcm_sentences_at(s, i, &len);
        count_length(b, text, len, f[i]);
    }
    return LCM_OK;
}

static lcm_status measure(lcm_ctx *ctx, bench *b) {
    lcm_sentences s = {0};
    real *x = NULL;
    double f[BLOCK], began = lcm_now();
    lcm_status st = lcm_calloc(ctx, &x, (size_t)(BLOCK * b->D), sizeof *x);
    for (int64_t at = 0; st == LCM_OK && at < b->n; at += BLOCK) {
        int64_t n = b->n - at < BLOCK ? b->n - at : BLOCK;
        st = measure_block(ctx, b, at, n, x, f, &s);
        lcm_log(ctx, LCM_LOG_INFO, "fragility: %lld of %lld concepts, %.1f per second", (long long)(at + n), (long long)b->n,
                (double)(at + n) / fmax(lcm_now() - began, 1e-9));
    }
    lcm_sentences_free(&s);
    free(x);
    return st;
}

/* ---- report ---- */

static json_t *level_rows(const bench *b) {
    json_t *list = json_array();
    for (size_t i = 0; i < b->o->n_noise; i++)
        lcm_report_append(&list, json_pack("{s:f, s:f}", "noise", b->o->noise[i], "score",
                                           b->level_sum[i] / ((double)b->n * (double)b->o->draws)));
    return list;
}

static json_t *length_rows(const bench *b) {
    json_t *list = json_array();
    for (int k = 0; k < N_LENGTHS; k++)
        lcm_report_append(&list, json_pack("{s:o, s:I, s:o}", "characters_up_to", k + 1 < N_LENGTHS ? json_integer(lengths[k]) : json_null(),
                                           "concepts", (json_int_t)b->n_length[k], "fragility",
                                           lcm_report_real(b->n_length[k] ? b->by_length[k] / (double)b->n_length[k] : NAN)));
    return list;
}

/* The WORST concepts, most fragile first, the earlier of equals. */
static lcm_status worst_rows(lcm_ctx *ctx, json_t **list, const bench *b) {
    int64_t best[WORST], n = 0;
    for (int64_t i = 0; i < b->n; i++) {
        int64_t k = n < WORST ? n++ : WORST;
        for (; k > 0 && b->f[best[k - 1]] < b->f[i]; k--)
            if (k < WORST) best[k] = best[k - 1];
        if (k < WORST) best[k] = i;
    }
    *list = json_array();
    for (int64_t k = 0; k < n; k++) {
        const char *text;
        size_t len;
        LCM_TRY(lcm_store_text(ctx, &text, &len, b->store, best[k]));
        lcm_report_append(list, json_pack("{s:I, s:f, s:o}", "concept", (json_int_t)best[k], "fragility", (double)b->f[best[k]],
                                          "text", json_stringn(text, len)));
    }
    return LCM_OK;
}

static json_t *facts(const bench *b) {
    const lcm_eval_fragility_opts *o = b->o;
    json_t *root = lcm_eval_report_new("fragility", o->sonar, &b->coder);
    double mean = 0, var = 0;
    for (int64_t i = 0; i < b->n; i++) mean += (double)b->f[i] / (double)b->n;
    for (int64_t i = 0; i < b->n; i++) var += ((double)b->f[i] - mean) * ((double)b->f[i] - mean) / (double)b->n;
    lcm_report_set(&root, "score", json_string(o->judge ? "cosine" : "bleu"));
    if (o->judge) lcm_report_set(&root, "judge", json_string(o->judge));
    lcm_report_set(&root, "normalizer", json_string(o->model ? o->model : "fitted to the store"));
    lcm_report_set(&root, "seed", json_integer(o->seed));
    lcm_report_set(&root, "draws", json_integer(o->draws));
    lcm_report_set(&root, "concepts", json_integer(b->n));
    lcm_report_set(&root, "fragility", json_pack("{s:f, s:f}", "mean", mean, "sd", sqrt(var)));
    return root;
}

static lcm_status finish(lcm_ctx *ctx, char **report, const bench *b) {
    json_t *root = facts(b), *worst;
    lcm_status st = LCM_OK;
    lcm_report_set(&root, "rows", level_rows(b));
    if (b->o->write) {
        if (root == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: report");
        st = lcm_column_write(ctx, b->store, "fragility", b->f, root);
    }
    if (st == LCM_OK) st = worst_rows(ctx, &worst, b);
    if (st) {
        json_decref(root);
        return st;
    }
    lcm_report_set(&root, "by_length", length_rows(b));
    lcm_report_set(&root, "most_fragile", worst);
    return lcm_report_finish(ctx, report, root);
}

lcm_status lcm_eval_fragility(lcm_ctx *ctx, char **report, const lcm_eval_fragility_opts *opts) {
    bench b = {.o = opts};
    lcm_status st = open_all(ctx, &b);
    *report = NULL;
    if (st == LCM_OK) st = measure(ctx, &b);
    if (st == LCM_OK) st = finish(ctx, report, &b);
    lcm_store_close(b.store);
    lcm_coder_close(&b.coder);
    lcm_coder_close(&b.judge);
    lcm_model_free(b.model);
    lcm_normalizer_free(b.fitted);
    free(b.f);
    return st;
}
