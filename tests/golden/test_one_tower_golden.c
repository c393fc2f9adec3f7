/* The one-tower model against tests/data/golden/one_tower/oracle.py, a second implementation of the paper: interleaved
 * rows under a dense mask, autograd, no cache, double precision. Tolerances are relative to max|b|. */
#include "harness/golden.h"

#include <stdlib.h>
#include <string.h>

#include "harness/toy_models.h"
#include "lcm/generate.h"

enum { DOCS = 3, CONCEPTS = 12 };

static lcm_ctx *ctx;
static golden *g;

#define OK(call) assert_ok(ctx, call)

static int setup(void **state) {
    (void)state;
    ctx = lcm_ctx_new();
    g = golden_open("one_tower/golden");
    return ctx ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    golden_close(g);
    lcm_ctx_free(ctx);
    return 0;
}

/* Every parameter is in the file with its shape, and the file has no other. */
static lcm_model *load(void) {
    lcm_one_tower_config c = toy_one_tower_config();
    lcm_model *m;
    size_t in_file = 0;
    OK(lcm_model_create(ctx, &m, "one_tower", &c, true));
    for (size_t i = 0; i < m->params.n; i++) {
        lcm_param *p = m->params.items[i];
        int64_t dims[LCM_ST_MAX_RANK];
        real *x = golden_real(g, dims, "w.%s", p->name);
        assert_int_equal(p->is_vector ? dims[0] : dims[1], p->t.cols);
        if (!p->is_vector) assert_int_equal(dims[0], p->t.rows);
        memcpy(p->t.x, x, (size_t)(p->t.rows * p->t.cols) * sizeof *x);
    }
    memcpy(m->normalizer->center, golden_real(g, NULL, "w.sonar_normalizer.center"), TOY_D * sizeof(real));
    memcpy(m->normalizer->scale, golden_real(g, NULL, "w.sonar_normalizer.scale"), TOY_D * sizeof(real));
    for (size_t i = 0; i < lcm_st_count(golden_st(g)); i++)
        in_file += strncmp(lcm_st_at(golden_st(g), i)->name, "w.", 2) == 0;
    assert_int_equal(in_file, m->params.n + 2);
    return m;
}

/* Loss of every row, and the gradient of their sum with respect to every parameter. */
static void losses_and_gradients(void **state) {
    static const int32_t off[DOCS + 1] = {0, 5, 6, CONCEPTS};
    const int64_t *as_stored = golden_i64(g, NULL, "in.dropped");
    uint8_t dropped[CONCEPTS];
    lcm_model *m = load();
    lcm_concept_batch b = {.n_docs = DOCS, .x = golden_real(g, NULL, "in.x"), .off = off};
    lcm_draws draws = {.t = golden_i64(g, NULL, "in.t"), .noise = golden_real(g, NULL, "in.noise"), .dropped = dropped};
    lcm_criterion_config cc = lcm_criterion_config_default();
    lcm_tape *t = lcm_tape_new(ctx, 1 << 20);
    lcm_criterion *c;
    lcm_model_loss l;
    (void)state;
    for (int i = 0; i < CONCEPTS; i++) dropped[i] = (uint8_t)as_stored[i];
    cc.cf_guidance_probability = 0.15;
    OK(lcm_criterion_new(ctx, &c, m, &cc));
    lcm_tape_reset(t, (lcm_tape_opts){.record = true});
    OK(lcm_model_loss_run(ctx, &l, t, m, &b, c, &draws));
    assert_int_equal(l.n_rows, CONCEPTS);
    assert_close(l.rows, golden_real(g, NULL, "out.loss_rows"), CONCEPTS, 2e-6);
    memset(m->params.g, 0, (size_t)m->params.n_flat * sizeof(real));
    OK(lcm_tape_backward(t, l.out, NULL));
    for (size_t i = 0; i < m->params.n; i++) {
        const lcm_param *p = m->params.items[i];
        const real *want = golden_real(g, NULL, "grad.%s", p->name);
        int64_t n = p->t.rows * p->t.cols;
        if (!strstr(p->name, "k_proj.bias")) {
            assert_close_at(p->t.g, want, n, 3e-5, p->name, __FILE__, __LINE__);
            continue;
        }
        /* softmax ignores what all keys have in common: 0, and rounding of sums of about a hundred terms */
        for (int64_t k = 0; k < n; k++) assert_true(want[k] < 1e-10f && want[k] > -1e-10f && p->t.g[k] < 1e-3f && p->t.g[k] > -1e-3f);
    }
    lcm_criterion_free(c);
    lcm_tape_free(t);
    lcm_model_free(m);
}

static void draw_recorded(void *user, real *out, int64_t D, uint64_t doc, int64_t index, int64_t call) {
    assert_true(doc == 0 && call == 0);
    memcpy(out, (const real *)user + index * D, (size_t)D * sizeof *out);
}

/* Two guided concepts behind a prompt of three: errors are fed back through 2 x 8 steps. */
static void generation(void **state) {
    static const int32_t off[2] = {0, 3};
    lcm_model *m = load();
    lcm_prompts p = {1, golden_real(g, NULL, "in.x"), off, NULL, NULL};
    lcm_generate_config c = lcm_generate_config_default();
    lcm_generate_hooks hooks = {.noise = {draw_recorded, golden_real(g, NULL, "in.sample_noise")}};
    lcm_generated got;
    (void)state;
    c.max_gen_len = 2;
    c.sampler.steps = 8;
    OK(lcm_generate(ctx, &got, m, &p, &c, &hooks));
    assert_int_equal(got.off[1], 2);
    assert_close(got.x, golden_real(g, NULL, "out.generated"), 2 * TOY_D, 5e-5);
    lcm_generated_free(&got);
    lcm_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(losses_and_gradients), cmocka_unit_test(generation)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
