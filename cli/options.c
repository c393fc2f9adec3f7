/* Option tables over getopt_long: parsing, --help, and errors that say what would be right. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 96, MAX_WORD = 40, LONG_BASE = 256 };

/* Optimal string alignment distance; words longer than MAX_WORD are never close. */
static int edit_distance(const char *a, const char *b) {
    int d[MAX_WORD + 1][MAX_WORD + 1];
    int n = (int)strlen(a), m = (int)strlen(b);
    if (n > MAX_WORD || m > MAX_WORD) return MAX_WORD;
    for (int i = 0; i <= n; i++) d[i][0] = i;
    for (int j = 0; j <= m; j++) d[0][j] = j;
    for (int i = 1; i <= n; i++) {
        for (int j = 1; j <= m; j++) {
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *cli_suggest(const char *word, const char *(*next)(const void *list, size_t i), const void *list) {
    const char *best = NULL, *s;
    int limit = (int)strlen(word) / 3 + 1; /* one slip in a short word, two in a longer one */
    if (strlen(word) > MAX_WORD) return NULL;
    if (limit > 2) limit = 2;
    for (size_t i = 0; (s = next(list, i)) != NULL; i++) {
        int d = edit_distance(word, s);
        if (d <= limit && d < (int)strlen(s)) limit = d - 1, best = s;
    }
    return best;
}

static const char *option_name(const void *list, size_t i) { return ((const cli_option *)list)[i].name; }
static const char *string_name(const void *list, size_t i) { return ((const char *const *)list)[i]; }

/* Values */

static int bad_choice(cli *c, const cli_option *o, const char *text) {
    char all[512] = "";
    const char *near = cli_suggest(text, string_name, o->names);
    size_t n = 0;
    if (near) return cli_usage_error(c, "--%s: unknown '%s'; did you mean '%s'?", o->name, text, near);
    for (size_t i = 0; o->names[i] && n < sizeof all; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", o->names[i]);
    return cli_usage_error(c, "--%s: '%s' is none of %s", o->name, text, all);
}

static int store_int(cli *c, const cli_option *o, const char *text) {
    char *end;
    long long v;
    errno = 0;
    v = strtoll(text, &end, 10);
    if (end == text || *end) return cli_usage_error(c, "--%s: '%s' is not a whole number", o->name, text);
    if (errno == ERANGE || (double)v < o->lo || (double)v > o->hi)
        return cli_usage_error(c, "--%s: %s is outside %.0f … %.0f", o->name, text, o->lo, o->hi);
    *(int64_t *)o->out = v;
    return CLI_OK;
}

static int store_real(cli *c, const cli_option *o, const char *text) {
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || v != v) return cli_usage_error(c, "--%s: '%s' is not a number", o->name, text);
    if (!(v >= o->lo && v <= o->hi))
        return cli_usage_error(c, "--%s: %s is outside %g … %g", o->name, text, o->lo, o->hi);
    *(double *)o->out = v;
    return CLI_OK;
}

static int store_item(cli *c, const cli_option *o, const char *text) {
    cli_list *list = o->out;
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 8;
        const char **grown = realloc(list->items, cap * sizeof *grown);
        if (grown == NULL) {
            cli_error(c, "out of memory");
            return CLI_NO_MEMORY;
        }
        list->items = grown;
        list->cap = cap;
    }
    list->items[list->n++] = text;
    return CLI_OK;
}

static int store_assignment(cli *c, const cli_option *o, const char *text) {
    const char *eq = strchr(text, '=');
    if (eq == NULL || eq == text) return cli_usage_error(c, "--%s: '%s' is not KEY=VALUE", o->name, text);
    return store_item(c, o, text);
}

static int store(cli *c, const cli_option *o, const char *text) {
    switch (o->kind) {
    case CLI_KIND_FLAG: *(bool *)o->out = true; return CLI_OK;
    case CLI_KIND_INT: return store_int(c, o, text);
    case CLI_KIND_REAL: return store_real(c, o, text);
    case CLI_KIND_STRING: *(const char **)o->out = text; return CLI_OK;
    case CLI_KIND_ASSIGN: return store_assignment(c, o, text);
    case CLI_KIND_LIST: return store_item(c, o, text);
    case CLI_KIND_ENUM:
        for (int i = 0; o->names[i]; i++) {
            if (strcmp(text, o->names[i]) != 0) continue;
            *(int *)o->out = i;
            return CLI_OK;
        }
        return bad_choice(c, o, text);
    case CLI_KIND_END: break;
    }
    return CLI_OK;
}

void cli_list_free(cli_list *list) {
    free(list->items);
    memset(list, 0, sizeof *list);
}

/* Help */

/* Whether *out is a value that the option may take. */
static bool in_range(const cli_option *o) {
    switch (o->kind) {
    case CLI_KIND_INT: return (double)*(int64_t *)o->out >= o->lo && (double)*(int64_t *)o->out <= o->hi;
    case CLI_KIND_REAL: return *(double *)o->out >= o->lo && *(double *)o->out <= o->hi;
    case CLI_KIND_ENUM: return *(int *)o->out >= 0;
    default: return true;
    }
}

static void format_default(char *dst, size_t cap, const cli_option *o) {
    *dst = '\0';
    if (!in_range(o)) return;
    switch (o->kind) {
    case CLI_KIND_INT: snprintf(dst, cap, " [%lld]", (long long)*(int64_t *)o->out); break;
    case CLI_KIND_REAL: snprintf(dst, cap, " [%g]", *(double *)o->out); break;
    case CLI_KIND_ENUM: snprintf(dst, cap, " [%s]", o->names[*(int *)o->out]); break;
    case CLI_KIND_STRING:
        if (*(const char **)o->out) snprintf(dst, cap, " [%s]", *(const char **)o->out);
        break;
    default: break;
    }
}

static void print_option(cli *c, const cli_option *o) {
    char left[64], value[128];
    int n = o->letter ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
                      : snprintf(left, sizeof left, "      --%s", o->name);
    if (o->arg) n += snprintf(left + n, sizeof left - (size_t)n, " %s", o->arg);
    format_default(value, sizeof value, o);
    if (n > 26) cli_print(c, "%s\n%-28s%s%s\n", left, "", o->help, value);
    else cli_print(c, "%-28s%s%s\n", left, o->help, value);
    if (o->kind == CLI_KIND_ENUM) {
        cli_print(c, "%-28s", "");
        for (int i = 0; o->names[i]; i++) cli_print(c, "%s%s", i ? " | " : "", o->names[i]);
        cli_print(c, "\n");
    }
}

static void print_help(cli *c, const cli_option *own, const cli_option *common) {
    cli_print(c, "usage: lcm %s [options] %s\n\n%s\n\n", c->command->name, c->command->args,
              c->command->about ? c->command->about : c->command->help);
    if (own->name) cli_print(c, "options:\n");
    for (; own->name; own++) print_option(c, own);
    cli_print(c, "\ncommon options:\n");
    for (; common->name; common++) print_option(c, common);
}

/* Parsing */

static int explain_unknown(cli *c, char **argv, const cli_option *rows, int letter) {
    const char *word = argv[optind - 1], *near;
    char name[MAX_WORD + 1];
    if (letter >= LONG_BASE) return cli_usage_error(c, "--%s takes no value", rows[letter - LONG_BASE].name);
    if (letter) return cli_usage_error(c, "unknown option '-%c'", letter);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    near = cli_suggest(name, option_name, rows);
    if (near) return cli_usage_error(c, "unknown option '--%s'; did you mean '--%s'?", name, near);
    return cli_usage_error(c, "unknown or ambiguous option '--%s'", name);
}

/* One pass over argv; with `help_only` nothing is stored and errors are left to the next pass,
 * so that `--help` shows defaults wherever it stands. */
static int pass(cli *c, int argc, char **argv, const cli_option *rows, const char *letters,
                const struct option *longs, bool help_only, bool *help) {
    int got;
    optind = 0; /* glibc: start anew */
    opterr = 0;
    while ((got = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        const cli_option *o = NULL;
        int code;
        if (help_only && (got == '?' || got == ':')) continue;
        if (got == '?') return explain_unknown(c, argv, rows, optopt);
        if (got == ':') return cli_usage_error(c, "option '%s' needs a value", argv[optind - 1]);
        for (size_t i = 0; rows[i].name; i++)
            if (got == LONG_BASE + (int)i || got == rows[i].letter) o = &rows[i];
        if (help_only) {
            if (o->out == help) *help = true;
        } else if ((code = store(c, o, optarg)) != CLI_OK) {
            return code;
        }
    }
    return CLI_OK;
}

static int check_count(cli *c) {
    int lo = c->command->min_args, hi = c->command->max_args;
    if (c->n_args < lo) return cli_usage_error(c, "%s is missing", c->command->args);
    if (hi >= 0 && c->n_args > hi) return cli_usage_error(c, "unexpected argument '%s'", c->args[hi]);
    return CLI_OK;
}

bool cli_parse(cli *c, int argc, char **argv, const cli_option *options) {
    cli_option rows[MAX_OPTIONS];
    struct option longs[MAX_OPTIONS];
    char letters[2 * MAX_OPTIONS + 2] = ":", *l = letters + 1;
    bool help = false;
    size_t n = 0, n_own;
    const cli_option common[] = {
        CLI_INT("threads", 't', &c->threads, 0, 4096, "CPU threads; 0 uses all that this process may"),
        CLI_FLAG("quiet", 'q', &c->quiet, "errors only"),
        CLI_FLAG("verbose", 'v', &c->verbose, "say more"),
        CLI_FLAG("help", 'h', &help, "show this and exit"),
        CLI_END,
    };
    for (; options[n].name; n++) rows[n] = options[n];
    n_own = n;
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) rows[n_own + i] = common[i];
    for (n = 0; rows[n].name; n++) {
        int has_value = rows[n].kind == CLI_KIND_FLAG ? no_argument : required_argument;
        longs[n] = (struct option){rows[n].name, has_value, NULL, LONG_BASE + (int)n};
        if (rows[n].letter) *l++ = rows[n].letter;
        if (rows[n].letter && has_value) *l++ = ':';
    }
    *l = '\0';
    memset(&longs[n], 0, sizeof longs[n]);

    pass(c, argc, argv, rows, letters, longs, true, &help);
    if (help) {
        print_help(c, options, common);
        c->exit_code = CLI_OK;
        return false;
    }
    c->exit_code = pass(c, argc, argv, rows, letters, longs, false, &help);
    if (c->exit_code) return false;
    c->args = argv + optind;
    c->n_args = argc - optind;
    c->exit_code = check_count(c);
    if (c->exit_code) return false;
    lcm_ctx_set_log(c->ctx, c->quiet ? LCM_LOG_ERROR : c->verbose ? LCM_LOG_DEBUG : LCM_LOG_INFO, cli_log, c);
    cli_set_threads(c->threads);
    return true;
}
