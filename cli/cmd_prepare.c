/* lcm prepare: documents to a concept store. */
#include <stdio.h>

#include "commands.h"
#include "lcm/concept_store.h"

typedef struct options {
    const char *model, *out;
    int dtype;
    bool presegmented, whole_file, strict, json;
    lcm_concept_store_opts make;
} options;

static const char *const dtype_names[] = {"f32", "f16", NULL};

static int on_progress(void *user, const lcm_concept_store_progress *p) {
    cli_progress *line = user;
    char note[96];
    snprintf(note, sizeof note, "%lld documents, %lld sentences%s", (long long)p->docs, (long long)p->sentences,
             p->waiting ? ", waiting for other processes" : "");
    line->total = p->bytes_total > 0 ? (double)p->bytes_total : 0;
    cli_progress_at(line, (double)p->bytes_done, note);
    return !cli_interrupted();
}

typedef struct count {
    const char *name, *what;
    int64_t n;
} count;

static int show(cli *c, const lcm_concept_store_report *r, bool json) {
    const count counts[] = {
        {"docs_empty", "documents without text dropped", r->docs_empty},
        {"docs_too_long", "documents too long to read dropped", r->docs_too_long},
        {"docs_bad_utf8", "documents that are not UTF-8 dropped", r->docs_bad_utf8},
        {"docs_bad_json", "lines that are no JSON object dropped", r->docs_bad_json},
        {"docs_bad_escape", "lines with an escape that is no character dropped", r->docs_bad_escape},
        {"docs_no_text", "JSON objects without a text under the key dropped", r->docs_no_text},
        {"docs_no_sentence", "documents without a sentence (pairs: on one side) dropped", r->docs_no_sentence},
        {"sentences_dropped", "sentences dropped", r->sentences_dropped},
        {"sentences_shortened", "sentences encoded without their ends", r->sentences_shortened},
    };
    json_t *all = json ? json_pack("{s:I, s:I, s:I}", "docs", (json_int_t)r->docs, "concepts", (json_int_t)r->concepts,
                                   "text_bytes", (json_int_t)r->text_bytes) : NULL;
    cli_note(c, "%lld documents, %lld sentences", (long long)r->docs, (long long)r->concepts);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (counts[i].n) cli_note(c, "%lld %s", (long long)counts[i].n, counts[i].what);
        if (all) json_object_set_new(all, counts[i].name, json_integer(counts[i].n));
    }
    return json ? cli_print_json(c, all, 0) : CLI_OK;
}

static int prepare(cli *c, options *o) {
    lcm_concept_store_report r;
    lcm_bundle *b = NULL;
    cli_progress p;
    lcm_status st;
    o->make.half = o->dtype == 1;
    o->make.presegmented = o->presegmented;
    o->make.whole_file = o->whole_file;
    o->make.strict = o->strict;
    o->make.progress = on_progress;
    o->make.user = &p;
    st = lcm_bundle_open(c->ctx, &b, o->model, LCM_LOAD_ENCODER);
    if (st == LCM_OK) {
        cli_catch_signals();
        cli_progress_begin(c, &p, "preparing", "bytes", 0);
        st = lcm_concept_store_make(c->ctx, &r, b, o->out, (const char *const *)c->args, (size_t)c->n_args, &o->make);
        cli_progress_end(&p);
    }
    lcm_bundle_close(b);
    return st ? cli_status(c, st) : show(c, &r, o->json);
}

static int run(cli *c, int argc, char **argv) {
    options o = {0};
    const cli_option table[] = {
        CLI_STRING("model", 'm', &o.model, "PATH", "bundle folder or SONAR file"),
        CLI_STRING("out", 'o', &o.out, "FOLDER", "the store"),
        CLI_ENUM("dtype", 0, &o.dtype, dtype_names, "TYPE", "of the stored vectors"),
        CLI_STRING("key", 'k', &o.make.key, "NAME", "of the text in JSON lines, or of the target; without: text"),
        CLI_STRING("source-key", 0, &o.make.source_key, "NAME", "JSON lines are pairs; the source is under this key"),
        CLI_STRING("lang", 'l', &o.make.lang, "CODE", "language of the segmenter; without: the bundle's"),
        CLI_FLAG("presegmented", 'p', &o.presegmented, "every line of a document is a sentence"),
        CLI_FLAG("whole-file", 'w', &o.whole_file, "a .txt file is one document, not one per line"),
        CLI_FLAG("strict", 0, &o.strict, "stop at the first item that would be dropped or shortened"),
        CLI_FLAG("json", 'j', &o.json, "print the final report as a JSON object"),
        CLI_END,
    };
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.model == NULL) return cli_usage_error(c, "--model is missing");
    if (o.out == NULL) return cli_usage_error(c, "--out is missing");
    return prepare(c, &o);
}

const cli_command cmd_prepare = {
    .name = "prepare",
    .help = "documents to a concept store, for training",
    .args = "INPUT...",
    .min_args = 1,
    .max_args = -1,
    .about = "Cuts documents into sentences, encodes these and writes vectors and text to a concept store. Inputs are\n"
             ".txt (a document per line), .jsonl, both also as .zst, and folders of these. A text in JSON is a string\n"
             "or a list of sentences. With --source-key every line of JSON is a pair, for instruction tuning: the\n"
             "store keeps what is source and what is target. Several processes may be started with the same command\n"
             "to share the work; after a stop the same command goes on.",
    .run = run,
};
