/* Forecasters, measures, cloze and stories: against double loops, and through the public functions on
 * random toy models. */
#include "harness/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "eval/cloze.h"
#include "eval/next_concept.h"
#include "harness/eval_world.h"
#include "harness/toy_llama.h"
#include "kernels/distance.h"
#include "lcm/eval.h"
#include "lcm/generate.h"
#include "lcm/model_io.h"
#include "lcm/train.h"

enum { DIM = TOY_D };

typedef eval_world fixture;

#define ok(f, call) assert_ok((f)->ctx, call)

/* ---- forecasters ---- */

/* n documents of 1 … 4 concepts; what is asked for is set by the tests. */
typedef struct documents {
    lcm_forecast_job job;
    real *x, *p;
    int32_t *off, *from, *to;
} documents;

static documents make_documents(int64_t n, int64_t D) {
    documents d = {.x = toy_concepts(4 * n, D, 3), .p = calloc((size_t)(5 * n * D), sizeof(real)),
                   .off = calloc((size_t)n + 1, sizeof(int32_t)), .from = calloc((size_t)n, sizeof(int32_t)),
                   .to = calloc((size_t)n, sizeof(int32_t))};
    for (int64_t i = 0; i < n; i++) d.off[i + 1] = d.off[i] + 1 + (int32_t)(i * 3 % 4);
    d.job = (lcm_forecast_job){n, D, d.x, d.off, d.from, d.to};
    return d;
}

static void ask(documents *d, int from, int to_beyond) { /* to = length + to_beyond */
    for (int64_t i = 0; i < d->job.n; i++) {
        int32_t len = d->off[i + 1] - d->off[i];
        d->to[i] = len + to_beyond;
        d->from[i] = from ? from : d->to[i] - 1;
        if (d->from[i] > d->to[i]) d->from[i] = d->to[i];
    }
}

static void free_documents(documents *d) {
    free(d->x);
    free(d->p);
    free(d->off);
    free(d->from);
    free(d->to);
}

/* Rounding differs with what else is in a batch; 1e-4 of the largest value is far below any mistake. */
static void assert_near_rows(const real *a, const real *b, int64_t n) {
    double top = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        top = fmax(top, fabs((double)b[i]));
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
        assert_true(isfinite(a[i]));
    }
    assert_true(worst <= 1e-4 * top);
}

/* 300 documents are more than one group. */
static void forecast_is_one_step_of_generation(void **state) {
    fixture *f = *state;
    documents d = make_documents(300, DIM);
    lcm_model *m = eval_world_base(f);
    lcm_generate_config c = lcm_generate_config_default();
    lcm_predict_config pc = {.sampler = c.sampler};
    lcm_forecaster fc = lcm_forecast_model(m, "file", &pc);
    lcm_prompts prompts = {.n = 300, .x = d.x, .off = d.off};
    lcm_generated g;
    ask(&d, 0, 1);
    assert_false(fc.seeded);
    assert_int_equal(lcm_forecast_rows(&d.job), 300);
    ok(f, fc.predict(f->ctx, d.p, &fc, &d.job, 1));
    c.max_gen_len = 1;
    ok(f, lcm_generate(f->ctx, &g, m, &prompts, &c, NULL));
    assert_near_rows(d.p, g.x, 300 * DIM);
    lcm_generated_free(&g);
    lcm_model_free(m);
    free_documents(&d);
}

