/* The language model behind the metric mi. */
#include "api/eval_int.h"

lcm_status lcm_eval_scoring_open(lcm_ctx *ctx, lcm_eval_scoring *s, const char *path, const lcm_eval_scorer *remote) {
    if (path && remote) LCM_FAIL(ctx, LCM_ERR_ARG, "two scorers, '%s' and %s: one is enough", path, remote->url);
    if (path) {
        LCM_TRY(lcm_llama_load(ctx, &s->file, path, false));
        s->path = path;
        s->scorer = (lcm_scorer){.score = lcm_mi_score_llama, .self = &s->file};
    } else if (remote) {
        LCM_TRY(lcm_remote_scorer_probe(ctx, remote));
        s->remote = (lcm_remote_scorer){.model = remote};
        s->scorer = (lcm_scorer){.score = lcm_mi_score_remote, .self = &s->remote};
    }
    return LCM_OK;
}

void lcm_eval_scoring_close(lcm_eval_scoring *s) {
    if (s->path) lcm_llama_file_close(&s->file);
}

lcm_scorer *lcm_eval_scoring_scorer(lcm_eval_scoring *s) { return s->scorer.score ? &s->scorer : NULL; }

json_t *lcm_eval_scoring_facts(const lcm_eval_scoring *s) {
    const lcm_eval_scorer *m = s->remote.model;
    if (m)
        return json_pack("{s:s, s:s?, s:I, s:I}", "url", m->url, "model", m->model, "requests", (json_int_t)s->remote.requests,
                         "sentences_of_other_tokens", (json_int_t)s->remote.unmatched);
    return json_pack("{s:s, s:I, s:I}", "file", s->path, "parameters", (json_int_t)s->file.model->params.count,
                     "documents_beyond_window", (json_int_t)s->scorer.too_long);
}
