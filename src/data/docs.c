/* Documents out of text files. */
#include "data/docs.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/config.h"
#include "base/io.h"
#include "data/zstd_stream.h"

enum { CHUNK = 1 << 16 };

typedef struct source {
    char *path;
    lcm_docs_format format;
    int64_t bytes;
} source;

struct lcm_docs {
    lcm_docs_opts opts; /* its keys are copies */
    source *files;
    size_t n_files, cap_files, next_file;
    lcm_instream *s; /* of files[next_file - 1]; NULL between files */
    int64_t consumed_before;
    char chunk[CHUNK];
    size_t pos, len;
    int64_t line_no;
    lcm_buf line;
    bool too_long; /* the line was cut at max_doc and must not be used */
    lcm_buf text;  /* of a whole file, or joined from a list */
    lcm_buf source_text;
    json_t *json;  /* owner of the document in hand */
    lcm_docs_report report;
};

static const struct {
    const char *name, *text;
    lcm_status code; /* in strict mode */
} drops[LCM_DOC_N_DROPS] = {{"empty", "empty", LCM_ERR_FORMAT},
                            {"too_long", "too long", LCM_ERR_LIMIT},
                            {"bad_utf8", "not UTF-8", LCM_ERR_UTF8},
                            {"bad_json", "not a JSON object", LCM_ERR_FORMAT},
                            {"bad_escape", "an escape that is no character", LCM_ERR_FORMAT},
                            {"no_text", "no text under the key", LCM_ERR_FORMAT}};

static bool is_reason(lcm_doc_drop reason) { return reason >= 0 && reason < LCM_DOC_N_DROPS; }
const char *lcm_doc_drop_name(lcm_doc_drop reason) { return is_reason(reason) ? drops[reason].name : "unknown"; }
const char *lcm_doc_drop_text(lcm_doc_drop reason) { return is_reason(reason) ? drops[reason].text : "unknown"; }

void lcm_docs_log_drops(lcm_ctx *ctx, const lcm_docs_report *r) {
    for (int i = 0; i < LCM_DOC_N_DROPS; i++)
        if (r->dropped[i])
            lcm_log(ctx, LCM_LOG_WARN, "%lld left out, %s: %s%s", (long long)r->dropped[i], drops[i].text, r->first[i],
                    r->dropped[i] > 1 ? ", and more" : "");
}

static bool ends_with(const char *s, size_t n, const char *tail) {
    size_t k = strlen(tail);
    return n > k && memcmp(s + n - k, tail, k) == 0;
}

static lcm_docs_format format_of_name(const char *path) {
    size_t n = strlen(path);
    if (ends_with(path, n, ".zst")) n -= 4;
    if (ends_with(path, n, ".txt")) return LCM_DOCS_TXT;
    if (ends_with(path, n, ".jsonl")) return LCM_DOCS_JSONL;
    return LCM_DOCS_AUTO;
}

