/* Rules of a step. */
#include "sonar/step_rules.h"

#include <math.h>
#include <string.h>

#include "token/tokenizer.h"

static lcm_status check(lcm_ctx *ctx, const lcm_beam_opts *o, int64_t n_prompt, int64_t limit) {
    if (o->beam_size < 1 || o->beam_size > 1024)
        LCM_FAIL(ctx, LCM_ERR_ARG, "beam size %lld is outside 1 … 1024", (long long)o->beam_size);
    if (!(o->temperature > 0)) LCM_FAIL(ctx, LCM_ERR_ARG, "temperature %g is not above 0", o->temperature);
    if (o->min_gen_len < 0 || o->max_gen_len < 1 || o->min_gen_len > o->max_gen_len)
        LCM_FAIL(ctx, LCM_ERR_ARG, "lengths %lld … %lld of generated tokens", (long long)o->min_gen_len,
                 (long long)o->max_gen_len);
    if (n_prompt < 1 || n_prompt >= limit)
        LCM_FAIL(ctx, LCM_ERR_ARG, "a prompt of %lld tokens does not fit in %lld", (long long)n_prompt, (long long)limit);
    return LCM_OK;
}

lcm_status lcm_step_lengths(lcm_ctx *ctx, int64_t *min_len, int64_t *max_len, const lcm_beam_opts *o, int64_t n_prompt,
                            int64_t window) {
    int64_t limit = o->max_seq_len > 0 && o->max_seq_len < window ? o->max_seq_len : window;
    LCM_TRY(check(ctx, o, n_prompt, limit));
    *max_len = n_prompt + o->max_gen_len < limit ? n_prompt + o->max_gen_len : limit;
    *min_len = n_prompt + o->min_gen_len < limit ? n_prompt + o->min_gen_len : limit;
    return LCM_OK;
}

/* Bans, in lp, every token that would complete a repeated n-gram of seq[0 … n-1]. */
static void block_ngrams(real *lp, const int32_t *seq, int64_t n, int64_t k) {
    if (n < k) return;
    for (int64_t i = 0; i + k <= n; i++)
        if (memcmp(seq + i, seq + n - (k - 1), (size_t)(k - 1) * sizeof *seq) == 0) lp[seq[i + k - 1]] = -INFINITY;
}

static void block_banned(real *lp, const int32_t *seq, int64_t n, const lcm_token_seq *ban) {
    int64_t k = ban->n - 1;
    if (k < 0 || n < k) return;
    if (memcmp(ban->ids, seq + n - k, (size_t)k * sizeof *seq) == 0) lp[ban->ids[k]] = -INFINITY;
}

void lcm_step_rules(real *lp, int64_t V, const int32_t *seq, int64_t n, const lcm_beam_opts *o, int64_t min_len, int64_t max_len) {
    if (n == max_len - 1) {
        real eos = lp[LCM_ID_EOS];
        for (int64_t v = 0; v < V; v++) lp[v] = -INFINITY;
        lp[LCM_ID_EOS] = eos;
        return;
    }
    if (o->ngram_block > 0) block_ngrams(lp, seq, n, o->ngram_block);
    for (int64_t i = 0; i < o->n_banned; i++) block_banned(lp, seq, n, &o->banned[i]);
    if (o->not_twice && o->not_twice[seq[n - 1]]) lp[seq[n - 1]] = -INFINITY;
    lp[LCM_ID_UNK] = -INFINITY; /* the model's padding index is <unk>: the reference never emits it */
    if (n < min_len - 1) lp[LCM_ID_EOS] = -INFINITY;
}
