/* Whole layers and the whole SONAR training loss: every parameter tensor against central
 * differences, element by element up to 48 values, along 32 random directions above. */
#include "harness/taped.h"

#include <string.h>

#include "grad/check.h"
#include "sonar/model.h"

static void add_noise(lcm_tensor *t, double spread, uint64_t stream) {
    lcm_rng r = lcm_rng_make(9, LCM_RNG_TEST + (stream << 8));
    for (int64_t k = 0; k < t->rows * t->cols; k++) t->x[k] += spread * lcm_rng_normal(&r);
}

/* Initial values would leave biases 0 and norms 1, where errors can hide: everything is moved. */
static void fill(lcm_params *p) {
    lcm_params_init(p, 1);
    for (size_t i = 0; i < p->n; i++) add_noise(&p->items[i]->t, 0.2, i + 10);
}

/* `flat_suffix`: parameters that provably have no influence; these, and only these, must be flat. */
static void check_params(lcm_params *p, grad_fn f, void *arg, lcm_tensor **inputs, int n_inputs, const char *flat_suffix) {
    lcm_tensor *leaf[GRAD_MAX_LEAVES];
    grad_problem q = grad_problem_make(f, arg, leaf, 0);
    grad_report r;
    assert_true((int)p->n + n_inputs <= GRAD_MAX_LEAVES);
    for (size_t i = 0; i < p->n; i++) leaf[q.n_leaf++] = &p->items[i]->t;
    for (int i = 0; i < n_inputs; i++) leaf[q.n_leaf++] = inputs[i];
    q.elementwise_up_to = 48;
    q.directions = 32;
    grad_check(tape, &q, &r);
    if (r.bad) fail_msg("%lld of %lld wrong: %s", (long long)r.bad, (long long)r.checked, r.first);
    for (size_t i = 0; i < p->n; i++) {
        const char *name = p->items[i]->name;
        size_t n = strlen(name), m = flat_suffix ? strlen(flat_suffix) : 0;
        bool expected = flat_suffix && n >= m && strcmp(name + n - m, flat_suffix) == 0;
        if (r.flat[i] != expected) fail_msg("%s is %sflat", name, expected ? "not " : "");
    }
    for (int i = 0; i < n_inputs; i++) assert_false(r.flat[p->n + (size_t)i]);
}

typedef struct mha_problem {
    lcm_mha m;
    lcm_tensor *xq, *xkv;
    const lcm_attn_spec *spec;
    const lcm_rope_spec *rope;
} mha_problem;

static lcm_tensor *run_mha(lcm_tape *t, void *arg) {
    const mha_problem *p = arg;
    return lcm_mha_fwd(t, &p->m, p->xq, p->xkv ? p->xkv : p->xq, p->spec, p->rope);
}

static void check_mha(const lcm_mha_opts *o, const lcm_attn_spec *spec, const lcm_rope_spec *rope, bool cross,
                      const char *flat_suffix) {
    lcm_params p = {.ctx = ctx};
    mha_problem a = {.m = lcm_mha_new(&p, o, "a"), .spec = spec, .rope = rope};
    lcm_tensor *inputs[2];
    assert_int_equal(lcm_params_alloc(ctx, &p, true), LCM_OK);
    fill(&p);
    inputs[0] = a.xq = grad_leaf_new(spec->q_off[spec->n_seg], o->dim_q);
    inputs[1] = cross ? a.xkv = grad_leaf_new(spec->k_off[spec->n_seg], o->dim_kv) : NULL;
    for (int i = 0; i < 1 + cross; i++) add_noise(inputs[i], 1, (uint64_t)i);
    check_params(&p, run_mha, &a, inputs, 1 + cross, flat_suffix);
    for (int i = 0; i < 1 + cross; i++) grad_leaf_free(inputs[i]);
    lcm_params_free(&p);
}

static const int32_t off[] = {0, 1, 5, 8}, pos[] = {0, 0, 1, 2, 3, 0, 1, 2}, limit[] = {1, 1, 2, 3, 4, 1, 2, 3};
static const int32_t k_off[] = {0, 2, 3, 7}, k_pos[] = {0, 1, 0, 0, 1, 2, 3};

/* A key bias adds the same to every score of a query, which softmax ignores: flat, unless the keys
 * are normalised or rotated afterwards. */
static void attention_layer(void **state) {
    const lcm_attn_spec self = {3, 2, off, off, limit, NULL}, full = {3, 2, off, off, NULL, NULL}, cross = {3, 2, off, k_off, NULL, NULL};
    const lcm_rope_spec rope = {pos, pos, 10000}, rope_cross = {pos, k_pos, 10000};
    (void)state;
    check_mha(&(lcm_mha_opts){.H = 2, .dim_q = 8, .output_bias = true}, &full, NULL, false, ".k_proj.bias");
    check_mha(&(lcm_mha_opts){.H = 2, .dim_q = 8}, &self, NULL, false, ".k_proj.bias");
    check_mha(&(lcm_mha_opts){.H = 2, .dim_q = 8, .output_bias = true}, &self, &rope, false, NULL);
    check_mha(&(lcm_mha_opts){.H = 2, .dim_q = 8, .qk_norm = true, .norm = LCM_NORM_RMS}, &self, &rope, false, NULL);
    check_mha(&(lcm_mha_opts){.H = 2, .dim_q = 8, .qk_norm = true, .norm = LCM_NORM_NOBIAS}, &self, NULL, false, NULL);
    check_mha(&(lcm_mha_opts){.H = 2, .dim_q = 8, .dim_kv = 6, .output_bias = true}, &cross, &rope_cross, true, NULL);
}