static lcm_status add_file(lcm_ctx *ctx, lcm_docs *d, const char *path, lcm_docs_format format, int64_t bytes) {
    source *f;
    if (d->opts.source_key && format != LCM_DOCS_JSONL)
        LCM_FAIL(ctx, LCM_ERR_ARG, "'%s': only .jsonl holds sources and targets", path);
    LCM_TRY(lcm_grow(ctx, &d->files, &d->cap_files, d->n_files + 1, sizeof *d->files));
    f = &d->files[d->n_files];
    f->path = lcm_strdup(path);
    f->format = format;
    f->bytes = bytes;
    if (f->path == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: path of %zu bytes", strlen(path));
    d->n_files++;
    return LCM_OK;
}

static int not_hidden(const struct dirent *e) { return e->d_name[0] != '.'; }

/* Not alphasort: that one follows the locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static lcm_status add_folder(lcm_ctx *ctx, lcm_docs *d, const char *dir) {
    struct dirent **list;
    size_t before = d->n_files;
    lcm_status st = LCM_OK;
    int n = scandir(dir, &list, not_hidden, by_bytes);
    if (n < 0) LCM_FAIL(ctx, LCM_ERR_IO, "cannot read folder '%s': %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        char path[LCM_PATH_MAX];
        struct stat sb;
        lcm_docs_format format = format_of_name(list[i]->d_name);
        if (st == LCM_OK) st = lcm_path_join(ctx, path, sizeof path, dir, list[i]->d_name);
        if (st == LCM_OK) {
            if (stat(path, &sb) != 0)
                st = lcm_fail(ctx, LCM_ERR_IO, "cannot stat '%s': %s", path, strerror(errno));
            else if (format == LCM_DOCS_AUTO || !S_ISREG(sb.st_mode)) d->report.skipped_files++;
            else st = add_file(ctx, d, path, format, sb.st_size);
        }
        free(list[i]);
    }
    free(list);
    if (st == LCM_OK && d->n_files == before)
        LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "folder '%s' has no .txt or .jsonl file (.zst allowed)", dir);
    return st;
}

static lcm_status add_input(lcm_ctx *ctx, lcm_docs *d, const char *path) {
    struct stat sb;
    lcm_docs_format format = d->opts.format;
    if (strcmp(path, "-") == 0) return add_file(ctx, d, path, format ? format : d->opts.source_key ? LCM_DOCS_JSONL : LCM_DOCS_TXT, -1);
    if (stat(path, &sb) != 0)
        LCM_FAIL(ctx, errno == ENOENT ? LCM_ERR_NOTFOUND : LCM_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    if (S_ISDIR(sb.st_mode)) return add_folder(ctx, d, path);
    if (format == LCM_DOCS_AUTO) format = format_of_name(path);
    if (format == LCM_DOCS_AUTO)
        LCM_FAIL(ctx, LCM_ERR_ARG, "'%s': the name of a text must end in .txt or .jsonl (.zst allowed)", path);
    return add_file(ctx, d, path, format, S_ISREG(sb.st_mode) ? sb.st_size : -1);
}

enum { N_KEYS = 4 };

static const char **key_of(lcm_docs_opts *o, int i) {
    const char **const keys[N_KEYS] = {&o->key, &o->source_key, &o->lang_key, &o->source_lang_key};
    return keys[i];
}

lcm_status lcm_docs_open(lcm_ctx *ctx, lcm_docs **out, const char *const *inputs, size_t n, const lcm_docs_opts *opts) {
    lcm_docs *d;
    lcm_status st = LCM_OK;
    *out = NULL;
    if (n == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "no input given");
    LCM_TRY(lcm_calloc(ctx, &d, 1, sizeof *d));
    if (opts) d->opts = *opts;
    if (d->opts.max_doc == 0) d->opts.max_doc = 16 << 20;
    if (d->opts.key == NULL) d->opts.key = "text";
    for (int i = 0; i < N_KEYS; i++) {
        const char **key = key_of(&d->opts, i);
        if (*key == NULL) continue;
        *key = lcm_strdup(*key);
        if (*key == NULL) st = lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: document reader");
    }
    for (size_t i = 0; i < n && st == LCM_OK; i++) st = add_input(ctx, d, inputs[i]);
    if (st) {
        lcm_docs_close(d);
        return st;
    }
    *out = d;
    return LCM_OK;
}

void lcm_docs_close(lcm_docs *d) {
    if (d == NULL) return;
    for (size_t i = 0; i < d->n_files; i++) free(d->files[i].path);
    free(d->files);
    for (int i = 0; i < N_KEYS; i++) free((void *)(uintptr_t)*key_of(&d->opts, i));
    lcm_instream_close(d->s);
    lcm_buf_free(&d->line);
    lcm_buf_free(&d->text);
    lcm_buf_free(&d->source_text);
    json_decref(d->json);
    free(d);
}

static const source *current(const lcm_docs *d) { return &d->files[d->next_file - 1]; }

/* Where it is and what it is, with no byte that steers a terminal. */
static void note_first(char *note, size_t cap, const lcm_docs *d, const char *detail) {
    snprintf(note, cap, "%s:%lld%s%s", current(d)->path, (long long)d->line_no, detail ? ": " : "", detail ? detail : "");
    for (char *s = note; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = '?';
}

/* Counts the item under `reason`; strict: the error. `detail` follows the reason, or is NULL. */
static lcm_status drop(lcm_ctx *ctx, lcm_docs *d, lcm_doc_drop reason, const char *detail) {
    lcm_docs_report *r = &d->report;
    char text[320];
    snprintf(text, sizeof text, "%s:%lld: %s%s%s", current(d)->path, (long long)d->line_no, drops[reason].name,
             detail ? ": " : "", detail ? detail : "");
    if (d->opts.strict) LCM_FAIL(ctx, drops[reason].code, "%s", text);
    lcm_log(ctx, LCM_LOG_DEBUG, "dropped %s", text);
    if (r->dropped[reason]++ == 0) note_first(r->first[reason], sizeof r->first[reason], d, detail);
    return LCM_OK;
}

static lcm_status drop_too_long(lcm_ctx *ctx, lcm_docs *d) {
    char why[64];
    snprintf(why, sizeof why, "more than %zu bytes", d->opts.max_doc);
    return drop(ctx, d, LCM_DOC_TOO_LONG, why);
}

/* Next line of the open file into d->line, without its end; *got false at the end of the file. */
static lcm_status read_line(lcm_ctx *ctx, lcm_docs *d, bool *got) {
    bool ended = false;
    *got = false;
    d->line.len = 0;
    d->too_long = false;
    while (!ended) {
        const char *p, *nl;
        size_t n;
        if (d->pos == d->len) {
            d->pos = 0;
            LCM_TRY(lcm_instream_read(ctx, &d->len, d->s, d->chunk, CHUNK));
            if (d->len == 0) break;
        }
        *got = true;
        p = d->chunk + d->pos;
        nl = memchr(p, '\n', d->len - d->pos);
        n = nl ? (size_t)(nl - p) : d->len - d->pos;
        d->pos += n + (nl != NULL);
        ended = nl != NULL;
        if (d->too_long) continue;
        if (n > d->opts.max_doc - d->line.len) {
            d->too_long = true; /* the rest is read past, not kept */
            n = 0;
        }
        LCM_TRY(lcm_buf_append(ctx, &d->line, p, n));
    }
    if (!*got) return LCM_OK;
    d->line_no++;
    d->report.lines++;
    if (d->line_no == 1 && d->line.len >= 3 && memcmp(d->line.data, "\xEF\xBB\xBF", 3) == 0) {
        d->line.len -= 3;
        memmove(d->line.data, d->line.data + 3, d->line.len + 1);
    }
    if (ended && d->line.len && d->line.data[d->line.len - 1] == '\r') d->line.data[--d->line.len] = '\0';
    return LCM_OK;
}

static bool is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] != ' ' && (s[i] < '\t' || s[i] > '\r')) return false;
    return true;
}

