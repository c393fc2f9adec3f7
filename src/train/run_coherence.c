/* Training run of the coherence discriminator (lcm/coherence.h): a concept store in, a model file out.
 *
 * A step draws places in documents; at each the true next concept is one row, and a false one another: with equal
 * chance a concept of another document, or of another place of the same document. All is a function of (seed,
 * step). What the model file says about its accuracy comes from the documents of valid_store: whole documents
 * against themselves with all concepts but the first shuffled, and with their second half from another document. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/simd.h"
#include "lcm/coherence.h"
#include "train/run_inputs.h"

typedef struct config {
    char kind[32], store[1024], valid_store[1024];
    int64_t batch_pairs, valid_documents;
    lcm_coherence_config model;
    lcm_normalizer_config normalizer;
    lcm_trainer_config train;
} config;

static const lcm_field fields[] = {
    LCM_F_STRING(config, kind, "kind of model"),
    LCM_F_STRING(config, store, "concept store to train on (lcm prepare)"),
    LCM_F_STRING(config, valid_store, "concept store of other documents, to measure accuracy on"),
    LCM_F_INT(config, batch_pairs, 1, 1e6, "true and false continuations per micro-batch"),
    LCM_F_INT(config, valid_documents, 1, 1e9, "the first so many of valid_store"),
    LCM_F_STRUCT(config, model, lcm_coherence_fields, "the discriminator"),
    LCM_F_STRUCT(config, normalizer, lcm_normalizer_fields, "fit of the normaliser"),
    LCM_F_STRUCT(config, train, lcm_trainer_fields, "optimisation"),
    LCM_F_END};

static void defaults(void *out) {
    config *c = out;
    *c = (config){.batch_pairs = 256, .valid_documents = 500, .model = lcm_coherence_config_default(),
                  .normalizer = lcm_normalizer_config_default(), .train = lcm_trainer_config_default()};
    c->train.lr = lcm_run_lr(1e-3, 1e-6);
    c->train.lr.warmup_steps = 100;
    c->train.lr.max_steps = 3000;
}

/* ---- documents ---- */

typedef struct documents {
    lcm_store *store;
    int64_t *first, *count; /* (n) those long enough */
    int64_t n;
} documents;

typedef struct held_out {
    double shuffled, foreign; /* share of documents whose true order has the higher mean logit; a tie is 1/2 */
    int64_t n;
} held_out;

typedef struct state {
    const config *c;
    documents train, valid;
    uint64_t space;
    lcm_coherence *model;
    lcm_task task;
} state;

static lcm_status open_documents(lcm_ctx *ctx, documents *d, const char *dir, int64_t least) {
    int64_t n;
    LCM_TRY(lcm_store_open(ctx, &d->store, dir));
    n = lcm_store_n_docs(d->store);
    LCM_TRY(lcm_calloc(ctx, &d->first, (size_t)n + 1, sizeof *d->first));
    LCM_TRY(lcm_calloc(ctx, &d->count, (size_t)n + 1, sizeof *d->count));
    for (int64_t i = 0; i < n; i++) {
        LCM_TRY(lcm_store_doc(ctx, &d->first[d->n], &d->count[d->n], d->store, i));
        d->n += d->count[d->n] >= least;
    }
    if (d->n < 2) LCM_FAIL(ctx, LCM_ERR_ARG, "'%s': %lld documents of %lld sentences or more, 2 are needed", dir, (long long)d->n, (long long)least);
    lcm_log(ctx, LCM_LOG_INFO, "%s: %lld documents, %lld with fewer than %lld sentences left out", dir, (long long)d->n,
            (long long)(n - d->n), (long long)least);
    return LCM_OK;
}

static void close_documents(documents *d) {
    free(d->first);
    free(d->count);
    lcm_store_close(d->store);
}

