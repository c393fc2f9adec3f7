/* lcm_eval_next: every forecaster on a store's documents and on cloze items. */
#include <stdlib.h>
#include <string.h>

#include "api/eval_int.h"
#include "data/wrap.h"
#include "eval/bootstrap.h"
#include "eval/cloze.h"
#include "eval/next_concept.h"

typedef struct bench {
    const lcm_eval_next_opts *o;
    lcm_coder coder;
    lcm_generate_config config;
    lcm_store *store, *train;
    lcm_wrap wrap;
    lcm_forecast_job job; /* on the store */
    real *x;
    int32_t *off;
    lcm_eval_scoring scoring;
    lcm_sentences texts; /* of the job's concepts, for the scorer */
    lcm_cloze cloze;
    json_t *rows, *cloze_rows;
} bench;

lcm_eval_next_opts lcm_eval_next_defaults(void) {
    static const int64_t one[1] = {1};
    lcm_eval_next_opts o = {.seeds = one, .n_seeds = 1, .max_len = 128, .batch_docs = 32, .round_trips = 2000,
                            .generation = lcm_generation_default()};
    o.generation.beam = 1;
    return o;
}

/* ---- inputs ---- */

static lcm_status open_store(lcm_ctx *ctx, lcm_store **out, const char *dir, const lcm_coder *c) {
    LCM_TRY(lcm_store_open(ctx, out, dir));
    if (strcmp(lcm_store_space(*out), c->file.space_hex) != 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "store '%s' speaks space %.40s, the SONAR model %s", dir, lcm_store_space(*out),
                 c->file.space_hex);
    if (lcm_store_dim(*out) != lcm_codec_dim(c->codec))
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "store '%s' holds vectors of %lld, the SONAR model's have %lld", dir,
                 (long long)lcm_store_dim(*out), (long long)lcm_codec_dim(c->codec));
    return LCM_OK;
}

static lcm_status wrap_store(lcm_ctx *ctx, bench *b) {
    int64_t docs = lcm_store_n_docs(b->store), *counts;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &counts, (size_t)docs + 1, sizeof *counts));
    lcm_store_doc_counts(counts, b->store);
    if (b->o->max_docs && b->o->max_docs < docs) docs = b->o->max_docs;
    st = lcm_wrap_make(ctx, &b->wrap, counts, NULL, docs, b->o->max_len, false);
    free(counts);
    return st;
}

static lcm_status load_texts(lcm_ctx *ctx, bench *b, int64_t first, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const char *text;
        size_t len;
        LCM_TRY(lcm_store_text(ctx, &text, &len, b->store, first + i));
        LCM_TRY(lcm_sentences_add(ctx, &b->texts, text, len));
    }
    return LCM_OK;
}

static lcm_status load_store(lcm_ctx *ctx, bench *b) {
    int64_t D = lcm_codec_dim(b->coder.codec), total = 0, n;
    int32_t *from, *to;
    LCM_TRY(open_store(ctx, &b->store, b->o->store, &b->coder));
    LCM_TRY(wrap_store(ctx, b));
    n = b->wrap.n_chunks;
    for (int64_t i = 0; i < n; i++) total += b->wrap.pieces[i].count;
    if (total > INT32_MAX) LCM_FAIL(ctx, LCM_ERR_LIMIT, "%lld concepts are too many to evaluate at once", (long long)total);
    LCM_TRY(lcm_calloc(ctx, &b->x, (size_t)(total * D) + 1, sizeof *b->x));
    LCM_TRY(lcm_calloc(ctx, &b->off, (size_t)n * 3 + 1, sizeof *b->off));
    from = b->off + n + 1;
    to = from + n;
    for (int64_t i = 0; i < n; i++) {
        lcm_wrap_piece p = b->wrap.pieces[i];
        int64_t first, count;
        LCM_TRY(lcm_store_doc(ctx, &first, &count, b->store, p.doc));
        LCM_TRY(lcm_store_vectors(ctx, b->x + b->off[i] * D, b->store, first + p.first, p.count));
        if (b->scoring.scorer.score) LCM_TRY(load_texts(ctx, b, first + p.first, p.count));
        b->off[i + 1] = b->off[i] + (int32_t)p.count;
        from[i] = 1;
        to[i] = (int32_t)p.count;
    }
    b->job = (lcm_forecast_job){.n = n, .D = D, .x = b->x, .off = b->off, .from = from, .to = to};
    return LCM_OK;
}

