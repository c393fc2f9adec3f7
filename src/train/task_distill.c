/* Distillation of an encoder. */
#include "kernels/distance.h"
#include "train/task_distill.h"

#include <stdlib.h>
#include <string.h>

enum { ID_EOS = 3, SCALE_ITEMS = 256 };

const lcm_field lcm_task_distill_fields[] = {
    LCM_F_INT(lcm_task_distill_config, batch_tokens, 16, 1e8, "tokens per micro-batch"),
    LCM_F_INT(lcm_task_distill_config, window, 0, 1e9, "sentences grouped by length; 0 = none"),
    LCM_F_INT(lcm_task_distill_config, max_pieces, 1, 65536, "longer sentences are dropped and counted"),
    LCM_F_INT(lcm_task_distill_config, valid_batches, 0, 1e9, "micro-batches per validation, 0 = all"),
    LCM_F_END};

lcm_task_distill_config lcm_task_distill_config_default(void) {
    return (lcm_task_distill_config){.batch_tokens = 2048, .window = 4096, .max_pieces = 96, .valid_batches = 8};
}

typedef struct task_distill {
    lcm_task task;
    lcm_task_distill_config config;
    lcm_sonar *student;
    const lcm_sonar_file *teacher;
    const char *teacher_path;
    lcm_codec *codec; /* of the teacher */
    lcm_sonar_data train, valid; /* valid.target NULL: none */
    double scale2;    /* mean of |teacher|² */
    lcm_batches *batches;
    int64_t *cost, *order; /* order: 0, 1, … of the validation */
    lcm_pieces *targets;
    size_t targets_cap;
} task_distill;

/* y (n, D): what the teacher makes of the targets; those of one language that follow each other in one call. */
static lcm_status teach(lcm_ctx *ctx, task_distill *s, real *y, const lcm_sonar_data *d, const int64_t *items, int64_t n) {
    int64_t D = lcm_sonar_dim(&s->student->config);
    LCM_TRY(lcm_grow(ctx, &s->targets, &s->targets_cap, (size_t)n, sizeof *s->targets));
    for (int64_t i = 0; i < n;) {
        int64_t first = i;
        int32_t lang = lcm_sonar_item_of(d, items[i]).target_lang;
        for (; i < n; i++) {
            lcm_sonar_item it = lcm_sonar_item_of(d, items[i]);
            if (it.target_lang != lang) break;
            s->targets[i] = it.target;
        }
        LCM_TRY(lcm_codec_encode_ids(ctx, y + first * D, s->codec, s->targets + first, (size_t)(i - first), lang));
    }
    return LCM_OK;
}

static lcm_status pack_sources(lcm_ctx *ctx, lcm_sonar_packer *p, lcm_tape *t, const lcm_sonar_data *d, const int64_t *items, int64_t n) {
    int64_t T = 0;
    int32_t eos = ID_EOS;
    for (int64_t i = 0; i < n; i++) T += d->source->lengths[items[i]] + 2;
    LCM_TRY(lcm_sonar_packer_begin(ctx, p, lcm_tape_arena(t), n, T));
    for (int64_t i = 0; i < n; i++) {
        lcm_sonar_item it = lcm_sonar_item_of(d, items[i]);
        lcm_sonar_packer_push(p, &it.source_lang, it.source_lang >= 0, it.source, &eos, 1);
    }
    return LCM_OK;
}

/* relative_error: sum |student - teacher|² / sum |teacher|². */
static void report(lcm_task_loss *out, const lcm_loss *l, const real *z, const real *y, int64_t n, int64_t D, int64_t tokens) {
    double error = 0, energy = 0, cosines = 0;
    for (int64_t i = 0; i < n; i++) {
        error += (double)l->rows[i];
        energy += lcm_dot(y + i * D, y + i * D, D);
        cosines += lcm_cosine(z + i * D, y + i * D, D);
    }
    *out = (lcm_task_loss){.out = l->out, .sum = l->sum, .count = (double)n, .items = (double)tokens, .n_metrics = 2};
    out->metrics[0] = (lcm_metric){"relative_error", error, energy};
    out->metrics[1] = (lcm_metric){"cosine", cosines, (double)n};
}

