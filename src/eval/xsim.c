/* Similarity search by blocks of products. */
#include "eval/xsim.h"

#include <stdlib.h>

#include "kernels/finite.h"
#include "kernels/gemm.h"
#include "kernels/simd.h"

enum { KEYS = 2048, QUERIES = 512 };

const char *const lcm_margin_names[] = {"ratio", "distance", "absolute", NULL};

/* Of n rows the k nearest of another list, nearest first. */
typedef struct neighbours {
    int64_t k;
    int64_t *where; /* (n, k) */
    real *cosine;   /* (n, k) */
    double *mean;   /* (n) */
} neighbours;

static lcm_status neighbours_new(lcm_ctx *ctx, neighbours *b, int64_t n, int64_t k) {
    size_t count;
    b->k = k;
    if (!lcm_mul_size(&count, (size_t)n, (size_t)k)) LCM_FAIL(ctx, LCM_ERR_LIMIT, "%lld neighbours of %lld rows", (long long)k, (long long)n);
    LCM_TRY(lcm_calloc(ctx, &b->where, count, sizeof *b->where));
    LCM_TRY(lcm_calloc(ctx, &b->cosine, count, sizeof *b->cosine));
    LCM_TRY(lcm_calloc(ctx, &b->mean, (size_t)n, sizeof *b->mean));
    for (size_t i = 0; i < count; i++) b->cosine[i] = -INFINITY;
    return LCM_OK;
}

static void neighbours_free(neighbours *b) {
    free(b->where);
    free(b->cosine);
    free(b->mean);
}

/* Rows come in rising order: the first of equals stays in front. */
static void offer(neighbours *b, int64_t row, int64_t at, real c) {
    int64_t *where = b->where + row * b->k, i = b->k - 1;
    real *cosine = b->cosine + row * b->k;
    if (!(c > cosine[i])) return;
    for (; i > 0 && c > cosine[i - 1]; i--) {
        cosine[i] = cosine[i - 1];
        where[i] = where[i - 1];
    }
    cosine[i] = c;
    where[i] = at;
}

/* dots: QUERIES x KEYS, scratch */
static void find(neighbours *b, real *dots, const real *x, int64_t n, const real *y, int64_t m, int64_t D) {
    for (int64_t at = 0; at < m; at += KEYS) {
        int64_t keys = lcm_min_i(KEYS, m - at);
        for (int64_t i = 0; i < n; i += QUERIES) {
            int64_t queries = lcm_min_i(QUERIES, n - i);
            lcm_k_gemm(false, true, queries, keys, D, 1, x + i * D, D, y + at * D, D, 0, dots, keys);
            LCM_PARALLEL_FOR
            for (int64_t r = 0; r < queries; r++)
                for (int64_t j = 0; j < keys; j++) offer(b, i + r, at + j, dots[r * keys + j]);
        }
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < b->k; j++) b->mean[i] += (double)b->cosine[i * b->k + j] / (double)b->k;
}

static double score(lcm_margin margin, double a, double b) {
    return margin == LCM_MARGIN_RATIO ? a / b : margin == LCM_MARGIN_DISTANCE ? a - b : a;
}

/* own: neighbours of the n rows that ask; others: of the rows that answer. */
static void choose(int64_t *best, int64_t n, const neighbours *own, const neighbours *others, lcm_margin margin) {
    for (int64_t i = 0; i < n; i++) {
        double highest = -INFINITY;
        best[i] = own->where[i * own->k];
        for (int64_t j = i * own->k; j < (i + 1) * own->k; j++) {
            double s = score(margin, (double)own->cosine[j], (own->mean[i] + others->mean[own->where[j]]) / 2);
            if (!(s > highest)) continue;
            highest = s;
            best[i] = own->where[j];
        }
    }
}

lcm_status lcm_xsim_match(lcm_ctx *ctx, int64_t *to_y, int64_t *to_x, const real *x, int64_t n, const real *y, int64_t m, int64_t D,
                          lcm_margin margin, int64_t k) {
    neighbours of_x = {0}, of_y = {0};
    real *dots = NULL;
    lcm_status st;
    if (lcm_k_find_nonfinite(x, n * D) >= 0 || lcm_k_find_nonfinite(y, m * D) >= 0)
        LCM_FAIL(ctx, LCM_ERR_NUMERIC, "a concept is not finite");
    st = lcm_calloc(ctx, &dots, (size_t)(lcm_min_i(QUERIES, lcm_max_i(n, m)) * lcm_min_i(KEYS, lcm_max_i(n, m))), sizeof *dots);
    if (st == LCM_OK) st = neighbours_new(ctx, &of_x, n, lcm_min_i(k, m));
    if (st == LCM_OK) st = neighbours_new(ctx, &of_y, m, lcm_min_i(k, n));
    if (st == LCM_OK) {
        find(&of_x, dots, x, n, y, m, D);
        find(&of_y, dots, y, m, x, n, D);
        choose(to_y, n, &of_x, &of_y, margin);
        if (to_x) choose(to_x, m, &of_y, &of_x, margin);
    }
    neighbours_free(&of_x);
    neighbours_free(&of_y);
    free(dots);
    return st;
}
