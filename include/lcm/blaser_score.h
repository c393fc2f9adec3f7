/* BLASER 2.0: how well a translation keeps the meaning of its source, from their vectors. About 1 to 5. */
#ifndef LCM_BLASER_SCORE_H
#define LCM_BLASER_SCORE_H

#include <stddef.h>
#include <stdint.h>

#include "lcm/bundle.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_blaser lcm_blaser;

/* A file that lcm_convert made of facebook/blaser-2.0-qe or -ref. `b` (may be NULL) is the SONAR model whose vectors are to be
 * scored: LCM_ERR_ARG when the file was made for another one's. LCM_ERR_NOTFOUND, LCM_ERR_FORMAT. */
LCM_API lcm_status lcm_blaser_open(lcm_ctx *ctx, lcm_blaser **out, const char *path, const lcm_bundle *b);
LCM_API void lcm_blaser_close(lcm_blaser *m); /* NULL is allowed */

LCM_API int64_t lcm_blaser_dim(const lcm_blaser *m); /* numbers in a vector */
LCM_API int lcm_blaser_needs_reference(const lcm_blaser *m); /* 1 for "ref", 0 for "qe" */

/* scores [n] of rows [n, D]; ref is NULL unless the model needs it (LCM_ERR_ARG). Vectors as the encoder gives them. */
LCM_API lcm_status lcm_blaser_rate(lcm_ctx *ctx, double *scores, const lcm_blaser *m, const float *src, const float *mt,
                                   const float *ref, size_t n);

#ifdef __cplusplus
}
#endif
#endif
