/* The task harness: the documents of a task, baselines, remote models, judges, the discriminator, and all of
 * it through the public function on toy models. */
#include "harness/test.h"
#include "harness/toy_llama.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "eval/generator.h"
#include "eval/judge.h"
#include "eval/task_data.h"
#include "eval/task_score.h"
#include "harness/eval_world.h"
#include "lcm/eval_run.h"
#include "lcm/model_io.h"
#include "lcm/train.h"

enum { DIM = TOY_D };

typedef eval_world fixture;

#define ok(f, call) assert_ok((f)->ctx, call)
#define says(f, text) assert_says((f)->ctx, text)

/* ---- files ---- */

/* Documents of real sentences, encoded. */
static const char *const store_texts[][4] = {{"The cat sat.", "It was warm.", "The cat slept.", "Tom ran home."},
                                             {"Ann sang a song.", "They were happy.", "The dog came.", "It was warm there."},
                                             {"Tom had a cat.", "The cat was red.", "They went to the park.", "They were glad."}};
enum { STORE_DOCS = 3, STORE_LEN = 4 };

static void write_store(fixture *f) {
    lcm_store_report report = {0};
    lcm_shard *shard;
    bool kept;
    ok(f, lcm_mkdirs(f->ctx, f->store));
    ok(f, lcm_shard_new(f->ctx, &shard, DIM, LCM_DT_F32));
    for (int d = 0; d < STORE_DOCS; d++) {
        for (int i = 0; i < STORE_LEN; i++) {
            const char *text = store_texts[d][i];
            size_t len = strlen(text);
            real x[DIM];
            ok(f, lcm_codec_encode(f->ctx, x, NULL, f->codec, &text, &len, 1, -1));
            ok(f, lcm_shard_add(f->ctx, shard, x, text, len));
        }
        ok(f, lcm_shard_end_doc(f->ctx, shard, &kept));
    }
    ok(f, lcm_shard_write(f->ctx, shard, f->store, 0, f->file.space_hex, &report));
    ok(f, lcm_store_finish(f->ctx, f->store, 1, NULL));
    lcm_shard_free(shard);
}

/* The world's folder becomes a bundle, its store one of these texts. */
static int setup(void **state) {
    static const char json[] = "{\"format\": 1, \"sonar\": \"sonar.safetensors\", \"lcm\": \"tower.safetensors\","
                               " \"generate\": {\"beam\": 1, \"steps\": 3}}";
    fixture *f;
    if (eval_world_setup(state)) return -1;
    f = *state;
    tmpdir_write(f->dir, "bundle.json", json, strlen(json));
    strncpy(f->store, tmpdir_path(f->dir, "texts"), sizeof f->store - 1);
    write_store(f);
    return 0;
}

static const char *file(const fixture *f, const char *name, const char *text) {
    return tmpdir_write(f->dir, name, text, strlen(text));
}

/* ---- documents ---- */

static lcm_status parse(fixture *f, lcm_eval_task *t, const char *text) {
    return lcm_eval_task_parse(f->ctx, t, text, strlen(text), "tasks/a.json");
}

static int64_t skipped(const lcm_results *r, const char *why) {
    for (size_t i = 0; i < r->n_skipped; i++)
        if (strcmp(r->skipped[i].why, why) == 0) return r->skipped[i].n;
    return 0;
}

static const char stories[] = "The cat sat. It was warm. The dog came. They were happy. Tom ran home.\n"
                              "Too short.\n"
                              "\n"
                              "bad \xff bytes. Here. And here. And here.\n"
                              "Ann sang. Tom ran. The cat slept. They were glad.\n";

