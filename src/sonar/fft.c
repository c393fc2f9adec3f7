/* Recursive mixed-radix transform on complex doubles. */
#include "sonar/fft.h"

#include <stdlib.h>

#include "base/mem.h"

typedef struct complex_number {
    double re, im;
} complex_number;

struct lcm_fft {
    int64_t dim;
    complex_number root[]; /* exp(-2 pi i k / dim) */
};

lcm_status lcm_fft_new(lcm_ctx *ctx, lcm_fft **out, int64_t dim) {
    size_t bytes = 0;
    *out = NULL;
    if (dim < 2 || dim % 2 != 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "fft: width %lld is not even and positive", (long long)dim);
    if (!lcm_mul_size(&bytes, (size_t)dim, sizeof(complex_number)) ||
        !lcm_add_size(&bytes, bytes, sizeof(lcm_fft)))
        LCM_FAIL(ctx, LCM_ERR_ARG, "fft: width %lld is too large", (long long)dim);
    LCM_TRY(lcm_calloc(ctx, out, 1, bytes));
    (*out)->dim = dim;
    for (int64_t k = 0; k < dim; k++) {
        double angle = 4 * acos(0.0) * (double)k / (double)dim;
        (*out)->root[k] = (complex_number){cos(angle), -sin(angle)};
    }
    return LCM_OK;
}

void lcm_fft_free(lcm_fft *f) { free(f); }

int64_t lcm_fft_scratch(const lcm_fft *f) { return 6 * f->dim; }

static int64_t smallest_factor(int64_t n) {
    for (int64_t p = 2; p * p <= n; p++)
        if (n % p == 0) return p;
    return n;
}

/* out[0..n) = transform of in[0], in[stride], …; n·stride = dim. `tmp` [n] is overwritten. */
static void transform(const lcm_fft *f, complex_number *out, const complex_number *in, int64_t n,
                      int64_t stride, complex_number *tmp) {
    int64_t p = smallest_factor(n), m = n / p;
    if (n == 1) {
        out[0] = in[0];
        return;
    }
    for (int64_t q = 0; q < p; q++) transform(f, tmp + q * m, in + q * stride, m, stride * p, out + q * m);
    for (int64_t k = 0; k < n; k++) {
        complex_number sum = {0, 0};
        for (int64_t q = 0; q < p; q++) {
            complex_number w = f->root[q * k % n * stride], x = tmp[q * m + k % m];
            sum.re += w.re * x.re - w.im * x.im;
            sum.im += w.re * x.im + w.im * x.re;
        }
        out[k] = sum;
    }
}

/* The scratch holds three complex rows: result, input, and what the recursion swaps with. */
void lcm_fft_forward(const lcm_fft *f, real *out, const real *x, double *scratch) {
    complex_number *result = (complex_number *)(void *)scratch, *in = result + f->dim;
    int64_t half = f->dim / 2;
    for (int64_t j = 0; j < f->dim; j++) in[j] = (complex_number){x[j], 0};
    transform(f, result, in, f->dim, 1, in + f->dim);
    for (int64_t k = 0; k <= half; k++) out[k] = (real)result[k].re;
    for (int64_t k = 1; k < half; k++) out[half + k] = (real)result[k].im;
}

/* x = Re(forward(conj X)) / D, with the upper half of X filled in by symmetry. */
void lcm_fft_inverse(const lcm_fft *f, real *out, const real *x, double *scratch) {
    complex_number *result = (complex_number *)(void *)scratch, *in = result + f->dim;
    int64_t half = f->dim / 2;
    in[0] = (complex_number){x[0], 0};
    in[half] = (complex_number){x[half], 0};
    for (int64_t k = 1; k < half; k++) {
        in[k] = (complex_number){x[k], -(double)x[half + k]};
        in[f->dim - k] = (complex_number){x[k], x[half + k]};
    }
    transform(f, result, in, f->dim, 1, in + f->dim);
    for (int64_t j = 0; j < f->dim; j++) out[j] = (real)(result[j].re / (double)f->dim);
}
