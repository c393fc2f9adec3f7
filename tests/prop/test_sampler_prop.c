/* Sampling and guidance: what must hold whatever the numbers are. */
#include "prop/diffusion_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "diffusion/guidance.h"
#include "diffusion/sampler.h"

enum { R = 3, D = 16 };

/* A network that knows x0 and answers in the schedule's prediction kind. */
typedef struct oracle {
    const lcm_schedule *schedule;
    const real *x0;    /* [R,D] */
    const real *start; /* [R,D] or NULL: the noise that every x must lie on the straight path from */
    int64_t rows, calls, guided_calls, unguided_rows_at_top;
    real spoil; /* added to the unconditional branch */
} oracle;

static lcm_status answer(lcm_ctx *ctx, void *user, real *out, const real *x, int64_t rows, int64_t t) {
    oracle *o = user;
    double a = sqrt(o->schedule->alpha_bar[t]), b = sqrt(1 - o->schedule->alpha_bar[t]);
    int64_t n = o->rows * D;
    (void)ctx;
    assert_true(rows == o->rows || rows == 2 * o->rows);
    o->calls++;
    o->guided_calls += rows == 2 * o->rows;
    if (t == o->schedule->config.train_steps - 1) o->unguided_rows_at_top = rows;
    for (int64_t i = 0; i < rows * D; i++) {
        double x0 = (double)o->x0[i % n], eps = ((double)x[i] - a * x0) / b;
        if (i >= n) assert_true(x[i] == x[i - n]);
        if (o->start) assert_near((double)x[i], a * x0 + b * (double)o->start[i % n], 64 * EPS);
        switch (o->schedule->config.prediction) {
        case LCM_PREDICT_SAMPLE:
            out[i] = (real)x0;
            break;
        case LCM_PREDICT_EPSILON:
            out[i] = (real)eps;
            break;
        default:
            out[i] = (real)(a * eps - b * x0);
            break;
        }
        if (i >= n) out[i] += o->spoil;
    }
    return LCM_OK;
}

static void replay_noise(void *user, real *out, int64_t rows, int64_t dim, int64_t call) {
    assert_int_equal(call, 0);
    memcpy(out, user, (size_t)(rows * dim) * sizeof(real));
}

/* With a perfect network any subset of steps returns x0, and with zero terminal SNR, eta 0 and
 * unit noise each x on the way is exactly add_noise(x0, first noise): DDIM follows the path. */
static void oracle_returns_x0(void **state) {
    static const int64_t counts[] = {1, 2, 3, 7, 13, 40, 64, 99, 100};
    lcm_ctx *ctx = lcm_ctx_new();
    real x0[R * D], start[R * D], got[R * D];
    (void)state;
    fill_normal(x0, R * D, 3);
    fill_normal(start, R * D, 4);
    for (int prediction = LCM_PREDICT_SAMPLE; prediction <= LCM_PREDICT_V; prediction++)
        for (int k = 0; k < 9; k++)
            for (int spacing = LCM_SPACING_EXACT; spacing <= LCM_SPACING_COMPAT_TRAILING; spacing++)
                for (int guided = 0; guided < 2; guided++) {
                    bool zero = prediction != LCM_PREDICT_EPSILON;
                    lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, 100, zero, (lcm_prediction)prediction);
                    oracle o = {.schedule = s, .x0 = x0, .start = zero ? start : NULL, .rows = R};
                    lcm_sampler_config c = lcm_sampler_config_default();
                    lcm_sampler *sampler;
                    c.steps = counts[k];
                    c.spacing = spacing;
                    c.guidance_scale = guided ? 3 : 1;
                    c.initial_noise_scale = 1;
                    c.epsilon_scaling = 1;
                    assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &c, R + 2, D), LCM_OK);
                    assert_int_equal(lcm_sampler_run(ctx, got, sampler, R, answer, &o, replay_noise, start),
                                     LCM_OK);
                    assert_int_equal(o.calls, lcm_sampler_timesteps(sampler)->n);
                    assert_int_equal(o.guided_calls, guided ? o.calls - 1 : 0);
                    assert_int_equal(o.unguided_rows_at_top, R);
                    /* without zero SNR a single step divides by sqrt(abar_99) = 5e-4 */
                    for (int i = 0; i < R * D; i++)
                        assert_near((double)got[i], (double)x0[i], (zero ? 64 : 32768) * EPS);
                    lcm_sampler_free(sampler);
                    lcm_schedule_free(s);
                }
    lcm_ctx_free(ctx);
}

