/* What a smaller number type costs: errors per tensor, and from text to text. */
#ifndef LCM_QUANTIZE_H
#define LCM_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>

#include "lcm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A matrix before (w) and after (q). */
typedef struct lcm_quantize_tensor {
    const char *name; /* borrowed for the call */
    int64_t rows, cols;
    double rms;   /* |q - w| / |w|, 2-norms */
    double worst; /* the largest |q - w| of a row's element over the row's largest |w| */
} lcm_quantize_tensor;

typedef void (*lcm_quantize_fn)(void *user, const lcm_quantize_tensor *tensor);

typedef struct lcm_quantize_report {
    uint64_t bytes_before, bytes_after; /* of the files */
    int64_t tensors;                    /* compared */
    double rms, worst;                  /* over all matrices: |q - w| / |w|; the largest `worst` */
    char worst_name[128];
    /* From text to text; sentences 0: not asked for. */
    int64_t sentences;
    double cos_mean, cos_least;          /* of the two encoders' vectors of a sentence */
    int64_t same_text;                   /* the same vector, decoded by both: equal texts */
    int64_t exact_before, exact_after;   /* sentences that come back letter by letter from their own vector */
} lcm_quantize_report;

/* Compares `after`, written by lcm_export, with `before`, the file it was made from. `text` (may be NULL): n sentences
 * of len[i] bytes, for which both files must hold encoder and decoder; beam 0 = 5. fn (may be NULL) is called for
 * every matrix. The two models are loaded one after the other. LCM_ERR_NOTFOUND, LCM_ERR_FORMAT, LCM_ERR_SHAPE: no such
 * pair; LCM_ERR_UTF8. */
LCM_API lcm_status lcm_quantize_compare(lcm_ctx *ctx, lcm_quantize_report *out, const char *before, const char *after,
                                        const char *const *text, const size_t *len, size_t n, int64_t beam,
                                        lcm_quantize_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
