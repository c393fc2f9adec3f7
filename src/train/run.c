/* Kinds of training runs. */
#include "train/run.h"

#include <stdio.h>
#include <string.h>

lcm_status lcm_run_find(lcm_ctx *ctx, const lcm_run_kind **out, const json_t *given) {
    const char *kind = json_string_value(json_object_get(given, "kind"));
    char list[128] = "";
    size_t n = 0;
    for (size_t i = 0; lcm_run_kinds[i]; i++) {
        const lcm_run_kind *k = lcm_run_kinds[i];
        if (kind && strcmp(kind, k->name) == 0) {
            *out = k;
            return LCM_OK;
        }
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", k->name);
    }
    if (kind == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "kind: one of %s is required", list);
    LCM_FAIL(ctx, LCM_ERR_ARG, "kind: '%.40s' is not one of %s", kind, list);
}

lcm_status lcm_run_config(lcm_ctx *ctx, void *config, const lcm_field *fields, const json_t *given, const char *const *raw) {
    json_t *rest = json_copy((json_t *)(uintptr_t)given);
    lcm_status st;
    if (rest == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    for (; *raw; raw++) json_object_del(rest, *raw);
    st = lcm_config_read(ctx, config, fields, rest, "config");
    json_decref(rest);
    return st;
}

lcm_status lcm_run_task(lcm_ctx *ctx, const lcm_trainer_config *config, lcm_task *task, const json_t *resolved,
                        lcm_run_hooks *hooks) {
    if (hooks->check_grad > 0)
        return lcm_train_check_grad(ctx, task, (uint64_t)config->seed, hooks->check_grad, &hooks->worst,
                                    hooks->worst_name, sizeof hooks->worst_name);
    return lcm_train_loop(ctx, config, task, resolved, hooks->progress, hooks->user);
}
