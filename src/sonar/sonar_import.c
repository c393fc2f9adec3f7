/* SONAR checkpoints from elsewhere. */
#include "sonar/sonar_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modelfile/model_meta.h"
#include "token/langs.h"

typedef struct entry {
    char name[LCM_PARAM_NAME]; /* fairseq2's */
    const lcm_weight *t;
    int part; /* bit of LCM_SONAR_BOTH; a shared table has both */
    bool used;
} entry;

typedef struct source {
    lcm_weights *file;
    const char *label;
    bool fairseq; /* names and row order of fairseq and Hugging Face */
    int parts;
    entry *entries;
    size_t n;
} source;

enum { MAX_SOURCES = 8 };

typedef struct job {
    const lcm_sonar_import_opts *opts;
    source src[MAX_SOURCES];
    size_t n_src;
    source *of[2]; /* where encoder and decoder come from, or NULL */
    lcm_sonar_config config;
    lcm_sonar *model;
    lcm_tokenizer *tok;
    lcm_import imp;
} job;

static const char *const part_names[] = {"encoder", "decoder"};

static bool starts(const char *s, const char *head) { return strncmp(s, head, strlen(head)) == 0; }

/* ---- Names ---- */

/* After "layers.N." */
static const char *const renamed[][2] = {
    {"self_attn.out_proj.", "self_attn.output_proj."},
    {"encoder_attn.out_proj.", "encoder_decoder_attn.output_proj."},
    {"encoder_attn.", "encoder_decoder_attn."},
    {"encoder_attn_layer_norm.", "encoder_decoder_attn_layer_norm."},
    {"fc1.", "ffn.inner_proj."},
    {"fc2.", "ffn.output_proj."},
    {"final_layer_norm.", "ffn_layer_norm."},
};

/* Length of "layers.N." at the beginning of s, or 0. */
static size_t layer_prefix(const char *s) {
    size_t n = 7, digits;
    if (!starts(s, "layers.")) return 0;
    digits = strspn(s + n, "0123456789");
    return digits && digits < 9 && s[n + digits] == '.' ? n + digits + 1 : 0;
}

/* fairseq2's name of `rest`, which belongs to part k; false: the tensor carries no information. */
static bool translate(char *out, size_t cap, const char *rest, int k) {
    size_t n = layer_prefix(rest);
    const char *tail = rest + n;
    if (starts(rest, "embed_positions") || strcmp(rest, "version") == 0) return false;
    if (strcmp(rest, "embed_tokens.weight") == 0) snprintf(out, cap, "%s_frontend.embed.weight", part_names[k]);
    else if (strcmp(rest, "output_projection.weight") == 0) snprintf(out, cap, "final_proj.weight");
    else if (starts(rest, "layer_norm.") && k == 0) snprintf(out, cap, "%s", rest);
    else if (n == 0) snprintf(out, cap, "%s.%s", part_names[k], rest);
    else {
        for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
            if (starts(tail, renamed[i][0])) {
                snprintf(out, cap, "%s.%.*s%s%s", part_names[k], (int)n, rest, renamed[i][1], tail + strlen(renamed[i][0]));
                return true;
            }
        snprintf(out, cap, "%s.%s", part_names[k], rest);
    }
    return true;
}

static bool any_name(const lcm_weights *w, const char *part) {
    for (size_t i = 0; i < lcm_weights_count(w); i++)
        if (strstr(lcm_weights_at(w, i)->name, part)) return true;
    return false;
}

static bool is_fairseq2(const lcm_weights *w) { return any_name(w, "coder_frontend.embed."); }

static bool is_fairseq(const lcm_weights *w) {
    return any_name(w, "layers.0.fc1.") && (any_name(w, "embed_tokens.") || any_name(w, "shared.weight"));
}

bool lcm_sonar_import_is(const lcm_weights *w) { return is_fairseq2(w) || is_fairseq(w); }

static void add(source *s, const lcm_weight *t, int part) {
    entry *e = &s->entries[s->n++];
    e->t = t;
    e->part = part;
}

