/* Fragility: the score against eq. 26 to 28 written out, its weights, and the column beside a store. */
#include "harness/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/rng.h"
#include "data/column.h"
#include "eval/bleu.h"
#include "eval/fragility.h"
#include "harness/sonar_toy.h"
#include "harness/tmpdir.h"
#include "lcm/eval.h"
#include "lcm/fragility_weight.h"
#include "lcm/train.h"

enum { D = 12, N = 5 };

typedef struct fixture {
    lcm_ctx *ctx;
    char *dir, sonar[512], store[512];
    lcm_sonar_file file;
    lcm_codec *codec;
    lcm_normalizer *nz;
    real x[N * D];
    lcm_sentences s; /* what the decoder makes of x */
    lcm_beam_opts beam;
} fixture;

#define OK(call) assert_ok(f->ctx, call)

static lcm_store *make_store(fixture *f, const char *dir, int64_t n) {
    lcm_store_report report = {0};
    lcm_shard *shard;
    lcm_store *s;
    bool kept;
    OK(lcm_mkdirs(f->ctx, dir));
    OK(lcm_shard_new(f->ctx, &shard, D, LCM_DT_F32));
    for (int64_t i = 0; i < n; i++) {
        size_t len;
        const char *text = lcm_sentences_at(&f->s, i, &len);
        OK(lcm_shard_add(f->ctx, shard, f->x + i * D, text, len));
    }
    OK(lcm_shard_end_doc(f->ctx, shard, &kept));
    OK(lcm_shard_write(f->ctx, shard, dir, 0, f->file.space_hex, &report));
    OK(lcm_store_finish(f->ctx, dir, 1, NULL));
    OK(lcm_store_open(f->ctx, &s, dir));
    lcm_shard_free(shard);
    return s;
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    lcm_normalizer_config nc = lcm_normalizer_config_default();
    if (f == NULL) return -1;
    f->ctx = lcm_ctx_new();
    f->dir = tmpdir_new();
    strncpy(f->sonar, tmpdir_path(f->dir, "sonar.safetensors"), sizeof f->sonar - 1);
    strncpy(f->store, tmpdir_path(f->dir, "store"), sizeof f->store - 1);
    toy_sonar_write(f->ctx, f->sonar, D, "fragility/", NULL, 0);
    OK(lcm_sonar_load(f->ctx, &f->file, f->sonar, LCM_SONAR_BOTH));
    OK(lcm_codec_new(f->ctx, &f->codec, &f->file));
    nc.dim = D;
    OK(lcm_normalizer_new(f->ctx, &f->nz, &nc));
    for (int k = 0; k < D; k++) {
        f->nz->center[k] = (real)(0.1 * k);
        f->nz->scale[k] = (real)(0.5 + 0.1 * k);
    }
    portable_fill(f->x, N * D, "", "x");
    for (int i = 0; i < N * D; i++) f->x[i] *= 6;
    f->beam = lcm_beam_opts_default();
    f->beam.beam_size = 1;
    OK(lcm_sentences_decode(f->ctx, &f->s, f->codec, f->x, N, &f->beam));
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    lcm_sentences_free(&f->s);
    lcm_normalizer_free(f->nz);
    lcm_codec_free(f->codec);
    lcm_sonar_file_close(&f->file);
    tmpdir_free(f->dir);
    lcm_ctx_free(f->ctx);
    free(f);
    return 0;
}

static lcm_fragility_opts options(fixture *f, const double *levels, size_t n) {
    return (lcm_fragility_opts){.levels = levels, .n_levels = n, .draws = 2, .seed = 3, .nz = f->nz, .codec = f->codec,
                                .tok = f->file.tok, .beam = &f->beam};
}

