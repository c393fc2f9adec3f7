/* Texts as sequences of symbols, for whatever compares sequences: characters, or words numbered by a set that the
 * texts to be compared share. Texts are valid UTF-8. */
#ifndef LCM_SYMBOLS_H
#define LCM_SYMBOLS_H

#include "eval/ngram.h"
#include "eval/strset.h"

typedef struct lcm_symbols { /* start with {0} */
    uint32_t *x;
    size_t n, cap;
} lcm_symbols;

lcm_status lcm_symbols_add(lcm_ctx *ctx, lcm_symbols *s, lcm_strset *words, const char *word, size_t n);
lcm_status lcm_symbols_chars(lcm_ctx *ctx, lcm_symbols *s, const char *text, size_t len, bool with_space);
/* The words of eval/words.h, numbers among them. */
lcm_status lcm_symbols_words(lcm_ctx *ctx, lcm_symbols *s, lcm_strset *words, const char *text, size_t len);
void lcm_symbols_free(lcm_symbols *s); /* leaves it empty */

/* The next piece without white space (what Python's str.split() parts at) from *at on, its length in *n; NULL at the
 * end. */
const char *lcm_next_token(const char *text, size_t len, size_t *at, size_t *n);

#endif
