/* lcm eval run: systems of any kind through one task. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_eval.h"
#include "lcm/eval_run.h"
#include "lcm/train.h"
#include "openai.h"

enum { MAX_SYSTEMS = 64, MAX_NAME = 64 };

/* NAME=VALUE. */
typedef struct pair {
    char name[MAX_NAME];
    const char *value;
} pair;

typedef struct options {
    lcm_eval_run_opts o;
    cli_list models, baselines, data, urls, url_models, judges, judge_prompts;
    const char *seeds, *scorer_model;
    cli_server_opts server;
    double judge_low, judge_high;
    bool as_json;
} options;

typedef struct systems {
    pair models[MAX_SYSTEMS], urls[MAX_SYSTEMS], judges[MAX_SYSTEMS];
    lcm_eval_model model[MAX_SYSTEMS];
    lcm_eval_remote remote[MAX_SYSTEMS];
    lcm_eval_judge judge[MAX_SYSTEMS];
    cli_openai served[MAX_SYSTEMS], judging[MAX_SYSTEMS];
    cli_scorer scorer;
    char *prompts[MAX_SYSTEMS];
    const char *baselines[MAX_SYSTEMS];
    char baseline_text[4096];
    size_t n_baselines;
} systems;

/* ---- lists of options ---- */

/* A value without a name is named by its last part. */
static int split(cli *c, pair *out, const char *option, const char *text, bool may_lack) {
    const char *eq = strchr(text, '='), *slash = strchr(text, '/'), *begin = text, *end;
    if (eq && slash && slash < eq) eq = NULL; /* a path or URL with '=' in it */
    if (eq == NULL) {
        size_t n = strlen(text);
        if (!may_lack) return cli_usage_error(c, "--%s: '%s' is not NAME=…", option, text);
        while (n > 1 && text[n - 1] == '/') n--;
        end = text + n;
        for (begin = end; begin > text && begin[-1] != '/';) begin--;
    } else end = eq;
    if (end == begin || (size_t)(end - begin) >= sizeof out->name)
        return cli_usage_error(c, "--%s: '%s': a name has 1 to %d bytes", option, text, MAX_NAME - 1);
    memcpy(out->name, begin, (size_t)(end - begin));
    out->name[end - begin] = '\0';
    out->value = eq ? eq + 1 : text;
    if (*out->value == '\0') return cli_usage_error(c, "--%s: '%s' has no value", option, text);
    return CLI_OK;
}

static int split_all(cli *c, pair *out, const char *option, const cli_list *list, bool may_lack) {
    int code = CLI_OK;
    if (list->n > MAX_SYSTEMS) return cli_usage_error(c, "--%s: more than %d", option, MAX_SYSTEMS);
    for (size_t i = 0; code == CLI_OK && i < list->n; i++) code = split(c, &out[i], option, list->items[i], may_lack);
    return code;
}

/* --baseline A,B --baseline C */
static int split_baselines(cli *c, systems *s, const cli_list *list) {
    size_t used = 0;
    for (size_t i = 0; i < list->n; i++) {
        for (const char *p = list->items[i]; *p;) {
            size_t n = strcspn(p, ",");
            if (s->n_baselines == MAX_SYSTEMS || used + n + 1 > sizeof s->baseline_text)
                return cli_usage_error(c, "--baseline: more than %d", MAX_SYSTEMS);
            memcpy(s->baseline_text + used, p, n);
            s->baseline_text[used + n] = '\0';
            s->baselines[s->n_baselines++] = s->baseline_text + used;
            used += n + 1;
            p += n + (p[n] == ',');
        }
    }
    return CLI_OK;
}

/* ---- servers ---- */

int cli_eval_server(cli *c, cli_openai *out, const char *option, const char *url, const cli_server_opts *opts) {
    const char *key = opts->key_env ? getenv(opts->key_env) : NULL;
    if (!cli_openai_open(out, url)) return cli_usage_error(c, "--%s: '%s' is no http:// or https:// address", option, url);
    if (opts->key_env && (key == NULL || *key == '\0')) return cli_usage_error(c, "--key-env: the variable '%s' is not set", opts->key_env);
    out->http.bearer = key;
    out->http.seconds = opts->timeout;
    out->http.attempts = (int)opts->attempts;
    return CLI_OK;
}

int cli_eval_scorer(cli *c, const char **file, const lcm_eval_scorer **remote, cli_scorer *room, const char *model,
                    const cli_server_opts *opts) {
    cli_openai *server = &room->server;
    int code;
    if (*file == NULL || strstr(*file, "://") == NULL)
        return model ? cli_usage_error(c, "--scorer-model: --scorer names no address") : CLI_OK;
    code = cli_eval_server(c, server, "scorer", *file, opts);
    if (code) return code;
    if (server->chat) return cli_usage_error(c, "--scorer: '%s': a chat does not tell how likely a given text is", *file);
    server->model = model;
    room->scorer = (lcm_eval_scorer){.url = server->url, .model = server->served, .score = cli_openai_score, .user = server};
    *remote = &room->scorer;
    *file = NULL;
    return CLI_OK;
}

