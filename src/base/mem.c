/* Heap helpers, byte buffer, arena. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool lcm_mul_size(size_t *out, size_t a, size_t b) {
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

bool lcm_add_size(size_t *out, size_t a, size_t b) {
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

lcm_status lcm_calloc(lcm_ctx *ctx, void *out, size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size ? size : 1);
    memcpy(out, &p, sizeof p);
    if (p == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: %zu elements of %zu bytes", n, size);
    return LCM_OK;
}

lcm_status lcm_grow(lcm_ctx *ctx, void *array, size_t *cap, size_t need, size_t size) {
    size_t n = *cap ? *cap : 16, bytes;
    void *p;
    if (need <= *cap) return LCM_OK;
    while (n < need) {
        if (!lcm_mul_size(&n, n, 2)) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: %zu elements", need);
    }
    if (!lcm_mul_size(&bytes, n, size)) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: %zu elements", need);
    memcpy(&p, array, sizeof p);
    p = realloc(p, bytes);
    if (p == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: %zu bytes", bytes);
    memcpy(array, &p, sizeof p);
    *cap = n;
    return LCM_OK;
}

char *lcm_strdup(const char *s) {
    size_t n = strlen(s) + 1;
    char *p = malloc(n);
    if (p) memcpy(p, s, n);
    return p;
}

lcm_status lcm_buf_append(lcm_ctx *ctx, lcm_buf *b, const void *data, size_t len) {
    size_t need;
    if (!lcm_add_size(&need, b->len, len) || !lcm_add_size(&need, need, 1))
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: buffer of %zu bytes", len);
    LCM_TRY(lcm_grow(ctx, &b->data, &b->cap, need, 1));
    if (len) memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return LCM_OK;
}

lcm_status lcm_buf_printf(lcm_ctx *ctx, lcm_buf *b, const char *fmt, ...) {
    va_list ap;
    char small[256];
    int n;
    va_start(ap, fmt);
    n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0) LCM_FAIL(ctx, LCM_ERR_INTERNAL, "bad format string");
    if ((size_t)n < sizeof small) return lcm_buf_append(ctx, b, small, (size_t)n);
    LCM_TRY(lcm_grow(ctx, &b->data, &b->cap, b->len + (size_t)n + 1, 1));
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return LCM_OK;
}

void lcm_buf_free(lcm_buf *b) {
    free(b->data);
    memset(b, 0, sizeof *b);
}

enum { ARENA_ALIGN = 64 };

typedef struct chunk chunk;
struct chunk {
    chunk *next;
    size_t cap, used;
};

struct lcm_arena {
    chunk *head; /* the chunk that is being filled; older ones follow */
    size_t first, used, n_sys;
};

static size_t chunk_header(void) { return (sizeof(chunk) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN; }

static chunk *chunk_new(lcm_arena *a, size_t cap) {
    size_t bytes;
    chunk *c;
    if (!lcm_add_size(&bytes, cap, chunk_header() + ARENA_ALIGN)) return NULL;
    bytes = bytes / ARENA_ALIGN * ARENA_ALIGN;
    c = aligned_alloc(ARENA_ALIGN, bytes);
    if (c == NULL) return NULL;
    c->next = NULL;
    c->cap = bytes - chunk_header();
    c->used = 0;
    a->n_sys++;
    return c;
}

lcm_arena *lcm_arena_new(size_t first_chunk) {
    lcm_arena *a = calloc(1, sizeof *a);
    if (a) a->first = first_chunk ? first_chunk : 1 << 16;
    return a;
}

static void chunks_free(chunk *c) {
    while (c) {
        chunk *next = c->next;
        free(c);
        c = next;
    }
}

void lcm_arena_free(lcm_arena *a) {
    if (a == NULL) return;
    chunks_free(a->head);
    free(a);
}

void *lcm_arena_alloc(lcm_arena *a, size_t bytes) {
    size_t need;
    char *p;
    if (!lcm_add_size(&need, bytes ? bytes : 1, ARENA_ALIGN - 1)) return NULL;
    need = need / ARENA_ALIGN * ARENA_ALIGN;
    if (a->head == NULL || a->head->cap - a->head->used < need) {
        size_t cap = a->head ? a->head->cap * 2 : a->first;
        chunk *c = chunk_new(a, cap > need ? cap : need);
        if (c == NULL && cap > need) c = chunk_new(a, need);
        if (c == NULL) return NULL;
        c->next = a->head;
        a->head = c;
    }
    p = (char *)a->head + chunk_header() + a->head->used;
    a->head->used += need;
    a->used += need;
    return p;
}

void *lcm_arena_zalloc(lcm_arena *a, size_t bytes) {
    void *p = lcm_arena_alloc(a, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void lcm_arena_reset(lcm_arena *a) {
    if (a->head && a->head->next) {
        size_t total = 0;
        for (chunk *c = a->head; c; c = c->next) total += c->cap;
        chunks_free(a->head);
        a->head = chunk_new(a, total); /* may fail: the next alloc tries again */
    }
    if (a->head) a->head->used = 0;
    a->used = 0;
}

size_t lcm_arena_used(const lcm_arena *a) { return a->used; }

size_t lcm_arena_system_allocs(const lcm_arena *a) { return a->n_sys; }
