/* Residual vector quantiser. */
#include "quant/rvq.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/simd.h"

const lcm_field lcm_rvq_fields[] = {
    LCM_F_INT(lcm_rvq_config, dim, 1, 65536, "width of a concept"),
    LCM_F_INT(lcm_rvq_config, codebooks, 1, 4096, "codebooks"),
    LCM_F_INT(lcm_rvq_config, units, 2, 1048576, "units of each codebook"),
    LCM_F_END};

lcm_status lcm_rvq_register(lcm_ctx *ctx, lcm_rvq *out, lcm_params *p, const lcm_rvq_config *c, const char *name) {
    out->config = *c;
    LCM_TRY(lcm_calloc(ctx, &out->book, (size_t)c->codebooks, sizeof *out->book));
    for (int64_t k = 0; k < c->codebooks; k++)
        out->book[k] = lcm_params_matrix(p, c->units, c->dim, (lcm_init){LCM_INIT_ZERO, 0}, "%s.%lld", name, (long long)k);
    return p->status;
}

void lcm_rvq_free(lcm_rvq *q) {
    free(q->book);
    q->book = NULL;
}

int64_t lcm_rvq_scratch(const lcm_rvq *q) { return lcm_kmeans_scratch(q->config.units); }

void lcm_rvq_step(int32_t *unit, real *residual, const lcm_rvq *q, int64_t codebook, int64_t n, real *scratch) {
    int64_t D = q->config.dim;
    const real *c = q->book[codebook]->x;
    lcm_kmeans_nearest(unit, NULL, residual, n, c, q->config.units, D, scratch);
    LCM_PARALLEL_FOR_IF(n * D > 65536)
    for (int64_t r = 0; r < n; r++) {
        const real *from = c + unit[r] * D;
        for (int64_t i = 0; i < D; i++) residual[r * D + i] -= from[i];
    }
}

void lcm_rvq_encode(int32_t *unit, real *residual, const lcm_rvq *q, int64_t k, int64_t n, real *scratch) {
    for (int64_t i = 0; i < k; i++) lcm_rvq_step(unit + i * n, residual, q, i, n, scratch);
}

void lcm_rvq_add(real *sum, const lcm_rvq *q, int64_t codebook, const int32_t *unit, int64_t n) {
    int64_t D = q->config.dim;
    for (int64_t r = 0; r < n; r++) {
        const real *from = q->book[codebook]->x + lcm_max_i(unit[r], 0) * D;
        for (int64_t i = 0; unit[r] >= 0 && i < D; i++) sum[r * D + i] += from[i];
    }
}

void lcm_rvq_decode(real *z, const lcm_rvq *q, int64_t k, const int32_t *unit, int64_t n) {
    memset(z, 0, (size_t)(n * q->config.dim) * sizeof *z);
    for (int64_t i = 0; i < k; i++) lcm_rvq_add(z, q, i, unit + i * n, n);
}
