/* Concept models and their files, configurations and requests when something is wrong with them:
 * one clear sentence, nothing left behind. And when nothing is: what was saved comes back. */
#include "harness/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/tmpdir.h"
#include "harness/toy_models.h"
#include "lcm/generate.h"
#include "lcm/model_io.h"

static lcm_ctx *ctx;
static lcm_tape *tape;
static char *dir;

#define OK(call) assert_ok(ctx, call)

static int setup(void **state) {
    (void)state;
    ctx = lcm_ctx_new();
    tape = lcm_tape_new(ctx, 1 << 20);
    dir = tmpdir_new();
    return ctx && tape ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    tmpdir_free(dir);
    lcm_tape_free(tape);
    lcm_ctx_free(ctx);
    return 0;
}

static lcm_model *new_model(const char *kind, const void *config, bool with_grad) {
    lcm_model *m;
    OK(lcm_model_create(ctx, &m, kind, config, with_grad));
    toy_randomize(m, 11);
    return m;
}

static lcm_model *new_base(void) {
    lcm_base_config c = toy_base_config();
    c.lcm.enable_qk_layernorm = true;
    return new_model("base", &c, false);
}

static lcm_model *new_one_tower(void) {
    lcm_one_tower_config c = toy_one_tower_config();
    c.tower.enable_qk_layernorm = true;
    return new_model("one_tower", &c, false);
}

static lcm_model *new_two_tower(void) {
    lcm_two_tower_config c = toy_two_tower_config();
    c.denoiser.transformer.enable_qk_layernorm = true;
    return new_model("two_tower", &c, false);
}

/* ---- files ---- */

/* What was loaded writes, to the bit, what was saved. */
static void expect_same_story(const lcm_model *a, const lcm_model *b) {
    static const int32_t off[2] = {0, 3};
    real *x = toy_concepts(3, TOY_D, 5);
    lcm_prompts p = {1, x, off, NULL, NULL};
    lcm_generate_config c = lcm_generate_config_default();
    lcm_generated g, h;
    c.max_gen_len = 4;
    c.sampler.steps = 5;
    OK(lcm_generate(ctx, &g, a, &p, &c, NULL));
    OK(lcm_generate(ctx, &h, b, &p, &c, NULL));
    assert_true(g.off[1] == 4 && h.off[1] == 4);
    assert_memory_equal(g.x, h.x, 4 * TOY_D * sizeof *g.x);
    lcm_generated_free(&g);
    lcm_generated_free(&h);
    free(x);
}

static void save_load(void **state) {
    lcm_model *models[3] = {new_base(), new_two_tower(), new_one_tower()};
    (void)state;
    for (int k = 0; k < 3; k++) {
        lcm_model_save_opts o = {.dtype = LCM_DT_F32, .space = 0x1234};
        lcm_model *m;
        lcm_model_meta meta;
        size_t bytes = (size_t)models[k]->params.n_flat * sizeof(real);
        const char *path = tmpdir_path(dir, "m.safetensors");
        OK(lcm_model_save(ctx, models[k], &o, path));
        OK(lcm_model_load(ctx, &m, &meta, path, false));
        assert_string_equal(meta.kind, models[k]->type->name);
        assert_true(meta.space == 0x1234);
        assert_memory_equal(m->params.x, models[k]->params.x, bytes);
        assert_memory_equal(m->normalizer->scale, models[k]->normalizer->scale, TOY_D * sizeof(real));
        assert_memory_equal(m->normalizer->center, models[k]->normalizer->center, TOY_D * sizeof(real));
        json_t *a = lcm_model_config_json(m), *b = lcm_model_config_json(models[k]);
        assert_true(json_equal(a, b));
        json_decref(a);
        json_decref(b);
        expect_same_story(models[k], m);
        lcm_model_meta_free(&meta);
        lcm_model_free(m);
        o.dtype = LCM_DT_F16;
        OK(lcm_model_save(ctx, models[k], &o, path));
        OK(lcm_model_load(ctx, &m, NULL, path, false));
        assert_close(m->params.x, models[k]->params.x, models[k]->params.n_flat, 0x1p-11); /* half: 11 bits */
        assert_memory_equal(m->normalizer->scale, models[k]->normalizer->scale, TOY_D * sizeof(real));
        lcm_model_free(m);
        lcm_model_free(models[k]);
    }
}

static void expect_failure(lcm_status got, lcm_status want, const char *text) {
    if (got != want || !strstr(lcm_ctx_message(ctx), text))
        fail_msg("expected %s with \"%s\", got %s: %s", lcm_status_name(want), text, lcm_status_name(got),
                 lcm_ctx_message(ctx));
}

typedef enum damage {
    MISSING,
    EXTRA,
    SHAPE,
    NOT_FINITE,
    BAD_SCALE,
    HUGE_CONFIG,
    UNKNOWN_KIND,
    UNKNOWN_KEY
} damage;

