/* Porter's stemmer (1980) with the changes of NLTK's default mode, which google's rouge_score uses: "ies" and "ied" of
 * short words, y after a consonant, "fulli", "logi", "bli", and a list of irregular forms. */
#ifndef LCM_PORTER_H
#define LCM_PORTER_H

#include <stddef.h>

/* Stems a word of a-z 0-9 in place; returns its new length, at most n. Linear in n. */
size_t lcm_porter_stem(char *word, size_t n);

#endif
