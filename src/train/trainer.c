/* The training loop. */
#include "train/trainer.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "modelfile/checkpoint.h"
#include "modelfile/safetensors.h"

static const char *const precision_names[] = {"f32", "bf16", NULL};

const lcm_field lcm_trainer_fields[] = {
    LCM_F_STRING(lcm_trainer_config, run, "run folder"),
    LCM_F_INT(lcm_trainer_config, seed, 0, 9007199254740992.0, "seed of everything random"),
    LCM_F_STRUCT(lcm_trainer_config, adamw, lcm_adamw_fields, "optimiser"),
    LCM_F_STRUCT(lcm_trainer_config, lr, lcm_lr_fields, "learning-rate schedule and number of steps"),
    LCM_F_ENUM(lcm_trainer_config, precision, precision_names,
               "factors of matrix products; bf16 needs AVX512-BF16 and is faster; sums, weights and optimiser stay f32"),
    LCM_F_INT(lcm_trainer_config, accumulate, 1, 65536, "micro-batches per step"),
    LCM_F_REAL(lcm_trainer_config, max_grad_norm, 0, 1e12, "gradient norm is clipped to this; 0 = never"),
    LCM_F_REAL(lcm_trainer_config, ema_decay, 0, 0.999999, "decay of the moving average of weights; 0 = none"),
    LCM_F_INT(lcm_trainer_config, validate_every, 0, 1e12, "steps between validations; 0 = only at the end"),
    LCM_F_INT(lcm_trainer_config, checkpoint_every, 1, 1e12, "steps between checkpoints"),
    LCM_F_INT(lcm_trainer_config, keep_last, 1, 1000, "checkpoints kept"),
    LCM_F_INT(lcm_trainer_config, log_every, 1, 1e12, "steps between progress reports"),
    LCM_F_INT(lcm_trainer_config, max_skipped, 0, 1e12, "non-finite steps tolerated"),
    LCM_F_END};

lcm_trainer_config lcm_trainer_config_default(void) {
    lcm_trainer_config c = {.seed = 1, .adamw = lcm_adamw_config_default(), .lr = lcm_lr_config_default(),
                            .accumulate = 1, .max_grad_norm = 25, .validate_every = 500, .checkpoint_every = 500,
                            .keep_last = 2, .log_every = 10, .max_skipped = 10};
    return c;
}

typedef struct trainer {
    lcm_ctx *ctx;
    const lcm_trainer_config *config;
    lcm_task *task;
    lcm_tape *tape;
    lcm_bf16 *half; /* NULL = f32 */
    real *m, *v, *ema;
    int64_t step, skipped;
    bool uncounted; /* the run began before operations and seconds were counted: its record leaves them out */
    lcm_rundir *dir;
    FILE *log;
    char note[160];
} trainer;

static lcm_status flat_alloc(lcm_ctx *ctx, real **out, int64_t n) { return lcm_calloc(ctx, out, (size_t)n, sizeof **out); }

/* ---- state ---- */

static lcm_status save_state(trainer *tr) {
    lcm_params *p = tr->task->params;
    lcm_buf model = {0};
    lcm_st_writer *w = NULL;
    int64_t state[LCM_TASK_STATE] = {0};
    char text[256];
    const lcm_train_record *r = &tr->task->record;
    lcm_status st = tr->task->write_model(tr->ctx, tr->task->self, tr->ema ? tr->ema : p->x, &model);
    tr->task->tell(tr->task->self, state);
    snprintf(text, sizeof text, "%lld %lld %lld %lld %lld %lld %.17g", (long long)tr->step, (long long)tr->skipped,
             (long long)state[0], (long long)state[1], (long long)state[2], (long long)state[3], r->items);
    if (!tr->uncounted) snprintf(text + strlen(text), sizeof text - strlen(text), " %.17g %.17g", r->flops, r->seconds);
    if (st == LCM_OK) st = lcm_st_writer_new(tr->ctx, &w);
    if (st == LCM_OK) st = lcm_st_writer_meta(tr->ctx, w, "lcm.kind", "trainer");
    if (st == LCM_OK) st = lcm_st_writer_meta(tr->ctx, w, "lcm.trainer", text);
    if (st == LCM_OK) st = lcm_st_writer_add(tr->ctx, w, "params", LCM_DT_REAL, &p->n_flat, 1, p->x);
    if (st == LCM_OK) st = lcm_st_writer_add(tr->ctx, w, "adam_m", LCM_DT_REAL, &p->n_flat, 1, tr->m);
    if (st == LCM_OK) st = lcm_st_writer_add(tr->ctx, w, "adam_v", LCM_DT_REAL, &p->n_flat, 1, tr->v);
    if (st == LCM_OK && tr->ema) st = lcm_st_writer_add(tr->ctx, w, "ema", LCM_DT_REAL, &p->n_flat, 1, tr->ema);
    if (st == LCM_OK) {
        lcm_ckpt_file files[2] = {{"model.safetensors", NULL, model.data, model.len}, {"trainer.safetensors", w, NULL, 0}};
        if (tr->log) {
            fflush(tr->log);
            fsync(fileno(tr->log));
        }
        st = lcm_rundir_save(tr->ctx, tr->dir, tr->step, files, 2, (int)tr->config->keep_last);
    }
    lcm_st_writer_free(w);
    lcm_buf_free(&model);
    return st;
}

