/* A corpus of token sequences in memory: documents cut into sentences, sentences into pieces.
 *
 * Memory: 4 bytes per token and 8 per sentence. Sentences that cannot be used are counted. */
#ifndef LCM_CORPUS_H
#define LCM_CORPUS_H

#include "data/docs.h"
#include "text/segment.h"
#include "token/tokenizer.h"

typedef struct lcm_corpus {
    int32_t *ids;
    int64_t *off;     /* (n+1) */
    int64_t *lengths; /* (n) pieces per sentence */
    int64_t n, n_docs;
    int64_t n_long, n_empty; /* sentences dropped */
    lcm_docs_report docs;
    size_t ids_cap, off_cap, len_cap;
} lcm_corpus;

typedef struct lcm_corpus_opts {
    const char *lang;     /* of the segmenter */
    bool presegmented;    /* every document is one sentence already */
    int64_t max_chars;    /* cap of the segmenter, 0 = its default */
    int64_t max_pieces;   /* longer sentences are dropped and counted */
    lcm_docs_opts docs;
} lcm_corpus_opts;

lcm_status lcm_corpus_read(lcm_ctx *ctx, lcm_corpus *out, const lcm_tokenizer *tok, const char *const *inputs,
                           size_t n_inputs, const lcm_corpus_opts *opts);
void lcm_corpus_free(lcm_corpus *c);

#endif
