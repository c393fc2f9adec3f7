/* lcm score: how likely, or how good, given texts are for given sentences. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "lcm/blaser_score.h"
#include "lcm/session.h"
#include "lcm/train.h"
#include "lcm/vectors.h"
#include "lines.h"

typedef struct options {
    const char *model, *from, *to, *vectors, *blaser;
} options;

enum { MAX_COLUMNS = 3, BATCH = 64 };

/* The columns of n lines. */
typedef struct columns {
    const char *text[MAX_COLUMNS][BATCH];
    size_t len[MAX_COLUMNS][BATCH];
} columns;

static bool split(columns *out, size_t row, const char *text, size_t len, int n) {
    for (int k = 0; k < n; k++) {
        const char *tab = k + 1 < n ? memchr(text, '\t', len) : text + len;
        if (tab == NULL) return false;
        out->text[k][row] = text;
        out->len[k][row] = (size_t)(tab - text);
        if (k + 1 == n) return true;
        len -= (size_t)(tab + 1 - text);
        text = tab + 1;
    }
    return true;
}

typedef struct work {
    lcm_session *s;
    lcm_blaser *blaser;
    const options *o;
    float *given; /* vectors, or NULL */
    int64_t n_given, dim;
    int n_columns;
} work;

static lcm_status likelihoods(cli *c, const work *w, const columns *t, size_t first, size_t n, float *x) {
    double logp[BATCH];
    int64_t tokens[BATCH];
    int text = w->given ? 0 : 1;
    lcm_status st = LCM_OK;
    if (w->given) memcpy(x, w->given + (int64_t)first * w->dim, n * (size_t)w->dim * sizeof *x);
    else st = lcm_session_encode(c->ctx, x, NULL, w->s, t->text[0], t->len[0], n, w->o->from);
    if (st == LCM_OK) st = lcm_session_score(c->ctx, logp, tokens, w->s, x, t->text[text], t->len[text], n, w->o->to);
    for (size_t i = 0; st == LCM_OK && i < n; i++)
        cli_print(c, "%.6g\t%" PRId64 "\t%.6g\n", logp[i], tokens[i], logp[i] / (double)tokens[i]);
    return st;
}

static lcm_status ratings(cli *c, const work *w, const columns *t, size_t n, float *x) {
    const char *const lang[MAX_COLUMNS] = {w->o->from, w->o->to, w->o->to};
    double score[BATCH];
    lcm_status st = LCM_OK;
    size_t step = BATCH * (size_t)w->dim;
    for (int k = 0; st == LCM_OK && k < w->n_columns; k++)
        st = lcm_session_encode(c->ctx, x + (size_t)k * step, NULL, w->s, t->text[k], t->len[k], n, lang[k]);
    if (st == LCM_OK) st = lcm_blaser_rate(c->ctx, score, w->blaser, x, x + step, w->n_columns == 3 ? x + 2 * step : NULL, n);
    for (size_t i = 0; st == LCM_OK && i < n; i++) cli_print(c, "%.6g\n", score[i]);
    return st;
}

static int run_lines(cli *c, const work *w, const cli_lines *lines) {
    float *x = malloc(MAX_COLUMNS * BATCH * (size_t)w->dim * sizeof *x);
    lcm_status st = x ? LCM_OK : LCM_ERR_NOMEM;
    int code = CLI_OK;
    if (w->given && w->n_given != (int64_t)lines->n)
        code = cli_error(c, "'%s' holds %" PRId64 " vectors for %zu texts", w->o->vectors, w->n_given, lines->n);
    for (size_t i = 0, n; st == LCM_OK && code == CLI_OK && i < lines->n && !c->out_errno; i += n) {
        columns t;
        for (n = 0; n < BATCH && i + n < lines->n; n++)
            if (!split(&t, n, lines->text[i + n], lines->len[i + n], w->n_columns)) {
                code = cli_error(c, "line %zu: %d texts with tabs between are required", i + n + 1, w->n_columns);
                break;
            }
        if (code == CLI_OK) st = w->blaser ? ratings(c, w, &t, n, x) : likelihoods(c, w, &t, i, n, x);
        if (code) break;
    }
    free(x);
    return code ? code : cli_status(c, st);
}

