/* Kinds of training runs. */
#include "train/run.h"

#include <stdio.h>
#include <stdlib.h>
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

/* A new configuration, `given` over the defaults. The caller frees it. */
static lcm_status read_config(lcm_ctx *ctx, void **out, const lcm_run_kind *kind, const json_t *given) {
    json_t *rest = json_copy((json_t *)(uintptr_t)given);
    void *config;
    lcm_status st = lcm_calloc(ctx, &config, 1, kind->size);
    if (st == LCM_OK && rest == NULL) st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    for (const char *const *raw = kind->raw; *raw; raw++) json_object_del(rest, *raw);
    if (st == LCM_OK) {
        kind->defaults(config);
        st = lcm_config_read(ctx, config, kind->fields, rest, "config");
    }
    json_decref(rest);
    if (st) free(config);
    else *out = config;
    return st;
}

/* Every field of the table, and the raw keys as they were given. */
static lcm_status write_config(lcm_ctx *ctx, json_t **out, const lcm_run_kind *kind, const void *config, const json_t *given) {
    json_t *all = lcm_config_write(config, kind->fields);
    bool ok = all != NULL;
    for (const char *const *raw = kind->raw; ok && *raw; raw++) {
        json_t *v = json_object_get(given, *raw);
        ok = json_object_set_new(all, *raw, v ? json_incref(v) : json_array()) == 0;
    }
    *out = all;
    if (ok) return LCM_OK;
    LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
}

lcm_status lcm_run_resolve(lcm_ctx *ctx, json_t **out, const lcm_run_kind *kind, const json_t *given) {
    json_t *all = NULL;
    void *config;
    lcm_status st;
    *out = NULL;
    LCM_TRY(read_config(ctx, &config, kind, given));
    st = write_config(ctx, &all, kind, config, given);
    if (st == LCM_OK && kind->complete) st = kind->complete(ctx, all, config, given);
    free(config);
    if (st) json_decref(all);
    else *out = all;
    return st;
}

lcm_status lcm_run_start(lcm_ctx *ctx, const lcm_run_kind *kind, const json_t *resolved, lcm_run_hooks *hooks) {
    void *config;
    lcm_status st;
    LCM_TRY(read_config(ctx, &config, kind, resolved));
    st = kind->run(ctx, config, resolved, hooks);
    free(config);
    return st;
}

lcm_status lcm_run_task(lcm_ctx *ctx, const lcm_trainer_config *config, lcm_task *task, const json_t *resolved,
                        lcm_run_hooks *hooks) {
    if (hooks->check_grad > 0)
        return lcm_train_check_grad(ctx, task, (uint64_t)config->seed, hooks->check_grad, &hooks->worst,
                                    hooks->worst_name, sizeof hooks->worst_name);
    return lcm_train_loop(ctx, config, task, resolved, hooks->progress, hooks->user);
}
