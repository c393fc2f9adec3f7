/* lcm segment: text to sentences. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "lcm/text.h"

static bool is_space(char ch) { return ch == ' ' || (ch >= '\t' && ch <= '\r'); }

/* One sentence on one line: white space that holds a line end becomes one space. */
static void print_line(cli *c, const char *s, size_t len) {
    size_t from = 0, i = 0;
    while (i < len) {
        size_t gap = i;
        bool breaks = false;
        for (; i < len && is_space(s[i]); i++) breaks |= s[i] != ' ' && s[i] != '\t';
        if (breaks) {
            cli_write(c, s + from, gap - from);
            cli_write(c, " ", 1);
            from = i;
        }
        if (i < len) i++;
    }
    cli_write(c, s + from, len - from);
    cli_write(c, "\n", 1);
}

static int print_json(cli *c, const char *text, lcm_span s) {
    return cli_print_json(c, json_pack("{s:I, s:I, s:o}", "begin", (json_int_t)s.begin, "end", (json_int_t)s.end, "text",
                                       json_stringn(text + s.begin, s.end - s.begin)), 0);
}

static int run(cli *c, int argc, char **argv) {
    lcm_segment_opts opts = lcm_segment_opts_default();
    bool json = false;
    const cli_option table[] = {
        CLI_STRING("lang", 'l', &opts.lang, "CODE", "language: en, eng, en-GB or eng_Latn"),
        CLI_INT("max-chars", 'm', &opts.max_chars, 0, 1000000, "cut longer sentences; 0: never"),
        CLI_FLAG("json", 'j', &json, "one JSON object per sentence: begin, end (bytes), text"),
        CLI_END,
    };
    lcm_spans spans = {0};
    char *text;
    size_t len;
    lcm_status st;
    int code;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    code = cli_read_file(c, c->n_args ? c->args[0] : "-", &text, &len);
    if (code) return code;
    st = lcm_segment_text(c->ctx, &spans, text, len, &opts);
    code = st == LCM_ERR_ARG ? cli_usage_error(c, "%s", lcm_ctx_message(c->ctx)) : cli_status(c, st);
    for (size_t i = 0; i < spans.len && code == CLI_OK && !c->out_errno; i++) {
        if (json) code = print_json(c, text, spans.data[i]);
        else print_line(c, text + spans.data[i].begin, spans.data[i].end - spans.data[i].begin);
    }
    lcm_spans_free(&spans);
    free(text);
    return code;
}

const cli_command cmd_segment = {
    .name = "segment",
    .help = "cut text into sentences, one per line",
    .args = "[FILE|-]",
    .max_args = 1,
    .about = "Cuts UTF-8 text into sentences and prints one per line; line ends inside a sentence become spaces.",
    .run = run,
};
