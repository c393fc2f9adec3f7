/* The cases. A line of ops.def without NAME_variants below does not compile. */
#include "grad/cases.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/xent.h"

#define RUN(name) static lcm_tensor *name(lcm_tape *t, lcm_tensor *const *in, int arg)

RUN(run_linear) { (void)arg; return lcm_op_linear(t, in[0], in[1], in[2]); }
static const op_variant linear_variants[] = {
    {"bias", run_linear, 0, {{4, 3}, {5, 3}, {1, 5}}},
    {"no bias", run_linear, 0, {{4, 3}, {5, 3}}},
    {"one row", run_linear, 0, {{1, 6}, {2, 6}, {1, 2}}},
};

static const int32_t ids[] = {2, 0, 2, 5, 2}, places[] = {0, 1, 2, 0, 1};
static const real table[] = {0.5, -1, 2, 0.25, 3, -0.75, 1.5, 0.125, -2, 1, 0.5, -0.5};
RUN(run_embed) { return lcm_op_embed(t, in[0], ids, 5, 1.75, arg ? table : NULL, arg ? places : NULL); }
static const op_variant embed_variants[] = {
    {"no positions, repeated and unused ids", run_embed, 0, {{7, 4}}},
    {"positions", run_embed, 1, {{7, 4}}},
};

RUN(run_norm) { return lcm_op_norm(t, in[0], in[1], in[2], arg != 0); }
RUN(run_norm_eps) { return lcm_op_norm_eps(t, in[0], in[1], in[2], arg != 0, 0.5); }
static const op_variant norm_variants[] = {
    {"layer, w and b", run_norm, 0, {{4, 6}, {1, 6}, {1, 6}}}, {"layer, w", run_norm, 0, {{4, 6}, {1, 6}}},
    {"layer, b", run_norm, 0, {{4, 6}, {0}, {1, 6}}},          {"layer", run_norm, 0, {{4, 6}}},
    {"layer, 33 rows", run_norm, 0, {{33, 3}, {1, 3}, {1, 3}}}, {"rms, w", run_norm, 1, {{4, 6}, {1, 6}}},
    {"rms, w and b", run_norm, 1, {{4, 6}, {1, 6}, {1, 6}}},   {"rms", run_norm, 1, {{4, 6}}},
    {"rms, w, large eps", run_norm_eps, 1, {{4, 6}, {1, 6}}},   {"layer, large eps", run_norm_eps, 0, {{4, 6}}},
};

RUN(run_act) { return lcm_op_act(t, in[0], (lcm_act)arg); }
static const op_variant act_variants[] = {
    {"relu", run_act, LCM_ACT_RELU, {{4, 5, SPREAD}}}, {"silu", run_act, LCM_ACT_SILU, {{4, 5}}},
    {"gelu", run_act, LCM_ACT_GELU, {{4, 5}}},       {"tanh", run_act, LCM_ACT_TANH, {{4, 5}}},
    {"sigmoid", run_act, LCM_ACT_SIGMOID, {{4, 5}}},
};

RUN(run_add) { return lcm_op_add(t, in[0], arg ? in[0] : in[1]); }
static const op_variant add_variants[] = {
    {"two", run_add, 0, {{3, 4}, {3, 4}}},
    {"x + x", run_add, 1, {{3, 4}}},
};

RUN(run_mul) { return lcm_op_mul(t, in[0], arg ? in[0] : in[1]); }
static const op_variant mul_variants[] = {
    {"two", run_mul, 0, {{3, 4}, {3, 4}}},
    {"x * x", run_mul, 1, {{3, 4}}},
};

RUN(run_scale) { return lcm_op_scale(t, in[0], arg ? (real)-0.3 : 3); }
static const op_variant scale_variants[] = {{"3", run_scale, 0, {{3, 4}}}, {"-0.3", run_scale, 1, {{3, 4}}}};

RUN(run_mul_vec) { (void)arg; return lcm_op_mul_vec(t, in[0], in[1]); }
static const op_variant mul_vec_variants[] = {{"", run_mul_vec, 0, {{4, 3}, {1, 3}}}};

static const real row_factor[] = {0.5, -2, 1.25};
RUN(run_affine_rows) { (void)arg; return lcm_op_affine_rows(t, in[0], row_factor, table); }
static const op_variant affine_rows_variants[] = {{"", run_affine_rows, 0, {{3, 4}}}};

/* Segments of length 1, 3, 0 and 5, and for cross-attention other key lengths: one query segment
 * has no key at all, one key segment no query. */
