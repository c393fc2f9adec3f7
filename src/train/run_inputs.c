/* What training runs read. */
#include "train/run_inputs.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "modelfile/model_meta.h"

/* ---- configuration ---- */

const char *const lcm_run_no_raw[] = {NULL};
const char *const lcm_run_text_lists[] = {"data", "valid", NULL};

lcm_lr_config lcm_run_lr(double lr, double start_lr) {
    lcm_lr_config c = lcm_lr_config_default();
    c.lr = lr;
    c.start_lr = start_lr;
    c.warmup_steps = 200;
    c.max_steps = 4000;
    c.power = 1;
    return c;
}

/* ---- text ---- */

lcm_status lcm_run_tokenizer(lcm_ctx *ctx, lcm_tokenizer **out, int32_t *lang, const char *path, const char *langs) {
    lcm_buf bytes = {0};
    char *copy = NULL, *save = NULL;
    const char **names = NULL;
    int n = 0;
    lcm_status st = lcm_read_file(ctx, &bytes, path, 64 << 20);
    if (st == LCM_OK) st = lcm_calloc(ctx, &copy, strlen(langs) + 1, 1);
    if (st == LCM_OK) st = lcm_calloc(ctx, &names, strlen(langs) / 2 + 1, sizeof *names);
    if (st == LCM_OK) {
        memcpy(copy, langs, strlen(langs));
        for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save)) names[n++] = p;
        st = lcm_tokenizer_load(ctx, out, bytes.data, bytes.len, names, n, 0);
    }
    *lang = -1;
    if (st == LCM_OK && n > 0) st = lcm_tokenizer_lang_id(ctx, lang, *out, names[0]);
    lcm_buf_free(&bytes);
    free(copy);
    free(names);
    return st;
}

/* Array of strings under `key` as borrowed pointers; a single string counts as one. Missing: n = 0. */
static lcm_status read_paths(lcm_ctx *ctx, const char ***out, size_t *n, const json_t *config, const char *key) {
    const json_t *v = json_object_get(config, key);
    size_t count = json_is_string(v) ? 1 : json_array_size(v);
    *out = NULL;
    *n = 0;
    if (v && !json_is_string(v) && !json_is_array(v)) LCM_FAIL(ctx, LCM_ERR_ARG, "%s: a path or a list of paths is required", key);
    LCM_TRY(lcm_calloc(ctx, out, count, sizeof **out));
    for (size_t i = 0; i < count; i++) {
        (*out)[i] = json_string_value(json_is_string(v) ? v : json_array_get(v, i));
        if ((*out)[i] == NULL) {
            free(*out);
            *out = NULL;
            LCM_FAIL(ctx, LCM_ERR_ARG, "%s[%zu]: a path is required", key, i);
        }
    }
    *n = count;
    return LCM_OK;
}

lcm_status lcm_run_corpus(lcm_ctx *ctx, lcm_corpus *out, const json_t *resolved, const char *key, const lcm_tokenizer *tok,
                          const lcm_corpus_opts *opts) {
    const char **paths;
    size_t n;
    lcm_status st;
    memset(out, 0, sizeof *out);
    LCM_TRY(read_paths(ctx, &paths, &n, resolved, key));
    st = n ? lcm_corpus_read(ctx, out, tok, paths, n, opts) : LCM_OK;
    free(paths);
    return st;
}

static lcm_status read_pairs(lcm_ctx *ctx, lcm_bitext *out, const json_t *resolved, const char *key, const lcm_tokenizer *tok,
                             int64_t max_pieces) {
    const char **paths;
    size_t n;
    lcm_status st;
    LCM_TRY(read_paths(ctx, &paths, &n, resolved, key));
    st = n ? lcm_bitext_read(ctx, out, tok, paths, n, max_pieces) : LCM_OK;
    free(paths);
    return st;
}

lcm_status lcm_run_sentences_read(lcm_ctx *ctx, lcm_run_sentences *out, const json_t *resolved, const char *key,
                                  const lcm_tokenizer *tok, int32_t lang, const lcm_corpus_opts *opts, bool parallel) {
    const lcm_corpus *t = parallel ? &out->pairs.side[1] : &out->text, *s = parallel ? &out->pairs.side[0] : t;
    memset(out, 0, sizeof *out);
    out->data = (lcm_sonar_data){.source = s, .target = t, .lang = lang};
    if (!parallel) LCM_TRY(lcm_run_corpus(ctx, &out->text, resolved, key, tok, opts));
    else {
        if (lang < 0) LCM_FAIL(ctx, LCM_ERR_ARG, "config.parallel: needs a tokeniser with languages");
        LCM_TRY(read_pairs(ctx, &out->pairs, resolved, key, tok, opts->max_pieces));
        out->data.source_lang = out->pairs.lang[0];
        out->data.target_lang = out->pairs.lang[1];
    }
    if (t->off == NULL) return LCM_OK;
    lcm_log(ctx, LCM_LOG_INFO, "%s: %lld documents, %lld %s, %lld tokens; left out: %lld over %lld pieces, %lld without a piece", key,
            (long long)t->n_docs, (long long)t->n, parallel ? "pairs" : "sentences", (long long)t->off[t->n], (long long)t->n_long,
            (long long)opts->max_pieces, (long long)t->n_empty);
    return LCM_OK;
}

void lcm_run_sentences_free(lcm_run_sentences *s) {
    lcm_corpus_free(&s->text);
    lcm_bitext_free(&s->pairs);
}

/* ---- concept stores ---- */

lcm_status lcm_run_stores_open(lcm_ctx *ctx, lcm_run_stores *s, const char *train_path, const char *valid_path) {
    *s = (lcm_run_stores){0};
    LCM_TRY(lcm_store_open(ctx, &s->train, train_path));
    if (!lcm_space_parse(&s->space, lcm_store_space(s->train)))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': its space '%.40s' is not 16 hex digits", train_path, lcm_store_space(s->train));
    if (lcm_store_n_concepts(s->train) == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' holds no document", train_path);
    if (valid_path[0] == '\0') return LCM_OK;
    LCM_TRY(lcm_store_open(ctx, &s->valid, valid_path));
    if (strcmp(lcm_store_space(s->train), lcm_store_space(s->valid)) != 0)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "the stores speak different spaces: %s and %s", lcm_store_space(s->train),
                 lcm_store_space(s->valid));
    return LCM_OK;
}

void lcm_run_stores_close(lcm_run_stores *s) {
    lcm_store_close(s->train);
    lcm_store_close(s->valid);
}

static lcm_status one_row(lcm_ctx *ctx, void *user, real *out, int64_t i) { return lcm_store_vectors(ctx, out, user, i, 1); }

lcm_status lcm_run_fit_normalizer(lcm_ctx *ctx, lcm_normalizer *nz, const lcm_normalizer_config *config, lcm_store *store) {
    int64_t dim = nz->config.dim;
    nz->config = *config;
    nz->config.dim = dim;
    return lcm_normalizer_fit(ctx, nz, one_row, store, lcm_store_n_concepts(store), 0);
}
