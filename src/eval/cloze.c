/* Story cloze. */
#include "eval/cloze.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "kernels/distance.h"

/* ---- items ---- */

static lcm_status add_text(lcm_ctx *ctx, lcm_sentences *to, const json_t *v, const lcm_doc *doc, const char *key) {
    if (!json_is_string(v) || json_string_length(v) == 0)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' line %lld: '%s' is no text", doc->path, (long long)doc->line, key);
    return lcm_sentences_add(ctx, to, json_string_value(v), json_string_length(v));
}

static lcm_status add_item(lcm_ctx *ctx, lcm_cloze *c, const json_t *item, const lcm_doc *doc) {
    const json_t *context = json_object_get(item, "context"), *renamed = json_object_get(item, "wrong_renamed");
    const json_t *sentence;
    size_t i;
    if (!json_is_array(context) || json_array_size(context) == 0)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' line %lld: 'context' is no list of sentences", doc->path, (long long)doc->line);
    json_array_foreach((json_t *)(uintptr_t)context, i, sentence) LCM_TRY(add_text(ctx, &c->context, sentence, doc, "context"));
    LCM_TRY(lcm_sentences_end_doc(ctx, &c->context));
    LCM_TRY(add_text(ctx, &c->endings, json_object_get(item, "right"), doc, "right"));
    LCM_TRY(add_text(ctx, &c->endings, json_object_get(item, "wrong"), doc, "wrong"));
    if (json_is_null(renamed)) renamed = NULL;
    if (renamed) LCM_TRY(add_text(ctx, &c->endings, renamed, doc, "wrong_renamed"));
    LCM_TRY(lcm_grow(ctx, &c->has_hard, &c->hard_cap, (size_t)c->n + 1, sizeof *c->has_hard));
    c->has_hard[c->n++] = renamed != NULL;
    c->n_hard += renamed != NULL;
    return LCM_OK;
}

static lcm_status read_items(lcm_ctx *ctx, lcm_cloze *c, const char *path) {
    lcm_docs_opts o = {.format = LCM_DOCS_TXT, .strict = true}; /* lines, to be parsed here */
    lcm_docs *docs;
    lcm_status st;
    LCM_TRY(lcm_docs_open(ctx, &docs, &path, 1, &o));
    do {
        lcm_doc doc;
        json_t *item;
        st = lcm_docs_next(ctx, &doc, docs);
        if (st || doc.text == NULL) break;
        st = lcm_json_parse(ctx, &item, doc.text, doc.len, "cloze item");
        if (st) {
            st = lcm_fail_within(ctx, st, "'%s' line %lld", doc.path, (long long)doc.line);
            break;
        }
        st = add_item(ctx, c, item, &doc);
        json_decref(item);
    } while (st == LCM_OK);
    lcm_docs_close(docs);
    if (st == LCM_OK && c->n == 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' holds no cloze item", path);
    return st;
}

static lcm_status encode_items(lcm_ctx *ctx, lcm_cloze *c, lcm_codec *codec) {
    c->D = lcm_codec_dim(codec);
    LCM_TRY(lcm_calloc(ctx, &c->x, (size_t)(c->context.n * c->D), sizeof *c->x));
    LCM_TRY(lcm_calloc(ctx, &c->ends, (size_t)(c->endings.n * c->D), sizeof *c->ends));
    LCM_TRY(lcm_calloc(ctx, &c->off, (size_t)c->n * 3 + 1, sizeof *c->off));
    c->from = c->off + c->n + 1;
    c->to = c->from + c->n;
    for (int64_t i = 0; i < c->n; i++) {
        int64_t count;
        c->off[i] = (int32_t)lcm_sentences_doc(&c->context, i, &count);
        c->off[i + 1] = c->off[i] + (int32_t)count;
        c->from[i] = (int32_t)count;
        c->to[i] = (int32_t)count + 1;
    }
    LCM_TRY(lcm_sentences_encode(ctx, c->x, &c->n_cut, codec, &c->context, 0, c->context.n));
    return lcm_sentences_encode(ctx, c->ends, &c->n_cut, codec, &c->endings, 0, c->endings.n);
}

lcm_status lcm_cloze_load(lcm_ctx *ctx, lcm_cloze *out, lcm_codec *codec, const char *path) {
    lcm_cloze c = {0};
    lcm_status st = read_items(ctx, &c, path);
    memset(out, 0, sizeof *out);
    if (st == LCM_OK) st = encode_items(ctx, &c, codec);
    if (st) lcm_cloze_free(&c);
    else *out = c;
    return st;
}

void lcm_cloze_free(lcm_cloze *c) {
    lcm_sentences_free(&c->context);
    lcm_sentences_free(&c->endings);
    free(c->has_hard);
    free(c->x);
    free(c->ends);
    free(c->off);
    memset(c, 0, sizeof *c);
}

lcm_forecast_job lcm_cloze_job(const lcm_cloze *c) {
    return (lcm_forecast_job){.n = c->n, .D = c->D, .x = c->x, .off = c->off, .from = c->from, .to = c->to};
}

/* ---- scores ---- */

static double nearer(const real *p, const real *right, const real *wrong, int64_t D) {
    double r = lcm_l2(p, right, D), w = lcm_l2(p, wrong, D);
    return r < w ? 1 : r > w ? 0 : 0.5;
}

void lcm_cloze_score(double *score, double *hard, const lcm_cloze *c, const real *p) {
    const real *end = c->ends;
    for (int64_t i = 0, D = c->D; i < c->n; i++) {
        score[i] += nearer(p + i * D, end, end + D, D);
        hard[i] += c->has_hard[i] ? nearer(p + i * D, end, end + 2 * D, D) : NAN;
        end += (2 + c->has_hard[i]) * D;
    }
}
