/* SONAR ready for inference. */
#include "sonar/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/room.h"
#include "kernels/finite.h"

void lcm_sonar_scale_name(char dst[LCM_PARAM_NAME + 8], const char *name) {
    snprintf(dst, LCM_PARAM_NAME + 8, "%s.scale", name);
}

/* ---- One tensor ---- */

static lcm_status check_finite(lcm_ctx *ctx, const char *name, int64_t bad) {
    if (bad >= 0)
        LCM_FAIL(ctx, LCM_ERR_NUMERIC, "tensor '%s' holds a non-finite value at element %lld", name, (long long)bad);
    return LCM_OK;
}

static bool stays_in_place(const lcm_st_tensor *t) {
    bool half = t->dtype == LCM_DT_F16 || t->dtype == LCM_DT_BF16;
    return (half || t->dtype == LCM_DT_REAL || t->dtype == LCM_DT_U8) && lcm_st_aligned(t);
}

static lcm_status take(lcm_ctx *ctx, lcm_sonar_net *n, void *out, size_t bytes) {
    *(void **)out = lcm_arena_alloc(n->own, bytes);
    if (*(void **)out == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: %zu bytes of weights", bytes);
    return LCM_OK;
}

/* Values as real, in memory of our own. */
static lcm_status copy_real(lcm_ctx *ctx, lcm_sonar_net *n, real **out, const lcm_st_tensor *t) {
    int64_t count = lcm_st_elements(t);
    LCM_TRY(take(ctx, n, out, (size_t)count * sizeof **out));
    LCM_TRY(lcm_st_read_real(ctx, *out, t, count));
    return check_finite(ctx, t->name, lcm_k_find_nonfinite(*out, count));
}

static lcm_status load_i8(lcm_ctx *ctx, lcm_matrix *w, lcm_sonar_net *n, const lcm_st *st, const lcm_param *p) {
    int64_t rows = p->t.rows, cols = p->t.cols, panels = lcm_i8_panels(rows), padded = panels * LCM_I8_PANEL;
    int64_t dims[4] = {panels, lcm_i8_groups(cols), LCM_I8_PANEL, LCM_I8_GROUP};
    const lcm_st_tensor *q, *s;
    float *scale;
    char name[LCM_PARAM_NAME + 8];
    lcm_sonar_scale_name(name, p->name);
    LCM_TRY(lcm_st_require(ctx, &q, st, p->name, dims, 4));
    LCM_TRY(lcm_st_require(ctx, &s, st, name, &padded, 1));
    if (cols > LCM_I8_MAX_IN)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "tensor '%s' has %lld columns, int8 ends at %d", p->name, (long long)cols, LCM_I8_MAX_IN);
    if (s->dtype != LCM_DT_F32) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%s' is %s, expected F32", name, lcm_dtype_name(s->dtype));
    LCM_TRY(take(ctx, n, &scale, s->nbytes));
    memcpy(scale, s->data, s->nbytes);
    for (int64_t i = 0; i < padded; i++)
        if (!(scale[i] >= 0 && scale[i] < 1e30f))
            LCM_FAIL(ctx, LCM_ERR_NUMERIC, "tensor '%s' holds %g at element %lld: no scale", name, (double)scale[i], (long long)i);
    *w = (lcm_matrix){LCM_MATRIX_I8, rows, cols, q->data, scale, NULL};
    return LCM_OK;
}

static lcm_status load_matrix(lcm_ctx *ctx, lcm_matrix *w, lcm_sonar_net *n, const lcm_st *st, const lcm_param *p) {
    int64_t dims[2] = {p->t.rows, p->t.cols};
    const lcm_st_tensor *t = lcm_st_find(st, p->name);
    real *copy;
    if (t && t->dtype == LCM_DT_U8) return load_i8(ctx, w, n, st, p);
    LCM_TRY(lcm_st_require(ctx, &t, st, p->name, dims, 2));
    *w = (lcm_matrix){LCM_MATRIX_REAL, dims[0], dims[1], t->data, NULL, NULL};
    if (!stays_in_place(t)) {
        LCM_TRY(copy_real(ctx, n, &copy, t));
        w->w = copy;
        return LCM_OK;
    }
    if (t->dtype == LCM_DT_REAL) return check_finite(ctx, p->name, lcm_k_find_nonfinite(w->w, dims[0] * dims[1]));
    w->type = t->dtype == LCM_DT_F16 ? LCM_MATRIX_F16 : LCM_MATRIX_BF16;
    return check_finite(ctx, p->name,
                        lcm_k_find_nonfinite_half(w->w, dims[0] * dims[1], t->dtype == LCM_DT_F16 ? 0x7c00 : 0x7f80));
}

