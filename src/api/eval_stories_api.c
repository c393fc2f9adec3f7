/* lcm_eval_stories: continued documents beside the real ones. */
#include <stdlib.h>
#include <string.h>

#include "api/eval_int.h"
#include "eval/stories.h"
#include "sonar/affixes.h"

typedef struct bench {
    const lcm_eval_stories_opts *o;
    lcm_coder coder;
    lcm_sonar_file voice; /* of o->decoder */
    lcm_beam_opts written; /* search of what models write */
    lcm_generate_config config;
    lcm_sentences docs;
    lcm_sentences_report report;
    int64_t D, n_cut;
    real *x, *prompt; /* all sentences; the given ones */
    int32_t *off;
    lcm_strset vocab;
    json_t *rows, *stories;
} bench;

lcm_eval_stories_opts lcm_eval_stories_defaults(void) {
    static const int64_t one[1] = {1};
    lcm_eval_stories_opts o = {.stories = 100, .given = 3, .seeds = one, .n_seeds = 1, .generation = lcm_generation_default()};
    o.generation.beam = 1;
    o.generation.concepts = 12;
    return o;
}

/* ---- inputs ---- */

static lcm_status read_vocab(lcm_ctx *ctx, bench *b) {
    lcm_docs_opts none = {0};
    lcm_docs *docs = NULL;
    lcm_words scratch = {0};
    lcm_status st = lcm_docs_open(ctx, &docs, b->o->vocab, b->o->n_vocab, &none);
    while (st == LCM_OK) {
        lcm_doc doc;
        st = lcm_docs_next(ctx, &doc, docs);
        if (st || doc.text == NULL) break;
        st = lcm_vocab_add(ctx, &b->vocab, &scratch, doc.text, doc.len);
    }
    lcm_docs_close(docs);
    lcm_words_free(&scratch);
    return st;
}

static lcm_status open_inputs(lcm_ctx *ctx, bench *b) {
    const lcm_eval_stories_opts *o = b->o;
    lcm_sentences_opts so = {.lang = o->lang, .max_docs = o->stories, .min_doc = o->given + 1};
    if (o->n_seeds < 1 || o->stories < 1 || o->given < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "seeds, stories and given must be 1 or more");
    LCM_TRY(lcm_eval_generation(ctx, &b->config, &o->generation));
    LCM_TRY(lcm_coder_open(ctx, &b->coder, o->sonar, o->generation.beam));
    if (o->decoder) {
        LCM_TRY(lcm_sonar_load(ctx, &b->voice, o->decoder, LCM_SONAR_DECODER));
        LCM_TRY(lcm_codec_set_voice(ctx, b->coder.codec, &b->voice, o->decoder));
    }
    b->written = lcm_generation_beam(&o->generation);
    b->D = lcm_codec_dim(b->coder.codec);
    LCM_TRY(lcm_sentences_read(ctx, &b->docs, &b->report, b->coder.file.tok, o->prompts, o->n_prompts, &so));
    if (o->n_vocab) LCM_TRY(read_vocab(ctx, b));
    LCM_TRY(lcm_calloc(ctx, &b->x, (size_t)(b->docs.n * b->D), sizeof *b->x));
    LCM_TRY(lcm_calloc(ctx, &b->prompt, (size_t)(b->docs.n_docs * o->given * b->D), sizeof *b->prompt));
    LCM_TRY(lcm_calloc(ctx, &b->off, (size_t)b->docs.n_docs + 1, sizeof *b->off));
    LCM_TRY(lcm_sentences_encode(ctx, b->x, &b->n_cut, b->coder.codec, &b->docs, 0, b->docs.n));
    for (int64_t d = 0; d < b->docs.n_docs; d++) {
        int64_t n, first = lcm_sentences_doc(&b->docs, d, &n);
        b->off[d + 1] = (int32_t)((d + 1) * o->given);
        memcpy(b->prompt + b->off[d] * b->D, b->x + first * b->D, (size_t)(o->given * b->D) * sizeof *b->x);
    }
    return LCM_OK;
}

/* ---- rows ---- */

