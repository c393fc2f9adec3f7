/* The one-tower model: its packed rows against the interleaved sequence of arXiv 2412.08821 figure 7
 * under a dense mask, who influences whom, and inference against training. */
#include "harness/golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/taped.h"
#include "harness/toy_models.h"
#include "lcm/predictor.h"

enum { TOP = 19, DOCS = 3, CONCEPTS = 12 };

static lcm_one_tower *new_tower(const lcm_one_tower_config *c) {
    lcm_model *m;
    OK(lcm_model_create(ctx, &m, "one_tower", c, false));
    toy_randomize(m, 11);
    return (lcm_one_tower *)m;
}

static lcm_one_tower *toy_tower(void) {
    lcm_one_tower_config c = toy_one_tower_config();
    c.tower.enable_qk_layernorm = true;
    return new_tower(&c);
}

/* ---- the paper's layout ---- */

/* A document as figure 7 draws it: row 2n is concept n at its noise level, row 2n + 1 the clean concept n. */
static bool paper_sees(int i, int j, const uint8_t *dropped) {
    bool from_clean = i % 2, to_clean = j % 2;
    if (i == j) return true;
    if (!to_clean) return false; /* nobody attends to a noisy row but itself */
    if (from_clean) return j / 2 <= i / 2;
    return j / 2 < i / 2 && !dropped[i / 2];
}

typedef struct paper_pass {
    const lcm_one_tower *m;
    const int32_t *pos;
    const uint8_t *dropped;
} paper_pass;

/* Softmax over a dense row of scores, in double. */
static void dense_row(real *y, const real *q, const lcm_tensor *k, const lcm_tensor *v, int64_t at, int64_t K, int i,
                      const uint8_t *dropped) {
    double p[2 * CONCEPTS], sum = 0;
    for (int j = 0; j < k->rows; j++) {
        double dot = 0;
        for (int64_t c = 0; c < K; c++) dot += (double)q[c] * (double)k->x[j * k->cols + at + c];
        p[j] = paper_sees(i, j, dropped) ? exp(dot / sqrt((double)K)) : 0;
        sum += p[j];
    }
    for (int64_t c = 0; c < K; c++) {
        double o = 0;
        for (int j = 0; j < k->rows; j++) o += p[j] / sum * (double)v->x[j * v->cols + at + c];
        y[c] = (real)o;
    }
}

static lcm_tensor *attend_dense(lcm_tape *t, void *user, int64_t layer, const lcm_mha *a, lcm_tensor *h) {
    const paper_pass *p = user;
    lcm_tensor *q = lcm_linear_fwd(t, &a->q, h), *k = lcm_linear_fwd(t, &a->k, h), *v = lcm_linear_fwd(t, &a->v, h);
    lcm_tensor *y = lcm_tensor_new(t, h->rows, h->cols);
    int64_t K = h->cols / a->H;
    (void)layer;
    if (a->has_qk_norm) {
        q = lcm_norm_fwd(t, &a->q_norm, q);
        k = lcm_norm_fwd(t, &a->k_norm, k);
    }
    if (p->m->config.tower.pos_embedding_style == LCM_POS_ROPE) {
        q = lcm_op_rope(t, q, p->pos, a->H, p->m->config.tower.rope_theta);
        k = lcm_op_rope(t, k, p->pos, a->H, p->m->config.tower.rope_theta);
    }
    for (int i = 0; i < h->rows; i++)
        for (int64_t head = 0; head < a->H; head++)
            dense_row(y->x + i * h->cols + head * K, q->x + i * h->cols + head * K, k, v, head * K, K, i, p->dropped);
    return lcm_linear_fwd(t, &a->o, y);
}

