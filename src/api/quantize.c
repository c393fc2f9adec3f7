/* What a smaller number type costs. */
#include "lcm/quantize.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/sample.h"
#include "kernels/distance.h"
#include "kernels/int8.h"
#include "sonar/codec.h"

/* ---- Tensors ---- */

typedef struct compare {
    lcm_quantize_report *r;
    lcm_quantize_fn fn;
    void *user;
    double error, mass; /* sums of squares over all matrices */
} compare;

/* Rows of a matrix in any type: of a file before, or of one after. */
typedef struct source {
    const lcm_st_tensor *t;
    const float *scale; /* int8 */
    real *copy;         /* else */
} source;

static lcm_status source_open(lcm_ctx *ctx, source *s, const lcm_st *st, const lcm_st_tensor *like) {
    const lcm_st_tensor *t = lcm_st_find(st, like->name), *scale;
    char name[LCM_PARAM_NAME + 8];
    int64_t padded = lcm_i8_panels(like->dims[0]) * LCM_I8_PANEL;
    int64_t dims[4] = {lcm_i8_panels(like->dims[0]), lcm_i8_groups(like->dims[1]), LCM_I8_PANEL, LCM_I8_GROUP};
    memset(s, 0, sizeof *s);
    if (t && t->dtype == LCM_DT_U8) {
        lcm_sonar_scale_name(name, like->name);
        LCM_TRY(lcm_st_require(ctx, &s->t, st, like->name, dims, 4));
        LCM_TRY(lcm_st_require(ctx, &scale, st, name, &padded, 1));
        if (scale->dtype != LCM_DT_F32 || !lcm_st_aligned(scale))
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%s' is not F32 at a multiple of 4 bytes", name);
        s->scale = scale->data;
        return LCM_OK;
    }
    LCM_TRY(lcm_st_require(ctx, &s->t, st, like->name, like->dims, 2));
    LCM_TRY(lcm_calloc(ctx, &s->copy, (size_t)lcm_st_elements(s->t) + 1, sizeof *s->copy));
    return lcm_st_read_real(ctx, s->copy, s->t, lcm_st_elements(s->t));
}

static void source_row(real *dst, const source *s, int64_t cols, int64_t o) {
    if (s->scale) lcm_i8_row(dst, s->t->data, s->scale, cols, o);
    else memcpy(dst, s->copy + o * cols, (size_t)cols * sizeof *dst);
}

static void compare_rows(compare *c, const lcm_st_tensor *t, const source *a, const source *b, real *wa, real *wb) {
    lcm_quantize_tensor q = {.name = t->name, .rows = t->dims[0], .cols = t->dims[1]};
    double error = 0, mass = 0;
    for (int64_t o = 0; o < q.rows; o++) {
        double top = 0, off = 0;
        source_row(wa, a, q.cols, o);
        source_row(wb, b, q.cols, o);
        for (int64_t i = 0; i < q.cols; i++) {
            double w = (double)wa[i], d = (double)wb[i] - w;
            error += d * d;
            mass += w * w;
            top = fmax(top, fabs(w));
            off = fmax(off, fabs(d));
        }
        if (top > 0) q.worst = fmax(q.worst, off / top);
    }
    q.rms = mass > 0 ? sqrt(error / mass) : 0;
    c->error += error;
    c->mass += mass;
    c->r->tensors++;
    if (q.worst >= c->r->worst) {
        c->r->worst = q.worst;
        snprintf(c->r->worst_name, sizeof c->r->worst_name, "%s", q.name);
    }
    if (c->fn) c->fn(c->user, &q);
}

static lcm_status compare_tensor(lcm_ctx *ctx, compare *c, const lcm_st_tensor *t, const lcm_st *before, const lcm_st *after) {
    source a = {0}, b = {0};
    real *rows = NULL;
    lcm_status st = source_open(ctx, &a, before, t);
    if (st == LCM_OK) st = source_open(ctx, &b, after, t);
    if (st == LCM_OK) st = lcm_calloc(ctx, &rows, 2 * (size_t)t->dims[1] + 1, sizeof *rows);
    if (st == LCM_OK) compare_rows(c, t, &a, &b, rows, rows + t->dims[1]);
    free(a.copy);
    free(b.copy);
    free(rows);
    return st;
}

static lcm_status compare_files(lcm_ctx *ctx, compare *c, const char *before, const char *after) {
    lcm_st *a = NULL, *b = NULL;
    lcm_status st = lcm_st_open(ctx, &a, before);
    if (st == LCM_OK) st = lcm_st_open(ctx, &b, after);
    for (size_t i = 0; st == LCM_OK && i < lcm_st_count(a); i++) {
        const lcm_st_tensor *t = lcm_st_at(a, i);
        c->r->bytes_before += t->nbytes;
        if (t->ndim != 2 || t->dtype > LCM_DT_BF16 || strncmp(t->name, LCM_SAMPLE_PREFIX, strlen(LCM_SAMPLE_PREFIX)) == 0) continue;
        st = compare_tensor(ctx, c, t, a, b);
    }
    for (size_t i = 0; st == LCM_OK && i < lcm_st_count(b); i++) c->r->bytes_after += lcm_st_at(b, i)->nbytes;
    c->r->rms = c->mass > 0 ? sqrt(c->error / c->mass) : 0;
    lcm_st_close(a);
    lcm_st_close(b);
    return st;
}