static lcm_status read_flat(trainer *tr, const lcm_st *st, const char *name, real *dst) {
    const lcm_st_tensor *t;
    int64_t n = tr->task->params->n_flat;
    LCM_TRY(lcm_st_require(tr->ctx, &t, st, name, &n, 1));
    return lcm_st_read_real(tr->ctx, dst, t, n);
}

static lcm_status load_state(trainer *tr, const char *folder) {
    char path[LCM_PATH_MAX];
    lcm_st *st = NULL;
    long long v[6];
    const char *text;
    lcm_train_record *r = &tr->task->record;
    int n;
    lcm_status s;
    LCM_TRY(lcm_path_join(tr->ctx, path, sizeof path, folder, "trainer.safetensors"));
    LCM_TRY(lcm_st_open(tr->ctx, &st, path));
    s = read_flat(tr, st, "params", tr->task->params->x);
    if (s == LCM_OK) s = read_flat(tr, st, "adam_m", tr->m);
    if (s == LCM_OK) s = read_flat(tr, st, "adam_v", tr->v);
    if (s == LCM_OK && tr->ema) s = read_flat(tr, st, "ema", tr->ema);
    text = lcm_st_meta(st, "lcm.trainer");
    n = sscanf(text ? text : "", "%lld %lld %lld %lld %lld %lld %lg %lg %lg", v, v + 1, v + 2, v + 3, v + 4, v + 5, &r->items,
               &r->flops, &r->seconds);
    tr->uncounted = n == 7;
    if (s == LCM_OK && n != 9 && n != 7) s = lcm_fail(tr->ctx, LCM_ERR_FORMAT, "'%s': no trainer state", path);
    if (s == LCM_OK) {
        int64_t state[LCM_TASK_STATE] = {v[2], v[3], v[4], v[5]};
        tr->step = r->steps = v[0];
        tr->skipped = v[1];
        s = tr->task->seek(tr->ctx, tr->task->self, state);
    }
    lcm_st_close(st);
    return s;
}

/* ---- metrics ---- */

/* Cuts the log to the steps that the checkpoint has seen, so a resumed run leaves one history. */
static lcm_status open_log(trainer *tr) {
    char path[LCM_PATH_MAX];
    lcm_buf text = {0};
    size_t keep = 0;
    lcm_status st = LCM_OK;
    LCM_TRY(lcm_path_join(tr->ctx, path, sizeof path, tr->config->run, "metrics.jsonl"));
    if (lcm_exists(path)) {
        st = lcm_read_file(tr->ctx, &text, path, (size_t)1 << 32);
        for (size_t at = 0; st == LCM_OK && at < text.len;) {
            char *line = text.data + at, *end = memchr(line, '\n', text.len - at);
            long long step;
            if (end == NULL || sscanf(line, "{\"step\": %lld", &step) != 1 || step > tr->step) break;
            at = keep = (size_t)(end - text.data) + 1;
        }
        if (st == LCM_OK && keep < text.len) st = lcm_write_file(tr->ctx, path, text.data, keep);
    }
    lcm_buf_free(&text);
    if (st == LCM_OK && (tr->log = fopen(path, "a")) == NULL)
        st = lcm_fail(tr->ctx, LCM_ERR_IO, "cannot append to '%s'", path);
    return st;
}

