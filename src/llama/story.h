/* Continuing a text token by token, delivered sentence by sentence.
 *
 * A sentence is complete when the segmenter finds that another one has begun behind it, or when the text
 * ends; so what is counted and shown is what concept models count and show. */
#ifndef LCM_LLAMA_STORY_H
#define LCM_LLAMA_STORY_H

#include "llama/llama_io.h"
#include "kernels/token_sampler.h"

typedef struct lcm_llama_story_opts {
    int64_t sentences; /* at most, ≥ 1 */
    uint64_t seed;     /* same seed, same text */
    lcm_sampler_opts sampler;
    const char *lang;  /* of the segmenter; NULL = English */
} lcm_llama_story_opts;

typedef enum lcm_llama_end { LCM_LLAMA_END_OF_TEXT = 1, LCM_LLAMA_END_COUNT, LCM_LLAMA_END_WINDOW } lcm_llama_end;

typedef struct lcm_llama_sentence {
    int64_t index;    /* from 0 */
    const char *text; /* borrowed for the call */
    int64_t tokens;   /* fed since the sentence before; the one that showed that this one is over counts here */
    double context_ms, decode_ms; /* to read the prompt (index 0), to draw these tokens */
} lcm_llama_sentence;

typedef lcm_status (*lcm_llama_sentence_fn)(lcm_ctx *ctx, void *user, const lcm_llama_sentence *s);

typedef struct lcm_llama_story {
    int64_t prompt_tokens, tokens, sentences; /* <s> counts among the prompt's */
    lcm_llama_end end;
} lcm_llama_story;

/* Continues `text` (len bytes of UTF-8; may be empty: a new text). fn may be NULL; its failure ends the
 * call and is returned. The model's window ends the text, too. LCM_ERR_LIMIT: the prompt fills the window;
 * LCM_ERR_UTF8, LCM_ERR_NOMEM. */
lcm_status lcm_llama_tell(lcm_ctx *ctx, lcm_llama_story *out, const lcm_llama_file *f, const char *text, size_t len,
                          const lcm_llama_story_opts *opts, lcm_llama_sentence_fn fn, void *user);

#endif
