/* SONAR encoder and decoder, full passes, against the reference at toy size. Weights come from a
 * hash of their names, so only outputs are stored. Tolerance 1e-5 of max|b|: float32 against
 * float32; a float64 implementation stays within 8e-6 absolute of these numbers. */
#include "harness/golden.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/sonar_toy.h"
#include "kernels/xent.h"
#include "sonar/beam.h"
#include "sonar/encoder.h"

enum { D = 32, V = 40, MAX_T = 96 };
static const double TOL = 1e-5;

static lcm_ctx *ctx;
static lcm_tape *tape;
static golden *gold;
static json_t *facts;

static int setup(void **state) {
    (void)state;
    ctx = lcm_ctx_new();
    tape = lcm_tape_new(ctx, 1 << 20);
    gold = golden_open("sonar/golden");
    facts = json_load_file(TEST_DATA "/golden/sonar/golden.json", 0, NULL);
    return tape && facts ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    json_decref(facts);
    golden_close(gold);
    lcm_tape_free(tape);
    lcm_ctx_free(ctx);
    return 0;
}

/* The keys of the model are all among those of the reference, with the same shapes. */
static lcm_sonar *model_new(const lcm_sonar_config *c, int parts, const char *prefix, const char *key_table) {
    lcm_sonar *m;
    if (lcm_sonar_new(ctx, &m, c, parts, false) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));
    for (size_t i = 0; i < m->params.n; i++) {
        lcm_param *p = m->params.items[i];
        json_t *shape = json_object_get(json_object_get(facts, key_table), p->name);
        if (shape == NULL) fail_msg("the reference has no parameter '%s'", p->name);
        assert_int_equal(json_array_size(shape), p->is_vector ? 1 : 2);
        assert_int_equal(json_integer_value(json_array_get(shape, 0)), p->is_vector ? p->t.cols : p->t.rows);
        portable_fill(p->t.x, p->t.rows * p->t.cols, prefix, p->name);
    }
    return m;
}

typedef struct packed {
    lcm_sonar_batch b;
    int32_t ids[MAX_T], off[16], pos[MAX_T], seg[MAX_T], limit[MAX_T];
} packed;

static void pack(packed *p, const char *key) {
    json_t *seqs = json_object_get(facts, key);
    memset(p, 0, sizeof *p);
    p->b = (lcm_sonar_batch){.ids = p->ids, .off = p->off, .pos = p->pos, .seg = p->seg, .limit = p->limit};
    p->b.n = (int64_t)json_array_size(seqs);
    assert_true(p->b.n > 0 && p->b.n < 16);
    for (int64_t s = 0; s < p->b.n; s++) {
        json_t *seq = json_array_get(seqs, (size_t)s);
        for (size_t k = 0; k < json_array_size(seq); k++, p->b.T++) {
            assert_true(p->b.T < MAX_T);
            p->ids[p->b.T] = (int32_t)json_integer_value(json_array_get(seq, k));
            p->pos[p->b.T] = (int32_t)k;
            p->seg[p->b.T] = (int32_t)s;
            p->limit[p->b.T] = (int32_t)k + 1;
        }
        p->off[s + 1] = (int32_t)p->b.T;
    }
}

/* Rows of x (T, C), packed, against the padded array (n, steps, C) where it holds a token. */
static void compare_packed(const real *x, const packed *p, int64_t C, const char *name) {
    int64_t dims[LCM_ST_MAX_RANK];
    const real *padded = golden_real(gold, dims, "%s", name);
    real *want = malloc((size_t)(p->b.T * C) * sizeof *want);
    assert_non_null(want);
    assert_true(dims[0] == p->b.n && dims[2] == C);
    for (int64_t t = 0; t < p->b.T; t++)
        memcpy(want + t * C, padded + (p->seg[t] * dims[1] + p->pos[t]) * C, (size_t)C * sizeof *want);
    assert_close_at(x, want, p->b.T * C, TOL, name, __FILE__, __LINE__);
    free(want);
}

static lcm_sonar_config toy_encoder(int64_t layers, int pooling) {
    return (lcm_sonar_config){.model_dim = D, .encoder_layers = layers, .decoder_layers = 1, .attn_heads = 4,
                              .ffn_inner_dim = 64, .vocab_size = V, .max_seq_len = 14, .pooling = pooling};
}

