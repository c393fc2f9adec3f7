/* What a caller may do while concepts are generated: look, replace, measure. */
#include "harness/golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/toy_models.h"
#include "lcm/generate.h"

static lcm_ctx *ctx;

#define OK(call) assert_ok(ctx, call)

static lcm_model *new_model(const char *kind) {
    lcm_base_config base = toy_base_config();
    lcm_one_tower_config one = toy_one_tower_config();
    lcm_two_tower_config two = toy_two_tower_config();
    const void *config = strcmp(kind, "base") == 0 ? (void *)&base : strcmp(kind, "one_tower") == 0 ? (void *)&one : (void *)&two;
    lcm_model *m;
    if (strcmp(kind, "rotary") == 0) {
        one.tower.pos_embedding_style = LCM_POS_ROPE;
        kind = "one_tower";
        config = &one;
    }
    OK(lcm_model_create(ctx, &m, kind, config, false));
    toy_randomize(m, 3);
    return m;
}

static lcm_generate_config config_of(int64_t concepts) {
    lcm_generate_config c = lcm_generate_config_default();
    c.max_gen_len = concepts;
    c.sampler.steps = 4;
    return c;
}

typedef struct watcher {
    const real *replacement; /* of concept 0 */
    real seen[4 * TOY_D];
    int n_concepts, n_contexts;
} watcher;

static lcm_status replace_first(lcm_ctx *c, void *user, int64_t prompt, int64_t index, real *x) {
    watcher *w = user;
    (void)c;
    (void)prompt;
    assert_int_equal(index, w->n_concepts);
    assert_int_equal(w->n_contexts, w->n_concepts + 1); /* the model has read all that came before */
    memcpy(w->seen + index * TOY_D, x, TOY_D * sizeof *x);
    if (index == 0) memcpy(x, w->replacement, TOY_D * sizeof *x);
    w->n_concepts++;
    return LCM_OK;
}

static void count_context(void *user) { ((watcher *)user)->n_contexts++; }

/* After a replacement the model goes on as if it had predicted that. The noise of a concept is a function
 * of its index, so the same seed compares like with like only where none is drawn: the base model. */
static void replaced_concept_is_read_back(void **state) {
    lcm_model *m = new_model("base");
    lcm_generate_config c = config_of(3), one = config_of(1);
    real *x = toy_concepts(4, TOY_D, 9); /* three of the prompt, then the replacement */
    int32_t off[2] = {0, 3}, longer[2] = {0, 4};
    lcm_prompts p = {.n = 1, .x = x, .off = off}, q = {.n = 1, .x = x, .off = longer};
    watcher w = {.replacement = x + 3 * TOY_D};
    lcm_generate_hooks h = {.on_concept = replace_first, .on_context = count_context, .user = &w};
    lcm_generated g, direct;
    (void)state;
    OK(lcm_generate(ctx, &g, m, &p, &c, &h));
    OK(lcm_generate(ctx, &direct, m, &q, &one, NULL));
    assert_int_equal(w.n_concepts, 3);
    assert_int_equal(w.n_contexts, 3);
    assert_memory_equal(g.x, w.replacement, TOY_D * sizeof(real)); /* the result holds it */
    for (int k = 0; k < TOY_D; k++) /* one pass of four rows against three and one: rounding only */
        assert_true(fabs((double)(w.seen[TOY_D + k] - direct.x[k])) <= 1e-5 * fmax(1, fabs((double)direct.x[k])));
    lcm_generated_free(&g);
    lcm_generated_free(&direct);
    free(x);
    lcm_model_free(m);
}

static void replacement_decides_the_end(void **state) {
    static const char *const kinds[] = {"base", "one_tower", "two_tower"};
    (void)state;
    for (int k = 0; k < 3; k++) {
        lcm_model *m = new_model(kinds[k]);
        lcm_generate_config c = config_of(3);
        real *x = toy_concepts(3, TOY_D, 5);
        int32_t off[2] = {0, 2};
        lcm_prompts p = {.n = 1, .x = x, .off = off, .eos = x + 2 * TOY_D};
        watcher w = {.replacement = x + 2 * TOY_D};
        lcm_generate_hooks h = {.on_concept = replace_first, .on_context = count_context, .user = &w};
        lcm_generated g;
        c.min_gen_len = 0;
        c.eos_threshold = 0.9999;
        OK(lcm_generate(ctx, &g, m, &p, &c, &h));
        assert_int_equal(g.stop[0], LCM_STOP_EOS);
        assert_int_equal(g.off[1], 1);
        lcm_generated_free(&g);
        OK(lcm_generate(ctx, &g, m, &p, &c, NULL)); /* and without it the model does not say so */
        assert_int_equal(g.off[1], 3);
        lcm_generated_free(&g);
        free(x);
        lcm_model_free(m);
    }
}

