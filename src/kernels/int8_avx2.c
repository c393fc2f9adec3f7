/* AVX2: bytes become 16-bit numbers, of which vpmaddwd multiplies pairs and adds them to one 32-bit number. It cannot
 * overflow (2 * 255 * 127), whereas vpmaddubsw, which takes bytes, would end at 32767.
 *
 * Weights need not be unpacked for it: of the four columns c of a group, as 16-bit numbers (c0 c1) (c2 c3), the low
 * bytes are columns 0 and 2 and the high bytes 1 and 3. Activations lie in that order, as 16-bit numbers; in a block
 * [group][row][q0 q2 q1 q3]. A block of up to 6 rows meets 16 weights at once: 12 registers of sums. */
#include "kernels/int8_path.h"
#include "kernels/simd.h"

#ifdef LCM_HAVE_AVX2
#include <immintrin.h>

enum {
    BLOCK = 6,
    LANES = 8,                      /* sums of a register */
    VECTORS = LCM_I8_PANEL / LANES, /* registers of a group */
    QUAD = LCM_I8_GROUP * 2,        /* bytes of a row in a group */
};

#define AVX2_CODE __attribute__((target("avx2")))
#define AVX2_INLINE AVX2_CODE __attribute__((always_inline)) static inline

static bool runs(void) { return __builtin_cpu_supports("avx2"); }

AVX2_INLINE __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

AVX2_INLINE int32_t total(__m256i v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_hadd_epi32(s, s);
    return _mm_cvtsi128_si32(_mm_hadd_epi32(s, s));
}

AVX2_CODE static float largest(const float *x, int64_t n) {
    __m256i magnitude = _mm256_set1_epi32(0x7fffffff), top = _mm256_setzero_si256(), top2 = top;
    uint32_t lane[LANES], most;
    float f;
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        top = _mm256_max_epu32(top, _mm256_and_si256(load(x + i), magnitude));
        top2 = _mm256_max_epu32(top2, _mm256_and_si256(load(x + i + LANES), magnitude));
    }
    _mm256_storeu_si256((__m256i *)(void *)lane, _mm256_max_epu32(top, top2));
    f = lcm_i8_largest(x + i, n - i);
    memcpy(&most, &f, sizeof most);
    for (int k = 0; k < LANES; k++) most = lane[k] > most ? lane[k] : most;
    memcpy(&f, &most, sizeof f);
    return f;
}

