/* lcm_eval_xsim: similarity search over two files that translate each other. */
#include <stdlib.h>

#include "api/eval_int.h"
#include "eval/aligned.h"
#include "eval/strset.h"
#include "eval/xsim.h"
#include "kernels/distance.h"

lcm_eval_xsim_opts lcm_eval_xsim_defaults(void) { return (lcm_eval_xsim_opts){.margin = LCM_EVAL_MARGIN_RATIO, .k = 4}; }

typedef struct side {
    lcm_sentences s;
    real *x;         /* (s.n, D), unit rows */
    uint32_t *text;  /* (s.n) equal lines have equal numbers */
    int32_t lang;    /* -1: the file's default */
} side;

typedef struct bench {
    const lcm_eval_xsim_opts *o;
    lcm_sonar_file file;
    lcm_codec *codec; /* NULL: not open */
    side source, target; /* the target's rows beyond n are the extra candidates */
    lcm_strset texts;
    int64_t D, n, n_cut;
    lcm_aligned_report report;
    lcm_docs_report extra;
    int64_t *to_target, *to_source;
    json_t *rows;
} bench;

static lcm_status check(lcm_ctx *ctx, const lcm_eval_xsim_opts *o) {
    if (o->sonar == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "no SONAR model given");
    if (o->source == NULL || o->target == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "source and target are required");
    if (o->margin < LCM_EVAL_MARGIN_RATIO || o->margin > LCM_EVAL_MARGIN_ABSOLUTE) LCM_FAIL(ctx, LCM_ERR_ARG, "margin %d", o->margin);
    if (o->k < 1 || o->k > LCM_EVAL_MAX_NEIGHBOURS)
        LCM_FAIL(ctx, LCM_ERR_ARG, "k %lld is outside 1 … %d", (long long)o->k, LCM_EVAL_MAX_NEIGHBOURS);
    return LCM_OK;
}

static lcm_status open_model(lcm_ctx *ctx, bench *b) {
    const char *const names[] = {b->o->source_lang, b->o->target_lang};
    side *const sides[] = {&b->source, &b->target};
    lcm_status st;
    LCM_TRY(lcm_sonar_load(ctx, &b->file, b->o->sonar, LCM_SONAR_ENCODER));
    st = lcm_codec_new(ctx, &b->codec, &b->file);
    if (st) lcm_sonar_file_close(&b->file);
    LCM_TRY(st);
    b->D = lcm_codec_dim(b->codec);
    for (int i = 0; i < 2; i++) {
        sides[i]->lang = -1;
        if (names[i]) LCM_TRY(lcm_tokenizer_lang_id(ctx, &sides[i]->lang, b->file.tok, names[i]));
    }
    return LCM_OK;
}

static lcm_status read_texts(lcm_ctx *ctx, bench *b) {
    const lcm_eval_xsim_opts *o = b->o;
    const char *const paths[] = {o->source, o->target}, *const keys[] = {o->source_key, o->target_key};
    lcm_docs *docs;
    lcm_doc doc;
    lcm_status st;
    LCM_TRY(lcm_aligned_read(ctx, &b->source.s, &b->target.s, &b->report, paths, keys));
    b->n = b->source.s.n;
    if (b->n == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "no line of '%s' has a translation in '%s'", o->source, o->target);
    if (o->extra == NULL) return LCM_OK;
    LCM_TRY(lcm_docs_open(ctx, &docs, &o->extra, 1, &(lcm_docs_opts){.key = o->target_key, .max_doc = LCM_ALIGNED_MAX_LINE}));
    do {
        st = lcm_docs_next(ctx, &doc, docs);
        if (st == LCM_OK && doc.text) st = lcm_sentences_add(ctx, &b->target.s, doc.text, doc.len);
    } while (st == LCM_OK && doc.text);
    b->extra = *lcm_docs_get_report(docs);
    lcm_docs_close(docs);
    return st;
}

static lcm_status encode(lcm_ctx *ctx, bench *b, side *s) {
    size_t n = (size_t)s->s.n, count, *len = NULL;
    const char **text = NULL;
    uint8_t *cut = NULL;
    lcm_status st;
    if (!lcm_mul_size(&count, n, (size_t)b->D)) LCM_FAIL(ctx, LCM_ERR_LIMIT, "%zu sentences are too many", n);
    st = lcm_calloc(ctx, &text, n, sizeof *text);
    if (st == LCM_OK) st = lcm_calloc(ctx, &len, n, sizeof *len);
    if (st == LCM_OK) st = lcm_calloc(ctx, &cut, n, sizeof *cut);
    if (st == LCM_OK) st = lcm_calloc(ctx, &s->text, n, sizeof *s->text);
    if (st == LCM_OK) st = lcm_calloc(ctx, &s->x, count, sizeof *s->x);
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        text[i] = lcm_sentences_at(&s->s, (int64_t)i, &len[i]);
        st = lcm_strset_add(ctx, &s->text[i], &b->texts, text[i], len[i]);
    }
    if (st == LCM_OK) st = lcm_codec_encode(ctx, s->x, cut, b->codec, text, len, n, s->lang);
    if (st == LCM_OK) lcm_unit_rows(s->x, (int64_t)n, b->D);
    for (size_t i = 0; st == LCM_OK && i < n; i++) b->n_cut += cut[i];
    free(text);
    free(len);
    free(cut);
    return st;
}

