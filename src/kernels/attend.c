/* Full attention for inference. */
#include "kernels/attend.h"

#include <omp.h>

#include "kernels/simd.h"

/* A vector of 64 bytes; compilers split it where registers are shorter. */
typedef real vec __attribute__((vector_size(64), aligned(sizeof(real)), may_alias));
enum { LANES = 64 / sizeof(real), QUERIES = 4 };

static int64_t padded(int64_t n) { return (n + 2 * LANES - 1) / (2 * LANES) * (2 * LANES); }

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

/* p[i][j] = q_i . k_j for four queries; `row` are offsets of their q. */
LCM_CLONES static void scores(real *p, const real *q, const int64_t *row, const real *kt, int64_t n, int64_t K) {
    int64_t N = padded(n);
    for (int64_t j = 0; j < N; j += 2 * LANES) {
        vec s[QUERIES][2];
#pragma GCC unroll 4
        for (int i = 0; i < QUERIES; i++) s[i][0] = s[i][1] = (vec){0};
        for (int64_t c = 0; c < K; c++) {
            vec a = *(const vec *)(kt + c * N + j), b = *(const vec *)(kt + c * N + j + LANES);
#pragma GCC unroll 4
            for (int i = 0; i < QUERIES; i++) {
                s[i][0] += q[row[i] + c] * a;
                s[i][1] += q[row[i] + c] * b;
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < QUERIES; i++) {
            *(vec *)(p + i * N + j) = s[i][0];
            *(vec *)(p + i * N + j + LANES) = s[i][1];
        }
    }
}

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

/* o_i = sum_j p[i][j] v_j; columns by four vectors, then one by one. */
LCM_CLONES static void mix(real *o, const int64_t *row, const real *p, const real *v, int64_t n, int64_t K) {
    int64_t N = padded(n), c = 0;
    for (; c + 2 * LANES <= K; c += 2 * LANES) {
        vec s[QUERIES][2];
#pragma GCC unroll 4
        for (int i = 0; i < QUERIES; i++) s[i][0] = s[i][1] = (vec){0};
        for (int64_t j = 0; j < n; j++) {
            vec a = *(const vec *)(v + j * K + c), b = *(const vec *)(v + j * K + c + LANES);
#pragma GCC unroll 4
            for (int i = 0; i < QUERIES; i++) {
                s[i][0] += p[i * N + j] * a;
                s[i][1] += p[i * N + j] * b;
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < QUERIES; i++) {
            *(vec *)(o + row[i] + c) = s[i][0];
            *(vec *)(o + row[i] + c + LANES) = s[i][1];
        }
    }
    for (; c < K; c++) {
        for (int i = 0; i < QUERIES; i++) {
            real s = 0;
            for (int64_t j = 0; j < n; j++) s += p[i * N + j] * v[j * K + c];
            o[row[i] + c] = s;
        }
    }
}

static void head(real *o, const real *q, const real *k, const real *v, int64_t n, int64_t ld, int64_t K, real *scratch) {
    int64_t N = padded(n);
    real *kt = scratch, *dense = kt + K * N, *p = dense + K * N, scale = 1 / r_sqrt((real)K);
    gather(kt, dense, k, v, n, ld, K);
    for (int64_t i = 0; i < n; i += QUERIES) {
        int64_t row[QUERIES];
        for (int r = 0; r < QUERIES; r++) row[r] = lcm_min_i(i + r, n - 1) * ld; /* the last one again */
        scores(p, q, row, kt, n, K);
        for (int r = 0; r < QUERIES; r++) softmax(p + r * N, n, scale);
        mix(o, row, p, dense, n, K);
    }
}

void lcm_k_attend(real *o, const real *q, const real *k, const real *v, const int32_t *off, int64_t n_seg, int64_t H,
                  int64_t K, real *scratch, int64_t longest) {
    int64_t ld = H * K, stride = lcm_k_attend_scratch(longest, K);
    LCM_PARALLEL_FOR_IF((int64_t)off[n_seg] * ld > 16384)
    for (int64_t sh = 0; sh < n_seg * H; sh++) {
        int64_t at = off[sh / H] * ld + sh % H * K;
        head(o + at, q + at, k + at, v + at, off[sh / H + 1] - off[sh / H], ld, K, scratch + omp_get_thread_num() * stride);
    }
}
