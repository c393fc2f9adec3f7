/* Training side of the noise levels: which t to draw, how to weight its loss, how to show t to
 * the network. */
#ifndef LCM_STEP_SAMPLER_H
#define LCM_STEP_SAMPLER_H

#include "base/rng.h"
#include "diffusion/schedule.h"

typedef enum lcm_step_sampling { LCM_STEPS_UNIFORM, LCM_STEPS_BETA } lcm_step_sampling;
typedef enum lcm_step_weighting { LCM_WEIGHT_NONE, LCM_WEIGHT_CLAMP_SNR } lcm_step_weighting;

typedef struct lcm_step_sampler_config {
    int sampling;          /* beta: P(t) ~ u^(a-1) (1-u)^(b-1), u = (t+1)/N */
    double beta_a, beta_b; /* b >= 1: below, the weight of t = N-1 is infinite */
    int weighting;         /* clamp_snr: weight ~ clamp(SNR_t, min_gamma, max_gamma) */
    double min_gamma, max_gamma;
} lcm_step_sampler_config;

extern const lcm_field lcm_step_sampler_fields[];

lcm_step_sampler_config lcm_step_sampler_config_default(void); /* uniform (.8, 1), none (0, 5) */

typedef struct lcm_step_sampler {
    lcm_step_sampler_config config;
    int64_t train_steps;
    double *probability, *cumulative, *gamma; /* [N], one heap block with the struct */
} lcm_step_sampler;

/* LCM_ERR_ARG: beta_a <= 0, beta_b < 1, min_gamma > max_gamma or either negative. */
lcm_status lcm_step_sampler_new(lcm_ctx *ctx, lcm_step_sampler **out, const lcm_schedule *schedule,
                                const lcm_step_sampler_config *config);
void lcm_step_sampler_free(lcm_step_sampler *s); /* NULL is allowed */

/* n independent levels, one per concept position. */
void lcm_step_sampler_draw(const lcm_step_sampler *s, int64_t *t, int64_t n, lcm_rng *rng);

/* Loss weights of the n counted positions of a batch, mean 1: w_k = gamma_k n / sum gamma. All 1
 * without weighting. When every gamma is 0 (all positions at zero SNR, min_gamma 0) all weights
 * are 0: such a batch carries no weight rather than a NaN. */
void lcm_step_sampler_weights(const lcm_step_sampler *s, real *w, const int64_t *t, int64_t n);

/* Rows [R,dim], dim even: cos then sin of t exp(-ln(10000) k/(dim/2)), k = 0 … dim/2-1; t is the
 * raw index, not a fraction. The network's own layers start from dim = 256. */
enum { LCM_TIMESTEP_FEATURES = 256 };
void lcm_timestep_features(real *out, const int64_t *t, int64_t rows, int64_t dim);

#endif
