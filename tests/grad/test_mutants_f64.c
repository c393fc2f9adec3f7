/* The gradient checker itself: a backward pass damaged in any way the tape can damage it must be
 * noticed, for every variant of every op. */
#include "harness/taped.h"

#include "grad/cases.h"

static void expect_noticed(op_problem *p, lcm_op_kind kind, double factor, int drop) {
    grad_report r;
    lcm_tape_set_mutant(tape, kind, factor, drop);
    grad_check(tape, &p->check, &r);
    lcm_tape_set_mutant(tape, LCM_OP_COUNT, 1, -1);
    if (r.bad == 0)
        fail_msg("%s (%s): gradient times %g, input %d dropped, and nobody saw it", lcm_op_names[kind],
                 p->variant->name, factor, drop);
}

static void mutate_kind(lcm_op_kind kind) {
    for (int i = 0; i < op_cases[kind].n; i++) {
        op_problem p;
        grad_report r;
        op_problem_init(&p, &op_cases[kind].variants[i]);
        assert_true(grad_check(tape, &p.check, &r));
        expect_noticed(&p, kind, -1, -1);
        expect_noticed(&p, kind, 0.99, -1);
        for (int k = 0; k < LCM_MAX_INPUTS; k++)
            if (p.in[k]) expect_noticed(&p, kind, 1, k);
        op_problem_free(&p);
    }
}

#define X(name) \
    static void mutant_##name(void **state) { (void)state; mutate_kind(LCM_OP_##name); }
#include "core/ops.def"
#undef X

static lcm_tensor *times_zero(lcm_tape *t, void *leaf) { return lcm_op_scale(t, leaf, 0); }

/* An input that the output does not depend on is no evidence. */
static void flat_is_refused(void **state) {
    lcm_tensor *x = grad_leaf_new(2, 2);
    grad_problem p = grad_problem_make(times_zero, x, &x, 1);
    grad_report r;
    (void)state;
    assert_false(grad_check(tape, &p, &r));
    assert_int_equal(r.bad, 0);
    assert_int_equal(r.n_flat, 1);
    grad_leaf_free(x);
}

static void overwrite_back(lcm_node *n) {
    for (int i = 0; i < 4; i++) n->in[0]->g[i] = n->out->g[i];
}

/* Correct but for '=' where '+=' belongs. */
static lcm_tensor *overwriting_copy(lcm_tape *t, void *leaf) {
    lcm_tensor *x = leaf, *y;
    lcm_node *n;
    y = lcm_op_begin(t, &n, LCM_OP_scale, overwrite_back, 2, 2, &x, 1, 0);
    for (int i = 0; y && i < 4; i++) y->x[i] = x->x[i];
    return y;
}

static void overwriting_is_noticed(void **state) {
    lcm_tensor *x = grad_leaf_new(2, 2);
    grad_problem p = grad_problem_make(overwriting_copy, x, &x, 1);
    grad_report r;
    (void)state;
    assert_false(grad_check(tape, &p, &r));
    assert_int_equal(r.bad, 4);
    /* along directions too */
    p.elementwise_up_to = 0;
    p.directions = 3;
    assert_false(grad_check(tape, &p, &r));
    assert_int_equal(r.bad, 3);
    grad_leaf_free(x);
}

static void careless_back(lcm_node *n) {
    for (int i = 0; i < 4; i++) n->in[0]->g[i] += n->out->g[i];
    for (int i = 0; i < 4; i++) n->in[1]->g[i] += n->out->g[i]; /* without asking whether it is wanted */
}

static lcm_tensor *careless_add(lcm_tape *t, void *leaves) {
    lcm_tensor **in = leaves, *y;
    lcm_node *n;
    y = lcm_op_begin(t, &n, LCM_OP_add, careless_back, 2, 2, in, 2, 0);
    for (int i = 0; y && i < 4; i++) y->x[i] = in[0]->x[i] + in[1]->x[i];
    return y;
}

static void writing_to_frozen_is_noticed(void **state) {
    lcm_tensor *in[] = {grad_leaf_new(2, 2), grad_leaf_new(2, 2)};
    grad_problem p = grad_problem_make(careless_add, in, in, 2);
    grad_report r;
    (void)state;
    assert_true(grad_check(tape, &p, &r));
    in[1]->needs = false;
    assert_false(grad_check(tape, &p, &r));
    assert_int_equal(r.bad, 1);
    grad_leaf_free(in[0]);
    grad_leaf_free(in[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define X(name) cmocka_unit_test(mutant_##name),
#include "core/ops.def"
#undef X
        cmocka_unit_test(flat_is_refused),
        cmocka_unit_test(overwriting_is_noticed),
        cmocka_unit_test(writing_to_frozen_is_noticed),
    };
    return cmocka_run_group_tests(tests, taped_setup, taped_teardown);
}