static void add_fairseq2(source *s, const lcm_weight *t) {
    bool decoder = starts(t->name, "decoder") || starts(t->name, "final_proj.");
    add(s, t, decoder ? LCM_SONAR_DECODER : LCM_SONAR_ENCODER);
    snprintf(s->entries[s->n - 1].name, LCM_PARAM_NAME, "%s", t->name);
}

/* bare: the part of names without "encoder." or "decoder.". */
static void add_fairseq(source *s, const lcm_weight *t, int bare) {
    const char *rest = starts(t->name, "model.") ? t->name + 6 : t->name;
    char name[LCM_PARAM_NAME];
    int k = bare;
    if (strcmp(rest, "shared.weight") == 0) {
        add(s, t, LCM_SONAR_BOTH);
        snprintf(s->entries[s->n - 1].name, LCM_PARAM_NAME, "%s", rest);
        return;
    }
    if (strcmp(rest, "lm_head.weight") == 0) k = 1, rest = "output_projection.weight";
    for (int i = 0; i < 2; i++)
        if (starts(rest, part_names[i]) && rest[7] == '.') k = i, rest += 8;
    if (!translate(name, sizeof name, rest, k)) return;
    add(s, t, 1 << k);
    memcpy(s->entries[s->n - 1].name, name, sizeof name);
}

static int by_name(const void *a, const void *b) { return strcmp(((const entry *)a)->name, ((const entry *)b)->name); }

static lcm_status sort_entries(lcm_ctx *ctx, source *s) {
    qsort(s->entries, s->n, sizeof *s->entries, by_name);
    for (size_t i = 1; i < s->n; i++)
        if (by_name(&s->entries[i - 1], &s->entries[i]) == 0)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': '%.100s' and '%.100s' mean the same", s->label, s->entries[i - 1].t->name,
                     s->entries[i].t->name);
    return LCM_OK;
}

static entry *find(const source *s, const char *name) {
    entry key;
    if (s == NULL) return NULL;
    snprintf(key.name, sizeof key.name, "%s", name);
    return bsearch(&key, s->entries, s->n, sizeof *s->entries, by_name);
}

static lcm_status list_entries(lcm_ctx *ctx, source *s) {
    size_t n = lcm_weights_count(s->file);
    int bare = any_name(s->file, "encoder_attn.");
    LCM_TRY(lcm_calloc(ctx, &s->entries, n + 1, sizeof *s->entries));
    if (!lcm_sonar_import_is(s->file)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': not the tensor names of a SONAR model", s->label);
    s->fairseq = !is_fairseq2(s->file);
    for (size_t i = 0; i < n; i++) {
        const lcm_weight *t = lcm_weights_at(s->file, i);
        if (strlen(t->name) >= LCM_PARAM_NAME - 32)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': tensor '%.200s' is not part of a SONAR model", s->label, t->name);
        if (s->fairseq) add_fairseq(s, t, bare);
        else add_fairseq2(s, t);
    }
    LCM_TRY(sort_entries(ctx, s));
    for (size_t i = 0; i < s->n; i++)
        if (strstr(s->entries[i].name, "coder.layers.0.")) s->parts |= s->entries[i].part;
    lcm_log(ctx, LCM_LOG_INFO, "'%s': %s, %zu tensors, names of %s%s%s", s->label, lcm_weights_layout(s->file), n,
            s->fairseq ? "fairseq or Hugging Face" : "fairseq2", s->parts & LCM_SONAR_ENCODER ? ", encoder" : "",
            s->parts & LCM_SONAR_DECODER ? ", decoder" : "");
    return LCM_OK;
}

/* ---- Which file gives which part ---- */

static lcm_status choose(lcm_ctx *ctx, job *j) {
    int wanted = j->opts->parts ? j->opts->parts : LCM_SONAR_BOTH;
    for (int k = 0; k < 2; k++) {
        source *all = NULL, *pure = NULL;
        size_t n_all = 0, n_pure = 0;
        if (!(wanted >> k & 1)) continue;
        for (size_t i = 0; i < j->n_src; i++) {
            source *s = &j->src[i];
            if (!(s->parts >> k & 1)) continue;
            all = s, n_all++;
            if (s->parts == 1 << k) pure = s, n_pure++;
        }
        if (n_all > 1 && n_pure != 1)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "%zu files hold the %s; give one of them", n_all, part_names[k]);
        j->of[k] = n_all > 1 ? pure : all;
        if (j->of[k] == NULL && j->opts->parts) LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "no file holds the %s", part_names[k]);
    }
    for (size_t i = 0; i < j->n_src; i++)
        if (&j->src[i] != j->of[0] && &j->src[i] != j->of[1] && (j->of[0] || j->of[1]))
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' is not needed: nothing is taken from it", j->src[i].label);
    if (!j->of[0] && !j->of[1]) LCM_FAIL(ctx, LCM_ERR_FORMAT, "the files hold neither encoder nor decoder layers");
    return LCM_OK;
}

