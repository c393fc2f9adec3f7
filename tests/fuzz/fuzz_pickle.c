/* Any bytes as a pickle and as a checkpoint: refused, or every tensor lies inside the input and can be read; the
 * pickle's memory keeps the bound that pickle.h states. */

#include "target.h"

#include "modelfile/pickle.h"
#include "modelfile/torch_file.h"
#include "modelfile/weights.h"

static void as_pickle(lcm_ctx *ctx, const uint8_t *data, size_t size) {
    const lcm_pickle_value *root;
    lcm_pickle *p;
    size_t used;
    lcm_status st;
    check(lcm_pickle_new(ctx, &p) == LCM_OK);
    st = lcm_pickle_read(ctx, p, &root, &used, data, size);
    check((st == LCM_OK) == (root != NULL) && used <= size);
    check(st == LCM_OK || lcm_ctx_message(ctx)[0] != '\0');
    check(lcm_pickle_memory(p) <= LCM_PICKLE_BYTES_PER_BYTE * used + 65536);
    for (size_t i = 0; i < lcm_pickle_storages(p); i++) {
        const lcm_pickle_storage *s = lcm_pickle_storage_at(p, i);
        check((const uint8_t *)s->key >= data && (const uint8_t *)s->key + s->key_len <= data + size && s->numel >= 0);
    }
    lcm_pickle_free(p);
}

static void as_file(lcm_ctx *ctx, const uint8_t *data, size_t size) {
    lcm_weights *w;
    if (lcm_weights_parse(ctx, &w, data, size) != LCM_OK) {
        check(w == NULL && lcm_ctx_message(ctx)[0] != '\0');
        return;
    }
    for (size_t i = 0; i < lcm_weights_count(w); i++) {
        const lcm_weight *t = lcm_weights_at(w, i);
        real *x = malloc((size_t)t->count * sizeof *x + 1);
        check(t->count >= 0 && (size_t)t->count * lcm_dtype_size(t->dtype) <= size && x != NULL);
        if (t->dtype <= LCM_DT_BF16 && lcm_weights_read(ctx, x, w, t, 0, t->count) == LCM_OK && t->count > 1) {
            real last;
            check(lcm_weights_read(ctx, &last, w, t, t->count - 1, 1) == LCM_OK);
            check(last == x[t->count - 1] || last != last);
        }
        free(x);
    }
    lcm_weights_close(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lcm_ctx *ctx = lcm_ctx_new();
    if (ctx == NULL) return 0;
    as_pickle(ctx, data, size);
    if (lcm_torch_is(data, size)) as_file(ctx, data, size);
    lcm_ctx_free(ctx);
    return 0;
}
