/* The int8 product: integers against plain sums at all edges of blocks and panels, both code paths
 * bit for bit, bounds of quantisation, and rows that do not depend on their neighbours or on threads. */
#include "harness/golden.h"

#include <float.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/int8.h"

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

/* Where the header says that weight (o, i) and the row blocks of 14 lie. */
static int weight_at(weights p, int64_t o, int64_t i) {
    return p.packed[((o / 32) * ((p.in + 15) / 16 * 4) + i / 4) * 128 + (o % 32) * 4 + i % 4] - 128;
}

static int act_at(const lcm_i8_acts *a, int64_t r, int64_t i) {
    int64_t blocks = (a->rows + 13) / 14, k = 0, from, to, G = (a->in + 15) / 16 * 4;
    while (a->rows * (k + 1) / blocks <= r) k++;
    from = a->rows * k / blocks;
    to = a->rows * (k + 1) / blocks;
    return a->q[from * G * 4 + (i / 4 * (to - from) + r - from) * 4 + i % 4];
}

static void check(int64_t rows, int64_t out, int64_t in, int flags) {
    real *x = randoms(rows * in, 1), *w = randoms(out * in, 2), *b = flags & 4 ? randoms(out, 3) : NULL;
    real *before = randoms(rows * (out + 3), 4), *y, *ref;
    size_t bytes = (size_t)(rows * (out + 3)) * sizeof *y;
    weights p = pack(w, out, in);
    lcm_i8_acts a = acts_new(rows, in), plain = acts_new(rows, in);
    y = malloc(bytes);
    ref = malloc(bytes);
    assert_true(y && ref);
    memcpy(y, before, bytes);
    memcpy(ref, before, bytes);
    lcm_i8_quantise(&a, x, rows, in);
    lcm_i8_quantise_ref(&plain, x, rows, in);
    assert_memory_equal(a.q, plain.q, lcm_i8_acts_size(rows, in));
    assert_memory_equal(a.scale, plain.scale, (size_t)rows * sizeof(float));
    assert_memory_equal(a.sum, plain.sum, (size_t)rows * sizeof(int32_t));
    lcm_k_gemm_i8(y, out + 3, &a, p.packed, p.scale, b, out, flags & 3);
    lcm_k_gemm_i8_ref(ref, out + 3, &a, p.packed, p.scale, b, out, flags & 3);
    assert_memory_equal(y, ref, bytes);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t o = 0; o < out; o++) {
            int64_t s = 0;
            real want;
            for (int64_t i = 0; i < in; i++) s += weight_at(p, o, i) * act_at(&a, r, i);
            want = (real)((float)s * (a.scale[r] * p.scale[o])) + (b ? b[o] : 0);
            if (flags & LCM_PRODUCT_RELU) want = want > 0 ? want : 0;
            if (flags & LCM_PRODUCT_ADD) want += before[r * (out + 3) + o];
            if (y[r * (out + 3) + o] != want)
                fail_msg("%lldx%lldx%lld flags %d: [%lld,%lld] is %.9g, expected %.9g", (long long)rows, (long long)out,
                         (long long)in, flags, (long long)r, (long long)o, (double)y[r * (out + 3) + o], (double)want);
        }
        for (int64_t o = out; o < out + 3; o++) assert_true(y[r * (out + 3) + o] == before[r * (out + 3) + o]);
    }
    acts_free(a);
    acts_free(plain);
    drop(p);
    free(x);
    free(w);
    free(b);
    free(before);
    free(y);
    free(ref);
}

static void sums_are_exact_at_all_edges(void **state) {
    static const int64_t out[] = {1, 16, 17, 32, 33, 70}, in[] = {1, 4, 15, 17, 64, 131};
    int n = 0;
    (void)state;
    for (int64_t rows = 1; rows <= 30; rows++)
        for (int i = 0; i < 6; i++, n++) check(rows, out[(n + (int)rows) % 6], in[i], n % 8);
    for (int f = 0; f < 8; f++) check(43, 65, 200, f);
}