/* The score of concept i at one level and draw, number `kind` of `kinds`, by the formula. */
static double score_by_hand(fixture *f, int64_t i, double a, uint64_t kind, uint64_t kinds, bool judged) {
    lcm_rng rng = lcm_rng_make(3, LCM_RNG_NOISE + (((uint64_t)i * kinds + kind) << 8));
    lcm_buf got = {0}, want = {0};
    lcm_bleu bleu = {0};
    real y[D], seen[2][D];
    size_t len;
    const char *text = lcm_sentences_at(&f->s, i, &len), *texts[2];
    double score, ab = 0, aa = 0, bb = 0;
    for (int k = 0; k < D; k++) {
        double c = (double)f->nz->center[k], s = (double)f->nz->scale[k], z = ((double)f->x[i * D + k] - c) / s;
        y[k] = (real)(c + s * (sqrt(1 - a) * z + sqrt(a) * lcm_rng_normal(&rng)));
    }
    OK(lcm_codec_decode(f->ctx, &got, NULL, f->codec, y, 1, -1, &f->beam));
    OK(lcm_tokenizer_normalize(f->ctx, &want, f->file.tok, text, len));
    OK(lcm_bleu_add(f->ctx, &bleu, got.data, strlen(got.data), want.data, want.len));
    score = lcm_bleu_sentence_score(&bleu) / 100;
    if (judged) {
        size_t lens[2] = {len, strlen(got.data)};
        texts[0] = text;
        texts[1] = got.data;
        OK(lcm_codec_encode(f->ctx, seen[0], NULL, f->codec, texts, lens, 2, -1));
        for (int k = 0; k < D; k++) {
            ab += (double)seen[0][k] * (double)seen[1][k];
            aa += (double)seen[0][k] * (double)seen[0][k];
            bb += (double)seen[1][k] * (double)seen[1][k];
        }
        score = ab / sqrt(aa * bb);
    }
    lcm_buf_free(&got);
    lcm_buf_free(&want);
    return score;
}

static void score_is_that_of_the_formula(void **state) {
    static const double levels[3] = {0, 0.3, 1};
    fixture *f = *state;
    for (int judged = 0; judged < 2; judged++) {
        lcm_fragility_opts o = options(f, levels, 3);
        double got[N], sums[3] = {0}, want_sums[3] = {0}, distinct = 0;
        if (judged) o.judge = f->codec;
        OK(lcm_fragility(f->ctx, got, sums, &f->s, f->x, 0, &o));
        for (int64_t i = 0; i < N; i++) {
            double sum = 0;
            for (uint64_t kind = 0; kind < 6; kind++) {
                double score = score_by_hand(f, i, levels[kind / 2], kind, 6, judged);
                sum += score;
                want_sums[kind / 2] += score;
            }
            assert_true(fabs(got[i] + sum / 6) < 1e-6); /* vectors are float; cosines of the same texts */
            distinct += fabs(got[i] - got[0]);
        }
        for (int k = 0; k < 3; k++) assert_true(fabs(sums[k] - want_sums[k]) < 1e-5);
        assert_true(distinct > 0.01);             /* or the test would see nothing */
        assert_true(fabs(sums[0] - 2 * N) < 1e-5); /* without noise the decoder says it again */
        assert_true(sums[2] < sums[0] - 0.1);
    }
}

/* The number of a concept counts, not who is measured beside it. */
static void concepts_are_on_their_own(void **state) {
    static const double levels[2] = {0.2, 0.6};
    fixture *f = *state;
    lcm_fragility_opts o = options(f, levels, 2);
    double all[N], one, sums[2] = {0};
    OK(lcm_fragility(f->ctx, all, sums, &f->s, f->x, 0, &o));
    for (int64_t i = 0; i < N; i++) {
        lcm_sentences s = {0};
        size_t len;
        const char *text = lcm_sentences_at(&f->s, i, &len);
        OK(lcm_sentences_add(f->ctx, &s, text, len));
        OK(lcm_fragility(f->ctx, &one, sums, &s, f->x + i * D, i, &o));
        assert_true(fabs(one - all[i]) < 1e-6);
        lcm_sentences_free(&s);
    }
    o.draws = 0;
    assert_int_equal(lcm_fragility(f->ctx, all, sums, &f->s, f->x, 0, &o), LCM_ERR_ARG);
    o = options(f, (double[]){1.5}, 1);
    assert_int_equal(lcm_fragility(f->ctx, all, sums, &f->s, f->x, 0, &o), LCM_ERR_ARG);
}

