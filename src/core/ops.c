/* Ops on rows and elements: glue between tape and kernels. Structured ops are in ops_struct.c. */
#include "core/ops.h"

#include <string.h>

#include "kernels/gemm.h"
#include "kernels/norm.h"
#include "kernels/simd.h"

static int64_t count(const lcm_tensor *x) { return x->rows * x->cols; }

static void linear_back(lcm_node *n) {
    const lcm_tensor *x = n->in[0], *w = n->in[1];
    lcm_k_linear_bwd(*(lcm_bf16 **)n->saved, lcm_grad(x), lcm_grad(w), lcm_grad(n->in[2]), n->out->g, x->x, w->x,
                     x->rows, x->cols, w->rows);
}

lcm_tensor *lcm_op_linear(lcm_tape *t, lcm_tensor *x, lcm_tensor *w, lcm_tensor *b) {
    lcm_tensor *in[] = {x, w, b}, *y;
    lcm_bf16 *half = lcm_tape_bf16(t);
    lcm_node *n;
    if (x == NULL || w == NULL) return NULL;
    LCM_ASSERT(x->cols == w->cols && (b == NULL || b->cols == w->rows));
    y = lcm_op_begin(t, &n, LCM_OP_linear, linear_back, x->rows, w->rows, in, 3, sizeof half);
    if (y == NULL) return NULL;
    if (n) *(lcm_bf16 **)n->saved = half;
    lcm_op_count(t, 2.0 * (double)x->rows * (double)x->cols * (double)w->rows * (1 + lcm_pushes(n, x) + lcm_pushes(n, w)));
    lcm_k_linear_fwd(half, y->x, x->x, w->x, b ? b->x : NULL, x->rows, x->cols, w->rows);
    return y;
}

typedef struct embed_saved {
    const int32_t *id;
    real scale;
} embed_saved;

static void embed_back(lcm_node *n) {
    const embed_saved *s = n->saved;
    lcm_k_gather_bwd(n->in[0]->g, n->out->g, s->id, s->scale, n->out->rows, n->out->cols);
}

lcm_tensor *lcm_op_embed(lcm_tape *t, lcm_tensor *E, const int32_t *id, int64_t T, real scale, const real *P,
                         const int32_t *pos) {
    lcm_node *n;
    lcm_tensor *y;
    if (E == NULL) return NULL;
    y = lcm_op_begin(t, &n, LCM_OP_embed, embed_back, T, E->cols, &E, 1, sizeof(embed_saved));
    if (y == NULL) return NULL;
    if (n) *(embed_saved *)n->saved = (embed_saved){id, scale};
    lcm_k_embed_fwd(y->x, E->x, id, scale, P, pos, T, E->cols);
    return y;
}

typedef struct norm_saved {
    real *sv;
    bool rms;
} norm_saved;

static void norm_back(lcm_node *n) {
    const norm_saved *s = n->saved;
    const lcm_tensor *x = n->in[0], *w = n->in[1];
    lcm_k_norm_bwd(lcm_grad(x), lcm_grad(w), lcm_grad(n->in[2]), n->out->g, x->x, w ? w->x : NULL, s->sv, x->rows,
                   x->cols, s->rms);
}

lcm_tensor *lcm_op_norm(lcm_tape *t, lcm_tensor *x, lcm_tensor *w, lcm_tensor *b, bool rms) {
    return lcm_op_norm_eps(t, x, w, b, rms, LCM_NORM_EPS);
}

lcm_tensor *lcm_op_norm_eps(lcm_tape *t, lcm_tensor *x, lcm_tensor *w, lcm_tensor *b, bool rms, double eps) {
    lcm_tensor *in[] = {x, w, b}, *y;
    lcm_node *n;
    real *sv = NULL;
    if (x == NULL) return NULL;
    y = lcm_op_begin(t, &n, LCM_OP_norm, norm_back, x->rows, x->cols, in, 3, sizeof(norm_saved));
    if (y == NULL) return NULL;
    if (n) {
        sv = lcm_tape_alloc(t, (size_t)x->rows * 2 * sizeof *sv);
        if (sv == NULL) return NULL;
        *(norm_saved *)n->saved = (norm_saved){sv, rms};
    }
    lcm_k_norm_eps_fwd(y->x, sv, x->x, w ? w->x : NULL, b ? b->x : NULL, x->rows, x->cols, rms, eps);
    return y;
}

static void act_back(lcm_node *n) {
    lcm_k_act_bwd(n->in[0]->g, n->out->g, n->in[0]->x, count(n->out), *(lcm_act *)n->saved);
}

lcm_tensor *lcm_op_act(lcm_tape *t, lcm_tensor *x, lcm_act act) {
    lcm_node *n;
    lcm_tensor *y;
    if (x == NULL || act == LCM_ACT_NONE) return x;
    y = lcm_op_begin(t, &n, LCM_OP_act, act_back, x->rows, x->cols, &x, 1, sizeof(lcm_act));
    if (y == NULL) return NULL;
    if (n) *(lcm_act *)n->saved = act;
    lcm_k_act_fwd(y->x, x->x, count(x), act);
    return y;
}

