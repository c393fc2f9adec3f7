/* Incremental Llama. */
#include "llama/llama_decoder.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/gemm.h"
#include "kernels/norm.h"
#include "kernels/simd.h"

/* Rows fed at once; rows of a document from which attention is two matrix products per head; rows of such
 * a product, which bound the scores kept. */
enum { CHUNK = 256, PRODUCT_FROM = 16, BLOCK = 64 };

struct lcm_llama_decoder {
    const lcm_llama *m;
    int64_t slots, cap, max_rows;
    int64_t stride;                            /* of a thread's part of `scores` */
    int32_t *length;                           /* (slots) */
    int32_t *pos, *limit, *run_slot, *run_off; /* (max_rows), the last (max_rows + 1) */
    int32_t *row_id;                           /* (max_rows) */
    real *k, *v;                               /* (layers, slots, cap, G*K) */
    real *x, *h, *q, *kn, *vn, *angles;        /* (max_rows, D), (., D or H*K) x2, (., G*K) x2, (., K) */
    real *gate, *up;                           /* (max_rows, F) x2 */
    real *scores, *last, *logits;              /* see stride and BLOCK; (slots, D), (slots, V) */
    void *block;
};

typedef struct part {
    real **field;
    size_t values;
} part;

static size_t padded(size_t values) { return (values + 15) / 16 * 16; }

/* Row counts fit 32 bits by the limits of the configuration; only products with cap and V can be large. */
static lcm_status allocate(lcm_ctx *ctx, lcm_llama_decoder *d) {
    const lcm_llama_config *c = &d->m->config;
    size_t R = (size_t)d->max_rows, D = (size_t)c->hidden_size, K = (size_t)c->head_dim, F = (size_t)c->intermediate_size;
    size_t Q = (size_t)c->num_attention_heads * K, G = (size_t)c->num_key_value_heads * K, S = (size_t)d->slots;
    size_t threads = (size_t)lcm_max_i(omp_get_max_threads(), omp_get_num_procs()), rows = threads > BLOCK ? threads : BLOCK;
    size_t cache, scores, total = 0, bytes;
    real *at;
    if (!lcm_mul_size(&cache, (size_t)c->num_hidden_layers * S, (size_t)d->cap) || !lcm_mul_size(&cache, cache, G) ||
        !lcm_mul_size(&scores, (size_t)d->stride, rows))
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "cache of %zu documents of %lld tokens is too large", S, (long long)d->cap);
    const part parts[] = {{&d->k, cache},    {&d->v, cache},   {&d->x, R * D},      {&d->h, R * (D > Q ? D : Q)},
                          {&d->q, R * (D > Q ? D : Q)}, {&d->kn, R * G},  {&d->vn, R * G},     {&d->angles, R * K},
                          {&d->gate, R * F}, {&d->up, R * F},  {&d->scores, scores}, {&d->last, S * D},
                          {&d->logits, S * (size_t)c->vocab_size}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!lcm_add_size(&total, total, padded(parts[i].values))) total = SIZE_MAX / 2;
    if (!lcm_mul_size(&bytes, total, sizeof(real)) || (d->block = aligned_alloc(64, (bytes + 63) / 64 * 64)) == NULL)
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: %zu documents of %lld tokens need %.2f GB of keys and values", S,
                 (long long)d->cap, (double)cache * 2 * sizeof(real) / 1e9);
    at = d->block;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].field = at;
        at += padded(parts[i].values);
    }
    LCM_TRY(lcm_calloc(ctx, &d->length, S, sizeof *d->length));
    LCM_TRY(lcm_calloc(ctx, &d->pos, 5 * R + 1, sizeof *d->pos));
    d->limit = d->pos + R;
    d->row_id = d->limit + R;
    d->run_slot = d->row_id + R;
    d->run_off = d->run_slot + R;
    return LCM_OK;
}

lcm_status lcm_llama_decoder_new(lcm_ctx *ctx, lcm_llama_decoder **out, const lcm_llama *m, int64_t slots, int64_t cap) {
    lcm_llama_decoder *d;
    lcm_status st;
    *out = NULL;
    if (cap < 1 || cap > m->config.max_position_embeddings)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "%lld tokens are outside 1 … %lld", (long long)cap,
                 (long long)m->config.max_position_embeddings);
    if (slots < 1 || slots > INT32_MAX / cap)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "%lld documents of %lld tokens: at most 2^31 tokens in all", (long long)slots,
                 (long long)cap);
    LCM_TRY(lcm_calloc(ctx, &d, 1, sizeof *d));
    d->m = m;
    d->slots = slots;
    d->cap = cap;
    d->max_rows = slots > CHUNK ? slots : CHUNK;
    d->stride = cap + 16; /* keeps two threads off one cache line */
    st = allocate(ctx, d);
    if (st) {
        lcm_llama_decoder_free(d);
        return st;
    }
    *out = d;
    return LCM_OK;
}

