/* Every op of core/ops.def: backward against central differences, with a random upstream gradient,
 * gradient buffers filled beforehand, and each input frozen in turn. */
#include "harness/taped.h"

#include "grad/cases.h"

static void expect_pass(const op_problem *p, const char *op, const char *what) {
    grad_report r;
    if (grad_check(tape, &p->check, &r)) return;
    fail_msg("%s (%s)%s: %lld of %lld wrong, %d flat; %s", op, p->variant->name, what, (long long)r.bad,
             (long long)r.checked, r.n_flat, r.first);
}

static void check_kind(lcm_op_kind kind) {
    for (int i = 0; i < op_cases[kind].n; i++) {
        op_problem p;
        int n_in = 0;
        op_problem_init(&p, &op_cases[kind].variants[i]);
        for (int k = 0; k < LCM_MAX_INPUTS; k++) n_in += p.in[k] != NULL;
        expect_pass(&p, lcm_op_names[kind], "");
        for (int k = 0; k < LCM_MAX_INPUTS && n_in > 1; k++) {
            if (p.in[k] == NULL) continue;
            p.in[k]->needs = false;
            expect_pass(&p, lcm_op_names[kind], ", one input frozen");
            p.in[k]->needs = true;
        }
        op_problem_free(&p);
    }
}

#define X(name) \
    static void op_##name(void **state) { (void)state; check_kind(LCM_OP_##name); }
#include "core/ops.def"
#undef X

/* A query that sees no key gives exact zeros, and so does every gradient through it. */
static void attention_fully_masked(void **state) {
    const int32_t off[] = {0, 2}, limit[] = {0, 1};
    lcm_attn_spec s = {1, 1, off, off, limit, NULL};
    lcm_tensor *q = grad_leaf_new(2, 2), *k = grad_leaf_new(2, 2), *v = grad_leaf_new(2, 2), *y;
    (void)state;
    for (int i = 0; i < 4; i++) q->x[i] = k->x[i] = v->x[i] = 1 + i;
    lcm_tape_reset(tape, (lcm_tape_opts){.record = true});
    y = lcm_op_attention(tape, q, k, v, &s);
    assert_non_null(y);
    assert_true(y->x[0] == 0 && y->x[1] == 0);
    assert_true(y->x[2] == v->x[0] && y->x[3] == v->x[1]);
    assert_int_equal(lcm_tape_backward(tape, y, NULL), LCM_OK);
    for (int i = 0; i < 4; i++) assert_true(q->g[i] == 0); /* no key, or one key: softmax is constant */
    for (int i = 0; i < 4; i++) assert_true(k->g[i] == 0);
    assert_true(v->g[0] == 1 && v->g[1] == 1 && v->g[2] == 0 && v->g[3] == 0);
    grad_leaf_free(q);
    grad_leaf_free(k);
    grad_leaf_free(v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define X(name) cmocka_unit_test(op_##name),
#include "core/ops.def"
#undef X
        cmocka_unit_test(attention_fully_masked),
    };
    return cmocka_run_group_tests(tests, taped_setup, taped_teardown);
}
