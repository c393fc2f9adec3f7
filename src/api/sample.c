/* Samples of models. */
#include "api/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lcm/generate.h"
#include "llama/score.h"
#include "llama/story.h"
#include "sonar/codec.h"

enum { N_SENTENCES = 4, N_PROMPT = 3, MAX_ROWS = 64, SEED = 7, STEPS = 10 };

static const char *const sentences[N_SENTENCES] = {
    "The lamp in the kitchen was still warm.",
    "Nobody had asked the old gardener.",
    "Two boats came home before noon.",
    "She smiled and closed the book.",
};

void lcm_sample_free(lcm_sample *s) {
    json_decref(s->meta);
    free(s->vectors);
    free(s->next);
    memset(s, 0, sizeof *s);
}

static lcm_status alloc(lcm_ctx *ctx, lcm_sample *s, int64_t n, int64_t D, bool next) {
    *s = (lcm_sample){.n = n, .D = D};
    LCM_TRY(lcm_calloc(ctx, &s->vectors, (size_t)(n * D), sizeof *s->vectors));
    return next ? lcm_calloc(ctx, &s->next, (size_t)D, sizeof *s->next) : LCM_OK;
}

/* ---- SONAR ---- */

static lcm_status encode(lcm_ctx *ctx, lcm_sample *s, lcm_codec *codec, const json_t *texts) {
    const char *text[MAX_ROWS];
    size_t len[MAX_ROWS];
    for (int64_t i = 0; i < s->n; i++) {
        const json_t *t = json_array_get(texts, (size_t)i);
        text[i] = json_string_value(t);
        len[i] = json_string_length(t);
    }
    return lcm_codec_encode(ctx, s->vectors, NULL, codec, text, len, (size_t)s->n, -1);
}

static lcm_status decode(lcm_ctx *ctx, json_t **out, lcm_codec *codec, const real *x, int64_t n) {
    lcm_buf b = {0};
    json_t *texts = json_array();
    const char *t;
    lcm_status st = lcm_codec_decode(ctx, &b, NULL, codec, x, (size_t)n, -1, NULL);
    t = b.data;
    for (int64_t i = 0; st == LCM_OK && i < n; i++, t += strlen(t) + 1)
        if (json_array_append_new(texts, json_string(t)) != 0) st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: sample");
    lcm_buf_free(&b);
    if (st) json_decref(texts);
    *out = st ? NULL : texts;
    return st;
}

/* Encodes `texts`, decodes `vectors` (NULL: those just encoded). */
static lcm_status run_sonar(lcm_ctx *ctx, lcm_sample *out, const lcm_sonar_file *f, json_t *texts, const real *vectors) {
    lcm_codec *codec = NULL;
    json_t *decoded = NULL;
    lcm_status st = alloc(ctx, out, (int64_t)json_array_size(texts), lcm_sonar_dim(&f->config), false);
    if (st == LCM_OK) st = lcm_codec_new(ctx, &codec, f);
    if (st == LCM_OK) st = encode(ctx, out, codec, texts);
    if (st == LCM_OK) st = decode(ctx, &decoded, codec, vectors ? vectors : out->vectors, out->n);
    if (st == LCM_OK) {
        out->meta = json_pack("{s:O, s:o}", "sentences", texts, "decoded", decoded);
        if (out->meta == NULL) st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: sample");
    }
    lcm_codec_free(codec);
    if (st) lcm_sample_free(out);
    return st;
}

lcm_status lcm_sample_of_sonar(lcm_ctx *ctx, lcm_sample *out, const lcm_sonar_file *f) {
    json_t *texts = json_array();
    lcm_status st;
    for (int i = 0; i < N_SENTENCES; i++) json_array_append_new(texts, json_string(sentences[i]));
    st = run_sonar(ctx, out, f, texts, NULL);
    json_decref(texts);
    return st;
}

lcm_status lcm_sample_replay_sonar(lcm_ctx *ctx, lcm_sample *out, const lcm_sonar_file *f, const lcm_sample *in) {
    return run_sonar(ctx, out, f, json_object_get(in->meta, "sentences"), in->vectors);
}

/* ---- Llama ---- */

static lcm_status first_sentence(lcm_ctx *ctx, void *user, const lcm_llama_sentence *s) {
    lcm_buf *text = user;
    return lcm_buf_append(ctx, text, s->text, strlen(s->text));
}

