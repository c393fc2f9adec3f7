/* lcm_convert: what a checkpoint may lack, contradict or hold too much, told apart and named; concept models and BLASER. */
#include "harness/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/sonar_toy.h"
#include "lcm/convert.h"
#include "lcm/model_io.h"
#include "modelfile/params_io.h"
#include "sonar/blaser.h"
#include "sonar/sonar_io.h"
#include "unit/convert_toy.h"

#define ENCODER CKPT("toy_encoder_fs2.safetensors")
#define DECODER CKPT("toy_decoder_fs2.safetensors")

/* A checkpoint with changes. */
typedef struct variant {
    const char *a, *b;  /* all tensors of these files, b may be NULL */
    const char *prefix; /* put before every name */
    const char *drop;   /* this one left out, */
    const char *add, *fill; /* one added, a matrix with the values that portable_fill has for a name, */
    int64_t rows, cols;
    const char *poison; /* and the first value of this one replaced, by: */
    float value;
} variant;

static const char *make(const char *file, const variant *v) {
    const char *path = tmpdir_path(dir, file);
    const char *from[2] = {v->a, v->b};
    lcm_st *st[2] = {NULL, NULL};
    real *extra = calloc((size_t)(v->rows * v->cols) + 1, sizeof *extra);
    float *copy = NULL;
    lcm_st_writer *w;
    assert_int_equal(lcm_st_writer_new(ctx, &w), LCM_OK);
    for (int f = 0; f < 2 && from[f]; f++) {
        assert_int_equal(lcm_st_open(ctx, &st[f], from[f]), LCM_OK);
        for (size_t i = 0; i < lcm_st_count(st[f]); i++) {
            const lcm_st_tensor *t = lcm_st_at(st[f], i);
            const void *data = t->data;
            char name[256];
            if (v->drop && strcmp(t->name, v->drop) == 0) continue;
            if (v->poison && strcmp(t->name, v->poison) == 0) {
                copy = malloc(t->nbytes);
                memcpy(copy, data, t->nbytes);
                *copy = v->value;
                data = copy;
            }
            snprintf(name, sizeof name, "%s%s", v->prefix ? v->prefix : "", t->name);
            assert_int_equal(lcm_st_writer_add(ctx, w, name, t->dtype, t->dims, t->ndim, data), LCM_OK);
        }
    }
    if (v->add) {
        if (v->fill) portable_fill(extra, v->rows * v->cols, "dec/", v->fill);
        assert_int_equal(lcm_st_writer_add_real(ctx, w, v->add, LCM_DT_F32, (int64_t[]){v->rows, v->cols}, 2, extra), LCM_OK);
    }
    assert_int_equal(lcm_st_writer_commit(ctx, w, path), LCM_OK);
    lcm_st_writer_free(w);
    lcm_st_close(st[0]);
    lcm_st_close(st[1]);
    free(extra);
    free(copy);
    return path;
}

static lcm_convert_opts usual(void) {
    return (lcm_convert_opts){.tokenizer = spm, .langs = "none", .set = settings, .n_set = 2};
}

/* Refused, with the message, and without touching what is there. */
static void refused_with(const char *a, const char *b, const lcm_convert_opts *o, lcm_status want, const char *message) {
    const char *src[2] = {a, b};
    lcm_buf kept = {0};
    lcm_status st;
    assert_int_equal(lcm_write_file(ctx, out, "kept", 4), LCM_OK);
    st = lcm_convert(ctx, out, src, b ? 2 : 1, o);
    if (st != want || strstr(lcm_ctx_message(ctx), message) == NULL) fail_msg("status %d '%s', not %d '%s'", st, lcm_ctx_message(ctx), want, message);
    assert_int_equal(lcm_read_file(ctx, &kept, out, 100), LCM_OK);
    assert_int_equal(kept.len, 4);
    lcm_buf_free(&kept);
}

static void refused(const variant *v, lcm_status want, const char *message) {
    lcm_convert_opts o = usual();
    refused_with(make("variant.safetensors", v), NULL, &o, want, message);
}

