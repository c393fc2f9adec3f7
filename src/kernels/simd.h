/* One binary for all CPUs: hot loops live in range functions tagged LCM_CLONES, which gcc compiles
 * once per ISA level and picks at load time. Reductions are written as `omp simd` loops, so the
 * licence to reorder a sum is given per loop and never by -ffast-math. Parallel loops live in the
 * callers, over chunks whose bounds do not depend on the number of threads. */
#ifndef LCM_SIMD_H
#define LCM_SIMD_H

#if defined(__FAST_MATH__)
#error "lcm relies on NaN and Inf: do not build with -ffast-math"
#endif

/* Intrinsics of this build; a function that uses them asks the CPU first. LCM_NO_AVX512 makes a build that does what it
 * does on a CPU without AVX512, LCM_PORTABLE one without intrinsics. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(LCM_REAL_F64) && !defined(LCM_PORTABLE)
#define LCM_HAVE_AVX2 1
#ifndef LCM_NO_AVX512
#define LCM_HAVE_AVX512 1
#endif
#endif

/* Sanitizers run before ifunc resolvers are safe, clang 14 lacks the syntax. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__) && !defined(LCM_NO_CLONES)
#ifdef LCM_NO_AVX512
#define LCM_CLONES __attribute__((target_clones("arch=x86-64-v3", "default"), optimize("O3")))
#else
#define LCM_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#endif
#else
#define LCM_CLONES
#endif

#define LCM_PRAGMA(x) _Pragma(#x)
#define LCM_SIMD LCM_PRAGMA(omp simd)
#define LCM_SIMD_SUM(...) LCM_PRAGMA(omp simd reduction(+ : __VA_ARGS__))
#define LCM_PARALLEL_FOR LCM_PRAGMA(omp parallel for schedule(static))
/* Small loops stay on one thread: a fork costs more than they do. */
#define LCM_PARALLEL_FOR_IF(cond) LCM_PRAGMA(omp parallel for schedule(static) if (cond))

static inline long long lcm_min_i(long long a, long long b) { return a < b ? a : b; }
static inline long long lcm_max_i(long long a, long long b) { return a > b ? a : b; }

#endif
