/* Two files, line by line. */
#include "eval/aligned.h"

#include <string.h>

static lcm_status open_file(lcm_ctx *ctx, lcm_docs **out, const char *path, const char *key) {
    lcm_docs_opts o = {.key = key, .max_doc = LCM_ALIGNED_MAX_LINE};
    LCM_TRY(lcm_docs_open(ctx, out, &path, 1, &o));
    if (lcm_docs_n_files(*out) != 1 || strcmp(lcm_docs_file(*out, 0, NULL), path) != 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "'%s': a file is required, not a folder", path);
    return LCM_OK;
}

static lcm_status merge(lcm_ctx *ctx, lcm_sentences *a, lcm_sentences *b, lcm_docs *const d[2]) {
    lcm_doc x, y;
    LCM_TRY(lcm_docs_next(ctx, &x, d[0]));
    LCM_TRY(lcm_docs_next(ctx, &y, d[1]));
    while (x.text || y.text) {
        bool first = !y.text || (x.text && x.line <= y.line), second = !x.text || (y.text && y.line <= x.line);
        if (first && second) {
            LCM_TRY(lcm_sentences_add(ctx, a, x.text, x.len));
            LCM_TRY(lcm_sentences_add(ctx, b, y.text, y.len));
        }
        if (first) LCM_TRY(lcm_docs_next(ctx, &x, d[0]));
        if (second) LCM_TRY(lcm_docs_next(ctx, &y, d[1]));
    }
    return LCM_OK;
}

lcm_status lcm_aligned_read(lcm_ctx *ctx, lcm_sentences *a, lcm_sentences *b, lcm_aligned_report *report, const char *const path[2],
                            const char *const key[2]) {
    lcm_docs *d[2] = {NULL, NULL};
    int64_t before = a->n;
    lcm_status st = LCM_OK;
    memset(report, 0, sizeof *report);
    if (strcmp(path[0], "-") == 0 && strcmp(path[1], "-") == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "standard input cannot be both files");
    for (int i = 0; i < 2 && st == LCM_OK; i++) st = open_file(ctx, &d[i], path[i], key[i]);
    if (st == LCM_OK) st = merge(ctx, a, b, d);
    for (int i = 0; i < 2 && st == LCM_OK; i++) report->file[i] = *lcm_docs_get_report(d[i]);
    for (int i = 0; i < 2; i++) lcm_docs_close(d[i]);
    LCM_TRY(st);
    report->lines = report->file[0].lines;
    report->pairs = a->n - before;
    if (report->file[1].lines != report->lines)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' has %lld lines, '%s' has %lld: line i must translate line i", path[0],
                 (long long)report->lines, path[1], (long long)report->file[1].lines);
    return LCM_OK;
}