static void log_metrics(trainer *tr, json_t *line) {
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(7)) : NULL;
    /* "step" is first and spaced as open_log reads it */
    if (text && tr->log) fprintf(tr->log, "{\"step\": %lld,%s\n", (long long)tr->step, text + 1);
    free(text);
    json_decref(line);
}

static void put_metrics(json_t *line, const char *prefix, const lcm_task_loss *l) {
    char key[64];
    for (int i = 0; i < l->n_metrics; i++) {
        snprintf(key, sizeof key, "%s%s", prefix, l->metrics[i].name);
        json_object_set_new(line, key, json_real(l->metrics[i].weight ? l->metrics[i].sum / l->metrics[i].weight : 0));
    }
}

/* ---- one step ---- */

static const char *first_nonfinite(const lcm_params *p, bool gradient) {
    for (size_t i = 0; i < p->n; i++) {
        const lcm_tensor *t = &p->items[i]->t;
        const real *x = gradient ? t->g : t->x;
        for (int64_t k = 0; k < t->rows * t->cols; k++)
            if (!isfinite(x[k])) return p->items[i]->name;
    }
    return NULL;
}

static void add_loss(lcm_task_loss *total, const lcm_task_loss *l) {
    total->sum += l->sum;
    total->count += l->count;
    total->items += l->items;
    if (total->n_metrics == 0) {
        total->n_metrics = l->n_metrics;
        memcpy(total->metrics, l->metrics, sizeof l->metrics);
        return;
    }
    for (int i = 0; i < l->n_metrics; i++) {
        total->metrics[i].sum += l->metrics[i].sum;
        total->metrics[i].weight += l->metrics[i].weight;
    }
}

static lcm_status accumulate(trainer *tr, lcm_task_loss *total) {
    lcm_params *p = tr->task->params;
    memset(total, 0, sizeof *total);
    memset(p->g, 0, (size_t)p->n_flat * sizeof *p->g);
    for (int64_t a = 0; a < tr->config->accumulate; a++) {
        uint64_t draw = (uint64_t)(tr->step * tr->config->accumulate + a);
        lcm_task_loss l = {0};
        lcm_tape_reset(tr->tape, (lcm_tape_opts){.record = true, .train = true});
        lcm_tape_seed(tr->tape, (uint64_t)tr->config->seed, draw);
        LCM_TRY(tr->task->loss(tr->ctx, tr->task->self, tr->tape, (uint64_t)tr->config->seed, draw, &l));
        LCM_TRY(lcm_tape_backward(tr->tape, l.out, NULL));
        add_loss(total, &l);
    }
    return LCM_OK;
}

static void update(trainer *tr, double lr, double scale) {
    lcm_params *p = tr->task->params;
    for (size_t i = 0; i < p->n; i++) {
        const lcm_param *q = p->items[i];
        if (!q->t.needs) continue;
        lcm_adamw_step(q->t.x, q->t.g, tr->m + q->offset, tr->v + q->offset, (size_t)(q->t.rows * q->t.cols),
                       &tr->config->adamw, lr, scale, tr->step + 1);
    }
    if (tr->ema) {
        /* the usual warm-up: a young average follows faster */
        double d = fmin(tr->config->ema_decay, (1.0 + (double)tr->step) / (10.0 + (double)tr->step));
        real keep = (real)d, take = (real)(1 - d);
        for (size_t i = 0; i < p->n; i++) { /* what is frozen keeps its bits */
            const lcm_param *q = p->items[i];
            for (int64_t k = 0; q->t.needs && k < q->t.rows * q->t.cols; k++)
                tr->ema[q->offset + k] = keep * tr->ema[q->offset + k] + take * q->t.x[k];
        }
    }
}

