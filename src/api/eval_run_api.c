/* lcm_eval_run: every system through one task. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/eval_run_inputs.h"
#include "base/io.h"
#include "eval/judge.h"
#include "eval/page.h"

typedef struct run {
    lcm_eval_inputs in;
    lcm_results results;
    json_t *failed, *systems; /* names and why; what is worth telling of a system */
    json_t *lines;            /* of texts.jsonl */
    real *x, *ends;           /* concepts of the documents and the endings, in the space `vectors_of` */
    uint64_t vectors_of;
} run;

/* What is evaluated; `forecaster` counts in tasks on vectors only. */
typedef struct contestant {
    const char *name, *kind;
    int64_t parameters, fixed;
    bool seeded;
    const lcm_train_record *train;
    const lcm_generator *generator;
    const lcm_forecaster *forecaster;
    lcm_codec *codec; /* that the forecaster's vectors belong to */
    uint64_t space;
} contestant;

lcm_eval_run_opts lcm_eval_run_defaults(void) {
    static const int64_t one[1] = {1};
    return (lcm_eval_run_opts){.seeds = one, .n_seeds = 1};
}

/* ---- text ---- */

static void note_texts(run *r, const contestant *c, int64_t seed, const lcm_sentences *written) {
    for (int64_t d = 0; d < written->n_docs; d++) {
        int64_t n, first = lcm_sentences_doc(written, d, &n);
        size_t len;
        const char *id = lcm_results_document_at(&r->results, (size_t)d, &len);
        json_t *line = json_pack("{s:s%, s:s}", "document", id, len, "model", c->name), *text = json_array();
        for (int64_t i = first; i < first + n; i++) lcm_report_append(&text, json_string(lcm_sentences_at(written, i, NULL)));
        if (seed != LCM_NO_SEED) lcm_report_set(&line, "seed", json_integer(seed));
        lcm_report_set(&line, "text", text);
        lcm_report_append(&r->lines, line);
    }
}

static lcm_status judge(lcm_ctx *ctx, run *r, size_t row, const lcm_eval_judge *j, const lcm_written *w) {
    lcm_judge_count count = {0, 0};
    lcm_buf name = {0};
    double *values;
    lcm_status st = lcm_buf_printf(ctx, &name, "judge:%s", j->name);
    if (st == LCM_OK) st = lcm_results_metric(ctx, &values, NULL, &r->results, row, name.data, LCM_BETTER_HIGHER);
    if (st == LCM_OK && json_object_get(r->failed, name.data) == NULL) { /* not asked again once it has failed */
        st = lcm_judge_texts(ctx, values, &count, j, w);
        if (st == LCM_ERR_IO) {
            lcm_report_set(&r->failed, name.data, json_string(lcm_ctx_message(ctx)));
            for (int64_t d = 0; d < r->in.data.n; d++) values[d] = NAN; /* half of the documents would pass for all */
            st = LCM_OK;
        }
        lcm_report_set(&r->systems, name.data,
                       json_pack("{s:I, s:I}", "asked", (json_int_t)count.asked, "unreadable", (json_int_t)count.unreadable));
    }
    lcm_buf_free(&name);
    return st;
}

static lcm_status score_texts(lcm_ctx *ctx, run *r, size_t row, const lcm_sentences *written) {
    lcm_written w = {.given = &r->in.data.given, .reference = &r->in.data.reference, .text = written, .codec = r->in.codec,
                     .coherence = r->in.coherence, .fluency = r->in.fluency.file.model ? &r->in.fluency : NULL,
                     .scorer = lcm_eval_scoring_scorer(&r->in.scoring)};
    LCM_TRY(lcm_task_score_texts(ctx, &r->results, row, &r->in.task, &w));
    for (size_t i = 0; i < r->in.o->n_judges; i++) LCM_TRY(judge(ctx, r, row, &r->in.o->judges[i], &w));
    return LCM_OK;
}

static lcm_status new_row(lcm_ctx *ctx, run *r, size_t *row, const contestant *c, int64_t seed) {
    LCM_TRY(lcm_results_row(ctx, row, &r->results, c->name, c->kind, seed));
    r->results.rows[*row].parameters = c->parameters;
    r->results.rows[*row].fixed = c->fixed;
    if (c->train) r->results.rows[*row].train = *c->train;
    return LCM_OK;
}

