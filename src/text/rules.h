/* Does a sentence end here? The decision at one candidate break; the rules are listed in segment.h. */
#ifndef LCM_TEXT_RULES_H
#define LCM_TEXT_RULES_H

#include "text/abbrev.h"

/* The text around a candidate. All offsets are of characters of `text`, which is valid UTF-8. */
typedef struct lcm_gap {
    const char *text;
    size_t len;
    const lcm_lang *lang;
    size_t sentence; /* where the sentence so far begins */
    size_t line;     /* first visible character of the line so far */
    size_t left;     /* end of the visible text before the gap */
    size_t right;    /* first visible character behind it; left == right when there is no space */
    size_t limit;    /* end of the visible text of the piece that begins at `right` */
} lcm_gap;

/* Where the next sentence begins: `right`, or a little later when stray closing quotes stand behind
 * the space ("« Va ! » Il"); 0 when the sentence goes on. Looks at most a constant number of
 * characters past `right`, so that deciding at every candidate stays linear. */
size_t lcm_rule_break(const lcm_gap *g);

size_t lcm_rule_count_lines(const char *text, size_t begin, size_t end); /* line ends; CRLF is one */
bool lcm_rule_is_end_mark(unsigned c);                                   /* . ! ? … 。 and their like */

#endif
