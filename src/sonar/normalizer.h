/* Per-channel normalisation of SONAR vectors: what a concept model sees and predicts.
 *
 *     normalize:    z = (F(x) - center) / scale,  then z clamped to [clip_min, clip_max]
 *     denormalize:  z clamped, then x = F^-1(z scale + center)
 *
 * F is the identity or the packed real Fourier transform (sonar/fft.h). The clip bounds are in
 * normalised units. Source: reference code; fitted statistics are model parameters, never trained. */
#ifndef LCM_NORMALIZER_H
#define LCM_NORMALIZER_H

#include <stdbool.h>

#include "base/config.h"
#include "kernels/real.h"
#include "sonar/fft.h"

typedef enum lcm_normalizer_method {
    LCM_NORMALIZE_STANDARD,       /* mean, population standard deviation */
    LCM_NORMALIZE_ROBUST,         /* median, Q(quantile_max) - Q(quantile_min) */
    LCM_NORMALIZE_GAUSSIAN_ROBUST /* the same over what a standard normal has there (1.349 for quartiles) */
} lcm_normalizer_method;

typedef struct lcm_normalizer_config {
    int64_t dim;
    bool with_fft;     /* dim must be even */
    double clip_proba; /* 0 = no clipping; else bounds at the quantiles clip_proba and 1 - clip_proba */
    int method;        /* lcm_normalizer_method */
    double quantile_min, quantile_max;
    /* The reference code hands these fractions to a function that wants percent, so it fits the
     * scale on the .0025 and .0075 quantiles. True repeats that. */
    bool compat_percent;
} lcm_normalizer_config;

extern const lcm_field lcm_normalizer_fields[];

lcm_normalizer_config lcm_normalizer_config_default(void); /* 1024, plain, gaussian_robust on quartiles */

typedef struct lcm_normalizer {
    lcm_normalizer_config config;
    real *center, *scale;      /* [D]; 0 and 1 after creation; filled by a loader or by lcm_normalizer_fit */
    real *clip_min, *clip_max; /* [D]; NULL without clipping; -inf and inf after creation */
    lcm_fft *fft;              /* NULL without FFT */
} lcm_normalizer;

/* LCM_ERR_ARG: odd width with FFT, quantiles or clip_proba out of order. */
lcm_status lcm_normalizer_new(lcm_ctx *ctx, lcm_normalizer **out, const lcm_normalizer_config *config);
void lcm_normalizer_free(lcm_normalizer *nz); /* NULL is allowed */

/* To be called once after a loader filled the arrays. LCM_ERR_NUMERIC: a centre that is not
 * finite, a scale that is not finite and positive, or clip bounds that cross. */
lcm_status lcm_normalizer_check(lcm_ctx *ctx, const lcm_normalizer *nz);

/* Rows [R,D]; out may alias the input. `scratch` has lcm_normalizer_scratch doubles (none
 * without FFT: NULL is fine), one per thread. */
int64_t lcm_normalizer_scratch(const lcm_normalizer *nz);
void lcm_normalize(const lcm_normalizer *nz, real *out, const real *x, int64_t rows, double *scratch);
void lcm_denormalize(const lcm_normalizer *nz, real *out, const real *z, int64_t rows, double *scratch);

/* Row i of the sample, i = 0 … n-1, into out [D]. */
typedef lcm_status (*lcm_row_fn)(lcm_ctx *ctx, void *user, real *out, int64_t i);

/* Fits center, scale and clip bounds to n >= 1 rows. Quantiles are linearly interpolated. A
 * channel whose spread is 0 gets scale 1.
 *
 * Memory: the sample is read in passes over as many channels at a time as fit in `max_bytes`
 * (at least one; 0 = 256 MiB): n · channels · sizeof(real). A million rows of 1024 floats take
 * 16 passes at 256 MiB, or one at 4 GiB. With FFT each pass transforms every row again.
 * LCM_ERR_NUMERIC names the first value that is not finite; or what `row` returned. On failure
 * nz may be partly filled. */
lcm_status lcm_normalizer_fit(lcm_ctx *ctx, lcm_normalizer *nz, lcm_row_fn row, void *user, int64_t n,
                              size_t max_bytes);

#endif
