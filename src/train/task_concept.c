/* Concept models as a training task. */
#include "train/task_concept.h"

#include <stdlib.h>
#include <string.h>

const lcm_field lcm_task_concept_fields[] = {
    LCM_F_INT(lcm_task_concept_config, batch_concepts, 2, 1e8, "concepts per micro-batch"),
    LCM_F_INT(lcm_task_concept_config, window, 0, 1e9, "documents grouped by length; 0 = none"),
    LCM_F_INT(lcm_task_concept_config, max_len, 2, 1e6, "longer documents are cut into chunks of so many concepts; longer pairs are left out"),
    LCM_F_INT(lcm_task_concept_config, min_len, 1, 1e6, "shorter chunks are left out"),
    LCM_F_BOOL(lcm_task_concept_config, supervised, "instruction tuning: loss on the targets of pairs only"),
    LCM_F_INT(lcm_task_concept_config, valid_batches, 0, 1e9, "micro-batches per validation, 0 = all"),
    LCM_F_END};

lcm_task_concept_config lcm_task_concept_config_default(void) {
    lcm_task_concept_config c = {.batch_concepts = 1024, .max_len = 128, .min_len = 2, .valid_batches = 8};
    return c;
}

typedef struct task_concept {
    lcm_task task;
    lcm_task_concept_config config;
    lcm_model *model;
    const lcm_criterion *criterion;
    const lcm_chunks *train, *valid;
    lcm_batches *batches;
    lcm_status (*write_model)(lcm_ctx *ctx, void *user, const real *x, lcm_buf *out);
    void *user;
} task_concept;

static void report_said(lcm_task_loss *out, const lcm_said_sums *s, const char *xent, const char *accuracy) {
    if (s->tokens == 0) return;
    out->metrics[out->n_metrics++] = (lcm_metric){xent, s->xent, (double)s->tokens};
    out->metrics[out->n_metrics++] = (lcm_metric){accuracy, (double)s->hits, (double)s->tokens};
}

static lcm_status batch_loss(lcm_ctx *ctx, task_concept *s, lcm_tape *t, const lcm_chunks *c, const int64_t *items,
                             int64_t n, const lcm_draws *draws, lcm_task_loss *out) {
    int64_t D = lcm_store_dim(c->store), total = 0;
    int32_t *off = lcm_tape_alloc(t, (size_t)(n + 1) * sizeof *off), *source = lcm_tape_alloc(t, (size_t)n * sizeof *source);
    lcm_concept_batch b = {.n_docs = n, .off = off, .source_len = c->supervised ? source : NULL};
    lcm_model_loss l = {0};
    real *x, *w = NULL;
    lcm_pieces *text = NULL;
    for (int64_t i = 0; i < n; i++) total += c->lengths[items[i]];
    x = lcm_tape_alloc(t, (size_t)(total * D) * sizeof *x);
    if (c->weights) b.weight = w = lcm_tape_alloc(t, (size_t)total * sizeof *w);
    if (c->text) b.text = text = lcm_tape_alloc(t, (size_t)total * sizeof *text);
    LCM_TRY(lcm_tape_status(t));
    off[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        LCM_TRY(lcm_chunks_read(ctx, x + off[i] * D, c, items[i]));
        off[i + 1] = off[i] + (int32_t)c->lengths[items[i]];
        source[i] = c->source[items[i]];
        if (w) LCM_TRY(lcm_chunks_weigh(ctx, w + off[i], c, items[i]));
        if (text) LCM_TRY(lcm_chunks_text(ctx, text + off[i], c, items[i]));
    }
    b.x = x;
    LCM_TRY(lcm_model_loss_run(ctx, &l, t, s->model, &b, s->criterion, draws));
    out->out = l.out;
    out->sum = l.sum;
    out->count = (double)l.n_targets;
    out->items = (double)total;
    out->n_metrics = l.of_units ? 2 : 1;
    if (l.of_units) {
        out->metrics[0] = (lcm_metric){"xent", l.sum, (double)l.n_targets};
        out->metrics[1] = (lcm_metric){"accuracy", (double)l.n_hits, (double)l.n_targets};
    } else /* per channel, so that 1 is the loss of predicting the mean of normalised vectors */
        out->metrics[0] = (lcm_metric){"mse", l.squared, (double)(l.n_targets * D)};
    report_said(out, &l.said, "xent_said", "accuracy_said");
    report_said(out, &l.said_clean, "xent_clean", "accuracy_clean");
    return LCM_OK;
}

