/* The concept models, one line each (registry.c): a trainer or generator knows none by name. */
#ifndef LCM_LCM_REGISTRY_H
#define LCM_LCM_REGISTRY_H

#include "lcm/concept_model.h"
#include "lcm/predictor.h"

struct lcm_model_type {
    const char *name; /* "base": lcm.kind of a file */
    const lcm_field *config_fields;
    size_t config_size;
    void (*config_default)(void *config);
    lcm_status (*create)(lcm_ctx *ctx, lcm_model **out,
                         const void *config); /* registers, allocates no parameters */
    void (*free)(lcm_model *m);
    lcm_status (*loss)(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_model *m,
                       const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws);
    /* Contexts for `slots` documents of up to `cap` concepts. LCM_ERR_ARG for options it cannot follow. */
    lcm_status (*predictor_new)(lcm_ctx *ctx, lcm_predictor **out, const lcm_model *m,
                                const lcm_predict_config *c, int64_t slots, int64_t cap);
};

extern const lcm_model_type lcm_model_types[]; /* ends with name = NULL */

/* LCM_ERR_NOTFOUND lists the names there are. */
lcm_status lcm_model_type_find(lcm_ctx *ctx, const lcm_model_type **out, const char *name);

/* Model of a kind from JSON (NULL = all defaults); `where` names the source in messages. Parameters
 * are zero until lcm_model_init or a file fills them. */
lcm_status lcm_model_new(lcm_ctx *ctx, lcm_model **out, const char *kind, const json_t *config,
                         const char *where, bool with_grad);
/* The same from the kind's own configuration struct. */
lcm_status lcm_model_create(lcm_ctx *ctx, lcm_model **out, const char *kind, const void *config,
                            bool with_grad);
/* lcm_model_new up to the memory of the parameters, which lcm_model_alloc brings: a loader looks at
 * the sizes first. */
lcm_status lcm_model_register(lcm_ctx *ctx, lcm_model **out, const char *kind, const json_t *config,
                              const char *where);
/* Memory of the parameters; those that are data are frozen. */
lcm_status lcm_model_alloc(lcm_ctx *ctx, lcm_model *m, bool with_grad);
void lcm_model_free(lcm_model *m); /* NULL is allowed */
void lcm_model_init(lcm_model *m, uint64_t seed);
json_t *lcm_model_config_json(const lcm_model *m); /* new; NULL when out of memory */

/* One batch through the model onto the tape. Batches and options are checked: LCM_ERR_ARG,
 * LCM_ERR_LIMIT; LCM_ERR_NOMEM. The tape must have been reset by the caller. */
lcm_status lcm_model_loss_run(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_model *m,
                              const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws);

#endif
