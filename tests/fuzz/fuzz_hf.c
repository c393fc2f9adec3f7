/* Hugging Face's Llama folders: config.json over arbitrary bytes, beside a tokeniser and no weights. No configuration
 * can make up for them, and none may ask for much memory before they are looked at. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "llama/hf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64], config_path[96];

static void check(int ok) {
    if (!ok) abort();
}

static void clean_up(void) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_remove_tree(ctx, dir);
    lcm_ctx_free(ctx);
}

static void make_folder(lcm_ctx *ctx) {
    lcm_buf tokenizer = {0};
    char path[96];
    snprintf(dir, sizeof dir, "/tmp/lcm-fuzz-hf-%ld", (long)getpid());
    snprintf(config_path, sizeof config_path, "%s/config.json", dir);
    snprintf(path, sizeof path, "%s/tokenizer.model", dir);
    check(lcm_mkdirs(ctx, dir) == LCM_OK);
    atexit(clean_up);
    check(lcm_read_file(ctx, &tokenizer, TEST_DATA "/golden/spm/toy_unigram.model", 1 << 24) == LCM_OK);
    check(lcm_write_file(ctx, path, tokenizer.data, tokenizer.len) == LCM_OK);
    lcm_buf_free(&tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_llama_file file;
    lcm_status st;
    FILE *f;
    check(ctx != NULL);
    if (dir[0] == '\0') make_folder(ctx);
    f = fopen(config_path, "wb");
    check(f != NULL && fwrite(data, 1, size, f) == size && fclose(f) == 0);
    st = lcm_llama_import_hf(ctx, &file, dir);
    check(st == LCM_ERR_FORMAT || st == LCM_ERR_UNSUPPORTED || st == LCM_ERR_SHAPE || st == LCM_ERR_LIMIT || st == LCM_ERR_NOTFOUND);
    check(file.model == NULL && file.tok == NULL && strstr(lcm_ctx_message(ctx), dir) != NULL);
    lcm_ctx_free(ctx);
    return 0;
}
