/* include/lcm/bundle.h: a folder with a SONAR file, a concept model and bundle.json. */
#include "lcm/bundle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/bundle_int.h"
#include "lcm/model_io.h"
#include "sonar/codec.h"

static const char *const feedback_names[] = {"vector", "text", NULL};

static const lcm_field generation_fields[] = {
    LCM_F_INT(lcm_generation, concepts, 1, 1048576, "sentences at most"),
    LCM_F_INT(lcm_generation, seed, 0, 9e15, "of the noise"),
    LCM_F_INT(lcm_generation, beam, 1, LCM_MAX_BEAM, "hypotheses of the decoder"),
    LCM_F_INT(lcm_generation, candidates, 1, LCM_MAX_CANDIDATES, "concepts drawn for each sentence"),
    LCM_F_REAL(lcm_generation, decoder_temperature, 0, 100, "of the words that the decoder draws; 0 = beam search"),
    LCM_F_REAL(lcm_generation, decoder_top_p, 0, 1, "probability of the words it draws from, 0 and 1 = all"),
    LCM_F_BOOL(lcm_generation, block_doubles, "no word twice in a row"),
    LCM_F_ENUM(lcm_generation, feedback, feedback_names, "what is read back"),
    LCM_F_REAL(lcm_generation, eos_threshold, -1, 2, "end at this cosine with the end of text"),
    LCM_F_REAL(lcm_generation, repetition_threshold, 0, 2, "end at this cosine with the concept before, 0 = never"),
    LCM_F_INT(lcm_generation, steps, 1, 100000, "noise levels visited"),
    LCM_F_REAL(lcm_generation, guidance_scale, 0, 100, "1 = off"),
    LCM_F_REAL(lcm_generation, guidance_rescale, 0, 1, "of guided predictions"),
    LCM_F_REAL(lcm_generation, initial_noise_scale, 0, 100, "standard deviation of the first noise"),
    LCM_F_REAL(lcm_generation, epsilon_scaling, 0.5, 2, "divisor of predicted noise"),
    LCM_F_REAL(lcm_generation, min_score, -100, 0, "score at which a candidate is taken"),
    LCM_F_REAL(lcm_generation, final_noise, 0, 0.9, "share of noise left for the decoder"),
    LCM_F_REAL(lcm_generation, temperature, 0, 100, "noise on predictions (base); of the softmax (llama, quant)"),
    LCM_F_INT(lcm_generation, top_k, 0, 1e9, "likeliest tokens or units to draw from (llama, quant), 0 = all"),
    LCM_F_REAL(lcm_generation, top_p, 0, 1, "probability of the tokens or units to draw from (llama, quant), 0 and 1 = all"),
    LCM_F_END};

static const lcm_field config_fields[] = {
    LCM_F_INT(lcm_bundle_config, format, 1, 1e9, "of this file"),
    LCM_F_STRING(lcm_bundle_config, sonar, "SONAR file"),
    LCM_F_STRING(lcm_bundle_config, lcm, "concept model"),
    LCM_F_STRING(lcm_bundle_config, decoder, "SONAR file whose decoder says what the concept model predicts"),
    LCM_F_STRING(lcm_bundle_config, llama, "token-level model, instead of both"),
    LCM_F_STRING(lcm_bundle_config, end_of_text, "sentence that ends a text"),
    LCM_F_STRING(lcm_bundle_config, lang, "language of the segmenter"),
    LCM_F_STRUCT(lcm_bundle_config, generate, generation_fields, "how to generate"),
    LCM_F_END};

lcm_generation lcm_generation_default(void) {
    lcm_generate_config g = lcm_generate_config_default();
    return (lcm_generation){.concepts = 16, .beam = 5, .candidates = 1, .eos_threshold = g.eos_threshold, .steps = g.sampler.steps,
                            .guidance_scale = g.sampler.guidance_scale, .guidance_rescale = g.sampler.guidance_rescale,
                            .initial_noise_scale = g.sampler.initial_noise_scale,
                            .epsilon_scaling = g.sampler.epsilon_scaling, .top_p = 1, .decoder_top_p = 1};
}

