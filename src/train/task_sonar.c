/* The SONAR autoencoder as a training task. */
#include "train/task_sonar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const lcm_field lcm_task_sonar_fields[] = {
    LCM_F_STRUCT(lcm_task_sonar_config, objective, lcm_sonar_objective_fields, "noise and smoothing"),
    LCM_F_INT(lcm_task_sonar_config, batch_tokens, 16, 1e8, "tokens per micro-batch"),
    LCM_F_INT(lcm_task_sonar_config, window, 0, 1e9, "sentences grouped by length; 0 = none"),
    LCM_F_INT(lcm_task_sonar_config, max_pieces, 1, 65536, "longer sentences are dropped and counted"),
    LCM_F_INT(lcm_task_sonar_config, valid_batches, 0, 1e9, "micro-batches per validation, 0 = all"),
    LCM_F_INT(lcm_task_sonar_config, valid_pieces, 0, 65536, "longest validation sentence, 0 = max_pieces"),
    LCM_F_END};

lcm_task_sonar_config lcm_task_sonar_config_default(void) {
    lcm_task_sonar_config c = {.objective = lcm_sonar_objective_default(), .batch_tokens = 2048, .window = 4096,
                               .max_pieces = 96, .valid_batches = 8, .valid_pieces = 40};
    return c;
}

typedef struct task_sonar {
    lcm_task task;
    lcm_task_sonar_config config;
    lcm_sonar *model;
    const lcm_tokenizer *tok;
    uint64_t space;
    lcm_sonar_data train, valid; /* valid.target NULL: none */
    lcm_batches *batches;
    int64_t *cost; /* of each training item */
    lcm_sonar_item *items;
    size_t items_cap;
} task_sonar;

static void report(lcm_task_loss *out, const lcm_sonar_loss *l) {
    double tokens = (double)l->n_targets, sentences = (double)l->n_sentences;
    out->out = l->loss.out;
    out->sum = l->loss.sum;
    out->count = out->items = tokens;
    out->n_metrics = 3;
    out->metrics[0] = (lcm_metric){"xent", l->xent, tokens};
    out->metrics[1] = (lcm_metric){"accuracy", (double)l->n_hits, tokens};
    out->metrics[2] = (lcm_metric){"exact", (double)l->n_exact, sentences};
    if (!isnan(l->mse)) out->metrics[out->n_metrics++] = (lcm_metric){"mse", l->mse, sentences};
    if (!isnan(l->denoise)) out->metrics[out->n_metrics++] = (lcm_metric){"denoise_xent", l->denoise, tokens};
}

static lcm_status loss(lcm_ctx *ctx, void *self, lcm_tape *t, uint64_t seed, uint64_t draw, lcm_task_loss *out) {
    task_sonar *s = self;
    const int64_t *items;
    int64_t n;
    lcm_sonar_loss l;
    LCM_TRY(lcm_batches_next(ctx, &items, &n, s->batches));
    LCM_TRY(lcm_grow(ctx, &s->items, &s->items_cap, (size_t)n, sizeof *s->items));
    for (int64_t i = 0; i < n; i++) s->items[i] = lcm_sonar_item_of(&s->train, items[i]);
    LCM_TRY(lcm_sonar_loss_fwd(ctx, &l, t, s->model, s->items, n, &s->config.objective, seed, draw));
    report(out, &l);
    return LCM_OK;
}

/* Adds the metrics of one pass to those so far: the clean pass's as they are, of the other accuracy and exact under names of
 * their own. */
static void tally(lcm_task_loss *out, const lcm_sonar_loss *l, const char *const other[2]) {
    lcm_task_loss one = {0};
    report(&one, l);
    for (int i = other ? 1 : 0; i < (other ? 3 : one.n_metrics); i++) {
        const char *name = other ? other[i - 1] : one.metrics[i].name;
        int k = 0;
        while (k < out->n_metrics && strcmp(out->metrics[k].name, name) != 0) k++;
        if (k == out->n_metrics) out->metrics[out->n_metrics++] = (lcm_metric){name, 0, 0};
        out->metrics[k].sum += one.metrics[i].sum;
        out->metrics[k].weight += one.metrics[i].weight;
    }
}