static void documents_are_counted(void **state) {
    fixture *f = *state;
    const char *path = file(f, "stories.txt", stories);
    lcm_eval_task t;
    lcm_task_data d;
    lcm_results r;
    size_t len;
    ok(f, parse(f, &t, "{\"format\": 1, \"kind\": \"completion\", \"given\": 2, \"sentences\": 2, \"max_given\": 1}"));
    ok(f, lcm_results_init(f->ctx, &r, "t"));
    ok(f, lcm_task_data_read(f->ctx, &d, &r, &t, &path, 1));
    assert_int_equal(d.n, 2);
    assert_int_equal(r.sentences, 9);
    assert_int_equal(skipped(&r, "too few sentences"), 1);
    assert_int_equal(skipped(&r, "not UTF-8"), 1);
    assert_int_equal(d.cut_given, 2);     /* of two given sentences the last */
    assert_int_equal(d.cut_reference, 1); /* of three that follow two */
    assert_string_equal(lcm_sentences_at(&d.given, 0, NULL), "It was warm.");
    assert_int_equal(d.given.n, 2);
    assert_string_equal(lcm_sentences_at(&d.reference, 0, NULL), "The dog came.");
    assert_int_equal(d.reference.doc_end[0], 2);
    assert_memory_equal(lcm_results_document_at(&r, 1, &len), "stories.txt:5", 13);
    lcm_task_data_free(&d);
    lcm_results_free(&r);
    t.max_documents = 1;
    ok(f, lcm_results_init(f->ctx, &r, "t"));
    ok(f, lcm_task_data_read(f->ctx, &d, &r, &t, &path, 1));
    assert_int_equal(d.n, 1);
    lcm_task_data_free(&d);
    t.given = 7;
    assert_int_equal(lcm_task_data_read(f->ctx, &d, &r, &t, &path, 1), LCM_ERR_FORMAT);
    says(f, "too few sentences");
    path = f->dir;
    assert_int_equal(lcm_task_data_read(f->ctx, &d, &r, &t, &path, 1), LCM_ERR_ARG);
    says(f, "is a folder");
    assert_int_equal(lcm_task_data_read(f->ctx, &d, &r, &t, NULL, 0), LCM_ERR_ARG);
    says(f, "no data");
    lcm_results_free(&r);
    lcm_eval_task_free(&t);
}

static const char pairs[] = "{\"document\": \"The cat sat. It was warm. The dog came.\", \"summary\": \"A cat sat. A dog came.\", \"split\": \"test\"}\n"
                            "{\"document\": \"Tom ran.\", \"summary\": \"Tom ran.\", \"split\": \"train\"}\n"
                            "{\"document\": \"Tom ran.\", \"split\": \"test\"}\n"
                            "{\"summary\": \"Tom ran.\", \"split\": \"test\"}\n"
                            "{\"document\": \"Tom ran.\", \"summary\": \" \", \"split\": \"test\"}\n"
                            "[3]\n"
                            "no json\n"
                            "{\"document\": \"Ann sang.\", \"summary\": \"Ann sang.\", \"split\": \"test\"}\n";

static void pairs_are_counted(void **state) {
    fixture *f = *state;
    const char *path = file(f, "pairs.jsonl", pairs), *text = file(f, "other.txt", stories);
    lcm_eval_task t;
    lcm_task_data d;
    lcm_results r;
    ok(f, parse(f, &t, "{\"format\": 1, \"kind\": \"summarise\", \"where\": {\"split\": \"test\"}, \"max_given\": 2}"));
    ok(f, lcm_results_init(f->ctx, &r, "t"));
    ok(f, lcm_task_data_read(f->ctx, &d, &r, &t, &path, 1));
    assert_int_equal(d.n, 2);
    assert_int_equal(skipped(&r, "not selected by 'where'"), 1);
    assert_int_equal(skipped(&r, "no reference under the key"), 1);
    assert_int_equal(skipped(&r, "no text under the key"), 1);
    assert_int_equal(skipped(&r, "empty reference"), 1);
    assert_int_equal(skipped(&r, "not a JSON object"), 2);
    assert_int_equal(d.cut_given, 1);
    assert_string_equal(lcm_sentences_at(&d.given, 1, NULL), "It was warm."); /* a text is known by its beginning */
    assert_int_equal(d.reference.doc_end[0], 2);
    lcm_task_data_free(&d);
    assert_int_equal(lcm_task_data_read(f->ctx, &d, &r, &t, &text, 1), LCM_ERR_ARG);
    says(f, "reads .jsonl");
    lcm_results_free(&r);
    lcm_eval_task_free(&t);
}

/* ---- generators ---- */

static lcm_sentences contexts(fixture *f) {
    lcm_sentences s = {0};
    ok(f, lcm_sentences_cut(f->ctx, &s, NULL, "Tom had a cat. The cat sat.", 27, "en", 0));
    ok(f, lcm_sentences_cut(f->ctx, &s, NULL, "They were happy.", 16, "en", 0));
    return s;
}