AVX2_INLINE __m256i rounded(const float *x, __m256 inverse) {
    return _mm256_cvtps_epi32(_mm256_round_ps(_mm256_mul_ps(_mm256_loadu_ps(x), inverse), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

/* 16 columns of a row: four groups, `stride` bytes apart. */
AVX2_INLINE __m256i columns(uint8_t *q, int64_t stride, const float *x, __m256 inverse) {
    const __m256i order = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
    __m256i v = _mm256_shuffle_epi8(_mm256_packs_epi32(rounded(x, inverse), rounded(x + LANES, inverse)), order);
    __m128i even = _mm256_castsi256_si128(v), odd = _mm256_extracti128_si256(v, 1); /* groups 0 2, 1 3 */
    _mm_storel_epi64((__m128i *)(void *)q, even);
    _mm_storel_epi64((__m128i *)(void *)(q + stride), odd);
    _mm_storeh_pd((double *)(void *)(q + 2 * stride), _mm_castsi128_pd(even));
    _mm_storeh_pd((double *)(void *)(q + 3 * stride), _mm_castsi128_pd(odd));
    return _mm256_madd_epi16(v, _mm256_set1_epi16(1));
}

AVX2_CODE static void quantise(lcm_i8_acts *a, const float *x, int64_t r0, int64_t r1) {
    int64_t n = r1 - r0, stride = n * QUAD, in = a->in;
    for (int64_t r = 0; r < n; r++) {
        const float *row = x + (r0 + r) * in;
        uint8_t *q = (uint8_t *)a->q + r0 * lcm_i8_groups(in) * QUAD + r * QUAD;
        float inverse, rest[2 * LANES] = {0};
        __m256i sum = _mm256_setzero_si256();
        __m256 inv;
        int64_t i = 0;
        a->scale[r0 + r] = lcm_i8_scale_of(largest(row, in), &inverse);
        inv = _mm256_set1_ps(inverse);
        for (; i + 2 * LANES <= in; i += 2 * LANES, q += 4 * stride) /* a row with NaN becomes zeros; its scale tells */
            sum = _mm256_add_epi32(sum, columns(q, stride, inverse > 0 ? row + i : rest, inv));
        if (i < in) {
            if (inverse > 0) memcpy(rest, row + i, (size_t)(in - i) * sizeof *rest);
            sum = _mm256_add_epi32(sum, columns(q, stride, rest, inv));
        }
        a->sum[r0 + r] = total(sum);
    }
}

AVX2_INLINE __m256i pair(const uint8_t *q) {
    int32_t two;
    memcpy(&two, q, sizeof two);
    return _mm256_set1_epi32(two);
}

/* The compiler must not first add what belongs to one sum, to save a step, and run out of registers. */
AVX2_INLINE void add(__m256i *s, __m256i v) {
    *s = _mm256_add_epi32(*s, v);
    __asm__("" : "+x"(*s));
}

/* Sums of `rows` rows and 8 * `vectors` weights (constants where this is inlined). A line of the memory at `ahead` is
 * asked for with every group. */
AVX2_INLINE void tile(int32_t *out, const uint8_t *q, const uint8_t *w, int64_t G, const int32_t *less,
                      const uint8_t *ahead, const int rows, const int vectors) {
    const __m256i low = _mm256_set1_epi16(0xff);
    __m256i s[BLOCK][VECTORS], u[VECTORS];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) s[r][v] = _mm256_set1_epi32(-LCM_I8_ZERO * less[r]);
    for (int64_t g = 0; g < G; g++, q += rows * QUAD, w += LCM_I8_GROUP_BYTES) {
        if (ahead) _mm_prefetch((const char *)ahead + g * 64, _MM_HINT_T1);
#pragma GCC unroll 2
        for (int odd = 0; odd < 2; odd++) {
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                u[v] = odd ? _mm256_srli_epi16(load(w + 32 * v), 8) : _mm256_and_si256(load(w + 32 * v), low);
#pragma GCC unroll 6
            for (int r = 0; r < rows; r++) {
                __m256i a = pair(q + r * QUAD + odd * QUAD / 2);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++) add(&s[r][v], _mm256_madd_epi16(u[v], a));
            }
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) _mm256_storeu_si256((__m256i *)(void *)(out + r * LCM_I8_PANEL + v * LANES), s[r][v]);
}

/* Each half of a panel asks for a half of the next one: 16 weights of a group are every other line, which the hardware
 * does not foresee. One row takes all 32 in order, and waits for nothing but memory. */
AVX2_CODE static void sums(int32_t *out, const uint8_t *q, const uint8_t *w, int64_t G, const int32_t *less, int64_t rows) {
    const uint8_t *next = w + G * LCM_I8_GROUP_BYTES;
    switch (rows) {
    case 1: tile(out, q, w, G, less, NULL, 1, 4); break;
#define LCM_ROWS(R)                                                          \
    case R:                                                                  \
        tile(out, q, w, G, less, next, R, 2);                                \
        tile(out + 2 * LANES, q, w + 64, G, less, next + G * 64, R, 2);      \
        break
        LCM_ROWS(2);
        LCM_ROWS(3);
        LCM_ROWS(4);
        LCM_ROWS(5);
        LCM_ROWS(6);
#undef LCM_ROWS
    }
}

AVX2_INLINE void store(float *y, const int32_t *sum, float a_scale, const float *scale, const float *b, int flags) {
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(load(sum)), _mm256_mul_ps(_mm256_set1_ps(a_scale), _mm256_loadu_ps(scale)));
    if (b) v = _mm256_add_ps(v, _mm256_loadu_ps(b));
    if (flags & LCM_PRODUCT_RELU) v = _mm256_max_ps(v, _mm256_setzero_ps());
    if (flags & LCM_PRODUCT_ADD) v = _mm256_add_ps(_mm256_loadu_ps(y), v);
    _mm256_storeu_ps(y, v);
}

AVX2_CODE static void panel(float *y, int64_t ldy, const lcm_i8_acts *a, const uint8_t *w, const float *scale, const float *b,
                            int64_t n, int flags) {
    int64_t G = lcm_i8_groups(a->in), blocks = lcm_i8_blocks(a->path, a->rows);
    for (int64_t k = 0; k < blocks; k++) {
        int64_t r0 = lcm_i8_block_begin(a->path, a->rows, k), rows = lcm_i8_block_begin(a->path, a->rows, k + 1) - r0;
        int32_t sum[BLOCK * LCM_I8_PANEL];
        sums(sum, (const uint8_t *)a->q + r0 * G * QUAD, w, G, a->sum + r0, rows);
        for (int64_t r = 0; r < rows; r++) {
            float *yr = y + (r0 + r) * ldy;
            const int32_t *s = sum + r * LCM_I8_PANEL;
            if (n < LCM_I8_PANEL) lcm_i8_store(yr, s, a->scale[r0 + r], scale, b, n, flags);
            else
                for (int o = 0; o < LCM_I8_PANEL; o += LANES)
                    store(yr + o, s + o, a->scale[r0 + r], scale + o, b ? b + o : NULL, flags);
        }
    }
}

const lcm_i8_kernels lcm_i8_avx2 = {"avx2", BLOCK, runs, quantise, panel};
#else
static bool runs(void) { return false; }

const lcm_i8_kernels lcm_i8_avx2 = {.name = "avx2", .runs = runs};
#endif