enum { K = 3, PROMPTS = 2 };

typedef struct chooser {
    real all[PROMPTS * K * TOY_D];
    int64_t pick;
} chooser;

static lcm_status pick_one(lcm_ctx *c, void *user, int64_t prompt, int64_t index, real *x) {
    chooser *w = user;
    (void)c;
    if (index == 0) memcpy(w->all + prompt * K * TOY_D, x, K * TOY_D * sizeof *x);
    memmove(x, x + w->pick * TOY_D, TOY_D * sizeof *x);
    return LCM_OK;
}

/* Noise of the k-th of K candidates, for a call that draws only one; user is &k. */
static void draw_for(void *user, real *out, int64_t D, uint64_t doc, int64_t index, int64_t call) {
    int64_t k = index * K + *(const int64_t *)user;
    lcm_rng rng = lcm_rng_make(7, (doc << 8) + ((uint64_t)k << 40));
    rng.index = (uint64_t)call * 2 * (uint64_t)D;
    for (int64_t i = 0; i < D; i++) out[i] = (real)lcm_rng_normal(&rng);
}

static void draw_for_all(void *user, real *out, int64_t D, uint64_t doc, int64_t index, int64_t call) {
    int64_t k = index % K;
    (void)user;
    draw_for(&k, out, D, doc, index / K, call);
}

/* Candidates are independent: each is what a call of its own with its noise gives, and the one that is left in the
 * first row is what the model goes on with. Prompts of different lengths; rows of one pass differ by rounding. */
static void candidates_are_single_draws(void **state) {
    static const char *const kinds[] = {"base", "one_tower", "rotary", "two_tower"};
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        lcm_model *m = new_model(kinds[kind]);
        real *x = toy_concepts(5, TOY_D, 5);
        int32_t off[PROMPTS + 1] = {0, 3, 5};
        lcm_prompts p = {.n = PROMPTS, .x = x, .off = off};
        for (int64_t k = 0; k < K; k++) {
            chooser w = {.pick = k};
            lcm_generate_config many = config_of(2), one;
            lcm_generate_hooks h = {.on_concept = pick_one, .user = &w, .noise = {draw_for_all, NULL}};
            lcm_generate_hooks single = {.noise = {draw_for, &k}};
            lcm_generated g, alone;
            many.temperature = 0.5;
            one = many;
            many.candidates = K;
            OK(lcm_generate(ctx, &g, m, &p, &many, &h));
            OK(lcm_generate(ctx, &alone, m, &p, &one, &single));
            for (int d = 0; d < PROMPTS; d++)
                for (int i = 0; i < TOY_D; i++) {
                    double want = (double)alone.x[alone.off[d] * TOY_D + i];
                    assert_true(fabs((double)w.all[(d * K + k) * TOY_D + i] - want) <= 1e-4 * fmax(1, fabs(want)));
                }
            for (int64_t i = 0; i < g.off[PROMPTS] * TOY_D; i++) /* the second concept, too: it was read back */
                assert_true(fabs((double)(g.x[i] - alone.x[i])) <= 1e-3 * fmax(1, fabs((double)alone.x[i])));
            lcm_generated_free(&g);
            lcm_generated_free(&alone);
        }
        free(x);
        lcm_model_free(m);
    }
}

static lcm_status make_nan(lcm_ctx *c, void *user, int64_t prompt, int64_t index, real *x) {
    (void)c;
    (void)user;
    (void)prompt;
    (void)index;
    x[TOY_D - 1] = (real)NAN;
    return LCM_OK;
}

static void replacement_must_be_finite(void **state) {
    lcm_model *m = new_model("base");
    lcm_generate_config c = config_of(2);
    real *x = toy_concepts(2, TOY_D, 5);
    int32_t off[2] = {0, 2};
    lcm_prompts p = {.n = 1, .x = x, .off = off};
    lcm_generate_hooks h = {.on_concept = make_nan};
    lcm_generated g;
    (void)state;
    assert_int_equal(lcm_generate(ctx, &g, m, &p, &c, &h), LCM_ERR_NUMERIC);
    assert_null(g.x);
    free(x);
    lcm_model_free(m);
}

static int setup(void **state) {
    (void)state;
    ctx = lcm_ctx_new();
    return ctx ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    lcm_ctx_free(ctx);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaced_concept_is_read_back),
        cmocka_unit_test(replacement_decides_the_end),
        cmocka_unit_test(candidates_are_single_draws),
        cmocka_unit_test(replacement_must_be_finite),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
