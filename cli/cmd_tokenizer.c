/* lcm tokenizer: train, encode, decode. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "lcm/train.h"
#include "lcm/vocab.h"
#include "lines.h"

static const char *const type_names[] = {"unigram", "bpe", NULL};

/* ---- train ---- */

static int train(cli *c, int argc, char **argv) {
    lcm_vocab_train_opts o = {.pieces = 8192};
    const char *out = NULL;
    bool presegmented = false;
    int64_t seed = 0;
    const cli_option table[] = {
        CLI_STRING("out", 'o', &out, "FILE", "the SentencePiece model"),
        CLI_INT("vocab", 'n', &o.pieces, 260, 1 << 20, "pieces, specials and 256 bytes included"),
        CLI_ENUM("type", 0, &o.type, type_names, "NAME", "of the model"),
        CLI_FLAG("presegmented", 'p', &presegmented, "every line is a sentence"),
        CLI_STRING("key", 'k', &o.key, "NAME", "of the text in JSON lines; without: text"),
        CLI_STRING("lang", 'l', &o.lang, "CODE", "language of the segmenter; without: en"),
        CLI_INT("max-sentences", 0, &o.max_sentences, 0, 1e12, "train on a sample of so many; 0: on all"),
        CLI_INT("seed", 's', &seed, 0, 9e15, "of the sample"),
        CLI_END,
    };
    lcm_vocab_report r;
    lcm_status st;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (out == NULL) return cli_usage_error(c, "--out is missing");
    o.presegmented = presegmented;
    o.seed = (uint64_t)seed;
    st = lcm_vocab_train(c->ctx, &r, out, (const char *const *)c->args, (size_t)c->n_args, &o);
    if (st) return cli_status(c, st);
    cli_note(c, "%lld documents, %lld sentences", (long long)r.docs, (long long)r.sentences);
    if (r.docs_dropped) cli_note(c, "%lld documents dropped: empty, damaged or without text", (long long)r.docs_dropped);
    if (r.sentences_long) cli_note(c, "%lld sentences dropped: too long", (long long)r.sentences_long);
    return CLI_OK;
}

/* ---- encode, decode: line by line ---- */

typedef int (*line_fn)(cli *c, const lcm_vocab *v, const char *text, size_t len, bool pieces);

static int encode_line(cli *c, const lcm_vocab *v, const char *text, size_t len, bool pieces) {
    int32_t *ids;
    size_t n;
    lcm_status st = lcm_vocab_encode(c->ctx, &ids, &n, v, text, len);
    if (st) return cli_status(c, st);
    for (size_t i = 0; i < n; i++) {
        if (i) cli_print(c, " ");
        if (pieces) cli_print_text(c, lcm_vocab_piece(v, ids[i]));
        else cli_print(c, "%ld", (long)ids[i]);
    }
    cli_print(c, "\n");
    lcm_free(ids);
    return CLI_OK;
}

/* Numbers parted by spaces; the line need not end in NUL. */
static int parse_ids(cli *c, int32_t *ids, size_t *n, const char *text, size_t len) {
    const char *end = text + len;
    *n = 0;
    for (;;) {
        int64_t id = 0;
        while (text < end && (*text == ' ' || *text == '\t')) text++;
        if (text == end) return CLI_OK;
        for (; text < end && *text >= '0' && *text <= '9' && id <= INT32_MAX; text++) id = 10 * id + (*text - '0');
        if (id > INT32_MAX || (text < end && *text != ' ' && *text != '\t')) {
            cli_error(c, "'%.*s' is not a list of token ids", len > 60 ? 60 : (int)len, end - len);
            return CLI_BAD_FILE;
        }
        ids[(*n)++] = (int32_t)id;
    }
}