static void encoder_positions_and_frontend(void **state) {
    lcm_sonar_config c = toy_encoder(2, LCM_POOL_MEAN);
    lcm_sonar *m = model_new(&c, LCM_SONAR_ENCODER, "enc/", "enc_keys");
    packed p;
    lcm_tensor *x;
    (void)state;
    assert_int_equal(json_integer_value(json_object_get(facts, "enc_max_seq_len")), c.max_seq_len + 2);
    assert_close(m->positions, golden_real(gold, NULL, "enc.freqs"), 16 * D, TOL);
    pack(&p, "enc_seqs");
    lcm_tape_reset(tape, (lcm_tape_opts){.record = false});
    x = lcm_op_embed(tape, m->enc_embed, p.ids, p.b.T, r_sqrt((real)D), m->positions, p.pos);
    compare_packed(x->x, &p, D, "enc.frontend");
    lcm_sonar_free(m);
}

/* The encoder shows its states after the final norm, so the reference's layer outputs get that norm
 * here: layer 0 is compared with an encoder of one layer. */
static void encoder_states(void **state) {
    packed p;
    (void)state;
    pack(&p, "enc_seqs");
    for (int64_t layers = 1; layers <= 2; layers++) {
        lcm_sonar_config c = toy_encoder(layers, LCM_POOL_MEAN);
        lcm_sonar *m = model_new(&c, LCM_SONAR_ENCODER, "enc/", "enc_keys");
        lcm_tensor *x, *want;
        int64_t dims[LCM_ST_MAX_RANK];
        const real *raw;
        real *rows = malloc(MAX_T * D * sizeof *rows);
        assert_non_null(rows);
        lcm_tape_reset(tape, (lcm_tape_opts){.record = false});
        x = lcm_sonar_encoder_states(tape, m, &p.b);
        raw = golden_real(gold, dims, "enc.layer%d", (int)layers - 1);
        for (int64_t t = 0; t < p.b.T; t++)
            memcpy(rows + t * D, raw + (p.seg[t] * dims[1] + p.pos[t]) * D, D * sizeof *rows);
        want = lcm_norm_fwd(tape, &m->enc_norm, lcm_tensor_const(tape, rows, p.b.T, D));
        assert_close(x->x, want->x, p.b.T * D, TOL);
        if (layers == 2) compare_packed(x->x, &p, D, "enc.encoded");
        lcm_sonar_free(m);
        free(rows);
    }
}

static void encoder_poolings(void **state) {
    packed p;
    (void)state;
    pack(&p, "enc_seqs");
    for (int kind = LCM_POOL_MEAN; kind <= LCM_POOL_LAST; kind++) {
        lcm_sonar_config c = toy_encoder(2, kind);
        lcm_sonar *m = model_new(&c, LCM_SONAR_ENCODER, "enc/", "enc_keys");
        lcm_tensor *y;
        lcm_tape_reset(tape, (lcm_tape_opts){.record = false});
        y = lcm_sonar_encode_fwd(tape, m, &p.b);
        assert_close(y->x, golden_real(gold, NULL, "enc.pool_%s", lcm_sonar_pooling_names[kind]), p.b.n * D, TOL);
        lcm_sonar_free(m);
    }
}

/* Two layers, three heads, and concepts wider than the encoder; the training pass and inference. */
static void encoder_attention(void **state) {
    enum { E = 48 };
    lcm_sonar_config c = toy_encoder(2, LCM_SONAR_ATTENTION);
    const real *want = golden_real(gold, NULL, "encattn.pool");
    lcm_sonar *m;
    lcm_sonar_net *net;
    lcm_sonar_encoder *encoder;
    lcm_tensor *y;
    packed p;
    real got[16 * E];
    (void)state;
    c.embedding_dim = E;
    c.pooler_layers = 2;
    c.pooler_heads = 3;
    c.pooler_ffn_inner_dim = 96;
    m = model_new(&c, LCM_SONAR_ENCODER, "encattn/", "encattn_keys");
    pack(&p, "enc_seqs");
    lcm_tape_reset(tape, (lcm_tape_opts){.record = false});
    compare_packed(lcm_sonar_encoder_states(tape, m, &p.b)->x, &p, D, "encattn.encoded");
    y = lcm_sonar_encode_fwd(tape, m, &p.b);
    assert_true(y->rows == p.b.n && y->cols == E);
    assert_close(y->x, want, p.b.n * E, TOL);
    assert_ok(ctx, lcm_sonar_net_view(ctx, &net, m));
    assert_ok(ctx, lcm_sonar_encoder_new(ctx, &encoder, net));
    assert_ok(ctx, lcm_sonar_encoder_run(ctx, got, encoder, &p.b, LCM_SONAR_ATTENTION));
    assert_close(got, want, p.b.n * E, TOL);
    lcm_sonar_encoder_free(encoder);
    lcm_sonar_net_free(net);
    lcm_sonar_free(m);
}