static void baselines_write(void **state) {
    static const char *const bad[] = {"lead-", "lead-0", "lead-3x", "best", "truth", ""};
    fixture *f = *state;
    lcm_beam_opts beam = lcm_beam_opts_default();
    lcm_sentences given = contexts(f), out = {0};
    lcm_eval_task t = {.lang = "en"};
    lcm_generator_job job = {.given = &given, .sentences = 3, .task = &t};
    lcm_store *store;
    lcm_baseline_needs needs = {.codec = f->codec, .beam = &beam}, none = {0};
    lcm_generator g;
    ok(f, lcm_store_open(f->ctx, &store, f->store));
    needs.train = store;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(lcm_generator_baseline(f->ctx, &g, bad[i], &needs), LCM_ERR_ARG);
        says(f, "copy-last, mean, nearest and lead-K");
    }
    assert_int_equal(lcm_generator_baseline(f->ctx, &g, "mean", &none), LCM_ERR_ARG);

    ok(f, lcm_generator_baseline(f->ctx, &g, "copy-last", &none));
    ok(f, g.go_on(f->ctx, &out, &g, &job, 1));
    assert_int_equal(out.n, 6);
    assert_int_equal(out.doc_end[0], 3);
    assert_string_equal(lcm_sentences_at(&out, 2, NULL), "The cat sat.");
    assert_string_equal(lcm_sentences_at(&out, 3, NULL), "They were happy.");

    lcm_sentences_clear(&out);
    ok(f, lcm_generator_baseline(f->ctx, &g, "lead-2", &none));
    ok(f, g.go_on(f->ctx, &out, &g, &job, 1));
    assert_int_equal(out.n, 3); /* the second context has one sentence */
    assert_string_equal(lcm_sentences_at(&out, 0, NULL), "Tom had a cat.");

    lcm_sentences_clear(&out);
    ok(f, lcm_generator_baseline(f->ctx, &g, "nearest", &needs));
    ok(f, g.go_on(f->ctx, &out, &g, &job, 1));
    assert_int_equal(out.n_docs, 2);
    assert_string_equal(lcm_sentences_at(&out, 0, NULL), "It was warm."); /* what follows "The cat sat." there */
    assert_string_equal(lcm_sentences_at(&out, 2, NULL), "Tom ran home.");
    assert_string_equal(lcm_sentences_at(&out, 3, NULL), "The dog came."); /* "They were happy." is in the second document */
    assert_int_equal(out.n, 5);                                            /* which ends after one more */

    lcm_sentences_clear(&out);
    ok(f, lcm_generator_baseline(f->ctx, &g, "mean", &needs));
    ok(f, g.go_on(f->ctx, &out, &g, &job, 1));
    assert_int_equal(out.n, 6);
    assert_string_equal(lcm_sentences_at(&out, 0, NULL), lcm_sentences_at(&out, 5, NULL));
    lcm_store_close(store);
    lcm_sentences_free(&given);
    lcm_sentences_free(&out);
}

typedef struct oracle {
    const char *answer; /* NULL: failure */
    int calls, fail_at; /* the call that fails, from 1; 0: none */
    int64_t seed, max_tokens;
    char prompt[512], chat[512];
} oracle;

static int answer(void *user, char **text, const lcm_eval_request *r, char *error, size_t cap) {
    oracle *o = user;
    strncpy(o->prompt, r->prompt, sizeof o->prompt - 1);
    strncpy(o->chat, r->chat, sizeof o->chat - 1);
    o->seed = r->seed;
    o->max_tokens = r->max_tokens;
    if (++o->calls == o->fail_at || o->answer == NULL) {
        strncpy(error, "the line is dead", cap);
        return -1;
    }
    *text = strdup(o->answer);
    return 0;
}

