/* Log-probability of texts. */
#include "llama/score.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_TOKENS = 2048 };

/* Token sequences of all texts, one after the other. */
typedef struct sequences {
    lcm_ids ids;
    int64_t *off;  /* (n+1) into ids */
    int32_t *from; /* (n) first scored token of a sequence */
} sequences;

static lcm_status add_text(lcm_ctx *ctx, sequences *s, lcm_llama_score *out, const lcm_llama_file *f, const lcm_llama_text *x,
                           bool end) {
    int64_t window = f->model->config.max_position_embeddings, first = (int64_t)s->ids.len, context, scored, drop;
    LCM_TRY(lcm_ids_push(ctx, &s->ids, LCM_LLAMA_BOS));
    if (x->context) LCM_TRY(lcm_llama_encode(ctx, &s->ids, f->tok, x->context, x->context_len));
    context = (int64_t)s->ids.len - first - 1;
    LCM_TRY(lcm_llama_encode(ctx, &s->ids, f->tok, x->text, x->len));
    if (end) LCM_TRY(lcm_ids_push(ctx, &s->ids, LCM_LLAMA_EOS));
    scored = (int64_t)s->ids.len - first - 1 - context;
    if (scored > window) /* the last one is predicted, not read */
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "%lld tokens, the model's window is %lld", (long long)scored, (long long)window);
    drop = context + scored > window ? context + scored - window : 0;
    if (drop) {
        int32_t *at = s->ids.data + first + 1;
        memmove(at, at + drop, (size_t)(context - drop + scored) * sizeof *at);
        s->ids.len -= (size_t)drop;
    }
    *out = (lcm_llama_score){.n_tokens = scored, .n_dropped = drop};
    return LCM_OK;
}

/* Inputs are all tokens but a sequence's last, targets all but its first; rows of the context are not projected. */
static lcm_status score_batch(lcm_ctx *ctx, lcm_llama_score *out, lcm_tape *t, const lcm_llama *m, const sequences *s,
                              size_t first, size_t n) {
    int64_t T = s->off[first + n] - s->off[first] - (int64_t)n, rows = 0, at = 0;
    int32_t *ids, *off, *pick, *target;
    lcm_llama_batch b;
    lcm_loss loss;
    (void)ctx;
    lcm_tape_reset(t, (lcm_tape_opts){0});
    ids = lcm_tape_alloc(t, (size_t)T * 3 * sizeof *ids);
    off = lcm_tape_alloc(t, (n + 1) * sizeof *off);
    LCM_TRY(lcm_tape_status(t));
    pick = ids + T;
    target = pick + T;
    off[0] = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t *seq = s->ids.data + s->off[first + i];
        int64_t len = s->off[first + i + 1] - s->off[first + i] - 1;
        for (int64_t k = 0; k < len; k++, at++) {
            ids[at] = seq[k];
            if (k + 1 < s->from[first + i]) continue;
            pick[rows] = (int32_t)at;
            target[rows++] = seq[k + 1];
        }
        off[i + 1] = (int32_t)at;
    }
    if (rows == 0) return LCM_OK;
    b = (lcm_llama_batch){(int64_t)n, T, ids, off};
    loss = lcm_op_xent(t, lcm_op_gather(t, lcm_llama_fwd(t, m, &b), pick, rows), m->head, target, NULL, 0, NULL);
    LCM_TRY(lcm_tape_status(t));
    rows = 0;
    for (size_t i = 0; i < n; i++)
        for (int64_t k = 0; k < out[first + i].n_tokens; k++) out[first + i].log_prob -= (double)loss.rows[rows++];
    return LCM_OK;
}

static lcm_status score(lcm_ctx *ctx, lcm_llama_score *out, lcm_tape *t, const lcm_llama *m, const sequences *s, size_t n,
                        int64_t budget) {
    for (size_t first = 0, count; first < n; first += count) {
        count = 1;
        while (first + count < n && s->off[first + count + 1] - s->off[first] <= budget) count++;
        LCM_TRY(score_batch(ctx, out, t, m, s, first, count));
    }
    return LCM_OK;
}

lcm_status lcm_llama_score_texts(lcm_ctx *ctx, lcm_llama_score *out, const lcm_llama_file *f, const lcm_llama_text *texts,
                                 size_t n, const lcm_llama_score_opts *opts) {
    lcm_llama_score_opts o = opts ? *opts : (lcm_llama_score_opts){0};
    sequences s = {0};
    lcm_tape *t = lcm_tape_new(ctx, 1 << 20);
    lcm_status st = t ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: tape");
    if (st == LCM_OK) st = lcm_calloc(ctx, &s.off, n + 1, sizeof *s.off);
    if (st == LCM_OK) st = lcm_calloc(ctx, &s.from, n, sizeof *s.from);
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        st = add_text(ctx, &s, &out[i], f, &texts[i], o.end);
        if (st) lcm_fail_within(ctx, st, "text %zu", i + 1);
        s.off[i + 1] = (int64_t)s.ids.len;
        s.from[i] = (int32_t)(s.off[i + 1] - s.off[i] - out[i].n_tokens);
    }
    if (st == LCM_OK) st = score(ctx, out, t, f->model, &s, n, o.batch_tokens ? o.batch_tokens : BATCH_TOKENS);
    lcm_ids_free(&s.ids);
    free(s.off);
    free(s.from);
    lcm_tape_free(t);
    return st;
}
