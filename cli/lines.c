/* Text files as lines. */
#include "lines.h"

#include <stdlib.h>
#include <string.h>

int cli_lines_read(cli *c, cli_lines *out, const char *path) {
    cli_lines l = {0};
    size_t len, max = 1;
    int code = cli_read_file(c, path, &l.data, &len);
    const char *end;
    if (code) return code;
    end = l.data + len;
    for (const char *p = l.data; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) max++;
    l.text = malloc(max * sizeof *l.text);
    l.len = malloc(max * sizeof *l.len);
    if (l.text == NULL || l.len == NULL) {
        cli_lines_free(&l);
        cli_error(c, "out of memory");
        return CLI_NO_MEMORY;
    }
    for (const char *p = l.data; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p);
        l.text[l.n] = p;
        l.len[l.n++] = n && p[n - 1] == '\r' ? n - 1 : n;
        p = stop ? stop + 1 : end;
    }
    *out = l;
    return CLI_OK;
}

void cli_lines_free(cli_lines *l) {
    free(l->data);
    free(l->text);
    free(l->len);
    memset(l, 0, sizeof *l);
}
