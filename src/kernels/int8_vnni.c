/* AVX512-VNNI: vpdpbusd adds four products of bytes to a 32-bit sum. A block of up to 14 rows of activations meets a
 * panel of 32 rows of weights: 28 registers of sums, so every weight that is loaded is used 14 times and sums never
 * leave the registers. Activations are bytes; in a block [group][row][4]. */
#include "kernels/avx512.h"
#include "kernels/int8_path.h"
#include "kernels/simd.h"

#ifdef LCM_HAVE_AVX512
enum {
    BLOCK = 14,
    AHEAD = 8192, /* bytes of weights that are asked for before their turn */
};

#define VNNI_CODE __attribute__((target(LCM_AVX512_TARGET ",avx512vnni")))
#define VNNI_INLINE VNNI_CODE __attribute__((always_inline)) static inline

static bool runs(void) {
    return lcm_has_avx512() && __builtin_cpu_supports("avx512vnni");
}

VNNI_CODE static float largest(const float *x, int64_t n) {
    __m512i magnitude = _mm512_set1_epi32(0x7fffffff), top = _mm512_setzero_si512(), top2 = top;
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        top = _mm512_max_epu32(top, _mm512_and_si512(_mm512_loadu_si512(x + i), magnitude));
        top2 = _mm512_max_epu32(top2, _mm512_and_si512(_mm512_loadu_si512(x + i + 16), magnitude));
    }
    for (; i < n; i += 16)
        top = _mm512_max_epu32(top, _mm512_and_si512(_mm512_maskz_loadu_epi32(lcm_first16(n - i), x + i), magnitude));
    return _mm512_cvtss_f32(_mm512_castsi512_ps(_mm512_set1_epi32((int)_mm512_reduce_max_epu32(_mm512_max_epu32(top, top2)))));
}

/* 64 values as bytes, those from n on as 0. */
VNNI_INLINE __m512i bytes_of(const float *x, int64_t n, __m512 inverse) {
    __m512i v = _mm512_setzero_si512();
#define LCM_QUARTER(k)                                                                                              \
    v = _mm512_inserti32x4(v, _mm512_cvtepi32_epi8(_mm512_cvt_roundps_epi32(                                        \
                                  _mm512_mul_ps(_mm512_maskz_loadu_ps(lcm_first16(n - 16 * (k)), x + 16 * (k)), inverse), \
                                  _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)), k)
    LCM_QUARTER(0);
    LCM_QUARTER(1);
    LCM_QUARTER(2);
    LCM_QUARTER(3);
#undef LCM_QUARTER
    return v;
}

/* Up to 64 columns of n rows: bytes of each row, then groups of 4 of all rows side by side. */
VNNI_INLINE void columns(int8_t *q, const float *x, int64_t ld, int64_t n, int64_t cols, const __m512 *inverse, __m512i *sum) {
    __m512i t[16], ones = _mm512_set1_epi8(1);
    __mmask16 rows = lcm_first16(n);
    int64_t groups = lcm_min_i(16, lcm_i8_groups(cols));
    for (int64_t r = 0; r < n; r++) {
        t[r] = bytes_of(x + r * ld, cols, inverse[r]);
        sum[r] = _mm512_dpbusd_epi32(sum[r], ones, t[r]);
    }
    for (int64_t r = n; r < 16; r++) t[r] = _mm512_setzero_si512();
    lcm_transpose16(t);
    for (int64_t g = 0; g < groups; g++) _mm512_mask_storeu_epi32(q + g * n * LCM_I8_GROUP, rows, t[g]);
}

VNNI_CODE static void quantise(lcm_i8_acts *a, const float *x, int64_t r0, int64_t r1) {
    int64_t n = r1 - r0, i = 0;
    int8_t *q = (int8_t *)a->q + r0 * lcm_i8_groups(a->in) * LCM_I8_GROUP;
    __m512i sum[BLOCK];
    __m512 inverse[BLOCK];
    x += r0 * a->in;
    for (int64_t r = 0; r < n; r++) {
        float inv;
        a->scale[r0 + r] = lcm_i8_scale_of(largest(x + r * a->in, a->in), &inv);
        inverse[r] = _mm512_set1_ps(inv);
        sum[r] = _mm512_setzero_si512();
    }
    for (; i + 64 <= a->in; i += 64) columns(q + i * n, x + i, a->in, n, 64, inverse, sum);
    if (i < a->in) columns(q + i * n, x + i, a->in, n, a->in - i, inverse, sum);
    for (int64_t r = 0; r < n; r++) a->sum[r0 + r] = _mm512_reduce_add_epi32(sum[r]);
}

/* Sums become numbers: y = sum * scales + b, and what `flags` ask for. */
VNNI_INLINE void store(float *y, const int32_t *sum, __m512 scale, __m512 b, __mmask16 in, int flags) {
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(sum)), scale);
    v = _mm512_add_ps(v, b);
    if (flags & LCM_PRODUCT_RELU) v = _mm512_max_ps(v, _mm512_setzero_ps());
    if (flags & LCM_PRODUCT_ADD) v = _mm512_add_ps(_mm512_maskz_loadu_ps(in, y), v);
    _mm512_mask_storeu_ps(y, in, v);
}

