/* Quant-LCM: parameters, targets, loss. */
#include "lcm/quant.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/gemm.h"
#include "kernels/simd.h"

static_assert(offsetof(lcm_quant, model) == 0 && offsetof(lcm_one_tower, model) == 0, "a lcm_model comes first");

#define CODEBOOKS "quantizer.codebooks"

const lcm_field lcm_quant_fields[] = {
    LCM_MODEL_SIZE_FIELDS(lcm_quant_config),
    LCM_F_INT(lcm_quant_config, codebooks, 1, 4096, "codebooks: the first so many of the codebook file"),
    LCM_F_INT(lcm_quant_config, units, 2, 1048576, "units of each codebook"),
    LCM_F_INT(lcm_quant_config, codebook_embed_dim, 1, 65536,
              "size of the codebook index's embedding, concatenated to every row"),
    LCM_F_STRUCT(lcm_quant_config, frontend, lcm_encoder_frontend_fields,
                 "from concepts and codebook indices to the model's width"),
    LCM_F_STRUCT(lcm_quant_config, tower, lcm_transformer_fields, "the Transformer"),
    LCM_F_STRUCT(lcm_quant_config, postnet, lcm_projection_fields, "its end"),
    LCM_F_BOOL(lcm_quant_config, trained_with_cf_guidance, "contexts are dropped in training, so guidance can be used"),
    LCM_F_END};

lcm_quant_config lcm_quant_config_default(void) {
    lcm_one_tower_config o = lcm_one_tower_config_default();
    lcm_quant_config c = {.sonar_embed_dim = o.sonar_embed_dim, .max_seq_len = o.max_seq_len, .model_dim = o.model_dim,
                          .codebooks = 64, .units = 8192, .codebook_embed_dim = o.timestep_embed_dim,
                          .frontend = o.frontend, .tower = o.tower, .postnet = o.postnet};
    return c;
}

static lcm_status build(lcm_ctx *ctx, lcm_quant *m, bool discrete) {
    const lcm_quant_config *c = &m->config;
    lcm_rvq_config q = {.dim = c->sonar_embed_dim, .codebooks = c->codebooks, .units = c->units};
    lcm_init spread = {LCM_INIT_NORMAL, 1 / sqrt((double)c->model_dim)}; /* logits of unit variance behind a norm */
    m->net.config = (lcm_one_tower_config){.sonar_embed_dim = c->sonar_embed_dim, .max_seq_len = c->max_seq_len,
                                           .model_dim = c->model_dim, .timestep_embed_dim = c->codebook_embed_dim,
                                           .frontend = c->frontend, .tower = c->tower, .postnet = c->postnet,
                                           .trained_with_cf_guidance = c->trained_with_cf_guidance};
    m->net.n_levels = c->codebooks;
    LCM_TRY(lcm_one_tower_register(ctx, &m->net, discrete ? c->model_dim : c->sonar_embed_dim, "embed_codebook"));
    if (discrete) m->units = lcm_params_matrix(&m->model.params, c->units, c->model_dim, spread, "units.weight");
    m->model.rvq = &m->rvq;
    m->model.frozen = CODEBOOKS;
    return lcm_rvq_register(ctx, &m->rvq, &m->model.params, &q, CODEBOOKS);
}

lcm_status lcm_quant_new(lcm_ctx *ctx, lcm_quant **out, const lcm_quant_config *config, bool discrete) {
    lcm_quant *m;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_transformer_config_check(ctx, &config->tower, config->model_dim, "tower"));
    LCM_TRY(lcm_calloc(ctx, &m, 1, sizeof *m));
    m->config = *config;
    m->model.config = &m->config;
    st = build(ctx, m, discrete);
    if (st) {
        lcm_quant_free(m);
        return st;
    }
    *out = m;
    return LCM_OK;
}

void lcm_quant_free(lcm_quant *m) {
    if (m == NULL) return;
    lcm_rvq_free(&m->rvq);
    lcm_one_tower_clear(&m->net);
    free(m);
}

