/* Hugging Face's folders. */
#include "llama/hf.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "modelfile/params_io.h"

enum { MAX_TOKENIZER = 64 << 20 };

/* ---- Reading ---- */

/* Of a key that must be absent, null or this value, or else the model computes something that we do not. */
typedef struct demand {
    const char *key, *value; /* JSON text */
} demand;

static const demand demands[] = {{"model_type", "\"llama\""}, {"hidden_act", "\"silu\""}, {"attention_bias", "false"},
                                 {"mlp_bias", "false"},       {"rope_scaling", "null"},   {"bos_token_id", "1"},
                                 {"eos_token_id", "2"}};

static lcm_status check_demands(lcm_ctx *ctx, const json_t *config) {
    for (size_t i = 0; i < sizeof demands / sizeof *demands; i++) {
        const json_t *v = json_object_get(config, demands[i].key);
        char *text;
        bool same;
        if (v == NULL || json_is_null(v)) continue;
        text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
        if (text == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: config.json");
        same = strcmp(text, demands[i].value) == 0;
        if (!same) lcm_fail(ctx, LCM_ERR_UNSUPPORTED, "config.json.%s: %.60s; only %s is supported", demands[i].key, text, demands[i].value);
        free(text);
        if (!same) return LCM_ERR_UNSUPPORTED;
    }
    return LCM_OK;
}

/* Newer files keep the base of the rotation in an object of its own, with the kind of scaling. */
static lcm_status take_rope(lcm_ctx *ctx, json_t *known, const json_t *config) {
    const json_t *rope = json_object_get(config, "rope_parameters"), *theta = json_object_get(rope, "rope_theta");
    const char *type = json_string_value(json_object_get(rope, "rope_type"));
    if (type && strcmp(type, "default") != 0)
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "config.json.rope_parameters: rope_type '%.40s'; only default is supported", type);
    if (theta && json_object_set(known, "rope_theta", (json_t *)(uintptr_t)theta) != 0)
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: config.json");
    return LCM_OK;
}

/* The keys of ours out of the many; defaults are those of LlamaConfig. */
static lcm_status read_config(lcm_ctx *ctx, lcm_llama_config *c, const json_t *config) {
    json_t *known;
    lcm_status st;
    if (!json_is_object(config)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "config.json: an object is required");
    LCM_TRY(check_demands(ctx, config));
    *c = (lcm_llama_config){.vocab_size = 32000, .hidden_size = 4096, .intermediate_size = 11008, .num_hidden_layers = 32,
                            .num_attention_heads = 32, .max_position_embeddings = 2048, .rms_norm_eps = 1e-6, .rope_theta = 10000};
    known = json_object();
    st = known ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: config.json");
    for (const lcm_field *f = lcm_llama_config_fields; st == LCM_OK && f->key; f++) {
        json_t *v = json_object_get(config, f->key);
        if (v && !json_is_null(v) && strcmp(f->key, "dropout") != 0 && json_object_set(known, f->key, v) != 0)
            st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: config.json");
    }
    if (st == LCM_OK) st = take_rope(ctx, known, config);
    if (st == LCM_OK) st = lcm_config_read(ctx, c, lcm_llama_config_fields, known, "config.json");
    json_decref(known);
    return st;
}

static lcm_status read_tokenizer(lcm_ctx *ctx, lcm_tokenizer **out, const char *dir) {
    char path[LCM_PATH_MAX];
    lcm_buf bytes = {0};
    lcm_status st;
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, "tokenizer.model"));
    if (!lcm_exists(path)) LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "there is no tokenizer.model: only SentencePiece tokenisers are supported");
    st = lcm_read_file(ctx, &bytes, path, MAX_TOKENIZER);
    if (st == LCM_OK) st = lcm_tokenizer_load(ctx, out, bytes.data, bytes.len, NULL, 0, 0);
    lcm_buf_free(&bytes);
    return st;
}

static bool ends_with(const char *s, const char *tail) {
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

/* Old files store the frequencies of the rotation; those of a tied model may repeat the embedding. */
static bool is_derived(const char *name) { return ends_with(name, ".rotary_emb.inv_freq"); }
static bool is_derived_or_head(const char *name) { return is_derived(name) || strcmp(name, "lm_head.weight") == 0; }

static lcm_status read_weights(lcm_ctx *ctx, lcm_llama *m, const char *dir) {
    char path[LCM_PATH_MAX];
    lcm_st *st;
    lcm_status s;
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, "model.safetensors.index.json"));
    if (lcm_exists(path)) LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "weights in several files (model.safetensors.index.json)");
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, "model.safetensors"));
    LCM_TRY(lcm_st_open(ctx, &st, path));
    s = lcm_llama_fill(ctx, m, st, m->config.tie_word_embeddings ? is_derived_or_head : is_derived, false);
    lcm_st_close(st);
    return s ? lcm_fail_within(ctx, lcm_model_blame(s), "model.safetensors") : LCM_OK;
}