static lcm_status run_texts(lcm_ctx *ctx, run *r, const contestant *c, int64_t seed) {
    lcm_generator_job job = {.given = &r->in.data.given, .sentences = r->in.task.sentences, .task = &r->in.task};
    lcm_sentences written = {0};
    double t0 = lcm_now();
    size_t row = 0;
    lcm_status st = c->generator->go_on(ctx, &written, c->generator, &job, seed == LCM_NO_SEED ? 0 : (uint64_t)seed);
    LCM_ASSERT(st || written.n_docs == r->in.data.n);
    t0 = lcm_now() - t0;
    if (st == LCM_OK) st = new_row(ctx, r, &row, c, seed);
    if (st == LCM_OK) r->results.rows[row].seconds = t0;
    if (st == LCM_OK) note_texts(r, c, seed, &written);
    if (st == LCM_OK) st = score_texts(ctx, r, row, &written);
    lcm_sentences_free(&written);
    return st;
}

/* ---- vectors ---- */

/* The documents in the space of the contestant; those of the last one are kept. */
static lcm_status encode_data(lcm_ctx *ctx, run *r, const contestant *c) {
    int64_t D = lcm_codec_dim(c->codec);
    if (r->x && r->vectors_of == c->space) return LCM_OK;
    free(r->x);
    free(r->ends);
    r->x = r->ends = NULL;
    LCM_TRY(lcm_calloc(ctx, &r->x, (size_t)(r->in.data.given.n * D) + 1, sizeof *r->x));
    LCM_TRY(lcm_calloc(ctx, &r->ends, (size_t)(r->in.data.reference.n * D) + 1, sizeof *r->ends));
    LCM_TRY(lcm_sentences_encode(ctx, r->x, NULL, c->codec, &r->in.data.given, 0, r->in.data.given.n));
    LCM_TRY(lcm_sentences_encode(ctx, r->ends, NULL, c->codec, &r->in.data.reference, 0, r->in.data.reference.n));
    r->vectors_of = c->space;
    return LCM_OK;
}

/* Every sentence but the first of a document, or the one behind it. off (n+1) */
static lcm_status make_job(lcm_ctx *ctx, run *r, lcm_forecast_job *job, int32_t **off, int64_t D) {
    int64_t n = r->in.data.n;
    if (r->in.data.given.n > INT32_MAX)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "%lld sentences are too many to evaluate at once", (long long)r->in.data.given.n);
    LCM_TRY(lcm_calloc(ctx, off, (size_t)n * 3 + 1, sizeof **off));
    *job = (lcm_forecast_job){.n = n, .D = D, .x = r->x, .off = *off, .from = *off + n + 1, .to = *off + 2 * n + 1};
    for (int64_t d = 0; d < n; d++) {
        int32_t count = (int32_t)(r->in.data.given.doc_end[d] - (d ? r->in.data.given.doc_end[d - 1] : 0));
        bool next = r->in.task.kind == LCM_EVAL_NEXT;
        (*off)[d + 1] = (*off)[d] + count;
        (*off)[n + 1 + d] = next ? 1 : count;
        (*off)[2 * n + 1 + d] = next ? count : count + 1;
    }
    return LCM_OK;
}

static lcm_status score_vectors(lcm_ctx *ctx, run *r, const contestant *c, size_t row, const lcm_forecast_job *job, const real *p) {
    lcm_next_opts no = {.batch_docs = r->in.task.contrast_documents, .round_trips = r->in.task.round_trips,
                        .codec = c->codec, .beam = r->in.beam,
                        .scorer = lcm_eval_scoring_scorer(&r->in.scoring), .texts = &r->in.data.given};
    if (r->in.task.kind == LCM_EVAL_NEXT) return lcm_task_score_next(ctx, &r->results, row, &r->in.task, job, p, &no);
    return lcm_task_score_cloze(ctx, &r->results, row, &r->in.task, &r->in.data.reference, r->ends, p, job->D);
}

static lcm_status run_vectors(lcm_ctx *ctx, run *r, const contestant *c, int64_t seed) {
    lcm_forecast_job job;
    int32_t *off = NULL;
    real *p = NULL;
    double t0 = lcm_now();
    size_t row;
    lcm_status st = encode_data(ctx, r, c);
    if (st == LCM_OK) st = make_job(ctx, r, &job, &off, lcm_codec_dim(c->codec));
    if (st == LCM_OK) st = lcm_task_predict(ctx, &p, c->forecaster, &job, seed == LCM_NO_SEED ? 0 : (uint64_t)seed);
    t0 = lcm_now() - t0;
    if (st == LCM_OK) st = new_row(ctx, r, &row, c, seed);
    if (st == LCM_OK) r->results.rows[row].seconds = t0;
    if (st == LCM_OK) st = score_vectors(ctx, r, c, row, &job, p);
    free(off);
    free(p);
    return st;
}

