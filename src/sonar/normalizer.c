/* Normaliser: application and fitting. */
#include "sonar/normalizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/quantile.h"

static const char *const method_names[] = {"standard", "robust", "gaussian_robust", NULL};

const lcm_field lcm_normalizer_fields[] = {
    LCM_F_INT(lcm_normalizer_config, dim, 1, 1 << 20, "width of a concept"),
    LCM_F_BOOL(lcm_normalizer_config, with_fft, "normalise the Fourier transform"),
    LCM_F_REAL(lcm_normalizer_config, clip_proba, 0, 0.5, "quantile of the clip bounds, 0 is no clipping"),
    LCM_F_ENUM(lcm_normalizer_config, method, method_names, "how scale and centre are fitted"),
    LCM_F_REAL(lcm_normalizer_config, quantile_min, 0, 1, "lower quantile of the robust scale"),
    LCM_F_REAL(lcm_normalizer_config, quantile_max, 0, 1, "upper quantile of the robust scale"),
    LCM_F_BOOL(lcm_normalizer_config, compat_percent,
               "read the quantiles as percent, as the reference code does"),
    LCM_F_END};

lcm_normalizer_config lcm_normalizer_config_default(void) {
    return (lcm_normalizer_config){
        .dim = 1024, .method = LCM_NORMALIZE_GAUSSIAN_ROBUST, .quantile_min = 0.25, .quantile_max = 0.75};
}

static lcm_status check_config(lcm_ctx *ctx, const lcm_normalizer_config *c) {
    if (c->dim < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "normalizer: width %lld is not positive", (long long)c->dim);
    if (!(c->quantile_min >= 0 && c->quantile_min < c->quantile_max && c->quantile_max <= 1))
        LCM_FAIL(ctx, LCM_ERR_ARG, "normalizer: quantiles %g and %g are not in order within 0 … 1",
                 c->quantile_min, c->quantile_max);
    if (c->method == LCM_NORMALIZE_GAUSSIAN_ROBUST &&
        (c->quantile_min == 0 || (c->quantile_max == 1 && !c->compat_percent)))
        LCM_FAIL(ctx, LCM_ERR_ARG, "normalizer: gaussian_robust needs quantiles strictly within 0 … 1");
    if (!(c->clip_proba >= 0 && c->clip_proba < 0.5))
        LCM_FAIL(ctx, LCM_ERR_ARG, "normalizer: clip_proba %g is outside 0 … 0.5", c->clip_proba);
    return LCM_OK;
}

lcm_status lcm_normalizer_new(lcm_ctx *ctx, lcm_normalizer **out, const lcm_normalizer_config *config) {
    lcm_normalizer *nz = NULL;
    int64_t d = config->dim;
    lcm_status st = LCM_OK;
    *out = NULL;
    LCM_TRY(check_config(ctx, config));
    LCM_TRY(lcm_calloc(ctx, &nz, 1, sizeof *nz));
    nz->config = *config;
    if (config->with_fft) st = lcm_fft_new(ctx, &nz->fft, d);
    if (st == LCM_OK) st = lcm_calloc(ctx, &nz->center, (size_t)d, 4 * sizeof(real));
    if (st != LCM_OK) {
        lcm_normalizer_free(nz);
        return st;
    }
    nz->scale = nz->center + d;
    for (int64_t i = 0; i < d; i++) nz->scale[i] = 1;
    if (config->clip_proba > 0) {
        nz->clip_min = nz->scale + d;
        nz->clip_max = nz->clip_min + d;
        for (int64_t i = 0; i < d; i++) {
            nz->clip_min[i] = -(real)INFINITY;
            nz->clip_max[i] = (real)INFINITY;
        }
    }
    *out = nz;
    return LCM_OK;
}

void lcm_normalizer_free(lcm_normalizer *nz) {
    if (nz == NULL) return;
    lcm_fft_free(nz->fft);
    free(nz->center);
    free(nz);
}

lcm_status lcm_normalizer_check(lcm_ctx *ctx, const lcm_normalizer *nz) {
    for (int64_t i = 0; i < nz->config.dim; i++) {
        if (!isfinite(nz->center[i]) || !isfinite(nz->scale[i]) || nz->scale[i] <= 0)
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "normalizer: channel %lld has centre %g and scale %g",
                     (long long)i, (double)nz->center[i], (double)nz->scale[i]);
        if (nz->clip_min && !(nz->clip_min[i] <= nz->clip_max[i]))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "normalizer: channel %lld has clip bounds %g … %g", (long long)i,
                     (double)nz->clip_min[i], (double)nz->clip_max[i]);
    }
    return LCM_OK;
}

int64_t lcm_normalizer_scratch(const lcm_normalizer *nz) { return nz->fft ? lcm_fft_scratch(nz->fft) : 0; }

static void clip_row(const lcm_normalizer *nz, real *z) {
    if (nz->clip_min == NULL) return;
    for (int64_t i = 0; i < nz->config.dim; i++)
        z[i] = z[i] < nz->clip_min[i] ? nz->clip_min[i] : z[i] > nz->clip_max[i] ? nz->clip_max[i] : z[i];
}

void lcm_normalize(const lcm_normalizer *nz, real *out, const real *x, int64_t rows, double *scratch) {
    int64_t d = nz->config.dim;
    for (int64_t r = 0; r < rows; r++, out += d, x += d) {
        const real *from = x;
        if (nz->fft) {
            lcm_fft_forward(nz->fft, out, x, scratch);
            from = out;
        }
        for (int64_t i = 0; i < d; i++) out[i] = (from[i] - nz->center[i]) / nz->scale[i];
        clip_row(nz, out);
    }
}

