/* lcm_session_generate: segment, encode, predict, decode, one concept after the other. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/floats.h"
#include "api/session_int.h"
#include "kernels/distance.h"
#include "lcm/text.h"

const char *lcm_end_name(lcm_end end) {
    static const char *const names[] = {"none", "end_of_text", "repetition", "count", "window"};
    return (unsigned)end < sizeof names / sizeof *names ? names[end] : "unknown";
}

/* One call. */
typedef struct job {
    lcm_session *s;
    const lcm_generation *opts;
    lcm_generate_config config;
    lcm_concept_fn fn;
    void *user;
    lcm_generated_text sum;
    double began, mark, encode_ms, context_ms; /* mark: end of the last measured stage */
    bool window; /* the model's window, not the caller, limits the count */
    real *prompt, *before, *round; /* (sum.prompt_concepts, D), (D), (D) */
    float *row;                    /* (D) */
    lcm_buf text;
} job;

static double lap(job *j) {
    double now = lcm_now(), ms = 1e3 * (now - j->mark);
    j->mark = now;
    return ms;
}

/* ---- The prompt ---- */

static lcm_status encode_spans(lcm_ctx *ctx, job *j, real *out, const char *text, const lcm_spans *spans) {
    size_t n = spans->len;
    const char **at = NULL;
    size_t *len = NULL;
    uint8_t *cut = NULL;
    lcm_status st = lcm_calloc(ctx, &at, n, sizeof *at);
    if (st == LCM_OK) st = lcm_calloc(ctx, &len, n, sizeof *len);
    if (st == LCM_OK) st = lcm_calloc(ctx, &cut, n, sizeof *cut);
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        at[i] = text + spans->data[i].begin;
        len[i] = spans->data[i].end - spans->data[i].begin;
    }
    if (st == LCM_OK) st = lcm_codec_encode(ctx, out, cut, j->s->codec, at, len, n, -1);
    for (size_t i = 0; st == LCM_OK && i < n; i++) j->sum.prompt_cut += cut[i];
    free(at);
    free(len);
    free(cut);
    return st;
}

static real *put_affix(real *out, const lcm_affixes *a, lcm_affix which, size_t D) {
    size_t n = (size_t)a->n[which] * D;
    if (n) memcpy(out, a->x[which], n * sizeof *out);
    return out + n;
}

/* The sentences, and around them those of an instruction-tuned model. */
static lcm_status encode_prompt(lcm_ctx *ctx, job *j, const char *text, const lcm_spans *spans) {
    const lcm_affixes *a = &j->s->bundle->affixes;
    size_t D = (size_t)j->s->bundle->info.dim, n = (size_t)j->sum.prompt_concepts;
    real *at;
    LCM_TRY(lcm_calloc(ctx, &j->prompt, n * D, sizeof *j->prompt));
    at = put_affix(j->prompt, a, LCM_AFFIX_SOURCE_PREFIX, D);
    LCM_TRY(encode_spans(ctx, j, at, text, spans));
    at = put_affix(at + spans->len * D, a, LCM_AFFIX_SOURCE_SUFFIX, D);
    at = put_affix(at, a, LCM_AFFIX_TARGET_PREFIX, D);
    memcpy(j->before, at - D, D * sizeof(real));
    return LCM_OK;
}

static lcm_status read_prompt(lcm_ctx *ctx, job *j, const char *text, size_t len) {
    lcm_segment_opts seg = lcm_segment_opts_default();
    const int64_t *around = j->s->bundle->affixes.n;
    int64_t longest = j->s->bundle->model->max_seq_len;
    lcm_spans spans = {0};
    lcm_status st;
    seg.lang = j->s->bundle->config.lang;
    LCM_TRY(lcm_segment_text(ctx, &spans, text, len, &seg));
    j->sum.prompt_concepts = (int64_t)spans.len + around[LCM_AFFIX_SOURCE_PREFIX] + around[LCM_AFFIX_SOURCE_SUFFIX] +
                             around[LCM_AFFIX_TARGET_PREFIX];
    if (spans.len == 0) st = lcm_fail(ctx, LCM_ERR_ARG, "the prompt has no sentence");
    else if (j->sum.prompt_concepts > longest)
        st = lcm_fail(ctx, LCM_ERR_LIMIT, "the prompt has %" PRId64 " sentences, the model reads %" PRId64, j->sum.prompt_concepts,
                      longest);
    else st = encode_prompt(ctx, j, text, &spans);
    lcm_spans_free(&spans);
    return st;
}

/* ---- One concept ---- */

static void on_context(void *user) {
    job *j = user;
    j->context_ms = lap(j);
}

/* Of the candidates x, the one that is said best, to the first row. */
static lcm_status to_text(lcm_ctx *ctx, job *j, real *x, lcm_concept *c) {
    lcm_beam_opts beam = lcm_generation_beam(j->opts);
    size_t D = (size_t)j->s->bundle->info.dim;
    lcm_said said;
    const char *text;
    size_t len;
    j->text.len = 0;
    beam.draw.first = (uint64_t)(c->index * j->config.candidates);
    LCM_TRY(lcm_codec_decode_best(ctx, &j->text, &said, j->s->codec, x, (size_t)j->config.candidates, j->config.min_score, -1, &beam));
    if (said.which) memcpy(x, x + said.which * D, D * sizeof *x);
    c->score = said.score;
    c->decode_ms = lap(j);
    c->text = text = j->text.data;
    len = strlen(text);
    LCM_TRY(lcm_codec_encode(ctx, j->round, NULL, j->s->codec, &text, &len, 1, -1));
    c->encode_ms = lap(j) + j->encode_ms;
    j->encode_ms = 0;
    return LCM_OK;
}

