/* Axes of a chart: ticks at round numbers, labels, values to pixels. */
#ifndef LCM_AXIS_H
#define LCM_AXIS_H

#include <stdbool.h>
#include <stddef.h>

enum { LCM_AXIS_MAX_TICKS = 40 };

typedef struct lcm_axis {
    double lo, hi; /* lo < hi, finite, |x| ≤ 1e31; both > 0 if log */
    bool log;
    double from, to; /* pixels of lo and hi */
} lcm_axis;

double lcm_axis_at(const lcm_axis *a, double value);

/* About `want` (2 … 12) ticks at multiples of 1, 2 or 5 times a power of ten, all inside the axis, ascending.
 * Returns their number. */
size_t lcm_axis_ticks(const lcm_axis *a, int want, double ticks[LCM_AXIS_MAX_TICKS]);

/* "0.05", "150k", "2.5M", "3e-4"; the point is a point whatever the locale. */
void lcm_axis_label(char dst[32], double value);

#endif
