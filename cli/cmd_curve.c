/* lcm curve: learning curves of runs. */
#include "commands.h"
#include "lcm/curve.h"
#include "lcm/train.h"

static int run(cli *c, int argc, char **argv) {
    lcm_curve_opts o = {0};
    const char *out = NULL;
    cli_list metrics = {0};
    const cli_option table[] = {
        CLI_STRING("out", 'o', &out, "FILE.svg", "the image; default: standard output"),
        CLI_LIST("metric", 'm', &metrics, "NAME,NAME", "metrics of one panel; may be repeated (default: loss, valid_…)"),
        CLI_INT("smooth", 's', &o.smooth, 0, 1e9, "points in the moving mean; 0: a fiftieth of the run"),
        CLI_FLAG("log", 'l', &o.log, "logarithmic values"),
        CLI_FLAG("items", 0, &o.items, "over items seen (tokens, concepts) instead of steps"),
        CLI_END,
    };
    const char *const *runs;
    char *svg;
    size_t len;
    lcm_status st;
    int code;
    if (!cli_parse(c, argc, argv, table)) {
        cli_list_free(&metrics);
        return c->exit_code;
    }
    o.panels = metrics.items;
    o.n_panels = metrics.n;
    runs = (const char *const *)c->args;
    if (out) {
        code = cli_status(c, lcm_curve_save(c->ctx, out, runs, (size_t)c->n_args, &o));
    } else {
        st = lcm_curve_svg(c->ctx, &svg, &len, runs, (size_t)c->n_args, &o);
        code = cli_status(c, st);
        if (st == LCM_OK) {
            cli_write(c, svg, len);
            lcm_free(svg);
        }
    }
    cli_list_free(&metrics);
    return code;
}

const cli_command cmd_curve = {
    .name = "curve",
    .help = "draw the learning curves of runs as SVG",
    .args = "RUN…",
    .min_args = 1,
    .max_args = -1,
    .about = "Draws what 'lcm train' wrote to RUN/metrics.jsonl: training metrics as a light line with its moving mean,\n"
             "validation metrics as points, the learning rate below. Several runs share the panels, a colour each.",
    .run = run,
};
