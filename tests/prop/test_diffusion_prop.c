/* Schedules, their steps and levels: what must hold whatever the numbers are. */
#include "prop/diffusion_parts.h"

#include "diffusion/sampler.h"
#include "diffusion/step_sampler.h"

enum { D = 16 };

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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_are_ordered),
        cmocka_unit_test(bad_schedules_are_refused),
        cmocka_unit_test(noise_preserves_variance),
        cmocka_unit_test(targets_split_back),
        cmocka_unit_test(steps_are_honoured),
        cmocka_unit_test(weights_sum_to_their_number),
        cmocka_unit_test(levels_follow_their_distribution),
        cmocka_unit_test(features_have_unit_pairs),
        cmocka_unit_test(config_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
