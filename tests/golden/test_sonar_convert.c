/* Every layout of the reference's toy checkpoints, converted: the same parameters to the bit (the half-width ones to their own
 * rounding), the same space, and the reference's vectors. */
#include "harness/golden.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/half.h"
#include "harness/sonar_toy.h"
#include "lcm/convert.h"
#include "sonar/beam.h"
#include "sonar/sonar_io.h"
#include "unit/convert_toy.h"

static lcm_sonar_file convert(const char *first, const char *second, int parts, int dtype) {
    const char *src[] = {first, second};
    lcm_convert_opts o = {.tokenizer = spm, .langs = "none", .set = settings, .n_set = 2, .dtype = dtype};
    lcm_sonar_file f;
    if (lcm_convert(ctx, out, src, second ? 2 : 1, &o) != LCM_OK) fail_msg("%s: %s", first, lcm_ctx_message(ctx));
    if (lcm_sonar_load_model(ctx, &f, out, parts, false) != LCM_OK) fail_msg("%s: %s", first, lcm_ctx_message(ctx));
    return f;
}

typedef enum rounding { EXACT, HALF, BFLOAT } rounding;

static real rounded(real x, rounding r) {
    if (r == HALF) return (real)lcm_f16_to_f32(lcm_f32_to_f16((float)x));
    return r == BFLOAT ? (real)lcm_bf16_to_f32(lcm_f32_to_bf16((float)x)) : x;
}

/* vectors: what rank 1 was rounded to. */
static void check_params(const lcm_sonar *m, rounding matrices, rounding vectors, const char *what) {
    assert_true(m->params.n > 30);
    for (size_t i = 0; i < m->params.n; i++) {
        const lcm_param *p = m->params.items[i];
        bool decoder = strncmp(p->name, "decoder", 7) == 0;
        int64_t n = p->t.rows * p->t.cols;
        real *want = malloc((size_t)n * sizeof *want);
        portable_fill(want, n, decoder ? "dec/" : "enc/", p->name);
        for (int64_t k = 0; k < n; k++)
            if (p->t.x[k] != rounded(want[k], p->is_vector ? vectors : matrices))
                fail_msg("%s: '%s' differs at %lld", what, p->name, (long long)k);
        free(want);
    }
}

/* Mean-pooled vectors of the reference's sentences. */
static void check_vectors(const lcm_sonar *m, double tolerance) {
    golden *g = golden_open("sonar/golden");
    json_t *facts = json_load_file(TEST_DATA "/golden/sonar/golden.json", 0, NULL), *seqs = json_object_get(facts, "enc_seqs");
    const real *want = golden_real(g, NULL, "enc.pool_mean");
    lcm_tape *tape = lcm_tape_new(ctx, 1 << 20);
    assert_int_equal(json_array_size(seqs), 6);
    for (size_t s = 0; s < 6; s++) {
        int32_t ids[16], pos[16], seg[16] = {0}, off[2] = {0};
        json_t *seq = json_array_get(seqs, s);
        lcm_sonar_batch b = {.n = 1, .T = (int64_t)json_array_size(seq), .ids = ids, .off = off, .pos = pos, .seg = seg};
        assert_true(b.T <= 16);
        for (int32_t k = 0; k < b.T; k++) ids[k] = (int32_t)json_integer_value(json_array_get(seq, (size_t)k)), pos[k] = k;
        off[1] = (int32_t)b.T;
        lcm_tape_reset(tape, (lcm_tape_opts){.record = false});
        assert_close(lcm_sonar_encode_fwd(tape, m, &b)->x, want + s * D, D, tolerance);
    }
    lcm_tape_free(tape);
    json_decref(facts);
    golden_close(g);
}