/* All positions at once, and one at a time from contexts read in one piece. */
static void positions_do_not_depend_on_what_is_asked(void **state) {
    fixture *f = *state;
    documents all = make_documents(9, DIM), one = make_documents(9, DIM);
    lcm_model *m = eval_world_tower(f);
    lcm_predict_config pc = {.sampler = lcm_sampler_config_default()};
    lcm_forecaster fc;
    pc.sampler.steps = 4;
    fc = lcm_forecast_model(m, "file", &pc);
    assert_true(fc.seeded);
    ask(&all, 1, 1);
    ok(f, fc.predict(f->ctx, all.p, &fc, &all.job, 7));
    for (int32_t t = 1; t <= 4; t++) {
        int64_t row = 0, rows = 0;
        real *want = one.x; /* not read: the model reads all.x */
        for (int64_t d = 0; d < 9; d++) {
            bool has = t < all.to[d];
            one.from[d] = has ? t : 1;
            one.to[d] = one.from[d] + has;
            for (int32_t k = 1; k < all.to[d]; k++, row++)
                if (k == t) memcpy(want + rows++ * DIM, all.p + row * DIM, DIM * sizeof *want);
        }
        one.job.x = all.x;
        assert_int_equal(lcm_forecast_rows(&one.job), rows);
        ok(f, fc.predict(f->ctx, one.p, &fc, &one.job, 7));
        assert_near_rows(one.p, want, rows * DIM);
    }
    ok(f, fc.predict(f->ctx, one.p, &fc, &all.job, 8));
    assert_true(memcmp(one.p, all.p, DIM * sizeof(real)) != 0); /* another seed */
    lcm_model_free(m);
    free_documents(&all);
    free_documents(&one);
}

static void context_longer_than_the_model_is_refused(void **state) {
    fixture *f = *state;
    lcm_model *m = eval_world_base(f); /* reads 32 */
    real *x = toy_concepts(33, DIM, 1), p[DIM];
    int32_t off[2] = {0, 33}, from = 33, to = 34;
    lcm_forecast_job job = {1, DIM, x, off, &from, &to};
    lcm_predict_config pc = {.sampler = lcm_sampler_config_default()};
    lcm_forecaster fc = lcm_forecast_model(m, "file", &pc);
    assert_int_equal(fc.predict(f->ctx, p, &fc, &job, 1), LCM_ERR_LIMIT);
    from = 32, to = 33;
    ok(f, fc.predict(f->ctx, p, &fc, &job, 1));
    lcm_model_free(m);
    free(x);
}

/* 900 documents are more than one block of keys, 700 rows more than one of queries. */
static void baselines_against_loops(void **state) {
    enum { D = 6, DOCS = 900 };
    fixture *f = *state;
    lcm_store *s = eval_world_store(f, tmpdir_path(f->dir, "train"), DOCS, D, "0123456789abcdef");
    int64_t n = lcm_store_n_concepts(s), rows;
    real *keys = malloc((size_t)(n * D) * sizeof *keys);
    documents d = make_documents(400, D);
    assert_true(n > 2048);
    ok(f, lcm_store_vectors(f->ctx, keys, s, 0, n));
    ask(&d, 1, 0);
    rows = lcm_forecast_rows(&d.job);
    assert_true(rows > 512);
    for (const lcm_baseline *b = lcm_baselines; b->name; b++) {
        lcm_forecaster fc = lcm_forecast_baseline(b, s);
        int64_t row = 0;
        ok(f, fc.predict(f->ctx, d.p, &fc, &d.job, 1));
        for (int64_t i = 0; i < 400; i++)
            for (int32_t t = 1; t < d.to[i]; t++, row++) {
                const real *last = d.x + (d.off[i] + t - 1) * D, *want = last;
                real mean[D] = {0};
                if (strcmp(b->name, "truth") == 0) want = last + D;
                if (strcmp(b->name, "mean") == 0) {
                    for (int64_t k = 0; k < n * D; k++) mean[k % D] += keys[k] / (real)n;
                    want = mean;
                    if (row > 3) break; /* the same for all */
                }
                if (strcmp(b->name, "nearest") == 0) {
                    double best = INFINITY;
                    for (int64_t q = 0, first, count; q < DOCS; q++) {
                        ok(f, lcm_store_doc(f->ctx, &first, &count, s, q));
                        for (int64_t k = first; k + 1 < first + count; k++)
                            if (lcm_l2(last, keys + k * D, D) < best) best = lcm_l2(last, keys + k * D, D), want = keys + (k + 1) * D;
                    }
                }
                for (int k = 0; k < D; k++) assert_true(fabs((double)(d.p[row * D + k] - want[k])) <= 1e-5);
            }
    }
    free(keys);
    free_documents(&d);
    lcm_store_close(s);
}

/* ---- measures ---- */