static lcm_sonar_file converted(const char *a, const char *b, const lcm_convert_opts *o, int parts) {
    const char *src[2] = {a, b};
    lcm_sonar_file f = {0};
    if (lcm_convert(ctx, out, src, b ? 2 : 1, o) != LCM_OK || lcm_sonar_load_model(ctx, &f, out, parts, false) != LCM_OK)
        fail_msg("%s", lcm_ctx_message(ctx));
    return f;
}

static void tensors(void **state) {
    (void)state;
    refused(&(variant){.a = ENCODER, .drop = "encoder.layers.1.ffn.inner_proj.bias"}, LCM_ERR_NOTFOUND, "'encoder.layers.1.ffn.inner_proj.bias'");
    refused(&(variant){.a = ENCODER, .drop = "encoder_frontend.embed.weight"}, LCM_ERR_UNSUPPORTED, "not those of a model");
    refused(&(variant){.a = ENCODER, .add = "encoder.extra", .rows = 2, .cols = 2}, LCM_ERR_FORMAT, "'encoder.extra' is not part");
    refused(&(variant){.a = ENCODER, .add = "encoder.layers.7.ffn.inner_proj.weight", .rows = 64, .cols = 32}, LCM_ERR_NOTFOUND, "encoder.layers.2.");
    refused(&(variant){.a = ENCODER, .drop = "layer_norm.weight", .add = "layer_norm.weight", .rows = 1, .cols = 32}, LCM_ERR_SHAPE,
            "'layer_norm.weight' is [1, 32], expected [32]");
    refused(&(variant){.a = ENCODER, .add = "pooler.projection_out.weight", .rows = 2, .cols = 2}, LCM_ERR_NOTFOUND,
            "no matrix 'pooler.decoder_frontend.embed.weight'");
    refused(&(variant){.a = ENCODER, .add = "encoder.layer_norm.weight", .rows = 2, .cols = 2}, LCM_ERR_UNSUPPORTED, "normalize_before");
    refused(&(variant){.a = ENCODER, .poison = "layer_norm.bias", .value = NAN}, LCM_ERR_NUMERIC, "'layer_norm.bias'");
    refused(&(variant){.a = ENCODER, .poison = "layer_norm.bias", .value = INFINITY}, LCM_ERR_NUMERIC, "inf");
    /* What is left out is checked all the same. */
    refused(&(variant){.a = DECODER, .drop = "decoder.layers.0.encoder_decoder_attn.q_proj.weight",
                       .add = "decoder.layers.0.encoder_decoder_attn.q_proj.weight", .rows = 32, .cols = 31}, LCM_ERR_SHAPE, "[32, 31]");
    refused(&(variant){.a = DECODER, .add = "decoder.layers.2.encoder_decoder_attn.q_proj.weight", .rows = 32, .cols = 32},
            LCM_ERR_NOTFOUND, "decoder.layers.2.");
}

static void half_width(void **state) {
    lcm_convert_opts o = usual();
    variant matrix = {.a = ENCODER, .poison = "encoder.layers.0.ffn.inner_proj.weight", .value = 70000};
    lcm_sonar_file f;
    (void)state;
    f = converted(make("variant.safetensors", &matrix), NULL, &o, LCM_SONAR_ENCODER);
    lcm_sonar_file_close(&f);
    o.dtype = LCM_EXPORT_F16;
    refused_with(make("variant.safetensors", &matrix), NULL, &o, LCM_ERR_NUMERIC, "holds 70000 at element 0: not finite as F16");
    f = converted(make("variant.safetensors", &(variant){.a = ENCODER, .poison = "layer_norm.bias", .value = 70000}), NULL, &o, LCM_SONAR_ENCODER);
    assert_true(lcm_params_find(&f.model->params, "layer_norm.bias")->t.x[0] == 70000); /* vectors stay F32 */
    lcm_sonar_file_close(&f);
}

static const real *values(const lcm_sonar *m, const char *name) { return lcm_params_find(&m->params, name)->t.x; }

