/* Metrics that are learned here: the coherence discriminator through lcm_train and its file, the calibration of fluency,
 * and token models as systems of the task harness. */
#include "harness/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "data/store.h"
#include "eval/fluency.h"
#include "harness/toy_llama.h"
#include "harness/tmpdir.h"
#include "lcm/coherence.h"
#include "lcm/eval_run.h"
#include "lcm/train.h"

enum { DIM = 8, DOCS = 60, LEN = 8 };

typedef struct fixture {
    lcm_ctx *ctx;
    char *dir;
    char train[512], valid[512], coherence[512], llama[512];
} fixture;

#define ok(f, call) assert_ok((f)->ctx, call)
#define says(f, text) assert_says((f)->ctx, text)

/* A world with an order: the first two numbers of a document's concepts turn by a step of 0.7, from anywhere, the
 * others are noise of the document. */
static void make_document(real x[LEN * DIM], uint64_t seed) {
    lcm_rng r = lcm_rng_make(seed, LCM_RNG_TEST);
    double at = 6.28 * lcm_rng_uniform(&r), own[DIM];
    for (int k = 0; k < DIM; k++) own[k] = lcm_rng_normal(&r);
    for (int i = 0; i < LEN; i++, at += 0.7) {
        for (int k = 0; k < DIM; k++) x[i * DIM + k] = (real)(own[k] + 0.1 * lcm_rng_normal(&r));
        x[i * DIM] = (real)(2 * cos(at));
        x[i * DIM + 1] = (real)(2 * sin(at));
    }
}

static void write_store(fixture *f, const char *dir, uint64_t seed) {
    lcm_store_report report = {0};
    lcm_shard *shard;
    bool kept;
    real x[LEN * DIM];
    ok(f, lcm_mkdirs(f->ctx, dir));
    ok(f, lcm_shard_new(f->ctx, &shard, DIM, LCM_DT_F32));
    for (uint64_t d = 0; d < DOCS; d++) {
        make_document(x, seed + d);
        for (int i = 0; i < LEN; i++) ok(f, lcm_shard_add(f->ctx, shard, x + i * DIM, "a", 1));
        ok(f, lcm_shard_end_doc(f->ctx, shard, &kept));
    }
    ok(f, lcm_shard_write(f->ctx, shard, dir, 0, "00000000000000aa", &report));
    ok(f, lcm_store_finish(f->ctx, dir, 1, NULL));
    lcm_shard_free(shard);
}

static lcm_status train(fixture *f, const char *run, const char *more) {
    char config[4096];
    snprintf(config, sizeof config,
             "{\"kind\": \"coherence\", \"store\": \"%s\", \"valid_store\": \"%s\", \"batch_pairs\": 32,"
             " \"model\": {\"sonar_embed_dim\": 8, \"hidden_dim\": 32, \"dropout_p\": 0},"
             " \"train\": {\"run\": \"%s\", \"checkpoint_every\": 150, \"lr\": {\"lr\": 5e-3, \"warmup_steps\": 10, \"max_steps\": 150}}%s}",
             f->train, f->valid, run, more);
    return lcm_train(f->ctx, config, NULL);
}

static int setup(void **state) {
    static fixture f;
    char run[512], name[64];
    lcm_buf latest = {0};
    memset(&f, 0, sizeof f);
    f.ctx = lcm_ctx_new();
    f.dir = tmpdir_new();
    strncpy(f.train, tmpdir_path(f.dir, "train"), sizeof f.train - 1);
    strncpy(f.valid, tmpdir_path(f.dir, "valid"), sizeof f.valid - 1);
    strncpy(f.llama, tmpdir_path(f.dir, "llama.safetensors"), sizeof f.llama - 1);
    write_store(&f, f.train, 1000);
    write_store(&f, f.valid, 5000);
    toy_llama_file(f.ctx, f.llama);
    strncpy(run, tmpdir_path(f.dir, "run"), sizeof run - 1);
    run[sizeof run - 1] = '\0';
    ok(&f, train(&f, run, ""));
    ok(&f, lcm_read_file(f.ctx, &latest, tmpdir_path(run, "latest"), 100));
    snprintf(name, sizeof name, "%.*s", (int)strcspn(latest.data, "\n"), latest.data);
    snprintf(f.coherence, sizeof f.coherence, "%.200s/%s/model.safetensors", run, name);
    lcm_buf_free(&latest);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    tmpdir_free(f->dir);
    lcm_ctx_free(f->ctx);
    return 0;
}