static lcm_status predict_noisy(lcm_ctx *ctx, real *out, const lcm_forecaster *f, const lcm_forecast_job *job, uint64_t seed) {
    real *noise = toy_concepts(lcm_forecast_rows(job), job->D, seed);
    lcm_status st = lcm_baselines[0].predict(ctx, out, f, job, seed);
    for (int64_t i = 0; i < lcm_forecast_rows(job) * job->D; i++) out[i] += noise[i];
    free(noise);
    return st;
}

static double best_cosine(const real *v, const real *before, int64_t n) {
    double best = -1;
    for (int64_t i = 0; i < n; i++) best = fmax(best, lcm_cosine(v, before + i * DIM, DIM));
    return best;
}

static void measures_against_loops(void **state) {
    enum { N = 7, BATCH = 3 };
    fixture *f = *state;
    documents d = make_documents(N, DIM);
    lcm_forecaster noisy = {.name = "noisy", .predict = predict_noisy};
    lcm_forecaster oracle = lcm_forecast_baseline(&lcm_baselines[0], NULL);
    lcm_next_opts o = {.batch_docs = BATCH};
    lcm_next_scores s;
    double l2 = 0, ca = 0, par = 0, cos = 0, compat = 0;
    int64_t row = 0, n_par = 0, n_ca = 0, n_compat = 0;
    ask(&d, 1, 0);
    ok(f, noisy.predict(f->ctx, d.p, &noisy, &d.job, 4));
    for (int64_t i = 0; i < N; i++)
        for (int32_t t = 1; t < d.to[i]; t++, row++) {
            const real *p = d.p + row * DIM, *x = d.x + (d.off[i] + t) * DIM;
            int64_t first = d.off[i / BATCH * BATCH], last = d.off[i / BATCH * BATCH + BATCH < N ? i / BATCH * BATCH + BATCH : N];
            int64_t at = d.off[i] + t, n = 0, farther = 0, n_others = 0, others = 0;
            double theirs = best_cosine(x, d.x + d.off[i] * DIM, t);
            l2 += lcm_l2(p, x, DIM);
            cos += lcm_cosine(p, x, DIM);
            if (theirs > 0) par += best_cosine(p, d.x + d.off[i] * DIM, t) / theirs, n_par++;
            for (int64_t k = first; k < last; k++) {
                bool closer = lcm_l2(p, d.x + k * DIM, DIM) <= lcm_l2(p, x, DIM);
                if (k < d.off[i] || k >= d.off[i + 1]) n_others++, others += !closer;
                if (k == at || k == at - 1 || (k == at + 1 && k < d.off[i + 1])) continue; /* t >= 1: at - 1 is ours */
                n++;
                farther += !closer;
            }
            if (n_others) compat += (double)others / (double)n_others, n_compat++;
            if (n) ca += (double)farther / (double)n, n_ca++;
        }
    ok(f, lcm_next_evaluate(f->ctx, &s, &noisy, &d.job, 4, &o));
    assert_true(n_par > 0 && n_par < row); /* both cases are met */
    assert_int_equal(s.n[0], row);
    assert_true(fabs(s.mean[0] - l2 / (double)row) < 1e-9);
    assert_int_equal(s.n[1], 0); /* no codec */
    assert_true(isnan(s.mean[1]));
    assert_true(n_ca < row); /* the last batch is one document, whose middle has no negatives */
    assert_int_equal(s.n[2], n_ca);
    assert_true(fabs(s.mean[2] - ca / (double)n_ca) < 1e-9);
    assert_int_equal(s.n[3], n_par);
    assert_true(fabs(s.mean[3] - par / (double)n_par) < 1e-9);
    assert_true(isnan(s.mean[4]) && s.n[4] == 0); /* no scorer */
    assert_true(fabs(s.mean[5] - cos / (double)row) < 1e-9);
    assert_true(n_compat < row); /* the last batch has no other document */
    assert_int_equal(s.n[6], n_compat);
    assert_true(fabs(s.mean[6] - compat / (double)n_compat) < 1e-9);

    o.codec = f->codec;
    o.beam = lcm_beam_opts_default();
    o.beam.beam_size = 1;
    o.round_trips = 5;
    ok(f, lcm_next_evaluate(f->ctx, &s, &oracle, &d.job, 1, &o));
    assert_true(s.mean[0] == 0);
    assert_int_equal(s.n[1], 5);
    assert_true(s.mean[2] == 1);
    assert_true(fabs(s.mean[3] - 1) < 1e-12 && fabs(s.mean[5] - 1) < 1e-12);
    free_documents(&d);
}