/* Numbers of NumPy in double; float inputs: 1e-6. */
static void weights(void **state) {
    static const double literal[3] = {0.999447221363076, 0.995929862284104, 0.970687769248644};
    static const double standard[3] = {0.999774953735559, 0.970687769248644, 0.197978101610673};
    lcm_fragility_weight c = lcm_fragility_weight_default();
    (void)state;
    for (int k = 0; k < 2; k++) {
        real x[3] = {-1, (real)-0.5, 0}, same[2] = {(real)-0.25, (real)-0.25};
        c.standardize = k;
        lcm_fragility_weigh(x, 3, &c);
        for (int i = 0; i < 3; i++) assert_true(fabs((double)x[i] - (k ? standard : literal)[i]) < 1e-6);
        lcm_fragility_weigh(same, 2, &c);
        assert_true(fabs((double)same[0] - (k ? 0.970687769248644 : 0.989013057369407)) < 1e-6);
    }
}

static void columns(void **state) {
    static const real bad[N] = {0, 1, NAN, 3, 4}, good[N] = {0, -1, (real)-0.5, 3, 4};
    fixture *f = *state;
    lcm_store *s = make_store(f, f->store, N), *other = make_store(f, tmpdir_path(f->dir, "other"), N - 1);
    json_t *origin = json_pack("{s:i}", "seed", 1);
    real x[N];
    lcm_buf b = {0};
    assert_int_equal(lcm_column_read(f->ctx, x, s, "fragility"), LCM_ERR_NOTFOUND);
    OK(lcm_column_write(f->ctx, s, "fragility", good, origin));
    OK(lcm_column_read(f->ctx, x, s, "fragility"));
    assert_memory_equal(x, good, sizeof good);
    OK(lcm_read_file(f->ctx, &b, tmpdir_path(f->store, "fragility.safetensors"), 1 << 20));
    OK(lcm_write_file(f->ctx, tmpdir_path(f->dir, "other/fragility.safetensors"), b.data, b.len));
    assert_int_equal(lcm_column_read(f->ctx, x, other, "fragility"), LCM_ERR_FORMAT);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "another store"));
    OK(lcm_column_write(f->ctx, s, "bad", bad, origin));
    assert_int_equal(lcm_column_read(f->ctx, x, s, "bad"), LCM_ERR_FORMAT);
    json_decref(origin);
    lcm_buf_free(&b);
    lcm_store_close(s);
    lcm_store_close(other);
}

/* Through the public function: report and column agree, and a part is not written. */
static void report_and_column(void **state) {
    static const double levels[2] = {0, 0.5};
    fixture *f = *state;
    lcm_eval_fragility_opts o = lcm_eval_fragility_defaults();
    lcm_store *s = make_store(f, f->store, N);
    char *text = NULL;
    json_t *root;
    double mean = 0;
    real x[N];
    o.store = f->store;
    o.sonar = f->sonar;
    o.noise = levels;
    o.n_noise = 2;
    o.write = true;
    o.max_concepts = N - 1;
    assert_int_equal(lcm_eval_fragility(f->ctx, &text, &o), LCM_ERR_ARG);
    o.max_concepts = 0;
    OK(lcm_eval_fragility(f->ctx, &text, &o));
    root = json_loads(text, 0, NULL);
    OK(lcm_column_read(f->ctx, x, s, "fragility"));
    for (int i = 0; i < N; i++) mean += (double)x[i] / N;
    assert_true(fabs(json_real_value(json_object_get(json_object_get(root, "fragility"), "mean")) - mean) < 1e-6);
    assert_int_equal(json_array_size(json_object_get(root, "rows")), 2);
    assert_int_equal(json_array_size(json_object_get(root, "most_fragile")), N);
    for (size_t i = 1; i < N; i++) { /* most fragile first */
        json_t *list = json_object_get(root, "most_fragile");
        assert_true(json_real_value(json_object_get(json_array_get(list, i - 1), "fragility")) >=
                    json_real_value(json_object_get(json_array_get(list, i), "fragility")));
    }
    json_decref(root);
    lcm_free(text);
    lcm_store_close(s);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(score_is_that_of_the_formula), TEST(concepts_are_on_their_own), TEST(weights),
                                       TEST(columns), TEST(report_and_column)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
