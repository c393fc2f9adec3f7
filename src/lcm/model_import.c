/* Checkpoints of the official repository. */
#include "lcm/model_import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modelfile/model_meta.h"

enum { HEAD_DIM = 128, MAX_LAYERS = 1024 };

static const lcm_weight *find(const lcm_weights *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static const lcm_weight *find(const lcm_weights *w, const char *fmt, ...) {
    char name[LCM_PARAM_NAME];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return lcm_weights_find(w, name);
}

static bool is_base(const lcm_weights *w) { return find(w, "frontend.pre_linear.weight") && find(w, "postnet.fc.weight"); }

static bool is_two_tower(const lcm_weights *w) {
    return find(w, "encoder_frontend.pre_linear.weight") && find(w, "denoiser.initial_proj.fc.weight");
}

bool lcm_model_import_is(const lcm_weights *w) { return is_base(w) || is_two_tower(w); }

static int64_t rows(const lcm_weight *t) { return t && t->ndim == 2 ? t->dims[0] : 0; }
static int64_t cols(const lcm_weight *t) { return t && t->ndim == 2 ? t->dims[1] : 0; }

/* The Transformer under `name`; learned: its front end has a table of positions. */
static json_t *transformer(const lcm_weights *w, const char *name, int64_t model_dim, const char *positions) {
    int64_t layers = 0, inner = rows(find(w, "%s.layers.0.ffn.inner_proj.weight", name));
    bool swiglu = find(w, "%s.layers.0.ffn.gate_proj.weight", name) != NULL;
    bool normformer = find(w, "%s.layers.0.self_attn_norm.weight", name) != NULL;
    while (layers < MAX_LAYERS && find(w, "%s.layers.%lld.ffn.inner_proj.weight", name, (long long)layers)) layers++;
    return json_pack("{s:I, s:I, s:I, s:b, s:s, s:s, s:s, s:s, s:b, s:b, s:f}", "num_layers", (json_int_t)layers, "num_attn_heads",
                     (json_int_t)(model_dim / HEAD_DIM), "ffn_inner_dim", (json_int_t)(swiglu ? inner / 2 * 3 : inner), "use_swiglu",
                     swiglu, "pos_embedding_style", positions, "layer_normalization_style",
                     find(w, "%s.layers.0.self_attn_layer_norm.bias", name) ? "standard" : "rms", "norm_order_style",
                     normformer ? "normformer" : "pre", "final_norm_order_style",
                     find(w, "%s.layer_norm.weight", name) ? "same" : "post", "enable_qk_layernorm",
                     find(w, "%s.layers.0.self_attn.q_layer_norm.weight", name) != NULL, "mha_output_proj_bias",
                     find(w, "%s.layers.0.self_attn.output_proj.bias", name) != NULL, "scale_residual",
                     find(w, "%s.layers.0.residual_scale", name) ? 1.0 : 0.0);
}

static json_t *projection(const lcm_weights *w, const char *name) {
    return json_pack("{s:b}", "linear_bias", find(w, "%s.fc.bias", name) != NULL);
}

/* Members that all kinds have. */
static json_t *common(const lcm_weights *w, const char *frontend, const char **positions, int64_t *model_dim) {
    const lcm_weight *pre = find(w, "%s.pre_linear.weight", frontend), *pos = find(w, "%s.pos_encoder.weight", frontend);
    *positions = pos ? "learned" : "rope";
    *model_dim = rows(pre);
    return json_pack("{s:I, s:I, s:I, s:{s:b}}", "sonar_embed_dim", (json_int_t)cols(pre), "model_dim", (json_int_t)rows(pre), "max_seq_len",
                     (json_int_t)(pos ? rows(pos) : 4096), "frontend", "pre_linear_bias", find(w, "%s.pre_linear.bias", frontend) != NULL);
}

static json_t *infer_base(const lcm_weights *w) {
    const char *positions;
    int64_t M;
    json_t *c = common(w, "frontend", &positions, &M);
    json_object_set_new(c, "sonar_normalizer", json_boolean(find(w, "frontend.sonar_normalizer.center") != NULL));
    json_object_set_new(c, "lcm", transformer(w, "lcm", M, positions));
    json_object_set_new(c, "postnet", projection(w, "postnet"));
    return c;
}

static json_t *infer_two_tower(const lcm_weights *w) {
    const char *positions;
    int64_t M;
    json_t *c = common(w, "encoder_frontend", &positions, &M), *denoiser = transformer(w, "denoiser", M, "none");
    bool rope = strcmp(positions, "rope") == 0;
    json_object_del(denoiser, "final_norm_order_style");
    json_object_set_new(denoiser, "pre_denoiser", projection(w, "denoiser.initial_proj"));
    json_object_set_new(denoiser, "post_denoiser", projection(w, "denoiser.final_proj"));
    json_object_set_new(denoiser, "timestep_embed_dim", json_integer(M));
    json_object_set_new(c, "context_encoder", transformer(w, "context_encoder", M, positions));
    json_object_set_new(c, "denoiser", denoiser);
    json_object_set_new(c, "noise_scheduler", json_pack("{s:i}", "train_steps", rope ? 100 : 1000));
    json_object_set_new(c, "trained_with_cf_guidance", json_boolean(rope));
    return c;
}

/* One item per parameter; the normaliser's two vectors are checked as a normaliser and taken along. */
static lcm_status collect(lcm_ctx *ctx, lcm_import *imp, lcm_model *m, lcm_weights *w) {
    size_t known = m->params.n;
    for (size_t i = 0; i < m->params.n; i++) {
        const lcm_param *p = m->params.items[i];
        const lcm_weight *t = lcm_weights_find(w, p->name);
        if (t == NULL) LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "no tensor '%s', which this %s model has", p->name, m->type->name);
        LCM_TRY(lcm_import_add(ctx, imp, p, w, t, false));
    }
    for (int i = 0; m->normalizer && i < 2; i++, known++) {
        lcm_param p = {.is_vector = true, .t = {.rows = 1, .cols = m->embed_dim}};
        const lcm_weight *t;
        snprintf(p.name, sizeof p.name, "%s.%s", m->normalizer_name, i ? "scale" : "center");
        t = lcm_weights_find(w, p.name);
        if (t == NULL) LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "no tensor '%s': a model needs its normaliser", p.name);
        LCM_TRY(lcm_import_add(ctx, imp, &p, w, t, false));
        LCM_TRY(lcm_weights_read(ctx, i ? m->normalizer->scale : m->normalizer->center, w, t, 0, m->embed_dim));
    }
    for (size_t i = 0, k; known < lcm_weights_count(w) && i < lcm_weights_count(w); i++) {
        const char *name = lcm_weights_at(w, i)->name;
        for (k = 0; k < imp->n && strcmp(imp->items[k]->name, name) != 0; k++) continue;
        if (k == imp->n) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.200s' is not part of this %s model", name, m->type->name);
    }
    return m->normalizer ? lcm_normalizer_check(ctx, m->normalizer) : LCM_OK;
}

