/* Words of a text for counting: runs of letters in lower case. An apostrophe between two letters
 * belongs to the word and is left out ("Don’t" and "don't" are both "dont"); digits are no words. */
#ifndef LCM_WORDS_H
#define LCM_WORDS_H

#include "base/mem.h"

/* Start with {0}. */
typedef struct lcm_words {
    lcm_buf bytes;
    size_t *end;      /* (n) end of word i in bytes */
    uint8_t *touches; /* (n) only white space lies between word i and the one before */
    size_t n, end_cap, touches_cap;
} lcm_words;

/* Replaces what *w held by the words of valid UTF-8. numbers: digits count as letters. */
lcm_status lcm_words_split(lcm_ctx *ctx, lcm_words *w, const char *text, size_t len, bool numbers);
const char *lcm_words_at(const lcm_words *w, size_t i, size_t *len); /* borrowed, no terminator */
void lcm_words_free(lcm_words *w);

#endif