static lcm_status load_vector(lcm_ctx *ctx, lcm_sonar_net *n, const lcm_st *st, lcm_param *p) {
    const lcm_st_tensor *t;
    LCM_TRY(lcm_st_require(ctx, &t, st, p->name, &p->t.cols, 1));
    return copy_real(ctx, n, &p->t.x, t);
}

/* ---- All of them ---- */

/* Which weight belongs to which tensor of the outline. */
typedef struct table {
    const lcm_params *params;
    lcm_matrix *weights;
} table;

static lcm_matrix weight_at(const table *t, const lcm_tensor *w) {
    size_t i = 0;
    while (&t->params->items[i]->t != w) i++;
    return t->weights[i];
}

static lcm_matrix weight_of(const table *t, const lcm_linear *l) {
    lcm_matrix w = weight_at(t, l->w);
    w.b = l->b ? l->b->x : NULL;
    return w;
}

static lcm_net_layer layer_of(const table *t, const lcm_sonar_layer *l) {
    lcm_net_layer y = {.attn_norm = l->attn_norm, .ffn_norm = l->ffn_norm};
    y.q = weight_of(t, &l->attn.q);
    y.k = weight_of(t, &l->attn.k);
    y.v = weight_of(t, &l->attn.v);
    y.o = weight_of(t, &l->attn.o);
    if (l->cross_v.w) {
        y.cross_v = weight_of(t, &l->cross_v);
        y.cross_o = weight_of(t, &l->cross_o);
    }
    y.inner = weight_of(t, &l->ffn.inner);
    y.outer = weight_of(t, &l->ffn.out);
    return y;
}

static lcm_net_pooler_layer pooler_layer_of(const table *t, const lcm_pooler_layer *l) {
    return (lcm_net_pooler_layer){
        .self_norm = l->self_norm, .cross_norm = l->cross_norm, .ffn_norm = l->ffn_norm,
        .self_v = weight_of(t, &l->self.v), .self_o = weight_of(t, &l->self.o),
        .q = weight_of(t, &l->cross.q), .k = weight_of(t, &l->cross.k), .v = weight_of(t, &l->cross.v), .o = weight_of(t, &l->cross.o),
        .inner = weight_of(t, &l->ffn.inner), .outer = weight_of(t, &l->ffn.out)};
}

static lcm_status assemble_pooler(lcm_ctx *ctx, lcm_net_pooler *n, const lcm_pooler *p, const table *t) {
    if (p->layers == NULL) return LCM_OK;
    n->sizes = p->sizes;
    LCM_TRY(lcm_calloc(ctx, &n->layers, (size_t)p->sizes.layers, sizeof *n->layers));
    for (int64_t l = 0; l < p->sizes.layers; l++) n->layers[l] = pooler_layer_of(t, &p->layers[l]);
    n->query = weight_at(t, p->query);
    n->out = weight_of(t, &p->out);
    return LCM_OK;
}

static lcm_status assemble(lcm_ctx *ctx, lcm_sonar_net *n, const lcm_sonar *m, const table *t) {
    const lcm_sonar_config *c = &m->config;
    int64_t n_pos = c->max_seq_len + 2;
    n->config = *c;
    n->parameters = m->params.count;
    if (m->dec_embed) n->parts |= LCM_SONAR_DECODER;
    if (m->enc_norm.w) n->parts |= LCM_SONAR_ENCODER;
    for (size_t i = 0; i < m->params.n; i++)
        if (!m->params.items[i]->is_vector && t->weights[i].type > n->type) n->type = t->weights[i].type;
    LCM_TRY(lcm_calloc(ctx, &n->enc, (size_t)c->encoder_layers, sizeof *n->enc));
    LCM_TRY(lcm_calloc(ctx, &n->dec, (size_t)c->decoder_layers, sizeof *n->dec));
    LCM_TRY(lcm_calloc(ctx, &n->positions, (size_t)(n_pos * c->model_dim), sizeof *n->positions));
    lcm_sinusoid_table(n->positions, 2, n_pos, c->model_dim);
    if (n->parts & LCM_SONAR_ENCODER) {
        n->enc_embed = weight_at(t, m->enc_embed);
        for (int64_t l = 0; l < c->encoder_layers; l++) n->enc[l] = layer_of(t, &m->enc[l]);
        n->enc_norm = m->enc_norm;
        LCM_TRY(assemble_pooler(ctx, &n->pooler, &m->pooler, t));
    }
    if (n->parts & LCM_SONAR_DECODER) {
        n->dec_embed = weight_at(t, m->dec_embed);
        for (int64_t l = 0; l < c->decoder_layers; l++) n->dec[l] = layer_of(t, &m->dec[l]);
        n->dec_norm = m->dec_norm;
    }
    return LCM_OK;
}