/* Concept i of the store, normalised. */
static lcm_status fetch(lcm_ctx *ctx, real *z, const state *s, const documents *d, int64_t first, int64_t count) {
    LCM_TRY(lcm_store_vectors(ctx, z, d->store, first, count));
    lcm_normalize(s->model->normalizer, z, z, count, NULL);
    return LCM_OK;
}

/* ---- the task ---- */

static int64_t below(lcm_rng *r, int64_t n) { return (int64_t)lcm_rng_below(r, (uint64_t)n); }

/* A concept that does not follow place t of document d. */
static int64_t draw_false(const documents *docs, lcm_rng *r, int64_t d, int64_t t) {
    bool same = lcm_rng_below(r, 2) && docs->count[d] > 2;
    int64_t other = d, place;
    while (!same && other == d) other = below(r, docs->n);
    place = below(r, docs->count[other] - same);
    return docs->first[other] + place + (same && place >= t);
}

/* Rows 2i and 2i+1: the true and the false continuation at one place. scratch (context + 1, D) */
static lcm_status draw_pair(lcm_ctx *ctx, real *rows, real *scratch, const state *s, lcm_rng *r) {
    const documents *docs = &s->train;
    int64_t D = s->c->model.sonar_embed_dim, d = below(r, docs->n), t = 1 + below(r, docs->count[d] - 1);
    int64_t n = lcm_min_i(t, s->c->model.context);
    LCM_TRY(fetch(ctx, scratch, s, docs, docs->first[d] + t - n, n + 1));
    lcm_coherence_features(rows, s->model, scratch, n, scratch + n * D);
    LCM_TRY(fetch(ctx, scratch + n * D, s, docs, draw_false(docs, r, d, t), 1));
    lcm_coherence_features(rows + LCM_COHERENCE_FEATURES * D, s->model, scratch, n, scratch + n * D);
    return LCM_OK;
}

static lcm_status loss(lcm_ctx *ctx, void *self, lcm_tape *t, uint64_t seed, uint64_t draw, lcm_task_loss *out) {
    const state *s = self;
    int64_t F = LCM_COHERENCE_FEATURES * s->c->model.sonar_embed_dim, n = 2 * s->c->batch_pairs;
    lcm_rng r = lcm_rng_make(seed, LCM_RNG_SAMPLE + (draw << 8));
    real *rows = lcm_tape_alloc(t, (size_t)(n * F) * sizeof *rows);
    real *scratch = lcm_tape_alloc(t, (size_t)((s->c->model.context + 1) * s->c->model.sonar_embed_dim) * sizeof *scratch);
    int32_t *target = lcm_tape_alloc(t, (size_t)n * sizeof *target);
    uint8_t *hit = lcm_tape_alloc(t, (size_t)n);
    lcm_loss l;
    LCM_TRY(lcm_tape_status(t));
    for (int64_t i = 0; i < n; i += 2) {
        LCM_TRY(draw_pair(ctx, rows + i * F, scratch, s, &r));
        target[i] = LCM_COHERENCE_TRUE;
        target[i + 1] = LCM_COHERENCE_FOREIGN;
    }
    l = lcm_op_xent(t, lcm_coherence_fwd(t, s->model, lcm_tensor_const(t, rows, n, F)), s->model->classes, target, NULL, 0, hit);
    LCM_TRY(lcm_tape_status(t));
    out->out = l.out;
    out->sum = l.sum;
    out->count = out->items = (double)n;
    out->n_metrics = 1;
    out->metrics[0] = (lcm_metric){"accuracy", 0, (double)n};
    for (int64_t i = 0; i < n; i++) out->metrics[0].sum += hit[i];
    return LCM_OK;
}

/* ---- held-out documents ---- */

static double better(double a, double b) { return a > b ? 1 : a < b ? 0 : 0.5; }

