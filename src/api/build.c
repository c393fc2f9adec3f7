/* include/lcm/build.h */
#include "lcm/build.h"

#include <stdio.h>

#include "kernels/int8.h"
#include "kernels/onednn.h"
#include "kernels/real.h"
#include "lcm_revision.h" /* made by the build */

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* The order in which target_clones picks a clone. */
static const char *cpu_path(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#ifndef LCM_NO_AVX512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return "x86-64-v4";
#endif
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return "x86-64-v3";
#endif
    return "baseline";
}

void lcm_build_get(lcm_build *out) {
    lcm_onednn_version_name(out->onednn, sizeof out->onednn);
    snprintf(out->version, sizeof out->version, "%s", LCM_VERSION);
    snprintf(out->revision, sizeof out->revision, "%s", LCM_REVISION);
    snprintf(out->compiler, sizeof out->compiler, "%s", COMPILER);
    snprintf(out->real, sizeof out->real, "%s", LCM_REAL_NAME);
    snprintf(out->cpu, sizeof out->cpu, "%s", cpu_path());
    snprintf(out->int8, sizeof out->int8, "%s", lcm_i8_path());
}
