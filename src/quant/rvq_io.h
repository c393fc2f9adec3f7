/* Codebook files: a quantiser and the normaliser it was fitted behind, in one .safetensors of kind "rvq".
 *
 *   codebooks.0 …                        [units, dim]
 *   normalizer.center, normalizer.scale  F32 [dim]
 *   lcm.normalizer (metadata)            16 hex digits, lcm_normalizer_hash of the two
 *
 * Codes mean nothing behind another normaliser or in another space, so both are named in the file and
 * compared by whoever uses it. */
#ifndef LCM_RVQ_IO_H
#define LCM_RVQ_IO_H

#include "modelfile/model_meta.h"
#include "quant/rvq.h"
#include "sonar/normalizer.h"

typedef struct lcm_rvq_file {
    lcm_rvq rvq;
    lcm_params params; /* the codebooks */
    lcm_normalizer *normalizer;
    uint64_t space;
} lcm_rvq_file;

/* Zero codebooks behind the identity. */
lcm_status lcm_rvq_file_new(lcm_ctx *ctx, lcm_rvq_file *out, const lcm_rvq_config *config, uint64_t space);
void lcm_rvq_file_close(lcm_rvq_file *f); /* leaves it empty */

/* Appends the file's bytes with the first `codebooks` of them. provenance: JSON object or NULL. */
lcm_status lcm_rvq_write(lcm_ctx *ctx, lcm_buf *out, const lcm_rvq_file *f, int64_t codebooks, const json_t *provenance);

/* LCM_ERR_NOTFOUND: no such file; LCM_ERR_FORMAT: another kind, a tensor missing, too many or not finite,
 * or a normaliser that is not the one the file names; LCM_ERR_SHAPE. */
lcm_status lcm_rvq_load(lcm_ctx *ctx, lcm_rvq_file *out, const char *path);

/* Of centre and scale as F32, which is how files hold them. */
uint64_t lcm_normalizer_hash(const lcm_normalizer *nz);

/* LCM_ERR_SHAPE, in one sentence, unless the codebooks are of this normaliser; `what` names its owner. */
lcm_status lcm_rvq_check_normalizer(lcm_ctx *ctx, const lcm_rvq_file *f, const char *path, const lcm_normalizer *nz,
                                    const char *what);
/* The same of the SONAR space. */
lcm_status lcm_rvq_check_space(lcm_ctx *ctx, const lcm_rvq_file *f, const char *path, uint64_t space, const char *what);

#endif
