/* A weight matrix ready for inference, in one of four storage types, and the activations that meet it.
 *
 *   real        (out, in), the products of kernels/gemm.h
 *   f16, bf16   (out, in): widened block by block on the way into the same product, so that memory is
 *               read at half the bytes
 *   i8          packed as kernels/int8.h says, products of integers
 *
 * Weights are views: of parameters in training, of a mapped file, or of memory that somebody owns. */
#ifndef LCM_MATRIX_H
#define LCM_MATRIX_H

#include "kernels/int8.h"
#include "nn/layers.h"

typedef enum lcm_matrix_type { LCM_MATRIX_REAL = 0, LCM_MATRIX_F16, LCM_MATRIX_BF16, LCM_MATRIX_I8 } lcm_matrix_type;

typedef struct lcm_matrix {
    lcm_matrix_type type;
    int64_t out, in;
    const void *w;
    const float *scale; /* i8: (32 * panels) */
    const real *b;      /* (out) or NULL */
} lcm_matrix;

/* Activations on their way into one or several products, and the memory that takes. */
typedef struct lcm_feed {
    const real *x;
    int64_t rows, in;
    bool quantised;
    lcm_i8_acts acts;
    size_t q_cap, row_cap, wide_cap;
    real *wide; /* per thread: a block of 16-bit weights as real */
    int threads;
} lcm_feed;

/* Memory for `rows` rows of up to `in` numbers, for products with weights of every type up to `type`. Growing
 * only: call it before every pass. */
lcm_status lcm_feed_reserve(lcm_ctx *ctx, lcm_feed *f, int64_t rows, int64_t in, lcm_matrix_type type);
void lcm_feed_free(lcm_feed *f);

/* x (rows, in) is borrowed until the next call, and must not change before. */
void lcm_feed_set(lcm_feed *f, const real *x, int64_t rows, int64_t in);

/* y (rows, out) = x W^T + b, row stride `out`; flags are lcm_product_flags. */
void lcm_matrix_apply(real *y, const lcm_matrix *w, lcm_feed *f, int flags);

/* Row `o` of w as numbers. */
void lcm_matrix_row(real *dst, const lcm_matrix *w, int64_t o);

#endif