/* ---- cloze ---- */

static const char cloze_text[] =
    "{\"context\": [\"The cat sat.\", \"It was warm.\"], \"right\": \"The cat slept.\", \"wrong\": \"A car came.\"}\n"
    "{\"context\": [\"Tom ran.\"], \"right\": \"Tom fell.\", \"wrong\": \"Ann sang.\", \"wrong_renamed\": \"Tom sang.\"}\n"
    "{\"context\": [\"Tom ran.\"], \"right\": \"The same.\", \"wrong\": \"The same.\", \"wrong_renamed\": null, \"id\": 3}\n";

static void cloze_of_known_predictions(void **state) {
    fixture *f = *state;
    const char *path = tmpdir_write(f->dir, "cloze.jsonl", cloze_text, strlen(cloze_text));
    static const int right[3] = {0, 2, 5}; /* rows of the endings */
    lcm_cloze c;
    real p[3 * DIM];
    ok(f, lcm_cloze_load(f->ctx, &c, f->codec, path));
    assert_int_equal(c.n, 3);
    assert_int_equal(c.n_hard, 1);
    assert_int_equal(c.endings.n, 7);
    assert_int_equal(lcm_forecast_rows(&(lcm_forecast_job){3, DIM, c.x, c.off, c.from, c.to}), 3);
    assert_int_equal(c.from[0], 2);
    for (int shift = 0; shift < 2; shift++) {
        double score[3] = {0}, hard[3] = {0};
        for (int i = 0; i < 3; i++) memcpy(p + i * DIM, c.ends + (right[i] + shift) * DIM, DIM * sizeof *p);
        lcm_cloze_score(score, hard, &c, p);
        assert_true(score[0] == 1 - shift && score[1] == 1 - shift && score[2] == 0.5);
        assert_true(isnan(hard[0]) && !isnan(hard[1]) && isnan(hard[2]));
        if (shift == 0) assert_true(hard[1] == 1);
    }
    memcpy(p + DIM, c.ends + 4 * DIM, DIM * sizeof *p); /* the renamed ending itself */
    {
        double score[3] = {0}, hard[3] = {0};
        lcm_cloze_score(score, hard, &c, p);
        assert_true(hard[1] == 0);
    }
    lcm_cloze_free(&c);
}

static void bad_cloze_items_are_named(void **state) {
    static const char *const bad[] = {"{\"context\": [\"a\"], \"right\": \"b\"}\n",
                                      "{\"context\": [], \"right\": \"b\", \"wrong\": \"c\"}\n",
                                      "{\"context\": [1], \"right\": \"b\", \"wrong\": \"c\"}\n",
                                      "{\"context\": \"a\", \"right\": \"b\", \"wrong\": \"c\"}\n",
                                      "{\"context\": [\"a\"], \"right\": \"b\", \"wrong\": \"c\"\n"};
    fixture *f = *state;
    lcm_cloze c;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[1024];
        size_t n = (size_t)snprintf(text, sizeof text, "%.*s%s", (int)(strchr(cloze_text, '\n') - cloze_text + 1), cloze_text, bad[i]);
        const char *path = tmpdir_write(f->dir, "bad.jsonl", text, n);
        assert_int_equal(lcm_cloze_load(f->ctx, &c, f->codec, path), LCM_ERR_FORMAT);
        assert_non_null(strstr(lcm_ctx_message(f->ctx), "line 2"));
    }
    assert_int_equal(lcm_cloze_load(f->ctx, &c, f->codec, tmpdir_write(f->dir, "none.jsonl", "\n", 1)), LCM_ERR_FORMAT);
}

/* ---- through the public functions ---- */

static json_t *parse(fixture *f, lcm_status st, char *text) {
    json_t *root;
    ok(f, st);
    root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    lcm_free(text);
    return root;
}

