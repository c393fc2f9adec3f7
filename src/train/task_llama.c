/* Next-token prediction as a training task. */
#include "train/task_llama.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/wrap.h"

const lcm_field lcm_task_llama_fields[] = {
    LCM_F_INT(lcm_task_llama_config, batch_tokens, 2, 1e8, "tokens per micro-batch"),
    LCM_F_INT(lcm_task_llama_config, window, 0, 1e8, "tokens read at once, 0 = as many as model and batch allow"),
    LCM_F_INT(lcm_task_llama_config, group, 0, 1e9, "windows grouped by length; 0 = none"),
    LCM_F_INT(lcm_task_llama_config, valid_batches, 0, 1e9, "micro-batches per validation, 0 = all"),
    LCM_F_REAL(lcm_task_llama_config, label_smoothing, 0, 0.9, "label smoothing"),
    LCM_F_END};

lcm_task_llama_config lcm_task_llama_config_default(void) {
    return (lcm_task_llama_config){.batch_tokens = 4096, .valid_batches = 16};
}

/* A corpus in windows. Piece p of `wrap` predicts tokens p.first … p.first + p.count - 1 of its document, where the
 * one behind the last is </s>. */
typedef struct windows {
    const lcm_corpus *corpus;
    lcm_wrap wrap;
    int64_t n, *cost;
} windows;

typedef struct task_llama {
    lcm_task task;
    lcm_task_llama_config config;
    lcm_llama *model;
    const lcm_tokenizer *tok;
    windows train, valid;
    lcm_batches *batches;
} task_llama;

static void windows_free(windows *w) {
    lcm_wrap_free(&w->wrap);
    free(w->cost);
}

static lcm_status cut(lcm_ctx *ctx, windows *w, const lcm_corpus *c, int64_t window) {
    int64_t *lengths;
    lcm_status st = lcm_calloc(ctx, &lengths, (size_t)c->n, sizeof *lengths);
    w->corpus = c;
    for (int64_t d = 0; st == LCM_OK && d < c->n; d++) lengths[d] = c->lengths[d] + 1;
    if (st == LCM_OK) st = lcm_wrap_make(ctx, &w->wrap, lengths, NULL, c->n, window, false);
    free(lengths);
    LCM_TRY(st);
    w->n = w->wrap.n_chunks;
    LCM_TRY(lcm_calloc(ctx, &w->cost, (size_t)w->n, sizeof *w->cost));
    for (int64_t i = 0; i < w->n; i++) w->cost[i] = w->wrap.pieces[i].count;
    return LCM_OK;
}

/* Token i of document d, -1 being <s> and the length </s>. */
static int32_t token(const lcm_corpus *c, int64_t d, int64_t i) {
    if (i < 0) return LCM_LLAMA_BOS;
    return i < c->lengths[d] ? lcm_llama_token(c->ids[c->off[d] + i]) : LCM_LLAMA_EOS;
}

static lcm_status run(task_llama *s, lcm_tape *t, const windows *w, const int64_t *items, int64_t n, double smoothing,
                      lcm_task_loss *out) {
    int64_t T = 0, at = 0, hits = 0;
    int32_t *ids, *targets, *off;
    uint8_t *hit;
    lcm_loss loss;
    for (int64_t i = 0; i < n; i++) T += w->cost[items[i]];
    ids = lcm_tape_alloc(t, (size_t)T * sizeof *ids);
    targets = lcm_tape_alloc(t, (size_t)T * sizeof *targets);
    off = lcm_tape_alloc(t, (size_t)(n + 1) * sizeof *off);
    hit = lcm_tape_alloc(t, (size_t)T);
    LCM_TRY(lcm_tape_status(t));
    off[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        const lcm_wrap_piece *p = &w->wrap.pieces[items[i]];
        for (int64_t k = p->first; k < p->first + p->count; k++, at++) {
            ids[at] = token(w->corpus, p->doc, k - 1);
            targets[at] = token(w->corpus, p->doc, k);
        }
        off[i + 1] = (int32_t)at;
    }
    loss = lcm_op_xent(t, lcm_llama_fwd(t, s->model, &(lcm_llama_batch){n, T, ids, off}), s->model->head, targets, NULL,
                       smoothing, hit);
    LCM_TRY(lcm_tape_status(t));
    for (int64_t i = 0; i < T; i++) hits += hit[i];
    *out = (lcm_task_loss){.out = loss.out, .sum = loss.sum, .count = (double)T, .items = (double)T, .n_metrics = 2};
    out->metrics[0] = (lcm_metric){"xent", loss.sum, (double)T};
    out->metrics[1] = (lcm_metric){"accuracy", (double)hits, (double)T};
    return LCM_OK;
}

static lcm_status loss(lcm_ctx *ctx, void *self, lcm_tape *t, uint64_t seed, uint64_t draw, lcm_task_loss *out) {
    task_llama *s = self;
    const int64_t *items;
    int64_t n;
    (void)seed;
    (void)draw;
    LCM_TRY(lcm_batches_next(ctx, &items, &n, s->batches));
    return run(s, t, &s->train, items, n, s->config.label_smoothing, out);
}

