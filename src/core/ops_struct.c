/* Ops with structure: attention, rotary positions, gathers, poolings, losses. */
#include <omp.h>
#include <string.h>

#include "core/ops.h"
#include "kernels/gemm.h"
#include "kernels/xent.h"

typedef struct attn_saved {
    lcm_attn_shape shape;
    real *lse;
} attn_saved;

static void attention_back(lcm_node *n) {
    const attn_saved *s = n->saved;
    const lcm_tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
    lcm_k_attention_bwd(lcm_grad(q), lcm_grad(k), lcm_grad(v), n->out->g, n->out->x, s->lse, q->x, k->x, v->x,
                        &s->shape);
}

/* Scores and weighted values forward; backward their gradient, and what each of q, k, v needs of it. */
static double attention_flops(const lcm_attn_shape *s, const lcm_node *n, const lcm_tensor *q, const lcm_tensor *k,
                              const lcm_tensor *v) {
    int to_scores = lcm_pushes(n, q) + lcm_pushes(n, k);
    double pairs = 0;
    for (int64_t i = 0; i < s->n_seg; i++)
        for (int32_t r = s->q_off[i]; r < s->q_off[i + 1]; r++)
            pairs += (s->limit ? s->limit[r] : s->k_off[i + 1] - s->k_off[i]) + (s->own && s->own[r] >= 0);
    return 2 * pairs * (double)(s->H * s->K) * (2 + lcm_pushes(n, v) + to_scores + (to_scores > 0));
}

lcm_tensor *lcm_op_attention(lcm_tape *t, lcm_tensor *q, lcm_tensor *k, lcm_tensor *v, const lcm_attn_spec *spec) {
    lcm_tensor *in[] = {q, k, v}, *y;
    lcm_node *n;
    attn_saved s = {.shape = {.n_seg = spec->n_seg, .H = spec->H, .q_off = spec->q_off, .k_off = spec->k_off,
                              .limit = spec->limit, .own = spec->own}};
    int64_t stride;
    real *scratch;
    if (q == NULL || k == NULL || v == NULL) return NULL;
    LCM_ASSERT(k->cols == v->cols && k->rows == v->rows && q->cols % spec->H == 0);
    LCM_ASSERT(spec->q_off[spec->n_seg] == q->rows && spec->k_off[spec->n_seg] == k->rows);
    s.shape.K = q->cols / spec->H;
    s.shape.G = k->cols / s.shape.K;
    LCM_ASSERT(s.shape.G > 0 && s.shape.G * s.shape.K == k->cols && spec->H % s.shape.G == 0);
    s.shape.ldq = q->cols;
    s.shape.ldk = k->cols;
    y = lcm_op_begin(t, &n, LCM_OP_attention, attention_back, q->rows, q->cols, in, 3, sizeof s);
    stride = lcm_k_attention_longest(&s.shape) + 16; /* keeps two threads off one cache line */
    scratch = lcm_tape_alloc(t, (size_t)(stride * omp_get_max_threads()) * sizeof *scratch);
    if (y == NULL || scratch == NULL) return NULL;
    if (n) {
        s.lse = lcm_tape_alloc(t, (size_t)(q->rows * spec->H) * sizeof(real));
        if (s.lse == NULL) return NULL;
        memcpy(n->saved, &s, sizeof s);
    }
    lcm_op_count(t, attention_flops(&s.shape, n, q, k, v));
    lcm_k_attention_fwd(y->x, s.lse, q->x, k->x, v->x, &s.shape, scratch, stride);
    return y;
}

typedef struct rope_saved {
    const int32_t *pos;
    int64_t H;
    double theta;
    real *tmp;
} rope_saved;

static void rope_back(lcm_node *n) {
    const rope_saved *s = n->saved;
    const lcm_tensor *x = n->in[0];
    memcpy(s->tmp, n->out->g, (size_t)(x->rows * x->cols) * sizeof(real));
    lcm_k_rope(s->tmp, s->pos, x->rows, s->H, x->cols / s->H, x->cols, s->theta, -1);
    lcm_k_acc(x->g, s->tmp, 1, x->rows * x->cols);
}

