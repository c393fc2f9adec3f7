/* What the files of `lcm eval` share. */
#ifndef LCM_CMD_EVAL_H
#define LCM_CMD_EVAL_H

#include "cli.h"

enum { CLI_MAX_LIST = 64 };

typedef struct cli_numbers {
    double x[CLI_MAX_LIST];
    int64_t i[CLI_MAX_LIST];
    size_t n;
} cli_numbers;

/* --seeds "1,2,3", which are kept in *list; an exit code after saying what is wrong. */
int cli_eval_seeds(cli *c, cli_numbers *list, const char *text, const int64_t **seeds, size_t *n);

int cli_eval_run(cli *c, int argc, char **argv);
int cli_eval_fluency(cli *c, int argc, char **argv);

#endif
