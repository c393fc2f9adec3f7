/* The int8 product, by every path that this CPU runs: integers against plain sums at all edges of blocks and panels,
 * the largest factors and sums, bounds of quantisation, and rows that do not depend on their neighbours or on threads. */
#include "harness/golden.h"

#include <float.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/int8_path.h"

static const lcm_i8_kernels *const paths[] = {&lcm_i8_portable, &lcm_i8_avx2, &lcm_i8_vnni};

/* Calls f with each path that runs here. */
static void by_all(void (*f)(const lcm_i8_kernels *)) {
    for (int i = 0; i < 3; i++)
        if (paths[i]->runs()) f(paths[i]);
}

static real *randoms(int64_t n, uint64_t stream) {
    lcm_rng r = lcm_rng_make(29, LCM_RNG_TEST + (stream << 8));
    real *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = (real)lcm_rng_normal(&r);
    return x;
}

typedef struct weights {
    uint8_t *packed;
    float *scale;
    int64_t out, in;
} weights;

static weights pack(const real *w, int64_t out, int64_t in) {
    weights p = {malloc(lcm_i8_size(out, in)), malloc((size_t)(lcm_i8_panels(out) * LCM_I8_PANEL) * sizeof(float)), out, in};
    assert_true(p.packed && p.scale);
    lcm_i8_pack(p.packed, p.scale, w, out, in);
    return p;
}

static void drop(weights p) {
    free(p.packed);
    free(p.scale);
}

static lcm_i8_acts acts_new(int64_t rows, int64_t in) {
    lcm_i8_acts a = {.q = malloc(lcm_i8_acts_size(rows, in)), .scale = malloc((size_t)rows * sizeof(float)),
                     .sum = malloc((size_t)rows * sizeof(int32_t))};
    assert_true(a.q && a.scale && a.sum);
    return a;
}

static void acts_free(lcm_i8_acts a) {
    free(a.q);
    free(a.scale);
    free(a.sum);
}

/* Where the header says that weight (o, i) lies. */
static int weight_at(weights p, int64_t o, int64_t i) {
    return p.packed[((o / 32) * ((p.in + 15) / 16 * 4) + i / 4) * 128 + (o % 32) * 4 + i % 4] - 128;
}

/* The header's quantisation of a row, by the book; the scale. */
static float quantised(int *q, const real *x, int64_t in) {
    float top = 0;
    for (int64_t i = 0; i < in; i++) top = fmaxf(top, fabsf((float)x[i]));
    for (int64_t i = 0; i < in; i++) q[i] = (int)rintf((float)x[i] * (127.0f / top));
    return top / 127.0f;
}

static void check(const lcm_i8_kernels *path, int64_t rows, int64_t out, int64_t in, int flags) {
    real *x = randoms(rows * in, 1), *w = randoms(out * in, 2), *b = flags & 4 ? randoms(out, 3) : NULL;
    real *before = randoms(rows * (out + 3), 4), *y = randoms(rows * (out + 3), 4);
    int *q = malloc((size_t)in * sizeof *q);
    weights p = pack(w, out, in);
    lcm_i8_acts a = acts_new(rows, in);
    assert_non_null(q);
    lcm_i8_quantise_by(path, &a, x, rows, in);
    lcm_k_gemm_i8(y, out + 3, &a, p.packed, p.scale, b, out, flags & 3);
    for (int64_t r = 0; r < rows; r++) {
        float scale = quantised(q, x + r * in, in);
        int64_t sum = 0;
        for (int64_t i = 0; i < in; i++) sum += q[i];
        assert_true(a.scale[r] == scale && a.sum[r] == sum);
        for (int64_t o = 0; o < out; o++) {
            int64_t s = 0;
            real want;
            for (int64_t i = 0; i < in; i++) s += weight_at(p, o, i) * q[i];
            want = (real)((float)s * (scale * p.scale[o])) + (b ? b[o] : 0);
            if (flags & LCM_PRODUCT_RELU) want = want > 0 ? want : 0;
            if (flags & LCM_PRODUCT_ADD) want += before[r * (out + 3) + o];
            if (y[r * (out + 3) + o] != want)
                fail_msg("%s, %lldx%lldx%lld flags %d: [%lld,%lld] is %.9g, expected %.9g", path->name, (long long)rows,
                         (long long)out, (long long)in, flags, (long long)r, (long long)o, (double)y[r * (out + 3) + o],
                         (double)want);
        }
        for (int64_t o = out; o < out + 3; o++) assert_true(y[r * (out + 3) + o] == before[r * (out + 3) + o]);
    }
    acts_free(a);
    drop(p);
    free(x);
    free(w);
    free(b);
    free(q);
    free(before);
    free(y);
}

