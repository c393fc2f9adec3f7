/* Bytes as a SentencePiece model: whatever the gate accepts must load or fail cleanly in the library,
 * encode any text, and decode any ids to valid UTF-8. */

#include "target.h"

#include "token/tokenizer.h"

static void use(lcm_ctx *ctx, const lcm_tokenizer *tok) {
    static const char text[] = "  Ab ba\0aab kato xxx \xc3\xa9\xe2\x96\x81\xef\xac\x81 "
                               "\xf0\x9f\x98\x80\xf0\x9f\x98\x80 </s> mire.";
    lcm_ids ids = {0};
    lcm_buf out = {0};
    int32_t n = lcm_tokenizer_size(tok);
    check(lcm_tokenizer_encode(ctx, &ids, tok, text, sizeof text - 1) == LCM_OK);
    for (size_t i = 0; i < ids.len; i++) check(ids.data[i] >= 0 && ids.data[i] < n);
    check(lcm_tokenizer_normalize(ctx, &out, tok, text, sizeof text - 1) == LCM_OK);
    for (int32_t id = 0; id < n && id < 512; id++) check(lcm_ids_push(ctx, &ids, id) == LCM_OK);
    out.len = 0;
    check(lcm_tokenizer_decode(ctx, &out, tok, ids.data, ids.len) == LCM_OK);
    check(out.len == 0 || lcm_utf8_valid_prefix(out.data, out.len) == out.len);
    lcm_ids_free(&ids);
    lcm_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const langs[] = {"eng_Latn"};
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_tokenizer *tok;
    check(ctx != NULL);
    if (lcm_tokenizer_load(ctx, &tok, data, size, langs, 1, 1) == LCM_OK) {
        use(ctx, tok);
        lcm_tokenizer_free(tok);
    } else {
        check(tok == NULL && *lcm_ctx_message(ctx) != '\0');
    }
    lcm_ctx_free(ctx);
    return 0;
}
