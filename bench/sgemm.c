/* What this machine can do: matrix products in f32 and bf16 at the shapes of a training step and at
 * 2048^3, and memory bandwidth. One line per measurement, "name threads min median unit" (milliseconds
 * and rate at the best time), so that a script can pick values.
 *
 *   sgemm [THREADS] [SECONDS per measurement] */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/gemm.h"

/* One thread is timed by its CPU time, which a busy neighbour does not inflate as it does wall time. */
static double now(int threads) {
    struct timespec t;
    clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { T = 2048, MAX_RUNS = 4096 };

typedef struct shape {
    const char *name;
    bool ta, tb;
    int64_t m, n, k;
} shape;

/* D 256, feed-forward 1024, V 4096 in blocks of LCM_XENT_ROWS = 256 rows: models/stories */
static const shape shapes[] = {
    {"peak_2048", false, false, 2048, 2048, 2048}, {"attn_fwd", false, true, T, 256, 256},
    {"attn_dx", false, false, T, 256, 256},        {"attn_dw", true, false, 256, 256, T},
    {"inner_fwd", false, true, T, 1024, 256},      {"inner_dx", false, false, T, 256, 1024},
    {"inner_dw", true, false, 1024, 256, T},       {"output_fwd", false, true, T, 256, 1024},
    {"output_dx", false, false, T, 1024, 256},     {"output_dw", true, false, 256, 1024, T},
    {"logits", false, true, 256, 4096, 256},       {"logits_dh", false, false, 256, 256, 4096},
    {"logits_dE", true, false, 4096, 256, 256}};

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *name, int threads, double *t, int n, double work, const char *unit) {
    qsort(t, (size_t)n, sizeof *t, ascending);
    printf("%-15s %d  min %8.3f ms  median %8.3f ms  %7.1f %s\n", name, threads, t[0] * 1e3, t[n / 2] * 1e3,
           work / t[0] * 1e-9, unit);
    fflush(stdout);
}

static real *filled(int64_t n) {
    real *x = aligned_alloc(64, (size_t)(n + 15) / 16 * 64);
    if (x == NULL) exit(1);
    for (int64_t i = 0; i < n; i++) x[i] = (real)(i % 17) * (real)0.01 - (real)0.08;
    return x;
}

static void time_product(const shape *s, lcm_bf16 *half, int threads, double seconds) {
    double t[MAX_RUNS], end = now(threads) + seconds;
    char name[32];
    int n = 0;
    real *a = filled(s->m * s->k), *b = filled(s->k * s->n), *c = filled(s->m * s->n);
    do {
        double t0 = now(threads);
        lcm_k_gemm_in(half, s->ta, s->tb, s->m, s->n, s->k, 1, a, s->ta ? s->m : s->k, b, s->tb ? s->k : s->n, 0, c,
                      s->n);
        t[n++] = now(threads) - t0;
    } while (n < 3 || (now(threads) < end && n < MAX_RUNS));
    snprintf(name, sizeof name, "%s%s", s->name, half ? ".bf16" : "");
    report(name, threads, t + 1, n - 1, 2.0 * (double)(s->m * s->n * s->k), "GFLOP/s"); /* the first one generates code */
    free(a);
    free(b);
    free(c);
}

/* 4 * 64 MB: larger than any cache here. triad counts three streams, as STREAM does. */
static void time_memory(int threads, double seconds) {
    enum { N = 1 << 24, CHUNK = 1 << 16 };
    double triad[MAX_RUNS], read[MAX_RUNS], end = now(threads) + seconds, sum = 0;
    real *a = filled(N), *b = filled(N), *c = filled(N);
    int n = 0;
    do {
        double t0 = now(threads), t1;
#pragma omp parallel for simd schedule(static)
        for (int64_t i = 0; i < N; i++) a[i] = b[i] + (real)1.5 * c[i];
        t1 = now(threads);
#pragma omp parallel for reduction(+ : sum) schedule(static)
        for (int64_t k = 0; k < N; k += CHUNK) {
            real s = 0;
#pragma omp simd reduction(+ : s)
            for (int64_t i = k; i < k + CHUNK; i++) s += b[i];
            sum += (double)s;
        }
        triad[n] = t1 - t0;
        read[n++] = now(threads) - t1;
    } while (n < 3 || (now(threads) < end && n < MAX_RUNS));
    report("triad", threads, triad, n, 3.0 * N * sizeof(real), "GB/s");
    report("read", threads, read, n, 1.0 * N * sizeof(real), sum < 0 ? "GB/s" : "GB/s "); /* keeps `sum` alive */
    free(a);
    free(b);
    free(c);
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    lcm_bf16 *half = NULL;
    double seconds = argc > 2 ? atof(argv[2]) : 0.5;
    if (threads < 1 || seconds <= 0) {
        fprintf(stderr, "usage: sgemm [THREADS] [SECONDS]\n");
        return 2;
    }
    omp_set_num_threads(threads);
    if (lcm_bf16_supported() && lcm_bf16_new(NULL, &half, threads) != LCM_OK) return 1;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        time_product(&shapes[i], NULL, threads, seconds);
        if (half) time_product(&shapes[i], half, threads, seconds);
    }
    lcm_bf16_free(half);
    time_memory(threads, seconds);
    return 0;
}
