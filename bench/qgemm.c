/* The int8 product of inference: its peak, and the shapes of a SONAR-sized encoder and decoder. One line per
 * measurement, "name threads min median unit" (milliseconds and rate at the best time).
 *
 *   qgemm [THREADS] [SECONDS per measurement] */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/int8.h"

/* One thread is timed by its CPU time, which a busy neighbour does not inflate as it does wall time. */
static double now(int threads) {
    struct timespec t;
    clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { MAX_RUNS = 4096 };

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void *room(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (p == NULL) exit(1);
    memset(p, 1, bytes);
    return p;
}

typedef struct job {
    int64_t m, n, k;
    float *x, *y, *scale;
    uint8_t *w;
    lcm_i8_acts a;
} job;

static void quantise(job *j) { lcm_i8_quantise(&j->a, j->x, j->m, j->k); }

static void multiply(job *j) { lcm_k_gemm_i8(j->y, j->n, &j->a, j->w, j->scale, NULL, j->n, 0); }

static void measure(const char *name, void (*f)(job *), job *j, int threads, double seconds, double work, const char *unit) {
    double t[MAX_RUNS], end;
    int n = 0;
    f(j);
    end = now(threads) + seconds;
    do {
        double t0 = now(threads);
        f(j);
        t[n++] = now(threads) - t0;
    } while (n < MAX_RUNS && now(threads) < end);
    qsort(t, (size_t)n, sizeof *t, ascending);
    printf("%-24s %d  min %8.3f ms  median %8.3f ms  %7.1f %s\n", name, threads, t[0] * 1e3, t[n / 2] * 1e3,
           work / t[0] * 1e-9, unit);
    fflush(stdout);
}

static void shape(int64_t m, int64_t n, int64_t k, int threads, double seconds) {
    job j = {.m = m, .n = n, .k = k};
    char name[64];
    j.x = room((size_t)(m * k) * sizeof *j.x);
    j.y = room((size_t)(m * n) * sizeof *j.y);
    j.scale = room((size_t)(lcm_i8_panels(n) * LCM_I8_PANEL) * sizeof *j.scale);
    j.w = room(lcm_i8_size(n, k));
    j.a = (lcm_i8_acts){.q = room(lcm_i8_acts_size(m, k)), .scale = room((size_t)m * 4), .sum = room((size_t)m * 4)};
    for (int64_t i = 0; i < m * k; i++) j.x[i] = (float)(i % 17) * 0.01f - 0.08f;
    for (int64_t i = 0; i < n; i++) j.scale[i] = 0.01f;
    snprintf(name, sizeof name, "quantise_%lldx%lld", (long long)m, (long long)k);
    measure(name, quantise, &j, threads, seconds, (double)(m * k) * sizeof(float), "GB/s");
    snprintf(name, sizeof name, "int8_%lldx%lldx%lld", (long long)m, (long long)n, (long long)k);
    measure(name, multiply, &j, threads, seconds, m < 6 ? (double)(n * k) : 2.0 * (double)(m * n * k), m < 6 ? "GB/s" : "GOP/s");
    free(j.x);
    free(j.y);
    free(j.scale);
    free(j.w);
    free(j.a.q);
    free(j.a.scale);
    free(j.a.sum);
}

int main(int argc, char **argv) {
    static const int64_t rows[] = {1, 5, 16, 80, 512};
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    double seconds = argc > 2 ? atof(argv[2]) : 0.5;
    omp_set_num_threads(threads);
    printf("path %s\n", lcm_i8_path());
    shape(14 * 16, 1024, 1024, threads, seconds); /* everything in L2: the peak */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        shape(rows[i], 1024, 1024, threads, seconds);
        shape(rows[i], 8192, 1024, threads, seconds);
        shape(rows[i], 1024, 8192, threads, seconds);
        if (rows[i] < 80) shape(rows[i], 256206, 1024, threads, seconds);
    }
    return 0;
}