/* Windows in the order of the corpus; the perplexity is that of all tokens together. */
static lcm_status validate(lcm_ctx *ctx, void *self, lcm_tape *t, lcm_task_loss *out) {
    task_llama *s = self;
    const windows *w = &s->valid;
    lcm_metric *m = out->metrics;
    int64_t *items;
    lcm_status st = LCM_OK;
    *out = (lcm_task_loss){.n_metrics = 3};
    m[0].name = "xent";
    m[1].name = "accuracy";
    LCM_TRY(lcm_calloc(ctx, &items, (size_t)w->n, sizeof *items));
    for (int64_t i = 0; i < w->n; i++) items[i] = i;
    for (int64_t at = 0, batch = 0; st == LCM_OK && at < w->n && (s->config.valid_batches == 0 || batch < s->config.valid_batches);
         batch++) {
        int64_t n = 0, tokens = 0;
        lcm_task_loss one;
        while (at + n < w->n && (n == 0 || tokens + w->cost[at + n] <= s->config.batch_tokens)) tokens += w->cost[at + n++];
        lcm_tape_reset(t, (lcm_tape_opts){0});
        st = run(s, t, w, items + at, n, 0, &one);
        for (int i = 0; st == LCM_OK && i < 2; i++) {
            m[i].sum += one.metrics[i].sum;
            m[i].weight += one.metrics[i].weight;
        }
        at += n;
    }
    free(items);
    m[2] = (lcm_metric){"perplexity", exp(m[0].sum / m[0].weight), 1};
    return st;
}

static lcm_status write_model(lcm_ctx *ctx, void *self, const real *x, lcm_buf *out) {
    const task_llama *s = self;
    return lcm_llama_write(ctx, out, s->model, x, s->tok, LCM_DT_REAL, NULL, &s->task.record);
}

static void tell(void *self, int64_t state[LCM_TASK_STATE]) {
    lcm_batches_state b = lcm_batches_tell(((task_llama *)self)->batches);
    state[0] = b.epoch;
    state[1] = b.position;
}

static lcm_status seek(lcm_ctx *ctx, void *self, const int64_t state[LCM_TASK_STATE]) {
    return lcm_batches_seek(ctx, ((task_llama *)self)->batches, (lcm_batches_state){state[0], state[1]});
}

static lcm_status settle_window(lcm_ctx *ctx, lcm_task_llama_config *c, const lcm_llama *m) {
    int64_t longest = m->config.max_position_embeddings;
    if (c->window == 0) c->window = longest < c->batch_tokens ? longest : c->batch_tokens;
    if (c->window > longest)
        LCM_FAIL(ctx, LCM_ERR_ARG, "task.window %lld exceeds the model's max_position_embeddings %lld", (long long)c->window,
                 (long long)longest);
    if (c->window > c->batch_tokens)
        LCM_FAIL(ctx, LCM_ERR_ARG, "task.window %lld exceeds task.batch_tokens %lld", (long long)c->window,
                 (long long)c->batch_tokens);
    return LCM_OK;
}

static lcm_status fill(lcm_ctx *ctx, task_llama *s, const lcm_corpus *train, const lcm_corpus *valid, uint64_t seed) {
    lcm_pack_opts pack = {.budget = s->config.batch_tokens, .window = s->config.group, .seed = seed};
    if (train->n == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "the training corpus has no usable document");
    LCM_TRY(settle_window(ctx, &s->config, s->model));
    LCM_TRY(cut(ctx, &s->train, train, s->config.window));
    if (valid) LCM_TRY(cut(ctx, &s->valid, valid, s->config.window));
    lcm_log(ctx, LCM_LOG_INFO, "%lld documents in %lld windows of at most %lld tokens", (long long)train->n,
            (long long)s->train.n, (long long)s->config.window);
    return lcm_batches_new(ctx, &s->batches, s->train.cost, s->train.n, &pack);
}

lcm_status lcm_task_llama_new(lcm_ctx *ctx, lcm_task **out, const lcm_task_llama_config *config, lcm_llama *model,
                              const lcm_tokenizer *tok, const lcm_corpus *train, const lcm_corpus *valid, uint64_t seed) {
    task_llama *s;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &s, 1, sizeof *s));
    s->config = *config;
    s->model = model;
    s->tok = tok;
    s->task = (lcm_task){.self = s, .params = &model->params, .unit = "tokens", .loss = loss, .validate = valid ? validate : NULL,
                         .write_model = write_model, .tell = tell, .seek = seek};
    st = fill(ctx, s, train, valid, seed);
    if (st) {
        lcm_task_llama_free(&s->task);
        return st;
    }
    *out = &s->task;
    return LCM_OK;
}

void lcm_task_llama_free(lcm_task *task) {
    task_llama *s = task ? task->self : NULL;
    if (s == NULL) return;
    windows_free(&s->train);
    windows_free(&s->valid);
    lcm_batches_free(s->batches);
    free(s);
}
