/* int8 product: layouts, packing, the choice of a path and the loops over threads. */
#include "kernels/int8.h"

#include "kernels/int8_path.h"
#include "kernels/simd.h"

int64_t lcm_i8_panels(int64_t out) { return (out + LCM_I8_PANEL - 1) / LCM_I8_PANEL; }

int64_t lcm_i8_groups(int64_t in) { return (in + 15) / 16 * (16 / LCM_I8_GROUP); }

size_t lcm_i8_size(int64_t out, int64_t in) { return (size_t)(lcm_i8_panels(out) * lcm_i8_groups(in)) * LCM_I8_GROUP_BYTES; }

size_t lcm_i8_acts_size(int64_t rows, int64_t in) { return (size_t)(rows * lcm_i8_groups(in)) * LCM_I8_GROUP * sizeof(int16_t); }

static const uint8_t *at(const uint8_t *packed, int64_t in, int64_t o, int64_t i) {
    return packed + (o / LCM_I8_PANEL * lcm_i8_groups(in) + i / LCM_I8_GROUP) * LCM_I8_GROUP_BYTES +
           o % LCM_I8_PANEL * LCM_I8_GROUP + i % LCM_I8_GROUP;
}

void lcm_i8_pack(uint8_t *packed, float *scale, const real *w, int64_t out, int64_t in) {
    int64_t panels = lcm_i8_panels(out);
    memset(packed, LCM_I8_ZERO, lcm_i8_size(out, in));
    LCM_PARALLEL_FOR_IF(out * in > 65536)
    for (int64_t p = 0; p < panels; p++) {
        for (int64_t o = p * LCM_I8_PANEL; o < (p + 1) * LCM_I8_PANEL; o++) {
            float inverse = 0;
            scale[o] = o < out ? lcm_i8_scale_of(lcm_i8_largest(w + o * in, in), &inverse) : 0;
            if (o >= out || !(scale[o] > 0)) continue;
            for (int64_t i = 0; i < in; i++)
                *(uint8_t *)at(packed, in, o, i) = (uint8_t)(lcm_i8_nearest((float)w[o * in + i] * inverse) + LCM_I8_ZERO);
        }
    }
}

void lcm_i8_row(real *dst, const uint8_t *packed, const float *scale, int64_t in, int64_t o) {
    for (int64_t i = 0; i < in; i++) dst[i] = (real)((float)(*at(packed, in, o, i) - LCM_I8_ZERO) * scale[o]);
}

static const lcm_i8_kernels *best(void) {
    return lcm_i8_vnni.runs() ? &lcm_i8_vnni : lcm_i8_avx2.runs() ? &lcm_i8_avx2 : &lcm_i8_portable;
}

const char *lcm_i8_path(void) { return best()->name; }

void lcm_i8_quantise_by(const lcm_i8_kernels *path, lcm_i8_acts *a, const real *x, int64_t rows, int64_t in) {
    a->path = path;
    a->rows = rows;
    a->in = in;
    LCM_PARALLEL_FOR_IF(rows * in > 65536)
    for (int64_t k = 0; k < lcm_i8_blocks(path, rows); k++)
        path->quantise(a, x, lcm_i8_block_begin(path, rows, k), lcm_i8_block_begin(path, rows, k + 1));
}

void lcm_i8_quantise(lcm_i8_acts *a, const real *x, int64_t rows, int64_t in) { lcm_i8_quantise_by(best(), a, x, rows, in); }

void lcm_k_gemm_i8(real *y, int64_t ldy, const lcm_i8_acts *a, const uint8_t *packed, const float *scale, const real *b,
                   int64_t out, int flags) {
    int64_t panels = lcm_i8_panels(out), bytes = lcm_i8_groups(a->in) * LCM_I8_GROUP_BYTES;
    LCM_PARALLEL_FOR_IF(panels * bytes > 65536)
    for (int64_t p = 0; p < panels; p++) {
        int64_t o = p * LCM_I8_PANEL, n = lcm_min_i(LCM_I8_PANEL, out - o);
        a->path->panel(y + o, ldy, a, packed + p * bytes, scale + o, b ? b + o : NULL, n, flags);
    }
}
