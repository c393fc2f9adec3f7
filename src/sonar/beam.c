/* Beam search. */
#include "sonar/beam.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/xent.h"
#include "sonar/step_rules.h"
#include "token/tokenizer.h"

lcm_beam_opts lcm_beam_opts_default(void) {
    lcm_beam_opts o = {.beam_size = 5, .min_gen_len = 1, .max_gen_len = 1152, .normalize_scores = true,
                       .len_penalty = 1, .temperature = 1};
    return o;
}

typedef struct candidate {
    real score;
    int64_t flat; /* beam * V + token */
} candidate;

/* Live rows of all sentences stand one after the other; sentence s owns first[s] … first[s+1]-1. */
typedef struct search {
    lcm_ctx *ctx;
    const lcm_beam_opts *o;
    lcm_hypotheses *out;
    int64_t n, V, B, max_len, min_len, n_prompt;
    lcm_sonar_decoder *dec;
    int64_t *sentence, *sentence2, *first; /* live sentences and their rows */
    int64_t n_live;
    int32_t *seq, *seq2;   /* (rows, max_len) */
    real *cum, *cum2;      /* (rows, max_len): cumulative score after each token */
    int32_t *from, *token;
    candidate *top;
} search;

static void free_search(search *s) {
    lcm_sonar_decoder_free(s->dec);
    free(s->sentence);
    free(s->sentence2);
    free(s->first);
    free(s->seq);
    free(s->seq2);
    free(s->cum);
    free(s->cum2);
    free(s->from);
    free(s->token);
    free(s->top);
}

static lcm_status allocate(search *s, const lcm_sonar_net *net) {
    size_t rows = (size_t)(s->n * s->B), cells = rows * (size_t)s->max_len;
    LCM_TRY(lcm_sonar_decoder_new(s->ctx, &s->dec, net, s->n, (int64_t)rows, s->max_len));
    LCM_TRY(lcm_calloc(s->ctx, &s->sentence, (size_t)s->n, sizeof *s->sentence));
    LCM_TRY(lcm_calloc(s->ctx, &s->sentence2, (size_t)s->n, sizeof *s->sentence2));
    LCM_TRY(lcm_calloc(s->ctx, &s->first, (size_t)s->n + 1, sizeof *s->first));
    LCM_TRY(lcm_calloc(s->ctx, &s->seq, cells, sizeof *s->seq));
    LCM_TRY(lcm_calloc(s->ctx, &s->seq2, cells, sizeof *s->seq2));
    LCM_TRY(lcm_calloc(s->ctx, &s->cum, cells, sizeof *s->cum));
    LCM_TRY(lcm_calloc(s->ctx, &s->cum2, cells, sizeof *s->cum2));
    LCM_TRY(lcm_calloc(s->ctx, &s->from, rows, sizeof *s->from));
    LCM_TRY(lcm_calloc(s->ctx, &s->token, rows, sizeof *s->token));
    return lcm_calloc(s->ctx, &s->top, (size_t)(2 * s->B), sizeof *s->top);
}

static void log_probs(const search *s, real *logits, int64_t rows) {
    if (s->o->temperature != 1)
        for (int64_t i = 0; i < rows * s->V; i++) logits[i] = (real)((double)logits[i] / s->o->temperature);
    lcm_k_log_softmax(logits, rows, s->V);
}

static lcm_status check_finite(const search *s, const real *lp, int64_t rows) {
    for (int64_t r = 0, live = 0; r < rows; r++) {
        while (s->first[live + 1] <= r) live++;
        if (isnan(lp[r * s->V]))
            LCM_FAIL(s->ctx, LCM_ERR_NUMERIC, "sentence %lld: the decoder's output is not a number", (long long)s->sentence[live]);
    }
    return LCM_OK;
}

