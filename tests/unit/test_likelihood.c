/* Log-probabilities of texts against the full teacher-forced pass. */
#include "harness/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/sonar_toy.h"
#include "kernels/xent.h"
#include "sonar/decoder.h"
#include "kernels/gemm.h"
#include "sonar/batch.h"
#include "sonar/likelihood.h"
#include "unit/spm_build.h"

enum { V = 40, N = 70 }; /* more texts than one pass takes */

static const char *const kinds[] = {"a b", "", "ab ab a", "b", "ababab"};

static double by_full_pass(lcm_ctx *ctx, const lcm_sonar_file *f, const real *concept, const char *text, int32_t lang, int64_t *tokens) {
    lcm_tape *tape = lcm_tape_new(ctx, 1 << 16);
    lcm_sonar_packer p;
    lcm_tensor *h;
    lcm_ids ids = {0};
    double sum = 0;
    if (lang >= 0) assert_int_equal(lcm_tokenizer_encode_target(ctx, &ids, f->tok, lang, text, strlen(text)), LCM_OK);
    else {
        assert_int_equal(lcm_ids_push(ctx, &ids, LCM_ID_EOS), LCM_OK);
        assert_int_equal(lcm_tokenizer_encode(ctx, &ids, f->tok, text, strlen(text)), LCM_OK);
        assert_int_equal(lcm_ids_push(ctx, &ids, LCM_ID_EOS), LCM_OK);
    }
    *tokens = (int64_t)ids.len - 1;
    assert_int_equal(lcm_sonar_packer_begin(ctx, &p, lcm_tape_arena(tape), 1, *tokens), LCM_OK);
    lcm_sonar_packer_push(&p, ids.data, 0, (lcm_pieces){ids.data, *tokens}, ids.data, 0);
    h = lcm_sonar_decode_fwd(tape, f->model, &p.b, lcm_tensor_const(tape, concept, 1, 32));
    assert_non_null(h);
    for (int64_t i = 0; i < *tokens; i++) {
        real logits[V];
        lcm_k_linear_fwd(NULL, logits, h->x + 32 * i, f->model->dec_embed->x, NULL, 1, 32, V);
        lcm_k_log_softmax(logits, 1, V);
        sum += (double)logits[ids.data[i + 1]];
    }
    lcm_tape_free(tape);
    lcm_ids_free(&ids);
    return sum;
}

static void check(int n_langs) {
    static const char *const langs[] = {"eng_Latn", "fra_Latn"};
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_sonar_file f = {.model = toy_decoder(ctx), .lang = -1};
    const char *text[N];
    size_t len[N];
    real emb[4 * 32], *x = malloc(N * 32 * sizeof *x);
    double logp[N];
    int64_t tokens[N];
    int32_t lang = -1;
    lcm_buf model = {0};
    put_good(&model);
    assert_int_equal(lcm_sonar_net_view(ctx, &f.net, f.model), LCM_OK);
    f.config = f.net->config;
    assert_int_equal(lcm_tokenizer_load(ctx, &f.tok, model.data, model.len, langs, n_langs, 0), LCM_OK);
    if (n_langs) assert_int_equal(lcm_tokenizer_lang_id(ctx, &lang, f.tok, "fr"), LCM_OK);
    toy_embeddings(emb);
    for (int i = 0; i < N; i++) {
        text[i] = kinds[i % 5];
        len[i] = strlen(text[i]);
        memcpy(x + 32 * i, emb + 32 * (i % 4), 32 * sizeof *x);
    }
    if (lcm_sonar_score(ctx, logp, tokens, &f, x, text, len, N, lang) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));
    for (int i = 0; i < N; i++) {
        int64_t want_tokens;
        double want = by_full_pass(ctx, &f, x + 32 * i, text[i], lang, &want_tokens);
        assert_int_equal(tokens[i], want_tokens);
        assert_true(fabs(logp[i] - want) < 1e-4); /* f32 sums of up to 8 terms, in another order */
        assert_true(logp[i] < 0);
    }
    text[66] = "b b b b b b b b b b b";
    len[66] = strlen(text[66]);
    assert_int_equal(lcm_sonar_score(ctx, logp, tokens, &f, x, text, len, N, lang), LCM_ERR_LIMIT);
    assert_non_null(strstr(lcm_ctx_message(ctx), "text 67"));
    text[1] = "\xff";
    len[1] = 1;
    assert_int_equal(lcm_sonar_score(ctx, logp, tokens, &f, x, text, len, N, lang), LCM_ERR_UTF8);
    assert_non_null(strstr(lcm_ctx_message(ctx), "text 2"));
    lcm_sonar_net_free(f.net);
    lcm_sonar_free(f.model);
    lcm_tokenizer_free(f.tok);
    lcm_buf_free(&model);
    free(x);
    lcm_ctx_free(ctx);
}

static void with_language(void **state) {
    (void)state;
    check(2);
}

static void without_language(void **state) {
    (void)state;
    check(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(with_language), cmocka_unit_test(without_language)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