/* The table of part k: its own, else the shared one. */
static entry *find_embed(const job *j, int k) {
    char name[64];
    entry *e;
    snprintf(name, sizeof name, "%s_frontend.embed.weight", part_names[k]);
    e = find(j->of[k], name);
    if (e == NULL) e = find(j->of[k], "shared.weight");
    return e || k == 0 ? e : find(j->of[k], "final_proj.weight");
}

/* ---- Configuration ---- */

/* Layers of a stack: "encoder.", "decoder.", "pooler.decoder." */
static int64_t count_layers(const source *s, const char *stack) {
    int64_t most = 0;
    for (size_t i = 0; s && i < s->n; i++) {
        const char *rest = s->entries[i].name + strlen(stack);
        if (!starts(s->entries[i].name, stack) || layer_prefix(rest) == 0) continue;
        if (strtoll(rest + 7, NULL, 10) >= most) most = strtoll(rest + 7, NULL, 10) + 1;
    }
    return most;
}

#define FFN "layers.0.ffn.inner_proj.weight"

static int64_t dim_of(const source *s, const char *name, int which) {
    const entry *e = find(s, name);
    return e && e->t->ndim == 2 ? e->t->dims[which] : 0;
}

static lcm_status no_heads(lcm_ctx *ctx, const char *what, int64_t width, const char *key) {
    return lcm_fail(ctx, LCM_ERR_ARG, "no tensor shows the number of %s, and width %lld is no multiple of 64: set %s", what,
                    (long long)width, key);
}

static lcm_status override(lcm_ctx *ctx, job *j) {
    json_t *config = lcm_config_write(&j->config, lcm_sonar_config_fields);
    lcm_status st = config ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    for (size_t i = 0; st == LCM_OK && i < j->opts->n_set; i++) st = lcm_json_override(ctx, config, j->opts->set[i]);
    if (st == LCM_OK && json_integer_value(json_object_get(config, "attn_heads")) == 0)
        st = no_heads(ctx, "attention heads", j->config.model_dim, "attn_heads");
    if (st == LCM_OK) st = lcm_config_read(ctx, &j->config, lcm_sonar_config_fields, config, "configuration");
    if (st == LCM_OK && j->config.pooling == LCM_SONAR_ATTENTION && j->config.pooler_heads == 0)
        st = no_heads(ctx, "the pooler's heads", lcm_sonar_dim(&j->config), "pooler_heads");
    json_decref(config);
    return st;
}

static int64_t heads_of(int64_t width) { return width % 64 ? 0 : width / 64; }

static bool has_pooler(const source *s) {
    for (size_t i = 0; s && i < s->n; i++)
        if (starts(s->entries[i].name, "pooler.")) return true;
    return false;
}

static lcm_status infer_pooler(lcm_ctx *ctx, lcm_sonar_config *c, const source *encoder) {
    static const char query[] = "pooler.decoder_frontend.embed.weight";
    int64_t E;
    if (!has_pooler(encoder)) return LCM_OK;
    E = dim_of(encoder, query, 1);
    if (E == 0) LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "'%s': no matrix '%s'", encoder->label, query);
    c->pooling = LCM_SONAR_ATTENTION;
    c->embedding_dim = E == c->model_dim ? 0 : E;
    c->pooler_layers = count_layers(encoder, "pooler.decoder.");
    c->pooler_heads = heads_of(E);
    c->pooler_ffn_inner_dim = dim_of(encoder, "pooler.decoder." FFN, 0);
    return LCM_OK;
}

