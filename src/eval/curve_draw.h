/* Learning curves as SVG. */
#ifndef LCM_CURVE_DRAW_H
#define LCM_CURVE_DRAW_H

#include "base/mem.h"
#include "eval/metrics_log.h"
#include "lcm/curve.h"

typedef struct lcm_curve_run {
    const char *name; /* for the legend; any bytes */
    lcm_metrics_log log;
} lcm_curve_run;

/* Appends the image to `out`. Contract and errors of lcm_curve_svg. */
lcm_status lcm_curve_draw(lcm_ctx *ctx, lcm_buf *out, const lcm_curve_run *runs, size_t n, const lcm_curve_opts *opts);

#endif
