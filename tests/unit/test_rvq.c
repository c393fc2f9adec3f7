/* Quantiser: k-means, codes, codebook files. */
#include "harness/golden.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/rng.h"
#include "harness/tmpdir.h"
#include "quant/rvq_io.h"

static lcm_ctx *ctx;
static char *folder, *path;

#define OK(call) assert_ok(ctx, call)

static int setup(void **state) {
    (void)state;
    ctx = lcm_ctx_new();
    folder = tmpdir_new();
    path = lcm_strdup(tmpdir_path(folder, "rvq.safetensors"));
    return ctx && path ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    free(path);
    tmpdir_free(folder);
    lcm_ctx_free(ctx);
    return 0;
}

static real *normal_rows(int64_t n, int64_t D, uint64_t seed) {
    lcm_rng r = lcm_rng_make(seed, LCM_RNG_TEST);
    real *x = malloc((size_t)(n * D) * sizeof *x);
    for (int64_t i = 0; i < n * D; i++) x[i] = (real)lcm_rng_normal(&r);
    return x;
}

static double distance(const real *a, const real *b, int64_t D) {
    double s = 0;
    for (int64_t i = 0; i < D; i++) s += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return s;
}

/* Rows in five heaps far apart: exact centres, no error beyond the heaps' own spread. */
static void finds_separate_heaps(void **state) {
    enum { U = 5, PER = 200, N = U * PER, D = 7 };
    real *x = normal_rows(N, D, 1), c[U * D], mean[U * D] = {0};
    int32_t unit[N];
    double error[N], own = 0;
    lcm_kmeans_report r;
    lcm_kmeans_config config = {.iterations = 50, .seed = 3, .stream = 1};
    (void)state;
    for (int64_t i = 0; i < N; i++)
        for (int64_t k = 0; k < D; k++) {
            x[i * D + k] = x[i * D + k] * (real)0.1 + (real)(k == i % U ? 20 : 0);
            mean[i % U * D + k] += x[i * D + k] / PER;
        }
    OK(lcm_kmeans_fit(ctx, &r, c, unit, error, x, N, U, D, &config, NULL, NULL));
    for (int64_t i = 0; i < N; i++) {
        own += distance(x + i * D, mean + i % U * D, D);
        assert_int_equal(unit[i], unit[i % U]);
        assert_close(c + unit[i] * D, mean + i % U * D, D, 1e-5); /* means of 200 values, other order */
    }
    assert_true(r.error < own * 1.0001 && r.error > own * 0.9999);
    assert_int_equal(r.empty, 0);
    free(x);
}

/* The search against the definition, with rows and units that do not fill a block. */
static void nearest_is_nearest(void **state) {
    enum { U = 37, N = 301, D = 9 };
    real *x = normal_rows(N, D, 4), *c = normal_rows(U, D, 5), *scratch = malloc((size_t)lcm_kmeans_scratch(U) * sizeof *scratch);
    int32_t unit[N];
    double error[N];
    (void)state;
    lcm_kmeans_nearest(unit, error, x, N, c, U, D, scratch);
    for (int64_t r = 0; r < N; r++) {
        double best = 1e30;
        for (int64_t u = 0; u < U; u++) best = fmin(best, distance(x + r * D, c + u * D, D));
        assert_true(error[r] == distance(x + r * D, c + unit[r] * D, D));
        assert_true(error[r] <= best * (1 + 1e-5)); /* a tie within float rounding may go either way */
    }
    memcpy(c + 3 * D, c + 11 * D, D * sizeof *c); /* of equals the first */
    lcm_kmeans_nearest(unit, NULL, c, U, c, U, D, scratch);
    assert_int_equal(unit[11], 3);
    assert_int_equal(unit[3], 3);
    free(x);
    free(c);
    free(scratch);
}

/* Nearly all rows are one point, so nearly all first centroids are: those units are dead at once. */
static void dead_units_are_revived(void **state) {
    enum { U = 32, N = 1000, SPREAD = 64, D = 4 };
    real *x = normal_rows(N, D, 6), c[U * D];
    int32_t unit[N];
    double error[N];
    int64_t count[U] = {0};
    lcm_kmeans_report r;
    lcm_kmeans_config config = {.iterations = 30, .seed = 1, .stream = 1};
    (void)state;
    for (int64_t i = SPREAD; i < N; i++) memcpy(x + i * D, x, D * sizeof *x);
    OK(lcm_kmeans_fit(ctx, &r, c, unit, error, x, N, U, D, &config, NULL, NULL));
    for (int64_t i = 0; i < N; i++) count[unit[i]]++;
    for (int u = 0; u < U; u++) assert_true(count[u] > 0);
    assert_true(r.revived >= 20); /* else the case was not one */
    assert_int_equal(r.empty, 0);
    for (int64_t i = 1; i < N; i++) memcpy(x + i * D, x, D * sizeof *x); /* one point: nothing to give the others */
    OK(lcm_kmeans_fit(ctx, &r, c, unit, error, x, N, U, D, &config, NULL, NULL));
    assert_int_equal(r.empty, U - 1);
    assert_true(r.error == 0);
    free(x);
}