static const json_t *cell(const json_t *root, const char *list, size_t row, const char *key) {
    const json_t *v = json_object_get(json_array_get(json_object_get(root, list), row), key);
    assert_non_null(v);
    return v;
}

static double number(const json_t *root, const char *list, size_t row, const char *key) {
    const json_t *v = cell(root, list, row, key);
    if (json_is_object(v)) v = json_object_get(v, "mean");
    assert_true(json_is_number(v));
    return json_number_value(v);
}

static int64_t fact(const json_t *root, const char *group, const char *key) {
    const json_t *v = json_object_get(json_object_get(root, group), key);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

/* One more column, which names where it comes from. */
static void report_with_scorer(fixture *f, lcm_eval_next_opts *o) {
    const char *base = toy_llama_file(f->ctx, tmpdir_path(f->dir, "llama.safetensors"));
    char scorer[512], *text = NULL;
    lcm_status st;
    json_t *root;
    strncpy(scorer, base, sizeof scorer - 1);
    scorer[sizeof scorer - 1] = '\0';
    o->scorer = scorer;
    st = lcm_eval_next(f->ctx, &text, o);
    root = parse(f, st, text);
    for (size_t i = 0; i < 6; i++) assert_true(isfinite(number(root, "rows", i, "mi")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(root, "scorer"), "file")), scorer);
    assert_true(fact(root, "scorer", "parameters") > 0 && fact(root, "scorer", "documents_beyond_window") == 0);
    json_decref(root);
    o->scorer = o->sonar; /* no token model */
    assert_int_equal(lcm_eval_next(f->ctx, &text, o), LCM_ERR_FORMAT);
    o->scorer = scorer;
    o->store = NULL; /* cloze items alone */
    assert_int_equal(lcm_eval_next(f->ctx, &text, o), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "scorer"));
    o->scorer = NULL;
}

static void report_of_next(void **state) {
    static const int64_t seeds[2] = {1, 2};
    static const char *const names[] = {"truth", "copy-last", "mean", "nearest", "base", "two_tower"};
    fixture *f = *state;
    const char *models[2] = {f->base, f->tower};
    char cloze[512], *text = NULL, *again = NULL;
    lcm_eval_next_opts o = lcm_eval_next_defaults();
    json_t *root;
    strncpy(cloze, tmpdir_write(f->dir, "cloze.jsonl", cloze_text, strlen(cloze_text)), sizeof cloze - 1);
    cloze[sizeof cloze - 1] = '\0';
    o.sonar = f->sonar;
    o.store = o.train_store = f->store;
    o.cloze = cloze;
    o.models = models;
    o.n_models = 2;
    o.seeds = seeds;
    o.n_seeds = 2;
    o.max_len = 3; /* documents of 4 are wrapped */
    o.generation.steps = 3;
    ok(f, lcm_eval_next(f->ctx, &text, &o));
    ok(f, lcm_eval_next(f->ctx, &again, &o));
    assert_string_equal(text, again);
    lcm_free(again);
    root = parse(f, LCM_OK, text);
    assert_int_equal(json_array_size(json_object_get(root, "rows")), 6);
    assert_int_equal(json_array_size(json_object_get(root, "cloze")), 5); /* truth is not in the job */
    assert_int_equal(fact(root, "store", "documents"), 12);
    assert_int_equal(fact(root, "store", "concepts"), 30);
    assert_int_equal(fact(root, "store", "chunks"), 15); /* three documents of 4 */
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(json_string_value(cell(root, "rows", i, "model")), names[i]);
        assert_true(number(root, "rows", i, "targets") == 15);
        assert_null(json_object_get(json_array_get(json_object_get(root, "rows"), i), "mi")); /* no scorer */
        assert_int_equal(json_is_object(cell(root, "rows", i, "l2")), i == 5); /* mean and sd: seeds matter */
    }
    assert_true(number(root, "rows", 0, "l2") == 0 && number(root, "rows", 0, "ca") == 1);
    assert_true(number(root, "rows", 5, "l2") > 0);
    for (size_t i = 0; i < 5; i++) {
        double low = json_number_value(json_object_get(cell(root, "cloze", i, "accuracy"), "low"));
        assert_true(low <= number(root, "cloze", i, "accuracy") && number(root, "cloze", i, "items") == 3);
    }
    json_decref(root);
    report_with_scorer(f, &o);

    lcm_store_close(eval_world_store(f, tmpdir_path(f->dir, "alien"), 3, DIM, "0123456789abcdef"));
    o.store = tmpdir_path(f->dir, "alien");
    assert_int_equal(lcm_eval_next(f->ctx, &text, &o), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "0123456789abcdef"));
    o.store = o.cloze = NULL;
    assert_int_equal(lcm_eval_next(f->ctx, &text, &o), LCM_ERR_ARG);
}

