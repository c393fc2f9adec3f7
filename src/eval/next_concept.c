/* Measures of next-concept prediction. */
#include "eval/next_concept.h"

#include <stdlib.h>

#include "kernels/distance.h"
#include "kernels/simd.h"

static const real *prediction(const lcm_next_result *r, int64_t i) { return r->p + i * r->job->D; }
static const real *truth(const lcm_next_result *r, int64_t i) {
    return r->job->x + (r->job->off[r->doc[i]] + r->pos[i]) * r->job->D;
}

static lcm_status score_l2(lcm_ctx *ctx, double *out, double *weights, lcm_next_result *r, const lcm_next_opts *o) {
    (void)ctx;
    (void)weights;
    (void)o;
    LCM_PARALLEL_FOR_IF(r->rows > 256)
    for (int64_t i = 0; i < r->rows; i++) out[i] = lcm_l2(prediction(r, i), truth(r, i), r->job->D);
    return LCM_OK;
}

static lcm_status score_cos(lcm_ctx *ctx, double *out, double *weights, lcm_next_result *r, const lcm_next_opts *o) {
    (void)ctx;
    (void)weights;
    (void)o;
    LCM_PARALLEL_FOR_IF(r->rows > 256)
    for (int64_t i = 0; i < r->rows; i++) out[i] = lcm_cosine(prediction(r, i), truth(r, i), r->job->D);
    return LCM_OK;
}

static lcm_status score_par(lcm_ctx *ctx, double *out, double *weights, lcm_next_result *r, const lcm_next_opts *o) {
    int64_t D = r->job->D;
    (void)ctx;
    (void)weights;
    (void)o;
    LCM_PARALLEL_FOR_IF(r->rows > 64)
    for (int64_t i = 0; i < r->rows; i++) {
        const real *before = r->job->x + r->job->off[r->doc[i]] * D;
        double ours = -1, theirs = -1;
        for (int64_t m = 0; m < r->pos[i]; m++) {
            ours = fmax(ours, lcm_cosine(prediction(r, i), before + m * D, D));
            theirs = fmax(theirs, lcm_cosine(truth(r, i), before + m * D, D));
        }
        out[i] = theirs > 0 ? ours / theirs : NAN;
    }
    return LCM_OK;
}

/* ---- what predictions say ---- */

void lcm_next_result_free(lcm_next_result *r) {
    lcm_sentences_free(&r->said);
    free(r->picked);
    r->picked = NULL;
}

static lcm_status pick_and_decode(lcm_ctx *ctx, lcm_next_result *r, const lcm_next_opts *o, real *x, int64_t n) {
    int64_t D = r->job->D;
    for (int64_t k = 0; k < n; k++) {
        r->picked[k] = (int64_t)((double)k * (double)r->rows / (double)n);
        for (int64_t c = 0; c < D; c++) x[k * D + c] = prediction(r, r->picked[k])[c];
    }
    return lcm_sentences_decode(ctx, &r->said, o->codec, x, n, &o->beam);
}

static lcm_status decode_once(lcm_ctx *ctx, lcm_next_result *r, const lcm_next_opts *o) {
    int64_t n = o->round_trips ? lcm_min_i(o->round_trips, r->rows) : r->rows;
    real *x;
    lcm_status st;
    if (r->picked) return LCM_OK;
    LCM_TRY(lcm_calloc(ctx, &r->picked, (size_t)n, sizeof *r->picked));
    LCM_TRY(lcm_calloc(ctx, &x, (size_t)(n * r->job->D), sizeof *x));
    st = pick_and_decode(ctx, r, o, x, n);
    free(x);
    return st;
}

static lcm_status score_l2_r(lcm_ctx *ctx, double *out, double *weights, lcm_next_result *r, const lcm_next_opts *o) {
    int64_t D = r->job->D;
    real *x;
    lcm_status st;
    (void)weights;
    for (int64_t i = 0; i < r->rows; i++) out[i] = NAN;
    if (o->codec == NULL) return LCM_OK;
    LCM_TRY(decode_once(ctx, r, o));
    LCM_TRY(lcm_calloc(ctx, &x, (size_t)(r->said.n * D), sizeof *x));
    st = lcm_sentences_encode(ctx, x, NULL, o->codec, &r->said, 0, r->said.n);
    for (int64_t k = 0; st == LCM_OK && k < r->said.n; k++) out[r->picked[k]] = lcm_l2(x + k * D, truth(r, r->picked[k]), D);
    free(x);
    return st;
}

/* The true sentences of one document, a line each, and where each ends. */
typedef struct true_text {
    lcm_buf lines;
    size_t *end;
    size_t end_cap;
} true_text;

