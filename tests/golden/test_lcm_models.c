/* The concept models against numbers of the reference code: random weights at toy size, dropout off,
 * every random draw recorded. Tolerances are relative to max|b| and stand with each file in
 * tests/data/golden/README.md; both sides are float32 and sum in different orders. */
#include "harness/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/toy_models.h"
#include "lcm/generate.h"

typedef struct fixture {
    lcm_ctx *ctx;
    lcm_tape *tape;
    golden *g;
} fixture;

static fixture open_fixture(const char *file) {
    fixture f = {lcm_ctx_new(), NULL, NULL};
    f.tape = lcm_tape_new(f.ctx, 1 << 20);
    f.g = golden_open(file);
    lcm_tape_reset(f.tape, (lcm_tape_opts){0});
    return f;
}

static void close_fixture(fixture *f) {
    golden_close(f->g);
    lcm_tape_free(f->tape);
    lcm_ctx_free(f->ctx);
}

#define OK(f, call) assert_ok((f)->ctx, call)

/* Every parameter of the model must be in the file with its shape, and no other must be. */
static void load_weights(fixture *f, lcm_model *m, const char *prefix) {
    size_t in_file = 0;
    for (size_t i = 0; i < m->params.n; i++) {
        lcm_param *p = m->params.items[i];
        int64_t dims[LCM_ST_MAX_RANK];
        real *x = golden_real(f->g, dims, "%s%s", prefix, p->name);
        assert_int_equal(p->is_vector ? dims[0] : dims[1], p->t.cols);
        if (!p->is_vector) assert_int_equal(dims[0], p->t.rows);
        memcpy(p->t.x, x, (size_t)(p->t.rows * p->t.cols) * sizeof *x);
    }
    for (size_t i = 0; i < lcm_st_count(golden_st(f->g)); i++)
        in_file += strncmp(lcm_st_at(golden_st(f->g), i)->name, prefix, strlen(prefix)) == 0;
    if (m->normalizer) {
        size_t bytes = (size_t)m->embed_dim * sizeof(real);
        memcpy(m->normalizer->center, golden_real(f->g, NULL, "%s%s.center", prefix, m->normalizer_name),
               bytes);
        memcpy(m->normalizer->scale, golden_real(f->g, NULL, "%s%s.scale", prefix, m->normalizer_name),
               bytes);
        in_file -= 2;
    }
    assert_int_equal(in_file, m->params.n);
}

/* Rows of padded documents [B,S,D] one behind the other. */
static real *pack(const real *padded, int64_t S, int64_t D, const int32_t *off, int64_t B) {
    real *x = malloc((size_t)(off[B] * D) * sizeof *x);
    assert_non_null(x);
    for (int64_t b = 0; b < B; b++)
        memcpy(x + off[b] * D, padded + b * S * D, (size_t)((off[b + 1] - off[b]) * D) * sizeof *x);
    return x;
}

/* ---- 05 ---- */

static const char *const stack_names[] = {"rms_rope_swiglu_pre", "std_learned_relu_pre", "std_relu_post",
                                          "std_relu_normformer_resscale"};

static lcm_base_config stack_config(int i) {
    lcm_base_config c = toy_base_config();
    c.sonar_normalizer = false;
    if (i == 0) return c;
    c.lcm = toy_transformer(false);
    c.lcm.pos_embedding_style = i == 1 ? LCM_POS_LEARNED : LCM_POS_NONE;
    if (i == 2) c.lcm.norm_order_style = LCM_ORDER_POST;
    if (i == 3) {
        c.lcm.norm_order_style = LCM_ORDER_NORMFORMER;
        c.lcm.scale_residual = 0.7;
    }
    return c;
}

