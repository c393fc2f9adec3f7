/* lcm eval TASK: measure models; one row per task in the table below. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_eval.h"
#include "commands.h"
#include "lcm/eval.h"
#include "lcm/train.h"

/* ---- lists of numbers ---- */

/* "1,2,3"; an exit code after saying what is wrong. whole: integers only. */
static int parse_numbers(cli *c, cli_numbers *out, const char *option, const char *text, double lo, double hi, bool whole) {
    const char *s = text;
    for (out->n = 0; out->n < CLI_MAX_LIST;) {
        char *end;
        double v = strtod(s, &end);
        if (end == s || !(v >= lo && v <= hi) || (whole && v != (double)(int64_t)v) || (*end && *end != ','))
            return cli_usage_error(c, "--%s: '%s' is not a list of %snumbers in %g … %g with commas between", option, text,
                                   whole ? "whole " : "", lo, hi);
        out->i[out->n] = (int64_t)v;
        out->x[out->n++] = v;
        if (*end == '\0') return CLI_OK;
        s = end + 1;
    }
    return cli_usage_error(c, "--%s: more than %d numbers", option, CLI_MAX_LIST);
}

/* ---- reports as Markdown ---- */

static bool is_table(const json_t *v) { return json_is_array(v) && json_is_object(json_array_get(v, 0)); }

static void print_value(cli *c, const json_t *v) {
    const json_t *mean = json_object_get(v, "mean"), *sd = json_object_get(v, "sd"), *low = json_object_get(v, "low");
    const char *key;
    json_t *item;
    size_t i = 0;
    if (json_is_integer(v)) cli_print(c, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v)) cli_print(c, "%.4g", json_real_value(v));
    else if (json_is_string(v)) cli_print_text(c, json_string_value(v));
    else if (json_is_boolean(v)) cli_print(c, json_is_true(v) ? "yes" : "no");
    else if (mean && sd) cli_print(c, "%.4g ± %.2g", json_number_value(mean), json_number_value(sd));
    else if (mean && low)
        cli_print(c, "%.4g [%.4g, %.4g]", json_number_value(mean), json_number_value(low),
                  json_number_value(json_object_get(v, "high")));
    else if (json_is_array(v)) {
        for (; i < json_array_size(v); i++) {
            cli_print(c, i ? ", " : "");
            print_value(c, json_array_get(v, i));
        }
    } else if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, item) {
            cli_print(c, "%s%s ", i++ ? ", " : "", key);
            print_value(c, item);
        }
    } else cli_print(c, "–");
}

static void print_table(cli *c, const json_t *rows) {
    json_t *first = json_array_get(rows, 0), *row, *value;
    const char *key;
    size_t i;
    cli_print(c, "|");
    json_object_foreach(first, key, value) cli_print(c, " %s |", key);
    cli_print(c, "\n|");
    json_object_foreach(first, key, value) cli_print(c, json_is_string(value) ? "---|" : "---:|");
    cli_print(c, "\n");
    json_array_foreach(rows, i, row) {
        cli_print(c, "|");
        json_object_foreach(first, key, value) {
            cli_print(c, " ");
            print_value(c, json_object_get(row, key));
            cli_print(c, " |");
        }
        cli_print(c, "\n");
    }
}

/* "stories" of a report: the prompt as a quotation, then what the model wrote. */
static void print_stories(cli *c, const json_t *stories) {
    static const char *const parts[] = {"prompt", "continuation"};
    json_t *story, *sentence;
    size_t i, k;
    json_array_foreach((json_t *)(uintptr_t)stories, i, story) {
        cli_print(c, "\n### Story %lld, ", (long long)json_integer_value(json_object_get(story, "story")));
        cli_print_text(c, json_string_value(json_object_get(story, "file")));
        cli_print(c, ", seed %lld\n", (long long)json_integer_value(json_object_get(story, "seed")));
        for (int p = 0; p < 2; p++) {
            cli_print(c, p ? "\n" : "\n> ");
            json_array_foreach(json_object_get(story, parts[p]), k, sentence) {
                cli_print(c, k ? " " : "");
                cli_print_text(c, json_string_value(sentence));
            }
            cli_print(c, "\n");
        }
    }
}

