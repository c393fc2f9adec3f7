/* Sentences around source and target. */
#include "sonar/affixes.h"

#include <stdlib.h>
#include <string.h>

#include "text/segment.h"

#define PROMPT_FIELDS                                                                                        \
    LCM_F_STRING(lcm_affix_texts, source_prefix, "before the source"),                                       \
        LCM_F_STRING(lcm_affix_texts, source_suffix, "behind the source: the answer begins"),                \
        LCM_F_STRING(lcm_affix_texts, target_prefix, "before the target, predicted in training")

const lcm_field lcm_affix_prompt_fields[] = {PROMPT_FIELDS, LCM_F_END};
const lcm_field lcm_affix_fields[] = {PROMPT_FIELDS,
                                      LCM_F_STRING(lcm_affix_texts, end_of_text, "ends a text"), LCM_F_END};

static lcm_status encode_spans(lcm_ctx *ctx, real **x, lcm_codec *codec, const char *text, const lcm_spans *spans) {
    const char **at = NULL;
    size_t *len = NULL;
    lcm_status st = lcm_calloc(ctx, &at, spans->len, sizeof *at);
    if (st == LCM_OK) st = lcm_calloc(ctx, &len, spans->len, sizeof *len);
    if (st == LCM_OK) st = lcm_calloc(ctx, x, spans->len * (size_t)lcm_codec_dim(codec), sizeof **x);
    for (size_t i = 0; st == LCM_OK && i < spans->len; i++) {
        at[i] = text + spans->data[i].begin;
        len[i] = spans->data[i].end - spans->data[i].begin;
    }
    if (st == LCM_OK) st = lcm_codec_encode(ctx, *x, NULL, codec, at, len, spans->len, -1);
    free(at);
    free(len);
    return st;
}

static lcm_status encode_one(lcm_ctx *ctx, lcm_affixes *out, lcm_affix which, lcm_codec *codec, const char *text,
                             const char *lang) {
    lcm_segment_opts seg = lcm_segment_opts_default();
    lcm_spans spans = {0};
    size_t len = strlen(text);
    lcm_status st;
    if (lang) seg.lang = lang;
    st = which == LCM_AFFIX_END && len ? lcm_spans_push(ctx, &spans, 0, len) : lcm_segment_text(ctx, &spans, text, len, &seg);
    if (st == LCM_OK && spans.len) st = encode_spans(ctx, &out->x[which], codec, text, &spans);
    out->n[which] = (int64_t)spans.len;
    lcm_spans_free(&spans);
    return st;
}

lcm_status lcm_affixes_encode(lcm_ctx *ctx, lcm_affixes *out, const lcm_affix_texts *texts, lcm_codec *codec,
                              const char *lang) {
    const char *const text[LCM_N_AFFIXES] = {texts->source_prefix, texts->source_suffix, texts->target_prefix,
                                             texts->end_of_text};
    memset(out, 0, sizeof *out);
    for (int i = 0; i < LCM_N_AFFIXES; i++) {
        lcm_status st = encode_one(ctx, out, (lcm_affix)i, codec, text[i], lang);
        if (st) {
            lcm_affixes_free(out);
            return st;
        }
    }
    return LCM_OK;
}

bool lcm_affixes_any(const lcm_affix_texts *texts) {
    return texts->source_prefix[0] || texts->source_suffix[0] || texts->target_prefix[0];
}

void lcm_affixes_free(lcm_affixes *a) {
    for (int i = 0; i < LCM_N_AFFIXES; i++) free(a->x[i]);
    memset(a, 0, sizeof *a);
}