void lcm_llama_decoder_free(lcm_llama_decoder *d) {
    if (d == NULL) return;
    free(d->block);
    free(d->length);
    free(d->pos);
    free(d);
}

int64_t lcm_llama_decoder_length(const lcm_llama_decoder *d, int32_t slot) { return d->length[slot]; }

void lcm_llama_decoder_cut(lcm_llama_decoder *d, int32_t slot, int64_t n) {
    LCM_ASSERT(n >= 0 && n <= d->length[slot]);
    d->length[slot] = (int32_t)n;
}

/* Rows of the chunk in hand, in runs of one document each. */
typedef struct chunk {
    int64_t rows, runs;
} chunk;

/* softmax(s / sqrt(K)) over the first n of width values, zeros behind. */
LCM_CLONES static void softmax_row(real *s, int64_t n, int64_t width, real scale) {
    real top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) top = s[j] > top ? s[j] : top;
    LCM_SIMD_SUM(sum)
    for (int64_t j = 0; j < n; j++) {
        s[j] = r_exp((s[j] - top) * scale);
        sum += s[j];
    }
    sum = 1 / sum;
    LCM_SIMD
    for (int64_t j = 0; j < n; j++) s[j] *= sum;
    for (int64_t j = n; j < width; j++) s[j] = 0;
}

/* Rows r0 … r0+n-1 of one document, which stands at `before` tokens: scores and sums as products. */
static void attend_block(lcm_llama_decoder *d, const real *k, const real *v, int64_t r0, int64_t n) {
    const lcm_llama_config *c = &d->m->config;
    int64_t H = c->num_attention_heads, K = c->head_dim, G = c->num_key_value_heads, width = d->limit[r0 + n - 1];
    real scale = 1 / r_sqrt((real)K), *s = d->scores;
    for (int64_t h = 0; h < H; h++) {
        int64_t column = h / (H / G) * K, at = r0 * H * K + h * K;
        lcm_k_gemm(false, true, n, width, K, 1, d->q + at, H * K, k + column, G * K, 0, s, width);
        LCM_PARALLEL_FOR_IF(n * width > 16384)
        for (int64_t i = 0; i < n; i++) softmax_row(s + i * width, d->limit[r0 + i], width, scale);
        lcm_k_gemm(false, false, n, K, width, 1, s, width, v + column, G * K, 0, d->h + at, H * K);
    }
}

static void attend_run(lcm_llama_decoder *d, const real *k, const real *v, int64_t r0, int64_t n) {
    const lcm_llama_config *c = &d->m->config;
    int64_t H = c->num_attention_heads, K = c->head_dim, G = c->num_key_value_heads;
    int32_t q_off[2] = {0, (int32_t)n}, k_off[2] = {0, d->limit[r0 + n - 1]};
    lcm_attn_shape shape = {1, H, K, H * K, G * K, q_off, k_off, d->limit + r0, G, NULL};
    if (n < PRODUCT_FROM) {
        lcm_k_attention_fwd(d->h + r0 * H * K, NULL, d->q + r0 * H * K, k, v, &shape, d->scores, d->stride);
        return;
    }
    for (int64_t i = 0; i < n; i += BLOCK) attend_block(d, k, v, r0 + i, lcm_min_i(BLOCK, n - i));
}

/* d->h: normed input, then the heads' sums. */
static void attention(lcm_llama_decoder *d, const chunk *b, int64_t l) {
    const lcm_llama_config *c = &d->m->config;
    const lcm_llama_layer *y = &d->m->layers[l];
    int64_t D = c->hidden_size, K = c->head_dim, Q = c->num_attention_heads * K, G = c->num_key_value_heads * K;
    lcm_k_linear_fwd(NULL, d->q, d->h, y->q.w->x, NULL, b->rows, D, Q);
    lcm_k_linear_fwd(NULL, d->kn, d->h, y->k.w->x, NULL, b->rows, D, G);
    lcm_k_linear_fwd(NULL, d->vn, d->h, y->v.w->x, NULL, b->rows, D, G);
    lcm_k_rotate(d->q, d->angles, b->rows, c->num_attention_heads, K, Q, +1);
    lcm_k_rotate(d->kn, d->angles, b->rows, c->num_key_value_heads, K, G, +1);
    for (int64_t i = 0; i < b->runs; i++) {
        int64_t r0 = d->run_off[i], n = d->run_off[i + 1] - r0, base = (l * d->slots + d->run_slot[i]) * d->cap * G;
        memcpy(d->k + base + d->pos[r0] * G, d->kn + r0 * G, (size_t)(n * G) * sizeof(real));
        memcpy(d->v + base + d->pos[r0] * G, d->vn + r0 * G, (size_t)(n * G) * sizeof(real));
        attend_run(d, d->k + base, d->v + base, r0, n);
    }
    lcm_k_linear_fwd(NULL, d->q, d->h, y->o.w->x, NULL, b->rows, Q, D);
    lcm_k_acc(d->x, d->q, 1, b->rows * D);
}

