/* What must hold for the concept models whatever their weights. */
#include "harness/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/tmpdir.h"
#include "harness/toy_models.h"
#include "lcm/generate.h"
#include "lcm/model_io.h"
#include "train/adamw.h"

static lcm_ctx *ctx;
static lcm_tape *tape;
static char *dir;

#define OK(call)                                                                                             \
    do {                                                                                                     \
        if ((call) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));                                          \
    } while (0)

static int setup(void **state) {
    (void)state;
    ctx = lcm_ctx_new();
    tape = lcm_tape_new(ctx, 1 << 20);
    dir = tmpdir_new();
    return ctx && tape ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    tmpdir_free(dir);
    lcm_tape_free(tape);
    lcm_ctx_free(ctx);
    return 0;
}

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
    lcm_concept_batch b = {1, x, off, NULL};
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
    lcm_model *models[2] = {new_base(), new_two_tower()};
    real *x = toy_concepts(11, TOY_D, 4), eos[TOY_D];
    (void)state;
    for (int k = 0; k < 2; k++) {
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
    lcm_concept_batch b = {1, x, off, NULL};
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
static void guidance_one_is_conditional(void **state) {
    static const int32_t off[3] = {0, 3, 5};
    lcm_model *m = new_two_tower();
    real *x = toy_concepts(5, TOY_D, 7);
    lcm_prompts p = {2, x, off, NULL, NULL};
    lcm_generate_config c = lcm_generate_config_default();
    lcm_generated g[3];
    (void)state;
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
static void draws_are_functions_of_seed_and_step(void **state) {
    static const int32_t off[3] = {0, 9, 14};
    lcm_model *m = new_two_tower();
    real *x = toy_concepts(14, TOY_D, 8);
    lcm_concept_batch b = {2, x, off, NULL};
    lcm_criterion_config cc = lcm_criterion_config_default();
    lcm_model_loss l;
    double first;
    (void)state;
    cc.cf_guidance_probability = 0.4;
    first = loss_of(m, &b, &cc, &(lcm_draws){.seed = 1, .step = 2}, &l);
    assert_true(loss_of(m, &b, &cc, &(lcm_draws){.seed = 1, .step = 2}, &l) == first);
    assert_true(loss_of(m, &b, &cc, &(lcm_draws){.seed = 1, .step = 3}, &l) != first);
    assert_true(loss_of(m, &b, &cc, &(lcm_draws){.seed = 2, .step = 2}, &l) != first);
    free(x);
    lcm_model_free(m);
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

static void dropped_rows(void **state) {
    static const int32_t off[3] = {0, 20, 32};
    lcm_model *m = new_two_tower();
    real *x = toy_concepts(32, TOY_D, 10);
    lcm_concept_batch b = {2, x, off, NULL};
    lcm_criterion_config cc = lcm_criterion_config_default();
    uint8_t d[32];
    int64_t total = 0;
    (void)state;
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

/* AdamW on a handful of random documents: the loss per concept must fall to a small part of the
 * variance it starts from. Levels, noise and dropped rows are fixed for the two-tower model, so that
 * there is something to memorise. */
static void overfits(const char *kind, const void *config, double target) {
    static const int32_t off[4] = {0, 5, 9, 15};
    lcm_model *m;
    real *x = toy_concepts(15, TOY_D, 12);
    lcm_concept_batch b = {3, x, off, NULL};
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
    (void)state;
    overfits("base", &b, 0.01);
    overfits("two_tower", &t, 0.01);
}

/* ---- files ---- */

static void save_load(void **state) {
    lcm_model *models[2] = {new_base(), new_two_tower()};
    (void)state;
    for (int k = 0; k < 2; k++) {
        lcm_model_save_opts o = {.dtype = LCM_DT_F32, .space = 0x1234};
        lcm_model *m;
        lcm_model_meta meta;
        size_t bytes = (size_t)models[k]->params.n_flat * sizeof(real);
        const char *path = tmpdir_path(dir, "m.safetensors");
        OK(lcm_model_save(ctx, models[k], &o, path));
        OK(lcm_model_load(ctx, &m, &meta, path, false));
        assert_string_equal(meta.kind, models[k]->type->name);
        assert_true(meta.space == 0x1234);
        assert_memory_equal(m->params.x, models[k]->params.x, bytes);
        assert_memory_equal(m->normalizer->scale, models[k]->normalizer->scale, TOY_D * sizeof(real));
        assert_memory_equal(m->normalizer->center, models[k]->normalizer->center, TOY_D * sizeof(real));
        json_t *a = lcm_model_config_json(m), *b = lcm_model_config_json(models[k]);
        assert_true(json_equal(a, b));
        json_decref(a);
        json_decref(b);
        lcm_model_meta_free(&meta);
        lcm_model_free(m);
        o.dtype = LCM_DT_F16;
        OK(lcm_model_save(ctx, models[k], &o, path));
        OK(lcm_model_load(ctx, &m, NULL, path, false));
        assert_close(m->params.x, models[k]->params.x, models[k]->params.n_flat, 0x1p-11); /* half: 11 bits */
        assert_memory_equal(m->normalizer->scale, models[k]->normalizer->scale, TOY_D * sizeof(real));
        lcm_model_free(m);
        lcm_model_free(models[k]);
    }
}

static void expect_failure(lcm_status got, lcm_status want, const char *text) {
    if (got != want || !strstr(lcm_ctx_message(ctx), text))
        fail_msg("expected %s with \"%s\", got %s: %s", lcm_status_name(want), text, lcm_status_name(got),
                 lcm_ctx_message(ctx));
}

typedef enum damage {
    MISSING,
    EXTRA,
    SHAPE,
    NOT_FINITE,
    BAD_SCALE,
    HUGE_CONFIG,
    UNKNOWN_KIND,
    UNKNOWN_KEY
} damage;

/* Writes the model's tensors by hand, one of them wrong. */
static void write_damaged(const lcm_model *m, const char *path, damage what) {
    static real other[64 * 64];
    lcm_st_writer *w;
    json_t *config = lcm_model_config_json(m);
    char name[256];
    other[3] = what == NOT_FINITE ? (real)NAN : 0;
    if (what == HUGE_CONFIG) {
        json_object_set_new(config, "model_dim", json_integer(65536));
        json_object_set_new(json_object_get(config, "lcm"), "num_layers", json_integer(1024));
    }
    if (what == UNKNOWN_KEY) json_object_set_new(config, "modeldim", json_integer(16));
    OK(lcm_st_writer_new(ctx, &w));
    OK(lcm_model_meta_write(ctx, w, what == UNKNOWN_KIND ? "three_tower" : "base", 1, config, NULL));
    for (size_t i = 0; i < m->params.n; i++) {
        const lcm_param *p = m->params.items[i];
        int64_t dims[2] = {p->t.rows, p->t.cols};
        bool victim = strcmp(p->name, "postnet.fc.weight") == 0;
        if (victim && what == MISSING) continue;
        if (victim && what == SHAPE) dims[0]++;
        OK(lcm_st_writer_add(ctx, w, p->name, LCM_DT_F32, p->is_vector ? dims + 1 : dims,
                             p->is_vector ? 1 : 2,
                             victim && (what == SHAPE || what == NOT_FINITE) ? other : p->t.x));
    }
    snprintf(name, sizeof name, "%s.center", m->normalizer_name);
    OK(lcm_st_writer_add(ctx, w, name, LCM_DT_F32, &m->embed_dim, 1, m->normalizer->center));
    snprintf(name, sizeof name, "%s.scale", m->normalizer_name);
    OK(lcm_st_writer_add(ctx, w, name, LCM_DT_F32, &m->embed_dim, 1,
                         what == BAD_SCALE ? other : m->normalizer->scale));
    if (what == EXTRA) OK(lcm_st_writer_add(ctx, w, "lcm.layers.2.x", LCM_DT_F32, &m->embed_dim, 1, other));
    OK(lcm_st_writer_commit(ctx, w, path));
    lcm_st_writer_free(w);
    json_decref(config);
}

static void damaged_files(void **state) {
    static const struct {
        damage what;
        lcm_status status;
        const char *text;
    } cases[] = {{MISSING, LCM_ERR_NOTFOUND, "postnet.fc.weight"},
                 {EXTRA, LCM_ERR_FORMAT, "lcm.layers.2.x"},
                 {SHAPE, LCM_ERR_SHAPE, "postnet.fc.weight"},
                 {NOT_FINITE, LCM_ERR_NUMERIC, "postnet.fc.weight"},
                 {BAD_SCALE, LCM_ERR_NUMERIC, "scale"},
                 {HUGE_CONFIG, LCM_ERR_SHAPE, "pre_linear.weight"},
                 {UNKNOWN_KIND, LCM_ERR_FORMAT, "three_tower"},
                 {UNKNOWN_KEY, LCM_ERR_FORMAT, "modeldim"}};
    lcm_model *m = new_base(), *got;
    lcm_model_save_opts o = {.dtype = LCM_DT_F16};
    const char *path = tmpdir_path(dir, "d.safetensors");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_damaged(m, path, cases[i].what);
        expect_failure(lcm_model_load(ctx, &got, NULL, path, false), cases[i].status, cases[i].text);
        assert_null(got);
    }
    m->params.items[0]->t.x[0] = 70000; /* a float, but no half */
    expect_failure(lcm_model_save(ctx, m, &o, path), LCM_ERR_NUMERIC, m->params.items[0]->name);
    lcm_model_free(m);
}

static void bad_configurations(void **state) {
    static const struct {
        const char *kind, *json;
        lcm_status status;
        const char *text;
    } cases[] = {
        {"base", "{\"lcm\": {\"num_attn_heads\": 7}}", LCM_ERR_SHAPE, "1024 does not divide into 7"},
        {"base", "{\"model_dim\": 24, \"lcm\": {\"num_attn_heads\": 8, \"pos_embedding_style\": \"rope\"}}",
         LCM_ERR_SHAPE, "3 wide"},
        {"base", "{\"model_dim\": 15, \"lcm\": {\"num_attn_heads\": 3, \"pos_embedding_style\": \"sine\"}}",
         LCM_ERR_SHAPE, "15"},
        {"base", "{\"lcm\": {\"attention_dropout_p\": 0.1}}", LCM_ERR_ARG, "attention_dropout_p"},
        {"base", "{\"lcm\": {\"layers\": 2}}", LCM_ERR_ARG, "unknown key 'layers'"},
        {"two_tower", "{\"model_dim\": 512}", LCM_ERR_SHAPE, "timestep_embed_dim 1024"},
        {"two_tower", "{\"denoiser\": {\"pos_embedding_style\": \"rope\"}}", LCM_ERR_UNSUPPORTED, "rope"},
        {"two_tower", "{\"denoiser\": {\"norm_order_style\": \"post\"}}", LCM_ERR_UNSUPPORTED, "post"},
        {"two_tower", "{\"denoiser\": {\"scale_residual\": 0.5}}", LCM_ERR_UNSUPPORTED, "scale_residual"},
        {"two_tower", "{\"context_encoder\": {\"num_attn_heads\": 3}}", LCM_ERR_SHAPE, "context_encoder"},
        {"twotower", "{}", LCM_ERR_NOTFOUND, "two_tower"}};
    lcm_model *m;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *j;
        OK(lcm_json_parse(ctx, &j, cases[i].json, strlen(cases[i].json), "test"));
        expect_failure(lcm_model_new(ctx, &m, cases[i].kind, j, "c", false), cases[i].status, cases[i].text);
        assert_null(m);
        json_decref(j);
    }
}

static void bad_requests(void **state) {
    static const int32_t off[3] = {0, 2, 2}, long_off[2] = {0, 65}, ok_off[2] = {0, 3};
    lcm_two_tower_config tc = toy_two_tower_config();
    lcm_model *m = new_two_tower(), *plain;
    real *x = toy_concepts(65, TOY_D, 13);
    lcm_concept_batch b = {2, x, off, NULL}, longer = {1, x, long_off, NULL}, fine = {1, x, ok_off, NULL};
    lcm_criterion_config cc = lcm_criterion_config_default();
    lcm_generate_config gc = lcm_generate_config_default();
    lcm_prompts p = {1, x, ok_off, NULL, NULL};
    lcm_criterion *c;
    lcm_model_loss l;
    lcm_generated g;
    int64_t t[3] = {0, 20, 1};
    int32_t source = 4;
    (void)state;
    tc.trained_with_cf_guidance = false;
    plain = new_model("two_tower", &tc, false);
    expect_failure(lcm_criterion_new(ctx, &c, m, &cc), LCM_ERR_ARG, "cf_guidance_probability");
    cc.cf_guidance_probability = 0.2;
    expect_failure(lcm_criterion_new(ctx, &c, plain, &cc), LCM_ERR_ARG, "trained_with_cf_guidance");
    OK(lcm_criterion_new(ctx, &c, m, &cc));
    lcm_tape_reset(tape, (lcm_tape_opts){0});
    expect_failure(lcm_model_loss_run(ctx, &l, tape, m, &b, c, &(lcm_draws){0}), LCM_ERR_ARG, "document 1");
    expect_failure(lcm_model_loss_run(ctx, &l, tape, m, &longer, c, &(lcm_draws){0}), LCM_ERR_LIMIT,
                   "65 concepts");
    expect_failure(lcm_model_loss_run(ctx, &l, tape, m, &fine, c, &(lcm_draws){.t = t}), LCM_ERR_ARG,
                   "level 20");
    fine.source_len = &source;
    expect_failure(lcm_model_loss_run(ctx, &l, tape, m, &fine, c, &(lcm_draws){0}), LCM_ERR_ARG,
                   "source of 4");
    source = 3;
    expect_failure(lcm_model_loss_run(ctx, &l, tape, m, &fine, c, &(lcm_draws){0}), LCM_ERR_ARG,
                   "without a target");
    lcm_criterion_free(c);
    gc.sampler.steps = 5;
    gc.max_gen_len = 63;
    expect_failure(lcm_generate(ctx, &g, m, &p, &gc, NULL), LCM_ERR_LIMIT, "reads 64");
    gc.max_gen_len = 2;
    expect_failure(lcm_generate(ctx, &g, plain, &p, &gc, NULL), LCM_ERR_ARG, "guidance_scale 3");
    x[5] = (real)NAN;
    expect_failure(lcm_generate(ctx, &g, m, &p, &gc, NULL), LCM_ERR_NUMERIC, "concept 0");
    x[5] = 0;
    for (int64_t i = 0; i < 8; i++) m->params.items[m->params.n - 1]->t.x[i] = (real)INFINITY;
    assert_int_equal(lcm_generate(ctx, &g, m, &p, &gc, NULL), LCM_ERR_NUMERIC);
    assert_null(g.x);
    free(x);
    lcm_model_free(m);
    lcm_model_free(plain);
}

/* ---- steady state ---- */

/* After the first concept a step of the same batch takes no memory from the system. */
static void steady_steps_allocate_nothing(void **state) {
    static const int32_t slot[2] = {0, 1}, off[3] = {0, 1, 2};
    lcm_model *models[2] = {new_base(), new_two_tower()};
    real *x = toy_concepts(2, TOY_D, 14), *fixed = toy_concepts(1, TOY_D, 15);
    (void)state;
    for (int k = 0; k < 2; k++) {
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

static lcm_status refuse_third(lcm_ctx *c, void *user, int64_t prompt, int64_t index, const real *x) {
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
    expect_failure(lcm_generate(ctx, &g, m, &p, &c, &h), LCM_ERR_CANCELLED, "enough");
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
        cmocka_unit_test(save_load),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(bad_requests),
        cmocka_unit_test(steady_steps_allocate_nothing),
        cmocka_unit_test(repetition_stops),
        cmocka_unit_test(callback_can_cancel),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
