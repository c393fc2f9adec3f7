/* The loss through the decoder against the same numbers put together by hand: predictions of the model, the normaliser
 * taken back, sentence after sentence through the decoder. */
#include "harness/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/sonar_toy.h"
#include "harness/toy_models.h"
#include "kernels/gemm.h"
#include "kernels/xent.h"

enum { DOCS = 3, ROWS = 11, V = 40, LONGEST = 5 };
static const int32_t offsets[DOCS + 1] = {0, 4, 5, 11}, sources[DOCS] = {2, 0, 5};

typedef struct world {
    lcm_ctx *ctx;
    lcm_tape *tape;
    lcm_sonar *decoder;
    lcm_model *model;
    lcm_criterion *criterion;
    lcm_pieces text[ROWS];
    int32_t ids[ROWS * LONGEST];
    real weight[ROWS];
    lcm_concept_batch batch;
} world;

static void begin(world *w, const char *kind, const void *config, const lcm_criterion_config *cc) {
    static const lcm_sonar_config small = {.model_dim = TOY_D, .encoder_layers = 1, .decoder_layers = 1, .attn_heads = 2, .ffn_inner_dim = 16,
                                           .vocab_size = V, .max_seq_len = 8, .share_embeddings = true};
    memset(w, 0, sizeof *w);
    w->ctx = lcm_ctx_new();
    w->tape = lcm_tape_new(w->ctx, 1 << 20);
    assert_int_equal(lcm_sonar_new(w->ctx, &w->decoder, &small, LCM_SONAR_DECODER, false), LCM_OK);
    lcm_params_init(&w->decoder->params, 3);
    assert_int_equal(lcm_model_create(w->ctx, &w->model, kind, config, true), LCM_OK);
    toy_randomize(w->model, 7);
    for (int64_t c = 0; c < TOY_D; c++) { /* so that a normaliser left out shows */
        w->model->normalizer->center[c] = (real)(0.1 * (double)c - 0.5);
        w->model->normalizer->scale[c] = (real)(0.5 + 0.1 * (double)c);
    }
    assert_int_equal(lcm_criterion_new(w->ctx, &w->criterion, w->model, cc), LCM_OK);
    w->criterion->decoder = w->decoder;
    w->batch = (lcm_concept_batch){.n_docs = DOCS, .x = toy_concepts(ROWS, TOY_D, 3), .off = offsets, .weight = w->weight, .text = w->text};
    for (int64_t i = 0; i < ROWS; i++) {
        w->text[i] = (lcm_pieces){w->ids + i * LONGEST, i == 7 ? 0 : 1 + i % LONGEST}; /* one is unknown */
        w->weight[i] = (real)(i == 9 ? 0 : 0.5 + 0.1 * (double)i);
    }
    for (int64_t i = 0; i < ROWS * LONGEST; i++) w->ids[i] = (int32_t)(4 + i * 7 % (V - 4));
}

static void end(world *w) {
    free((real *)(uintptr_t)w->batch.x);
    lcm_criterion_free(w->criterion);
    lcm_model_free(w->model);
    lcm_sonar_free(w->decoder);
    lcm_tape_free(w->tape);
    lcm_ctx_free(w->ctx);
}

static lcm_model_loss loss_of(world *w, uint64_t step, bool record) {
    lcm_model_loss l;
    lcm_draws draws = {.seed = 5, .step = step};
    lcm_tape_reset(w->tape, (lcm_tape_opts){.record = record});
    if (lcm_model_loss_run(w->ctx, &l, w->tape, w->model, &w->batch, w->criterion, &draws)) fail_msg("%s", lcm_ctx_message(w->ctx));
    return l;
}

static double entropy(world *w, const real *concept, lcm_pieces s) {
    const int32_t eos = LCM_ID_EOS;
    lcm_tape *tape = lcm_tape_new(w->ctx, 1 << 16);
    lcm_sonar_packer p;
    lcm_tensor *h;
    double sum = 0;
    assert_int_equal(lcm_sonar_packer_begin(w->ctx, &p, lcm_tape_arena(tape), 1, s.n + 1), LCM_OK);
    lcm_sonar_packer_push(&p, &eos, 1, s, NULL, 0);
    h = lcm_sonar_decode_fwd(tape, w->decoder, &p.b, lcm_tensor_const(tape, concept, 1, TOY_D));
    assert_non_null(h);
    for (int64_t i = 0; i <= s.n; i++) {
        real logits[V];
        lcm_k_linear_fwd(NULL, logits, h->x + TOY_D * i, w->decoder->dec_embed->x, NULL, 1, TOY_D, V);
        lcm_k_log_softmax(logits, 1, V);
        sum -= (double)logits[i < s.n ? s.ids[i] : eos];
    }
    lcm_tape_free(tape);
    return sum;
}

