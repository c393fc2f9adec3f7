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

/* Sentences and their translations: sentence i of either side, in language lang[side][i], says the same. */
typedef struct lcm_bitext {
    lcm_corpus side[2]; /* source, target; counts of what was dropped, of either reason on either side, are the target's */
    int32_t *lang[2];   /* ids of language tokens */
    size_t lang_cap[2];
} lcm_bitext;

/* JSON lines {"src": text, "src_lang": "eng_Latn", "tgt": text, "tgt_lang": "fra_Latn"}; languages as lcm_tokenizer_lang_id
 * knows them. A pair with a side that is empty or has more than max_pieces is dropped and counted.
 * LCM_ERR_NOTFOUND names file, line and the unknown language. */
lcm_status lcm_bitext_read(lcm_ctx *ctx, lcm_bitext *out, const lcm_tokenizer *tok, const char *const *inputs, size_t n_inputs,
                           int64_t max_pieces);
void lcm_bitext_free(lcm_bitext *b);

#endif