/* Number of the first byte that is no text, from 1; 0: all of it is. */
static size_t bad_byte(const char *s, size_t n) {
    size_t good = lcm_utf8_valid_prefix(s, n);
    const char *nul = memchr(s, '\0', good);
    if (nul) return (size_t)(nul - s) + 1;
    return good < n ? good + 1 : 0;
}

static lcm_status drop_bad_byte(lcm_ctx *ctx, lcm_docs *d, size_t at, unsigned char byte) {
    char why[64];
    snprintf(why, sizeof why, "byte %zu is 0x%02x", at, byte);
    return drop(ctx, d, LCM_DOC_BAD_UTF8, why);
}

/* The sentences of a list, one per line. *ok is false when one is no string. */
static lcm_status join_list(lcm_ctx *ctx, lcm_buf *out, const json_t *list, bool *ok) {
    out->len = 0;
    *ok = true;
    LCM_TRY(lcm_buf_append(ctx, out, "", 0));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        size_t at = out->len;
        *ok = *ok && json_is_string(v);
        if (!*ok) return LCM_OK;
        LCM_TRY(lcm_buf_append(ctx, out, json_string_value(v), json_string_length(v)));
        for (; at < out->len; at++)
            if (out->data[at] == '\n' || out->data[at] == '\r') out->data[at] = ' ';
        LCM_TRY(lcm_buf_append(ctx, out, "\n", 1));
    }
    return LCM_OK;
}

