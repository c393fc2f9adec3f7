/* Training objective of the autoencoder: from the concept of a source say the target, which is the same sentence, or its
 * translation. For translations two losses join the cross-entropy, as in SONAR (arXiv 2308.11466 §3), whose weights are
 * .1 and .01; all are means over a batch:
 *
 *     mse      (e(source) - e(target))², over sentences and elements, which draws the languages into one space
 *     denoise  cross-entropy of the target from the concept of the target with spans masked, per token
 *
 * Three kinds of noise make the space tolerant, each on a random part of the sentences:
 *   tokens   the encoder reads the sentence with spans replaced by <unk> and must still lead to the
 *            clean text: the denoising objective of SONAR (arXiv 2308.11466 §3; spans as in mBART)
 *   latent   the decoder reads sqrt(1-a) z + sqrt(a) eps, a ~ U(0, max), with z the concept
 *            normalised by the batch's mean and deviation: eq. 27 of arXiv 2412.08821, whose noise-
 *            robust decoder is that paper's largest gain (Table 7)
 *   dropout  elements of the concept set to zero, the rest scaled up (CALM, arXiv 2510.27688)
 * All draws are a function of (seed, step, sentence), so a resumed run repeats them. */
#ifndef LCM_SONAR_OBJECTIVE_H
#define LCM_SONAR_OBJECTIVE_H

#include "sonar/pairs.h"

typedef struct lcm_sonar_objective {
    double token_noise_prob;   /* sentences whose tokens are masked */
    double token_noise_ratio;  /* of their tokens */
    double token_noise_span;   /* mean span length (Poisson) */
    double latent_noise_prob;  /* sentences whose concept is noised */
    double latent_noise_max;   /* largest a */
    double latent_dropout;     /* part of a concept's elements */
    double label_smoothing;
    double mse_weight, denoise_weight; /* of the losses above; 0 = none */
    bool freeze_encoder;       /* train the decoder alone */
    const struct lcm_concept_map *map; /* or NULL; no key of a configuration: whoever trains sets it */
} lcm_sonar_objective;

/* What is done to concepts z (n,D) on their way to the decoder, before any latent noise; no gradient passes.
 * A function of z, seed and step. */
typedef struct lcm_concept_map {
    lcm_status (*run)(lcm_ctx *ctx, const struct lcm_concept_map *self, lcm_tape *t, real *z, int64_t n, uint64_t seed,
                      uint64_t step);
} lcm_concept_map;

extern const lcm_field lcm_sonar_objective_fields[];
lcm_sonar_objective lcm_sonar_objective_default(void);

typedef struct lcm_sonar_loss {
    lcm_loss loss;       /* all losses with their weights, times n_targets */
    double xent;         /* summed over targets */
    double mse;          /* summed over sentences, mean over elements; NAN when its weight is 0 */
    double denoise;      /* summed over targets; NAN when its weight is 0 */
    int64_t n_targets;   /* tokens predicted */
    int64_t n_hits;      /* of them with the largest logit */
    int64_t n_sentences;
    int64_t n_exact;     /* sentences all of whose tokens were hit */
    int64_t n_noised;    /* concepts with latent noise */
} lcm_sonar_loss;

/* noise NULL = clean pass. */
lcm_status lcm_sonar_loss_fwd(lcm_ctx *ctx, lcm_sonar_loss *out, lcm_tape *t, const lcm_sonar *m, const lcm_sonar_item *items,
                              int64_t n, const lcm_sonar_objective *noise, uint64_t seed, uint64_t step);

#endif
