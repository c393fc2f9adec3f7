/* What the files of `lcm eval` share. */
#ifndef LCM_CMD_EVAL_H
#define LCM_CMD_EVAL_H

#include "cli.h"
#include "openai.h"

enum { CLI_MAX_LIST = 64 };

typedef struct cli_numbers {
    double x[CLI_MAX_LIST];
    int64_t i[CLI_MAX_LIST];
    size_t n;
} cli_numbers;

/* --seeds "1,2,3", which are kept in *list; an exit code after saying what is wrong. */
int cli_eval_seeds(cli *c, cli_numbers *list, const char *text, const int64_t **seeds, size_t *n);

/* How servers are asked. */
typedef struct cli_server_opts {
    const char *key_env;
    double timeout;
    int64_t attempts;
} cli_server_opts;

#define CLI_SERVER_DEFAULTS {.timeout = 120, .attempts = 4}
enum { CLI_SERVER_ROWS = 3 };
#define CLI_ROWS_SERVER(s) \
    CLI_STRING("key-env", 0, &(s).key_env, "VARIABLE", "environment variable that holds the key of the servers"), \
    CLI_REAL("timeout", 0, &(s).timeout, 0.01, 86400, "seconds for one answer of a server"), \
    CLI_INT("attempts", 0, &(s).attempts, 1, 100, "tries per request, with growing pauses")

/* Makes *out ask at `url`; an exit code after saying what is wrong. */
int cli_eval_server(cli *c, cli_openai *out, const char *option, const char *url, const cli_server_opts *opts);

/* What --scorer names when it is an address. */
typedef struct cli_scorer {
    cli_openai server;
    lcm_eval_scorer scorer;
} cli_scorer;

#define CLI_ROWS_SCORER(file, name) \
    CLI_STRING("scorer", 0, &(file), "FILE|URL", "language model of mi: a file of kind llama, or a server with \"echo\""), \
    CLI_STRING("scorer-model", 0, &(name), "ID", "what the server of --scorer calls its model")

/* An address in *file makes *remote its scorer, kept in *room, and *file NULL; an exit code after saying what is wrong. */
int cli_eval_scorer(cli *c, const char **file, const lcm_eval_scorer **remote, cli_scorer *room, const char *model,
                    const cli_server_opts *opts);

int cli_eval_run(cli *c, int argc, char **argv);
int cli_eval_fluency(cli *c, int argc, char **argv);

#endif
