/* Cutting over-long sentences, as the reference code does with fall-back separators. */
#ifndef LCM_TEXT_RESPLIT_H
#define LCM_TEXT_RESPLIT_H

#include "text/segment.h"

/* The greedy split of the reference (`resplit`): cuts `piece` after every `sep`, then glues the words
 * from the left while a piece has at most max_chars code points. A word without `sep` inside may
 * still be longer. Appends spans that tile `piece` (none when it is empty), nothing trimmed.
 * `sep` is not empty, max_chars >= 1. */
lcm_status lcm_resplit(lcm_ctx *ctx, lcm_spans *out, const char *text, lcm_span piece, const char *sep,
                       size_t max_chars);

/* Appends trimmed, non-empty spans of at most max_chars code points that hold all but white space of
 * `piece`: resplit with "..." "\n" "!" "?" ";" ":" "." "," tab and space in this order (the reference's
 * list), then with the full-width marks of Chinese and Japanese, and what is longer still where a
 * line may be broken (between words also in Thai, Lao, Khmer and Burmese, which write no spaces), then at
 * grapheme boundaries; inside a grapheme only when it alone exceeds the cap. */
lcm_status lcm_cap(lcm_ctx *ctx, lcm_spans *out, const char *text, lcm_span piece, size_t max_chars);

#endif
