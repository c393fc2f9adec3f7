/* int8 product. A block of up to 14 rows of activations meets a panel of 32 rows of weights: 28 registers
 * of sums, so every weight that is loaded is used 14 times and sums never leave the registers. */
#include "kernels/int8.h"

#include <float.h>
#include <stdlib.h>

#include "kernels/avx512.h"
#include "kernels/simd.h"

enum {
    BLOCK = 14,
    GROUP_BYTES = LCM_I8_PANEL * LCM_I8_GROUP,
    AHEAD = 8192, /* bytes of weights that are asked for before their turn */
};

int64_t lcm_i8_panels(int64_t out) { return (out + LCM_I8_PANEL - 1) / LCM_I8_PANEL; }

int64_t lcm_i8_groups(int64_t in) { return (in + 15) / 16 * (16 / LCM_I8_GROUP); }

size_t lcm_i8_size(int64_t out, int64_t in) { return (size_t)(lcm_i8_panels(out) * lcm_i8_groups(in)) * GROUP_BYTES; }

size_t lcm_i8_acts_size(int64_t rows, int64_t in) { return (size_t)(rows * lcm_i8_groups(in)) * LCM_I8_GROUP; }

static const uint8_t *at(const uint8_t *packed, int64_t in, int64_t o, int64_t i) {
    return packed + (o / LCM_I8_PANEL * lcm_i8_groups(in) + i / LCM_I8_GROUP) * GROUP_BYTES +
           o % LCM_I8_PANEL * LCM_I8_GROUP + i % LCM_I8_GROUP;
}

/* To nearest, ties to even, for |x| < 2^22: what the CPU's conversion does, without its rounding mode. */
static inline int32_t nearest(float x) {
    const float shift = 12582912.0f; /* 1.5 * 2^23 */
    return (int32_t)(x + shift - shift);
}

/* As integers, magnitudes compare like the numbers, and NaN is above infinity. */
LCM_CLONES static float largest(const real *x, int64_t n) {
    uint32_t top = 0;
    float f;
    for (int64_t i = 0; i < n; i++) {
        uint32_t u;
        f = (float)x[i];
        memcpy(&u, &f, sizeof u);
        u &= 0x7fffffffu;
        top = u > top ? u : top;
    }
    memcpy(&f, &top, sizeof f);
    return f;
}

/* Scale and its inverse for numbers up to `top`. Where the inverse would overflow all are 0; one that is not
 * finite makes the scale, and with it every product, NaN. */
static float scale_of(float top, float *inverse) {
    *inverse = 0;
    if (!(top <= FLT_MAX)) return NAN;
    if (top < 1e-30f) return 0;
    *inverse = 127.0f / top;
    return top / 127.0f;
}

void lcm_i8_pack(uint8_t *packed, float *scale, const real *w, int64_t out, int64_t in) {
    int64_t panels = lcm_i8_panels(out);
    memset(packed, LCM_I8_ZERO, lcm_i8_size(out, in));
    LCM_PARALLEL_FOR_IF(out * in > 65536)
    for (int64_t p = 0; p < panels; p++) {
        for (int64_t o = p * LCM_I8_PANEL; o < (p + 1) * LCM_I8_PANEL; o++) {
            float inverse = 0;
            scale[o] = o < out ? scale_of(largest(w + o * in, in), &inverse) : 0;
            if (o >= out || !(scale[o] > 0)) continue;
            for (int64_t i = 0; i < in; i++)
                *(uint8_t *)at(packed, in, o, i) = (uint8_t)(nearest((float)w[o * in + i] * inverse) + LCM_I8_ZERO);
        }
    }
}

void lcm_i8_row(real *dst, const uint8_t *packed, const float *scale, int64_t in, int64_t o) {
    for (int64_t i = 0; i < in; i++) dst[i] = (real)((float)(*at(packed, in, o, i) - LCM_I8_ZERO) * scale[o]);
}

/* Rows of activations are dealt to blocks evenly: 16 rows are 8 + 8, not 14 + 2. */
static int64_t blocks_of(int64_t rows) { return (rows + BLOCK - 1) / BLOCK; }

static int64_t block_begin(int64_t rows, int64_t b) { return rows * b / blocks_of(rows); }

/* ---- Portable ---- */