/* Outputs of all noisy rows of one document of len concepts z: noisy (len,D), level, dropped (len) -> out (len,D) */
static void paper_document(real *out, const lcm_one_tower *m, const real *z, int len, const real *noisy,
                           const int64_t *level, const uint8_t *dropped) {
    int64_t E = m->config.timestep_embed_dim, time[2 * CONCEPTS];
    int32_t pos[2 * CONCEPTS];
    real in[2 * CONCEPTS * (TOY_D + 6)];
    paper_pass p = {m, pos, dropped};
    lcm_tensor *e, *x;
    assert_int_equal(E, 6);
    for (int i = 0; i < 2 * len; i++) {
        time[i] = i % 2 ? 0 : level[i / 2] + 1;
        pos[i] = i / 2;
    }
    e = lcm_level_embed_fwd(tape, &m->embed_time, time, 2 * len);
    for (int i = 0; i < 2 * len; i++) {
        memcpy(in + i * (TOY_D + E), (i % 2 ? z : noisy) + i / 2 * TOY_D, TOY_D * sizeof *in);
        memcpy(in + i * (TOY_D + E) + TOY_D, e->x + i * E, (size_t)E * sizeof *in);
    }
    x = lcm_frontend_fwd(tape, &m->frontend, lcm_tensor_const(tape, in, 2 * len, TOY_D + E), pos);
    x = lcm_projection_fwd(tape, &m->postnet, lcm_stack_run(tape, &m->tower, x, attend_dense, &p));
    for (int n = 0; n < len; n++) memcpy(out + n * TOY_D, x->x + 2 * n * TOY_D, TOY_D * sizeof *out);
}

typedef struct pass {
    real *z, *noisy;
    int64_t level[CONCEPTS];
    uint8_t dropped[CONCEPTS];
    lcm_concept_batch batch;
    lcm_noisy_targets g;
} pass;

static const int32_t docs[DOCS + 1] = {0, 5, 6, CONCEPTS}, sources[DOCS] = {2, 1, 0};

/* Concepts and noise of unit variance; every fourth row without context. */
static pass pass_new(const int32_t *source_len) {
    pass p = {.z = toy_concepts(CONCEPTS, TOY_D, 1), .noisy = toy_concepts(CONCEPTS, TOY_D, 2)};
    for (int r = 0; r < CONCEPTS; r++) {
        p.level[r] = r * 7 % 20;
        p.dropped[r] = r % 4 == 2;
    }
    p.batch = (lcm_concept_batch){.n_docs = DOCS, .off = docs, .source_len = source_len};
    p.g.R = CONCEPTS - (source_len ? source_len[0] + source_len[1] + source_len[2] : 0);
    return p;
}

static void pass_free(pass *p) {
    free(p->z);
    free(p->noisy);
}

/* Outputs (R,D) on a fresh tape, borrowed from it. */
static const real *run(const lcm_one_tower *m, pass *p) {
    lcm_one_tower_rows rows;
    lcm_tensor *y;
    p->g.noisy = p->noisy;
    p->g.level = p->level;
    p->g.dropped = p->dropped;
    lcm_tape_reset(tape, (lcm_tape_opts){0});
    rows = lcm_one_tower_rows_make(tape, &p->batch, p->z, TOY_D, &p->g);
    y = lcm_one_tower_fwd(tape, m, &rows);
    assert_non_null(y);
    assert_int_equal(y->rows, p->g.R);
    return y->x;
}

static void rows_are_the_papers_sequence(void **state) {
    static const int positions[] = {LCM_POS_LEARNED, LCM_POS_ROPE, LCM_POS_SINE, LCM_POS_NONE};
    (void)state;
    for (int variant = 0; variant < 8; variant++) {
        bool with_sources = variant / 4;
        lcm_one_tower_config c = toy_one_tower_config();
        lcm_one_tower *m;
        pass p = pass_new(with_sources ? sources : NULL);
        real got[CONCEPTS * TOY_D], want[CONCEPTS * TOY_D], noisy[CONCEPTS * TOY_D] = {0};
        int64_t r = 0;
        c.tower.pos_embedding_style = positions[variant % 4];
        c.tower.enable_qk_layernorm = variant % 4 == 1;
        c.tower.norm_order_style = variant % 4 == 2 ? LCM_ORDER_POST : LCM_ORDER_PRE;
        m = new_tower(&c);
        memcpy(got, run(m, &p), (size_t)p.g.R * TOY_D * sizeof *got);
        for (int d = 0; d < DOCS; d++) {
            int len = docs[d + 1] - docs[d], first = with_sources ? sources[d] : 0;
            int64_t level[CONCEPTS] = {0};
            uint8_t dropped[CONCEPTS] = {0};
            real out[CONCEPTS * TOY_D];
            for (int n = first; n < len; n++) { /* the paper has a noisy row for every concept; of a source nobody looks */
                memcpy(noisy + n * TOY_D, p.noisy + (r + n - first) * TOY_D, TOY_D * sizeof *noisy);
                level[n] = p.level[r + n - first];
                dropped[n] = p.dropped[r + n - first];
            }
            paper_document(out, m, p.z + docs[d] * TOY_D, len, noisy, level, dropped);
            memcpy(want + r * TOY_D, out + first * TOY_D, (size_t)(len - first) * TOY_D * sizeof *out);
            r += len - first;
        }
        assert_int_equal(r, p.g.R);
        assert_close(got, want, r * TOY_D, 2e-6);
        pass_free(&p);
        lcm_model_free(&m->model);
    }
}