static void base_forward(void **state) {
    fixture f = open_fixture("05_base_lcm_forward");
    int64_t *lens = golden_i64(f.g, NULL, "in.lens");
    int32_t full[4] = {0, 5, 10, 15}, ragged[4] = {0};
    (void)state;
    for (int b = 0; b < 3; b++) ragged[b + 1] = ragged[b] + (int32_t)lens[b];
    for (int i = 0; i < 4; i++) {
        char prefix[64];
        lcm_base_config c = stack_config(i);
        lcm_base *m;
        real *x = golden_real(f.g, NULL, "in.%s.x", stack_names[i]);
        OK(&f, lcm_model_create(f.ctx, (lcm_model **)&m, "base", &c, false));
        snprintf(prefix, sizeof prefix, "w.%s.", stack_names[i]);
        load_weights(&f, &m->model, prefix);
        for (int pass = 0; pass < 2; pass++) {
            const int32_t *off = pass ? ragged : full;
            real *in = pack(x, 5, TOY_D, off, 3);
            real *want = pack(golden_real(f.g, NULL, "out.%s.%s", stack_names[i], pass ? "padded" : "nopad"),
                              5, TOY_D, off, 3);
            lcm_packed p;
            lcm_tensor *y;
            lcm_tape_reset(f.tape, (lcm_tape_opts){0});
            p = lcm_packed_make(f.tape, 3, off);
            y = lcm_base_fwd(f.tape, m, lcm_tensor_const(f.tape, in, p.T, TOY_D), &p);
            OK(&f, lcm_tape_status(f.tape));
            assert_close(y->x, want, p.T * TOY_D, 5e-6);
            free(in);
            free(want);
        }
        lcm_base_free(m);
    }
    close_fixture(&f);
}

/* ---- 06 ---- */

static void timestep_embedding(void **state) {
    fixture f = open_fixture("06_timestep");
    lcm_two_tower_config c = toy_two_tower_config();
    lcm_two_tower *m;
    int64_t *t = golden_i64(f.g, NULL, "in.t"), two[12];
    lcm_denoiser *d;
    lcm_levels lv;
    real silu[6 * TOY_M], *want = golden_real(f.g, NULL, "out.emb");
    (void)state;
    c.noise_scheduler.train_steps = 100;
    OK(&f, lcm_model_create(f.ctx, (lcm_model **)&m, "two_tower", &c, false));
    d = &m->denoiser;
    memcpy(d->embed_time.fc1.w->x, golden_real(f.g, NULL, "w.fc1.weight"), TOY_M * 256 * sizeof(real));
    memcpy(d->embed_time.fc1.b->x, golden_real(f.g, NULL, "w.fc1.bias"), TOY_M * sizeof(real));
    memcpy(d->embed_time.fc2.w->x, golden_real(f.g, NULL, "w.fc2.weight"), TOY_M * TOY_M * sizeof(real));
    memcpy(d->embed_time.fc2.b->x, golden_real(f.g, NULL, "w.fc2.bias"), TOY_M * sizeof(real));
    lcm_k_act_fwd(silu, want, 6 * TOY_M, LCM_ACT_SILU);
    assert_close(lcm_denoiser_embed_levels(f.tape, d, t, 6)->x, silu, 6 * TOY_M, 1e-6);
    /* each level twice: still six embeddings, and every row finds its own */
    for (int i = 0; i < 6; i++) two[i] = two[11 - i] = t[i];
    lv = lcm_denoiser_levels(f.tape, d, two, 12, 100);
    assert_int_equal(lv.e->rows, 6);
    for (int i = 0; i < 12; i++) {
        int k = i < 6 ? i : 11 - i;
        assert_close(lv.e->x + lv.row[i] * TOY_M, silu + k * TOY_M, TOY_M, 1e-6);
    }
    lcm_two_tower_free(m);
    close_fixture(&f);
}

/* ---- losses and gradients ---- */

static double largest(const real *x, int64_t n) {
    double m = 0;
    for (int64_t i = 0; i < n; i++) m = fmax(m, fabs((double)x[i]));
    return m;
}

