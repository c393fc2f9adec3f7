/* What is lost by quantising concepts, against the number of codebooks. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/eval_int.h"
#include "base/io.h"
#include "data/store.h"
#include "eval/curve_draw.h"
#include "eval/reconstruct.h"
#include "kernels/distance.h"
#include "quant/rvq_io.h"

enum { MAX_ROWS = 64, BLOCK = 4096 };

lcm_eval_rvq_opts lcm_eval_rvq_defaults(void) { return (lcm_eval_rvq_opts){.max_sentences = 500, .beam = 1}; }

typedef struct bench {
    const lcm_eval_rvq_opts *o;
    lcm_rvq_file q;
    lcm_store *store;
    lcm_coder coder; /* not open without sonar */
    int64_t n, D, n_rows, count[MAX_ROWS];
    double error[MAX_ROWS], energy; /* sums of squares */
    lcm_reconstruction text[MAX_ROWS], continuous;
    /* a block of concepts, and the sentences that are decoded */
    real *residual, *scratch;
    int32_t *unit;
    lcm_sentences sentences;
    real *x, *y;
} bench;

static lcm_status choose_rows(lcm_ctx *ctx, bench *b) {
    int64_t K = b->q.rvq.config.codebooks;
    if (b->o->n_counts > MAX_ROWS) LCM_FAIL(ctx, LCM_ERR_ARG, "more than %d numbers of codebooks", MAX_ROWS);
    for (size_t i = 0; i < b->o->n_counts; i++) {
        int64_t k = b->o->counts[i];
        if (k < 1 || k > K || (i > 0 && k <= b->count[i - 1]))
            LCM_FAIL(ctx, LCM_ERR_ARG, "codebooks %lld: an ascending list within 1 … %lld is required", (long long)k, (long long)K);
        b->count[b->n_rows++] = k;
    }
    if (b->n_rows) return LCM_OK;
    for (int64_t k = 1; k < K; k *= 2) b->count[b->n_rows++] = k;
    b->count[b->n_rows++] = K;
    return LCM_OK;
}

static lcm_status open_all(lcm_ctx *ctx, bench *b) {
    const lcm_eval_rvq_opts *o = b->o;
    uint64_t space;
    if (o->rvq == NULL || o->store == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "codebooks and a store are needed");
    LCM_TRY(lcm_rvq_load(ctx, &b->q, o->rvq));
    LCM_TRY(choose_rows(ctx, b));
    LCM_TRY(lcm_store_open(ctx, &b->store, o->store));
    if (!lcm_space_parse(&space, lcm_store_space(b->store)))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': its space '%.40s' is not 16 hex digits", o->store, lcm_store_space(b->store));
    LCM_TRY(lcm_rvq_check_space(ctx, &b->q, o->rvq, space, "the store"));
    b->D = b->q.rvq.config.dim;
    if (lcm_store_dim(b->store) != b->D)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "codebooks of %lld channels, the store has %lld", (long long)b->D, (long long)lcm_store_dim(b->store));
    b->n = lcm_store_n_concepts(b->store);
    if (o->max_concepts > 0 && o->max_concepts < b->n) b->n = o->max_concepts;
    if (b->n < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' holds no concept", o->store);
    LCM_TRY(lcm_calloc(ctx, &b->residual, (size_t)(BLOCK * b->D), sizeof *b->residual));
    LCM_TRY(lcm_calloc(ctx, &b->unit, BLOCK, sizeof *b->unit));
    LCM_TRY(lcm_calloc(ctx, &b->scratch, (size_t)lcm_rvq_scratch(&b->q.rvq), sizeof *b->scratch));
    if (o->sonar == NULL) return LCM_OK;
    LCM_TRY(lcm_coder_open(ctx, &b->coder, o->sonar, o->beam));
    return lcm_rvq_check_space(ctx, &b->q, o->rvq, b->coder.file.space, o->sonar);
}

