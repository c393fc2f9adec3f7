/* What generation asks of a model: take concepts into the context, give the next one.
 *
 * A predictor holds the contexts of a batch in numbered slots. It allocates when it is made and
 * when it first sees a larger feed than ever before, not per step. One thread per predictor; the
 * model is shared and not changed. */
#ifndef LCM_LCM_PREDICTOR_H
#define LCM_LCM_PREDICTOR_H

#include "diffusion/sampler.h"
#include "lcm/cache.h"
#include "lcm/concept_model.h"

/* Standard normal values of one generated concept: `doc` is the caller's number of the document,
 * `index` counts its candidates (with one per concept: its generated concepts), `call` the draws for one. */
typedef struct lcm_concept_noise {
    void (*draw)(void *user, real *out, int64_t D, uint64_t doc, int64_t index, int64_t call);
    void *user;
} lcm_concept_noise;

typedef struct lcm_predict_config {
    double temperature;         /* Base-LCM: standard deviation of noise added to the normalised prediction;
                                   quant models: of the softmax over units, 0 = the most probable */
    int64_t top_k;              /* quant models: choose among so many units, 0 = all */
    double top_p;               /* quant models: … and the fewest that hold this probability, 0 and 1 = all */
    lcm_sampler_config sampler; /* diffusion models */
    int64_t candidates;         /* asked of one slot at once, at most; 0 = 1 */
} lcm_predict_config;

/* Which slots are asked, ascending, and who they are. A slot is there once for each of its candidates, which differ by
 * their noise and share its context. */
typedef struct lcm_asked {
    int64_t n;
    const int32_t *slot;  /* (n) */
    const uint64_t *doc;  /* (n) for the noise */
    const int64_t *index; /* (n) */
} lcm_asked;

typedef struct lcm_predictor lcm_predictor;
struct lcm_predictor {
    void (*free)(lcm_predictor *p);
    /* Appends concepts in SONAR space: x (off[n], D), slot (n) ascending, off (n+1), at least one each. */
    lcm_status (*feed)(lcm_ctx *ctx, lcm_predictor *p, const real *x, int64_t n, const int32_t *slot,
                       const int32_t *off);
    /* x (n,D): the concept that follows each asked slot's context, in SONAR space. */
    lcm_status (*next)(lcm_ctx *ctx, lcm_predictor *p, real *x, const lcm_asked *a,
                       const lcm_concept_noise *noise);
    const lcm_model *model;
    lcm_predict_config config;
    lcm_tape *tape;
    const lcm_asked *asked; /* of the running lcm_predictor_sample */
    int32_t *len;       /* (slots) concepts in each context */
    int64_t slots, cap; /* contexts, and concepts of the longest */
    int64_t rows;       /* asked at once, at most */
};

/* Common part of every predictor's creation; `p` was zeroed, its functions are set by the caller.
 * LCM_ERR_ARG: guidance of a model that was not trained for it; top_k, top_p of a model without units. */
lcm_status lcm_predictor_init(lcm_ctx *ctx, lcm_predictor *p, const lcm_model *m, const lcm_predict_config *c,
                              int64_t slots, int64_t cap);
void lcm_predictor_clear(lcm_predictor *p);

/* Starts an inference pass over new concepts: normalised rows as a constant, and where they go.
 * rows->pos is NULL when out of memory. */
lcm_tensor *lcm_predictor_begin(lcm_predictor *p, lcm_kv_rows *rows, const real *x, int64_t n,
                                const int32_t *slot, const int32_t *off);

/* The slots of p->asked, each once, with off (n+1) candidates of each; n is 0 when out of memory. */
typedef struct lcm_asked_slots {
    int64_t n;
    int32_t *slot, *off;
} lcm_asked_slots;

lcm_asked_slots lcm_predictor_asked_slots(const lcm_predictor *p);

/* `next` of a diffusion model: the sampler with the network `denoise`, whose user is p, denormalised. */
lcm_status lcm_predictor_sample(lcm_ctx *ctx, lcm_predictor *p, real *x, lcm_sampler *s, lcm_denoise_fn denoise,
                                const lcm_asked *a, const lcm_concept_noise *noise);

lcm_status lcm_base_predictor_new(lcm_ctx *ctx, lcm_predictor **out, const lcm_model *m,
                                  const lcm_predict_config *c, int64_t slots, int64_t cap);
lcm_status lcm_two_tower_predictor_new(lcm_ctx *ctx, lcm_predictor **out, const lcm_model *m,
                                       const lcm_predict_config *c, int64_t slots, int64_t cap);
lcm_status lcm_quant_predictor_new(lcm_ctx *ctx, lcm_predictor **out, const lcm_model *m,
                                   const lcm_predict_config *c, int64_t slots, int64_t cap);
lcm_status lcm_one_tower_predictor_new(lcm_ctx *ctx, lcm_predictor **out, const lcm_model *m,
                                       const lcm_predict_config *c, int64_t slots, int64_t cap);

#endif
