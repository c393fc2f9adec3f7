/* The option parser over arbitrary command lines: one argument a line. What it accepts is within the limits
 * of its table, and every positional argument is one of those given. */

#include "target.h"

#include "cli.h"

enum { MAX_ARGS = 64 };

static int nothing(cli *c, int argc, char **argv) {
    (void)c, (void)argc, (void)argv;
    return CLI_OK;
}

/* Cuts text at line ends into argv[1 …]. */
static int split(char **argv, char *text) {
    int n = 1;
    while (text && n < MAX_ARGS) {
        char *end = strchr(text, '\n');
        if (end) *end++ = '\0';
        argv[n++] = text;
        text = end;
    }
    argv[n] = NULL;
    return n;
}

/* The parser's words go nowhere. Only the streams are changed, which glibc allows, not descriptor 2: a sanitizer's
 * report and the totals of libFuzzer stay to be seen. */
static bool parse(cli *c, int argc, char **argv, const cli_option *table) {
    static FILE *nowhere;
    FILE *out = stdout, *err = stderr;
    bool ok;
    if (nowhere == NULL) nowhere = fopen("/dev/null", "w");
    check(nowhere != NULL);
    stdout = stderr = nowhere;
    ok = cli_parse(c, argc, argv, table);
    stdout = out;
    stderr = err;
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const colours[] = {"red", "redder", "blue", NULL};
    static const cli_command command = {"fuzz", "parse", "[ARG...]", 0, 3, NULL, nothing};
    bool flag = false;
    int64_t number = 5;
    double amount = 0.5;
    const char *string = NULL;
    int colour = -1;
    cli_list set = {0}, list = {0};
    const cli_option table[] = {CLI_FLAG("flag", 'f', &flag, "a flag"),
                                CLI_INT("number", 'n', &number, -3, 1000, "a number"),
                                CLI_REAL("amount", 'a', &amount, 0, 1, "a real"),
                                CLI_STRING("string", 's', &string, "TEXT", "a string"),
                                CLI_ENUM("colour", 0, &colour, colours, "NAME", "a name"),
                                CLI_ASSIGN("set", 0, &set, "a setting"),
                                CLI_LIST("list", 'l', &list, "X", "many"),
                                CLI_END};
    cli c = {.command = &command, .ctx = lcm_ctx_new()};
    char name[] = "fuzz", *text = malloc(size + 1), *argv[MAX_ARGS + 1] = {name};
    int argc;
    check(c.ctx && text);
    memcpy(text, data, size);
    text[size] = '\0';
    argc = split(argv, text);
    if (parse(&c, argc, argv, table)) {
        check(number >= -3 && number <= 1000 && amount >= 0 && amount <= 1 && colour >= -1 && colour < 3);
        check(c.n_args >= 0 && c.n_args <= 3);
        for (int i = 0; i < c.n_args; i++) check(c.args[i] >= text && c.args[i] <= text + size);
        for (size_t i = 0; i < set.n; i++) check(strchr(set.items[i], '=') != NULL);
    } else
        check(c.exit_code == CLI_OK || c.exit_code == CLI_USAGE || c.exit_code == CLI_FAILED);
    cli_list_free(&set);
    cli_list_free(&list);
    lcm_ctx_free(c.ctx);
    free(text);
    return 0;
}
