/* Task files. */
#include "eval/task_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

const char *const lcm_eval_kind_names[] = {"next", "cloze", "completion", "summarise", NULL};

static const lcm_field fields[] = {
    LCM_F_INT(lcm_eval_task, format, 1, 1e9, "of this file"),
    LCM_F_ENUM(lcm_eval_task, kind, lcm_eval_kind_names, "what is asked for"),
    LCM_F_STRING(lcm_eval_task, name, "of the task, in reports"),
    LCM_F_STRING(lcm_eval_task, lang, "language of the segmenter"),
    LCM_F_STRING(lcm_eval_task, text_key, "of the text in JSON lines"),
    LCM_F_STRING(lcm_eval_task, reference_key, "of the reference in JSON lines"),
    LCM_F_INT(lcm_eval_task, given, 1, 1e4, "sentences of the prompt"),
    LCM_F_INT(lcm_eval_task, sentences, 1, 1e4, "written at most"),
    LCM_F_INT(lcm_eval_task, max_given, 0, 1e5, "sentences of a context, 0 = all"),
    LCM_F_INT(lcm_eval_task, max_documents, 0, 1e9, "the first so many, 0 = all"),
    LCM_F_STRING(lcm_eval_task, suffix, "sentence behind the context, for concept models"),
    LCM_F_STRING(lcm_eval_task, prompt, "what a language model continues"),
    LCM_F_STRING(lcm_eval_task, chat_prompt, "what a chat model is asked"),
    LCM_F_INT(lcm_eval_task, max_tokens, 1, 1e5, "of a language model per sentence"),
    LCM_F_REAL(lcm_eval_task, temperature, 0, 100, "of language models"),
    LCM_F_INT(lcm_eval_task, contrast_documents, 1, 1e6, "documents per batch of the contrastive accuracy"),
    LCM_F_INT(lcm_eval_task, round_trips, 0, 1e9, "predictions decoded and encoded again, 0 = all"),
    LCM_F_END};

static lcm_eval_task defaults(void) {
    return (lcm_eval_task){.lang = "en", .text_key = "text", .given = 3, .sentences = 12, .prompt = "{text}",
                           .chat_prompt = "Continue this story. Write only the continuation, in the same style.\n\n{text}",
                           .max_tokens = 48, .contrast_documents = 32, .round_trips = 200};
}

static void set(char *dst, size_t cap, const char *text) { snprintf(dst, cap, "%s", text); }

static void summarise_defaults(lcm_eval_task *t) {
    set(t->text_key, sizeof t->text_key, "document");
    set(t->reference_key, sizeof t->reference_key, "summary");
    set(t->prompt, sizeof t->prompt, "{text}\n\nSummary:");
    set(t->chat_prompt, sizeof t->chat_prompt, "Summarise this text in a few sentences. Write only the summary.\n\n{text}");
    t->sentences = 5;
}

/* ---- lists ---- */

/* Takes `key` out of the object: borrowed texts of t->root, which must keep the list alive. */
static lcm_status take_list(lcm_ctx *ctx, const char ***out, size_t *n, const json_t *given, json_t *rest, const char *key,
                            const char *path) {
    const json_t *v = json_object_get(given, key);
    json_object_del(rest, key);
    if (v == NULL) return LCM_OK;
    if (!json_is_array(v)) LCM_FAIL(ctx, LCM_ERR_ARG, "%s.%s: a list of texts is required", path, key);
    LCM_TRY(lcm_calloc(ctx, out, json_array_size(v) + 1, sizeof **out));
    for (size_t i = 0; i < json_array_size(v); i++) {
        (*out)[i] = json_string_value(json_array_get(v, i));
        if ((*out)[i] == NULL || *(*out)[i] == '\0') LCM_FAIL(ctx, LCM_ERR_ARG, "%s.%s[%zu]: a text is required", path, key, i);
        *n = i + 1;
    }
    return LCM_OK;
}

static lcm_status take_where(lcm_ctx *ctx, lcm_eval_task *t, json_t *rest, const char *path) {
    const char *key;
    json_t *v;
    t->where = json_object_get(t->root, "where");
    json_object_del(rest, "where");
    if (t->where == NULL) return LCM_OK;
    if (!json_is_object(t->where)) LCM_FAIL(ctx, LCM_ERR_ARG, "%s.where: an object is required", path);
    json_object_foreach(t->where, key, v)
        if (!json_is_string(v)) LCM_FAIL(ctx, LCM_ERR_ARG, "%s.where.%.80s: a text is required", path, key);
    return LCM_OK;
}

/* ---- checks ---- */