/* ---- coherence ---- */

/* What the file says of itself is what can be measured on it. */
static void discriminator_learns_an_order(void **state) {
    fixture *f = *state;
    lcm_coherence *m;
    lcm_model_meta meta;
    const json_t *h;
    real x[LEN * DIM], y[LEN * DIM];
    int better = 0;
    ok(f, lcm_coherence_load(f->ctx, &m, &meta, f->coherence));
    h = json_object_get(meta.provenance, "held_out");
    assert_int_equal(json_integer_value(json_object_get(h, "documents")), DOCS);
    assert_true(json_number_value(json_object_get(h, "shuffled_accuracy")) > 0.9); /* chance: 0.5 */
    assert_true(json_number_value(json_object_get(h, "foreign_accuracy")) > 0.9);
    assert_true(meta.space == 0xaa);
    for (uint64_t d = 0; d < 20; d++) { /* documents backwards, which no training has seen */
        double forth, back;
        make_document(x, 9000 + d);
        for (int i = 0; i < LEN; i++) memcpy(y + i * DIM, x + (LEN - 1 - i) * DIM, DIM * sizeof *y);
        ok(f, lcm_coherence_score(f->ctx, &forth, m, x, LEN, 1));
        ok(f, lcm_coherence_score(f->ctx, &back, m, y, LEN, 1));
        assert_true(forth > 0 && forth < 1 && back > 0 && back < 1);
        better += forth > back;
    }
    assert_true(better >= 18);
    lcm_model_meta_free(&meta);
    lcm_coherence_free(m);
}

/* sigma(mean logit / 3), and a logit against a loop over the layers. */
static void score_is_what_the_header_says(void **state) {
    enum { F = LCM_COHERENCE_FEATURES * DIM };
    fixture *f = *state;
    lcm_coherence *m;
    lcm_model_meta meta;
    lcm_tape *t = lcm_tape_new(f->ctx, 1 << 16);
    real x[LEN * DIM], z[LEN * DIM], row[F];
    double want = 0, got, score;
    int64_t H;
    ok(f, lcm_coherence_load(f->ctx, &m, &meta, f->coherence));
    H = m->config.hidden_dim;
    make_document(x, 1);
    lcm_normalize(m->normalizer, z, x, LEN, NULL);
    for (int64_t i = 5; i < LEN; i++) {
        double h[64], g[64];
        lcm_coherence_features(row, m, z, i, z + i * DIM);
        for (int64_t k = 0; k < DIM; k++) { /* the mean of the last four, the last, the candidate, products */
            double mean = 0;
            for (int64_t r = i - 4; r < i; r++) mean += (double)z[r * DIM + k] / 4;
            assert_true(fabs((double)row[k] - mean) < 1e-5);
            assert_true(row[DIM + k] == z[(i - 1) * DIM + k] && row[2 * DIM + k] == z[i * DIM + k]);
            assert_true(fabs((double)row[3 * DIM + k] - mean * (double)z[i * DIM + k]) < 1e-4);
            assert_true(row[4 * DIM + k] == z[(i - 1) * DIM + k] * z[i * DIM + k]);
        }
        for (int64_t o = 0; o < H; o++) {
            double s = (double)m->first.b->x[o];
            for (int64_t k = 0; k < F; k++) s += (double)m->first.w->x[o * F + k] * (double)row[k];
            h[o] = 0.5 * s * (1 + erf(s / sqrt(2)));
        }
        for (int64_t o = 0; o < H; o++) {
            double s = (double)m->second.b->x[o];
            for (int64_t k = 0; k < H; k++) s += (double)m->second.w->x[o * H + k] * h[k];
            g[o] = 0.5 * s * (1 + erf(s / sqrt(2)));
        }
        for (int64_t o = 0; o < H; o++) want += g[o] * ((double)m->classes->x[H + o] - (double)m->classes->x[o]) / (LEN - 5);
    }
    ok(f, lcm_coherence_logit(f->ctx, &got, t, m, z, LEN, 5));
    assert_true(fabs(got - want) < 1e-4 * (1 + fabs(want))); /* single precision, sums of 40 and 32 terms */
    ok(f, lcm_coherence_score(f->ctx, &score, m, x, LEN, 5));
    assert_true(fabs(score - 1 / (1 + exp(-got / 3))) < 1e-6);
    ok(f, lcm_coherence_score(f->ctx, &score, m, x, LEN, LEN));
    assert_true(isnan(score)); /* nothing was written */
    lcm_tape_free(t);
    lcm_model_meta_free(&meta);
    lcm_coherence_free(m);
}