static void remote_models_write(void **state) {
    fixture *f = *state;
    lcm_sentences given = contexts(f), out = {0};
    lcm_eval_task t = {.lang = "en", .prompt = "{text} So", .chat_prompt = "Go on: {text}", .max_tokens = 10};
    lcm_generator_job job = {.given = &given, .sentences = 2, .task = &t};
    oracle o = {.answer = " It rained. The sun came. It set. "};
    lcm_remote_writer w = {.complete = answer, .user = &o};
    lcm_generator g = lcm_generator_remote("far", &w);
    ok(f, g.go_on(f->ctx, &out, &g, &job, 5));
    assert_int_equal(out.n, 4);
    assert_string_equal(lcm_sentences_at(&out, 1, NULL), "The sun came.");
    assert_string_equal(o.prompt, "They were happy. So");
    assert_string_equal(o.chat, "Go on: They were happy.");
    assert_true(o.seed == 5 && o.max_tokens == 20);
    assert_true(w.asked == 2 && w.cut == 2 && w.empty == 0);
    o.answer = "  ";
    ok(f, g.go_on(f->ctx, &out, &g, &job, 5));
    assert_true(w.empty == 2 && out.n == 4 && out.n_docs == 4);
    o.answer = "bad \xc3(";
    assert_int_equal(g.go_on(f->ctx, &out, &g, &job, 5), LCM_ERR_UTF8);
    says(f, "'far'");
    o.answer = NULL;
    assert_int_equal(g.go_on(f->ctx, &out, &g, &job, 5), LCM_ERR_IO);
    says(f, "the line is dead");
    lcm_sentences_free(&given);
    lcm_sentences_free(&out);
}

/* ---- judges ---- */

static void marks(void **state) {
    static const struct {
        const char *text;
        double mark; /* NAN: none */
    } cases[] = {{"4", 4},         {"Score: 4.5 of 5", 4.5}, {"**3**", 3}, {"-1", NAN},        {"six", NAN},
                 {"10", NAN},      {"", NAN},                {"0", 0},     {"The mark is 5.", 5}, {"GPT-4 says 2", 4}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double mark = -7;
        bool has = lcm_judge_mark(&mark, cases[i].text, 0, 5);
        if (has != !isnan(cases[i].mark) || (has && mark != cases[i].mark)) fail_msg("'%s': %g", cases[i].text, mark);
    }
}

static void judges_count_what_they_cannot_read(void **state) {
    fixture *f = *state;
    lcm_sentences given = contexts(f), text = {0};
    oracle o = {.answer = "I give it a 3."};
    lcm_eval_judge j = {.name = "j", .prompt = "C {context} T {text}", .lo = 0, .hi = 5, .complete = answer, .user = &o};
    lcm_written w = {.given = &given, .reference = &given, .text = &text};
    lcm_judge_count count = {0, 0};
    double v[2] = {NAN, NAN};
    ok(f, lcm_sentences_cut(f->ctx, &text, NULL, "It rained.", 10, "en", 0));
    ok(f, lcm_sentences_end_doc(f->ctx, &text)); /* nothing written: nothing to mark */
    ok(f, lcm_judge_texts(f->ctx, v, &count, &j, &w));
    assert_true(v[0] == 3 && isnan(v[1]) && count.asked == 1 && count.unreadable == 0);
    assert_string_equal(o.prompt, "C Tom had a cat. The cat sat. T It rained.");
    o.answer = "no idea";
    ok(f, lcm_judge_texts(f->ctx, v, &count, &j, &w));
    assert_true(isnan(v[0]) && count.asked == 2 && count.unreadable == 1);
    o.answer = NULL;
    assert_int_equal(lcm_judge_texts(f->ctx, v, &count, &j, &w), LCM_ERR_IO);
    j.prompt = "nothing";
    assert_int_equal(lcm_judge_texts(f->ctx, v, &count, &j, &w), LCM_ERR_ARG);
    lcm_sentences_free(&given);
    lcm_sentences_free(&text);
}

/* ---- the whole ---- */

static json_t *run(fixture *f, const lcm_eval_run_opts *o, size_t want_failed) {
    char *text = NULL;
    size_t failed = 99;
    json_t *root;
    ok(f, lcm_eval_run(f->ctx, &text, NULL, &failed, o));
    assert_int_equal(failed, want_failed);
    root = json_loads(text, 0, NULL);
    assert_non_null(root);
    lcm_free(text);
    return root;
}

static json_t *row_of(const json_t *root, const char *model) {
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(root, "rows"), i, row)
        if (strcmp(json_string_value(json_object_get(row, "model")), model) == 0) return row;
    return NULL;
}

static double mean_of(const json_t *root, const char *model, const char *metric) {
    const json_t *m = json_object_get(json_object_get(row_of(root, model), "metrics"), metric);
    if (m == NULL) fail_msg("no %s of %s", metric, model);
    return json_is_number(json_object_get(m, "mean")) ? json_number_value(json_object_get(m, "mean")) : NAN;
}

