/* Typed configuration over jansson. The only file besides its users' emitters that parses JSON. */
#include "base/config.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

static bool too_deep(const char *text, size_t len, int limit) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') i++;
            else if (c == '"') in_string = false;
        } else if (c == '"') in_string = true;
        else if (c == '{' || c == '[') {
            if (++depth > limit) return true;
        } else if (c == '}' || c == ']') depth--;
    }
    return false;
}

/* By jansson's words, for its codes call a lone surrogate bad syntax. */
static bool is_about_escape(const json_error_t *err) {
    static const char *const words[] = {"invalid Unicode", "invalid escape", "\\u0000", "NUL byte in object key"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(err->text, words[i], strlen(words[i])) == 0) return true;
    return false;
}

lcm_status lcm_json_parse_text(lcm_ctx *ctx, json_t **out, bool *bad_escape, const char *text, size_t len, const char *what) {
    json_error_t err;
    *out = NULL;
    *bad_escape = false;
    if (too_deep(text, len, 64)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: JSON is nested deeper than 64", what);
    *out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &err);
    if (*out) return LCM_OK;
    *bad_escape = is_about_escape(&err);
    LCM_FAIL(ctx, LCM_ERR_FORMAT, "%s: line %d: %s", what, err.line, err.text);
}

lcm_status lcm_json_parse(lcm_ctx *ctx, json_t **out, const char *text, size_t len, const char *what) {
    bool bad_escape;
    return lcm_json_parse_text(ctx, out, &bad_escape, text, len, what);
}

lcm_status lcm_json_load(lcm_ctx *ctx, json_t **out, const char *path) {
    lcm_buf b = {0};
    lcm_status st = lcm_read_file(ctx, &b, path, 16 << 20);
    *out = NULL;
    if (st == LCM_OK) st = lcm_json_parse(ctx, out, b.data, b.len, path);
    lcm_buf_free(&b);
    return st;
}