static lcm_status import(lcm_ctx *ctx, lcm_llama_file *f, const char *dir) {
    char path[LCM_PATH_MAX];
    lcm_llama_config c;
    json_t *config;
    lcm_status st;
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, "config.json"));
    LCM_TRY(lcm_json_load(ctx, &config, path));
    st = read_config(ctx, &c, config);
    json_decref(config);
    if (st) return st == LCM_ERR_ARG ? LCM_ERR_FORMAT : st;
    LCM_TRY(read_tokenizer(ctx, &f->tok, dir));
    if (lcm_tokenizer_pieces(f->tok) > c.vocab_size)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "tokenizer.model has %d pieces, the embedding %lld rows", lcm_tokenizer_pieces(f->tok),
                 (long long)c.vocab_size);
    LCM_TRY(lcm_llama_register(ctx, &f->model, &c));
    return read_weights(ctx, f->model, dir);
}

lcm_status lcm_llama_import_hf(lcm_ctx *ctx, lcm_llama_file *out, const char *dir) {
    lcm_llama_file f = {0};
    lcm_status st = import(ctx, &f, dir);
    memset(out, 0, sizeof *out);
    if (st) {
        lcm_llama_file_close(&f);
        return lcm_fail_within(ctx, st, "'%s'", dir);
    }
    *out = f;
    return LCM_OK;
}

/* ---- Writing ---- */

static lcm_status write_json(lcm_ctx *ctx, json_t *j, const char *dir, const char *name) {
    char path[LCM_PATH_MAX];
    char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    lcm_status st = text ? lcm_path_join(ctx, path, sizeof path, dir, name) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: %s", name);
    if (st == LCM_OK) st = lcm_write_file(ctx, path, text, strlen(text));
    free(text);
    json_decref(j);
    return st;
}

static const char *torch_name(lcm_dtype t) { return t == LCM_DT_F16 ? "float16" : t == LCM_DT_BF16 ? "bfloat16" : "float32"; }

static json_t *config_json(const lcm_llama_config *c, lcm_dtype dtype) {
    json_t *j = json_pack("{s:[s], s:s, s:s, s:b, s:b, s:i, s:i, s:s, s:n, s:f}", "architectures", "LlamaForCausalLM", "model_type",
                          "llama", "hidden_act", "silu", "attention_bias", 0, "mlp_bias", 0, "bos_token_id", LCM_LLAMA_BOS,
                          "eos_token_id", LCM_LLAMA_EOS, "torch_dtype", torch_name(dtype), "rope_scaling", "attention_dropout", 0.0);
    json_t *sizes = lcm_config_write(c, lcm_llama_config_fields);
    json_object_del(sizes, "dropout");
    if (j && (sizes == NULL || json_object_update(j, sizes) != 0)) {
        json_decref(j);
        j = NULL;
    }
    json_decref(sizes);
    return j;
}

static lcm_status write_weights(lcm_ctx *ctx, const lcm_llama *m, const char *dir, lcm_dtype dtype) {
    char path[LCM_PATH_MAX];
    lcm_st_writer *w;
    lcm_status st;
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, "model.safetensors"));
    LCM_TRY(lcm_st_writer_new(ctx, &w));
    st = lcm_st_writer_meta(ctx, w, "format", "pt");
    if (st == LCM_OK) st = lcm_params_put(ctx, w, &m->params, NULL, dtype);
    if (st == LCM_OK) st = lcm_st_writer_commit(ctx, w, path);
    lcm_st_writer_free(w);
    return st;
}

static lcm_status write_tokenizer(lcm_ctx *ctx, const lcm_tokenizer *tok, const char *dir) {
    char path[LCM_PATH_MAX];
    size_t len;
    const void *bytes = lcm_tokenizer_model(tok, &len);
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, "tokenizer.model"));
    LCM_TRY(lcm_write_file(ctx, path, bytes, len));
    return write_json(ctx, json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b}", "tokenizer_class", "LlamaTokenizer", "bos_token", "<s>",
                                     "eos_token", "</s>", "unk_token", "<unk>", "add_bos_token", 1, "add_eos_token", 0, "legacy", 0),
                      dir, "tokenizer_config.json");
}

lcm_status lcm_llama_export_hf(lcm_ctx *ctx, const lcm_llama_file *f, const char *dir, lcm_dtype dtype) {
    LCM_TRY(lcm_llama_check_values(ctx, f->model, NULL, dtype));
    LCM_TRY(lcm_mkdirs(ctx, dir));
    LCM_TRY(write_json(ctx, config_json(&f->model->config, dtype), dir, "config.json"));
    LCM_TRY(write_tokenizer(ctx, f->tok, dir));
    return write_weights(ctx, f->model, dir, dtype);
}
