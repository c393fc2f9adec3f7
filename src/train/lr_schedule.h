/* Learning rate as a function of the number of finished steps: optimiser step k uses
 * lcm_lr_at(k-1), so the first step runs at start_lr.
 *
 * b = lr, s = start_lr, f = final_lr, W = warmup_steps, K = max_steps. Below W steps every
 * schedule but "noop" and "wsd" climbs: s + (b-s) n/W. Formulas as in the reference code. */
#ifndef LCM_LR_SCHEDULE_H
#define LCM_LR_SCHEDULE_H

#include "base/config.h"

typedef enum lcm_lr_kind {
    LCM_LR_NOOP,      /* b */
    LCM_LR_MYLE,      /* b sqrt(W/n); f is unused */
    LCM_LR_COSINE,    /* f + (b-f)(1+cos(pi c/C))/2, C = K-W+1, c = (n-W) mod C: restarts at b after K */
    LCM_LR_WSD,       /* stages of int(fraction·K) steps: linear to b, hold, exponential to f; W unused */
    LCM_LR_POLYNOMIAL /* f + (b-f)((K-n)/(K-W))^power, f from K on */
} lcm_lr_kind;

typedef struct lcm_lr_config {
    int schedule; /* lcm_lr_kind */
    double lr, start_lr, final_lr;
    int64_t warmup_steps, max_steps;
    double stage_warmup, stage_hold, stage_decay; /* wsd: fractions of max_steps, sum <= 1 */
    double power;                                 /* polynomial; the reference code fixes 200 */
} lcm_lr_config;

extern const lcm_field lcm_lr_fields[];

/* Cosine, 4e-4, from 1e-7 and to 1e-5, 10k of 250k steps; stages (.1, .4, .5); power 200. */
lcm_lr_config lcm_lr_config_default(void);

/* Relations that the field table cannot express. LCM_ERR_ARG: myle with W = 0, W > K (cosine),
 * W >= K (polynomial), stage fractions summing to more than 1, an exponential decay from or to 0. */
lcm_status lcm_lr_check(lcm_ctx *ctx, const lcm_lr_config *config);

double lcm_lr_at(const lcm_lr_config *config, int64_t n); /* a checked config; n >= 0 */

#endif