static int load_vectors(cli *c, work *w) {
    char *bytes;
    size_t len;
    int64_t D;
    lcm_status st;
    int code = cli_read_file(c, w->o->vectors, &bytes, &len);
    if (code) return code;
    st = lcm_vectors_parse(c->ctx, &w->given, &w->n_given, &D, bytes, len);
    free(bytes);
    if (st == LCM_OK && w->n_given && D != w->dim) {
        cli_error(c, "'%s' holds vectors of %" PRId64 " numbers, the model's have %" PRId64, w->o->vectors, D, w->dim);
        return CLI_BAD_FILE;
    }
    return cli_status(c, st);
}

static int run_with(cli *c, work *w, const lcm_bundle *b, const cli_lines *lines) {
    int code = CLI_OK;
    w->dim = lcm_bundle_get_info(b)->dim;
    w->n_columns = w->o->vectors ? 1 : 2;
    if (w->o->blaser) {
        code = cli_status(c, lcm_blaser_open(c->ctx, &w->blaser, w->o->blaser, b));
        if (code == CLI_OK && lcm_blaser_needs_reference(w->blaser)) w->n_columns = 3;
        if (code == CLI_OK && lcm_blaser_dim(w->blaser) != w->dim) {
            cli_error(c, "'%s' rates vectors of %" PRId64 " numbers, the model's have %" PRId64, w->o->blaser, lcm_blaser_dim(w->blaser), w->dim);
            code = CLI_BAD_FILE;
        }
    }
    if (code == CLI_OK && w->o->vectors) code = load_vectors(c, w);
    if (code == CLI_OK) code = run_lines(c, w, lines);
    lcm_blaser_close(w->blaser);
    lcm_free(w->given);
    return code;
}

static int run(cli *c, int argc, char **argv) {
    options o = {0};
    const cli_option table[] = {
        CLI_STRING("model", 'm', &o.model, "PATH", "SONAR file or bundle folder"),
        CLI_STRING("from", 0, &o.from, "CODE", "language of the first column"),
        CLI_STRING("to", 0, &o.to, "CODE", "language of the others"),
        CLI_STRING("vectors", 0, &o.vectors, "FILE", "one vector per line, as 'lcm encode' writes them, instead of a first column"),
        CLI_STRING("blaser", 0, &o.blaser, "FILE", "rate translations with this BLASER 2.0 model"),
        CLI_END,
    };
    work w = {.o = &o};
    lcm_bundle *b = NULL;
    cli_lines lines = {0};
    lcm_status st;
    int code;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.model == NULL) return cli_usage_error(c, "--model is missing");
    if (o.vectors && o.blaser) return cli_usage_error(c, "BLASER rates texts; --vectors is for likelihoods");
    code = cli_lines_read(c, &lines, c->n_args ? c->args[0] : "-");
    if (code) return code;
    st = lcm_bundle_open(c->ctx, &b, o.model, (o.vectors ? 0 : LCM_LOAD_ENCODER) | (o.blaser ? 0 : LCM_LOAD_DECODER));
    if (st == LCM_OK) st = lcm_session_new(c->ctx, &w.s, b);
    code = st ? cli_status(c, st) : run_with(c, &w, b, &lines);
    lcm_session_free(w.s);
    lcm_bundle_close(b);
    cli_lines_free(&lines);
    return code;
}

const cli_command cmd_score = {
    .name = "score",
    .help = "log-probabilities of given texts, or BLASER ratings",
    .args = "[FILE|-]",
    .max_args = 1,
    .about = "Reads lines SENTENCE<TAB>TEXT and prints for each, with tabs between: the log-probability of TEXT under the\n"
             "vector of SENTENCE (natural logarithm, language and end of sentence included), its tokens, and their quotient,\n"
             "which is what the search maximises. With --vectors the lines are texts alone.\n"
             "With --blaser the lines are SOURCE<TAB>TRANSLATION, and <TAB>REFERENCE for a model that wants one; printed is the\n"
             "rating, about 1 (another meaning) to 5 (the same).",
    .run = run,
};
