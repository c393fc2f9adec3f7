/* Training run of a concept model: concept stores in, model file out. One row per kind of the
 * registry in train/kinds.c; nothing here knows a model by name. */
#include <stdlib.h>
#include <string.h>

#include "data/column.h"
#include "lcm/model_io.h"
#include "modelfile/model_meta.h"
#include "quant/rvq_io.h"
#include "sonar/codec.h"
#include "train/run_inputs.h"
#include "train/task_concept.h"

typedef struct config {
    char kind[32], sonar[1024], store[1024], valid_store[1024], init[1024], rvq[1024], end_of_text[1024];
    bool train_decoder;
    lcm_affix_texts prompt;
    lcm_normalizer_config normalizer;
    lcm_criterion_config criterion;
    lcm_task_concept_config task;
    lcm_trainer_config train;
} config;

static const lcm_field fields[] = {
    LCM_F_STRING(config, kind, "kind of model"),
    LCM_F_STRING(config, sonar, "model file of the autoencoder that made the store"),
    LCM_F_STRING(config, store, "concept store to train on (lcm prepare)"),
    LCM_F_STRING(config, valid_store, "concept store to validate on; empty: none"),
    LCM_F_STRING(config, end_of_text, "sentence whose concept ends every document; empty: none"),
    LCM_F_STRUCT(config, prompt, lcm_affix_prompt_fields, "sentences around the pairs of supervised training"),
    LCM_F_STRING(config, init, "concept model to start from"),
    LCM_F_BOOL(config, train_decoder, "train the decoder of `sonar` to say what the model of `init` predicts, which stays as it is"),
    LCM_F_STRING(config, rvq, "codebook file of a quant model (lcm train, kind rvq)"),
    LCM_F_STRUCT(config, normalizer, lcm_normalizer_fields, "fit of the normaliser"),
    LCM_F_STRUCT(config, criterion, lcm_criterion_fields, "loss"),
    LCM_F_STRUCT(config, task, lcm_task_concept_fields, "batches"),
    LCM_F_STRUCT(config, train, lcm_trainer_fields, "optimisation"),
    LCM_F_END};

static void defaults(void *out) {
    config *c = out;
    *c = (config){.end_of_text = "End of text.", .normalizer = lcm_normalizer_config_default(),
                  .criterion = lcm_criterion_config_default(), .task = lcm_task_concept_config_default(),
                  .train = lcm_trainer_config_default()};
    c->train.lr = lcm_run_lr(1e-3, 1e-6);
}

static const char *const raw[] = {"model", NULL}; /* of the kind, read by the registry */

static lcm_status complete(lcm_ctx *ctx, json_t *resolved, const void *run_config, const json_t *given) {
    const config *c = run_config;
    lcm_model *m = NULL;
    json_t *model;
    if (!c->task.supervised && lcm_affixes_any(&c->prompt)) LCM_FAIL(ctx, LCM_ERR_ARG, "config.prompt: only with task.supervised true");
    LCM_TRY(lcm_model_register(ctx, &m, c->kind, json_object_get(given, "model"), "config.model"));
    model = lcm_model_config_json(m);
    lcm_model_free(m);
    if (json_object_set_new(resolved, "model", model) != 0) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: configuration");
    return LCM_OK;
}

typedef struct state {
    lcm_run_stores stores;
    lcm_chunks chunks, valid;
    lcm_affixes affixes;
    real *weights; /* of the store's concepts; NULL = 1 each */
    lcm_sonar_file decoder; /* for criterion.decoder; else all 0 */
    lcm_store_pieces text, valid_text;
    json_t *provenance, *prompt; /* prompt: NULL unless supervised */
    lcm_model *model;
    lcm_criterion *criterion;
    lcm_task *task;
} state;

static lcm_status write_model(lcm_ctx *ctx, void *user, const real *x, lcm_buf *out) {
    const state *s = user;
    const lcm_sonar_file *d = &s->decoder;
    lcm_model_save_opts o = {.dtype = LCM_DT_REAL, .space = s->stores.space, .provenance = s->provenance, .prompt = s->prompt,
                             .train = &s->task->record, .x = x};
    if (s->task->params != &s->model->params) return lcm_sonar_write(ctx, out, d->model, x, d->tok, LCM_DT_REAL, d->space, NULL, &s->task->record);
    return lcm_model_write(ctx, out, s->model, &o);
}