/* The K best of a sentence's candidates, best first; a later one must be strictly better. */
static int64_t best(search *s, const real *lp, int64_t r0, int64_t r1, int64_t at) {
    int64_t K = 2 * s->B < s->V ? 2 * s->B : s->V, n = 0;
    for (int64_t r = r0; r < r1; r++) {
        real base = s->cum[r * s->max_len + at - 1];
        for (int64_t v = 0; v < s->V; v++) {
            real score = base + lp[r * s->V + v];
            int64_t i = n;
            if (score == -INFINITY || (n == K && score <= s->top[K - 1].score)) continue;
            if (n < K) n++;
            else i = K - 1;
            for (; i > 0 && s->top[i - 1].score < score; i--) s->top[i] = s->top[i - 1];
            s->top[i] = (candidate){score, (r - r0) * s->V + v};
        }
    }
    return n;
}

static lcm_status finish(search *s, int64_t sentence, int64_t row, real score, int64_t n) {
    lcm_hypotheses *list = &s->out[sentence];
    int64_t skip = s->o->echo_prompt ? 0 : s->n_prompt, len = n + 1 - skip;
    lcm_hypothesis *h = &list->items[list->n];
    const real *cum = s->cum + row * s->max_len;
    LCM_TRY(lcm_calloc(s->ctx, &h->ids, (size_t)len, sizeof *h->ids));
    list->n++;
    LCM_TRY(lcm_calloc(s->ctx, &h->step_scores, (size_t)len, sizeof *h->step_scores));
    h->n = len;
    memcpy(h->ids, s->seq + row * s->max_len + skip, (size_t)(len - 1) * sizeof *h->ids);
    h->ids[len - 1] = LCM_ID_EOS;
    for (int64_t i = 0; i < len; i++) {
        real now = i + skip < n ? cum[i + skip] : score;
        h->step_scores[i] = i == 0 ? now : now - cum[i + skip - 1];
    }
    h->score = s->o->normalize_scores ? (double)score / pow((double)n, s->o->len_penalty) : (double)score;
    return LCM_OK;
}

/* Chooses finished and live hypotheses of one sentence; returns the new row count through *row. */
static lcm_status advance(search *s, const real *lp, int64_t live, int64_t at, int64_t *row) {
    int64_t sentence = s->sentence[live], r0 = s->first[live], begin = *row;
    int64_t n = best(s, lp, r0, s->first[live + 1], at);
    for (int64_t i = 0; i < n && *row - begin < s->B; i++) {
        int64_t from = r0 + s->top[i].flat / s->V;
        int32_t token = (int32_t)(s->top[i].flat % s->V);
        real *cum = s->cum2 + *row * s->max_len;
        if (token == LCM_ID_EOS) {
            if (i >= s->B) continue;
            LCM_TRY(finish(s, sentence, from, s->top[i].score, at));
            if (s->out[sentence].n == s->B) {
                *row = begin;
                return LCM_OK;
            }
            continue;
        }
        if (at == s->max_len - 1) continue;
        memcpy(s->seq2 + *row * s->max_len, s->seq + from * s->max_len, (size_t)at * sizeof *s->seq);
        memcpy(cum, s->cum + from * s->max_len, (size_t)at * sizeof *cum);
        s->seq2[*row * s->max_len + at] = token;
        cum[at] = s->top[i].score;
        s->from[*row] = (int32_t)from;
        (*row)++;
    }
    return LCM_OK;
}

static void swap_state(search *s, int64_t n_live) {
    int32_t *seq = s->seq;
    real *cum = s->cum;
    int64_t *sentence = s->sentence;
    s->seq = s->seq2;
    s->seq2 = seq;
    s->cum = s->cum2;
    s->cum2 = cum;
    s->sentence = s->sentence2;
    s->sentence2 = sentence;
    s->n_live = n_live;
}

static lcm_status step(search *s, real *lp, int64_t at) {
    int64_t rows = s->first[s->n_live], row = 0, kept = 0;
    LCM_TRY(check_finite(s, lp, rows));
    for (int64_t r = 0; r < rows; r++) lcm_step_rules(lp + r * s->V, s->V, s->seq + r * s->max_len, at, s->o, s->min_len, s->max_len);
    for (int64_t i = 0; i < s->n_live; i++) {
        int64_t before = row, sentence = s->sentence[i];
        LCM_TRY(advance(s, lp, i, at, &row)); /* reads first[i], first[i+1] of the old rows */
        if (row == before) continue;
        s->sentence2[kept] = sentence;
        s->token[kept++] = (int32_t)before; /* first row of the kept sentence; `token` is free until the next step */
    }
    for (int64_t i = 0; i < kept; i++) s->first[i] = s->token[i];
    s->first[kept] = row;
    swap_state(s, kept);
    return LCM_OK;
}

