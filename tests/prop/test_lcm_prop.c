/* What must hold for the concept models whatever their weights. */
#include "harness/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/taped.h"
#include "harness/toy_models.h"
#include "lcm/generate.h"
#include "train/adamw.h"

static lcm_model *new_model(const char *kind, const void *config, bool with_grad) {
    lcm_model *m;
    OK(lcm_model_create(ctx, &m, kind, config, with_grad));
    toy_randomize(m, 11);
    return m;
}

static lcm_model *new_base(void) {
    lcm_base_config c = toy_base_config();
    c.lcm.enable_qk_layernorm = true;
    return new_model("base", &c, false);
}

static lcm_model *new_one_tower(void) {
    lcm_one_tower_config c = toy_one_tower_config();
    c.tower.enable_qk_layernorm = true;
    return new_model("one_tower", &c, false);
}

static lcm_model *new_two_tower(void) {
    lcm_two_tower_config c = toy_two_tower_config();
    c.denoiser.transformer.enable_qk_layernorm = true;
    return new_model("two_tower", &c, false);
}

static lcm_packed pass_over(const int32_t *off, int64_t n) {
    lcm_tape_reset(tape, (lcm_tape_opts){0});
    return lcm_packed_make(tape, n, off);
}

/* Contexts of 4, 1 and 7 concepts, fed in ragged pieces, against one full pass. Float sums in another
 * order: 1e-6 of the largest value. */
static void cache_equals_full_pass(void **state) {
    static const int32_t off[4] = {0, 4, 5, 12};
    static const int32_t feeds[3][4] = {
        {0, 2, 3, 4}, {0, 1, 1, 3}, {0, 1, 1, 5}}; /* offsets of new rows per feed */
    const int positions[] = {LCM_POS_ROPE, LCM_POS_LEARNED, LCM_POS_SINE};
    real *x = toy_concepts(12, TOY_D, 1);
    (void)state;
    for (int v = 0; v < 3; v++) {
        lcm_base_config c = toy_base_config();
        lcm_base *m;
        lcm_kv_cache cache;
        lcm_packed p;
        real full[12 * TOY_M], got[12 * TOY_M];
        int32_t len[3] = {0};
        lcm_tensor *y;
        c.lcm.pos_embedding_style = positions[v];
        c.lcm.enable_qk_layernorm = v == 1;
        m = (lcm_base *)new_model("base", &c, false);
        p = pass_over(off, 3);
        y = lcm_stack_fwd(tape, &m->stack,
                          lcm_frontend_fwd(tape, &m->frontend, lcm_tensor_const(tape, x, 12, TOY_D), p.pos),
                          &p);
        memcpy(full, y->x, sizeof full);
        OK(lcm_kv_new(ctx, &cache, 2, 3, 8, TOY_M));
        for (int f = 0; f < 3; f++) {
            int32_t slot[3], rows[4] = {0};
            real in[12 * TOY_D];
            lcm_kv_rows r;
            int64_t n = 0;
            for (int32_t s = 0; s < 3; s++) {
                int32_t count = feeds[f][s + 1] - feeds[f][s];
                if (count == 0) continue;
                memcpy(in + rows[n] * TOY_D, x + (off[s] + len[s]) * TOY_D,
                       (size_t)count * TOY_D * sizeof *in);
                slot[n] = s;
                rows[n + 1] = rows[n] + count;
                n++;
            }
            lcm_tape_reset(tape, (lcm_tape_opts){0});
            r = lcm_kv_rows_make(tape, n, slot, rows, len);
            y = lcm_frontend_fwd(tape, &m->frontend, lcm_tensor_const(tape, in, rows[n], TOY_D), r.pos);
            y = lcm_stack_step(tape, &m->stack, y, &cache, &r);
            for (int64_t i = 0; i < n; i++) {
                int32_t count = rows[i + 1] - rows[i];
                memcpy(got + (off[slot[i]] + len[slot[i]]) * TOY_M, y->x + rows[i] * TOY_M,
                       (size_t)count * TOY_M * sizeof *got);
                len[slot[i]] += count;
            }
        }
        assert_int_equal(len[0] + len[1] + len[2], 12);
        assert_close(got, full, 12 * TOY_M, 1e-6);
        lcm_kv_free(&cache);
        lcm_model_free(&m->model);
    }
    free(x);
}