static lcm_status check_space(lcm_ctx *ctx, const lcm_sonar_file *f, const state *s, const config *c) {
    const char *space = lcm_store_space(s->stores.train);
    if (strcmp(f->space_hex, space) == 0) return LCM_OK;
    LCM_FAIL(ctx, LCM_ERR_SHAPE, "'%s' speaks space %s, the store '%s' was made in %s", c->sonar, f->space_hex, c->store, space);
}

static lcm_status encode_affixes(lcm_ctx *ctx, state *s, const config *c) {
    lcm_sonar_file f;
    lcm_codec *codec = NULL;
    lcm_status st;
    if (!lcm_affixes_any(&c->prompt) && c->prompt.end_of_text[0] == '\0') return LCM_OK;
    if (c->sonar[0] == '\0') LCM_FAIL(ctx, LCM_ERR_ARG, "config.sonar: needed to encode the end of text; or set end_of_text to \"\"");
    LCM_TRY(lcm_sonar_load(ctx, &f, c->sonar, LCM_SONAR_ENCODER));
    st = check_space(ctx, &f, s, c);
    if (st == LCM_OK) st = lcm_codec_new(ctx, &codec, &f);
    if (st == LCM_OK) st = lcm_affixes_encode(ctx, &s->affixes, &c->prompt, codec, NULL);
    lcm_codec_free(codec);
    lcm_sonar_file_close(&f);
    return st;
}

static lcm_status make_chunks(lcm_ctx *ctx, lcm_chunks *out, const state *s, const lcm_store *store, const config *c) {
    lcm_chunks_opts o = {.max_len = c->task.max_len, .min_len = c->task.min_len, .supervised = c->task.supervised};
    LCM_TRY(lcm_chunks_make(ctx, out, store, &s->affixes, &o));
    lcm_log(ctx, LCM_LOG_INFO, "%s: %lld %s, %lld concepts; %lld chunks; left out: %lld shorter than %lld concepts, %lld longer than %lld",
            store == s->stores.train ? "store" : "valid_store", (long long)lcm_store_n_docs(store), o.supervised ? "pairs" : "documents",
            (long long)lcm_store_n_concepts(store), (long long)out->n, (long long)out->n_short, (long long)o.min_len,
            (long long)out->n_long, (long long)o.max_len);
    return LCM_OK;
}

/* Of the training store only: validation measures plain errors. */
static lcm_status read_weights(lcm_ctx *ctx, state *s, const lcm_fragility_weight *c) {
    int64_t n = lcm_store_n_concepts(s->stores.train);
    LCM_TRY(lcm_calloc(ctx, &s->weights, (size_t)n, sizeof *s->weights));
    if (lcm_column_read(ctx, s->weights, s->stores.train, "fragility"))
        return lcm_fail_within(ctx, LCM_ERR_ARG, "criterion.fragility needs lcm eval fragility --write");
    lcm_fragility_weigh(s->weights, n, c);
    s->chunks.weights = s->weights;
    return LCM_OK;
}

static lcm_status read_text(lcm_ctx *ctx, lcm_store_pieces *out, lcm_chunks *chunks, const state *s, const config *c) {
    LCM_TRY(lcm_store_pieces_read(ctx, out, chunks->store, s->decoder.tok, c->end_of_text, s->decoder.config.max_seq_len - 2));
    lcm_log(ctx, LCM_LOG_INFO, "criterion.decoder: %lld tokens; %lld sentences too long for the decoder", (long long)out->ids.len,
            (long long)out->n_long);
    chunks->text = out;
    return LCM_OK;
}

static lcm_status load_decoder(lcm_ctx *ctx, state *s, const config *c) {
    if (c->criterion.decoder.weight == 0) return LCM_OK;
    if (c->sonar[0] == '\0') LCM_FAIL(ctx, LCM_ERR_ARG, "config.sonar: needed for criterion.decoder");
    LCM_TRY(lcm_sonar_load_model(ctx, &s->decoder, c->sonar, c->train_decoder ? LCM_SONAR_BOTH : LCM_SONAR_DECODER, c->train_decoder));
    if (c->train_decoder) lcm_sonar_freeze_encoder(s->decoder.model);
    LCM_TRY(check_space(ctx, &s->decoder, s, c));
    LCM_TRY(read_text(ctx, &s->text, &s->chunks, s, c));
    return s->stores.valid ? read_text(ctx, &s->valid_text, &s->valid, s, c) : LCM_OK;
}

