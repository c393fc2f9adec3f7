/* lcm info: what a model file holds. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "lcm/bundle.h"
#include "lcm/language.h"
#include "lcm/modelinfo.h"

typedef struct options {
    bool check, json, langs;
} options;

static json_t *tensor_json(const lcm_modelinfo *info, size_t i, const options *o, int64_t *bad) {
    lcm_tensor_info t;
    json_t *shape = json_array(), *row;
    int64_t nans, infs;
    lcm_modelinfo_tensor(info, i, &t);
    for (int d = 0; d < t.ndim; d++) json_array_append_new(shape, json_integer(t.dims[d]));
    row = json_pack("{s:s, s:s, s:o, s:I}", "name", t.name, "dtype", t.dtype, "shape", shape, "bytes", (json_int_t)t.bytes);
    if (o->check) {
        lcm_modelinfo_nonfinite(info, i, &nans, &infs);
        json_object_set_new(row, "nan", json_integer(nans));
        json_object_set_new(row, "inf", json_integer(infs));
        *bad += nans + infs;
    }
    return row;
}

/* Objects are JSON inside strings: shown as objects when they parse. */
static json_t *meta_json(const lcm_modelinfo *info) {
    json_t *all = json_object();
    const char *key;
    for (size_t i = 0; (key = lcm_modelinfo_meta_key(info, i)) != NULL; i++) {
        const char *value = lcm_modelinfo_meta(info, key);
        json_t *parsed = *value == '{' ? json_loads(value, JSON_REJECT_DUPLICATES, NULL) : NULL;
        json_object_set_new(all, key, parsed ? parsed : json_string(value));
    }
    return all;
}

static int show_json(cli *c, const char *path, const lcm_modelinfo *info, const options *o, int64_t *bad) {
    json_t *tensors = json_array();
    for (size_t i = 0; i < lcm_modelinfo_count(info); i++) json_array_append_new(tensors, tensor_json(info, i, o, bad));
    return cli_print_json(c, json_pack("{s:s, s:o, s:I, s:o}", "file", path, "metadata", meta_json(info), "parameters",
                                       (json_int_t)lcm_modelinfo_parameters(info), "tensors", tensors), 0);
}

static void show_tensor(cli *c, const lcm_modelinfo *info, size_t i, const options *o, int64_t *bad) {
    lcm_tensor_info t;
    int64_t nans, infs;
    lcm_modelinfo_tensor(info, i, &t);
    cli_print(c, "%-5s %14" PRIu64 "  ", t.dtype, t.bytes);
    cli_print_text(c, t.name);
    cli_print(c, " [");
    for (int d = 0; d < t.ndim; d++) cli_print(c, "%s%" PRId64, d ? ", " : "", t.dims[d]);
    cli_print(c, "]");
    if (o->check) {
        lcm_modelinfo_nonfinite(info, i, &nans, &infs);
        if (nans || infs) cli_print(c, "  %" PRId64 " NaN, %" PRId64 " infinite", nans, infs);
        *bad += nans + infs;
    }
    cli_print(c, "\n");
}

/* What training has cost so far, in words. */
static void show_training(cli *c, const lcm_modelinfo *info) {
    const char *text = lcm_modelinfo_meta(info, "lcm.train");
    json_t *t = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    double flops = json_number_value(json_object_get(t, "flops")), seconds = json_number_value(json_object_get(t, "seconds"));
    if (json_is_object(t)) {
        cli_print(c, "training: %lld steps, %.0f ", (long long)json_integer_value(json_object_get(t, "steps")),
                  json_number_value(json_object_get(t, "items")));
        cli_print_text(c, json_is_string(json_object_get(t, "unit")) ? json_string_value(json_object_get(t, "unit")) : "items");
        if (flops > 0) cli_print(c, ", %.4g FLOP", flops);
        if (seconds > 0) cli_print(c, ", %.4g s", seconds);
        cli_print(c, ", seed %lld\n", (long long)json_integer_value(json_object_get(t, "seed")));
        if (json_integer_value(json_object_get(t, "trained")))
            cli_print(c, "trained: %lld parameters; left as they were: %lld\n", (long long)json_integer_value(json_object_get(t, "trained")),
                      (long long)json_integer_value(json_object_get(t, "fixed")));
    }
    json_decref(t);
}