static const int32_t self_off[] = {0, 1, 4, 4, 9};
static const int32_t cross_q[] = {0, 2, 3, 3, 6}, cross_k[] = {0, 3, 3, 5, 6};
static const int32_t causal[] = {1, 1, 2, 3, 1, 2, 3, 4, 5};
static const int32_t dropped[] = {1, 0, 3, 1, 0, 0, 5, 2, 4}; /* 0: the row sees nothing */
static const int32_t prefix_k[] = {0, 2, 6, 7, 13};           /* one key more than queries: shifted causal */
static const int32_t shifted[] = {2, 2, 3, 4, 2, 3, 4, 5, 6};
/* One-tower: two contexts causally, then rows behind them that see a part of them, and themselves. */
static const int32_t tower_limit[] = {0, 1, 0, 1, 1, 2, 0, 1, 2}, tower_own[] = {0, -1, 1, 2, -1, -1, 2, 3, 4};
enum { FULL, CAUSAL, DROPPED, CROSS, SHIFTED, GROUPED, OWN };
RUN(run_attention) {
    static const lcm_attn_spec s[] = {[FULL] = {4, 2, self_off, self_off, NULL, NULL},
                                      [CAUSAL] = {4, 2, self_off, self_off, causal, NULL},
                                      [DROPPED] = {4, 2, self_off, self_off, dropped, NULL},
                                      [CROSS] = {4, 2, cross_q, cross_k, NULL, NULL},
                                      [SHIFTED] = {4, 2, self_off, prefix_k, shifted, NULL},
                                      [GROUPED] = {4, 4, self_off, self_off, dropped, NULL},
                                      [OWN] = {4, 2, self_off, self_off, tower_limit, tower_own}};
    return lcm_op_attention(t, in[0], in[1], in[2], &s[arg]);
}
static const op_variant attention_variants[] = {
    {"full", run_attention, FULL, {{9, 6}, {9, 6}, {9, 6}}},
    {"causal", run_attention, CAUSAL, {{9, 6}, {9, 6}, {9, 6}}},
    {"limits with 0", run_attention, DROPPED, {{9, 6}, {9, 6}, {9, 6}}},
    {"cross", run_attention, CROSS, {{6, 6}, {6, 6}, {6, 6}}},
    {"shifted causal", run_attention, SHIFTED, {{9, 6}, {13, 6}, {13, 6}}},
    {"grouped heads", run_attention, GROUPED, {{9, 12}, {9, 6}, {9, 6}}},
    {"a prefix and the own key", run_attention, OWN, {{9, 6}, {9, 6}, {9, 6}}},
};

static const int32_t rope_pos[] = {0, 1, 7, 3, 1000};
RUN(run_rope) { return lcm_op_rope(t, in[0], rope_pos, arg, 10000); }
static const op_variant rope_variants[] = {
    {"two heads", run_rope, 2, {{5, 8}}},
    {"one head", run_rope, 1, {{5, 6}}},
};

/* Rows of angles as given: the op takes any pair, the cosine of one row need not belong to its sine. */
static const real angles[] = {0.6, -0.2, 0.8, 0.97, 1, 0.5, 0, -0.7, -0.3, 0.1, 0.9, 0.25};
RUN(run_rotate) { return lcm_op_rotate(t, in[0], angles, arg); }
static const op_variant rotate_variants[] = {
    {"two heads", run_rotate, 2, {{3, 8}}},
    {"one head", run_rotate, 1, {{2, 6}}},
};

static const int32_t picks[] = {3, -1, 0, 3, 3, -1, 1};
RUN(run_gather) { (void)arg; return lcm_op_gather(t, in[0], picks, 7); }
static const op_variant gather_variants[] = {{"repeated, missing, unused", run_gather, 0, {{5, 3}}}};

static const int32_t owner[] = {1, 0, 1, 1, 3};
RUN(run_add_rows) { (void)arg; return lcm_op_add_rows(t, in[0], in[1], owner); }
static const op_variant add_rows_variants[] = {{"", run_add_rows, 0, {{5, 3}, {4, 3}}}};

static const int32_t pool_off[] = {0, 1, 4, 4, 9};
RUN(run_pool) { return lcm_op_pool(t, in[0], pool_off, 4, (lcm_pool)arg); }
static const op_variant pool_variants[] = {
    {"mean", run_pool, LCM_POOL_MEAN, {{9, 3}}},
    {"max", run_pool, LCM_POOL_MAX, {{9, 3, SPREAD}}},
    {"last", run_pool, LCM_POOL_LAST, {{9, 3}}},
};

RUN(run_concat_cols) { (void)arg; return lcm_op_concat_cols(t, in[0], in[1]); }
static const op_variant concat_cols_variants[] = {{"", run_concat_cols, 0, {{4, 3}, {4, 2}}}};

