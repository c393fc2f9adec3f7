/* What an encoder reads, and the sentence that it stands for: itself, or its translation. */
#ifndef LCM_SONAR_PAIRS_H
#define LCM_SONAR_PAIRS_H

#include "data/corpus.h"
#include "sonar/batch.h"

/* Pieces without specials; ids of language tokens, -1 when the tokeniser has none (sequences then carry no language
 * token). */
typedef struct lcm_sonar_item {
    lcm_pieces source, target;
    int32_t source_lang, target_lang;
} lcm_sonar_item;

/* Sentence i of source is to become sentence i of target; they may be one corpus. Everything is borrowed. */
typedef struct lcm_sonar_data {
    const lcm_corpus *source, *target;
    const int32_t *source_lang, *target_lang; /* ids of language tokens; NULL: `lang` throughout */
    int32_t lang;                             /* -1: none */
} lcm_sonar_data;

lcm_sonar_item lcm_sonar_item_of(const lcm_sonar_data *d, int64_t i);
int64_t lcm_sonar_longer_side(const lcm_sonar_data *d, int64_t i); /* in pieces */

/* Tokens of each item's longer side, specials included: what batches are cut by. cost (d->target->n). */
void lcm_sonar_costs(int64_t *cost, const lcm_sonar_data *d);

#endif