static void run_loss(fixture *f, lcm_model *m, const lcm_concept_batch *b, const lcm_criterion_config *cc,
                     const lcm_draws *draws, const char *tag, const char *reported, double loss_tol,
                     double grad_tol) {
    lcm_criterion *c;
    lcm_model_loss loss;
    char key[256];
    real got;
    snprintf(key, sizeof key, "n.%s", tag);
    OK(f, lcm_criterion_new(f->ctx, &c, m, cc));
    lcm_tape_reset(f->tape, (lcm_tape_opts){.record = true, .train = true});
    memset(m->params.g, 0, (size_t)m->params.n_flat * sizeof(real));
    OK(f, lcm_model_loss_run(f->ctx, &loss, f->tape, m, b, c, draws));
    assert_int_equal(loss.n_targets, atoi(golden_meta(f->g, key)));
    got = loss.out->x[0];
    assert_close(&got, golden_real(f->g, NULL, "out.%s.%s", tag, reported), 1, loss_tol);
    if (cc->log_unnormalized) {
        got = (real)loss.unnormalized;
        assert_close(&got, golden_real(f->g, NULL, "out.%s.unnormalized", tag), 1, loss_tol);
    }
    snprintf(key, sizeof key, "grad.%s.%s", tag, m->params.items[0]->name);
    if (lcm_st_find(golden_st(f->g), key)) {
        OK(f, lcm_tape_backward(f->tape, loss.out, NULL));
        for (size_t i = 0; i < m->params.n; i++) {
            lcm_param *p = m->params.items[i];
            int64_t n = p->t.rows * p->t.cols;
            real *want;
            char name[256];
            snprintf(name, sizeof name, "grad.%s.%s", tag, p->name);
            want = lcm_st_find(golden_st(f->g), name) ? golden_real(f->g, NULL, "%s", name) : NULL;
            /* adding a constant to every score changes no softmax, so without rotation this is rounding
               noise around 0 on both sides */
            if (want && strstr(name, "cross_attention.k_proj.bias")) {
                real *scale =
                    golden_real(f->g, NULL, "grad.%s.%.*s.weight", tag, (int)strlen(p->name) - 5, p->name);
                assert_true(largest(p->t.g, n) <= 1e-6 * largest(scale, n * n));
                continue;
            }
            if (want)
                assert_close_at(p->t.g, want, n, grad_tol, name, __FILE__, __LINE__);
            else /* the reference reports none for query and key of the one-key attention */
                assert_true(strstr(name, ".self_attn.q_proj") || strstr(name, ".self_attn.k_proj"));
            for (int64_t k = 0; want == NULL && k < n; k++) assert_true(p->t.g[k] == 0);
        }
    }
    lcm_criterion_free(c);
}

/* 08 */
static void base_losses(void **state) {
    fixture f = open_fixture("08_base_lcm_losses_grads");
    lcm_base_config c = toy_base_config();
    lcm_base *m;
    int64_t dims[LCM_ST_MAX_RANK];
    (void)state;
    OK(&f, lcm_model_create(f.ctx, (lcm_model **)&m, "base", &c, true));
    load_weights(&f, &m->model, "w.");
    for (int sft = 0; sft < 2; sft++) {
        real x[32 * TOY_D];
        int32_t off[4] = {0}, source[3];
        lcm_concept_batch b = {.n_docs = 3, .x = x, .off = off, .source_len = sft ? source : NULL};
        for (int d = 0; d < 3; d++) {
            real *s = golden_real(f.g, dims, "in.src%d", d);
            memcpy(x + off[d] * TOY_D, s, (size_t)dims[0] * TOY_D * sizeof *x);
            source[d] = (int32_t)dims[0];
            off[d + 1] = off[d] + (int32_t)dims[0];
            if (!sft) continue;
            s = golden_real(f.g, dims, "in.tgt%d", d);
            memcpy(x + off[d + 1] * TOY_D, s, (size_t)dims[0] * TOY_D * sizeof *x);
            off[d + 1] += (int32_t)dims[0];
        }
        for (int rmse = 0; rmse < 2; rmse++)
            for (int mean = 0; mean < 2; mean++) {
                lcm_criterion_config cc = lcm_criterion_config_default();
                char tag[32];
                cc.compute_rmse = rmse;
                cc.reduction = mean;
                snprintf(tag, sizeof tag, "%s.%s.%s", sft ? "sft" : "unsup", rmse ? "rmse" : "mse",
                         mean ? "mean" : "sum");
                run_loss(&f, &m->model, &b, &cc, NULL, tag, "loss", 1e-6, 2e-5);
            }
    }
    lcm_base_free(m);
    close_fixture(&f);
}

