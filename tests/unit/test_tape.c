/* The tape: failure sticks, a steady step allocates nothing, what is not asked for is not recorded;
 * and the values of the ops whose forward pass has no kernel of its own. */
#include "harness/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops.h"

typedef struct fixture {
    lcm_ctx *ctx;
    lcm_tape *t;
    real w[12], g[12], x[12];
    lcm_tensor weight; /* (3,4), a parameter */
} fixture;

static void open_fixture(fixture *f) {
    memset(f, 0, sizeof *f);
    f->ctx = lcm_ctx_new();
    f->t = lcm_tape_new(f->ctx, 256); /* small, so that the arena has to grow */
    assert_non_null(f->t);
    for (int i = 0; i < 12; i++) {
        f->w[i] = (real)(i % 5) - 2;
        f->x[i] = (real)(i % 7) / 2 - 1;
    }
    f->weight = (lcm_tensor){3, 4, f->w, f->g, true};
    lcm_tape_reset(f->t, (lcm_tape_opts){.record = true, .train = true});
}

static void close_fixture(fixture *f) {
    lcm_tape_free(f->t);
    lcm_ctx_free(f->ctx);
}

/* sum of squares of tanh(x w^T) */
static lcm_tensor *forward(fixture *f) {
    static const real zero[9];
    lcm_tensor *x = lcm_tensor_const(f->t, f->x, 3, 4);
    lcm_tensor *y = lcm_op_act(f->t, lcm_op_linear(f->t, x, &f->weight, NULL), LCM_ACT_TANH);
    return lcm_op_sq_err(f->t, lcm_op_dropout(f->t, y, 0.25), zero, NULL, false).out;
}

static void out_of_memory_sticks(void **state) {
    fixture f;
    lcm_tensor *y;
    (void)state;
    open_fixture(&f);
    y = forward(&f);
    assert_non_null(y);
    assert_null(lcm_tape_alloc(f.t, SIZE_MAX)); /* more than can be */
    assert_int_equal(lcm_tape_status(f.t), LCM_ERR_NOMEM);
    assert_non_null(strstr(lcm_ctx_message(f.ctx), "out of memory"));
    assert_null(lcm_tape_alloc(f.t, 1));
    assert_null(lcm_tensor_new(f.t, 1, 1));
    assert_null(lcm_tensor_const(f.t, f.x, 3, 4));
    assert_null(forward(&f));
    assert_null(lcm_op_scale(f.t, &f.weight, 2)); /* a good input does not help */
    assert_int_equal(lcm_tape_backward(f.t, y, NULL), LCM_ERR_NOMEM);
    for (int i = 0; i < 12; i++) assert_true(f.g[i] == 0);
    lcm_tape_reset(f.t, (lcm_tape_opts){.record = true});
    assert_int_equal(lcm_tape_status(f.t), LCM_OK);
    assert_non_null(forward(&f));
    close_fixture(&f);
}

static void null_in_null_out(void **state) {
    static const int32_t zero[] = {0, 0}, off[] = {0, 3};
    static const real a[3];
    lcm_attn_spec spec = {1, 1, off, off, NULL, NULL};
    fixture f;
    lcm_tensor *w;
    (void)state;
    open_fixture(&f);
    w = &f.weight;
    assert_null(lcm_op_linear(f.t, NULL, w, NULL));
    assert_null(lcm_op_linear(f.t, w, NULL, NULL));
    assert_null(lcm_op_embed(f.t, NULL, zero, 2, 1, NULL, NULL));
    assert_null(lcm_op_norm(f.t, NULL, w, NULL, false));
    assert_null(lcm_op_act(f.t, NULL, LCM_ACT_RELU));
    assert_null(lcm_op_add(f.t, NULL, w));
    assert_null(lcm_op_add(f.t, w, NULL));
    assert_null(lcm_op_mul(f.t, NULL, w));
    assert_null(lcm_op_mul(f.t, w, NULL));
    assert_null(lcm_op_scale(f.t, NULL, 2));
    assert_null(lcm_op_mul_vec(f.t, NULL, w));
    assert_null(lcm_op_mul_vec(f.t, w, NULL));
    assert_null(lcm_op_affine_rows(f.t, NULL, a, a));
    assert_null(lcm_op_attention(f.t, NULL, w, w, &spec));
    assert_null(lcm_op_attention(f.t, w, NULL, w, &spec));
    assert_null(lcm_op_attention(f.t, w, w, NULL, &spec));
    assert_null(lcm_op_rope(f.t, NULL, zero, 1, 10000));
    assert_null(lcm_op_gather(f.t, NULL, zero, 2));
    assert_null(lcm_op_add_rows(f.t, NULL, w, zero));
    assert_null(lcm_op_add_rows(f.t, w, NULL, zero));
    assert_null(lcm_op_pool(f.t, NULL, off, 1, LCM_POOL_MAX));
    assert_null(lcm_op_concat_cols(f.t, NULL, w));
    assert_null(lcm_op_concat_cols(f.t, w, NULL));
    assert_null(lcm_op_dropout(f.t, NULL, 0.5));
    assert_null(lcm_op_modulate(f.t, NULL, w, 0, 0));
    assert_null(lcm_op_modulate(f.t, w, NULL, 0, 0));
    assert_null(lcm_op_gate(f.t, NULL, w, w, 0));
    assert_null(lcm_op_gate(f.t, w, NULL, w, 0));
    assert_null(lcm_op_gate(f.t, w, w, NULL, 0));
    assert_null(lcm_op_xent(f.t, NULL, w, zero, NULL, 0, NULL).out);
    assert_null(lcm_op_xent(f.t, w, NULL, zero, NULL, 0, NULL).out);
    assert_null(lcm_op_sq_err(f.t, NULL, a, NULL, false).out);
    assert_int_equal(lcm_tape_status(f.t), LCM_OK);
    close_fixture(&f);
}

