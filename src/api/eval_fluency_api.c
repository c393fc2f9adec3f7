/* lcm_eval_fluency: calibrates the metric of that name. */
#include "api/eval_int.h"
#include "lcm/eval_run.h"

json_t *lcm_eval_fluency_json(lcm_ctx *ctx, const lcm_fluency_fit *fit) {
    char warning[256];
    json_t *j = lcm_config_write(fit, lcm_fluency_fields);
    if (lcm_fluency_warning(warning, sizeof warning, fit)) {
        lcm_log(ctx, LCM_LOG_WARN, "%s", warning);
        lcm_report_set(&j, "warning", json_string(warning));
    }
    return j;
}

lcm_status lcm_eval_fluency(lcm_ctx *ctx, char **report, const char *model, const char *pairs, int64_t max_pairs, const char *out) {
    lcm_llama_file file;
    lcm_fluency_fit fit;
    lcm_status st;
    *report = NULL;
    LCM_TRY(lcm_llama_load(ctx, &file, model, false));
    st = lcm_fluency_calibrate(ctx, &fit, &file, pairs, max_pairs);
    lcm_llama_file_close(&file);
    if (st == LCM_OK) st = lcm_fluency_save(ctx, &fit, model, pairs, out);
    return st ? st : lcm_report_finish(ctx, report, lcm_eval_fluency_json(ctx, &fit));
}
