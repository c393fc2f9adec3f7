/* The toy SONAR of the golden files. */
#include "harness/sonar_toy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

lcm_sonar *toy_decoder(lcm_ctx *ctx) {
    lcm_sonar_config c = {.model_dim = 32, .encoder_layers = 2, .decoder_layers = 2, .attn_heads = 4, .ffn_inner_dim = 64,
                          .vocab_size = 40, .max_seq_len = 16};
    lcm_sonar *m;
    if (lcm_sonar_new(ctx, &m, &c, LCM_SONAR_DECODER, false) != LCM_OK) abort();
    for (size_t i = 0; i < m->params.n; i++) {
        lcm_param *p = m->params.items[i];
        portable_fill(p->t.x, p->t.rows * p->t.cols, "dec/", p->name);
    }
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