static void encoders(void **state) {
    static const struct {
        const char *path;
        rounding r;
        double tolerance; /* of vectors, of max|b|: f32 rounding; half precision of weights, 2^-11 and 2^-8, grown by two layers */
    } files[] = {
        {CKPT("toy_encoder.pt"), EXACT, 1e-5},
        {CKPT("toy_encoder_params.pt"), EXACT, 1e-5},
        {CKPT("toy_encoder_views.pt"), EXACT, 1e-5},
        {CKPT("toy_encoder_legacy_nonzip.pt"), EXACT, 1e-5},
        {CKPT("toy_encoder_fs2.safetensors"), EXACT, 1e-5},
        {CKPT("toy_encoder_hf_M2M100Encoder.safetensors"), EXACT, 1e-5},
        {CKPT("toy_encoder_fs2_f16.pt"), HALF, 5e-3},
        {CKPT("toy_encoder_bf16.pt"), BFLOAT, 4e-2},
    };
    uint64_t space = 0;
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        lcm_sonar_file f = convert(files[i].path, NULL, LCM_SONAR_ENCODER, LCM_EXPORT_KEEP);
        check_params(f.model, files[i].r, files[i].r, files[i].path);
        check_vectors(f.model, files[i].tolerance);
        if (i == 0) space = f.space;
        if (files[i].r == EXACT) assert_true(f.space == space); /* one encoder, one space, however it is stored */
        else assert_true(f.space != space);
        lcm_sonar_file_close(&f);
    }
}

static void decoders(void **state) {
    static const char *const files[] = {CKPT("toy_decoder_tied.pt"), CKPT("toy_decoder_fs2.safetensors"),
                                        CKPT("toy_decoder_hf_ForConditionalGeneration.safetensors")};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        lcm_sonar_file f = convert(files[i], NULL, LCM_SONAR_DECODER, LCM_EXPORT_KEEP);
        check_params(f.model, EXACT, EXACT, files[i]);
        lcm_sonar_file_close(&f);
    }
}

/* The whole model from two files of different kinds, in both orders; a search with it gives the reference's tokens. */
static void pair(void **state) {
    static const int32_t prompt[2] = {3, 30};
    json_t *facts = json_load_file(TEST_DATA "/golden/sonar/golden.json", 0, NULL);
    json_t *want = json_array_get(json_object_get(json_object_get(facts, "beam"), "default"), 0);
    lcm_beam_opts o = lcm_beam_opts_default();
    lcm_sonar_file a, b, e;
    lcm_hypotheses h;
    lcm_sonar_net *net;
    real emb[4 * D];
    (void)state;
    a = convert(CKPT("toy_encoder_views.pt"), CKPT("toy_decoder_fs2.safetensors"), LCM_SONAR_BOTH, LCM_EXPORT_F32);
    b = convert(CKPT("toy_decoder_tied.pt"), CKPT("toy_encoder_hf_M2M100Encoder.safetensors"), LCM_SONAR_BOTH, LCM_EXPORT_F16);
    e = convert(CKPT("toy_encoder.pt"), NULL, LCM_SONAR_ENCODER, LCM_EXPORT_F16);
    assert_true(a.space == b.space && a.space == e.space); /* of the encoder's values, before they are rounded */
    assert_false(a.model->config.share_embeddings);
    check_params(a.model, EXACT, EXACT, "f32");
    check_params(b.model, HALF, EXACT, "f16");
    toy_embeddings(emb);
    o.max_seq_len = 16;
    a.model->config.max_seq_len = 16; /* the reference's decoder has two positions more than the encoder's setting */
    assert_int_equal(lcm_sonar_net_view(ctx, &net, a.model), LCM_OK);
    assert_int_equal(lcm_beam_search(ctx, &h, net, emb, 1, prompt, 2, &o), LCM_OK);
    assert_int_equal(h.n, json_array_size(want));
    for (int64_t i = 0; i < h.n; i++) {
        json_t *seq = json_object_get(json_array_get(want, (size_t)i), "seq");
        assert_int_equal(h.items[i].n, json_array_size(seq));
        for (int64_t k = 0; k < h.items[i].n; k++)
            assert_int_equal(h.items[i].ids[k], json_integer_value(json_array_get(seq, (size_t)k)));
    }
    lcm_hypotheses_free(&h);
    lcm_sonar_net_free(net);
    lcm_sonar_file_close(&a);
    lcm_sonar_file_close(&b);
    lcm_sonar_file_close(&e);
    json_decref(facts);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(encoders), cmocka_unit_test(decoders), cmocka_unit_test(pair)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
