/* lcm encode: sentences to vectors. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "lcm/session.h"
#include "lcm/train.h"
#include "lcm/vectors.h"
#include "lines.h"

enum { BATCH = 256 };

typedef struct options {
    const char *model, *lang;
    int format;  /* lcm_vectors_format */
    int pooling; /* lcm_pooling */
} options;

static const char *const format_names[] = {"npy", "safetensors", "jsonl", NULL};
static const char *const pooling_names[] = {"model", "mean", "max", "last", NULL};

static bool print_row(cli *c, const char *text, size_t len, const float *x, int64_t D) {
    json_t *s = json_stringn(text, len);
    char *quoted = s ? json_dumps(s, JSON_ENCODE_ANY) : NULL;
    bool ok = quoted && cli_print(c, "{\"text\": %s, \"vector\": [", quoted);
    for (int64_t k = 0; ok && k < D; k++) ok = cli_print(c, "%s%.9g", k ? ", " : "", (double)x[k]);
    free(quoted);
    json_decref(s);
    return ok && cli_print(c, "]}\n");
}

static bool print_rows(cli *c, const cli_lines *lines, size_t first, size_t n, const float *x, int64_t D, int format) {
    bool ok = true;
    if (format != LCM_VECTORS_JSONL) return cli_write(c, x, n * (size_t)D * sizeof *x);
    for (size_t i = 0; ok && i < n; i++)
        ok = print_row(c, lines->text[first + i], lines->len[first + i], x + (int64_t)i * D, D);
    return ok;
}

static lcm_status encode(cli *c, lcm_session *s, const lcm_bundle_info *info, const cli_lines *lines, const options *o,
                         size_t *n_cut) {
    float *x = malloc((size_t)(BATCH * info->dim) * sizeof *x);
    uint8_t cut[BATCH];
    char *head = NULL;
    size_t len;
    cli_progress p;
    lcm_status st = x ? lcm_vectors_header(c->ctx, &head, &len, o->format, (int64_t)lines->n, info->dim) : LCM_ERR_NOMEM;
    if (st == LCM_OK) cli_write(c, head, len);
    cli_progress_begin(c, &p, "encoding", "sentences", (double)lines->n);
    for (size_t i = 0; st == LCM_OK && i < lines->n && !c->out_errno; i += BATCH) {
        size_t n = lines->n - i < BATCH ? lines->n - i : BATCH;
        st = lcm_session_encode(c->ctx, x, cut, s, lines->text + i, lines->len + i, n, o->lang);
        if (st) break;
        for (size_t k = 0; k < n; k++) *n_cut += cut[k];
        print_rows(c, lines, i, n, x, info->dim, o->format);
        cli_progress_at(&p, (double)(i + n), NULL);
    }
    cli_progress_end(&p);
    lcm_free(head);
    free(x);
    return st;
}

static int run_with(cli *c, const options *o, const cli_lines *lines) {
    lcm_bundle *b = NULL;
    lcm_session *s = NULL;
    size_t n_cut = 0;
    lcm_status st = lcm_bundle_open(c->ctx, &b, o->model, LCM_LOAD_ENCODER);
    if (st == LCM_OK) st = lcm_session_new(c->ctx, &s, b);
    if (st == LCM_OK) st = lcm_session_set_pooling(c->ctx, s, o->pooling);
    if (st == LCM_OK) st = encode(c, s, lcm_bundle_get_info(b), lines, o, &n_cut);
    if (n_cut) cli_note(c, "%zu of %zu sentences are longer than the encoder reads; their ends are not encoded", n_cut, lines->n);
    lcm_session_free(s);
    lcm_bundle_close(b);
    return cli_status(c, st);
}

static int run(cli *c, int argc, char **argv) {
    options o = {0};
    const cli_option table[] = {
        CLI_STRING("model", 'm', &o.model, "PATH", "bundle folder or SONAR file"),
        CLI_ENUM("format", 'f', &o.format, format_names, "NAME", "of the output"),
        CLI_STRING("lang", 'l', &o.lang, "CODE", "language of the sentences, e.g. eng_Latn or en; 'lcm info --list-langs' lists them"),
        CLI_ENUM("pooling", 0, &o.pooling, pooling_names, "NAME", "another way than the model's to make one vector of a sentence; not to be decoded"),
        CLI_END,
    };
    cli_lines lines = {0};
    int code;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.model == NULL) return cli_usage_error(c, "--model is missing");
    if (o.format != LCM_VECTORS_JSONL && isatty(STDOUT_FILENO))
        return cli_usage_error(c, "binary data is not for a terminal; redirect it, or use --format jsonl");
    code = cli_lines_read(c, &lines, c->n_args ? c->args[0] : "-");
    if (code == CLI_OK) code = run_with(c, &o, &lines);
    cli_lines_free(&lines);
    return code;
}

const cli_command cmd_encode = {
    .name = "encode",
    .help = "sentences to vectors",
    .args = "[FILE|-]",
    .max_args = 1,
    .about = "Reads one sentence per line and writes one vector per line of input, an empty line's included:\n"
             "float32 [N, D] as NumPy array or safetensors, or JSON lines. 'lcm segment' cuts text into lines.",
    .run = run,
};