/* Takes the x that the sampler hands over and stops the generation there: one level, so the network
 * output itself (prediction "sample") is the result. */
static void draw_fixed(void *user, real *out, int64_t D, uint64_t doc, int64_t index, int64_t call) {
    (void)doc;
    (void)index;
    (void)call;
    memcpy(out, user, (size_t)D * sizeof *out);
}

/* Row i of the training pass at the highest level equals one inference step behind context[:i]. */
static void training_row_is_inference(void **state) {
    enum { T = 6 };
    int32_t off[2] = {0, T};
    lcm_two_tower *m = (lcm_two_tower *)new_two_tower();
    real *x = toy_concepts(T, TOY_D, 2), *noise = toy_concepts(1, TOY_D, 3), *z, noisy[T * TOY_D],
         want[T * TOY_D];
    int64_t level[T];
    lcm_concept_batch b = {.n_docs = 1, .x = x, .off = off};
    lcm_packed p = pass_over(off, 1);
    lcm_two_tower_mask mask = lcm_two_tower_mask_make(tape, &b, NULL);
    lcm_tensor *y;
    (void)state;
    z = lcm_model_normalize(tape, &m->model, x, T, 0);
    for (int i = 0; i < T; i++) {
        level[i] = 19;
        memcpy(noisy + i * TOY_D, noise, TOY_D * sizeof *noise);
    }
    y = lcm_two_tower_encode(tape, m, lcm_tensor_const(tape, z, T, TOY_D), &p);
    y = lcm_two_tower_denoise(tape, m, lcm_tensor_const(tape, noisy, T, TOY_D), level, y, &mask);
    lcm_denormalize(m->model.normalizer, want, y->x, T, NULL);
    for (int32_t i = 1; i < T; i++) { /* a prompt has at least one concept */
        int32_t po[2] = {0, i};
        lcm_prompts prompt = {1, x, po, NULL, NULL};
        lcm_generate_config c = lcm_generate_config_default();
        lcm_generate_hooks hooks = {.noise = {draw_fixed, noise}};
        lcm_generated g;
        c.max_gen_len = 1;
        c.sampler.steps = 1;
        c.sampler.initial_noise_scale = 1;
        OK(lcm_generate(ctx, &g, &m->model, &prompt, &c, &hooks));
        assert_close(g.x, want + i * TOY_D, TOY_D, 2e-6);
        lcm_generated_free(&g);
    }
    free(x);
    free(noise);
    lcm_model_free(&m->model);
}

static void base_row_is_inference(void **state) {
    enum { T = 6 };
    int32_t off[2] = {0, T};
    lcm_base *m = (lcm_base *)new_base();
    real *x = toy_concepts(T, TOY_D, 2), want[T * TOY_D];
    lcm_packed p = pass_over(off, 1);
    lcm_tensor *y = lcm_base_fwd(
        tape, m, lcm_tensor_const(tape, lcm_model_normalize(tape, &m->model, x, T, 0), T, TOY_D), &p);
    (void)state;
    lcm_denormalize(m->model.normalizer, want, y->x, T, NULL);
    for (int32_t i = 1; i <= T; i++) {
        int32_t po[2] = {0, i};
        lcm_prompts prompt = {1, x, po, NULL, NULL};
        lcm_generate_config c = lcm_generate_config_default();
        lcm_generated g;
        c.max_gen_len = 1;
        OK(lcm_generate(ctx, &g, &m->model, &prompt, &c, NULL));
        assert_close(g.x, want + (i - 1) * TOY_D, TOY_D, 2e-6);
        lcm_generated_free(&g);
    }
    free(x);
    lcm_model_free(&m->model);
}

/* Documents generated together or alone, with rows that stop at different times. The noise goes with
 * the document's number; sums may be blocked differently for other numbers of rows. */
