/* Layers against the reference: norms, positions, feed-forward, attention. The tolerances are those
 * of tests/data/golden/README.md: float32 against float32 with another order of summation. */
#include "harness/golden.h"

#include <string.h>

#include "nn/layers.h"

typedef struct fixture {
    lcm_ctx *ctx;
    lcm_tape *t;
    golden *g;
    lcm_params p;
} fixture;

static void open_fixture(fixture *f, const char *name) {
    memset(f, 0, sizeof *f);
    f->ctx = lcm_ctx_new();
    f->t = lcm_tape_new(f->ctx, 1 << 20);
    assert_non_null(f->t);
    f->p.ctx = f->ctx;
    f->g = golden_open(name);
    lcm_tape_reset(f->t, (lcm_tape_opts){.record = false});
}

static void close_fixture(fixture *f) {
    golden_close(f->g);
    lcm_params_free(&f->p);
    lcm_tape_free(f->t);
    lcm_ctx_free(f->ctx);
}

/* Every registered parameter from the tensor w.NAME of the same shape. */
static void load(fixture *f) {
    assert_int_equal(lcm_params_alloc(f->ctx, &f->p, false), LCM_OK);
    for (size_t i = 0; i < f->p.n; i++) {
        lcm_param *q = f->p.items[i];
        int64_t dims[LCM_ST_MAX_RANK];
        const real *w = golden_real(f->g, dims, "w.%s", q->name);
        assert_int_equal(dims[0], q->is_vector ? q->t.cols : q->t.rows);
        assert_int_equal(dims[1], q->is_vector ? 0 : q->t.cols);
        memcpy(q->t.x, w, (size_t)(q->t.rows * q->t.cols) * sizeof *w);
    }
}

static lcm_tensor *input(fixture *f, const char *name, int64_t rows, int64_t cols) {
    return lcm_tensor_const(f->t, golden_real(f->g, NULL, "%s", name), rows, cols);
}

static void norms(void **state) {
    static const lcm_norm_style styles[] = {LCM_NORM_STANDARD, LCM_NORM_RMS, LCM_NORM_NOBIAS, LCM_NORM_UNIT};
    fixture f;
    lcm_norm n[4];
    (void)state;
    open_fixture(&f, "01_norms");
    for (int i = 0; i < 4; i++) n[i] = lcm_norm_new(&f.p, 16, styles[i], lcm_norm_style_names[styles[i]]);
    assert_int_equal(f.p.n, 4); /* weights of three, bias of one */
    load(&f);
    for (int i = 0; i < 4; i++) {
        lcm_tensor *y = lcm_norm_fwd(f.t, &n[i], input(&f, "in.x", 6, 16));
        assert_close(y->x, golden_real(f.g, NULL, "out.%s", lcm_norm_style_names[styles[i]]), 6 * 16, 1e-6);
    }
    close_fixture(&f);
}

/* (heads, steps, K) of the reference -> rows of (steps, heads * K) and back */
static void swap_heads(real *dst, const real *src, int64_t a, int64_t b, int64_t K) {
    for (int64_t i = 0; i < a; i++)
        for (int64_t j = 0; j < b; j++) memcpy(dst + (j * a + i) * K, src + (i * b + j) * K, (size_t)K * sizeof *dst);
}

static void rotary(void **state) {
    enum { H = 2, S = 5, K = 8 };
    fixture f;
    (void)state;
    open_fixture(&f, "02_positions");
    for (int off = 0; off <= 3; off += 3) {
        real packed[S * H * K], back[S * H * K];
        int32_t pos[S];
        lcm_tensor *y;
        for (int i = 0; i < S; i++) pos[i] = i + off;
        swap_heads(packed, golden_real(f.g, NULL, "in.q"), H, S, K);
        y = lcm_op_rope(f.t, lcm_tensor_const(f.t, packed, S, H * K), pos, H, 10000);
        swap_heads(back, y->x, S, H, K);
        assert_close(back, golden_real(f.g, NULL, "out.rope_off%d", off), S * H * K, 1e-6);
    }
    close_fixture(&f);
}