static lcm_status infer_config(lcm_ctx *ctx, job *j) {
    lcm_sonar_config *c = &j->config;
    int k = j->of[0] == NULL; /* sizes are read from this part; the other one is checked by its shapes */
    const entry *embed = find_embed(j, k);
    int64_t input = dim_of(j->of[1], "decoder.layers.0.encoder_decoder_attn.v_proj.weight", 1);
    *c = lcm_sonar_config_default();
    if (embed == NULL || embed->t->ndim != 2) LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "'%s': no embedding of the %s", j->of[k]->label, part_names[k]);
    c->vocab_size = embed->t->dims[0];
    c->model_dim = embed->t->dims[1];
    c->encoder_layers = count_layers(j->of[0], "encoder.");
    c->decoder_layers = count_layers(j->of[1], "decoder.");
    if (j->of[0] == NULL) c->encoder_layers = c->decoder_layers; /* without meaning, but in range */
    if (j->of[1] == NULL) c->decoder_layers = c->encoder_layers;
    c->ffn_inner_dim = dim_of(j->of[k], k ? "decoder." FFN : "encoder." FFN, 0);
    LCM_TRY(infer_pooler(ctx, c, j->of[0]));
    c->input_dim = input == lcm_sonar_dim(c) ? 0 : input;
    c->attn_heads = heads_of(c->model_dim);
    c->max_seq_len = 512;
    c->share_embeddings = false;
    c->dropout = 0;
    return override(ctx, j);
}

/* ---- The tokeniser ---- */

static lcm_status load_tokenizer(lcm_ctx *ctx, job *j) {
    const lcm_sonar_import_opts *o = j->opts;
    const char *const *langs = o->langs;
    int n = o->n_langs;
    int64_t spare;
    LCM_TRY(lcm_tokenizer_load(ctx, &j->tok, o->tokenizer, o->tokenizer_len, langs, langs ? n : 0, 0));
    spare = j->config.vocab_size - lcm_tokenizer_size(j->tok);
    if (spare < 0)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "the tokenizer has %d ids, the embedding %lld rows", lcm_tokenizer_size(j->tok),
                 (long long)j->config.vocab_size);
    if (langs || spare == 0) return LCM_OK;
    if (spare != LCM_SONAR_LANGS && spare != LCM_SONAR_LANGS + 3) /* three tags for training data follow the languages */
        LCM_FAIL(ctx, LCM_ERR_ARG, "the embedding has %lld rows for %d pieces: say which languages the other %lld are",
                 (long long)j->config.vocab_size, lcm_tokenizer_pieces(j->tok), (long long)spare);
    lcm_tokenizer_free(j->tok);
    j->tok = NULL;
    return lcm_tokenizer_load(ctx, &j->tok, o->tokenizer, o->tokenizer_len, lcm_sonar_lang_codes(), LCM_SONAR_LANGS, 0);
}

/* ---- Tensors ---- */

/* Compares without a name of ours. */
static lcm_status same_values(lcm_ctx *ctx, bool *same, const source *a, const entry *x, const source *b, const entry *y) {
    lcm_import_item p = {.file = a->file, .t = x->t, .fairseq_rows = a->fairseq}, q = {.file = b->file, .t = y->t, .fairseq_rows = b->fairseq};
    *same = x->t->ndim == y->t->ndim && memcmp(x->t->dims, y->t->dims, sizeof x->t->dims) == 0;
    if (*same && (x->t->dtype > LCM_DT_BF16 || y->t->dtype > LCM_DT_BF16)) *same = false;
    if (*same && a->file == b->file && x->t == y->t) return LCM_OK;
    return *same ? lcm_import_same(ctx, same, &p, &q) : LCM_OK;
}

/* The decoder's table; a stored projection that differs wins, as in PyTorch, where both are one parameter. */
static lcm_status decoder_embed(lcm_ctx *ctx, job *j, entry **out) {
    entry *e = find_embed(j, 1), *proj = find(j->of[1], "final_proj.weight");
    bool same = true;
    *out = e;
    if (proj && e) LCM_TRY(same_values(ctx, &same, j->of[1], e, j->of[1], proj));
    if (!same) {
        lcm_log(ctx, LCM_LOG_WARN, "'%s': the output projection differs from the embedding; it is used for both, as PyTorch does",
                j->of[1]->label);
        *out = proj;
    }
    if (proj) proj->used = true;
    if (e) e->used = true;
    return LCM_OK;
}