/* By hand: rows x cols x outputs, 2 a product; queries x keys they see x width. */
static void products_are_counted(void **state) {
    static const int32_t q_off[] = {0, 2, 3}, k_off[] = {0, 3, 4}, limit[] = {1, 3, 0}, own[] = {2, -1, 0}, id[] = {0, 1, 2};
    fixture f;
    lcm_tensor *x, *q, *k;
    lcm_attn_spec spec = {2, 2, q_off, k_off, limit, NULL};
    double at;
    (void)state;
    open_fixture(&f);
    x = lcm_tensor_const(f.t, f.x, 3, 4);
    at = lcm_tape_flops(f.t);
    q = lcm_op_linear(f.t, x, &f.weight, NULL); /* the constant wants no gradient */
    assert_true(lcm_tape_flops(f.t) - at == 2.0 * 3 * 4 * 3 * 2);
    at = lcm_tape_flops(f.t);
    lcm_op_xent(f.t, lcm_op_scale(f.t, &f.weight, 2), &f.weight, id, NULL, 0, NULL);
    assert_true(lcm_tape_flops(f.t) - at == 2.0 * 3 * 4 * 3 * 3);
    q = lcm_op_linear(f.t, x, lcm_op_scale(f.t, lcm_tensor_const(f.t, f.w, 2, 4), 1), NULL); /* (3,2), constant */
    k = lcm_tensor_const(f.t, f.x, 4, 2);
    at = lcm_tape_flops(f.t);
    lcm_op_attention(f.t, q, k, k, &spec); /* scores, values */
    assert_true(lcm_tape_flops(f.t) - at == 2.0 * 4 * 2 * 2);
    spec.own = own;
    at = lcm_tape_flops(f.t);
    lcm_op_attention(f.t, q, k, k, &spec);
    assert_true(lcm_tape_flops(f.t) - at == 2.0 * 6 * 2 * 2);
    spec.limit = spec.own = NULL;
    at = lcm_tape_flops(f.t);
    lcm_op_attention(f.t, q, k, k, &spec);
    assert_true(lcm_tape_flops(f.t) - at == 2.0 * 7 * 2 * 2);
    f.weight.rows = 6, f.weight.cols = 2;
    q = lcm_op_gather(f.t, &f.weight, id, 3);
    at = lcm_tape_flops(f.t);
    lcm_op_attention(f.t, q, k, k, &spec); /* and of the scores: their gradient, that of q */
    assert_true(lcm_tape_flops(f.t) - at == 2.0 * 7 * 2 * 4);
    at = lcm_tape_flops(f.t);
    spec.k_off = q_off;
    lcm_op_attention(f.t, q, q, q, &spec); /* scores, values; gradients of scores, q, k, v */
    assert_true(lcm_tape_flops(f.t) - at == 2.0 * 5 * 2 * 6);
    lcm_tape_reset(f.t, (lcm_tape_opts){0});
    assert_true(lcm_tape_flops(f.t) > at); /* outlives the step */
    at = lcm_tape_flops(f.t);
    f.weight.rows = 3, f.weight.cols = 4;
    lcm_op_linear(f.t, lcm_tensor_const(f.t, f.x, 3, 4), &f.weight, NULL); /* no backward pass to come */
    assert_true(lcm_tape_flops(f.t) - at == 2.0 * 3 * 4 * 3);
    close_fixture(&f);
}