static void batch_of_one_is_batch_of_many(void **state) {
    static const int32_t off[5] = {0, 3, 4, 9, 11};
    lcm_model *models[3] = {new_base(), new_two_tower(), new_one_tower()};
    real *x = toy_concepts(11, TOY_D, 4), eos[TOY_D];
    (void)state;
    for (int k = 0; k < 3; k++) {
        lcm_generate_config c = lcm_generate_config_default();
        lcm_prompts all = {4, x, off, NULL, NULL};
        lcm_generated g, again;
        int stopped = 0;
        c.max_gen_len = 6;
        c.eos_threshold = 0.9999;
        c.temperature = 0.7;
        c.sampler.steps = 5;
        OK(lcm_generate(ctx, &g, models[k], &all, &c, NULL));
        memcpy(eos, g.x + (g.off[1] + 2) * TOY_D, sizeof eos); /* document 1 shall end with its concept 2 */
        lcm_generated_free(&g);
        all.eos = eos;
        OK(lcm_generate(ctx, &g, models[k], &all, &c, NULL));
        OK(lcm_generate(ctx, &again, models[k], &all, &c, NULL));
        assert_memory_equal(g.x, again.x, (size_t)g.off[4] * TOY_D * sizeof *g.x);
        lcm_generated_free(&again);
        for (uint64_t d = 0; d < 4; d++) {
            int32_t po[2] = {0, off[d + 1] - off[d]};
            lcm_prompts one = {1, x + off[d] * TOY_D, po, eos, &d};
            lcm_generated h;
            OK(lcm_generate(ctx, &h, models[k], &one, &c, NULL));
            assert_int_equal(h.off[1], g.off[d + 1] - g.off[d]);
            assert_int_equal(h.stop[0], g.stop[d]);
            assert_close(h.x, g.x + g.off[d] * TOY_D, h.off[1] * TOY_D,
                         1e-4); /* errors feed back over 6 x 5 steps */
            stopped += h.stop[0] == LCM_STOP_EOS;
            lcm_generated_free(&h);
        }
        assert_true(stopped == 1 && g.off[2] - g.off[1] == 3); /* else ragged ends were not tested */
        lcm_generated_free(&g);
        lcm_model_free(models[k]);
    }
    free(x);
}

/* With zero modulators every block is the identity: the denoiser is final(norm(initial(noisy))). */
static void denoiser_without_modulators_is_identity(void **state) {
    lcm_two_tower *m = (lcm_two_tower *)new_two_tower();
    int32_t off[2] = {0, 5};
    int64_t level[5] = {0, 3, 7, 12, 19};
    real *x = toy_concepts(5, TOY_D, 6);
    lcm_concept_batch b = {.n_docs = 1, .x = x, .off = off};
    lcm_packed p;
    lcm_two_tower_mask mask;
    lcm_tensor *in, *y, *want;
    (void)state;
    for (int64_t i = 0; i < m->config.denoiser.transformer.num_layers; i++) {
        lcm_linear *mod = &m->denoiser.layers[i].modulator;
        memset(mod->w->x, 0, (size_t)(mod->w->rows * mod->w->cols) * sizeof(real));
        memset(mod->b->x, 0, (size_t)mod->b->cols * sizeof(real));
    }
    p = pass_over(off, 1);
    mask = lcm_two_tower_mask_make(tape, &b, NULL);
    in = lcm_tensor_const(tape, x, 5, TOY_D);
    y = lcm_two_tower_denoise(tape, m, in, level, lcm_two_tower_encode(tape, m, in, &p), &mask);
    want = lcm_norm_fwd(tape, &m->denoiser.norm, lcm_projection_fwd(tape, &m->denoiser.initial, in));
    want = lcm_projection_fwd(tape, &m->denoiser.final, want);
    assert_close(y->x, want->x, 5 * TOY_D, 0);
    free(x);
    lcm_model_free(&m->model);
}

/* Guidance 1 asks for the conditional branch only; 1 + 1e-7 asks for both and must agree; and a
 * dropped context must matter, or the comparison would be empty. */