static lcm_status choose_sharing(lcm_ctx *ctx, job *j) {
    entry *d, *e = find_embed(j, 0);
    bool same;
    if (!j->of[0] || !j->of[1] || e == NULL) return LCM_OK;
    LCM_TRY(decoder_embed(ctx, j, &d));
    if (d == NULL) return LCM_OK;
    LCM_TRY(same_values(ctx, &same, j->of[0], e, j->of[1], d));
    j->config.share_embeddings = same;
    if (same) lcm_log(ctx, LCM_LOG_INFO, "encoder and decoder have the same embedding; it is stored once");
    return LCM_OK;
}

static lcm_status add_param(lcm_ctx *ctx, job *j, const lcm_param *p) {
    bool table = &p->t == j->model->enc_embed || &p->t == j->model->dec_embed, decoder;
    entry *e = NULL;
    const source *s;
    decoder = &p->t == j->model->dec_embed || starts(p->name, "decoder.");
    s = j->of[decoder];
    if (&p->t == j->model->dec_embed) LCM_TRY(decoder_embed(ctx, j, &e));
    else e = table ? find_embed(j, 0) : find(s, p->name);
    if (e == NULL) LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "'%s': no tensor for '%s'", s->label, p->name);
    e->used = true;
    if (table && j->of[0] && find_embed(j, 0)) find_embed(j, 0)->used = true;
    return lcm_import_add(ctx, &j->imp, p, s->file, e->t, table && s->fairseq);
}

/* Attention to a single vector: what has no influence must at least look right. */
static lcm_status check_dead(lcm_ctx *ctx, const job *j, const entry *e) {
    const lcm_sonar_config *c = &j->config;
    bool pooler = starts(e->name, "pooler.decoder."), decoder = starts(e->name, "decoder.");
    int64_t layers = pooler ? j->model->pooler.sizes.layers : decoder ? c->decoder_layers : 0;
    int64_t D = pooler ? lcm_sonar_dim(c) : c->model_dim;
    const char *tail = e->name + (pooler ? 15 : 8), *attn = pooler ? "self_attn" : "encoder_decoder_attn";
    size_t n = layer_prefix(tail), k = strlen(attn);
    if (starts(e->name, "encoder.layer_norm."))
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "'%.80s': an encoder with a final norm of its own (normalize_before) is not implemented", e->t->name);
    if (n && strtoll(tail + 7, NULL, 10) < layers && starts(tail + n, attn)) {
        tail += n + k;
        if (strcmp(tail, ".q_proj.weight") == 0) return lcm_import_shape(ctx, e->t, D, D, false);
        if (strcmp(tail, ".k_proj.weight") == 0) return lcm_import_shape(ctx, e->t, D, lcm_sonar_dim(c), false);
        if (strcmp(tail, ".q_proj.bias") == 0 || strcmp(tail, ".k_proj.bias") == 0 ||
            (decoder && (strcmp(tail, "_layer_norm.weight") == 0 || strcmp(tail, "_layer_norm.bias") == 0)))
            return lcm_import_shape(ctx, e->t, 1, D, true);
    }
    LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.200s' is not part of a SONAR model", e->t->name);
}