static lcm_status read_document(lcm_ctx *ctx, true_text *t, const lcm_next_result *r, const lcm_next_opts *o, int64_t doc) {
    int64_t first = r->job->off[doc], n = r->job->off[doc + 1] - first;
    t->lines.len = 0;
    LCM_TRY(lcm_grow(ctx, &t->end, &t->end_cap, (size_t)n, sizeof *t->end));
    for (int64_t i = 0; i < n; i++) {
        size_t len;
        const char *text = lcm_sentences_at(o->texts, first + i, &len);
        LCM_TRY(lcm_buf_append(ctx, &t->lines, text, len));
        LCM_TRY(lcm_buf_append(ctx, &t->lines, "\n", 1));
        t->end[i] = t->lines.len;
    }
    return LCM_OK;
}

/* room (2 n): of the predictions k … k+n-1 that were decoded, all of one document. */
static lcm_status mi_of_document(lcm_ctx *ctx, double *out, double *weights, double *room, lcm_mi_item *items, const true_text *t,
                                 const lcm_next_result *r, const lcm_next_opts *o, int64_t k, int64_t n) {
    lcm_mi_opts mo = lcm_mi_defaults();
    for (int64_t i = 0; i < n; i++) {
        lcm_mi_item *item = &items[i];
        *item = (lcm_mi_item){.context = t->lines.data, .context_len = t->end[r->pos[r->picked[k + i]] - 1]};
        item->sentence = lcm_sentences_at(&r->said, k + i, &item->len);
    }
    LCM_TRY(lcm_mi_document(ctx, room, room + n, o->scorer, items, (size_t)n, &mo));
    for (int64_t i = 0; i < n; i++) out[r->picked[k + i]] = room[i], weights[r->picked[k + i]] = room[n + i];
    return LCM_OK;
}

static lcm_status score_mi(lcm_ctx *ctx, double *out, double *weights, lcm_next_result *r, const lcm_next_opts *o) {
    true_text t = {0};
    lcm_mi_item *items = NULL;
    double *room = NULL;
    lcm_status st;
    for (int64_t i = 0; i < r->rows; i++) out[i] = NAN;
    if (o->codec == NULL) return LCM_OK;
    LCM_TRY(decode_once(ctx, r, o));
    st = lcm_calloc(ctx, &items, (size_t)r->said.n, sizeof *items);
    if (st == LCM_OK) st = lcm_calloc(ctx, &room, 2 * (size_t)r->said.n, sizeof *room);
    for (int64_t k = 0, n; st == LCM_OK && k < r->said.n; k += n) {
        int32_t doc = r->doc[r->picked[k]];
        for (n = 1; k + n < r->said.n && r->doc[r->picked[k + n]] == doc;) n++;
        st = read_document(ctx, &t, r, o, doc);
        if (st == LCM_OK) st = mi_of_document(ctx, out, weights, room, items, &t, r, o, k, n);
    }
    for (int64_t i = 0; *o->scorer->failed && i < r->rows; i++) out[i] = NAN;
    lcm_buf_free(&t.lines);
    free(t.end);
    free(items);
    free(room);
    return st;
}

/* ---- contrastive accuracy ---- */

typedef struct contrast {
    const lcm_next_result *r;
    int64_t first, n;  /* concepts of the batch, in the job */
    int64_t row, rows; /* predictions of the batch */
    double *p2, *x2;
    real *y; /* (rows, n) */
} contrast;

/* compat: the negatives are the concepts of other documents. */
static void contrast_rows(double *out, const contrast *c, bool compat) {
    const lcm_forecast_job *job = c->r->job;
    lcm_squared_norms(c->p2, prediction(c->r, c->row), c->rows, job->D);
    lcm_squared_norms(c->x2, job->x + c->first * job->D, c->n, job->D);
    lcm_squared_distances(c->y, prediction(c->r, c->row), c->p2, c->rows, job->x + c->first * job->D, c->x2, c->n, job->D);
    LCM_PARALLEL_FOR_IF(c->rows > 16)
    for (int64_t i = 0; i < c->rows; i++) {
        int64_t d = c->r->doc[c->row + i], begin = job->off[d] - c->first, end = job->off[d + 1] - c->first;
        int64_t at = begin + c->r->pos[c->row + i], n = 0, farther = 0;
        const real *y = c->y + i * c->n;
        for (int64_t k = 0; k < c->n; k++) {
            bool own = k >= begin && k < end, near = own && k >= at - 1 && k <= at + 1;
            if (compat ? own : near) continue;
            n++;
            farther += (double)y[k] > (double)y[at] + 1e-6 * (c->p2[i] + c->x2[k]);
        }
        out[c->row + i] = n ? (double)farther / (double)n : NAN;
    }
}