static void check_guidance(lcm_model *m) {
    static const int32_t off[3] = {0, 3, 5};
    real *x = toy_concepts(5, TOY_D, 7);
    lcm_prompts p = {2, x, off, NULL, NULL};
    lcm_generate_config c = lcm_generate_config_default();
    lcm_generated g[3];
    c.max_gen_len = 1;
    c.sampler.steps = 10;
    c.sampler.guidance_rescale = 0;
    for (int i = 0; i < 3; i++) {
        c.sampler.guidance_scale = i == 0 ? 1 : i == 1 ? 1 + 1e-7 : 3;
        OK(lcm_generate(ctx, &g[i], m, &p, &c, NULL));
    }
    assert_close(g[1].x, g[0].x, 2 * TOY_D, 2e-5); /* the guided step goes through the noise estimate */
    assert_true(max_rel_error(g[2].x, g[0].x, 2 * TOY_D) > 1e-2);
    for (int i = 0; i < 3; i++) lcm_generated_free(&g[i]);
    free(x);
    lcm_model_free(m);
}

static void guidance_one_is_conditional(void **state) {
    (void)state;
    check_guidance(new_two_tower());
    check_guidance(new_one_tower());
}

/* ---- losses ---- */

static double loss_of(const lcm_model *m, const lcm_concept_batch *b, const lcm_criterion_config *cc,
                      const lcm_draws *d, lcm_model_loss *out) {
    lcm_criterion *c;
    OK(lcm_criterion_new(ctx, &c, m, cc));
    lcm_tape_reset(tape, (lcm_tape_opts){.record = true, .train = true});
    lcm_tape_seed(tape, d->seed, d->step);
    OK(lcm_model_loss_run(ctx, out, tape, m, b, c, d));
    lcm_criterion_free(c);
    return out->sum;
}

/* Same (seed, step): same bits. Another of either: another loss. */
static void check_draws(lcm_model *m) {
    static const int32_t off[3] = {0, 9, 14};
    real *x = toy_concepts(14, TOY_D, 8);
    lcm_concept_batch b = {.n_docs = 2, .x = x, .off = off};
    lcm_criterion_config cc = lcm_criterion_config_default();
    lcm_model_loss l;
    double first;
    cc.cf_guidance_probability = 0.4;
    first = loss_of(m, &b, &cc, &(lcm_draws){.seed = 1, .step = 2}, &l);
    assert_true(loss_of(m, &b, &cc, &(lcm_draws){.seed = 1, .step = 2}, &l) == first);
    assert_true(loss_of(m, &b, &cc, &(lcm_draws){.seed = 1, .step = 3}, &l) != first);
    assert_true(loss_of(m, &b, &cc, &(lcm_draws){.seed = 2, .step = 2}, &l) != first);
    free(x);
    lcm_model_free(m);
}

static void draws_are_functions_of_seed_and_step(void **state) {
    (void)state;
    check_draws(new_two_tower());
    check_draws(new_one_tower());
}

/* Which rows lose their context can be told from the loss alone: hand over level, noise and no rows,
 * then all rows, and see which value each row of the drawn run has. */
static int64_t count_dropped(const lcm_model *m, const lcm_concept_batch *b, const lcm_criterion_config *cc,
                             uint64_t step, uint8_t *dropped) {
    int64_t R = b->off[b->n_docs], n = 0, *t = calloc((size_t)R, sizeof *t);
    real *noise = toy_concepts(R, TOY_D, 9), *seen = malloc((size_t)R * sizeof *seen);
    uint8_t *none = calloc((size_t)R, 1);
    lcm_draws d = {.seed = 4, .step = step, .t = t, .noise = noise, .dropped = none};
    lcm_model_loss l;
    for (int64_t r = 0; r < R; r++) t[r] = 10 + r % 9;
    loss_of(m, b, cc, &d, &l);
    memcpy(seen, l.rows, (size_t)R * sizeof *seen);
    d.dropped = NULL;
    loss_of(m, b, cc, &d, &l);
    for (int64_t r = 0; r < l.n_rows; r++) n += dropped[r] = l.rows[r] != seen[r];
    free(t);
    free(noise);
    free(seen);
    free(none);
    return n;
}

