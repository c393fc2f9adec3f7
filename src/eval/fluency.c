/* Calibration and scores. */
#include "eval/fluency.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/io.h"
#include "eval/strset.h"
#include "llama/score.h"

enum { FORMAT = 1, STEPS = 100 };

const lcm_field lcm_fluency_fields[] = {
    LCM_F_REAL(lcm_fluency_fit, slope, -1e6, 1e6, "of the logistic map"),
    LCM_F_REAL(lcm_fluency_fit, offset, -1e6, 1e6, "of the logistic map"),
    LCM_F_INT(lcm_fluency_fit, fitted_pairs, 0, 1e12, "that slope and offset come from"),
    LCM_F_INT(lcm_fluency_fit, fitted_uids, 0, 1e12, "phenomena of these"),
    LCM_F_INT(lcm_fluency_fit, held_out_pairs, 0, 1e12, "that accuracy was measured on"),
    LCM_F_INT(lcm_fluency_fit, held_out_uids, 0, 1e12, "phenomena of these"),
    LCM_F_INT(lcm_fluency_fit, bad_lines, 0, 1e12, "that are no pair"),
    LCM_F_REAL(lcm_fluency_fit, pair_accuracy, 0, 1, "share of pairs whose good sentence is likelier"),
    LCM_F_REAL(lcm_fluency_fit, sentence_accuracy, 0, 1, "share of sentences on the right side"),
    LCM_F_END};

static double sigma(double x) { return 1 / (1 + exp(-x)); }

/* ---- pairs ---- */

typedef struct pairs {
    lcm_sentences text; /* good, bad, good, bad, … */
    uint32_t *uid;      /* (n) number of its phenomenon */
    size_t n, cap;
    lcm_strset uids;
    int64_t bad_lines;
} pairs;

static lcm_status add_pair(lcm_ctx *ctx, pairs *p, const json_t *item) {
    const json_t *side[2] = {json_object_get(item, "good"), json_object_get(item, "bad")}, *uid = json_object_get(item, "uid");
    if (!json_string_length(side[0]) || !json_string_length(side[1]) || !json_string_length(uid)) {
        p->bad_lines++;
        return LCM_OK;
    }
    LCM_TRY(lcm_grow(ctx, &p->uid, &p->cap, p->n + 1, sizeof *p->uid));
    LCM_TRY(lcm_strset_add(ctx, &p->uid[p->n], &p->uids, json_string_value(uid), json_string_length(uid)));
    for (int i = 0; i < 2; i++) LCM_TRY(lcm_sentences_add(ctx, &p->text, json_string_value(side[i]), json_string_length(side[i])));
    p->n++;
    return LCM_OK;
}

static lcm_status read_pairs(lcm_ctx *ctx, pairs *p, const char *path) {
    lcm_docs_opts o = {.format = LCM_DOCS_TXT};
    lcm_docs *docs;
    lcm_status st;
    LCM_TRY(lcm_docs_open(ctx, &docs, &path, 1, &o));
    do {
        lcm_doc doc;
        json_t *item = NULL;
        st = lcm_docs_next(ctx, &doc, docs);
        if (st || doc.text == NULL) break;
        if (lcm_json_parse(ctx, &item, doc.text, doc.len, path) == LCM_OK) st = add_pair(ctx, p, item);
        else p->bad_lines++;
        json_decref(item);
    } while (st == LCM_OK);
    for (int i = 0; i < LCM_DOC_N_DROPS; i++) p->bad_lines += lcm_docs_get_report(docs)->dropped[i];
    lcm_docs_close(docs);
    if (st == LCM_OK && p->uids.n < 2)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': %zu phenomena in %zu pairs, one to fit and one to measure are needed", path, p->uids.n, p->n);
    return st;
}

/* ---- likelihood ---- */

/* out (n): sentences which[i], or i without a list. */
static lcm_status score(lcm_ctx *ctx, lcm_llama_score *out, const lcm_llama_file *file, const lcm_sentences *s, const int64_t *which, int64_t n) {
    lcm_llama_score_opts o = {.end = true};
    lcm_llama_text *texts;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &texts, (size_t)n + 1, sizeof *texts));
    for (int64_t i = 0; i < n; i++) texts[i].text = lcm_sentences_at(s, which ? which[i] : i, &texts[i].len);
    st = lcm_llama_score_texts(ctx, out, file, texts, (size_t)n, &o);
    free(texts);
    return st;
}

static double per_token(const lcm_llama_score *s) { return s->log_prob / (double)s->n_tokens; } /* </s> is one at least */

/* ---- calibration ---- */