/* Greedily, one sentence. */
static lcm_status continue_text(lcm_ctx *ctx, json_t *out, const lcm_llama_file *f, const char *text, size_t len) {
    lcm_llama_story_opts o = {.sentences = 1};
    lcm_buf b = {0};
    lcm_status st = lcm_buf_append(ctx, &b, "", 0);
    if (st == LCM_OK) st = lcm_llama_tell(ctx, NULL, f, text, len, &o, first_sentence, &b);
    if (st == LCM_OK && json_array_append_new(out, json_stringn(b.data, b.len)) != 0)
        st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: sample");
    lcm_buf_free(&b);
    return st;
}

static lcm_status run_llama(lcm_ctx *ctx, lcm_sample *s, const lcm_llama_file *f, json_t *texts) {
    lcm_llama_score_opts end = {.end = true};
    json_t *decoded = json_array();
    lcm_status st = alloc(ctx, s, (int64_t)json_array_size(texts), 1, false);
    for (size_t i = 0; st == LCM_OK && i < json_array_size(texts); i++) {
        const json_t *t = json_array_get(texts, i);
        lcm_llama_text x = {.text = json_string_value(t), .len = json_string_length(t)};
        lcm_llama_score score;
        st = lcm_llama_score_texts(ctx, &score, f, &x, 1, &end);
        if (st == LCM_OK) s->vectors[i] = (real)score.log_prob;
        if (st == LCM_OK) st = continue_text(ctx, decoded, f, x.text, x.len);
    }
    if (st == LCM_OK && (s->meta = json_pack("{s:O, s:O}", "sentences", texts, "decoded", decoded)) == NULL)
        st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: sample");
    json_decref(decoded);
    if (st) lcm_sample_free(s);
    return st;
}

lcm_status lcm_sample_of_llama(lcm_ctx *ctx, lcm_sample *out, const lcm_llama_file *f) {
    json_t *texts = json_array();
    lcm_status st;
    for (int i = 0; i < N_SENTENCES; i++) json_array_append_new(texts, json_string(sentences[i]));
    st = run_llama(ctx, out, f, texts);
    json_decref(texts);
    return st;
}

lcm_status lcm_sample_replay_llama(lcm_ctx *ctx, lcm_sample *out, const lcm_llama_file *f, const lcm_sample *in) {
    return run_llama(ctx, out, f, json_object_get(in->meta, "sentences"));
}

/* ---- Concept models ---- */

typedef struct settings {
    int64_t seed, steps;
    double guidance_scale;
} settings;

static const lcm_field settings_fields[] = {
    LCM_F_INT(settings, seed, 0, 9e15, "of the noise"),
    LCM_F_INT(settings, steps, 1, 100000, "noise levels"),
    LCM_F_REAL(settings, guidance_scale, 0, 100, "1 = off"),
    LCM_F_END};

static lcm_status predict(lcm_ctx *ctx, lcm_sample *s, const lcm_model *m, const settings *o) {
    int32_t off[2] = {0, (int32_t)s->n};
    lcm_prompts prompts = {.n = 1, .x = s->vectors, .off = off};
    lcm_generate_config c = lcm_generate_config_default();
    lcm_generated g;
    c.max_gen_len = 1;
    c.seed = o->seed;
    c.sampler.steps = o->steps;
    c.sampler.guidance_scale = o->guidance_scale;
    LCM_TRY(lcm_generate(ctx, &g, m, &prompts, &c, NULL));
    memcpy(s->next, g.x, (size_t)s->D * sizeof *s->next);
    lcm_generated_free(&g);
    return LCM_OK;
}

static lcm_status run_model(lcm_ctx *ctx, lcm_sample *s, const lcm_model *m, const settings *o) {
    lcm_status st = predict(ctx, s, m, o);
    if (st == LCM_OK && (s->meta = lcm_config_write(o, settings_fields)) == NULL)
        st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: sample");
    return st;
}

lcm_status lcm_sample_of_model(lcm_ctx *ctx, lcm_sample *out, const lcm_model *m) {
    int64_t D = m->embed_dim, N = m->schedule ? m->schedule->config.train_steps : STEPS;
    int64_t n = N_PROMPT < m->max_seq_len ? N_PROMPT : m->max_seq_len;
    settings o = {SEED, STEPS < N ? STEPS : N, m->has_guidance ? 3 : 1};
    lcm_rng rng = lcm_rng_make(SEED, LCM_RNG_TEST);
    lcm_status st = alloc(ctx, out, n, D, true);
    for (int64_t i = 0; st == LCM_OK && i < n * D; i++) { /* like real concepts: of the normaliser's place and spread */
        double z = lcm_rng_normal(&rng);
        out->vectors[i] = m->normalizer ? (real)(m->normalizer->center[i % D] + 0.5 * z * m->normalizer->scale[i % D]) : (real)z;
    }
    if (st == LCM_OK) st = run_model(ctx, out, m, &o);
    if (st) lcm_sample_free(out);
    return st;
}