/* Writes the model's tensors by hand, one of them wrong. */
static void write_damaged(const lcm_model *m, const char *path, damage what) {
    static real other[64 * 64];
    lcm_st_writer *w;
    json_t *config = lcm_model_config_json(m);
    char name[256];
    other[3] = what == NOT_FINITE ? (real)NAN : 0;
    if (what == HUGE_CONFIG) {
        json_object_set_new(config, "model_dim", json_integer(65536));
        json_object_set_new(json_object_get(config, "lcm"), "num_layers", json_integer(1024));
    }
    if (what == UNKNOWN_KEY) json_object_set_new(config, "modeldim", json_integer(16));
    OK(lcm_st_writer_new(ctx, &w));
    OK(lcm_model_meta_write(ctx, w, what == UNKNOWN_KIND ? "three_tower" : "base", 1, config, NULL));
    for (size_t i = 0; i < m->params.n; i++) {
        const lcm_param *p = m->params.items[i];
        int64_t dims[2] = {p->t.rows, p->t.cols};
        bool victim = strcmp(p->name, "postnet.fc.weight") == 0;
        if (victim && what == MISSING) continue;
        if (victim && what == SHAPE) dims[0]++;
        OK(lcm_st_writer_add(ctx, w, p->name, LCM_DT_F32, p->is_vector ? dims + 1 : dims,
                             p->is_vector ? 1 : 2,
                             victim && (what == SHAPE || what == NOT_FINITE) ? other : p->t.x));
    }
    snprintf(name, sizeof name, "%s.center", m->normalizer_name);
    OK(lcm_st_writer_add(ctx, w, name, LCM_DT_F32, &m->embed_dim, 1, m->normalizer->center));
    snprintf(name, sizeof name, "%s.scale", m->normalizer_name);
    OK(lcm_st_writer_add(ctx, w, name, LCM_DT_F32, &m->embed_dim, 1,
                         what == BAD_SCALE ? other : m->normalizer->scale));
    if (what == EXTRA) OK(lcm_st_writer_add(ctx, w, "lcm.layers.2.x", LCM_DT_F32, &m->embed_dim, 1, other));
    OK(lcm_st_writer_commit(ctx, w, path));
    lcm_st_writer_free(w);
    json_decref(config);
}

static void damaged_files(void **state) {
    static const struct {
        damage what;
        lcm_status status;
        const char *text;
    } cases[] = {{MISSING, LCM_ERR_FORMAT, "postnet.fc.weight"},
                 {EXTRA, LCM_ERR_FORMAT, "lcm.layers.2.x"},
                 {SHAPE, LCM_ERR_SHAPE, "postnet.fc.weight"},
                 {NOT_FINITE, LCM_ERR_FORMAT, "postnet.fc.weight"},
                 {BAD_SCALE, LCM_ERR_FORMAT, "scale"},
                 {HUGE_CONFIG, LCM_ERR_SHAPE, "pre_linear.weight"},
                 {UNKNOWN_KIND, LCM_ERR_FORMAT, "three_tower"},
                 {UNKNOWN_KEY, LCM_ERR_FORMAT, "modeldim"}};
    lcm_model *m = new_base(), *got;
    lcm_model_save_opts o = {.dtype = LCM_DT_F16};
    const char *path = tmpdir_path(dir, "d.safetensors");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_damaged(m, path, cases[i].what);
        expect_failure(lcm_model_load(ctx, &got, NULL, path, false), cases[i].status, cases[i].text);
        assert_null(got);
    }
    m->params.items[0]->t.x[0] = 70000; /* a float, but no half */
    expect_failure(lcm_model_save(ctx, m, &o, path), LCM_ERR_NUMERIC, m->params.items[0]->name);
    lcm_model_free(m);
}

static void bad_configurations(void **state) {
    static const struct {
        const char *kind, *json;
        lcm_status status;
        const char *text;
    } cases[] = {
        {"base", "{\"lcm\": {\"num_attn_heads\": 7}}", LCM_ERR_SHAPE, "1024 does not divide into 7"},
        {"base", "{\"model_dim\": 24, \"lcm\": {\"num_attn_heads\": 8, \"pos_embedding_style\": \"rope\"}}",
         LCM_ERR_SHAPE, "3 wide"},
        {"base", "{\"model_dim\": 15, \"lcm\": {\"num_attn_heads\": 3, \"pos_embedding_style\": \"sine\"}}",
         LCM_ERR_SHAPE, "15"},
        {"base", "{\"lcm\": {\"attention_dropout_p\": 0.1}}", LCM_ERR_ARG, "attention_dropout_p"},
        {"base", "{\"lcm\": {\"layers\": 2}}", LCM_ERR_ARG, "unknown key 'layers'"},
        {"two_tower", "{\"model_dim\": 512}", LCM_ERR_SHAPE, "timestep_embed_dim 1024"},
        {"two_tower", "{\"denoiser\": {\"pos_embedding_style\": \"rope\"}}", LCM_ERR_UNSUPPORTED, "rope"},
        {"two_tower", "{\"denoiser\": {\"norm_order_style\": \"post\"}}", LCM_ERR_UNSUPPORTED, "post"},
        {"two_tower", "{\"denoiser\": {\"scale_residual\": 0.5}}", LCM_ERR_UNSUPPORTED, "scale_residual"},
        {"two_tower", "{\"context_encoder\": {\"num_attn_heads\": 3}}", LCM_ERR_SHAPE, "context_encoder"},
        {"one_tower", "{\"tower\": {\"num_attn_heads\": 3}}", LCM_ERR_SHAPE, "tower: model_dim 1024 does not divide into 3"},
        {"one_tower", "{\"timestep_embed_dim\": 0}", LCM_ERR_ARG, "timestep_embed_dim"},
        {"one_tower", "{\"denoiser\": {}}", LCM_ERR_ARG, "unknown key 'denoiser'"},
        {"one_tower", "{\"noise_scheduler\": {\"prediction\": \"epsilon\"}}", LCM_ERR_ARG, "epsilon"},
        {"twotower", "{}", LCM_ERR_NOTFOUND, "one_tower, two_tower"}};
    lcm_model *m;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *j;
        OK(lcm_json_parse(ctx, &j, cases[i].json, strlen(cases[i].json), "test"));
        expect_failure(lcm_model_new(ctx, &m, cases[i].kind, j, "c", false), cases[i].status, cases[i].text);
        assert_null(m);
        json_decref(j);
    }
}

