/* chrF. */
#include "eval/chrf.h"

#include <stdlib.h>

#include "text/chars.h"

static size_t to_chars(uint32_t *out, const char *text, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        uint32_t c = lcm_char_next(text, &i);
        if (!lcm_char_is_space(c) && !(c >= 0x1C && c <= 0x1F)) out[n++] = c;
    }
    return n;
}

lcm_status lcm_chrf_add(lcm_ctx *ctx, lcm_chrf *c, const char *hyp, size_t hyp_len, const char *ref, size_t ref_len) {
    uint32_t *h, *r;
    size_t nh, nr;
    lcm_status st = LCM_OK;
    LCM_TRY(lcm_calloc(ctx, &h, hyp_len + ref_len + 1, sizeof *h));
    r = h + hyp_len;
    nh = to_chars(h, hyp, hyp_len);
    nr = to_chars(r, ref, ref_len);
    for (size_t n = 1; st == LCM_OK && n <= LCM_CHRF_ORDER; n++) {
        lcm_ngram_counts one = {0};
        st = lcm_ngram_add(ctx, &one, h, nh, r, nr, n);
        if (one.ref > 0) c->n[n - 1].hyp += one.hyp; /* sacrebleu: no count where the reference has none */
        c->n[n - 1].ref += one.ref;
        c->n[n - 1].match += one.match;
    }
    free(h);
    return st;
}

double lcm_chrf_score(const lcm_chrf *c) {
    double precision = 0, recall = 0, sum;
    int orders = 0;
    for (int i = 0; i < LCM_CHRF_ORDER; i++) {
        const lcm_ngram_counts *n = &c->n[i];
        if (n->hyp == 0 || n->ref == 0) continue;
        precision += (double)n->match / (double)n->hyp;
        recall += (double)n->match / (double)n->ref;
        orders++;
    }
    sum = 4 * precision + recall;
    return orders && sum > 0 ? 100 * 5 * precision * recall / sum / orders : 0;
}
