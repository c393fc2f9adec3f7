/* The sample that rides along in a model file: input and output, to be replayed elsewhere.
 *
 *   sonar            selftest.vectors [n, D]; lcm.selftest {"sentences": [n texts], "decoded": [n texts]}
 *   llama            the same, the vectors being log-probabilities [n, 1] and the texts greedy continuations
 *   concept models   selftest.prompt [n, D], selftest.next [1, D]; lcm.selftest {"seed", "steps", "guidance_scale"}
 *
 * The numbers belong to the parameters as stored in the same file. */
#ifndef LCM_SAMPLE_H
#define LCM_SAMPLE_H

#include <jansson.h>

#include "lcm/model_io.h"
#include "llama/llama_io.h"
#include "sonar/sonar_io.h"

#define LCM_SAMPLE_META "lcm.selftest"
#define LCM_SAMPLE_PREFIX "selftest."

typedef struct lcm_sample {
    json_t *meta;
    int64_t n, D;
    real *vectors; /* (n, D): of the sentences, or the prompt */
    real *next;    /* (D); NULL for sonar and llama */
} lcm_sample;

/* Computes a sample with fixed input. */
lcm_status lcm_sample_of_sonar(lcm_ctx *ctx, lcm_sample *out, const lcm_sonar_file *f);
lcm_status lcm_sample_of_llama(lcm_ctx *ctx, lcm_sample *out, const lcm_llama_file *f);
lcm_status lcm_sample_of_model(lcm_ctx *ctx, lcm_sample *out, const lcm_model *m);

/* Computes the sample anew from another's input. */
lcm_status lcm_sample_replay_sonar(lcm_ctx *ctx, lcm_sample *out, const lcm_sonar_file *f, const lcm_sample *in);
lcm_status lcm_sample_replay_llama(lcm_ctx *ctx, lcm_sample *out, const lcm_llama_file *f, const lcm_sample *in);
lcm_status lcm_sample_replay_model(lcm_ctx *ctx, lcm_sample *out, const lcm_model *m, const lcm_sample *in);

/* Adds to a file in the making; the sample is borrowed until the last commit. */
lcm_status lcm_sample_put(lcm_ctx *ctx, lcm_st_writer *w, const lcm_sample *s);
/* texts: of sonar or, with D = 1, llama. LCM_ERR_NOTFOUND: the file has none; LCM_ERR_FORMAT, LCM_ERR_SHAPE. */
lcm_status lcm_sample_get(lcm_ctx *ctx, lcm_sample *out, const lcm_st *st, bool texts, int64_t D);
void lcm_sample_free(lcm_sample *s); /* leaves it empty */

#endif
