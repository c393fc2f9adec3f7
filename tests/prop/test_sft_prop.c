/* Instruction tuning, whatever the weights: the loss of a supervised batch is the sum over its target
 * rows of what pre-training would have charged for them. And it works: pairs are learned by heart and
 * told again. */
#include "harness/golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/taped.h"
#include "harness/toy_models.h"
#include "lcm/generate.h"
#include "train/adamw.h"

enum { DOCS = 3, T = 15, D = TOY_D };
static const int32_t off[DOCS + 1] = {0, 6, 8, 15}, source[DOCS] = {4, 1, 2};

typedef struct kind {
    const char *name;
    lcm_model *(*make)(bool with_grad);
    bool predicts_first; /* the first concept of a document is a target, too */
} kind;

static lcm_model *make_base(bool with_grad) {
    lcm_base_config c = toy_base_config();
    lcm_model *m;
    OK(lcm_model_create(ctx, &m, "base", &c, with_grad));
    return m;
}

static lcm_model *make_two_tower(bool with_grad) {
    lcm_two_tower_config c = toy_two_tower_config();
    lcm_model *m;
    c.trained_with_cf_guidance = !with_grad; /* rows without context cannot be learned by heart */
    OK(lcm_model_create(ctx, &m, "two_tower", &c, with_grad));
    return m;
}

static lcm_model *make_one_tower(bool with_grad) {
    lcm_one_tower_config c = toy_one_tower_config();
    lcm_model *m;
    c.trained_with_cf_guidance = !with_grad;
    OK(lcm_model_create(ctx, &m, "one_tower", &c, with_grad));
    return m;
}

static const kind kinds[] = {{"base", make_base, false}, {"two_tower", make_two_tower, true}, {"one_tower", make_one_tower, true}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static lcm_model_loss loss_of(lcm_model *m, const real *x, const int32_t *src, const lcm_criterion_config *cc,
                              const lcm_draws *d) {
    lcm_concept_batch b = {.n_docs = DOCS, .x = x, .off = off, .source_len = src};
    lcm_criterion *c;
    lcm_model_loss l = {0};
    OK(lcm_criterion_new(ctx, &c, m, cc));
    lcm_tape_reset(tape, (lcm_tape_opts){.record = true});
    OK(lcm_model_loss_run(ctx, &l, tape, m, &b, c, d));
    lcm_criterion_free(c);
    return l;
}

/* Draws for all T rows, or for the target rows only: row by row the same. */
typedef struct draws {
    int64_t t[T];
    real noise[T * D];
    uint8_t dropped[T];
} draws;

static lcm_draws fill_draws(draws *s, const int32_t *src) {
    lcm_rng r = lcm_rng_make(8, LCM_RNG_TEST);
    int64_t n = 0;
    for (int d = 0; d < DOCS; d++)
        for (int32_t i = off[d]; i < off[d + 1]; i++) {
            bool kept = src == NULL || i - off[d] >= src[d];
            s->t[n] = (int64_t)(lcm_rng_uniform(&r) * 20);
            s->dropped[n] = lcm_rng_uniform(&r) < 0.3;
            for (int k = 0; k < D; k++) s->noise[n * D + k] = (real)lcm_rng_normal(&r);
            n += kept;
        }
    return (lcm_draws){.t = s->t, .noise = s->noise, .dropped = s->dropped};
}

static lcm_criterion_config criterion(const lcm_model *m) {
    lcm_criterion_config cc = lcm_criterion_config_default();
    cc.cf_guidance_probability = m->has_guidance ? 0.3 : 0;
    return cc;
}

/* Float sums over other numbers of rows: 2e-6 of the value. */
static void near(double a, double b) {
    if (!(fabs(a - b) <= 2e-6 * fabs(b))) fail_msg("%.9g, expected %.9g", a, b);
}

static void loss_is_that_of_the_targets(void **state) {
    real *x = toy_concepts(T, D, 4);
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        lcm_model *m = kinds[k].make(false);
        lcm_criterion_config cc = criterion(m);
        draws all, some;
        lcm_draws d = fill_draws(&all, NULL);
        double want = 0;
        int64_t n = 0;
        lcm_model_loss l;
        toy_randomize(m, 3);
        l = loss_of(m, x, NULL, &cc, &d);
        for (int i = 0; i < DOCS; i++) /* row r of a regression predicts concept r + 1 */
            for (int32_t r = off[i] + source[i]; r < off[i + 1]; r++, n++)
                want += (double)l.rows[kinds[k].predicts_first ? r : r - 1];
        d = fill_draws(&some, source);
        l = loss_of(m, x, source, &cc, &d);
        assert_int_equal(l.n_targets, n);
        near(l.sum, want);
        near((double)l.out->x[0], want);
        lcm_model_free(m);
    }
    free(x);
}

