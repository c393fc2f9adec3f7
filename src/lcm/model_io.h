/* Concept models as files: one .safetensors with the parameters under the reference's names, the
 * normaliser's center and scale (always F32), and the keys of modelfile/model_meta.h. */
#ifndef LCM_LCM_MODEL_IO_H
#define LCM_LCM_MODEL_IO_H

#include "lcm/registry.h"
#include "modelfile/model_meta.h"

typedef struct lcm_model_save_opts {
    lcm_dtype dtype;          /* of parameters: F32 or F16 */
    uint64_t space;           /* SONAR space that the model was trained in */
    const json_t *provenance; /* or NULL */
    const lcm_train_record *train; /* what it cost, or NULL */
    const json_t *prompt;     /* of an instruction-tuned model, else NULL */
    const real *x;            /* flat values instead of the model's own (averaged weights), or NULL */
} lcm_model_save_opts;

/* Atomic. LCM_ERR_NUMERIC names a parameter that is not finite, or is not when stored as F16. */
lcm_status lcm_model_save(lcm_ctx *ctx, const lcm_model *m, const lcm_model_save_opts *o, const char *path);
/* The same, appended to *out: what a checkpoint stores. */
lcm_status lcm_model_write(lcm_ctx *ctx, lcm_buf *out, const lcm_model *m, const lcm_model_save_opts *o);

/* Any kind of the registry. Every tensor is checked: LCM_ERR_FORMAT (missing, not finite, or
 * one that the model does not have; or kind or configuration unknown), LCM_ERR_SHAPE. LCM_ERR_NOTFOUND: no
 * such file. Names that begin with "selftest." ride along. Memory is only taken once the file
 * is known to hold as many values as its configuration asks for. meta may be NULL; its caller frees it. */
lcm_status lcm_model_load(lcm_ctx *ctx, lcm_model **out, lcm_model_meta *meta, const char *path,
                          bool with_grad);
/* The same from an open file. */
lcm_status lcm_model_read(lcm_ctx *ctx, lcm_model **out, const lcm_st *st, const lcm_model_meta *meta,
                          bool with_grad);

#endif
