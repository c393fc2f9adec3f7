/* Weights from elsewhere: named tensors of a file, whatever holds them.
 *
 * One view of safetensors (modelfile/safetensors.h) and PyTorch checkpoints (modelfile/torch_file.h) for the importers.
 * The file is mapped; values come in pieces, so a tensor is never in memory as a whole (but see torch_file.h). */
#ifndef LCM_WEIGHTS_H
#define LCM_WEIGHTS_H

#include "modelfile/safetensors.h"

typedef struct lcm_weights lcm_weights;

typedef struct lcm_weight {
    const char *name; /* borrowed */
    lcm_dtype dtype;
    int ndim;
    int64_t dims[LCM_ST_MAX_RANK], count;
    size_t index; /* for lcm_weights_read */
} lcm_weight;

/* The container is told by content. Errors as lcm_st_open's and lcm_torch_parse's. */
lcm_status lcm_weights_open(lcm_ctx *ctx, lcm_weights **out, const char *path);
/* Over `len` bytes that outlive the result. */
lcm_status lcm_weights_parse(lcm_ctx *ctx, lcm_weights **out, const uint8_t *bytes, size_t len);
void lcm_weights_close(lcm_weights *w); /* NULL is allowed */

size_t lcm_weights_count(const lcm_weights *w);
const lcm_weight *lcm_weights_at(const lcm_weights *w, size_t i);
const lcm_weight *lcm_weights_find(const lcm_weights *w, const char *name); /* NULL when absent */

/* For people: "safetensors", "PyTorch (zip), key 'model'". */
const char *lcm_weights_layout(const lcm_weights *w);
/* __metadata__ of safetensors; NULL when absent, or the file is none. */
const char *lcm_weights_meta(const lcm_weights *w, const char *key);

/* Elements first … first + n - 1 of a floating-point tensor, row-major. LCM_ERR_FORMAT: another type. */
lcm_status lcm_weights_read(lcm_ctx *ctx, real *dst, lcm_weights *w, const lcm_weight *t, int64_t first, int64_t n);

#endif
