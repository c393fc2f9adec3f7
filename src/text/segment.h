/* Sentence segmentation over ICU's plain UAX #29 breaks.
 *
 * ICU proposes, our rules dispose. Its locale suppressions (@ss) are not used: the English list
 * lacks "Dr.", the German one matches word tails. The rules, in order:
 *
 *   lines        A blank line or U+2029 always breaks. A single line end is a space, except that it
 *                breaks before a list item, after a "# heading", and after a short line (60 code
 *                points) without end punctuation when the next line begins with a capital and its
 *                first word would still have fitted, which a hard-wrapped text never leaves.
 *   case         No break when the next letter is lower case: '"Go!" he said.'
 *   quotes       Closing quotes and brackets stay with the sentence they close. English only: '"Go!"
 *                Tom said.' is one sentence (a name of at most three words and a verb of speech).
 *   full stops   Abbreviations as whole tokens per language, initials, list numbers at the start of
 *                a sentence, German ordinals before months.
 *   additions    "…" before a capital; "the end.Then" (lower-case word, no space).
 *   cap          see resplit.h.
 *
 * Texts without punctuation (Thai, transcripts) come apart only by the cap. */
#ifndef LCM_TEXT_SEGMENT_H
#define LCM_TEXT_SEGMENT_H

#include "base/ctx_int.h"
#include "lcm/text.h"

/* As lcm_segment_text, but the spans tile the input: the first begins at 0, each begins where the
 * one before ended, the last ends at `len`. White space after a sentence belongs to it, white space
 * before the first one to the first. The cap counts code points of the trimmed span. A text of white
 * space alone is one span; an empty text none. */
lcm_status lcm_segment(lcm_ctx *ctx, lcm_spans *out, const char *text, size_t len,
                       const lcm_segment_opts *opts);

/* A text of one sentence per line: its lines without the white space around them, none empty. */
lcm_status lcm_segment_lines(lcm_ctx *ctx, lcm_spans *out, const char *text, size_t len);

/* `s` without Unicode white space at its ends; empty at s.end when nothing else is there.
 * The text of `s` must be valid UTF-8. */
lcm_span lcm_span_trim(const char *text, lcm_span s);

size_t lcm_span_chars(const char *text, lcm_span s); /* code points */

lcm_status lcm_spans_push(lcm_ctx *ctx, lcm_spans *s, size_t begin, size_t end);

#endif
