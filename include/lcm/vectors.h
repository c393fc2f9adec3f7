/* Matrices of concepts as files: what `lcm encode` writes and `lcm decode` reads.
 *
 *   npy          NumPy format 1.0, <f4, C order, shape (n, D)
 *   safetensors  one F32 tensor "embeddings" [n, D]
 *   jsonl        one object per row: {"text": "…", "vector": [D numbers]} */
#ifndef LCM_VECTORS_H
#define LCM_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "lcm/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lcm_vectors_format { LCM_VECTORS_NPY = 0, LCM_VECTORS_SAFETENSORS, LCM_VECTORS_JSONL } lcm_vectors_format;

/* What stands before the rows (float32, little-endian) of npy and safetensors; nothing for jsonl.
 * *out is heap memory of *len bytes: lcm_free. LCM_ERR_LIMIT when n · dim overflows. */
LCM_API lcm_status lcm_vectors_header(lcm_ctx *ctx, char **out, size_t *len, lcm_vectors_format format, int64_t n,
                                      int64_t dim);

/* Reads any of the three, told apart by content. npy: versions 1 to 3, f2, f4 and f8 of little-endian
 * order, rank 1 (one row) or 2; Fortran order, objects and other types are refused. safetensors: the
 * tensor "embeddings", or the only one of floating type and rank 2. *out [n, dim] is heap memory:
 * lcm_free. Memory: what the bytes hold as float32, whatever they claim.
 * LCM_ERR_FORMAT, LCM_ERR_SHAPE (rows of different lengths), LCM_ERR_UNSUPPORTED, LCM_ERR_NUMERIC
 * (a value is not finite). */
LCM_API lcm_status lcm_vectors_parse(lcm_ctx *ctx, float **out, int64_t *n, int64_t *dim, const void *bytes, size_t len);

#ifdef __cplusplus
}
#endif
#endif
