/* Products of one to four rows, x[rows,k] W[n,k]^T: oneDNN's sgemm against lcm_k_gemv, one thread, interleaved, with the weights of a
 * model that no cache holds (64 MB) and with one matrix again and again. GB/s of weights, medians of CPU time.
 *
 *   row_product [1 … 4] */
#include <dnnl.h>
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/gemv.h"

enum { ROUNDS = 9, VALUES = 1 << 24 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int rows;

static double pass(bool own, real *y, const real *w, const real *x, int64_t n, int64_t k, int64_t matrices, int64_t times) {
    double t0 = now();
    for (int64_t i = 0; i < times; i++) {
        const real *m = w + i % matrices * n * k;
        if (own) lcm_k_gemv(y, n, m, k, x, k, rows, n, k, 1);
        else if (dnnl_sgemm('N', 'T', rows, n, k, 1, x, k, m, k, 0, y, n) != dnnl_success) exit(1);
    }
    return (double)(times * n * k) * sizeof(real) * 1e-9 / (now() - t0);
}

int main(int argc, char **argv) {
    static const int64_t shapes[][2] = {{256, 256}, {384, 384}, {1024, 256}, {256, 1024}, {384, 1024}, {4096, 256}, {4096, 384}};
    real *w = aligned_alloc(64, VALUES * sizeof *w), *x = calloc(8192, sizeof *x), *y = calloc(LCM_GEMV_ROWS * 4096, sizeof *y);
    rows = argc > 1 ? atoi(argv[1]) : 1;
    if (rows < 1 || rows > LCM_GEMV_ROWS) return 2;
    if (w == NULL || x == NULL || y == NULL) return 1;
    omp_set_num_threads(1);
    for (int64_t i = 0; i < VALUES; i++) w[i] = (real)(i % 17) * (real)0.01 - (real)0.08;
    for (int64_t i = 0; i < 8192; i++) x[i] = (real)(i % 13) * (real)0.1;
    printf("   n x    k   memory: sgemm   gemv   cache: sgemm   gemv\n");
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        int64_t n = shapes[s][0], k = shapes[s][1], matrices = VALUES / (n * k);
        double rate[4][ROUNDS];
        for (int r = 0; r < ROUNDS; r++)
            for (int c = 0; c < 4; c++) rate[c][r] = pass(c % 2, y, w, x, n, k, c < 2 ? matrices : 1, matrices);
        for (int c = 0; c < 4; c++) qsort(rate[c], ROUNDS, sizeof(double), ascending);
        printf("%4lld x %4lld %15.1f %6.1f %14.1f %6.1f\n", (long long)n, (long long)k, rate[0][ROUNDS / 2], rate[1][ROUNDS / 2],
               rate[2][ROUNDS / 2], rate[3][ROUNDS / 2]);
    }
    free(w);
    free(x);
    free(y);
    return 0;
}