/* 09: draws of the padded batch, with the padding cut out */
static void two_tower_case(fixture *f, lcm_two_tower *m, bool sft, bool snr, bool rmse) {
    static const int doc_len[2] = {12, 7}, source_of[2] = {5, 3};
    lcm_criterion_config cc = lcm_criterion_config_default();
    real x[64 * TOY_D], *noise;
    int32_t off[3] = {0}, source[2], target_off[3] = {0};
    int64_t dims[LCM_ST_MAX_RANK], t[64], S;
    uint8_t dropped[64] = {0};
    lcm_concept_batch b = {.n_docs = 2, .x = x, .off = off, .source_len = sft ? source : NULL};
    lcm_draws draws = {.t = t, .dropped = dropped};
    char tag[64];
    const int64_t *padded_t;
    snprintf(tag, sizeof tag, "%s.%s.%s", sft ? "sft" : "unsup", snr ? "clamp_snr" : "none",
             rmse ? "rmse" : "mse");
    for (int d = 0; d < 2; d++) {
        int64_t n = sft ? source_of[d] : doc_len[d];
        memcpy(x + off[d] * TOY_D, golden_real(f->g, NULL, "in.src%d", d), (size_t)n * TOY_D * sizeof *x);
        source[d] = (int32_t)n;
        off[d + 1] = off[d] + (int32_t)n;
        dims[0] = n;
        if (sft) {
            real *y = golden_real(f->g, dims, "in.%s.tgt%d", tag, d);
            memcpy(x + off[d + 1] * TOY_D, y, (size_t)dims[0] * TOY_D * sizeof *x);
            off[d + 1] += (int32_t)dims[0];
        }
        target_off[d + 1] = target_off[d] + (int32_t)dims[0];
    }
    padded_t = golden_i64(f->g, dims, "in.%s.t", tag);
    S = dims[1];
    noise = pack(golden_real(f->g, NULL, "in.%s.noise", tag), S, TOY_D, target_off, 2);
    for (int d = 0; d < 2; d++) {
        int64_t n_drop, *rows = golden_i64(f->g, dims, "in.%s.dropped_rows%d", tag, sft ? d : 0);
        n_drop = dims[0];
        for (int32_t i = 0; i < target_off[d + 1] - target_off[d]; i++) {
            t[target_off[d] + i] = padded_t[d * S + i];
            for (int64_t k = 0; k < n_drop; k++) dropped[target_off[d] + i] |= rows[k] == i;
        }
    }
    draws.noise = noise;
    cc.compute_rmse = rmse;
    cc.log_unnormalized = true;
    cc.cf_guidance_probability = 0.3;
    cc.step_sampling.weighting = snr ? LCM_WEIGHT_CLAMP_SNR : LCM_WEIGHT_NONE;
    run_loss(f, &m->model, &b, &cc, &draws, tag, "loss", 2e-6, 3e-5);
    free(noise);
}

static void two_tower_losses(void **state) {
    fixture f = open_fixture("09_two_tower_losses_grads");
    lcm_two_tower_config c = toy_two_tower_config();
    lcm_two_tower *m;
    (void)state;
    OK(&f, lcm_model_create(f.ctx, (lcm_model **)&m, "two_tower", &c, true));
    load_weights(&f, &m->model, "w.");
    for (int i = 0; i < 8; i++) two_tower_case(&f, m, i & 1, i & 2, i & 4);
    lcm_two_tower_free(m);
    close_fixture(&f);
}

/* ---- 10 ---- */