static lcm_status prefill(search *s, const int32_t *prompt, real **lp) {
    for (int64_t p = 0; p < s->n_prompt; p++) {
        for (int64_t r = 0; r < s->n; r++) s->token[r] = prompt[p];
        *lp = lcm_sonar_decoder_step(s->dec, s->token);
        log_probs(s, *lp, s->n);
        for (int64_t r = 0; r < s->n; r++) {
            real *cum = s->cum + r * s->max_len;
            s->seq[r * s->max_len + p] = prompt[p];
            if (p == 0) cum[0] = 0;
            if (p + 1 < s->n_prompt) cum[p + 1] = cum[p] + (*lp)[r * s->V + prompt[p + 1]];
        }
    }
    s->n_live = s->n;
    for (int64_t i = 0; i <= s->n; i++) s->first[i] = i;
    for (int64_t i = 0; i < s->n; i++) s->sentence[i] = i;
    return LCM_OK;
}

static lcm_status run(search *s, const int32_t *prompt) {
    real *lp = NULL;
    LCM_TRY(prefill(s, prompt, &lp));
    for (int64_t at = s->n_prompt; at < s->max_len && s->n_live; at++) {
        if (at > s->n_prompt) {
            int64_t rows = s->first[s->n_live];
            lcm_sonar_decoder_reorder(s->dec, s->from, rows);
            for (int64_t r = 0; r < rows; r++) s->token[r] = s->seq[r * s->max_len + at - 1];
            lp = lcm_sonar_decoder_step(s->dec, s->token);
            log_probs(s, lp, rows);
        }
        LCM_TRY(step(s, lp, at));
    }
    return LCM_OK;
}

static void sort_hypotheses(lcm_hypotheses *h) { /* stable insertion: there are at most B */
    for (int64_t i = 1; i < h->n; i++) {
        lcm_hypothesis x = h->items[i];
        int64_t j = i;
        for (; j > 0 && h->items[j - 1].score < x.score; j--) h->items[j] = h->items[j - 1];
        h->items[j] = x;
    }
}

lcm_status lcm_beam_search(lcm_ctx *ctx, lcm_hypotheses *out, const lcm_sonar_net *net, const real *concepts, int64_t n,
                           const int32_t *prompt, int64_t n_prompt, const lcm_beam_opts *opts) {
    lcm_beam_opts o = opts ? *opts : lcm_beam_opts_default();
    search s = {.ctx = ctx, .o = &o, .out = out, .n = n, .V = net->config.vocab_size, .B = o.beam_size, .n_prompt = n_prompt};
    lcm_status st = LCM_OK;
    memset(out, 0, (size_t)n * sizeof *out);
    LCM_TRY(lcm_step_lengths(ctx, &s.min_len, &s.max_len, &o, n_prompt, net->config.max_seq_len));
    if (n == 0) return LCM_OK;
    for (int64_t i = 0; st == LCM_OK && i < n; i++) st = lcm_calloc(ctx, &out[i].items, (size_t)o.beam_size, sizeof *out[i].items);
    if (st == LCM_OK) st = allocate(&s, net);
    if (st == LCM_OK) {
        lcm_sonar_decoder_begin(s.dec, concepts, n);
        st = run(&s, prompt);
    }
    free_search(&s);
    for (int64_t i = 0; i < n; i++) {
        if (st) lcm_hypotheses_free(&out[i]);
        else sort_hypotheses(&out[i]);
    }
    return st;
}

void lcm_hypotheses_free(lcm_hypotheses *h) {
    for (int64_t i = 0; i < h->n; i++) {
        free(h->items[i].ids);
        free(h->items[i].step_scores);
    }
    free(h->items);
    memset(h, 0, sizeof *h);
}
