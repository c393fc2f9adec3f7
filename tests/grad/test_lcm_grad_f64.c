/* Gradients of the losses with respect to every parameter, in double precision, dropout on. The
 * draws are functions of (seed, step), so every evaluation sees the same levels, noise and rows. */
#include "harness/test.h"

#include <stdlib.h>
#include <string.h>

#include "grad/check.h"
#include "harness/toy_models.h"

enum { DOCS = 3 };
static const int32_t offsets[DOCS + 1] = {0, 4, 5, 11}, sources[DOCS] = {2, 0, 5};
static const real weights[] = {9, 9, 0.5, 1, 0.25, 9, 9, 9, 9, 9, 0.75}; /* of the supervised batches; sources have no say */

typedef struct problem {
    lcm_ctx *ctx;
    lcm_model *model;
    lcm_criterion *criterion;
    lcm_concept_batch batch;
    lcm_draws draws;
} problem;

static lcm_tensor *loss(lcm_tape *t, void *arg) {
    problem *p = arg;
    lcm_model_loss l;
    if (lcm_model_loss_run(p->ctx, &l, t, p->model, &p->batch, p->criterion, &p->draws) != LCM_OK)
        fail_msg("%s", lcm_ctx_message(p->ctx));
    return l.out;
}

static bool has_no_gradient(const char *name) {
    return strncmp(name, "quantizer.", 10) == 0 || /* data, not trained */
           (strstr(name, "denoiser") && (strstr(name, "self_attn.q_") || strstr(name, "self_attn.k_")));
}

/* Adding a constant to all scores of a row changes no softmax, so without rotation the bias of a key,
 * or of its norm, has gradient 0: flat, and not wrong. */
static bool is_shift_of_scores(const char *name) {
    return strstr(name, "k_proj.bias") || strstr(name, "k_layer_norm.bias");
}

/* A decoder whose weights are constants, and sentences of one to four pieces. */
static const lcm_sonar_config decoder_config = {.model_dim = TOY_D, .encoder_layers = 1, .decoder_layers = 1, .attn_heads = 2, .ffn_inner_dim = 16,
                                                .vocab_size = 20, .max_seq_len = 8, .share_embeddings = true};
static const int32_t ids[] = {5, 9, 4, 17, 12, 8, 19};
static const lcm_pieces text[] = {{ids, 2}, {ids + 1, 1}, {ids, 4}, {ids + 3, 3}, {ids + 2, 2}, {ids + 4, 3},
                                  {ids, 1}, {NULL, 0},    {ids, 3}, {ids + 1, 4}, {ids + 5, 2}};

static void check_loss(const char *kind, const void *config, const lcm_criterion_config *cc, bool sft) {
    problem p = {.ctx = lcm_ctx_new(), .draws = {.seed = 5, .step = 9}};
    lcm_tape *t = lcm_tape_new(p.ctx, 1 << 20);
    lcm_tensor *leaf[GRAD_MAX_LEAVES];
    grad_problem g;
    grad_report r;
    lcm_sonar *decoder = NULL;
    real *x = toy_concepts(offsets[DOCS], TOY_D, 3);
    int n = 0;
    p.batch = (lcm_concept_batch){.n_docs = DOCS, .x = x, .off = offsets, .source_len = sft ? sources : NULL, .weight = sft ? weights : NULL};
    assert_int_equal(lcm_model_create(p.ctx, &p.model, kind, config, true), LCM_OK);
    toy_randomize(p.model, 7);
    assert_int_equal(lcm_criterion_new(p.ctx, &p.criterion, p.model, cc), LCM_OK);
    if (cc->decoder.weight > 0) {
        assert_int_equal(lcm_sonar_new(p.ctx, &decoder, &decoder_config, LCM_SONAR_DECODER, false), LCM_OK);
        lcm_params_init(&decoder->params, 3);
        p.criterion->decoder = decoder;
        p.batch.text = text;
    }
    assert_true(p.model->params.n <= GRAD_MAX_LEAVES);
    for (size_t i = 0; i < p.model->params.n; i++)
        leaf[n++] = has_no_gradient(p.model->params.items[i]->name) ? NULL : &p.model->params.items[i]->t;
    g = grad_problem_make(loss, &p, leaf, n);
    g.elementwise_up_to = 24;
    g.directions = 3;
    grad_check(t, &g, &r);
    for (int i = 0; i < n; i++)
        if (leaf[i] && r.flat[i] && !is_shift_of_scores(p.model->params.items[i]->name))
            fail_msg("%s: the loss does not feel %s", kind, p.model->params.items[i]->name);
    if (r.bad) fail_msg("%s: %lld of %lld wrong; %s", kind, (long long)r.bad, (long long)r.checked, r.first);
    assert_true(r.checked > 100);
    lcm_criterion_free(p.criterion);
    lcm_model_free(p.model);
    lcm_sonar_free(decoder);
    free(x);
    lcm_tape_free(t);
    lcm_ctx_free(p.ctx);
}

