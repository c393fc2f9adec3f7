/* A run's metrics.jsonl in memory: one row per line, one series per key. */
#ifndef LCM_METRICS_LOG_H
#define LCM_METRICS_LOG_H

#include <stddef.h>

#include "base/ctx_int.h"

typedef struct lcm_metric_point {
    size_t row;
    double value;
} lcm_metric_point;

typedef struct lcm_metric_series {
    char name[64];
    lcm_metric_point *points; /* in order of rows; a row without the key has none */
    size_t n, cap;
} lcm_metric_series;

enum { LCM_METRICS_MAX_SERIES = 64 };

typedef struct lcm_metrics_log {
    double *step; /* [n_rows], increasing */
    size_t n_rows, cap_rows;
    lcm_metric_series series[LCM_METRICS_MAX_SERIES];
    size_t n_series;
    size_t n_lines, n_bad, first_bad; /* empty lines are not counted; first_bad is a line number from 1, 0: none */
} lcm_metrics_log;

/* Reads JSON lines. A line is bad when it is no JSON object, or its "step" is no number above that of the line
 * before: it is counted and left out; but a last line without its end, which may be half written, is not counted
 * when it does not parse. Values that are not numbers, or beyond ±1e30, are left out singly.
 * LCM_ERR_FORMAT when no line is usable, LCM_ERR_LIMIT for more keys than LCM_METRICS_MAX_SERIES. `what` names
 * the source in messages. Memory: proportional to len. On failure *out is empty. */
lcm_status lcm_metrics_log_read(lcm_ctx *ctx, lcm_metrics_log *out, const char *text, size_t len, const char *what);
void lcm_metrics_log_free(lcm_metrics_log *log); /* leaves an empty log */

const lcm_metric_series *lcm_metrics_log_find(const lcm_metrics_log *log, const char *name); /* NULL: none */

#endif