/* Facts as a list, then every array of objects as a table. */
static int print_report(cli *c, char *text, bool as_json) {
    json_t *root = json_loads(text, 0, NULL), *v;
    const char *key;
    lcm_free(text);
    if (root == NULL || as_json) return cli_print_json(c, root, 2);
    json_object_foreach(root, key, v) {
        if (is_table(v) || (json_is_array(v) && json_array_size(v) == 0)) continue;
        cli_print(c, "- %s: ", key);
        print_value(c, v);
        cli_print(c, "\n");
    }
    json_object_foreach(root, key, v) {
        if (!is_table(v) || strcmp(key, "stories") == 0) continue;
        cli_print(c, "\n");
        if (strcmp(key, "rows") != 0) cli_print(c, "%s\n\n", key);
        print_table(c, v);
    }
    print_stories(c, json_object_get(root, "stories"));
    json_decref(root);
    return CLI_OK;
}

static int finish(cli *c, lcm_status st, char *report, bool as_json) {
    return st ? cli_status(c, st) : print_report(c, report, as_json);
}

/* ---- what tasks have in common ---- */

#define ROW_SONAR(o) CLI_STRING("sonar", 0, &(o).sonar, "FILE", "autoencoder")
#define ROW_MAX_CONCEPTS(o) CLI_INT("max-concepts", 0, &(o).max_concepts, 0, 1e12, "the store's first so many; 0: all")
#define ROW_BEAM(o) CLI_INT("beam", 0, &(o).beam, 1, 64, "beam size")
#define ROW_NOISE_SEED(o) CLI_INT("seed", 0, &(o).seed, 0, 9e15, "seed of the noise")
#define ROW_SEEDS(text) CLI_STRING("seeds", 0, &(text), "N,N", "of the noise")
#define ROW_JSON(flag) CLI_FLAG("json", 0, &(flag), "JSON instead of Markdown")

/* The levels take the place of the defaults where the option was given. */
static int take_noise(cli *c, cli_numbers *list, const char *text, const double **noise, size_t *n) {
    int code = text ? parse_numbers(c, list, "noise", text, 0, 1, false) : CLI_OK;
    if (code || text == NULL) return code;
    *noise = list->x;
    *n = list->n;
    return CLI_OK;
}

int cli_eval_seeds(cli *c, cli_numbers *list, const char *text, const int64_t **seeds, size_t *n) {
    int code = parse_numbers(c, list, "seeds", text, 0, 9e15, true);
    *seeds = list->i;
    *n = list->n;
    return code;
}

/* ---- reconstruct ---- */

static int run_reconstruct(cli *c, int argc, char **argv) {
    lcm_eval_reconstruct_opts o = lcm_eval_reconstruct_defaults();
    const char *noise = "0";
    cli_numbers levels;
    bool as_json = false;
    char *report = NULL;
    const cli_option table[] = {
        ROW_SONAR(o),
        CLI_STRING("noise", 0, &noise, "A,A", "noise levels, 0 … 1"),
        CLI_INT("max-tokens", 0, &o.max_tokens, 0, 1e6, "leave out longer sentences; 0: none"),
        CLI_INT("max-sentences", 0, &o.max_sentences, 0, 1e9, "the first so many; 0: all"),
        CLI_FLAG("presegmented", 0, &o.presegmented, "every line is one sentence"),
        CLI_STRING("lang", 0, &o.lang, "CODE", "language of the text; without: English, the model's default"),
        ROW_BEAM(o),
        CLI_FLAG("likeliest", 0, &o.likeliest, "take the likeliest hypothesis, not the one that encodes to the nearest vector"),
        ROW_NOISE_SEED(o),
        ROW_JSON(as_json),
        CLI_END,
    };
    lcm_status st;
    int code;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.sonar == NULL) return cli_usage_error(c, "--sonar is missing");
    code = take_noise(c, &levels, noise, &o.noise, &o.n_noise);
    if (code) return code;
    o.inputs = (const char *const *)c->args;
    o.n_inputs = (size_t)c->n_args;
    st = lcm_eval_reconstruct(c->ctx, &report, &o);
    return finish(c, st, report, as_json);
}

/* ---- fragility ---- */

