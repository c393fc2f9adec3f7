/* 16-bit numbers to real. */
#include "kernels/widen.h"

#include "base/half.h"
#include "kernels/simd.h"

LCM_CLONES static void widen_bf16(real *dst, const uint16_t *src, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t u = (uint32_t)src[i] << 16;
        float f;
        memcpy(&f, &u, sizeof f);
        dst[i] = (real)f;
    }
}

void lcm_k_widen_bf16(real *dst, const uint16_t *src, int64_t n) { widen_bf16(dst, src, n); }

#ifdef LCM_HAVE_AVX2
#include <immintrin.h>

#ifdef LCM_HAVE_AVX512
__attribute__((target("avx512f"))) static int64_t widen_by_16(real *dst, const uint16_t *src, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(dst + i,
                         _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(src + i))));
    return i;
}
#endif

__attribute__((target("f16c"))) static int64_t widen_by_8(real *dst, const uint16_t *src, int64_t n) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(src + i))));
    return i;
}

static int64_t widen_fast(real *dst, const uint16_t *src, int64_t n) {
#ifdef LCM_HAVE_AVX512
    if (__builtin_cpu_supports("avx512f")) return widen_by_16(dst, src, n);
#endif
    return __builtin_cpu_supports("avx2") ? widen_by_8(dst, src, n)
                                          : 0; /* f16c, by a name that clang 14 knows: AVX2 came later */
}
#else
static int64_t widen_fast(real *dst, const uint16_t *src, int64_t n) {
    (void)dst, (void)src, (void)n;
    return 0;
}
#endif

void lcm_k_widen_f16(real *dst, const uint16_t *src, int64_t n) {
    for (int64_t i = widen_fast(dst, src, n); i < n; i++) dst[i] = (real)lcm_f16_to_f32(src[i]);
}