static void check_dropped_rows(lcm_model *m) {
    static const int32_t off[3] = {0, 20, 32};
    real *x = toy_concepts(32, TOY_D, 10);
    lcm_concept_batch b = {.n_docs = 2, .x = x, .off = off};
    lcm_criterion_config cc = lcm_criterion_config_default();
    uint8_t d[32];
    int64_t total = 0;
    cc.cf_guidance_probability = 0.3;
    /* own rule: 30 rows can show it (the first of a document has no context to lose): mean .3 per row */
    for (uint64_t step = 0; step < 40; step++) total += count_dropped(m, &b, &cc, step, d);
    /* 40 * 30 draws, sd = sqrt(1200 * .21) = 15.9: four sigma */
    assert_true(fabs((double)total - 360) < 64);
    cc.compat_guidance_rows = true;
    for (uint64_t step = 0; step < 10; step++) {
        /* floor(19 * .3) = 5 of rows 1 … 19, the same in both documents as far as they reach */
        count_dropped(m, &b, &cc, step, d);
        total = 0;
        for (int i = 0; i < 20; i++) total += d[i];
        assert_int_equal(total, 5);
        assert_false(d[0]);
        assert_memory_equal(d, d + 20, 12);
    }
    free(x);
    lcm_model_free(m);
}

static void dropped_rows(void **state) {
    (void)state;
    check_dropped_rows(new_two_tower());
    check_dropped_rows(new_one_tower());
}

/* AdamW on a handful of random documents: the loss per concept must fall to a small part of the
 * variance it starts from. Levels, noise and dropped rows are fixed for the diffusion models, so that
 * there is something to memorise. */
static void overfits(const char *kind, const void *config, double target) {
    static const int32_t off[4] = {0, 5, 9, 15};
    lcm_model *m;
    real *x = toy_concepts(15, TOY_D, 12);
    lcm_concept_batch b = {.n_docs = 3, .x = x, .off = off};
    lcm_criterion_config cc = lcm_criterion_config_default();
    lcm_adamw_config aw = lcm_adamw_config_default();
    lcm_draws d = {.seed = 3};
    lcm_model_loss l = {0};
    double first = 0;
    size_t n;
    real *am, *av;
    OK(lcm_model_create(ctx, &m, kind, config, true));
    lcm_model_init(m, 5);
    n = (size_t)m->params.n_flat;
    am = calloc(n, sizeof *am);
    av = calloc(n, sizeof *av);
    aw.weight_decay = 0;
    cc.cf_guidance_probability = m->has_guidance ? 0.2 : 0;
    for (int k = 1; k <= 400; k++) {
        memset(m->params.g, 0, n * sizeof(real));
        loss_of(m, &b, &cc, &d, &l);
        if (k == 1) first = l.sum / (double)l.n_targets;
        OK(lcm_tape_backward(tape, l.out, NULL));
        lcm_adamw_step(m->params.x, m->params.g, am, av, n, &aw, k < 300 ? 3e-3 : 5e-4,
                       1 / (double)l.n_targets, k);
    }
    if (!(l.sum / (double)l.n_targets < target * first))
        fail_msg("%s: %g per concept, from %g", kind, l.sum / (double)l.n_targets, first);
    free(am);
    free(av);
    free(x);
    lcm_model_free(m);
}

static void models_overfit(void **state) {
    lcm_base_config b = toy_base_config();
    lcm_two_tower_config t = toy_two_tower_config();
    lcm_one_tower_config o = toy_one_tower_config();
    (void)state;
    overfits("base", &b, 0.01);
    overfits("two_tower", &t, 0.01);
    overfits("one_tower", &o, 0.01);
}

/* ---- steady state ---- */

