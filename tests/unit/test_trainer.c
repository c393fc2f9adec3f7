/* The training loop on a task of one layer: it learns, stops and resumes with the same bits, skips a
 * bad gradient, gives up on a bad parameter and names it, and allocates nothing in a steady step. */
#include "harness/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "harness/tmpdir.h"
#include "nn/layers.h"
#include "modelfile/checkpoint.h"
#include "train/trainer.h"

enum { IN = 4, OUT = 3, ROWS = 8 };

typedef struct toy {
    lcm_params params;
    lcm_linear layer;
    int64_t position;
    int64_t bad_gradient, bad_parameter; /* at this position; -1 = never */
    lcm_task *task;                      /* whose record is written */
    size_t allocs[64];
} toy;

static lcm_status toy_loss(lcm_ctx *ctx, void *self, lcm_tape *t, uint64_t seed, uint64_t draw, lcm_task_loss *out) {
    toy *s = self;
    real *x = lcm_tape_alloc(t, ROWS * IN * sizeof *x), *y = lcm_tape_alloc(t, ROWS * OUT * sizeof *y);
    lcm_rng r = lcm_rng_make(seed, LCM_RNG_TEST + (draw << 8));
    lcm_loss l;
    (void)ctx;
    for (int i = 0; i < ROWS * IN; i++) x[i] = (real)lcm_rng_normal(&r);
    for (int i = 0; i < ROWS; i++)
        for (int o = 0; o < OUT; o++) y[i * OUT + o] = x[i * IN + o] - x[i * IN + 3];
    if (s->position == s->bad_gradient) y[0] = (real)INFINITY;
    if (s->position == s->bad_parameter) s->layer.b->x[1] = (real)NAN;
    if (s->position < 64) s->allocs[s->position] = lcm_arena_system_allocs(lcm_tape_arena(t));
    s->position++;
    l = lcm_op_sq_err(t, lcm_op_dropout(t, lcm_linear_fwd(t, &s->layer, lcm_tensor_const(t, x, ROWS, IN)), 0.1), y, NULL, false);
    *out = (lcm_task_loss){.out = l.out, .sum = l.sum, .count = ROWS, .items = ROWS, .n_metrics = 1};
    out->metrics[0] = (lcm_metric){"mse", l.sum, ROWS * OUT};
    return lcm_tape_status(t);
}

static lcm_status toy_write(lcm_ctx *ctx, void *self, const real *x, lcm_buf *out) {
    toy *s = self;
    lcm_st_writer *w;
    lcm_status st = lcm_st_writer_new(ctx, &w);
    if (st == LCM_OK) st = lcm_st_writer_add(ctx, w, "x", LCM_DT_REAL, &s->params.n_flat, 1, x);
    if (st == LCM_OK) st = lcm_train_record_write(ctx, w, &s->task->record);
    if (st == LCM_OK) st = lcm_st_writer_commit_buf(ctx, w, out);
    lcm_st_writer_free(w);
    return st;
}

static void toy_tell(void *self, int64_t state[LCM_TASK_STATE]) { state[0] = ((toy *)self)->position; }

static lcm_status toy_seek(lcm_ctx *ctx, void *self, const int64_t state[LCM_TASK_STATE]) {
    (void)ctx;
    ((toy *)self)->position = state[0];
    return LCM_OK;
}

static lcm_task toy_new(lcm_ctx *ctx, toy *s) {
    memset(s, 0, sizeof *s);
    s->params.ctx = ctx;
    s->bad_gradient = s->bad_parameter = -1;
    s->layer = lcm_linear_new(&s->params, IN, OUT, true, LCM_LINEAR_DEFAULT, "layer");
    assert_int_equal(lcm_params_alloc(ctx, &s->params, true), LCM_OK);
    lcm_params_init(&s->params, 5);
    return (lcm_task){.self = s, .params = &s->params, .unit = "rows", .loss = toy_loss, .write_model = toy_write, .tell = toy_tell,
                      .seek = toy_seek};
}