static lcm_status bad_enum(lcm_ctx *ctx, const lcm_field *f, const char *where, const char *given) {
    char list[256] = "";
    size_t n = 0;
    for (int i = 0; f->names[i] && n < sizeof list; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", f->names[i]);
    return lcm_fail(ctx, LCM_ERR_ARG, "%s.%s: '%s' is not one of %s", where, f->key, given, list);
}

static lcm_status read_field(lcm_ctx *ctx, char *p, const lcm_field *f, const json_t *v, const char *where) {
    switch (f->kind) {
    case LCM_FIELD_INT: {
        int64_t x;
        if (!json_is_integer(v)) LCM_FAIL(ctx, LCM_ERR_ARG, "%s.%s: an integer is required", where, f->key);
        x = json_integer_value(v);
        if ((double)x < f->lo || (double)x > f->hi)
            LCM_FAIL(ctx, LCM_ERR_ARG, "%s.%s: %lld is outside %.0f … %.0f", where, f->key, (long long)x, f->lo, f->hi);
        memcpy(p, &x, sizeof x);
        return LCM_OK;
    }
    case LCM_FIELD_REAL: {
        double x;
        if (!json_is_number(v)) LCM_FAIL(ctx, LCM_ERR_ARG, "%s.%s: a number is required", where, f->key);
        x = json_number_value(v);
        if (!isfinite(x) || x < f->lo || x > f->hi)
            LCM_FAIL(ctx, LCM_ERR_ARG, "%s.%s: %g is outside %g … %g", where, f->key, x, f->lo, f->hi);
        memcpy(p, &x, sizeof x);
        return LCM_OK;
    }
    case LCM_FIELD_BOOL: {
        bool x = json_is_true(v);
        if (!json_is_boolean(v)) LCM_FAIL(ctx, LCM_ERR_ARG, "%s.%s: true or false is required", where, f->key);
        memcpy(p, &x, sizeof x);
        return LCM_OK;
    }
    case LCM_FIELD_ENUM: {
        const char *s = json_string_value(v);
        if (s == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "%s.%s: a string is required", where, f->key);
        for (int i = 0; f->names[i]; i++)
            if (strcmp(s, f->names[i]) == 0) {
                memcpy(p, &i, sizeof i);
                return LCM_OK;
            }
        return bad_enum(ctx, f, where, s);
    }
    case LCM_FIELD_STRING: {
        const char *s = json_string_value(v);
        size_t n = json_string_length(v);
        if (s == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "%s.%s: a string is required", where, f->key);
        if (n >= f->size)
            LCM_FAIL(ctx, LCM_ERR_ARG, "%s.%s: %zu bytes is longer than %zu", where, f->key, n, f->size - 1);
        memcpy(p, s, n + 1);
        return LCM_OK;
    }
    case LCM_FIELD_STRUCT: {
        char sub[256];
        snprintf(sub, sizeof sub, "%s.%s", where, f->key);
        return lcm_config_read(ctx, p, f->fields, v, sub);
    }
    case LCM_FIELD_END: break;
    }
    return LCM_OK;
}

lcm_status lcm_config_read(lcm_ctx *ctx, void *dst, const lcm_field *fields, const json_t *obj, const char *where) {
    const char *key;
    json_t *v;
    if (!json_is_object(obj)) LCM_FAIL(ctx, LCM_ERR_ARG, "%s: an object is required", where);
    json_object_foreach((json_t *)(uintptr_t)obj, key, v) {
        const lcm_field *f = fields;
        while (f->key && strcmp(f->key, key) != 0) f++;
        if (f->key == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "%s: unknown key '%.80s'", where, key);
        LCM_TRY(read_field(ctx, (char *)dst + f->offset, f, v, where));
    }
    return LCM_OK;
}

static json_t *write_field(const char *p, const lcm_field *f) {
    switch (f->kind) {
    case LCM_FIELD_INT: {
        int64_t x;
        memcpy(&x, p, sizeof x);
        return json_integer(x);
    }
    case LCM_FIELD_REAL: {
        double x;
        memcpy(&x, p, sizeof x);
        return json_real(x);
    }
    case LCM_FIELD_BOOL: {
        bool x;
        memcpy(&x, p, sizeof x);
        return json_boolean(x);
    }
    case LCM_FIELD_ENUM: {
        int x;
        memcpy(&x, p, sizeof x);
        return json_string(f->names[x]);
    }
    case LCM_FIELD_STRING: return json_string(p);
    case LCM_FIELD_STRUCT: return lcm_config_write(p, f->fields);
    case LCM_FIELD_END: break;
    }
    return NULL;
}

json_t *lcm_config_write(const void *src, const lcm_field *fields) {
    json_t *obj = json_object();
    if (obj == NULL) return NULL;
    for (const lcm_field *f = fields; f->key; f++) {
        json_t *v = write_field((const char *)src + f->offset, f);
        if (v == NULL || json_object_set_new(obj, f->key, v) != 0) {
            json_decref(obj);
            return NULL;
        }
    }
    return obj;
}

lcm_status lcm_json_override(lcm_ctx *ctx, json_t *root, const char *assignment) {
    const char *eq = strchr(assignment, '=');
    char path[256], *key, *dot;
    json_t *obj = root, *v;
    size_t n = eq ? (size_t)(eq - assignment) : 0;
    if (n == 0 || n >= sizeof path) LCM_FAIL(ctx, LCM_ERR_ARG, "'%.80s' is not key=value", assignment);
    memcpy(path, assignment, n);
    path[n] = '\0';
    for (key = path; (dot = strchr(key, '.')) != NULL; key = dot + 1) {
        json_t *sub;
        *dot = '\0';
        sub = json_object_get(obj, key);
        if (sub == NULL) {
            if (json_object_set_new(obj, key, json_object()) != 0)
                LCM_FAIL(ctx, LCM_ERR_ARG, "'%.80s': cannot set '%s'", assignment, key);
            sub = json_object_get(obj, key);
        }
        if (!json_is_object(sub)) LCM_FAIL(ctx, LCM_ERR_ARG, "'%.80s': '%s' is not an object", assignment, key);
        obj = sub;
    }
    v = json_loads(eq + 1, JSON_DECODE_ANY, NULL);
    if (v == NULL) v = json_string(eq + 1);
    if (v == NULL || json_object_set_new(obj, key, v) != 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "'%.80s': the value is not valid UTF-8", assignment);
    return LCM_OK;
}
