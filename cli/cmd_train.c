/* lcm train: any model from one JSON configuration. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "lcm/train.h"

typedef struct options {
    cli_list overrides;
    bool show_config;
    int64_t check_grad;
} options;

typedef struct watch {
    cli_progress p;
    bool begun;
} watch;

static int on_step(void *user, const lcm_train_status *s) {
    watch *w = user;
    char note[256];
    snprintf(note, sizeof note, "loss %.4f lr %.2e %.0f %s/s%s%s", s->loss, s->lr, s->items_per_second, s->unit,
             *s->note ? "; " : "", s->note);
    if (!w->begun) w->p.start = (double)(s->step - 1); /* a resumed run does not count what was done before */
    w->begun = true;
    w->p.total = (double)s->max_steps;
    cli_progress_at(&w->p, (double)s->step, note);
    return !cli_interrupted();
}

static int check(cli *c, const char *config, int64_t directions) {
    lcm_train_opts o = {.check_grad = directions};
    lcm_status st = lcm_train(c->ctx, config, &o);
    double limit = sizeof(double) == 8 ? 1e-4 : 1;
    if (st) return cli_status(c, st);
    cli_print(c, "worst relative error %.3g in '%s' over %lld directions per tensor\n", o.worst, o.worst_name,
              (long long)directions);
    if (o.worst <= limit) return CLI_OK;
    return cli_error(c, "gradients differ by more than %g; single precision cannot tell more than 1e-2: use lcm-f64", limit);
}

static int run(cli *c, int argc, char **argv) {
    options o = {0};
    cli_option table[] = {
        {.name = "set", .letter = 's', .kind = CLI_KIND_ASSIGN, .out = &o.overrides, .help = "override one key, e.g. train.lr.lr=1e-3"},
        {.name = "show-config", .kind = CLI_KIND_FLAG, .out = &o.show_config, .help = "print the full configuration and stop"},
        {.name = "check-grad", .kind = CLI_KIND_INT, .out = &o.check_grad, .arg = "K", .lo = 0, .hi = 1000,
         .help = "compare gradients with differences in K directions per tensor and stop"},
        {0}};
    char *text = NULL, *full = NULL;
    size_t len;
    int code;
    lcm_train_opts opts = {0};
    watch w = {0};
    lcm_status st;
    if (!cli_parse(c, argc, argv, table)) {
        cli_list_free(&o.overrides);
        return c->exit_code;
    }
    code = cli_read_file(c, c->args[0], &text, &len);
    if (code == CLI_OK) {
        st = lcm_train_resolve(c->ctx, &full, text, o.overrides.items, o.overrides.n);
        if (st == LCM_ERR_FORMAT) code = cli_status(c, st);
        else if (st) code = cli_usage_error(c, "%s", lcm_ctx_message(c->ctx));
    }
    if (code == CLI_OK && o.show_config) cli_print(c, "%s\n", full);
    else if (code == CLI_OK && o.check_grad > 0) code = check(c, full, o.check_grad);
    else if (code == CLI_OK) {
        cli_catch_signals();
        cli_progress_begin(c, &w.p, "training", "steps", 0);
        opts.progress = on_step;
        opts.user = &w;
        st = lcm_train(c->ctx, full, &opts);
        cli_progress_end(&w.p);
        code = cli_status(c, st);
    }
    cli_list_free(&o.overrides);
    lcm_free(full);
    free(text);
    return code;
}

const cli_command cmd_train = {
    .name = "train", .help = "train a model from a JSON configuration", .args = "CONFIG", .min_args = 1, .max_args = 1,
    .about = "Trains what the configuration names. Run it again to resume: the result has the same bits as an\n"
             "uninterrupted run. Ctrl-C writes a checkpoint first.",
    .run = run};
