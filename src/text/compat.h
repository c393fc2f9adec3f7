/* String helpers of the reference code, faults included, for pipelines that must match its output.
 * Nothing here is part of lcm_segment. Input is checked: LCM_ERR_UTF8 names the byte offset. Output is
 * appended to *out; on failure *out may have grown. */
#ifndef LCM_TEXT_COMPAT_H
#define LCM_TEXT_COMPAT_H

#include <stdbool.h>

#include "base/mem.h"

/* `remove_emojis`. One of its ranges is U+24C2 … U+1F251, so that it deletes all Chinese, Japanese,
 * Korean and Arabic presentation forms as well: "中文句子。Hello" becomes "Hello". */
lcm_status lcm_compat_remove_emojis(lcm_ctx *ctx, lcm_buf *out, const char *text, size_t len);

/* `remove_non_printable_chars`: keeps U+0020 … U+007E only; a line end vanishes without a space. */
lcm_status lcm_compat_keep_printable_ascii(lcm_ctx *ctx, lcm_buf *out, const char *text, size_t len);

/* `deescape_special_chars`: Python's unicode_escape (\n \t … \x41 \101 \u00E9 \U0001F600; an unknown
 * escape stays as it is). Unlike the reference, text beyond ASCII is kept and not read as Latin-1.
 * LCM_ERR_FORMAT for a truncated escape, a lone surrogate or a value beyond U+10FFFF. */
lcm_status lcm_compat_unescape(lcm_ctx *ctx, lcm_buf *out, const char *text, size_t len);

/* `filter_empty_string`: no letter and no number in the text, which must be valid UTF-8. */
bool lcm_compat_is_empty(const char *text, size_t len);

#endif