/* A key that has no effect is a mistake of who wrote the file. */
static lcm_status check_use(lcm_ctx *ctx, const lcm_eval_task *t, const char *path) {
    static const struct {
        const char *key;
        unsigned kinds; /* bit per kind */
    } use[] = {{"given", 1 << LCM_EVAL_COMPLETION},
               {"sentences", 1 << LCM_EVAL_COMPLETION | 1 << LCM_EVAL_SUMMARISE},
               {"suffix", 1 << LCM_EVAL_COMPLETION | 1 << LCM_EVAL_SUMMARISE},
               {"reference_key", 1 << LCM_EVAL_SUMMARISE},
               {"text_key", ~(1u << LCM_EVAL_CLOZE)},
               {"contrast_documents", 1 << LCM_EVAL_NEXT},
               {"round_trips", 1 << LCM_EVAL_NEXT}};
    for (size_t i = 0; i < sizeof use / sizeof *use; i++)
        if (json_object_get(t->root, use[i].key) && !(use[i].kinds >> t->kind & 1))
            LCM_FAIL(ctx, LCM_ERR_ARG, "%s.%s: of no use in a task of kind '%s'", path, use[i].key, lcm_eval_kind_names[t->kind]);
    if (strstr(t->prompt, "{text}") == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "%s.prompt: {text} is missing", path);
    if (strstr(t->chat_prompt, "{text}") == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "%s.chat_prompt: {text} is missing", path);
    if (t->text_key[0] == '\0') LCM_FAIL(ctx, LCM_ERR_ARG, "%s.text_key: a name is required", path);
    if (t->kind == LCM_EVAL_SUMMARISE && t->reference_key[0] == '\0')
        LCM_FAIL(ctx, LCM_ERR_ARG, "%s.reference_key: a name is required", path);
    return LCM_OK;
}

static lcm_status read_task(lcm_ctx *ctx, lcm_eval_task *t, const char *path) {
    json_t *rest;
    const char *slash = strrchr(path, '/');
    lcm_status st;
    if (!json_is_object(t->root)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: an object is required", path);
    if (json_object_get(t->root, "format") == NULL) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: the key 'format' is missing", path);
    if (json_object_get(t->root, "kind") == NULL) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: the key 'kind' is missing", path);
    rest = json_copy(t->root);
    if (rest == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: task");
    st = take_list(ctx, &t->data, &t->n_data, t->root, rest, "data", path);
    if (st == LCM_OK) st = take_list(ctx, &t->metrics, &t->n_metrics, t->root, rest, "metrics", path);
    if (st == LCM_OK) st = take_where(ctx, t, rest, path);
    if (st == LCM_OK && strcmp(lcm_eval_kind_names[LCM_EVAL_SUMMARISE],
                               json_is_string(json_object_get(rest, "kind")) ? json_string_value(json_object_get(rest, "kind")) : "") == 0)
        summarise_defaults(t);
    if (st == LCM_OK) st = lcm_config_read(ctx, t, fields, rest, path);
    json_decref(rest);
    LCM_TRY(st);
    if (t->format != LCM_EVAL_TASK_FORMAT)
        LCM_FAIL(ctx, LCM_ERR_VERSION, "%s: format %" PRId64 ", this build reads %d", path, t->format, LCM_EVAL_TASK_FORMAT);
    if ((slash ? (size_t)(slash - path) : 0) >= sizeof t->dir) LCM_FAIL(ctx, LCM_ERR_LIMIT, "path of %zu bytes", strlen(path));
    if (slash) memcpy(t->dir, path, (size_t)(slash - path)); /* the rest is 0 */
    if (slash == path) t->dir[0] = '/';
    if (t->name[0] == '\0') snprintf(t->name, sizeof t->name, "%s", lcm_eval_kind_names[t->kind]);
    return check_use(ctx, t, path);
}

lcm_status lcm_eval_task_parse(lcm_ctx *ctx, lcm_eval_task *out, const char *text, size_t len, const char *path) {
    lcm_eval_task t = defaults();
    lcm_status st = lcm_json_parse(ctx, &t.root, text, len, path);
    if (st == LCM_OK) st = read_task(ctx, &t, path);
    if (st) lcm_eval_task_free(&t);
    *out = t;
    return st;
}

lcm_status lcm_eval_task_load(lcm_ctx *ctx, lcm_eval_task *out, const char *path) {
    lcm_buf b = {0};
    lcm_status st = lcm_read_file(ctx, &b, path, 1 << 20);
    memset(out, 0, sizeof *out);
    if (st == LCM_OK) st = lcm_eval_task_parse(ctx, out, b.data ? b.data : "", b.len, path);
    lcm_buf_free(&b);
    return st;
}

void lcm_eval_task_free(lcm_eval_task *t) {
    free(t->data);
    free(t->metrics);
    json_decref(t->root);
    memset(t, 0, sizeof *t);
}

/* ---- use ---- */

json_t *lcm_eval_task_facts(const lcm_eval_task *t) {
    json_t *j = lcm_config_write(t, fields);
    if (j && t->where && json_object_set(j, "where", t->where) != 0) {
        json_decref(j);
        return NULL;
    }
    return j;
}

lcm_status lcm_eval_fill(lcm_ctx *ctx, lcm_buf *out, const char *template, const lcm_eval_slot *slots, size_t n) {
    LCM_TRY(lcm_buf_append(ctx, out, "", 0));
    for (const char *s = template; *s;) {
        const lcm_eval_slot *hit = NULL;
        for (size_t i = 0; i < n && hit == NULL; i++)
            if (strncmp(s, slots[i].name, strlen(slots[i].name)) == 0) hit = &slots[i];
        LCM_TRY(hit ? lcm_buf_append(ctx, out, hit->text, hit->len) : lcm_buf_append(ctx, out, s, 1));
        s += hit ? strlen(hit->name) : 1;
    }
    return LCM_OK;
}
