/* Parameters in and out of safetensors. */
#include "modelfile/params_io.h"

#include <math.h>

lcm_status lcm_params_put(lcm_ctx *ctx, lcm_st_writer *w, const lcm_params *p, const real *x, lcm_dtype dtype) {
    for (size_t i = 0; i < p->n; i++) {
        const lcm_param *q = p->items[i];
        int64_t dims[2] = {q->t.rows, q->t.cols};
        LCM_TRY(lcm_st_writer_add_real(ctx, w, q->name, dtype, q->is_vector ? dims + 1 : dims, q->is_vector ? 1 : 2,
                                       (x ? x : p->x) + q->offset));
    }
    return LCM_OK;
}

lcm_status lcm_params_get(lcm_ctx *ctx, lcm_params *p, const lcm_st *st) {
    for (size_t i = 0; i < p->n; i++) {
        lcm_param *q = p->items[i];
        int64_t dims[2] = {q->t.rows, q->t.cols}, n = q->t.rows * q->t.cols;
        const lcm_st_tensor *t;
        LCM_TRY(lcm_st_require(ctx, &t, st, q->name, q->is_vector ? dims + 1 : dims, q->is_vector ? 1 : 2));
        LCM_TRY(lcm_st_read_real(ctx, q->t.x, t, n));
        for (int64_t k = 0; k < n; k++)
            if (!isfinite(q->t.x[k]))
                LCM_FAIL(ctx, LCM_ERR_NUMERIC, "tensor '%s' holds a non-finite value at element %lld", q->name, (long long)k);
    }
    return LCM_OK;
}
