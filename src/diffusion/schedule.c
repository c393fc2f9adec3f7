/* Beta schedules and the conversions between x0, noise, velocity and the noisy row. */
#include "diffusion/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const schedule_names[] = {"cosine", "linear", "scaled_linear", "sigmoid", NULL};
static const char *const prediction_names[] = {"sample", "epsilon", "v", NULL};

const lcm_field lcm_schedule_fields[] = {
    LCM_F_INT(lcm_schedule_config, train_steps, 2, LCM_TRAIN_STEPS_MAX, "number of noise levels"),
    LCM_F_ENUM(lcm_schedule_config, beta_schedule, schedule_names, "shape of the schedule"),
    LCM_F_REAL(lcm_schedule_config, beta_start, 1e-12, 0.999999, "first beta (linear, scaled_linear)"),
    LCM_F_REAL(lcm_schedule_config, beta_end, 1e-12, 0.999999, "last beta (linear, scaled_linear)"),
    LCM_F_REAL(lcm_schedule_config, exponent, 0.01, 100, "scaled_linear: 2 is quadratic"),
    LCM_F_REAL(lcm_schedule_config, sigmoid_scale, 1e-3, 100, "sigmoid: width in log-SNR"),
    LCM_F_REAL(lcm_schedule_config, sigmoid_centre, -100, 100, "sigmoid: mean log-SNR"),
    LCM_F_BOOL(lcm_schedule_config, zero_terminal_snr, "rescale so that the last level is pure noise"),
    LCM_F_ENUM(lcm_schedule_config, prediction, prediction_names, "meaning of the network output"),
    LCM_F_END};

lcm_schedule_config lcm_schedule_config_default(void) {
    return (lcm_schedule_config){.train_steps = 100,
                                 .beta_schedule = LCM_SCHEDULE_COSINE,
                                 .beta_start = 1e-4,
                                 .beta_end = 0.02,
                                 .exponent = 2,
                                 .sigmoid_scale = 1.5,
                                 .sigmoid_centre = 0,
                                 .zero_terminal_snr = true,
                                 .prediction = LCM_PREDICT_SAMPLE};
}

/* Unnormalised abar at u in [0,1]; the constant f(0) of the paper cancels in the ratios. */
static double curve(const lcm_schedule_config *c, double u) {
    if (c->beta_schedule == LCM_SCHEDULE_COSINE) {
        double x = cos((u + 0.008) / 1.008 * acos(0.0));
        return x * x;
    }
    /* u = 0 and u = 1 go through the infinities of log to exactly 1 and 0 */
    return 1 / (1 + exp(c->sigmoid_scale * log(u / (1 - u)) - c->sigmoid_centre));
}

static double beta_at(const lcm_schedule_config *c, int64_t i) {
    double n = (double)c->train_steps, e = c->beta_schedule == LCM_SCHEDULE_LINEAR ? 1 : c->exponent;
    double lo, hi;
    if (c->beta_schedule == LCM_SCHEDULE_COSINE || c->beta_schedule == LCM_SCHEDULE_SIGMOID)
        return fmin(1 - curve(c, (double)(i + 1) / n) / curve(c, (double)i / n), 0.999);
    lo = pow(c->beta_start, 1 / e);
    hi = pow(c->beta_end, 1 / e);
    return pow(lo + (hi - lo) * (double)i / (n - 1), e);
}

static void rescale_to_zero_snr(double *alpha_bar, double *beta, int64_t n) {
    double first = sqrt(alpha_bar[0]), last = sqrt(alpha_bar[n - 1]), before = 1;
    for (int64_t i = 0; i < n; i++) {
        double a = (sqrt(alpha_bar[i]) - last) * first / (first - last);
        alpha_bar[i] = a * a;
        beta[i] = 1 - alpha_bar[i] / before;
        before = alpha_bar[i];
    }
}

