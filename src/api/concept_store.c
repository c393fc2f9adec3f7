/* include/lcm/concept_store.h over data/prepare.h. */
#include "lcm/concept_store.h"

#include <string.h>

#include "api/bundle_int.h"
#include "data/prepare.h"
#include "sonar/codec.h"
#include "text/segment.h"

enum { MAX_CHARS = 256 };

typedef struct work {
    const lcm_concept_store_opts *opts;
    const char *lang;
    lcm_codec *codec;
} work;

static lcm_status encode(lcm_ctx *ctx, void *user, real *out, uint8_t *fate, const char *const *text, const size_t *len, size_t n) {
    static_assert(LCM_SENTENCE_SHORTENED == 1, "the codec's mark for a cut sentence");
    return lcm_codec_encode(ctx, out, fate, ((work *)user)->codec, text, len, n, -1);
}

static lcm_status segment(lcm_ctx *ctx, void *user, lcm_spans *out, const char *text, size_t len) {
    const work *w = user;
    lcm_segment_opts o = {.lang = w->lang, .max_chars = MAX_CHARS};
    if (!w->opts->presegmented) return lcm_segment_text(ctx, out, text, len, &o);
    return lcm_segment_lines(ctx, out, text, len);
}

static lcm_status report_progress(void *user, const lcm_prepare_progress *p) {
    const lcm_concept_store_opts *o = ((work *)user)->opts;
    lcm_concept_store_progress out = {.docs = p->docs, .sentences = p->sentences, .bytes_done = p->bytes_done,
                                      .bytes_total = p->bytes_total, .waiting = p->waiting};
    return o->progress == NULL || o->progress(o->user, &out) ? LCM_OK : LCM_ERR_CANCELLED;
}

static lcm_status read_report(lcm_ctx *ctx, lcm_concept_store_report *out, const char *dir) {
    const lcm_store_report *r;
    lcm_store *store;
    LCM_TRY(lcm_store_open(ctx, &store, dir));
    r = lcm_store_get_report(store);
    *out = (lcm_concept_store_report){.docs = r->docs, .concepts = r->concepts, .text_bytes = r->text_bytes,
                                      .docs_empty = r->docs_empty, .docs_too_long = r->docs_too_long,
                                      .docs_bad_utf8 = r->docs_bad_utf8, .docs_bad_json = r->docs_bad_json, .docs_bad_escape = r->docs_bad_escape,
                                      .docs_no_text = r->docs_no_text, .docs_no_sentence = r->docs_no_sentence,
                                      .sentences_dropped = r->sentences_dropped,
                                      .sentences_shortened = r->sentences_shortened};
    lcm_store_close(store);
    return LCM_OK;
}

static lcm_status prepare(lcm_ctx *ctx, work *w, const lcm_bundle *b, const char *dir, const char *const *inputs, size_t n) {
    const lcm_concept_store_opts *o = w->opts;
    lcm_docs_opts docs = {.key = o->key, .source_key = o->source_key, .whole_file = o->whole_file, .strict = o->strict};
    lcm_prepare_opts p = {.docs = docs, .dim = b->info.dim, .dtype = o->half ? LCM_DT_F16 : LCM_DT_F32,
                          .space = b->info.space, .segment = segment, .encode = encode, .progress = report_progress,
                          .user = w};
    lcm_buf recipe = {0};
    lcm_status st = lcm_buf_printf(ctx, &recipe, "%s", o->presegmented ? "sentences by line" : "sentences by rules, ");
    if (st == LCM_OK && !o->presegmented) st = lcm_buf_printf(ctx, &recipe, "lang %s, at most %d characters", w->lang, MAX_CHARS);
    p.recipe = recipe.data;
    if (st == LCM_OK) st = lcm_prepare(ctx, dir, inputs, n, &p);
    lcm_buf_free(&recipe);
    return st;
}

lcm_status lcm_concept_store_make(lcm_ctx *ctx, lcm_concept_store_report *report, const lcm_bundle *b, const char *dir,
                                  const char *const *inputs, size_t n_inputs, const lcm_concept_store_opts *opts) {
    static const lcm_concept_store_opts none;
    work w = {.opts = opts ? opts : &none};
    lcm_status st;
    if (!(b->parts & LCM_LOAD_ENCODER)) LCM_FAIL(ctx, LCM_ERR_ARG, "the bundle was opened without its encoder");
    w.lang = w.opts->lang ? w.opts->lang : b->config.lang;
    LCM_TRY(lcm_codec_new(ctx, &w.codec, &b->sonar));
    st = prepare(ctx, &w, b, dir, inputs, n_inputs);
    lcm_codec_free(w.codec);
    if (st == LCM_OK && report) st = read_report(ctx, report, dir);
    return st;
}