/* With a perfect network the x that is left is add_noise(x0, first noise) at the first level whose share of
 * noise is within the bound, and no level below it is visited. */
static void final_noise_is_left(void **state) {
    static const double shares[] = {0.001, 0.1, 0.5, 0.9};
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, 100, true, LCM_PREDICT_V);
    real x0[R * D], start[R * D], got[R * D], want[R * D];
    (void)state;
    fill_normal(x0, R * D, 3);
    fill_normal(start, R * D, 4);
    for (int k = 0; k < 4; k++) {
        oracle o = {.schedule = s, .x0 = x0, .start = start, .rows = R};
        lcm_sampler_config c = lcm_sampler_config_default();
        int64_t t[R], level = 99;
        lcm_sampler *sampler;
        while (1 - lcm_schedule_alpha_bar(s, level) > shares[k]) level--;
        for (int r = 0; r < R; r++) t[r] = level;
        if (level >= 0) lcm_add_noise(s, want, x0, start, t, R, D);
        else memcpy(want, x0, sizeof want);
        c.steps = 100;
        c.guidance_scale = c.initial_noise_scale = c.epsilon_scaling = 1;
        c.final_noise = shares[k];
        assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &c, R, D), LCM_OK);
        assert_int_equal(lcm_sampler_run(ctx, got, sampler, R, answer, &o, replay_noise, start), LCM_OK);
        assert_int_equal(o.calls, 99 - level);
        for (int i = 0; i < R * D; i++) assert_near((double)got[i], (double)want[i], 64 * EPS);
        lcm_sampler_free(sampler);
    }
    lcm_schedule_free(s);
    lcm_ctx_free(ctx);
}

/* Unguided is conditional: what the unconditional branch says has no influence at scale 1, and
 * does at scale 3. */
static void guidance_one_is_conditional(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, 100, true, LCM_PREDICT_SAMPLE);
    real x0[R * D], start[R * D], got[R * D], cond[D], uncond[D], out[D];
    (void)state;
    fill_normal(x0, R * D, 5);
    fill_normal(start, R * D, 6);
    for (int guided = 0; guided < 2; guided++) {
        oracle o = {.schedule = s, .x0 = x0, .rows = R, .spoil = 1};
        lcm_sampler_config c = lcm_sampler_config_default();
        lcm_sampler *sampler;
        c.guidance_scale = guided ? 3 : 1;
        assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &c, R, D), LCM_OK);
        assert_int_equal(lcm_sampler_run(ctx, got, sampler, R, answer, &o, replay_noise, start), LCM_OK);
        assert_int_equal(memcmp(got, x0, sizeof got) == 0, !guided);
        lcm_sampler_free(sampler);
    }
    fill_normal(cond, D, 7);
    fill_normal(uncond, D, 8);
    lcm_guide(out, cond, uncond, 1, 0.7, 1, D);
    for (int i = 0; i < D; i++) assert_near((double)out[i], (double)cond[i], 4 * EPS * fabs((double)cond[i]));
    lcm_guide(out, cond, uncond, 0, 0, 1, D);
    assert_memory_equal(out, uncond, sizeof out);
    lcm_schedule_free(s);
    lcm_ctx_free(ctx);
}

