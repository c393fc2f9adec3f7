/* Text: from a document to sentences.
 *
 * A Large Concept Model reads and writes sentences, so the way a document is cut decides what a
 * concept is (arXiv 2412.08821 §2.2). Cutting is rule based: Unicode sentence breaks (UAX #29),
 * then rules for abbreviations, quotations, lists and lines, then a cap on the length. */
#ifndef LCM_TEXT_H
#define LCM_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "lcm/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes begin … end-1 of a text. */
typedef struct lcm_span {
    size_t begin, end;
} lcm_span;

/* Growable list. Start with {0}; a call that fills it replaces what it held. */
typedef struct lcm_spans {
    lcm_span *data;
    size_t len, cap;
} lcm_spans;

LCM_API void lcm_spans_free(lcm_spans *s); /* leaves an empty list; NULL is allowed */

typedef struct lcm_segment_opts {
    /* "en", "eng", "en-GB" or "eng_Latn"; NULL = "en". Abbreviations are known for de, en, es, fr,
     * it and pt; any other language gets the rules that need no word list. */
    const char *lang;
    /* No sentence is longer than this many code points; 0 = no cap. */
    int64_t max_chars;
} lcm_segment_opts;

/* English, 256 code points: the cap of the reference code. */
LCM_API lcm_segment_opts lcm_segment_opts_default(void);

/* Sentences of `text` (`len` bytes of UTF-8, no terminator needed) in order, without white space
 * around them, none empty; only white space lies between two of them, and nothing else is lost.
 *   opts NULL = lcm_segment_opts_default().
 *   LCM_ERR_UTF8   names the offset of the first bad byte
 *   LCM_ERR_LIMIT  text of 2 GiB or more
 *   LCM_ERR_ARG    max_chars < 0, or lang that cannot be a language code
 * On failure *out is as before. Time is linear in `len`. */
LCM_API lcm_status lcm_segment_text(lcm_ctx *ctx, lcm_spans *out, const char *text, size_t len,
                                    const lcm_segment_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