lcm_beam_opts lcm_generation_beam(const lcm_generation *g) {
    lcm_beam_opts o = lcm_beam_opts_default();
    o.beam_size = g->beam;
    o.predicted = true;
    o.block_doubles = g->block_doubles;
    o.draw = (lcm_draw_opts){.sampler = {.temperature = g->decoder_temperature, .top_p = g->decoder_top_p}, .seed = (uint64_t)g->seed};
    return o;
}

lcm_generate_config lcm_generation_settings(const lcm_generation *g) {
    lcm_generate_config c = lcm_generate_config_default();
    c.max_gen_len = g->concepts;
    c.min_gen_len = 0; /* the first concept may say that nothing follows */
    c.eos_threshold = g->eos_threshold;
    c.repetition_threshold = g->repetition_threshold;
    c.seed = g->seed;
    c.temperature = g->temperature;
    c.top_k = g->top_k;
    c.top_p = g->top_p;
    c.candidates = g->candidates;
    c.min_score = g->min_score;
    c.sampler.steps = g->steps;
    c.sampler.guidance_scale = g->guidance_scale;
    c.sampler.guidance_rescale = g->guidance_rescale;
    c.sampler.initial_noise_scale = g->initial_noise_scale;
    c.sampler.final_noise = g->final_noise;
    c.sampler.epsilon_scaling = g->epsilon_scaling;
    return c;
}

/* Out into JSON and in again: one table holds the limits. */
lcm_status lcm_generation_check(lcm_ctx *ctx, const lcm_generation *g) {
    lcm_generation copy;
    json_t *j;
    lcm_status st;
    if (g->feedback != LCM_FEEDBACK_VECTOR && g->feedback != LCM_FEEDBACK_TEXT)
        LCM_FAIL(ctx, LCM_ERR_ARG, "generate.feedback: %d is neither vector nor text", g->feedback);
    if (g->final_noise > 0 && g->feedback != LCM_FEEDBACK_TEXT)
        LCM_FAIL(ctx, LCM_ERR_ARG, "generate.final_noise %g needs feedback \"text\": the vector itself stays noised", g->final_noise);
    j = lcm_config_write(g, generation_fields);
    if (j == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "generate: a number is not finite, or out of memory");
    st = lcm_config_read(ctx, &copy, generation_fields, j, "generate");
    json_decref(j);
    return st;
}

/* ---- bundle.json ---- */

/* Relative, and no step leads out: no "..", no empty part. */
static bool stays_inside(const char *path) {
    for (const char *p = path;; p++) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 2 && p[0] == '.' && p[1] == '.')) return false;
        p += n;
        if (*p == '\0') return true;
    }
}

static lcm_status join(lcm_ctx *ctx, char *dst, size_t cap, const char *dir, const char *key, const char *name) {
    if (!stays_inside(name)) LCM_FAIL(ctx, LCM_ERR_ARG, "bundle.json.%s: '%s' does not stay inside the folder", key, name);
    return lcm_path_join(ctx, dst, cap, dir, name);
}

static lcm_status read_config(lcm_ctx *ctx, lcm_bundle_config *c, const char *dir) {
    char path[LCM_PATH_MAX];
    json_t *j;
    lcm_status st;
    *c = (lcm_bundle_config){.format = 0, .end_of_text = "End of text.", .lang = "en", .generate = lcm_generation_default()};
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, "bundle.json"));
    LCM_TRY(lcm_json_load(ctx, &j, path));
    st = lcm_config_read(ctx, c, config_fields, j, "bundle.json");
    c->own_end = json_object_get(j, "end_of_text") != NULL;
    json_decref(j);
    LCM_TRY(st);
    if (c->format == 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': the key 'format' is missing", path);
    if (c->format != LCM_BUNDLE_FORMAT)
        LCM_FAIL(ctx, LCM_ERR_VERSION, "'%s': format %" PRId64 ", this build reads %d", path, c->format, LCM_BUNDLE_FORMAT);
    if (c->llama[0] && (c->sonar[0] || c->lcm[0] || c->decoder[0]))
        LCM_FAIL(ctx, LCM_ERR_ARG, "'%s': 'llama' stands instead of 'sonar', 'lcm' and 'decoder'", path);
    if (c->decoder[0] && c->lcm[0] == '\0') LCM_FAIL(ctx, LCM_ERR_ARG, "'%s': 'decoder' needs an 'lcm' to speak for", path);
    if (c->sonar[0] == '\0' && c->llama[0] == '\0')
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': the key 'sonar' is missing", path);
    return LCM_OK;
}

