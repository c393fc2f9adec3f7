/* Fit of a residual quantiser: a concept store in, a codebook file out.
 *
 *   RUN/rvq.safetensors  the codebooks fitted so far: usable at any moment, and where a resume goes on
 *   RUN/metrics.jsonl    one line per codebook ("step" counts them): lcm curve draws it
 *   RUN/config.json */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/rng.h"
#include "kernels/distance.h"
#include "kernels/simd.h"
#include "modelfile/checkpoint.h"
#include "quant/rvq_io.h"
#include "train/run_inputs.h"

typedef struct quantizer {
    int64_t codebooks, units, iterations, sample;
    double tolerance;
} quantizer;

typedef struct place {
    char run[1024];
    int64_t seed;
} place;

typedef struct config {
    char kind[32], store[1024], valid_store[1024];
    lcm_normalizer_config normalizer;
    quantizer quantizer;
    place train;
} config;

static const lcm_field quantizer_fields[] = {
    LCM_F_INT(quantizer, codebooks, 1, 4096, "codebooks, each of what those before it left over"),
    LCM_F_INT(quantizer, units, 2, 1048576, "units of each codebook"),
    LCM_F_INT(quantizer, iterations, 1, 100000, "k-means iterations per codebook at most"),
    LCM_F_REAL(quantizer, tolerance, 0, 1, "stop when an iteration lowers the error by no more than this part"),
    LCM_F_INT(quantizer, sample, 0, 1e10, "concepts to fit on, drawn without replacement; 0 = 256 per unit"),
    LCM_F_END};

static const lcm_field place_fields[] = {
    LCM_F_STRING(place, run, "run folder"),
    LCM_F_INT(place, seed, 0, 9007199254740992.0, "seed of the sample and of the first centroids"),
    LCM_F_END};

static const lcm_field fields[] = {
    LCM_F_STRING(config, kind, "rvq"),
    LCM_F_STRING(config, store, "concept store to fit on (lcm prepare)"),
    LCM_F_STRING(config, valid_store, "concept store to measure on; empty: none"),
    LCM_F_STRUCT(config, normalizer, lcm_normalizer_fields, "fit of the normaliser"),
    LCM_F_STRUCT(config, quantizer, quantizer_fields, "codebooks"),
    LCM_F_STRUCT(config, train, place_fields, "where, and the seed"),
    LCM_F_END};

static void defaults(void *out) {
    *(config *)out =
        (config){.normalizer = lcm_normalizer_config_default(),
                 .quantizer = {.codebooks = 64, .units = 8192, .iterations = 25, .tolerance = 1e-4},
                 .train = {.seed = 1}};
}

/* Rows on their way through the codebooks. */
typedef struct rows {
    int64_t n;
    real *x; /* (n, D) what the codebooks so far left over */
    double energy; /* sum of squares before the first codebook: a relative error of 1 */
} rows;

typedef struct state {
    const config *c;
    lcm_run_hooks *hooks;
    lcm_run_stores stores;
    lcm_rundir *dir;
    lcm_rvq_file file;
    rows train, valid;
    int32_t *unit;
    double *error;
    real *scratch;
    int64_t done; /* codebooks */
    char model_path[LCM_PATH_MAX], log_path[LCM_PATH_MAX];
    lcm_buf log;
    double began;
} state;

static double energy(const real *x, int64_t n) { return lcm_dot(x, x, n); }

/* `order` NULL: the first n concepts. */
static lcm_status load_rows(lcm_ctx *ctx, rows *out, const state *s, const lcm_store *store, const int64_t *order, int64_t n) {
    int64_t D = s->file.rvq.config.dim;
    size_t count;
    if (!lcm_mul_size(&count, (size_t)n, (size_t)D)) LCM_FAIL(ctx, LCM_ERR_LIMIT, "%lld concepts are too many", (long long)n);
    LCM_TRY(lcm_calloc(ctx, &out->x, count, sizeof *out->x));
    for (int64_t i = 0; i < n; i++) LCM_TRY(lcm_store_vectors(ctx, out->x + i * D, store, order ? order[i] : i, 1));
    lcm_normalize(s->file.normalizer, out->x, out->x, n, NULL);
    out->n = n;
    out->energy = energy(out->x, n * D);
    return LCM_OK;
}

static lcm_status sample_rows(lcm_ctx *ctx, state *s) {
    int64_t total = lcm_store_n_concepts(s->stores.train), want = s->c->quantizer.sample, *order;
    lcm_rng rng = lcm_rng_make((uint64_t)s->c->train.seed, LCM_RNG_ORDER);
    lcm_status st;
    if (want == 0) want = 256 * s->c->quantizer.units;
    LCM_TRY(lcm_calloc(ctx, &order, (size_t)total, sizeof *order));
    for (int64_t i = 0; i < total; i++) order[i] = i;
    lcm_rng_shuffle(&rng, order, total);
    st = load_rows(ctx, &s->train, s, s->stores.train, order, lcm_min_i(want, total));
    free(order);
    return st;
}

