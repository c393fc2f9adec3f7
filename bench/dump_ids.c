/* Token ids of a corpus, one sentence a line, exactly as `lcm train` sees them: what the peers train on.
 *
 *   dump_ids TOKENIZER.model MAX_PIECES FILE… */
#include <stdio.h>
#include <stdlib.h>

#include "base/io.h"
#include "data/corpus.h"

static lcm_status dump(lcm_ctx *ctx, const char *model, int64_t max_pieces, const char *const *files, size_t n) {
    lcm_corpus_opts o = {.lang = "en", .max_pieces = max_pieces};
    lcm_corpus c = {0};
    lcm_tokenizer *tok = NULL;
    lcm_buf bytes = {0};
    lcm_status st = lcm_read_file(ctx, &bytes, model, 64 << 20);
    if (st == LCM_OK) st = lcm_tokenizer_load(ctx, &tok, bytes.data, bytes.len, NULL, 0, 0);
    if (st == LCM_OK) st = lcm_corpus_read(ctx, &c, tok, files, n, &o);
    for (int64_t i = 0; i < c.n; i++) {
        for (int64_t k = 0; k < c.lengths[i]; k++) printf("%s%d", k ? " " : "", (int)c.ids[c.off[i] + k]);
        printf("\n");
    }
    lcm_corpus_free(&c);
    lcm_tokenizer_free(tok);
    lcm_buf_free(&bytes);
    return st;
}

int main(int argc, char **argv) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_status st;
    if (argc < 4 || ctx == NULL) {
        fprintf(stderr, "usage: dump_ids TOKENIZER.model MAX_PIECES FILE...\n");
        return 2;
    }
    st = dump(ctx, argv[1], atoll(argv[2]), (const char *const *)(argv + 3), (size_t)argc - 3);
    if (st) fprintf(stderr, "dump_ids: %s\n", lcm_ctx_message(ctx));
    lcm_ctx_free(ctx);
    return st != LCM_OK;
}