/* ---- influence ---- */

static bool row_equals(const real *a, const real *b, int64_t r) {
    return memcmp(a + r * TOY_D, b + r * TOY_D, TOY_D * sizeof *a) == 0;
}

/* Another noise or level of a row changes this row's output and, to the bit, no other. */
static void noisy_row_changes_no_other_output(void **state) {
    lcm_one_tower *m = toy_tower();
    pass p = pass_new(NULL);
    real before[CONCEPTS * TOY_D];
    (void)state;
    memcpy(before, run(m, &p), sizeof before);
    for (int k = 0; k < CONCEPTS; k++) {
        pass other = pass_new(NULL);
        const real *after;
        if (k % 2) other.level[k] = (p.level[k] + 5) % 20;
        else other.noisy[k * TOY_D + 3] += 1;
        after = run(m, &other);
        for (int r = 0; r < CONCEPTS; r++) assert_int_equal(row_equals(after, before, r), r != k);
        pass_free(&other);
    }
    pass_free(&p);
    lcm_model_free(&m->model);
}

/* A clean concept is felt by the later rows of its document that keep their context, and by no other. */
static void clean_row_changes_later_outputs_only(void **state) {
    lcm_one_tower *m = toy_tower();
    pass p = pass_new(NULL);
    real before[CONCEPTS * TOY_D];
    (void)state;
    memcpy(before, run(m, &p), sizeof before);
    for (int d = 0; d < DOCS; d++)
        for (int k = docs[d]; k < docs[d + 1]; k++) {
            real saved = p.z[k * TOY_D + 5];
            const real *after;
            p.z[k * TOY_D + 5] += 1;
            after = run(m, &p);
            for (int r = 0; r < CONCEPTS; r++) {
                bool feels = r > k && r < docs[d + 1] && !p.dropped[r];
                assert_int_equal(row_equals(after, before, r), !feels);
            }
            p.z[k * TOY_D + 5] = saved;
        }
    pass_free(&p);
    lcm_model_free(&m->model);
}

/* ---- inference ---- */

static void draw_fixed(void *user, real *out, int64_t D, uint64_t doc, int64_t index, int64_t call) {
    (void)index;
    assert_int_equal(call, 0);
    memcpy(out, (const real *)user + doc * (uint64_t)D, (size_t)D * sizeof *out);
}

static lcm_predictor *new_predictor(const lcm_one_tower *m, const lcm_sampler_config *c, int64_t slots, int64_t cap) {
    lcm_predict_config pc = {.sampler = *c};
    lcm_predictor *p;
    OK(m->model.type->predictor_new(ctx, &p, &m->model, &pc, slots, cap));
    return p;
}

/* The one concept behind n concepts x, in normalised space; its first x is `noise` (D). */
static void infer(real *out, const lcm_one_tower *m, const lcm_sampler_config *c, const real *x, int32_t n, real *noise) {
    static const int32_t slot[1] = {0};
    int32_t off[2] = {0, n};
    uint64_t doc = 0;
    int64_t index = 0;
    lcm_asked asked = {1, slot, &doc, &index};
    lcm_concept_noise source = {draw_fixed, noise};
    lcm_predictor *p = new_predictor(m, c, 1, n + 1);
    if (n) OK(p->feed(ctx, p, x, 1, slot, off));
    OK(p->next(ctx, p, out, &asked, &source));
    lcm_normalize(m->model.normalizer, out, out, 1, NULL);
    p->free(p);
}