static void two_tower_forward(void **state) {
    fixture f = open_fixture("10_two_tower_forward");
    lcm_two_tower_config c = toy_two_tower_config();
    lcm_two_tower *m;
    int32_t off[3] = {0, 5, 10};
    uint8_t all[10];
    lcm_concept_batch b = {.n_docs = 2, .off = off};
    lcm_tape *t = f.tape;
    lcm_packed p = lcm_packed_make(t, 2, off);
    lcm_two_tower_mask mask = lcm_two_tower_mask_make(t, &b, NULL), none;
    lcm_tensor *context, *noisy, *y;
    lcm_levels lv;
    int64_t *level = golden_i64(f.g, NULL, "in.t"), dims[LCM_ST_MAX_RANK];
    real *z;
    (void)state;
    OK(&f, lcm_model_create(f.ctx, (lcm_model **)&m, "two_tower", &c, false));
    load_weights(&f, &m->model, "w.");
    z = golden_real(f.g, NULL, "in.x");
    noisy = lcm_tensor_const(t, golden_real(f.g, NULL, "in.noisy"), 10, TOY_D);
    context = lcm_two_tower_encode(t, m, lcm_tensor_const(t, z, 10, TOY_D), &p);
    assert_close(context->x, golden_real(f.g, NULL, "out.context"), 10 * TOY_M, 5e-6);
    y = lcm_two_tower_denoise(t, m, noisy, level, context, &mask);
    assert_close(y->x, golden_real(f.g, NULL, "out.denoised"), 10 * TOY_D, 5e-6);
    memset(all, 1, sizeof all);
    none = lcm_two_tower_mask_make(t, &b, all);
    y = lcm_two_tower_denoise(t, m, noisy, level, context, &none);
    assert_close(y->x, golden_real(f.g, NULL, "out.denoised_unconditional"), 10 * TOY_D, 5e-6);
    lv = lcm_denoiser_levels(t, &m->denoiser, level, 10, 20);
    y = lcm_denoiser_layer_fwd(t, &m->denoiser, 0,
                               lcm_tensor_const(t, golden_real(f.g, NULL, "in.layer0.h"), 10, TOY_M), &lv,
                               lcm_op_gather(t, context, mask.kv_row, mask.n_keys),
                               &(lcm_attn_spec){2, TOY_H, mask.q_off, mask.k_off, mask.limit, NULL});
    assert_close(y->x, golden_real(f.g, NULL, "out.layer0"), 10 * TOY_M, 5e-6);
    /* our "first limit keys" is their 0/1 matrix, and padding behind it */
    for (int k = 0; k < 2; k++) {
        real *want = golden_real(f.g, dims, "%s", k ? "mask.shift3_T4_K9" : "mask.shift0");
        int32_t len = k ? 7 : 5, shift = k ? 3 : 0, o[2] = {0, len};
        lcm_concept_batch one = {.n_docs = 1, .off = o, .source_len = k ? &shift : NULL};
        lcm_two_tower_mask got = lcm_two_tower_mask_make(t, &one, NULL);
        assert_int_equal(got.R, dims[0]);
        for (int64_t i = 0; i < dims[0]; i++)
            for (int64_t j = 0; j < dims[1]; j++)
                assert_int_equal(j < got.limit[i], want[i * dims[1] + j] == 1);
    }
    lcm_two_tower_free(m);
    close_fixture(&f);
}

/* 05, incremental: one concept at a time through the cache */
static void base_incremental(void **state) {
    fixture f = open_fixture("05_base_lcm_forward");
    const int32_t slot[3] = {0, 1, 2}, one[4] = {0, 1, 2, 3};
    (void)state;
    for (int i = 0; i < 4; i++) {
        char prefix[64];
        lcm_base_config c = stack_config(i);
        lcm_base *m;
        lcm_kv_cache cache;
        real *x = golden_real(f.g, NULL, "in.%s.x", stack_names[i]), got[3 * 5 * TOY_D], row[3 * TOY_D];
        int32_t len[3] = {0};
        OK(&f, lcm_model_create(f.ctx, (lcm_model **)&m, "base", &c, false));
        snprintf(prefix, sizeof prefix, "w.%s.", stack_names[i]);
        load_weights(&f, &m->model, prefix);
        OK(&f, lcm_kv_new(f.ctx, &cache, 2, 3, 5, TOY_M));
        for (int s = 0; s < 5; s++) {
            lcm_kv_rows r;
            lcm_tensor *y;
            lcm_tape_reset(f.tape, (lcm_tape_opts){0});
            for (int b = 0; b < 3; b++) memcpy(row + b * TOY_D, x + (b * 5 + s) * TOY_D, TOY_D * sizeof *x);
            r = lcm_kv_rows_make(f.tape, 3, slot, one, len);
            y = lcm_frontend_fwd(f.tape, &m->frontend, lcm_tensor_const(f.tape, row, 3, TOY_D), r.pos);
            y = lcm_projection_fwd(f.tape, &m->postnet, lcm_stack_step(f.tape, &m->stack, y, &cache, &r));
            OK(&f, lcm_tape_status(f.tape));
            for (int b = 0; b < 3; b++) {
                memcpy(got + (b * 5 + s) * TOY_D, y->x + b * TOY_D, TOY_D * sizeof *x);
                len[b]++;
            }
        }
        assert_close(got, golden_real(f.g, NULL, "out.%s.incremental", stack_names[i]), 15 * TOY_D, 5e-6);
        lcm_kv_free(&cache);
        lcm_base_free(m);
    }
    close_fixture(&f);
}

