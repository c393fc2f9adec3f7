/* What this build is: for `--version`, bug reports and the provenance of results. */
#ifndef LCM_BUILD_H
#define LCM_BUILD_H

#include "lcm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_build {
    char version[16];  /* "0.1.0" */
    char revision[48]; /* of the source tree, "-dirty" when it was edited; "unknown" without git */
    char compiler[96];
    char real[8];    /* "f32", or "f64" for gradient checks */
    char onednn[16]; /* version of the library that is loaded, "2.6.3" */
    char cpu[16];    /* code path of the own kernels on this machine: x86-64-v4, x86-64-v3, baseline */
    char int8[16];   /* code path of the int8 product: avx512-vnni, avx2, portable */
} lcm_build;

/* Fills every field; never fails. */
LCM_API void lcm_build_get(lcm_build *out);

#ifdef __cplusplus
}
#endif
#endif