static lcm_status run_choice(lcm_ctx *ctx, run *r, const contestant *c) {
    double *likelihood, t0 = lcm_now();
    size_t row;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &likelihood, (size_t)r->in.data.reference.n + 1, sizeof *likelihood));
    st = c->generator->likelihood(ctx, likelihood, c->generator, &r->in.data.given, &r->in.data.reference);
    t0 = lcm_now() - t0;
    if (st == LCM_OK) st = new_row(ctx, r, &row, c, LCM_NO_SEED);
    if (st == LCM_OK) r->results.rows[row].seconds = t0;
    if (st == LCM_OK) st = lcm_task_score_choice(ctx, &r->results, row, &r->in.task, &r->in.data.reference, likelihood);
    free(likelihood);
    return st;
}

static lcm_status run_seeds(lcm_ctx *ctx, run *r, const contestant *c) {
    for (size_t i = 0; i < (c->seeded ? r->in.o->n_seeds : 1); i++) {
        int64_t seed = c->seeded ? r->in.o->seeds[i] : LCM_NO_SEED;
        if (c->seeded) lcm_log(ctx, LCM_LOG_INFO, "%s: %s, seed %lld", r->in.task.name, c->name, (long long)seed);
        else lcm_log(ctx, LCM_LOG_INFO, "%s: %s", r->in.task.name, c->name);
        LCM_TRY(lcm_eval_on_vectors(&r->in) ? run_vectors(ctx, r, c, seed) : run_texts(ctx, r, c, seed));
    }
    return LCM_OK;
}

/* ---- the systems ---- */

static lcm_status run_baseline(lcm_ctx *ctx, run *r, const char *name) {
    lcm_baseline_needs needs = {.codec = r->in.codec, .train = r->in.train, .beam = &r->in.beam};
    contestant c = {.name = name, .kind = "baseline", .codec = r->in.codec, .space = r->in.space};
    const lcm_baseline *b;
    lcm_generator g;
    lcm_forecaster f;
    if (!lcm_eval_on_vectors(&r->in)) {
        LCM_TRY(lcm_generator_baseline(ctx, &g, name, &needs));
        c.generator = &g;
        return run_seeds(ctx, r, &c);
    }
    LCM_TRY(lcm_eval_find_forecaster(ctx, &b, &r->in, name));
    f = lcm_forecast_baseline(b, r->in.train);
    c.forecaster = &f;
    return run_seeds(ctx, r, &c);
}

static json_t *stops_json(const lcm_concept_writer *w) {
    return json_pack("{s:I, s:I, s:I}", "stop_length", (json_int_t)w->stops[LCM_STOP_LENGTH], "stop_end_of_text",
                     (json_int_t)w->stops[LCM_STOP_EOS], "stop_repetition", (json_int_t)w->stops[LCM_STOP_REPETITION]);
}

/* What the model cost, by its file. */
static lcm_status read_record(lcm_ctx *ctx, lcm_train_record *out, const char *path) {
    lcm_model_meta meta;
    lcm_st *st;
    LCM_TRY(lcm_model_open(ctx, &st, &meta, path, NULL));
    *out = meta.train;
    lcm_model_meta_free(&meta);
    lcm_st_close(st);
    return LCM_OK;
}

static lcm_status run_bundle(lcm_ctx *ctx, run *r, const lcm_eval_model *m, const lcm_bundle *b, lcm_codec *codec) {
    lcm_concept_writer w = {.codec = codec, .model = b->model, .end = b->end, .beam = lcm_generation_beam(&b->config.generate),
                            .affixes = b->info.instructed ? &b->affixes : NULL,
                            .text_feedback = b->config.generate.feedback == LCM_FEEDBACK_TEXT};
    lcm_generator g;
    lcm_forecaster f;
    contestant c = {.name = m->name, .codec = codec, .space = b->sonar.space, .generator = &g, .forecaster = &f};
    lcm_train_record record;
    lcm_predict_config pc;
    LCM_TRY(lcm_eval_generation(ctx, &w.config, &b->config.generate));
    g = lcm_generator_concept(m->name, &w);
    pc = (lcm_predict_config){.temperature = w.config.temperature, .top_k = w.config.top_k, .top_p = w.config.top_p, .sampler = w.config.sampler};
    pc.sampler.final_noise = 0; /* noise left for a decoder would be measured as error: tasks on vectors have none */
    f = lcm_forecast_model(b->model, m->path, &pc);
    LCM_TRY(read_record(ctx, &record, b->paths.lcm));
    c.train = &record;
    c.kind = g.kind;
    c.parameters = g.parameters;
    c.fixed = g.fixed;
    c.seeded = g.seeded;
    LCM_TRY(run_seeds(ctx, r, &c));
    if (!lcm_eval_on_vectors(&r->in)) lcm_report_set(&r->systems, m->name, stops_json(&w));
    return LCM_OK;
}