static lcm_status locate(lcm_ctx *ctx, lcm_bundle_config *c, lcm_bundle_paths *p, const char *path) {
    *p = (lcm_bundle_paths){{0}, {0}, {0}};
    if (!lcm_is_dir(path)) {
        *c = (lcm_bundle_config){.format = LCM_BUNDLE_FORMAT, .lang = "en", .generate = lcm_generation_default()};
        if ((size_t)snprintf(p->sonar, sizeof p->sonar, "%s", path) >= sizeof p->sonar)
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "path of more than %zu bytes", sizeof p->sonar - 1);
        return LCM_OK;
    }
    LCM_TRY(read_config(ctx, c, path));
    if (c->llama[0]) return join(ctx, p->lcm, sizeof p->lcm, path, "llama", c->llama);
    LCM_TRY(join(ctx, p->sonar, sizeof p->sonar, path, "sonar", c->sonar));
    if (c->decoder[0]) LCM_TRY(join(ctx, p->decoder, sizeof p->decoder, path, "decoder", c->decoder));
    return c->lcm[0] ? join(ctx, p->lcm, sizeof p->lcm, path, "lcm", c->lcm) : LCM_OK;
}

lcm_status lcm_bundle_files(lcm_ctx *ctx, lcm_bundle_paths *out, const char *path) {
    lcm_bundle_config c;
    return locate(ctx, &c, out, path);
}

/* ---- Loading ---- */

static lcm_status read_prompt(lcm_ctx *ctx, lcm_bundle *b, const lcm_model_meta *meta) {
    if (meta->prompt && lcm_config_read(ctx, &b->prompt, lcm_affix_fields, meta->prompt, "lcm.prompt"))
        return lcm_fail_within(ctx, LCM_ERR_FORMAT, "'%s'", b->paths.lcm);
    if (meta->prompt == NULL || b->config.own_end)
        memcpy(b->prompt.end_of_text, b->config.end_of_text, sizeof b->prompt.end_of_text);
    return LCM_OK;
}

static lcm_status load_model(lcm_ctx *ctx, lcm_bundle *b) {
    lcm_model_meta meta;
    lcm_status st;
    LCM_TRY(lcm_model_load(ctx, &b->model, &meta, b->paths.lcm, false));
    st = lcm_model_check_space(ctx, meta.space, b->paths.lcm, b->sonar.space);
    if (st == LCM_OK) st = read_prompt(ctx, b, &meta);
    lcm_model_meta_free(&meta);
    LCM_TRY(st);
    if (b->model->embed_dim != lcm_sonar_dim(&b->sonar.config))
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "'%s' reads concepts of %" PRId64 " numbers, the encoder gives %" PRId64, b->paths.lcm,
                 b->model->embed_dim, lcm_sonar_dim(&b->sonar.config));
    return LCM_OK;
}

static lcm_status encode_affixes(lcm_ctx *ctx, lcm_bundle *b) {
    lcm_codec *codec;
    lcm_status st;
    LCM_TRY(lcm_codec_new(ctx, &codec, &b->sonar));
    st = lcm_affixes_encode(ctx, &b->affixes, &b->prompt, codec, NULL);
    lcm_codec_free(codec);
    b->end = b->affixes.x[LCM_AFFIX_END];
    return st;
}

static lcm_status load_llama(lcm_ctx *ctx, lcm_bundle *b, int parts) {
    if (!(parts & LCM_LOAD_MODEL))
        LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' is a model of tokens: it has no concepts to encode or decode", b->paths.lcm);
    LCM_TRY(lcm_llama_load(ctx, &b->llama, b->paths.lcm, false));
    b->parts = LCM_LOAD_MODEL;
    b->info = (lcm_bundle_info){.lcm = b->paths.lcm, .end_of_text = b->config.end_of_text, .lang = b->config.lang,
                                .kind = "llama", .max_tokens = b->llama.model->config.max_position_embeddings,
                                .generation = b->config.generate};
    lcm_space_format(b->info.space, 0);
    return LCM_OK;
}

