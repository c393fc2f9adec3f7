/* Packed multi-head attention and rotary positions. */
#include "kernels/attention.h"

#include <omp.h>
#include <stddef.h>

#include "kernels/simd.h"

int64_t lcm_k_attention_longest(const lcm_attn_shape *s) {
    int64_t n = 0;
    for (int64_t i = 0; i < s->n_seg; i++) n = lcm_max_i(n, s->k_off[i + 1] - s->k_off[i]);
    return n;
}

LCM_CLONES static real dot(const real *a, const real *b, int64_t n) {
    real s = 0;
    LCM_SIMD_SUM(s)
    for (int64_t i = 0; i < n; i++) s += a[i] * b[i];
    return s;
}

LCM_CLONES static void axpy(real *y, const real *x, real a, int64_t n) {
    LCM_SIMD
    for (int64_t i = 0; i < n; i++) y[i] += a * x[i];
}

/* Which keys of its segment a row sees: the first `prefix`, then, as number `prefix` of them, `own`. */
typedef struct key_set {
    int64_t n, prefix, own;
} key_set;

static key_set keys_of(const lcm_attn_shape *s, int64_t row, int64_t nk) {
    key_set k = {.prefix = s->limit ? s->limit[row] : nk, .own = s->own ? s->own[row] : -1};
    k.n = k.prefix + (k.own >= 0);
    return k;
}

static inline int64_t key_at(key_set k, int64_t j) { return j < k.prefix ? j : k.own; }

/* One query row and head against a set of keys. p: as many values of scratch. */
LCM_CLONES static real attend_row(real *o, real *p, const real *q, const real *k, const real *v, key_set set, int64_t K,
                                  int64_t ld, real scale) {
    int64_t n = set.n;
    real top = -INFINITY, sum = 0, inv;
    for (int64_t c = 0; c < K; c++) o[c] = 0;
    if (n == 0) return -INFINITY;
    for (int64_t j = 0; j < n; j++) {
        const real *kj = k + key_at(set, j) * ld;
        real s = 0;
        LCM_SIMD_SUM(s)
        for (int64_t c = 0; c < K; c++) s += q[c] * kj[c];
        p[j] = s * scale;
        if (p[j] > top) top = p[j];
    }
    LCM_SIMD_SUM(sum)
    for (int64_t j = 0; j < n; j++) {
        p[j] = r_exp(p[j] - top);
        sum += p[j];
    }
    inv = 1 / sum;
    for (int64_t j = 0; j < n; j++) {
        const real *vj = v + key_at(set, j) * ld;
        real w = p[j] * inv;
        LCM_SIMD
        for (int64_t c = 0; c < K; c++) o[c] += w * vj[c];
    }
    return top + (real)log((double)sum);
}

static int64_t key_heads(const lcm_attn_shape *s) { return s->G ? s->G : s->H; }

void lcm_k_attention_fwd(real *o, real *lse, const real *q, const real *k, const real *v, const lcm_attn_shape *s,
                         real *scratch, int64_t scratch_stride) {
    real scale = 1 / r_sqrt((real)s->K);
    int64_t work = s->q_off[s->n_seg] * s->H * s->K, group = s->H / key_heads(s);
    LCM_PARALLEL_FOR_IF(work > 16384)
    for (int64_t sh = 0; sh < s->n_seg * s->H; sh++) {
        int64_t seg = sh / s->H, h = sh % s->H, k0 = s->k_off[seg], nk = s->k_off[seg + 1] - k0;
        int64_t kc = k0 * s->ldk + h / group * s->K;
        real *p = scratch + omp_get_thread_num() * scratch_stride;
        for (int64_t i = s->q_off[seg]; i < s->q_off[seg + 1]; i++) {
            real l = attend_row(o + i * s->ldq + h * s->K, p, q + i * s->ldq + h * s->K, k + kc, v + kc,
                                keys_of(s, i, nk), s->K, s->ldk, scale);
            if (lse) lse[i * s->H + h] = l;
        }
    }
}

/* With p recomputed from lse:  dv_j += p_j do;  dp_j = do.v_j;  ds_j = p_j (dp_j - do.o);
 * dq += scale sum_j ds_j k_j;  dk_j += scale ds_j q.   (do.o = sum_j p_j dp_j) */
