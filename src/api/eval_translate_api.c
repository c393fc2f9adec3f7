/* lcm_eval_translate: texts through the vectors into another language, against what people wrote. */
#include <stdlib.h>
#include <string.h>

#include "api/eval_int.h"
#include "eval/aligned.h"
#include "eval/bleu.h"
#include "eval/chrf.h"

lcm_eval_translate_opts lcm_eval_translate_defaults(void) { return (lcm_eval_translate_opts){.beam = 5}; }

typedef struct bench {
    lcm_coder coder;
    int32_t lang[2];
    lcm_sentences side[2], out; /* texts, their translations line by line; what is decoded */
    lcm_aligned_report report;
    real *x;
    int64_t n_cut;
    json_t *rows;
} bench;

static lcm_status open_model(lcm_ctx *ctx, bench *b, const lcm_eval_translate_opts *o) {
    const char *const names[] = {o->source_lang, o->target_lang};
    LCM_TRY(lcm_coder_open(ctx, &b->coder, o->sonar, o->beam));
    for (int i = 0; i < 2; i++) {
        b->lang[i] = b->coder.file.lang;
        if (names[i]) LCM_TRY(lcm_tokenizer_lang_id(ctx, &b->lang[i], b->coder.file.tok, names[i]));
    }
    return LCM_OK;
}

/* Line i of `out` against line (i + shift) of `want`. */
static lcm_status add_row(lcm_ctx *ctx, bench *b, const char *what, const char *direction, const lcm_sentences *out,
                          const lcm_sentences *want, int64_t shift) {
    lcm_bleu bleu = {0};
    lcm_chrf chrf = {0};
    int64_t exact = 0;
    for (int64_t i = 0; i < out->n; i++) {
        size_t len, want_len;
        const char *text = lcm_sentences_at(out, i, &len), *ref = lcm_sentences_at(want, (i + shift) % want->n, &want_len);
        LCM_TRY(lcm_bleu_add(ctx, &bleu, text, len, ref, want_len));
        LCM_TRY(lcm_chrf_add(ctx, &chrf, text, len, ref, want_len));
        exact += len == want_len && memcmp(text, ref, len) == 0;
    }
    lcm_report_append(&b->rows, json_pack("{s:s, s:s, s:I, s:f, s:f, s:f}", "text", what, "direction", direction, "lines",
                                          (json_int_t)out->n, "exact", (double)exact / (double)out->n, "bleu",
                                          lcm_bleu_score(&bleu), "chrf", lcm_chrf_score(&chrf)));
    return LCM_OK;
}

/* What is encoded without a language of its own is in that of the file. */
static lcm_status measure(lcm_ctx *ctx, bench *b, int from, const char *direction) {
    lcm_sentences *source = &b->side[from], *target = &b->side[!from];
    lcm_sentences_clear(&b->out);
    b->coder.file.lang = b->lang[from];
    LCM_TRY(lcm_sentences_encode(ctx, b->x, &b->n_cut, b->coder.codec, source, 0, source->n));
    b->coder.file.lang = b->lang[!from];
    LCM_TRY(lcm_sentences_decode(ctx, &b->out, b->coder.codec, b->x, source->n, &b->coder.beam));
    LCM_TRY(add_row(ctx, b, "translated", direction, &b->out, target, 0));
    LCM_TRY(add_row(ctx, b, "left as it is", direction, source, target, 0));
    if (target->n == 1) return LCM_OK;
    return add_row(ctx, b, "of the next line", direction, target, target, 1);
}

static lcm_status finish(lcm_ctx *ctx, char **report, bench *b, const lcm_eval_translate_opts *o) {
    json_t *root = lcm_eval_report_new("translate", o->sonar, &b->coder);
    lcm_report_set(&root, "source", json_string(o->source));
    lcm_report_set(&root, "target", json_string(o->target));
    lcm_report_set(&root, "lines", json_integer(b->report.lines));
    lcm_report_set(&root, "skipped", json_integer(b->report.lines - b->side[0].n));
    lcm_report_set(&root, "cut_by_encoder", json_integer(b->n_cut));
    lcm_report_set(&root, "rows", b->rows);
    b->rows = NULL;
    return lcm_report_finish(ctx, report, root);
}

static lcm_status run(lcm_ctx *ctx, char **report, bench *b, const lcm_eval_translate_opts *o) {
    const char *const paths[] = {o->source, o->target}, *const keys[] = {o->source_key, o->target_key};
    size_t count;
    if (o->source == NULL || o->target == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "source and target are required");
    LCM_TRY(open_model(ctx, b, o));
    LCM_TRY(lcm_aligned_read(ctx, &b->side[0], &b->side[1], &b->report, paths, keys));
    if (b->side[0].n == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "no line of '%s' has a translation in '%s'", o->source, o->target);
    if (!lcm_mul_size(&count, (size_t)b->side[0].n, (size_t)lcm_codec_dim(b->coder.codec)))
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "%lld sentences are too many", (long long)b->side[0].n);
    LCM_TRY(lcm_calloc(ctx, &b->x, count, sizeof *b->x));
    b->rows = json_array();
    LCM_TRY(measure(ctx, b, 0, "source to target"));
    LCM_TRY(measure(ctx, b, 1, "target to source"));
    return finish(ctx, report, b, o);
}

lcm_status lcm_eval_translate(lcm_ctx *ctx, char **report, const lcm_eval_translate_opts *opts) {
    bench b = {0};
    lcm_status st;
    *report = NULL;
    st = run(ctx, report, &b, opts);
    for (int i = 0; i < 2; i++) lcm_sentences_free(&b.side[i]);
    lcm_sentences_free(&b.out);
    lcm_coder_close(&b.coder);
    json_decref(b.rows);
    free(b.x);
    return st;
}
