/* Checkpoints of the official Large Concept Model repository as model files of ours.
 *
 * The parameters have our names, for we took theirs. The configuration is not in a checkpoint: sizes, norms, positions and biases are
 * read off names and shapes; heads are 128 wide, the rotary base is 10000, and a two-tower model with rotary positions was
 * trained with 100 noise levels and guidance, as in all architectures that the repository registers; else say so. */
#ifndef LCM_LCM_MODEL_IMPORT_H
#define LCM_LCM_MODEL_IMPORT_H

#include "lcm/registry.h"
#include "modelfile/import.h"

typedef struct lcm_model_import_opts {
    int dtype;                /* lcm_import_dtype */
    const char *const *set;   /* "lcm.num_attn_heads=8" …, over what was read off */
    size_t n_set;
    uint64_t space;           /* of the SONAR model that it was trained with */
    const json_t *provenance; /* or NULL */
} lcm_model_import_opts;

bool lcm_model_import_is(const lcm_weights *w);

/* Reads everything once, then writes `path` (atomic). LCM_ERR_NOTFOUND, LCM_ERR_SHAPE: a tensor; LCM_ERR_FORMAT: one too many;
 * LCM_ERR_NUMERIC; LCM_ERR_ARG: set, or a configuration out of range. What was read off is logged. */
lcm_status lcm_model_import(lcm_ctx *ctx, const char *path, lcm_weights *w, const lcm_model_import_opts *opts);

#endif
