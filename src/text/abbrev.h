/* Word lists of the segmenter, per language. */
#ifndef LCM_TEXT_ABBREV_H
#define LCM_TEXT_ABBREV_H

#include <stdbool.h>
#include <stddef.h>

/* What a full stop after the word means when a capital or a digit follows. */
typedef enum lcm_abbrev_kind {
    LCM_ABBREV_NONE = 0, /* not an abbreviation */
    LCM_ABBREV_JOIN,     /* never ends a sentence: "Dr.", "e.g." */
    LCM_ABBREV_NUMBER,   /* goes on before a number only: "No. 7", "p. 12", "Jan. 3" */
    LCM_ABBREV_END,      /* ends one before any capital, though it looks like initials: "p.m." */
    LCM_ABBREV_MAYBE     /* ends one only before a word that often starts a sentence: "Inc.", "St." */
} lcm_abbrev_kind;

typedef struct lcm_lang lcm_lang; /* static storage */

/* Lists of a language code ("en", "eng", "en-GB", "eng_Latn", any case); empty lists for a language
 * without any; NULL when `code` does not begin with two or three ASCII letters that end the string
 * or stand before '-' or '_'. */
const lcm_lang *lcm_lang_find(const char *code);
const char *lcm_lang_locale(const lcm_lang *l);  /* for ICU: "el" for Greek, else "en" */
bool lcm_lang_semicolon_asks(const lcm_lang *l); /* Greek: the question mark looks like a semicolon */

bool lcm_lang_has_lists(const lcm_lang *l);
bool lcm_lang_is_opening_quote(const lcm_lang *l, unsigned c); /* curly or angle quote; German turns them */

/* `word` is the token before the full stop, inner stops included: "e.g". Case matters. */
lcm_abbrev_kind lcm_lang_abbrev(const lcm_lang *l, const char *word, size_t len);
bool lcm_lang_is_starter(const lcm_lang *l, const char *word, size_t len);     /* "The", "They" */
bool lcm_lang_is_linker(const lcm_lang *l, const char *word, size_t len);      /* "Then", "But" */
bool lcm_lang_is_speech_verb(const lcm_lang *l, const char *word, size_t len); /* "said" */
/* Words that make the stop before them part of a number or an hour: "3. Mai", "5 p.m. Eastern". */
bool lcm_lang_is_after_number(const lcm_lang *l, const char *word, size_t len);
bool lcm_lang_is_before_ordinal(const lcm_lang *l, const char *word, size_t len); /* "in der" 89. Minute */
bool lcm_lang_is_pronoun(const lcm_lang *l, const char *word, size_t len);        /* "I": no initial */

#endif
