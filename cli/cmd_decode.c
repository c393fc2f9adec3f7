/* lcm decode: vectors to sentences. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "lcm/session.h"
#include "lcm/train.h"
#include "lcm/vectors.h"

enum { BATCH = 64 };

typedef struct options {
    const char *model, *lang;
    int64_t beam, seed;
    double noise;
    lcm_decode_opts draw; /* temperature, top_k, top_p */
    bool likeliest;
} options;

/* Sentences hold no line ends, but a damaged vector may decode to anything: one line it stays. */
static void print_line(cli *c, const char *text) {
    cli_print_text(c, text);
    cli_print(c, "\n");
}

static lcm_status decode(cli *c, lcm_session *s, const float *x, int64_t n, int64_t D, const options *o) {
    lcm_decode_opts opts = o->draw;
    cli_progress p;
    lcm_status st = LCM_OK;
    cli_progress_begin(c, &p, "decoding", "vectors", (double)n);
    for (int64_t i = 0; st == LCM_OK && i < n && !c->out_errno; i += BATCH) {
        int64_t k = n - i < BATCH ? n - i : BATCH;
        char *texts, *t;
        opts.first = (uint64_t)i;
        st = lcm_session_decode(c->ctx, &texts, NULL, s, x + i * D, (size_t)k, &opts);
        if (st) break;
        t = texts;
        for (int64_t j = 0; j < k; j++, t += strlen(t) + 1) print_line(c, t);
        lcm_free(texts);
        cli_progress_at(&p, (double)(i + k), NULL);
    }
    cli_progress_end(&p);
    return st;
}

static int run_with(cli *c, lcm_session *s, const lcm_bundle_info *info, const options *o) {
    const char *path = c->n_args ? c->args[0] : "-";
    char *bytes;
    float *x;
    size_t len;
    int64_t n, D;
    lcm_status st;
    int code = cli_read_file(c, path, &bytes, &len);
    if (code) return code;
    st = lcm_vectors_parse(c->ctx, &x, &n, &D, bytes, len);
    free(bytes);
    if (st) return cli_status(c, st);
    if (n > 0 && D != info->dim) {
        cli_error(c, "'%s' holds vectors of %" PRId64 " numbers, the model's have %" PRId64, path, D, info->dim);
        code = CLI_BAD_FILE;
    } else if (n > 0) {
        if (o->noise > 0) st = lcm_session_noise(c->ctx, x, s, (size_t)n, o->noise, (uint64_t)o->seed);
        if (st == LCM_OK) st = decode(c, s, x, n, D, o);
        code = cli_status(c, st);
    }
    lcm_free(x);
    return code;
}

/* The concept model is loaded for its normaliser only. */
static lcm_status open_bundle(cli *c, lcm_bundle **b, const options *o) {
    lcm_bundle_paths p;
    lcm_status st = lcm_bundle_files(c->ctx, &p, o->model);
    if (st) return st;
    return lcm_bundle_open(c->ctx, b, o->model, LCM_LOAD_DECODER | (o->likeliest ? 0 : LCM_LOAD_ENCODER) |
                                                    (o->noise > 0 && *p.lcm ? LCM_LOAD_MODEL : 0));
}

static int run(cli *c, int argc, char **argv) {
    options o = {0};
    const cli_option table[] = {
        CLI_STRING("model", 'm', &o.model, "PATH", "bundle folder or SONAR file"),
        CLI_INT("beam", 'b', &o.beam, 0, 64, "hypotheses per sentence, 1 is greedy; 0: as the bundle says"),
        CLI_STRING("lang", 'l', &o.lang, "CODE", "language that is wanted, e.g. fra_Latn or fr; 'lcm info --list-langs' lists them"),
        CLI_FLAG("likeliest", 0, &o.likeliest, "take the likeliest hypothesis, not the one that encodes to the nearest vector"),
        CLI_DRAW(o.draw),
        CLI_REAL("noise", 0, &o.noise, 0, 1, "perturb the vectors: sqrt(1-X) z + sqrt(X) noise"),
        CLI_INT("seed", 's', &o.seed, 0, 9e15, "of noise and draws"),
        CLI_END,
    };
    lcm_bundle *b = NULL;
    lcm_session *s = NULL;
    lcm_status st;
    int code;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.model == NULL) return cli_usage_error(c, "--model is missing");
    o.draw.beam = o.beam, o.draw.lang = o.lang, o.draw.likeliest = o.likeliest, o.draw.seed = (uint64_t)o.seed;
    st = open_bundle(c, &b, &o);
    if (st == LCM_OK) st = lcm_session_new(c->ctx, &s, b);
    code = st ? cli_status(c, st) : run_with(c, s, lcm_bundle_get_info(b), &o);
    lcm_session_free(s);
    lcm_bundle_close(b);
    return code;
}

const cli_command cmd_decode = {
    .name = "decode",
    .help = "vectors to sentences",
    .args = "[FILE|-]",
    .max_args = 1,
    .about = "Reads vectors as 'lcm encode' writes them (npy, safetensors or JSON lines, told apart by content) and\n"
             "prints one sentence per line. --noise shows how robust the decoder is: X is the part of variance that\n"
             "is noise, in the normalised space of the bundle's concept model, or of the input itself without one.",
    .run = run,
};