static int run_fragility(cli *c, int argc, char **argv) {
    lcm_eval_fragility_opts o = lcm_eval_fragility_defaults();
    const char *noise = NULL;
    cli_numbers levels;
    bool as_json = false;
    char *report = NULL;
    const cli_option table[] = {
        CLI_STRING("store", 0, &o.store, "DIR", "concept store"),
        CLI_STRING("sonar", 0, &o.sonar, "FILE", "autoencoder of the store"),
        CLI_STRING("lcm", 0, &o.model, "FILE", "concept model whose normaliser scales the noise; without: fitted"),
        CLI_STRING("judge", 0, &o.judge, "FILE", "another autoencoder: cosine in its space instead of BLEU"),
        CLI_STRING("noise", 0, &noise, "A,A", "noise levels, 0 … 1; without: 0.1 to 0.9"),
        CLI_INT("draws", 0, &o.draws, 1, 1e6, "of noise at each level"),
        ROW_MAX_CONCEPTS(o),
        ROW_BEAM(o),
        ROW_NOISE_SEED(o),
        CLI_FLAG("write", 0, &o.write, "keep it in the store, for criterion.fragility of training"),
        ROW_JSON(as_json),
        CLI_END,
    };
    lcm_status st;
    int code;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.store == NULL || o.sonar == NULL) return cli_usage_error(c, "--store and --sonar are needed");
    if (o.write && o.max_concepts) return cli_usage_error(c, "--write keeps all concepts: without --max-concepts");
    code = take_noise(c, &levels, noise, &o.noise, &o.n_noise);
    if (code) return code;
    st = lcm_eval_fragility(c->ctx, &report, &o);
    return finish(c, st, report, as_json);
}

/* ---- rvq ---- */

static int run_rvq(cli *c, int argc, char **argv) {
    lcm_eval_rvq_opts o = lcm_eval_rvq_defaults();
    const char *list = NULL;
    cli_numbers counts;
    bool as_json = false;
    char *report = NULL;
    const cli_option table[] = {
        CLI_STRING("rvq", 0, &o.rvq, "FILE", "codebooks"),
        CLI_STRING("store", 0, &o.store, "DIR", "concept store to quantise"),
        CLI_STRING("sonar", 0, &o.sonar, "FILE", "autoencoder of the store: also decode"),
        CLI_STRING("codebooks", 0, &list, "K,K", "numbers of codebooks (default: 1,2,4,… and all)"),
        ROW_MAX_CONCEPTS(o),
        CLI_INT("max-sentences", 0, &o.max_sentences, 1, 1e9, "sentences decoded"),
        ROW_BEAM(o),
        CLI_STRING("curve", 0, &o.curve, "FILE.svg", "also draw error and BLEU"),
        ROW_JSON(as_json),
        CLI_END,
    };
    lcm_status st;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.rvq == NULL || o.store == NULL) return cli_usage_error(c, "--rvq and --store are needed");
    if (list) {
        int code = parse_numbers(c, &counts, "codebooks", list, 1, 4096, true);
        if (code) return code;
        o.counts = counts.i;
        o.n_counts = counts.n;
    }
    st = lcm_eval_rvq(c->ctx, &report, &o);
    return finish(c, st, report, as_json);
}

/* ---- xsim ---- */

static int run_xsim(cli *c, int argc, char **argv) {
    static const char *const margins[] = {"ratio", "distance", "absolute", NULL};
    lcm_eval_xsim_opts o = lcm_eval_xsim_defaults();
    bool as_json = false;
    char *report = NULL;
    const cli_option table[] = {
        ROW_SONAR(o),
        CLI_STRING("source", 0, &o.source, "FILE", "sentences, one per line: .txt or .jsonl (.zst allowed)"),
        CLI_STRING("target", 0, &o.target, "FILE", "their translations, line by line"),
        CLI_STRING("extra", 0, &o.extra, "FILE", "more candidates, such as perturbed translations: xsim++"),
        CLI_STRING("source-key", 0, &o.source_key, "KEY", "of JSON lines; without: text"),
        CLI_STRING("target-key", 0, &o.target_key, "KEY", "of JSON lines; without: text"),
        CLI_STRING("source-lang", 0, &o.source_lang, "CODE", "language of the sentences; without: the model's default"),
        CLI_STRING("target-lang", 0, &o.target_lang, "CODE", "language of the translations"),
        CLI_ENUM("margin", 0, &o.margin, margins, "WHAT", "score of a candidate: cosine over, less, or without the mean of the neighbours'"),
        CLI_INT("k", 'k', &o.k, 1, LCM_EVAL_MAX_NEIGHBOURS, "neighbours"),
        ROW_JSON(as_json),
        CLI_END,
    };
    lcm_status st;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.sonar == NULL || o.source == NULL || o.target == NULL) return cli_usage_error(c, "--sonar, --source and --target are needed");
    st = lcm_eval_xsim(c->ctx, &report, &o);
    return finish(c, st, report, as_json);
}

