/* include/lcm/eval.h over src/eval. */
#include "lcm/eval.h"

#include <stdlib.h>

#include "api/eval_int.h"
#include "base/io.h"
#include "eval/reconstruct.h"

/* ---- what the tasks share ---- */

lcm_status lcm_coder_open(lcm_ctx *ctx, lcm_coder *c, const char *path, int64_t beam) {
    lcm_status st;
    if (path == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "no SONAR model given");
    if (beam < 1 || beam > LCM_MAX_BEAM) LCM_FAIL(ctx, LCM_ERR_ARG, "beam %lld is outside 1 … %d", (long long)beam, LCM_MAX_BEAM);
    LCM_TRY(lcm_sonar_load(ctx, &c->file, path, LCM_SONAR_BOTH));
    c->beam = lcm_beam_opts_default();
    c->beam.beam_size = beam;
    st = lcm_codec_new(ctx, &c->codec, &c->file);
    if (st) lcm_sonar_file_close(&c->file);
    return st;
}

void lcm_coder_close(lcm_coder *c) {
    if (c->codec == NULL) return;
    lcm_codec_free(c->codec);
    lcm_sonar_file_close(&c->file);
}

lcm_status lcm_coder_set_lang(lcm_ctx *ctx, lcm_coder *c, const char *lang) {
    if (lang == NULL || c->file.lang < 0) return LCM_OK;
    return lcm_tokenizer_lang_id(ctx, &c->file.lang, c->file.tok, lang);
}

json_t *lcm_eval_report_new(const char *task, const char *sonar, const lcm_coder *c) {
    return json_pack("{s:s, s:s, s:I, s:s, s:I}", "task", task, "sonar", sonar, "sonar_parameters",
                     (json_int_t)c->file.net->parameters, "space", c->file.space_hex, "beam", (json_int_t)c->beam.beam_size);
}

json_t *lcm_eval_seeds(const int64_t *seeds, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) lcm_report_append(&list, json_integer(seeds[i]));
    return list;
}

json_t *lcm_eval_counts(const lcm_sentences_report *r) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "documents", (json_int_t)r->docs, "sentences", (json_int_t)r->sentences,
                     "too_long", (json_int_t)r->long_sentences, "empty", (json_int_t)r->empty, "short_documents",
                     (json_int_t)r->short_docs, "bad_documents", (json_int_t)r->bad_docs);
}

lcm_status lcm_eval_load_model(lcm_ctx *ctx, lcm_model **out, lcm_model_meta *meta, const char *path, const lcm_coder *c) {
    lcm_status st;
    LCM_TRY(lcm_model_load(ctx, out, meta, path, false));
    st = lcm_model_check_space(ctx, meta->space, path, c->file.space);
    if (st == LCM_OK) return LCM_OK;
    lcm_model_meta_free(meta);
    lcm_model_free(*out);
    *out = NULL;
    return st;
}

lcm_status lcm_eval_generation(lcm_ctx *ctx, lcm_generate_config *out, const lcm_generation *g) {
    LCM_TRY(lcm_generation_check(ctx, g));
    *out = lcm_generation_settings(g);
    return LCM_OK;
}

json_t *lcm_eval_sampling(const lcm_generation *g) {
    return json_pack("{s:I, s:f, s:f, s:f, s:b, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:f}", "candidates", (json_int_t)g->candidates, "min_score", g->min_score, "decoder_temperature", g->decoder_temperature,
                     "decoder_top_p", g->decoder_top_p, "block_doubles", (int)g->block_doubles, "steps", (json_int_t)g->steps, "guidance_scale", g->guidance_scale,
                     "guidance_rescale", g->guidance_rescale, "initial_noise_scale", g->initial_noise_scale, "epsilon_scaling",
                     g->epsilon_scaling, "final_noise", g->final_noise, "temperature", g->temperature, "top_k",
                     (json_int_t)g->top_k, "top_p", g->top_p);
}

/* ---- reconstruct ---- */

lcm_eval_reconstruct_opts lcm_eval_reconstruct_defaults(void) {
    static const double clean[1] = {0};
    return (lcm_eval_reconstruct_opts){.max_tokens = 40, .noise = clean, .n_noise = 1, .beam = 1, .seed = 1};
}

static json_t *reconstruction_row(const lcm_reconstruction *r) {
    return json_pack("{s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "noise", r->noise, "sentences", (json_int_t)r->sentences,
                     "exact", (double)r->exact / (double)r->sentences, "bleu", r->bleu, "chrf", r->chrf, "l2", r->l2, "tokens",
                     r->mean_tokens, "decode_per_second", r->decode_per_second);
}

static lcm_status reconstruct(lcm_ctx *ctx, char **report, const lcm_eval_reconstruct_opts *o, lcm_coder *c, lcm_sentences *s,
                              real **x, lcm_reconstruction *rows) {
    lcm_sentences_opts so = {.lang = o->lang, .presegmented = o->presegmented, .max_sentences = o->max_sentences,
                             .max_pieces = o->max_tokens};
    lcm_sentences_report sr;
    json_t *root, *list;
    int64_t n_cut = 0;
    double t0;
    LCM_TRY(lcm_sentences_read(ctx, s, &sr, c->file.tok, o->inputs, o->n_inputs, &so));
    LCM_TRY(lcm_calloc(ctx, x, (size_t)(s->n * lcm_codec_dim(c->codec)), sizeof **x));
    t0 = lcm_now();
    LCM_TRY(lcm_sentences_encode(ctx, *x, &n_cut, c->codec, s, 0, s->n));
    t0 = (double)s->n / (lcm_now() - t0);
    LCM_TRY(lcm_reconstruct(ctx, rows, c->codec, c->file.tok, s, *x, o->noise, o->n_noise, &c->beam, (uint64_t)o->seed));
    root = lcm_eval_report_new("reconstruct", o->sonar, c);
    list = json_array();
    for (size_t i = 0; i < o->n_noise; i++) lcm_report_append(&list, reconstruction_row(&rows[i]));
    lcm_report_set(&root, "seed", json_integer(o->seed));
    lcm_report_set(&root, "input", lcm_eval_counts(&sr));
    lcm_report_set(&root, "cut_by_encoder", json_integer(n_cut));
    lcm_report_set(&root, "mean_tokens", json_real((double)sr.pieces / (double)s->n));
    lcm_report_set(&root, "encode_per_second", json_real(t0));
    lcm_report_set(&root, "rows", list);
    return lcm_report_finish(ctx, report, root);
}

lcm_status lcm_eval_reconstruct(lcm_ctx *ctx, char **report, const lcm_eval_reconstruct_opts *opts) {
    lcm_coder c = {0};
    lcm_sentences s = {0};
    lcm_reconstruction *rows = NULL;
    real *x = NULL;
    lcm_status st = lcm_coder_open(ctx, &c, opts->sonar, opts->beam);
    *report = NULL;
    if (!opts->likeliest) c.beam.nearest_rounds = LCM_NEAREST_ROUNDS;
    if (st == LCM_OK) st = lcm_coder_set_lang(ctx, &c, opts->lang);
    if (st == LCM_OK) st = lcm_calloc(ctx, &rows, opts->n_noise + 1, sizeof *rows);
    if (st == LCM_OK) st = reconstruct(ctx, report, opts, &c, &s, &x, rows);
    lcm_sentences_free(&s);
    lcm_coder_close(&c);
    free(rows);
    free(x);
    return st;
}