lcm_tensor *lcm_op_rope(lcm_tape *t, lcm_tensor *x, const int32_t *pos, int64_t H, double theta) {
    lcm_node *n;
    lcm_tensor *y;
    size_t bytes;
    if (x == NULL) return NULL;
    LCM_ASSERT(x->cols % H == 0 && x->cols / H % 2 == 0);
    bytes = (size_t)(x->rows * x->cols) * sizeof(real);
    y = lcm_op_begin(t, &n, LCM_OP_rope, rope_back, x->rows, x->cols, &x, 1, sizeof(rope_saved));
    if (y == NULL) return NULL;
    if (n) {
        real *tmp = lcm_tape_alloc(t, bytes);
        if (tmp == NULL) return NULL;
        *(rope_saved *)n->saved = (rope_saved){pos, H, theta, tmp};
    }
    memcpy(y->x, x->x, bytes);
    lcm_k_rope(y->x, pos, x->rows, H, x->cols / H, x->cols, theta, +1);
    return y;
}

typedef struct rotate_saved {
    const real *cs;
    int64_t H;
    real *tmp;
} rotate_saved;

static void rotate_back(lcm_node *n) {
    const rotate_saved *s = n->saved;
    const lcm_tensor *x = n->in[0];
    memcpy(s->tmp, n->out->g, (size_t)(x->rows * x->cols) * sizeof(real));
    lcm_k_rotate(s->tmp, s->cs, x->rows, s->H, x->cols / s->H, x->cols, -1);
    lcm_k_acc(x->g, s->tmp, 1, x->rows * x->cols);
}

lcm_tensor *lcm_op_rotate(lcm_tape *t, lcm_tensor *x, const real *cs, int64_t H) {
    lcm_node *n;
    lcm_tensor *y;
    size_t bytes;
    if (x == NULL || cs == NULL) return NULL;
    LCM_ASSERT(x->cols % H == 0 && x->cols / H % 2 == 0);
    bytes = (size_t)(x->rows * x->cols) * sizeof(real);
    y = lcm_op_begin(t, &n, LCM_OP_rotate, rotate_back, x->rows, x->cols, &x, 1, sizeof(rotate_saved));
    if (y == NULL) return NULL;
    if (n) {
        real *tmp = lcm_tape_alloc(t, bytes);
        if (tmp == NULL) return NULL;
        *(rotate_saved *)n->saved = (rotate_saved){cs, H, tmp};
    }
    memcpy(y->x, x->x, bytes);
    lcm_k_rotate(y->x, cs, x->rows, H, x->cols / H, x->cols, +1);
    return y;
}

static void gather_back(lcm_node *n) {
    lcm_k_gather_bwd(n->in[0]->g, n->out->g, *(const int32_t **)n->saved, 1, n->out->rows, n->out->cols);
}

lcm_tensor *lcm_op_gather(lcm_tape *t, lcm_tensor *x, const int32_t *idx, int64_t R) {
    lcm_node *n;
    lcm_tensor *y;
    if (x == NULL) return NULL;
    y = lcm_op_begin(t, &n, LCM_OP_gather, gather_back, R, x->cols, &x, 1, sizeof idx);
    if (y == NULL) return NULL;
    if (n) memcpy(n->saved, &idx, sizeof idx);
    lcm_k_gather_fwd(y->x, x->x, idx, R, x->cols);
    return y;
}

static void add_rows_back(lcm_node *n) {
    if (lcm_grad(n->in[0])) lcm_k_acc(n->in[0]->g, n->out->g, 1, n->out->rows * n->out->cols);
    if (lcm_grad(n->in[1]))
        lcm_k_gather_bwd(n->in[1]->g, n->out->g, *(const int32_t **)n->saved, 1, n->out->rows, n->out->cols);
}

lcm_tensor *lcm_op_add_rows(lcm_tape *t, lcm_tensor *x, lcm_tensor *c, const int32_t *idx) {
    lcm_tensor *in[] = {x, c}, *y;
    lcm_node *n;
    if (x == NULL || c == NULL) return NULL;
    LCM_ASSERT(x->cols == c->cols);
    y = lcm_op_begin(t, &n, LCM_OP_add_rows, add_rows_back, x->rows, x->cols, in, 2, sizeof idx);
    if (y == NULL) return NULL;
    if (n) memcpy(n->saved, &idx, sizeof idx);
    lcm_k_add_rows_fwd(y->x, x->x, c->x, idx, x->rows, x->cols);
    return y;
}

typedef struct pool_saved {
    const int32_t *off;
    int32_t *arg;
    lcm_pool kind;
} pool_saved;

static void pool_back(lcm_node *n) {
    const pool_saved *s = n->saved;
    lcm_k_pool_bwd(n->in[0]->g, s->arg, n->out->g, s->off, n->out->rows, n->out->cols, s->kind);
}

