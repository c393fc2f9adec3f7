/* Learning curves: the metrics.jsonl of training runs as one SVG image. */
#ifndef LCM_CURVE_H
#define LCM_CURVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lcm/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_curve_opts {
    const char *const *panels; /* n_panels; each names the metrics of one panel: "loss,valid_mse" */
    size_t n_panels;           /* 0: one panel of "loss" and the first metric that starts with "valid_" */
    int64_t smooth;            /* points whose mean is one point of a strong line; 0: a fiftieth of the run; 1: none */
    bool log;                  /* logarithmic values; what is not positive is not drawn. The panel of lr is linear */
    bool items;                /* x is the number of items seen (tokens, concepts), not of steps */
    const char *x_label;       /* below the x axis; NULL: "step" or "items" */
} lcm_curve_opts;

/* Draws n runs, each a run folder or a metrics.jsonl, into *out: a self-contained SVG of *len bytes, NUL-terminated,
 * to be freed with lcm_free. A training metric is a light line with its moving mean, a metric that starts with
 * "valid_" is points; "lr" gets a panel of its own below. The frame holds the strong lines, the points, and all but
 * the outermost hundredth of the light lines on either side. NULL opts: defaults. Lines of a log that are no JSON
 * objects with an increasing "step" are left out, and counted in a warning to the context's log.
 * LCM_ERR_FORMAT (a log without a usable line), LCM_ERR_NOTFOUND (no such file; no run has a metric),
 * LCM_ERR_ARG (no run, an option), LCM_ERR_LIMIT (a log above 1 GiB or of more than 64 metrics). */
LCM_API lcm_status lcm_curve_svg(lcm_ctx *ctx, char **out, size_t *len, const char *const *runs, size_t n,
                                 const lcm_curve_opts *opts);

/* The same into a file, which is complete or absent. */
LCM_API lcm_status lcm_curve_save(lcm_ctx *ctx, const char *path, const char *const *runs, size_t n,
                                  const lcm_curve_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