/* m: NULL for the real texts; values: (LCM_STORY_COLUMNS, n) */
static void add_row(bench *b, const char *name, const char *file, const lcm_model *m, size_t seeds, const double *values, size_t n) {
    json_t *row = json_pack("{s:s, s:s?, s:I, s:I, s:I, s:I}", "text", name, "file", file, "parameters",
                            (json_int_t)(m ? lcm_model_parameters(m) : 0), "fixed", (json_int_t)(m ? lcm_model_fixed(m) : 0), "seeds",
                            (json_int_t)seeds, "stories", (json_int_t)b->docs.n_docs);
    for (size_t c = 0; c < LCM_STORY_COLUMNS; c++)
        lcm_report_set(&row, lcm_story_columns[c].name, lcm_report_spread(values + c * n, n));
    lcm_report_append(&b->rows, row);
}

static lcm_status measure_into(lcm_ctx *ctx, bench *b, double *values, const lcm_stories *s, size_t i, size_t n) {
    double one[LCM_STORY_COLUMNS];
    LCM_TRY(lcm_stories_measure(ctx, one, s, b->o->n_vocab ? &b->vocab : NULL));
    for (size_t c = 0; c < LCM_STORY_COLUMNS; c++) values[c * n + i] = one[c];
    return LCM_OK;
}

static lcm_status eval_real(lcm_ctx *ctx, bench *b, bool decoded) {
    double values[LCM_STORY_COLUMNS];
    lcm_stories s;
    lcm_status st;
    LCM_TRY(lcm_stories_real(ctx, &s, b->coder.codec, &b->docs, b->x, b->o->given, b->o->generation.concepts, decoded,
                             &b->coder.beam));
    st = measure_into(ctx, b, values, &s, 0, 1);
    for (int c = LCM_STORY_COLUMNS - LCM_STOPS; c < LCM_STORY_COLUMNS; c++) values[c] = NAN; /* nobody stopped it */
    if (st == LCM_OK) add_row(b, decoded ? "real, decoded" : "real", NULL, NULL, 0, values, 1);
    lcm_stories_free(&s);
    return st;
}

/* ---- models ---- */

static json_t *texts(const lcm_sentences *s, int64_t first, int64_t n) {
    json_t *list = json_array();
    for (int64_t i = first; i < first + n; i++) lcm_report_append(&list, json_string(lcm_sentences_at(s, i, NULL)));
    return list;
}

static void add_stories(bench *b, const lcm_stories *s, const char *file, int64_t seed) {
    for (int64_t d = 0; d < b->o->print && d < s->text.n_docs; d++) {
        int64_t n, n_prompt, first = lcm_sentences_doc(&s->text, d, &n), prompt = lcm_sentences_doc(&b->docs, d, &n_prompt);
        lcm_report_append(&b->stories, json_pack("{s:s, s:I, s:I, s:o, s:o}", "file", file, "seed", (json_int_t)seed, "story",
                                                 (json_int_t)d + 1, "prompt", texts(&b->docs, prompt, b->o->given),
                                                 "continuation", texts(&s->text, first, n)));
    }
}

/* The end-of-text concept into end (D), unless the sentence is empty. */
static lcm_status encode_end(lcm_ctx *ctx, bench *b, real *end, bool *has, const lcm_model_meta *meta) {
    const char *text = b->o->end_of_text;
    size_t len;
    if (text == NULL) text = json_string_value(json_object_get(meta->provenance, "end_of_text"));
    *has = text != NULL && *text != '\0';
    if (!*has) return LCM_OK;
    len = strlen(text);
    return lcm_codec_encode(ctx, end, NULL, b->coder.codec, &text, &len, 1, -1);
}

static lcm_status run_model(lcm_ctx *ctx, bench *b, const lcm_model *m, const char *path, const real *end) {
    const lcm_eval_stories_opts *o = b->o;
    lcm_prompts prompts = {.n = b->docs.n_docs, .x = b->prompt, .off = b->off, .eos = end};
    bool seeded = m->schedule != NULL || b->config.temperature > 0 || b->written.draw.sampler.temperature > 0;
    size_t n = seeded ? o->n_seeds : 1;
    double *values;
    lcm_status st = lcm_calloc(ctx, &values, n * LCM_STORY_COLUMNS, sizeof *values);
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        lcm_generate_config c = b->config;
        lcm_stories s = {0};
        c.seed = o->seeds[i];
        lcm_log(ctx, LCM_LOG_INFO, "%s seed %lld", path, (long long)c.seed);
        st = lcm_stories_generate(ctx, &s, b->coder.codec, m, &prompts, &c, o->generation.feedback == LCM_FEEDBACK_TEXT,
                                  &b->written);
        if (st == LCM_OK) st = measure_into(ctx, b, values, &s, i, n);
        if (st == LCM_OK && i == 0) add_stories(b, &s, path, c.seed);
        lcm_stories_free(&s);
    }
    if (st == LCM_OK) add_row(b, m->type->name, path, m, seeded ? n : 0, values, n);
    free(values);
    return st;
}

