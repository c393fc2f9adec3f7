/* Sets of strings. */
#include "eval/strset.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"

static bool equals(const lcm_strset *s, uint32_t i, const char *text, size_t len) {
    size_t begin = i ? s->end[i - 1] : 0;
    return s->end[i] - begin == len && (len == 0 || memcmp(s->bytes.data + begin, text, len) == 0);
}

/* The slot that holds the string, or the free one where it belongs. */
static size_t probe(const lcm_strset *s, const char *text, size_t len) {
    uint64_t h = lcm_hash64(LCM_HASH_INIT, text, len);
    size_t at = (size_t)(h ^ (h >> 29)) & (s->n_slots - 1);
    while (s->slots[at] && !equals(s, s->slots[at] - 1, text, len)) at = (at + 1) & (s->n_slots - 1);
    return at;
}

static lcm_status rehash(lcm_ctx *ctx, lcm_strset *s) {
    size_t n = s->n_slots ? 2 * s->n_slots : 64;
    uint32_t *slots;
    LCM_TRY(lcm_calloc(ctx, &slots, n, sizeof *slots));
    free(s->slots);
    s->slots = slots;
    s->n_slots = n;
    for (uint32_t i = 0; i < s->n; i++) {
        size_t begin = i ? s->end[i - 1] : 0;
        s->slots[probe(s, s->bytes.data + begin, s->end[i] - begin)] = i + 1;
    }
    return LCM_OK;
}

lcm_status lcm_strset_add(lcm_ctx *ctx, uint32_t *id, lcm_strset *s, const char *text, size_t len) {
    size_t at;
    if (2 * s->n >= s->n_slots) LCM_TRY(rehash(ctx, s));
    at = probe(s, text, len);
    if (s->slots[at] == 0) {
        if (s->n >= INT32_MAX) LCM_FAIL(ctx, LCM_ERR_LIMIT, "more than %d distinct strings", INT32_MAX);
        LCM_TRY(lcm_grow(ctx, &s->end, &s->end_cap, s->n + 1, sizeof *s->end));
        LCM_TRY(lcm_buf_append(ctx, &s->bytes, text, len));
        s->end[s->n++] = s->bytes.len;
        s->slots[at] = (uint32_t)s->n;
    }
    if (id) *id = s->slots[at] - 1;
    return LCM_OK;
}

bool lcm_strset_has(const lcm_strset *s, const char *text, size_t len) {
    return s->n > 0 && s->slots[probe(s, text, len)] != 0;
}

void lcm_strset_clear(lcm_strset *s) {
    if (s->n_slots) memset(s->slots, 0, s->n_slots * sizeof *s->slots);
    s->n = s->bytes.len = 0;
}

void lcm_strset_free(lcm_strset *s) {
    lcm_buf_free(&s->bytes);
    free(s->end);
    free(s->slots);
    memset(s, 0, sizeof *s);
}
