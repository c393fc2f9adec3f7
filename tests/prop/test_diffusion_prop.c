/* diffusion/: what must hold whatever the numbers are. */
#include "harness/test.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "diffusion/guidance.h"
#include "diffusion/sampler.h"
#include "diffusion/step_sampler.h"

#ifdef LCM_REAL_F64
#define EPS DBL_EPSILON
#else
#define EPS ((double)FLT_EPSILON)
#endif

enum { R = 3, D = 16 };

static lcm_schedule *make(lcm_ctx *ctx, int kind, int64_t steps, bool zero, lcm_prediction prediction) {
    lcm_schedule_config c = lcm_schedule_config_default();
    lcm_schedule *s;
    c.beta_schedule = kind;
    c.train_steps = steps;
    c.zero_terminal_snr = zero;
    c.prediction = prediction;
    assert_int_equal(lcm_schedule_new(ctx, &s, &c), LCM_OK);
    return s;
}

static void fill_normal(real *x, int64_t n, uint64_t seed) {
    lcm_rng rng = lcm_rng_make(seed, LCM_RNG_TEST);
    for (int64_t i = 0; i < n; i++) x[i] = (real)lcm_rng_normal(&rng);
}

static void assert_near(double a, double b, double tol) {
    if (!(fabs(a - b) <= tol)) fail_msg("%.9g, expected %.9g within %g", a, b, tol);
}

static void schedules_are_ordered(void **state) {
    static const int64_t sizes[] = {2, 3, 20, 100, 1000};
    lcm_ctx *ctx = lcm_ctx_new();
    (void)state;
    for (int kind = LCM_SCHEDULE_COSINE; kind <= LCM_SCHEDULE_SIGMOID; kind++)
        for (int k = 0; k < 5; k++)
            for (int zero = 0; zero < 2; zero++) {
                lcm_schedule *s = make(ctx, kind, sizes[k], zero, LCM_PREDICT_SAMPLE);
                double product = 1;
                for (int64_t t = 0; t < sizes[k]; t++) {
                    assert_true(t == 0 || lcm_schedule_snr(s, t) < lcm_schedule_snr(s, t - 1));
                    assert_true(isfinite(lcm_schedule_snr(s, t)));
                    assert_true(s->beta[t] > 0 && s->beta[t] <= 1);
                    product *= 1 - s->beta[t];
                    assert_near(product, s->alpha_bar[t],
                                1e-12); /* the betas belong to the table, also rescaled */
                }
                if (zero) assert_true(s->alpha_bar[sizes[k] - 1] == 0 && s->beta[sizes[k] - 1] == 1);
                lcm_schedule_free(s);
            }
    lcm_ctx_free(ctx);
}

static void bad_schedules_are_refused(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule_config c = lcm_schedule_config_default();
    lcm_schedule *s;
    (void)state;
    c.prediction = LCM_PREDICT_EPSILON;
    assert_int_equal(lcm_schedule_new(ctx, &s, &c), LCM_ERR_ARG);
    assert_null(s);
    c = lcm_schedule_config_default();
    c.train_steps = 1;
    assert_int_equal(lcm_schedule_new(ctx, &s, &c), LCM_ERR_ARG);
    c = lcm_schedule_config_default();
    c.beta_schedule = LCM_SCHEDULE_SIGMOID;
    c.sigmoid_scale = 100; /* abar stays 1 to the last bit of a double: no first noise level */
    assert_int_equal(lcm_schedule_new(ctx, &s, &c), LCM_ERR_ARG);
    lcm_ctx_free(ctx);
}

/* Squares of the coefficients that add_noise applies sum to 1. */
static void noise_preserves_variance(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, 100, true, LCM_PREDICT_SAMPLE);
    (void)state;
    for (int64_t t = 0; t < 100; t++) {
        const real one = 1, zero = 0;
        real signal, noise;
        lcm_add_noise(s, &signal, &one, &zero, &t, 1, 1);
        lcm_add_noise(s, &noise, &zero, &one, &t, 1, 1);
        assert_near((double)signal * (double)signal + (double)noise * (double)noise, 1,
                    4 * EPS); /* four roundings */
        assert_near((double)signal * (double)signal, s->alpha_bar[t], 4 * EPS);
    }
    lcm_schedule_free(s);
    lcm_ctx_free(ctx);
}