lcm_tensor *lcm_op_pool(lcm_tape *t, lcm_tensor *x, const int32_t *off, int64_t n_seg, lcm_pool kind) {
    lcm_node *n;
    lcm_tensor *y;
    int32_t *arg = NULL;
    if (x == NULL) return NULL;
    y = lcm_op_begin(t, &n, LCM_OP_pool, pool_back, n_seg, x->cols, &x, 1, sizeof(pool_saved));
    if (y == NULL) return NULL;
    if (n) {
        if (kind == LCM_POOL_MAX) {
            arg = lcm_tape_alloc(t, (size_t)(n_seg * x->cols) * sizeof *arg);
            if (arg == NULL) return NULL;
        }
        *(pool_saved *)n->saved = (pool_saved){off, arg, kind};
    }
    lcm_k_pool_fwd(y->x, arg, x->x, off, n_seg, x->cols, kind);
    return y;
}

/* Both losses compute their gradient at unit upstream while the data is hot; backward scales it. */
typedef struct loss_saved {
    real *d0, *d1;
} loss_saved;

static void loss_back(lcm_node *n) {
    const loss_saved *s = n->saved;
    real g = n->out->g[0];
    if (lcm_grad(n->in[0])) lcm_k_acc(n->in[0]->g, s->d0, g, n->in[0]->rows * n->in[0]->cols);
    if (n->in[1] && lcm_grad(n->in[1])) lcm_k_acc(n->in[1]->g, s->d1, g, n->in[1]->rows * n->in[1]->cols);
}

lcm_loss lcm_op_xent(lcm_tape *t, lcm_tensor *h, lcm_tensor *E, const int32_t *target, const real *w,
                     double smoothing, uint8_t *hit) {
    lcm_tensor *in[] = {h, E}, *y;
    lcm_loss loss = {0};
    lcm_node *n;
    real *scratch, *dh = NULL, *dE = NULL;
    if (h == NULL || E == NULL) return loss;
    LCM_ASSERT(h->cols == E->cols);
    y = lcm_op_begin(t, &n, LCM_OP_xent, loss_back, 1, 1, in, 2, sizeof(loss_saved));
    scratch = lcm_tape_alloc(t, (size_t)(LCM_XENT_ROWS * E->rows) * sizeof *scratch);
    loss.rows = lcm_tape_alloc(t, (size_t)h->rows * sizeof(real));
    if (n) {
        size_t bytes = (size_t)(E->rows * E->cols) * sizeof(real);
        dh = lcm_tape_alloc(t, (size_t)(h->rows * h->cols) * sizeof(real));
        if (E->needs && (dE = lcm_tape_alloc(t, bytes)) != NULL) memset(dE, 0, bytes);
        *(loss_saved *)n->saved = (loss_saved){dh, dE};
    }
    if (y == NULL || lcm_tape_status(t)) return loss;
    lcm_op_count(t, 2.0 * (double)h->rows * (double)h->cols * (double)E->rows * (1 + lcm_pushes(n, h) + lcm_pushes(n, E)));
    loss.sum = lcm_k_xent(lcm_tape_bf16(t), dh, dE, loss.rows, hit, h->x, E->x, target, w, h->rows, h->cols, E->rows, smoothing, scratch);
    y->x[0] = (real)loss.sum;
    loss.out = y;
    return loss;
}

lcm_loss lcm_op_sq_err(lcm_tape *t, lcm_tensor *p, const real *target, const real *w, bool rmse) {
    lcm_tensor *y;
    lcm_loss loss = {0};
    lcm_node *n;
    real *dp = NULL;
    if (p == NULL) return loss;
    y = lcm_op_begin(t, &n, LCM_OP_sq_err, loss_back, 1, 1, &p, 1, sizeof(loss_saved));
    loss.rows = lcm_tape_alloc(t, (size_t)p->rows * sizeof(real));
    if (n) {
        dp = lcm_tape_alloc(t, (size_t)(p->rows * p->cols) * sizeof(real));
        *(loss_saved *)n->saved = (loss_saved){dp, NULL};
    }
    if (y == NULL || lcm_tape_status(t)) return loss;
    loss.sum = lcm_k_sq_err(dp, loss.rows, p->x, target, w, p->rows, p->cols, rmse);
    y->x[0] = (real)loss.sum;
    loss.out = y;
    return loss;
}