static void completion_end_to_end(void **state) {
    static const int64_t seeds[2] = {3, 4};
    static const char *const baselines[] = {"copy-last", "lead-1", "nearest", "mean"};
    fixture *f = *state;
    const char *data = file(f, "stories.txt", stories), *out = tmpdir_path(f->dir, "out");
    const char *task = file(f, "task.json", "{\"format\": 1, \"kind\": \"completion\", \"given\": 2, \"sentences\": 2}");
    lcm_eval_model model = {"toy", f->dir};
    oracle good = {.answer = "The dog came. They were happy."}, dead = {.fail_at = 2, .answer = "x"}, mark = {.answer = "4"};
    lcm_eval_remote remotes[2] = {{"far", answer, &good}, {"dead", answer, &dead}};
    lcm_eval_judge judge = {.name = "wise", .prompt = "{text}", .lo = 0, .hi = 5, .complete = answer, .user = &mark};
    lcm_eval_run_opts o = lcm_eval_run_defaults();
    json_t *root, *again, *facts;
    lcm_buf texts = {0};
    size_t lines = 0;
    o.task = task;
    o.data = &data;
    o.n_data = 1;
    o.models = &model;
    o.n_models = 1;
    o.baselines = baselines;
    o.n_baselines = 4;
    o.train_store = f->store;
    o.remotes = remotes;
    o.n_remotes = 2;
    o.judges = &judge;
    o.n_judges = 1;
    o.seeds = seeds;
    o.n_seeds = 2;
    o.out = out;
    root = run(f, &o, 1);
    facts = json_object_get(root, "facts");
    assert_int_equal(json_array_size(json_object_get(root, "rows")), 6); /* the dead one has no row */
    assert_null(row_of(root, "dead"));
    assert_non_null(strstr(json_string_value(json_object_get(json_object_get(facts, "failed"), "dead")), "the line is dead"));
    assert_int_equal(json_array_size(json_object_get(row_of(root, "toy"), "seeds")), 2);
    assert_int_equal(json_array_size(json_object_get(row_of(root, "lead-1"), "seeds")), 0);
    assert_true(mean_of(root, "copy-last", "copied") == 1 && mean_of(root, "copy-last", "repeated") == 0.5);
    assert_true(mean_of(root, "lead-1", "sentences") == 1);
    assert_true(mean_of(root, "far", "judge:wise") == 4);
    /* the first document goes on just as `far` writes, the second not: (1 + r) / 2 */
    assert_true(mean_of(root, "far", "rougeL") > 0.5 && mean_of(root, "far", "rougeL") < 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json_object_get(facts, "systems"), "far"), "requests")), 4);
    assert_true(json_number_value(json_object_get(json_object_get(root, "skipped"), "too few sentences")) == 1);
    ok(f, lcm_read_file(f->ctx, &texts, tmpdir_path(out, "texts.jsonl"), 1 << 20));
    for (size_t i = 0; i < texts.len; i++) lines += texts.data[i] == '\n';
    assert_int_equal(lines, 2 * (4 + 2 + 2)); /* documents x (baselines + seeds of the model and of far) */
    assert_true(lcm_exists(tmpdir_path(out, "results.json")));
    lcm_buf_free(&texts);
    good.calls = dead.calls = 0;
    again = run(f, &o, 1); /* the same files and seeds: the same numbers */
    assert_true(json_equal(json_object_get(row_of(root, "toy"), "metrics"), json_object_get(row_of(again, "toy"), "metrics")));
    json_decref(root);
    json_decref(again);
}

static void summaries_end_to_end(void **state) {
    static const char *const baselines[] = {"lead-2"};
    fixture *f = *state;
    const char *data = file(f, "pairs.jsonl", pairs);
    lcm_eval_run_opts o = lcm_eval_run_defaults();
    lcm_eval_model model = {"toy", f->dir};
    json_t *root;
    o.task = file(f, "task.json", "{\"format\": 1, \"kind\": \"summarise\", \"where\": {\"split\": \"test\"}, \"sentences\": 3,"
                                  " \"suffix\": \"In short.\", \"metrics\": [\"rouge1\", \"rougeL\", \"sentences\"]}");
    o.data = &data;
    o.n_data = 1;
    o.models = &model;
    o.n_models = 1;
    o.baselines = baselines;
    o.n_baselines = 1;
    root = run(f, &o, 0);
    assert_true(mean_of(root, "lead-2", "sentences") == 1.5);
    /* "The cat sat. It was warm." against "A cat sat. A dog came.": 2 words of 6 each; the other document is equal */
    assert_true(fabs(mean_of(root, "lead-2", "rouge1") - (1 + 1.0 / 3) / 2) < 1e-12);
    assert_int_equal(json_object_size(json_object_get(row_of(root, "toy"), "metrics")), 3);
    json_decref(root);
}