static lcm_status train_step(trainer *tr, json_t *line, lcm_train_report *r) {
    lcm_task_loss total;
    lcm_train_record *record = &tr->task->record;
    double norm = 0, count, clip = 1, t0 = lcm_now(), flops = lcm_tape_flops(tr->tape);
    lcm_params *p = tr->task->params;
    LCM_TRY(accumulate(tr, &total));
    count = total.count > 0 ? total.count : 1;
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i]->t.needs)
            norm += lcm_sum_squares(p->items[i]->t.g, (size_t)(p->items[i]->t.rows * p->items[i]->t.cols));
    norm = sqrt(norm) / count;
    r->lr = lcm_lr_at(&tr->config->lr, tr->step);
    if (!isfinite(total.sum) || !isfinite(norm)) {
        const char *bad = first_nonfinite(p, false), *bad_g = first_nonfinite(p, true);
        if (++tr->skipped > tr->config->max_skipped || bad)
            return lcm_fail(tr->ctx, LCM_ERR_NUMERIC, "step %lld: loss %g, gradient norm %g; first non-finite %s: '%s'",
                            (long long)tr->step, total.sum / count, norm, bad ? "parameter" : "gradient",
                            bad ? bad : bad_g ? bad_g : "(the loss itself)");
        lcm_log(tr->ctx, LCM_LOG_WARN, "step %lld skipped: non-finite gradient of '%s'", (long long)tr->step,
                bad_g ? bad_g : "(the loss itself)");
    } else {
        if (tr->config->max_grad_norm > 0) clip = lcm_clip_factor(norm, tr->config->max_grad_norm);
        update(tr, r->lr, clip / count);
    }
    t0 = lcm_now() - t0;
    record->steps = ++tr->step;
    record->items += total.items;
    if (!tr->uncounted) {
        record->flops += lcm_tape_flops(tr->tape) - flops;
        record->seconds += t0;
    }
    r->loss = total.sum / count;
    r->grad_norm = norm;
    r->items_per_second = total.items / t0;
    json_object_set_new(line, "loss", json_real(r->loss));
    json_object_set_new(line, "lr", json_real(r->lr));
    json_object_set_new(line, "grad_norm", json_real(norm));
    json_object_set_new(line, "items", json_real(record->items));
    json_object_set_new(line, "per_second", json_real(r->items_per_second));
    put_metrics(line, "", &total);
    return LCM_OK;
}