/* Row n of a training pass at the highest level is one inference step behind context[:n]. */
static void training_row_is_inference(void **state) {
    static const int positions[] = {LCM_POS_LEARNED, LCM_POS_ROPE};
    (void)state;
    for (int v = 0; v < 2; v++) {
        lcm_one_tower_config config = toy_one_tower_config();
        lcm_one_tower *m;
        lcm_sampler_config c = lcm_sampler_config_default();
        pass p = pass_new(NULL);
        real *x = toy_concepts(CONCEPTS, TOY_D, 5), want[CONCEPTS * TOY_D], got[TOY_D];
        config.tower.pos_embedding_style = positions[v];
        config.tower.enable_qk_layernorm = true;
        m = new_tower(&config);
        c.steps = 1;
        c.initial_noise_scale = 1;
        lcm_normalize(m->model.normalizer, p.z, x, CONCEPTS, NULL);
        for (int r = 0; r < CONCEPTS; r++) p.level[r] = TOP;
        memset(p.dropped, 0, sizeof p.dropped);
        memcpy(want, run(m, &p), sizeof want);
        for (int d = 0; d < DOCS; d++)
            for (int32_t n = 0; n < docs[d + 1] - docs[d]; n++) {
                int64_t r = docs[d] + n;
                infer(got, m, &c, x + docs[d] * TOY_D, n, p.noisy + r * TOY_D);
                assert_close(got, want + r * TOY_D, TOY_D, 3e-6); /* to SONAR space and back */
            }
        pass_free(&p);
        free(x);
        lcm_model_free(&m->model);
    }
}

typedef struct trained {
    const lcm_one_tower *m;
    const real *z;
    int32_t n;
    int calls[3]; /* by number of rows */
} trained;

/* The network of the sampler, computed by training passes: a document of n clean concepts and the noisy
 * one, with its context in the first call and, for the second row of a guided step, without. */
static lcm_status denoise_by_training(lcm_ctx *c, void *user, real *out, const real *x, int64_t rows, int64_t level) {
    trained *w = user;
    (void)c;
    w->calls[rows]++;
    for (int64_t i = 0; i < rows; i++) {
        int32_t off[2] = {0, w->n + 1}, source = w->n;
        uint8_t dropped = i > 0;
        lcm_concept_batch b = {.n_docs = 1, .off = off, .source_len = &source};
        lcm_noisy_targets g = {.R = 1, .level = &level, .dropped = &dropped, .noisy = x + i * TOY_D};
        lcm_one_tower_rows r;
        lcm_tape_reset(tape, (lcm_tape_opts){0});
        r = lcm_one_tower_rows_make(tape, &b, w->z, TOY_D, &g);
        memcpy(out + i * TOY_D, lcm_one_tower_fwd(tape, w->m, &r)->x, TOY_D * sizeof *out);
    }
    return LCM_OK;
}

static void hand_over(void *user, real *out, int64_t rows, int64_t dim, int64_t call) {
    assert_true(rows == 1 && call == 0);
    memcpy(out, user, (size_t)dim * sizeof *out);
}

/* Every level and both branches: what the predictor samples with its cache is what the same sampler makes
 * of training passes. Rounding is fed back through 8 guided steps. */
static void sampling_is_training_passes(void **state) {
    lcm_one_tower *m = toy_tower();
    real *x = toy_concepts(6, TOY_D, 5), z[6 * TOY_D], *noise = toy_concepts(1, TOY_D, 6);
    (void)state;
    lcm_normalize(m->model.normalizer, z, x, 6, NULL);
    for (int32_t n = 0; n <= 5; n++) {
        lcm_sampler_config c = lcm_sampler_config_default();
        trained w = {m, z, n, {0}};
        lcm_sampler *s;
        real want[TOY_D], got[TOY_D];
        c.steps = 8;
        OK(lcm_sampler_new(ctx, &s, m->model.schedule, &c, 1, TOY_D));
        OK(lcm_sampler_run(ctx, want, s, 1, denoise_by_training, &w, hand_over, noise));
        assert_true(w.calls[1] == 1 && w.calls[2] == 7); /* the first step, at the top level, is not guided */
        infer(got, m, &c, x, n, noise);
        assert_close(got, want, TOY_D, 5e-5);
        lcm_sampler_free(s);
    }
    free(x);
    free(noise);
    lcm_model_free(&m->model);
}

/* Asking leaves no trace: the same question gets the same bits, and a context that was asked on its way
 * answers as one that was read in one piece. */