static double energy(const real *x, int64_t n) { return lcm_dot(x, x, n); }

static lcm_status measure_errors(lcm_ctx *ctx, bench *b) {
    for (int64_t at = 0; at < b->n; at += BLOCK) {
        int64_t n = b->n - at < BLOCK ? b->n - at : BLOCK, k = 0;
        LCM_TRY(lcm_store_vectors(ctx, b->residual, b->store, at, n));
        lcm_normalize(b->q.normalizer, b->residual, b->residual, n, NULL);
        b->energy += energy(b->residual, n * b->D);
        for (int64_t i = 0; i < b->n_rows; i++) {
            for (; k < b->count[i]; k++) lcm_rvq_step(b->unit, b->residual, &b->q.rvq, k, n, b->scratch);
            b->error[i] += energy(b->residual, n * b->D);
        }
    }
    return LCM_OK;
}

/* ---- text ---- */

static lcm_status read_sentences(lcm_ctx *ctx, bench *b) {
    int64_t n = b->o->max_sentences < b->n ? b->o->max_sentences : b->n;
    for (int64_t i = 0; i < n; i++) {
        const char *text;
        size_t len;
        LCM_TRY(lcm_store_text(ctx, &text, &len, b->store, i));
        LCM_TRY(lcm_sentences_add(ctx, &b->sentences, text, len));
    }
    LCM_TRY(lcm_calloc(ctx, &b->x, (size_t)(n * b->D), sizeof *b->x));
    LCM_TRY(lcm_calloc(ctx, &b->y, (size_t)(n * b->D), sizeof *b->y));
    return lcm_store_vectors(ctx, b->x, b->store, 0, n);
}

/* y = x through k codebooks, in SONAR space. */
static void quantize(bench *b, int64_t k) {
    for (int64_t at = 0; at < b->sentences.n; at += BLOCK) {
        int64_t n = b->sentences.n - at < BLOCK ? b->sentences.n - at : BLOCK;
        real *y = b->y + at * b->D;
        lcm_normalize(b->q.normalizer, b->residual, b->x + at * b->D, n, NULL);
        memset(y, 0, (size_t)(n * b->D) * sizeof *y);
        for (int64_t i = 0; i < k; i++) {
            lcm_rvq_step(b->unit, b->residual, &b->q.rvq, i, n, b->scratch);
            lcm_rvq_add(y, &b->q.rvq, i, b->unit, n);
        }
        lcm_denormalize(b->q.normalizer, y, y, n, NULL);
    }
}

static lcm_status measure_text(lcm_ctx *ctx, bench *b) {
    lcm_coder *c = &b->coder;
    if (b->o->max_sentences < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "%lld sentences to decode", (long long)b->o->max_sentences);
    LCM_TRY(read_sentences(ctx, b));
    LCM_TRY(lcm_reconstruct_vectors(ctx, &b->continuous, c->codec, c->file.tok, &b->sentences, b->x, b->x, &c->beam));
    for (int64_t i = 0; i < b->n_rows; i++) {
        quantize(b, b->count[i]);
        LCM_TRY(lcm_reconstruct_vectors(ctx, &b->text[i], c->codec, c->file.tok, &b->sentences, b->x, b->y, &c->beam));
    }
    return LCM_OK;
}

/* ---- report ---- */

static void put_text(json_t **row, const lcm_reconstruction *r) {
    lcm_report_set(row, "exact", json_real((double)r->exact / (double)r->sentences));
    lcm_report_set(row, "bleu", json_real(r->bleu));
    lcm_report_set(row, "chrf", json_real(r->chrf));
    lcm_report_set(row, "l2", json_real(r->l2));
}

static json_t *report_row(const bench *b, int64_t i) {
    const lcm_rvq_config *c = &b->q.rvq.config;
    json_t *row = json_pack("{s:I, s:f, s:f}", "codebooks", (json_int_t)b->count[i], "bits",
                            (double)b->count[i] * log2((double)c->units), "relative_error", b->error[i] / b->energy);
    if (b->coder.codec) put_text(&row, &b->text[i]);
    return row;
}