/* Tied, overriding, lone and shared tables. */
static void tables(void **state) {
    lcm_convert_opts o = usual();
    variant other = {.a = DECODER, .add = "final_proj.weight", .fill = "other.embed.weight", .rows = V, .cols = D};
    variant tied = other, lone = other, both = {.a = ENCODER, .b = DECODER}, shared;
    real want[V * D], plain[V * D];
    lcm_sonar_file f;
    (void)state;
    portable_fill(want, V * D, "dec/", "other.embed.weight");
    portable_fill(plain, V * D, "dec/", "decoder_frontend.embed.weight");
    f = converted(make("variant.safetensors", &other), NULL, &o, LCM_SONAR_DECODER); /* torch loads the projection last, over the table */
    assert_memory_equal(values(f.model, "decoder_frontend.embed.weight"), want, sizeof want);
    lcm_sonar_file_close(&f);
    tied.fill = "decoder_frontend.embed.weight";
    f = converted(make("variant.safetensors", &tied), NULL, &o, LCM_SONAR_DECODER);
    assert_memory_equal(values(f.model, "decoder_frontend.embed.weight"), plain, sizeof plain);
    lcm_sonar_file_close(&f);
    f = converted(make("variant.safetensors", &both), NULL, &o, LCM_SONAR_BOTH);
    assert_false(f.model->config.share_embeddings);
    assert_memory_equal(values(f.model, "decoder_frontend.embed.weight"), plain, sizeof plain);
    lcm_sonar_file_close(&f);
    shared = (variant){.a = ENCODER, .b = DECODER, .drop = "encoder_frontend.embed.weight", .add = "encoder_frontend.embed.weight",
                       .fill = "decoder_frontend.embed.weight", .rows = V, .cols = D};
    f = converted(make("variant.safetensors", &shared), NULL, &o, LCM_SONAR_BOTH);
    assert_true(f.model->config.share_embeddings && f.model->enc_embed == f.model->dec_embed);
    lcm_sonar_file_close(&f);
    lone.drop = "decoder_frontend.embed.weight"; /* fairseq2 cannot be told by its table then */
    refused(&lone, LCM_ERR_UNSUPPORTED, "not those of a model");
}

/* Encoders of one space, whatever table they share with a decoder; each part from the file that is made for it. */
static void parts(void **state) {
    lcm_convert_opts o = usual();
    variant equal = {.a = ENCODER, .b = DECODER, .drop = "encoder_frontend.embed.weight", .add = "encoder_frontend.embed.weight",
                     .fill = "decoder_frontend.embed.weight", .rows = V, .cols = D};
    const char *full = make("full.safetensors", &(variant){.a = ENCODER, .b = DECODER});
    char path[4096];
    lcm_sonar_file a, b;
    (void)state;
    snprintf(path, sizeof path, "%s", make("equal.safetensors", &equal));
    a = converted(path, NULL, &o, LCM_SONAR_BOTH);
    o.parts = LCM_LOAD_ENCODER;
    b = converted(path, NULL, &o, LCM_SONAR_ENCODER);
    assert_true(a.model->config.share_embeddings && !b.model->config.share_embeddings && a.space == b.space);
    lcm_sonar_file_close(&a);
    lcm_sonar_file_close(&b);
    o.parts = 0;
    snprintf(path, sizeof path, "%s", full);
    a = converted(path, ENCODER, &o, LCM_SONAR_BOTH); /* the encoder's own file gives the encoder */
    lcm_sonar_file_close(&a);
    o.parts = LCM_LOAD_DECODER;
    refused_with(ENCODER, NULL, &o, LCM_ERR_NOTFOUND, "no file holds the decoder");
    refused_with(path, ENCODER, &o, LCM_ERR_FORMAT, "is not needed");
    o.parts = 0;
    refused_with(ENCODER, CKPT("toy_encoder.pt"), &o, LCM_ERR_FORMAT, "2 files hold the encoder");
    refused_with(path, path, &o, LCM_ERR_FORMAT, "2 files hold the encoder");
    o.n_set = 0;
    refused_with(ENCODER, NULL, &o, LCM_ERR_ARG, "set attn_heads");
    o = usual();
    o.tokenizer = NULL;
    refused_with(ENCODER, NULL, &o, LCM_ERR_ARG, "SentencePiece");
    o = usual();
    o.kind = "blaser";
    refused_with(ENCODER, NULL, &o, LCM_ERR_UNSUPPORTED, "not those of a blaser");
}