static void training_refuses(void **state) {
    fixture *f = *state;
    const char *run = tmpdir_path(f->dir, "refused");
    assert_int_equal(train(f, run, ", \"valid_store\": \"\""), LCM_ERR_FORMAT); /* a key twice */
    assert_int_equal(train(f, run, ", \"normalizer\": {\"with_fft\": true}"), LCM_ERR_ARG);
    assert_int_equal(train(f, run, ", \"heads\": 3"), LCM_ERR_ARG);
    says(f, "unknown key 'heads'");
}

static void damaged_discriminators(void **state) {
    fixture *f = *state;
    lcm_buf bytes = {0};
    lcm_coherence *m;
    lcm_model_meta meta;
    const char *bad = tmpdir_path(f->dir, "bad.safetensors");
    ok(f, lcm_read_file(f->ctx, &bytes, f->coherence, 1 << 24));
    ok(f, lcm_write_file(f->ctx, bad, bytes.data, bytes.len - 5));
    assert_int_equal(lcm_coherence_load(f->ctx, &m, &meta, bad), LCM_ERR_FORMAT);
    assert_null(m);
    memset(bytes.data + bytes.len - 8, 0xff, 8); /* NaN in the last tensor */
    ok(f, lcm_write_file(f->ctx, bad, bytes.data, bytes.len));
    assert_int_equal(lcm_coherence_load(f->ctx, &m, &meta, bad), LCM_ERR_FORMAT);
    assert_int_equal(lcm_coherence_load(f->ctx, &m, &meta, f->llama), LCM_ERR_FORMAT);
    says(f, "llama");
    assert_int_equal(lcm_coherence_load(f->ctx, &m, &meta, "/nowhere"), LCM_ERR_NOTFOUND);
    lcm_buf_free(&bytes);
}

/* ---- fluency ---- */

/* A quarter of four at x = 0 and three quarters of four at x = 1 are what sigma(2 ln 3 x - ln 3) says exactly. */
static void logistic_fit(void **state) {
    static const double x[8] = {0, 0, 0, 0, 1, 1, 1, 1}, apart[4] = {-1, -2, 1, 2}, same[2] = {3, 3};
    static const uint8_t y[8] = {1, 0, 0, 0, 1, 1, 1, 0}, sides[4] = {0, 0, 1, 1};
    double slope, offset;
    (void)state;
    lcm_fluency_fit_logistic(&slope, &offset, x, y, 8);
    assert_true(fabs(slope - 2 * log(3)) < 1e-6 && fabs(offset + log(3)) < 1e-6);
    lcm_fluency_fit_logistic(&slope, &offset, apart, sides, 4);
    assert_true(isfinite(slope) && slope > 1 && isfinite(offset));
    lcm_fluency_fit_logistic(&slope, &offset, same, sides + 1, 2);
    assert_true(isfinite(slope) && isfinite(offset));
}

static void calibrations_that_do_not_tell(void **state) {
    static const struct {
        double slope, accuracy;
        int64_t pairs;
        const char *says;
    } c[] = {{2, 0.9, 100, ""},
             {2, 0.6, 100, ""}, /* 0.598 is what guessing reaches */
             {2, 0.59, 100, "is no better than chance: it puts 59.0 % of the sentences of 100 held-out pairs on the right side, guessing up to 59.8 %"},
             {2, 0.9, 1, "is no better than chance"},
             {-2, 0.4, 100, "is reversed, likelier sentences rate lower: it puts 40.0 %"},
             {0, 0.9, 100, "is reversed"}};
    char out[256];
    (void)state;
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        const lcm_fluency_fit fit = {.slope = c[i].slope, .held_out_pairs = c[i].pairs, .sentence_accuracy = c[i].accuracy};
        assert_true(lcm_fluency_warning(out, sizeof out, &fit) == (c[i].says[0] != '\0'));
        if (strstr(out, c[i].says) == NULL) fail_msg("%s", out);
    }
}