static void check_requests(lcm_model *m, lcm_model *plain) {
    static const int32_t off[3] = {0, 2, 2}, long_off[2] = {0, 65}, ok_off[2] = {0, 3};
    real *x = toy_concepts(65, TOY_D, 13);
    lcm_concept_batch b = {.n_docs = 2, .x = x, .off = off}, longer = {.n_docs = 1, .x = x, .off = long_off},
                      fine = {.n_docs = 1, .x = x, .off = ok_off};
    lcm_criterion_config cc = lcm_criterion_config_default();
    lcm_generate_config gc = lcm_generate_config_default();
    lcm_prompts p = {1, x, ok_off, NULL, NULL};
    lcm_criterion *c;
    lcm_model_loss l;
    lcm_generated g;
    int64_t t[3] = {0, 20, 1};
    int32_t source = 4;
    expect_failure(lcm_criterion_new(ctx, &c, m, &cc), LCM_ERR_ARG, "cf_guidance_probability");
    cc.cf_guidance_probability = 0.2;
    expect_failure(lcm_criterion_new(ctx, &c, plain, &cc), LCM_ERR_ARG, "trained_with_cf_guidance");
    OK(lcm_criterion_new(ctx, &c, m, &cc));
    lcm_tape_reset(tape, (lcm_tape_opts){0});
    expect_failure(lcm_model_loss_run(ctx, &l, tape, m, &b, c, &(lcm_draws){0}), LCM_ERR_ARG, "document 1");
    expect_failure(lcm_model_loss_run(ctx, &l, tape, m, &longer, c, &(lcm_draws){0}), LCM_ERR_LIMIT,
                   "65 concepts");
    expect_failure(lcm_model_loss_run(ctx, &l, tape, m, &fine, c, &(lcm_draws){.t = t}), LCM_ERR_ARG,
                   "level 20");
    fine.source_len = &source;
    expect_failure(lcm_model_loss_run(ctx, &l, tape, m, &fine, c, &(lcm_draws){0}), LCM_ERR_ARG,
                   "source of 4");
    source = 3;
    expect_failure(lcm_model_loss_run(ctx, &l, tape, m, &fine, c, &(lcm_draws){0}), LCM_ERR_ARG,
                   "without a target");
    lcm_criterion_free(c);
    gc.sampler.steps = 5;
    gc.max_gen_len = 63;
    expect_failure(lcm_generate(ctx, &g, m, &p, &gc, NULL), LCM_ERR_LIMIT, "reads 64");
    gc.max_gen_len = 2;
    expect_failure(lcm_generate(ctx, &g, plain, &p, &gc, NULL), LCM_ERR_ARG, "guidance_scale 3");
    x[5] = (real)NAN;
    expect_failure(lcm_generate(ctx, &g, m, &p, &gc, NULL), LCM_ERR_NUMERIC, "concept 0");
    x[5] = 0;
    for (int64_t i = 0; i < 8; i++) m->params.items[m->params.n - 1]->t.x[i] = (real)INFINITY;
    assert_int_equal(lcm_generate(ctx, &g, m, &p, &gc, NULL), LCM_ERR_NUMERIC);
    assert_null(g.x);
    free(x);
    lcm_model_free(m);
    lcm_model_free(plain);
}

static void bad_requests(void **state) {
    lcm_two_tower_config two = toy_two_tower_config();
    lcm_one_tower_config one = toy_one_tower_config();
    (void)state;
    two.trained_with_cf_guidance = one.trained_with_cf_guidance = false;
    check_requests(new_two_tower(), new_model("two_tower", &two, false));
    check_requests(new_one_tower(), new_model("one_tower", &one, false));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(save_load),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(bad_requests),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