static void check_decoder(const char *prefix, const char *key_table, int64_t input_dim, const real *emb, bool all) {
    lcm_sonar_config c = {.model_dim = D, .encoder_layers = 1, .decoder_layers = 2, .attn_heads = 4, .ffn_inner_dim = 64,
                          .vocab_size = V, .max_seq_len = 16, .input_dim = input_dim};
    lcm_sonar *m = model_new(&c, LCM_SONAR_DECODER, prefix, key_table);
    packed p;
    lcm_tensor *h, *logits, *x;
    pack(&p, "prefix");
    lcm_tape_reset(tape, (lcm_tape_opts){.record = false});
    h = lcm_sonar_decode_fwd(tape, m, &p.b, lcm_tensor_const(tape, emb, p.b.n, input_dim ? input_dim : D));
    logits = lcm_op_linear(tape, h, m->dec_embed, NULL); /* the projection is the embedding */
    if (all) {
        x = lcm_op_embed(tape, m->dec_embed, p.ids, p.b.T, r_sqrt((real)D), m->positions, p.pos);
        compare_packed(x->x, &p, D, "dec.frontend");
        compare_packed(h->x, &p, D, "dec.hidden");
        compare_packed(logits->x, &p, V, "dec.logits");
        lcm_k_log_softmax(logits->x, p.b.T, V);
        compare_packed(logits->x, &p, V, "dec.logprobs");
    } else {
        compare_packed(logits->x, &p, V, "dec2.logits");
    }
    lcm_sonar_free(m);
}

static void decoder(void **state) {
    static const int names[] = {0, 12, 23, 24};
    const real *emb = golden_real(gold, NULL, "dec.emb");
    real filled[4 * D];
    (void)state;
    for (int k = 0; k < 4; k++) {
        char key[32];
        snprintf(key, sizeof key, "%d", names[k]);
        portable_fill(filled + k * D, D, "testemb/", key);
        for (int i = 0; i < D; i++) filled[k * D + i] *= 4;
    }
    assert_memory_equal(filled, emb, sizeof filled); /* the fill is the reference's, to the bit */
    check_decoder("dec/", "dec_keys", 0, emb, true);
}

static void decoder_of_narrow_concepts(void **state) {
    (void)state;
    check_decoder("dec2/", "dec2_keys", 24, golden_real(gold, NULL, "dec2.emb"), false);
}

/* Text to text: five sentences through the encoder, and what the search says in language 31. Tokens exactly: ranked candidates are
 * 2e-4 apart at least. */
static void encoder_and_search(void **state) {
    static const int32_t prompt[2] = {3, 31};
    lcm_sonar_config c = toy_encoder(2, LCM_POOL_MEAN);
    lcm_sonar *enc = model_new(&c, LCM_SONAR_ENCODER, "enc/", "enc_keys"), *dec = toy_decoder(ctx);
    const json_t *want = json_object_get(facts, "t2t");
    lcm_beam_opts o = lcm_beam_opts_default();
    lcm_hypotheses got[16];
    lcm_sonar_net *net;
    lcm_tensor *x;
    packed p;
    (void)state;
    assert_int_equal(json_array_size(want), 5);
    assert_ok(ctx, lcm_sonar_net_view(ctx, &net, dec));
    lcm_tape_reset(tape, (lcm_tape_opts){0});
    pack(&p, "enc_seqs");
    x = lcm_sonar_encode_fwd(tape, enc, &p.b);
    assert_non_null(x);
    o.max_gen_len = 10 + 128; /* the longest of the five has ten tokens */
    assert_ok(ctx, lcm_beam_search(ctx, got, net, x->x, 5, prompt, 2, &o));
    for (size_t i = 0; i < 5; i++) {
        const json_t *list = json_array_get(want, i);
        assert_int_equal(got[i].n, json_array_size(list));
        for (int64_t k = 0; k < got[i].n; k++) {
            const lcm_hypothesis *h = &got[i].items[k];
            const json_t *w = json_array_get(list, (size_t)k), *seq = json_object_get(w, "seq");
            assert_int_equal(h->n, json_array_size(seq));
            for (int64_t j = 0; j < h->n; j++) assert_int_equal(h->ids[j], json_integer_value(json_array_get(seq, (size_t)j)));
            assert_true(fabs(h->score - json_number_value(json_object_get(w, "score"))) < 1e-4);
        }
        lcm_hypotheses_free(&got[i]);
    }
    lcm_sonar_net_free(net);
    lcm_sonar_free(enc);
    lcm_sonar_free(dec);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoder_positions_and_frontend), cmocka_unit_test(encoder_states),
        cmocka_unit_test(encoder_poolings),               cmocka_unit_test(encoder_attention), cmocka_unit_test(encoder_and_search),
        cmocka_unit_test(decoder),                        cmocka_unit_test(decoder_of_narrow_concepts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