static lcm_status loss(lcm_ctx *ctx, void *self, lcm_tape *t, uint64_t seed, uint64_t draw, lcm_task_loss *out) {
    task_concept *s = self;
    const int64_t *items;
    int64_t n;
    lcm_draws draws = {.seed = seed, .step = draw};
    if (s->model->params.g == NULL) lcm_tape_reset(t, (lcm_tape_opts){.record = true}); /* not trained: no dropout */
    LCM_TRY(lcm_batches_next(ctx, &items, &n, s->batches));
    return batch_loss(ctx, s, t, s->train, items, n, &draws, out);
}

static lcm_status validate(lcm_ctx *ctx, void *self, lcm_tape *t, lcm_task_loss *out) {
    task_concept *s = self;
    const lcm_chunks *c = s->valid;
    int64_t *items, at = 0;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &items, (size_t)c->n, sizeof *items));
    memset(out, 0, sizeof *out);
    st = LCM_OK;
    for (int64_t batch = 0; st == LCM_OK && at < c->n && (s->config.valid_batches == 0 || batch < s->config.valid_batches);
         batch++) {
        lcm_draws draws = {.seed = 12345, .step = (uint64_t)batch};
        lcm_task_loss one = {0};
        int64_t n = 0, total = 0;
        for (; at < c->n && (n == 0 || total + c->lengths[at] <= s->config.batch_concepts); at++) {
            total += c->lengths[at];
            items[n++] = at;
        }
        lcm_tape_reset(t, (lcm_tape_opts){0});
        st = batch_loss(ctx, s, t, c, items, n, &draws, &one);
        out->n_metrics = one.n_metrics;
        for (int i = 0; i < one.n_metrics; i++) {
            out->metrics[i].name = one.metrics[i].name;
            out->metrics[i].sum += one.metrics[i].sum;
            out->metrics[i].weight += one.metrics[i].weight;
        }
    }
    free(items);
    return st;
}

static lcm_status write_model(lcm_ctx *ctx, void *self, const real *x, lcm_buf *out) {
    task_concept *s = self;
    return s->write_model(ctx, s->user, x, out);
}

static void tell(void *self, int64_t state[LCM_TASK_STATE]) {
    lcm_batches_state b = lcm_batches_tell(((task_concept *)self)->batches);
    state[0] = b.epoch;
    state[1] = b.position;
}

static lcm_status seek(lcm_ctx *ctx, void *self, const int64_t state[LCM_TASK_STATE]) {
    return lcm_batches_seek(ctx, ((task_concept *)self)->batches, (lcm_batches_state){state[0], state[1]});
}

lcm_status lcm_task_concept_new(lcm_ctx *ctx, lcm_task **out, const lcm_task_concept_config *config, lcm_model *model,
                                const lcm_criterion *criterion, const lcm_chunks *train, const lcm_chunks *valid,
                                lcm_status (*write)(lcm_ctx *ctx, void *user, const real *x, lcm_buf *bytes), void *user,
                                uint64_t seed) {
    task_concept *s;
    lcm_pack_opts pack = {.budget = config->batch_concepts, .window = config->window, .seed = seed};
    lcm_status st;
    *out = NULL;
    if (train->n == 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "the training store has no %s of %lld to %lld concepts", train->supervised ? "pair" : "chunk",
                 (long long)config->min_len, (long long)config->max_len);
    if (config->max_len > config->batch_concepts)
        LCM_FAIL(ctx, LCM_ERR_ARG, "task.max_len %lld exceeds task.batch_concepts %lld", (long long)config->max_len,
                 (long long)config->batch_concepts);
    LCM_TRY(lcm_calloc(ctx, &s, 1, sizeof *s));
    s->config = *config;
    s->model = model;
    s->criterion = criterion;
    s->train = train;
    s->valid = valid && valid->n ? valid : NULL;
    s->write_model = write;
    s->user = user;
    s->task = (lcm_task){.self = s, .params = &model->params, .unit = "concepts", .loss = loss, .validate = s->valid ? validate : NULL,
                         .write_model = write_model, .tell = tell, .seek = seek};
    st = lcm_batches_new(ctx, &s->batches, train->lengths, train->n, &pack);
    if (st) {
        free(s);
        return st;
    }
    *out = &s->task;
    return LCM_OK;
}

void lcm_task_concept_free(lcm_task *task) {
    task_concept *s;
    if (task == NULL) return;
    s = task->self;
    lcm_batches_free(s->batches);
    free(s);
}