/* z (n, D) is the document, y (n, D) scratch. */
static lcm_status compare(lcm_ctx *ctx, held_out *h, lcm_tape *t, const state *s, int64_t d, const real *z, real *y) {
    int64_t D = s->c->model.sonar_embed_dim, n = s->valid.count[d], half = (n + 1) / 2, next = (d + 1) % s->valid.n;
    lcm_rng r = lcm_rng_make(1, LCM_RNG_TEST + ((uint64_t)d << 8));
    double truth, other;
    LCM_TRY(lcm_coherence_logit(ctx, &truth, t, s->model, z, n, 1));
    memcpy(y, z, (size_t)(n * D) * sizeof *y);
    for (int64_t i = n - 1; i > 1; i--) { /* concepts 1 … n-1 */
        int64_t k = 1 + below(&r, i);
        for (int64_t c = 0; c < D; c++) {
            real swap = y[i * D + c];
            y[i * D + c] = y[k * D + c];
            y[k * D + c] = swap;
        }
    }
    LCM_TRY(lcm_coherence_logit(ctx, &other, t, s->model, y, n, 1));
    h->shuffled += better(truth, other);
    memcpy(y, z, (size_t)(half * D) * sizeof *y);
    n = lcm_min_i(n, half + s->valid.count[next]);
    LCM_TRY(fetch(ctx, y + half * D, s, &s->valid, s->valid.first[next] + s->valid.count[next] - (n - half), n - half));
    LCM_TRY(lcm_coherence_logit(ctx, &other, t, s->model, y, n, 1));
    h->foreign += better(truth, other);
    h->n++;
    return LCM_OK;
}

static lcm_status measure(lcm_ctx *ctx, held_out *h, lcm_tape *t, const state *s) {
    int64_t D = s->c->model.sonar_embed_dim, docs = lcm_min_i(s->valid.n, s->c->valid_documents);
    *h = (held_out){0, 0, 0};
    for (int64_t d = 0; d < docs; d++) {
        real *z;
        lcm_status st;
        LCM_TRY(lcm_calloc(ctx, &z, (size_t)(2 * s->valid.count[d] * D), sizeof *z));
        st = fetch(ctx, z, s, &s->valid, s->valid.first[d], s->valid.count[d]);
        if (st == LCM_OK) st = compare(ctx, h, t, s, d, z, z + s->valid.count[d] * D);
        free(z);
        LCM_TRY(st);
    }
    return LCM_OK;
}

static lcm_status validate(lcm_ctx *ctx, void *self, lcm_tape *t, lcm_task_loss *out) {
    held_out h;
    LCM_TRY(measure(ctx, &h, t, self));
    out->n_metrics = 2;
    out->metrics[0] = (lcm_metric){"shuffled_accuracy", h.shuffled, (double)h.n};
    out->metrics[1] = (lcm_metric){"foreign_accuracy", h.foreign, (double)h.n};
    return LCM_OK;
}

/* ---- the file ---- */

/* The accuracy of the values that are written, which may be averages of the model's own. */
static lcm_status measure_values(lcm_ctx *ctx, held_out *h, const state *s, const real *x) {
    lcm_params *p = &s->model->params;
    size_t bytes = (size_t)p->n_flat * sizeof *p->x;
    lcm_tape *t = lcm_tape_new(ctx, 1 << 20);
    real *own = NULL;
    lcm_status st = t ? lcm_calloc(ctx, &own, (size_t)p->n_flat + 1, sizeof *own) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: step arena");
    if (st == LCM_OK) {
        memcpy(own, p->x, bytes);
        memmove(p->x, x, bytes);
        st = measure(ctx, h, t, s);
        memcpy(p->x, own, bytes);
    }
    lcm_tape_free(t);
    free(own);
    return st;
}

