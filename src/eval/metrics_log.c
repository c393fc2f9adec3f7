/* metrics.jsonl, line by line. */
#include "eval/metrics_log.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/mem.h"

static const double max_value = 1e30; /* differences and sums of some such values are still finite */

const lcm_metric_series *lcm_metrics_log_find(const lcm_metrics_log *log, const char *name) {
    for (size_t i = 0; i < log->n_series; i++)
        if (strcmp(log->series[i].name, name) == 0) return &log->series[i];
    return NULL;
}

void lcm_metrics_log_free(lcm_metrics_log *log) {
    for (size_t i = 0; i < log->n_series; i++) free(log->series[i].points);
    free(log->step);
    memset(log, 0, sizeof *log);
}

static lcm_status add_value(lcm_ctx *ctx, lcm_metrics_log *log, const char *name, double value) {
    lcm_metric_series *s = (lcm_metric_series *)lcm_metrics_log_find(log, name);
    if (s == NULL) {
        if (strlen(name) >= sizeof s->name) return LCM_OK; /* none of ours is that long */
        if (log->n_series == LCM_METRICS_MAX_SERIES)
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "more than %d different keys", LCM_METRICS_MAX_SERIES);
        s = &log->series[log->n_series++];
        memcpy(s->name, name, strlen(name) + 1);
    }
    LCM_TRY(lcm_grow(ctx, &s->points, &s->cap, s->n + 1, sizeof *s->points));
    s->points[s->n++] = (lcm_metric_point){log->n_rows, value};
    return LCM_OK;
}

static lcm_status add_row(lcm_ctx *ctx, lcm_metrics_log *log, json_t *line, double step) {
    const char *key;
    json_t *value;
    LCM_TRY(lcm_grow(ctx, &log->step, &log->cap_rows, log->n_rows + 1, sizeof *log->step));
    json_object_foreach(line, key, value) {
        if (!json_is_number(value) || fabs(json_number_value(value)) > max_value || strcmp(key, "step") == 0) continue;
        LCM_TRY(add_value(ctx, log, key, json_number_value(value)));
    }
    log->step[log->n_rows++] = step;
    return LCM_OK;
}

/* whole: the line has its end; what has none may be half of what a running training writes just now. */
static lcm_status add_line(lcm_ctx *ctx, lcm_metrics_log *log, size_t number, const char *text, size_t len, bool whole) {
    json_t *line = NULL, *step;
    lcm_status st = lcm_json_parse(ctx, &line, text, len, "line");
    if (st == LCM_ERR_NOMEM) return st;
    if (st != LCM_OK && !whole && log->n_lines) return LCM_OK;
    log->n_lines++;
    step = json_object_get(line, "step"); /* NULL for NULL and for what is no object */
    if (json_is_number(step) && json_number_value(step) <= max_value &&
        json_number_value(step) > (log->n_rows ? log->step[log->n_rows - 1] : -1)) {
        st = add_row(ctx, log, line, json_number_value(step));
    } else {
        st = LCM_OK;
        if (log->n_bad++ == 0) log->first_bad = number;
    }
    json_decref(line);
    return st;
}

lcm_status lcm_metrics_log_read(lcm_ctx *ctx, lcm_metrics_log *out, const char *text, size_t len, const char *what) {
    const char *p = text, *end = text + len;
    lcm_status st = LCM_OK;
    memset(out, 0, sizeof *out);
    for (size_t number = 1; p < end && st == LCM_OK; number++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p)), *next = stop ? stop + 1 : end;
        bool whole = stop != NULL;
        if (stop == NULL) stop = end;
        if (stop > p && stop[-1] == '\r') stop--;
        if (stop > p) st = add_line(ctx, out, number, p, (size_t)(stop - p), whole);
        p = next;
    }
    if (st == LCM_OK && out->n_lines == 0) st = lcm_fail(ctx, LCM_ERR_FORMAT, "the log is empty");
    else if (st == LCM_OK && out->n_rows == 0)
        st = lcm_fail(ctx, LCM_ERR_FORMAT, "none of %zu lines is a JSON object with a step", out->n_lines);
    if (st == LCM_OK) return LCM_OK;
    lcm_metrics_log_free(out);
    return lcm_fail_within(ctx, st, "%s", what);
}
