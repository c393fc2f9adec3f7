/* Noise schedules: how much signal is left at step t of the forward process.
 *
 *     x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps,   t = 0 … N-1,  abar_t = prod_{s<=t} (1 - beta_s)
 *
 * abar_{-1} = 1 stands for clean data. Tables are double; rows are `real`. Arithmetic per element
 * is double too: 1/sqrt(abar) reaches 1e4 near the last step, and rows are short next to a model.
 * Source: arXiv 2412.08821 §2.3.2; the discretisation is the one of the reference code. */
#ifndef LCM_SCHEDULE_H
#define LCM_SCHEDULE_H

#include <stdbool.h>

#include "base/config.h"
#include "kernels/real.h"

enum { LCM_TRAIN_STEPS_MAX = 100000 };

typedef enum lcm_schedule_kind {
    LCM_SCHEDULE_COSINE, /* beta_i = min(1 - f((i+1)/N)/f(i/N), .999), f(u) = cos²(((u+.008)/1.008) pi/2) */
    LCM_SCHEDULE_LINEAR, /* beta from beta_start to beta_end, both included */
    LCM_SCHEDULE_SCALED_LINEAR, /* linear in beta^(1/exponent); exponent 2 is the paper's "quadratic" */
    LCM_SCHEDULE_SIGMOID        /* as cosine with f(u) = sigmoid(centre - scale logit(u)) */
} lcm_schedule_kind;

/* What the network's output means. */
typedef enum lcm_prediction {
    LCM_PREDICT_SAMPLE,  /* x0 */
    LCM_PREDICT_EPSILON, /* the noise */
    LCM_PREDICT_V        /* sqrt(abar) eps - sqrt(1-abar) x0 */
} lcm_prediction;

typedef struct lcm_schedule_config {
    int64_t train_steps; /* N */
    int beta_schedule;   /* lcm_schedule_kind */
    double beta_start, beta_end, exponent;
    double sigmoid_scale; /* the paper gives pairs (scale, centre), and swaps their names once */
    double sigmoid_centre;
    bool zero_terminal_snr; /* rescale so that abar_{N-1} = 0 exactly (Lin et al. 2024, algorithm 1) */
    int prediction;         /* lcm_prediction */
} lcm_schedule_config;

extern const lcm_field lcm_schedule_fields[];

/* N = 100, cosine, zero terminal SNR, prediction "sample". */
lcm_schedule_config lcm_schedule_config_default(void);

typedef struct lcm_schedule {
    lcm_schedule_config config;
    double *beta, *alpha_bar; /* [N] */
} lcm_schedule;

/* LCM_ERR_ARG when the numbers do not give 1 > abar_0 > abar_1 > … >= 0, or when "epsilon" is
 * asked of a schedule with zero terminal SNR: there the last step holds no signal, so its noise
 * says nothing about x0 and x0 would be 0/0. */
lcm_status lcm_schedule_new(lcm_ctx *ctx, lcm_schedule **out, const lcm_schedule_config *config);
void lcm_schedule_free(lcm_schedule *s); /* NULL is allowed */

/* NaN stays NaN, unlike with fmin and fmax: a diverged row must not pass for a clipped one. */
static inline double lcm_clamp(double x, double bound) { return x > bound ? bound : x < -bound ? -bound : x; }

static inline double lcm_schedule_alpha_bar(const lcm_schedule *s, int64_t t) {
    return t < 0 ? 1.0 : s->alpha_bar[t];
}

/* abar/(1-abar): strictly decreasing in t, 0 at the last step with zero terminal SNR. */
double lcm_schedule_snr(const lcm_schedule *s, int64_t t);

/* Variance of one ancestral step from t to prev (< t, -1 allowed), eta = 1. */
double lcm_schedule_variance(const lcm_schedule *s, int64_t t, int64_t prev);

/* Training side. Rows [R,D], one t per row; out may alias an input. */
void lcm_add_noise(const lcm_schedule *s, real *out, const real *x0, const real *eps, const int64_t *t,
                   int64_t rows, int64_t dim);
void lcm_velocity(const lcm_schedule *s, real *out, const real *x0, const real *eps, const int64_t *t,
                  int64_t rows, int64_t dim);
/* What a network of this prediction kind is trained towards: x0, eps or the velocity. */
void lcm_diffusion_target(const lcm_schedule *s, real *out, const real *x0, const real *eps, const int64_t *t,
                          int64_t rows, int64_t dim);

/* Splits a network output at step t into its x0 and noise, n numbers; either result may be NULL,
 * and may alias an input. `kind` need not be the schedule's own (guided steps are "epsilon"). */
void lcm_split_prediction(const lcm_schedule *s, real *x0, real *eps, const real *out, const real *x,
                          lcm_prediction kind, int64_t t, int64_t n);

#endif