/* ---- translate ---- */

static int run_translate(cli *c, int argc, char **argv) {
    lcm_eval_translate_opts o = lcm_eval_translate_defaults();
    bool as_json = false;
    char *report = NULL;
    const cli_option table[] = {
        ROW_SONAR(o),
        CLI_STRING("source", 0, &o.source, "FILE", "sentences, one per line: .txt or .jsonl (.zst allowed)"),
        CLI_STRING("target", 0, &o.target, "FILE", "their translations, line by line"),
        CLI_STRING("source-key", 0, &o.source_key, "KEY", "of JSON lines; without: text"),
        CLI_STRING("target-key", 0, &o.target_key, "KEY", "of JSON lines; without: text"),
        CLI_STRING("source-lang", 0, &o.source_lang, "CODE", "language of the sentences; without: the model's default"),
        CLI_STRING("target-lang", 0, &o.target_lang, "CODE", "language of the translations"),
        CLI_INT("beam", 'b', &o.beam, 1, 64, "hypotheses per sentence, 1 is greedy"),
        ROW_JSON(as_json),
        CLI_END,
    };
    lcm_status st;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (o.sonar == NULL || o.source == NULL || o.target == NULL) return cli_usage_error(c, "--sonar, --source and --target are needed");
    st = lcm_eval_translate(c->ctx, &report, &o);
    return finish(c, st, report, as_json);
}

/* ---- next, stories ---- */

enum { N_SAMPLING = 13 };

/* Options of every task that runs concept models. */
static void sampling_options(cli_option *rows, lcm_generation *g) {
    const cli_option all[N_SAMPLING] = {
        CLI_INT("steps", 0, &g->steps, 1, 100000, "noise levels visited (diffusion)"),
        CLI_REAL("guidance", 0, &g->guidance_scale, 0, 100, "guidance scale; 1: off"),
        CLI_REAL("rescale", 0, &g->guidance_rescale, 0, 1, "rescaling of guided predictions"),
        CLI_REAL("sigma", 0, &g->initial_noise_scale, 0, 100, "standard deviation of the first noise"),
        CLI_INT("candidates", 0, &g->candidates, 1, 64, "concepts drawn for each sentence, to choose from (stories)"),
        CLI_REAL("min-score", 0, &g->min_score, -100, 0, "take the first candidate of this score; 0: the best of all (stories)"),
        CLI_REAL("final-noise", 0, &g->final_noise, 0, 0.9, "share of noise left for the decoder (stories)"),
        CLI_REAL("temperature", 0, &g->temperature, 0, 100, "noise on predictions (base); of the choice of units (quant)"),
        CLI_INT("top-k", 0, &g->top_k, 0, 1048576, "choose among so many units; 0: all (quant)"),
        CLI_REAL("top-p", 0, &g->top_p, 0, 1, "choose among the units that hold this probability; 0: all (quant)"),
        CLI_INT("beam", 0, &g->beam, 1, 64, "beam size of the decoder"),
        CLI_REAL("decoder-temperature", 0, &g->decoder_temperature, 0, 100, "draw words at this temperature; 0: beam search (stories)"),
        CLI_REAL("decoder-top-p", 0, &g->decoder_top_p, 0, 1, "draw them from the least set of this probability; 1: all (stories)"),
    };
    memcpy(rows, all, sizeof all);
}

static int next(cli *c, lcm_eval_next_opts *o, const cli_list *models, const char *seed_text, bool as_json) {
    cli_numbers seeds;
    char *report = NULL;
    lcm_status st;
    int code = cli_eval_seeds(c, &seeds, seed_text, &o->seeds, &o->n_seeds);
    if (code) return code;
    if (o->sonar == NULL) return cli_usage_error(c, "--sonar is missing");
    if (o->store == NULL && o->cloze == NULL) return cli_usage_error(c, "--store or --cloze is needed");
    o->models = models->items;
    o->n_models = models->n;
    st = lcm_eval_next(c->ctx, &report, o);
    return finish(c, st, report, as_json);
}