static void base_loss(void **state) {
    lcm_criterion_config cc = lcm_criterion_config_default();
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        lcm_base_config c = toy_base_config();
        if (variant == 1) {
            c.lcm = toy_transformer(false);
            c.lcm.norm_order_style = LCM_ORDER_NORMFORMER;
            c.lcm.enable_qk_layernorm = true;
            c.lcm.scale_residual = 0.7;
            c.lcm.ffn_inner_activation_name = LCM_ACT_GELU; /* smooth: relu has kinks within a step */
            c.frontend.scale_embeddings = true;
            c.postnet.activation_name = LCM_ACT_TANH;
        }
        if (variant == 2) {
            c.lcm.norm_order_style = LCM_ORDER_POST;
            c.lcm.pos_embedding_style = LCM_POS_SINE;
        }
        c.lcm.dropout_p = c.lcm.final_dropout_p = c.frontend.dropout_p = variant == 3 ? 0.2 : 0;
        cc.compute_rmse = variant & 1;
        cc.reduction = variant > 1;
        cc.decoder = (lcm_decoder_loss_config){.weight = variant == 0 || variant == 2 ? 3 : 0, .share = 1};
        check_loss("base", &c, &cc, variant == 2);
    }
}

static void two_tower_loss(void **state) {
    lcm_criterion_config cc = lcm_criterion_config_default();
    (void)state;
    cc.cf_guidance_probability = 0.3;
    for (int variant = 0; variant < 3; variant++) {
        lcm_two_tower_config c = toy_two_tower_config();
        c.noise_scheduler.prediction = variant == 2 ? LCM_PREDICT_V : LCM_PREDICT_SAMPLE;
        c.denoiser.transformer.enable_qk_layernorm = variant == 1;
        if (variant == 1) c.context_encoder.dropout_p = c.denoiser.transformer.dropout_p = 0.2;
        cc.compute_rmse = variant == 1;
        cc.step_sampling.weighting = variant == 2 ? LCM_WEIGHT_CLAMP_SNR : LCM_WEIGHT_NONE;
        cc.decoder = (lcm_decoder_loss_config){.weight = variant < 2 ? 3 : 0, .share = variant == 0 ? 0.7 : 1};
        check_loss("two_tower", &c, &cc, variant == 1);
    }
}

static void one_tower_loss(void **state) {
    lcm_criterion_config cc = lcm_criterion_config_default();
    (void)state;
    cc.cf_guidance_probability = 0.3;
    for (int variant = 0; variant < 3; variant++) {
        lcm_one_tower_config c = toy_one_tower_config();
        c.noise_scheduler.prediction = variant == 2 ? LCM_PREDICT_V : LCM_PREDICT_SAMPLE;
        c.tower.enable_qk_layernorm = variant == 1;
        c.tower.pos_embedding_style = variant == 2 ? LCM_POS_ROPE : LCM_POS_LEARNED;
        if (variant == 1) c.tower.dropout_p = c.tower.final_dropout_p = c.frontend.dropout_p = 0.2;
        cc.compute_rmse = variant == 1;
        cc.step_sampling.weighting = variant == 2 ? LCM_WEIGHT_CLAMP_SNR : LCM_WEIGHT_NONE;
        cc.decoder = (lcm_decoder_loss_config){.weight = variant == 0 ? 3 : 0, .share = 1};
        check_loss("one_tower", &c, &cc, variant == 1);
    }
}

static void quant_loss(void **state) {
    lcm_criterion_config cc = lcm_criterion_config_default();
    (void)state;
    cc.cf_guidance_probability = 0.3;
    for (int variant = 0; variant < 4; variant++) {
        lcm_quant_config c = toy_quant_config();
        c.tower.pos_embedding_style = variant & 1 ? LCM_POS_ROPE : LCM_POS_LEARNED;
        c.tower.enable_qk_layernorm = variant == 2;
        if (variant == 1) c.tower.dropout_p = c.tower.final_dropout_p = c.frontend.dropout_p = 0.2;
        cc.compute_rmse = variant == 2;
        cc.reduction = variant > 1;
        check_loss("quant_c", &c, &cc, variant == 1);
        check_loss("quant_d", &c, &cc, variant == 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(base_loss), cmocka_unit_test(two_tower_loss),
                                       cmocka_unit_test(one_tower_loss), cmocka_unit_test(quant_loss)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
