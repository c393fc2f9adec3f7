/* Quant-LCM: targets against the definition, inference against training, the choice of units. */
#include "harness/golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/taped.h"
#include "harness/tmpdir.h"
#include "harness/toy_models.h"
#include "kernels/token_sampler.h"
#include "lcm/generate.h"
#include "lcm/model_io.h"
#include "train/adamw.h"

static const char *const kinds[2] = {"quant_c", "quant_d"};
static const int32_t docs[4] = {0, 5, 6, 11};
enum { DOCS = 3, CONCEPTS = 11, K = 4, U = 8 };

/* Codebooks of the size of what they quantise: normal rows, half as wide with every codebook. */
static void fill_books(lcm_quant *m) {
    for (int64_t k = 0; k < K; k++) {
        lcm_rng r = lcm_rng_make(77, LCM_RNG_TEST + ((uint64_t)k << 8));
        for (int64_t i = 0; i < U * TOY_D; i++) m->rvq.book[k]->x[i] = (real)(ldexp(1.0, -(int)k) * lcm_rng_normal(&r));
    }
}

static lcm_quant *new_quant(int kind, bool with_grad) {
    lcm_quant_config c = toy_quant_config();
    lcm_model *m;
    c.tower.enable_qk_layernorm = true;
    OK(lcm_model_create(ctx, &m, kinds[kind], &c, with_grad));
    toy_randomize(m, 11);
    fill_books((lcm_quant *)m);
    return (lcm_quant *)m;
}

static double squared(const real *a, const real *b) {
    double s = 0;
    for (int i = 0; i < TOY_D; i++) s += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return s;
}

/* Every row: s_k from the definition, one codebook after the other, with and without sources. */
static void targets_are_the_definition(void **state) {
    static const int32_t sources[DOCS] = {2, 0, 5};
    lcm_quant *m = new_quant(1, false);
    lcm_criterion c = {.config = lcm_criterion_config_default()};
    real *z = toy_concepts(CONCEPTS, TOY_D, 2);
    int seen[K] = {0};
    (void)state;
    for (int v = 0; v < 20; v++) {
        lcm_concept_batch b = {.n_docs = DOCS, .x = z, .off = docs, .source_len = v % 2 ? sources : NULL, .weight = z};
        lcm_draws d = {.seed = 3, .step = (uint64_t)v};
        lcm_quant_targets q;
        int64_t row = 0;
        lcm_tape_reset(tape, (lcm_tape_opts){0});
        OK(lcm_quant_targets_make(ctx, &q, tape, m, z, &b, &c, &d));
        assert_int_equal(q.g.R, v % 2 ? 4 : CONCEPTS);
        for (int doc = 0; doc < DOCS; doc++)
            for (int32_t i = docs[doc] + (v % 2 ? sources[doc] : 0); i < docs[doc + 1]; i++, row++) {
                real left[TOY_D], sum[TOY_D] = {0};
                memcpy(left, z + i * TOY_D, sizeof left);
                seen[q.g.level[row]]++;
                for (int64_t k = 0; k <= q.g.level[row]; k++) {
                    const real *book = m->rvq.book[k]->x;
                    int best = 0;
                    for (int u = 1; u < U; u++)
                        if (squared(left, book + u * TOY_D) < squared(left, book + best * TOY_D)) best = u;
                    if (k == q.g.level[row]) {
                        assert_int_equal(q.unit[row], best);
                        break;
                    }
                    for (int x = 0; x < TOY_D; x++) {
                        left[x] -= book[best * TOY_D + x];
                        sum[x] += book[best * TOY_D + x];
                    }
                }
                assert_true(q.g.w[row] == z[i]); /* any numbers do */
                assert_memory_equal(q.g.noisy + row * TOY_D, sum, sizeof sum);
                assert_memory_equal(q.g.target + row * TOY_D, z + i * TOY_D, sizeof sum);
            }
        assert_int_equal(row, q.g.R);
    }
    for (int k = 0; k < K; k++) assert_true(seen[k] > 150 / K / 2); /* 150 draws, uniform */
    free(z);
    lcm_model_free(&m->model);
}