static lcm_status open_stores(lcm_ctx *ctx, state *s, const config *c) {
    LCM_TRY(lcm_run_stores_open(ctx, &s->stores, c->store, c->valid_store));
    LCM_TRY(encode_affixes(ctx, s, c));
    LCM_TRY(make_chunks(ctx, &s->chunks, s, s->stores.train, c));
    if (c->criterion.fragility.use) LCM_TRY(read_weights(ctx, s, &c->criterion.fragility));
    return s->stores.valid ? make_chunks(ctx, &s->valid, s, s->stores.valid, c) : LCM_OK;
}

/* Codebooks, and the normaliser that belongs to them. A model that is gone on with must have the same. */
static lcm_status copy_codebooks(lcm_ctx *ctx, state *s, const config *c, const lcm_rvq_file *f) {
    lcm_model *m = s->model;
    const lcm_rvq_config *want = &m->rvq->config, *have = &f->rvq.config;
    size_t D = (size_t)want->dim;
    LCM_TRY(lcm_rvq_check_space(ctx, f, c->rvq, s->stores.space, "the store"));
    if (have->dim != want->dim || have->units != want->units || have->codebooks < want->codebooks)
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "the model wants %lld codebooks of %lld units and %lld channels, '%s' has %lld of %lld and %lld",
                 (long long)want->codebooks, (long long)want->units, (long long)want->dim, c->rvq, (long long)have->codebooks,
                 (long long)have->units, (long long)have->dim);
    if (c->init[0]) LCM_TRY(lcm_rvq_check_normalizer(ctx, f, c->rvq, m->normalizer, c->init));
    memcpy(m->normalizer->center, f->normalizer->center, D * sizeof(real));
    memcpy(m->normalizer->scale, f->normalizer->scale, D * sizeof(real));
    for (int64_t k = 0; k < want->codebooks; k++)
        memcpy(m->rvq->book[k]->x, f->rvq.book[k]->x, (size_t)want->units * D * sizeof(real));
    return LCM_OK;
}

static lcm_status take_codebooks(lcm_ctx *ctx, state *s, const config *c) {
    lcm_rvq_file f;
    lcm_status st;
    if (s->model->rvq == NULL) {
        if (c->rvq[0]) LCM_FAIL(ctx, LCM_ERR_ARG, "config.rvq: a %s model has no codebooks", c->kind);
        return LCM_OK;
    }
    if (c->rvq[0] == '\0') {
        if (c->init[0] == '\0') LCM_FAIL(ctx, LCM_ERR_ARG, "config.rvq: a %s model needs a codebook file", c->kind);
        return LCM_OK;
    }
    LCM_TRY(lcm_rvq_load(ctx, &f, c->rvq));
    st = copy_codebooks(ctx, s, c, &f);
    lcm_rvq_file_close(&f);
    return st;
}

static lcm_status make_model(lcm_ctx *ctx, state *s, const config *c, const json_t *resolved) {
    if (c->init[0]) {
        lcm_model_meta meta;
        lcm_status st;
        LCM_TRY(lcm_model_load(ctx, &s->model, &meta, c->init, !c->train_decoder));
        st = meta.space == s->stores.space ? LCM_OK : lcm_fail(ctx, LCM_ERR_SHAPE, "'%s' was trained in another space than the store's", c->init);
        lcm_model_meta_free(&meta);
        if (st) return st;
        if (strcmp(s->model->type->name, c->kind) != 0)
            LCM_FAIL(ctx, LCM_ERR_ARG, "config.kind is '%s', but config.init '%s' holds a model of kind '%s'", c->kind, c->init,
                     s->model->type->name);
    } else {
        LCM_TRY(lcm_model_new(ctx, &s->model, c->kind, json_object_get(resolved, "model"), "config.model", true));
        lcm_model_init(s->model, (uint64_t)c->train.seed);
    }
    if (s->model->embed_dim != lcm_store_dim(s->stores.train))
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "model.sonar_embed_dim is %lld, the store holds vectors of %lld",
                 (long long)s->model->embed_dim, (long long)lcm_store_dim(s->stores.train));
    if (c->task.max_len > s->model->max_seq_len)
        LCM_FAIL(ctx, LCM_ERR_ARG, "task.max_len %lld exceeds model.max_seq_len %lld", (long long)c->task.max_len,
                 (long long)s->model->max_seq_len);
    LCM_TRY(take_codebooks(ctx, s, c));
    if (c->init[0] == '\0' && s->model->normalizer && s->model->rvq == NULL)
        LCM_TRY(lcm_run_fit_normalizer(ctx, s->model->normalizer, &c->normalizer, s->stores.train));
    return LCM_OK;
}