static int open_server(cli *c, cli_openai *out, const options *opts, const pair *p, const char *option, const pair *model_names, size_t n) {
    int code = cli_eval_server(c, out, option, p->value, &opts->server);
    for (size_t i = 0; i < n; i++)
        if (strcmp(model_names[i].name, p->name) == 0) out->model = model_names[i].value;
    return code;
}

static int open_judge(cli *c, systems *s, size_t i, const options *opts, const pair *prompts) {
    size_t len;
    for (size_t k = 0; k < opts->judge_prompts.n; k++) {
        if (strcmp(prompts[k].name, s->judges[i].name) != 0) continue;
        s->judge[i] = (lcm_eval_judge){.name = s->judges[i].name, .lo = opts->judge_low, .hi = opts->judge_high,
                                       .complete = cli_openai_complete, .user = &s->judging[i]};
        int code = cli_read_file(c, prompts[k].value, &s->prompts[i], &len);
        s->judge[i].prompt = s->prompts[i];
        return code;
    }
    return cli_usage_error(c, "--judge: '%s' has no --judge-prompt", s->judges[i].name);
}

static int open_systems(cli *c, systems *s, options *opts) {
    pair served[MAX_SYSTEMS], prompts[MAX_SYSTEMS];
    int code = split_all(c, s->models, "model", &opts->models, true);
    if (code == CLI_OK) code = split_all(c, s->urls, "url", &opts->urls, false);
    if (code == CLI_OK) code = split_all(c, s->judges, "judge", &opts->judges, false);
    if (code == CLI_OK) code = split_all(c, served, "url-model", &opts->url_models, false);
    if (code == CLI_OK) code = split_all(c, prompts, "judge-prompt", &opts->judge_prompts, false);
    if (code == CLI_OK) code = split_baselines(c, s, &opts->baselines);
    for (size_t i = 0; code == CLI_OK && i < opts->models.n; i++)
        s->model[i] = (lcm_eval_model){.name = s->models[i].name, .path = s->models[i].value};
    for (size_t i = 0; code == CLI_OK && i < opts->urls.n; i++) {
        code = open_server(c, &s->served[i], opts, &s->urls[i], "url", served, opts->url_models.n);
        s->remote[i] = (lcm_eval_remote){.name = s->urls[i].name, .complete = cli_openai_complete, .user = &s->served[i]};
    }
    for (size_t i = 0; code == CLI_OK && i < opts->judges.n; i++) {
        code = open_server(c, &s->judging[i], opts, &s->judges[i], "judge", served, opts->url_models.n);
        if (code == CLI_OK) code = open_judge(c, s, i, opts, prompts);
    }
    return code;
}

/* ---- output ---- */

static void print_share(cli *c, const json_t *facts, const char *key, const char *what) {
    cli_print(c, " %.1f %% %s", 100 * json_number_value(json_object_get(facts, key)), what);
}

/* Scores of learned metrics never stand without how good these are. */
static void print_learned(cli *c, const json_t *facts) {
    const json_t *coherence = json_object_get(json_object_get(facts, "coherence"), "held_out"), *fluency = json_object_get(facts, "fluency");
    if (coherence) {
        cli_print(c, "\ncoherence: our discriminator; of %lld held-out documents it knows", (long long)json_integer_value(json_object_get(coherence, "documents")));
        print_share(c, coherence, "shuffled_accuracy", "from their shuffled selves,");
        print_share(c, coherence, "foreign_accuracy", "from those with a foreign second half\n");
    }
    if (fluency) {
        cli_print(c, "\nfluency: our calibration; of %lld held-out pairs it knows", (long long)json_integer_value(json_object_get(fluency, "held_out_pairs")));
        print_share(c, fluency, "pair_accuracy", "by likelihood, and puts");
        print_share(c, fluency, "sentence_accuracy", "of the sentences on the right side\n");
    }
}

static int finish(cli *c, char *text, char *report, size_t n_failed, const options *opts) {
    json_t *root = json_loads(text, 0, NULL), *failed = json_object_get(json_object_get(root, "facts"), "failed"), *why;
    const char *name;
    int code = CLI_OK;
    lcm_free(text);
    json_object_foreach(failed, name, why) cli_error(c, "%s: left out: %s", name, json_string_value(why));
    if (root && !opts->as_json) {
        cli_write(c, report, strlen(report)); /* made harmless when it was written */
        print_learned(c, json_object_get(root, "facts"));
        json_decref(root);
    } else code = cli_print_json(c, root, 2);
    lcm_free(report);
    if (opts->o.out) cli_note(c, "results are in %s", opts->o.out);
    return code == CLI_OK && n_failed ? CLI_FAILED : code;
}

