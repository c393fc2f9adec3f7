/* AdamW. */
#include "train/adamw.h"

const lcm_field lcm_adamw_fields[] = {
    LCM_F_REAL(lcm_adamw_config, beta1, 0, 0.999999, "decay of the mean of gradients"),
    LCM_F_REAL(lcm_adamw_config, beta2, 0, 0.999999, "decay of the mean of squared gradients"),
    LCM_F_REAL(lcm_adamw_config, eps, 1e-30, 1, "added to the denominator"),
    LCM_F_REAL(lcm_adamw_config, weight_decay, 0, 1e3, "decoupled decay per unit of rate"), LCM_F_END};

lcm_adamw_config lcm_adamw_config_default(void) {
    return (lcm_adamw_config){.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-5, .weight_decay = 0.1};
}

typedef struct coefficients {
    real grad, keep1, new1, keep2, new2, decay, rate, root, eps;
} coefficients;

enum { CHUNK = 1 << 15 };

static void step_chunk(real *restrict p, const real *restrict g, real *restrict m, real *restrict v, size_t n,
                       coefficients c) {
    for (size_t i = 0; i < n; i++) {
        real x = g[i] * c.grad;
        m[i] = c.keep1 * m[i] + c.new1 * x;
        v[i] = c.keep2 * v[i] + c.new2 * x * x;
        p[i] = p[i] * c.decay - c.rate * (m[i] / (r_sqrt(v[i]) * c.root + c.eps));
    }
}

void lcm_adamw_step(real *p, const real *g, real *m, real *v, size_t n, const lcm_adamw_config *config,
                    double lr, double grad_scale, int64_t k) {
    double b1 = config->beta1, b2 = config->beta2;
    coefficients c = {.grad = (real)grad_scale,
                      .keep1 = (real)b1,
                      .new1 = (real)(1 - b1),
                      .keep2 = (real)b2,
                      .new2 = (real)(1 - b2),
                      .decay = (real)(1 - lr * config->weight_decay),
                      .rate = (real)(lr / (1 - pow(b1, (double)k))),
                      .root = (real)(1 / sqrt(1 - pow(b2, (double)k))),
                      .eps = (real)config->eps};
#pragma omp parallel for schedule(static) if (n > CHUNK)
    for (size_t i = 0; i < n; i += CHUNK)
        step_chunk(p + i, g + i, m + i, v + i, n - i < CHUNK ? n - i : CHUNK, c);
}

enum { LANES = 8, PARTS = 256 };

static double sum_chunk(const real *g, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lane[j] += (double)g[i + j] * (double)g[i + j];
    for (; i < n; i++) lane[i % LANES] += (double)g[i] * (double)g[i];
    for (size_t j = 0; j < LANES; j++) sum += lane[j];
    return sum;
}

/* At most PARTS chunks whose size depends on n alone; their sums are added in order. */
double lcm_sum_squares(const real *g, size_t n) {
    double part[PARTS] = {0}, sum = 0;
    size_t size = n / PARTS + 1, count;
    if (size < CHUNK) size = CHUNK;
    count = (n + size - 1) / size;
#pragma omp parallel for schedule(static) if (count > 1)
    for (size_t i = 0; i < count; i++)
        part[i] = sum_chunk(g + i * size, n - i * size < size ? n - i * size : size);
    for (size_t i = 0; i < count; i++) sum += part[i];
    return sum;
}

double lcm_clip_factor(double norm, double max_norm) {
    double f = max_norm / (norm + 1e-6);
    if (!isfinite(norm)) return (double)NAN;
    return f < 1 ? f : 1;
}