/* ---- 14, 15: generation ---- */

/* Prompt and generated concepts must be the recorded sequence, to the length. */
static void expect_sequences(fixture *f, const lcm_model *m, const lcm_generate_config *c, const real *eos,
                             const lcm_generate_hooks *hooks, const char *prefix, double tol) {
    int64_t dims[LCM_ST_MAX_RANK];
    real x[4 * TOY_D];
    int32_t off[3] = {0, 3, 4};
    lcm_prompts p = {2, x, off, eos, NULL};
    lcm_generated g;
    memcpy(x, golden_real(f->g, NULL, "in.prompt0"), 3 * TOY_D * sizeof *x);
    memcpy(x + 3 * TOY_D, golden_real(f->g, NULL, "in.prompt1"), TOY_D * sizeof *x);
    OK(f, lcm_generate(f->ctx, &g, m, &p, c, hooks));
    for (int d = 0; d < 2; d++) {
        int64_t n = off[d + 1] - off[d], made = g.off[d + 1] - g.off[d];
        real *want = golden_real(f->g, dims, "%s.seq%d", prefix, d);
        assert_int_equal(n + made, dims[0]);
        assert_close(x + off[d] * TOY_D, want, n * TOY_D, 0);
        assert_close(g.x + g.off[d] * TOY_D, want + n * TOY_D, made * TOY_D, tol);
    }
    lcm_generated_free(&g);
}

static void base_generation(void **state) {
    fixture f = open_fixture("15_base_generation");
    lcm_base_config c = toy_base_config();
    lcm_generate_config gc = lcm_generate_config_default();
    lcm_model *m;
    real *eos;
    (void)state;
    c.lcm = toy_transformer(false);
    OK(&f, lcm_model_create(f.ctx, &m, "base", &c, false));
    load_weights(&f, m, "w.");
    gc.max_gen_len = atoi(golden_meta(f.g, "max_gen_len"));
    gc.eos_threshold = atof(golden_meta(f.g, "eos_threshold"));
    expect_sequences(&f, m, &gc, NULL, NULL, "out", 1e-5);
    eos = golden_real(f.g, NULL, "in.eos");
    expect_sequences(&f, m, &gc, eos, NULL, "out.eos", 1e-5);
    gc.trim_hypotheses = true;
    expect_sequences(&f, m, &gc, eos, NULL, "out.eos_trim", 1e-5);
    gc.include_eos_token = true;
    expect_sequences(&f, m, &gc, eos, NULL, "out.eos_trim_incl", 1e-5);
    gc.trim_hypotheses = gc.include_eos_token = false;
    gc.min_gen_len = 3;
    expect_sequences(&f, m, &gc, eos, NULL, "out.eos_min3", 1e-5);
    lcm_model_free(m);
    close_fixture(&f);
}

typedef struct recorded_noise {
    golden *g;
    const char *prefix;
} recorded_noise;

/* The reference draws for every row that is still active, also for those still inside their prompt:
 * its call k is for position 1 + k of every sequence. Document 0 has 3 prompt concepts, document 1
 * has 1 and is done after call 2. */
static void draw_recorded(void *user, real *out, int64_t D, uint64_t doc, int64_t index, int64_t call) {
    recorded_noise *n = user;
    int k = (int)index + (doc == 0 ? 2 : 0);
    real *rows = golden_real(n->g, NULL, "in.%s.unit_noise_call%d", n->prefix, k);
    assert_int_equal(call, 0);
    memcpy(out, rows + (int64_t)doc * D, (size_t)D * sizeof *out);
}

