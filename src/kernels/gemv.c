/* Matrix times vector. Four rows at a time, a quarter of the matrix apart: four streams that each run on through memory,
 * which the prefetcher follows. Four neighbouring rows would be short streams that all begin anew every k values. */
#include "kernels/gemv.h"

#include <stdbool.h>

#include "kernels/simd.h"

enum { STRIPS = 4, LANES = 16 };

LCM_CLONES static void strips(real *y, const real *w, int64_t ldw, const real *x, int64_t n, int64_t k) {
    int64_t apart = n / STRIPS, whole = k / LANES * LANES;
    for (int64_t o = 0; o < apart + n % STRIPS; o++) {
        bool rest = o >= apart; /* a row left over: its sum four times */
        int64_t first = rest ? o + (STRIPS - 1) * apart : o, step = rest ? 0 : apart;
        const real *a[STRIPS];
        real s[STRIPS][LANES] = {{0}}, sum[STRIPS] = {0};
        for (int i = 0; i < STRIPS; i++) a[i] = w + (first + i * step) * ldw;
        for (int64_t p = 0; p < whole; p += LANES) {
#pragma GCC unroll 4
            for (int i = 0; i < STRIPS; i++) {
                LCM_SIMD
                for (int q = 0; q < LANES; q++) s[i][q] += x[p + q] * a[i][p + q];
            }
        }
        for (int i = 0; i < STRIPS; i++)
            for (int q = 0; q < LANES; q++) sum[i] += s[i][q];
        for (int64_t p = whole; p < k; p++)
            for (int i = 0; i < STRIPS; i++) sum[i] += x[p] * a[i][p];
        for (int i = 0; i < STRIPS; i++) y[first + i * step] = sum[i];
    }
}

void lcm_k_gemv(real *y, const real *w, int64_t ldw, const real *x, int64_t n, int64_t k, int threads) {
    LCM_PRAGMA(omp parallel for schedule(static, 1) num_threads(threads) if (threads > 1))
    for (int t = 0; t < threads; t++) {
        int64_t from = n * t / threads, to = n * (t + 1) / threads;
        strips(y + from, w + from * ldw, ldw, x, to - from, k);
    }
}