static void languages(void **state) {
    lcm_convert_opts o = usual();
    const char *list = tmpdir_write(dir, "langs", "eng_Latn fra_Latn\nsat_Beng", 26);
    lcm_sonar_file f;
    int32_t id;
    (void)state;
    o.langs = list;
    f = converted(ENCODER, NULL, &o, LCM_SONAR_ENCODER);
    assert_int_equal(lcm_tokenizer_n_langs(f.tok), 3);
    assert_int_equal(lcm_tokenizer_size(f.tok), V); /* rows beyond the languages are reserved ids */
    assert_int_equal(lcm_tokenizer_lang_id(ctx, &id, f.tok, "sat_Olck"), LCM_OK);
    assert_string_equal(lcm_tokenizer_piece(f.tok, id), "__sat_Beng__");
    lcm_sonar_file_close(&f);
    o.langs = NULL;
    refused_with(ENCODER, NULL, &o, LCM_ERR_ARG, "which languages the other 31 are");
    o.langs = "nllb";
    refused_with(ENCODER, NULL, &o, LCM_ERR_SHAPE, "211 ids, the embedding 40 rows");
    o.langs = "/nonexistent";
    refused_with(ENCODER, NULL, &o, LCM_ERR_NOTFOUND, "/nonexistent");
}

/* A model file of ours as the official repository would store it: the same names, no metadata. */
static const char *strip(const lcm_model *m, const char *drop) {
    const char *path = tmpdir_path(dir, "foreign.safetensors");
    char name[LCM_PARAM_NAME];
    lcm_st_writer *w;
    assert_int_equal(lcm_st_writer_new(ctx, &w), LCM_OK);
    for (size_t i = 0; i < m->params.n; i++) {
        const lcm_param *p = m->params.items[i];
        int64_t dims[2] = {p->t.rows, p->t.cols};
        if (drop && strcmp(p->name, drop) == 0) continue;
        assert_int_equal(lcm_st_writer_add_real(ctx, w, p->name, LCM_DT_F32, p->is_vector ? dims + 1 : dims, p->is_vector ? 1 : 2, p->t.x), LCM_OK);
    }
    for (int i = 0; m->normalizer && i < 2; i++) {
        snprintf(name, sizeof name, "%s.%s", m->normalizer_name, i ? "scale" : "center");
        assert_int_equal(lcm_st_writer_add_real(ctx, w, name, LCM_DT_F32, &m->embed_dim, 1, i ? m->normalizer->scale : m->normalizer->center), LCM_OK);
    }
    assert_int_equal(lcm_st_writer_commit(ctx, w, path), LCM_OK);
    lcm_st_writer_free(w);
    return path;
}