static void add_back(lcm_node *n) {
    for (int i = 0; i < 2; i++)
        if (lcm_grad(n->in[i])) lcm_k_acc(n->in[i]->g, n->out->g, 1, count(n->out));
}

lcm_tensor *lcm_op_add(lcm_tape *t, lcm_tensor *a, lcm_tensor *b) {
    lcm_tensor *in[] = {a, b}, *y;
    lcm_node *n;
    if (a == NULL || b == NULL) return NULL;
    LCM_ASSERT(a->rows == b->rows && a->cols == b->cols);
    y = lcm_op_begin(t, &n, LCM_OP_add, add_back, a->rows, a->cols, in, 2, 0);
    if (y) lcm_k_add(y->x, a->x, b->x, count(a));
    return y;
}

static void mul_back(lcm_node *n) {
    if (lcm_grad(n->in[0])) lcm_k_mul_acc(n->in[0]->g, n->out->g, n->in[1]->x, count(n->out));
    if (lcm_grad(n->in[1])) lcm_k_mul_acc(n->in[1]->g, n->out->g, n->in[0]->x, count(n->out));
}

lcm_tensor *lcm_op_mul(lcm_tape *t, lcm_tensor *a, lcm_tensor *b) {
    lcm_tensor *in[] = {a, b}, *y;
    lcm_node *n;
    if (a == NULL || b == NULL) return NULL;
    LCM_ASSERT(a->rows == b->rows && a->cols == b->cols);
    y = lcm_op_begin(t, &n, LCM_OP_mul, mul_back, a->rows, a->cols, in, 2, 0);
    if (y) lcm_k_mul(y->x, a->x, b->x, count(a));
    return y;
}

static void scale_back(lcm_node *n) { lcm_k_acc(n->in[0]->g, n->out->g, *(real *)n->saved, count(n->out)); }

lcm_tensor *lcm_op_scale(lcm_tape *t, lcm_tensor *x, real s) {
    lcm_node *n;
    lcm_tensor *y;
    if (x == NULL) return NULL;
    y = lcm_op_begin(t, &n, LCM_OP_scale, scale_back, x->rows, x->cols, &x, 1, sizeof(real));
    if (y == NULL) return NULL;
    if (n) *(real *)n->saved = s;
    for (int64_t i = 0; i < count(x); i++) y->x[i] = s * x->x[i];
    return y;
}

static void mul_vec_back(lcm_node *n) {
    const lcm_tensor *x = n->in[0], *v = n->in[1];
    real *dx = lcm_grad(x), *dv = lcm_grad(v);
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t c = 0; c < x->cols; c++) {
            real d = n->out->g[r * x->cols + c];
            if (dx) dx[r * x->cols + c] += d * v->x[c];
            if (dv) dv[c] += d * x->x[r * x->cols + c];
        }
}

lcm_tensor *lcm_op_mul_vec(lcm_tape *t, lcm_tensor *x, lcm_tensor *v) {
    lcm_tensor *in[] = {x, v}, *y;
    lcm_node *n;
    if (x == NULL || v == NULL) return NULL;
    LCM_ASSERT(v->cols == x->cols);
    y = lcm_op_begin(t, &n, LCM_OP_mul_vec, mul_vec_back, x->rows, x->cols, in, 2, 0);
    if (y == NULL) return NULL;
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t c = 0; c < x->cols; c++) y->x[r * x->cols + c] = x->x[r * x->cols + c] * v->x[c];
    return y;
}

static void affine_rows_back(lcm_node *n) {
    const real *a = *(const real **)n->saved;
    int64_t C = n->out->cols;
    for (int64_t r = 0; r < n->out->rows; r++)
        for (int64_t c = 0; c < C; c++) n->in[0]->g[r * C + c] += a[r] * n->out->g[r * C + c];
}

lcm_tensor *lcm_op_affine_rows(lcm_tape *t, lcm_tensor *x, const real *a, const real *c) {
    lcm_node *n;
    lcm_tensor *y;
    if (x == NULL) return NULL;
    y = lcm_op_begin(t, &n, LCM_OP_affine_rows, affine_rows_back, x->rows, x->cols, &x, 1, sizeof(real *));
    if (y == NULL) return NULL;
    if (n) *(const real **)n->saved = a;
    for (int64_t r = 0; r < x->rows; r++)
        for (int64_t k = 0; k < x->cols; k++) y->x[r * x->cols + k] = a[r] * x->x[r * x->cols + k] + c[r * x->cols + k];
    return y;
}

static void concat_cols_back(lcm_node *n) {
    int64_t A = n->in[0]->cols, B = n->in[1]->cols;
    real *da = lcm_grad(n->in[0]), *db = lcm_grad(n->in[1]);
    for (int64_t r = 0; r < n->out->rows; r++) {
        const real *g = n->out->g + r * (A + B);
        for (int64_t c = 0; da && c < A; c++) da[r * A + c] += g[c];
        for (int64_t c = 0; db && c < B; c++) db[r * B + c] += g[A + c];
    }
}