/* Of lines with the same text any is right: no search could tell them apart. */
static void add_row(bench *b, const char *measure, const char *direction, const int64_t *match, const side *to, int64_t candidates) {
    int64_t errors = 0;
    for (int64_t i = 0; i < b->n; i++) errors += to->text[match[i]] != to->text[i];
    lcm_report_append(&b->rows, json_pack("{s:s, s:s, s:I, s:I, s:I, s:f}", "measure", measure, "direction", direction, "lines",
                                          (json_int_t)b->n, "candidates", (json_int_t)candidates, "errors", (json_int_t)errors, "error",
                                          (double)errors / (double)b->n));
}

static lcm_status measure(lcm_ctx *ctx, bench *b) {
    int64_t all = b->target.s.n;
    LCM_TRY(lcm_calloc(ctx, &b->to_target, (size_t)b->n, sizeof *b->to_target));
    LCM_TRY(lcm_calloc(ctx, &b->to_source, (size_t)b->n, sizeof *b->to_source));
    LCM_TRY(lcm_xsim_match(ctx, b->to_target, b->to_source, b->source.x, b->n, b->target.x, b->n, b->D, (lcm_margin)b->o->margin, b->o->k));
    b->rows = json_array();
    add_row(b, "xsim", "source to target", b->to_target, &b->target, b->n);
    add_row(b, "xsim", "target to source", b->to_source, &b->source, b->n);
    if (b->o->extra == NULL) return LCM_OK;
    LCM_TRY(lcm_xsim_match(ctx, b->to_target, NULL, b->source.x, b->n, b->target.x, all, b->D, (lcm_margin)b->o->margin, b->o->k));
    add_row(b, "xsim++", "source to target", b->to_target, &b->target, all);
    return LCM_OK;
}

static json_t *skipped(const lcm_docs_report *r) {
    json_t *list = json_pack("{s:I}", "blank", (json_int_t)r->blank_lines);
    for (int i = 0; i < LCM_DOC_N_DROPS; i++) lcm_report_set(&list, lcm_doc_drop_name((lcm_doc_drop)i), json_integer(r->dropped[i]));
    return list;
}

static lcm_status finish(lcm_ctx *ctx, char **report, bench *b) {
    const lcm_eval_xsim_opts *o = b->o;
    json_t *root = json_pack("{s:s, s:s, s:I, s:s, s:s, s:I}", "task", "xsim", "sonar", o->sonar, "sonar_parameters",
                             (json_int_t)b->file.net->parameters, "space", b->file.space_hex, "margin", lcm_margin_names[o->margin], "k",
                             (json_int_t)o->k);
    lcm_report_set(&root, "source", json_string(o->source));
    lcm_report_set(&root, "target", json_string(o->target));
    lcm_report_set(&root, "lines", json_integer(b->report.lines));
    lcm_report_set(&root, "skipped", json_integer(b->report.lines - b->n));
    lcm_report_set(&root, "source_skipped", skipped(&b->report.file[0]));
    lcm_report_set(&root, "target_skipped", skipped(&b->report.file[1]));
    if (o->extra) {
        lcm_report_set(&root, "extra", json_string(o->extra));
        lcm_report_set(&root, "extra_skipped", skipped(&b->extra));
    }
    lcm_report_set(&root, "cut_by_encoder", json_integer(b->n_cut));
    lcm_report_set(&root, "rows", b->rows);
    b->rows = NULL;
    return lcm_report_finish(ctx, report, root);
}

lcm_status lcm_eval_xsim(lcm_ctx *ctx, char **report, const lcm_eval_xsim_opts *opts) {
    bench b = {.o = opts};
    side *const sides[] = {&b.source, &b.target};
    lcm_status st;
    *report = NULL;
    LCM_TRY(check(ctx, opts));
    st = open_model(ctx, &b);
    if (st == LCM_OK) st = read_texts(ctx, &b);
    for (int i = 0; i < 2 && st == LCM_OK; i++) st = encode(ctx, &b, sides[i]);
    if (st == LCM_OK) st = measure(ctx, &b);
    if (st == LCM_OK) st = finish(ctx, report, &b);
    for (int i = 0; i < 2; i++) {
        lcm_sentences_free(&sides[i]->s);
        free(sides[i]->x);
        free(sides[i]->text);
    }
    json_decref(b.rows);
    lcm_strset_free(&b.texts);
    free(b.to_target);
    free(b.to_source);
    if (b.codec) {
        lcm_codec_free(b.codec);
        lcm_sonar_file_close(&b.file);
    }
    return st;
}
