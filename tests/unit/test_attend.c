/* Attention of inference, by vectors of every width that this CPU has: against plain sums in double, and bit for bit
 * among each other. */
#include "harness/test.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/attend.h"

enum { H = 3 };

static real *randoms(int64_t n, uint64_t stream) {
    lcm_rng r = lcm_rng_make(31, LCM_RNG_TEST + (stream << 8));
    real *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = (real)lcm_rng_normal(&r);
    return x;
}

static double expected(const real *q, const real *k, const real *v, int64_t n, int64_t ld, int64_t K, int64_t c) {
    double sum = 0, mix = 0;
    for (int64_t j = 0; j < n; j++) {
        double s = 0, p;
        for (int64_t i = 0; i < K; i++) s += (double)q[i] * (double)k[j * ld + i];
        p = exp(s / sqrt((double)K));
        sum += p;
        mix += p * (double)v[j * ld + c];
    }
    return mix / sum;
}

/* Segments of all lengths around the tile of 4 queries and the widest pair of vectors, 32 keys. */
static void check(int64_t K) {
    static const int32_t off[] = {0, 1, 4, 8, 13, 28, 44, 75, 107, 140, 211};
    enum { N = sizeof off / sizeof *off - 1, T = 211, LONGEST = 71 };
    int64_t ld = H * K;
    size_t bytes = (size_t)(T * ld) * sizeof(real);
    real *q = randoms(T * ld, 1), *k = randoms(T * ld, 2), *v = randoms(T * ld, 3), *o = malloc(bytes), *other = malloc(bytes);
    real *scratch = aligned_alloc(64, (size_t)(lcm_k_attend_scratch(LONGEST, K) * omp_get_max_threads() * (int64_t)sizeof(real) + 63) / 64 * 64);
    assert_true(o && other && scratch);
    lcm_k_attend(o, q, k, v, off, N, H, K, scratch, LONGEST);
    for (int s = 0; s < N; s++)
        for (int64_t r = off[s]; r < off[s + 1]; r++)
            for (int64_t c = 0; c < ld; c++) {
                int64_t h = c / K * K;
                double want = expected(q + r * ld + h, k + off[s] * ld + h, v + off[s] * ld + h, off[s + 1] - off[s], ld, K, c % K);
                /* scores of up to about 4 sqrt(K) products in f32, each good to K roundings; K <= 67 */
                assert_true(fabs((double)o[r * ld + c] - want) <= 2e-5);
            }
    for (int width = 16; width <= lcm_k_attend_width(); width *= 2) {
        memset(other, 0xff, bytes);
        lcm_k_attend_by(width, other, q, k, v, off, N, H, K, scratch, LONGEST);
        assert_memory_equal(o, other, bytes);
    }
    free(q);
    free(k);
    free(v);
    free(o);
    free(other);
    free(scratch);
}

static void all_widths_give_the_right_bits(void **state) {
    static const int64_t K[] = {1, 8, 16, 31, 32, 64, 67};
    (void)state;
    for (size_t i = 0; i < sizeof K / sizeof *K; i++) check(K[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_widths_give_the_right_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
