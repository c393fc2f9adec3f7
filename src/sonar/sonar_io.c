/* SONAR model files. */
#include "sonar/sonar_io.h"

#include <stdlib.h>
#include <string.h>

#include "modelfile/model_meta.h"
#include "modelfile/params_io.h"

lcm_status lcm_sonar_put_meta(lcm_ctx *ctx, lcm_st_writer *w, const lcm_sonar_config *c, const lcm_tokenizer *tok,
                              uint64_t space, const json_t *provenance) {
    json_t *config = lcm_config_write(c, lcm_sonar_config_fields);
    lcm_buf langs = {0};
    size_t len;
    const void *bytes = lcm_tokenizer_model(tok, &len);
    int64_t dim = (int64_t)len;
    lcm_status st = config ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    for (int i = 0; st == LCM_OK && i < lcm_tokenizer_n_langs(tok); i++)
        st = lcm_buf_printf(ctx, &langs, "%s%s", i ? " " : "", lcm_tokenizer_lang(tok, i));
    if (st == LCM_OK) st = lcm_model_meta_write(ctx, w, "sonar", space, config, provenance);
    if (st == LCM_OK) st = lcm_st_writer_meta(ctx, w, "lcm.langs", langs.data ? langs.data : "");
    if (st == LCM_OK) st = lcm_st_writer_add(ctx, w, "tokenizer.model", LCM_DT_U8, &dim, 1, bytes);
    lcm_buf_free(&langs);
    json_decref(config);
    return st;
}

lcm_status lcm_sonar_write(lcm_ctx *ctx, lcm_buf *out, const lcm_sonar *m, const real *x, const lcm_tokenizer *tok,
                           lcm_dtype dtype, uint64_t space, const json_t *provenance, const lcm_train_record *train) {
    lcm_st_writer *w = NULL;
    size_t tok_len;
    const void *tok_bytes = lcm_tokenizer_model(tok, &tok_len);
    lcm_status st;
    if (space == 0) {
        space = lcm_hash64(LCM_HASH_INIT, tok_bytes, tok_len);
        space = lcm_hash64(space, x ? x : m->params.x, (size_t)m->params.n_flat * sizeof(real));
    }
    LCM_TRY(lcm_st_writer_new(ctx, &w));
    st = lcm_sonar_put_meta(ctx, w, &m->config, tok, space, provenance);
    if (st == LCM_OK && train) st = lcm_train_record_write(ctx, w, train);
    if (st == LCM_OK) st = lcm_params_put(ctx, w, &m->params, x, dtype);
    if (st == LCM_OK) st = lcm_st_writer_commit_buf(ctx, w, out);
    lcm_st_writer_free(w);
    return st;
}

/* English, as SONAR's model card has it; without that, the first. */
static const char *default_lang(const char *const *langs, int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(langs[i], "eng_Latn") == 0) return langs[i];
    return langs[0];
}

static lcm_status load_tokenizer(lcm_ctx *ctx, lcm_sonar_file *f, const lcm_st *st) {
    const lcm_st_tensor *t;
    const char *meta = lcm_st_meta(st, "lcm.langs");
    const char *langs[LCM_TOKENIZER_MAX_LANGS];
    char *copy = lcm_strdup(meta ? meta : ""), *save = NULL;
    int n = 0;
    lcm_status s;
    if (copy == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: languages");
    for (char *p = strtok_r(copy, " ", &save); p && n < LCM_TOKENIZER_MAX_LANGS; p = strtok_r(NULL, " ", &save))
        langs[n++] = p;
    s = lcm_st_require(ctx, &t, st, "tokenizer.model", NULL, 1);
    if (s == LCM_OK) s = lcm_tokenizer_load(ctx, &f->tok, t->data, t->nbytes, langs, n, 0);
    if (s == LCM_OK) {
        f->lang = -1;
        if (n > 0) s = lcm_tokenizer_lang_id(ctx, &f->lang, f->tok, default_lang(langs, n));
    }
    free(copy);
    return s;
}

/* All but the parameters. */
static lcm_status read_head(lcm_ctx *ctx, lcm_sonar_file *f, const lcm_st *st, const lcm_model_meta *meta) {
    int64_t spare;
    f->config = lcm_sonar_config_default();
    LCM_TRY(lcm_config_read(ctx, &f->config, lcm_sonar_config_fields, meta->config, "lcm.config"));
    LCM_TRY(lcm_sonar_config_check(ctx, &f->config));
    LCM_TRY(load_tokenizer(ctx, f, st));
    spare = f->config.vocab_size - lcm_tokenizer_size(f->tok);
    if (spare < 0)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "the tokeniser has %d ids, the embedding %lld rows", lcm_tokenizer_size(f->tok),
                 (long long)f->config.vocab_size);
    /* Rows without a piece or language: the search may choose them, and they stand for no text. */
    LCM_TRY(lcm_tokenizer_reserve(ctx, f->tok, spare < LCM_TOKENIZER_MAX_LANGS ? (int)spare : LCM_TOKENIZER_MAX_LANGS));
    f->space = meta->space;
    lcm_space_format(f->space_hex, f->space);
    return LCM_OK;
}

static lcm_status load_model(lcm_ctx *ctx, lcm_sonar_file *f, const lcm_st *st, int parts, bool with_grad) {
    LCM_TRY(lcm_sonar_new(ctx, &f->model, &f->config, parts, with_grad));
    return lcm_params_get(ctx, &f->model->params, st);
}

typedef enum purpose { INFERENCE, VALUES, TRAINING } purpose;

static lcm_status load(lcm_ctx *ctx, lcm_sonar_file *out, const char *path, int parts, purpose why) {
    lcm_st *st = NULL;
    lcm_model_meta meta = {0};
    lcm_sonar_file f = {0};
    lcm_status s;
    memset(out, 0, sizeof *out);
    LCM_TRY(lcm_model_open(ctx, &st, &meta, path, "sonar"));
    s = read_head(ctx, &f, st, &meta);
    lcm_model_meta_free(&meta);
    if (s == LCM_OK && why == INFERENCE && parts != 0) {
        s = lcm_sonar_net_load(ctx, &f.net, st, &f.config, parts);
        st = NULL;
    } else if (s == LCM_OK && why != INFERENCE) s = load_model(ctx, &f, st, parts, why == TRAINING);
    lcm_st_close(st);
    if (s) {
        lcm_sonar_file_close(&f);
        return lcm_fail_within(ctx, lcm_model_blame(s), "'%s'", path);
    }
    *out = f;
    return LCM_OK;
}

lcm_status lcm_sonar_load(lcm_ctx *ctx, lcm_sonar_file *out, const char *path, int parts) {
    return load(ctx, out, path, parts, INFERENCE);
}

lcm_status lcm_sonar_load_model(lcm_ctx *ctx, lcm_sonar_file *out, const char *path, int parts, bool with_grad) {
    return load(ctx, out, path, parts, with_grad ? TRAINING : VALUES);
}

void lcm_sonar_file_close(lcm_sonar_file *f) {
    lcm_sonar_net_free(f->net);
    lcm_sonar_free(f->model);
    lcm_tokenizer_free(f->tok);
    memset(f, 0, sizeof *f);
}
