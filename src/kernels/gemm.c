/* Matrix products: oneDNN in f32 (one to four rows: gemv.h), portable loops otherwise. The only file that names oneDNN. */
#include "kernels/gemm.h"

#include <omp.h>
#include <string.h>

#include "kernels/gemv.h"
#include "kernels/simd.h"

/* i-k-j order: the inner loop runs along rows of B and C, which the compiler vectorises. */
LCM_CLONES static void gemm_rows(bool ta, bool tb, int64_t i0, int64_t i1, int64_t n, int64_t k, real alpha,
                                 const real *a, int64_t lda, const real *b, int64_t ldb, real *c, int64_t ldc) {
    for (int64_t i = i0; i < i1; i++) {
        real *ci = c + i * ldc;
        if (!tb) {
            for (int64_t p = 0; p < k; p++) {
                real s = alpha * (ta ? a[p * lda + i] : a[i * lda + p]);
                const real *bp = b + p * ldb;
                LCM_SIMD
                for (int64_t j = 0; j < n; j++) ci[j] += s * bp[j];
            }
        } else if (!ta) {
            const real *ai = a + i * lda;
            for (int64_t j = 0; j < n; j++) {
                const real *bj = b + j * ldb;
                real s = 0;
                LCM_SIMD_SUM(s)
                for (int64_t p = 0; p < k; p++) s += ai[p] * bj[p];
                ci[j] += alpha * s;
            }
        } else {
            for (int64_t j = 0; j < n; j++) {
                real s = 0;
                for (int64_t p = 0; p < k; p++) s += a[p * lda + i] * b[j * ldb + p];
                ci[j] += alpha * s;
            }
        }
    }
}

void lcm_k_gemm_ref(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                    const real *b, int64_t ldb, real beta, real *c, int64_t ldc) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : c[i * ldc + j] * beta;
    LCM_PARALLEL_FOR_IF(m * n * k > 65536)
    for (int64_t i = 0; i < m; i++) gemm_rows(ta, tb, i, i + 1, n, k, alpha, a, lda, b, ldb, c, ldc);
}

#ifdef LCM_REAL_F64
void lcm_k_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                const real *b, int64_t ldb, real beta, real *c, int64_t ldc) {
    lcm_k_gemm_ref(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
#else
#include <dnnl.h>
#include <pthread.h>
#include <signal.h>

/* oneDNN's kernels for untransposed B park the stack pointer in a heap buffer (2.6.3, jit_avx*_gemm_f32).
 * A signal handler that runs meanwhile gets its frame below that buffer, over malloc's records
 * (docs/speed.md). So no signal may reach a thread that is
 * inside: the caller blocks them for the call; the workers of its OpenMP pool, which live longer
 * than the call, keep them blocked. Faults stay deliverable: they do not come from outside. */
static void block_signals(sigset_t *before) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&set, faults[i]);
    pthread_sigmask(SIG_BLOCK, &set, before);
}

static void block_workers(int threads) {
    static _Thread_local int blocked = 1; /* each thread has a pool of its own */
    if (threads == blocked) return;
    LCM_PRAGMA(omp parallel num_threads(threads))
    block_signals(NULL); /* the caller's are already */
    blocked = threads;
}

/* Below this many multiply-adds a second thread costs more than it brings: measured 44 against
 * 10 GFLOP/s for 1x1024x256 on two cores. */
enum { ONE_THREAD_BELOW = 3000000 };

void lcm_k_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda,
                const real *b, int64_t ldb, real beta, real *c, int64_t ldc) {
    int threads = omp_get_max_threads();
    bool solo = threads > 1 && m * n * k < ONE_THREAD_BELOW;
    sigset_t signals;
    dnnl_status_t st;
    if (m == 0 || n == 0) return;
    if (k == 0) { /* oneDNN leaves C alone then, whatever beta */
        lcm_k_gemm_ref(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        return;
    }
    if (m <= LCM_GEMV_ROWS && !ta && tb && alpha == 1 && beta == 0) {
        lcm_k_gemv(c, ldc, b, ldb, a, lda, (int)m, n, k, solo ? 1 : threads);
        return;
    }
    block_signals(&signals);
    if (solo) omp_set_num_threads(1);
    else block_workers(threads);
    st = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    if (solo) omp_set_num_threads(threads);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
    if (st != dnnl_success) lcm_k_gemm_ref(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
#endif

void lcm_k_gemm_in(lcm_bf16 *half, bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a,
                   int64_t lda, const real *b, int64_t ldb, real beta, real *c, int64_t ldc) {
    if (half) lcm_k_gemm_bf16(half, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    else lcm_k_gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

LCM_CLONES static void add_bias(real *y, const real *b, int64_t r0, int64_t r1, int64_t O) {
    for (int64_t r = r0; r < r1; r++) {
        LCM_SIMD
        for (int64_t o = 0; o < O; o++) y[r * O + o] += b[o];
    }
}

void lcm_k_linear_fwd(lcm_bf16 *half, real *y, const real *x, const real *w, const real *b, int64_t R, int64_t I,
                      int64_t O) {
    lcm_k_gemm_in(half, false, true, R, O, I, 1, x, I, w, I, 0, y, O);
    if (b == NULL) return;
    LCM_PARALLEL_FOR_IF(R * O > 65536)
    for (int64_t r = 0; r < R; r += 16) add_bias(y, b, r, lcm_min_i(r + 16, R), O);
}

/* Columns are split between threads, rows are summed in order: same bits for any thread count. */
LCM_CLONES static void sum_columns(real *db, const real *dy, int64_t R, int64_t O, int64_t o0, int64_t o1) {
    for (int64_t r = 0; r < R; r++) {
        LCM_SIMD
        for (int64_t o = o0; o < o1; o++) db[o] += dy[r * O + o];
    }
}

void lcm_k_linear_bwd(lcm_bf16 *half, real *dx, real *dw, real *db, const real *dy, const real *x, const real *w,
                      int64_t R, int64_t I, int64_t O) {
    if (dx) lcm_k_gemm_in(half, false, false, R, I, O, 1, dy, O, w, I, 1, dx, I);
    if (dw) lcm_k_gemm_in(half, true, false, O, I, R, 1, dy, O, x, I, 1, dw, I);
    if (db == NULL) return;
    LCM_PARALLEL_FOR_IF(R * O > 65536)
    for (int64_t o = 0; o < O; o += 128) sum_columns(db, dy, R, O, o, lcm_min_i(o + 128, O));
}
