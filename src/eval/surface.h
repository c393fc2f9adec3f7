/* What can be counted on the surface of generated text: repetition, and words that do not exist. */
#ifndef LCM_SURFACE_H
#define LCM_SURFACE_H

#include "eval/strset.h"
#include "eval/words.h"

enum { LCM_SURFACE_ORDER = 3 };

/* Sums over documents; start with {0}, and `vocab` (borrowed, lower-case words) or NULL. */
typedef struct lcm_surface {
    const lcm_strset *vocab;
    int64_t docs, sentences, words;
    int64_t doubled;    /* "was was": the same word twice with only white space between, case ignored */
    int64_t unknown;    /* words that are not in vocab */
    int64_t own;        /* sentences that their own document did not have before */
    int64_t grams[LCM_SURFACE_ORDER]; /* word n-grams within sentences, n = 1, 2, 3 */
    lcm_strset texts;   /* distinct sentences, byte for byte */
    lcm_strset doc_texts;
    lcm_strset types;   /* distinct words */
    lcm_strset distinct[LCM_SURFACE_ORDER]; /* distinct word n-grams */
    lcm_words split;
} lcm_surface;

/* Starts a document: repetition within it is counted from here. */
void lcm_surface_begin(lcm_surface *s);
/* Adds a sentence (valid UTF-8) of the current document. */
lcm_status lcm_surface_add(lcm_ctx *ctx, lcm_surface *s, const char *text, size_t len);
void lcm_surface_free(lcm_surface *s);

/* NAN where nothing was counted (or there is no vocabulary). */
double lcm_surface_doubled(const lcm_surface *s);          /* per 1000 words */
double lcm_surface_unknown(const lcm_surface *s);          /* share of words */
double lcm_surface_own(const lcm_surface *s);              /* share of sentences new in their document */
double lcm_surface_distinct(const lcm_surface *s);         /* distinct sentences of all documents / sentences */
double lcm_surface_ngrams(const lcm_surface *s, int n);    /* distinct-n (Li et al. 2016): distinct / all n-grams */

/* Adds the words of a text to a vocabulary. */
lcm_status lcm_vocab_add(lcm_ctx *ctx, lcm_strset *vocab, lcm_words *scratch, const char *text, size_t len);

#endif
