/* What every sub-command shares: options from one table, messages, progress, data output.
 *
 * Data goes to standard output, talk to standard error. A command returns its exit code. */
#ifndef LCM_CLI_H
#define LCM_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lcm/ctx.h"

/* The list in `lcm --help` is made for these. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_BAD_FILE = 3,
    CLI_NO_MEMORY = 4,
    CLI_INTERRUPTED = 130
};

typedef struct cli cli;
typedef struct cli_progress cli_progress;

typedef struct cli_command {
    const char *name, *help;       /* help: one line for the list */
    const char *args;              /* positional arguments as shown, e.g. "FILE" or "[FILE|-]" */
    int min_args, max_args;        /* max_args -1: any number */
    const char *about;             /* paragraph for `lcm NAME --help`; NULL: the one line */
    int (*run)(cli *c, int argc, char **argv);
} cli_command;

struct cli {
    const cli_command *command; /* NULL: `lcm` itself */
    lcm_ctx *ctx;
    int exit_code;  /* what a command returns when cli_parse answers false */
    char **args;    /* positional arguments after cli_parse */
    int n_args;
    int64_t threads; /* 0: not given, use what affinity and cgroup allow */
    bool quiet, verbose, color;
    int out_errno;            /* first error on standard output, or 0 */
    cli_progress *progress;   /* the line that is on the terminal now, or NULL */
};

/* Options. One row gives parsing, the line in --help, and the error for a bad value. The value
 * that *out holds before parsing is the default that --help shows; one that the option itself would refuse
 * stands for "not given" and is not shown. */
typedef enum cli_kind {
    CLI_KIND_END = 0,
    CLI_KIND_FLAG,   /* bool */
    CLI_KIND_INT,    /* int64_t in lo … hi */
    CLI_KIND_REAL,   /* double in lo … hi */
    CLI_KIND_STRING, /* const char *, borrowed from argv */
    CLI_KIND_ENUM,   /* int, index into names (NULL-terminated) */
    CLI_KIND_ASSIGN, /* cli_list of KEY=VALUE, may be repeated */
    CLI_KIND_LIST    /* cli_list of anything, may be repeated */
} cli_kind;

typedef struct cli_list {
    const char **items; /* free with cli_list_free */
    size_t n, cap;
} cli_list;

typedef struct cli_option {
    const char *name;
    char letter; /* 0: none */
    cli_kind kind;
    void *out;
    const char *arg, *help;
    double lo, hi;
    const char *const *names;
} cli_option;

#define CLI_FLAG(name, letter, out, help) {name, letter, CLI_KIND_FLAG, out, NULL, help, 0, 0, NULL}
#define CLI_INT(name, letter, out, lo, hi, help) {name, letter, CLI_KIND_INT, out, "N", help, lo, hi, NULL}
#define CLI_REAL(name, letter, out, lo, hi, help) {name, letter, CLI_KIND_REAL, out, "X", help, lo, hi, NULL}
#define CLI_STRING(name, letter, out, arg, help) {name, letter, CLI_KIND_STRING, out, arg, help, 0, 0, NULL}
#define CLI_ENUM(name, letter, out, names, arg, help) {name, letter, CLI_KIND_ENUM, out, arg, help, 0, 0, names}
#define CLI_ASSIGN(name, letter, out, help) {name, letter, CLI_KIND_ASSIGN, out, "KEY=VALUE", help, 0, 0, NULL}
#define CLI_LIST(name, letter, out, arg, help) {name, letter, CLI_KIND_LIST, out, arg, help, 0, 0, NULL}
/* Of an lcm_decode_opts. */
#define CLI_DRAW(o)                                                                                                      \
    CLI_REAL("temperature", 0, &(o).temperature, 0, 100, "draw the tokens of a sentence at this temperature; 0: search"),  \
        CLI_INT("top-k", 0, &(o).top_k, 0, 1e9, "draw them from so many likeliest; 0: all"),                              \
        CLI_REAL("top-p", 0, &(o).top_p, 0, 1, "draw them from the least set of this probability; 0: all")