static void measure(const job *j, const real *x, lcm_concept *c) {
    const lcm_bundle *b = j->s->bundle;
    int64_t D = b->info.dim;
    c->l2_previous = lcm_l2(x, j->before, D);
    c->cos_previous = lcm_cosine(x, j->before, D);
    c->cos_end_of_text = b->end ? lcm_cosine(x, b->end, D) : (double)NAN;
    c->l2_round_trip = lcm_l2(x, j->round, D);
}

static lcm_end end_of(lcm_stop stop) {
    return stop == LCM_STOP_EOS ? LCM_END_OF_TEXT : stop == LCM_STOP_REPETITION ? LCM_END_REPETITION : LCM_END_NONE;
}

static lcm_status on_concept(lcm_ctx *ctx, void *user, int64_t prompt, int64_t index, real *x) {
    job *j = user;
    const lcm_bundle *b = j->s->bundle;
    size_t bytes = (size_t)b->info.dim * sizeof *x;
    lcm_concept c = {.index = index, .vector = j->row, .denoise_ms = lap(j), .context_ms = j->context_ms};
    (void)prompt;
    LCM_TRY(to_text(ctx, j, x, &c));
    lcm_floats_from_real(j->row, x, (size_t)b->info.dim);
    measure(j, x, &c);
    if (j->opts->feedback == LCM_FEEDBACK_TEXT) memcpy(x, j->round, bytes);
    c.end = end_of(lcm_generate_stop(&j->config, index, b->end, j->before, x, b->info.dim));
    memcpy(j->before, x, bytes);
    if (index == 0) j->sum.first_ms = 1e3 * (lcm_now() - j->began);
    if (j->fn && !j->fn(j->user, &c)) LCM_FAIL(ctx, LCM_ERR_CANCELLED, "stopped by the caller");
    j->mark = lcm_now(); /* the caller's time is nobody's */
    return LCM_OK;
}

/* ---- The text ---- */

static void configure(job *j) {
    int64_t room = j->s->bundle->model->max_seq_len - j->sum.prompt_concepts + 1;
    j->config = lcm_generation_settings(j->opts);
    j->window = j->opts->concepts > room;
    if (j->window) j->config.max_gen_len = room;
}

static lcm_status predict(lcm_ctx *ctx, job *j) {
    int32_t off[2] = {0, (int32_t)j->sum.prompt_concepts};
    lcm_prompts prompts = {.n = 1, .x = j->prompt, .off = off, .eos = j->s->bundle->end};
    lcm_generate_hooks hooks = {.on_concept = on_concept, .on_context = on_context, .user = j};
    lcm_generated g;
    LCM_TRY(lcm_generate(ctx, &g, j->s->bundle->model, &prompts, &j->config, &hooks));
    j->sum.end = end_of(g.stop[0]);
    j->sum.concepts = g.off[1] - (j->sum.end != LCM_END_NONE);
    if (j->sum.end == LCM_END_NONE) j->sum.end = j->window ? LCM_END_WINDOW : LCM_END_COUNT;
    lcm_generated_free(&g);
    return LCM_OK;
}

static lcm_status run(lcm_ctx *ctx, job *j, const char *text, size_t len) {
    size_t D = (size_t)j->s->bundle->info.dim;
    LCM_TRY(lcm_calloc(ctx, &j->before, D, sizeof *j->before));
    LCM_TRY(lcm_calloc(ctx, &j->round, D, sizeof *j->round));
    LCM_TRY(lcm_calloc(ctx, &j->row, D, sizeof *j->row));
    j->began = j->mark = lcm_now();
    LCM_TRY(read_prompt(ctx, j, text, len));
    j->encode_ms = lap(j);
    configure(j);
    LCM_TRY(predict(ctx, j));
    j->sum.total_ms = 1e3 * (lcm_now() - j->began);
    return LCM_OK;
}

lcm_status lcm_session_generate(lcm_ctx *ctx, lcm_generated_text *out, lcm_session *s, const char *text, size_t len,
                                const lcm_generation *opts, lcm_concept_fn fn, void *user) {
    job j = {.s = s, .opts = opts ? opts : &s->bundle->config.generate, .fn = fn, .user = user};
    lcm_status st;
    if (s->bundle->llama.model) return lcm_session_tell(ctx, out, s, text, len, j.opts, fn, user);
    LCM_TRY(lcm_session_needs(ctx, s, LCM_LOAD_ENCODER | LCM_LOAD_DECODER | LCM_LOAD_MODEL));
    LCM_TRY(lcm_generation_check(ctx, j.opts));
    st = run(ctx, &j, text, len);
    if (st == LCM_OK && out) *out = j.sum;
    free(j.prompt);
    free(j.before);
    free(j.round);
    free(j.row);
    lcm_buf_free(&j.text);
    return st;
}