static const char pairs[] = "{\"good\": \"The cat sat.\", \"bad\": \"The cat sit.\", \"uid\": \"a\"}\n"
                            "{\"good\": \"Tom ran.\", \"bad\": \"Tom runned.\", \"uid\": \"b\"}\n"
                            "{\"good\": \"They were.\", \"bad\": \"They was.\", \"uid\": \"a\"}\n"
                            "{\"good\": \"no bad one\"}\n"
                            "no json\n"
                            "{\"good\": \"It is the same.\", \"bad\": \"It is the same.\", \"uid\": \"b\"}\n";

static void calibration_file(void **state) {
    fixture *f = *state;
    const char *path = tmpdir_write(f->dir, "pairs.jsonl", pairs, strlen(pairs)), *out = tmpdir_path(f->dir, "fluency.json");
    const char *one = tmpdir_write(f->dir, "one.jsonl", pairs, (size_t)(strchr(pairs, '\n') + 1 - pairs));
    const char *model = tmpdir_path(f->dir, "other.safetensors");
    double value[2] = {-1, -1}, weight[2];
    lcm_sentences text = {0};
    lcm_fluency fl;
    lcm_buf bytes = {0};
    char *report;
    json_t *j;
    ok(f, lcm_read_file(f->ctx, &bytes, f->llama, 1 << 24));
    ok(f, lcm_write_file(f->ctx, model, bytes.data, bytes.len));
    ok(f, lcm_eval_fluency(f->ctx, &report, model, path, 0, out));
    j = json_loads(report, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(j, "fitted_pairs")), 2);
    assert_int_equal(json_integer_value(json_object_get(j, "held_out_pairs")), 2);
    assert_int_equal(json_integer_value(json_object_get(j, "fitted_uids")), 1);
    assert_int_equal(json_integer_value(json_object_get(j, "held_out_uids")), 1);
    assert_int_equal(json_integer_value(json_object_get(j, "bad_lines")), 2);
    /* equal sentences tie: 1/2 of one of two pairs, so a quarter or three quarters in all; and are right and wrong once */
    assert_true(fabs(fabs(json_real_value(json_object_get(j, "pair_accuracy")) - 0.5) - 0.25) < 1e-12);
    json_decref(j);
    lcm_free(report);

    ok(f, lcm_fluency_load(f->ctx, &fl, out));
    ok(f, lcm_sentences_add(f->ctx, &text, "Tom ran.", 8));
    ok(f, lcm_sentences_add(f->ctx, &text, "It is.", 6));
    ok(f, lcm_sentences_end_doc(f->ctx, &text));
    ok(f, lcm_sentences_end_doc(f->ctx, &text));
    ok(f, lcm_fluency_score(f->ctx, value, weight, &fl, &text));
    assert_true(value[0] > 0 && value[0] < 1 && weight[0] == 2);
    assert_true(isnan(value[1]) && weight[1] == 0);
    lcm_fluency_close(&fl);
    lcm_sentences_free(&text);

    bytes.data[bytes.len - 1] ^= 1;
    ok(f, lcm_write_file(f->ctx, model, bytes.data, bytes.len));
    assert_int_equal(lcm_fluency_load(f->ctx, &fl, out), LCM_ERR_FORMAT);
    says(f, "other bytes");
    assert_int_equal(lcm_eval_fluency(f->ctx, &report, f->llama, one, 0, out), LCM_ERR_FORMAT);
    says(f, "1 phenomena");
    assert_int_equal(lcm_eval_fluency(f->ctx, &report, f->llama, path, 1, out), LCM_ERR_ARG);
    assert_int_equal(lcm_fluency_load(f->ctx, &fl, path), LCM_ERR_FORMAT);
    lcm_buf_free(&bytes);
}

/* ---- token models as systems ---- */