static lcm_status run_llama(lcm_ctx *ctx, run *r, const lcm_eval_model *m) {
    lcm_llama_file file;
    lcm_llama_writer w = {.file = &file};
    lcm_writer_forecast wf = {.texts = &r->in.data.given, .task = &r->in.task, .codec = r->in.codec};
    contestant c = {.name = m->name, .kind = "llama", .codec = r->in.codec, .space = r->in.space};
    lcm_generator g;
    lcm_train_record record;
    lcm_forecaster f;
    lcm_status st;
    LCM_TRY(read_record(ctx, &record, m->path));
    LCM_TRY(lcm_llama_load(ctx, &file, m->path, false));
    c.train = &record;
    g = lcm_generator_llama(m->name, &w, &r->in.task);
    wf.generator = c.generator = &g;
    f = lcm_forecast_writer(&wf);
    c.forecaster = &f;
    c.parameters = g.parameters;
    c.seeded = g.seeded;
    st = r->in.task.kind == LCM_EVAL_CLOZE ? run_choice(ctx, r, &c) : run_seeds(ctx, r, &c);
    if (!lcm_eval_on_vectors(&r->in)) lcm_report_set(&r->systems, m->name, json_pack("{s:I}", "window_full", (json_int_t)w.window_ends));
    lcm_llama_file_close(&file);
    return st ? lcm_fail_within(ctx, st, "'%s'", m->name) : LCM_OK;
}

static lcm_status run_model(lcm_ctx *ctx, run *r, const lcm_eval_model *m) {
    lcm_bundle *own = NULL, *b = r->in.first;
    lcm_codec *codec = NULL;
    lcm_status st = LCM_OK;
    if (m != &r->in.o->models[r->in.first_at]) st = lcm_eval_open_model(ctx, &own, m);
    if (own) b = own;
    if (st == LCM_OK && b == r->in.first && r->in.own_codec) st = run_bundle(ctx, r, m, b, r->in.own_codec);
    else if (st == LCM_OK) {
        st = lcm_codec_new(ctx, &codec, &b->sonar);
        if (st == LCM_OK && b->voice.net) st = lcm_codec_set_voice(ctx, codec, &b->voice, b->paths.decoder);
        if (st == LCM_OK) st = run_bundle(ctx, r, m, b, codec);
        lcm_codec_free(codec);
    }
    lcm_bundle_close(own);
    return st ? lcm_fail_within(ctx, st, "'%s'", m->name) : LCM_OK;
}

/* What a server says is its fault, not that of the other systems: they keep their rows. */
static lcm_status run_remote(lcm_ctx *ctx, run *r, const lcm_eval_remote *m) {
    lcm_remote_writer w = {.complete = m->complete, .user = m->user};
    lcm_generator g = lcm_generator_remote(m->name, &w);
    lcm_writer_forecast wf = {.generator = &g, .texts = &r->in.data.given, .task = &r->in.task, .codec = r->in.codec};
    lcm_forecaster f = lcm_forecast_writer(&wf);
    contestant c = {.name = g.name, .kind = g.kind, .seeded = true, .generator = &g, .forecaster = &f,
                    .codec = r->in.codec, .space = r->in.space};
    lcm_status st = run_seeds(ctx, r, &c);
    if (st == LCM_ERR_IO || st == LCM_ERR_UTF8) {
        lcm_report_set(&r->failed, m->name, json_string(lcm_ctx_message(ctx)));
        lcm_log(ctx, LCM_LOG_WARN, "%s", lcm_ctx_message(ctx));
        st = LCM_OK;
    }
    lcm_report_set(&r->systems, m->name,
                   json_pack("{s:I, s:I, s:I}", "requests", (json_int_t)w.asked, "empty_answers", (json_int_t)w.empty,
                             "sentences_beyond_limit", (json_int_t)w.cut));
    return st;
}

/* ---- results ---- */

