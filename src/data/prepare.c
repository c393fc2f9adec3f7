/* From documents to a concept store. The folder's life:
 *
 *   begin_folder   plan.json: what is to be made; every process must want the same
 *   scan           reads the input once; claims units on the way, encodes and writes them
 *   wait_for_units until every shard is there, or one has lost its process: scan again
 *   end_folder     manifest.json, then the traces of work are removed
 */
#include "data/prepare.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "data/claim.h"
#include "data/unit.h"

typedef struct job {
    const lcm_prepare_opts *opts;
    const char *dir;
    const char *const *inputs;
    size_t n_inputs;
    json_t *plan;
    bool once; /* standard input is among the inputs */
    int64_t unit_docs, unit_bytes;
    lcm_unit_maker *maker;
    lcm_prepare_progress progress;
} job;

static lcm_status report(lcm_ctx *ctx, job *j, const lcm_docs *d) {
    lcm_status st;
    if (d) {
        lcm_docs_progress(d, &j->progress.bytes_done, &j->progress.bytes_total);
        j->progress.docs_seen = lcm_docs_get_report(d)->docs;
    }
    if (j->opts->progress == NULL) return LCM_OK;
    st = j->opts->progress(j->opts->user, &j->progress);
    return st ? lcm_fail(ctx, st, "stopped by the caller") : LCM_OK;
}

/* ---- The folder ---- */

static bool same_json_file(lcm_ctx *ctx, const char *path, const char *key, const json_t *want, lcm_status *st) {
    json_t *root = NULL;
    bool same;
    *st = lcm_json_load(ctx, &root, path);
    same = *st == LCM_OK && json_equal(key ? json_object_get(root, key) : root, want);
    json_decref(root);
    return same;
}

static lcm_status write_plan(lcm_ctx *ctx, const job *j, const char *path) {
    char *text = json_dumps(j->plan, JSON_INDENT(1));
    lcm_status st = text ? lcm_write_file(ctx, path, text, strlen(text))
                         : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: plan");
    free(text);
    return st;
}

static lcm_status lock_folder(lcm_ctx *ctx, lcm_claim *c, const job *j) {
    char path[LCM_PATH_MAX];
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, j->dir, "prepare.lock"));
    return lcm_claim_take(ctx, c, path, true);
}

/* *done when the manifest is there. */
static lcm_status begin_folder(lcm_ctx *ctx, job *j, bool *done) {
    char plan[LCM_PATH_MAX], manifest[LCM_PATH_MAX];
    lcm_claim lock = LCM_CLAIM_NONE;
    lcm_status st;
    bool same = true;
    LCM_TRY(lcm_path_join(ctx, plan, sizeof plan, j->dir, "plan.json"));
    LCM_TRY(lcm_path_join(ctx, manifest, sizeof manifest, j->dir, "manifest.json"));
    LCM_TRY(lcm_mkdirs(ctx, j->dir));
    LCM_TRY(lock_folder(ctx, &lock, j));
    *done = lcm_exists(manifest);
    if (*done) same = same_json_file(ctx, manifest, "origin", j->plan, &st);
    else if (lcm_exists(plan)) same = same_json_file(ctx, plan, NULL, j->plan, &st);
    else st = write_plan(ctx, j, plan);
    lcm_claim_release(&lock);
    LCM_TRY(st);
    if (!same)
        LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' was begun with other inputs or options (see %s in it); choose another folder",
                 j->dir, *done ? "manifest.json" : "plan.json");
    return LCM_OK;
}

static bool is_trace(const char *name) {
    return strcmp(name, "plan.json") == 0 ||
           (strncmp(name, "shard-", 6) == 0 && (strstr(name, ".lock") || strstr(name, ".safetensors.tmp-"))) ||
           strncmp(name, "plan.json.tmp-", 14) == 0 || strncmp(name, "manifest.json.tmp-", 18) == 0;
}

