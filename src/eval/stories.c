/* Stories. */
#include "eval/stories.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/distance.h"
#include "kernels/simd.h"

void lcm_stories_free(lcm_stories *s) {
    lcm_sentences_free(&s->text);
    free(s->x);
    free(s->back);
    free(s->own);
    free(s->own_back);
    memset(s, 0, sizeof *s);
}

static lcm_status alloc(lcm_ctx *ctx, lcm_stories *s, int64_t n) {
    LCM_TRY(lcm_calloc(ctx, &s->x, (size_t)(n * s->D) + 1, sizeof *s->x));
    return lcm_calloc(ctx, &s->back, (size_t)(n * s->D) + 1, sizeof *s->back);
}

/* Round trip of the text itself. */
static lcm_status encode_own(lcm_ctx *ctx, lcm_stories *s, lcm_codec *codec, const lcm_beam_opts *beam) {
    lcm_beam_opts search = *beam; /* whoever said the text, and however */
    lcm_sentences again = {0};
    size_t values = (size_t)(s->text.n * s->D) + 1;
    lcm_status st = lcm_calloc(ctx, &s->own, values, sizeof *s->own);
    search.draw.sampler.temperature = 0;
    search.predicted = false;
    if (st == LCM_OK) st = lcm_calloc(ctx, &s->own_back, values, sizeof *s->own_back);
    if (st == LCM_OK) st = lcm_sentences_encode(ctx, s->own, NULL, codec, &s->text, 0, s->text.n);
    if (st == LCM_OK) st = lcm_sentences_decode(ctx, &again, codec, s->own, s->text.n, &search);
    if (st == LCM_OK) st = lcm_sentences_encode(ctx, s->own_back, NULL, codec, &again, 0, again.n);
    lcm_sentences_free(&again);
    return st;
}

/* ---- real text ---- */

static lcm_status take_real(lcm_ctx *ctx, lcm_stories *out, const lcm_sentences *s, const real *x, int64_t first, int64_t count) {
    size_t row = (size_t)out->D * sizeof *x;
    for (int64_t d = 0; d < s->n_docs; d++) {
        int64_t n, begin = lcm_sentences_doc(s, d, &n);
        for (int64_t i = first; i < n && i < first + count; i++) {
            size_t len;
            const char *text = lcm_sentences_at(s, begin + i, &len);
            memcpy(out->x + out->text.n * out->D, x + (begin + i) * out->D, row);
            LCM_TRY(lcm_sentences_add(ctx, &out->text, text, len));
        }
        LCM_TRY(lcm_sentences_end_doc(ctx, &out->text));
    }
    return LCM_OK;
}

/* The sentences of `flat`, in the documents of *text. */
static lcm_status replace_text(lcm_ctx *ctx, lcm_sentences *text, const lcm_sentences *flat) {
    lcm_sentences out = {0};
    lcm_status st = LCM_OK;
    for (int64_t d = 0, i = 0; st == LCM_OK && d < text->n_docs; d++) {
        for (; st == LCM_OK && i < text->doc_end[d]; i++) {
            size_t len;
            const char *s = lcm_sentences_at(flat, i, &len);
            st = lcm_sentences_add(ctx, &out, s, len);
        }
        if (st == LCM_OK) st = lcm_sentences_end_doc(ctx, &out);
    }
    if (st) lcm_sentences_free(&out);
    else {
        lcm_sentences_free(text);
        *text = out;
    }
    return st;
}

lcm_status lcm_stories_real(lcm_ctx *ctx, lcm_stories *out, lcm_codec *codec, const lcm_sentences *s, const real *x,
                            int64_t first, int64_t count, bool decoded, const lcm_beam_opts *beam) {
    lcm_stories r = {.D = lcm_codec_dim(codec)};
    lcm_sentences back = {0};
    lcm_status st = alloc(ctx, &r, s->n);
    memset(out, 0, sizeof *out);
    if (st == LCM_OK) st = take_real(ctx, &r, s, x, first, count);
    if (st == LCM_OK) st = lcm_sentences_decode(ctx, &back, codec, r.x, r.text.n, beam);
    if (st == LCM_OK) st = lcm_sentences_encode(ctx, r.back, NULL, codec, &back, 0, back.n);
    if (st == LCM_OK && decoded) st = replace_text(ctx, &r.text, &back);
    if (st == LCM_OK) st = encode_own(ctx, &r, codec, beam);
    lcm_sentences_free(&back);
    if (st) lcm_stories_free(&r);
    else *out = r;
    return st;
}

