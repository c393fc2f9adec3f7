/* Drawing sentences. */
#include "sonar/draw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/xent.h"
#include "sonar/step_rules.h"
#include "token/tokenizer.h"

lcm_draw_opts lcm_draw_opts_default(void) { return (lcm_draw_opts){.sampler = {.temperature = 0.6, .top_p = 0.9}}; }

/* Unfinished sentences are rows 0 … n_live-1 of the decoder. */
typedef struct drawing {
    lcm_ctx *ctx;
    const lcm_beam_opts *o;
    lcm_sampler_opts sampler; /* of logits that are divided by the temperature already */
    double temperature;
    lcm_hypotheses *out;
    int64_t V, max_len, min_len, n_prompt, n_live;
    lcm_sonar_decoder *dec;
    int64_t *sentence;  /* (n) of each row */
    int32_t *seq;       /* (n, max_len) of each sentence */
    real *p;            /* (n, max_len) probability of each token */
    int32_t *from, *token; /* (n) */
    lcm_rng *rng;       /* (n) of each sentence */
    lcm_candidate *scratch;
} drawing;

static lcm_status allocate(drawing *s, const lcm_sonar_net *net, int64_t n, const lcm_draw_opts *d) {
    size_t cells = (size_t)(n * s->max_len);
    LCM_TRY(lcm_sonar_decoder_new(s->ctx, &s->dec, net, n, n, s->max_len));
    LCM_TRY(lcm_calloc(s->ctx, &s->sentence, (size_t)n, sizeof *s->sentence));
    LCM_TRY(lcm_calloc(s->ctx, &s->seq, cells, sizeof *s->seq));
    LCM_TRY(lcm_calloc(s->ctx, &s->p, cells, sizeof *s->p));
    LCM_TRY(lcm_calloc(s->ctx, &s->from, (size_t)n, sizeof *s->from));
    LCM_TRY(lcm_calloc(s->ctx, &s->token, (size_t)n, sizeof *s->token));
    LCM_TRY(lcm_calloc(s->ctx, &s->rng, (size_t)n, sizeof *s->rng));
    LCM_TRY(lcm_calloc(s->ctx, &s->scratch, (size_t)s->V, sizeof *s->scratch));
    for (int64_t i = 0; i < n; i++) {
        s->sentence[i] = i;
        s->rng[i] = lcm_rng_make(d->seed, LCM_RNG_DRAW + ((d->first + (uint64_t)i) << 8));
    }
    s->n_live = n;
    return LCM_OK;
}

static void release(drawing *s) {
    lcm_sonar_decoder_free(s->dec);
    free(s->sentence);
    free(s->seq);
    free(s->p);
    free(s->from);
    free(s->token);
    free(s->rng);
    free(s->scratch);
}

static real *log_probs(drawing *s) {
    real *lp = lcm_sonar_decoder_step(s->dec, s->token);
    for (int64_t i = 0; s->temperature != 1 && i < s->n_live * s->V; i++) lp[i] = (real)((double)lp[i] / s->temperature);
    lcm_k_log_softmax(lp, s->n_live, s->V);
    return lp;
}

static lcm_status finish(drawing *s, int64_t sentence, int64_t n) { /* n tokens, the end among them */
    int64_t skip = s->o->echo_prompt ? 0 : s->n_prompt, len = n - skip;
    const real *p = s->p + sentence * s->max_len;
    lcm_hypothesis *h = s->out[sentence].items;
    double sum = 0;
    LCM_TRY(lcm_calloc(s->ctx, &h->ids, (size_t)len, sizeof *h->ids));
    s->out[sentence].n = 1;
    LCM_TRY(lcm_calloc(s->ctx, &h->step_scores, (size_t)len, sizeof *h->step_scores));
    h->n = len;
    memcpy(h->ids, s->seq + sentence * s->max_len + skip, (size_t)len * sizeof *h->ids);
    memcpy(h->step_scores, p + skip, (size_t)len * sizeof *h->step_scores);
    for (int64_t i = 1; i < n; i++) sum += log((double)p[i]);
    h->score = s->o->normalize_scores ? sum / pow((double)(n - 1), s->o->len_penalty) : sum;
    return LCM_OK;
}