static void guidance_restores_contrast(void **state) {
    real cond[D], uncond[D], out[D];
    double mean[2] = {0}, ss[2] = {0};
    (void)state;
    fill_normal(cond, D, 9);
    fill_normal(uncond, D, 10);
    lcm_guide(out, cond, uncond, 6, 1, 1, D);
    for (int i = 0; i < D; i++) mean[0] += (double)cond[i] / D, mean[1] += (double)out[i] / D;
    for (int i = 0; i < D; i++)
        ss[0] += pow((double)cond[i] - mean[0], 2), ss[1] += pow((double)out[i] - mean[1], 2);
    assert_near(ss[1], ss[0], 16 * EPS * ss[0]); /* rescale 1: the std of the conditional branch */
    for (int i = 0; i < D; i++) cond[i] = uncond[i] = (real)0.1;
    lcm_guide(out, cond, uncond, 3, 0.7, 1, D); /* no contrast at all: factor 1, not 0/0 */
    for (int i = 0; i < D; i++) assert_near((double)out[i], 0.1, EPS);
    lcm_guide(out, cond, uncond, 3, 0.7, D, 1); /* rows of one channel */
    assert_near((double)out[0], 0.1, EPS);
    for (int i = 0; i < D; i++) uncond[i] = (real)0.3;
    for (int dim = 2; dim <= D; dim++) { /* constant after guidance, where rounding could fake a contrast */
        lcm_guide(out, cond, uncond, 2.7, 0.7, 1, dim);
        for (int i = 0; i < dim; i++) assert_near((double)out[i], 0.3 - 2.7 * 0.2, 4 * EPS);
    }
}

/* Rows below 1 are left alone; larger ones are cut at the bound and divided by it. */
static void threshold_bounds(void **state) {
    real x[3 * 3] = {(real)0.5, (real)-0.25, 0, 4, 1, -2, 16, -8, 4}, scratch[3];
    (void)state;
    lcm_threshold_rows(x, 0.5, 6, scratch, 3, 3); /* medians of |x|: .25, 2, 8 */
    const real want[9] = {(real)0.5, (real)-0.25, 0, 1, (real)0.5, -1, 1, -1, (real)(4.0 / 6)};
    assert_memory_equal(x, want, sizeof want);
}

/* eta = 1 adds back the variance that it removes: with data at 0, x at level t has variance
 * 1 - abar_t. Five standard errors of a sample variance, sqrt(2/n). */
static lcm_status zero_data(lcm_ctx *ctx, void *user, real *out, const real *x, int64_t rows, int64_t t) {
    const lcm_schedule *s = user;
    double want = 1 - s->alpha_bar[t], ss = 0;
    int64_t n = rows * 5000;
    (void)ctx;
    for (int64_t i = 0; i < n; i++) {
        ss += (double)x[i] * (double)x[i];
        out[i] = 0;
    }
    assert_near(ss / (double)n, want, 5 * sqrt(2.0 / (double)n) * want);
    return LCM_OK;
}

static void ancestral_steps_keep_variance(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, 100, true, LCM_PREDICT_SAMPLE);
    lcm_sampler_config c = lcm_sampler_config_default();
    lcm_rng streams[2] = {lcm_rng_make(1, 100), lcm_rng_make(1, 101)};
    lcm_sampler *sampler;
    real *got;
    (void)state;
    c.steps = 20;
    c.eta = 1;
    c.guidance_scale = 1;
    c.initial_noise_scale = 1;
    c.epsilon_scaling = 1;
    assert_int_equal(lcm_calloc(ctx, &got, 2 * 5000, sizeof *got), LCM_OK);
    assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &c, 2, 5000), LCM_OK);
    assert_int_equal(lcm_sampler_run(ctx, got, sampler, 2, zero_data, s, lcm_noise_from_streams, streams),
                     LCM_OK);
    free(got);
    lcm_sampler_free(sampler);
    lcm_schedule_free(s);
    lcm_ctx_free(ctx);
}

/* A network whose rows depend on their own x only; the branches differ. */
static lcm_status squash(lcm_ctx *ctx, void *user, real *out, const real *x, int64_t rows, int64_t t) {
    const int64_t *conditional = user;
    (void)ctx, (void)t;
    for (int64_t i = 0; i < rows * D; i++)
        out[i] = (real)tanh((double)x[i] + (i < *conditional * D ? 0.3 : 0));
    return LCM_OK;
}