static void show(cli *c, const lcm_modelinfo *info, const options *o, int64_t *bad) {
    size_t n = lcm_modelinfo_count(info);
    const char *key;
    for (size_t i = 0; (key = lcm_modelinfo_meta_key(info, i)) != NULL; i++) {
        cli_print_text(c, key);
        cli_print(c, ": ");
        cli_print_text(c, lcm_modelinfo_meta(info, key));
        cli_print(c, "\n");
    }
    show_training(c, info);
    cli_print(c, "parameters: %" PRId64 "\ntensors: %zu\n", lcm_modelinfo_parameters(info), n);
    for (size_t i = 0; i < n && !c->out_errno; i++) show_tensor(c, info, i, o, bad);
}

/* Code, ISO 639-1 and name, with tabs between, in the order of token ids. */
static int list_langs(cli *c, const char *path) {
    lcm_modelinfo *info;
    const char *at;
    lcm_status st = lcm_modelinfo_open(c->ctx, &info, path);
    if (st) return cli_status(c, st);
    at = lcm_modelinfo_meta(info, "lcm.langs");
    while (at && *at && !c->out_errno) {
        size_t n = strcspn(at, " ");
        char code[65] = "";
        const char *iso, *name;
        snprintf(code, sizeof code, "%.*s", n < sizeof code ? (int)n : 0, at);
        iso = lcm_language_iso(code);
        name = lcm_language_name(code);
        cli_print_text(c, code);
        cli_print(c, "\t%s\t%s\n", iso ? iso : "", name ? name : "");
        at += n + strspn(at + n, " ");
    }
    lcm_modelinfo_close(info);
    return CLI_OK;
}

static int show_file(cli *c, const char *path, const options *o) {
    lcm_modelinfo *info;
    int64_t bad = 0;
    int code = CLI_OK;
    lcm_status st = lcm_modelinfo_open(c->ctx, &info, path);
    if (st) return cli_status(c, st);
    if (o->json) code = show_json(c, path, info, o, &bad);
    else show(c, info, o, &bad);
    lcm_modelinfo_close(info);
    if (code == CLI_OK && bad) {
        cli_error(c, "%" PRId64 " numbers are NaN or infinite", bad);
        code = CLI_BAD_FILE;
    }
    return code;
}

/* All files, each under its name. */
static int show_bundle(cli *c, const char *folder, const options *o) {
    lcm_bundle_paths p;
    const char *const paths[] = {p.sonar, p.lcm, p.decoder};
    int worst = CLI_OK;
    lcm_status st = lcm_bundle_files(c->ctx, &p, folder);
    if (st) return cli_status(c, st);
    for (int i = 0; i < 3; i++) {
        int code;
        if (*paths[i] == '\0') continue;
        if (!o->json) {
            cli_print(c, i && *paths[0] ? "\n" : "");
            cli_print_text(c, paths[i]);
            cli_print(c, "\n");
        }
        code = show_file(c, paths[i], o);
        if (worst == CLI_OK) worst = code;
    }
    return worst;
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int run(cli *c, int argc, char **argv) {
    options o = {0};
    const cli_option table[] = {
        CLI_FLAG("check", 'c', &o.check, "read all numbers; fail if one is NaN or infinite"),
        CLI_FLAG("json", 'j', &o.json, "a JSON object per file"),
        CLI_FLAG("list-langs", 0, &o.langs, "only the languages of a SONAR model: code, ISO 639-1, name"),
        CLI_END,
    };
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.langs && !is_folder(c->args[0])) return list_langs(c, c->args[0]);
    return is_folder(c->args[0]) ? show_bundle(c, c->args[0], &o) : show_file(c, c->args[0], &o);
}

const cli_command cmd_info = {
    .name = "info",
    .help = "show what a model file or bundle holds",
    .args = "FILE|FOLDER",
    .min_args = 1,
    .max_args = 1,
    .about = "Shows the metadata and tensors of a .safetensors file: type, bytes, name, shape;\n"
             "of a bundle folder, those of its files.",
    .run = run,
};