/* *text stays NULL when the item was dropped. */
static lcm_status text_of_key(lcm_ctx *ctx, lcm_docs *d, const char **text, size_t *len, bool *lines, lcm_buf *own,
                              const char *key) {
    const json_t *v = json_object_get(d->json, key);
    const char *s = json_string_value(v);
    size_t n = json_string_length(v);
    bool ok = s != NULL;
    *lines = json_is_array(v);
    if (*lines) {
        LCM_TRY(join_list(ctx, own, v, &ok));
        s = own->data;
        n = own->len;
    }
    if (!ok) return drop(ctx, d, LCM_DOC_NO_TEXT, key);
    if (is_blank(s, n)) return drop(ctx, d, LCM_DOC_EMPTY, key);
    *text = s;
    *len = n;
    return LCM_OK;
}

/* True when the language is there, or not asked for. */
static bool lang_of_key(const char **lang, const lcm_docs *d, const char *key) {
    if (key == NULL) return true;
    *lang = json_string_value(json_object_get(d->json, key));
    return *lang != NULL;
}

static lcm_status doc_of_json(lcm_ctx *ctx, lcm_docs *d, lcm_doc *out) {
    bool bad_escape;
    lcm_status st;
    json_decref(d->json);
    st = lcm_json_parse_text(ctx, &d->json, &bad_escape, d->line.data, d->line.len, "JSON");
    if (st == LCM_ERR_FORMAT) {
        static const char of_line[] = "JSON: line 1: "; /* it has but one */
        char why[256];
        const char *message = lcm_ctx_message(ctx);
        if (strncmp(message, of_line, strlen(of_line)) == 0) message += strlen(of_line);
        snprintf(why, sizeof why, "%s", message);
        return drop(ctx, d, bad_escape ? LCM_DOC_BAD_ESCAPE : LCM_DOC_BAD_JSON, why);
    }
    LCM_TRY(st);
    if (!json_is_object(d->json)) return drop(ctx, d, LCM_DOC_BAD_JSON, "not an object");
    if (d->opts.source_key) {
        LCM_TRY(text_of_key(ctx, d, &out->source, &out->source_len, &out->source_lines, &d->source_text, d->opts.source_key));
        if (out->source == NULL) return LCM_OK;
    }
    if (!lang_of_key(&out->lang, d, d->opts.lang_key)) return drop(ctx, d, LCM_DOC_NO_TEXT, d->opts.lang_key);
    if (!lang_of_key(&out->source_lang, d, d->opts.source_lang_key)) return drop(ctx, d, LCM_DOC_NO_TEXT, d->opts.source_lang_key);
    return text_of_key(ctx, d, &out->text, &out->len, &out->lines, &d->text, d->opts.key);
}

/* One line is one item. out->text stays NULL when it was dropped. */
static lcm_status take_line(lcm_ctx *ctx, lcm_docs *d, lcm_doc *out) {
    size_t bad;
    if (d->too_long) return drop_too_long(ctx, d);
    if (is_blank(d->line.data, d->line.len)) {
        d->report.blank_lines++;
        return LCM_OK;
    }
    bad = bad_byte(d->line.data, d->line.len);
    if (bad) return drop_bad_byte(ctx, d, bad, (unsigned char)d->line.data[bad - 1]);
    if (current(d)->format == LCM_DOCS_JSONL) return doc_of_json(ctx, d, out);
    out->text = d->line.data;
    out->len = d->line.len;
    return LCM_OK;
}

