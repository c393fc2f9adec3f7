/* lcm generate: continue a text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "lcm/session.h"

/* A value out of its option's range means: not given, as the bundle says. */
typedef struct options {
    const char *model, *file;
    int64_t concepts, seed, steps, beam, candidates, top_k;
    double guidance, rescale, sigma, min_score, final_noise, eos, repetition, temperature, top_p, decoder_temperature, decoder_top_p;
    int feedback;
    bool json;
} options;

static const char *const feedback_names[] = {"vector", "text", NULL};

static lcm_generation settle(const options *o, const lcm_generation *bundle) {
    lcm_generation g = *bundle;
    if (o->concepts > 0) g.concepts = o->concepts;
    if (o->seed >= 0) g.seed = o->seed;
    if (o->steps > 0) g.steps = o->steps;
    if (o->beam > 0) g.beam = o->beam;
    if (o->candidates > 0) g.candidates = o->candidates;
    if (o->min_score <= 0) g.min_score = o->min_score;
    if (o->guidance >= 0) g.guidance_scale = o->guidance;
    if (o->rescale >= 0) g.guidance_rescale = o->rescale;
    if (o->sigma >= 0) g.initial_noise_scale = o->sigma;
    if (o->final_noise >= 0) g.final_noise = o->final_noise;
    if (o->eos >= -1) g.eos_threshold = o->eos;
    if (o->repetition >= 0) g.repetition_threshold = o->repetition;
    if (o->temperature >= 0) g.temperature = o->temperature;
    if (o->top_k >= 0) g.top_k = o->top_k;
    if (o->top_p >= 0) g.top_p = o->top_p;
    if (o->decoder_temperature >= 0) g.decoder_temperature = o->decoder_temperature;
    if (o->decoder_top_p >= 0) g.decoder_top_p = o->decoder_top_p;
    if (o->feedback >= 0) g.feedback = o->feedback;
    return g;
}

/* ---- Output ---- */

typedef struct sink {
    cli *c;
    bool json;
    int code;
} sink;

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *concept_json(const lcm_concept *e) {
    return json_pack("{s:I, s:s, s:I, s:s, s:o, s:{s:o, s:o, s:o, s:o}, s:{s:o, s:o, s:o, s:o}}", "index", (json_int_t)e->index, "text",
                     e->text, "tokens", (json_int_t)e->tokens, "end", lcm_end_name(e->end), "score", number(e->score), "ms", "encode", number(e->encode_ms), "context",
                     number(e->context_ms), "denoise", number(e->denoise_ms), "decode", number(e->decode_ms), "distance",
                     "l2_previous", number(e->l2_previous), "cos_previous", number(e->cos_previous), "cos_end_of_text",
                     number(e->cos_end_of_text), "l2_round_trip", number(e->l2_round_trip));
}

static int on_concept(void *user, const lcm_concept *e) {
    sink *s = user;
    if (s->json) {
        s->code = cli_print_json(s->c, concept_json(e), 0);
    } else if (e->end == LCM_END_NONE) {
        cli_print_text(s->c, e->text);
        cli_print(s->c, "\n");
    }
    return cli_flush(s->c) && s->code == CLI_OK && !cli_interrupted();
}

static int finish(cli *c, const lcm_generated_text *t, const lcm_generation *g, bool json) {
    if (t->prompt_cut)
        cli_note(c, "%lld sentences of the prompt are longer than the encoder reads; their ends did not count",
                 (long long)t->prompt_cut);
    if (t->end == LCM_END_WINDOW)
        cli_note(c, "stopped after %lld sentences: the model reads no longer documents", (long long)t->concepts);
    if (t->concepts == 0)
        cli_note(c, t->end == LCM_END_OF_TEXT ? "the model ends the text here; another seed, or --eos 2, may go on"
                                              : "no sentence: the first concept repeats the prompt's last");
    if (!json) return CLI_OK;
    return cli_print_json(c, json_pack("{s:b, s:I, s:I, s:I, s:s, s:I, s:o, s:o, s:I, s:I}", "done", 1, "prompt_concepts",
                                       (json_int_t)t->prompt_concepts, "prompt_cut", (json_int_t)t->prompt_cut, "concepts",
                                       (json_int_t)t->concepts, "end", lcm_end_name(t->end), "seed", (json_int_t)g->seed,
                                       "first_ms", number(t->first_ms), "total_ms", number(t->total_ms), "prompt_tokens",
                                       (json_int_t)t->prompt_tokens, "tokens", (json_int_t)t->tokens), 0);
}

/* ---- Run ---- */