void lcm_denormalize(const lcm_normalizer *nz, real *out, const real *z, int64_t rows, double *scratch) {
    int64_t d = nz->config.dim;
    for (int64_t r = 0; r < rows; r++, out += d, z += d) {
        if (out != z) memcpy(out, z, (size_t)d * sizeof(real));
        clip_row(nz, out);
        for (int64_t i = 0; i < d; i++) out[i] = out[i] * nz->scale[i] + nz->center[i];
        if (nz->fft) lcm_fft_inverse(nz->fft, out, out, scratch);
    }
}

/* Inverse of the normal distribution function, 0 < p < 1. Bisection: twice per fit, exact to the
 * last bits of erfc. */
static double normal_quantile(double p) {
    double lo = -40, hi = 40;
    for (int i = 0; i < 100; i++) {
        double mid = (lo + hi) / 2;
        if (0.5 * erfc(-mid / sqrt(2.0)) < p)
            lo = mid;
        else
            hi = mid;
    }
    return (lo + hi) / 2;
}

static void fit_standard(double *center, double *scale, const real *v, int64_t n) {
    double sum = 0, ss = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)v[i] - (double)v[0]; /* shifted: a constant channel has exactly no spread */
    *center = v[0] + sum / (double)n;
    for (int64_t i = 0; i < n; i++) ss += (v[i] - *center) * (v[i] - *center);
    *scale = sqrt(ss / (double)n);
}

/* v holds all n values of channel d and is reordered. */
static void fit_channel(lcm_normalizer *nz, int64_t d, real *v, int64_t n) {
    const lcm_normalizer_config *c = &nz->config;
    double unit = c->compat_percent ? 0.01 : 1, lo = c->quantile_min * unit, hi = c->quantile_max * unit;
    double center, scale;
    if (c->method == LCM_NORMALIZE_STANDARD)
        fit_standard(&center, &scale, v, n);
    else {
        center = lcm_quantile(v, n, 0.5);
        scale = lcm_quantile(v, n, hi) - lcm_quantile(v, n, lo);
        if (c->method == LCM_NORMALIZE_GAUSSIAN_ROBUST) scale /= normal_quantile(hi) - normal_quantile(lo);
    }
    if ((real)scale == 0) scale = 1;
    nz->center[d] = (real)center;
    nz->scale[d] = (real)scale;
    if (nz->clip_min) { /* quantiles commute with an increasing affine map */
        nz->clip_min[d] = (real)((lcm_quantile(v, n, c->clip_proba) - center) / scale);
        nz->clip_max[d] = (real)((lcm_quantile(v, n, 1 - c->clip_proba) - center) / scale);
    }
}

/* Reads channels first … first+count-1 of every row into columns [count,n]. */
static lcm_status read_columns(lcm_ctx *ctx, const lcm_normalizer *nz, real *columns, int64_t first,
                               int64_t count, lcm_row_fn row, void *user, int64_t n, real *one,
                               double *scratch) {
    for (int64_t i = 0; i < n; i++) {
        LCM_TRY(row(ctx, user, one, i));
        if (nz->fft) lcm_fft_forward(nz->fft, one, one, scratch);
        for (int64_t k = 0; k < count; k++) {
            if (!isfinite(one[first + k]))
                LCM_FAIL(ctx, LCM_ERR_NUMERIC, "normalizer: channel %lld of row %lld is not finite",
                         (long long)(first + k), (long long)i);
            columns[k * n + i] = one[first + k];
        }
    }
    return LCM_OK;
}

lcm_status lcm_normalizer_fit(lcm_ctx *ctx, lcm_normalizer *nz, lcm_row_fn row, void *user, int64_t n,
                              size_t max_bytes) {
    int64_t dim = nz->config.dim, block;
    size_t column = 0, cells = 0;
    real *columns = NULL, *one = NULL;
    double *scratch = NULL;
    lcm_status st;
    if (n < 1 || !lcm_mul_size(&column, (size_t)n, sizeof(real)))
        LCM_FAIL(ctx, LCM_ERR_ARG, "normalizer: cannot fit %lld rows", (long long)n);
    if (max_bytes == 0) max_bytes = (size_t)256 << 20;
    block = (int64_t)(max_bytes / column);
    block = block < 1 ? 1 : block > dim ? dim : block;
    if (!lcm_mul_size(&cells, (size_t)n, (size_t)block))
        LCM_FAIL(ctx, LCM_ERR_ARG, "normalizer: cannot fit %lld rows", (long long)n);
    st = lcm_calloc(ctx, &columns, cells, sizeof(real));
    if (st == LCM_OK) st = lcm_calloc(ctx, &one, (size_t)dim, sizeof(real));
    if (st == LCM_OK && nz->fft)
        st = lcm_calloc(ctx, &scratch, (size_t)lcm_normalizer_scratch(nz), sizeof(double));
    for (int64_t first = 0; st == LCM_OK && first < dim; first += block) {
        int64_t count = first + block > dim ? dim - first : block;
        st = read_columns(ctx, nz, columns, first, count, row, user, n, one, scratch);
        for (int64_t k = 0; st == LCM_OK && k < count; k++) fit_channel(nz, first + k, columns + k * n, n);
    }
    free(columns);
    free(one);
    free(scratch);
    return st;
}