static lcm_status make_report(lcm_ctx *ctx, char **report, const bench *b) {
    const lcm_rvq_config *c = &b->q.rvq.config;
    char space[17], normalizer[17];
    json_t *root, *list = json_array(), *clean = json_object();
    lcm_space_format(space, b->q.space);
    lcm_space_format(normalizer, lcm_normalizer_hash(b->q.normalizer));
    root = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "task", "rvq", "rvq", b->o->rvq, "store", b->o->store,
                     "space", space, "normalizer", normalizer, "dim", (json_int_t)c->dim, "units", (json_int_t)c->units,
                     "codebooks", (json_int_t)c->codebooks, "concepts", (json_int_t)b->n);
    for (int64_t i = 0; i < b->n_rows; i++) lcm_report_append(&list, report_row(b, i));
    if (b->coder.codec) {
        put_text(&clean, &b->continuous);
        lcm_report_set(&root, "sonar", json_string(b->o->sonar));
        lcm_report_set(&root, "beam", json_integer(b->o->beam));
        lcm_report_set(&root, "sentences", json_integer(b->sentences.n));
        lcm_report_set(&root, "continuous", clean);
    } else json_decref(clean);
    lcm_report_set(&root, "rows", list);
    return lcm_report_finish(ctx, report, root);
}

static lcm_status draw(lcm_ctx *ctx, const bench *b) {
    static const char *const panels[] = {"relative_error", "bleu,continuous"};
    lcm_curve_opts o = {.panels = panels, .n_panels = b->coder.codec ? 2 : 1, .smooth = 1, .x_label = "codebooks"};
    lcm_curve_run run = {.name = b->o->rvq};
    lcm_buf text = {0}, svg = {0};
    lcm_status st = LCM_OK;
    for (int64_t i = 0; st == LCM_OK && i < b->n_rows; i++) {
        st = lcm_buf_printf(ctx, &text, "{\"step\":%lld,\"relative_error\":%.7g", (long long)b->count[i], b->error[i] / b->energy);
        if (st == LCM_OK && b->coder.codec)
            st = lcm_buf_printf(ctx, &text, ",\"bleu\":%.5g,\"continuous\":%.5g", b->text[i].bleu, b->continuous.bleu);
        if (st == LCM_OK) st = lcm_buf_append(ctx, &text, "}\n", 2);
    }
    if (st == LCM_OK) st = lcm_metrics_log_read(ctx, &run.log, text.data, text.len, b->o->rvq);
    if (st == LCM_OK) st = lcm_curve_draw(ctx, &svg, &run, 1, &o);
    if (st == LCM_OK) st = lcm_write_file(ctx, b->o->curve, svg.data, svg.len);
    lcm_metrics_log_free(&run.log);
    lcm_buf_free(&text);
    lcm_buf_free(&svg);
    return st;
}

lcm_status lcm_eval_rvq(lcm_ctx *ctx, char **report, const lcm_eval_rvq_opts *opts) {
    bench b = {.o = opts};
    lcm_status st = open_all(ctx, &b);
    *report = NULL;
    if (st == LCM_OK) st = measure_errors(ctx, &b);
    if (st == LCM_OK && b.coder.codec) st = measure_text(ctx, &b);
    if (st == LCM_OK && opts->curve) st = draw(ctx, &b);
    if (st == LCM_OK) st = make_report(ctx, report, &b);
    lcm_rvq_file_close(&b.q);
    lcm_store_close(b.store);
    lcm_coder_close(&b.coder);
    lcm_sentences_free(&b.sentences);
    free(b.residual);
    free(b.scratch);
    free(b.unit);
    free(b.x);
    free(b.y);
    return st;
}
