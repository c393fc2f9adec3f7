/* The toy SONAR of the golden files. */
#include "harness/sonar_toy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "harness/test.h"
#include "sonar/sonar_io.h"

static bool has_suffix(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

void portable_fill(real *x, int64_t n, const char *prefix, const char *key) {
    uint64_t h = 0xCBF29CE484222325u;
    double scale = 0.25, shift = 0;
    for (const char *s = prefix; *s; s++) h = (h ^ (uint8_t)*s) * 0x100000001B3u;
    for (const char *s = key; *s; s++) h = (h ^ (uint8_t)*s) * 0x100000001B3u;
    if (strstr(key, "layer_norm") && has_suffix(key, "weight")) scale = 0.125, shift = 1;
    else if (has_suffix(key, "bias")) scale = 0.125;
    else if (strstr(key, "embed.weight") == NULL && has_suffix(key, ".weight")) scale = 0.5;
    for (int64_t i = 0; i < n; i++) {
        uint64_t z = h + (uint64_t)(i + 1) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        x[i] = (real)(shift + scale * ((double)(z >> 40) / 8388608 - 1));
    }
}

static void fill(lcm_sonar *m, const char *prefix) {
    for (size_t i = 0; i < m->params.n; i++) {
        lcm_param *p = m->params.items[i];
        portable_fill(p->t.x, p->t.rows * p->t.cols, prefix, p->name);
    }
}

lcm_sonar *toy_decoder(lcm_ctx *ctx) {
    lcm_sonar_config c = {.model_dim = 32, .encoder_layers = 2, .decoder_layers = 2, .attn_heads = 4, .ffn_inner_dim = 64,
                          .vocab_size = 40, .max_seq_len = 16};
    lcm_sonar *m;
    if (lcm_sonar_new(ctx, &m, &c, LCM_SONAR_DECODER, false) != LCM_OK) abort();
    fill(m, "dec/");
    return m;
}

void toy_embeddings(real out[4 * 32]) {
    static const int seeds[4] = {0, 12, 23, 24};
    for (int k = 0; k < 4; k++) {
        char key[32];
        snprintf(key, sizeof key, "testemb/%d", seeds[k]);
        portable_fill(out + 32 * k, 32, "", key);
        for (int i = 0; i < 32; i++) out[32 * k + i] *= 4;
    }
}

lcm_tokenizer *toy_tokenizer(lcm_ctx *ctx, const char *const *langs, int n) {
    lcm_buf bytes = {0};
    lcm_tokenizer *tok = NULL;
    if (lcm_read_file(ctx, &bytes, TEST_DATA "/golden/spm/toy_unigram.model", 1 << 20) == LCM_OK)
        lcm_tokenizer_load(ctx, &tok, bytes.data, bytes.len, langs, n, 0);
    lcm_buf_free(&bytes);
    return tok;
}

void toy_sonar_write(lcm_ctx *ctx, const char *path, int64_t dim, const char *prefix, const char *const *langs, int n_langs) {
    lcm_sonar_config c = {.model_dim = dim, .encoder_layers = 1, .decoder_layers = 1, .attn_heads = 2, .ffn_inner_dim = 24,
                          .max_seq_len = 24};
    lcm_buf out = {0};
    lcm_tokenizer *tok = toy_tokenizer(ctx, langs, n_langs);
    lcm_sonar *m;
    assert_non_null(tok);
    c.vocab_size = lcm_tokenizer_size(tok);
    assert_ok(ctx, lcm_sonar_new(ctx, &m, &c, LCM_SONAR_BOTH, false));
    fill(m, prefix);
    assert_ok(ctx, lcm_sonar_write(ctx, &out, m, NULL, tok, LCM_DT_F32, 0, NULL, NULL));
    assert_ok(ctx, lcm_write_file(ctx, path, out.data, out.len));
    lcm_sonar_free(m);
    lcm_tokenizer_free(tok);
    lcm_buf_free(&out);
}