static lcm_status finish(lcm_ctx *ctx, run *r, size_t *n_failed) {
    json_t **facts = &r->results.facts;
    const lcm_scorer *scorer = lcm_eval_scoring_scorer(&r->in.scoring);
    char space[17];
    if (scorer && *scorer->failed) lcm_report_set(&r->failed, "scorer", json_string(scorer->failed));
    *n_failed = json_object_size(r->failed);
    lcm_report_set(facts, "task", lcm_eval_task_facts(&r->in.task));
    lcm_report_set(facts, "contexts_cut", json_integer(r->in.data.cut_given));
    lcm_report_set(facts, "references_cut", json_integer(r->in.data.cut_reference));
    if (r->in.codec) {
        lcm_space_format(space, r->in.space);
        lcm_report_set(facts, "space", json_string(space));
    }
    if (scorer) lcm_report_set(facts, "scorer", lcm_eval_scoring_facts(&r->in.scoring));
    lcm_report_set(facts, "systems", json_incref(r->systems));
    if (*n_failed) lcm_report_set(facts, "failed", json_incref(r->failed));
    if (*facts == NULL || r->systems == NULL || r->failed == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: results");
    LCM_TRY(lcm_results_finish(ctx, &r->results, 1));
    return lcm_results_merge_seeds(ctx, &r->results, 1);
}

static lcm_status write_out(lcm_ctx *ctx, const run *r, const char *name, const char *text, size_t len) {
    char path[LCM_PATH_MAX];
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, r->in.o->out, name));
    return lcm_write_file(ctx, path, text, len);
}

static lcm_status write_texts(lcm_ctx *ctx, const run *r) {
    lcm_buf lines = {0};
    json_t *line;
    size_t i;
    lcm_status st = r->lines ? lcm_buf_append(ctx, &lines, "", 0) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: texts");
    json_array_foreach(r->lines, i, line) {
        char *text = st == LCM_OK ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
        if (st == LCM_OK) st = text ? lcm_buf_printf(ctx, &lines, "%s\n", text) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: texts");
        free(text);
    }
    if (st == LCM_OK) st = write_out(ctx, r, "texts.jsonl", lines.data, lines.len);
    lcm_buf_free(&lines);
    return st;
}

static void close_run(run *r) {
    json_decref(r->failed);
    json_decref(r->systems);
    json_decref(r->lines);
    free(r->x);
    free(r->ends);
    lcm_results_free(&r->results);
    lcm_eval_inputs_close(&r->in);
}

static lcm_status write_pages(lcm_ctx *ctx, const run *r, const char *results, const char *md) {
    char *html = NULL;
    lcm_status st = write_out(ctx, r, "results.json", results, strlen(results));
    if (st == LCM_OK) st = write_out(ctx, r, "report.md", md, strlen(md));
    if (st == LCM_OK) st = lcm_results_html(ctx, &html, &r->results, 1);
    if (st == LCM_OK) st = write_out(ctx, r, "report.html", html, strlen(html));
    if (st == LCM_OK && !lcm_eval_on_vectors(&r->in)) st = write_texts(ctx, r);
    free(html);
    return st;
}

lcm_status lcm_eval_run(lcm_ctx *ctx, char **results, char **report, size_t *n_failed, const lcm_eval_run_opts *o) {
    run r = {.failed = json_object(), .systems = json_object(), .lines = json_array()};
    char *text = NULL, *md = NULL;
    lcm_status st = lcm_eval_inputs_open(ctx, &r.in, &r.results, o);
    *results = NULL;
    *n_failed = 0;
    if (report) *report = NULL;
    for (size_t i = 0; st == LCM_OK && i < o->n_baselines; i++) st = run_baseline(ctx, &r, o->baselines[i]);
    for (size_t i = 0; st == LCM_OK && i < o->n_models; i++) {
        bool llama = false;
        st = lcm_eval_is_llama(ctx, &llama, o->models[i].path);
        if (st == LCM_OK) st = llama ? run_llama(ctx, &r, &o->models[i]) : run_model(ctx, &r, &o->models[i]);
    }
    for (size_t i = 0; st == LCM_OK && i < o->n_remotes; i++) st = run_remote(ctx, &r, &o->remotes[i]);
    if (st == LCM_OK) st = finish(ctx, &r, n_failed);
    if (st == LCM_OK) st = lcm_results_write(ctx, &text, &r.results);
    if (st == LCM_OK) st = lcm_results_md(ctx, &md, &r.results, 1);
    if (st == LCM_OK && o->out) st = write_pages(ctx, &r, text, md);
    if (st == LCM_OK) {
        *results = text;
        if (report) *report = md;
    }
    if (st) free(text);
    if (st || report == NULL) free(md);
    close_run(&r);
    return st;
}