static int decode_line(cli *c, const lcm_vocab *v, const char *text, size_t len, bool pieces) {
    int32_t *ids = malloc((len / 2 + 1) * sizeof *ids);
    char *s = NULL;
    size_t n;
    lcm_status st;
    int code;
    (void)pieces;
    if (ids == NULL) {
        cli_error(c, "out of memory");
        return CLI_NO_MEMORY;
    }
    code = parse_ids(c, ids, &n, text, len);
    if (code == CLI_OK) {
        st = lcm_vocab_decode(c->ctx, &s, v, ids, n);
        code = cli_status(c, st);
    }
    if (code == CLI_OK) {
        cli_print_text(c, s);
        cli_print(c, "\n");
    }
    lcm_free(s);
    free(ids);
    return code;
}

static int each_line(cli *c, int argc, char **argv, line_fn act) {
    const char *model = NULL;
    bool pieces = false;
    const cli_option encode_table[] = {
        CLI_STRING("model", 'm', &model, "PATH", "bundle folder, SONAR file or SentencePiece model"),
        CLI_FLAG("pieces", 'p', &pieces, "print the pieces, not their ids"),
        CLI_END,
    };
    const cli_option decode_table[] = {
        CLI_STRING("model", 'm', &model, "PATH", "bundle folder, SONAR file or SentencePiece model"),
        CLI_END,
    };
    lcm_vocab *v = NULL;
    cli_lines lines = {0};
    int code;
    if (!cli_parse(c, argc, argv, act == encode_line ? encode_table : decode_table)) return c->exit_code;
    if (model == NULL) return cli_usage_error(c, "--model is missing");
    code = cli_status(c, lcm_vocab_open(c->ctx, &v, model));
    if (code == CLI_OK) code = cli_lines_read(c, &lines, c->n_args ? c->args[0] : "-");
    for (size_t i = 0; code == CLI_OK && i < lines.n && !c->out_errno; i++)
        code = act(c, v, lines.text[i], lines.len[i], pieces);
    cli_lines_free(&lines);
    lcm_vocab_close(v);
    return code;
}

static int encode(cli *c, int argc, char **argv) { return each_line(c, argc, argv, encode_line); }
static int decode(cli *c, int argc, char **argv) { return each_line(c, argc, argv, decode_line); }

/* ---- lcm tokenizer ---- */

static const cli_command parts[] = {
    {"tokenizer train", "train a vocabulary on documents", "INPUT...", 1, -1,
     "Trains a SentencePiece model with byte fallback on .txt files (a document per line), .jsonl, both also as\n"
     ".zst, and folders of these. The same input gives the same file.", train},
    {"tokenizer encode", "text to token ids, line by line", "[FILE|-]", 0, 1, NULL, encode},
    {"tokenizer decode", "token ids to text, line by line", "[FILE|-]", 0, 1, NULL, decode},
};
enum { N_PARTS = sizeof parts / sizeof *parts };

static const char *part_word(const cli_command *p) { return strchr(p->name, ' ') + 1; }

static int run(cli *c, int argc, char **argv) {
    const cli_option none[] = {CLI_END};
    for (int i = 0; i < N_PARTS && argc > 1; i++) {
        if (strcmp(argv[1], part_word(&parts[i])) != 0) continue;
        c->command = &parts[i];
        return parts[i].run(c, argc - 1, argv + 1);
    }
    if (!cli_parse(c, argc, argv, none)) return c->exit_code;
    return cli_usage_error(c, "unknown '%s'; train, encode and decode exist", c->args[0]);
}

const cli_command cmd_tokenizer = {
    .name = "tokenizer",
    .help = "train a vocabulary; text to token ids and back",
    .args = "train|encode|decode …",
    .min_args = 1,
    .max_args = -1,
    .about = "lcm tokenizer train -o FILE INPUT...   train a vocabulary on documents\n"
             "lcm tokenizer encode -m PATH [FILE|-]  text to token ids, line by line\n"
             "lcm tokenizer decode -m PATH [FILE|-]  token ids to text, line by line",
    .run = run,
};
