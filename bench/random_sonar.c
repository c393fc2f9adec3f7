/* Writes a SONAR file of random weights, for measurements at the size of the released model, which is not ours to
 * ship. Sizes: --model_dim 1024 --layers 24 --heads 16 --ffn 8192 --vocab 256206 as given, or smaller ones.
 *
 *   random_sonar TOKENIZER.model OUT.safetensors encoder|decoder|both [DIM LAYERS HEADS FFN VOCAB] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modelfile/model_meta.h"
#include "modelfile/params_io.h"
#include "sonar/model.h"

static int die(lcm_ctx *ctx) {
    fprintf(stderr, "random_sonar: %s\n", lcm_ctx_message(ctx));
    return 1;
}

static lcm_status write_file(lcm_ctx *ctx, const char *tokenizer, const char *out, const lcm_sonar *m) {
    lcm_st_writer *w;
    lcm_buf bytes = {0};
    json_t *config = lcm_config_write(&m->config, lcm_sonar_config_fields);
    int64_t dim;
    lcm_status st;
    LCM_TRY(lcm_st_writer_new(ctx, &w));
    st = lcm_read_file(ctx, &bytes, tokenizer, 64 << 20);
    dim = (int64_t)bytes.len;
    if (st == LCM_OK) st = lcm_model_meta_write(ctx, w, "sonar", 1, config, NULL);
    if (st == LCM_OK) st = lcm_st_writer_meta(ctx, w, "lcm.langs", "");
    if (st == LCM_OK) st = lcm_params_put(ctx, w, &m->params, NULL, LCM_DT_F32);
    if (st == LCM_OK) st = lcm_st_writer_add(ctx, w, "tokenizer.model", LCM_DT_U8, &dim, 1, bytes.data);
    if (st == LCM_OK) st = lcm_st_writer_commit(ctx, w, out);
    lcm_st_writer_free(w);
    lcm_buf_free(&bytes);
    json_decref(config);
    return st;
}

int main(int argc, char **argv) {
    lcm_sonar_config c = lcm_sonar_config_default();
    int64_t sizes[5] = {1024, 24, 16, 8192, 256206};
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_sonar *m;
    int parts;
    if (argc < 4 || ctx == NULL) {
        fprintf(stderr, "usage: random_sonar TOKENIZER.model OUT.safetensors encoder|decoder|both [DIM LAYERS HEADS FFN VOCAB]\n");
        return 2;
    }
    parts = strcmp(argv[3], "encoder") == 0 ? LCM_SONAR_ENCODER : strcmp(argv[3], "decoder") == 0 ? LCM_SONAR_DECODER : LCM_SONAR_BOTH;
    for (int i = 0; i < 5 && i + 4 < argc; i++) sizes[i] = atoll(argv[i + 4]);
    c.model_dim = sizes[0];
    c.encoder_layers = c.decoder_layers = sizes[1];
    c.attn_heads = sizes[2];
    c.ffn_inner_dim = sizes[3];
    c.vocab_size = sizes[4];
    c.max_seq_len = 512;
    c.share_embeddings = false;
    if (lcm_sonar_new(ctx, &m, &c, parts, false) != LCM_OK) return die(ctx);
    lcm_params_init(&m->params, 1);
    if (write_file(ctx, argv[1], argv[2], m) != LCM_OK) return die(ctx);
    printf("%lld parameters\n", (long long)m->params.count);
    lcm_sonar_free(m);
    lcm_ctx_free(ctx);
    return 0;
}
