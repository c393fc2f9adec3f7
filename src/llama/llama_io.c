/* Llama model files. */
#include "llama/llama_io.h"

#include <math.h>
#include <string.h>

#include "modelfile/params_io.h"

lcm_status lcm_llama_check_values(lcm_ctx *ctx, const lcm_llama *m, const real *x, lcm_dtype dtype) {
    double most = dtype == LCM_DT_F16 ? 65504 : 3.3e38;
    for (size_t i = 0; i < m->params.n; i++) {
        const lcm_param *p = m->params.items[i];
        const real *v = (x ? x : m->params.x) + p->offset;
        for (int64_t k = 0; k < p->t.rows * p->t.cols; k++)
            if (!(fabs((double)v[k]) <= most))
                LCM_FAIL(ctx, LCM_ERR_NUMERIC, "tensor '%s' holds %g at element %lld: not finite as %s", p->name, (double)v[k],
                         (long long)k, lcm_dtype_name(dtype));
    }
    return LCM_OK;
}

static lcm_status put(lcm_ctx *ctx, lcm_st_writer *w, const lcm_llama *m, const real *x, const lcm_tokenizer *tok,
                      lcm_dtype dtype, const json_t *provenance, const lcm_train_record *train) {
    size_t len;
    const void *bytes = lcm_tokenizer_model(tok, &len);
    int64_t dim = (int64_t)len;
    json_t *config = lcm_config_write(&m->config, lcm_llama_config_fields);
    lcm_status st = config ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    if (st == LCM_OK) st = lcm_model_meta_write(ctx, w, "llama", 0, config, provenance);
    json_decref(config);
    if (st == LCM_OK && train) st = lcm_train_record_write(ctx, w, train);
    if (st == LCM_OK) st = lcm_params_put(ctx, w, &m->params, x, dtype);
    return st ? st : lcm_st_writer_add(ctx, w, "tokenizer.model", LCM_DT_U8, &dim, 1, bytes);
}

lcm_status lcm_llama_write(lcm_ctx *ctx, lcm_buf *out, const lcm_llama *m, const real *x, const lcm_tokenizer *tok,
                           lcm_dtype dtype, const json_t *provenance, const lcm_train_record *train) {
    lcm_st_writer *w;
    lcm_status st;
    LCM_TRY(lcm_llama_check_values(ctx, m, x, dtype));
    LCM_TRY(lcm_st_writer_new(ctx, &w));
    st = put(ctx, w, m, x, tok, dtype, provenance, train);
    if (st == LCM_OK) st = lcm_st_writer_commit_buf(ctx, w, out);
    lcm_st_writer_free(w);
    return st;
}

static lcm_status check_names(lcm_ctx *ctx, const lcm_llama *m, const lcm_st *st, bool (*extra)(const char *name)) {
    const lcm_st_tensor *t;
    for (size_t i = 0; i < m->params.n; i++) {
        const lcm_param *p = m->params.items[i];
        int64_t dims[2] = {p->t.rows, p->t.cols};
        LCM_TRY(lcm_st_require(ctx, &t, st, p->name, p->is_vector ? dims + 1 : dims, p->is_vector ? 1 : 2));
    }
    for (size_t i = 0; i < lcm_st_count(st); i++) {
        const char *name = lcm_st_at(st, i)->name;
        if (!extra(name) && lcm_params_find(&m->params, name) == NULL)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.200s' is not part of this llama model", name);
    }
    return LCM_OK;
}

lcm_status lcm_llama_fill(lcm_ctx *ctx, lcm_llama *m, const lcm_st *st, bool (*extra)(const char *name), bool with_grad) {
    LCM_TRY(check_names(ctx, m, st, extra));
    LCM_TRY(lcm_params_alloc(ctx, &m->params, with_grad));
    return lcm_params_get(ctx, &m->params, st);
}

static bool rides_along(const char *name) { return strcmp(name, "tokenizer.model") == 0 || strncmp(name, "selftest.", 9) == 0; }

static lcm_status read_tokenizer(lcm_ctx *ctx, lcm_tokenizer **out, const lcm_st *st) {
    const lcm_st_tensor *t;
    LCM_TRY(lcm_st_require(ctx, &t, st, "tokenizer.model", NULL, 1));
    return lcm_tokenizer_load(ctx, out, t->data, t->nbytes, NULL, 0, 0);
}

static lcm_status load(lcm_ctx *ctx, lcm_llama_file *f, const lcm_st *st, const lcm_model_meta *meta, bool with_grad) {
    lcm_llama_config c = lcm_llama_config_default();
    LCM_TRY(lcm_config_read(ctx, &c, lcm_llama_config_fields, meta->config, "lcm.config"));
    LCM_TRY(read_tokenizer(ctx, &f->tok, st));
    if (lcm_tokenizer_pieces(f->tok) > c.vocab_size)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "the tokeniser has %d pieces, the embedding %lld rows", lcm_tokenizer_pieces(f->tok),
                 (long long)c.vocab_size);
    LCM_TRY(lcm_llama_register(ctx, &f->model, &c));
    return lcm_llama_fill(ctx, f->model, st, rides_along, with_grad);
}

lcm_status lcm_llama_load(lcm_ctx *ctx, lcm_llama_file *out, const char *path, bool with_grad) {
    lcm_st *st = NULL;
    lcm_model_meta meta = {0};
    lcm_llama_file f = {0};
    lcm_status s;
    memset(out, 0, sizeof *out);
    LCM_TRY(lcm_model_open(ctx, &st, &meta, path, "llama"));
    s = load(ctx, &f, st, &meta, with_grad);
    lcm_model_meta_free(&meta);
    lcm_st_close(st);
    if (s) {
        lcm_llama_file_close(&f);
        return lcm_fail_within(ctx, lcm_model_blame(s), "'%s'", path);
    }
    *out = f;
    return LCM_OK;
}

lcm_status lcm_llama_load_tokenizer(lcm_ctx *ctx, lcm_tokenizer **out, const char *path) {
    lcm_st *st;
    lcm_model_meta meta;
    lcm_status s;
    *out = NULL;
    LCM_TRY(lcm_model_open(ctx, &st, &meta, path, "llama"));
    s = read_tokenizer(ctx, out, st);
    lcm_model_meta_free(&meta);
    lcm_st_close(st);
    return s ? lcm_fail_within(ctx, lcm_model_blame(s), "'%s'", path) : LCM_OK;
}

bool lcm_llama_is(const char *path) {
    lcm_ctx *quiet = lcm_ctx_new(); /* what is wrong with the file is for its loader to say */
    const char *kind;
    lcm_st *st;
    bool yes = false;
    if (quiet && lcm_st_open(quiet, &st, path) == LCM_OK) {
        kind = lcm_st_meta(st, "lcm.kind");
        yes = kind && strcmp(kind, "llama") == 0;
        lcm_st_close(st);
    }
    lcm_ctx_free(quiet);
    return yes;
}

void lcm_llama_file_close(lcm_llama_file *f) {
    lcm_llama_free(f->model);
    lcm_tokenizer_free(f->tok);
    memset(f, 0, sizeof *f);
}