/* ---- generated text ---- */

typedef struct recorder {
    lcm_codec *codec;
    lcm_beam_opts beam;
    const uint64_t *doc; /* numbers of the prompts; NULL = 0 … */
    int64_t D, max, candidates;
    double min_score;
    bool feedback;
    real *x;        /* (n, max, D) as predicted */
    int64_t *where; /* (n, max) its sentence in `text`, with text feedback */
    lcm_sentences text;
    lcm_buf said;
} recorder;

/* Of the candidates x, the one that is said best, to the first row; its text to r->said. */
static lcm_status choose(lcm_ctx *ctx, recorder *r, int64_t prompt, int64_t index, real *x) {
    uint64_t doc = r->doc ? r->doc[prompt] : (uint64_t)prompt;
    lcm_said said;
    r->said.len = 0;
    r->beam.draw.first = (doc * (uint64_t)r->max + (uint64_t)index) * (uint64_t)r->candidates;
    LCM_TRY(lcm_codec_decode_best(ctx, &r->said, &said, r->codec, x, (size_t)r->candidates, r->min_score, -1, &r->beam));
    if (said.which) memcpy(x, x + (int64_t)said.which * r->D, (size_t)r->D * sizeof *x);
    return LCM_OK;
}

static lcm_status on_concept(lcm_ctx *ctx, void *user, int64_t prompt, int64_t index, real *x) {
    recorder *r = user;
    int64_t at = prompt * r->max + index;
    if (r->feedback || r->candidates > 1) LCM_TRY(choose(ctx, r, prompt, index, x));
    memcpy(r->x + at * r->D, x, (size_t)r->D * sizeof *x);
    if (!r->feedback) return LCM_OK;
    r->where[at] = r->text.n;
    LCM_TRY(lcm_sentences_add(ctx, &r->text, r->said.data, strlen(r->said.data)));
    return lcm_sentences_encode(ctx, x, NULL, r->codec, &r->text, r->text.n - 1, 1);
}

static lcm_status gather(lcm_ctx *ctx, lcm_stories *out, const recorder *r, const lcm_generated *g) {
    lcm_sentences decoded = {0};
    lcm_status st = alloc(ctx, out, g->off[g->n]);
    for (int64_t d = 0; st == LCM_OK && d < g->n; d++)
        memcpy(out->x + g->off[d] * r->D, r->x + d * r->max * r->D, (size_t)((g->off[d + 1] - g->off[d]) * r->D) * sizeof(real));
    if (st == LCM_OK && !r->feedback) st = lcm_sentences_decode(ctx, &decoded, r->codec, out->x, g->off[g->n], &r->beam);
    for (int64_t d = 0; st == LCM_OK && d < g->n; d++) {
        for (int64_t i = g->off[d]; st == LCM_OK && i < g->off[d + 1]; i++) {
            size_t len;
            const char *text = r->feedback ? lcm_sentences_at(&r->text, r->where[d * r->max + i - g->off[d]], &len)
                                           : lcm_sentences_at(&decoded, i, &len);
            st = lcm_sentences_add(ctx, &out->text, text, len);
        }
        if (st == LCM_OK) st = lcm_sentences_end_doc(ctx, &out->text);
        out->stops[g->stop[d]]++;
    }
    lcm_sentences_free(&decoded);
    return st ? st : lcm_sentences_encode(ctx, out->back, NULL, r->codec, &out->text, 0, out->text.n);
}

lcm_status lcm_stories_generate(lcm_ctx *ctx, lcm_stories *out, lcm_codec *codec, const lcm_model *m,
                                const lcm_prompts *prompts, const lcm_generate_config *config, bool text_feedback,
                                const lcm_beam_opts *beam) {
    recorder r = {.codec = codec, .beam = *beam, .doc = prompts->doc, .D = lcm_codec_dim(codec), .max = config->max_gen_len,
                  .candidates = config->candidates, .min_score = config->min_score, .feedback = text_feedback};
    lcm_generate_config c = *config;
    lcm_generate_hooks hooks = {.on_concept = on_concept, .user = &r};
    lcm_generated g = {0};
    lcm_stories s = {.D = r.D};
    lcm_status st;
    memset(out, 0, sizeof *out);
    c.trim_hypotheses = true;
    c.include_eos_token = false;
    r.beam.draw.seed = (uint64_t)c.seed;
    if (m->embed_dim != r.D)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "the model's concepts have %lld values, the autoencoder's %lld", (long long)m->embed_dim,
                 (long long)r.D);
    st = lcm_calloc(ctx, &r.x, (size_t)(prompts->n * r.max * r.D), sizeof *r.x);
    if (st == LCM_OK) st = lcm_calloc(ctx, &r.where, (size_t)(prompts->n * r.max), sizeof *r.where);
    if (st == LCM_OK) st = lcm_generate(ctx, &g, m, prompts, &c, &hooks);
    if (st == LCM_OK) st = gather(ctx, &s, &r, &g);
    if (st == LCM_OK) st = encode_own(ctx, &s, codec, beam);
    lcm_generated_free(&g);
    lcm_sentences_free(&r.text);
    lcm_buf_free(&r.said);
    free(r.x);
    free(r.where);
    if (st) lcm_stories_free(&s);
    else *out = s;
    return st;
}