/* Stories are continued from their own sentences alone. */
static lcm_status refuse_instructed(lcm_ctx *ctx, const lcm_model_meta *meta) {
    lcm_affix_texts texts = {.end_of_text = ""};
    if (meta->prompt) LCM_TRY(lcm_config_read(ctx, &texts, lcm_affix_fields, meta->prompt, "lcm.prompt"));
    if (lcm_affixes_any(&texts))
        LCM_FAIL(ctx, LCM_ERR_ARG, "tuned to answer prompts with sentences of its own around them: measure it with a task file (lcm eval run)");
    return LCM_OK;
}

static lcm_status eval_model(lcm_ctx *ctx, bench *b, const char *path) {
    lcm_model_meta meta;
    lcm_model *m;
    real *end = NULL;
    bool has_end;
    lcm_status st;
    LCM_TRY(lcm_eval_load_model(ctx, &m, &meta, path, &b->coder));
    st = refuse_instructed(ctx, &meta);
    if (st == LCM_OK) st = lcm_calloc(ctx, &end, (size_t)b->D, sizeof *end);
    if (st == LCM_OK) st = encode_end(ctx, b, end, &has_end, &meta);
    if (st == LCM_OK) st = run_model(ctx, b, m, path, has_end ? end : NULL);
    lcm_model_meta_free(&meta);
    lcm_model_free(m);
    free(end);
    return st ? lcm_fail_within(ctx, st, "'%s'", path) : LCM_OK;
}

/* ---- report ---- */

static lcm_status finish(lcm_ctx *ctx, bench *b, char **report) {
    const lcm_eval_stories_opts *o = b->o;
    json_t *root = lcm_eval_report_new("stories", o->sonar, &b->coder);
    lcm_report_set(&root, "seeds", lcm_eval_seeds(o->seeds, o->n_seeds));
    lcm_report_set(&root, "sampling", lcm_eval_sampling(&o->generation));
    lcm_report_set(&root, "feedback", json_string(o->generation.feedback == LCM_FEEDBACK_TEXT ? "text" : "vector"));
    lcm_report_set(&root, "given", json_integer(o->given));
    lcm_report_set(&root, "concepts", json_integer(o->generation.concepts));
    lcm_report_set(&root, "eos_threshold", json_real(o->generation.eos_threshold));
    lcm_report_set(&root, "repetition_threshold", json_real(o->generation.repetition_threshold));
    lcm_report_set(&root, "input", lcm_eval_counts(&b->report));
    lcm_report_set(&root, "cut_by_encoder", json_integer(b->n_cut));
    lcm_report_set(&root, "vocabulary", json_integer((json_int_t)b->vocab.n));
    lcm_report_set(&root, "rows", json_incref(b->rows));
    if (o->print) lcm_report_set(&root, "stories", json_incref(b->stories));
    return lcm_report_finish(ctx, report, root);
}

lcm_status lcm_eval_stories(lcm_ctx *ctx, char **report, const lcm_eval_stories_opts *opts) {
    bench b = {.o = opts, .rows = json_array(), .stories = json_array()};
    lcm_status st = open_inputs(ctx, &b);
    *report = NULL;
    if (st == LCM_OK) st = eval_real(ctx, &b, false);
    if (st == LCM_OK) st = eval_real(ctx, &b, true);
    for (size_t i = 0; st == LCM_OK && i < opts->n_models; i++) st = eval_model(ctx, &b, opts->models[i]);
    if (st == LCM_OK) st = finish(ctx, &b, report);
    json_decref(b.rows);
    json_decref(b.stories);
    lcm_sentences_free(&b.docs);
    lcm_strset_free(&b.vocab);
    lcm_coder_close(&b.coder);
    lcm_sonar_file_close(&b.voice);
    free(b.x);
    free(b.prompt);
    free(b.off);
    return st;
}