/* Teacher-forced on clean vectors, and on vectors with noise up to 0.6, or through the codebooks if there are. */
static lcm_status validate(lcm_ctx *ctx, void *self, lcm_tape *t, lcm_task_loss *out) {
    static const char *const noisy_names[] = {"noisy_accuracy", "noisy_exact"}, *const map_names[] = {"quantized_accuracy", "quantized_exact"};
    task_sonar *s = self;
    const lcm_concept_map *map = s->config.objective.map;
    lcm_sonar_objective clean = {.mse_weight = s->config.objective.mse_weight, .token_noise_span = 1},
                        noisy = {.latent_noise_prob = 1, .latent_noise_max = 0.6, .token_noise_span = 1};
    int64_t limit = s->config.valid_pieces ? s->config.valid_pieces : s->config.max_pieces, at = 0, batch = 0, N = s->valid.target->n;
    if (map) noisy = (lcm_sonar_objective){.map = map, .token_noise_span = 1};
    memset(out, 0, sizeof *out);
    LCM_TRY(lcm_grow(ctx, &s->items, &s->items_cap, (size_t)N, sizeof *s->items));
    while (at < N && (s->config.valid_batches == 0 || batch < s->config.valid_batches)) {
        int64_t n = 0, tokens = 0;
        for (; at < N && tokens < s->config.batch_tokens; at++) {
            int64_t len = lcm_sonar_longer_side(&s->valid, at);
            if (len > limit) continue;
            s->items[n++] = lcm_sonar_item_of(&s->valid, at);
            tokens += len + 1;
        }
        if (n == 0) break;
        for (int k = 0; k < 2; k++) {
            lcm_sonar_loss l;
            lcm_tape_reset(t, (lcm_tape_opts){0});
            LCM_TRY(lcm_sonar_loss_fwd(ctx, &l, t, s->model, s->items, n, k ? &noisy : &clean, 12345, (uint64_t)batch));
            tally(out, &l, k == 0 ? NULL : map ? map_names : noisy_names);
        }
        batch++;
    }
    return LCM_OK;
}

static lcm_status write_model(lcm_ctx *ctx, void *self, const real *x, lcm_buf *out) {
    task_sonar *s = self;
    return lcm_sonar_write(ctx, out, s->model, x, s->tok, LCM_DT_REAL, s->space, NULL, &s->task.record);
}

static void tell(void *self, int64_t state[LCM_TASK_STATE]) {
    lcm_batches_state b = lcm_batches_tell(((task_sonar *)self)->batches);
    state[0] = b.epoch;
    state[1] = b.position;
}

static lcm_status seek(lcm_ctx *ctx, void *self, const int64_t state[LCM_TASK_STATE]) {
    return lcm_batches_seek(ctx, ((task_sonar *)self)->batches, (lcm_batches_state){state[0], state[1]});
}

lcm_status lcm_task_sonar_new(lcm_ctx *ctx, lcm_task **out, const lcm_task_sonar_config *config, lcm_sonar *model,
                              const lcm_tokenizer *tok, const lcm_sonar_data *train, const lcm_sonar_data *valid,
                              uint64_t space, uint64_t seed) {
    task_sonar *s;
    lcm_pack_opts pack = {.budget = config->batch_tokens, .window = config->window, .drop_long = true, .seed = seed};
    int64_t N = train->target->n;
    lcm_status st;
    *out = NULL;
    if (N == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "the training corpus has no usable sentence");
    LCM_TRY(lcm_calloc(ctx, &s, 1, sizeof *s));
    s->config = *config;
    s->model = model;
    s->tok = tok;
    s->space = space;
    s->train = *train;
    if (valid) s->valid = *valid;
    s->task = (lcm_task){.self = s, .params = &model->params, .unit = "tokens", .loss = loss, .validate = valid ? validate : NULL,
                         .write_model = write_model, .tell = tell, .seek = seek};
    if (config->objective.freeze_encoder) lcm_sonar_freeze_encoder(model);
    st = lcm_calloc(ctx, &s->cost, (size_t)N, sizeof *s->cost);
    if (st == LCM_OK) lcm_sonar_costs(s->cost, train);
    if (st == LCM_OK) st = lcm_batches_new(ctx, &s->batches, s->cost, N, &pack);
    if (st) {
        lcm_task_sonar_free(&s->task);
        return st;
    }
    *out = &s->task;
    return LCM_OK;
}

void lcm_task_sonar_free(lcm_task *task) {
    task_sonar *s;
    if (task == NULL) return;
    s = task->self;
    lcm_batches_free(s->batches);
    free(s->cost);
    free(s->items);
    free(s);
}
