/* Check of a precompiled character map: every unit that any text can reach lies inside, no text
 * can go in circles, and no run of matches is longer than the library's array.
 *
 * Darts double array: from base `b`, byte c leads to unit b ^ c if that unit's label is c; the
 * next base is b ^ c ^ offset(unit). If the unit's leaf bit is set, a key ends there and the unit
 * at the new base holds its value, an offset into the replacements. */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "token/spm_check.h"

typedef struct trie {
    const uint8_t *units; /* little-endian u32 each; not aligned */
    uint32_t n_units;
    const char *values; /* replacements, the last byte is NUL */
    size_t values_len;
} trie;

/* What the walk knows of a base. */
enum { FRESH = 0, OPEN, DONE };

typedef struct base_info {
    uint8_t state;
    uint8_t keys;   /* most keys that can end on the way down from here */
    uint16_t depth; /* longest way down in bytes */
} base_info;

typedef struct frame {
    uint32_t base;
    uint32_t next; /* byte to try next, 256 when done */
} frame;

static uint32_t load_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t unit_at(const trie *t, uint32_t i) { return load_u32(t->units + (size_t)i * 4); }

static uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 0x200u) >> 6); }

static lcm_status check_value(lcm_ctx *ctx, const trie *t, uint32_t base) {
    uint32_t value = unit_at(t, base) & 0x7fffffffu;
    size_t len;
    if (value >= t->values_len)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "character map: replacement at %u, there are %zu bytes", value, t->values_len);
    len = strnlen(t->values + value, LCM_SPM_MAX_MAP_VALUE_BYTES + 1);
    if (len > LCM_SPM_MAX_MAP_VALUE_BYTES)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "character map: replacement at %u is longer than %d bytes", value,
                 LCM_SPM_MAX_MAP_VALUE_BYTES);
    if (lcm_utf8_valid_prefix(t->values + value, len) < len)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "character map: replacement at %u is not valid UTF-8", value);
    return LCM_OK;
}

/* Looks for byte c below `base`; *found says whether it exists, *below where it leads. */
static lcm_status step(lcm_ctx *ctx, bool *found, bool *is_key, uint32_t *below, const trie *t, uint32_t base,
                       uint32_t c) {
    uint32_t at = base ^ c, unit;
    *found = false;
    if (at >= t->n_units)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "character map: unit %u, the trie has %u", at, t->n_units);
    unit = unit_at(t, at);
    if ((unit & 0x800000ffu) != c) return LCM_OK;
    *found = true;
    *below = at ^ offset_of(unit);
    *is_key = (unit >> 8) & 1;
    if (*below >= t->n_units)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "character map: unit %u, the trie has %u", *below, t->n_units);
    return *is_key ? check_value(ctx, t, *below) : LCM_OK;
}

/* Folds what is known of `below` into `up`. */
static lcm_status absorb(lcm_ctx *ctx, base_info *up, const base_info *below, bool is_key) {
    int keys = below->keys + is_key, depth = below->depth + 1;
    if (keys > LCM_SPM_MAX_MAP_NESTED_KEYS)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "character map: more than %d keys start one another", LCM_SPM_MAX_MAP_NESTED_KEYS);
    if (depth > LCM_SPM_MAX_MAP_KEY_BYTES)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "character map: a key of more than %d bytes", LCM_SPM_MAX_MAP_KEY_BYTES);
    if (keys > up->keys) up->keys = (uint8_t)keys;
    if (depth > up->depth) up->depth = (uint16_t)depth;
    return LCM_OK;
}

/* Depth-first, each base once. The stack holds at most as many frames as a key may have bytes. */
static lcm_status walk(lcm_ctx *ctx, const trie *t, base_info *info, uint32_t root) {
    frame stack[LCM_SPM_MAX_MAP_KEY_BYTES + 1];
    int top = 0;
    stack[0] = (frame){root, 0};
    info[root].state = OPEN;
    while (top >= 0) {
        frame *f = &stack[top];
        uint32_t below = 0;
        bool found, is_key = false;
        if (f->next == 256) {
            info[f->base].state = DONE;
            top--;
            continue;
        }
        LCM_TRY(step(ctx, &found, &is_key, &below, t, f->base, f->next));
        if (found && info[below].state == FRESH) {
            if (top == LCM_SPM_MAX_MAP_KEY_BYTES)
                LCM_FAIL(ctx, LCM_ERR_LIMIT, "character map: a key of more than %d bytes", LCM_SPM_MAX_MAP_KEY_BYTES);
            info[below].state = OPEN;
            stack[++top] = (frame){below, 0};
            continue; /* comes back to the same byte with `below` known */
        }
        if (found && info[below].state == OPEN)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "character map: the trie runs in a circle at unit %u", below);
        if (found) LCM_TRY(absorb(ctx, &info[f->base], &info[below], is_key));
        f->next++;
    }
    return LCM_OK;
}

lcm_status lcm_charsmap_check(lcm_ctx *ctx, const uint8_t *map, size_t len) {
    trie t;
    uint32_t trie_bytes, root;
    base_info *info;
    lcm_status st;
    if (len == 0) return LCM_OK;
    if (len > LCM_SPM_MAX_MAP_BYTES)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "character map: %zu bytes, the limit is %d", len, LCM_SPM_MAX_MAP_BYTES);
    if (len < 4) LCM_FAIL(ctx, LCM_ERR_FORMAT, "character map: %zu bytes hold no header", len);
    trie_bytes = load_u32(map);
    if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes >= len - 4)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "character map: a trie of %u bytes in a map of %zu", trie_bytes, len);
    if (map[len - 1] != 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "character map: the last replacement has no end");
    t = (trie){map + 4, trie_bytes / 4, (const char *)map + 4 + trie_bytes, len - 4 - trie_bytes};
    root = offset_of(unit_at(&t, 0));
    if (root >= t.n_units) LCM_FAIL(ctx, LCM_ERR_FORMAT, "character map: unit %u, the trie has %u", root, t.n_units);
    LCM_TRY(lcm_calloc(ctx, &info, t.n_units, sizeof *info));
    st = walk(ctx, &t, info, root);
    free(info);
    return st;
}
