/* Code points of UTF-8 that is already known to be valid, and the classes the rules need. */
#ifndef LCM_TEXT_CHARS_H
#define LCM_TEXT_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <unicode/uchar.h>

/* Code point at *pos; advances *pos. */
static inline uint32_t lcm_char_next(const char *s, size_t *pos) {
    const unsigned char *p = (const unsigned char *)s + *pos;
    if (p[0] < 0x80) return *pos += 1, p[0];
    if (p[0] < 0xE0) return *pos += 2, (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    if (p[0] < 0xF0) return *pos += 3, (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    *pos += 4;
    return (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

/* Code point that ends at *pos > 0; moves *pos to its first byte. */
static inline uint32_t lcm_char_prev(const char *s, size_t *pos) {
    size_t p = *pos, at;
    do p--;
    while (((unsigned char)s[p] & 0xC0) == 0x80);
    *pos = at = p;
    return lcm_char_next(s, &at);
}

/* First `needle` of n >= 1 bytes in `len` bytes at `s`, or NULL. For needles of a few bytes; memmem is not
 * used because AddressSanitizer checks its whole range on every call, which makes a scan quadratic. */
static inline const char *lcm_find_bytes(const char *s, size_t len, const char *needle, size_t n) {
    const char *end = s + len;
    while ((size_t)(end - s) >= n && (s = memchr(s, needle[0], (size_t)(end - s) - n + 1)) != NULL) {
        if (memcmp(s, needle, n) == 0) return s;
        s++;
    }
    return NULL;
}

static inline bool lcm_char_is_space(uint32_t c) {
    return c < 0x80 ? c == ' ' || (c >= 9 && c <= 13) : u_isUWhiteSpace((UChar32)c) != 0;
}

/* For counting words: Unicode's Alphabetic, and the simple (one to one) lower case. */
static inline bool lcm_char_is_letter(uint32_t c) { return u_isUAlphabetic((UChar32)c) != 0; }
static inline bool lcm_char_is_digit(uint32_t c) { return u_isdigit((UChar32)c) != 0; }
static inline uint32_t lcm_char_lower(uint32_t c) { return (uint32_t)u_tolower((UChar32)c); }

/* ICU's USentenceBreak: U_SB_UPPER, U_SB_CLOSE, … */
static inline int lcm_char_class(uint32_t c) {
    return (int)u_getIntPropertyValue((UChar32)c, UCHAR_SENTENCE_BREAK);
}

#endif