/* Locks, plan, and what killed processes left. Failing to remove one is no failure of the store. */
static void remove_traces(const job *j) {
    DIR *d = opendir(j->dir);
    struct dirent *e;
    if (d == NULL) return;
    while ((e = readdir(d)) != NULL)
        if (is_trace(e->d_name)) (void)unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

static lcm_status end_folder(lcm_ctx *ctx, job *j, int64_t n_units) {
    char manifest[LCM_PATH_MAX];
    lcm_claim lock = LCM_CLAIM_NONE;
    lcm_status st = LCM_OK;
    LCM_TRY(lcm_path_join(ctx, manifest, sizeof manifest, j->dir, "manifest.json"));
    LCM_TRY(lock_folder(ctx, &lock, j));
    if (!lcm_exists(manifest)) st = lcm_store_finish(ctx, j->dir, n_units, j->plan);
    if (st == LCM_OK) remove_traces(j);
    lcm_claim_release(&lock);
    return st;
}

/* ---- The plan ---- */

/* File names may be any bytes; JSON takes UTF-8 only. */
static json_t *lossy_string(const char *s) {
    size_t n = strlen(s), at;
    char *copy = lcm_strdup(s);
    json_t *out = NULL;
    if (copy == NULL) return NULL;
    while ((at = lcm_utf8_valid_prefix(copy, n)) < n) copy[at] = '?';
    out = json_string(copy);
    free(copy);
    return out;
}

static json_t *list_sources(const lcm_docs *d, bool *once) {
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; i < lcm_docs_n_files(d) && ok; i++) {
        int64_t bytes;
        const char *path = lcm_docs_file(d, i, &bytes);
        json_t *e = json_object();
        *once = *once || bytes < 0;
        ok = json_object_set_new(e, "path", lossy_string(path)) == 0;
        ok = ok && json_object_set_new(e, "bytes", json_integer(bytes)) == 0;
        ok = json_array_append_new(list, e) == 0 && ok;
    }
    if (ok) return list;
    json_decref(list);
    return NULL;
}

static lcm_status make_plan(lcm_ctx *ctx, job *j) {
    static const char *const formats[] = {"auto", "txt", "jsonl"};
    const lcm_prepare_opts *o = j->opts;
    size_t max_doc = o->docs.max_doc ? o->docs.max_doc : 16 << 20;
    lcm_docs *d;
    LCM_TRY(lcm_docs_open(ctx, &d, j->inputs, j->n_inputs, &o->docs));
    j->plan = json_pack("{s:o, s:I, s:s, s:s, s:I, s:b, s:b, s:I, s:s, s:s, s:s, s:I, s:I}",
                        "sources", list_sources(d, &j->once),
                        "skipped_files", (json_int_t)lcm_docs_get_report(d)->skipped_files,
                        "format", formats[o->docs.format],
                        "key", o->docs.key ? o->docs.key : "text",
                        "max_doc", (json_int_t)max_doc,
                        "whole_file", (int)o->docs.whole_file,
                        "strict", (int)o->docs.strict,
                        "dim", (json_int_t)o->dim,
                        "dtype", lcm_dtype_name(o->dtype),
                        "space", o->space,
                        "recipe", o->recipe ? o->recipe : "",
                        "unit_docs", (json_int_t)j->unit_docs,
                        "unit_bytes", (json_int_t)j->unit_bytes);
    lcm_docs_close(d);
    if (j->plan && o->docs.source_key && json_object_set_new(j->plan, "source_key", json_string(o->docs.source_key)) != 0) {
        json_decref(j->plan);
        j->plan = NULL;
    }
    if (j->plan == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "key, space or recipe is not UTF-8, or memory is exhausted");
    return LCM_OK;
}

/* ---- One pass over the input ---- */

typedef struct pass {
    lcm_docs *docs;
    int64_t unit, docs_in_unit, bytes_in_unit;
    lcm_claim claim;      /* of the current unit; held = it is ours to make */
    lcm_docs_report mark; /* of the reader, where the unit began */
    int64_t made;
} pass;

static lcm_status lock_path(lcm_ctx *ctx, char *path, const job *j, int64_t unit) {
    char name[40];
    snprintf(name, sizeof name, "shard-%06" PRId64 ".lock", unit);
    return lcm_path_join(ctx, path, LCM_PATH_MAX, j->dir, name);
}

