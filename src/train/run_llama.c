/* Training run of the token-level baseline: tokeniser and text in, model file out. */
#include "train/run_inputs.h"
#include "train/task_llama.h"

typedef struct config {
    char kind[32], init[1024], tokenizer[1024], key[64];
    lcm_llama_config model;
    lcm_task_llama_config task;
    lcm_trainer_config train;
} config;

static const lcm_field fields[] = {
    LCM_F_STRING(config, kind, "llama"),
    LCM_F_STRING(config, tokenizer, "SentencePiece model file (lcm tokenizer train)"),
    LCM_F_STRING(config, init, "llama model file to start from; brings its sizes and tokeniser"),
    LCM_F_STRING(config, key, "JSONL key of the text"),
    LCM_F_STRUCT(config, model, lcm_llama_config_fields, "sizes"),
    LCM_F_STRUCT(config, task, lcm_task_llama_fields, "batches"),
    LCM_F_STRUCT(config, train, lcm_trainer_fields, "optimisation"),
    LCM_F_END};

static void defaults(void *out) {
    config *c = out;
    *c = (config){.kind = "llama", .key = "text", .model = lcm_llama_config_default(), .task = lcm_task_llama_config_default(),
                  .train = lcm_trainer_config_default()};
    c->train.lr = lcm_run_lr(1e-3, 1e-6);
    c->train.adamw = (lcm_adamw_config){.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1};
    c->train.max_grad_norm = 1;
}

typedef struct state {
    lcm_llama_file file;
    lcm_corpus train, valid;
    lcm_task *task;
} state;

/* A whole document is one entry. */
static lcm_status read_corpus(lcm_ctx *ctx, lcm_corpus *out, const state *s, const config *c, const json_t *resolved,
                              const char *key) {
    lcm_corpus_opts o = {.presegmented = true, .max_pieces = INT64_MAX,
                         .docs = {.key = c->key, .max_doc = LCM_TOKENIZER_MAX_TEXT}};
    LCM_TRY(lcm_run_corpus(ctx, out, resolved, key, s->file.tok, &o));
    if (out->off == NULL) return LCM_OK;
    lcm_log(ctx, LCM_LOG_INFO, "%s: %lld documents, %lld tokens; left out: %lld of no token", key, (long long)out->n,
            (long long)out->off[out->n], (long long)out->n_empty);
    return LCM_OK;
}

static lcm_status prepare(lcm_ctx *ctx, state *s, config *c, const json_t *resolved) {
    if (c->init[0]) {
        LCM_TRY(lcm_llama_load(ctx, &s->file, c->init, true));
        s->file.model->config.dropout = c->model.dropout;
    } else {
        int32_t none;
        LCM_TRY(lcm_run_tokenizer(ctx, &s->file.tok, &none, c->tokenizer, ""));
        if (lcm_tokenizer_pieces(s->file.tok) > c->model.vocab_size)
            LCM_FAIL(ctx, LCM_ERR_SHAPE, "model.vocab_size %lld is less than the tokeniser's %d pieces",
                     (long long)c->model.vocab_size, lcm_tokenizer_pieces(s->file.tok));
        LCM_TRY(lcm_llama_new(ctx, &s->file.model, &c->model, true));
        lcm_params_init(&s->file.model->params, (uint64_t)c->train.seed);
    }
    LCM_TRY(read_corpus(ctx, &s->train, s, c, resolved, "data"));
    LCM_TRY(read_corpus(ctx, &s->valid, s, c, resolved, "valid"));
    lcm_log(ctx, LCM_LOG_INFO, "llama: %lld parameters", (long long)s->file.model->params.count);
    return lcm_task_llama_new(ctx, &s->task, &c->task, s->file.model, s->file.tok, &s->train, s->valid.n ? &s->valid : NULL,
                              (uint64_t)c->train.seed);
}

static lcm_status run(lcm_ctx *ctx, void *run_config, const json_t *resolved, lcm_run_hooks *hooks) {
    config *c = run_config;
    state s = {0};
    lcm_status st = prepare(ctx, &s, c, resolved);
    if (st == LCM_OK) st = lcm_run_task(ctx, &c->train, s.task, resolved, hooks);
    lcm_task_llama_free(s.task);
    lcm_corpus_free(&s.train);
    lcm_corpus_free(&s.valid);
    lcm_llama_file_close(&s.file);
    return st;
}

const lcm_run_kind lcm_run_llama = {.name = "llama", .help = "token-level baseline", .size = sizeof(config),
                                     .defaults = defaults, .fields = fields, .raw = lcm_run_text_lists, .run = run};