/* ---- targets ---- */

static const int64_t *draw_codebooks(lcm_tape *t, int64_t R, int64_t K, const lcm_draws *draws) {
    lcm_rng rng = lcm_rng_make(draws->seed, LCM_RNG_STEP + (draws->step << 8));
    int64_t *level;
    if (draws->t) return draws->t;
    level = lcm_tape_alloc(t, (size_t)R * sizeof *level);
    for (int64_t r = 0; level && r < R; r++) level[r] = (int64_t)lcm_rng_below(&rng, (uint64_t)K);
    return level;
}

/* Rows by falling codebook, so that those which still need codebook k are the first n_k. */
static int64_t *sort_rows(lcm_tape *t, int64_t *count, const int64_t *level, int64_t R, int64_t K) {
    int64_t *order = lcm_tape_alloc(t, (size_t)R * sizeof *order), at = 0;
    if (order == NULL) return NULL;
    for (int64_t k = K - 1; k >= 0; k--) {
        for (int64_t r = 0; r < R; r++)
            if (level[r] == k) order[at++] = r;
        count[k] = at;
    }
    return order;
}

typedef struct coding {
    const lcm_rvq *q;
    const int64_t *level, *order, *count; /* count[k]: rows of codebook k or later */
    real *left, *sum, *scratch;           /* (R,D) in sorted order: residual, s_k */
    int32_t *unit, *code;                 /* (R) the target's unit; of one codebook, sorted */
    int64_t R, D;
} coding;

static void encode(const coding *c, const real *clean) {
    int64_t K = c->q->config.codebooks;
    for (int64_t i = 0; i < c->R; i++) memcpy(c->left + i * c->D, clean + c->order[i] * c->D, (size_t)c->D * sizeof(real));
    for (int64_t k = 0; k < K && c->count[k] > 0; k++) {
        int64_t later = k + 1 < K ? c->count[k + 1] : 0;
        lcm_rvq_step(c->code, c->left, c->q, k, c->count[k], c->scratch);
        for (int64_t i = later; i < c->count[k]; i++) c->unit[c->order[i]] = c->code[i];
        for (int64_t i = 0; i < later; i++) lcm_rvq_add(c->sum + c->order[i] * c->D, c->q, k, c->code + i, 1);
    }
}

lcm_status lcm_quant_targets_make(lcm_ctx *ctx, lcm_quant_targets *out, lcm_tape *t, const lcm_quant *m, const real *z,
                                  const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws) {
    int64_t D = m->model.embed_dim, K = m->config.codebooks, R = lcm_targets_count(b), *count;
    coding w = {.q = &m->rvq, .R = R, .D = D};
    const real *clean;
    real *weight;
    if (R == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "batch of %lld documents without a target concept", (long long)b->n_docs);
    clean = lcm_targets_rows(t, z, b, R, D);
    out->g = (lcm_noisy_targets){.R = R, .dropped = lcm_targets_dropped(t, b, R, &c->config, draws)};
    out->g.level = w.level = draw_codebooks(t, R, K, draws);
    count = lcm_tape_alloc(t, (size_t)K * sizeof *count);
    w.left = lcm_tape_alloc(t, (size_t)(R * D) * sizeof *w.left);
    w.sum = lcm_tape_alloc(t, (size_t)(R * D) * sizeof *w.sum);
    w.scratch = lcm_tape_alloc(t, (size_t)lcm_rvq_scratch(&m->rvq) * sizeof *w.scratch);
    weight = lcm_tape_alloc(t, (size_t)R * sizeof *weight);
    w.unit = lcm_tape_alloc(t, (size_t)R * sizeof *w.unit);
    w.code = lcm_tape_alloc(t, (size_t)R * sizeof *w.code);
    LCM_TRY(lcm_tape_status(t));
    for (int64_t r = 0; r < R; r++)
        if (w.level[r] < 0 || w.level[r] >= K)
            LCM_FAIL(ctx, LCM_ERR_ARG, "codebook %lld of row %lld, the model has 0 to %lld", (long long)w.level[r], (long long)r,
                     (long long)(K - 1));
    w.count = count;
    w.order = sort_rows(t, count, w.level, R, K);
    LCM_TRY(lcm_tape_status(t));
    memset(w.sum, 0, (size_t)(R * D) * sizeof *w.sum);
    encode(&w, clean);
    for (int64_t r = 0; r < R; r++) weight[r] = 1;
    lcm_concept_batch_weigh(weight, b);
    out->g.w = weight;
    out->g.noisy = w.sum;
    out->g.target = clean;
    out->unit = w.unit;
    return LCM_OK;
}