static lcm_status write_model(lcm_ctx *ctx, void *self, const real *x, lcm_buf *out) {
    const state *s = self;
    held_out h;
    json_t *j;
    lcm_status st;
    LCM_TRY(measure_values(ctx, &h, s, x));
    j = json_pack("{s:{s:s, s:I, s:f, s:f}, s:I, s:I, s:I}", "held_out", "store", s->c->valid_store, "documents", (json_int_t)h.n,
                  "shuffled_accuracy", h.shuffled / (double)h.n, "foreign_accuracy", h.foreign / (double)h.n, "seed",
                  (json_int_t)s->c->train.seed, "documents", (json_int_t)s->train.n, "concepts",
                  (json_int_t)lcm_store_n_concepts(s->train.store));
    if (j == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: provenance");
    st = lcm_coherence_write(ctx, out, s->model,
                             &(lcm_coherence_save_opts){.space = s->space, .provenance = j, .train = &s->task.record, .x = x});
    json_decref(j);
    return st;
}

/* Draws are a function of the step: there is no position. */
static void tell(void *self, int64_t at[LCM_TASK_STATE]) {
    (void)self;
    memset(at, 0, LCM_TASK_STATE * sizeof *at);
}

static lcm_status seek(lcm_ctx *ctx, void *self, const int64_t at[LCM_TASK_STATE]) {
    (void)ctx;
    (void)self;
    (void)at;
    return LCM_OK;
}

/* ---- the run ---- */

static lcm_status prepare(lcm_ctx *ctx, state *s) {
    const lcm_normalizer_config *n = &s->c->normalizer;
    LCM_TRY(open_documents(ctx, &s->train, s->c->store, 2));
    if (s->c->valid_store[0] == '\0') LCM_FAIL(ctx, LCM_ERR_ARG, "config.valid_store: needed, the model tells its accuracy on held-out documents");
    LCM_TRY(open_documents(ctx, &s->valid, s->c->valid_store, 4));
    if (strcmp(lcm_store_space(s->train.store), lcm_store_space(s->valid.store)) != 0)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "the stores speak different spaces: %s and %s", lcm_store_space(s->train.store), lcm_store_space(s->valid.store));
    if (!lcm_space_parse(&s->space, lcm_store_space(s->train.store)))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': its space '%.40s' is not 16 hex digits", s->c->store, lcm_store_space(s->train.store));
    if (s->c->model.sonar_embed_dim != lcm_store_dim(s->train.store) || lcm_store_dim(s->valid.store) != lcm_store_dim(s->train.store))
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "model.sonar_embed_dim is %lld, the stores hold vectors of %lld and %lld",
                 (long long)s->c->model.sonar_embed_dim, (long long)lcm_store_dim(s->train.store), (long long)lcm_store_dim(s->valid.store));
    LCM_TRY(lcm_coherence_new(ctx, &s->model, &s->c->model, true));
    lcm_params_init(&s->model->params, (uint64_t)s->c->train.seed);
    if (n->with_fft || n->clip_proba > 0) LCM_FAIL(ctx, LCM_ERR_ARG, "config.normalizer: neither with_fft nor clip_proba here");
    LCM_TRY(lcm_run_fit_normalizer(ctx, s->model->normalizer, n, s->train.store));
    s->task = (lcm_task){.self = s, .params = &s->model->params, .unit = "concepts", .loss = loss, .validate = validate,
                         .write_model = write_model, .tell = tell, .seek = seek};
    return LCM_OK;
}

static lcm_status run(lcm_ctx *ctx, void *run_config, const json_t *resolved, lcm_run_hooks *hooks) {
    state s = {.c = run_config};
    lcm_status st = prepare(ctx, &s);
    if (st == LCM_OK) st = lcm_run_task(ctx, &s.c->train, &s.task, resolved, hooks);
    lcm_coherence_free(s.model);
    close_documents(&s.train);
    close_documents(&s.valid);
    return st;
}

const lcm_run_kind lcm_run_coherence = {
    .name = "coherence", .help = "discriminator of true and false continuations", .size = sizeof(config),
    .defaults = defaults, .fields = fields, .raw = lcm_run_no_raw, .run = run};
