/* bfloat16 product: operands are packed into panels of pairs along k, 16 pairs to a register, and a
 * tile of 14 x 32 sums stays in registers (28 of 32). Loops as in Goto and van de Geijn, "Anatomy
 * of High-Performance Matrix Multiplication" (2008). */
#include "kernels/bf16.h"

#include <stdlib.h>

#include "kernels/avx512.h"
#include "kernels/gemm.h"
#include "kernels/simd.h"

enum {
    LANES = 16,      /* 32-bit lanes of a register: f32 sums, or pairs of bf16 */
    MR = 14, NR = 32, /* tile of C */
    KC = 512,        /* depth of a block; a panel of B, KC x NR, stays in L1/L2 */
    MC = 16 * MR,    /* rows of a block of A */
    NC = 1024,       /* columns of a block of B */
    A_PAIRS = MC / MR * LANES * (KC / 2),
    B_PAIRS = NC * (KC / 2),
};

struct lcm_bf16 {
    int threads;
    uint32_t *buf; /* per thread: A_PAIRS, then B_PAIRS */
};

#ifdef LCM_HAVE_AVX512
#define BF16_CODE __attribute__((target(LCM_AVX512_TARGET ",avx512bf16")))

bool lcm_bf16_supported(void) {
    return lcm_has_avx512() && __builtin_cpu_supports("avx512bf16");
}

/* An operand seen as rows of the packed panel (rows of A, columns of B) by k. */
typedef struct side {
    const real *x;
    int64_t ld;
    bool k_contiguous; /* x[row * ld + k], else x[k * ld + row] */
} side;

/* Pairs (k, k+1) of `rows` <= 16 rows into dst[pair * stride + row]; zeros beyond rows and k. */
BF16_CODE static void pack_rows(uint32_t *dst, int64_t stride, side s, int64_t rows, int64_t k) {
    if (s.k_contiguous) {
        for (int64_t p = 0; p < k; p += 2 * LANES) {
            __mmask16 lo = lcm_first16(k - p), hi = lcm_first16(k - p - LANES);
            __m512i r[LANES];
            int64_t pairs = (k - p + 1) / 2;
            for (int i = 0; i < LANES; i++) {
                const real *x = s.x + i * s.ld + p;
                r[i] = i < rows ? (__m512i)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(hi, x + LANES),
                                                              _mm512_maskz_loadu_ps(lo, x))
                                : _mm512_setzero_si512();
            }
            lcm_transpose16(r);
            for (int i = 0; i < LANES && i < pairs; i++) _mm512_storeu_si512(dst + (p / 2 + i) * stride, r[i]);
        }
        return;
    }
    for (int64_t p = 0; p < k; p += 2) {
        __mmask16 in = lcm_first16(rows);
        const real *x = s.x + p * s.ld;
        __m512i even = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(in, x))), odd;
        odd = p + 1 < k ? _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(in, x + s.ld)))
                        : _mm512_setzero_si512();
        _mm512_storeu_si512(dst + p / 2 * stride, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
    }
}

static side side_at(side s, int64_t row, int64_t k) {
    s.x += s.k_contiguous ? row * s.ld + k : k * s.ld + row;
    return s;
}

/* One tile: C[rows,cols] = beta C + alpha * sum over pairs. */
BF16_CODE static void tile(real *c, int64_t ldc, const uint32_t *a, const uint32_t *b, int64_t pairs, int64_t rows,
                           int64_t cols, real alpha, real beta) {
    __m512 s0[MR], s1[MR], va = _mm512_set1_ps(alpha), vb = _mm512_set1_ps(beta);
    __mmask16 m0 = lcm_first16(cols), m1 = lcm_first16(cols - LANES);
#pragma GCC unroll 14
    for (int i = 0; i < MR; i++) s0[i] = s1[i] = _mm512_setzero_ps();
    for (int64_t p = 0; p < pairs; p++, a += LANES, b += NR) {
        __m512bh b0 = (__m512bh)_mm512_loadu_si512(b), b1 = (__m512bh)_mm512_loadu_si512(b + LANES);
#pragma GCC unroll 14
        for (int i = 0; i < MR; i++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[i]);
            s0[i] = _mm512_dpbf16_ps(s0[i], x, b0);
            s1[i] = _mm512_dpbf16_ps(s1[i], x, b1);
        }
    }
#pragma GCC unroll 14
    for (int i = 0; i < MR; i++) {
        real *y = c + i * ldc;
        if (i >= rows) break;
        s0[i] = _mm512_mul_ps(s0[i], va);
        s1[i] = _mm512_mul_ps(s1[i], va);
        if (beta != 0) {
            s0[i] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m0, y), vb, s0[i]);
            s1[i] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m1, y + LANES), vb, s1[i]);
        }
        _mm512_mask_storeu_ps(y, m0, s0[i]);
        _mm512_mask_storeu_ps(y + LANES, m1, s1[i]);
    }
}