static json_t *run(fixture *f, const char *task, const char *data, const char *fluency, const char *scorer) {
    lcm_eval_model model = {"small", f->llama};
    lcm_eval_run_opts o = lcm_eval_run_defaults();
    char *text;
    size_t failed;
    json_t *root;
    o.task = tmpdir_write(f->dir, "task.json", task, strlen(task));
    o.data = &data;
    o.n_data = 1;
    o.models = &model;
    o.n_models = 1;
    o.fluency = fluency;
    o.scorer = scorer;
    ok(f, lcm_eval_run(f->ctx, &text, NULL, &failed, &o));
    root = json_loads(text, 0, NULL);
    assert_non_null(root);
    lcm_free(text);
    return root;
}

static json_t *metric(const json_t *root, const char *name) {
    return json_object_get(json_object_get(json_array_get(json_object_get(root, "rows"), 0), "metrics"), name);
}

static void token_models_run_tasks(void **state) {
    static const char story[] = "The cat sat. It was warm. The dog came.\nTom ran. Ann sang. They were glad.\n";
    static const char cloze[] = "{\"context\": [\"The cat sat.\"], \"right\": \"It was.\", \"wrong\": \"It was.\"}\n"
                                "{\"context\": [\"The cat sat.\"], \"right\": \"Tom ran.\", \"wrong\": \"Ann sang.\"}\n"
                                "{\"context\": [\"The cat sat.\"], \"right\": \"Ann sang.\", \"wrong\": \"Tom ran.\"}\n";
    fixture *f = *state;
    const char *text = tmpdir_write(f->dir, "story.txt", story, strlen(story)), *items = tmpdir_write(f->dir, "cloze.jsonl", cloze, strlen(cloze));
    const char *path = tmpdir_write(f->dir, "pairs.jsonl", pairs, strlen(pairs)), *out = tmpdir_path(f->dir, "fl.json");
    const json_t *values;
    json_t *root;
    char *report;
    ok(f, lcm_eval_fluency(f->ctx, &report, f->llama, path, 0, out));
    lcm_free(report);
    root = run(f, "{\"format\": 1, \"kind\": \"completion\", \"given\": 2, \"sentences\": 2, \"metrics\": [\"sentences\", \"fluency\"]}", text, out, NULL);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(root, "rows"), 0), "kind")), "llama");
    assert_non_null(metric(root, "sentences"));
    assert_non_null(metric(root, "fluency"));
    assert_non_null(json_object_get(json_object_get(json_object_get(root, "facts"), "fluency"), "pair_accuracy"));
    assert_non_null(json_object_get(json_object_get(json_object_get(root, "facts"), "fluency"), "warning")); /* two pairs show nothing */
    assert_int_equal(json_array_size(json_object_get(json_array_get(json_object_get(root, "rows"), 0), "seeds")), 0);
    json_decref(root);
    root = run(f, "{\"format\": 1, \"kind\": \"completion\", \"given\": 2, \"temperature\": 1}", text, NULL, f->llama);
    assert_int_equal(json_array_size(json_object_get(json_array_get(json_object_get(root, "rows"), 0), "seeds")), 1);
    assert_null(metric(root, "fluency"));
    assert_int_equal(json_array_size(json_object_get(metric(root, "mi"), "values")), 2);
    assert_true(json_is_real(json_object_get(metric(root, "mi_compat"), "mean")));
    assert_true(json_integer_value(json_object_get(json_object_get(json_object_get(root, "facts"), "scorer"), "parameters")) > 0);
    json_decref(root);
    /* without an autoencoder: endings are chosen by likelihood; a tie, then the same pair both ways round */
    root = run(f, "{\"format\": 1, \"kind\": \"cloze\", \"metrics\": [\"accuracy\"]}", items, NULL, NULL);
    values = json_object_get(metric(root, "accuracy"), "values");
    assert_true(json_number_value(json_array_get(values, 0)) == 0.5);
    assert_true(json_number_value(json_array_get(values, 1)) + json_number_value(json_array_get(values, 2)) == 1);
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(discriminator_learns_an_order), cmocka_unit_test(score_is_what_the_header_says),
        cmocka_unit_test(training_refuses),              cmocka_unit_test(damaged_discriminators),
        cmocka_unit_test(calibrations_that_do_not_tell),
        cmocka_unit_test(logistic_fit),                  cmocka_unit_test(calibration_file),
        cmocka_unit_test(token_models_run_tasks),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