/* ---- From text to text ---- */

typedef struct texts {
    const char *const *text;
    const size_t *len;
    size_t n;
    int64_t beam;
} texts;

/* What one file makes of the sentences: their vectors, and what `foreign` (NULL: its own) vectors decode to. */
typedef struct result {
    real *x;
    int64_t dim;
    lcm_buf own, foreign; /* n texts, each ended by NUL */
} result;

static lcm_status run_codec(lcm_ctx *ctx, result *out, lcm_codec *codec, const texts *t, const real *foreign) {
    lcm_beam_opts beam = lcm_beam_opts_default();
    if (t->beam > 0) beam.beam_size = t->beam;
    LCM_TRY(lcm_calloc(ctx, &out->x, t->n * (size_t)out->dim, sizeof *out->x));
    LCM_TRY(lcm_codec_encode(ctx, out->x, NULL, codec, t->text, t->len, t->n, -1));
    LCM_TRY(lcm_codec_decode(ctx, &out->own, NULL, codec, out->x, t->n, -1, &beam));
    return foreign ? lcm_codec_decode(ctx, &out->foreign, NULL, codec, foreign, t->n, -1, &beam) : LCM_OK;
}

static lcm_status run_file(lcm_ctx *ctx, result *out, const char *path, const texts *t, const real *foreign, int64_t dim) {
    lcm_sonar_file f;
    lcm_codec *codec = NULL;
    lcm_status st;
    LCM_TRY(lcm_sonar_load(ctx, &f, path, LCM_SONAR_BOTH));
    out->dim = lcm_sonar_dim(&f.config);
    st = dim && dim != out->dim ? lcm_fail(ctx, LCM_ERR_SHAPE, "'%s' has another width than the file before", path) : LCM_OK;
    if (st == LCM_OK) st = lcm_codec_new(ctx, &codec, &f);
    if (st == LCM_OK) st = run_codec(ctx, out, codec, t, foreign);
    lcm_codec_free(codec);
    lcm_sonar_file_close(&f);
    return st;
}

static double cosine(const real *a, const real *b, int64_t n) {
    double aa = lcm_dot(a, a, n), bb = lcm_dot(b, b, n);
    return aa > 0 && bb > 0 ? lcm_dot(a, b, n) / sqrt(aa * bb) : aa == bb;
}

static void judge(lcm_quantize_report *r, const texts *t, const result *a, const result *b) {
    const char *own_a = a->own.data, *own_b = b->own.data, *same = b->foreign.data;
    r->sentences = (int64_t)t->n;
    r->cos_least = 1;
    for (size_t i = 0; i < t->n; i++) {
        double c = cosine(a->x + (int64_t)i * a->dim, b->x + (int64_t)i * a->dim, a->dim);
        size_t len = t->len[i];
        r->cos_mean += c / (double)t->n;
        r->cos_least = fmin(r->cos_least, c);
        r->exact_before += strlen(own_a) == len && memcmp(own_a, t->text[i], len) == 0;
        r->exact_after += strlen(own_b) == len && memcmp(own_b, t->text[i], len) == 0;
        r->same_text += strcmp(own_a, same) == 0;
        own_a += strlen(own_a) + 1;
        own_b += strlen(own_b) + 1;
        same += strlen(same) + 1;
    }
}

static void result_free(result *r) {
    free(r->x);
    lcm_buf_free(&r->own);
    lcm_buf_free(&r->foreign);
}

lcm_status lcm_quantize_compare(lcm_ctx *ctx, lcm_quantize_report *out, const char *before, const char *after,
                                const char *const *text, const size_t *len, size_t n, int64_t beam, lcm_quantize_fn fn,
                                void *user) {
    lcm_quantize_report r = {0};
    compare c = {.r = &r, .fn = fn, .user = user};
    texts t = {text, len, n, beam};
    result a = {0}, b = {0};
    lcm_status st;
    LCM_TRY(compare_files(ctx, &c, before, after));
    if (n > 0) {
        st = run_file(ctx, &a, before, &t, NULL, 0);
        if (st == LCM_OK) st = run_file(ctx, &b, after, &t, a.x, a.dim);
        if (st == LCM_OK) judge(&r, &t, &a, &b);
        result_free(&a);
        result_free(&b);
        LCM_TRY(st);
    }
    *out = r;
    return LCM_OK;
}
