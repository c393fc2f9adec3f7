/* NumPy's .npy: the header, and values as float. Format versions 1.0, 2.0 and 3.0.
 *
 * The header is a Python literal. It is read by a grammar of the three known keys, never evaluated,
 * and whatever it claims is held against the bytes that are there. */
#ifndef LCM_DATA_NPY_H
#define LCM_DATA_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

typedef struct lcm_npy {
    int64_t rows, cols; /* a rank-1 array is one row */
    int item;           /* bytes of a value: 2, 4 or 8, little-endian IEEE 754 */
    const unsigned char *data; /* rows · cols · item bytes, borrowed, not aligned */
} lcm_npy;

bool lcm_npy_is(const void *bytes, size_t len); /* begins with the magic */

/* LCM_ERR_FORMAT: no such header, or more or fewer bytes than its shape needs. LCM_ERR_UNSUPPORTED:
 * Fortran order, another rank, another type; LCM_ERR_VERSION. */
lcm_status lcm_npy_parse(lcm_ctx *ctx, lcm_npy *out, const void *bytes, size_t len);

float lcm_npy_value(const lcm_npy *a, int64_t i); /* i < rows · cols */

/* Appends a version 1.0 header for little-endian float32 [rows, cols] in C order. */
lcm_status lcm_npy_header(lcm_ctx *ctx, lcm_buf *out, int64_t rows, int64_t cols);

#endif