static lcm_status open_inputs(lcm_ctx *ctx, bench *b) {
    const lcm_eval_next_opts *o = b->o;
    if (o->store == NULL && o->cloze == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "neither a store nor cloze items given");
    if (o->n_seeds < 1 || o->max_len < 2 || o->batch_docs < 1 || o->max_docs < 0 || o->round_trips < 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "seeds, max_len (from 2), batch_docs (from 1), max_docs or round_trips out of range");
    LCM_TRY(lcm_eval_generation(ctx, &b->config, &o->generation));
    LCM_TRY(lcm_coder_open(ctx, &b->coder, o->sonar, o->generation.beam));
    if ((o->scorer || o->remote_scorer) && o->store == NULL)
        LCM_FAIL(ctx, LCM_ERR_ARG, "a scorer marks what follows the documents of a store, and none is given");
    LCM_TRY(lcm_eval_scoring_open(ctx, &b->scoring, o->scorer, o->remote_scorer));
    if (o->train_store) LCM_TRY(open_store(ctx, &b->train, o->train_store, &b->coder));
    if (o->store) LCM_TRY(load_store(ctx, b));
    return o->cloze ? lcm_cloze_load(ctx, &b->cloze, b->coder.codec, o->cloze) : LCM_OK;
}

/* ---- one forecaster ---- */

static json_t *row_new(const lcm_forecaster *f, size_t seeds) {
    return json_pack("{s:s, s:s?, s:I, s:I, s:I}", "model", f->name, "file", f->file, "parameters", (json_int_t)f->parameters,
                     "fixed", (json_int_t)f->fixed, "seeds", (json_int_t)(f->seeded ? seeds : 0));
}

static lcm_status eval_store(lcm_ctx *ctx, bench *b, const lcm_forecaster *f) {
    const lcm_eval_next_opts *o = b->o;
    lcm_next_opts no = {.batch_docs = o->batch_docs, .round_trips = o->round_trips, .codec = b->coder.codec, .beam = b->coder.beam,
                        .scorer = lcm_eval_scoring_scorer(&b->scoring), .texts = &b->texts};
    size_t n = f->seeded ? o->n_seeds : 1;
    lcm_next_scores s = {{0}, {0}};
    json_t *row = row_new(f, n);
    double *v;
    lcm_status st = lcm_calloc(ctx, &v, n * LCM_NEXT_MEASURES, sizeof *v);
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        st = lcm_next_evaluate(ctx, &s, f, &b->job, (uint64_t)o->seeds[i], &no);
        for (size_t m = 0; m < LCM_NEXT_MEASURES; m++) v[m * n + i] = s.mean[m];
        if (st == LCM_OK && *b->scoring.scorer.failed) st = lcm_fail(ctx, LCM_ERR_IO, "%s", b->scoring.scorer.failed);
    }
    lcm_report_set(&row, "targets", json_integer(lcm_forecast_rows(&b->job)));
    for (size_t m = 0; st == LCM_OK && m < LCM_NEXT_MEASURES; m++)
        if (no.scorer || !lcm_next_measures[m].needs_scorer) lcm_report_set(&row, lcm_next_measures[m].name, lcm_report_spread(v + m * n, n));
    if (st == LCM_OK) lcm_report_append(&b->rows, row);
    else json_decref(row);
    free(v);
    return st;
}

static double mean_of(const double *v, int64_t n) {
    double sum = 0;
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(v[i])) sum += v[i], kept++;
    return kept ? sum / (double)kept : NAN;
}

/* score, hard (items): their mean over seeds; seed_mean (n): the share of each seed. */
static lcm_status cloze_seeds(lcm_ctx *ctx, bench *b, const lcm_forecaster *f, size_t n, double *score, double *hard,
                              double *seed_mean, real *p) {
    lcm_forecast_job job = lcm_cloze_job(&b->cloze);
    double before = 0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        LCM_TRY(f->predict(ctx, p, f, &job, (uint64_t)b->o->seeds[i]));
        lcm_cloze_score(score, hard, &b->cloze, p);
        for (int64_t k = 0; k < b->cloze.n; k++) sum += score[k];
        seed_mean[i] = (sum - before) / (double)b->cloze.n;
        before = sum;
    }
    for (int64_t k = 0; k < b->cloze.n; k++) score[k] /= (double)n, hard[k] /= (double)n;
    return LCM_OK;
}

static json_t *cloze_row(const bench *b, const lcm_forecaster *f, size_t n, const lcm_interval *all, const lcm_interval *hard,
                         double hard_base, const double *seed_mean) {
    json_t *row = row_new(f, n);
    lcm_report_set(&row, "items", json_integer(b->cloze.n));
    lcm_report_set(&row, "accuracy", lcm_report_interval(all->mean, all->low, all->high));
    lcm_report_set(&row, "over_seeds", lcm_report_spread(seed_mean, n));
    lcm_report_set(&row, "hard_items", json_integer(b->cloze.n_hard));
    lcm_report_set(&row, "hard_accuracy", lcm_report_interval(hard->mean, hard->low, hard->high));
    lcm_report_set(&row, "hard_as_given", lcm_report_real(hard_base));
    return row;
}