/* Mutual information of what was decoded, two predictions of seven: the two round trips. */
static void next_with_scorer(fixture *f, lcm_eval_run_opts *o) {
    char scorer[512], *text;
    const json_t *m;
    json_t *root;
    size_t failed;
    o->n_remotes = 0;
    o->task = file(f, "task.json", "{\"format\": 1, \"kind\": \"next\", \"round_trips\": 2, \"metrics\": [\"l2\", \"mi\"]}");
    assert_int_equal(lcm_eval_run(f->ctx, &text, NULL, &failed, o), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "'mi' needs a model of its own"));
    snprintf(scorer, sizeof scorer, "%s", toy_llama_file(f->ctx, tmpdir_path(f->dir, "llama.safetensors")));
    o->scorer = scorer;
    root = run(f, o, 0);
    assert_false(isnan(mean_of(root, "truth", "mi")) || isnan(mean_of(root, "toy", "mi")));
    m = json_object_get(json_object_get(row_of(root, "truth"), "metrics"), "mi");
    for (size_t d = 0; d < 2; d++) /* rows 0 and 3 of 4 + 3: both of the first document; weights are tokens, not predictions */
        assert_int_equal(json_is_null(json_array_get(json_object_get(m, "values"), d)), d == 1);
    assert_true(json_number_value(json_array_get(json_object_get(m, "weights"), 0)) > 2);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json_object_get(root, "facts"), "scorer"), "file")), scorer);
    json_decref(root);
}

static void next_end_to_end(void **state) {
    static const char *const baselines[] = {"truth", "copy-last", "mean", "nearest"};
    fixture *f = *state;
    const char *data = file(f, "stories.txt", stories);
    lcm_eval_run_opts o = lcm_eval_run_defaults();
    lcm_eval_model model = {"toy", f->dir};
    oracle good = {.answer = "The dog came."};
    lcm_eval_remote remote = {"far", answer, &good};
    const json_t *m;
    json_t *root;
    o.task = file(f, "task.json", "{\"format\": 1, \"kind\": \"next\", \"round_trips\": 2}");
    o.data = &data;
    o.n_data = 1;
    o.models = &model;
    o.n_models = 1;
    o.baselines = baselines;
    o.n_baselines = 4;
    o.train_store = f->store;
    o.remotes = &remote;
    o.n_remotes = 1;
    root = run(f, &o, 0);
    assert_true(mean_of(root, "truth", "l2") == 0 && mean_of(root, "truth", "ca") == 1);
    assert_true(mean_of(root, "toy", "l2") > 0 && mean_of(root, "copy-last", "par") > 0);
    m = json_object_get(json_object_get(row_of(root, "truth"), "metrics"), "l2");
    assert_true(json_number_value(json_array_get(json_object_get(m, "weights"), 0)) == 4); /* of five sentences */
    assert_true(json_number_value(json_array_get(json_object_get(m, "weights"), 1)) == 3);
    assert_int_equal(good.calls, 7); /* one for each prediction */
    m = json_object_get(json_object_get(row_of(root, "far"), "metrics"), "l2");
    assert_true(json_number_value(json_array_get(json_object_get(m, "values"), 0)) < mean_of(root, "far", "l2")); /* it says "The dog came." there */
    assert_null(json_object_get(json_object_get(row_of(root, "truth"), "metrics"), "mi"));
    json_decref(root);
    next_with_scorer(f, &o);
}

