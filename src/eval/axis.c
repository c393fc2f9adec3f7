#include "eval/axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double lcm_axis_at(const lcm_axis *a, double value) {
    double t = a->log ? log(value / a->lo) / log(a->hi / a->lo) : (value - a->lo) / (a->hi - a->lo);
    return a->from + t * (a->to - a->from);
}

/* The smallest of 1, 2, 5 × 10^k that is not below `raw`. */
static double round_step(double raw) {
    double power = pow(10, floor(log10(raw))), m = raw / power;
    return power * (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10);
}

static size_t linear_ticks(const lcm_axis *a, int want, double *ticks) {
    double step = round_step((a->hi - a->lo) / want), slack = step * 1e-9;
    size_t n = 0;
    /* multiples of the step, not a running sum: zero stays zero and 0.3 does not become 0.30000000000000004 */
    for (double i = ceil((a->lo - slack) / step); i * step <= a->hi + slack && n < LCM_AXIS_MAX_TICKS; i++)
        ticks[n++] = i == 0 ? 0 : i * step;
    return n;
}

static size_t log_ticks(const lcm_axis *a, int want, double *ticks) {
    static const double mantissas[] = {1, 2, 5};
    double decades = log10(a->hi / a->lo);
    int stride = (int)fmax(1, ceil(decades / want)), k = (int)floor(log10(a->lo));
    size_t n = 0, step = decades * 3 > want + 1 ? 3 : 1; /* 1, 2, 5 or powers of ten alone */
    for (; pow(10, k) <= a->hi; k += stride) {
        for (size_t m = 0; m < 3; m += step) {
            double t = mantissas[m] * pow(10, k);
            if (t >= a->lo * (1 - 1e-9) && t <= a->hi * (1 + 1e-9) && n < LCM_AXIS_MAX_TICKS) ticks[n++] = t;
        }
    }
    return n;
}

size_t lcm_axis_ticks(const lcm_axis *a, int want, double ticks[LCM_AXIS_MAX_TICKS]) {
    size_t n = a->log ? log_ticks(a, want, ticks) : 0;
    return n >= 3 ? n : linear_ticks(a, want, ticks); /* less than a decade: round distances tell more */
}

void lcm_axis_label(char dst[32], double value) {
    static const char *const suffix[] = {"", "k", "M", "G", "T"};
    char raw[32], *d = dst;
    int thousands = 0;
    if (fabs(value) < 1e15)
        for (; fabs(value) >= 1000 && thousands < 4; thousands++) value /= 1000;
    snprintf(raw, sizeof raw, fabs(value) < 1e-3 ? "%.3g" : "%.4g", value);
    for (const char *p = raw; *p; p++) {
        if (strchr("0123456789e+-", *p) == NULL) { /* a decimal point of any locale, perhaps of several bytes */
            if (d == dst || d[-1] != '.') *d++ = '.';
        } else if (!(*p == '0' && d - dst >= 2 && d[-2] == 'e')) { /* 5e-05 is 5e-5 */
            *d++ = *p;
        }
    }
    snprintf(d, (size_t)(dst + 32 - d), "%s", suffix[thousands]);
}
