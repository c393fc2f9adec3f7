/* lcm_session_generate of a token-level model. */
#include <math.h>

#include "api/session_int.h"
#include "llama/story.h"

typedef struct job {
    lcm_concept_fn fn;
    void *user;
    double began, first_ms;
} job;

static lcm_status on_sentence(lcm_ctx *ctx, void *user, const lcm_llama_sentence *s) {
    job *j = user;
    lcm_concept c = {.index = s->index, .text = s->text, .tokens = s->tokens, .context_ms = s->context_ms,
                     .decode_ms = s->decode_ms, .encode_ms = NAN, .denoise_ms = NAN, .l2_previous = NAN,
                     .cos_previous = NAN, .cos_end_of_text = NAN, .l2_round_trip = NAN, .score = NAN};
    if (s->index == 0) j->first_ms = 1e3 * (lcm_now() - j->began);
    if (j->fn && !j->fn(j->user, &c)) LCM_FAIL(ctx, LCM_ERR_CANCELLED, "stopped by the caller");
    return LCM_OK;
}

static lcm_end end_of(lcm_llama_end end) {
    return end == LCM_LLAMA_END_OF_TEXT ? LCM_END_OF_TEXT : end == LCM_LLAMA_END_COUNT ? LCM_END_COUNT : LCM_END_WINDOW;
}

lcm_status lcm_session_tell(lcm_ctx *ctx, lcm_generated_text *out, lcm_session *s, const char *text, size_t len,
                            const lcm_generation *opts, lcm_concept_fn fn, void *user) {
    job j = {.fn = fn, .user = user, .began = lcm_now()};
    lcm_llama_story_opts o = {.sentences = opts->concepts, .seed = (uint64_t)opts->seed, .lang = s->bundle->config.lang,
                              .sampler = {opts->temperature, opts->top_k, opts->top_p}};
    lcm_llama_story story;
    LCM_TRY(lcm_generation_check(ctx, opts));
    LCM_TRY(lcm_llama_tell(ctx, &story, &s->bundle->llama, text, len, &o, on_sentence, &j));
    if (out)
        *out = (lcm_generated_text){.concepts = story.sentences, .end = end_of(story.end), .first_ms = j.first_ms,
                                    .total_ms = 1e3 * (lcm_now() - j.began), .prompt_tokens = story.prompt_tokens,
                                    .tokens = story.tokens};
    return LCM_OK;
}
