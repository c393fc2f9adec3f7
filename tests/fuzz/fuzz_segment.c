/* Any bytes: the first two choose cap and language, the rest is text. Whatever comes back must tile
 * the text and respect the cap; bytes that are not UTF-8 must be refused with their offset. */

#include "target.h"

#include "text/segment.h"

static void require(int cond) {
    if (!cond) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const langs[] = {"en", "deu_Latn", "fr", "es", "it", "pt", "jpn_Jpan", "el"};
    static const int64_t caps[] = {0, 1, 2, 7, 20, 64, 200, 256};
    const char *text = (const char *)data + 2;
    lcm_segment_opts opts;
    lcm_spans s = {0};
    lcm_ctx *ctx;
    size_t len, end = 0;
    lcm_status st;
    if (size < 2) return 0;
    len = size - 2;
    opts = (lcm_segment_opts){.lang = langs[data[0] % 8], .max_chars = caps[data[1] % 8]};
    ctx = lcm_ctx_new();
    require(ctx != NULL);
    st = lcm_segment(ctx, &s, text, len, &opts);
    if (lcm_utf8_valid_prefix(text, len) < len) {
        require(st == LCM_ERR_UTF8 && s.len == 0);
    } else {
        require(st == LCM_OK);
        for (size_t i = 0; i < s.len; i++) {
            lcm_span t = lcm_span_trim(text, s.data[i]);
            require(s.data[i].begin == end && s.data[i].end > end && s.data[i].end <= len);
            end = s.data[i].end;
            require(end == len || ((unsigned char)text[end] & 0xC0) != 0x80);
            require(opts.max_chars == 0 || lcm_span_chars(text, t) <= (size_t)opts.max_chars);
            require(t.begin < t.end || s.len == 1);
        }
        require(end == len);
    }
    lcm_spans_free(&s);
    lcm_ctx_free(ctx);
    return 0;
}