/* The training target, handed back as a perfect prediction, yields the x0 and noise it was made of. */
static void targets_split_back(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    real x0[D], eps[D], x[D], target[D], got_x0[D], got_eps[D];
    (void)state;
    fill_normal(x0, D, 1);
    fill_normal(eps, D, 2);
    for (int kind = LCM_PREDICT_SAMPLE; kind <= LCM_PREDICT_V; kind++) {
        lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, 100, false, (lcm_prediction)kind);
        for (int64_t t = 0; t < 100; t++) {
            double a = sqrt(s->alpha_bar[t]), b = sqrt(1 - s->alpha_bar[t]);
            lcm_add_noise(s, x, x0, eps, &t, 1, D);
            lcm_diffusion_target(s, target, x0, eps, &t, 1, D);
            lcm_split_prediction(s, got_x0, got_eps, target, x, (lcm_prediction)kind, t, D);
            for (int i = 0; i < D; i++) { /* rounding of x and target, at most 4 EPS, divided by a or b */
                assert_near((double)got_x0[i], (double)x0[i], 16 * EPS / a);
                assert_near((double)got_eps[i], (double)eps[i], 16 * EPS / b);
            }
        }
        lcm_schedule_free(s);
    }
    lcm_ctx_free(ctx);
}

static void steps_are_honoured(void **state) {
    static const int64_t sizes[] = {1, 7, 100, 1000};
    static const int64_t paper40[] = {99, 97, 94, 91, 89, 87, 84};
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_timesteps ts;
    (void)state;
    for (int k = 0; k < 4; k++)
        for (int64_t steps = 1; steps <= sizes[k]; steps++) {
            assert_int_equal(lcm_timesteps_make(ctx, &ts, sizes[k], steps, LCM_SPACING_EXACT), LCM_OK);
            assert_int_equal(ts.n, steps);
            assert_int_equal(ts.t[0], sizes[k] - 1);
            for (int64_t i = 0; i < ts.n; i++) {
                assert_int_equal(ts.prev[i], i + 1 < ts.n ? ts.t[i + 1] : -1);
                assert_true(ts.prev[i] < ts.t[i]);
            }
            assert_true(ts.t[ts.n - 1] >= 0);
            lcm_timesteps_free(&ts);
        }
    assert_int_equal(lcm_timesteps_make(ctx, &ts, 100, 40, LCM_SPACING_EXACT), LCM_OK);
    assert_memory_equal(ts.t, paper40, sizeof paper40);
    lcm_timesteps_free(&ts);
    assert_int_equal(lcm_timesteps_make(ctx, &ts, 100, 40, LCM_SPACING_COMPAT_TRAILING), LCM_OK);
    assert_int_equal(ts.n, 50);
    for (int64_t i = 0; i + 1 < ts.n; i++) assert_int_equal(ts.prev[i], ts.t[i + 1]);
    lcm_timesteps_free(&ts);
    assert_int_equal(lcm_timesteps_make(ctx, &ts, 100, 7, LCM_SPACING_COMPAT_TRAILING), LCM_OK);
    assert_int_equal(ts.prev[ts.n - 1], -1); /* 1 - 14: clean data, not an index */
    lcm_timesteps_free(&ts);
    assert_int_equal(lcm_timesteps_make(ctx, &ts, 100, 0, LCM_SPACING_EXACT), LCM_ERR_ARG);
    assert_int_equal(lcm_timesteps_make(ctx, &ts, 100, 101, LCM_SPACING_EXACT), LCM_ERR_ARG);
    assert_null(ts.t);
    lcm_ctx_free(ctx);
}

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

static void weights_sum_to_their_number(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, 100, true, LCM_PREDICT_SAMPLE);
    lcm_step_sampler_config c = lcm_step_sampler_config_default();
    lcm_step_sampler *sampler;
    lcm_rng rng = lcm_rng_make(12, LCM_RNG_TEST);
    int64_t t[64], last[3] = {99, 99, 99};
    real w[64];
    (void)state;
    c.weighting = LCM_WEIGHT_CLAMP_SNR;
    assert_int_equal(lcm_step_sampler_new(ctx, &sampler, s, &c), LCM_OK);
    for (int n = 1; n <= 64; n++) {
        double sum = 0;
        lcm_step_sampler_draw(sampler, t, n, &rng);
        t[0] = 20; /* some signal */
        lcm_step_sampler_weights(sampler, w, t, n);
        for (int i = 0; i < n; i++) {
            assert_true(w[i] >= 0 && (w[i] > 0) == (t[i] < 99));
            sum += (double)w[i];
        }
        assert_near(sum, n, 4 * n * EPS); /* quotient, product and sum, each rounded */
    }
    lcm_step_sampler_weights(sampler, w, last, 3); /* no signal anywhere: no weight, and no NaN */
    for (int i = 0; i < 3; i++) assert_true(w[i] == 0);
    lcm_step_sampler_free(sampler);
    c.weighting = LCM_WEIGHT_NONE;
    assert_int_equal(lcm_step_sampler_new(ctx, &sampler, s, &c), LCM_OK);
    lcm_step_sampler_weights(sampler, w, last, 3);
    for (int i = 0; i < 3; i++) assert_true(w[i] == 1);
    lcm_step_sampler_free(sampler);
    c.beta_b = 0.5;
    assert_int_equal(lcm_step_sampler_new(ctx, &sampler, s, &c), LCM_ERR_ARG);
    assert_null(sampler);
    c = lcm_step_sampler_config_default();
    c.min_gamma = 6;
    assert_int_equal(lcm_step_sampler_new(ctx, &sampler, s, &c), LCM_ERR_ARG);
    lcm_schedule_free(s);
    lcm_ctx_free(ctx);
}

