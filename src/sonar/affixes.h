/* Sentences that stand around the source and the target of an instruction-tuned model: the reference
 * code's source_prefix_text, source_suffix_text, target_prefix_text and target_suffix_text.
 *
 * A pair is read as
 *
 *   source_prefix, source, source_suffix | target_prefix, target, end_of_text
 *
 * and what is behind the bar is predicted. Training puts them around each pair, generation around the
 * prompt; the model's file carries their texts (lcm.prompt), so that both use the same. */
#ifndef LCM_SONAR_AFFIXES_H
#define LCM_SONAR_AFFIXES_H

#include "base/config.h"
#include "sonar/codec.h"

typedef struct lcm_affix_texts {
    char source_prefix[1024], source_suffix[1024], target_prefix[1024]; /* cut into sentences; "" = none */
    char end_of_text[1024];                                             /* one sentence; "" = none */
} lcm_affix_texts;

/* All four keys; without the last, which other configurations name themselves. */
extern const lcm_field lcm_affix_fields[], lcm_affix_prompt_fields[];

typedef enum lcm_affix {
    LCM_AFFIX_SOURCE_PREFIX = 0,
    LCM_AFFIX_SOURCE_SUFFIX,
    LCM_AFFIX_TARGET_PREFIX,
    LCM_AFFIX_END,
    LCM_N_AFFIXES
} lcm_affix;

typedef struct lcm_affixes {
    real *x[LCM_N_AFFIXES]; /* (n, D); NULL when n is 0 */
    int64_t n[LCM_N_AFFIXES];
} lcm_affixes;

/* Whether sentences stand around source or target; the end of text alone does not count. */
bool lcm_affixes_any(const lcm_affix_texts *texts);

/* lang of the segmenter, NULL = "en". *out is empty on failure. */
lcm_status lcm_affixes_encode(lcm_ctx *ctx, lcm_affixes *out, const lcm_affix_texts *texts, lcm_codec *codec,
                              const char *lang);
void lcm_affixes_free(lcm_affixes *a); /* leaves it empty */

#endif
