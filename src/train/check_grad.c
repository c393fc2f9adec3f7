/* Gradient check of a whole task: analytic against central directional derivatives. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/trainer.h"

/* Data position is put back before every evaluation, so each sees the same batch. */
static lcm_status eval(lcm_ctx *ctx, lcm_task *task, lcm_tape *tape, uint64_t seed, const int64_t *state, bool backward,
                       double *sum) {
    lcm_task_loss l = {0};
    LCM_TRY(task->seek(ctx, task->self, state));
    lcm_tape_reset(tape, (lcm_tape_opts){.record = backward, .train = true});
    lcm_tape_seed(tape, seed, 0);
    LCM_TRY(task->loss(ctx, task->self, tape, seed, 0, &l));
    if (backward) LCM_TRY(lcm_tape_backward(tape, l.out, NULL));
    *sum = l.sum;
    return LCM_OK;
}

static lcm_status check_tensor(lcm_ctx *ctx, lcm_task *task, lcm_tape *tape, uint64_t seed, const int64_t *state,
                               lcm_param *p, lcm_rng *rng, double loss, double *error) {
    int64_t n = p->t.rows * p->t.cols;
    double analytic = 0, norm = 0, plus, minus, h, numeric, scale = 0;
    real *dir, *old;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &dir, (size_t)n * 2, sizeof *dir));
    old = dir + n;
    memcpy(old, p->t.x, (size_t)n * sizeof *old);
    for (int64_t i = 0; i < n; i++) {
        double d = lcm_rng_normal(rng);
        dir[i] = (real)d;
        analytic += d * (double)p->t.g[i];
        norm += d * d;
        scale += fabs((double)old[i]);
    }
    h = (sizeof(real) == 8 ? 1e-5 : 1e-3) * fmax(scale / (double)n, 1e-2) * sqrt((double)n / norm);
    for (int64_t i = 0; i < n; i++) p->t.x[i] = old[i] + (real)h * dir[i];
    st = eval(ctx, task, tape, seed, state, false, &plus);
    for (int64_t i = 0; i < n; i++) p->t.x[i] = old[i] - (real)h * dir[i];
    if (st == LCM_OK) st = eval(ctx, task, tape, seed, state, false, &minus);
    memcpy(p->t.x, old, (size_t)n * sizeof *old);
    free(dir);
    if (st) return st;
    numeric = (plus - minus) / (2 * h);
    /* below a ten-thousandth of the loss a derivative counts as zero: that of a key bias is exactly */
    *error = fabs(numeric - analytic) / fmax(fmax(fabs(numeric), fabs(analytic)), 1e-4 * fabs(loss));
    return LCM_OK;
}

lcm_status lcm_train_check_grad(lcm_ctx *ctx, lcm_task *task, uint64_t seed, int64_t directions, double *worst,
                                char *worst_name, size_t cap) {
    lcm_tape *tape = lcm_tape_new(ctx, 64 << 20);
    lcm_rng rng = lcm_rng_make(seed, LCM_RNG_TEST);
    lcm_params *p = task->params;
    int64_t state[LCM_TASK_STATE] = {0};
    double sum;
    lcm_status st;
    if (tape == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: step arena");
    task->tell(task->self, state);
    memset(p->g, 0, (size_t)p->n_flat * sizeof *p->g);
    *worst = 0;
    snprintf(worst_name, cap, "-");
    st = eval(ctx, task, tape, seed, state, true, &sum);
    for (size_t i = 0; st == LCM_OK && i < p->n; i++) {
        for (int64_t k = 0; st == LCM_OK && p->items[i]->t.needs && k < directions; k++) {
            double error = 0;
            st = check_tensor(ctx, task, tape, seed, state, p->items[i], &rng, sum, &error);
            if (st == LCM_OK && !(error <= *worst)) {
                *worst = error;
                snprintf(worst_name, cap, "%s", p->items[i]->name);
            }
        }
    }
    lcm_tape_free(tape);
    return st;
}