static void base_by_hand(void **state) {
    lcm_base_config config = toy_base_config();
    lcm_criterion_config cc = lcm_criterion_config_default();
    lcm_packed packed;
    lcm_model_loss l, plain;
    real predicted[ROWS * TOY_D], *z;
    double said = 0, clean = 0, weighed = 0;
    int64_t tokens = 0;
    lcm_tensor *p;
    world w;
    (void)state;
    config.lcm.dropout_p = config.lcm.final_dropout_p = config.frontend.dropout_p = 0;
    cc.decoder.weight = 2.5;
    cc.decoder.clean = 1;
    begin(&w, "base", &config, &cc);
    lcm_tape_reset(w.tape, (lcm_tape_opts){0});
    packed = lcm_packed_make(w.tape, DOCS, offsets);
    z = lcm_model_normalize(w.tape, w.model, w.batch.x, ROWS, 0);
    p = lcm_base_fwd(w.tape, (const lcm_base *)w.model, lcm_tensor_const(w.tape, z, ROWS, TOY_D), &packed);
    assert_non_null(p);
    lcm_denormalize(w.model->normalizer, predicted, p->x, ROWS, NULL);
    for (int64_t d = 0; d < DOCS; d++)
        for (int64_t i = offsets[d] + 1; i < offsets[d + 1]; i++) {
            double e, own;
            if (w.text[i].n == 0 || w.weight[i] == 0) continue;
            e = entropy(&w, predicted + (i - 1) * TOY_D, w.text[i]);
            own = entropy(&w, w.batch.x + i * TOY_D, w.text[i]);
            said += e;
            clean += own;
            weighed += 2.5 * (double)w.weight[i] * (e + own);
            tokens += w.text[i].n + 1;
        }
    l = loss_of(&w, 1, true);
    assert_int_equal(l.said.tokens, tokens);
    assert_true(fabs(l.said.xent - said) <= 1e-4 * said); /* sums of 30 numbers in f32 */
    assert_int_equal(l.said_clean.tokens, tokens);
    assert_true(fabs(l.said_clean.xent - clean) <= 1e-4 * clean);
    assert_int_equal(lcm_tape_backward(w.tape, l.out, NULL), LCM_OK);
    for (size_t i = 0; i < w.decoder->params.n; i++) assert_null(w.decoder->params.items[i]->t.g); /* frozen */
    w.batch.text = NULL;
    plain = loss_of(&w, 1, false);
    assert_int_equal(plain.said.tokens + plain.said_clean.tokens, 0);
    assert_true(fabs(l.sum - plain.sum - weighed) <= 1e-4 * weighed);
    assert_true(l.squared == plain.squared);
    end(&w);
}

/* Of pairs, the targets alone are said; and a share of the rows weighs as much as all of them in the mean. */
static void targets_and_shares(void **state) {
    lcm_two_tower_config config = toy_two_tower_config();
    lcm_criterion_config cc = lcm_criterion_config_default();
    int64_t tokens = 0, fewer = 0;
    double all = 0, some = 0, plain;
    world w;
    enum { DRAWS = 600 };
    (void)state;
    cc.cf_guidance_probability = 0.3;
    cc.decoder.weight = 1;
    begin(&w, "two_tower", &config, &cc);
    w.batch.source_len = sources;
    for (int64_t d = 0; d < DOCS; d++)
        for (int64_t i = offsets[d] + sources[d]; i < offsets[d + 1]; i++)
            if (w.text[i].n && w.weight[i] != 0) tokens += w.text[i].n + 1;
    assert_int_equal(loss_of(&w, 1, false).said.tokens, tokens);
    w.batch.source_len = NULL;
    for (uint64_t step = 0; step < DRAWS; step++) {
        lcm_model_loss full, part;
        w.criterion->config.decoder.share = 1;
        full = loss_of(&w, step, false);
        w.criterion->config.decoder.share = 0.3;
        part = loss_of(&w, step, false);
        w.batch.text = NULL;
        plain = loss_of(&w, step, false).sum;
        w.batch.text = w.text;
        all += full.sum - plain;
        some += part.sum - plain;
        fewer += part.said.tokens < full.said.tokens;
    }
    assert_true(fewer > DRAWS / 2);
    assert_true(fabs(some - all) <= 0.1 * all); /* nine rows, each with probability .3: 51 % of a step, 2 % of all steps */
    end(&w);
}

static void refused(void **state) {
    lcm_two_tower_config config = toy_two_tower_config();
    lcm_quant_config quant = toy_quant_config();
    lcm_criterion_config cc = lcm_criterion_config_default();
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_criterion *c;
    lcm_model *m;
    (void)state;
    cc.cf_guidance_probability = 0.3;
    cc.decoder.weight = 1;
    assert_int_equal(lcm_model_create(ctx, &m, "quant_c", &quant, false), LCM_OK);
    assert_int_equal(lcm_criterion_new(ctx, &c, m, &cc), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(ctx), "criterion.decoder.weight: a quant model"));
    lcm_model_free(m);
    config.noise_scheduler.prediction = LCM_PREDICT_V;
    assert_int_equal(lcm_model_create(ctx, &m, "two_tower", &config, false), LCM_OK);
    assert_int_equal(lcm_criterion_new(ctx, &c, m, &cc), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(ctx), "prediction sample"));
    lcm_model_free(m);
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(base_by_hand), cmocka_unit_test(targets_and_shares), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