/* After the first concept a step of the same batch takes no memory from the system. */
static void steady_steps_allocate_nothing(void **state) {
    static const int32_t slot[2] = {0, 1}, off[3] = {0, 1, 2};
    lcm_model *models[3] = {new_base(), new_two_tower(), new_one_tower()};
    real *x = toy_concepts(2, TOY_D, 14), *fixed = toy_concepts(1, TOY_D, 15);
    (void)state;
    for (int k = 0; k < 3; k++) {
        lcm_predict_config c = {.sampler = lcm_sampler_config_default()};
        lcm_concept_noise noise = {draw_fixed, fixed};
        uint64_t doc[2] = {0, 1};
        int64_t index[2] = {0};
        lcm_asked asked = {2, slot, doc, index};
        lcm_predictor *p;
        size_t before = 0;
        c.sampler.steps = 4;
        OK(models[k]->type->predictor_new(ctx, &p, models[k], &c, 2, 16));
        for (int s = 0; s < 12; s++) {
            OK(p->feed(ctx, p, x, 2, slot, off));
            OK(p->next(ctx, p, x, &asked, &noise));
            if (s == 1) before = lcm_arena_system_allocs(lcm_tape_arena(p->tape));
        }
        assert_int_equal(lcm_arena_system_allocs(lcm_tape_arena(p->tape)), before);
        p->free(p);
        lcm_model_free(models[k]);
    }
    free(x);
    free(fixed);
}

/* Repetition: a model whose prediction is the same vector always stops at index min_gen_len. */
static void repetition_stops(void **state) {
    lcm_base *m = (lcm_base *)new_base();
    int32_t off[2] = {0, 2};
    real *x = toy_concepts(2, TOY_D, 16);
    lcm_prompts p = {1, x, off, NULL, NULL};
    lcm_generate_config c = lcm_generate_config_default();
    lcm_generated g;
    (void)state;
    memset(m->postnet.fc.w->x, 0, TOY_D * TOY_M * sizeof(real));
    c.max_gen_len = 9;
    c.min_gen_len = 4;
    OK(lcm_generate(ctx, &g, &m->model, &p, &c, NULL));
    assert_true(g.off[1] == 9 && g.stop[0] == LCM_STOP_LENGTH);
    lcm_generated_free(&g);
    c.repetition_threshold = 0.999;
    OK(lcm_generate(ctx, &g, &m->model, &p, &c, NULL));
    assert_true(g.off[1] == 5 && g.stop[0] == LCM_STOP_REPETITION);
    lcm_generated_free(&g);
    free(x);
    lcm_model_free(&m->model);
}

static lcm_status refuse_third(lcm_ctx *c, void *user, int64_t prompt, int64_t index, real *x) {
    int *calls = user;
    (void)x;
    assert_int_equal(prompt, 0);
    assert_int_equal(index, *calls);
    return ++*calls == 3 ? lcm_fail(c, LCM_ERR_CANCELLED, "enough") : LCM_OK;
}

static void callback_can_cancel(void **state) {
    lcm_model *m = new_base();
    int32_t off[2] = {0, 2};
    int calls = 0;
    real *x = toy_concepts(2, TOY_D, 17);
    lcm_prompts p = {1, x, off, NULL, NULL};
    lcm_generate_config c = lcm_generate_config_default();
    lcm_generate_hooks h = {.on_concept = refuse_third, .user = &calls};
    lcm_generated g;
    (void)state;
    c.max_gen_len = 9;
    assert_int_equal(lcm_generate(ctx, &g, m, &p, &c, &h), LCM_ERR_CANCELLED);
    assert_string_equal(lcm_ctx_message(ctx), "enough");
    assert_int_equal(calls, 3);
    free(x);
    lcm_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_equals_full_pass),
        cmocka_unit_test(training_row_is_inference),
        cmocka_unit_test(base_row_is_inference),
        cmocka_unit_test(batch_of_one_is_batch_of_many),
        cmocka_unit_test(denoiser_without_modulators_is_identity),
        cmocka_unit_test(guidance_one_is_conditional),
        cmocka_unit_test(draws_are_functions_of_seed_and_step),
        cmocka_unit_test(dropped_rows),
        cmocka_unit_test(models_overfit),
        cmocka_unit_test(steady_steps_allocate_nothing),
        cmocka_unit_test(repetition_stops),
        cmocka_unit_test(callback_can_cancel),
    };
    return cmocka_run_group_tests(tests, taped_setup, taped_teardown);
}