static int run_next(cli *c, int argc, char **argv) {
    enum { OWN = 13 + CLI_SERVER_ROWS };
    lcm_eval_next_opts o = lcm_eval_next_defaults();
    const char *seeds = "1", *scorer_model = NULL;
    cli_server_opts server = CLI_SERVER_DEFAULTS;
    cli_scorer scorer;
    cli_list models = {0};
    bool as_json = false;
    cli_option table[OWN + N_SAMPLING + 1] = {
        ROW_SONAR(o),
        CLI_STRING("store", 0, &o.store, "DIR", "concept store to predict"),
        CLI_STRING("cloze", 0, &o.cloze, "FILE", "story cloze items, .jsonl or .jsonl.zst"),
        CLI_LIST("lcm", 0, &models, "FILE", "concept model; may be repeated"),
        CLI_STRING("train-store", 0, &o.train_store, "DIR", "what the baselines mean and nearest learn from"),
        CLI_ROWS_SCORER(o.scorer, scorer_model),
        CLI_ROWS_SERVER(server),
        ROW_SEEDS(seeds),
        CLI_INT("max-docs", 0, &o.max_docs, 0, 1e9, "the store's first so many documents; 0: all"),
        CLI_INT("max-len", 0, &o.max_len, 2, 1e6, "longer documents are wrapped"),
        CLI_INT("batch", 0, &o.batch_docs, 1, 1e6, "chunks per batch of the contrastive accuracy"),
        CLI_INT("round-trips", 0, &o.round_trips, 0, 1e9, "predictions decoded and encoded again; 0: all"),
        ROW_JSON(as_json),
    };
    int code;
    sampling_options(table + OWN, &o.generation);
    if (!cli_parse(c, argc, argv, table)) code = c->exit_code;
    else {
        code = cli_eval_scorer(c, &o.scorer, &o.remote_scorer, &scorer, scorer_model, &server);
        if (code == CLI_OK) code = next(c, &o, &models, seeds, as_json);
    }
    cli_list_free(&models);
    return code;
}

/* What `lcm eval stories` collects beside the library's options. */
typedef struct story_options {
    lcm_eval_stories_opts o;
    const char *path, *seeds;
    cli_list models, vocab;
    bool as_json;
    lcm_bundle *bundle;
} story_options;

/* Files and settings of the bundle, where the command line names nothing else. */
static lcm_status apply_bundle(cli *c, story_options *s) {
    lcm_eval_stories_opts *o = &s->o;
    const lcm_bundle_info *info;
    int64_t concepts = o->generation.concepts;
    lcm_status st = lcm_bundle_open(c->ctx, &s->bundle, s->path, LCM_LOAD_ENCODER);
    if (st) return st;
    info = lcm_bundle_get_info(s->bundle);
    o->sonar = info->sonar;
    o->decoder = info->decoder;
    o->lang = info->lang;
    o->end_of_text = info->end_of_text;
    o->generation = info->generation;
    o->generation.concepts = concepts;
    return LCM_OK;
}

static int stories(cli *c, story_options *s) {
    lcm_eval_stories_opts *o = &s->o;
    const char *lcm = s->bundle ? lcm_bundle_get_info(s->bundle)->lcm : NULL;
    cli_numbers seeds;
    char *report = NULL;
    lcm_status st;
    int code = cli_eval_seeds(c, &seeds, s->seeds, &o->seeds, &o->n_seeds);
    if (code) return code;
    if (o->sonar == NULL) return cli_usage_error(c, "--model or --sonar is missing");
    o->models = lcm ? &lcm : s->models.items;
    o->n_models = lcm ? 1 : s->models.n;
    o->prompts = (const char *const *)c->args;
    o->n_prompts = (size_t)c->n_args;
    o->vocab = s->vocab.items;
    o->n_vocab = s->vocab.n;
    st = lcm_eval_stories(c->ctx, &report, o);
    return finish(c, st, report, s->as_json);
}