lcm_status lcm_sample_replay_model(lcm_ctx *ctx, lcm_sample *out, const lcm_model *m, const lcm_sample *in) {
    settings o = {0};
    lcm_status st;
    memset(out, 0, sizeof *out);
    LCM_TRY(lcm_config_read(ctx, &o, settings_fields, in->meta, LCM_SAMPLE_META));
    st = alloc(ctx, out, in->n, in->D, true);
    if (st == LCM_OK) {
        memcpy(out->vectors, in->vectors, (size_t)(in->n * in->D) * sizeof *in->vectors);
        st = run_model(ctx, out, m, &o);
    }
    if (st) lcm_sample_free(out);
    return st;
}

/* ---- Files ---- */

lcm_status lcm_sample_put(lcm_ctx *ctx, lcm_st_writer *w, const lcm_sample *s) {
    int64_t dims[2] = {s->n, s->D}, one[2] = {1, s->D};
    char *text = json_dumps(s->meta, JSON_COMPACT | JSON_PRESERVE_ORDER);
    lcm_status st = text ? lcm_st_writer_meta(ctx, w, LCM_SAMPLE_META, text) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: sample");
    free(text);
    LCM_TRY(st);
    if (s->next == NULL) return lcm_st_writer_add_real(ctx, w, LCM_SAMPLE_PREFIX "vectors", LCM_DT_F32, dims, 2, s->vectors);
    LCM_TRY(lcm_st_writer_add_real(ctx, w, LCM_SAMPLE_PREFIX "prompt", LCM_DT_F32, dims, 2, s->vectors));
    return lcm_st_writer_add_real(ctx, w, LCM_SAMPLE_PREFIX "next", LCM_DT_F32, one, 2, s->next);
}

static lcm_status check_texts(lcm_ctx *ctx, const lcm_sample *s) {
    static const char *const keys[] = {"sentences", "decoded"};
    for (int k = 0; k < 2; k++) {
        const json_t *list = json_object_get(s->meta, keys[k]);
        if ((int64_t)json_array_size(list) != s->n)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, LCM_SAMPLE_META ".%s: a list of %lld texts is required", keys[k], (long long)s->n);
        for (size_t i = 0; i < (size_t)s->n; i++)
            if (!json_is_string(json_array_get(list, i)))
                LCM_FAIL(ctx, LCM_ERR_FORMAT, LCM_SAMPLE_META ".%s[%zu] is not a text", keys[k], i);
    }
    return LCM_OK;
}

static lcm_status read_finite(lcm_ctx *ctx, real *dst, const lcm_st_tensor *t, int64_t n) {
    LCM_TRY(lcm_st_read_real(ctx, dst, t, n));
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(dst[i])) LCM_FAIL(ctx, LCM_ERR_NUMERIC, "tensor '%s': element %lld is not finite", t->name, (long long)i);
    return LCM_OK;
}

static lcm_status read_rows(lcm_ctx *ctx, lcm_sample *s, const lcm_st *st, bool texts, int64_t D) {
    const lcm_st_tensor *t, *next = NULL;
    int64_t one[2] = {1, D};
    LCM_TRY(lcm_st_require(ctx, &t, st, texts ? LCM_SAMPLE_PREFIX "vectors" : LCM_SAMPLE_PREFIX "prompt", NULL, 0));
    if (t->ndim != 2 || t->dims[1] != D || t->dims[0] < 1 || t->dims[0] > MAX_ROWS)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "tensor '%s': 1 to %d rows of %lld are required", t->name, MAX_ROWS, (long long)D);
    if (!texts) LCM_TRY(lcm_st_require(ctx, &next, st, LCM_SAMPLE_PREFIX "next", one, 2));
    LCM_TRY(alloc(ctx, s, t->dims[0], D, !texts));
    LCM_TRY(read_finite(ctx, s->vectors, t, s->n * D));
    return next ? read_finite(ctx, s->next, next, D) : LCM_OK;
}

lcm_status lcm_sample_get(lcm_ctx *ctx, lcm_sample *out, const lcm_st *st, bool texts, int64_t D) {
    const char *meta = lcm_st_meta(st, LCM_SAMPLE_META);
    lcm_status status;
    memset(out, 0, sizeof *out);
    if (meta == NULL) LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "the file has no self-test sample; lcm export --selftest adds one");
    status = read_rows(ctx, out, st, texts, D);
    if (status == LCM_OK) status = lcm_json_parse(ctx, &out->meta, meta, strlen(meta), LCM_SAMPLE_META);
    if (status == LCM_OK && texts) status = check_texts(ctx, out);
    if (status) lcm_sample_free(out);
    return status;
}
