/* lcm quantize: a model file of smaller numbers, and what that costs. */
#include "commands.h"
#include "lcm/quantize.h"
#include "lines.h"

static const char *const dtype_names[] = {"int8", "f16", "bf16", NULL};
static const int dtypes[] = {LCM_EXPORT_INT8, LCM_EXPORT_F16, LCM_EXPORT_BF16};

static void print_tensor(void *user, const lcm_quantize_tensor *t) {
    cli *c = user;
    cli_print(c, "%-60s %8lld x %-6lld rms %.2e  worst %.2e\n", t->name, (long long)t->rows, (long long)t->cols, t->rms, t->worst);
}

static void print_report(cli *c, const lcm_quantize_report *r) {
    double n = (double)r->sentences;
    cli_print(c, "bytes       %.1f MB to %.1f MB\n", (double)r->bytes_before / 1e6, (double)r->bytes_after / 1e6);
    cli_print(c, "matrices    %lld, relative error %.2e, worst element %.2e of its row's largest (", (long long)r->tensors, r->rms,
              r->worst);
    cli_print_text(c, r->worst_name);
    cli_print(c, ")\n");
    if (r->sentences == 0) return;
    cli_print(c, "sentences   %lld\n", (long long)r->sentences);
    cli_print(c, "vectors     cosine %.6f mean, %.6f least\n", r->cos_mean, r->cos_least);
    cli_print(c, "same vector %.2f %% decode to the same text\n", 100 * (double)r->same_text / n);
    cli_print(c, "round trip  %.2f %% exact before, %.2f %% after\n", 100 * (double)r->exact_before / n, 100 * (double)r->exact_after / n);
}

static int run(cli *c, int argc, char **argv) {
    const char *out = NULL, *text = NULL;
    int dtype = 0;
    bool selftest = false, tensors = false;
    int64_t sentences = 500, beam = 5;
    const cli_option table[] = {
        CLI_STRING("out", 'o', &out, "FILE", "the new file"),
        CLI_ENUM("dtype", 0, &dtype, dtype_names, "TYPE", "of matrices"),
        CLI_STRING("text", 0, &text, "FILE", "sentences, one per line: report vectors and texts, too"),
        CLI_INT("sentences", 0, &sentences, 1, 1000000000, "how many of them"),
        CLI_INT("beam", 0, &beam, 1, 64, "hypotheses of the decoder"),
        CLI_FLAG("tensors", 0, &tensors, "report every matrix"),
        CLI_FLAG("selftest", 0, &selftest, "add a sample for 'lcm selftest'"),
        CLI_END,
    };
    cli_lines lines = {0};
    lcm_export_opts o = {0};
    lcm_quantize_report r;
    lcm_status st;
    int code = CLI_OK;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (out == NULL) return cli_usage_error(c, "--out is missing");
    if (text) code = cli_lines_read(c, &lines, text);
    if (code == CLI_OK) {
        o.dtype = dtypes[dtype];
        o.selftest = selftest;
        st = lcm_export(c->ctx, c->args[0], out, &o);
        if (st == LCM_OK)
            st = lcm_quantize_compare(c->ctx, &r, c->args[0], out, lines.text, lines.len,
                                      lines.n < (size_t)sentences ? lines.n : (size_t)sentences, beam, tensors ? print_tensor : NULL, c);
        if (st == LCM_OK) print_report(c, &r);
        code = cli_status(c, st);
    }
    cli_lines_free(&lines);
    return code;
}

const cli_command cmd_quantize = {
    .name = "quantize",
    .help = "make a model file 2 or 4 times smaller, and report the cost",
    .args = "FILE",
    .min_args = 1,
    .max_args = 1,
    .about = "Writes a model file with its matrices as int8 (SONAR models; one scale per row), f16 or bf16, and compares the\n"
             "two: error of the numbers, and with --text cosine of the vectors, texts that the same vectors decode to, and\n"
             "sentences that survive the round trip. int8 is for inference: 3 to 4 times faster than f32.",
    .run = run,
};