/* ---- loss ---- */

static void unit_loss(lcm_tape *t, lcm_model_loss *out, const lcm_quant *m, lcm_tensor *h, const lcm_quant_targets *q,
                      const lcm_criterion_config *c) {
    int64_t R = q->g.R;
    uint8_t *hit = lcm_tape_alloc(t, (size_t)R);
    lcm_loss l = lcm_op_xent(t, h, m->units, q->unit, q->g.w, 0, hit);
    if (l.out == NULL || hit == NULL) return;
    out->sum = l.sum;
    out->rows = l.rows;
    out->n_rows = R;
    for (int64_t r = 0; r < R; r++) out->n_hits += hit[r];
    out->out = c->reduction == LCM_REDUCE_MEAN ? lcm_op_scale(t, l.out, (real)(1 / (double)R)) : l.out;
}

lcm_status lcm_quant_loss(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_quant *m, const lcm_concept_batch *b,
                          const lcm_criterion *c, const lcm_draws *draws) {
    lcm_quant_targets q;
    lcm_one_tower_rows rows;
    lcm_tensor *y;
    real *z;
    LCM_TRY(lcm_concept_batch_check(ctx, b, m->model.max_seq_len));
    z = lcm_model_normalize(t, &m->model, b->x, b->off[b->n_docs], 0);
    LCM_TRY(lcm_tape_status(t));
    LCM_TRY(lcm_quant_targets_make(ctx, &q, t, m, z, b, c, draws));
    rows = lcm_one_tower_rows_make(t, b, z, m->model.embed_dim, &q.g);
    LCM_TRY(lcm_tape_status(t));
    y = lcm_one_tower_fwd(t, &m->net, &rows);
    *out = (lcm_model_loss){.n_targets = q.g.R, .t = q.g.level, .of_units = m->units != NULL};
    if (m->units) unit_loss(t, out, m, y, &q, &c->config);
    else lcm_model_loss_finish(t, out, &m->model, y, q.g.target, q.g.w, NULL, &c->config);
    return lcm_tape_status(t);
}

/* ---- scores of units ---- */

LCM_CLONES static real distance(const real *c, const real *x, const real *sum, int64_t D) {
    real s = 0;
    LCM_SIMD_SUM(s)
    for (int64_t i = 0; i < D; i++) s += (c[i] - (x[i] - sum[i])) * (c[i] - (x[i] - sum[i]));
    return r_sqrt(s);
}

void lcm_quant_logits(real *logit, const lcm_quant *m, int64_t codebook, const real *out, const real *sum, int64_t n) {
    int64_t U = m->config.units, M = m->config.model_dim, D = m->model.embed_dim;
    const real *c = m->rvq.book[codebook]->x;
    if (m->units) {
        lcm_k_gemm(false, true, n, U, M, 1, out, M, m->units->x, M, 0, logit, U);
        return;
    }
    LCM_PARALLEL_FOR_IF(n * U * D > 65536)
    for (int64_t i = 0; i < n * U; i++) logit[i] = -distance(c + i % U * D, out + i / U * D, sum + i / U * D, D);
}
