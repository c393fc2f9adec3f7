/* lcm eval TASK: measure models; one row per task in the table below. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "lcm/eval.h"
#include "lcm/train.h"

/* ---- lists of numbers ---- */

enum { MAX_LIST = 64 };

typedef struct numbers {
    double x[MAX_LIST];
    int64_t i[MAX_LIST];
    size_t n;
} numbers;

static int parse_numbers(cli *c, numbers *out, const char *option, const char *text, double lo, double hi, bool whole) {
    const char *s = text;
    for (out->n = 0; out->n < MAX_LIST;) {
        char *end;
        double v = strtod(s, &end);
        if (end == s || !(v >= lo && v <= hi) || (whole && v != (double)(int64_t)v) || (*end && *end != ','))
            return cli_usage_error(c, "--%s: '%s' is not a list of %snumbers in %g … %g with commas between", option, text,
                                   whole ? "whole " : "", lo, hi);
        out->i[out->n] = (int64_t)v;
        out->x[out->n++] = v;
        if (*end == '\0') return CLI_OK;
        s = end + 1;
    }
    return cli_usage_error(c, "--%s: more than %d numbers", option, MAX_LIST);
}

/* ---- reports as Markdown ---- */

static bool is_table(const json_t *v) { return json_is_array(v) && json_is_object(json_array_get(v, 0)); }

static void print_value(cli *c, const json_t *v) {
    const json_t *mean = json_object_get(v, "mean"), *sd = json_object_get(v, "sd"), *low = json_object_get(v, "low");
    const char *key;
    json_t *item;
    size_t i = 0;
    if (json_is_integer(v)) cli_print(c, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v)) cli_print(c, "%.4g", json_real_value(v));
    else if (json_is_string(v)) cli_print_text(c, json_string_value(v));
    else if (json_is_boolean(v)) cli_print(c, json_is_true(v) ? "yes" : "no");
    else if (mean && sd) cli_print(c, "%.4g ± %.2g", json_number_value(mean), json_number_value(sd));
    else if (mean && low)
        cli_print(c, "%.4g [%.4g, %.4g]", json_number_value(mean), json_number_value(low),
                  json_number_value(json_object_get(v, "high")));
    else if (json_is_array(v)) {
        for (; i < json_array_size(v); i++) {
            cli_print(c, i ? ", " : "");
            print_value(c, json_array_get(v, i));
        }
    } else if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, item) {
            cli_print(c, "%s%s ", i++ ? ", " : "", key);
            print_value(c, item);
        }
    } else cli_print(c, "–");
}

static void print_table(cli *c, const json_t *rows) {
    json_t *first = json_array_get(rows, 0), *row, *value;
    const char *key;
    size_t i;
    cli_print(c, "|");
    json_object_foreach(first, key, value) cli_print(c, " %s |", key);
    cli_print(c, "\n|");
    json_object_foreach(first, key, value) cli_print(c, json_is_string(value) ? "---|" : "---:|");
    cli_print(c, "\n");
    json_array_foreach(rows, i, row) {
        cli_print(c, "|");
        json_object_foreach(first, key, value) {
            cli_print(c, " ");
            print_value(c, json_object_get(row, key));
            cli_print(c, " |");
        }
        cli_print(c, "\n");
    }
}

/* Facts as a list, every array of objects as a table, and `text` members of "stories" as they are. */
static int print_report(cli *c, char *text, bool as_json) {
    json_t *root = json_loads(text, 0, NULL), *v;
    const char *key;
    lcm_free(text);
    if (root == NULL || as_json) return cli_print_json(c, root, 2);
    json_object_foreach(root, key, v) {
        if (is_table(v) || (json_is_array(v) && json_array_size(v) == 0)) continue;
        cli_print(c, "- %s: ", key);
        print_value(c, v);
        cli_print(c, "\n");
    }
    json_object_foreach(root, key, v) {
        if (!is_table(v)) continue;
        cli_print(c, strcmp(key, "rows") ? "\n%s\n\n" : "\n", key);
        print_table(c, v);
    }
    json_decref(root);
    return CLI_OK;
}

static int finish(cli *c, lcm_status st, char *report, bool as_json) {
    return st ? cli_status(c, st) : print_report(c, report, as_json);
}

/* ---- reconstruct ---- */

static int run_reconstruct(cli *c, int argc, char **argv) {
    lcm_eval_reconstruct_opts o = lcm_eval_reconstruct_defaults();
    const char *noise = "0";
    numbers levels;
    bool as_json = false;
    char *report = NULL;
    const cli_option table[] = {
        CLI_STRING("sonar", 0, &o.sonar, "FILE", "autoencoder"),
        CLI_STRING("noise", 0, &noise, "A,A,…", "noise levels, 0 … 1"),
        CLI_INT("max-tokens", 0, &o.max_tokens, 0, 1e6, "leave out longer sentences; 0: none"),
        CLI_INT("max-sentences", 0, &o.max_sentences, 0, 1e9, "the first so many; 0: all"),
        CLI_FLAG("presegmented", 0, &o.presegmented, "every line is one sentence"),
        CLI_STRING("lang", 0, &o.lang, "CODE", "language of the text"),
        CLI_INT("beam", 0, &o.beam, 1, 64, "beam size"),
        CLI_INT("seed", 0, &o.seed, 0, 9e15, "seed of the noise"),
        CLI_FLAG("json", 0, &as_json, "JSON instead of Markdown"),
        CLI_END,
    };
    lcm_status st;
    int code;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.sonar == NULL) return cli_usage_error(c, "--sonar is missing");
    code = parse_numbers(c, &levels, "noise", noise, 0, 1, false);
    if (code) return code;
    o.noise = levels.x;
    o.n_noise = levels.n;
    o.inputs = (const char *const *)c->args;
    o.n_inputs = (size_t)c->n_args;
    st = lcm_eval_reconstruct(c->ctx, &report, &o);
    return finish(c, st, report, as_json);
}

/* ---- tasks ---- */

static const cli_command tasks[] = {
    {.name = "eval reconstruct", .help = "sentences through the autoencoder, clean and noised", .args = "INPUT…", .min_args = 1,
     .max_args = -1, .run = run_reconstruct,
     .about = "Cuts documents into sentences, encodes and decodes them: exact match, BLEU, chrF, distance."},
};
enum { N_TASKS = sizeof tasks / sizeof *tasks };

static const char *task_name(const void *list, size_t i) {
    const cli_command *t = list;
    return i < N_TASKS ? t[i].name + strlen("eval ") : NULL;
}

static int run(cli *c, int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "", *near;
    if (argc < 2) return cli_usage_error(c, "no task given");
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        cli_print(c, "usage: lcm eval TASK [options] …\n\nMeasures models. Reports are Markdown, or JSON with --json.\n\ntasks:\n");
        for (size_t i = 0; i < N_TASKS; i++) cli_print(c, "  %-12s %s\n", task_name(tasks, i), tasks[i].help);
        return CLI_OK;
    }
    for (size_t i = 0; i < N_TASKS; i++) {
        if (strcmp(word, task_name(tasks, i)) != 0) continue;
        c->command = &tasks[i];
        return tasks[i].run(c, argc - 1, argv + 1);
    }
    near = cli_suggest(word, task_name, tasks);
    if (near) return cli_usage_error(c, "unknown task '%s'; did you mean '%s'?", word, near);
    return cli_usage_error(c, "unknown task '%s'", word);
}

const cli_command cmd_eval = {.name = "eval", .help = "measure models: reconstruction, next concept, stories", .args = "TASK …",
                              .min_args = 0, .max_args = -1, .run = run};