/* Position `at` of every live sentence; those that end leave. */
static lcm_status step(drawing *s, real *lp, int64_t at) {
    int64_t kept = 0;
    for (int64_t r = 0; r < s->n_live; r++) {
        int64_t i = s->sentence[r];
        real *row = lp + r * s->V;
        int32_t *seq = s->seq + i * s->max_len;
        if (isnan(row[0])) LCM_FAIL(s->ctx, LCM_ERR_NUMERIC, "sentence %lld: the decoder's output is not a number", (long long)i);
        lcm_step_rules(row, s->V, seq, at, s->o, s->min_len, s->max_len);
        seq[at] = lcm_sample_token(row, s->V, &s->sampler, lcm_rng_uniform(&s->rng[i]), s->scratch);
        s->p[i * s->max_len + at] = (real)exp((double)row[seq[at]]);
        if (seq[at] == LCM_ID_EOS) {
            LCM_TRY(finish(s, i, at + 1));
            continue;
        }
        s->sentence[kept] = i;
        s->from[kept++] = (int32_t)r;
    }
    s->n_live = kept;
    return LCM_OK;
}

static lcm_status run(drawing *s, const int32_t *prompt) {
    real *lp = NULL;
    for (int64_t at = 0; at < s->n_prompt; at++) {
        for (int64_t r = 0; r < s->n_live; r++) {
            if (at > 0) s->p[r * s->max_len + at] = (real)exp((double)lp[r * s->V + prompt[at]]);
            s->seq[r * s->max_len + at] = s->token[r] = prompt[at];
        }
        lp = log_probs(s);
    }
    for (int64_t at = s->n_prompt; s->n_live > 0; at++) { /* the last position ends every sentence */
        if (at > s->n_prompt) {
            lcm_sonar_decoder_reorder(s->dec, s->from, s->n_live);
            for (int64_t r = 0; r < s->n_live; r++) s->token[r] = s->seq[s->sentence[r] * s->max_len + at - 1];
            lp = log_probs(s);
        }
        LCM_TRY(step(s, lp, at));
    }
    return LCM_OK;
}

static lcm_status check(lcm_ctx *ctx, const lcm_sampler_opts *o) {
    if (!(o->temperature >= 0 && o->temperature <= 100)) LCM_FAIL(ctx, LCM_ERR_ARG, "temperature %g is outside 0 … 100", o->temperature);
    if (!(o->top_p >= 0 && o->top_p <= 1)) LCM_FAIL(ctx, LCM_ERR_ARG, "top_p %g is outside 0 … 1", o->top_p);
    if (o->top_k < 0) LCM_FAIL(ctx, LCM_ERR_ARG, "top_k %lld is below 0", (long long)o->top_k);
    return LCM_OK;
}

lcm_status lcm_draw(lcm_ctx *ctx, lcm_hypotheses *out, const lcm_sonar_net *net, const real *concepts, int64_t n, const int32_t *prompt,
                    int64_t n_prompt, const lcm_beam_opts *opts) {
    const lcm_draw_opts *d = &opts->draw;
    drawing s = {.ctx = ctx, .o = opts, .sampler = d->sampler, .temperature = d->sampler.temperature > 0 ? d->sampler.temperature : 1,
                 .out = out, .V = net->config.vocab_size, .n_prompt = n_prompt};
    lcm_status st = LCM_OK;
    memset(out, 0, (size_t)n * sizeof *out);
    LCM_TRY(check(ctx, &d->sampler));
    LCM_TRY(lcm_step_lengths(ctx, &s.min_len, &s.max_len, opts, n_prompt, net->config.max_seq_len));
    if (n == 0) return LCM_OK;
    if (d->sampler.temperature > 0) s.sampler.temperature = 1;
    for (int64_t i = 0; st == LCM_OK && i < n; i++) st = lcm_calloc(ctx, &out[i].items, 1, sizeof *out[i].items);
    if (st == LCM_OK) st = allocate(&s, net, n, d);
    if (st == LCM_OK) {
        lcm_sonar_decoder_begin(s.dec, concepts, n);
        st = run(&s, prompt);
    }
    release(&s);
    for (int64_t i = 0; st && i < n; i++) lcm_hypotheses_free(&out[i]);
    return st;
}