static void refuses_fewer_rows_than_units(void **state) {
    real x[6] = {0}, c[8];
    int32_t unit[3];
    double error[3];
    lcm_kmeans_report r;
    lcm_kmeans_config config = {.iterations = 1};
    (void)state;
    assert_int_equal(lcm_kmeans_fit(ctx, &r, c, unit, error, x, 3, 4, 2, &config, NULL, NULL), LCM_ERR_ARG);
    assert_string_equal(lcm_ctx_message(ctx), "3 rows for 4 units: every unit needs one");
}

/* K codebooks fitted on rows one after the other, as the training run does. */
static void fit_books(lcm_rvq_file *f, real *residual, int64_t n, double *error_after) {
    int64_t D = f->rvq.config.dim, U = f->rvq.config.units;
    int32_t *unit = malloc((size_t)n * sizeof *unit);
    double *error = malloc((size_t)n * sizeof *error);
    real *scratch = malloc((size_t)lcm_rvq_scratch(&f->rvq) * sizeof *scratch);
    for (int64_t k = 0; k < f->rvq.config.codebooks; k++) {
        lcm_kmeans_config config = {.iterations = 10, .tolerance = 1e-3, .seed = 9, .stream = (uint64_t)k};
        lcm_kmeans_report r;
        OK(lcm_kmeans_fit(ctx, &r, f->rvq.book[k]->x, unit, error, residual, n, U, D, &config, NULL, NULL));
        lcm_rvq_step(unit, residual, &f->rvq, k, n, scratch);
        if (error_after) error_after[k] = r.error;
    }
    free(unit);
    free(error);
    free(scratch);
}

static lcm_rvq_file new_books(int64_t K, int64_t U, int64_t D, uint64_t space) {
    lcm_rvq_config c = {.dim = D, .codebooks = K, .units = U};
    lcm_rvq_file f;
    OK(lcm_rvq_file_new(ctx, &f, &c, space));
    for (int64_t i = 0; i < D; i++) f.normalizer->center[i] = (real)(0.25 * (double)i);
    return f;
}

/* Each codebook lowers the error of its rows; codes decode to what encoding left out; a prefix of the
 * code is the code of fewer codebooks. */
static void error_falls_with_codebooks(void **state) {
    enum { K = 6, U = 16, D = 8, N = 700 };
    lcm_rvq_file f = new_books(K, U, D, 1);
    real *x = normal_rows(N, D, 7), *left = malloc(N * D * sizeof *left), *z = malloc(N * D * sizeof *z);
    real *scratch = malloc((size_t)lcm_rvq_scratch(&f.rvq) * sizeof *scratch);
    int32_t *unit = malloc(K * N * sizeof *unit), *part = malloc(K * N * sizeof *part);
    double error[K], before = 0;
    (void)state;
    memcpy(left, x, N * D * sizeof *x);
    for (int64_t i = 0; i < N * D; i++) before += (double)x[i] * (double)x[i];
    fit_books(&f, left, N, error);
    for (int k = 0; k < K; k++) {
        double e = 0;
        assert_true(error[k] < before);
        before = error[k];
        memcpy(left, x, N * D * sizeof *x);
        lcm_rvq_encode(k ? part : unit, left, &f.rvq, k ? k + 1 : K, N, scratch);
        if (k) assert_memory_equal(part, unit, (size_t)(k + 1) * N * sizeof *unit);
        lcm_rvq_decode(z, &f.rvq, k + 1, unit, N);
        for (int64_t r = 0; r < N; r++) e += distance(x + r * D, z + r * D, D);
        assert_true(fabs(e - error[k]) < 1e-5 * error[k]); /* float sums of up to 6 centroids, in another order */
    }
    assert_true(error[K - 1] < 0.25 * error[0]);
    free(x), free(left), free(z), free(scratch), free(unit), free(part);
    lcm_rvq_file_close(&f);
}