static void concept_models(void **state) {
    static const struct {
        const char *kind, *config;
    } models[] = {
        {"base", "{\"sonar_embed_dim\": 32, \"model_dim\": 128, \"max_seq_len\": 20, \"lcm\": {\"num_layers\": 2, \"num_attn_heads\": 1, "
                 "\"ffn_inner_dim\": 64, \"pos_embedding_style\": \"learned\"}}"},
        {"base", "{\"sonar_embed_dim\": 32, \"model_dim\": 128, \"max_seq_len\": 4096, \"sonar_normalizer\": false, \"lcm\": {\"num_layers\": 1, "
                 "\"num_attn_heads\": 1, \"ffn_inner_dim\": 300, \"use_swiglu\": true, \"pos_embedding_style\": \"rope\", "
                 "\"layer_normalization_style\": \"rms\", \"mha_output_proj_bias\": true, \"enable_qk_layernorm\": true}}"},
        {"two_tower", "{\"sonar_embed_dim\": 32, \"model_dim\": 128, \"max_seq_len\": 4096, \"trained_with_cf_guidance\": true, "
                      "\"context_encoder\": {\"num_layers\": 1, \"num_attn_heads\": 1, \"ffn_inner_dim\": 64, \"use_swiglu\": true, "
                      "\"pos_embedding_style\": \"rope\", \"layer_normalization_style\": \"rms\"}, \"noise_scheduler\": {\"train_steps\": 100}, "
                      "\"denoiser\": {\"num_layers\": 2, \"num_attn_heads\": 1, \"ffn_inner_dim\": 64, \"timestep_embed_dim\": 128}}"},
    };
    lcm_convert_opts o = usual();
    char sonar[4096];
    lcm_sonar_file f = converted(ENCODER, NULL, &o, LCM_SONAR_ENCODER);
    uint64_t space = f.space;
    (void)state;
    lcm_sonar_file_close(&f);
    snprintf(sonar, sizeof sonar, "%s", tmpdir_path(dir, "sonar.safetensors"));
    assert_int_equal(rename(out, sonar), 0);
    for (size_t i = 0; i < 3; i++) {
        json_t *config;
        lcm_model *m, *back;
        lcm_model_meta meta;
        const char *src;
        assert_int_equal(lcm_json_parse(ctx, &config, models[i].config, strlen(models[i].config), "test"), LCM_OK);
        if (lcm_model_new(ctx, &m, models[i].kind, config, "test", false) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));
        lcm_model_init(m, 7);
        for (int64_t k = 0; m->normalizer && k < m->embed_dim; k++) m->normalizer->scale[k] = (real)(0.5 + 0.1 * (double)k);
        src = strip(m, NULL);
        o = (lcm_convert_opts){.space_of = sonar};
        if (lcm_convert(ctx, out, &src, 1, &o) != LCM_OK) fail_msg("%zu: %s", i, lcm_ctx_message(ctx));
        if (lcm_model_load(ctx, &back, &meta, out, false) != LCM_OK) fail_msg("%zu: %s", i, lcm_ctx_message(ctx));
        assert_string_equal(meta.kind, models[i].kind);
        assert_true(meta.space == space);
        assert_int_equal(back->params.n, m->params.n);
        for (size_t k = 0; k < m->params.n; k++) {
            const lcm_param *p = m->params.items[k], *q = back->params.items[k];
            assert_string_equal(p->name, q->name);
            assert_memory_equal(p->t.x, q->t.x, (size_t)(p->t.rows * p->t.cols) * sizeof(real));
        }
        if (m->normalizer) assert_memory_equal(m->normalizer->scale, back->normalizer->scale, (size_t)m->embed_dim * sizeof(real));
        /* What decides how it computes came back as it was: settings of training and of initial values do not show. */
        for (const char *const *path = (const char *const[]){"max_seq_len", "trained_with_cf_guidance", "sonar_normalizer", NULL}; *path; path++)
            assert_true(json_object_get(config, *path) == NULL || json_equal(json_object_get(meta.config, *path), json_object_get(config, *path)));
        for (const char *const *tower = (const char *const[]){"lcm", "context_encoder", "denoiser", NULL}; *tower; tower++) {
            const char *key;
            json_t *value;
            json_object_foreach(json_object_get(config, *tower), key, value) {
                json_t *got = json_object_get(json_object_get(meta.config, *tower), key);
                if (strcmp(key, "ffn_inner_dim") != 0 && !json_equal(got, value)) fail_msg("%s.%s", *tower, key);
            }
        }
        o.space_of = NULL;
        refused_with(src, NULL, &o, LCM_ERR_ARG, "space-of");
        o.space_of = sonar;
        refused_with(strip(m, i == 2 ? "denoiser.layers.1.modulator.fc.bias" : "lcm.layers.0.self_attn.q_proj.bias"), NULL, &o,
                     LCM_ERR_NOTFOUND, i == 2 ? "denoiser.layers.1.modulator.fc.bias" : "lcm.layers.0.self_attn.q_proj.bias");
        lcm_model_meta_free(&meta);
        lcm_model_free(m);
        lcm_model_free(back);
        json_decref(config);
    }
    refused_with(sonar, NULL, &o, LCM_ERR_ARG, "is a model file of lcm already");
}

