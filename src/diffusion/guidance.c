/* Guidance in noise space. */
#include "diffusion/guidance.h"

typedef struct moments {
    double cond, guided;
} moments;

static double guided_at(const real *cond, const real *uncond, double scale, int64_t i) {
    double u = uncond[i];
    return u + scale * (cond[i] - u);
}

/* Both rows are shifted by their first element, so that the deviations of a constant row are
 * exactly 0 and not rounding noise to divide by. */
static double contrast_ratio(const real *cond, const real *uncond, double scale, int64_t dim) {
    moments shift = {cond[0], guided_at(cond, uncond, scale, 0)}, mean = {0, 0}, ss = {0, 0};
    for (int64_t i = 0; i < dim; i++) {
        mean.cond += cond[i] - shift.cond;
        mean.guided += guided_at(cond, uncond, scale, i) - shift.guided;
    }
    mean.cond /= (double)dim;
    mean.guided /= (double)dim;
    for (int64_t i = 0; i < dim; i++) {
        double c = cond[i] - shift.cond - mean.cond;
        double g = guided_at(cond, uncond, scale, i) - shift.guided - mean.guided;
        ss.cond += c * c;
        ss.guided += g * g;
    }
    return ss.guided > 0 ? sqrt(ss.cond / ss.guided) : 1; /* D-1 cancels */
}

void lcm_guide(real *out, const real *cond, const real *uncond, double scale, double rescale, int64_t rows,
               int64_t dim) {
    for (int64_t r = 0; r < rows; r++, out += dim, cond += dim, uncond += dim) {
        double f = rescale == 0 ? 1 : rescale * contrast_ratio(cond, uncond, scale, dim) + 1 - rescale;
        for (int64_t i = 0; i < dim; i++) out[i] = (real)(f * guided_at(cond, uncond, scale, i));
    }
}