static const char prompts_text[] =
    "The cat sat on the mat. It was warm. The dog came. They played all day long in the big green garden of the old house.\n"
    "Short one.\n"
    "Tom ran home. Ann sang a song. They were happy.\n";

static void report_of_reconstruct(void **state) {
    static const double noise[2] = {0, 0.5};
    fixture *f = *state;
    const char *input = tmpdir_write(f->dir, "prompts.txt", prompts_text, strlen(prompts_text));
    lcm_eval_reconstruct_opts o = lcm_eval_reconstruct_defaults();
    char *text = NULL;
    json_t *root;
    lcm_status st;
    o.sonar = f->sonar;
    o.inputs = &input;
    o.n_inputs = 1;
    o.noise = noise;
    o.n_noise = 2;
    o.max_tokens = 0;
    st = lcm_eval_reconstruct(f->ctx, &text, &o);
    root = parse(f, st, text);
    assert_int_equal(fact(root, "input", "sentences"), 8);
    assert_int_equal(fact(root, "input", "documents"), 3);
    assert_true(number(root, "rows", 1, "noise") == 0.5 && number(root, "rows", 1, "sentences") == 8);
    assert_true(number(root, "rows", 0, "l2") > 0 && number(root, "rows", 0, "l2") != number(root, "rows", 1, "l2"));
    json_decref(root);

    o.max_tokens = 20; /* the toy vocabulary cuts words into many pieces */
    st = lcm_eval_reconstruct(f->ctx, &text, &o);
    root = parse(f, st, text);
    assert_true(fact(root, "input", "too_long") >= 1);
    assert_int_equal(fact(root, "input", "sentences") + fact(root, "input", "too_long"), 8);
    json_decref(root);

    o.noise = (double[1]){1.5};
    o.n_noise = 1;
    assert_int_equal(lcm_eval_reconstruct(f->ctx, &text, &o), LCM_ERR_ARG);
    assert_null(text);
}

static void report_of_stories(void **state) {
    fixture *f = *state;
    const char *input = tmpdir_write(f->dir, "prompts.txt", prompts_text, strlen(prompts_text));
    const char *models[2] = {f->base, f->tower};
    static const int64_t seeds[2] = {3, 4};
    lcm_eval_stories_opts o = lcm_eval_stories_defaults();
    o.sonar = f->sonar;
    o.models = models;
    o.n_models = 2;
    o.prompts = o.vocab = &input;
    o.n_prompts = o.n_vocab = 1;
    o.given = 2;
    o.seeds = seeds;
    o.n_seeds = 2;
    o.print = 1;
    o.end_of_text = "End of text.";
    o.generation.concepts = 3;
    o.generation.steps = 3;
    for (int feedback = 0; feedback < 2; feedback++) {
        char *text = NULL;
        lcm_status st;
        json_t *root;
        o.generation.feedback = feedback;
        st = lcm_eval_stories(f->ctx, &text, &o);
        root = parse(f, st, text);
        assert_int_equal(fact(root, "input", "short_documents"), 1);
        assert_int_equal(json_array_size(json_object_get(root, "rows")), 4);
        assert_true(number(root, "rows", 0, "sentences") == 3); /* two of one document, one of the other */
        assert_true(number(root, "rows", 0, "unknown_words") == 0);
        assert_true(number(root, "rows", 0, "l2_r") == number(root, "rows", 1, "l2_r"));
        for (size_t i = 2; i < 4; i++) {
            double stops = number(root, "rows", i, "stop_length") + number(root, "rows", i, "stop_end_of_text") +
                           number(root, "rows", i, "stop_repetition");
            assert_true(number(root, "rows", i, "stories") == 2 && stops == 2);
            assert_true(number(root, "rows", i, "seeds") == (i == 3 ? 2 : 0));
        }
        assert_int_equal(json_array_size(json_object_get(root, "stories")), 2);
        assert_int_equal(json_array_size(cell(root, "stories", 0, "prompt")), 2);
        json_decref(root);
    }
}