/* Claims the unit unless its shard is there or another process has it. */
static lcm_status claim_unit(lcm_ctx *ctx, lcm_claim *c, const job *j, int64_t unit) {
    char shard[LCM_PATH_MAX], lock[LCM_PATH_MAX];
    lcm_status st;
    LCM_TRY(lcm_shard_path(ctx, shard, j->dir, unit));
    LCM_TRY(lock_path(ctx, lock, j, unit));
    if (lcm_exists(shard)) return LCM_OK;
    st = lcm_claim_take(ctx, c, lock, false);
    if (st == LCM_ERR_BUSY) return LCM_OK;
    LCM_TRY(st);
    if (lcm_exists(shard)) lcm_claim_release(c); /* it came into being before we got the lock */
    return LCM_OK;
}

/* The reader's drops since the unit began belong to it, so that the units' sum is the input's. */
static lcm_store_report drops_since(const pass *p) {
    const lcm_docs_report *now = lcm_docs_get_report(p->docs), *was = &p->mark;
    lcm_store_report r = {0};
    r.blank_lines = now->blank_lines - was->blank_lines;
    r.docs_empty = now->dropped[LCM_DOC_EMPTY] - was->dropped[LCM_DOC_EMPTY];
    r.docs_too_long = now->dropped[LCM_DOC_TOO_LONG] - was->dropped[LCM_DOC_TOO_LONG];
    r.docs_bad_utf8 = now->dropped[LCM_DOC_BAD_UTF8] - was->dropped[LCM_DOC_BAD_UTF8];
    r.docs_bad_json = now->dropped[LCM_DOC_BAD_JSON] - was->dropped[LCM_DOC_BAD_JSON];
    r.docs_bad_escape = now->dropped[LCM_DOC_BAD_ESCAPE] - was->dropped[LCM_DOC_BAD_ESCAPE];
    r.docs_no_text = now->dropped[LCM_DOC_NO_TEXT] - was->dropped[LCM_DOC_NO_TEXT];
    return r;
}

static lcm_status encoded(lcm_ctx *ctx, void *user, int64_t sentences) {
    job *j = user;
    j->progress.sentences += sentences;
    return report(ctx, j, NULL);
}

static lcm_status end_unit(lcm_ctx *ctx, job *j, pass *p) {
    lcm_store_report r = drops_since(p);
    lcm_status st = LCM_OK;
    if (p->claim.fd >= 0) {
        st = lcm_unit_write(ctx, j->maker, j->dir, p->unit, &r, encoded, j);
        lcm_claim_release(&p->claim);
        if (st == LCM_OK) {
            j->progress.docs += p->docs_in_unit;
            j->progress.units++;
            p->made++;
        }
    }
    p->mark = *lcm_docs_get_report(p->docs);
    p->docs_in_unit = p->bytes_in_unit = 0;
    return st ? st : report(ctx, j, p->docs);
}

static int64_t bytes_of(const lcm_doc *doc) { return (int64_t)(doc->len + doc->source_len); }

static lcm_status take_doc(lcm_ctx *ctx, job *j, pass *p, const lcm_doc *doc) {
    if (p->docs_in_unit == 0) { /* the first of a unit */
        lcm_unit_clear(j->maker);
        LCM_TRY(claim_unit(ctx, &p->claim, j, p->unit));
    }
    p->docs_in_unit++;
    p->bytes_in_unit += bytes_of(doc);
    return p->claim.fd >= 0 ? lcm_unit_add(ctx, j->maker, doc) : LCM_OK;
}

static lcm_status scan_docs(lcm_ctx *ctx, job *j, pass *p) {
    lcm_doc doc;
    for (;;) {
        bool full;
        LCM_TRY(lcm_docs_next(ctx, &doc, p->docs));
        if (doc.text == NULL) break;
        full = p->docs_in_unit == j->unit_docs ||
               (p->docs_in_unit > 0 && bytes_of(&doc) > j->unit_bytes - p->bytes_in_unit);
        if (full) {
            LCM_TRY(end_unit(ctx, j, p));
            p->unit++;
        }
        LCM_TRY(take_doc(ctx, j, p, &doc));
    }
    if (p->docs_in_unit == 0) return LCM_OK;
    LCM_TRY(end_unit(ctx, j, p));
    p->unit++;
    return LCM_OK;
}

