/* Coherence: does this sentence follow from those before it? A discriminator of true against shuffled or foreign
 * continuations, on concepts. It is ours, trained here (kind "coherence"), and no model of arXiv 2412.08821; only the
 * way from logits to a score, sigma(logit / 3), is the paper's.
 *
 * Of the context it sees the last concept l and the mean m of the last `context` ones, beside the candidate c, all
 * normalised: [m, l, c, m*c, l*c] -> two layers of GELU -> logits of "foreign" and "true". */
#ifndef LCM_LCM_COHERENCE_H
#define LCM_LCM_COHERENCE_H

#include "modelfile/model_meta.h"
#include "modelfile/train_record.h"
#include "nn/layers.h"
#include "sonar/normalizer.h"

typedef struct lcm_coherence_config {
    int64_t sonar_embed_dim; /* D */
    int64_t context;         /* concepts of the mean at most */
    int64_t hidden_dim;
    double dropout_p;        /* on the features and both layers; training only */
} lcm_coherence_config;

extern const lcm_field lcm_coherence_fields[];
lcm_coherence_config lcm_coherence_config_default(void); /* 1024, 4, 512, 0.1 */

enum { LCM_COHERENCE_FOREIGN = 0, LCM_COHERENCE_TRUE = 1, LCM_COHERENCE_FEATURES = 5 /* times D */ };

typedef struct lcm_coherence {
    lcm_coherence_config config;
    lcm_params params;
    lcm_normalizer *normalizer;
    lcm_linear first, second;
    lcm_tensor *classes; /* (2, hidden_dim) */
} lcm_coherence;

/* Parameters are zero until lcm_params_init or a file fills them. */
lcm_status lcm_coherence_new(lcm_ctx *ctx, lcm_coherence **out, const lcm_coherence_config *config, bool with_grad);
void lcm_coherence_free(lcm_coherence *m); /* NULL is allowed */

/* Row of features (5 D) of candidate c behind the n >= 1 concepts of x (n, D), all normalised. */
void lcm_coherence_features(real *row, const lcm_coherence *m, const real *x, int64_t n, const real *c);
/* (R, 5 D) -> (R, hidden_dim), to be multiplied with `classes`. */
lcm_tensor *lcm_coherence_fwd(lcm_tape *t, const lcm_coherence *m, lcm_tensor *features);

/* Mean logit (true minus foreign) of concepts from … n-1 (1 <= from) of the normalised document z (n, D), each
 * behind all before it; NAN when there is none. The tape is reset. */
lcm_status lcm_coherence_logit(lcm_ctx *ctx, double *out, lcm_tape *t, const lcm_coherence *m, const real *z, int64_t n, int64_t from);
/* sigma(mean logit / 3) of a document x (n, D) in SONAR space. */
lcm_status lcm_coherence_score(lcm_ctx *ctx, double *out, const lcm_coherence *m, const real *x, int64_t n, int64_t from);

typedef struct lcm_coherence_save_opts {
    uint64_t space;
    const json_t *provenance;      /* or NULL */
    const lcm_train_record *train; /* or NULL */
    const real *x;                 /* flat values instead of the model's own, or NULL */
} lcm_coherence_save_opts;

/* One .safetensors of kind "coherence", appended to *out. */
lcm_status lcm_coherence_write(lcm_ctx *ctx, lcm_buf *out, const lcm_coherence *m, const lcm_coherence_save_opts *o);
/* meta is the caller's to free. Errors as lcm_model_load's. */
lcm_status lcm_coherence_load(lcm_ctx *ctx, lcm_coherence **out, lcm_model_meta *meta, const char *path);

#endif