static lcm_status compare(lcm_ctx *ctx, task_distill *s, lcm_tape *t, const lcm_sonar_data *d, const int64_t *items, int64_t n,
                          lcm_task_loss *out) {
    int64_t D = lcm_sonar_dim(&s->student->config);
    real *y = lcm_tape_alloc(t, (size_t)(n * D) * sizeof *y), *w = lcm_tape_alloc(t, (size_t)n * sizeof *w);
    lcm_sonar_packer p;
    lcm_tensor *z;
    lcm_loss l;
    LCM_TRY(lcm_tape_status(t));
    LCM_TRY(teach(ctx, s, y, d, items, n));
    LCM_TRY(pack_sources(ctx, &p, t, d, items, n));
    for (int64_t i = 0; i < n; i++) w[i] = (real)(1 / s->scale2);
    z = lcm_sonar_encode_fwd(t, s->student, &p.b);
    l = lcm_op_sq_err(t, z, y, w, false);
    LCM_TRY(lcm_tape_status(t));
    report(out, &l, z->x, y, n, D, p.b.T);
    return LCM_OK;
}

static lcm_status loss(lcm_ctx *ctx, void *self, lcm_tape *t, uint64_t seed, uint64_t draw, lcm_task_loss *out) {
    task_distill *s = self;
    const int64_t *items;
    int64_t n;
    (void)seed;
    (void)draw;
    LCM_TRY(lcm_batches_next(ctx, &items, &n, s->batches));
    return compare(ctx, s, t, &s->train, items, n, out);
}

static lcm_status validate(lcm_ctx *ctx, void *self, lcm_tape *t, lcm_task_loss *out) {
    task_distill *s = self;
    int64_t N = s->valid.target->n;
    memset(out, 0, sizeof *out);
    for (int64_t at = 0, batch = 0; at < N && (s->config.valid_batches == 0 || batch < s->config.valid_batches); batch++) {
        lcm_task_loss one;
        int64_t first = at, tokens = 0;
        for (; at < N && tokens < s->config.batch_tokens; at++) tokens += lcm_sonar_longer_side(&s->valid, at) + 1;
        lcm_tape_reset(t, (lcm_tape_opts){0});
        LCM_TRY(compare(ctx, s, t, &s->valid, s->order + first, at - first, &one));
        out->n_metrics = one.n_metrics;
        for (int i = 0; i < one.n_metrics; i++) {
            out->metrics[i].name = one.metrics[i].name;
            out->metrics[i].sum += one.metrics[i].sum;
            out->metrics[i].weight += one.metrics[i].weight;
        }
    }
    return LCM_OK;
}

