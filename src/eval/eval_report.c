/* Building reports. */
#include "eval/eval_report.h"

#include <math.h>

json_t *lcm_report_real(double v) { return isfinite(v) ? json_real(v) : json_null(); }

json_t *lcm_report_spread(const double *v, size_t n) {
    double mean = 0, ss = 0;
    for (size_t i = 0; i < n; i++) mean += v[i] / (double)n;
    for (size_t i = 0; i < n; i++) ss += (v[i] - mean) * (v[i] - mean);
    if (n < 2 || !isfinite(mean)) return lcm_report_real(n ? mean : NAN);
    return json_pack("{s:f, s:f}", "mean", mean, "sd", sqrt(ss / (double)(n - 1)));
}

json_t *lcm_report_interval(double mean, double low, double high) {
    if (!isfinite(mean)) return json_null();
    return json_pack("{s:f, s:f, s:f}", "mean", mean, "low", low, "high", high);
}

void lcm_report_set(json_t **root, const char *key, json_t *value) {
    if (*root && json_object_set_new(*root, key, value) == 0) return; /* frees the value on failure */
    if (*root == NULL) json_decref(value);
    json_decref(*root);
    *root = NULL;
}

void lcm_report_append(json_t **array, json_t *value) {
    if (*array && json_array_append_new(*array, value) == 0) return;
    if (*array == NULL) json_decref(value);
    json_decref(*array);
    *array = NULL;
}

lcm_status lcm_report_finish(lcm_ctx *ctx, char **out, json_t *root) {
    *out = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    json_decref(root);
    if (*out == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: report");
    return LCM_OK;
}
