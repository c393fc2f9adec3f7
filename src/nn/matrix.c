/* Weights ready for inference. */
#include "nn/matrix.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/gemm.h"
#include "kernels/simd.h"
#include "kernels/widen.h"

/* Values of a widened block: small enough for the second-level cache. */
enum { WIDE = 64 * 1024 };

static int64_t wide_rows(int64_t in) { return lcm_max_i(1, WIDE / in); }

static size_t wide_size(int64_t in) { return (size_t)((wide_rows(in) * in + 15) / 16 * 16); }

static lcm_status room(lcm_ctx *ctx, void *block, size_t *cap, size_t need, size_t size) {
    void *p;
    size_t bytes;
    if (need <= *cap) return LCM_OK;
    if (!lcm_mul_size(&bytes, need, size) || !lcm_add_size(&bytes, bytes, 63)) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: %zu values", need);
    p = aligned_alloc(64, bytes / 64 * 64);
    if (p == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: %zu bytes for a pass", bytes);
    free(*(void **)block);
    *(void **)block = p;
    *cap = need;
    return LCM_OK;
}

lcm_status lcm_feed_reserve(lcm_ctx *ctx, lcm_feed *f, int64_t rows, int64_t in, lcm_matrix_type type) {
    size_t a = f->row_cap, b = f->row_cap;
    f->threads = omp_get_max_threads();
    if (type == LCM_MATRIX_F16 || type == LCM_MATRIX_BF16)
        return room(ctx, &f->wide, &f->wide_cap, wide_size(in) * (size_t)f->threads, sizeof *f->wide);
    if (type != LCM_MATRIX_I8) return LCM_OK;
    LCM_TRY(room(ctx, &f->acts.q, &f->q_cap, lcm_i8_acts_size(rows, in), 1));
    LCM_TRY(room(ctx, &f->acts.scale, &a, (size_t)rows, sizeof *f->acts.scale));
    LCM_TRY(room(ctx, &f->acts.sum, &b, (size_t)rows, sizeof *f->acts.sum));
    f->row_cap = b;
    return LCM_OK;
}

void lcm_feed_free(lcm_feed *f) {
    free(f->acts.q);
    free(f->acts.scale);
    free(f->acts.sum);
    free(f->wide);
    memset(f, 0, sizeof *f);
}

void lcm_feed_set(lcm_feed *f, const real *x, int64_t rows, int64_t in) {
    f->x = x;
    f->rows = rows;
    f->in = in;
    f->quantised = false;
}

static void widen(real *dst, const lcm_matrix *w, int64_t from, int64_t n) {
    const uint16_t *h = (const uint16_t *)w->w + from;
    if (w->type == LCM_MATRIX_F16) lcm_k_widen_f16(dst, h, n);
    else lcm_k_widen_bf16(dst, h, n);
}

LCM_CLONES static void finish_rows(real *y, const real *b, int64_t rows, int64_t n, int64_t ld, int flags) {
    for (int64_t r = 0; r < rows; r++) {
        real *yr = y + r * ld;
        if (b) {
            LCM_SIMD
            for (int64_t o = 0; o < n; o++) yr[o] += b[o];
        }
        if (flags & LCM_PRODUCT_RELU) {
            LCM_SIMD
            for (int64_t o = 0; o < n; o++) yr[o] = yr[o] > 0 ? yr[o] : 0;
        }
    }
}

static void apply_real(real *y, const lcm_matrix *w, const lcm_feed *f, int flags) {
    lcm_k_gemm(false, true, f->rows, w->out, w->in, 1, f->x, w->in, w->w, w->in, flags & LCM_PRODUCT_ADD ? 1 : 0, y, w->out);
    if (w->b == NULL && !(flags & LCM_PRODUCT_RELU)) return;
    LCM_PARALLEL_FOR_IF(f->rows * w->out > 65536)
    for (int64_t r = 0; r < f->rows; r += 16)
        finish_rows(y + r * w->out, w->b, lcm_min_i(16, f->rows - r), w->out, w->out, flags);
}

/* Blocks of weights, each by one thread: their bounds, and so the bits, do not depend on the threads. */
static void apply_half(real *y, const lcm_matrix *w, const lcm_feed *f, int flags) {
    int64_t step = wide_rows(w->in);
    LCM_PRAGMA(omp parallel for schedule(static) num_threads(f->threads) if (w->out > step))
    for (int64_t o = 0; o < w->out; o += step) {
        int64_t n = lcm_min_i(step, w->out - o);
        real *wide = f->wide + (size_t)omp_get_thread_num() * (f->wide_cap / (size_t)f->threads / 16 * 16);
        widen(wide, w, o * w->in, n * w->in);
        lcm_k_gemm(false, true, f->rows, n, w->in, 1, f->x, w->in, wide, w->in, flags & LCM_PRODUCT_ADD ? 1 : 0, y + o, w->out);
        finish_rows(y + o, w->b ? w->b + o : NULL, f->rows, n, w->out, flags);
    }
}

void lcm_matrix_apply(real *y, const lcm_matrix *w, lcm_feed *f, int flags) {
    LCM_ASSERT(f->in == w->in && (flags & (LCM_PRODUCT_ADD | LCM_PRODUCT_RELU)) != (LCM_PRODUCT_ADD | LCM_PRODUCT_RELU));
    if (w->type == LCM_MATRIX_REAL) apply_real(y, w, f, flags);
    else if (w->type != LCM_MATRIX_I8) apply_half(y, w, f, flags);
    else {
        if (!f->quantised) lcm_i8_quantise(&f->acts, f->x, f->rows, f->in);
        f->quantised = true;
        lcm_k_gemm_i8(y, w->out, &f->acts, w->w, w->scale, w->b, w->out, flags);
    }
}

void lcm_matrix_row(real *dst, const lcm_matrix *w, int64_t o) {
    if (w->type == LCM_MATRIX_REAL) memcpy(dst, (const real *)w->w + o * w->in, (size_t)w->in * sizeof *dst);
    else if (w->type == LCM_MATRIX_I8) lcm_i8_row(dst, w->w, w->scale, w->in, o);
    else widen(dst, w, o * w->in, w->in);
}