static void position_tables(void **state) {
    real table[32 * 16];
    fixture f;
    (void)state;
    open_fixture(&f, "02_positions");
    lcm_sinusoid_table(table, 0, 32, 16);
    assert_close(table, golden_real(f.g, NULL, "out.sinusoid_table"), 32 * 16, 1e-6);
    for (int off = 0; off <= 3; off += 3) {
        int32_t pos[5];
        lcm_tensor *y;
        for (int i = 0; i < 5; i++) pos[i] = i + off;
        y = lcm_op_add_rows(f.t, input(&f, "in.y", 5, 16), input(&f, "w.learned", 32, 16), pos);
        assert_close(y->x, golden_real(f.g, NULL, "out.learned_off%d", off), 5 * 16, 1e-6);
    }
    close_fixture(&f);
}

static void feed_forward(void **state) {
    fixture f;
    lcm_ffn swiglu, relu, gelu;
    lcm_tensor *x;
    (void)state;
    open_fixture(&f, "03_ffn");
    assert_int_equal(lcm_swiglu_inner(64), 256); /* 42 rounded up */
    swiglu = lcm_ffn_new(&f.p, 16, lcm_swiglu_inner(64), LCM_ACT_NONE, true, false, "swiglu");
    relu = lcm_ffn_new(&f.p, 16, 64, LCM_ACT_RELU, false, false, "relu");
    gelu = lcm_ffn_new(&f.p, 16, 64, LCM_ACT_GELU, false, false, "gelu_erf");
    load(&f);
    x = input(&f, "in.x", 6, 16);
    assert_close(lcm_ffn_fwd(f.t, &swiglu, x)->x, golden_real(f.g, NULL, "out.swiglu"), 6 * 16, 2e-6);
    assert_close(lcm_ffn_fwd(f.t, &relu, x)->x, golden_real(f.g, NULL, "out.relu"), 6 * 16, 2e-6);
    assert_close(lcm_ffn_fwd(f.t, &gelu, x)->x, golden_real(f.g, NULL, "out.gelu_erf"), 6 * 16, 2e-6);
    close_fixture(&f);
}

/* Packs the first len[i] of `steps` rows of each sequence, runs, compares the same rows. */
static void compare_mha(fixture *f, const lcm_mha *m, const char *model, const char *mask, const int64_t *len, bool causal,
                        bool rope) {
    enum { N = 3, STEPS = 5, C = 16 };
    const real *x = golden_real(f->g, NULL, "in.%s.x", model), *want = golden_real(f->g, NULL, "out.%s.%s", model, mask);
    real in[N * STEPS * C], out[N * STEPS * C];
    int32_t off[N + 1] = {0}, pos[N * STEPS], limit[N * STEPS];
    lcm_attn_spec spec = {N, m->H, off, off, causal ? limit : NULL, NULL};
    lcm_rope_spec r = {pos, pos, 10000};
    lcm_tensor *xt, *y;
    int64_t T = 0;
    for (int i = 0; i < N; i++)
        for (int64_t k = 0; k < len[i]; k++, T++) {
            memcpy(in + T * C, x + (i * STEPS + k) * C, C * sizeof *in);
            memcpy(out + T * C, want + (i * STEPS + k) * C, C * sizeof *in);
            pos[T] = (int32_t)k;
            limit[T] = (int32_t)k + 1;
            off[i + 1] = (int32_t)T + 1;
        }
    xt = lcm_tensor_const(f->t, in, T, C);
    y = lcm_mha_fwd(f->t, m, xt, xt, &spec, rope ? &r : NULL);
    assert_close(y->x, out, T * C, 2e-6);
}

static void attention(void **state) {
    static const int64_t full[] = {5, 5, 5};
    const int64_t *len;
    fixture f;
    lcm_mha m[2];
    (void)state;
    open_fixture(&f, "04_mha");
    m[0] = lcm_mha_new(&f.p, &(lcm_mha_opts){.H = 2, .dim_q = 16}, "plain");
    m[1] = lcm_mha_new(&f.p, &(lcm_mha_opts){.H = 2, .dim_q = 16, .output_bias = true, .qk_norm = true, .norm = LCM_NORM_RMS},
                       "rope_qknorm");
    load(&f);
    len = golden_i64(f.g, NULL, "in.lens");
    for (int i = 0; i < 2; i++) {
        const char *model = i ? "rope_qknorm" : "plain";
        compare_mha(&f, &m[i], model, "causal", full, true, i);
        compare_mha(&f, &m[i], model, "causal_padded", len, true, i);
        compare_mha(&f, &m[i], model, "full", full, false, i);
    }
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms),        cmocka_unit_test(rotary),    cmocka_unit_test(position_tables),
        cmocka_unit_test(feed_forward), cmocka_unit_test(attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
