/* lcm selftest: replays the sample in a model file. */
#include "commands.h"
#include "lcm/export.h"

static int show(cli *c, const char *path, const lcm_selftest_report *r, bool json) {
    if (json)
        return cli_print_json(c, json_pack("{s:s, s:s, s:b, s:I, s:f, s:f, s:I, s:I}", "file", path, "kind", r->kind, "passed",
                                           r->passed, "vectors", (json_int_t)r->vectors, "worst", r->worst, "tolerance",
                                           r->tolerance, "texts", (json_int_t)r->texts, "texts_different",
                                           (json_int_t)r->texts_different), 0);
    cli_print_text(c, path);
    cli_print(c, ": %s, %lld vectors, relative distance %.2g (limit %g)", r->kind, (long long)r->vectors, r->worst, r->tolerance);
    if (r->texts) cli_print(c, ", %lld of %lld texts differ", (long long)r->texts_different, (long long)r->texts);
    cli_print(c, ": %s\n", r->passed ? "ok" : "FAILED");
    return CLI_OK;
}

static int run(cli *c, int argc, char **argv) {
    bool json = false;
    const cli_option table[] = {
        CLI_FLAG("json", 'j', &json, "one JSON object per file"),
        CLI_END,
    };
    int worst = CLI_OK;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    for (int i = 0; i < c->n_args; i++) {
        lcm_selftest_report r;
        lcm_status st = lcm_selftest(c->ctx, &r, c->args[i]);
        int code = st ? cli_status(c, st) : show(c, c->args[i], &r, json);
        if (code == CLI_OK && !r.passed) code = CLI_FAILED;
        if (worst == CLI_OK) worst = code;
    }
    return worst;
}

const cli_command cmd_selftest = {
    .name = "selftest",
    .help = "replay the sample in model files",
    .args = "FILE...",
    .min_args = 1,
    .max_args = -1,
    .about = "Replays the sample that 'lcm export --selftest' puts into a model file: the same sentences must give the\n"
             "same vectors and texts, the same prompt and seed the same next vector, up to rounding.",
    .run = run,
};
