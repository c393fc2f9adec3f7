/* What a .safetensors file holds, without building a model from it. */
#ifndef LCM_MODELINFO_H
#define LCM_MODELINFO_H

#include <stddef.h>
#include <stdint.h>

#include "lcm/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_modelinfo lcm_modelinfo;

/* Maps the file and checks its structure; tensor data stays on disk until it is asked for.
 * LCM_ERR_NOTFOUND, LCM_ERR_IO, LCM_ERR_FORMAT, LCM_ERR_NOMEM; *out is NULL then. */
LCM_API lcm_status lcm_modelinfo_open(lcm_ctx *ctx, lcm_modelinfo **out, const char *path);
LCM_API void lcm_modelinfo_close(lcm_modelinfo *info); /* NULL is allowed */

/* __metadata__: the value of a key (NULL when absent), and the i-th key (NULL past the end).
 * Files of lcm have "lcm.kind", "lcm.format" and "lcm.config". Borrowed. */
LCM_API const char *lcm_modelinfo_meta(const lcm_modelinfo *info, const char *key);
LCM_API const char *lcm_modelinfo_meta_key(const lcm_modelinfo *info, size_t i);

enum { LCM_MODELINFO_MAX_RANK = 8 };

typedef struct lcm_tensor_info {
    const char *name, *dtype; /* borrowed; dtype as in the file, "F32" */
    int is_float;             /* F64, F32, F16 or BF16 */
    int ndim;                 /* 0 is a scalar */
    int64_t dims[LCM_MODELINFO_MAX_RANK];
    int64_t elements;
    uint64_t bytes;
} lcm_tensor_info;

/* Tensors in the order of their data; i < lcm_modelinfo_count. */
LCM_API size_t lcm_modelinfo_count(const lcm_modelinfo *info);
LCM_API void lcm_modelinfo_tensor(const lcm_modelinfo *info, size_t i, lcm_tensor_info *out);

/* Elements of floating-point tensors, and of int8 matrices (filled up to whole panels) instead of their scales: what a paper
 * calls the number of parameters. */
LCM_API int64_t lcm_modelinfo_parameters(const lcm_modelinfo *info);

/* Reads tensor i and counts its NaNs and infinities (0 for integers). */
LCM_API void lcm_modelinfo_nonfinite(const lcm_modelinfo *info, size_t i, int64_t *nans, int64_t *infs);

#ifdef __cplusplus
}
#endif
#endif