static void threads_do_not_change_bits(void **state) {
    enum { K = 3, U = 24, D = 70, N = 1500 }; /* more than one block of rows and of columns */
    lcm_rvq_file f[2] = {new_books(K, U, D, 1), new_books(K, U, D, 1)};
    int most = omp_get_max_threads();
    (void)state;
    for (int i = 0; i < 2; i++) {
        real *x = normal_rows(N, D, 8);
        omp_set_num_threads(i ? 3 : 1);
        fit_books(&f[i], x, N, NULL);
        free(x);
    }
    omp_set_num_threads(most);
    for (int k = 0; k < K; k++) assert_memory_equal(f[0].rvq.book[k]->x, f[1].rvq.book[k]->x, U * D * sizeof(real));
    for (int i = 0; i < 2; i++) lcm_rvq_file_close(&f[i]);
}

/* ---- files ---- */

static void write_books(const lcm_rvq_file *f, int64_t codebooks) {
    lcm_buf b = {0};
    OK(lcm_rvq_write(ctx, &b, f, codebooks, NULL));
    OK(lcm_write_file(ctx, path, b.data, b.len));
    lcm_buf_free(&b);
}

static void files_come_back(void **state) {
    enum { K = 3, U = 4, D = 5 };
    lcm_rvq_file f = new_books(K, U, D, 0xabcdef), g;
    real *x = normal_rows(50, D, 9);
    (void)state;
    fit_books(&f, x, 50, NULL);
    for (int64_t k = 1; k <= K; k++) {
        write_books(&f, k);
        OK(lcm_rvq_load(ctx, &g, path));
        assert_int_equal(g.rvq.config.codebooks, k);
        assert_true(g.space == 0xabcdef);
        assert_true(lcm_normalizer_hash(g.normalizer) == lcm_normalizer_hash(f.normalizer));
        for (int64_t i = 0; i < k; i++) assert_memory_equal(g.rvq.book[i]->x, f.rvq.book[i]->x, U * D * sizeof(real));
        OK(lcm_rvq_check_space(ctx, &g, path, 0xabcdef, "the model"));
        OK(lcm_rvq_check_normalizer(ctx, &g, path, f.normalizer, "the model"));
        assert_int_equal(lcm_rvq_check_space(ctx, &g, "c", 1, "the model"), LCM_ERR_SHAPE);
        assert_string_equal(lcm_ctx_message(ctx), "codebooks 'c' were fitted in the SONAR space 0000000000abcdef, "
                                                  "the model speaks 0000000000000001");
        lcm_rvq_file_close(&g);
    }
    OK(lcm_rvq_load(ctx, &g, path));
    g.normalizer->scale[2] = 2;
    assert_int_equal(lcm_rvq_check_normalizer(ctx, &f, "c", g.normalizer, "the model"), LCM_ERR_SHAPE);
    assert_non_null(strstr(lcm_ctx_message(ctx), "codebooks 'c' were fitted behind normaliser "));
    lcm_rvq_file_close(&g);
    lcm_rvq_file_close(&f);
    free(x);
}

/* Every single-byte damage is refused or harmless, none reads out of bounds (the sanitizer build). */
static void damaged_files_are_refused(void **state) {
    lcm_rvq_file f = new_books(2, 2, 2, 5), g;
    lcm_buf good = {0}, all = {0};
    int refused = 0;
    (void)state;
    OK(lcm_rvq_write(ctx, &good, &f, 2, NULL));
    for (size_t at = 0; at < good.len; at += 3) {
        lcm_status st;
        all.len = 0;
        OK(lcm_buf_append(ctx, &all, good.data, good.len));
        all.data[at] = (char)(all.data[at] ^ 0x7f);
        OK(lcm_write_file(ctx, path, all.data, all.len));
        st = lcm_rvq_load(ctx, &g, path);
        refused += st != LCM_OK;
        if (st == LCM_OK) lcm_rvq_file_close(&g);
        else assert_null(g.rvq.book);
    }
    assert_true(refused > 50);
    f.rvq.book[1]->x[3] = (real)NAN;
    write_books(&f, 2);
    assert_int_equal(lcm_rvq_load(ctx, &g, path), LCM_ERR_FORMAT);
    assert_non_null(strstr(lcm_ctx_message(ctx), "tensor 'codebooks.1' holds a non-finite value"));
    lcm_buf_free(&good);
    lcm_buf_free(&all);
    lcm_rvq_file_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_separate_heaps),       cmocka_unit_test(nearest_is_nearest),
        cmocka_unit_test(dead_units_are_revived),     cmocka_unit_test(refuses_fewer_rows_than_units),
        cmocka_unit_test(error_falls_with_codebooks), cmocka_unit_test(threads_do_not_change_bits),
        cmocka_unit_test(files_come_back),            cmocka_unit_test(damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