static int run(cli *c, options *opts, systems *s) {
    lcm_eval_run_opts *o = &opts->o;
    cli_numbers seeds;
    char *text = NULL, *report = NULL;
    size_t n_failed;
    lcm_status st;
    int code = cli_eval_seeds(c, &seeds, opts->seeds, &o->seeds, &o->n_seeds);
    if (code == CLI_OK && !(opts->judge_low < opts->judge_high)) code = cli_usage_error(c, "--judge-range: the lowest mark is not below the highest");
    if (code == CLI_OK) code = open_systems(c, s, opts);
    if (code == CLI_OK) code = cli_eval_scorer(c, &o->scorer, &o->remote_scorer, &s->scorer, opts->scorer_model, &opts->server);
    if (code) return code;
    o->task = c->args[0];
    o->data = opts->data.items;
    o->n_data = opts->data.n;
    o->models = s->model;
    o->n_models = opts->models.n;
    o->baselines = s->baselines;
    o->n_baselines = s->n_baselines;
    o->remotes = s->remote;
    o->n_remotes = opts->urls.n;
    o->judges = s->judge;
    o->n_judges = opts->judges.n;
    st = lcm_eval_run(c->ctx, &text, &report, &n_failed, o);
    return st ? cli_status(c, st) : finish(c, text, report, n_failed, opts);
}

int cli_eval_run(cli *c, int argc, char **argv) {
    options opts = {.o = lcm_eval_run_defaults(), .seeds = "1", .server = CLI_SERVER_DEFAULTS, .judge_low = 0, .judge_high = 5};
    const cli_option table[] = {
        CLI_LIST("model", 'm', &opts.models, "[NAME=]PATH", "bundle; may be repeated, as may all that name systems"),
        CLI_LIST("baseline", 'b', &opts.baselines, "NAME,…", "copy-last, lead-K, mean, nearest; next: truth, too"),
        CLI_LIST("url", 0, &opts.urls, "NAME=URL", "language model behind an OpenAI-compatible address"),
        CLI_LIST("url-model", 0, &opts.url_models, "NAME=ID", "what the server of that --url or --judge calls its model"),
        CLI_LIST("judge", 0, &opts.judges, "NAME=URL", "language model that marks what was written"),
        CLI_LIST("judge-prompt", 0, &opts.judge_prompts, "NAME=FILE", "its prompt, with {context} and {text}"),
        CLI_REAL("judge-low", 0, &opts.judge_low, -1e9, 1e9, "lowest mark"),
        CLI_REAL("judge-high", 0, &opts.judge_high, -1e9, 1e9, "highest mark"),
        CLI_ROWS_SERVER(opts.server),
        CLI_LIST("data", 0, &opts.data, "FILE", "in place of the data that the task names; may be repeated"),
        CLI_STRING("sonar", 0, &opts.o.sonar, "FILE", "autoencoder of baselines and measures, if not the first model's"),
        CLI_STRING("train-store", 0, &opts.o.train_store, "DIR", "what the baselines mean and nearest learn from"),
        CLI_STRING("coherence", 0, &opts.o.coherence, "FILE", "discriminator for the metric coherence"),
        CLI_STRING("fluency", 0, &opts.o.fluency, "FILE", "calibration for the metric fluency (lcm eval fluency)"),
        CLI_ROWS_SCORER(opts.o.scorer, opts.scorer_model),
        CLI_STRING("seeds", 0, &opts.seeds, "N,N", "one evaluation each, of systems that draw"),
        CLI_INT("max-documents", 'n', &opts.o.max_documents, 0, 1e9, "the first so many; 0: as the task says"),
        CLI_STRING("out", 'o', &opts.o.out, "DIR", "folder for results, reports and texts"),
        CLI_FLAG("json", 0, &opts.as_json, "print all results as JSON instead of Markdown"),
        CLI_END,
    };
    systems *s = calloc(1, sizeof *s);
    int code;
    if (s == NULL) {
        cli_error(c, "out of memory");
        return CLI_NO_MEMORY;
    }
    code = cli_parse(c, argc, argv, table) ? run(c, &opts, s) : c->exit_code;
    for (size_t i = 0; i < MAX_SYSTEMS; i++) free(s->prompts[i]);
    free(s);
    cli_list_free(&opts.models);
    cli_list_free(&opts.baselines);
    cli_list_free(&opts.data);
    cli_list_free(&opts.urls);
    cli_list_free(&opts.url_models);
    cli_list_free(&opts.judges);
    cli_list_free(&opts.judge_prompts);
    return code;
}

int cli_eval_fluency(cli *c, int argc, char **argv) {
    const char *model = NULL, *out = NULL;
    int64_t max_pairs = 0;
    char *report = NULL;
    const cli_option table[] = {
        CLI_STRING("model", 'm', &model, "FILE", "token model, a file of kind llama"),
        CLI_STRING("out", 'o', &out, "FILE", "calibration to write"),
        CLI_INT("max-pairs", 'n', &max_pairs, 0, 1e9, "about so many, evenly spread; 0: all"),
        CLI_END,
    };
    lcm_status st;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (model == NULL || out == NULL) return cli_usage_error(c, "--%s is missing", model ? "out" : "model");
    st = lcm_eval_fluency(c->ctx, &report, model, c->args[0], max_pairs, out);
    if (st) return cli_status(c, st);
    cli_print(c, "%s\n", report);
    lcm_free(report);
    return CLI_OK;
}