static lcm_status prepare(lcm_ctx *ctx, state *s) {
    const config *c = s->c;
    lcm_rvq_config q = {.codebooks = c->quantizer.codebooks, .units = c->quantizer.units};
    int64_t most;
    if (c->normalizer.with_fft || c->normalizer.clip_proba > 0)
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "normalizer.%s: codebook files hold centre and scale only",
                 c->normalizer.with_fft ? "with_fft" : "clip_proba");
    LCM_TRY(lcm_run_stores_open(ctx, &s->stores, c->store, c->valid_store));
    q.dim = lcm_store_dim(s->stores.train);
    LCM_TRY(lcm_rvq_file_new(ctx, &s->file, &q, s->stores.space));
    LCM_TRY(lcm_run_fit_normalizer(ctx, s->file.normalizer, &c->normalizer, s->stores.train));
    LCM_TRY(sample_rows(ctx, s));
    if (s->stores.valid) LCM_TRY(load_rows(ctx, &s->valid, s, s->stores.valid, NULL, lcm_store_n_concepts(s->stores.valid)));
    most = lcm_max_i(s->train.n, s->valid.n);
    LCM_TRY(lcm_calloc(ctx, &s->unit, (size_t)most, sizeof *s->unit));
    LCM_TRY(lcm_calloc(ctx, &s->error, (size_t)most, sizeof *s->error));
    LCM_TRY(lcm_calloc(ctx, &s->scratch, (size_t)lcm_rvq_scratch(&s->file.rvq), sizeof *s->scratch));
    lcm_log(ctx, LCM_LOG_INFO, "rvq: %lld of %lld concepts, %lld codebooks of %lld units", (long long)s->train.n,
            (long long)lcm_store_n_concepts(s->stores.train), (long long)q.codebooks, (long long)q.units);
    return LCM_OK;
}

/* ---- the run folder ---- */

static lcm_status check_config(lcm_ctx *ctx, const state *s, const json_t *resolved) {
    char path[LCM_PATH_MAX], *text;
    json_t *old = NULL;
    bool same;
    lcm_status st;
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, s->c->train.run, "config.json"));
    if (lcm_exists(path)) {
        LCM_TRY(lcm_json_load(ctx, &old, path));
        same = json_equal(old, resolved);
        json_decref(old);
        if (!same) LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' holds a run of another configuration; name another run folder", s->c->train.run);
        return LCM_OK;
    }
    text = json_dumps(resolved, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    if (text == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    st = lcm_write_file(ctx, path, text, strlen(text));
    free(text);
    return st;
}

/* Codebooks of a run that was stopped; their log lines are kept, later ones cut off. */
static lcm_status resume(lcm_ctx *ctx, state *s) {
    lcm_rvq_file old;
    lcm_status st;
    if (!lcm_exists(s->model_path)) return LCM_OK;
    LCM_TRY(lcm_rvq_load(ctx, &old, s->model_path));
    st = lcm_rvq_check_normalizer(ctx, &old, s->model_path, s->file.normalizer, "the store");
    if (st == LCM_OK) st = lcm_rvq_check_space(ctx, &old, s->model_path, s->file.space, "the store");
    if (st == LCM_OK && (old.rvq.config.units != s->file.rvq.config.units || old.rvq.config.codebooks > s->file.rvq.config.codebooks))
        st = lcm_fail(ctx, LCM_ERR_SHAPE, "'%s' holds other codebooks than this run's", s->model_path);
    if (st == LCM_OK) {
        s->done = old.rvq.config.codebooks;
        for (int64_t k = 0; k < s->done; k++) {
            memcpy(s->file.rvq.book[k]->x, old.rvq.book[k]->x, (size_t)(old.rvq.config.units * old.rvq.config.dim) * sizeof(real));
            lcm_rvq_step(s->unit, s->train.x, &s->file.rvq, k, s->train.n, s->scratch);
            if (s->valid.n) lcm_rvq_step(s->unit, s->valid.x, &s->file.rvq, k, s->valid.n, s->scratch);
        }
        lcm_log(ctx, LCM_LOG_INFO, "resuming behind codebook %lld", (long long)s->done);
        if (lcm_exists(s->log_path)) st = lcm_read_file(ctx, &s->log, s->log_path, (size_t)1 << 24);
    }
    lcm_rvq_file_close(&old);
    for (int64_t k = 0, at = 0; k <= s->done && s->log.data; k++) {
        char *end = strchr(s->log.data + at, '\n');
        if (k == s->done) s->log.len = (size_t)at;
        else if (end == NULL) break;
        else at = end - s->log.data + 1;
    }
    return st;
}

static lcm_status save(lcm_ctx *ctx, state *s) {
    lcm_buf bytes = {0};
    json_t *provenance = json_pack("{s:s, s:I, s:I}", "store", s->c->store, "concepts", (json_int_t)s->train.n, "seed",
                                   (json_int_t)s->c->train.seed);
    lcm_status st = lcm_rvq_write(ctx, &bytes, &s->file, s->done, provenance);
    if (st == LCM_OK) st = lcm_write_file(ctx, s->log_path, s->log.data, s->log.len);
    if (st == LCM_OK) st = lcm_write_file(ctx, s->model_path, bytes.data, bytes.len);
    json_decref(provenance);
    lcm_buf_free(&bytes);
    return st;
}

/* ---- the fit ---- */

static bool on_iteration(void *user, int64_t iteration, double error) {
    state *s = user;
    int64_t most = s->c->quantizer.iterations, at = s->done * most + iteration;
    double seconds = lcm_now() - s->began;
    lcm_train_report r = {.step = at, .max_steps = s->c->quantizer.codebooks * most, .loss = error / s->train.energy,
                          .items_per_second = (double)(s->train.n * iteration) / seconds, .unit = "concepts", .note = "",
                          .seconds_left = seconds / (double)iteration * (double)(s->c->quantizer.codebooks * most - at)};
    return s->hooks->progress == NULL || s->hooks->progress(s->hooks->user, &r);
}

static void subtract(real *x, const real *c, const int32_t *unit, int64_t n, int64_t D) {
    LCM_PARALLEL_FOR
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < D; i++) x[r * D + i] -= c[unit[r] * D + i];
}

