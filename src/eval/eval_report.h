/* Reports: JSON that is made for tables (include/lcm/eval.h). */
#ifndef LCM_EVAL_REPORT_H
#define LCM_EVAL_REPORT_H

#include <jansson.h>

#include "base/ctx_int.h"

json_t *lcm_report_real(double v); /* null for NAN */
/* {"mean": …, "sd": …} of n values, sd over n - 1; the number alone when n is 1; null when one is NAN. */
json_t *lcm_report_spread(const double *v, size_t n);
/* {"mean": …, "low": …, "high": …} */
json_t *lcm_report_interval(double mean, double low, double high);

/* Sets the key and takes the reference; out of memory is remembered in *root, which becomes NULL. */
void lcm_report_set(json_t **root, const char *key, json_t *value);
void lcm_report_append(json_t **array, json_t *value);

/* Text of the report, and the end of the object. LCM_ERR_NOMEM, also when root is NULL. */
lcm_status lcm_report_finish(lcm_ctx *ctx, char **out, json_t *root);

#endif