/* Its prompts have sentences of the model's own around them, which continued documents would lack. */
static void stories_of_an_instructed_model_are_refused(void **state) {
    fixture *f = *state;
    const char *input = tmpdir_write(f->dir, "prompts.txt", prompts_text, strlen(prompts_text));
    const char *path = tmpdir_path(f->dir, "tuned.safetensors");
    lcm_model_save_opts save_opts = {.dtype = LCM_DT_F32, .space = f->file.space};
    lcm_eval_stories_opts o = lcm_eval_stories_defaults();
    lcm_model *m = eval_world_base(f);
    char *text = NULL;
    o.sonar = f->sonar;
    o.models = &path;
    o.n_models = 1;
    o.prompts = &input;
    o.n_prompts = 1;
    o.given = 2;
    o.generation.concepts = 1;
    for (int around = 0; around < 2; around++) { /* an end of text alone stands around nothing */
        json_t *prompt = json_pack("{s:s, s:s}", "source_suffix", around ? "Answer." : "", "end_of_text", "End.");
        save_opts.prompt = prompt;
        ok(f, lcm_model_save(f->ctx, m, &save_opts, path));
        json_decref(prompt);
        assert_int_equal(lcm_eval_stories(f->ctx, &text, &o), around ? LCM_ERR_ARG : LCM_OK);
        if (around) {
            assert_null(text);
            assert_non_null(strstr(lcm_ctx_message(f->ctx), "tuned.safetensors"));
        }
        lcm_free(text);
    }
    lcm_model_free(m);
}

/* Distance of x from the encoding of its decoding. */
static double round_trip(fixture *f, const real *x, const lcm_beam_opts *beam) {
    lcm_buf text = {0};
    real back[DIM];
    const char *at;
    size_t len;
    ok(f, lcm_codec_decode(f->ctx, &text, NULL, f->codec, x, 1, -1, beam));
    at = text.data;
    len = strlen(at);
    ok(f, lcm_codec_encode(f->ctx, back, NULL, f->codec, &at, &len, 1, -1));
    lcm_buf_free(&text);
    return lcm_l2(x, back, DIM);
}

/* Among the same hypotheses, the nearest is never farther than the likeliest, and with random weights
 * it is another one for some vectors. */
static void nearest_hypothesis_is_nearer(void **state) {
    fixture *f = *state;
    lcm_beam_opts likeliest = lcm_beam_opts_default(), nearest = lcm_beam_opts_default();
    real *x = toy_concepts(8, DIM, 31);
    int nearer = 0;
    likeliest.max_gen_len = nearest.max_gen_len = 6;
    nearest.nearest_rounds = 3;
    for (int i = 0; i < 8; i++) {
        double a = round_trip(f, x + i * DIM, &likeliest), b = round_trip(f, x + i * DIM, &nearest);
        assert_true(b <= a);
        nearer += b < a;
    }
    assert_true(nearer > 0);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forecast_is_one_step_of_generation),
        cmocka_unit_test(positions_do_not_depend_on_what_is_asked),
        cmocka_unit_test(context_longer_than_the_model_is_refused),
        cmocka_unit_test(baselines_against_loops),
        cmocka_unit_test(measures_against_loops),
        cmocka_unit_test(cloze_of_known_predictions),
        cmocka_unit_test(bad_cloze_items_are_named),
        cmocka_unit_test(report_of_next),
        cmocka_unit_test(report_of_reconstruct),
        cmocka_unit_test(report_of_stories),
        cmocka_unit_test(stories_of_an_instructed_model_are_refused),
        cmocka_unit_test(nearest_hypothesis_is_nearer),
    };
    return cmocka_run_group_tests(tests, eval_world_setup, eval_world_teardown);
}