/* Bit for bit: a row's result does not depend on the rows sampled with it, nor on earlier runs. */
static void rows_are_independent(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, 100, true, LCM_PREDICT_SAMPLE);
    lcm_sampler_config c = lcm_sampler_config_default();
    lcm_rng streams[R], again[R];
    lcm_sampler *sampler;
    int64_t rows = R, single = 1;
    real all[R * D], one[D];
    (void)state;
    c.eta = 0.5;
    assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &c, R, D), LCM_OK);
    for (int r = 0; r < R; r++) streams[r] = again[r] = lcm_rng_make(5, 200 + (uint64_t)r);
    assert_int_equal(lcm_sampler_run(ctx, all, sampler, R, squash, &rows, lcm_noise_from_streams, streams),
                     LCM_OK);
    for (int r = 0; r < R; r++) {
        assert_int_equal(
            lcm_sampler_run(ctx, one, sampler, 1, squash, &single, lcm_noise_from_streams, again + r),
            LCM_OK);
        assert_memory_equal(one, all + r * D, sizeof one);
        if (r > 0) assert_memory_not_equal(one, all, sizeof one);
    }
    lcm_sampler_free(sampler);
    lcm_schedule_free(s);
    lcm_ctx_free(ctx);
}

static void numbered_noise(void *user, real *out, int64_t rows, int64_t dim, int64_t call) {
    (void)user;
    fill_normal(out, rows * dim, 50 + (uint64_t)call);
}

/* One row through all options at once, against the loop written out in double from the formulas. */
static void sampler_equals_the_formulas(void **state) {
    static const int64_t levels[] = {99, 66, 32, -1}; /* round(100 - 100 k/3) - 1 */
    const double eta = 0.5, scale = 2, rescale = 0.4, lambda = 1.25, init = 3;
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, 100, true, LCM_PREDICT_SAMPLE);
    lcm_sampler_config c = lcm_sampler_config_default();
    lcm_sampler *sampler;
    int64_t single = 1;
    real got[D], noise[D], c_row[D], u_row[D], row[D], spare[D];
    double x[D], x0[D], eps[D];
    (void)state;
    c.steps = 3, c.eta = eta, c.guidance_scale = scale, c.guidance_rescale = rescale;
    c.epsilon_scaling = lambda, c.initial_noise_scale = init;
    c.thresholding = true, c.threshold_ratio = 0.5, c.threshold_max = 2;
    assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &c, 1, D), LCM_OK);
    assert_int_equal(lcm_sampler_run(ctx, got, sampler, 1, squash, &single, numbered_noise, NULL), LCM_OK);
    numbered_noise(NULL, noise, 1, D, 0);
    for (int i = 0; i < D; i++) x[i] = init * (double)noise[i];
    for (int k = 0; k < 3; k++) {
        double a = s->alpha_bar[levels[k]], b = lcm_schedule_alpha_bar(s, levels[k + 1]);
        double sd = eta * sqrt((1 - b) / (1 - a) * (1 - a / b));
        for (int i = 0; i < D; i++) {
            x0[i] = tanh(x[i] + 0.3);
            eps[i] = (x[i] - sqrt(a) * x0[i]) / sqrt(1 - a);
            c_row[i] = (real)eps[i];
            u_row[i] = (real)((x[i] - sqrt(a) * tanh(x[i])) / sqrt(1 - a));
        }
        lcm_guide(row, c_row, u_row, scale, rescale, 1, D);
        for (int i = 0; i < D && k > 0; i++) {
            eps[i] = (double)row[i];
            x0[i] = (x[i] - sqrt(1 - a) * eps[i]) / sqrt(a);
        }
        for (int i = 0; i < D; i++) row[i] = (real)x0[i];
        lcm_threshold_rows(row, 0.5, 2, spare, 1, D);
        numbered_noise(NULL, noise, 1, D, k + 1);
        for (int i = 0; i < D; i++)
            x[i] = sqrt(b) * (double)row[i] + sqrt(1 - b - sd * sd) * eps[i] / lambda + sd * (double)noise[i];
    }
    /* a hundred roundings of numbers up to 5, amplified by 1/sqrt(abar) < 2 at each guided step */
    for (int i = 0; i < D; i++) assert_near((double)got[i], (double)row[i], 500 * EPS);
    lcm_sampler_free(sampler);
    lcm_schedule_free(s);
    lcm_ctx_free(ctx);
}

typedef struct bounds {
    const real *first; /* what x must be at the first call */
    double bound;
    int64_t calls, at_bound;
} bounds;

static lcm_status explode(lcm_ctx *ctx, void *user, real *out, const real *x, int64_t rows, int64_t t) {
    bounds *b = user;
    (void)ctx, (void)t;
    if (b->calls++ == 0) assert_memory_equal(x, b->first, (size_t)(rows * D) * sizeof *x);
    for (int64_t i = 0; i < rows * D; i++) {
        assert_true(fabs((double)x[i]) <= b->bound);
        b->at_bound += fabs((double)x[i]) == b->bound;
        out[i] = 1000 * x[i];
    }
    return LCM_OK;
}