static void edges(const lcm_i8_kernels *path) {
    static const int64_t out[] = {1, 16, 17, 32, 33, 70}, in[] = {1, 4, 15, 17, 64, 131};
    int n = 0;
    for (int64_t rows = 1; rows <= 30; rows++)
        for (int i = 0; i < 6; i++, n++) check(path, rows, out[(n + (int)rows) % 6], in[i], n % 8);
    for (int f = 0; f < 8; f++) check(path, 43, 65, 200, f);
}

static void sums_are_exact_at_all_edges(void **state) {
    (void)state;
    by_all(edges);
}

/* Pairs of bytes as large as they come: 2 * 255 * 127 does not fit 16 bits, where an instruction may saturate. A byte of
 * 0 (-128) is never packed, but may come with a file. Every row of weights meets every row of activations. */
static void extremes(const lcm_i8_kernels *path) {
    enum { OUT = 64, IN = 48 };
    static const uint8_t bytes[] = {0, 1, 128, 255};
    for (int64_t rows = 1; rows <= 16; rows++) {
        real x[16 * IN], y[16 * OUT];
        float scale[OUT];
        weights p = {malloc(lcm_i8_size(OUT, IN)), scale, OUT, IN};
        lcm_i8_acts a = acts_new(rows, IN);
        assert_non_null(p.packed);
        for (int64_t o = 0; o < OUT; o++) { /* all ways to choose a group: three bytes by o, one by rows */
            scale[o] = 1;
            for (int64_t i = 0; i < IN; i++)
                p.packed[(o / 32 * (IN / 4) + i / 4) * 128 + o % 32 * 4 + i % 4] = bytes[((o | rows << 6) >> (i % 4 * 2)) & 3];
        }
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < IN; i++) x[r * IN + i] = (r >> i % 4) & 1 ? 1 : -1;
        lcm_i8_quantise_by(path, &a, x, rows, IN);
        lcm_k_gemm_i8(y, OUT, &a, p.packed, scale, NULL, OUT, 0);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t o = 0; o < OUT; o++) {
                int64_t s = 0;
                for (int64_t i = 0; i < IN; i++) s += weight_at(p, o, i) * 127 * (int64_t)x[r * IN + i];
                if (y[r * OUT + o] != (real)((float)s * (1 / 127.0f)))
                    fail_msg("%s, %lld rows: [%lld,%lld] is %.9g, the sum is %lld", path->name, (long long)rows, (long long)r,
                             (long long)o, (double)y[r * OUT + o], (long long)s);
            }
        acts_free(a);
        free(p.packed);
    }
}

static void the_largest_factors_do_not_saturate(void **state) {
    (void)state;
    by_all(extremes);
}

/* Sums wrap on the way and still end right: all bytes alike, the largest and, from a foreign file, the smallest. */
static void longest(const lcm_i8_kernels *path) {
    enum { IN = LCM_I8_MAX_IN };
    static const uint8_t bytes[] = {255, 0};
    real *x = malloc(3 * IN * sizeof *x), y[3];
    uint8_t *packed = malloc(lcm_i8_size(1, IN));
    float scale[LCM_I8_PANEL] = {1};
    lcm_i8_acts a = acts_new(3, IN);
    assert_true(x && packed);
    for (int64_t i = 0; i < 3 * IN; i++) x[i] = i / IN == 1 ? -1 : 1;
    lcm_i8_quantise_by(path, &a, x, 3, IN);
    for (int k = 0; k < 2; k++) {
        memset(packed, bytes[k], lcm_i8_size(1, IN));
        lcm_k_gemm_i8(y, 1, &a, packed, scale, NULL, 1, 0);
        for (int r = 0; r < 3; r++)
            assert_true(y[r] == (real)((float)((int64_t)(bytes[k] - 128) * (r == 1 ? -127 : 127) * IN) * (1 / 127.0f)));
    }
    acts_free(a);
    free(x);
    free(packed);
}

static void the_largest_sums_fit(void **state) {
    (void)state;
    by_all(longest);
}

/* A number moves by at most half a step of its row; -128 is never used; zeros stay zeros. */
static void quantisation_stays_within_half_a_step(void **state) {
    enum { OUT = 37, IN = 83 };
    real *w = randoms(OUT * IN, 5), row[IN];
    weights p;
    (void)state;
    for (int64_t i = 0; i < IN; i++) w[3 * IN + i] = 0;
    for (int64_t i = 0; i < IN; i++) w[4 * IN + i] *= (real)1e-35; /* below what a scale can express: zero */
    for (int64_t i = 0; i < IN; i++) w[5 * IN + i] *= (real)1e30;
    p = pack(w, OUT, IN);
    for (int64_t o = 0; o < OUT; o++) {
        double top = 0;
        for (int64_t i = 0; i < IN; i++) top = fmax(top, fabs((double)w[o * IN + i]));
        lcm_i8_row(row, p.packed, p.scale, IN, o);
        for (int64_t i = 0; i < IN; i++) {
            assert_in_range(weight_at(p, o, i) + 127, 0, 254);
            if (o == 4) assert_true(row[i] == 0);
            else assert_true(fabs((double)(row[i] - w[o * IN + i])) <= top / 127 * (0.5 + 127 * 4 * FLT_EPSILON));
        }
    }
    for (int64_t o = OUT; o < lcm_i8_panels(OUT) * LCM_I8_PANEL; o++) assert_true(p.scale[o] == 0);
    drop(p);
    free(w);
}