void lcm_fluency_fit_logistic(double *slope, double *offset, const double *x, const uint8_t *y, int64_t n) {
    double mean = 0, sd = 0, a = 0, b = 0;
    for (int64_t i = 0; i < n; i++) mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) sd += (x[i] - mean) * (x[i] - mean) / (double)n;
    sd = sd > 0 ? sqrt(sd) : 1;
    for (int step = 0; step < STEPS; step++) {
        double g0 = 0, g1 = 0, h00 = 1e-9, h01 = 0, h11 = 1e-9, det, da, db; /* 1e-9: solvable for data that say nothing */
        for (int64_t i = 0; i < n; i++) {
            double z = (x[i] - mean) / sd, p = sigma(a * z + b), w = p * (1 - p);
            g0 += y[i] - p;
            g1 += (y[i] - p) * z;
            h00 += w;
            h01 += w * z;
            h11 += w * z * z;
        }
        det = h00 * h11 - h01 * h01;
        da = (h00 * g1 - h01 * g0) / det;
        db = (h11 * g0 - h01 * g1) / det;
        a = fmax(-20, fmin(20, a + da)); /* pairs that a line separates would drive it to infinity */
        b = fmax(-20, fmin(20, b + db));
        if (fabs(da) + fabs(db) < 1e-10) break;
    }
    *slope = a / sd;
    *offset = b - a * mean / sd;
}

static bool is_fitted(const pairs *p, size_t i) { return p->uid[i] % 2 == 0; }

static void measure(lcm_fluency_fit *f, const pairs *p, const int64_t *pick, int64_t n, const lcm_llama_score *s) {
    for (int64_t i = 0; i < n; i++) {
        const lcm_llama_score *good = &s[2 * i], *bad = good + 1;
        if (is_fitted(p, (size_t)pick[i])) continue;
        f->held_out_pairs++;
        f->pair_accuracy += good->log_prob > bad->log_prob ? 1 : good->log_prob < bad->log_prob ? 0 : 0.5;
        f->sentence_accuracy += 0.5 * (f->slope * per_token(good) + f->offset > 0) + 0.5 * (f->slope * per_token(bad) + f->offset <= 0);
    }
    f->pair_accuracy /= (double)f->held_out_pairs;
    f->sentence_accuracy /= (double)f->held_out_pairs;
}

static lcm_status fit(lcm_ctx *ctx, lcm_fluency_fit *f, const pairs *p, const int64_t *pick, int64_t n, const lcm_llama_score *s) {
    double *x;
    uint8_t *y = NULL;
    int64_t k = 0;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &x, (size_t)(2 * n) + 1, sizeof *x));
    st = lcm_calloc(ctx, &y, (size_t)(2 * n) + 1, 1);
    for (int64_t i = 0; st == LCM_OK && i < n; i++)
        for (int side = 0; side < 2 && is_fitted(p, (size_t)pick[i]); side++, k++) x[k] = per_token(&s[2 * i + side]), y[k] = side == 0;
    f->fitted_pairs = k / 2;
    if (st == LCM_OK && (k == 0 || k == 2 * n)) st = lcm_fail(ctx, LCM_ERR_ARG, "%lld pairs are too few: none is left to fit or to measure", (long long)n);
    if (st == LCM_OK) {
        lcm_fluency_fit_logistic(&f->slope, &f->offset, x, y, k);
        measure(f, p, pick, n, s);
    }
    free(x);
    free(y);
    return st;
}

lcm_status lcm_fluency_calibrate(lcm_ctx *ctx, lcm_fluency_fit *out, const lcm_llama_file *file, const char *path, int64_t max_pairs) {
    pairs p = {0};
    lcm_llama_score *s = NULL;
    int64_t *pick = NULL, n = 0;
    lcm_status st = read_pairs(ctx, &p, path);
    *out = (lcm_fluency_fit){0};
    if (st == LCM_OK) n = max_pairs && (size_t)max_pairs < p.n ? max_pairs : (int64_t)p.n;
    if (st == LCM_OK) st = lcm_calloc(ctx, &s, (size_t)(2 * n), sizeof *s);
    if (st == LCM_OK) st = lcm_calloc(ctx, &pick, (size_t)(3 * n), sizeof *pick);
    for (int64_t i = 0; st == LCM_OK && i < n; i++) {
        pick[i] = (int64_t)((double)i * (double)p.n / (double)n);
        pick[n + 2 * i] = 2 * pick[i];
        pick[n + 2 * i + 1] = 2 * pick[i] + 1;
    }
    if (st == LCM_OK) st = score(ctx, s, file, &p.text, pick + n, 2 * n);
    if (st == LCM_OK) st = fit(ctx, out, &p, pick, n, s);
    out->bad_lines = p.bad_lines;
    out->fitted_uids = (int64_t)(p.uids.n + 1) / 2;
    out->held_out_uids = (int64_t)p.uids.n / 2;
    lcm_sentences_free(&p.text);
    lcm_strset_free(&p.uids);
    free(p.uid);
    free(pick);
    free(s);
    return st;
}

/* The two sentences of a pair are not independent: the deviation is that of pairs. */
bool lcm_fluency_warning(char *out, size_t cap, const lcm_fluency_fit *f) {
    double chance = 0.5 + 1.96 * 0.5 / sqrt(fmax(1, (double)f->held_out_pairs));
    bool reversed = f->slope <= 0, guessed = f->sentence_accuracy <= chance;
    if (cap) *out = '\0';
    if (reversed || guessed)
        snprintf(out, cap, "the calibration of fluency %s: it puts %.1f %% of the sentences of %" PRId64 " held-out pairs on the right side, guessing up to %.1f %%",
                 reversed ? "is reversed, likelier sentences rate lower" : "is no better than chance", 100 * f->sentence_accuracy,
                 f->held_out_pairs, 100 * fmin(1, chance));
    return reversed || guessed;
}

