/* Hugging Face's Llama folders: config.json over arbitrary bytes, beside a tokeniser and no weights. No configuration
 * can make up for them, and none may ask for much memory before they are looked at. */

#include "target.h"

#include "llama/hf.h"

/* A small one: it is read for every configuration that passes. */
static void write_tokenizer(lcm_ctx *ctx) {
    lcm_buf tokenizer = {0};
    check(lcm_read_file(ctx, &tokenizer, TEST_DATA "/../fuzz/corpus/spm/trained_unigram.model", 1 << 24) == LCM_OK);
    folder_write("tokenizer.model", tokenizer.data, tokenizer.len);
    lcm_buf_free(&tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool ready;
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_llama_file file;
    lcm_status st;
    check(ctx != NULL);
    if (!ready) write_tokenizer(ctx);
    ready = true;
    folder_write("config.json", data, size);
    st = lcm_llama_import_hf(ctx, &file, folder());
    check(st == LCM_ERR_FORMAT || st == LCM_ERR_UNSUPPORTED || st == LCM_ERR_SHAPE || st == LCM_ERR_LIMIT || st == LCM_ERR_NOTFOUND);
    check(file.model == NULL && file.tok == NULL && strstr(lcm_ctx_message(ctx), folder()) != NULL);
    lcm_ctx_free(ctx);
    return 0;
}