/* ---- numbers ---- */

static double per(double a, int64_t n) { return n > 0 ? a / (double)n : NAN; }
static double sentences(const lcm_story_counts *c) { return (double)c->surface.sentences; }
static double per_story(const lcm_story_counts *c) { return per((double)c->surface.sentences, c->surface.docs); }
static double words(const lcm_story_counts *c) { return per((double)c->surface.words, c->surface.sentences); }
static double doubled(const lcm_story_counts *c) { return lcm_surface_doubled(&c->surface); }
static double unknown(const lcm_story_counts *c) { return lcm_surface_unknown(&c->surface); }
static double distinct(const lcm_story_counts *c) { return lcm_surface_distinct(&c->surface); }
static double own(const lcm_story_counts *c) { return lcm_surface_own(&c->surface); }
static double distinct_1(const lcm_story_counts *c) { return lcm_surface_ngrams(&c->surface, 1); }
static double distinct_2(const lcm_story_counts *c) { return lcm_surface_ngrams(&c->surface, 2); }
static double distinct_3(const lcm_story_counts *c) { return lcm_surface_ngrams(&c->surface, 3); }
static double round_trip(const lcm_story_counts *c) { return c->l2_r; }
static double round_trip_text(const lcm_story_counts *c) { return c->l2_r_text; }
static double stop_length(const lcm_story_counts *c) { return (double)c->stops[LCM_STOP_LENGTH]; }
static double stop_end(const lcm_story_counts *c) { return (double)c->stops[LCM_STOP_EOS]; }
static double stop_repeat(const lcm_story_counts *c) { return (double)c->stops[LCM_STOP_REPETITION]; }

const lcm_story_column lcm_story_columns[] = {{"sentences", sentences},
                                              {"sentences_per_story", per_story},
                                              {"words_per_sentence", words},
                                              {"doubled_per_1000", doubled},
                                              {"unknown_words", unknown},
                                              {"distinct_sentences", distinct},
                                              {"new_in_story", own},
                                              {"distinct_1", distinct_1},
                                              {"distinct_2", distinct_2},
                                              {"distinct_3", distinct_3},
                                              {"l2_r", round_trip},
                                              {"l2_r_text", round_trip_text},
                                              {"stop_length", stop_length},
                                              {"stop_end_of_text", stop_end},
                                              {"stop_repetition", stop_repeat},
                                              {0}};
static_assert(sizeof lcm_story_columns / sizeof *lcm_story_columns == LCM_STORY_COLUMNS + 1, "count of columns");

lcm_status lcm_stories_measure(lcm_ctx *ctx, double *values, const lcm_stories *s, const lcm_strset *vocab) {
    lcm_story_counts c = {.surface.vocab = vocab};
    lcm_status st = LCM_OK;
    double l2 = 0, own = 0;
    for (int64_t d = 0, i = 0; st == LCM_OK && d < s->text.n_docs; d++) {
        lcm_surface_begin(&c.surface);
        for (; st == LCM_OK && i < s->text.doc_end[d]; i++) {
            size_t len;
            const char *text = lcm_sentences_at(&s->text, i, &len);
            st = lcm_surface_add(ctx, &c.surface, text, len);
            l2 += lcm_l2(s->back + i * s->D, s->x + i * s->D, s->D);
            own += lcm_l2(s->own_back + i * s->D, s->own + i * s->D, s->D);
        }
    }
    c.l2_r = per(l2, s->text.n);
    c.l2_r_text = per(own, s->text.n);
    memcpy(c.stops, s->stops, sizeof c.stops);
    for (int i = 0; i < LCM_STORY_COLUMNS; i++) values[i] = lcm_story_columns[i].value(&c);
    lcm_surface_free(&c.surface);
    return st;
}