static lcm_status fit_codebook(lcm_ctx *ctx, state *s) {
    int64_t D = s->file.rvq.config.dim, k = s->done;
    real *c = s->file.rvq.book[k]->x;
    lcm_kmeans_config kmeans = {.iterations = s->c->quantizer.iterations, .tolerance = s->c->quantizer.tolerance,
                                .seed = (uint64_t)s->c->train.seed, .stream = LCM_RNG_INIT + ((uint64_t)(k + 1) << 8)};
    lcm_kmeans_report r;
    s->began = lcm_now();
    LCM_TRY(lcm_kmeans_fit(ctx, &r, c, s->unit, s->error, s->train.x, s->train.n, s->file.rvq.config.units, D, &kmeans,
                           on_iteration, s));
    subtract(s->train.x, c, s->unit, s->train.n, D);
    s->done++;
    LCM_TRY(lcm_buf_printf(ctx, &s->log, "{\"step\": %lld,\"loss\":%.7g,\"iterations\":%lld,\"revived\":%lld,\"empty\":%lld",
                           (long long)s->done, r.error / s->train.energy, (long long)r.iterations, (long long)r.revived,
                           (long long)r.empty));
    if (s->valid.n) {
        lcm_rvq_step(s->unit, s->valid.x, &s->file.rvq, k, s->valid.n, s->scratch);
        LCM_TRY(lcm_buf_printf(ctx, &s->log, ",\"valid_loss\":%.7g", energy(s->valid.x, s->valid.n * D) / s->valid.energy));
    }
    LCM_TRY(lcm_buf_append(ctx, &s->log, "}\n", 2));
    lcm_log(ctx, LCM_LOG_INFO, "codebook %lld: relative error %.4f after %lld iterations, %lld units revived, %lld empty",
            (long long)s->done, r.error / s->train.energy, (long long)r.iterations, (long long)r.revived, (long long)r.empty);
    return save(ctx, s);
}

static lcm_status fit(lcm_ctx *ctx, state *s, const json_t *resolved) {
    const char *run = s->c->train.run;
    if (run[0] == '\0') LCM_FAIL(ctx, LCM_ERR_ARG, "train.run: a run folder is required");
    LCM_TRY(prepare(ctx, s));
    LCM_TRY(lcm_rundir_open(ctx, &s->dir, run));
    LCM_TRY(lcm_path_join(ctx, s->model_path, sizeof s->model_path, run, "rvq.safetensors"));
    LCM_TRY(lcm_path_join(ctx, s->log_path, sizeof s->log_path, run, "metrics.jsonl"));
    LCM_TRY(check_config(ctx, s, resolved));
    LCM_TRY(resume(ctx, s));
    while (s->done < s->c->quantizer.codebooks) {
        lcm_status st = fit_codebook(ctx, s);
        if (st == LCM_ERR_CANCELLED)
            LCM_FAIL(ctx, st, "stopped behind codebook %lld of %lld; the same command goes on from there", (long long)s->done,
                     (long long)s->c->quantizer.codebooks);
        LCM_TRY(st);
    }
    return LCM_OK;
}

static lcm_status run(lcm_ctx *ctx, void *run_config, const json_t *resolved, lcm_run_hooks *hooks) {
    state s = {.c = run_config, .hooks = hooks};
    lcm_status st;
    if (hooks->check_grad > 0) LCM_FAIL(ctx, LCM_ERR_ARG, "rvq: k-means has no gradient to check");
    st = fit(ctx, &s, resolved);
    lcm_rundir_close(s.dir);
    lcm_run_stores_close(&s.stores);
    lcm_rvq_file_close(&s.file);
    lcm_buf_free(&s.log);
    free(s.train.x);
    free(s.valid.x);
    free(s.unit);
    free(s.error);
    free(s.scratch);
    return st;
}

const lcm_run_kind lcm_run_rvq = {.name = "rvq", .help = "residual vector quantiser of concepts", .size = sizeof(config),
                                   .defaults = defaults, .fields = fields, .raw = lcm_run_no_raw, .run = run};