static int generate(cli *c, const options *o, const char *text, size_t len) {
    lcm_bundle *b = NULL;
    lcm_session *s = NULL;
    lcm_generation g;
    lcm_generated_text t;
    sink out = {.c = c, .json = o->json};
    lcm_status st = lcm_bundle_open(c->ctx, &b, o->model, LCM_LOAD_ENCODER | LCM_LOAD_DECODER | LCM_LOAD_MODEL);
    int code = CLI_OK;
    if (st == LCM_OK) st = lcm_session_new(c->ctx, &s, b);
    if (st == LCM_OK) {
        g = settle(o, &lcm_bundle_get_info(b)->generation);
        cli_catch_signals();
        st = lcm_session_generate(c->ctx, &t, s, text, len, &g, on_concept, &out);
    }
    if (st == LCM_ERR_CANCELLED && !cli_interrupted()) code = out.code; /* standard output failed: main reports */
    else if (st) code = cli_status(c, st);
    else code = finish(c, &t, &g, o->json);
    lcm_session_free(s);
    lcm_bundle_close(b);
    return code;
}

static int run(cli *c, int argc, char **argv) {
    options o = {.seed = -1, .min_score = 1, .guidance = -1, .rescale = -1, .sigma = -1, .final_noise = -1, .eos = -2, .repetition = -1, .temperature = -1, .feedback = -1,
                 .top_k = -1, .top_p = -1, .decoder_temperature = -1, .decoder_top_p = -1};
    const cli_option table[] = {
        CLI_STRING("model", 'm', &o.model, "PATH", "bundle, or file of a llama"),
        CLI_STRING("file", 'f', &o.file, "FILE", "read the prompt from a file"),
        CLI_INT("concepts", 'n', &o.concepts, 1, 1048576, "sentences at most"),
        CLI_INT("seed", 's', &o.seed, 0, 9e15, "of the noise; same seed, same text"),
        CLI_INT("steps", 0, &o.steps, 1, 100000, "denoising steps"),
        CLI_REAL("guidance", 'g', &o.guidance, 0, 100, "guidance scale; 1: off"),
        CLI_REAL("rescale", 'r', &o.rescale, 0, 1, "rescaling of guided predictions"),
        CLI_REAL("sigma-init", 0, &o.sigma, 0, 100, "standard deviation of the first noise"),
        CLI_INT("candidates", 0, &o.candidates, 1, 64, "concepts drawn for each sentence, to choose from"),
        CLI_REAL("min-score", 0, &o.min_score, -100, 0, "take the first candidate whose text the decoder gives this score; 0: the best of all"),
        CLI_REAL("final-noise", 0, &o.final_noise, 0, 0.9, "share of noise left for the decoder; needs --feedback text"),
        CLI_REAL("temperature", 0, &o.temperature, 0, 100, "noise on predictions (base); of the softmax, 0: the likeliest (llama, quant)"),
        CLI_INT("top-k", 0, &o.top_k, 0, 1e9, "draw from the likeliest tokens (llama) or units (quant); 0: all"),
        CLI_REAL("top-p", 0, &o.top_p, 0, 1, "draw from the least set of this probability (llama, quant); 1: all"),
        CLI_INT("beam", 'b', &o.beam, 1, 64, "hypotheses per sentence; 1 is greedy"),
        CLI_REAL("decoder-temperature", 0, &o.decoder_temperature, 0, 100, "draw the words of a sentence at this temperature; 0: beam search"),
        CLI_REAL("decoder-top-p", 0, &o.decoder_top_p, 0, 1, "draw them from the least set of this probability; 1: all"),
        CLI_ENUM("feedback", 0, &o.feedback, feedback_names, "WHAT", "read back the predicted vector, or its text encoded anew"),
        CLI_REAL("eos", 0, &o.eos, -1, 2, "end at this cosine with the end of text; 2: never"),
        CLI_REAL("repetition", 0, &o.repetition, 0, 2, "end at this cosine with the sentence before; 0: never"),
        CLI_FLAG("json", 'j', &o.json, "one object per concept with times and distances, then a summary"),
        CLI_END,
    };
    char *text = NULL;
    size_t len;
    const char *arg;
    int code = CLI_OK;
    if (!cli_parse(c, argc, argv, table)) return c->exit_code;
    arg = c->n_args ? c->args[0] : NULL;
    if (o.model == NULL) return cli_usage_error(c, "--model is missing");
    if (o.file && arg) return cli_usage_error(c, "a prompt and --file are one too many");
    if (arg && strcmp(arg, "-") != 0) return generate(c, &o, arg, strlen(arg));
    code = cli_read_file(c, o.file ? o.file : "-", &text, &len);
    if (code == CLI_OK) code = generate(c, &o, text, len);
    free(text);
    return code;
}

const cli_command cmd_generate = {
    .name = "generate",
    .help = "continue a text",
    .args = "[TEXT|-]",
    .max_args = 1,
    .about = "Continues a text sentence by sentence, each printed on a line as soon as it is there. Without TEXT the\n"
             "prompt is read from --file or standard input. What is not given is as the bundle says. Times of --json\n"
             "are in milliseconds.",
    .run = run,
};