static int32_t argmax(const real *x, int n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* The concept behind document x[:n], by training passes: row n holds what was chosen so far. */
static void unroll(real *out, const lcm_quant *m, const real *z, int32_t n) {
    int32_t off[2] = {0, n + 1};
    real sum[TOY_D] = {0};
    for (int64_t k = 0; k < K; k++) {
        lcm_concept_batch b = {.n_docs = 1, .x = z, .off = off};
        real noisy[CONCEPTS * TOY_D], logit[U];
        int64_t level[CONCEPTS];
        lcm_noisy_targets g = {.R = n + 1, .level = level, .noisy = noisy};
        lcm_one_tower_rows rows;
        lcm_tensor *y;
        int32_t unit;
        for (int32_t i = 0; i <= n; i++) {
            level[i] = i == n ? k : (i + k) % K; /* the other rows' codebooks must not matter */
            memcpy(noisy + i * TOY_D, sum, sizeof sum);
        }
        lcm_tape_reset(tape, (lcm_tape_opts){0});
        rows = lcm_one_tower_rows_make(tape, &b, z, TOY_D, &g);
        y = lcm_one_tower_fwd(tape, &m->net, &rows);
        lcm_quant_logits(logit, m, k, y->x + n * y->cols, sum, 1);
        unit = argmax(logit, U);
        for (int i = 0; i < TOY_D; i++) sum[i] += m->rvq.book[k]->x[unit * TOY_D + i];
    }
    lcm_denormalize(m->model.normalizer, out, sum, 1, NULL);
}

/* The cache and one row per codebook against full training passes. Both end in the same centroids, so
 * they differ by nothing. */
static void training_rows_are_inference(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        lcm_quant *m = new_quant(kind, false);
        real *x = toy_concepts(CONCEPTS, TOY_D, 5), z[CONCEPTS * TOY_D], want[TOY_D];
        lcm_normalize(m->model.normalizer, z, x, CONCEPTS, NULL);
        for (int32_t n = 1; n < CONCEPTS; n++) {
            int32_t off[2] = {0, n};
            lcm_prompts p = {1, x, off, NULL, NULL};
            lcm_generate_config c = lcm_generate_config_default();
            lcm_generated g;
            c.max_gen_len = 1;
            c.sampler.guidance_scale = 1;
            OK(lcm_generate(ctx, &g, &m->model, &p, &c, NULL));
            unroll(want, m, z, n);
            assert_close(g.x, want, TOY_D, 0);
            lcm_generated_free(&g);
        }
        free(x);
        lcm_model_free(&m->model);
    }
}

/* quant_c: eq. 23 of arXiv 2412.08821 up to normalisation. Float sums of 12 squares: 1e-6. */
static void scores_are_distances(void **state) {
    lcm_quant *m = new_quant(0, false);
    real *x = toy_concepts(3, TOY_D, 6), *s = toy_concepts(3, TOY_D, 7), logit[3 * U];
    (void)state;
    lcm_quant_logits(logit, m, 2, x, s, 3);
    for (int i = 0; i < 3 * U; i++) {
        double d = 0;
        for (int c = 0; c < TOY_D; c++) {
            double e = (double)m->rvq.book[2]->x[i % U * TOY_D + c] - ((double)x[i / U * TOY_D + c] - (double)s[i / U * TOY_D + c]);
            d += e * e;
        }
        assert_true(fabs((double)logit[i] + sqrt(d)) < 1e-6 * sqrt(d));
    }
    free(x);
    free(s);
    lcm_model_free(&m->model);
}

/* ---- the choice of units ---- */

/* The share of [0,1) that each unit gets, from a fine grid of u. */
static void shares(double *share, const real *logit, int64_t n, double t, int64_t top_k, double top_p) {
    enum { GRID = 20000 };
    lcm_sampler_opts o = {t, top_k, top_p};
    lcm_candidate scratch[16];
    for (int64_t i = 0; i < n; i++) share[i] = 0;
    for (int g = 0; g < GRID; g++) share[lcm_sample_token(logit, n, &o, (g + 0.5) / GRID, scratch)] += 1.0 / GRID;
}