static void steady_step_allocates_nothing(void **state) {
    fixture f;
    size_t after_second = 0, used = 0;
    real *first_x = NULL;
    (void)state;
    open_fixture(&f);
    for (int step = 0; step < 6; step++) {
        lcm_tensor *y;
        lcm_tape_reset(f.t, (lcm_tape_opts){.record = true, .train = true});
        assert_int_equal(lcm_arena_used(lcm_tape_arena(f.t)), 0);
        y = forward(&f);
        assert_int_equal(lcm_tape_backward(f.t, y, NULL), LCM_OK);
        if (step == 1) {
            after_second = lcm_arena_system_allocs(lcm_tape_arena(f.t));
            used = lcm_arena_used(lcm_tape_arena(f.t));
            first_x = y->x;
        }
        if (step > 1) {
            assert_int_equal(lcm_arena_system_allocs(lcm_tape_arena(f.t)), after_second);
            assert_int_equal(lcm_arena_used(lcm_tape_arena(f.t)), used);
            assert_ptr_equal(y->x, first_x);
        }
    }
    assert_true(after_second > 1); /* the first step did have to grow */
    close_fixture(&f);
}

static void without_record_nothing_is_kept(void **state) {
    fixture f;
    lcm_tensor *y;
    size_t recorded, plain;
    real with, without;
    (void)state;
    open_fixture(&f);
    lcm_tape_reset(f.t, (lcm_tape_opts){.record = true});
    y = forward(&f);
    assert_true(y->needs && lcm_tape_recording(f.t));
    with = y->x[0];
    recorded = lcm_arena_used(lcm_tape_arena(f.t));
    lcm_tape_reset(f.t, (lcm_tape_opts){.record = false});
    y = forward(&f);
    assert_false(y->needs || lcm_tape_recording(f.t));
    assert_null(y->g);
    without = y->x[0];
    plain = lcm_arena_used(lcm_tape_arena(f.t));
    assert_true(with == without);
    assert_true(plain < recorded);
    /* a frozen parameter keeps nothing either */
    f.weight.needs = false;
    lcm_tape_reset(f.t, (lcm_tape_opts){.record = true});
    y = forward(&f);
    assert_false(y->needs);
    assert_int_equal(lcm_arena_used(lcm_tape_arena(f.t)), plain);
    assert_int_equal(lcm_tape_backward(f.t, y, NULL), LCM_OK);
    for (int i = 0; i < 12; i++) assert_true(f.g[i] == 0);
    close_fixture(&f);
}

/* Two passes over the same data double the gradient; what does not lead to the loss stays out. */
static void gradients_accumulate(void **state) {
    fixture f;
    real once[12];
    (void)state;
    open_fixture(&f);
    for (int pass = 0; pass < 2; pass++) {
        lcm_tensor *y, *aside;
        lcm_tape_reset(f.t, (lcm_tape_opts){.record = true});
        y = forward(&f);
        aside = lcm_op_scale(f.t, &f.weight, 100);
        assert_int_equal(lcm_tape_backward(f.t, y, NULL), LCM_OK);
        assert_null(aside->g);
        if (pass == 0) memcpy(once, f.g, sizeof once);
    }
    for (int i = 0; i < 12; i++) assert_true(f.g[i] == 2 * once[i]);
    assert_true(once[0] != 0);
    close_fixture(&f);
}

static void dropout_masks(void **state) {
    enum { N = 20000 };
    static real x[N], g[N], first[N];
    lcm_tensor in = {1, N, x, g, true}, *a, *b;
    fixture f;
    int zeros = 0, both = 0;
    (void)state;
    open_fixture(&f);
    for (int i = 0; i < N; i++) x[i] = 3;
    lcm_tape_seed(f.t, 5, 1);
    a = lcm_op_dropout(f.t, &in, 0.25);
    b = lcm_op_dropout(f.t, &in, 0.25);
    assert_int_equal(lcm_tape_backward(f.t, a, NULL), LCM_OK);
    for (int i = 0; i < N; i++) {
        assert_true(a->x[i] == 0 || a->x[i] == 4); /* 3 / (1 - 0.25) */
        assert_true(g[i] == a->x[i] / 3 || fabs((double)(g[i] - a->x[i] / 3)) < 1e-6);
        zeros += a->x[i] == 0;
        both += a->x[i] == 0 && b->x[i] == 0;
    }
    /* five standard deviations of a binomial count; two ops of a step draw independently */
    assert_true(abs(zeros - N / 4) < 5 * sqrt(N * 0.25 * 0.75));
    assert_true(abs(both - N / 16) < 5 * sqrt(N * 0.0625 * 0.9375));
    memcpy(first, a->x, sizeof first);
    lcm_tape_reset(f.t, (lcm_tape_opts){.record = false, .train = true});
    lcm_tape_seed(f.t, 5, 1);
    assert_memory_equal(lcm_op_dropout(f.t, &in, 0.25)->x, first, sizeof first);
    lcm_tape_seed(f.t, 5, 2);
    assert_memory_not_equal(lcm_op_dropout(f.t, &in, 0.25)->x, first, sizeof first);
    assert_ptr_equal(lcm_op_dropout(f.t, &in, 0), &in);
    lcm_tape_reset(f.t, (lcm_tape_opts){.record = true});
    assert_ptr_equal(lcm_op_dropout(f.t, &in, 0.25), &in);
    close_fixture(&f);
}