static void feed_forward(lcm_llama_decoder *d, const chunk *b, int64_t l) {
    const lcm_llama_layer *y = &d->m->layers[l];
    int64_t D = d->m->config.hidden_size, F = d->m->config.intermediate_size;
    lcm_k_linear_fwd(NULL, d->gate, d->h, y->gate.w->x, NULL, b->rows, D, F);
    lcm_k_linear_fwd(NULL, d->up, d->h, y->up.w->x, NULL, b->rows, D, F);
    lcm_k_act_fwd(d->gate, d->gate, b->rows * F, LCM_ACT_SILU);
    lcm_k_mul(d->gate, d->gate, d->up, b->rows * F);
    lcm_k_linear_fwd(NULL, d->h, d->gate, y->down.w->x, NULL, b->rows, F, D);
    lcm_k_acc(d->x, d->h, 1, b->rows * D);
}

static void norm(lcm_llama_decoder *d, const lcm_norm *n, real *y, const real *x, int64_t rows) {
    lcm_k_norm_eps_fwd(y, NULL, x, n->w->x, NULL, rows, d->m->config.hidden_size, true, d->m->config.rms_norm_eps);
}

/* Runs the rows laid down by `fill` through all layers; x is what the final norm reads. */
static void run_chunk(lcm_llama_decoder *d, const chunk *b) {
    const lcm_llama_config *c = &d->m->config;
    lcm_k_rotary_angles(d->angles, d->pos, b->rows, c->head_dim, c->rope_theta);
    lcm_k_embed_fwd(d->x, d->m->embed->x, d->row_id, 1, NULL, NULL, b->rows, c->hidden_size);
    for (int64_t l = 0; l < c->num_hidden_layers; l++) {
        norm(d, &d->m->layers[l].attn_norm, d->h, d->x, b->rows);
        attention(d, b, l);
        norm(d, &d->m->layers[l].ffn_norm, d->h, d->x, b->rows);
        feed_forward(d, b, l);
    }
}

real *lcm_llama_decoder_feed(lcm_llama_decoder *d, int64_t n, const int32_t *slot, const int32_t *off, const int32_t *ids) {
    const lcm_llama_config *c = &d->m->config;
    int64_t D = c->hidden_size, doc = 0, at = 0;
    LCM_ASSERT(n >= 1 && n <= d->slots);
    while (doc < n) {
        chunk b = {0, 0};
        int64_t first = doc;
        while (doc < n && b.rows < d->max_rows) { /* the rest of a document, or as much of it as fits */
            int64_t left = off[doc + 1] - off[doc] - at, take = lcm_min_i(left, d->max_rows - b.rows);
            LCM_ASSERT(left >= 1 && d->length[slot[doc]] + take <= d->cap);
            for (int64_t i = 0; i < take; i++) {
                d->pos[b.rows + i] = d->length[slot[doc]] + (int32_t)i;
                d->limit[b.rows + i] = d->pos[b.rows + i] + 1;
                d->row_id[b.rows + i] = ids[off[doc] + at + i];
            }
            d->run_slot[b.runs] = slot[doc];
            d->run_off[b.runs++] = (int32_t)b.rows;
            b.rows += take;
            d->length[slot[doc]] += (int32_t)take;
            at = take == left ? 0 : at + take;
            doc += take == left;
        }
        d->run_off[b.runs] = (int32_t)b.rows;
        run_chunk(d, &b);
        for (int64_t i = 0; first + i < doc; i++) /* documents that ended in this chunk */
            memcpy(d->last + (first + i) * D, d->x + (d->run_off[i + 1] - 1) * D, (size_t)D * sizeof(real));
    }
    norm(d, &d->m->norm, d->h, d->last, n);
    lcm_k_gemm(false, true, n, c->vocab_size, D, 1, d->h, D, d->m->head->x, D, 0, d->logits, c->vocab_size);
    return d->logits;
}