static void two_tower_generation(void **state) {
    fixture f = open_fixture("14_two_tower_generation");
    lcm_two_tower_config c = toy_two_tower_config();
    lcm_generate_config gc = lcm_generate_config_default();
    recorded_noise rec = {f.g, NULL};
    lcm_generate_hooks hooks = {.noise = {draw_recorded, &rec}};
    lcm_model *m;
    (void)state;
    OK(&f, lcm_model_create(f.ctx, &m, "two_tower", &c, false));
    load_weights(&f, m, "w.");
    gc.max_gen_len = 3;
    gc.sampler.steps = 8;
    gc.sampler.spacing = LCM_SPACING_COMPAT_TRAILING;
    gc.sampler.initial_noise_scale = atof(golden_meta(f.g, "initial_noise_scale"));
    gc.sampler.epsilon_scaling = atof(golden_meta(f.g, "epsilon_scaling"));
    gc.sampler.guidance_rescale = atof(golden_meta(f.g, "guidance_rescale"));
    for (int guided = 0; guided < 2; guided++) {
        gc.sampler.guidance_scale = guided ? 3 : 1;
        rec.prefix = guided ? "gs3.0" : "gs1.0";
        expect_sequences(&f, m, &gc, NULL, &hooks, guided ? "out.gs3.0" : "out.gs1.0", 5e-5);
    }
    lcm_model_free(m);
    close_fixture(&f);
}

/* ---- sizes of the published configurations ---- */

#define TALL "\"use_swiglu\": true, \"layer_normalization_style\": \"rms\", \"mha_output_proj_bias\": true, "
#define TOWERS(M, H, F, ctx, den)                                                                            \
    "{\"model_dim\": " #M ", \"max_seq_len\": 4096, \"context_encoder\": {" TALL "\"num_layers\": " #ctx     \
    ", \"num_attn_heads\": " #H ", \"ffn_inner_dim\": " #F                                                   \
    ", \"pos_embedding_style\": \"rope\"}, \"denoiser\": {" TALL "\"num_layers\": " #den                     \
    ", \"num_attn_heads\": " #H ", \"ffn_inner_dim\": " #F ", \"timestep_embed_dim\": " #M "}}"

/* Counted by running the reference; its own comments give stale numbers for both 1.6B models. */
static void parameter_counts(void **state) {
    static const struct {
        const char *kind, *json;
        int64_t count;
    } published[] = {{"base", "{\"sonar_normalizer\": false}", 29388800},
                     {"base",
                      "{\"model_dim\": 2048, \"max_seq_len\": 4096, \"lcm\": {" TALL
                      "\"num_layers\": 32, \"num_attn_heads\": 16, \"ffn_inner_dim\": 8192, "
                      "\"pos_embedding_style\": \"rope\"}}",
                      1649185792},
                     {"two_tower", "{}", 84235264},
                     {"two_tower", TOWERS(2048, 16, 8192, 5, 13), 1645538304},
                     {"two_tower", TOWERS(4096, 32, 16384, 5, 14), 6930781696}};
    lcm_ctx *ctx = lcm_ctx_new();
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        json_t *j;
        lcm_model *m;
        assert_int_equal(lcm_json_parse(ctx, &j, published[i].json, strlen(published[i].json), "test"),
                         LCM_OK);
        if (lcm_model_register(ctx, &m, published[i].kind, j, "config")) fail_msg("%s", lcm_ctx_message(ctx));
        assert_int_equal(m->params.count, published[i].count);
        lcm_model_free(m);
        json_decref(j);
    }
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameter_counts),     cmocka_unit_test(base_forward),
        cmocka_unit_test(timestep_embedding),   cmocka_unit_test(base_losses),
        cmocka_unit_test(two_tower_losses),     cmocka_unit_test(two_tower_forward),
        cmocka_unit_test(base_incremental),     cmocka_unit_test(base_generation),
        cmocka_unit_test(two_tower_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
