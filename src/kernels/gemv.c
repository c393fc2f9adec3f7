/* Products of one to four rows. Four rows of W at a time, a quarter of the matrix apart: four streams that each run on
 * through memory, which the prefetcher follows. Four neighbouring rows would be short streams that begin anew every k values. */
#include "kernels/gemv.h"

#include <stdbool.h>

#include "kernels/simd.h"

enum { STRIPS = 4, LANES = 16 };

/* `rows` is a constant where this is inlined, so that the sums stay in registers. */
static inline __attribute__((always_inline)) void strips(real *y, int64_t ldy, const real *w, int64_t ldw, const real *x, int64_t ldx,
                                                         const int rows, int64_t n, int64_t k) {
    int64_t apart = n / STRIPS, whole = k / LANES * LANES;
    for (int64_t o = 0; o < apart + n % STRIPS; o++) {
        bool rest = o >= apart; /* a row left over: its sum four times */
        int64_t first = rest ? o + (STRIPS - 1) * apart : o, step = rest ? 0 : apart;
        const real *a[STRIPS];
        real s[LCM_GEMV_ROWS][STRIPS][LANES] = {{{0}}}, sum[LCM_GEMV_ROWS][STRIPS] = {{0}};
        for (int i = 0; i < STRIPS; i++) a[i] = w + (first + i * step) * ldw;
        for (int64_t p = 0; p < whole; p += LANES) {
#pragma GCC unroll 4
            for (int i = 0; i < STRIPS; i++) {
#pragma GCC unroll 4
                for (int r = 0; r < rows; r++) {
                    LCM_SIMD
                    for (int q = 0; q < LANES; q++) s[r][i][q] += x[r * ldx + p + q] * a[i][p + q];
                }
            }
        }
        for (int r = 0; r < rows; r++) {
            for (int i = 0; i < STRIPS; i++)
                for (int q = 0; q < LANES; q++) sum[r][i] += s[r][i][q];
            for (int64_t p = whole; p < k; p++)
                for (int i = 0; i < STRIPS; i++) sum[r][i] += x[r * ldx + p] * a[i][p];
            for (int i = 0; i < STRIPS; i++) y[r * ldy + first + i * step] = sum[r][i];
        }
    }
}

LCM_CLONES static void one_row(real *y, const real *w, int64_t ldw, const real *x, int64_t n, int64_t k) {
    strips(y, n, w, ldw, x, k, 1, n, k);
}

LCM_CLONES static void two_rows(real *y, int64_t ldy, const real *w, int64_t ldw, const real *x, int64_t ldx, int64_t n, int64_t k) {
    strips(y, ldy, w, ldw, x, ldx, 2, n, k);
}

LCM_CLONES static void three_rows(real *y, int64_t ldy, const real *w, int64_t ldw, const real *x, int64_t ldx, int64_t n, int64_t k) {
    strips(y, ldy, w, ldw, x, ldx, 3, n, k);
}

LCM_CLONES static void four_rows(real *y, int64_t ldy, const real *w, int64_t ldw, const real *x, int64_t ldx, int64_t n, int64_t k) {
    strips(y, ldy, w, ldw, x, ldx, 4, n, k);
}

void lcm_k_gemv(real *y, int64_t ldy, const real *w, int64_t ldw, const real *x, int64_t ldx, int rows, int64_t n, int64_t k,
                int threads) {
    LCM_PRAGMA(omp parallel for schedule(static, 1) num_threads(threads) if (threads > 1))
    for (int t = 0; t < threads; t++) {
        int64_t from = n * t / threads, count = n * (t + 1) / threads - from;
        if (rows == 1) one_row(y + from, w + from * ldw, ldw, x, count, k);
        else if (rows == 2) two_rows(y + from, ldy, w + from * ldw, ldw, x, ldx, count, k);
        else if (rows == 3) three_rows(y + from, ldy, w + from * ldw, ldw, x, ldx, count, k);
        else four_rows(y + from, ldy, w + from * ldw, ldw, x, ldx, count, k);
    }
}
