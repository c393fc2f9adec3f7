/* The loss of a Llama with respect to every parameter, in double precision, dropout on. */
#include "harness/test.h"

#include "grad/check.h"
#include "harness/toy_llama.h"

enum { N = 3, T = 11 };
static const int32_t off[N + 1] = {0, 4, 5, 11}, ids[T] = {1, 7, 7, 290, 1, 1, 30, 4, 7, 12, 5},
                     target[T] = {7, 7, 290, 2, 2, 30, 4, 7, 12, 5, 2};

static lcm_tensor *loss(lcm_tape *t, void *arg) {
    const lcm_llama *m = arg;
    return lcm_op_xent(t, lcm_llama_fwd(t, m, &(lcm_llama_batch){N, T, ids, off}), m->head, target, NULL, 0.1, NULL).out;
}

static void check(bool grouped) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_tape *t = lcm_tape_new(ctx, 1 << 20);
    lcm_llama_config c = toy_llama_config(grouped);
    lcm_llama *m;
    lcm_tensor *leaf[GRAD_MAX_LEAVES];
    grad_problem g;
    grad_report r;
    c.dropout = 0.2;
    m = toy_llama(ctx, &c, true);
    assert_non_null(m);
    for (size_t i = 0; i < m->params.n; i++) leaf[i] = &m->params.items[i]->t;
    g = grad_problem_make(loss, m, leaf, (int)m->params.n);
    g.elementwise_up_to = 24;
    g.directions = 4;
    grad_check(t, &g, &r);
    if (r.bad) fail_msg("%lld of %lld wrong; %s", (long long)r.bad, (long long)r.checked, r.first);
    assert_int_equal(r.n_flat, 0);
    assert_true(r.checked > 150);
    lcm_llama_free(m);
    lcm_tape_free(t);
    lcm_ctx_free(ctx);
}

static void own_projection_grouped_heads(void **state) {
    (void)state;
    check(true);
}

static void tied_projection(void **state) {
    (void)state;
    check(false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_projection_grouped_heads),
        cmocka_unit_test(tied_projection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
