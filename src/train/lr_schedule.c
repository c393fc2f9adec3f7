/* Learning-rate schedules. */
#include "train/lr_schedule.h"

#include <math.h>

static const char *const schedule_names[] = {"noop", "myle", "cosine", "wsd", "polynomial", NULL};

const lcm_field lcm_lr_fields[] = {
    LCM_F_ENUM(lcm_lr_config, schedule, schedule_names, "shape of the schedule"),
    LCM_F_REAL(lcm_lr_config, lr, 0, 1e3, "highest rate"),
    LCM_F_REAL(lcm_lr_config, start_lr, 0, 1e3, "rate of the first step"),
    LCM_F_REAL(lcm_lr_config, final_lr, 0, 1e3, "rate of the last step"),
    LCM_F_INT(lcm_lr_config, warmup_steps, 0, 1e12, "steps of the climb"),
    LCM_F_INT(lcm_lr_config, max_steps, 1, 1e12, "steps of the run"),
    LCM_F_REAL(lcm_lr_config, stage_warmup, 0, 1, "wsd: fraction of steps that climb"),
    LCM_F_REAL(lcm_lr_config, stage_hold, 0, 1, "wsd: fraction of steps at the highest rate"),
    LCM_F_REAL(lcm_lr_config, stage_decay, 0, 1, "wsd: fraction of steps that decay"),
    LCM_F_REAL(lcm_lr_config, power, 0, 1e6, "polynomial: exponent"),
    LCM_F_END};

lcm_lr_config lcm_lr_config_default(void) {
    return (lcm_lr_config){.schedule = LCM_LR_COSINE,
                           .lr = 4e-4,
                           .start_lr = 1e-7,
                           .final_lr = 1e-5,
                           .warmup_steps = 10000,
                           .max_steps = 250000,
                           .stage_warmup = 0.1,
                           .stage_hold = 0.4,
                           .stage_decay = 0.5,
                           .power = 200};
}

lcm_status lcm_lr_check(lcm_ctx *ctx, const lcm_lr_config *c) {
    long long w = c->warmup_steps, k = c->max_steps;
    double stages = c->stage_warmup + c->stage_hold + c->stage_decay;
    if (w < 0 || k < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "lr: %lld warm-up steps of %lld", w, k);
    if (c->schedule == LCM_LR_MYLE && w == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "lr: myle needs warmup_steps >= 1");
    if (c->schedule == LCM_LR_COSINE && w > k)
        LCM_FAIL(ctx, LCM_ERR_ARG, "lr: cosine with %lld warm-up steps of %lld", w, k);
    if (c->schedule == LCM_LR_POLYNOMIAL && w >= k)
        LCM_FAIL(ctx, LCM_ERR_ARG, "lr: polynomial with %lld warm-up steps of %lld", w, k);
    if (c->schedule == LCM_LR_WSD) {
        if (!(stages <= 1 + 1e-9))
            LCM_FAIL(ctx, LCM_ERR_ARG, "lr: stage fractions sum to %g, more than 1", stages);
        if (!(c->lr > 0 && c->final_lr > 0))
            LCM_FAIL(ctx, LCM_ERR_ARG, "lr: exponential decay from %g to %g", c->lr, c->final_lr);
    }
    return LCM_OK;
}

static double wsd(const lcm_lr_config *c, int64_t n) {
    double k = (double)c->max_steps;
    int64_t climb = (int64_t)(c->stage_warmup * k), hold = (int64_t)(c->stage_hold * k);
    int64_t decay = (int64_t)(c->stage_decay * k);
    if (n < climb) return c->start_lr + (c->lr - c->start_lr) * (double)n / (double)climb;
    n -= climb;
    if (n < hold) return c->lr;
    n -= hold;
    if (n < decay) return c->lr * exp(log(c->final_lr / c->lr) * (double)n / (double)decay);
    return c->final_lr;
}

double lcm_lr_at(const lcm_lr_config *c, int64_t n) {
    double b = c->lr, f = c->final_lr, w = (double)c->warmup_steps, k = (double)c->max_steps;
    double pi = 2 * acos(0.0);
    int64_t cycle = c->max_steps - c->warmup_steps + 1;
    if (c->schedule == LCM_LR_NOOP) return b;
    if (c->schedule == LCM_LR_WSD) return wsd(c, n);
    if (n < c->warmup_steps) return c->start_lr + (b - c->start_lr) * (double)n / w;
    switch (c->schedule) {
    case LCM_LR_MYLE:
        return b * sqrt(w / (double)n);
    case LCM_LR_COSINE:
        return f + 0.5 * (b - f) * (1 + cos(pi * (double)((n - c->warmup_steps) % cycle) / (double)cycle));
    default:
        return n >= c->max_steps ? f : f + (b - f) * pow((k - (double)n) / (k - w), c->power);
    }
}