static void units_are_chosen_by_probability(void **state) {
    static const real logit[5] = {(real)0.5, 2, -1, 2, 1};
    double e[5], share[5], all = 0;
    (void)state;
    for (int i = 0; i < 5; i++) all += e[i] = exp((double)logit[i] / 0.7);
    shares(share, logit, 5, 0.7, 0, 0);
    for (int i = 0; i < 5; i++) assert_true(fabs(share[i] - e[i] / all) < 1e-4); /* a grid of 20000 */
    shares(share, logit, 5, 0.7, 0, 1);
    for (int i = 0; i < 5; i++) assert_true(fabs(share[i] - e[i] / all) < 1e-4);
    shares(share, logit, 5, 0.7, 3, 0);
    all = e[1] + e[3] + e[4];
    assert_true(share[0] == 0 && share[2] == 0 && fabs(share[4] - e[4] / all) < 1e-4);
    /* of the three the two largest hold 2 e1 / all = .89: top_p .8 keeps them, .95 all three, .3 only one */
    shares(share, logit, 5, 0.7, 3, 0.8);
    assert_true(share[4] == 0 && fabs(share[1] - 0.5) < 1e-3 && fabs(share[3] - 0.5) < 1e-3);
    shares(share, logit, 5, 0.7, 3, 0.95);
    assert_true(fabs(share[4] - e[4] / all) < 1e-4);
    shares(share, logit, 5, 0.7, 3, 0.3);
    assert_true(share[1] == 1.0 || fabs(share[1] - 1) < 1e-9);
    shares(share, logit, 5, 0, 0, 0); /* the first of equals */
    assert_true(fabs(share[1] - 1) < 1e-9);
    shares(share, logit, 4, 1e-300, 0, 0); /* no NaN: equals share, the others get nothing */
    assert_true(fabs(share[1] - 0.5) < 1e-3 && fabs(share[3] - 0.5) < 1e-3);
}

static lcm_generated generate(const lcm_quant *m, const real *x, double t, int64_t top_k, double top_p, double guidance, int64_t seed) {
    lcm_prompts p = {DOCS, x, docs, NULL, NULL};
    lcm_generate_config c = lcm_generate_config_default();
    lcm_generated g;
    c.max_gen_len = 5;
    c.temperature = t;
    c.top_k = top_k;
    c.top_p = top_p;
    c.seed = seed;
    c.sampler.guidance_scale = guidance;
    OK(lcm_generate(ctx, &g, &m->model, &p, &c, NULL));
    assert_int_equal(g.off[DOCS], 5 * DOCS);
    return g;
}

static bool same(const lcm_generated *a, const lcm_generated *b) {
    return memcmp(a->x, b->x, (size_t)(a->off[a->n] * TOY_D) * sizeof *a->x) == 0;
}

static void cold_and_narrow_choices_are_the_most_probable(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        lcm_quant *m = new_quant(kind, false);
        real *x = toy_concepts(CONCEPTS, TOY_D, 8);
        lcm_generated first = generate(m, x, 0, 0, 0, 1, 1);
        const struct {
            double t;
            int64_t top_k;
            double top_p;
            int64_t seed;
            bool same;
        } c[] = {{1e-7, 0, 0, 1, true}, {1, 1, 0, 1, true}, {1, 0, 1e-9, 2, true}, {0, 3, 0.5, 9, true}, {1, 0, 0, 1, false}, {1, 3, 0.9, 2, false}};
        for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
            lcm_generated g = generate(m, x, c[i].t, c[i].top_k, c[i].top_p, 1, c[i].seed);
            if (same(&g, &first) != c[i].same) fail_msg("%s, case %zu", kinds[kind], i);
            lcm_generated_free(&g);
        }
        lcm_generated_free(&first);
        free(x);
        lcm_model_free(&m->model);
    }
}

static void seed_makes_the_story(void **state) {
    lcm_quant *m = new_quant(1, false);
    real *x = toy_concepts(CONCEPTS, TOY_D, 8);
    lcm_generated a = generate(m, x, 1, 0, 0, 2, 4), b = generate(m, x, 1, 0, 0, 2, 4), c = generate(m, x, 1, 0, 0, 2, 5);
    (void)state;
    assert_true(same(&a, &b) && !same(&a, &c));
    lcm_generated_free(&a);
    lcm_generated_free(&b);
    lcm_generated_free(&c);
    free(x);
    lcm_model_free(&m->model);
}