static lcm_status contrastive(lcm_ctx *ctx, double *out, const lcm_next_result *r, const lcm_next_opts *o, bool compat) {
    const lcm_forecast_job *job = r->job;
    contrast c = {.r = r};
    for (int64_t d = 0; d < job->n; d += o->batch_docs) {
        int64_t last = lcm_min_i(d + o->batch_docs, job->n);
        lcm_status st;
        c.first = job->off[d];
        c.n = job->off[last] - c.first;
        c.row += c.rows;
        for (c.rows = 0; c.row + c.rows < r->rows && r->doc[c.row + c.rows] < last;) c.rows++;
        if (c.rows == 0) continue;
        st = lcm_calloc(ctx, &c.p2, (size_t)c.rows, sizeof *c.p2);
        if (st == LCM_OK) st = lcm_calloc(ctx, &c.x2, (size_t)c.n, sizeof *c.x2);
        if (st == LCM_OK) st = lcm_calloc(ctx, &c.y, (size_t)(c.rows * c.n), sizeof *c.y);
        if (st == LCM_OK) contrast_rows(out, &c, compat);
        free(c.p2);
        free(c.x2);
        free(c.y);
        c.p2 = c.x2 = NULL;
        c.y = NULL;
        LCM_TRY(st);
    }
    return LCM_OK;
}

static lcm_status score_ca(lcm_ctx *ctx, double *out, double *weights, lcm_next_result *r, const lcm_next_opts *o) {
    (void)weights;
    return contrastive(ctx, out, r, o, false);
}

static lcm_status score_ca_compat(lcm_ctx *ctx, double *out, double *weights, lcm_next_result *r, const lcm_next_opts *o) {
    (void)weights;
    return contrastive(ctx, out, r, o, true);
}

const lcm_next_measure lcm_next_measures[] = {{"l2", LCM_BETTER_LOWER, false, score_l2},
                                              {"l2_r", LCM_BETTER_LOWER, false, score_l2_r},
                                              {"ca", LCM_BETTER_HIGHER, false, score_ca},
                                              {"par", LCM_BETTER_NEITHER, false, score_par},
                                              {"mi", LCM_BETTER_HIGHER, true, score_mi},
                                              {"cos", LCM_BETTER_HIGHER, false, score_cos},
                                              {"ca_compat", LCM_BETTER_HIGHER, false, score_ca_compat},
                                              {0}};
static_assert(sizeof lcm_next_measures / sizeof *lcm_next_measures == LCM_NEXT_MEASURES + 1, "count of measures");

lcm_status lcm_next_score(lcm_ctx *ctx, double *out, double *weights, const lcm_next_measure *m, lcm_next_result *r,
                          const lcm_next_opts *o) {
    for (int64_t i = 0; i < r->rows; i++) weights[i] = 1;
    return m->score(ctx, out, weights, r, o);
}

/* ---- all of them ---- */

static lcm_status measure(lcm_ctx *ctx, lcm_next_scores *out, lcm_next_result *r, const lcm_next_opts *o) {
    double *v;
    lcm_status st = LCM_OK;
    LCM_TRY(lcm_calloc(ctx, &v, (size_t)r->rows * 2, sizeof *v));
    for (int m = 0; st == LCM_OK && m < LCM_NEXT_MEASURES; m++) {
        double sum = 0, weight = 0, *w = v + r->rows;
        out->n[m] = 0;
        out->mean[m] = NAN;
        if (lcm_next_measures[m].needs_scorer && o->scorer == NULL) continue;
        st = lcm_next_score(ctx, v, w, &lcm_next_measures[m], r, o);
        for (int64_t i = 0; i < r->rows; i++) {
            if (isnan(v[i])) continue;
            sum += w[i] * v[i];
            weight += w[i];
            out->n[m]++;
        }
        if (weight > 0) out->mean[m] = sum / weight;
    }
    free(v);
    return st;
}

lcm_status lcm_next_evaluate(lcm_ctx *ctx, lcm_next_scores *out, const lcm_forecaster *f, const lcm_forecast_job *job,
                             uint64_t seed, const lcm_next_opts *opts) {
    int64_t rows = lcm_forecast_rows(job), row = 0;
    real *p = NULL;
    int32_t *doc = NULL, *pos;
    lcm_next_result r;
    lcm_status st;
    if (rows == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "no document has two concepts: nothing to predict");
    st = lcm_calloc(ctx, &p, (size_t)(rows * job->D), sizeof *p);
    if (st == LCM_OK) st = lcm_calloc(ctx, &doc, (size_t)rows * 2, sizeof *doc);
    if (st == LCM_OK) st = f->predict(ctx, p, f, job, seed);
    for (int64_t i = 0; st == LCM_OK && i < rows * job->D; i++)
        if (!isfinite(p[i])) st = lcm_fail(ctx, LCM_ERR_NUMERIC, "%s: prediction %lld is not finite", f->name, (long long)(i / job->D));
    if (st == LCM_OK) {
        pos = doc + rows;
        for (int64_t d = 0; d < job->n; d++)
            for (int32_t t = job->from[d]; t < job->to[d]; t++, row++) doc[row] = (int32_t)d, pos[row] = t;
        r = (lcm_next_result){.job = job, .p = p, .rows = rows, .doc = doc, .pos = pos};
        st = measure(ctx, out, &r, opts);
        lcm_next_result_free(&r);
    }
    free(p);
    free(doc);
    return st;
}
