#include "lcm/text.h"

#include "text/segment.h"

lcm_status lcm_segment_text(lcm_ctx *ctx, lcm_spans *out, const char *text, size_t len,
                            const lcm_segment_opts *opts) {
    lcm_spans s = {0};
    size_t n = 0;
    LCM_TRY(lcm_segment(ctx, &s, text, len, opts));
    for (size_t i = 0; i < s.len; i++) {
        lcm_span t = lcm_span_trim(text, s.data[i]);
        if (t.begin < t.end) s.data[n++] = t;
    }
    s.len = n;
    lcm_spans_free(out);
    *out = s;
    return LCM_OK;
}