/* The student speaks the teacher's space: that is what it was trained for. */
static lcm_status write_model(lcm_ctx *ctx, void *self, const real *x, lcm_buf *out) {
    task_distill *s = self;
    json_t *provenance = json_pack("{s:s, s:s}", "distilled_from", s->teacher->space_hex, "teacher", s->teacher_path);
    lcm_status st;
    if (provenance == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: provenance");
    st = lcm_sonar_write(ctx, out, s->student, x, s->teacher->tok, LCM_DT_REAL, s->teacher->space, provenance, &s->task.record);
    json_decref(provenance);
    return st;
}

static void tell(void *self, int64_t state[LCM_TASK_STATE]) {
    lcm_batches_state b = lcm_batches_tell(((task_distill *)self)->batches);
    state[0] = b.epoch;
    state[1] = b.position;
}

static lcm_status seek(lcm_ctx *ctx, void *self, const int64_t state[LCM_TASK_STATE]) {
    return lcm_batches_seek(ctx, ((task_distill *)self)->batches, (lcm_batches_state){state[0], state[1]});
}

static void scale_values(lcm_tensor *t, double s) {
    for (int64_t i = 0; i < t->rows * t->cols; i++) t->x[i] = (real)(s * (double)t->x[i]);
}

/* A norm's output has deviation 1, that of the pooler's projection behind it 1/sqrt(3) (weights U(+-1/sqrt(E))), the concepts of
 * the released SONAR .007: the way there would take most of a training. */
static lcm_status match_scale(lcm_ctx *ctx, task_distill *s) {
    int64_t D = lcm_sonar_dim(&s->student->config), n = s->train.target->n < SCALE_ITEMS ? s->train.target->n : SCALE_ITEMS, items[SCALE_ITEMS];
    const lcm_pooler *pooler = &s->student->pooler;
    double deviation;
    real *y;
    lcm_status st;
    for (int64_t i = 0; i < n; i++) items[i] = i;
    LCM_TRY(lcm_calloc(ctx, &y, (size_t)(n * D), sizeof *y));
    st = teach(ctx, s, y, &s->train, items, n);
    if (st == LCM_OK) s->scale2 = lcm_dot(y, y, n * D) / (double)n;
    free(y);
    LCM_TRY(st);
    if (!(s->scale2 > 0) || !isfinite(s->scale2)) LCM_FAIL(ctx, LCM_ERR_NUMERIC, "the teacher's concepts are zero or not finite");
    deviation = sqrt(s->scale2 / (double)D);
    if (pooler->layers) {
        scale_values(pooler->out.w, sqrt(3) * deviation);
        scale_values(pooler->out.b, sqrt(3) * deviation);
    } else scale_values(s->student->enc_norm.w, deviation); /* its initial values are 1 */
    return LCM_OK;
}

static lcm_status fill(lcm_ctx *ctx, task_distill *s, uint64_t seed) {
    lcm_pack_opts pack = {.budget = s->config.batch_tokens, .window = s->config.window, .drop_long = true, .seed = seed};
    int64_t N = s->train.target->n, V = s->valid.target ? s->valid.target->n : 0;
    LCM_TRY(lcm_codec_new(ctx, &s->codec, s->teacher));
    LCM_TRY(lcm_calloc(ctx, &s->cost, (size_t)N, sizeof *s->cost));
    LCM_TRY(lcm_calloc(ctx, &s->order, (size_t)V, sizeof *s->order));
    for (int64_t i = 0; i < V; i++) s->order[i] = i;
    lcm_sonar_costs(s->cost, &s->train);
    LCM_TRY(lcm_batches_new(ctx, &s->batches, s->cost, N, &pack));
    return match_scale(ctx, s);
}

lcm_status lcm_task_distill_new(lcm_ctx *ctx, lcm_task **out, const lcm_task_distill_config *config, lcm_sonar *student,
                                const lcm_sonar_file *teacher, const char *teacher_path, const lcm_sonar_data *train,
                                const lcm_sonar_data *valid, uint64_t seed) {
    task_distill *s;
    lcm_status st;
    *out = NULL;
    if (train->target->n == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "the training corpus has no usable sentence");
    LCM_TRY(lcm_calloc(ctx, &s, 1, sizeof *s));
    s->config = *config;
    s->student = student;
    s->teacher = teacher;
    s->teacher_path = teacher_path;
    s->train = *train;
    if (valid) s->valid = *valid;
    s->task = (lcm_task){.self = s, .params = &student->params, .unit = "tokens", .loss = loss, .validate = valid ? validate : NULL,
                         .write_model = write_model, .tell = tell, .seek = seek};
    st = fill(ctx, s, seed);
    if (st) {
        lcm_task_distill_free(&s->task);
        return st;
    }
    *out = &s->task;
    return LCM_OK;
}

void lcm_task_distill_free(lcm_task *task) {
    task_distill *s;
    if (task == NULL) return;
    s = task->self;
    lcm_batches_free(s->batches);
    lcm_codec_free(s->codec);
    free(s->cost);
    free(s->order);
    free(s->targets);
    free(s);
}