static void asking_leaves_no_trace(void **state) {
    static const int32_t both[2] = {0, 1}, first[3] = {0, 3, 4}, second[3] = {0, 1, 3}, whole[3] = {0, 4, 7};
    static const uint64_t doc[2] = {0, 1};
    static const int64_t index[2] = {0, 0};
    lcm_one_tower *m = toy_tower();
    lcm_asked asked = {2, both, doc, index};
    real *x = toy_concepts(7, TOY_D, 7), *noise = toy_concepts(2, TOY_D, 8);
    lcm_concept_noise source = {draw_fixed, noise};
    real a[2 * TOY_D], b[2 * TOY_D], pieces[7 * TOY_D];
    lcm_sampler_config c = lcm_sampler_config_default();
    lcm_predictor *p, *fresh;
    (void)state;
    /* x: document 0 is rows 0 … 3, document 1 rows 4 … 6; fed as 3 and 1 rows, then 1 and 2 */
    memcpy(pieces, x, 3 * TOY_D * sizeof *x);
    memcpy(pieces + 3 * TOY_D, x + 4 * TOY_D, TOY_D * sizeof *x);
    memcpy(pieces + 4 * TOY_D, x + 3 * TOY_D, TOY_D * sizeof *x);
    memcpy(pieces + 5 * TOY_D, x + 5 * TOY_D, 2 * TOY_D * sizeof *x);
    c.steps = 6;
    p = new_predictor(m, &c, 2, 4);
    fresh = new_predictor(m, &c, 2, 4);
    OK(p->feed(ctx, p, pieces, 2, both, first));
    OK(p->next(ctx, p, a, &asked, &source));
    OK(p->next(ctx, p, b, &asked, &source));
    assert_memory_equal(a, b, sizeof a);
    OK(p->feed(ctx, p, pieces + 4 * TOY_D, 2, both, second));
    OK(p->next(ctx, p, a, &asked, &source)); /* document 0 fills its slot: there is room for the noisy row */
    OK(fresh->feed(ctx, fresh, x, 2, both, whole));
    OK(fresh->next(ctx, fresh, b, &asked, &source));
    assert_close(a, b, 2 * TOY_D, 5e-5);
    p->free(p);
    fresh->free(fresh);
    free(x);
    free(noise);
    lcm_model_free(&m->model);
}

/* A context of max_seq_len concepts leaves no position for the next. */
static void full_context_is_refused(void **state) {
    static const int32_t slot[1] = {0}, all[2] = {0, 64};
    lcm_one_tower *m = toy_tower();
    lcm_sampler_config c = lcm_sampler_config_default();
    uint64_t doc = 0;
    int64_t index = 0;
    lcm_asked asked = {1, slot, &doc, &index};
    real *x = toy_concepts(64, TOY_D, 7), *noise = toy_concepts(1, TOY_D, 8), out[TOY_D];
    lcm_concept_noise source = {draw_fixed, noise};
    lcm_predictor *p;
    (void)state;
    c.steps = 2;
    p = new_predictor(m, &c, 1, 64);
    OK(p->feed(ctx, p, x, 1, slot, all));
    assert_int_equal(p->next(ctx, p, out, &asked, &source), LCM_ERR_LIMIT);
    assert_non_null(strstr(lcm_ctx_message(ctx), "max_seq_len is 64"));
    p->free(p);
    free(x);
    free(noise);
    lcm_model_free(&m->model);
}

/* ---- sizes ---- */

/* The paper's 32 blocks of 2048, counted by hand: a block has attention 4 M² + 4 M, SwiGLU of inner width
 * 5632 = 256 ceil(int(2/3 8192) / 256), and two norms. */
static void parameter_count(void **state) {
    const int64_t M = 2048, F = 5632, D = 1024, E = 256;
    const int64_t block = 4 * M * M + 4 * M + 3 * M * F + 2 * F + M + 2 * M;
    const int64_t outside = 2 * (E * 256 + E) + (D + E) * M + M + 4096 * M + M + M * D + D;
    static const char paper[] = "{\"model_dim\": 2048, \"max_seq_len\": 4096, \"tower\": {\"num_layers\": 32, \"num_attn_heads\": 32, "
                                "\"ffn_inner_dim\": 8192, \"use_swiglu\": true, \"layer_normalization_style\": \"rms\", "
                                "\"mha_output_proj_bias\": true}}";
    json_t *j;
    lcm_model *m;
    (void)state;
    OK(lcm_json_parse(ctx, &j, paper, strlen(paper), "test"));
    OK(lcm_model_register(ctx, &m, "one_tower", j, "config"));
    assert_int_equal(m->params.count, 32 * block + outside);
    assert_int_equal(m->params.count, 1658230272); /* docs/models/one_tower.md */
    lcm_model_free(m);
    json_decref(j);
}

