/* lcm export: a model file for distribution. */
#include <stdlib.h>

#include "commands.h"
#include "lcm/export.h"

static const char *const dtype_names[] = {"keep", "f32", "f16", "bf16", "int8", NULL};
static const char *const part_names[] = {"all", "encoder", "decoder", NULL};
static const char *const format_names[] = {"lcm", "hf", NULL};

static int run(cli *c, int argc, char **argv) {
    lcm_export_opts o = {0};
    const char *out = NULL, *provenance = NULL;
    bool selftest = false;
    int format = 0;
    const cli_option table[] = {
        CLI_STRING("out", 'o', &out, "PATH", "the new file; a folder for hf"),
        CLI_ENUM("to", 0, &format, format_names, "FORMAT", "hf: Hugging Face's folder, of a llama"),
        CLI_ENUM("dtype", 0, &o.dtype, dtype_names, "TYPE", "of matrices; vectors become f32 unless kept"),
        CLI_ENUM("part", 0, &o.part, part_names, "PART", "of a SONAR model"),
        CLI_FLAG("selftest", 0, &selftest, "add a sample for 'lcm selftest'"),
        CLI_STRING("provenance", 'p', &provenance, "FILE", "JSON object that says where the model comes from"),
        CLI_END,
    };
    char *text = NULL;
    size_t len;
    int code = CLI_OK;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (out == NULL) return cli_usage_error(c, "--out is missing");
    if (provenance) code = cli_read_file(c, provenance, &text, &len);
    o.provenance = text;
    o.selftest = selftest;
    if (code == CLI_OK)
        code = cli_status(c, format ? lcm_export_hf(c->ctx, c->args[0], out, &o) : lcm_export(c->ctx, c->args[0], out, &o));
    free(text);
    return code;
}

const cli_command cmd_export = {
    .name = "export",
    .help = "rewrite a model file in another type, with a self-test",
    .args = "FILE",
    .min_args = 1,
    .max_args = 1,
    .about = "Writes a model file anew: matrices in another type, a sample that 'lcm selftest' replays, and where the\n"
             "model comes from. The space is kept, so files that fitted together still do. With --to hf a token-level model\n"
             "becomes a folder that transformers reads; 'lcm convert' goes the other way.",
    .run = run,
};