typedef struct ffn_problem {
    lcm_ffn f;
    lcm_tensor *x;
} ffn_problem;

static lcm_tensor *run_ffn(lcm_tape *t, void *arg) {
    const ffn_problem *p = arg;
    return lcm_ffn_fwd(t, &p->f, p->x);
}

static void ffn_layer(void **state) {
    static const lcm_act acts[] = {LCM_ACT_RELU, LCM_ACT_SILU, LCM_ACT_GELU, LCM_ACT_TANH, LCM_ACT_SIGMOID};
    (void)state;
    for (int i = 0; i < 12; i++) { /* five activations and SwiGLU, each with and without inner norm */
        lcm_params p = {.ctx = ctx};
        bool swiglu = i / 2 == 5;
        ffn_problem a = {.f = lcm_ffn_new(&p, 6, 10, swiglu ? LCM_ACT_NONE : acts[i / 2], swiglu, i % 2, "f")};
        assert_int_equal(lcm_params_alloc(ctx, &p, true), LCM_OK);
        fill(&p);
        a.x = grad_leaf_new(4, 6);
        add_noise(a.x, 1, 0);
        check_params(&p, run_ffn, &a, &a.x, 1, NULL);
        grad_leaf_free(a.x);
        lcm_params_free(&p);
    }
}

/* Tokens -> concept -> teacher-forced cross-entropy of the same sentences, as in training. */
typedef struct sonar_problem {
    lcm_sonar *m;
    lcm_sonar_batch enc, dec;
    const int32_t *target;
    double smoothing;
} sonar_problem;

static lcm_tensor *run_sonar(lcm_tape *t, void *arg) {
    const sonar_problem *p = arg;
    lcm_tensor *concepts = lcm_sonar_encode_fwd(t, p->m, &p->enc);
    lcm_tensor *h = lcm_sonar_decode_fwd(t, p->m, &p->dec, concepts);
    return lcm_op_xent(t, h, p->m->dec_embed, p->target, NULL, p->smoothing, NULL).out;
}

static void check_sonar(bool share, int pooling, double dropout, double smoothing) {
    static const int32_t enc_ids[] = {7, 5, 3, 8, 6, 5, 9, 3}, enc_off[] = {0, 3, 8}, enc_pos[] = {0, 1, 2, 0, 1, 2, 3, 4};
    static const int32_t dec_ids[] = {3, 7, 5, 3, 8, 6, 5, 9}, dec_off[] = {0, 3, 8}, dec_pos[] = {0, 1, 2, 0, 1, 2, 3, 4};
    static const int32_t seg[] = {0, 0, 0, 1, 1, 1, 1, 1}, causal[] = {1, 2, 3, 1, 2, 3, 4, 5};
    static const int32_t target[] = {7, 5, 3, 8, 6, 5, 9, 3};
    lcm_sonar_config c = {.model_dim = 8, .encoder_layers = 2, .decoder_layers = 2, .attn_heads = 2, .ffn_inner_dim = 12,
                          .vocab_size = 10, .max_seq_len = 8, .pooling = pooling, .share_embeddings = share,
                          .dropout = dropout};
    if (pooling == LCM_SONAR_ATTENTION) c.embedding_dim = 12, c.pooler_layers = 2, c.pooler_heads = 3, c.pooler_ffn_inner_dim = 10;
    sonar_problem p = {.enc = {2, 8, enc_ids, enc_off, enc_pos, seg, NULL},
                       .dec = {2, 8, dec_ids, dec_off, dec_pos, seg, causal}, .target = target, .smoothing = smoothing};
    if (lcm_sonar_new(ctx, &p.m, &c, LCM_SONAR_BOTH, true) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));
    fill(&p.m->params);
    check_params(&p.m->params, run_sonar, &p, NULL, 0, "_attn.k_proj.bias");
    lcm_sonar_free(p.m);
}

static void sonar_autoencoder(void **state) {
    (void)state;
    check_sonar(true, LCM_POOL_MEAN, 0, 0);
    check_sonar(false, LCM_POOL_MEAN, 0, 0.1);
    check_sonar(true, LCM_POOL_MAX, 0, 0.1);
    check_sonar(true, LCM_POOL_LAST, 0, 0);
    check_sonar(true, LCM_POOL_MEAN, 0.2, 0.1);
    check_sonar(true, LCM_SONAR_ATTENTION, 0, 0);
    check_sonar(false, LCM_SONAR_ATTENTION, 0.2, 0.1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_layer),
        cmocka_unit_test(ffn_layer),
        cmocka_unit_test(sonar_autoencoder),
    };
    return cmocka_run_group_tests(tests, taped_setup, taped_teardown);
}