static lcm_status prepare(lcm_ctx *ctx, state *s, const config *c, const json_t *resolved) {
    if (c->train_decoder && (c->init[0] == '\0' || c->criterion.decoder.weight == 0))
        LCM_FAIL(ctx, LCM_ERR_ARG, "config.train_decoder: needs the model that it is to follow (init) and a criterion.decoder.weight");
    if (c->criterion.decoder.clean > 0 && !c->train_decoder)
        LCM_FAIL(ctx, LCM_ERR_ARG, "config.criterion.decoder.clean: only with train_decoder: it teaches a frozen decoder nothing");
    LCM_TRY(open_stores(ctx, s, c));
    LCM_TRY(make_model(ctx, s, c, resolved));
    s->provenance = json_pack("{s:s, s:I, s:I}", "end_of_text", c->end_of_text, "documents",
                              (json_int_t)lcm_store_n_docs(s->stores.train), "concepts", (json_int_t)lcm_store_n_concepts(s->stores.train));
    if (s->provenance == NULL) LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: provenance");
    if (c->task.supervised && (s->prompt = lcm_config_write(&c->prompt, lcm_affix_fields)) == NULL)
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: prompt");
    LCM_TRY(lcm_criterion_new(ctx, &s->criterion, s->model, &c->criterion));
    LCM_TRY(load_decoder(ctx, s, c));
    s->criterion->decoder = s->decoder.model;
    if (s->decoder.model) s->criterion->lang = s->decoder.lang;
    lcm_log(ctx, LCM_LOG_INFO, "%s: %lld parameters", c->kind, (long long)lcm_model_parameters(s->model));
    if (lcm_model_fixed(s->model))
        lcm_log(ctx, LCM_LOG_INFO, "codebooks: %lld numbers, which training leaves alone", (long long)lcm_model_fixed(s->model));
    LCM_TRY(lcm_task_concept_new(ctx, &s->task, &c->task, s->model, s->criterion, &s->chunks, &s->valid, write_model, s,
                                 (uint64_t)c->train.seed));
    if (c->train_decoder) s->task->params = &s->decoder.model->params;
    return LCM_OK;
}

static lcm_status run(lcm_ctx *ctx, void *run_config, const json_t *resolved, lcm_run_hooks *hooks) {
    config *c = run_config;
    state s = {0};
    lcm_status st;
    memcpy(c->prompt.end_of_text, c->end_of_text, sizeof c->end_of_text);
    st = prepare(ctx, &s, c, resolved);
    if (st == LCM_OK) st = lcm_run_task(ctx, &c->train, s.task, resolved, hooks);
    lcm_task_concept_free(s.task);
    lcm_criterion_free(s.criterion);
    lcm_model_free(s.model);
    lcm_chunks_free(&s.chunks);
    lcm_chunks_free(&s.valid);
    lcm_run_stores_close(&s.stores);
    json_decref(s.provenance);
    json_decref(s.prompt);
    lcm_affixes_free(&s.affixes);
    free(s.weights);
    lcm_store_pieces_free(&s.text);
    lcm_store_pieces_free(&s.valid_text);
    lcm_sonar_file_close(&s.decoder);
    return st;
}

#define CONCEPT_RUN(kind_name, what)                                                                                \
    {.name = kind_name, .help = what, .size = sizeof(config), .defaults = defaults, .fields = fields, .raw = raw,  \
     .complete = complete, .run = run}

const lcm_run_kind lcm_run_base = CONCEPT_RUN("base", "Base-LCM: regression of the next concept");
const lcm_run_kind lcm_run_one_tower = CONCEPT_RUN("one_tower", "one-tower diffusion model");
const lcm_run_kind lcm_run_quant_c = CONCEPT_RUN("quant_c", "quantised concepts, regression of the concept");
const lcm_run_kind lcm_run_quant_d = CONCEPT_RUN("quant_d", "quantised concepts, softmax over units");
const lcm_run_kind lcm_run_two_tower = CONCEPT_RUN("two_tower", "two-tower diffusion model");