/* Written down once more, as plainly as the definition allows. */
static double blaser_by_hand(const real *p[6], const real *src, const real *mt, const real *ref) {
    double v[3][2], f[12], h[3], g[2], y;
    const real *from[3] = {src, mt, ref};
    int n = 0;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2 && from[i]; k++) v[i][k] = (double)from[i][k] / hypot((double)from[i][0], (double)from[i][1]);
    for (int k = 0; k < 2; k++) f[n++] = v[ref ? 2 : 0][k];
    for (int k = 0; k < 2; k++) f[n++] = v[1][k];
    for (int k = 0; k < 2; k++) f[n++] = v[0][k] * v[1][k];
    for (int k = 0; k < 2 && ref; k++) f[n++] = v[2][k] * v[1][k];
    for (int k = 0; k < 2; k++) f[n++] = fabs(v[1][k] - v[0][k]);
    for (int k = 0; k < 2 && ref; k++) f[n++] = fabs(v[1][k] - v[2][k]);
    for (int i = 0; i < 3; i++) {
        h[i] = (double)p[1][i];
        for (int k = 0; k < n; k++) h[i] += (double)p[0][i * n + k] * f[k];
    }
    for (int i = 0; i < 2; i++) {
        g[i] = (double)p[3][i];
        for (int k = 0; k < 3; k++) g[i] += (double)p[2][i * 3 + k] * tanh(h[k]);
    }
    y = (double)p[5][0];
    for (int k = 0; k < 2; k++) y += (double)p[4][k] * tanh(g[k]);
    return y;
}

static void blaser(void **state) {
    static const char *const names[6] = {"mlp.1.weight", "mlp.1.bias", "mlp.4.weight", "mlp.4.bias", "mlp.7.weight", "mlp.7.bias"};
    static const real src[4] = {3, -1, 0.5f, 0.1f}, mt[4] = {2, 2, -1, 0.3f}, ref[4] = {1, -4, 0.2f, 0.9f};
    char sonar[4096];
    lcm_convert_opts o = usual();
    lcm_sonar_file f = converted(ENCODER, NULL, &o, LCM_SONAR_ENCODER);
    (void)state;
    lcm_sonar_file_close(&f);
    snprintf(sonar, sizeof sonar, "%s", tmpdir_path(dir, "sonar.safetensors"));
    assert_int_equal(rename(out, sonar), 0);
    for (int form = 0; form < 2; form++) {
        int64_t in = form ? 12 : 8;
        int64_t dims[6][2] = {{3, in}, {3, 0}, {2, 3}, {2, 0}, {1, 2}, {1, 0}};
        const char *path = tmpdir_path(dir, "blaser.safetensors");
        const char *set[] = {form ? "form=ref" : "form=qe"};
        real x[6][36];
        const real *p[6];
        double got[2];
        lcm_st_writer *w;
        lcm_blaser *b = NULL;
        assert_int_equal(lcm_st_writer_new(ctx, &w), LCM_OK);
        for (int i = 0; i < 6; i++) {
            p[i] = x[i];
            portable_fill(x[i], dims[i][0] * (dims[i][1] ? dims[i][1] : 1), "blaser/", names[i]);
            assert_int_equal(lcm_st_writer_add_real(ctx, w, names[i], LCM_DT_F32, dims[i], dims[i][1] ? 2 : 1, x[i]), LCM_OK);
        }
        assert_int_equal(lcm_st_writer_commit(ctx, w, path), LCM_OK);
        lcm_st_writer_free(w);
        o = (lcm_convert_opts){.space_of = sonar, .set = set, .n_set = 1};
        if (lcm_convert(ctx, out, &path, 1, &o) != LCM_OK || lcm_blaser_load(ctx, &b, out) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));
        assert_int_equal(b->config.dim, 2);
        assert_int_equal(lcm_blaser_score(ctx, got, b, src, mt, form ? ref : NULL, 2), LCM_OK);
        for (int i = 0; i < 2; i++) /* f32 sums of a dozen terms of size 1 */
            assert_true(fabs(got[i] - blaser_by_hand(p, src + 2 * i, mt + 2 * i, form ? ref + 2 * i : NULL)) < 2e-6);
        assert_true(fabs(got[0] - got[1]) > 1e-3); /* it depends on what it scores */
        assert_int_equal(lcm_blaser_score(ctx, got, b, src, mt, form ? NULL : ref, 2), LCM_ERR_ARG);
        lcm_blaser_free(b);
        set[0] = "dim=5";
        refused_with(path, NULL, &o, LCM_ERR_SHAPE, "vectors");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tensors), cmocka_unit_test(half_width), cmocka_unit_test(tables),
                                       cmocka_unit_test(parts), cmocka_unit_test(languages), cmocka_unit_test(concept_models),
                                       cmocka_unit_test(blaser)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