static bool parse_stories(cli *c, int argc, char **argv, story_options *s) {
    enum { OWN = 15 };
    static const char *const feedback_names[] = {"vector", "text", NULL};
    lcm_generation *g = &s->o.generation;
    cli_option table[OWN + N_SAMPLING + 1] = {
        CLI_STRING("model", 'm', &s->path, "FOLDER", "bundle: both models, and how to generate"),
        ROW_SONAR(s->o),
        CLI_LIST("lcm", 0, &s->models, "FILE", "concept model; may be repeated"),
        CLI_LIST("vocab-from", 0, &s->vocab, "INPUT", "text whose words are the known ones; may be repeated"),
        CLI_INT("n", 'n', &s->o.stories, 1, 1e6, "stories"),
        CLI_INT("given", 0, &s->o.given, 1, 1e4, "sentences given"),
        CLI_INT("concepts", 0, &g->concepts, 1, 1e4, "sentences to write at most"),
        ROW_SEEDS(s->seeds),
        CLI_ENUM("feedback", 0, &g->feedback, feedback_names, "WHAT", "what the model reads back"),
        CLI_REAL("eos", 0, &g->eos_threshold, -1, 2, "end at this cosine with the end of text; 2: never"),
        CLI_REAL("repetition", 0, &g->repetition_threshold, 0, 2, "end at this cosine with the concept before; 0: never"),
        CLI_STRING("end-of-text", 0, &s->o.end_of_text, "TEXT", "sentence that ends a text, if not the model's own"),
        CLI_STRING("lang", 0, &s->o.lang, "CODE", "language of the text"),
        CLI_INT("print", 0, &s->o.print, 0, 1e6, "stories of each model to print, unpicked"),
        ROW_JSON(s->as_json),
    };
    sampling_options(table + OWN, g);
    return cli_parse(c, argc, argv, table);
}

static int run_stories(cli *c, int argc, char **argv) {
    story_options s = {.o = lcm_eval_stories_defaults(), .seeds = "1"};
    int code;
    if (!parse_stories(c, argc, argv, &s)) code = c->exit_code;
    else if (s.path == NULL) code = stories(c, &s);
    else if (s.o.sonar || s.models.n) code = cli_usage_error(c, "--model brings both files: without --sonar and --lcm");
    else { /* what was given comes on top of the bundle: parse once more */
        story_options again = {.o = lcm_eval_stories_defaults(), .seeds = "1", .path = s.path};
        code = cli_status(c, apply_bundle(c, &again));
        if (code == CLI_OK) code = parse_stories(c, argc, argv, &again) ? stories(c, &again) : c->exit_code;
        lcm_bundle_close(again.bundle);
        cli_list_free(&again.models);
        cli_list_free(&again.vocab);
    }
    cli_list_free(&s.models);
    cli_list_free(&s.vocab);
    return code;
}

/* ---- result files ---- */

static int run_report(cli *c, int argc, char **argv) {
    bool html = false, as_json = false;
    const cli_option table[] = {
        CLI_FLAG("html", 0, &html, "one HTML page with plots instead of Markdown"),
        CLI_FLAG("json", 0, &as_json, "one result file instead of Markdown"),
        CLI_END,
    };
    char *text = NULL;
    lcm_status st;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if (html && as_json) return cli_usage_error(c, "--html and --json exclude each other");
    st = lcm_eval_report(c->ctx, &text, (const char *const *)c->args, (size_t)c->n_args,
                         html ? LCM_EVAL_HTML : as_json ? LCM_EVAL_RESULTS : LCM_EVAL_MARKDOWN);
    if (st == LCM_OK) cli_write(c, text, strlen(text));
    lcm_free(text);
    return cli_status(c, st);
}

static int run_compare(cli *c, int argc, char **argv) {
    const char *a = NULL, *b = NULL;
    bool as_json = false;
    const cli_option table[] = {
        CLI_STRING("a", 0, &a, "MODEL", "row of the first file"),
        CLI_STRING("b", 0, &b, "MODEL", "row of the second file"),
        ROW_JSON(as_json),
        CLI_END,
    };
    char *report = NULL;
    lcm_status st;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    if ((a == NULL) != (b == NULL)) return cli_usage_error(c, "--a and --b go together");
    st = lcm_eval_compare(c->ctx, &report, c->args[0], c->args[1], a, b);
    return finish(c, st, report, as_json);
}

/* ---- tasks ---- */

