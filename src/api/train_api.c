/* Public training interface. */
#include "lcm/train.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "train/run.h"

const char *lcm_train_kind(size_t i, const char **help) {
    for (size_t k = 0; lcm_run_kinds[k]; k++) {
        if (k != i) continue;
        if (help) *help = lcm_run_kinds[k]->help;
        return lcm_run_kinds[k]->name;
    }
    return NULL;
}

static lcm_status resolve(lcm_ctx *ctx, json_t **out, const char *config, const char *const *overrides, size_t n) {
    const lcm_run_kind *kind;
    json_t *given;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_json_parse(ctx, &given, config, strlen(config), "configuration"));
    st = json_is_object(given) ? LCM_OK : lcm_fail(ctx, LCM_ERR_ARG, "configuration: an object is required");
    for (size_t i = 0; st == LCM_OK && i < n; i++) st = lcm_json_override(ctx, given, overrides[i]);
    if (st == LCM_OK) st = lcm_run_find(ctx, &kind, given);
    if (st == LCM_OK) st = lcm_run_resolve(ctx, out, kind, given);
    json_decref(given);
    return st;
}

lcm_status lcm_train_resolve(lcm_ctx *ctx, char **out, const char *config, const char *const *overrides, size_t n) {
    json_t *full;
    *out = NULL;
    LCM_TRY(resolve(ctx, &full, config, overrides, n));
    *out = json_dumps(full, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(full);
    if (*out == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    return LCM_OK;
}

typedef struct bridge {
    lcm_train_opts *opts;
} bridge;

static bool on_step(void *user, const lcm_train_report *r) {
    const lcm_train_opts *o = ((bridge *)user)->opts;
    lcm_train_status s = {.step = r->step, .max_steps = r->max_steps, .skipped = r->skipped, .loss = r->loss, .lr = r->lr,
                          .grad_norm = r->grad_norm, .items = r->items, .items_per_second = r->items_per_second,
                          .seconds_left = r->seconds_left, .unit = r->unit, .note = r->note};
    return o->progress == NULL || o->progress(o->user, &s);
}

lcm_status lcm_train(lcm_ctx *ctx, const char *config, lcm_train_opts *opts) {
    lcm_train_opts none = {0};
    bridge b = {opts ? opts : &none};
    lcm_run_hooks hooks = {.progress = on_step, .user = &b, .check_grad = b.opts->check_grad};
    const lcm_run_kind *kind;
    json_t *full;
    lcm_status st;
    LCM_TRY(resolve(ctx, &full, config, NULL, 0));
    st = lcm_run_find(ctx, &kind, full);
    if (st == LCM_OK) st = lcm_run_start(ctx, kind, full, &hooks);
    json_decref(full);
    b.opts->worst = hooks.worst;
    memcpy(b.opts->worst_name, hooks.worst_name, sizeof b.opts->worst_name);
    return st;
}

void lcm_free(void *p) { free(p); }