#define CLI_END {NULL, 0, CLI_KIND_END, NULL, NULL, NULL, 0, 0, NULL}

/* Parses argv (argv[0] is the command's name) by getopt_long rules, adds the options that all
 * commands have, and acts on those. False: the command returns c->exit_code at once (--help was
 * printed, or the usage error was). */
bool cli_parse(cli *c, int argc, char **argv, const cli_option *options);
void cli_list_free(cli_list *list);

/* The entry of names closest to `word` if it is close enough to be meant, else NULL. `next`
 * steps through the candidates: it returns the i-th one, NULL after the last. */
const char *cli_suggest(const char *word, const char *(*next)(const void *list, size_t i), const void *list);

/* Usage error on standard error with a pointer to --help; returns CLI_USAGE. */
int cli_usage_error(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One line of error; returns CLI_FAILED. */
int cli_error(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints the context's message; returns the exit code that stands for `st`, CLI_OK for LCM_OK. */
int cli_status(cli *c, lcm_status st);
/* One line of talk; silent under --quiet. */
void cli_note(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Log sink of the library: user is the cli. */
void cli_log(void *user, lcm_log_level level, const char *line);

/* Data output. False once standard output has failed, so that loops can stop; main reports. */
bool cli_write(cli *c, const void *data, size_t len);
bool cli_print(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Text from a file: control characters become \\xNN, so that no file can steer the terminal. */
bool cli_print_text(cli *c, const char *text);
/* Hands on what was written so far, for a reader who waits. */
bool cli_flush(cli *c);
/* Takes the reference. indent 0 gives one line; a newline is added. NULL is out of memory. */
int cli_print_json(cli *c, json_t *value, int indent);
/* Flushes standard output and reports a failed write; returns the exit code to use. */
int cli_close_output(cli *c, int code);

/* Reads a whole file, or standard input for "-"; *out is NUL-terminated, free it. At most 2 GiB.
 * Returns an exit code, after saying what is wrong. */
int cli_read_file(cli *c, const char *path, char **out, size_t *len);

/* Progress line on standard error with rate and time left. On a terminal the line is rewritten
 * ten times a second, elsewhere a line is added every ten seconds. */
struct cli_progress {
    cli *c;
    const char *what, *unit;
    double total; /* 0: not known */
    double start; /* where this process began; 0, or set it after cli_progress_begin when resuming */
    double t0, t_last;
    bool tty, drawn;
};
void cli_progress_begin(cli *c, cli_progress *p, const char *what, const char *unit, double total);
/* note: a few words such as "loss 1.23", or NULL. */
void cli_progress_at(cli_progress *p, double done, const char *note);
void cli_progress_end(cli_progress *p);

/* For commands that poll: the first SIGINT or SIGTERM sets a flag, the second one kills.
 * Commands that do not call this are killed by the first. */
void cli_catch_signals(void);
bool cli_interrupted(void);
int cli_interrupted_code(void); /* 128 + signal */

/* system.c: what the machine allows. */

/* See system.c: why the program may start itself anew. Returns when there is no need. */
void cli_calm_openmp(char **argv);
/* Makes sure that descriptors 0, 1 and 2 are open, so that no file of ours becomes one of them. */
void cli_guard_descriptors(void);
/* CPUs that affinity and the cgroup quota leave to this process, at least 1. */
int cli_cpus(void);
/* The quota part, rounded up; 0 without one. membership: a file like /proc/self/cgroup, root:
 * a folder like /sys/fs/cgroup. */
int cli_cgroup_cpus(const char *membership, const char *root);
/* Sets the number of OpenMP threads: --threads, else OMP_NUM_THREADS, else cli_cpus(). */
int cli_set_threads(int64_t requested);

#endif