/* Documents together and alone: draws go with the document's number, choices do not cross rows. */
static void batch_of_one_is_batch_of_many(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        lcm_quant *m = new_quant(kind, false);
        real *x = toy_concepts(CONCEPTS, TOY_D, 4);
        lcm_generated g = generate(m, x, 0.7, 5, 0.9, 2, 1);
        for (uint64_t d = 0; d < DOCS; d++) {
            int32_t off[2] = {0, docs[d + 1] - docs[d]};
            lcm_prompts p = {1, x + docs[d] * TOY_D, off, NULL, &d};
            lcm_generate_config c = lcm_generate_config_default();
            lcm_generated h;
            c.max_gen_len = 5;
            c.temperature = 0.7;
            c.top_k = 5;
            c.top_p = 0.9;
            c.seed = 1;
            c.sampler.guidance_scale = 2;
            OK(lcm_generate(ctx, &h, &m->model, &p, &c, NULL));
            assert_close(h.x, g.x + g.off[d] * TOY_D, 5 * TOY_D, 0); /* the same centroids, or others */
            lcm_generated_free(&h);
        }
        lcm_generated_free(&g);
        free(x);
        lcm_model_free(&m->model);
    }
}

/* 1 + 1e-9 runs both branches; and the context must matter, or there was nothing to compare. */
static void guidance_one_is_conditional(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        lcm_quant *m = new_quant(kind, false);
        real *x = toy_concepts(CONCEPTS, TOY_D, 7);
        lcm_generated g[3] = {generate(m, x, 0, 0, 0, 1, 1), generate(m, x, 0, 0, 0, 1 + 1e-9, 1), generate(m, x, 0, 0, 0, 5, 1)};
        assert_true(same(&g[0], &g[1]));
        assert_false(same(&g[0], &g[2]));
        for (int i = 0; i < 3; i++) lcm_generated_free(&g[i]);
        free(x);
        lcm_model_free(&m->model);
    }
}

/* ---- training ---- */

/* Fixed codebooks and dropped rows, so that there is something to memorise: squared error to a part of
 * what it was, all units right. The codebooks keep their bits. */
static void models_overfit(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        lcm_quant_config config = toy_quant_config();
        lcm_criterion_config cc = lcm_criterion_config_default();
        lcm_adamw_config aw = lcm_adamw_config_default();
        lcm_draws d = {.seed = 3};
        lcm_criterion *c;
        lcm_model *m;
        real *x = toy_concepts(CONCEPTS, TOY_D, 12), book[U * TOY_D], *am, *av;
        lcm_concept_batch b = {.n_docs = DOCS, .x = x, .off = docs};
        lcm_model_loss l;
        double first = 0;
        size_t n;
        cc.cf_guidance_probability = 0.2;
        OK(lcm_model_create(ctx, &m, kinds[kind], &config, true));
        assert_int_equal(lcm_model_fixed(m), K * U * TOY_D);
        assert_int_equal(lcm_model_parameters(m), lcm_params_trainable(&m->params));
        lcm_model_init(m, 5);
        fill_books((lcm_quant *)m);
        memcpy(book, m->rvq->book[1]->x, sizeof book);
        OK(lcm_criterion_new(ctx, &c, m, &cc));
        n = (size_t)m->params.n_flat;
        am = calloc(n, sizeof *am);
        av = calloc(n, sizeof *av);
        for (int k = 1; k <= 400; k++) {
            memset(m->params.g, 0, n * sizeof(real));
            lcm_tape_reset(tape, (lcm_tape_opts){.record = true, .train = true});
            OK(lcm_model_loss_run(ctx, &l, tape, m, &b, c, &d));
            if (k == 1) first = l.sum;
            OK(lcm_tape_backward(tape, l.out, NULL));
            for (size_t i = 0; i < m->params.n; i++) {
                lcm_param *p = m->params.items[i];
                if (p->t.needs)
                    lcm_adamw_step(p->t.x, p->t.g, am + p->offset, av + p->offset, (size_t)(p->t.rows * p->t.cols), &aw,
                                   k < 300 ? 3e-3 : 5e-4, 1 / (double)l.n_targets, k);
            }
        }
        if (!(l.sum < 0.01 * first)) fail_msg("%s: %g, from %g", kinds[kind], l.sum, first);
        if (kind == 1) assert_int_equal(l.n_hits, CONCEPTS);
        assert_memory_equal(m->rvq->book[1]->x, book, sizeof book);
        lcm_criterion_free(c);
        lcm_model_free(m);
        free(am), free(av), free(x);
    }
}