static lcm_trainer_config config_for(const char *dir, const char *name) {
    lcm_trainer_config c = lcm_trainer_config_default();
    snprintf(c.run, sizeof c.run, "%s/%s", dir, name);
    c.lr = (lcm_lr_config){.schedule = LCM_LR_COSINE, .lr = 0.05, .start_lr = 0.01, .final_lr = 1e-3, .warmup_steps = 2,
                           .max_steps = 120, .power = 1};
    c.checkpoint_every = 10;
    c.ema_decay = 0.9;
    c.accumulate = 2;
    return c;
}

static bool stop_at(void *user, const lcm_train_report *r) { return r->step < *(int64_t *)user; }

static lcm_status train(lcm_ctx *ctx, toy *s, lcm_task *task, const lcm_trainer_config *c, int64_t until) {
    json_t *resolved = json_pack("{s:s, s:{}}", "kind", "toy", "model");
    lcm_status st;
    s->task = task;
    st = lcm_train_loop(ctx, c, task, resolved, stop_at, &until);
    json_decref(resolved);
    return st;
}

static lcm_train_record newest_record(lcm_ctx *ctx, const lcm_trainer_config *c) {
    char folder[LCM_PATH_MAX], path[LCM_PATH_MAX];
    lcm_train_record r;
    lcm_st *st;
    int64_t step;
    assert_int_equal(lcm_rundir_latest(ctx, folder, sizeof folder, &step, c->run), LCM_OK);
    assert_int_equal(lcm_path_join(ctx, path, sizeof path, folder, "model.safetensors"), LCM_OK);
    assert_int_equal(lcm_st_open(ctx, &st, path), LCM_OK);
    assert_int_equal(lcm_train_record_read(ctx, &r, st), LCM_OK);
    lcm_st_close(st);
    return r;
}

static void resume_is_exact_in(int precision) {
    lcm_ctx *ctx = lcm_ctx_new();
    char *dir = tmpdir_new();
    toy whole, parts;
    lcm_task task;
    lcm_trainer_config c;
    task = toy_new(ctx, &whole);
    c = config_for(dir, "whole");
    c.precision = precision;
    assert_int_equal(train(ctx, &whole, &task, &c, 1000), LCM_OK);
    for (int64_t k = 20; k < 64; k++) assert_int_equal(whole.allocs[k], whole.allocs[10]); /* steady */
    c = config_for(dir, "parts");
    c.precision = precision;
    for (int64_t until = 7; ; until += 23) { /* stops on and off the steps of checkpoints */
        lcm_status st;
        task = toy_new(ctx, &parts);
        st = train(ctx, &parts, &task, &c, until);
        if (st == LCM_OK) break;
        assert_int_equal(st, LCM_ERR_CANCELLED);
        lcm_params_free(&parts.params);
    }
    assert_memory_equal(whole.params.x, parts.params.x, (size_t)whole.params.n_flat * sizeof(real));
    { /* the model file says what it cost, however often the run was stopped */
        lcm_train_record r = newest_record(ctx, &c);
        assert_int_equal(r.steps, 120);
        assert_true(r.items == 120 * 2 * ROWS);
        /* forward, and the gradient of the matrix: the input wants none. 2 micro-batches a step */
        assert_true(r.flops == 120.0 * 2 * (2 * ROWS * IN * OUT) * 2);
        assert_string_equal(r.unit, "rows");
        assert_int_equal(r.trained, IN * OUT + OUT);
        assert_int_equal(r.fixed, 0);
        assert_int_equal(r.seed, 1);
        assert_true(r.seconds > 0 && r.seconds < 600);
    }
    /* it also learned: rows of the layer become e_o - e_3 */
    assert_true(fabs((double)whole.layer.w->x[0] - 1) < 0.2 && fabs((double)whole.layer.w->x[3] + 1) < 0.2);
    lcm_params_free(&whole.params);
    lcm_params_free(&parts.params);
    tmpdir_free(dir);
    lcm_ctx_free(ctx);
}

static void resume_is_exact(void **state) {
    (void)state;
    resume_is_exact_in(LCM_PRECISION_F32);
}

static void resume_is_exact_in_bf16(void **state) {
    (void)state;
    if (!lcm_bf16_supported()) skip();
    resume_is_exact_in(LCM_PRECISION_BF16);
}