/* Weights of concepts: each row's loss by that of the concept which it predicts; counts and plain errors stay. */
static void weighted_loss(void **state) {
    real *x = toy_concepts(T, D, 9), w[T];
    (void)state;
    for (int i = 0; i < T; i++) w[i] = (real)(0.25 * (i % 5));
    for (int k = 0; k < KINDS; k++)
        for (int sft = 0; sft < 2; sft++) {
            lcm_model *m = kinds[k].make(false);
            lcm_criterion_config cc = criterion(m);
            lcm_concept_batch b = {.n_docs = DOCS, .x = x, .off = off, .source_len = sft ? source : NULL, .weight = w};
            draws s;
            lcm_draws d = fill_draws(&s, b.source_len);
            lcm_model_loss plain, weighted = {0};
            lcm_criterion *c;
            double want = 0, squared;
            int64_t row = 0;
            toy_randomize(m, 3);
            plain = loss_of(m, x, b.source_len, &cc, &d);
            for (int i = 0; i < DOCS; i++)
                for (int32_t r = off[i] + (sft ? source[i] : 0); r < off[i + 1]; r++, row++) {
                    if (kinds[k].predicts_first) want += (double)w[r] * (double)plain.rows[row];
                    else if (r > off[i]) want += (double)w[r] * (double)plain.rows[r - 1];
                }
            squared = plain.squared;
            OK(lcm_criterion_new(ctx, &c, m, &cc));
            lcm_tape_reset(tape, (lcm_tape_opts){0});
            OK(lcm_model_loss_run(ctx, &weighted, tape, m, &b, c, &d));
            near(weighted.sum, want);
            near(weighted.squared, squared);
            assert_int_equal(weighted.n_targets, plain.n_targets);
            lcm_criterion_free(c);
            lcm_model_free(m);
        }
    free(x);
}

static void all_target_is_pretraining(void **state) {
    static const int32_t none[DOCS] = {0, 0, 0};
    real *x = toy_concepts(T, D, 5);
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        lcm_model *m = kinds[k].make(false);
        lcm_criterion_config cc = criterion(m);
        lcm_draws d = {.seed = 1, .step = 2};
        lcm_model_loss a, b;
        toy_randomize(m, 3);
        a = loss_of(m, x, NULL, &cc, &d);
        b = loss_of(m, x, none, &cc, &d);
        assert_int_equal(a.n_targets, b.n_targets);
        assert_true(a.sum == b.sum);
        lcm_model_free(m);
    }
    free(x);
}

/* A concept that is only ever predicted, and not by a counted row, costs nothing: with a source of one
 * concept less, what changes is that one row. */
static void longer_source_counts_less(void **state) {
    real *x = toy_concepts(T, D, 6);
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        lcm_model *m = kinds[k].make(false);
        lcm_criterion_config cc = criterion(m);
        toy_randomize(m, 3);
        for (int32_t s = 1; s < 6; s++) { /* of document 0, which has 6 */
            int32_t src[DOCS] = {s, 1, 2}, less[DOCS] = {s - 1, 1, 2};
            draws one, two;
            lcm_draws d = fill_draws(&one, src), e = fill_draws(&two, less);
            lcm_model_loss a, b;
            int64_t row = kinds[k].predicts_first ? 0 : s - 2; /* of concept s - 1 in the longer loss */
            double cost;
            if (row < 0) continue; /* a regression never counts concept 0 */
            a = loss_of(m, x, src, &cc, &d);
            b = loss_of(m, x, less, &cc, &e);
            cost = (double)b.rows[row];
            assert_int_equal(a.n_targets + 1, b.n_targets);
            near(a.sum + cost, b.sum);
        }
        lcm_model_free(m);
    }
    free(x);
}

