/* lcm translate: sentences to sentences of another language, through their vectors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "lcm/session.h"
#include "lcm/train.h"
#include "lines.h"

enum { BATCH = 64, LANG_CAP = 64 };

typedef struct options {
    const char *model, *from, *to;
    int64_t beam, seed;
    bool tsv, nearest;
    lcm_decode_opts draw; /* temperature, top_k, top_p */
} options;

/* One line: its languages and its text. */
typedef struct sentence {
    char from[LANG_CAP], to[LANG_CAP];
    const char *text;
    size_t len;
    uint64_t number; /* from 0 */
} sentence;

static int bad_line(cli *c, size_t line) {
    cli_error(c, "line %zu: two languages of less than %d letters and a text, with tabs between, are required", line, LANG_CAP);
    return CLI_BAD_FILE;
}

/* "FROM<TAB>TO<TAB>TEXT" */
static bool split(sentence *s) {
    char *const field[2] = {s->from, s->to};
    for (int i = 0; i < 2; i++) {
        const char *tab = memchr(s->text, '\t', s->len);
        size_t n = tab ? (size_t)(tab - s->text) : LANG_CAP;
        if (n == 0 || n >= LANG_CAP) return false;
        memcpy(field[i], s->text, n);
        field[i][n] = '\0';
        s->text += n + 1;
        s->len -= n + 1;
    }
    return true;
}

/* n sentences that share both languages. */
static lcm_status translate(cli *c, lcm_session *s, const sentence *line, size_t n, int64_t D, const options *o, size_t *n_cut) {
    lcm_decode_opts d = {.beam = o->beam, .lang = line->to, .likeliest = !o->nearest, .temperature = o->draw.temperature,
                         .top_k = o->draw.top_k, .top_p = o->draw.top_p, .seed = (uint64_t)o->seed, .first = line->number};
    const char *text[BATCH] = {NULL};
    size_t len[BATCH] = {0};
    uint8_t cut[BATCH];
    float *x = malloc(BATCH * (size_t)D * sizeof *x);
    char *out = NULL, *at;
    lcm_status st = x ? LCM_OK : LCM_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) text[i] = line[i].text, len[i] = line[i].len;
    if (st == LCM_OK) st = lcm_session_encode(c->ctx, x, cut, s, text, len, n, line->from);
    if (st == LCM_OK) st = lcm_session_decode(c->ctx, &out, NULL, s, x, n, &d);
    at = out;
    for (size_t i = 0; st == LCM_OK && i < n; i++, at += strlen(at) + 1) {
        *n_cut += cut[i];
        cli_print_text(c, at);
        cli_print(c, "\n");
    }
    lcm_free(out);
    free(x);
    return st;
}

static int run_lines(cli *c, lcm_session *s, const cli_lines *lines, int64_t D, const options *o) {
    sentence batch[BATCH];
    size_t n = 0, n_cut = 0;
    cli_progress p;
    lcm_status st = LCM_OK;
    int code = CLI_OK;
    cli_progress_begin(c, &p, "translating", "sentences", (double)lines->n);
    for (size_t i = 0; st == LCM_OK && code == CLI_OK && i < lines->n && !c->out_errno; i++) {
        sentence next = {.text = lines->text[i], .len = lines->len[i], .number = i};
        snprintf(next.from, sizeof next.from, "%s", o->from ? o->from : "");
        snprintf(next.to, sizeof next.to, "%s", o->to ? o->to : "");
        if (o->tsv && !split(&next)) code = bad_line(c, i + 1);
        if (n && (code || n == BATCH || strcmp(next.from, batch->from) != 0 || strcmp(next.to, batch->to) != 0)) {
            st = translate(c, s, batch, n, D, o, &n_cut);
            n = 0;
            cli_progress_at(&p, (double)i, NULL);
        }
        batch[n++] = next;
    }
    if (st == LCM_OK && code == CLI_OK && n) st = translate(c, s, batch, n, D, o, &n_cut);
    cli_progress_end(&p);
    if (n_cut) cli_note(c, "%zu sentences are longer than the encoder reads; their ends are not translated", n_cut);
    return code ? code : cli_status(c, st);
}

static int run(cli *c, int argc, char **argv) {
    options o = {0};
    const cli_option table[] = {
        CLI_STRING("model", 'm', &o.model, "PATH", "SONAR file or bundle folder"),
        CLI_STRING("from", 0, &o.from, "CODE", "language of the sentences, e.g. eng_Latn or en; 'lcm info --list-langs' lists them"),
        CLI_STRING("to", 0, &o.to, "CODE", "language that is wanted"),
        CLI_FLAG("tsv", 0, &o.tsv, "every line is FROM<TAB>TO<TAB>SENTENCE"),
        CLI_INT("beam", 'b', &o.beam, 0, 64, "hypotheses per sentence, 1 is greedy; 0: as the bundle says"),
        CLI_DRAW(o.draw),
        CLI_INT("seed", 's', &o.seed, 0, 9e15, "of the draws"),
        CLI_FLAG("nearest", 0, &o.nearest, "take the hypothesis that encodes nearest to the sentence, not the likeliest"),
        CLI_END,
    };
    lcm_bundle *b = NULL;
    lcm_session *s = NULL;
    cli_lines lines = {0};
    lcm_status st;
    int code;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.model == NULL) return cli_usage_error(c, "--model is missing");
    if (o.tsv ? o.from || o.to : !o.from || !o.to) return cli_usage_error(c, "give --from and --to, or --tsv alone");
    if (!o.tsv && (strlen(o.from) >= LANG_CAP || strlen(o.to) >= LANG_CAP)) return cli_usage_error(c, "a language of %d letters or more", LANG_CAP);
    code = cli_lines_read(c, &lines, c->n_args ? c->args[0] : "-");
    if (code) return code;
    st = lcm_bundle_open(c->ctx, &b, o.model, LCM_LOAD_ENCODER | LCM_LOAD_DECODER);
    if (st == LCM_OK) st = lcm_session_new(c->ctx, &s, b);
    code = st ? cli_status(c, st) : run_lines(c, s, &lines, lcm_bundle_get_info(b)->dim, &o);
    lcm_session_free(s);
    lcm_bundle_close(b);
    cli_lines_free(&lines);
    return code;
}

const cli_command cmd_translate = {
    .name = "translate",
    .help = "sentences to sentences of another language",
    .args = "[FILE|-]",
    .max_args = 1,
    .about = "Reads one sentence per line and prints one per line, encoded in one language and decoded in another. The SONAR\n"
             "file must know both. Lines of equal languages that follow one another are computed together.",
    .run = run,
};
