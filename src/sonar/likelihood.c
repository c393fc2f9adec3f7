/* Log-probabilities of given texts. */
#include "sonar/likelihood.h"

#include <stdlib.h>

#include "kernels/xent.h"
#include "sonar/batch.h"

enum { PASS_TOKENS = 1024, PASS_TEXTS = 64 };

typedef struct job {
    const lcm_sonar_file *f;
    lcm_tape *tape;
    lcm_ids ids; /* `</s> [lang] pieces </s>` of every text, one after the other */
    size_t begin[PASS_TEXTS + 1];
    real loss[PASS_TOKENS], *scratch;
} job;

static lcm_status tokenize(lcm_ctx *ctx, job *j, const char *text, size_t len, int32_t lang) {
    if (lang >= 0) return lcm_tokenizer_encode_target(ctx, &j->ids, j->f->tok, lang, text, len);
    LCM_TRY(lcm_ids_push(ctx, &j->ids, LCM_ID_EOS));
    LCM_TRY(lcm_tokenizer_encode(ctx, &j->ids, j->f->tok, text, len));
    return lcm_ids_push(ctx, &j->ids, LCM_ID_EOS);
}

/* As many texts as fit one pass, at least one. A sequence of k tokens has k - 1 to predict. */
static lcm_status take(lcm_ctx *ctx, job *j, size_t *taken, const char *const *text, const size_t *len, size_t first, size_t n,
                       int32_t lang) {
    int64_t window = j->f->model->config.max_seq_len;
    j->ids.len = 0;
    for (*taken = 0; first + *taken < n && *taken < PASS_TEXTS; ++*taken) {
        size_t i = first + *taken, at = j->ids.len;
        lcm_status st = tokenize(ctx, j, text[i], len[i], lang);
        if (st) return lcm_fail_within(ctx, st, "text %zu", i + 1);
        if (j->ids.len - at > (size_t)window || j->ids.len - at > PASS_TOKENS)
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "text %zu: %zu tokens, window is %lld", i + 1, j->ids.len - at,
                     (long long)(window < PASS_TOKENS ? window : PASS_TOKENS));
        j->begin[*taken] = at;
        j->begin[*taken + 1] = j->ids.len;
        if (*taken && j->ids.len > PASS_TOKENS) return LCM_OK; /* this one waits for the next pass */
    }
    return LCM_OK;
}

static lcm_status run_pass(job *j, const real *concepts, size_t n) {
    const lcm_sonar *m = j->f->model;
    int64_t D = m->config.model_dim, in = m->config.input_dim ? m->config.input_dim : D, T = (int64_t)(j->begin[n] - n);
    int32_t *target;
    lcm_sonar_packer p;
    lcm_tensor *h;
    lcm_tape_reset(j->tape, (lcm_tape_opts){0});
    LCM_TRY(lcm_sonar_packer_begin(&p, j->tape, (int64_t)n, T));
    target = lcm_tape_alloc(j->tape, (size_t)T * sizeof *target);
    LCM_TRY(lcm_tape_status(j->tape));
    for (size_t i = 0, t = 0; i < n; i++) {
        const int32_t *ids = j->ids.data + j->begin[i];
        int64_t k = (int64_t)(j->begin[i + 1] - j->begin[i]) - 1;
        lcm_sonar_packer_push(&p, ids, 0, (lcm_pieces){ids, k}, ids, 0);
        for (int64_t s = 0; s < k; s++) target[t++] = ids[s + 1];
    }
    h = lcm_sonar_decode_fwd(j->tape, m, &p.b, lcm_tensor_const(j->tape, concepts, (int64_t)n, in));
    if (h == NULL) return lcm_tape_status(j->tape);
    for (int64_t t = 0, k; t < T; t += k) { /* few rows at a time: a vocabulary is wide */
        k = T - t < PASS_TEXTS ? T - t : PASS_TEXTS;
        lcm_k_xent(NULL, NULL, NULL, j->loss + t, NULL, h->x + t * D, m->dec_embed->x, target + t, NULL, k, D, m->config.vocab_size, 0,
                   j->scratch);
    }
    return LCM_OK;
}

static lcm_status score(lcm_ctx *ctx, job *j, double *logp, int64_t *tokens, const real *concepts, const char *const *text,
                        const size_t *len, size_t n, int32_t lang) {
    const lcm_sonar_config *c = &j->f->model->config;
    int64_t in = c->input_dim ? c->input_dim : c->model_dim;
    LCM_TRY(lcm_calloc(ctx, &j->scratch, (size_t)PASS_TEXTS * (size_t)c->vocab_size, sizeof *j->scratch));
    for (size_t i = 0, k; i < n; i += k) {
        size_t t = 0;
        LCM_TRY(take(ctx, j, &k, text, len, i, n, lang));
        LCM_TRY(run_pass(j, concepts + (int64_t)i * in, k));
        for (size_t s = 0; s < k; s++) {
            tokens[i + s] = (int64_t)(j->begin[s + 1] - j->begin[s]) - 1;
            logp[i + s] = 0;
            for (int64_t e = 0; e < tokens[i + s]; e++) logp[i + s] -= (double)j->loss[t++];
        }
    }
    return LCM_OK;
}

lcm_status lcm_sonar_score(lcm_ctx *ctx, double *logp, int64_t *tokens, const lcm_sonar_file *f, const real *concepts,
                           const char *const *text, const size_t *len, size_t n, int32_t lang) {
    job *j;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &j, 1, sizeof *j));
    j->f = f;
    j->tape = lcm_tape_new(ctx, 1 << 20);
    st = j->tape ? score(ctx, j, logp, tokens, concepts, text, len, n, lang < 0 ? f->lang : lang)
                 : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: scores");
    lcm_tape_free(j->tape);
    lcm_ids_free(&j->ids);
    free(j->scratch);
    free(j);
    return st;
}
