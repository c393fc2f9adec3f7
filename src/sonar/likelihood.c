/* Log-probabilities of given texts. */
#include "sonar/likelihood.h"

#include <stdlib.h>

#include "kernels/xent.h"
#include "sonar/decoder.h"

enum { PASS_TEXTS = 64 };

typedef struct job {
    const lcm_sonar_file *f;
    lcm_ids ids; /* `</s> [lang] pieces </s>` of every text, one after the other */
    size_t begin[PASS_TEXTS + 1];
} job;

static lcm_status tokenize(lcm_ctx *ctx, job *j, const char *text, size_t len, int32_t lang) {
    if (lang >= 0) return lcm_tokenizer_encode_target(ctx, &j->ids, j->f->tok, lang, text, len);
    LCM_TRY(lcm_ids_push(ctx, &j->ids, LCM_ID_EOS));
    LCM_TRY(lcm_tokenizer_encode(ctx, &j->ids, j->f->tok, text, len));
    return lcm_ids_push(ctx, &j->ids, LCM_ID_EOS);
}

static lcm_status take(lcm_ctx *ctx, job *j, const char *const *text, const size_t *len, size_t first, size_t n, int32_t lang) {
    int64_t window = j->f->config.max_seq_len;
    j->ids.len = j->begin[0] = 0;
    for (size_t i = 0; i < n; i++) {
        lcm_status st = tokenize(ctx, j, text[first + i], len[first + i], lang);
        if (st) return lcm_fail_within(ctx, st, "text %zu", first + i + 1);
        j->begin[i + 1] = j->ids.len;
        if (j->ids.len - j->begin[i] > (size_t)window)
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "text %zu: %zu tokens, window is %lld", first + i + 1, j->ids.len - j->begin[i],
                     (long long)window);
    }
    return LCM_OK;
}

/* All texts side by side, one token per step; a text that has ended leaves. */
static void run_pass(lcm_sonar_decoder *d, const job *j, double *logp, const int64_t *tokens, const real *concepts, int64_t n) {
    int64_t V = j->f->config.vocab_size, rows = n;
    int32_t text[PASS_TEXTS], token[PASS_TEXTS], from[PASS_TEXTS];
    for (int64_t i = 0; i < n; i++) text[i] = (int32_t)i;
    lcm_sonar_decoder_begin(d, concepts, n);
    for (int64_t pos = 0; rows > 0; pos++) {
        int64_t kept = 0;
        real *lp;
        for (int64_t r = 0; r < rows; r++) token[r] = j->ids.data[j->begin[text[r]] + (size_t)pos];
        lp = lcm_sonar_decoder_step(d, token);
        lcm_k_log_softmax(lp, rows, V);
        for (int64_t r = 0; r < rows; r++) {
            int32_t t = text[r];
            logp[t] += (double)lp[r * V + j->ids.data[j->begin[t] + (size_t)pos + 1]];
            if (pos + 1 == tokens[t]) continue;
            from[kept] = (int32_t)r;
            text[kept++] = t;
        }
        if (kept < rows) lcm_sonar_decoder_reorder(d, from, kept);
        rows = kept;
    }
}

static lcm_status score(lcm_ctx *ctx, job *j, double *logp, int64_t *tokens, const real *concepts, const char *const *text,
                        const size_t *len, size_t n, int32_t lang) {
    int64_t in = lcm_sonar_dim(&j->f->config);
    for (size_t i = 0, k; i < n; i += k) {
        lcm_sonar_decoder *d;
        int64_t longest = 1;
        k = n - i < PASS_TEXTS ? n - i : PASS_TEXTS;
        LCM_TRY(take(ctx, j, text, len, i, k, lang));
        for (size_t s = 0; s < k; s++) {
            tokens[i + s] = (int64_t)(j->begin[s + 1] - j->begin[s]) - 1;
            logp[i + s] = 0;
            if (tokens[i + s] > longest) longest = tokens[i + s];
        }
        LCM_TRY(lcm_sonar_decoder_new(ctx, &d, j->f->net, (int64_t)k, (int64_t)k, longest));
        run_pass(d, j, logp + i, tokens + i, concepts + (int64_t)i * in, (int64_t)k);
        lcm_sonar_decoder_free(d);
    }
    return LCM_OK;
}

lcm_status lcm_sonar_score(lcm_ctx *ctx, double *logp, int64_t *tokens, const lcm_sonar_file *f, const real *concepts,
                           const char *const *text, const size_t *len, size_t n, int32_t lang) {
    job *j;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &j, 1, sizeof *j));
    j->f = f;
    st = score(ctx, j, logp, tokens, concepts, text, len, n, lang < 0 ? f->lang : lang);
    lcm_ids_free(&j->ids);
    free(j);
    return st;
}
