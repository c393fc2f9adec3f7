/* What lcm_eval_run reads: checked before the first system runs. */
#include "api/eval_run_inputs.h"

#include <string.h>

#include "base/io.h"

bool lcm_eval_on_vectors(const lcm_eval_inputs *in) { return in->task.kind == LCM_EVAL_NEXT || in->task.kind == LCM_EVAL_CLOZE; }

lcm_status lcm_eval_find_forecaster(lcm_ctx *ctx, const lcm_baseline **out, const lcm_eval_inputs *in, const char *name) {
    const lcm_baseline *b = lcm_baselines;
    while (b->name && strcmp(b->name, name) != 0) b++;
    if (b->name == NULL || (b->needs_truth && in->task.kind == LCM_EVAL_CLOZE))
        LCM_FAIL(ctx, LCM_ERR_ARG, "no baseline '%.40s' in a task of kind '%s'", name, lcm_eval_kind_names[in->task.kind]);
    if (b->needs_train && in->train == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "baseline '%s' needs a training store", name);
    *out = b;
    return LCM_OK;
}

/* The i-th name of all systems, NULL past the end. */
static const char *name_of(const lcm_eval_run_opts *o, size_t i) {
    if (i < o->n_models) return o->models[i].name;
    i -= o->n_models;
    if (i < o->n_baselines) return o->baselines[i];
    i -= o->n_baselines;
    return i < o->n_remotes ? o->remotes[i].name : NULL;
}

static lcm_status check_options(lcm_ctx *ctx, const lcm_eval_run_opts *o) {
    if (o->task == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "no task given");
    if (o->n_seeds < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "no seed given");
    if (name_of(o, 0) == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "no model, baseline or URL to evaluate");
    for (size_t i = 0; name_of(o, i); i++) {
        if (*name_of(o, i) == '\0') LCM_FAIL(ctx, LCM_ERR_ARG, "a system has no name");
        for (size_t k = 0; k < i; k++)
            if (strcmp(name_of(o, i), name_of(o, k)) == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "two systems are named '%.80s'", name_of(o, i));
    }
    for (size_t i = 0; i < o->n_seeds; i++)
        for (size_t k = 0; k < i; k++)
            if (o->seeds[i] == o->seeds[k]) LCM_FAIL(ctx, LCM_ERR_ARG, "seed %lld is there twice", (long long)o->seeds[i]);
    return LCM_OK;
}

lcm_status lcm_eval_open_model(lcm_ctx *ctx, lcm_bundle **out, const lcm_eval_model *m) {
    return lcm_bundle_open(ctx, out, m->path, LCM_LOAD_ENCODER | LCM_LOAD_DECODER | LCM_LOAD_MODEL);
}

lcm_status lcm_eval_is_llama(lcm_ctx *ctx, bool *out, const char *path) {
    lcm_model_meta meta;
    lcm_st *st;
    *out = false;
    if (lcm_is_dir(path)) return LCM_OK;
    LCM_TRY(lcm_model_open(ctx, &st, &meta, path, NULL));
    *out = strcmp(meta.kind, "llama") == 0;
    lcm_model_meta_free(&meta);
    lcm_st_close(st);
    return LCM_OK;
}

/* The autoencoder of baselines and of vector measures. */
static lcm_status open_reference(lcm_ctx *ctx, lcm_eval_inputs *in) {
    const lcm_eval_run_opts *o = in->o;
    in->beam = lcm_beam_opts_default();
    for (size_t i = 0; i < o->n_models && in->first == NULL; i++) {
        bool llama;
        LCM_TRY(lcm_eval_is_llama(ctx, &llama, o->models[i].path));
        in->first_at = i;
        if (!llama) LCM_TRY(lcm_eval_open_model(ctx, &in->first, &o->models[i]));
    }
    if (o->sonar) {
        LCM_TRY(lcm_coder_open(ctx, &in->coder, o->sonar, in->beam.beam_size));
        in->codec = in->coder.codec;
        in->space = in->coder.file.space;
    } else if (in->first) {
        LCM_TRY(lcm_codec_new(ctx, &in->own_codec, &in->first->sonar));
        if (in->first->voice.net) LCM_TRY(lcm_codec_set_voice(ctx, in->own_codec, &in->first->voice, in->first->paths.decoder));
        in->codec = in->own_codec;
        in->space = in->first->sonar.space;
        in->beam.beam_size = in->first->config.generate.beam;
    }
    return LCM_OK;
}

static lcm_status check_space(lcm_ctx *ctx, const lcm_eval_inputs *in, uint64_t space, const char *what) {
    if (in->codec == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "'%s' needs an autoencoder", what);
    return lcm_model_check_space(ctx, space, what, in->space);
}

static lcm_status open_store(lcm_ctx *ctx, lcm_eval_inputs *in) {
    uint64_t space;
    LCM_TRY(lcm_store_open(ctx, &in->train, in->o->train_store));
    if (!lcm_space_parse(&space, lcm_store_space(in->train)))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': its space '%.40s' is not 16 hex digits", in->o->train_store, lcm_store_space(in->train));
    LCM_TRY(check_space(ctx, in, space, in->o->train_store));
    if (lcm_store_dim(in->train) != lcm_codec_dim(in->codec))
        LCM_FAIL(ctx, LCM_ERR_SHAPE, "store '%s' holds vectors of %lld, the autoencoder's have %lld", in->o->train_store,
                 (long long)lcm_store_dim(in->train), (long long)lcm_codec_dim(in->codec));
    return LCM_OK;
}

