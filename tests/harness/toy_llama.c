#include "harness/toy_llama.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/rng.h"
#include "harness/sonar_toy.h"
#include "harness/test.h"

lcm_llama_config toy_llama_config(bool grouped) {
    lcm_llama_config c = lcm_llama_config_default();
    c.vocab_size = 303;
    c.hidden_size = 24;
    c.intermediate_size = 40;
    c.num_hidden_layers = 2;
    c.num_attention_heads = 4;
    c.num_key_value_heads = grouped ? 2 : 0;
    c.tie_word_embeddings = !grouped;
    c.max_position_embeddings = 400;
    return c;
}

lcm_llama *toy_llama(lcm_ctx *ctx, const lcm_llama_config *c, bool with_grad) {
    lcm_llama *m;
    if (lcm_llama_new(ctx, &m, c, with_grad) != LCM_OK) return NULL;
    for (size_t i = 0; i < m->params.n; i++) {
        lcm_param *p = m->params.items[i];
        lcm_rng r = lcm_rng_make(11, LCM_RNG_TEST + ((uint64_t)i << 8));
        double sd = p->is_vector ? 0.2 : 1 / sqrt((double)p->t.cols);
        for (int64_t k = 0; k < p->t.rows * p->t.cols; k++) p->t.x[k] = (real)(p->is_vector + sd * lcm_rng_normal(&r));
    }
    return m;
}

lcm_tokenizer *toy_llama_tokenizer(lcm_ctx *ctx) { return toy_tokenizer(ctx, NULL, 0); }

const char *toy_llama_file(lcm_ctx *ctx, const char *path) {
    lcm_llama_config c = lcm_llama_config_default();
    lcm_tokenizer *tok = toy_llama_tokenizer(ctx);
    lcm_buf out = {0};
    lcm_llama *m;
    assert_non_null(tok);
    c.vocab_size = lcm_tokenizer_size(tok);
    c.hidden_size = 16;
    c.intermediate_size = 32;
    c.num_hidden_layers = 1;
    c.num_attention_heads = 2;
    c.max_position_embeddings = 256;
    assert_ok(ctx, lcm_llama_new(ctx, &m, &c, false));
    lcm_params_init(&m->params, 7);
    assert_ok(ctx, lcm_llama_write(ctx, &out, m, NULL, tok, LCM_DT_F32, NULL, NULL));
    assert_ok(ctx, lcm_write_file(ctx, path, out.data, out.len));
    lcm_llama_free(m);
    lcm_tokenizer_free(tok);
    lcm_buf_free(&out);
    return path;
}

static bool is_case(const char *name) { return strncmp(name, "model.", 6) != 0; }

lcm_llama *golden_llama(lcm_ctx *ctx, const lcm_st *st, bool with_grad) {
    const char *text = lcm_st_meta(st, "config");
    lcm_llama_config c = lcm_llama_config_default();
    lcm_llama *m = NULL;
    json_t *config = NULL;
    lcm_status s = text ? lcm_json_parse(ctx, &config, text, strlen(text), "config") : LCM_ERR_NOTFOUND;
    if (s == LCM_OK) s = lcm_config_read(ctx, &c, lcm_llama_config_fields, config, "config");
    if (s == LCM_OK) s = lcm_llama_register(ctx, &m, &c);
    if (s == LCM_OK) s = lcm_llama_fill(ctx, m, st, is_case, with_grad);
    json_decref(config);
    if (s == LCM_OK) return m;
    lcm_llama_free(m);
    return NULL;
}