static lcm_status finish(lcm_status st, lcm_sonar_net **out, lcm_sonar_net *n, lcm_matrix *weights) {
    free(weights);
    if (st) lcm_sonar_net_free(n);
    else *out = n;
    return st;
}

lcm_status lcm_sonar_net_view(lcm_ctx *ctx, lcm_sonar_net **out, const lcm_sonar *m) {
    lcm_sonar_net *n;
    lcm_matrix *weights = NULL;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &n, 1, sizeof *n));
    st = lcm_calloc(ctx, &weights, m->params.n, sizeof *weights);
    for (size_t i = 0; st == LCM_OK && i < m->params.n; i++) {
        const lcm_tensor *t = &m->params.items[i]->t;
        weights[i] = (lcm_matrix){LCM_MATRIX_REAL, t->rows, t->cols, t->x, NULL, NULL};
    }
    if (st == LCM_OK) st = assemble(ctx, n, m, &(table){&m->params, weights});
    return finish(st, out, n, weights);
}

/* Bytes that inference will touch. What stays in the file counts too: evicted pages are read again in every
 * step, which is no way to run. */
static size_t needed(const lcm_params *p, const lcm_st *st) {
    size_t sum = 0;
    for (size_t i = 0; i < p->n; i++) {
        const lcm_st_tensor *t = lcm_st_find(st, p->items[i]->name);
        if (t) sum += stays_in_place(t) ? t->nbytes : (size_t)lcm_st_elements(t) * sizeof(real);
    }
    return sum;
}

static lcm_status load(lcm_ctx *ctx, lcm_sonar_net *n, lcm_matrix **weights, const lcm_sonar_config *config, int parts) {
    lcm_params *p;
    LCM_TRY(lcm_sonar_register(ctx, &n->outline, config, parts));
    p = &n->outline->params;
    n->bytes = needed(p, n->st);
    LCM_TRY(lcm_room_check(ctx, n->bytes, "the weights", "'lcm quantize' makes a model 4 times smaller"));
    n->own = lcm_arena_new(1 << 16);
    if (n->own == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: weights");
    LCM_TRY(lcm_calloc(ctx, weights, p->n, sizeof **weights));
    for (size_t i = 0; i < p->n; i++) {
        lcm_param *q = p->items[i];
        if (q->is_vector) LCM_TRY(load_vector(ctx, n, n->st, q));
        else LCM_TRY(load_matrix(ctx, &(*weights)[i], n, n->st, q));
    }
    return assemble(ctx, n, n->outline, &(table){p, *weights});
}

lcm_status lcm_sonar_net_load(lcm_ctx *ctx, lcm_sonar_net **out, lcm_st *st, const lcm_sonar_config *config, int parts) {
    lcm_sonar_net *n;
    lcm_matrix *weights = NULL;
    lcm_status s;
    *out = NULL;
    s = lcm_calloc(ctx, &n, 1, sizeof *n);
    if (s) {
        lcm_st_close(st);
        return s;
    }
    n->st = st;
    s = load(ctx, n, &weights, config, parts); /* before `weights` is read below: arguments have no order */
    return finish(s, out, n, weights);
}

void lcm_sonar_net_free(lcm_sonar_net *n) {
    if (n == NULL) return;
    lcm_sonar_free(n->outline);
    free(n->enc);
    free(n->dec);
    free(n->pooler.layers);
    free(n->positions);
    lcm_arena_free(n->own);
    lcm_st_close(n->st);
    free(n);
}