/* A report never shows a score of the discriminator without the discriminator's own. */
static lcm_status open_coherence(lcm_ctx *ctx, lcm_eval_inputs *in, lcm_results *results) {
    lcm_model_meta meta;
    json_t *fact;
    lcm_status st;
    LCM_TRY(lcm_coherence_load(ctx, &in->coherence, &meta, in->o->coherence));
    st = check_space(ctx, in, meta.space, in->o->coherence);
    fact = json_pack("{s:s, s:O?}", "file", in->o->coherence, "held_out", json_object_get(meta.provenance, "held_out"));
    if (st == LCM_OK) lcm_report_set(&results->facts, "coherence", fact);
    else json_decref(fact);
    lcm_model_meta_free(&meta);
    return st;
}

static lcm_status open_fluency(lcm_ctx *ctx, lcm_eval_inputs *in, lcm_results *results) {
    LCM_TRY(lcm_fluency_load(ctx, &in->fluency, in->o->fluency));
    lcm_report_set(&results->facts, "fluency", lcm_eval_fluency_json(ctx, &in->fluency.fit));
    return LCM_OK;
}

/* Only token models choose an ending without concepts. */
static bool needs_vectors(const lcm_eval_inputs *in) {
    return in->task.kind == LCM_EVAL_NEXT || (in->task.kind == LCM_EVAL_CLOZE && in->o->n_baselines + in->o->n_remotes > 0);
}

/* A mistake in the last system should not cost the work on those before it. */
static lcm_status check_systems(lcm_ctx *ctx, const lcm_eval_inputs *in) {
    const lcm_baseline_needs needs = {.codec = in->codec, .train = in->train, .beam = &in->beam};
    lcm_bundle_paths paths;
    const lcm_baseline *b;
    lcm_generator g;
    for (size_t i = 0; i < in->o->n_baselines; i++) {
        const char *name = in->o->baselines[i];
        LCM_TRY(lcm_eval_on_vectors(in) ? lcm_eval_find_forecaster(ctx, &b, in, name) : lcm_generator_baseline(ctx, &g, name, &needs));
    }
    for (size_t i = 0; i < in->o->n_models; i++) {
        bool llama;
        LCM_TRY(lcm_eval_is_llama(ctx, &llama, in->o->models[i].path));
        if (llama) continue;
        LCM_TRY(lcm_bundle_files(ctx, &paths, in->o->models[i].path));
        if (!lcm_exists(paths.sonar) || !lcm_exists(paths.lcm))
            LCM_FAIL(ctx, LCM_ERR_NOTFOUND, "'%s': no bundle with autoencoder and concept model", in->o->models[i].path);
    }
    return LCM_OK;
}

lcm_status lcm_eval_inputs_open(lcm_ctx *ctx, lcm_eval_inputs *in, lcm_results *results, const lcm_eval_run_opts *o) {
    LCM_TRY(check_options(ctx, o));
    in->o = o;
    LCM_TRY(lcm_eval_task_load(ctx, &in->task, o->task));
    if (o->max_documents) in->task.max_documents = o->max_documents;
    LCM_TRY(lcm_task_check_metrics(ctx, &in->task, (o->coherence ? LCM_NEEDS_COHERENCE : 0u) |
                                                       (o->fluency ? LCM_NEEDS_FLUENCY : 0u) | (o->scorer || o->remote_scorer ? LCM_NEEDS_SCORER : 0u)));
    if (o->out) LCM_TRY(lcm_mkdirs(ctx, o->out));
    LCM_TRY(lcm_results_init(ctx, results, in->task.name));
    LCM_TRY(lcm_task_data_read(ctx, &in->data, results, &in->task, o->data, o->n_data));
    LCM_TRY(open_reference(ctx, in));
    if (needs_vectors(in) && in->codec == NULL)
        LCM_FAIL(ctx, LCM_ERR_ARG, "a task of kind '%s' needs an autoencoder", lcm_eval_kind_names[in->task.kind]);
    if (o->train_store) LCM_TRY(open_store(ctx, in));
    if (o->coherence && !lcm_eval_on_vectors(in)) LCM_TRY(open_coherence(ctx, in, results));
    if (o->fluency && !lcm_eval_on_vectors(in)) LCM_TRY(open_fluency(ctx, in, results));
    LCM_TRY(check_systems(ctx, in));
    return in->task.kind == LCM_EVAL_CLOZE ? LCM_OK : lcm_eval_scoring_open(ctx, &in->scoring, o->scorer, o->remote_scorer);
}

void lcm_eval_inputs_close(lcm_eval_inputs *in) {
    lcm_coherence_free(in->coherence);
    lcm_fluency_close(&in->fluency);
    lcm_eval_scoring_close(&in->scoring);
    lcm_store_close(in->train);
    lcm_codec_free(in->own_codec);
    lcm_coder_close(&in->coder);
    lcm_bundle_close(in->first);
    lcm_task_data_free(&in->data);
    lcm_eval_task_free(&in->task);
}