static void fill_info(lcm_bundle *b) {
    b->info = (lcm_bundle_info){.sonar = b->paths.sonar, .lcm = b->paths.lcm[0] ? b->paths.lcm : NULL,
                                .decoder = b->paths.decoder[0] ? b->paths.decoder : NULL,
                                .end_of_text = b->model ? b->prompt.end_of_text : b->config.end_of_text, .lang = b->config.lang,
                                .dim = lcm_sonar_dim(&b->sonar.config), .kind = b->model ? b->model->type->name : NULL,
                                .max_concepts = b->model ? b->model->max_seq_len : 0, .generation = b->config.generate,
                                .instructed = lcm_affixes_any(&b->prompt)};
    memcpy(b->info.space, b->sonar.space_hex, sizeof b->info.space);
}

static lcm_status load(lcm_ctx *ctx, lcm_bundle *b, const char *path, int parts) {
    LCM_TRY(locate(ctx, &b->config, &b->paths, path));
    if (b->paths.lcm[0] == '\0' && lcm_llama_is(b->paths.sonar)) { /* a file by itself */
        memcpy(b->paths.lcm, b->paths.sonar, sizeof b->paths.lcm);
        b->paths.sonar[0] = '\0';
    }
    if (b->paths.sonar[0] == '\0') return load_llama(ctx, b, parts);
    if (parts & LCM_LOAD_MODEL) {
        if (b->paths.lcm[0] == '\0') LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "'%s' holds no concept model; a bundle folder does", path);
        parts |= LCM_LOAD_ENCODER;
    }
    b->parts = parts;
    LCM_TRY(lcm_sonar_load(ctx, &b->sonar, b->paths.sonar, parts & (LCM_LOAD_ENCODER | LCM_LOAD_DECODER)));
    if (b->paths.decoder[0] && (parts & LCM_LOAD_MODEL) && (parts & LCM_LOAD_DECODER))
        LCM_TRY(lcm_sonar_load(ctx, &b->voice, b->paths.decoder, LCM_SONAR_DECODER));
    if (parts & LCM_LOAD_MODEL) {
        LCM_TRY(load_model(ctx, b));
        LCM_TRY(encode_affixes(ctx, b));
    }
    fill_info(b);
    return LCM_OK;
}

static_assert((int)LCM_LOAD_ENCODER == (int)LCM_SONAR_ENCODER && (int)LCM_LOAD_DECODER == (int)LCM_SONAR_DECODER,
              "parts of the public interface and of SONAR files");

lcm_status lcm_bundle_open(lcm_ctx *ctx, lcm_bundle **out, const char *path, int parts) {
    lcm_bundle *b;
    lcm_status st;
    *out = NULL;
    if (parts < 1 || parts > 7) LCM_FAIL(ctx, LCM_ERR_ARG, "parts %d of a bundle, 1 to 7 exist", parts);
    LCM_TRY(lcm_calloc(ctx, &b, 1, sizeof *b));
    st = load(ctx, b, path, parts);
    if (st) {
        lcm_bundle_close(b);
        return st;
    }
    *out = b;
    return LCM_OK;
}

void lcm_bundle_close(lcm_bundle *b) {
    if (b == NULL) return;
    lcm_model_free(b->model);
    lcm_sonar_file_close(&b->sonar);
    lcm_sonar_file_close(&b->voice);
    lcm_affixes_free(&b->affixes);
    lcm_llama_file_close(&b->llama);
    free(b);
}

const lcm_bundle_info *lcm_bundle_get_info(const lcm_bundle *b) { return &b->info; }

lcm_status lcm_bundle_lang(lcm_ctx *ctx, int32_t *id, const lcm_bundle *b, const char *lang) {
    *id = -1;
    if (lang == NULL || *lang == '\0') return LCM_OK;
    return lcm_tokenizer_lang_id(ctx, id, b->sonar.tok, lang);
}