static lcm_status collect(lcm_ctx *ctx, job *j) {
    int parts = (j->of[0] ? LCM_SONAR_ENCODER : 0) | (j->of[1] ? LCM_SONAR_DECODER : 0);
    LCM_TRY(choose_sharing(ctx, j));
    LCM_TRY(lcm_sonar_register(ctx, &j->model, &j->config, parts));
    for (size_t i = 0; i < j->model->params.n; i++) LCM_TRY(add_param(ctx, j, j->model->params.items[i]));
    for (size_t i = 0; i < j->n_src; i++) {
        const source *s = &j->src[i];
        size_t left = 0;
        for (size_t k = 0; k < s->n; k++) {
            const entry *e = &s->entries[k];
            int taken = (s == j->of[0] ? LCM_SONAR_ENCODER : 0) | (s == j->of[1] ? LCM_SONAR_DECODER : 0);
            if (e->used || e->part == LCM_SONAR_BOTH) continue;
            if (e->part & taken) {
                lcm_status st = check_dead(ctx, j, e);
                if (st) return lcm_fail_within(ctx, st, "'%s'", s->label);
            } else left++;
        }
        if (left) lcm_log(ctx, LCM_LOG_INFO, "'%s': %zu tensors of the other part are left out", s->label, left);
    }
    return LCM_OK;
}

/* Independent of layout, storage type and decoder, so that all conversions of an encoder speak one space. */
static uint64_t space_of(const job *j) {
    uint64_t h = lcm_hash64(LCM_HASH_INIT, j->opts->tokenizer, j->opts->tokenizer_len);
    for (size_t i = 0; i < j->imp.n; i++) {
        const lcm_import_item *m = j->imp.items[i];
        bool decoder = starts(m->name, "decoder");
        if (j->config.share_embeddings && i == 0) decoder = false; /* the table is registered first */
        if (!j->of[0] || !decoder) h = lcm_hash64(h, &m->hash, sizeof m->hash);
    }
    return h;
}

static lcm_status write_file(lcm_ctx *ctx, job *j, const char *path) {
    lcm_st_writer *w;
    lcm_status st;
    LCM_TRY(lcm_st_writer_new(ctx, &w));
    st = lcm_sonar_put_meta(ctx, w, &j->config, j->tok, j->opts->space ? j->opts->space : space_of(j), j->opts->provenance);
    if (st == LCM_OK) st = lcm_import_put(ctx, &j->imp, w, j->opts->dtype);
    if (st == LCM_OK) st = lcm_st_writer_commit(ctx, w, path);
    lcm_st_writer_free(w);
    return st;
}

static lcm_status import(lcm_ctx *ctx, job *j, const char *path) {
    const lcm_sonar_config *c = &j->config;
    for (size_t i = 0; i < j->n_src; i++) LCM_TRY(list_entries(ctx, &j->src[i]));
    LCM_TRY(choose(ctx, j));
    LCM_TRY(infer_config(ctx, j));
    LCM_TRY(load_tokenizer(ctx, j));
    LCM_TRY(collect(ctx, j));
    lcm_log(ctx, LCM_LOG_INFO, "SONAR: width %lld, %lld + %lld layers, %lld heads, vocabulary %lld, %d languages",
            (long long)c->model_dim, (long long)(j->of[0] ? c->encoder_layers : 0), (long long)(j->of[1] ? c->decoder_layers : 0),
            (long long)c->attn_heads, (long long)c->vocab_size, lcm_tokenizer_n_langs(j->tok));
    if (j->model->pooler.layers)
        lcm_log(ctx, LCM_LOG_INFO, "attention pooling: %lld layers, %lld heads, concepts of %lld numbers", (long long)c->pooler_layers,
                (long long)c->pooler_heads, (long long)lcm_sonar_dim(c));
    LCM_TRY(lcm_import_check(ctx, &j->imp, j->opts->dtype));
    return write_file(ctx, j, path);
}

lcm_status lcm_sonar_import(lcm_ctx *ctx, const char *path, const lcm_sonar_source *src, size_t n_src,
                            const lcm_sonar_import_opts *opts) {
    job j = {.opts = opts, .n_src = n_src};
    lcm_status st;
    if (n_src < 1 || n_src > MAX_SOURCES) LCM_FAIL(ctx, LCM_ERR_ARG, "%zu files to import, 1 to %d are allowed", n_src, MAX_SOURCES);
    for (size_t i = 0; i < n_src; i++) j.src[i] = (source){.file = src[i].file, .label = src[i].label};
    st = import(ctx, &j, path);
    lcm_import_free(&j.imp);
    lcm_sonar_free(j.model);
    lcm_tokenizer_free(j.tok);
    for (size_t i = 0; i < n_src; i++) free(j.src[i].entries);
    return st;
}
