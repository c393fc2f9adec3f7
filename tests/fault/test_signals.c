/* Signals during matrix products: no handler may run while oneDNN has the stack pointer in a heap
 * buffer. Without kernels/gemm.c blocking them, four signals of five arrive there. */
#include "harness/test.h"

#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#include "kernels/gemm.h"

static uintptr_t stack_low, stack_high;
static pthread_t main_thread;
static volatile sig_atomic_t n_signals, n_elsewhere, n_workers;

static void on_signal(int sig, siginfo_t *info, void *context) {
#if defined(__x86_64__)
    uintptr_t sp = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    uintptr_t sp = (uintptr_t)((ucontext_t *)context)->uc_mcontext.sp;
#else
    uintptr_t sp = stack_low;
#endif
    (void)sig;
    (void)info;
    n_signals++;
    if (!pthread_equal(pthread_self(), main_thread)) n_workers++;
    else if (sp < stack_low || sp > stack_high) n_elsewhere++;
}

static void find_stack(void) {
    pthread_attr_t attr;
    void *low;
    size_t size;
    assert_int_equal(pthread_getattr_np(pthread_self(), &attr), 0);
    assert_int_equal(pthread_attr_getstack(&attr, &low, &size), 0);
    pthread_attr_destroy(&attr);
    stack_low = (uintptr_t)low;
    stack_high = stack_low + size;
    main_thread = pthread_self();
}

/* Products of backward passes under a timer of 1 kHz, until 50 signals came. */
static void bombard(int threads) {
    enum { M = 1280, N = 256, K = 256 };
    real *a = calloc(M * K, sizeof *a), *b = calloc(K * N, sizeof *b), *c = calloc(M * N, sizeof *c);
    char *alt = malloc(1 << 16);
    stack_t ss = {.ss_sp = alt, .ss_size = 1 << 16}, off = {.ss_flags = SS_DISABLE};
    struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK}, old;
    struct itimerval every = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    time_t end = time(NULL) + 60;
    int before = omp_get_max_threads();
    assert_true(a && b && c && alt);
    find_stack();
    n_signals = n_elsewhere = n_workers = 0;
    sa.sa_sigaction = on_signal;
    assert_int_equal(sigaltstack(&ss, NULL), 0);
    assert_int_equal(sigaction(SIGPROF, &sa, &old), 0);
    assert_int_equal(setitimer(ITIMER_PROF, &every, NULL), 0);
    omp_set_num_threads(threads);
    while (n_signals < 50 && time(NULL) < end) {
        lcm_k_gemm(false, false, M, N, K, 1, a, K, b, N, 1, c, N); /* dx += dy W */
        lcm_k_gemm(true, false, N, N, M, 1, c, N, c, N, 0, b, N);  /* dw = dy^T x */
    }
    omp_set_num_threads(before);
    assert_int_equal(setitimer(ITIMER_PROF, &never, NULL), 0);
    assert_int_equal(sigaction(SIGPROF, &old, NULL), 0);
    assert_int_equal(sigaltstack(&off, NULL), 0);
    assert_true(n_signals >= 50); /* late, not lost */
    assert_int_equal(n_elsewhere, 0);
    assert_int_equal(n_workers, 0);
    free(a);
    free(b);
    free(c);
    free(alt);
}

static void one_thread(void **state) {
    (void)state;
    bombard(1);
}

static void two_threads(void **state) {
    (void)state;
    bombard(2);
}

static void changing_threads(void **state) {
    (void)state;
    bombard(3);
    bombard(2);
}

/* The caller's mask is its own business: back as it was after every product. */
static void mask_restored(void **state) {
    real x[4] = {1, 2, 3, 4}, y[4];
    sigset_t set, now;
    (void)state;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    lcm_k_gemm(false, false, 2, 2, 2, 1, x, 2, x, 2, 0, y, 2);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    assert_true(sigismember(&now, SIGUSR1));
    assert_false(sigismember(&now, SIGTERM));
    sigdelset(&set, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_thread), cmocka_unit_test(two_threads),
                                       cmocka_unit_test(changing_threads), cmocka_unit_test(mask_restored)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
