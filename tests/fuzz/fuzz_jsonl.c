/* The document reader over arbitrary bytes: as text lines, whole file, JSON lines and pairs, plain or
 * zstd. Checks that whatever comes out is valid text within the limit. */

#include "target.h"

#include "data/docs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[96];
    const char *input = path;
    folder_write("input", data, size);
    snprintf(path, sizeof path, "%s/input", folder());
    for (int mode = 0; mode < 5; mode++) {
        lcm_docs_opts o = {.format = mode < 2 ? LCM_DOCS_TXT : LCM_DOCS_JSONL, .max_doc = 200};
        lcm_ctx *ctx = lcm_ctx_new();
        lcm_docs *d = NULL;
        lcm_doc doc;
        o.whole_file = mode == 1;
        o.strict = mode == 3;
        o.source_key = mode == 4 ? "source" : NULL;
        check(ctx != NULL && lcm_docs_open(ctx, &d, &input, 1, &o) == LCM_OK);
        while (lcm_docs_next(ctx, &doc, d) == LCM_OK && doc.text) {
            check(doc.len > 0 && doc.len <= 200 && strlen(doc.text) == doc.len);
            check(lcm_utf8_valid_prefix(doc.text, doc.len) == doc.len);
            check((mode == 4) == (doc.source != NULL));
            if (doc.source == NULL) continue;
            check(doc.source_len > 0 && doc.source_len <= 200 && strlen(doc.source) == doc.source_len);
            check(lcm_utf8_valid_prefix(doc.source, doc.source_len) == doc.source_len);
        }
        lcm_docs_close(d);
        lcm_ctx_free(ctx);
    }
    return 0;
}
