/* BLASER 2.0 (Chen et al., arXiv 2212.08486; models facebook/blaser-2.0-{qe,ref}): how well a translation keeps the meaning, from
 * the SONAR vectors of source, translation and, for "ref", a reference. About 1 to 5, not bounded.
 *
 *     each vector divided by max(|x|, 1e-12);  * is elementwise
 *     qe    [src, mt, src*mt, |mt-src|]                              4 D inputs
 *     ref   [ref, mt, src*mt, ref*mt, |mt-src|, |mt-ref|]            6 D inputs
 *     score = W3 tanh(W2 tanh(W1 x + b1) + b2) + b3
 *
 * A model file of kind "blaser" has the reference's names, mlp.1, mlp.4 and mlp.7. */
#ifndef LCM_BLASER_H
#define LCM_BLASER_H

#include "base/config.h"
#include "modelfile/import.h"
#include "nn/params.h"

typedef enum lcm_blaser_form { LCM_BLASER_QE = 0, LCM_BLASER_REF } lcm_blaser_form;

typedef struct lcm_blaser_config {
    int form;                        /* lcm_blaser_form */
    int64_t dim;                     /* D */
    int64_t hidden_dim, hidden_dim2; /* 3072, 1536 */
} lcm_blaser_config;

extern const lcm_field lcm_blaser_fields[];

typedef struct lcm_blaser lcm_blaser;
struct lcm_blaser {
    lcm_blaser_config config;
    lcm_params params;
    lcm_tensor *w[3], *b[3];
    uint64_t space; /* of the vectors; as in its file */
};

lcm_status lcm_blaser_new(lcm_ctx *ctx, lcm_blaser **out, const lcm_blaser_config *config);
lcm_status lcm_blaser_load(lcm_ctx *ctx, lcm_blaser **out, const char *path);
void lcm_blaser_free(lcm_blaser *b); /* NULL is allowed */

/* scores [n] of rows [n, D]; ref NULL for "qe", and only then (LCM_ERR_ARG). */
lcm_status lcm_blaser_score(lcm_ctx *ctx, double *scores, const lcm_blaser *b, const real *src, const real *mt,
                            const real *ref, int64_t n);

/* Import, as sonar_import.h's. The form is told by the input width of a 1024-dimensional space, else by set ("form=ref"). */
bool lcm_blaser_import_is(const lcm_weights *w);
lcm_status lcm_blaser_import(lcm_ctx *ctx, const char *path, lcm_weights *w, int dtype, const char *const *set, size_t n_set,
                             uint64_t space, const json_t *provenance);

#endif