RUN(run_dropout) { return lcm_op_dropout(t, in[0], arg / 100.0); }
static const op_variant dropout_variants[] = {{"0.4", run_dropout, 40, {{5, 5}}}, {"0.1", run_dropout, 10, {{3, 7}}}};

RUN(run_modulate) { return lcm_op_modulate(t, in[0], in[1], arg ? 3 : 0, arg ? 0 : 6); }
static const op_variant modulate_variants[] = {
    {"shift first", run_modulate, 0, {{4, 3}, {4, 9}}},
    {"scale first", run_modulate, 1, {{4, 3}, {4, 6}}},
};

RUN(run_gate) { return lcm_op_gate(t, in[0], in[1], in[2], arg); }
static const op_variant gate_variants[] = {
    {"column 0", run_gate, 0, {{4, 3}, {4, 3}, {4, 3}}},
    {"column 3", run_gate, 3, {{4, 3}, {4, 3}, {4, 9}}},
};

static const int32_t targets[] = {4, 0, 4, 6, 1};
static const real weights[] = {0.5, 2, 0, 1.25, 1};
enum { PLAIN = 0, WEIGHTED = 1, SMOOTH = 2 };
RUN(run_xent) {
    return lcm_op_xent(t, in[0], in[1], targets, arg & WEIGHTED ? weights : NULL, arg & SMOOTH ? 0.2 : 0, NULL).out;
}
/* More rows than one block of the kernel, so that dE adds up over blocks. */
enum { LONG = LCM_XENT_ROWS + 30 };
RUN(run_xent_blocks) {
    static int32_t target[LONG];
    for (int i = 0; i < LONG; i++) target[i] = i * 7 % 3;
    (void)arg;
    return lcm_op_scale(t, lcm_op_xent(t, in[0], in[1], target, NULL, 0.1, NULL).out, 0.125);
}
static const op_variant xent_variants[] = {
    {"plain", run_xent, PLAIN, {{5, 4}, {7, 4}}},
    {"weighted", run_xent, WEIGHTED, {{5, 4}, {7, 4}}},
    {"smoothed", run_xent, SMOOTH, {{5, 4}, {7, 4}}},
    {"weighted, smoothed", run_xent, WEIGHTED | SMOOTH, {{5, 4}, {7, 4}}},
    {"two blocks", run_xent_blocks, 0, {{LONG, 2}, {3, 2}}},
};

RUN(run_sq_err) { return lcm_op_sq_err(t, in[0], table, arg & WEIGHTED ? weights : NULL, arg & SMOOTH).out; }
static const op_variant sq_err_variants[] = {
    {"squared", run_sq_err, 0, {{3, 4}}},
    {"squared, weighted", run_sq_err, WEIGHTED, {{3, 4}}},
    {"root", run_sq_err, SMOOTH, {{3, 4}}},
    {"root, weighted", run_sq_err, SMOOTH | WEIGHTED, {{3, 4}}},
};

const op_case op_cases[LCM_OP_COUNT] = {
#define X(name) {name##_variants, sizeof name##_variants / sizeof name##_variants[0]},
#include "core/ops.def"
#undef X
};

/* Distinct multiples of 0.17 around zero, none nearer to it than 0.085, in random order. */
static void fill_spread(real *x, int64_t n, lcm_rng *r) {
    int64_t *order = malloc((size_t)n * sizeof *order);
    if (order == NULL) abort();
    for (int64_t i = 0; i < n; i++) order[i] = i;
    lcm_rng_shuffle(r, order, n);
    for (int64_t i = 0; i < n; i++) x[i] = (real)(0.17 * ((double)(order[i] - n / 2) + 0.5));
    free(order);
}

static lcm_tensor *run_problem(lcm_tape *t, void *arg) {
    const op_problem *p = arg;
    return p->variant->run(t, p->in, p->variant->arg);
}

void op_problem_init(op_problem *p, const op_variant *v) {
    lcm_rng r = lcm_rng_make(5, LCM_RNG_TEST);
    memset(p, 0, sizeof *p);
    p->variant = v;
    for (int i = 0; i < LCM_MAX_INPUTS; i++) {
        int64_t n = v->in[i][0] * v->in[i][1];
        if (n == 0) continue;
        p->in[i] = grad_leaf_new(v->in[i][0], v->in[i][1]);
        if (v->in[i][2] == SPREAD) fill_spread(p->in[i]->x, n, &r);
        else
            for (int64_t k = 0; k < n; k++) p->in[i]->x[k] = lcm_rng_normal(&r);
    }
    p->check = grad_problem_make(run_problem, p, p->in, LCM_MAX_INPUTS);
}

void op_problem_free(op_problem *p) {
    for (int i = 0; i < LCM_MAX_INPUTS; i++) grad_leaf_free(p->in[i]);
}
