/* lcm: one program, sub-commands in a table. */
#include <omp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "lcm/build.h"

static const cli_command *const commands[] = {
    &cmd_generate,
    &cmd_encode,
    &cmd_decode,
    &cmd_translate,
    &cmd_score,
    &cmd_eval,
    &cmd_info,
    &cmd_segment,
    &cmd_prepare,
    &cmd_tokenizer,
    &cmd_train,
    &cmd_curve,
    &cmd_convert,
    &cmd_export,
    &cmd_quantize,
    &cmd_selftest,
    NULL,
};

static const char *command_name(const void *list, size_t i) {
    const cli_command *const *all = list;
    return all[i] ? all[i]->name : NULL;
}

static int print_help(cli *c) {
    cli_print(c, "usage: lcm COMMAND [options] …\n\nLarge concept models on CPUs: from text to text, one vector per sentence.\n\ncommands:\n");
    for (size_t i = 0; commands[i]; i++) cli_print(c, "  %-12s %s\n", commands[i]->name, commands[i]->help);
    cli_print(c, "\noptions:\n"
                 "  --help       show this; 'lcm COMMAND --help' shows a command's options\n"
                 "  --version    show version and build\n\n"
                 "exit codes:\n"
                 "  0  done              3    a file is damaged, or of a version or shape that does not fit\n"
                 "  1  failed            4    out of memory\n"
                 "  2  wrong usage       130  interrupted (143: terminated)\n\n"
                 "Data goes to standard output, messages to standard error. NO_COLOR is honoured.\n");
    return CLI_OK;
}

static int print_version(cli *c) {
    lcm_build b;
    lcm_build_get(&b);
    cli_print(c, "lcm %s (%s)\ncompiler  %s\nreal      %s\nonednn    %s\ncpu       %s\nint8      %s\nthreads   %d\n", b.version, b.revision,
              b.compiler, b.real, b.onednn, b.cpu, b.int8, cli_set_threads(0));
    return CLI_OK;
}

static int run(cli *c, int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "", *near;
    if (argc < 2) return cli_usage_error(c, "no command given");
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) return print_help(c);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) return print_version(c);
    for (size_t i = 0; commands[i]; i++) {
        if (strcmp(word, commands[i]->name) != 0) continue;
        c->command = commands[i];
        return commands[i]->run(c, argc - 1, argv + 1);
    }
    near = cli_suggest(word, command_name, commands);
    if (near) return cli_usage_error(c, "unknown command '%s'; did you mean '%s'?", word, near);
    return cli_usage_error(c, "unknown %s '%s'", *word == '-' ? "option" : "command", word);
}

int main(int argc, char **argv) {
    cli c = {0};
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    int code;
    cli_calm_openmp(argv);
    cli_guard_descriptors();
    signal(SIGPIPE, SIG_DFL); /* some parents ignore it for us; `lcm … | head` must end quietly */
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is an error like a full disk, not a death */
    c.color = isatty(STDERR_FILENO) && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
    c.ctx = lcm_ctx_new();
    code = c.ctx ? run(&c, argc, argv) : CLI_NO_MEMORY;
    lcm_ctx_free(c.ctx);
    return cli_close_output(&c, code);
}
