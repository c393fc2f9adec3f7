/* Training run of the autoencoder: tokeniser and text in, model file out. */
#include "quant/rvq_map.h"
#include "train/run_inputs.h"
#include "train/task_sonar.h"

typedef struct config {
    char kind[32], init[1024], tokenizer[1024], langs[4096], segment_lang[32], rvq[1024];
    double rvq_cut_prob, rvq_cut_from;
    bool presegmented, parallel;
    lcm_sonar_config model;
    lcm_task_sonar_config task;
    lcm_trainer_config train;
} config;

static const lcm_field fields[] = {
    LCM_F_STRING(config, kind, "sonar"),
    LCM_F_STRING(config, tokenizer, "SentencePiece model file (lcm tokenizer train)"),
    LCM_F_STRING(config, langs, "languages, parted by spaces; empty: sequences carry no language token"),
    LCM_F_STRING(config, init, "model file to start from"),
    LCM_F_STRING(config, rvq, "codebook file that concepts pass before they are decoded; needs task.objective.freeze_encoder"),
    LCM_F_REAL(config, rvq_cut_prob, 0, 1, "share of sentences that pass the first codebooks only"),
    LCM_F_REAL(config, rvq_cut_from, 0, 1, "least part of the codebooks that is"),
    LCM_F_STRING(config, segment_lang, "language of the sentence segmenter"),
    LCM_F_BOOL(config, presegmented, "every document (line) is one sentence already"),
    LCM_F_BOOL(config, parallel, "data and valid are pairs to translate: JSON lines with src, src_lang, tgt, tgt_lang"),
    LCM_F_STRUCT(config, model, lcm_sonar_config_fields, "sizes"),
    LCM_F_STRUCT(config, task, lcm_task_sonar_fields, "batches and noise"),
    LCM_F_STRUCT(config, train, lcm_trainer_fields, "optimisation"),
    LCM_F_END};

static void defaults(void *out) {
    config *c = out;
    *c = (config){.kind = "sonar", .segment_lang = "en", .rvq_cut_prob = 0.3, .rvq_cut_from = 2.0 / 3, .model = lcm_sonar_config_default(),
                  .task = lcm_task_sonar_config_default(), .train = lcm_trainer_config_default()};
    c->train.lr = lcm_run_lr(1.5e-3, 1e-5);
    c->train.adamw = (lcm_adamw_config){.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01};
    c->train.max_grad_norm = 1;
}

typedef struct state {
    lcm_tokenizer *tok;
    int32_t lang;
    uint64_t space; /* to keep; 0 = new */
    lcm_sonar *model;
    lcm_run_sentences train, valid;
    lcm_rvq_file rvq;
    lcm_rvq_map map; /* of rvq */
    lcm_task *task;
} state;

static lcm_status read_data(lcm_ctx *ctx, lcm_run_sentences *out, const state *s, const config *c, const json_t *resolved,
                            const char *key) {
    lcm_corpus_opts o = {.lang = c->segment_lang, .presegmented = c->presegmented, .max_pieces = c->task.max_pieces};
    return lcm_run_sentences_read(ctx, out, resolved, key, s->tok, s->lang, &o, c->parallel);
}

/* Codes of a space that training moves would mean something else with every step. */
static lcm_status open_codebooks(lcm_ctx *ctx, state *s, config *c) {
    if (c->rvq[0] == '\0') return LCM_OK;
    if (c->init[0] == '\0' || !c->task.objective.freeze_encoder)
        LCM_FAIL(ctx, LCM_ERR_ARG, "config.rvq: needs a model to start from (init) and task.objective.freeze_encoder");
    LCM_TRY(lcm_rvq_load(ctx, &s->rvq, c->rvq));
    LCM_TRY(lcm_rvq_check_space(ctx, &s->rvq, c->rvq, s->space, c->init));
    if (s->rvq.rvq.config.dim != lcm_sonar_dim(&s->model->config))
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "'%s' is for concepts of %lld channels, the model's have %lld", c->rvq,
                 (long long)s->rvq.rvq.config.dim, (long long)lcm_sonar_dim(&s->model->config));
    s->map = lcm_rvq_map_make(&s->rvq, c->rvq_cut_prob, c->rvq_cut_from);
    c->task.objective.map = &s->map.map;
    return LCM_OK;
}

static lcm_status prepare(lcm_ctx *ctx, state *s, config *c, const json_t *resolved) {
    lcm_sonar_file f;
    if (c->init[0]) {
        LCM_TRY(lcm_sonar_load_model(ctx, &f, c->init, LCM_SONAR_BOTH, true));
        s->tok = f.tok;
        s->model = f.model;
        s->lang = f.lang;
        if (c->task.objective.freeze_encoder) s->space = f.space;
    } else {
        LCM_TRY(lcm_run_tokenizer(ctx, &s->tok, &s->lang, c->tokenizer, c->langs));
        if (lcm_tokenizer_size(s->tok) > c->model.vocab_size)
            LCM_FAIL(ctx, LCM_ERR_SHAPE, "model.vocab_size %lld is less than the tokeniser's %d ids",
                     (long long)c->model.vocab_size, lcm_tokenizer_size(s->tok));
        LCM_TRY(lcm_sonar_new(ctx, &s->model, &c->model, LCM_SONAR_BOTH, true));
        lcm_params_init(&s->model->params, (uint64_t)c->train.seed);
    }
    if (c->task.max_pieces + 2 > s->model->config.max_seq_len)
        LCM_FAIL(ctx, LCM_ERR_ARG, "task.max_pieces %lld leaves no room for specials in model.max_seq_len %lld",
                 (long long)c->task.max_pieces, (long long)s->model->config.max_seq_len);
    LCM_TRY(open_codebooks(ctx, s, c));
    LCM_TRY(read_data(ctx, &s->train, s, c, resolved, "data"));
    LCM_TRY(read_data(ctx, &s->valid, s, c, resolved, "valid"));
    lcm_log(ctx, LCM_LOG_INFO, "sonar: %lld parameters", (long long)s->model->params.count);
    return lcm_task_sonar_new(ctx, &s->task, &c->task, s->model, s->tok, &s->train.data,
                              s->valid.data.target->n ? &s->valid.data : NULL, s->space, (uint64_t)c->train.seed);
}

static lcm_status run(lcm_ctx *ctx, void *run_config, const json_t *resolved, lcm_run_hooks *hooks) {
    config *c = run_config;
    state s = {0};
    lcm_status st;
    if (hooks->check_grad > 0 && c->task.objective.latent_noise_prob > 0) {
        lcm_log(ctx, LCM_LOG_INFO, "latent noise is off for the check: its statistics count as constants");
        c->task.objective.latent_noise_prob = 0;
    }
    st = prepare(ctx, &s, c, resolved);
    if (st == LCM_OK) st = lcm_run_task(ctx, &c->train, s.task, resolved, hooks);
    lcm_task_sonar_free(s.task);
    lcm_run_sentences_free(&s.train);
    lcm_run_sentences_free(&s.valid);
    lcm_rvq_file_close(&s.rvq);
    lcm_sonar_free(s.model);
    lcm_tokenizer_free(s.tok);
    return st;
}

const lcm_run_kind lcm_run_sonar = {.name = "sonar", .help = "sentence autoencoder", .size = sizeof(config),
                                     .defaults = defaults, .fields = fields, .raw = lcm_run_text_lists, .run = run};