static lcm_status eval_cloze(lcm_ctx *ctx, bench *b, const lcm_forecaster *f) {
    size_t n = f->seeded ? b->o->n_seeds : 1;
    int64_t items = b->cloze.n;
    double *score, *hard, *seed_mean;
    lcm_interval interval[2];
    real *p = NULL;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &score, (size_t)items * 2 + n, sizeof *score));
    hard = score + items;
    seed_mean = hard + items;
    st = lcm_calloc(ctx, &p, (size_t)(items * b->cloze.D), sizeof *p);
    if (st == LCM_OK) st = cloze_seeds(ctx, b, f, n, score, hard, seed_mean, p);
    if (st == LCM_OK) st = lcm_bootstrap(ctx, interval, (lcm_series[]){{score, NULL}, {hard, NULL}}, 2, items, 1);
    if (st == LCM_OK) {
        for (int64_t k = 0; k < items; k++) /* the same items with the wrong ending as given */
            if (isnan(hard[k])) score[k] = NAN;
        lcm_report_append(&b->cloze_rows, cloze_row(b, f, n, &interval[0], &interval[1], mean_of(score, items), seed_mean));
    }
    free(score);
    free(p);
    return st;
}

static lcm_status eval_forecaster(lcm_ctx *ctx, bench *b, const lcm_forecaster *f, bool on_cloze) {
    lcm_log(ctx, LCM_LOG_INFO, "%s%s%s", f->name, f->file ? " " : "", f->file ? f->file : "");
    if (b->store) LCM_TRY(eval_store(ctx, b, f));
    return b->cloze.n && on_cloze ? eval_cloze(ctx, b, f) : LCM_OK;
}

static lcm_status eval_model(lcm_ctx *ctx, bench *b, const char *path) {
    lcm_predict_config pc = {.temperature = b->config.temperature, .top_k = b->config.top_k,
                             .top_p = b->config.top_p, .sampler = b->config.sampler};
    lcm_model_meta meta;
    lcm_forecaster f;
    lcm_model *m;
    lcm_status st;
    LCM_TRY(lcm_eval_load_model(ctx, &m, &meta, path, &b->coder));
    f = lcm_forecast_model(m, path, &pc);
    st = eval_forecaster(ctx, b, &f, true);
    lcm_model_meta_free(&meta);
    lcm_model_free(m);
    return st ? lcm_fail_within(ctx, st, "'%s'", path) : LCM_OK;
}

/* ---- report ---- */

static json_t *store_facts(const bench *b) {
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s?}", "path", b->o->store, "documents", (json_int_t)lcm_store_n_docs(b->store),
                     "chunks", (json_int_t)b->job.n, "max_len", (json_int_t)b->o->max_len, "concepts",
                     (json_int_t)b->job.off[b->job.n], "train_store", b->o->train_store);
}

static lcm_status finish(lcm_ctx *ctx, bench *b, char **report) {
    const lcm_eval_next_opts *o = b->o;
    json_t *root = lcm_eval_report_new("next", o->sonar, &b->coder);
    lcm_report_set(&root, "seeds", lcm_eval_seeds(o->seeds, o->n_seeds));
    lcm_report_set(&root, "sampling", lcm_eval_sampling(&o->generation));
    if (b->store) {
        lcm_report_set(&root, "store", store_facts(b));
        lcm_report_set(&root, "contrastive_batch", json_pack("{s:I}", "consecutive_chunks", (json_int_t)o->batch_docs));
        lcm_report_set(&root, "round_trips", json_integer(o->round_trips));
        if (b->scoring.scorer.score) lcm_report_set(&root, "scorer", lcm_eval_scoring_facts(&b->scoring));
    }
    if (b->cloze.n)
        lcm_report_set(&root, "cloze_items", json_pack("{s:s, s:I, s:I, s:I}", "path", o->cloze, "items", (json_int_t)b->cloze.n,
                                                       "hard", (json_int_t)b->cloze.n_hard, "cut_by_encoder",
                                                       (json_int_t)b->cloze.n_cut));
    if (b->store) lcm_report_set(&root, "rows", json_incref(b->rows));
    if (b->cloze.n) lcm_report_set(&root, "cloze", json_incref(b->cloze_rows));
    return lcm_report_finish(ctx, report, root);
}

lcm_status lcm_eval_next(lcm_ctx *ctx, char **report, const lcm_eval_next_opts *opts) {
    bench b = {.o = opts, .rows = json_array(), .cloze_rows = json_array()};
    lcm_status st = open_inputs(ctx, &b);
    *report = NULL;
    for (const lcm_baseline *base = lcm_baselines; st == LCM_OK && base->name; base++) {
        lcm_forecaster f = lcm_forecast_baseline(base, b.train);
        if (!base->needs_train || b.train) st = eval_forecaster(ctx, &b, &f, !base->needs_truth);
    }
    for (size_t i = 0; st == LCM_OK && i < opts->n_models; i++) st = eval_model(ctx, &b, opts->models[i]);
    if (st == LCM_OK) st = finish(ctx, &b, report);
    json_decref(b.rows);
    json_decref(b.cloze_rows);
    lcm_cloze_free(&b.cloze);
    lcm_eval_scoring_close(&b.scoring);
    lcm_sentences_free(&b.texts);
    lcm_wrap_free(&b.wrap);
    lcm_store_close(b.store);
    lcm_store_close(b.train);
    lcm_coder_close(&b.coder);
    free(b.x);
    free(b.off);
    return st;
}
