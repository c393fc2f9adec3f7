/* Configurations over arbitrary bytes: a line of JSON, then lines of overrides "a.b=value". Every kind of
 * model, SONAR and the trainer read it; what they accept is written, read and written again, the same. The bytes also
 * stand as the bundle.json of a folder without models, which never opens. */

#include "target.h"

#include "lcm/bundle.h"
#include "lcm/registry.h"
#include "sonar/model.h"
#include "train/trainer.h"

/* Default values in dst; overwritten where `given` says so. */
static void read_config(lcm_ctx *ctx, const lcm_field *fields, const void *defaults, size_t bytes, const json_t *given) {
    char *a = malloc(bytes), *b = malloc(bytes);
    check(a && b);
    memcpy(a, defaults, bytes);
    memcpy(b, defaults, bytes);
    if (lcm_config_read(ctx, a, fields, given, "config") == LCM_OK) {
        json_t *first = lcm_config_write(a, fields), *second;
        check(first && lcm_config_read(ctx, b, fields, first, "again") == LCM_OK);
        second = lcm_config_write(b, fields);
        check(second && json_equal(first, second));
        json_decref(first);
        json_decref(second);
    }
    free(a);
    free(b);
}

static void read_all(lcm_ctx *ctx, const json_t *given) {
    lcm_trainer_config trainer = lcm_trainer_config_default();
    lcm_sonar_config sonar = lcm_sonar_config_default();
    read_config(ctx, lcm_sonar_config_fields, &sonar, sizeof sonar, given);
    if (lcm_config_read(ctx, &sonar, lcm_sonar_config_fields, given, "config") == LCM_OK) (void)lcm_sonar_config_check(ctx, &sonar);
    read_config(ctx, lcm_trainer_fields, &trainer, sizeof trainer, given);
    for (const lcm_model_type *t = lcm_model_types; t->name; t++) {
        void *defaults = calloc(1, t->config_size);
        check(defaults != NULL);
        t->config_default(defaults);
        read_config(ctx, t->config_fields, defaults, t->config_size, given);
        free(defaults);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data, *end = memchr(data, '\n', size);
    size_t len = end ? (size_t)(end - text) : size;
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_bundle *bundle;
    json_t *given;
    check(ctx != NULL);
    folder_write("bundle.json", data, size);
    check(lcm_bundle_open(ctx, &bundle, folder(), LCM_LOAD_DECODER) != LCM_OK && bundle == NULL);
    if (lcm_json_parse(ctx, &given, text, len, "fuzz") == LCM_OK) {
        char line[256];
        while (len < size) {
            const char *from = text + len + 1, *to = memchr(from, '\n', size - len - 1);
            size_t n = to ? (size_t)(to - from) : size - len - 1;
            snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), from);
            (void)lcm_json_override(ctx, given, line);
            len += n + 1;
        }
        read_all(ctx, given);
        json_decref(given);
    }
    lcm_ctx_free(ctx);
    return 0;
}
