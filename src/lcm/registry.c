/* The table of concept models. */
#include "lcm/registry.h"

#include <stdlib.h>
#include <string.h>

#include "lcm/base.h"
#include "lcm/one_tower.h"
#include "lcm/quant.h"
#include "lcm/two_tower.h"

/* Typed functions behind the table's untyped ones. */
#define MODEL_FUNCTIONS(T)                                                                                   \
    static void T##_default(void *c) {                                                                       \
        lcm_##T##_config d = lcm_##T##_config_default();                                                     \
        memcpy(c, &d, sizeof d);                                                                             \
    }                                                                                                        \
    static lcm_status T##_create(lcm_ctx *ctx, lcm_model **out, const void *c) {                             \
        lcm_##T *m;                                                                                          \
        lcm_status st = lcm_##T##_new(ctx, &m, c);                                                           \
        *out = st ? NULL : &m->model;                                                                        \
        return st;                                                                                           \
    }                                                                                                        \
    static void T##_free(lcm_model *m) { lcm_##T##_free((lcm_##T *)m); }                                     \
    static lcm_status T##_loss(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_model *m,           \
                               const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws) { \
        return lcm_##T##_loss(ctx, out, t, (const lcm_##T *)m, b, c, draws);                                 \
    }
#define MODEL_LINE(name, T)                                                                                  \
    {                                                                                                        \
        name, lcm_##T##_fields, sizeof(lcm_##T##_config), T##_default, T##_create, T##_free, T##_loss,       \
            lcm_##T##_predictor_new                                                                          \
    }

MODEL_FUNCTIONS(base)
MODEL_FUNCTIONS(one_tower)
MODEL_FUNCTIONS(quant_c)
MODEL_FUNCTIONS(quant_d)
MODEL_FUNCTIONS(two_tower)

const lcm_model_type lcm_model_types[] = {MODEL_LINE("base", base),
                                          MODEL_LINE("one_tower", one_tower),
                                          MODEL_LINE("two_tower", two_tower),
                                          MODEL_LINE("quant_c", quant_c),
                                          MODEL_LINE("quant_d", quant_d),
                                          {NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL}};

lcm_status lcm_model_type_find(lcm_ctx *ctx, const lcm_model_type **out, const char *name) {
    lcm_buf names = {0};
    lcm_status st;
    for (const lcm_model_type *t = lcm_model_types; t->name; t++)
        if (strcmp(t->name, name) == 0) {
            *out = t;
            return LCM_OK;
        }
    for (const lcm_model_type *t = lcm_model_types; t->name; t++)
        LCM_TRY(lcm_buf_printf(ctx, &names, "%s%s", t == lcm_model_types ? "" : ", ", t->name));
    st = lcm_fail(ctx, LCM_ERR_NOTFOUND, "no model kind '%.100s'; there are %s", name, names.data);
    lcm_buf_free(&names);
    return st;
}

lcm_status lcm_model_register(lcm_ctx *ctx, lcm_model **out, const char *kind, const json_t *config,
                              const char *where) {
    const lcm_model_type *type;
    void *c;
    lcm_status st = LCM_OK;
    *out = NULL;
    LCM_TRY(lcm_model_type_find(ctx, &type, kind));
    LCM_TRY(lcm_calloc(ctx, &c, 1, type->config_size));
    type->config_default(c);
    if (config) st = lcm_config_read(ctx, c, type->config_fields, config, where);
    if (st == LCM_OK) st = type->create(ctx, out, c);
    if (*out) (*out)->type = type;
    free(c);
    return st;
}

lcm_status lcm_model_alloc(lcm_ctx *ctx, lcm_model *m, bool with_grad) {
    LCM_TRY(lcm_params_alloc(ctx, &m->params, with_grad));
    if (m->frozen) lcm_params_freeze(&m->params, m->frozen, true);
    return LCM_OK;
}

static lcm_status allocate(lcm_ctx *ctx, lcm_model **m, bool with_grad) {
    lcm_status st = lcm_model_alloc(ctx, *m, with_grad);
    if (st == LCM_OK) return LCM_OK;
    lcm_model_free(*m);
    *m = NULL;
    return st;
}

lcm_status lcm_model_new(lcm_ctx *ctx, lcm_model **out, const char *kind, const json_t *config,
                         const char *where, bool with_grad) {
    LCM_TRY(lcm_model_register(ctx, out, kind, config, where));
    return allocate(ctx, out, with_grad);
}

lcm_status lcm_model_create(lcm_ctx *ctx, lcm_model **out, const char *kind, const void *config,
                            bool with_grad) {
    const lcm_model_type *type;
    *out = NULL;
    LCM_TRY(lcm_model_type_find(ctx, &type, kind));
    LCM_TRY(type->create(ctx, out, config));
    (*out)->type = type;
    return allocate(ctx, out, with_grad);
}

void lcm_model_free(lcm_model *m) {
    if (m) m->type->free(m);
}

void lcm_model_init(lcm_model *m, uint64_t seed) { lcm_params_init(&m->params, seed); }

json_t *lcm_model_config_json(const lcm_model *m) {
    return lcm_config_write(m->config, m->type->config_fields);
}

lcm_status lcm_model_loss_run(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_model *m,
                              const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws) {
    memset(out, 0, sizeof *out);
    return m->type->loss(ctx, out, t, m, b, c, draws);
}