/* What is not finite must not look like an answer, nor reach the other rows. */
static void not_finite(const lcm_i8_kernels *path) {
    enum { ROWS = 3, OUT = 40, IN = 70 };
    const real bad[] = {NAN, INFINITY, -INFINITY};
    real *x = randoms(ROWS * IN, 1), *w = randoms(OUT * IN, 2), y[ROWS * OUT], clean[ROWS * OUT];
    weights p = pack(w, OUT, IN);
    lcm_i8_acts a = acts_new(ROWS, IN);
    lcm_i8_quantise_by(path, &a, x, ROWS, IN);
    lcm_k_gemm_i8(clean, OUT, &a, p.packed, p.scale, NULL, OUT, 0);
    for (int k = 0; k < 3; k++) {
        static const int where[] = {0, 33, IN - 1}; /* in a vector, and in what is left of one */
        for (int n = 0; n < 3; n++) {
            real was = x[IN + where[n]];
            x[IN + where[n]] = bad[k];
            lcm_i8_quantise_by(path, &a, x, ROWS, IN);
            lcm_k_gemm_i8(y, OUT, &a, p.packed, p.scale, NULL, OUT, 0);
            for (int i = 0; i < ROWS * OUT; i++) assert_true(i / OUT == 1 ? isnan(y[i]) : y[i] == clean[i]);
            x[IN + where[n]] = was;
        }
    }
    acts_free(a);
    drop(p);
    free(x);
    free(w);
}

static void not_a_number_stays_one(void **state) {
    (void)state;
    by_all(not_finite);
}

static void alone_and_threaded(const lcm_i8_kernels *path) {
    enum { ROWS = 45, OUT = 300, IN = 520 };
    real *x = randoms(ROWS * IN, 1), *w = randoms(OUT * IN, 2), *one = malloc(ROWS * OUT * sizeof *one);
    real *three = malloc(ROWS * OUT * sizeof *three), alone[OUT];
    weights p = pack(w, OUT, IN);
    lcm_i8_acts a = acts_new(ROWS, IN);
    int before = omp_get_max_threads();
    assert_true(one && three);
    omp_set_num_threads(1);
    lcm_i8_quantise_by(path, &a, x, ROWS, IN);
    lcm_k_gemm_i8(one, OUT, &a, p.packed, p.scale, NULL, OUT, 0);
    omp_set_num_threads(3);
    lcm_i8_quantise_by(path, &a, x, ROWS, IN);
    lcm_k_gemm_i8(three, OUT, &a, p.packed, p.scale, NULL, OUT, 0);
    omp_set_num_threads(before);
    assert_memory_equal(one, three, ROWS * OUT * sizeof *one);
    for (int64_t r = 0; r < ROWS; r++) {
        lcm_i8_quantise_by(path, &a, x + r * IN, 1, IN);
        lcm_k_gemm_i8(alone, OUT, &a, p.packed, p.scale, NULL, OUT, 0);
        assert_memory_equal(alone, one + r * OUT, sizeof alone);
    }
    acts_free(a);
    drop(p);
    free(x);
    free(w);
    free(one);
    free(three);
}

static void a_row_is_the_same_alone_and_with_three_threads(void **state) {
    (void)state;
    by_all(alone_and_threaded);
}

/* What runs without being asked is the best of them. */
static void the_default_path_is_the_fastest_that_runs(void **state) {
    real x = 1;
    lcm_i8_acts a = acts_new(1, 1);
    const lcm_i8_kernels *want = NULL;
    (void)state;
    for (int i = 0; i < 3; i++)
        if (paths[i]->runs()) want = paths[i];
    lcm_i8_quantise(&a, &x, 1, 1);
    assert_ptr_equal(a.path, want);
    assert_string_equal(lcm_i8_path(), want->name);
    acts_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_are_exact_at_all_edges), cmocka_unit_test(the_largest_factors_do_not_saturate),
                                       cmocka_unit_test(the_largest_sums_fit),
                                       cmocka_unit_test(quantisation_stays_within_half_a_step),
                                       cmocka_unit_test(not_a_number_stays_one),
                                       cmocka_unit_test(a_row_is_the_same_alone_and_with_three_threads),
                                       cmocka_unit_test(the_default_path_is_the_fastest_that_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
