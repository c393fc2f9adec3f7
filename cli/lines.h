/* A text file as lines. */
#ifndef LCM_LINES_H
#define LCM_LINES_H

#include "cli.h"

typedef struct cli_lines {
    char *data;
    const char **text; /* n lines without their LF or CR LF, in data; not NUL-terminated */
    size_t *len;
    size_t n;
} cli_lines;

/* Reads a file, or standard input for "-". Returns an exit code, after saying what is wrong. */
int cli_lines_read(cli *c, cli_lines *out, const char *path);
void cli_lines_free(cli_lines *l);

#endif
