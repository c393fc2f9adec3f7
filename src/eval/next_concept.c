/* Measures of next-concept prediction. */
#include "eval/next_concept.h"

#include <stdlib.h>

#include "eval/sentences.h"
#include "kernels/distance.h"
#include "kernels/simd.h"

static const real *prediction(const lcm_next_result *r, int64_t i) { return r->p + i * r->job->D; }
static const real *truth(const lcm_next_result *r, int64_t i) {
    return r->job->x + (r->job->off[r->doc[i]] + r->pos[i]) * r->job->D;
}

static lcm_status score_l2(lcm_ctx *ctx, double *out, const lcm_next_result *r, const lcm_next_opts *o) {
    (void)ctx;
    (void)o;
    LCM_PARALLEL_FOR_IF(r->rows > 256)
    for (int64_t i = 0; i < r->rows; i++) out[i] = lcm_l2(prediction(r, i), truth(r, i), r->job->D);
    return LCM_OK;
}

static lcm_status score_cos(lcm_ctx *ctx, double *out, const lcm_next_result *r, const lcm_next_opts *o) {
    (void)ctx;
    (void)o;
    LCM_PARALLEL_FOR_IF(r->rows > 256)
    for (int64_t i = 0; i < r->rows; i++) out[i] = lcm_cosine(prediction(r, i), truth(r, i), r->job->D);
    return LCM_OK;
}

static lcm_status score_par(lcm_ctx *ctx, double *out, const lcm_next_result *r, const lcm_next_opts *o) {
    int64_t D = r->job->D;
    (void)ctx;
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

/* ---- round trip ---- */

static lcm_status round_trip(lcm_ctx *ctx, double *out, const lcm_next_result *r, const lcm_next_opts *o, real *x,
                             int64_t *picked, int64_t n) {
    int64_t D = r->job->D;
    lcm_sentences text = {0};
    lcm_status st;
    for (int64_t k = 0; k < n; k++) {
        picked[k] = (int64_t)((double)k * (double)r->rows / (double)n);
        for (int64_t c = 0; c < D; c++) x[k * D + c] = prediction(r, picked[k])[c];
    }
    st = lcm_sentences_decode(ctx, &text, o->codec, x, n, &o->beam);
    if (st == LCM_OK) st = lcm_sentences_encode(ctx, x, NULL, o->codec, &text, 0, n);
    for (int64_t k = 0; st == LCM_OK && k < n; k++) out[picked[k]] = lcm_l2(x + k * D, truth(r, picked[k]), D);
    lcm_sentences_free(&text);
    return st;
}

static lcm_status score_l2_r(lcm_ctx *ctx, double *out, const lcm_next_result *r, const lcm_next_opts *o) {
    int64_t n = o->round_trips ? lcm_min_i(o->round_trips, r->rows) : r->rows;
    real *x;
    int64_t *picked = NULL;
    lcm_status st;
    for (int64_t i = 0; i < r->rows; i++) out[i] = NAN;
    if (o->codec == NULL) return LCM_OK;
    LCM_TRY(lcm_calloc(ctx, &x, (size_t)(n * r->job->D), sizeof *x));
    st = lcm_calloc(ctx, &picked, (size_t)n, sizeof *picked);
    if (st == LCM_OK) st = round_trip(ctx, out, r, o, x, picked, n);
    free(picked);
    free(x);
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

static lcm_status score_ca(lcm_ctx *ctx, double *out, const lcm_next_result *r, const lcm_next_opts *o) {
    return contrastive(ctx, out, r, o, false);
}

static lcm_status score_ca_compat(lcm_ctx *ctx, double *out, const lcm_next_result *r, const lcm_next_opts *o) {
    return contrastive(ctx, out, r, o, true);
}

const lcm_next_measure lcm_next_measures[] = {{"l2", LCM_BETTER_LOWER, score_l2},
                                              {"l2_r", LCM_BETTER_LOWER, score_l2_r},
                                              {"ca", LCM_BETTER_HIGHER, score_ca},
                                              {"par", LCM_BETTER_NEITHER, score_par},
                                              {"cos", LCM_BETTER_HIGHER, score_cos},
                                              {"ca_compat", LCM_BETTER_HIGHER, score_ca_compat},
                                              {0}};
static_assert(sizeof lcm_next_measures / sizeof *lcm_next_measures == LCM_NEXT_MEASURES + 1, "count of measures");

/* ---- all of them ---- */

static lcm_status measure(lcm_ctx *ctx, lcm_next_scores *out, const lcm_next_result *r, const lcm_next_opts *o) {
    double *v;
    lcm_status st = LCM_OK;
    LCM_TRY(lcm_calloc(ctx, &v, (size_t)r->rows, sizeof *v));
    for (int m = 0; st == LCM_OK && m < LCM_NEXT_MEASURES; m++) {
        double sum = 0;
        out->n[m] = 0;
        st = lcm_next_measures[m].score(ctx, v, r, o);
        for (int64_t i = 0; i < r->rows; i++) {
            if (isnan(v[i])) continue;
            sum += v[i];
            out->n[m]++;
        }
        out->mean[m] = out->n[m] ? sum / (double)out->n[m] : NAN;
    }
    free(v);
    return st;
}

lcm_status lcm_next_evaluate(lcm_ctx *ctx, lcm_next_scores *out, const lcm_forecaster *f, const lcm_forecast_job *job,
                             uint64_t seed, const lcm_next_opts *opts) {
    int64_t rows = lcm_forecast_rows(job), row = 0;
    real *p = NULL;
    int32_t *doc = NULL, *pos;
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
        st = measure(ctx, out, &(lcm_next_result){job, p, rows, doc, pos}, opts);
    }
    free(p);
    free(doc);
    return st;
}