static void files_carry_the_codebooks(void **state) {
    char *dir = tmpdir_new();
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        lcm_quant *m = new_quant(kind, false);
        lcm_model_save_opts o = {.dtype = LCM_DT_F32, .space = 9};
        lcm_model *back;
        real *x = toy_concepts(CONCEPTS, TOY_D, 8);
        lcm_generated a = generate(m, x, 1, 4, 0, 2, 3), b;
        const char *path = tmpdir_path(dir, "m.safetensors");
        OK(lcm_model_save(ctx, &m->model, &o, path));
        OK(lcm_model_load(ctx, &back, NULL, path, true));
        assert_string_equal(back->type->name, kinds[kind]);
        for (int k = 0; k < K; k++) {
            assert_memory_equal(back->rvq->book[k]->x, m->rvq.book[k]->x, U * TOY_D * sizeof(real));
            assert_false(back->rvq->book[k]->needs); /* loaded for training: data, all the same */
        }
        b = generate((lcm_quant *)back, x, 1, 4, 0, 2, 3);
        assert_true(same(&a, &b));
        lcm_generated_free(&a);
        lcm_generated_free(&b);
        free(x);
        lcm_model_free(back);
        lcm_model_free(&m->model);
    }
    tmpdir_free(dir);
}

/* ---- refusals ---- */

static void expect_refusal(lcm_model *m, const lcm_generate_config *c, const char *text) {
    real *x = toy_concepts(CONCEPTS, TOY_D, 8);
    lcm_prompts p = {DOCS, x, docs, NULL, NULL};
    lcm_generated g;
    assert_int_equal(lcm_generate(ctx, &g, m, &p, c, NULL), LCM_ERR_ARG);
    assert_string_equal(lcm_ctx_message(ctx), text);
    assert_null(g.x);
    free(x);
    lcm_model_free(m);
}

static void bad_requests_are_refused(void **state) {
    lcm_generate_config c = lcm_generate_config_default(), plain = c;
    lcm_base_config base = toy_base_config();
    lcm_two_tower_config two = toy_two_tower_config();
    lcm_quant_config q = toy_quant_config();
    lcm_criterion_config cc = lcm_criterion_config_default();
    lcm_criterion *criterion;
    lcm_model_loss l;
    lcm_model *m;
    real *x = toy_concepts(CONCEPTS, TOY_D, 8);
    lcm_concept_batch b = {.n_docs = DOCS, .x = x, .off = docs};
    int64_t level[CONCEPTS] = {0, 1, K};
    lcm_draws d = {.t = level};
    (void)state;
    c.max_gen_len = plain.max_gen_len = 2;
    c.top_k = 3;
    OK(lcm_model_create(ctx, &m, "base", &base, false));
    expect_refusal(m, &c, "top_k: a base model predicts vectors, only quant models choose among units");
    c.top_k = 0;
    c.top_p = 0.5;
    OK(lcm_model_create(ctx, &m, "two_tower", &two, false));
    expect_refusal(m, &c, "top_p: a two_tower model predicts vectors, only quant models choose among units");
    q.trained_with_cf_guidance = false;
    OK(lcm_model_create(ctx, &m, "quant_d", &q, false));
    plain.sampler.guidance_scale = 2;
    expect_refusal(m, &plain, "guidance_scale 2 needs a model trained_with_cf_guidance; use 1");
    m = &new_quant(1, false)->model;
    assert_int_equal(lcm_criterion_new(ctx, &criterion, m, &cc), LCM_ERR_ARG); /* has guidance, no row is dropped */
    cc.cf_guidance_probability = 0.1;
    OK(lcm_criterion_new(ctx, &criterion, m, &cc));
    lcm_tape_reset(tape, (lcm_tape_opts){0});
    assert_int_equal(lcm_model_loss_run(ctx, &l, tape, m, &b, criterion, &d), LCM_ERR_ARG);
    assert_string_equal(lcm_ctx_message(ctx), "codebook 4 of row 2, the model has 0 to 3");
    lcm_criterion_free(criterion);
    lcm_model_free(m);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_the_definition),
        cmocka_unit_test(training_rows_are_inference),
        cmocka_unit_test(scores_are_distances),
        cmocka_unit_test(units_are_chosen_by_probability),
        cmocka_unit_test(cold_and_narrow_choices_are_the_most_probable),
        cmocka_unit_test(seed_makes_the_story),
        cmocka_unit_test(batch_of_one_is_batch_of_many),
        cmocka_unit_test(guidance_one_is_conditional),
        cmocka_unit_test(models_overfit),
        cmocka_unit_test(files_carry_the_codebooks),
        cmocka_unit_test(bad_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, taped_setup, taped_teardown);
}