/* The state of a run that an older program began: it goes on, and its record owns up to what was not counted. */
static void an_old_checkpoint_goes_on(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    char *dir = tmpdir_new(), folder[LCM_PATH_MAX];
    toy s;
    lcm_task task = toy_new(ctx, &s);
    lcm_trainer_config c = config_for(dir, "run");
    lcm_train_record r;
    lcm_ckpt_file files[2] = {{"model.safetensors", NULL, "", 0}, {"trainer.safetensors", NULL, NULL, 0}};
    lcm_rundir *run;
    lcm_st_writer *w;
    lcm_st *old;
    (void)state;
    c.ema_decay = 0;
    assert_int_equal(train(ctx, &s, &task, &c, 10), LCM_ERR_CANCELLED);
    assert_int_equal(lcm_rundir_latest(ctx, folder, sizeof folder, NULL, c.run), LCM_OK);
    strcat(folder, "/trainer.safetensors");
    assert_int_equal(lcm_st_open(ctx, &old, folder), LCM_OK);
    assert_int_equal(lcm_st_writer_new(ctx, &w), LCM_OK);
    for (size_t i = 0; i < lcm_st_count(old); i++) {
        const lcm_st_tensor *t = lcm_st_at(old, i);
        assert_int_equal(lcm_st_writer_add(ctx, w, t->name, t->dtype, t->dims, t->ndim, t->data), LCM_OK);
    }
    assert_int_equal(lcm_st_writer_meta(ctx, w, "lcm.trainer", "20 0 40 0 0 0 320"), LCM_OK);
    files[1].st = w;
    assert_int_equal(lcm_rundir_open(ctx, &run, c.run), LCM_OK);
    assert_int_equal(lcm_rundir_save(ctx, run, 20, files, 2, 2), LCM_OK);
    lcm_rundir_close(run);
    lcm_st_writer_free(w);
    lcm_st_close(old);
    assert_int_equal(train(ctx, &s, &task, &c, 1000), LCM_OK);
    r = newest_record(ctx, &c);
    assert_true(r.steps == 120 && r.items == 320 + 100 * 2 * ROWS && r.flops == 0 && r.seconds == 0);
    lcm_params_free(&s.params);
    tmpdir_free(dir);
    lcm_ctx_free(ctx);
}

static void a_bad_gradient_is_skipped(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    char *dir = tmpdir_new();
    toy s;
    lcm_task task = toy_new(ctx, &s);
    lcm_trainer_config c;
    (void)state;
    c = config_for(dir, "run");
    s.bad_gradient = 12;
    assert_int_equal(train(ctx, &s, &task, &c, 1000), LCM_OK);
    for (int64_t i = 0; i < s.params.n_flat; i++) assert_true(isfinite(s.params.x[i]));
    c = config_for(dir, "strict");
    c.max_skipped = 0;
    lcm_params_free(&s.params);
    task = toy_new(ctx, &s);
    s.bad_gradient = 12;
    assert_int_equal(train(ctx, &s, &task, &c, 1000), LCM_ERR_NUMERIC);
    assert_non_null(strstr(lcm_ctx_message(ctx), "step 6"));
    assert_non_null(strstr(lcm_ctx_message(ctx), "gradient"));
    lcm_params_free(&s.params);
    tmpdir_free(dir);
    lcm_ctx_free(ctx);
}

static void a_bad_parameter_is_named(void **state) {
    lcm_ctx *ctx = lcm_ctx_new();
    char *dir = tmpdir_new(), path[LCM_PATH_MAX];
    toy s;
    lcm_task task = toy_new(ctx, &s);
    lcm_trainer_config c;
    int64_t step;
    (void)state;
    c = config_for(dir, "run");
    s.bad_parameter = 33;
    assert_int_equal(train(ctx, &s, &task, &c, 1000), LCM_ERR_NUMERIC);
    assert_non_null(strstr(lcm_ctx_message(ctx), "'layer.bias'"));
    assert_int_equal(lcm_rundir_latest(ctx, path, sizeof path, &step, c.run), LCM_OK); /* the good one stays */
    assert_int_equal(step, 10);
    lcm_params_free(&s.params);
    tmpdir_free(dir);
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(resume_is_exact), cmocka_unit_test(resume_is_exact_in_bf16), cmocka_unit_test(an_old_checkpoint_goes_on),
                                       cmocka_unit_test(a_bad_gradient_is_skipped),
                                       cmocka_unit_test(a_bad_parameter_is_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