static void cloze_end_to_end(void **state) {
    static const char items[] =
        "{\"context\": [\"The cat sat.\", \"It was warm.\"], \"right\": \"It was warm.\", \"wrong\": \"A car came.\"}\n"
        "{\"context\": [\"Tom ran.\"], \"right\": \"Tom fell.\", \"wrong\": \"Tom ran.\", \"wrong_renamed\": \"Tom sang.\"}\n"
        "{\"context\": [], \"right\": \"a\", \"wrong\": \"b\"}\n"
        "{\"context\": [\"Tom ran.\"], \"right\": \"The same.\", \"wrong\": \"The same.\", \"wrong_renamed\": null}\n";
    static const char *const baselines[] = {"copy-last"}, *const truth[] = {"truth"};
    fixture *f = *state;
    const char *data = file(f, "cloze.jsonl", items);
    lcm_eval_run_opts o = lcm_eval_run_defaults();
    lcm_eval_model model = {"toy", f->dir};
    char *text;
    size_t failed;
    json_t *root;
    o.task = file(f, "task.json", "{\"format\": 1, \"kind\": \"cloze\"}");
    o.data = &data;
    o.n_data = 1;
    o.models = &model;
    o.n_models = 1;
    o.baselines = baselines;
    o.n_baselines = 1;
    root = run(f, &o, 0);
    /* copying finds the first, misses the second (the wrong ending is the copy), and ties on the third */
    assert_true(fabs(mean_of(root, "copy-last", "accuracy") - 0.5) < 1e-12);
    assert_false(isnan(mean_of(root, "copy-last", "hard_accuracy")));
    assert_true(mean_of(root, "toy", "accuracy") >= 0);
    assert_true(json_number_value(json_object_get(json_object_get(root, "skipped"), "no context, right and wrong ending")) == 1);
    json_decref(root);
    o.baselines = truth;
    assert_int_equal(lcm_eval_run(f->ctx, &text, NULL, &failed, &o), LCM_ERR_ARG);
    assert_null(text);
}

static void runs_that_cannot_be(void **state) {
    static const char *const same[] = {"lead-1", "lead-1"}, *const unknown[] = {"copy-last", "lead-x"}, *const store[] = {"mean"};
    fixture *f = *state;
    const char *data = file(f, "stories.txt", stories), *next = file(f, "next.json", "{\"format\": 1, \"kind\": \"next\"}");
    const char *task = file(f, "task.json", "{\"format\": 1, \"kind\": \"completion\"}"), *copy[] = {"copy-last"};
    lcm_eval_run_opts base = lcm_eval_run_defaults(), o;
    lcm_eval_model missing = {"m", "/nowhere"};
    char *text;
    size_t failed;
    base.task = task;
    base.data = &data;
    base.n_data = 1;
    o = base;
    assert_int_equal(lcm_eval_run(f->ctx, &text, NULL, &failed, &o), LCM_ERR_ARG);
    says(f, "no model, baseline or URL");
    o.baselines = same, o.n_baselines = 2;
    assert_int_equal(lcm_eval_run(f->ctx, &text, NULL, &failed, &o), LCM_ERR_ARG);
    says(f, "two systems are named 'lead-1'");
    o.baselines = unknown;
    assert_int_equal(lcm_eval_run(f->ctx, &text, NULL, &failed, &o), LCM_ERR_ARG);
    o.baselines = store, o.n_baselines = 1;
    assert_int_equal(lcm_eval_run(f->ctx, &text, NULL, &failed, &o), LCM_ERR_ARG);
    says(f, "needs a training store");
    o = base;
    o.models = &missing, o.n_models = 1;
    assert_int_equal(lcm_eval_run(f->ctx, &text, NULL, &failed, &o), LCM_ERR_NOTFOUND);
    o = base;
    o.baselines = copy, o.n_baselines = 1, o.task = next;
    assert_int_equal(lcm_eval_run(f->ctx, &text, NULL, &failed, &o), LCM_ERR_ARG);
    says(f, "needs an autoencoder");
    o.task = "/nowhere.json";
    assert_int_equal(lcm_eval_run(f->ctx, &text, NULL, &failed, &o), LCM_ERR_NOTFOUND);
    o.task = NULL;
    assert_int_equal(lcm_eval_run(f->ctx, &text, NULL, &failed, &o), LCM_ERR_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_counted),
        cmocka_unit_test(pairs_are_counted),
        cmocka_unit_test(baselines_write),
        cmocka_unit_test(remote_models_write),
        cmocka_unit_test(marks),
        cmocka_unit_test(judges_count_what_they_cannot_read),
        cmocka_unit_test(completion_end_to_end),
        cmocka_unit_test(summaries_end_to_end),
        cmocka_unit_test(next_end_to_end),
        cmocka_unit_test(cloze_end_to_end),
        cmocka_unit_test(runs_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, setup, eval_world_teardown);
}