/* ---- loss ---- */

static void loss_of(lcm_model_loss *l, const lcm_model *m, const lcm_concept_batch *b, const lcm_criterion *c,
                    const lcm_draws *d) {
    lcm_tape_reset(tape, (lcm_tape_opts){.record = true, .train = true});
    OK(lcm_model_loss_run(ctx, l, tape, m, b, c, d));
}

/* For every prediction and weighting: the loss is sum w (out - target)² of the forward pass, and a
 * document's rows are the same alone and in a batch. */
static void loss_is_its_formula(void **state) {
    real *x = toy_concepts(CONCEPTS, TOY_D, 9);
    (void)state;
    for (int variant = 0; variant < 6; variant++) {
        lcm_one_tower_config config = toy_one_tower_config();
        lcm_criterion_config cc = lcm_criterion_config_default();
        lcm_one_tower *m;
        lcm_criterion *c;
        pass p = pass_new(NULL);
        lcm_concept_batch b = {.n_docs = DOCS, .x = x, .off = docs};
        real noise[CONCEPTS * TOY_D], target[CONCEPTS * TOY_D], w[CONCEPTS], rows[CONCEPTS];
        lcm_draws draws = {.t = p.level, .noise = noise, .dropped = p.dropped};
        lcm_model_loss l;
        const real *y;
        double sum = 0;
        config.noise_scheduler.prediction = variant % 3;
        config.noise_scheduler.zero_terminal_snr = variant % 3 != LCM_PREDICT_EPSILON;
        config.noise_scheduler.beta_schedule = variant > 2 ? LCM_SCHEDULE_SIGMOID : LCM_SCHEDULE_COSINE;
        cc.cf_guidance_probability = 0.15;
        cc.step_sampling.weighting = variant > 2 ? LCM_WEIGHT_CLAMP_SNR : LCM_WEIGHT_NONE;
        m = new_tower(&config);
        OK(lcm_criterion_new(ctx, &c, &m->model, &cc));
        memcpy(noise, p.noisy, sizeof noise);
        lcm_normalize(m->model.normalizer, p.z, x, CONCEPTS, NULL);
        loss_of(&l, &m->model, &b, c, &draws);
        memcpy(rows, l.rows, sizeof rows);
        lcm_add_noise(m->model.schedule, p.noisy, p.z, noise, p.level, CONCEPTS, TOY_D);
        lcm_diffusion_target(m->model.schedule, target, p.z, noise, p.level, CONCEPTS, TOY_D);
        lcm_step_sampler_weights(c->steps, w, p.level, CONCEPTS);
        y = run(m, &p);
        for (int r = 0; r < CONCEPTS; r++) {
            double d = 0;
            for (int k = 0; k < TOY_D; k++) d += pow((double)y[r * TOY_D + k] - (double)target[r * TOY_D + k], 2);
            assert_true(fabs((double)rows[r] - d) <= 1e-5 * d);
            sum += (double)w[r] * d;
        }
        assert_true(fabs(l.sum - sum) <= 1e-5 * sum && l.n_targets == CONCEPTS);
        for (int d = 0; d < DOCS; d++) {
            int32_t off[2] = {0, docs[d + 1] - docs[d]};
            int64_t at = docs[d];
            lcm_concept_batch one = {.n_docs = 1, .x = x + at * TOY_D, .off = off};
            draws = (lcm_draws){.t = p.level + at, .noise = noise + at * TOY_D, .dropped = p.dropped + at};
            loss_of(&l, &m->model, &one, c, &draws);
            for (int32_t n = 0; n < off[1]; n++)
                assert_true(fabs((double)l.rows[n] - (double)rows[at + n]) <= 1e-5 * (double)rows[at + n]);
        }
        lcm_criterion_free(c);
        pass_free(&p);
        lcm_model_free(&m->model);
    }
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_papers_sequence),
        cmocka_unit_test(noisy_row_changes_no_other_output),
        cmocka_unit_test(clean_row_changes_later_outputs_only),
        cmocka_unit_test(training_row_is_inference),
        cmocka_unit_test(sampling_is_training_passes),
        cmocka_unit_test(asking_leaves_no_trace),
        cmocka_unit_test(full_context_is_refused),
        cmocka_unit_test(parameter_count),
        cmocka_unit_test(loss_is_its_formula),
    };
    return cmocka_run_group_tests(tests, taped_setup, taped_teardown);
}
