/* Import of parameters. */
#include "modelfile/import.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 2048 };
static const double F16_MAX = 65504;

lcm_status lcm_import_shape(lcm_ctx *ctx, const lcm_weight *t, int64_t rows, int64_t cols, bool is_vector) {
    char has[200] = "";
    size_t n = 0;
    if (is_vector ? t->ndim == 1 && t->dims[0] == cols : t->ndim == 2 && t->dims[0] == rows && t->dims[1] == cols) return LCM_OK;
    for (int i = 0; i < t->ndim; i++)
        n += (size_t)snprintf(has + n, sizeof has - n, "%s%lld", i ? ", " : "", (long long)t->dims[i]);
    if (is_vector) LCM_FAIL(ctx, LCM_ERR_SHAPE, "tensor '%.200s' is [%s], expected [%lld]", t->name, has, (long long)cols);
    LCM_FAIL(ctx, LCM_ERR_SHAPE, "tensor '%.200s' is [%s], expected [%lld, %lld]", t->name, has, (long long)rows, (long long)cols);
}

lcm_status lcm_import_add(lcm_ctx *ctx, lcm_import *imp, const lcm_param *p, lcm_weights *file, const lcm_weight *t,
                          bool fairseq_rows) {
    lcm_import_item *item;
    LCM_TRY(lcm_import_shape(ctx, t, p->t.rows, p->t.cols, p->is_vector));
    if (t->dtype > LCM_DT_BF16)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.200s' is %s, expected a floating type", t->name, lcm_dtype_name(t->dtype));
    if (fairseq_rows && t->dims[0] < 4) LCM_FAIL(ctx, LCM_ERR_SHAPE, "tensor '%.200s' has fewer than 4 rows", t->name);
    LCM_TRY(lcm_grow(ctx, &imp->items, &imp->cap, imp->n + 1, sizeof *imp->items));
    LCM_TRY(lcm_calloc(ctx, &item, 1, sizeof *item));
    snprintf(item->name, sizeof item->name, "%s", p->name);
    item->file = file;
    item->t = t;
    item->fairseq_rows = fairseq_rows;
    imp->items[imp->n++] = item;
    return LCM_OK;
}

void lcm_import_free(lcm_import *imp) {
    for (size_t i = 0; i < imp->n; i++) free(imp->items[i]);
    free(imp->items);
    memset(imp, 0, sizeof *imp);
}

/* lcm_st_fill */
static lcm_status read_values(lcm_ctx *ctx, void *user, real *dst, int64_t first, int64_t n) {
    static const int64_t from[4] = {1, 3, 0, 2};
    const lcm_import_item *m = user;
    int64_t cols = m->t->ndim == 2 ? m->t->dims[1] : 1;
    while (m->fairseq_rows && n > 0 && first < 4 * cols) {
        int64_t row = first / cols, col = first % cols, k = cols - col < n ? cols - col : n;
        LCM_TRY(lcm_weights_read(ctx, dst, m->file, m->t, from[row] * cols + col, k));
        first += k;
        dst += k;
        n -= k;
    }
    return lcm_weights_read(ctx, dst, m->file, m->t, first, n);
}

static lcm_dtype stored_as(const lcm_weight *t, int dtype) {
    if (dtype == LCM_IMPORT_F16 && t->ndim >= 2) return LCM_DT_F16;
    if (dtype != LCM_IMPORT_KEEP || t->dtype == LCM_DT_F64) return LCM_DT_F32;
    return t->dtype;
}

static lcm_status check_item(lcm_ctx *ctx, lcm_import_item *m, int dtype) {
    lcm_dtype as = stored_as(m->t, dtype);
    double most = as == LCM_DT_F16 ? F16_MAX : 3.4028234663852886e38;
    real x[PIECE];
    float f[PIECE];
    m->hash = LCM_HASH_INIT;
    for (int64_t i = 0, n; i < m->t->count; i += n) {
        n = m->t->count - i < PIECE ? m->t->count - i : PIECE;
        LCM_TRY(read_values(ctx, m, x, i, n));
        for (int64_t k = 0; k < n; k++) {
            if (!(fabs((double)x[k]) <= most))
                LCM_FAIL(ctx, LCM_ERR_NUMERIC, "tensor '%.200s' holds %g at element %lld: not finite as %s", m->t->name,
                         (double)x[k], (long long)(i + k), lcm_dtype_name(as));
            f[k] = (float)x[k];
        }
        m->hash = lcm_hash64(m->hash, f, (size_t)n * sizeof *f);
    }
    return LCM_OK;
}

lcm_status lcm_import_check(lcm_ctx *ctx, lcm_import *imp, int dtype) {
    for (size_t i = 0; i < imp->n; i++) LCM_TRY(check_item(ctx, imp->items[i], dtype));
    return LCM_OK;
}

lcm_status lcm_import_put(lcm_ctx *ctx, const lcm_import *imp, lcm_st_writer *w, int dtype) {
    for (size_t i = 0; i < imp->n; i++) {
        lcm_import_item *m = imp->items[i];
        LCM_TRY(lcm_st_writer_add_stream(ctx, w, m->name, stored_as(m->t, dtype), m->t->dims, m->t->ndim, read_values, m));
    }
    return LCM_OK;
}

lcm_status lcm_import_same(lcm_ctx *ctx, bool *same, lcm_import_item *a, lcm_import_item *b) {
    real x[PIECE], y[PIECE];
    *same = a->t->count == b->t->count;
    for (int64_t i = 0, n; *same && i < a->t->count; i += n) {
        n = a->t->count - i < PIECE ? a->t->count - i : PIECE;
        LCM_TRY(read_values(ctx, a, x, i, n));
        LCM_TRY(read_values(ctx, b, y, i, n));
        *same = memcmp(x, y, (size_t)n * sizeof *x) == 0;
    }
    return LCM_OK;
}
