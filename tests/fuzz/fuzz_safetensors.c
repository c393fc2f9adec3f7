/* Any bytes as a safetensors file: refused, or every tensor lies inside the input, can be read in
 * full, and writing the content again gives a file that reads the same. */

#include "target.h"

#include "modelfile/model_meta.h"

static void read_tensor(lcm_ctx *ctx, const lcm_st *st, const lcm_st_tensor *t, const uint8_t *data, size_t size) {
    int64_t n = lcm_st_elements(t);
    void *p = malloc((size_t)n * 8 + 1); /* n is bounded by the input's size, or 0 */
    uint64_t h;
    check((const uint8_t *)t->data >= data && t->nbytes <= size);
    check((const uint8_t *)t->data + t->nbytes <= data + size);
    check(lcm_st_find(st, t->name) == t);
    check(p != NULL);
    check(lcm_st_read_real(ctx, p, t, n) == (t->dtype <= LCM_DT_BF16 ? LCM_OK : LCM_ERR_FORMAT));
    lcm_st_read_i64(ctx, p, t, n);
    h = lcm_hash64(LCM_HASH_INIT, t->data, t->nbytes); /* touches every byte */
    check(h != 0 || t->nbytes > 0);
    free(p);
}

static void write_again(lcm_ctx *ctx, const lcm_st *st) {
    lcm_st_writer *w;
    lcm_buf b = {0};
    lcm_st *again;
    check(lcm_st_writer_new(ctx, &w) == LCM_OK);
    for (size_t i = 0; lcm_st_meta_key(st, i); i++) {
        const char *key = lcm_st_meta_key(st, i);
        check(lcm_st_writer_meta(ctx, w, key, lcm_st_meta(st, key)) == LCM_OK);
    }
    for (size_t i = 0; i < lcm_st_count(st); i++) {
        const lcm_st_tensor *t = lcm_st_at(st, i);
        check(lcm_st_writer_add(ctx, w, t->name, t->dtype, t->dims, t->ndim, t->data) == LCM_OK);
    }
    check(lcm_st_writer_commit_buf(ctx, w, &b) == LCM_OK);
    check(lcm_st_parse(ctx, &again, b.data, b.len) == LCM_OK);
    check(lcm_st_count(again) == lcm_st_count(st));
    for (size_t i = 0; i < lcm_st_count(st); i++) {
        const lcm_st_tensor *t = lcm_st_at(st, i), *u = lcm_st_find(again, t->name);
        check(u && u->dtype == t->dtype && u->ndim == t->ndim && u->nbytes == t->nbytes);
        check(memcmp(u->dims, t->dims, sizeof t->dims) == 0);
        check(t->nbytes == 0 || memcmp(u->data, t->data, t->nbytes) == 0);
    }
    for (size_t i = 0; lcm_st_meta_key(st, i); i++) {
        const char *key = lcm_st_meta_key(st, i), *value = lcm_st_meta(again, key);
        check(value && strcmp(value, lcm_st_meta(st, key)) == 0);
    }
    lcm_st_close(again);
    lcm_buf_free(&b);
    lcm_st_writer_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_model_meta m;
    lcm_st *st;
    if (ctx == NULL) return 0;
    if (lcm_st_parse(ctx, &st, data, size) == LCM_OK) {
        for (size_t i = 0; i < lcm_st_count(st); i++) read_tensor(ctx, st, lcm_st_at(st, i), data, size);
        write_again(ctx, st);
        lcm_model_meta_read(ctx, &m, st);
        lcm_model_meta_free(&m);
        lcm_st_close(st);
    } else check(st == NULL && lcm_ctx_message(ctx)[0] != '\0');
    lcm_ctx_free(ctx);
    return 0;
}
