/* lcm convert: checkpoints of other programs. */
#include "commands.h"
#include "lcm/convert.h"

static const char *const dtype_names[] = {"keep", "f32", "f16", NULL};
static const char *const part_names[] = {"all", "encoder", "decoder", NULL};

static int run(cli *c, int argc, char **argv) {
    lcm_convert_opts o = {0};
    const char *out = NULL;
    cli_list set = {0};
    const cli_option table[] = {
        CLI_STRING("out", 'o', &out, "FILE", "the new model file"),
        CLI_STRING("kind", 'k', &o.kind, "KIND", "sonar, lcm, blaser or llama: what it must be; else told by the names of the tensors"),
        CLI_STRING("tokenizer", 0, &o.tokenizer, "FILE", "SONAR: its SentencePiece model"),
        CLI_STRING("langs", 'l', &o.langs, "NAME", "SONAR: nllb (202 languages), none, or a file of codes; else by the vocabulary"),
        CLI_ENUM("part", 'p', &o.parts, part_names, "PART", "SONAR: what to take"),
        CLI_ENUM("dtype", 0, &o.dtype, dtype_names, "TYPE", "of matrices; vectors become f32 unless kept"),
        CLI_STRING("space-of", 0, &o.space_of, "FILE", "SONAR model that a concept model was made for"),
        CLI_ASSIGN("set", 0, &set, "configuration that no tensor shows, e.g. attn_heads=4; may be repeated"),
        CLI_END,
    };
    int code;
    if (!cli_parse(c, argc, argv, table)) code = c->exit_code;
    else if (out == NULL) code = cli_usage_error(c, "--out is missing");
    else {
        o.set = set.items;
        o.n_set = set.n;
        code = cli_status(c, lcm_convert(c->ctx, out, (const char *const *)c->args, (size_t)c->n_args, &o));
    }
    cli_list_free(&set);
    return code;
}

const cli_command cmd_convert = {
    .name = "convert",
    .help = "make a model file from checkpoints of other programs",
    .args = "FILE...",
    .min_args = 1,
    .max_args = 8,
    .about = "Reads PyTorch .pt files and safetensors, and says what it found in them:\n"
             "  SONAR encoder, decoder or both, with the names of fairseq2, fairseq or Hugging Face, and its tokenizer:\n"
             "      lcm convert encoder.pt decoder.pt --tokenizer spm.model -o sonar.safetensors\n"
             "  Llama, a folder as Hugging Face keeps it, with a SentencePiece tokenizer.model:\n"
             "      lcm convert folder -o llama.safetensors\n"
             "  concept models of the official repository (base and two-tower), and BLASER 2.0:\n"
             "      lcm convert model.pt --space-of sonar.safetensors -o lcm.safetensors\n"
             "Nothing in a file is executed, and nothing is written before all of it was read and checked.",
    .run = run,
};