/* Each level's frequency within six standard errors of its probability: 140 comparisons fail by
 * chance with 3e-7, and the seed is fixed. */
static void levels_follow_their_distribution(void **state) {
    enum { N = 20, DRAWS = 200000 };
    static const double ab[][2] = {{0.8, 1}, {2, 5}, {1, 1}};
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule *s = make(ctx, LCM_SCHEDULE_COSINE, N, true, LCM_PREDICT_SAMPLE);
    lcm_rng rng = lcm_rng_make(13, LCM_RNG_TEST);
    (void)state;
    for (int k = 0; k < 4; k++) {
        lcm_step_sampler_config c = lcm_step_sampler_config_default();
        lcm_step_sampler *sampler;
        int64_t count[N] = {0}, t[100];
        double total = 0;
        if (k < 3) c.sampling = LCM_STEPS_BETA, c.beta_a = ab[k][0], c.beta_b = ab[k][1];
        assert_int_equal(lcm_step_sampler_new(ctx, &sampler, s, &c), LCM_OK);
        for (int i = 0; i < DRAWS / 100; i++) {
            lcm_step_sampler_draw(sampler, t, 100, &rng);
            for (int j = 0; j < 100; j++) count[t[j]]++;
        }
        for (int i = 0; i < N; i++) {
            double p = sampler->probability[i];
            total += p;
            if (k >= 2) assert_near(p, 1.0 / N, 1e-15);
            assert_near((double)count[i] / DRAWS, p, 6 * sqrt(p * (1 - p) / DRAWS));
        }
        assert_near(total, 1, 1e-12);
        lcm_step_sampler_free(sampler);
    }
    lcm_schedule_free(s);
    lcm_ctx_free(ctx);
}

static void features_have_unit_pairs(void **state) {
    static const int64_t t[3] = {0, 57, 999};
    real f[3 * 8];
    (void)state;
    lcm_timestep_features(f, t, 3, 8);
    for (int r = 0; r < 3; r++) {
        for (int k = 0; k < 4; k++)
            assert_near(pow((double)f[r * 8 + k], 2) + pow((double)f[r * 8 + 4 + k], 2), 1, 4 * EPS);
        assert_near((double)f[r * 8], cos((double)t[r]), EPS);
        assert_near((double)f[r * 8 + 7], sin((double)t[r] * 1e-3),
                    8 * EPS); /* 10000^(-3/4), through exp of -6.9 */
    }
}

static void config_round_trip(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_schedule_config a = lcm_schedule_config_default(), b = a;
    lcm_sampler_config c = lcm_sampler_config_default(), d = c;
    json_t *j;
    (void)state;
    a.beta_schedule = LCM_SCHEDULE_SIGMOID;
    a.sigmoid_centre = -1;
    a.prediction = LCM_PREDICT_V;
    j = lcm_config_write(&a, lcm_schedule_fields);
    assert_string_equal(json_string_value(json_object_get(j, "prediction")), "v");
    assert_int_equal(lcm_config_read(ctx, &b, lcm_schedule_fields, j, "schedule"), LCM_OK);
    assert_true(b.beta_schedule == a.beta_schedule && b.sigmoid_centre == -1 &&
                b.prediction == LCM_PREDICT_V);
    json_decref(j);
    c.spacing = LCM_SPACING_COMPAT_TRAILING;
    j = lcm_config_write(&c, lcm_sampler_fields);
    assert_int_equal(lcm_config_read(ctx, &d, lcm_sampler_fields, j, "sampler"), LCM_OK);
    assert_true(d.spacing == c.spacing && d.epsilon_scaling == 1.00045);
    json_object_set_new(j, "eta", json_real(1.5));
    assert_int_equal(lcm_config_read(ctx, &d, lcm_sampler_fields, j, "sampler"), LCM_ERR_ARG);
    json_decref(j);
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(schedules_are_ordered),
                                       cmocka_unit_test(bad_schedules_are_refused),
                                       cmocka_unit_test(noise_preserves_variance),
                                       cmocka_unit_test(targets_split_back),
                                       cmocka_unit_test(steps_are_honoured),
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
                                       cmocka_unit_test(weights_sum_to_their_number),
                                       cmocka_unit_test(levels_follow_their_distribution),
                                       cmocka_unit_test(features_have_unit_pairs),
                                       cmocka_unit_test(config_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
