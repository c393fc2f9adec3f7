/* Residual vector quantiser of normalised concepts (arXiv 2412.08821 §2.3.5):
 *
 *     z = c_0[u_0] + c_1[u_1] + … + c_{K-1}[u_{K-1}] + what is left
 *
 * Codebook k quantises what the codebooks before it left over, so the first k codebooks are a coarser
 * quantiser by themselves, and a set of them is cut to any length. Codes are greedy (beam size 1, as
 * in the paper): u_k is the unit nearest to the residual. */
#ifndef LCM_RVQ_H
#define LCM_RVQ_H

#include "base/config.h"
#include "nn/params.h"
#include "quant/kmeans.h"

typedef struct lcm_rvq_config {
    int64_t dim, codebooks, units;
} lcm_rvq_config;

extern const lcm_field lcm_rvq_fields[];

/* The codebooks are parameters of whoever holds them: a codebook file, or a model that brings its own. */
typedef struct lcm_rvq {
    lcm_rvq_config config;
    lcm_tensor **book; /* [codebooks] (units, dim) */
} lcm_rvq;

/* Registers NAME.{k}, without memory. */
lcm_status lcm_rvq_register(lcm_ctx *ctx, lcm_rvq *out, lcm_params *p, const lcm_rvq_config *c, const char *name);
void lcm_rvq_free(lcm_rvq *q);

int64_t lcm_rvq_scratch(const lcm_rvq *q); /* values that the functions below need */

/* One codebook: unit (n), residual (n,D) becomes what is left of it. */
void lcm_rvq_step(int32_t *unit, real *residual, const lcm_rvq *q, int64_t codebook, int64_t n, real *scratch);

/* The first k codebooks: unit (k,n), the code of row r being unit[i n + r]; residual (n,D) goes in as
 * the rows and comes out as what is left. */
void lcm_rvq_encode(int32_t *unit, real *residual, const lcm_rvq *q, int64_t k, int64_t n, real *scratch);

/* sum (n,D) += centroids of one codebook; negative units are left out. */
void lcm_rvq_add(real *sum, const lcm_rvq *q, int64_t codebook, const int32_t *unit, int64_t n);

/* z (n,D) = what the units (k,n) stand for, summed from the first codebook on. */
void lcm_rvq_decode(real *z, const lcm_rvq *q, int64_t k, const int32_t *unit, int64_t n);

#endif