/* The first x is scaled noise, every x is clipped, the result is not. */
static void start_and_clipping(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, 100, true, LCM_PREDICT_SAMPLE);
    lcm_sampler_config c = lcm_sampler_config_default();
    real start[R * D], first[R * D], got[R * D];
    bounds b = {first, 0.5, 0, 0};
    lcm_sampler *sampler;
    (void)state;
    fill_normal(start, R * D, 14);
    start[3] = 1; /* clipped at the start already */
    for (int i = 0; i < R * D; i++) first[i] = (real)fmin(fmax(0.625 * (double)start[i], -0.5), 0.5);
    c.initial_noise_scale = 0.625;
    c.clip_noise = b.bound;
    c.guidance_scale = 1;
    assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &c, R, D), LCM_OK);
    assert_int_equal(lcm_sampler_run(ctx, got, sampler, R, explode, &b, replay_noise, start), LCM_OK);
    assert_true(b.at_bound > 39 * R * D / 2);
    assert_true(fabs((double)got[3]) > 100);
    lcm_sampler_free(sampler);
    lcm_schedule_free(s);
    lcm_ctx_free(ctx);
}

static lcm_status poison(lcm_ctx *ctx, void *user, real *out, const real *x, int64_t rows, int64_t t) {
    (void)ctx;
    memcpy(out, x, (size_t)(rows * D) * sizeof(real));
    if (t == 50) out[D + 2] = *(const real *)user; /* row 1, and later steps only see its traces */
    return t == 50 && *(const real *)user == 0 ? LCM_ERR_CANCELLED : LCM_OK;
}

static void sampler_failures(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, 100, true, LCM_PREDICT_SAMPLE);
    lcm_sampler_config c = lcm_sampler_config_default(), bad;
    real start[R * D], got[R * D], stop = 0, nan_value = (real)NAN;
    lcm_sampler *sampler;
    (void)state;
    fill_normal(start, R * D, 11);
    bad = c, bad.steps = 101;
    assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &bad, R, D), LCM_ERR_ARG);
    assert_null(sampler);
    bad = c, bad.epsilon_scaling = 0;
    assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &bad, R, D), LCM_ERR_ARG);
    bad = c, bad.eta = NAN;
    assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &bad, R, D), LCM_ERR_ARG);
    assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &c, INT64_MAX, INT64_MAX), LCM_ERR_ARG);
    c.steps = 100; /* visits t = 50 */
    c.guidance_scale = 1;
    assert_int_equal(lcm_sampler_new(ctx, &sampler, s, &c, R, D), LCM_OK);
    assert_int_equal(lcm_sampler_run(ctx, got, sampler, R + 1, poison, &stop, replay_noise, start),
                     LCM_ERR_ARG);
    assert_int_equal(lcm_sampler_run(ctx, got, sampler, 0, poison, &stop, replay_noise, start), LCM_ERR_ARG);
    assert_int_equal(lcm_sampler_run(ctx, got, sampler, R, poison, &stop, replay_noise, start),
                     LCM_ERR_CANCELLED);
    /* clipping must not turn a NaN half way into an ordinary number */
    assert_int_equal(lcm_sampler_run(ctx, got, sampler, R, poison, &nan_value, replay_noise, start),
                     LCM_ERR_NUMERIC);
    assert_string_equal(lcm_ctx_message(ctx), "sampler: channel 2 of row 1 is not finite");
    lcm_sampler_free(sampler);
    lcm_schedule_free(s);
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oracle_returns_x0),
        cmocka_unit_test(final_noise_is_left),
        cmocka_unit_test(guidance_one_is_conditional),
        cmocka_unit_test(guidance_restores_contrast),
        cmocka_unit_test(threshold_bounds),
        cmocka_unit_test(start_and_clipping),
        cmocka_unit_test(sampler_equals_the_formulas),
        cmocka_unit_test(ancestral_steps_keep_variance),
        cmocka_unit_test(rows_are_independent),
        cmocka_unit_test(sampler_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
