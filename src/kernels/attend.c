/* Full attention for inference. */
#include "kernels/attend.h"

#include <omp.h>

#include "kernels/avx512.h"
#include "kernels/simd.h"

enum { QUERIES = 4, EVEN = 2 * 64 / sizeof(real) /* two of the widest vectors */ };

static int64_t padded(int64_t n) { return (n + EVEN - 1) / EVEN * EVEN; }

int64_t lcm_k_attend_scratch(int64_t longest, int64_t K) { return padded(longest) * (2 * K + QUERIES); }

/* kt[c][j] = k[j][c], zeros beyond n, and v without gaps. Rows of a model lie at powers of two, where they drive
 * each other out of the cache: each is read once, from end to end. */
LCM_CLONES static void gather(real *kt, real *dense, const real *k, const real *v, int64_t n, int64_t ld, int64_t K) {
    int64_t N = padded(n);
    for (int64_t j = 0; j < n; j++) {
        for (int64_t c = 0; c < K; c++) kt[c * N + j] = k[j * ld + c];
        for (int64_t c = 0; c < K; c++) dense[j * K + c] = v[j * ld + c];
    }
    for (int64_t c = 0; c < K; c++)
        for (int64_t j = n; j < N; j++) kt[c * N + j] = 0;
}

#define ATTEND_BYTES 16
#define ATTEND_CODE
#define ATTEND_NAME(x) x##_16
#include "kernels/attend_tile.h"

#ifdef LCM_HAVE_AVX2
#define ATTEND_BYTES 32
#define ATTEND_CODE __attribute__((target("avx2")))
#define ATTEND_NAME(x) x##_32
#include "kernels/attend_tile.h"
#endif

#ifdef LCM_HAVE_AVX512
#define ATTEND_BYTES 64
#define ATTEND_CODE __attribute__((target(LCM_AVX512_TARGET)))
#define ATTEND_NAME(x) x##_64
#include "kernels/attend_tile.h"
#endif

LCM_CLONES static void softmax(real *p, int64_t n, real scale) {
    real top = -INFINITY, sum = 0;
    LCM_PRAGMA(omp simd reduction(max : top))
    for (int64_t j = 0; j < n; j++) top = p[j] > top ? p[j] : top;
    LCM_SIMD_SUM(sum)
    for (int64_t j = 0; j < n; j++) {
        p[j] = r_exp((p[j] - top) * scale);
        sum += p[j];
    }
    sum = 1 / sum;
    LCM_SIMD
    for (int64_t j = 0; j < n; j++) p[j] *= sum;
}

typedef struct tile {
    int width;
    void (*scores)(real *p, const real *q, const int64_t *row, const real *kt, int64_t n, int64_t K);
    void (*mix)(real *o, const int64_t *row, const real *p, const real *v, int64_t n, int64_t K);
} tile;

static const tile tiles[] = {
#ifdef LCM_HAVE_AVX512
    {64, scores_64, mix_64},
#endif
#ifdef LCM_HAVE_AVX2
    {32, scores_32, mix_32},
#endif
    {16, scores_16, mix_16},
};

int lcm_k_attend_width(void) {
#ifdef LCM_HAVE_AVX512
    if (lcm_has_avx512()) return 64;
#endif
#ifdef LCM_HAVE_AVX2
    if (__builtin_cpu_supports("avx2")) return 32;
#endif
    return 16;
}

static void head(real *o, const real *q, const real *k, const real *v, int64_t n, int64_t ld, int64_t K, const tile *t,
                 real *scratch) {
    int64_t N = padded(n);
    real *kt = scratch, *dense = kt + K * N, *p = dense + K * N, scale = 1 / r_sqrt((real)K);
    gather(kt, dense, k, v, n, ld, K);
    for (int64_t i = 0; i < n; i += QUERIES) {
        int64_t row[QUERIES];
        for (int r = 0; r < QUERIES; r++) row[r] = lcm_min_i(i + r, n - 1) * ld; /* the last one again */
        t->scores(p, q, row, kt, n, K);
        for (int r = 0; r < QUERIES; r++) softmax(p + r * N, n, scale);
        t->mix(o, row, p, dense, n, K);
    }
}

void lcm_k_attend_by(int width, real *o, const real *q, const real *k, const real *v, const int32_t *off, int64_t n_seg,
                     int64_t H, int64_t K, real *scratch, int64_t longest) {
    int64_t ld = H * K, stride = lcm_k_attend_scratch(longest, K);
    const tile *t = tiles;
    while (t->width > width) t++;
    LCM_PARALLEL_FOR_IF((int64_t)off[n_seg] * ld > 16384)
    for (int64_t sh = 0; sh < n_seg * H; sh++) {
        int64_t at = off[sh / H] * ld + sh % H * K;
        head(o + at, q + at, k + at, v + at, off[sh / H + 1] - off[sh / H], ld, K, t, scratch + omp_get_thread_num() * stride);
    }
}

void lcm_k_attend(real *o, const real *q, const real *k, const real *v, const int32_t *off, int64_t n_seg, int64_t H,
                  int64_t K, real *scratch, int64_t longest) {
    lcm_k_attend_by(lcm_k_attend_width(), o, q, k, v, off, n_seg, H, K, scratch, longest);
}