/* Sums of `rows` rows (a constant where this is inlined) and 32 weights. A few rows leave the multiplier waiting
 * for its own sums: then groups go to `split` sets of sums in turn. */
VNNI_INLINE void tile(int32_t *out, const int8_t *q, const uint8_t *w, int64_t G, const int32_t *less, const int rows,
                      const int split) {
    __m512i s0[BLOCK], s1[BLOCK];
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) s0[r] = s1[r] = _mm512_set1_epi32(-LCM_I8_ZERO * less[r]);
#pragma GCC unroll 14
    for (int r = rows; r < rows * split; r++) s0[r] = s1[r] = _mm512_setzero_si512();
    for (int64_t g = 0; g < G; g += split) {
#pragma GCC unroll 4
        for (int k = 0; k < split; k++, q += rows * LCM_I8_GROUP, w += LCM_I8_GROUP_BYTES) {
            __m512i w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 64);
            if (rows >= 5) { /* fewer rows do nothing but wait for memory, and the hardware's own guess is better */
                _mm_prefetch((const char *)w + AHEAD, _MM_HINT_T1);
                _mm_prefetch((const char *)w + AHEAD + 64, _MM_HINT_T1);
            }
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) {
                int32_t four;
                memcpy(&four, q + r * LCM_I8_GROUP, sizeof four);
                s0[k * rows + r] = _mm512_dpbusd_epi32(s0[k * rows + r], w0, _mm512_set1_epi32(four));
                s1[k * rows + r] = _mm512_dpbusd_epi32(s1[k * rows + r], w1, _mm512_set1_epi32(four));
            }
        }
    }
#pragma GCC unroll 14
    for (int r = rows; r < rows * split; r++) {
        s0[r % rows] = _mm512_add_epi32(s0[r % rows], s0[r]);
        s1[r % rows] = _mm512_add_epi32(s1[r % rows], s1[r]);
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        _mm512_storeu_si512(out + r * LCM_I8_PANEL, s0[r]);
        _mm512_storeu_si512(out + r * LCM_I8_PANEL + 16, s1[r]);
    }
}

VNNI_CODE static void sums(int32_t *out, const int8_t *q, const uint8_t *w, int64_t G, const int32_t *less,
                                int64_t rows) {
    switch (rows) { /* G is a multiple of 4 */
#define LCM_ROWS(R, S)                         \
    case R: tile(out, q, w, G, less, R, S); break
        LCM_ROWS(1, 4);
        LCM_ROWS(2, 4);
        LCM_ROWS(3, 2);
        LCM_ROWS(4, 2);
        LCM_ROWS(5, 2);
        LCM_ROWS(6, 1);
        LCM_ROWS(7, 1);
        LCM_ROWS(8, 1);
        LCM_ROWS(9, 1);
        LCM_ROWS(10, 1);
        LCM_ROWS(11, 1);
        LCM_ROWS(12, 1);
        LCM_ROWS(13, 1);
        LCM_ROWS(14, 1);
#undef LCM_ROWS
    }
}

VNNI_CODE static void panel(float *y, int64_t ldy, const lcm_i8_acts *a, const uint8_t *w, const float *scale,
                                 const float *b, int64_t n, int flags) {
    int64_t G = lcm_i8_groups(a->in), blocks = lcm_i8_blocks(a->path, a->rows);
    __mmask16 m0 = lcm_first16(n), m1 = lcm_first16(n - 16);
    __m512 b0 = b ? _mm512_maskz_loadu_ps(m0, b) : _mm512_setzero_ps();
    __m512 b1 = b ? _mm512_maskz_loadu_ps(m1, b + 16) : _mm512_setzero_ps();
    __m512 sc0 = _mm512_loadu_ps(scale), sc1 = _mm512_loadu_ps(scale + 16);
    for (int64_t k = 0; k < blocks; k++) {
        int64_t r0 = lcm_i8_block_begin(a->path, a->rows, k), rows = lcm_i8_block_begin(a->path, a->rows, k + 1) - r0;
        int32_t sum[BLOCK * LCM_I8_PANEL];
        for (int64_t r = 0; r < rows; r++) { /* while the sums are made, the lines they go to come closer */
            __builtin_prefetch(y + (r0 + r) * ldy, 1);
            __builtin_prefetch(y + (r0 + r) * ldy + 16, 1);
        }
        sums(sum, (const int8_t *)a->q + r0 * G * LCM_I8_GROUP, w, G, a->sum + r0, rows);
        for (int64_t r = 0; r < rows; r++) {
            __m512 as = _mm512_set1_ps(a->scale[r0 + r]);
            float *yr = y + (r0 + r) * ldy;
            store(yr, sum + r * LCM_I8_PANEL, _mm512_mul_ps(as, sc0), b0, m0, flags);
            store(yr + 16, sum + r * LCM_I8_PANEL + 16, _mm512_mul_ps(as, sc1), b1, m1, flags);
        }
    }
}

const lcm_i8_kernels lcm_i8_vnni = {"avx512-vnni", BLOCK, runs, quantise, panel};
#else
static bool runs(void) { return false; }

const lcm_i8_kernels lcm_i8_vnni = {.name = "avx512-vnni", .runs = runs};
#endif