/* The rest of the open file is one item. */
static lcm_status take_file(lcm_ctx *ctx, lcm_docs *d, lcm_doc *out) {
    bool got, too_long = false, paragraph_ended = false;
    size_t bad = 0;
    int64_t bad_line = 0;
    unsigned char byte = 0;
    d->text.len = 0;
    for (;;) {
        const char *sep = d->text.len == 0 ? "" : paragraph_ended ? "\n\n" : " ";
        LCM_TRY(read_line(ctx, d, &got));
        if (!got) break;
        if (d->too_long || d->line.len + strlen(sep) > d->opts.max_doc - d->text.len) too_long = true;
        if (too_long) continue;
        if (is_blank(d->line.data, d->line.len)) {
            paragraph_ended = true;
            continue;
        }
        if (bad == 0 && (bad = bad_byte(d->line.data, d->line.len)) != 0) {
            byte = (unsigned char)d->line.data[bad - 1];
            bad_line = d->line_no;
        }
        LCM_TRY(lcm_buf_append(ctx, &d->text, sep, strlen(sep)));
        LCM_TRY(lcm_buf_append(ctx, &d->text, d->line.data, d->line.len));
        paragraph_ended = false;
    }
    d->line_no = 1;
    if (too_long) return drop_too_long(ctx, d);
    if (d->text.len == 0) return drop(ctx, d, LCM_DOC_EMPTY, NULL);
    if (bad) {
        d->line_no = bad_line;
        return drop_bad_byte(ctx, d, bad, byte);
    }
    out->text = d->text.data;
    out->len = d->text.len;
    return LCM_OK;
}

static void end_file(lcm_docs *d) {
    d->consumed_before += lcm_instream_consumed(d->s);
    lcm_instream_close(d->s);
    d->s = NULL;
}

static lcm_status begin_file(lcm_ctx *ctx, lcm_docs *d) {
    LCM_TRY(lcm_instream_open(ctx, &d->s, d->files[d->next_file].path));
    d->next_file++;
    d->report.files++;
    d->pos = d->len = 0;
    d->line_no = 0;
    return LCM_OK;
}

lcm_status lcm_docs_next(lcm_ctx *ctx, lcm_doc *out, lcm_docs *d) {
    memset(out, 0, sizeof *out);
    while (out->text == NULL) {
        bool got = true, whole;
        memset(out, 0, sizeof *out);
        if (d->s == NULL) {
            if (d->next_file == d->n_files) return LCM_OK;
            LCM_TRY(begin_file(ctx, d));
        }
        whole = d->opts.whole_file && current(d)->format == LCM_DOCS_TXT;
        if (whole) LCM_TRY(take_file(ctx, d, out));
        else {
            LCM_TRY(read_line(ctx, d, &got));
            if (got) LCM_TRY(take_line(ctx, d, out));
        }
        if (whole || !got) end_file(d);
    }
    out->path = current(d)->path;
    out->line = d->line_no;
    d->report.docs++;
    d->report.bytes += (int64_t)(out->len + out->source_len);
    return LCM_OK;
}

const lcm_docs_report *lcm_docs_get_report(const lcm_docs *d) { return &d->report; }

size_t lcm_docs_n_files(const lcm_docs *d) { return d->n_files; }

const char *lcm_docs_file(const lcm_docs *d, size_t i, int64_t *bytes) {
    if (bytes) *bytes = d->files[i].bytes;
    return d->files[i].path;
}

void lcm_docs_progress(const lcm_docs *d, int64_t *done, int64_t *total) {
    *done = d->consumed_before + (d->s ? lcm_instream_consumed(d->s) : 0);
    *total = 0;
    for (size_t i = 0; i < d->n_files; i++) {
        if (d->files[i].bytes < 0) {
            *total = -1;
            return;
        }
        *total += d->files[i].bytes;
    }
}