static void swap_flat(real *a, real *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        real t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

static lcm_status validate(trainer *tr, json_t *line) {
    lcm_task_loss l = {0};
    lcm_params *p = tr->task->params;
    lcm_status st;
    size_t at = 0;
    if (tr->task->validate == NULL) return LCM_OK;
    if (tr->ema) swap_flat(tr->ema, p->x, p->n_flat);
    lcm_tape_reset(tr->tape, (lcm_tape_opts){0});
    st = tr->task->validate(tr->ctx, tr->task->self, tr->tape, &l);
    if (tr->ema) swap_flat(tr->ema, p->x, p->n_flat);
    if (st) return st;
    put_metrics(line, "valid_", &l);
    tr->note[0] = '\0';
    for (int i = 0; i < l.n_metrics && at < sizeof tr->note - 40; i++)
        at += (size_t)snprintf(tr->note + at, sizeof tr->note - at, "%s%s %.4g", i ? ", " : "valid ", l.metrics[i].name,
                               l.metrics[i].weight ? l.metrics[i].sum / l.metrics[i].weight : 0);
    return LCM_OK;
}

static bool due(int64_t step, int64_t every, int64_t last) { return step == last || (every > 0 && step % every == 0); }

static lcm_status run_steps(trainer *tr, lcm_train_progress_fn progress, void *user) {
    const lcm_trainer_config *c = tr->config;
    int64_t first = tr->step, last = c->lr.max_steps;
    double t0 = lcm_now();
    while (tr->step < last) {
        lcm_train_report r = {.max_steps = last, .unit = tr->task->unit, .note = tr->note};
        json_t *line = json_object();
        bool go_on = true, saved = false;
        lcm_status st = train_step(tr, line, &r);
        if (st == LCM_OK && due(tr->step, c->validate_every, last)) st = validate(tr, line);
        if (st) {
            json_decref(line);
            return st;
        }
        log_metrics(tr, line);
        if (due(tr->step, c->checkpoint_every, last)) {
            LCM_TRY(save_state(tr));
            saved = true;
        }
        r.step = tr->step;
        r.skipped = tr->skipped;
        r.items = tr->task->record.items;
        r.seconds_left = (lcm_now() - t0) / (double)(tr->step - first) * (double)(last - tr->step);
        if (progress) go_on = progress(user, &r);
        if (!go_on) {
            if (!saved) LCM_TRY(save_state(tr));
            LCM_FAIL(tr->ctx, LCM_ERR_CANCELLED, "stopped at step %lld of %lld; the same command goes on from there",
                     (long long)tr->step, (long long)last);
        }
    }
    return LCM_OK;
}

/* A run folder belongs to one configuration: going on with another would mix two runs. The number
 * of steps may be raised. */
static lcm_status check_config(trainer *tr, const json_t *resolved) {
    char path[LCM_PATH_MAX];
    json_t *old = NULL, *a, *b;
    char *text;
    lcm_status st = LCM_OK;
    LCM_TRY(lcm_path_join(tr->ctx, path, sizeof path, tr->config->run, "config.json"));
    if (lcm_exists(path)) {
        LCM_TRY(lcm_json_load(tr->ctx, &old, path));
        a = json_object_get(old, "model");
        b = json_object_get(resolved, "model");
        if (!json_equal(a, b) || !json_equal(json_object_get(old, "kind"), json_object_get(resolved, "kind")))
            st = lcm_fail(tr->ctx, LCM_ERR_ARG, "'%s' holds a run of another model; name another run folder", tr->config->run);
        json_decref(old);
        if (st) return st;
    }
    text = json_dumps(resolved, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    if (text == NULL) LCM_FAIL(tr->ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    st = lcm_write_file(tr->ctx, path, text, strlen(text));
    free(text);
    return st;
}

static lcm_status start(trainer *tr, const json_t *resolved) {
    char folder[LCM_PATH_MAX];
    int64_t n = tr->task->params->n_flat;
    lcm_status st;
    LCM_TRY(lcm_rundir_open(tr->ctx, &tr->dir, tr->config->run));
    LCM_TRY(check_config(tr, resolved));
    LCM_TRY(flat_alloc(tr->ctx, &tr->m, n));
    LCM_TRY(flat_alloc(tr->ctx, &tr->v, n));
    if (tr->config->ema_decay > 0) LCM_TRY(flat_alloc(tr->ctx, &tr->ema, n));
    st = lcm_rundir_latest(tr->ctx, folder, sizeof folder, NULL, tr->config->run);
    if (st == LCM_OK) {
        LCM_TRY(load_state(tr, folder));
        lcm_log(tr->ctx, LCM_LOG_INFO, "resuming at step %lld", (long long)tr->step);
    } else if (st != LCM_ERR_NOTFOUND) return st;
    else if (tr->ema) memcpy(tr->ema, tr->task->params->x, (size_t)n * sizeof *tr->ema);
    return open_log(tr);
}

lcm_status lcm_train_loop(lcm_ctx *ctx, const lcm_trainer_config *config, lcm_task *task, const json_t *resolved,
                          lcm_train_progress_fn progress, void *user) {
    trainer tr = {.ctx = ctx, .config = config, .task = task};
    lcm_status st;
    if (config->run[0] == '\0') LCM_FAIL(ctx, LCM_ERR_ARG, "train.run: a run folder is required");
    LCM_TRY(lcm_lr_check(ctx, &config->lr));
    task->record = (lcm_train_record){.seed = config->seed, .trained = lcm_params_trainable(task->params)};
    task->record.fixed = task->params->count - task->record.trained;
    snprintf(task->record.unit, sizeof task->record.unit, "%s", task->unit);
    tr.tape = lcm_tape_new(ctx, 64 << 20);
    st = tr.tape ? start(&tr, resolved) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: step arena");
    if (st == LCM_OK && config->precision == LCM_PRECISION_BF16)
        st = lcm_bf16_new(ctx, &tr.half, omp_get_max_threads());
    if (st == LCM_OK) lcm_tape_set_bf16(tr.tape, tr.half);
    if (st == LCM_OK) st = run_steps(&tr, progress, user);
    if (tr.log) fclose(tr.log);
    lcm_rundir_close(tr.dir);
    lcm_tape_free(tr.tape);
    lcm_bf16_free(tr.half);
    free(tr.m);
    free(tr.v);
    free(tr.ema);
    return st;
}