/* ---- files ---- */

typedef struct head {
    int64_t format;
    char kind[16], model[LCM_PATH_MAX], model_hash[17], pairs[LCM_PATH_MAX];
    lcm_fluency_fit fit;
} head;

static const lcm_field head_fields[] = {
    LCM_F_INT(head, format, 1, 1e9, "of this file"),
    LCM_F_STRING(head, kind, "fluency"),
    LCM_F_STRING(head, model, "token model"),
    LCM_F_STRING(head, model_hash, "FNV-1a 64 of its bytes"),
    LCM_F_STRING(head, pairs, "what it was calibrated on"),
    LCM_F_STRUCT(head, fit, lcm_fluency_fields, "calibration and its accuracy"),
    LCM_F_END};

static lcm_status hash_file(lcm_ctx *ctx, char hex[17], const char *path) {
    lcm_map m;
    LCM_TRY(lcm_map_open(ctx, &m, path));
    snprintf(hex, 17, "%016" PRIx64, lcm_hash64(LCM_HASH_INIT, m.data, m.len));
    lcm_map_close(&m);
    return LCM_OK;
}

lcm_status lcm_fluency_save(lcm_ctx *ctx, const lcm_fluency_fit *f, const char *model, const char *pairs_path, const char *path) {
    head *h;
    json_t *j = NULL;
    char *real_path = realpath(model, NULL), *text = NULL;
    lcm_status st = lcm_calloc(ctx, &h, 1, sizeof *h);
    if (st == LCM_OK && real_path == NULL) st = lcm_fail(ctx, LCM_ERR_NOTFOUND, "'%s' cannot be found", model);
    if (st == LCM_OK) st = hash_file(ctx, h->model_hash, model);
    if (st == LCM_OK) {
        h->format = FORMAT;
        h->fit = *f;
        snprintf(h->kind, sizeof h->kind, "fluency");
        snprintf(h->model, sizeof h->model, "%s", real_path);
        snprintf(h->pairs, sizeof h->pairs, "%s", pairs_path);
        j = lcm_config_write(h, head_fields);
        text = j ? json_dumps(j, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
        st = text ? lcm_write_file(ctx, path, text, strlen(text)) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: calibration");
    }
    json_decref(j);
    free(text);
    free(real_path);
    free(h);
    return st;
}

static lcm_status read_head(lcm_ctx *ctx, lcm_fluency *f, head *h, const char *path) {
    char hash[17];
    json_t *j;
    lcm_status st;
    LCM_TRY(lcm_json_load(ctx, &j, path));
    st = lcm_config_read(ctx, h, head_fields, j, path);
    json_decref(j);
    if (st) return st == LCM_ERR_ARG ? LCM_ERR_FORMAT : st;
    if (strcmp(h->kind, "fluency") != 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' is no calibration of fluency", path);
    if (h->format != FORMAT) LCM_FAIL(ctx, LCM_ERR_VERSION, "'%s': format %" PRId64 ", this build reads %d", path, h->format, FORMAT);
    LCM_TRY(hash_file(ctx, hash, h->model));
    if (strcmp(hash, h->model_hash) != 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' was calibrated with other bytes of '%.300s'", path, h->model);
    f->fit = h->fit;
    return lcm_llama_load(ctx, &f->file, h->model, false);
}

lcm_status lcm_fluency_load(lcm_ctx *ctx, lcm_fluency *out, const char *path) {
    head *h;
    lcm_status st;
    memset(out, 0, sizeof *out);
    LCM_TRY(lcm_calloc(ctx, &h, 1, sizeof *h));
    st = read_head(ctx, out, h, path);
    free(h);
    return st;
}

void lcm_fluency_close(lcm_fluency *f) {
    if (f->file.model) lcm_llama_file_close(&f->file);
    memset(f, 0, sizeof *f);
}

lcm_status lcm_fluency_score(lcm_ctx *ctx, double *values, double *weights, const lcm_fluency *f, const lcm_sentences *text) {
    lcm_llama_score *s;
    lcm_status st;
    LCM_TRY(lcm_calloc(ctx, &s, (size_t)text->n + 1, sizeof *s));
    st = score(ctx, s, &f->file, text, NULL, text->n);
    for (int64_t d = 0; st == LCM_OK && d < text->n_docs; d++) {
        int64_t n, first = lcm_sentences_doc(text, d, &n);
        double sum = 0;
        for (int64_t i = first; i < first + n; i++) sum += sigma(f->fit.slope * per_token(&s[i]) + f->fit.offset);
        values[d] = n ? sum / (double)n : NAN;
        weights[d] = (double)n;
    }
    free(s);
    return st;
}