/* The part of C at (i0, j0) of size (m, n), by one thread. */
static void block(uint32_t *abuf, side a, side b, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t k, real alpha,
                  real beta, real *c, int64_t ldc) {
    uint32_t *bbuf = abuf + A_PAIRS;
    for (int64_t jc = 0; jc < n; jc += NC) {
        int64_t nc = lcm_min_i(NC, n - jc);
        for (int64_t pc = 0; pc < k; pc += KC) {
            int64_t kc = lcm_min_i(KC, k - pc), pairs = (kc + 1) / 2;
            for (int64_t j = 0; j < nc; j += LANES)
                pack_rows(bbuf + j / NR * NR * pairs + j % NR, NR, side_at(b, j0 + jc + j, pc),
                          lcm_min_i(LANES, nc - j), kc);
            if (nc % NR > 0 && nc % NR <= LANES) /* the upper half of the last panel holds nothing */
                pack_rows(bbuf + nc / NR * NR * pairs + LANES, NR, b, 0, kc);
            for (int64_t ic = 0; ic < m; ic += MC) {
                int64_t mc = lcm_min_i(MC, m - ic);
                for (int64_t i = 0; i < mc; i += MR)
                    pack_rows(abuf + i / MR * LANES * pairs, LANES, side_at(a, i0 + ic + i, pc),
                              lcm_min_i(MR, mc - i), kc);
                for (int64_t j = 0; j < nc; j += NR)
                    for (int64_t i = 0; i < mc; i += MR)
                        tile(c + (i0 + ic + i) * ldc + j0 + jc + j, ldc, abuf + i / MR * LANES * pairs,
                             bbuf + j * pairs, pairs, mc - i, nc - j, alpha, pc == 0 ? beta : 1);
            }
        }
    }
}

void lcm_k_gemm_bf16(lcm_bf16 *w, bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a,
                     int64_t lda, const real *b, int64_t ldb, real beta, real *c, int64_t ldc) {
    side sa = {a, lda, !ta}, sb = {b, ldb, tb};
    bool by_columns = n >= m;
    int64_t unit = by_columns ? NR : MR, units = ((by_columns ? n : m) + unit - 1) / unit;
    int threads = m * n * k < 2000000 ? 1 : (int)lcm_min_i(w->threads, units);
    if (m == 0 || n == 0) return;
    if (k == 0) {
        lcm_k_gemm_ref(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        return;
    }
    LCM_PRAGMA(omp parallel for schedule(static, 1) num_threads(threads) if (threads > 1))
    for (int t = 0; t < threads; t++) {
        int64_t from = units * t / threads * unit, to = units * (t + 1) / threads * unit;
        uint32_t *buf = w->buf + (int64_t)t * (A_PAIRS + B_PAIRS);
        if (by_columns) block(buf, sa, sb, 0, m, from, lcm_min_i(to, n) - from, k, alpha, beta, c, ldc);
        else block(buf, sa, sb, from, lcm_min_i(to, m) - from, 0, n, k, alpha, beta, c, ldc);
    }
}
#else
bool lcm_bf16_supported(void) { return false; }

void lcm_k_gemm_bf16(lcm_bf16 *w, bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a,
                     int64_t lda, const real *b, int64_t ldb, real beta, real *c, int64_t ldc) {
    (void)w, (void)ta, (void)tb, (void)m, (void)n, (void)k, (void)alpha, (void)a, (void)lda, (void)b, (void)ldb;
    (void)beta, (void)c, (void)ldc;
    LCM_ASSERT(!"lcm_bf16_new refuses this CPU");
}
#endif

lcm_status lcm_bf16_new(lcm_ctx *ctx, lcm_bf16 **out, int threads) {
    lcm_bf16 *w;
    size_t bytes = (size_t)threads * (A_PAIRS + B_PAIRS) * sizeof *w->buf;
    *out = NULL;
    if (!lcm_bf16_supported())
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "precision bf16: this CPU has no AVX512-BF16; use f32");
    LCM_TRY(lcm_calloc(ctx, &w, 1, sizeof *w));
    w->threads = threads;
    w->buf = aligned_alloc(64, bytes);
    if (w->buf == NULL) {
        free(w);
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "precision bf16: no memory for %zu bytes of packed operands", bytes);
    }
    *out = w;
    return LCM_OK;
}

void lcm_bf16_free(lcm_bf16 *w) {
    if (w == NULL) return;
    free(w->buf);
    free(w);
}