static void expect(const lcm_tensor *y, int64_t rows, int64_t cols, const real *want) {
    assert_non_null(y);
    assert_true(y->rows == rows && y->cols == cols);
    for (int64_t i = 0; i < rows * cols; i++)
        if (y->x[i] != want[i]) fail_msg("[%lld] is %g, expected %g", (long long)i, (double)y->x[i], (double)want[i]);
}
#define EXPECT(y, rows, cols, ...) expect((y), (rows), (cols), (const real[]){__VA_ARGS__})

/* Small integers: exact. */
static void values_of_plain_ops(void **state) {
    static const real xs[] = {1, 2, 3, 4}, vs[] = {10, -1}, ms[] = {5, 6, 1, 0, 7, 8, 2, -1}, cs[] = {100, 200, 300, 400};
    static const int32_t idx[] = {1, -1, 0}, owner[] = {1, 1}, off[] = {0, 0, 2}, ids[] = {1, 0}, places[] = {0, 1};
    fixture f;
    lcm_tensor *x, *v, *m;
    (void)state;
    open_fixture(&f);
    x = lcm_tensor_const(f.t, xs, 2, 2);
    v = lcm_tensor_const(f.t, vs, 1, 2);
    m = lcm_tensor_const(f.t, ms, 2, 4);
    EXPECT(lcm_op_linear(f.t, x, lcm_tensor_const(f.t, xs, 2, 2), v), 2, 2, 15, 10, 21, 24);
    EXPECT(lcm_op_embed(f.t, x, ids, 2, 2, cs, places), 2, 2, 106, 208, 302, 404);
    EXPECT(lcm_op_add(f.t, x, x), 2, 2, 2, 4, 6, 8);
    EXPECT(lcm_op_mul(f.t, x, x), 2, 2, 1, 4, 9, 16);
    EXPECT(lcm_op_scale(f.t, x, -3), 2, 2, -3, -6, -9, -12);
    EXPECT(lcm_op_mul_vec(f.t, x, v), 2, 2, 10, -2, 30, -4);
    EXPECT(lcm_op_affine_rows(f.t, x, vs, cs), 2, 2, 110, 220, 297, 396);
    EXPECT(lcm_op_gather(f.t, x, idx, 3), 3, 2, 3, 4, 0, 0, 1, 2);
    EXPECT(lcm_op_add_rows(f.t, x, lcm_tensor_const(f.t, cs, 2, 2), owner), 2, 2, 301, 402, 303, 404);
    EXPECT(lcm_op_pool(f.t, x, off, 2, LCM_POOL_MEAN), 2, 2, 0, 0, 2, 3);
    EXPECT(lcm_op_pool(f.t, x, off, 2, LCM_POOL_MAX), 2, 2, 0, 0, 3, 4);
    EXPECT(lcm_op_pool(f.t, x, off, 2, LCM_POOL_LAST), 2, 2, 0, 0, 3, 4);
    EXPECT(lcm_op_concat_cols(f.t, x, lcm_tensor_const(f.t, vs, 2, 1)), 2, 3, 1, 2, 10, 3, 4, -1);
    /* x (1 + scale) + shift, then x + gate f */
    EXPECT(lcm_op_modulate(f.t, x, m, 0, 2), 2, 2, 5 + 2, 6 + 2, 7 + 9, 8 + 0);
    EXPECT(lcm_op_gate(f.t, x, lcm_tensor_const(f.t, cs, 2, 2), m, 2), 2, 2, 101, 2, 603, -396);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(out_of_memory_sticks),
        cmocka_unit_test(null_in_null_out),
        cmocka_unit_test(products_are_counted), cmocka_unit_test(steady_step_allocates_nothing),
        cmocka_unit_test(without_record_nothing_is_kept),
        cmocka_unit_test(gradients_accumulate),
        cmocka_unit_test(dropout_masks),
        cmocka_unit_test(values_of_plain_ops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
