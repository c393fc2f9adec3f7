/* Learning curves of run folders. */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "eval/curve_draw.h"

static lcm_status load(lcm_ctx *ctx, lcm_metrics_log *out, const char *run) {
    char path[LCM_PATH_MAX];
    lcm_buf text = {0};
    lcm_status st;
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, run, "metrics.jsonl"));
    if (!lcm_is_dir(run)) memcpy(path, run, strlen(run) + 1);
    st = lcm_read_file(ctx, &text, path, (size_t)1 << 30);
    if (st == LCM_OK) st = lcm_metrics_log_read(ctx, out, text.data, text.len, path);
    lcm_buf_free(&text);
    if (st == LCM_OK && out->n_bad)
        lcm_log(ctx, LCM_LOG_WARN, "%s: %zu of %zu lines left out, the first is line %zu", path, out->n_bad, out->n_lines,
                out->first_bad);
    return st;
}

/* The folder's own name: runs/a/, runs/a and runs/a/metrics.jsonl are "a". Heap. */
static char *run_name(const char *run) {
    char *name = lcm_strdup(run), *slash;
    if (name == NULL) return NULL;
    for (size_t n = strlen(name); n > 1 && name[n - 1] == '/';) name[--n] = '\0';
    slash = strrchr(name, '/');
    if (slash && slash != name && strcmp(slash, "/metrics.jsonl") == 0) *slash = '\0';
    slash = strrchr(name, '/');
    if (slash && slash[1]) memmove(name, slash + 1, strlen(slash));
    return name;
}

/* Two runs of one name, in different folders, are shown with their folders. */
static lcm_status name_runs(lcm_ctx *ctx, char **names, const char *const *runs, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((names[i] = run_name(runs[i])) == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: names");
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        char *base = run_name(runs[i]);
        for (size_t k = 0; k < n; k++) {
            char *other = run_name(runs[k]);
            same += base && other && strcmp(base, other) == 0;
            free(other);
        }
        free(base);
        if (same < 2) continue;
        free(names[i]);
        if ((names[i] = lcm_strdup(runs[i])) == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: names");
    }
    return LCM_OK;
}

static lcm_status draw(lcm_ctx *ctx, lcm_buf *out, const char *const *paths, size_t n, const lcm_curve_opts *opts) {
    lcm_curve_run *runs;
    char **names;
    lcm_status st;
    if (n == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "no run is given");
    LCM_TRY(lcm_calloc(ctx, &runs, n, sizeof *runs));
    st = lcm_calloc(ctx, &names, n, sizeof *names);
    if (st == LCM_OK) st = name_runs(ctx, names, paths, n);
    for (size_t i = 0; i < n && st == LCM_OK; i++) {
        runs[i].name = names[i];
        st = load(ctx, &runs[i].log, paths[i]);
    }
    if (st == LCM_OK) st = lcm_curve_draw(ctx, out, runs, n, opts);
    for (size_t i = 0; i < n; i++) {
        lcm_metrics_log_free(&runs[i].log);
        if (names) free(names[i]);
    }
    free(names);
    free(runs);
    return st;
}

lcm_status lcm_curve_svg(lcm_ctx *ctx, char **out, size_t *len, const char *const *runs, size_t n,
                         const lcm_curve_opts *opts) {
    lcm_buf b = {0};
    lcm_status st = draw(ctx, &b, runs, n, opts);
    *out = NULL;
    if (st != LCM_OK) {
        lcm_buf_free(&b);
        return st;
    }
    *out = b.data;
    *len = b.len;
    return LCM_OK;
}

lcm_status lcm_curve_save(lcm_ctx *ctx, const char *path, const char *const *runs, size_t n, const lcm_curve_opts *opts) {
    lcm_buf b = {0};
    lcm_status st = draw(ctx, &b, runs, n, opts);
    if (st == LCM_OK) st = lcm_write_file(ctx, path, b.data, b.len);
    lcm_buf_free(&b);
    return st;
}
