/* Typed configuration: a table maps JSON keys to struct fields.
 *
 * Unknown keys, wrong types, values out of range and duplicate keys are refused with the full
 * path of the key; a missing key keeps what the struct already holds (its default). The same
 * table writes the struct back, so what was read is what is stored. */
#ifndef LCM_CONFIG_H
#define LCM_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/ctx_int.h"

typedef enum lcm_field_kind {
    LCM_FIELD_END = 0,
    LCM_FIELD_INT,    /* int64_t, lo … hi */
    LCM_FIELD_REAL,   /* double, lo … hi; an integer is accepted */
    LCM_FIELD_BOOL,   /* bool */
    LCM_FIELD_ENUM,   /* int, index into `names` (NULL-terminated) */
    LCM_FIELD_STRING, /* char[size], NUL-terminated, cut is an error */
    LCM_FIELD_STRUCT  /* nested table */
} lcm_field_kind;

typedef struct lcm_field lcm_field;
struct lcm_field {
    const char *key;
    lcm_field_kind kind;
    size_t offset, size;
    double lo, hi;
    const char *const *names;
    const lcm_field *fields;
    const char *help;
};

#define LCM_F_INT(T, f, lo, hi, help) {#f, LCM_FIELD_INT, offsetof(T, f), sizeof(((T *)0)->f), lo, hi, NULL, NULL, help}
#define LCM_F_REAL(T, f, lo, hi, help) {#f, LCM_FIELD_REAL, offsetof(T, f), sizeof(((T *)0)->f), lo, hi, NULL, NULL, help}
#define LCM_F_BOOL(T, f, help) {#f, LCM_FIELD_BOOL, offsetof(T, f), sizeof(((T *)0)->f), 0, 1, NULL, NULL, help}
#define LCM_F_ENUM(T, f, names, help) {#f, LCM_FIELD_ENUM, offsetof(T, f), sizeof(((T *)0)->f), 0, 0, names, NULL, help}
#define LCM_F_STRING(T, f, help) {#f, LCM_FIELD_STRING, offsetof(T, f), sizeof(((T *)0)->f), 0, 0, NULL, NULL, help}
#define LCM_F_STRUCT(T, f, table, help) {#f, LCM_FIELD_STRUCT, offsetof(T, f), sizeof(((T *)0)->f), 0, 0, NULL, table, help}
#define LCM_F_END {NULL, LCM_FIELD_END, 0, 0, 0, 0, NULL, NULL, NULL}

/* Strict JSON (RFC 8259, UTF-8, no duplicate keys, depth ≤ 64, no trailing bytes).
 * `what` names the source in messages. *out is a new reference. LCM_ERR_FORMAT. */
lcm_status lcm_json_parse(lcm_ctx *ctx, json_t **out, const char *text, size_t len, const char *what);
/* Also tells of a failure whether it is an escape that is no character: half of a surrogate pair, U+0000, "\q". */
lcm_status lcm_json_parse_text(lcm_ctx *ctx, json_t **out, bool *bad_escape, const char *text, size_t len, const char *what);
lcm_status lcm_json_load(lcm_ctx *ctx, json_t **out, const char *path); /* at most 16 MiB */

/* LCM_ERR_ARG with "WHERE.key: …". */
lcm_status lcm_config_read(lcm_ctx *ctx, void *dst, const lcm_field *fields, const json_t *obj, const char *where);

/* New JSON object of every field; NULL when out of memory. */
json_t *lcm_config_write(const void *src, const lcm_field *fields);

/* Applies "a.b=value" to a JSON tree before it is read; the value is JSON, or else a string. */
lcm_status lcm_json_override(lcm_ctx *ctx, json_t *root, const char *assignment);

#endif
