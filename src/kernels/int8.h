/* int8 matrix product for inference:  y[M,O] = x[M,I] W[O,I]^T + b[O].
 *
 * Weights have one scale per output row, w = (u - 128) scale[o] with u = 1 … 255, activations one scale per
 * row, x = q scale[m] with q = -127 … 127, found when they arrive. Products are summed as integers, exactly:
 *
 *     y[m,o] = (sum_i (u[o,i] - 128) q[m,i]) * (scale[m] scale[o]) + b[o]
 *
 * so a result depends neither on threads, nor on the CPU, nor on the other rows. Weights are unsigned
 * because an instruction (vpdpbusd of AVX512-VNNI) multiplies unsigned by signed bytes; the 128 costs
 * one sum per row of activations.
 *
 * Packed weights, in memory and in files: panels of 32 rows, in a panel groups of 4 columns, in a
 * group 32 x 4 bytes; rows and columns up to a multiple of 32 and of 16 are 128, that is zero:
 *
 *     u[o,i] = packed[((o / 32) * G + i / 4) * 128 + (o % 32) * 4 + i % 4],  G = 4 ceil(I / 16)
 *
 * A product reads every weight once, in order. */
#ifndef LCM_INT8_H
#define LCM_INT8_H

#include <stdbool.h>

#include "base/mem.h"
#include "kernels/real.h"

typedef struct lcm_i8_kernels lcm_i8_kernels;

enum {
    LCM_I8_PANEL = 32,      /* rows of a panel */
    LCM_I8_GROUP = 4,       /* columns of a group */
    LCM_I8_ZERO = 128,
    LCM_I8_MAX_IN = 131072, /* 127 * 127 * I must fit 32 bits */
};

/* The code path that this CPU gets: "avx512-vnni", "avx2" or "portable". All give the same bits. */
const char *lcm_i8_path(void);

int64_t lcm_i8_panels(int64_t out);
int64_t lcm_i8_groups(int64_t in);
/* Bytes of packed weights; `scale` has 32 * panels values, 0 beyond `out`. */
size_t lcm_i8_size(int64_t out, int64_t in);

/* Quantises and packs w (out, in): scale = largest magnitude of the row / 127, to nearest. */
void lcm_i8_pack(uint8_t *packed, float *scale, const real *w, int64_t out, int64_t in);
/* Row `o` again as numbers: dst[i] = (u - 128) scale[o]. */
void lcm_i8_row(real *dst, const uint8_t *packed, const float *scale, int64_t in, int64_t o);

/* Quantised activations. The caller gives `q`, `scale` and `sum` room for the most rows x columns it uses:
 * lcm_i8_acts_size(rows, in) bytes, `rows` values, `rows` values. */
typedef struct lcm_i8_acts {
    const lcm_i8_kernels *path; /* that wrote q, and will read it */
    int64_t rows, in;
    void *q;        /* as the path likes it: bytes, or 16-bit numbers */
    float *scale;
    int32_t *sum;   /* of q over a row */
} lcm_i8_acts;

size_t lcm_i8_acts_size(int64_t rows, int64_t in);
void lcm_i8_quantise(lcm_i8_acts *a, const real *x, int64_t rows, int64_t in);

typedef enum lcm_product_flags { LCM_PRODUCT_RELU = 1, LCM_PRODUCT_ADD = 2 /* y += */ } lcm_product_flags;

/* y (rows, out), row stride ldy. b (out) or NULL. */
void lcm_k_gemm_i8(real *y, int64_t ldy, const lcm_i8_acts *a, const uint8_t *packed, const float *scale, const real *b,
                   int64_t out, int flags);

/* The same by a path of kernels/int8_path.h that runs on this CPU; the product takes the path of its activations. */
void lcm_i8_quantise_by(const lcm_i8_kernels *path, lcm_i8_acts *a, const real *x, int64_t rows, int64_t in);

#endif