lcm_status lcm_schedule_new(lcm_ctx *ctx, lcm_schedule **out, const lcm_schedule_config *config) {
    int64_t n = config->train_steps;
    lcm_schedule *s = NULL;
    double product = 1;
    *out = NULL;
    if (n < 2 || n > LCM_TRAIN_STEPS_MAX)
        LCM_FAIL(ctx, LCM_ERR_ARG, "schedule: %lld train steps, allowed are 2 … %d", (long long)n,
                 LCM_TRAIN_STEPS_MAX);
    if (config->prediction == LCM_PREDICT_EPSILON && config->zero_terminal_snr)
        LCM_FAIL(ctx, LCM_ERR_ARG, "schedule: prediction 'epsilon' needs zero_terminal_snr false");
    LCM_TRY(lcm_calloc(ctx, &s, 1, sizeof *s + 2 * (size_t)n * sizeof(double)));
    s->config = *config;
    s->beta = (double *)(void *)(s + 1);
    s->alpha_bar = s->beta + n;
    for (int64_t i = 0; i < n; i++) {
        s->beta[i] = beta_at(config, i);
        s->alpha_bar[i] = product *= 1 - s->beta[i];
    }
    if (config->zero_terminal_snr) rescale_to_zero_snr(s->alpha_bar, s->beta, n);
    for (int64_t i = 0; i < n; i++) /* written so that NaN fails */
        if (!(s->alpha_bar[i] < lcm_schedule_alpha_bar(s, i - 1) && s->alpha_bar[i] >= 0)) {
            lcm_fail(ctx, LCM_ERR_ARG, "schedule: alpha-bar %g at step %lld does not decrease from %g",
                     s->alpha_bar[i], (long long)i, lcm_schedule_alpha_bar(s, i - 1));
            lcm_schedule_free(s);
            return LCM_ERR_ARG;
        }
    *out = s;
    return LCM_OK;
}

void lcm_schedule_free(lcm_schedule *s) { free(s); }

double lcm_schedule_snr(const lcm_schedule *s, int64_t t) {
    double a = lcm_schedule_alpha_bar(s, t);
    return a / (1 - a);
}

double lcm_schedule_variance(const lcm_schedule *s, int64_t t, int64_t prev) {
    double a = lcm_schedule_alpha_bar(s, t), b = lcm_schedule_alpha_bar(s, prev);
    return (1 - b) / (1 - a) * (1 - a / b);
}

static void mix(real *out, double p, const real *a, double q, const real *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = (real)(p * a[i] + q * b[i]);
}

void lcm_add_noise(const lcm_schedule *s, real *out, const real *x0, const real *eps, const int64_t *t,
                   int64_t rows, int64_t dim) {
    for (int64_t r = 0; r < rows; r++) {
        double a = s->alpha_bar[t[r]];
        mix(out + r * dim, sqrt(a), x0 + r * dim, sqrt(1 - a), eps + r * dim, dim);
    }
}

void lcm_velocity(const lcm_schedule *s, real *out, const real *x0, const real *eps, const int64_t *t,
                  int64_t rows, int64_t dim) {
    for (int64_t r = 0; r < rows; r++) {
        double a = s->alpha_bar[t[r]];
        mix(out + r * dim, sqrt(a), eps + r * dim, -sqrt(1 - a), x0 + r * dim, dim);
    }
}

void lcm_diffusion_target(const lcm_schedule *s, real *out, const real *x0, const real *eps, const int64_t *t,
                          int64_t rows, int64_t dim) {
    size_t bytes = (size_t)rows * (size_t)dim * sizeof(real);
    if (s->config.prediction == LCM_PREDICT_V)
        lcm_velocity(s, out, x0, eps, t, rows, dim);
    else
        memmove(out, s->config.prediction == LCM_PREDICT_SAMPLE ? x0 : eps, bytes);
}

void lcm_split_prediction(const lcm_schedule *s, real *x0, real *eps, const real *out, const real *x,
                          lcm_prediction kind, int64_t t, int64_t n) {
    double a = sqrt(s->alpha_bar[t]), b = sqrt(1 - s->alpha_bar[t]);
    /* x0 = x0_out·out + x0_x·x, and the same for the noise */
    double x0_out = 1, x0_x = 0, eps_out = 1, eps_x = 0;
    switch (kind) {
    case LCM_PREDICT_SAMPLE:
        eps_out = -a / b, eps_x = 1 / b;
        break;
    case LCM_PREDICT_EPSILON:
        x0_out = -b / a, x0_x = 1 / a;
        break;
    case LCM_PREDICT_V:
        x0_out = -b, x0_x = a, eps_out = a, eps_x = b;
        break;
    }
    for (int64_t i = 0; i < n; i++) {
        double o = out[i], y = x[i];
        if (x0) x0[i] = (real)(x0_out * o + x0_x * y);
        if (eps) eps[i] = (real)(eps_out * o + eps_x * y);
    }
}