LCM_CLONES static void attend_row_bwd(real *dq, real *dk, real *dv, const real *dout, const real *o, real lse,
                                      const real *q, const real *k, const real *v, key_set set, int64_t K, int64_t ld,
                                      real scale) {
    real delta = dot(dout, o, K);
    for (int64_t j = 0; j < set.n; j++) {
        int64_t at = key_at(set, j) * ld;
        const real *kj = k + at, *vj = v + at;
        real s = 0, dp = 0, p, ds;
        LCM_SIMD_SUM(s, dp)
        for (int64_t c = 0; c < K; c++) {
            s += q[c] * kj[c];
            dp += dout[c] * vj[c];
        }
        p = r_exp(s * scale - lse);
        ds = p * (dp - delta) * scale;
        if (dv) axpy(dv + at, dout, p, K);
        if (dk) axpy(dk + at, q, ds, K);
        if (dq) axpy(dq, kj, ds, K);
    }
}

void lcm_k_attention_bwd(real *dq, real *dk, real *dv, const real *dout, const real *o, const real *lse, const real *q,
                         const real *k, const real *v, const lcm_attn_shape *s) {
    real scale = 1 / r_sqrt((real)s->K);
    int64_t work = s->q_off[s->n_seg] * s->H * s->K, G = key_heads(s), group = s->H / G;
    /* a (segment, key head) owns its slices of dq, dk and dv: no two threads write the same value */
    LCM_PARALLEL_FOR_IF(work > 16384)
    for (int64_t sg = 0; sg < s->n_seg * G; sg++) {
        int64_t seg = sg / G, g = sg % G, k0 = s->k_off[seg], nk = s->k_off[seg + 1] - k0, first = s->q_off[seg];
        int64_t kc = k0 * s->ldk + g * s->K, rows = s->q_off[seg + 1] - first;
        for (int64_t n = 0; n < rows * group; n++) {
            int64_t i = first + n % rows, h = g * group + n / rows, qc = i * s->ldq + h * s->K;
            attend_row_bwd(dq ? dq + qc : NULL, dk ? dk + kc : NULL, dv ? dv + kc : NULL, dout + qc, o + qc,
                           lse[i * s->H + h], q + qc, k + kc, v + kc, keys_of(s, i, nk), s->K, s->ldk, scale);
        }
    }
}

void lcm_k_rope(real *x, const int32_t *pos, int64_t R, int64_t H, int64_t K, int64_t ld, double theta, int sign) {
    LCM_PARALLEL_FOR_IF(R * H * K > 16384)
    for (int64_t r = 0; r < R; r++) {
        for (int64_t i = 0; i < K / 2; i++) {
            double angle = pos[r] * pow(theta, -2.0 * (double)i / (double)K);
            real cs = (real)cos(angle), sn = (real)(sign * sin(angle));
            for (int64_t h = 0; h < H; h++) {
                real *p = x + r * ld + h * K + 2 * i;
                real a = p[0], b = p[1];
                p[0] = a * cs - b * sn;
                p[1] = a * sn + b * cs;
            }
        }
    }
}

void lcm_k_rotary_angles(real *cs, const int32_t *pos, int64_t R, int64_t K, double theta) {
    for (int64_t i = 0; i < K / 2; i++) {
        double frequency = pow(theta, -2.0 * (double)i / (double)K);
        for (int64_t r = 0; r < R; r++) {
            cs[r * K + i] = (real)cos(pos[r] * frequency);
            cs[r * K + K / 2 + i] = (real)sin(pos[r] * frequency);
        }
    }
}

LCM_CLONES static void rotate_row(real *x, const real *cs, int64_t H, int64_t K, real sign) {
    const real *cosine = cs, *sine = cs + K / 2;
    for (int64_t h = 0; h < H; h++) {
        real *a = x + h * K, *b = a + K / 2;
        LCM_SIMD
        for (int64_t i = 0; i < K / 2; i++) {
            real u = a[i], v = b[i], s = sign * sine[i];
            a[i] = u * cosine[i] - v * s;
            b[i] = v * cosine[i] + u * s;
        }
    }
}

void lcm_k_rotate(real *x, const real *cs, int64_t R, int64_t H, int64_t K, int64_t ld, int sign) {
    LCM_PARALLEL_FOR_IF(R * H * K > 65536)
    for (int64_t r = 0; r < R; r++) rotate_row(x + r * ld, cs + r * K, H, K, (real)sign);
}