static lcm_status write_file(lcm_ctx *ctx, const char *path, lcm_import *imp, const lcm_model *m, const lcm_model_import_opts *o) {
    json_t *config = lcm_model_config_json(m);
    lcm_st_writer *w = NULL;
    lcm_status st = config ? lcm_import_check(ctx, imp, o->dtype) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    if (st == LCM_OK) st = lcm_st_writer_new(ctx, &w);
    if (st == LCM_OK) st = lcm_model_meta_write(ctx, w, m->type->name, o->space, config, o->provenance);
    if (st == LCM_OK) st = lcm_import_put(ctx, imp, w, o->dtype);
    if (st == LCM_OK) st = lcm_st_writer_commit(ctx, w, path);
    lcm_st_writer_free(w);
    json_decref(config);
    return st;
}

lcm_status lcm_model_import(lcm_ctx *ctx, const char *path, lcm_weights *w, const lcm_model_import_opts *o) {
    bool base = is_base(w);
    json_t *config = base ? infer_base(w) : infer_two_tower(w);
    lcm_import imp = {0};
    lcm_model *m = NULL;
    lcm_status st = config ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    for (size_t i = 0; st == LCM_OK && i < o->n_set; i++) st = lcm_json_override(ctx, config, o->set[i]);
    if (st == LCM_OK) st = lcm_model_register(ctx, &m, base ? "base" : "two_tower", config, "configuration");
    if (st == LCM_OK) {
        char *text = json_dumps(config, JSON_COMPACT);
        lcm_log(ctx, LCM_LOG_INFO, "%s, configuration as read off: %s", m->type->name, text ? text : "");
        free(text);
        st = collect(ctx, &imp, m, w);
    }
    if (st == LCM_OK) st = write_file(ctx, path, &imp, m, o);
    json_decref(config);
    lcm_import_free(&imp);
    lcm_model_free(m);
    return st;
}
