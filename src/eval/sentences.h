/* Documents as lists of sentences in memory, and their way through the autoencoder. */
#ifndef LCM_EVAL_SENTENCES_H
#define LCM_EVAL_SENTENCES_H

#include "data/docs.h"
#include "sonar/codec.h"

/* Start with {0}. Sentences of document d: doc_end[d-1] (0 for the first) … doc_end[d] - 1. */
typedef struct lcm_sentences {
    lcm_buf text;     /* each followed by NUL */
    size_t *end;      /* (n) past the NUL */
    int64_t *doc_end; /* (n_docs) */
    int64_t n, n_docs;
    size_t end_cap, doc_cap;
} lcm_sentences;

lcm_status lcm_sentences_add(lcm_ctx *ctx, lcm_sentences *s, const char *text, size_t len);
lcm_status lcm_sentences_end_doc(lcm_ctx *ctx, lcm_sentences *s);
const char *lcm_sentences_at(const lcm_sentences *s, int64_t i, size_t *len); /* borrowed; len may be NULL */
int64_t lcm_sentences_doc(const lcm_sentences *s, int64_t d, int64_t *count); /* first sentence of document d */
void lcm_sentences_clear(lcm_sentences *s); /* keeps the memory */
void lcm_sentences_free(lcm_sentences *s);

typedef struct lcm_sentences_opts {
    const char *lang;      /* of the segmenter, NULL = "en" */
    bool presegmented;     /* every input document is one sentence */
    int64_t max_docs;      /* stop after so many documents, 0 = all */
    int64_t max_sentences; /* stop after so many sentences that were kept, 0 = all */
    int64_t min_doc;       /* shorter documents are left out and counted */
    int64_t max_pieces;    /* longer sentences are left out and counted, 0 = no limit; needs `tok` */
    lcm_docs_opts docs;
} lcm_sentences_opts;

typedef struct lcm_sentences_report {
    int64_t docs, sentences;        /* kept */
    int64_t pieces;                 /* of the kept sentences, when there was a tokeniser */
    int64_t long_sentences, empty;  /* left out: more than max_pieces; no piece at all */
    int64_t short_docs;             /* left out: fewer sentences than min_doc */
    int64_t bad_docs;               /* dropped by the reader (data/docs.h) */
} lcm_sentences_report;

/* Appends to *out. `tok` may be NULL when max_pieces is 0. */
lcm_status lcm_sentences_read(lcm_ctx *ctx, lcm_sentences *out, lcm_sentences_report *report, const lcm_tokenizer *tok,
                              const char *const *inputs, size_t n_inputs, const lcm_sentences_opts *opts);

/* Concepts (count, D) of sentences first … first+count-1. *n_cut (may be NULL) grows by the sentences
 * that are longer than the encoder's window. */
lcm_status lcm_sentences_encode(lcm_ctx *ctx, real *out, int64_t *n_cut, lcm_codec *codec, const lcm_sentences *s,
                                int64_t first, int64_t count);
/* Appends one sentence per concept. A NUL character that a model writes becomes a space. */
lcm_status lcm_sentences_decode(lcm_ctx *ctx, lcm_sentences *out, lcm_codec *codec, const real *x, int64_t n,
                                const lcm_beam_opts *beam);

#endif