lcm_tensor *lcm_op_concat_cols(lcm_tape *t, lcm_tensor *a, lcm_tensor *b) {
    lcm_tensor *in[] = {a, b}, *y;
    lcm_node *n;
    if (a == NULL || b == NULL) return NULL;
    LCM_ASSERT(a->rows == b->rows);
    y = lcm_op_begin(t, &n, LCM_OP_concat_cols, concat_cols_back, a->rows, a->cols + b->cols, in, 2, 0);
    if (y == NULL) return NULL;
    for (int64_t r = 0; r < a->rows; r++) {
        memcpy(y->x + r * y->cols, a->x + r * a->cols, (size_t)a->cols * sizeof(real));
        memcpy(y->x + r * y->cols + a->cols, b->x + r * b->cols, (size_t)b->cols * sizeof(real));
    }
    return y;
}

/* Masks are a pure function of (seed, op, element): drawn again in backward, never stored. */
typedef struct dropout_saved {
    uint64_t seed, stream;
    double p;
} dropout_saved;

static void dropout_apply(real *y, const real *x, int64_t n, const dropout_saved *s, bool accumulate) {
    uint32_t threshold = (uint32_t)(s->p * 4294967296.0);
    real keep = (real)(1 / (1 - s->p));
    LCM_PARALLEL_FOR_IF(n > 8192)
    for (int64_t b = 0; b < (n + 3) / 4; b++) {
        uint32_t w[4];
        lcm_rng_block(w, s->seed, s->stream, (uint64_t)b);
        for (int64_t i = 4 * b; i < 4 * b + 4 && i < n; i++) {
            real v = w[i % 4] < threshold ? 0 : x[i] * keep;
            y[i] = accumulate ? y[i] + v : v;
        }
    }
}

static void dropout_back(lcm_node *n) { dropout_apply(n->in[0]->g, n->out->g, count(n->out), n->saved, true); }

lcm_tensor *lcm_op_dropout(lcm_tape *t, lcm_tensor *x, double p) {
    lcm_node *n;
    lcm_tensor *y;
    dropout_saved s = {.p = p};
    if (x == NULL || p <= 0 || !lcm_tape_training(t)) return x;
    s.stream = lcm_tape_next_dropout(t, &s.seed);
    y = lcm_op_begin(t, &n, LCM_OP_dropout, dropout_back, x->rows, x->cols, &x, 1, sizeof s);
    if (y == NULL) return NULL;
    if (n) memcpy(n->saved, &s, sizeof s);
    dropout_apply(y->x, x->x, count(x), &s, false);
    return y;
}

typedef struct columns {
    int64_t a, b;
} columns;

static void modulate_back(lcm_node *n) {
    const columns *s = n->saved;
    const lcm_tensor *x = n->in[0], *m = n->in[1];
    lcm_k_modulate_bwd(lcm_grad(x), lcm_grad(m), n->out->g, x->x, m->x, x->rows, x->cols, m->cols, s->a, s->b);
}

lcm_tensor *lcm_op_modulate(lcm_tape *t, lcm_tensor *x, lcm_tensor *m, int64_t shift, int64_t scale) {
    lcm_tensor *in[] = {x, m}, *y;
    lcm_node *n;
    if (x == NULL || m == NULL) return NULL;
    LCM_ASSERT(m->rows == x->rows && shift + x->cols <= m->cols && scale + x->cols <= m->cols);
    y = lcm_op_begin(t, &n, LCM_OP_modulate, modulate_back, x->rows, x->cols, in, 2, sizeof(columns));
    if (y == NULL) return NULL;
    if (n) *(columns *)n->saved = (columns){shift, scale};
    lcm_k_modulate_fwd(y->x, x->x, m->x, x->rows, x->cols, m->cols, shift, scale);
    return y;
}

static void gate_back(lcm_node *n) {
    const columns *s = n->saved;
    const lcm_tensor *x = n->in[0], *f = n->in[1], *m = n->in[2];
    lcm_k_gate_bwd(lcm_grad(x), lcm_grad(f), lcm_grad(m), n->out->g, f->x, m->x, x->rows, x->cols, m->cols, s->a);
}

lcm_tensor *lcm_op_gate(lcm_tape *t, lcm_tensor *x, lcm_tensor *f, lcm_tensor *m, int64_t gate) {
    lcm_tensor *in[] = {x, f, m}, *y;
    lcm_node *n;
    if (x == NULL || f == NULL || m == NULL) return NULL;
    LCM_ASSERT(m->rows == x->rows && f->rows == x->rows && f->cols == x->cols && gate + x->cols <= m->cols);
    y = lcm_op_begin(t, &n, LCM_OP_gate, gate_back, x->rows, x->cols, in, 3, sizeof(columns));
    if (y == NULL) return NULL;
    if (n) *(columns *)n->saved = (columns){gate, 0};
    lcm_k_gate_fwd(y->x, x->x, f->x, m->x, x->rows, x->cols, m->cols, gate);
    return y;
}
