/* Continuing documents concept by concept.
 *
 * Rows of a batch are independent: prompts of any lengths are read in one packed pass, a finished
 * row is left out, and no row's result depends on the others. Stopping follows the reference code;
 * all cosines are taken in SONAR space. */
#ifndef LCM_LCM_GENERATE_H
#define LCM_LCM_GENERATE_H

#include "lcm/predictor.h"

enum { LCM_MAX_CANDIDATES = 64 };

typedef struct lcm_generate_config {
    int64_t max_gen_len;         /* generated concepts of a document at most */
    int64_t min_gen_len;         /* the concept of index g may stop the document when g >= this */
    double eos_threshold;        /* stop at cos(eos, concept) >= this; needs an eos vector */
    double repetition_threshold; /* stop at cos(previous, concept) >= this; 0 = off */
    bool trim_hypotheses;        /* drop the concept that stopped a document … */
    bool include_eos_token;      /* … unless this is set */
    int64_t seed;                /* of the noise; 0 is a seed like any other */
    double temperature; /* Base-LCM: noise on the normalised prediction; the reference defaults to 1. Quant: of the softmax */
    int64_t top_k;              /* quant models, as in lcm_predict_config */
    double top_p;
    lcm_sampler_config sampler; /* diffusion models; of quant models guidance_scale */
    int64_t candidates;         /* drawn for every concept, for on_concept to choose from … */
    double min_score;           /* … by the score of their texts: lcm_codec_decode_best */
} lcm_generate_config;

extern const lcm_field lcm_generate_fields[];
/* 200, 1, .9, off, false, false, 42, 0, sampler defaults, 1 */
lcm_generate_config lcm_generate_config_default(void);

/* Prompts, packed, in SONAR space: at least one concept each. */
typedef struct lcm_prompts {
    int64_t n;
    const real *x;       /* (off[n], D) */
    const int32_t *off;  /* (n+1) */
    const real *eos;     /* (D) or NULL: documents end at max_gen_len (or by repetition) only */
    const uint64_t *doc; /* (n) numbers that noise is drawn for, or NULL = 0 … n-1 */
} lcm_prompts;

typedef struct lcm_generate_hooks {
    /* Called for every concept as it comes, before any trimming, with its candidates x (candidates, D). What it
     * leaves in the first row is what the stop rules judge, the model reads back and the result holds. Its
     * failure ends the generation and is returned. NULL: the first candidate is taken. */
    lcm_status (*on_concept)(lcm_ctx *ctx, void *user, int64_t prompt, int64_t index, real *x);
    /* Called whenever the model has read concepts (the prompts, then those of each step): for clocks. Or NULL. */
    void (*on_context)(void *user);
    void *user;
    lcm_concept_noise noise; /* draw NULL: from seed, document, index and call */
} lcm_generate_hooks;

typedef enum lcm_stop { LCM_STOP_LENGTH = 0, LCM_STOP_EOS, LCM_STOP_REPETITION } lcm_stop;

/* Generated concepts only, packed. */
typedef struct lcm_generated {
    int64_t n;
    real *x;       /* (off[n], D) */
    int32_t *off;  /* (n+1) */
    uint8_t *stop; /* (n) lcm_stop */
} lcm_generated;

/* Why concept x (D) of this index ends a document; LCM_STOP_LENGTH when it does not. eos may be NULL. */
lcm_stop lcm_generate_stop(const lcm_generate_config *c, int64_t index, const real *eos, const real *before, const real *x,
                           int64_t D);

/* `hooks` may be NULL. LCM_ERR_ARG for options and prompts, LCM_ERR_LIMIT when prompt and
 * max_gen_len exceed the model's max_seq_len, LCM_ERR_NUMERIC naming document and concept. On
 * failure *out is empty. */
lcm_status lcm_generate(lcm_ctx *ctx, lcm_generated *out, const lcm_model *m, const lcm_prompts *prompts,
                        const lcm_generate_config *config, const lcm_generate_hooks *hooks);
void lcm_generated_free(lcm_generated *g); /* leaves it empty */

#endif