static lcm_status scan(lcm_ctx *ctx, job *j, int64_t *n_units) {
    pass p = {.claim = LCM_CLAIM_NONE};
    lcm_status st;
    LCM_TRY(lcm_docs_open(ctx, &p.docs, j->inputs, j->n_inputs, &j->opts->docs));
    st = scan_docs(ctx, j, &p);
    lcm_claim_release(&p.claim);
    if (st == LCM_OK) lcm_docs_log_drops(ctx, lcm_docs_get_report(p.docs));
    if (st == LCM_OK && p.unit == 0) {
        lcm_store_report r = drops_since(&p);
        int64_t dropped = r.docs_empty + r.docs_too_long + r.docs_bad_utf8 + r.docs_bad_json + r.docs_bad_escape + r.docs_no_text;
        st = lcm_fail(ctx, LCM_ERR_FORMAT, "no document in %zu files; %" PRId64 " items were dropped",
                      lcm_docs_n_files(p.docs), dropped);
    }
    lcm_docs_close(p.docs);
    *n_units = p.unit;
    return st;
}

/* ---- Waiting for the others ---- */

static void sleep_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* Returns when all shards are there, or with *orphan when one is not and nobody is making it. */
static lcm_status wait_for_units(lcm_ctx *ctx, job *j, int64_t n_units, bool *orphan) {
    long pause = 10;
    *orphan = false;
    for (int64_t unit = 0; unit < n_units;) {
        lcm_claim c = LCM_CLAIM_NONE;
        char shard[LCM_PATH_MAX];
        LCM_TRY(lcm_shard_path(ctx, shard, j->dir, unit));
        if (lcm_exists(shard)) {
            unit++;
            continue;
        }
        LCM_TRY(claim_unit(ctx, &c, j, unit));
        *orphan = c.fd >= 0;
        lcm_claim_release(&c);
        if (*orphan) return LCM_OK;
        if (j->once) LCM_FAIL(ctx, LCM_ERR_BUSY, "unit %" PRId64 " is with another process, and the input cannot be read again", unit);
        j->progress.waiting = true;
        LCM_TRY(report(ctx, j, NULL));
        sleep_ms(pause);
        if (pause < 500) pause *= 2;
    }
    return LCM_OK;
}

static lcm_status make_units(lcm_ctx *ctx, job *j) {
    int64_t n_units;
    bool orphan;
    do {
        j->progress.waiting = false;
        LCM_TRY(scan(ctx, j, &n_units));
        LCM_TRY(wait_for_units(ctx, j, n_units, &orphan));
        if (orphan && j->once)
            LCM_FAIL(ctx, LCM_ERR_BUSY, "a unit was left by another process, and the input cannot be read again");
    } while (orphan);
    return end_folder(ctx, j, n_units);
}

static lcm_status check_opts(lcm_ctx *ctx, const lcm_prepare_opts *o) {
    if (o->encode == NULL || o->space == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "encode and space are required");
    if (o->unit_docs < 0 || o->unit_bytes < 0 || o->batch < 0 || o->batch > 1 << 20)
        LCM_FAIL(ctx, LCM_ERR_ARG, "unit of %lld documents, %lld bytes, batch of %lld", (long long)o->unit_docs,
                 (long long)o->unit_bytes, (long long)o->batch);
    if (strlen(o->space) >= LCM_STORE_MAX_SPACE)
        LCM_FAIL(ctx, LCM_ERR_ARG, "name of the space: %zu bytes, at most %d", strlen(o->space), LCM_STORE_MAX_SPACE - 1);
    return LCM_OK;
}

lcm_status lcm_prepare(lcm_ctx *ctx, const char *dir, const char *const *inputs, size_t n_inputs,
                       const lcm_prepare_opts *opts) {
    job j = {.opts = opts, .dir = dir, .inputs = inputs, .n_inputs = n_inputs};
    lcm_status st;
    bool done;
    LCM_TRY(check_opts(ctx, opts));
    j.unit_docs = opts->unit_docs ? opts->unit_docs : 1024;
    j.unit_bytes = opts->unit_bytes ? opts->unit_bytes : 8 << 20;
    LCM_TRY(lcm_unit_maker_new(ctx, &j.maker, opts));
    st = make_plan(ctx, &j);
    if (st == LCM_OK) st = begin_folder(ctx, &j, &done);
    if (st == LCM_OK && !done) st = make_units(ctx, &j);
    json_decref(j.plan);
    lcm_unit_maker_free(j.maker);
    return st;
}