static void quantise_block_ref(lcm_i8_acts *a, const real *x, int64_t r0, int64_t r1) {
    int64_t G = lcm_i8_groups(a->in), n = r1 - r0;
    int8_t *q = a->q + r0 * G * LCM_I8_GROUP;
    for (int64_t r = 0; r < n; r++) {
        const real *row = x + (r0 + r) * a->in;
        float inverse;
        int32_t sum = 0;
        a->scale[r0 + r] = scale_of(largest(row, a->in), &inverse);
        for (int64_t i = 0; i < G * LCM_I8_GROUP; i++) {
            int32_t v = i < a->in && inverse > 0 ? nearest((float)row[i] * inverse) : 0;
            q[(i / LCM_I8_GROUP * n + r) * LCM_I8_GROUP + i % LCM_I8_GROUP] = (int8_t)v;
            sum += v;
        }
        a->sum[r0 + r] = sum;
    }
}

/* Sums wrap as the instruction's do; the end result fits. */
LCM_CLONES static void sums_ref(int32_t *sum, const int8_t *q, int64_t rows, const uint8_t *w, int64_t G) {
    uint32_t s[LCM_I8_PANEL] = {0};
    for (int64_t g = 0; g < G; g++, q += rows * LCM_I8_GROUP, w += GROUP_BYTES)
        for (int o = 0; o < LCM_I8_PANEL; o++)
            s[o] += (uint32_t)(w[4 * o] * q[0] + w[4 * o + 1] * q[1] + w[4 * o + 2] * q[2] + w[4 * o + 3] * q[3]);
    for (int o = 0; o < LCM_I8_PANEL; o++) sum[o] = (int32_t)s[o];
}

static void store_ref(real *y, const int32_t *sum, int32_t less, float a_scale, const float *scale, const real *b,
                      int64_t n, int flags) {
    for (int64_t o = 0; o < n; o++) {
        real v = (real)((float)(int32_t)((uint32_t)sum[o] - (uint32_t)less) * (a_scale * scale[o]));
        if (b) v += b[o];
        if (flags & LCM_PRODUCT_RELU) v = v > 0 ? v : 0;
        y[o] = flags & LCM_PRODUCT_ADD ? y[o] + v : v;
    }
}

static void panel_ref(real *y, int64_t ldy, const lcm_i8_acts *a, const uint8_t *w, const float *scale, const real *b,
                      int64_t n, int flags) {
    int64_t G = lcm_i8_groups(a->in);
    for (int64_t k = 0; k < blocks_of(a->rows); k++) {
        int64_t r0 = block_begin(a->rows, k), rows = block_begin(a->rows, k + 1) - r0;
        for (int64_t r = 0; r < rows; r++) {
            int32_t sum[LCM_I8_PANEL];
            sums_ref(sum, a->q + (r0 * G + r) * LCM_I8_GROUP, rows, w, G);
            store_ref(y + (r0 + r) * ldy, sum, LCM_I8_ZERO * a->sum[r0 + r], a->scale[r0 + r], scale, b, n, flags);
        }
    }
}

/* ---- AVX512-VNNI ---- */

#ifdef LCM_HAVE_AVX512
#define VNNI_CODE __attribute__((target(LCM_AVX512_TARGET ",avx512vnni")))
#define VNNI_INLINE VNNI_CODE __attribute__((always_inline)) static inline

static bool vnni(void) {
    return lcm_has_avx512() && __builtin_cpu_supports("avx512vnni");
}

