/* Memory: checked heap helpers, a growable byte buffer, and the arena.
 *
 * Three lifetimes exist in lcm: the model arena (parameters), the step arena (activations and
 * tape, reset every step) and the heap (API objects). Every size product goes through
 * lcm_mul_size, so that no count read from a file can wrap. */
#ifndef LCM_MEM_H
#define LCM_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ctx_int.h"

/* *out = a * b (or a + b); false on overflow, *out untouched. */
bool lcm_mul_size(size_t *out, size_t a, size_t b);
bool lcm_add_size(size_t *out, size_t a, size_t b);

/* Zeroed array of n elements on the heap; LCM_ERR_NOMEM names the size. *out is NULL on failure. */
lcm_status lcm_calloc(lcm_ctx *ctx, void *out, size_t n, size_t size);

/* Grows *array (heap) to hold at least `need` elements; doubles. New tail is uninitialised. */
lcm_status lcm_grow(lcm_ctx *ctx, void *array, size_t *cap, size_t need, size_t size);

char *lcm_strdup(const char *s); /* heap, NULL when out of memory */

/* Growable bytes. `data` is NUL-terminated one past `len` once anything was appended. */
typedef struct lcm_buf {
    char *data;
    size_t len, cap;
} lcm_buf;

lcm_status lcm_buf_append(lcm_ctx *ctx, lcm_buf *b, const void *data, size_t len);
lcm_status lcm_buf_printf(lcm_ctx *ctx, lcm_buf *b, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void lcm_buf_free(lcm_buf *b); /* leaves an empty buffer */

/* Bump allocator of 64-byte-aligned blocks. lcm_arena_reset keeps the memory and merges all
 * chunks into one, so a steady step allocates nothing after the first. */
typedef struct lcm_arena lcm_arena;

lcm_arena *lcm_arena_new(size_t first_chunk); /* NULL when out of memory */
void lcm_arena_free(lcm_arena *a);
void *lcm_arena_alloc(lcm_arena *a, size_t bytes); /* uninitialised; NULL when out of memory */
void *lcm_arena_zalloc(lcm_arena *a, size_t bytes);
void lcm_arena_reset(lcm_arena *a);
size_t lcm_arena_used(const lcm_arena *a);    /* bytes since the last reset */
size_t lcm_arena_system_allocs(const lcm_arena *a); /* calls to the system allocator so far */

#endif