static void no_target_is_refused(void **state) {
    static const int32_t whole[DOCS] = {6, 2, 7}, beyond[DOCS] = {4, 3, 2};
    real *x = toy_concepts(T, D, 7);
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        lcm_model *m = kinds[k].make(false);
        lcm_criterion_config cc = criterion(m);
        lcm_concept_batch b = {.n_docs = DOCS, .x = x, .off = off, .source_len = whole};
        lcm_draws d = {.seed = 1};
        lcm_criterion *c;
        lcm_model_loss l = {0};
        OK(lcm_criterion_new(ctx, &c, m, &cc));
        lcm_tape_reset(tape, (lcm_tape_opts){0});
        assert_int_equal(lcm_model_loss_run(ctx, &l, tape, m, &b, c, &d), LCM_ERR_ARG);
        b.source_len = beyond;
        assert_int_equal(lcm_model_loss_run(ctx, &l, tape, m, &b, c, &d), LCM_ERR_ARG);
        assert_non_null(strstr(lcm_ctx_message(ctx), "document 1"));
        lcm_criterion_free(c);
        lcm_model_free(m);
    }
    free(x);
}

/* ---- by heart ---- */

static void learn(lcm_model *m, const real *x, int steps) {
    lcm_criterion_config cc = criterion(m);
    lcm_adamw_config aw = lcm_adamw_config_default();
    size_t n = (size_t)m->params.n_flat;
    real *am = calloc(n, sizeof *am), *av = calloc(n, sizeof *av);
    double first = 0, last = 0;
    lcm_model_init(m, 5);
    aw.weight_decay = 0;
    for (int k = 1; k <= steps; k++) {
        lcm_draws d = {.seed = 3, .step = (uint64_t)k};
        lcm_model_loss l;
        memset(m->params.g, 0, n * sizeof(real));
        l = loss_of(m, x, source, &cc, &d);
        if (k == 1) first = l.sum;
        if (k > steps - 20) last += l.sum / 20;
        OK(lcm_tape_backward(tape, l.out, NULL));
        lcm_adamw_step(m->params.x, m->params.g, am, av, n, &aw, 5e-3 * (1 - (double)k / (steps + 1)),
                       1 / (double)l.n_targets, k);
    }
    if (!(last < 0.01 * first)) fail_msg("loss %g, from %g", last, first);
    free(am);
    free(av);
}

/* Sources in, targets out: the last concept of every document is the one that ends a text, so each answer
 * also ends where it should. Every value within .25 of one of standard deviation 1; a chance answer
 * misses by more than 1. */
static void pairs_are_learned_by_heart(void **state) {
    real *x = toy_concepts(T, D, 12);
    (void)state;
    for (int d = 1; d < DOCS; d++) memcpy(x + (off[d + 1] - 1) * D, x + (off[1] - 1) * D, D * sizeof *x);
    for (int k = 0; k < KINDS; k++) {
        lcm_model *m = kinds[k].make(true);
        lcm_generate_config g = lcm_generate_config_default();
        real prompt[7 * D];
        int32_t at[DOCS + 1] = {0};
        lcm_prompts prompts = {.n = DOCS, .x = prompt, .off = at, .eos = x + (off[1] - 1) * D};
        lcm_generated out;
        learn(m, x, kinds[k].predicts_first ? 1500 : 500);
        for (int d = 0; d < DOCS; d++) {
            memcpy(prompt + at[d] * D, x + off[d] * D, (size_t)(source[d] * D) * sizeof *prompt);
            at[d + 1] = at[d] + source[d];
        }
        g.max_gen_len = 8;
        g.min_gen_len = 0;
        g.eos_threshold = 0.97;
        g.sampler.steps = 20;
        g.sampler.guidance_scale = 1;
        OK(lcm_generate(ctx, &out, m, &prompts, &g, NULL));
        for (int d = 0; d < DOCS; d++) {
            int32_t n = off[d + 1] - off[d] - source[d];
            if (out.off[d + 1] - out.off[d] != n)
                fail_msg("%s: answer %d has %d concepts, not %d", kinds[k].name, d, out.off[d + 1] - out.off[d], n);
            assert_int_equal(out.stop[d], LCM_STOP_EOS);
            for (int32_t i = 0; i < n * D; i++) {
                double want = (double)x[(off[d] + source[d]) * D + i], got = (double)out.x[out.off[d] * D + i];
                if (!(fabs(got - want) < 0.25)) fail_msg("%s: answer %d, value %d: %g, not %g", kinds[k].name, d, i, got, want);
            }
        }
        lcm_generated_free(&out);
        lcm_model_free(m);
    }
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_is_that_of_the_targets), cmocka_unit_test(all_target_is_pretraining),
        cmocka_unit_test(weighted_loss),
        cmocka_unit_test(longer_source_counts_less),   cmocka_unit_test(no_target_is_refused),
        cmocka_unit_test(pairs_are_learned_by_heart),
    };
    return cmocka_run_group_tests(tests, taped_setup, taped_teardown);
}