/* The sums of the instruction wrap on the way and still end right. */
static void the_largest_sums_fit(void **state) {
    enum { IN = LCM_I8_MAX_IN };
    real *x = malloc(IN * sizeof *x), y[2], ref[2];
    weights p;
    lcm_i8_acts a = acts_new(1, IN);
    (void)state;
    assert_non_null(x);
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int64_t i = 0; i < IN; i++) x[i] = 1;
        p = pack(x, 1, IN);
        for (int64_t i = 0; i < IN; i++) x[i] = (real)sign;
        lcm_i8_quantise(&a, x, 1, IN);
        lcm_k_gemm_i8(y, 1, &a, p.packed, p.scale, NULL, 1, 0);
        lcm_k_gemm_i8_ref(ref, 1, &a, p.packed, p.scale, NULL, 1, 0);
        assert_true(y[0] == ref[0]);
        assert_true(fabs((double)y[0] - sign * (double)IN) <= 4 * FLT_EPSILON * IN); /* four roundings */
        drop(p);
    }
    acts_free(a);
    free(x);
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

/* What is not finite must not look like an answer. */
static void not_a_number_stays_one(void **state) {
    enum { ROWS = 3, OUT = 40, IN = 70 };
    const real bad[] = {NAN, INFINITY, -INFINITY};
    real *x = randoms(ROWS * IN, 1), *w = randoms(OUT * IN, 2), y[ROWS * OUT], ref[ROWS * OUT];
    weights p = pack(w, OUT, IN);
    lcm_i8_acts a = acts_new(ROWS, IN);
    (void)state;
    for (int k = 0; k < 3; k++) {
        x[IN + 33] = bad[k];
        lcm_i8_quantise(&a, x, ROWS, IN);
        lcm_k_gemm_i8(y, OUT, &a, p.packed, p.scale, NULL, OUT, 0);
        lcm_i8_quantise_ref(&a, x, ROWS, IN);
        lcm_k_gemm_i8_ref(ref, OUT, &a, p.packed, p.scale, NULL, OUT, 0);
        for (int i = 0; i < ROWS * OUT; i++) {
            assert_true(i / OUT == 1 ? isnan(y[i]) : isfinite(y[i]));
            assert_true(i / OUT == 1 ? isnan(ref[i]) : ref[i] == y[i]);
        }
    }
    acts_free(a);
    drop(p);
    free(x);
    free(w);
}

static void a_row_is_the_same_alone_and_with_three_threads(void **state) {
    enum { ROWS = 45, OUT = 300, IN = 520 };
    real *x = randoms(ROWS * IN, 1), *w = randoms(OUT * IN, 2), *one = malloc(ROWS * OUT * sizeof *one);
    real *three = malloc(ROWS * OUT * sizeof *three), alone[OUT];
    weights p = pack(w, OUT, IN);
    lcm_i8_acts a = acts_new(ROWS, IN);
    int before = omp_get_max_threads();
    (void)state;
    assert_true(one && three);
    omp_set_num_threads(1);
    lcm_i8_quantise(&a, x, ROWS, IN);
    lcm_k_gemm_i8(one, OUT, &a, p.packed, p.scale, NULL, OUT, 0);
    omp_set_num_threads(3);
    lcm_i8_quantise(&a, x, ROWS, IN);
    lcm_k_gemm_i8(three, OUT, &a, p.packed, p.scale, NULL, OUT, 0);
    omp_set_num_threads(before);
    assert_memory_equal(one, three, ROWS * OUT * sizeof *one);
    for (int64_t r = 0; r < ROWS; r++) {
        lcm_i8_quantise(&a, x + r * IN, 1, IN);
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_are_exact_at_all_edges), cmocka_unit_test(the_largest_sums_fit),
                                       cmocka_unit_test(quantisation_stays_within_half_a_step),
                                       cmocka_unit_test(not_a_number_stays_one),
                                       cmocka_unit_test(a_row_is_the_same_alone_and_with_three_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
