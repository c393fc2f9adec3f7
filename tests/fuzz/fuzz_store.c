/* The concept store over arbitrary bytes: as the manifest of a folder with one good shard when they
 * begin with '{', else as the shard under a fixed manifest's checks. What opens must be readable
 * from end to end. */

#include "target.h"

#include "data/store.h"
#include "data/store_int.h"

/* Two documents of 1 and 2 concepts, width 2. tests/fuzz/corpus/store holds its files. */
static void fill_folder(lcm_ctx *ctx) {
    static const real rows[3][2] = {{1, 2}, {3, 4}, {5, 6}};
    lcm_store_report report = {0};
    lcm_shard *s;
    bool kept;
    check(lcm_shard_new(ctx, &s, 2, LCM_DT_F16) == LCM_OK);
    for (int i = 0; i < 3; i++) {
        check(lcm_shard_add(ctx, s, rows[i], "A b.", 4) == LCM_OK);
        if (i != 1) check(lcm_shard_end_doc(ctx, s, &kept) == LCM_OK && kept);
    }
    check(lcm_shard_write(ctx, s, folder(), 0, "0123456789abcdef", &report) == LCM_OK);
    lcm_shard_free(s);
    check(lcm_store_finish(ctx, folder(), 1, NULL) == LCM_OK);
}

static void run_manifest(lcm_ctx *ctx, const uint8_t *data, size_t size) {
    lcm_store *s;
    folder_write("manifest.json", data, size);
    if (lcm_store_open(ctx, &s, folder()) != LCM_OK) {
        check(s == NULL);
        return;
    }
    check(lcm_store_n_docs(s) == 2 && lcm_store_n_concepts(s) == 3 && lcm_store_verify(ctx, s) == LCM_OK);
    lcm_store_close(s);
}

static void run_shard(lcm_ctx *ctx, const uint8_t *data, size_t size) {
    lcm_store_report report;
    lcm_shard_view v;
    lcm_st *st;
    int64_t last = 0;
    if (lcm_st_parse(ctx, &st, data, size) != LCM_OK) return;
    if (lcm_shard_view_make(ctx, &v, st, "fuzz") != LCM_OK) return;
    for (int64_t i = 0; i <= v.n_concepts; i++) {
        int64_t x = lcm_shard_offset(v.spans, i);
        check(x >= last && x <= v.text->dims[0]);
        last = x;
    }
    check(v.n_docs == 0 || lcm_shard_offset(v.docs, v.n_docs) == v.n_concepts);
    (void)lcm_shard_view_report(ctx, &report, &v, "fuzz");
    lcm_shard_view_close(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool ready;
    lcm_ctx *ctx = lcm_ctx_new();
    check(ctx != NULL);
    if (!ready) fill_folder(ctx);
    ready = true;
    if (size && data[0] == '{') run_manifest(ctx, data, size);
    else run_shard(ctx, data, size);
    lcm_ctx_free(ctx);
    return 0;
}
