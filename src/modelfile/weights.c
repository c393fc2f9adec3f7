/* Weights from elsewhere. */
#include "modelfile/weights.h"

#include <stdlib.h>
#include <string.h>

#include "modelfile/torch_file.h"

struct lcm_weights {
    lcm_map map; /* empty for lcm_weights_parse */
    lcm_st *st;
    lcm_torch *torch; /* one of the two */
    lcm_weight *items;
    size_t n;
};

static lcm_status list_st(lcm_ctx *ctx, lcm_weights *w) {
    w->n = lcm_st_count(w->st);
    LCM_TRY(lcm_calloc(ctx, &w->items, w->n + 1, sizeof *w->items));
    for (size_t i = 0; i < w->n; i++) {
        const lcm_st_tensor *t = lcm_st_at(w->st, i);
        w->items[i] = (lcm_weight){.name = t->name, .dtype = t->dtype, .ndim = t->ndim, .count = lcm_st_elements(t), .index = i};
        memcpy(w->items[i].dims, t->dims, sizeof t->dims);
    }
    return LCM_OK;
}

static lcm_status list_torch(lcm_ctx *ctx, lcm_weights *w) {
    w->n = lcm_torch_count(w->torch);
    LCM_TRY(lcm_calloc(ctx, &w->items, w->n + 1, sizeof *w->items));
    for (size_t i = 0; i < w->n; i++) {
        const lcm_torch_tensor *t = lcm_torch_at(w->torch, i);
        const lcm_pickle_tensor *v = t->view;
        int64_t count = 1; /* at most the elements of the storage, or 0 */
        for (int k = 0; k < v->ndim; k++)
            if (v->dims[k] == 0) count = 0;
        for (int k = 0; k < v->ndim && count; k++) count *= v->dims[k];
        w->items[i] = (lcm_weight){.name = t->name, .dtype = v->storage->dtype, .ndim = v->ndim, .count = count, .index = i};
        memcpy(w->items[i].dims, v->dims, sizeof v->dims);
    }
    return LCM_OK;
}

static lcm_status parse(lcm_ctx *ctx, lcm_weights *w, const uint8_t *bytes, size_t len) {
    if (lcm_torch_is(bytes, len)) {
        LCM_TRY(lcm_torch_parse(ctx, &w->torch, bytes, len));
        return list_torch(ctx, w);
    }
    LCM_TRY(lcm_st_parse(ctx, &w->st, bytes, len));
    return list_st(ctx, w);
}

lcm_status lcm_weights_parse(lcm_ctx *ctx, lcm_weights **out, const uint8_t *bytes, size_t len) {
    lcm_weights *w;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &w, 1, sizeof *w));
    st = parse(ctx, w, bytes, len);
    if (st) lcm_weights_close(w);
    else *out = w;
    return st;
}

lcm_status lcm_weights_open(lcm_ctx *ctx, lcm_weights **out, const char *path) {
    lcm_map map;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_map_open(ctx, &map, path));
    st = lcm_weights_parse(ctx, out, map.data, map.len);
    if (st) {
        lcm_map_close(&map);
        return lcm_fail_within(ctx, st, "'%s'", path);
    }
    (*out)->map = map;
    return LCM_OK;
}

void lcm_weights_close(lcm_weights *w) {
    if (w == NULL) return;
    lcm_st_close(w->st);
    lcm_torch_free(w->torch);
    lcm_map_close(&w->map);
    free(w->items);
    free(w);
}

size_t lcm_weights_count(const lcm_weights *w) { return w->n; }
const lcm_weight *lcm_weights_at(const lcm_weights *w, size_t i) { return &w->items[i]; }
const char *lcm_weights_layout(const lcm_weights *w) { return w->torch ? lcm_torch_layout(w->torch) : "safetensors"; }
const char *lcm_weights_meta(const lcm_weights *w, const char *key) { return w->st ? lcm_st_meta(w->st, key) : NULL; }

static int by_name(const void *key, const void *item) { return strcmp(key, ((const lcm_weight *)item)->name); }

const lcm_weight *lcm_weights_find(const lcm_weights *w, const char *name) {
    const lcm_st_tensor *t = w->st ? lcm_st_find(w->st, name) : NULL;
    if (w->torch) return bsearch(name, w->items, w->n, sizeof *w->items, by_name); /* torch_file.h lists by name */
    return t ? &w->items[t - lcm_st_at(w->st, 0)] : NULL;
}

lcm_status lcm_weights_read(lcm_ctx *ctx, real *dst, lcm_weights *w, const lcm_weight *t, int64_t first, int64_t n) {
    double block[512];
    size_t size = lcm_dtype_size(t->dtype);
    LCM_ASSERT(first >= 0 && n >= 0 && n <= t->count - first);
    for (int64_t k; n > 0; n -= k, first += k, dst += k) {
        lcm_st_tensor piece = {.name = t->name, .dtype = t->dtype, .data = block};
        k = n < (int64_t)(sizeof block / size) ? n : (int64_t)(sizeof block / size);
        piece.nbytes = (size_t)k * size;
        if (w->st) piece.data = (const char *)lcm_st_at(w->st, t->index)->data + (size_t)first * size;
        else LCM_TRY(lcm_torch_read(ctx, w->torch, block, lcm_torch_at(w->torch, t->index), first, k));
        LCM_TRY(lcm_st_read_real(ctx, dst, &piece, k));
    }
    return LCM_OK;
}