static const cli_command tasks[] = {
    {.name = "eval run", .help = "a task file: models, baselines, language models behind URLs", .args = "TASK.json", .min_args = 1,
     .max_args = 1, .run = cli_eval_run,
     .about = "Runs every system on the documents of a task (examples/tasks; docs/evaluation.md) and measures all alike.\n"
              "A server that fails is left out and named, with exit code 1; the other systems keep their rows."},
    {.name = "eval fluency", .help = "calibrate a token model to tell acceptable sentences", .args = "PAIRS", .min_args = 1, .max_args = 1,
     .run = cli_eval_fluency,
     .about = "Fits the metric 'fluency' of lcm eval run to minimal pairs such as BLiMP's (.jsonl, .jsonl.zst), and measures it on\n"
              "phenomena that were not fitted on."},
    {.name = "eval reconstruct", .help = "sentences through the autoencoder, clean and noised", .args = "INPUT…", .min_args = 1,
     .max_args = -1, .run = run_reconstruct,
     .about = "Cuts documents into sentences, encodes and decodes them: exact match, BLEU, chrF, distance."},
    {.name = "eval fragility", .help = "what is left of sentences when their concepts are noised", .args = "", .max_args = 0,
     .run = run_fragility,
     .about = "Decodes noised concepts of a store and scores what comes out, by noise level and by length; shows the\n"
              "most fragile sentences. --write keeps the scores, to weigh concepts with in training."},
    {.name = "eval xsim", .help = "translations found by similarity search", .args = "", .max_args = 0, .run = run_xsim,
     .about = "Share of sentences whose translation is not the one that similarity search finds, in both directions; with\n"
              "--extra also among more candidates."},
    {.name = "eval translate", .help = "translations against those of people", .args = "", .max_args = 0, .run = run_translate,
     .about = "Translates the lines of two files into each other's language: exact match, BLEU and chrF, beside those of\n"
              "the lines as they are, and of the line after the right one."},
    {.name = "eval rvq", .help = "concepts through a residual quantiser", .args = "", .max_args = 0, .run = run_rvq,
     .about = "Relative error, and with --sonar exact match, BLEU and chrF, against the number of codebooks."},
    {.name = "eval next", .help = "the next sentence predicted from the true ones before it", .args = "", .max_args = 0,
     .run = run_next,
     .about = "Measures concept models, and the baselines truth, copy-last, mean and nearest, on the documents of a\n"
              "store and on story cloze items."},
    {.name = "eval stories", .help = "documents continued, beside the real ones", .args = "INPUT…", .min_args = 1, .max_args = -1,
     .run = run_stories,
     .about = "Gives models the first sentences of documents and counts repetition, unknown words and distances in\n"
              "what they write. --print shows stories."},
    {.name = "eval report", .help = "result files as Markdown or HTML", .args = "FILE…", .min_args = 1, .max_args = -1,
     .run = run_report,
     .about = "Writes the tables of result files (JSON, schema lcm.eval/1) to standard output; with --html as one\n"
              "page with plots that needs nothing from elsewhere. Files of one task become one table, in which\n"
              "models of one name, kind and size are one row over the seeds of their training."},
    {.name = "eval compare", .help = "two result files: which differences are real", .args = "A B", .min_args = 2, .max_args = 2,
     .run = run_compare,
     .about = "Compares, document by document, the models of two result files: those named, else the only ones, else\n"
              "those of the same name. A difference is called real when p is below .05 after Holm's correction."},
};
enum { N_TASKS = sizeof tasks / sizeof *tasks };

static const char *task_name(const void *list, size_t i) {
    const cli_command *t = list;
    return i < N_TASKS ? t[i].name + strlen("eval ") : NULL;
}

static int run(cli *c, int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "", *near;
    if (argc < 2) return cli_usage_error(c, "no task given");
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        cli_print(c, "usage: lcm eval TASK [options] …\n\nMeasures models. Reports are Markdown, or JSON with --json.\n\ntasks:\n");
        for (size_t i = 0; i < N_TASKS; i++) cli_print(c, "  %-12s %s\n", task_name(tasks, i), tasks[i].help);
        return CLI_OK;
    }
    if (strcmp(word, "--compare") == 0) word += 2;
    for (size_t i = 0; i < N_TASKS; i++) {
        if (strcmp(word, task_name(tasks, i)) != 0) continue;
        c->command = &tasks[i];
        return tasks[i].run(c, argc - 1, argv + 1);
    }
    near = cli_suggest(word, task_name, tasks);
    if (near) return cli_usage_error(c, "unknown task '%s'; did you mean '%s'?", word, near);
    return cli_usage_error(c, "unknown task '%s'", word);
}

const cli_command cmd_eval = {.name = "eval", .help = "measure models, by task files or one by one", .args = "TASK …",
                              .min_args = 0, .max_args = -1, .run = run};
