/* DDIM step and dynamic thresholding. */
#include "diffusion/ddim.h"

#include "kernels/quantile.h"

lcm_ddim_options lcm_ddim_options_default(void) {
    return (lcm_ddim_options){.epsilon_scaling = 1, .threshold_ratio = 0.995, .threshold_max = 6};
}

void lcm_threshold_rows(real *x, double ratio, double max, real *scratch, int64_t rows, int64_t dim) {
    for (int64_t r = 0; r < rows; r++, x += dim) {
        double b;
        for (int64_t i = 0; i < dim; i++) scratch[i] = (real)fabs((double)x[i]);
        b = fmin(fmax(lcm_quantile(scratch, dim, ratio), 1), max);
        for (int64_t i = 0; i < dim; i++) x[i] = (real)(lcm_clamp((double)x[i], b) / b);
    }
}

void lcm_ddim_step(const lcm_schedule *s, real *x0, real *x_prev, const real *out, const real *x,
                   lcm_prediction kind, int64_t t, int64_t prev, const real *noise,
                   const lcm_ddim_options *opt, real *scratch, int64_t rows, int64_t dim) {
    int64_t n = rows * dim;
    double a = lcm_schedule_alpha_bar(s, prev);
    double sd = opt->eta * sqrt(lcm_schedule_variance(s, t, prev));
    double keep = sqrt(a), noisy = sqrt(fmax(1 - a - sd * sd, 0)) / opt->epsilon_scaling;
    lcm_split_prediction(s, x0, x_prev, out, x, kind, t, n);
    if (opt->thresholding)
        lcm_threshold_rows(x0, opt->threshold_ratio, opt->threshold_max, scratch, rows, dim);
    else if (opt->clip_x0 > 0)
        for (int64_t i = 0; i < n; i++) x0[i] = (real)lcm_clamp((double)x0[i], opt->clip_x0);
    for (int64_t i = 0; i < n; i++) x_prev[i] = (real)(keep * x0[i] + noisy * x_prev[i]);
    if (sd > 0)
        for (int64_t i = 0; i < n; i++) x_prev[i] = (real)(x_prev[i] + sd * noise[i]);
}
