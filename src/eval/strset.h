/* A set of byte strings, numbered in the order they came: words to symbols, distinct sentences. */
#ifndef LCM_STRSET_H
#define LCM_STRSET_H

#include "base/mem.h"

/* Start with {0}. */
typedef struct lcm_strset {
    lcm_buf bytes;
    size_t *end;     /* (n) end of string i in bytes */
    uint32_t *slots; /* open addressing: number + 1, 0 = free */
    size_t n, n_slots, end_cap;
} lcm_strset;

/* *id (may be NULL) is the string's number, new or not. LCM_ERR_LIMIT beyond 2^31 strings. */
lcm_status lcm_strset_add(lcm_ctx *ctx, uint32_t *id, lcm_strset *s, const char *text, size_t len);
bool lcm_strset_has(const lcm_strset *s, const char *text, size_t len);
void lcm_strset_clear(lcm_strset *s); /* keeps the memory */
void lcm_strset_free(lcm_strset *s);  /* leaves an empty set */

#endif