VNNI_CODE static float largest_vnni(const float *x, int64_t n) {
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

VNNI_CODE static void quantise_block_vnni(lcm_i8_acts *a, const float *x, int64_t r0, int64_t r1) {
    int64_t n = r1 - r0, i = 0;
    int8_t *q = a->q + r0 * lcm_i8_groups(a->in) * LCM_I8_GROUP;
    __m512i sum[BLOCK];
    __m512 inverse[BLOCK];
    x += r0 * a->in;
    for (int64_t r = 0; r < n; r++) {
        float inv;
        a->scale[r0 + r] = scale_of(largest_vnni(x + r * a->in, a->in), &inv);
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
        for (int k = 0; k < split; k++, q += rows * LCM_I8_GROUP, w += GROUP_BYTES) {
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

VNNI_CODE static void sums_vnni(int32_t *out, const int8_t *q, const uint8_t *w, int64_t G, const int32_t *less,
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

VNNI_CODE static void panel_vnni(float *y, int64_t ldy, const lcm_i8_acts *a, const uint8_t *w, const float *scale,
                                 const float *b, int64_t n, int flags) {
    int64_t G = lcm_i8_groups(a->in), blocks = blocks_of(a->rows);
    __mmask16 m0 = lcm_first16(n), m1 = lcm_first16(n - 16);
    __m512 b0 = b ? _mm512_maskz_loadu_ps(m0, b) : _mm512_setzero_ps();
    __m512 b1 = b ? _mm512_maskz_loadu_ps(m1, b + 16) : _mm512_setzero_ps();
    __m512 sc0 = _mm512_loadu_ps(scale), sc1 = _mm512_loadu_ps(scale + 16);
    for (int64_t k = 0; k < blocks; k++) {
        int64_t r0 = block_begin(a->rows, k), rows = block_begin(a->rows, k + 1) - r0;
        int32_t sum[BLOCK * LCM_I8_PANEL];
        for (int64_t r = 0; r < rows; r++) { /* while the sums are made, the lines they go to come closer */
            __builtin_prefetch(y + (r0 + r) * ldy, 1);
            __builtin_prefetch(y + (r0 + r) * ldy + 16, 1);
        }
        sums_vnni(sum, a->q + r0 * G * LCM_I8_GROUP, w, G, a->sum + r0, rows);
        for (int64_t r = 0; r < rows; r++) {
            __m512 as = _mm512_set1_ps(a->scale[r0 + r]);
            float *yr = y + (r0 + r) * ldy;
            store(yr, sum + r * LCM_I8_PANEL, _mm512_mul_ps(as, sc0), b0, m0, flags);
            store(yr + 16, sum + r * LCM_I8_PANEL + 16, _mm512_mul_ps(as, sc1), b1, m1, flags);
        }
    }
}
#else
static bool vnni(void) { return false; }
#define quantise_block_vnni quantise_block_ref
#define panel_vnni panel_ref
#endif

const char *lcm_i8_path(void) { return vnni() ? "avx512-vnni" : "portable"; }

static void quantise(lcm_i8_acts *a, const real *x, int64_t rows, int64_t in, bool fast) {
    int64_t blocks = blocks_of(rows);
    a->rows = rows;
    a->in = in;
    LCM_PARALLEL_FOR_IF(rows * in > 65536)
    for (int64_t k = 0; k < blocks; k++) {
        int64_t r0 = block_begin(rows, k), r1 = block_begin(rows, k + 1);
        if (fast) quantise_block_vnni(a, x, r0, r1);
        else quantise_block_ref(a, x, r0, r1);
    }
}

void lcm_i8_quantise(lcm_i8_acts *a, const real *x, int64_t rows, int64_t in) { quantise(a, x, rows, in, vnni()); }

void lcm_i8_quantise_ref(lcm_i8_acts *a, const real *x, int64_t rows, int64_t in) { quantise(a, x, rows, in, false); }

static void gemm(real *y, int64_t ldy, const lcm_i8_acts *a, const uint8_t *packed, const float *scale, const real *b,
                 int64_t out, int flags, bool fast) {
    int64_t panels = lcm_i8_panels(out), bytes = lcm_i8_groups(a->in) * GROUP_BYTES;
    LCM_PARALLEL_FOR_IF(panels * bytes > 65536)
    for (int64_t p = 0; p < panels; p++) {
        int64_t o = p * LCM_I8_PANEL, n = lcm_min_i(LCM_I8_PANEL, out - o);
        if (fast) panel_vnni(y + o, ldy, a, packed + p * bytes, scale + o, b ? b + o : NULL, n, flags);
        else panel_ref(y + o, ldy, a, packed + p * bytes, scale + o, b ? b + o : NULL, n, flags);
    }
}

void lcm_k_gemm_i8(real *y, int64_t ldy, const lcm_i8_acts *a, const uint8_t *packed, const float *scale, const real *b,
                   int64_t out, int flags) {
    gemm(y, ldy, a, packed, scale, b, out, flags, vnni());
}

void lcm_k_gemm_i8_ref(real *y, int64_t ldy, const lcm_i8_acts *a, const uint8_t *packed, const float *scale,
                       const real *b, int64_t out, int flags) {
    gemm(y, ldy, a, packed, scale, b, out, flags, false);
}
