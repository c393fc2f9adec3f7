/* A batch of documents of concepts, packed: no padding anywhere.
 *
 * Documents lie one after the other as rows of one matrix, so every linear layer of a model is a
 * single product over the whole batch; only attention looks at document bounds. */
#ifndef LCM_CONCEPT_BATCH_H
#define LCM_CONCEPT_BATCH_H

#include "core/tape.h"
#include "sonar/batch.h"

typedef struct lcm_concept_batch {
    int64_t n_docs;
    const real *x;             /* (off[n_docs], D) in SONAR space: losses normalise */
    const int32_t *off;        /* (n_docs+1), off[0] = 0 */
    const int32_t *source_len; /* (n_docs) leading concepts that are given and not predicted; NULL = none */
    const real *weight;        /* (off[n_docs]) factor on the loss of each concept; NULL = 1 */
    const lcm_pieces *text;    /* (off[n_docs]) its sentence for the decoder loss, without specials; n 0: unknown; or NULL */
} lcm_concept_batch;

/* LCM_ERR_ARG: no document, an empty one, a source longer than its document. LCM_ERR_LIMIT: a
 * document longer than max_seq_len. */
lcm_status lcm_concept_batch_check(lcm_ctx *ctx, const lcm_concept_batch *b, int64_t max_seq_len);

/* Multiplies w (R), weights of rows that stand for the targets (all concepts, or with sources those behind
 * them), by the concepts' own. */
void lcm_concept_batch_weigh(real *w, const lcm_concept_batch *b);

/* What attention over packed rows needs, in the tape's arena. */
typedef struct lcm_packed {
    int64_t n, T;         /* documents, rows in all */
    const int32_t *off;   /* (n+1), borrowed */
    const int32_t *pos;   /* (T) index within the document */
    const int32_t *limit; /* (T) pos + 1: the causal mask */
    const int32_t *own;   /* (T) as in kernels/attention.h, or NULL */
} lcm_packed;

/* pos is NULL when out of memory (the tape's status tells). */
lcm_packed lcm_packed_make(lcm_tape *t, int64_t n, const int32_t *off);

#endif
