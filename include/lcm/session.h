/* Session: sentences to concepts, concepts to sentences, and texts continued.
 *
 * A session belongs to one thread at a time; the bundle behind it may be shared. */
#ifndef LCM_SESSION_H
#define LCM_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lcm/bundle.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_session lcm_session;

/* The bundle is borrowed. LCM_ERR_NOMEM. */
LCM_API lcm_status lcm_session_new(lcm_ctx *ctx, lcm_session **out, const lcm_bundle *b);
LCM_API void lcm_session_free(lcm_session *s); /* NULL is allowed */

/* Sentences to concepts: out [n, D], row i for text[i] (len[i] bytes of UTF-8). cut [n] (may be
 * NULL) becomes 1 for a sentence that exceeds the encoder's window: only its beginning counts then.
 * lang: a language of the SONAR file or an alias of one ("en", "zh-TW"), NULL = eng_Latn, else its first. A row does
 * not depend on the others, up to rounding. LCM_ERR_UTF8 and LCM_ERR_LIMIT name the sentence (from 1); LCM_ERR_NOTFOUND: no such language;
 * LCM_ERR_ARG: the encoder is not loaded. */
LCM_API lcm_status lcm_session_encode(lcm_ctx *ctx, float *out, uint8_t *cut, lcm_session *s, const char *const *text,
                                      const size_t *len, size_t n, const char *lang);

/* How this session makes one vector of a sentence's states: the model's own way is what its decoder and all else
 * understand, the others are for study. LCM_ERR_ARG; also where another one would give vectors of another size, which it
 * does if the model's pooling is attention with an embedding_dim of its own. */
typedef enum lcm_pooling { LCM_POOLING_MODEL = 0, LCM_POOLING_MEAN, LCM_POOLING_MAX, LCM_POOLING_LAST } lcm_pooling;
LCM_API lcm_status lcm_session_set_pooling(lcm_ctx *ctx, lcm_session *s, int pooling);

typedef struct lcm_decode_opts {
    int64_t beam;     /* 1 … 64; 0 = the bundle's */
    const char *lang; /* as for encoding: the language of the text that is wanted */
    /* 1: the likeliest hypothesis. 0: the one whose own encoding is nearest to the vector, when the encoder
     * is loaded and beam > 1; more exact on vectors of real sentences. */
    bool likeliest;
    /* > 0: draw every token from softmax(logits / temperature) instead of searching, from the top_k likeliest [0 = all] and
     * the least set whose probability reaches top_p [0 or 1 = all]; sentence i is a function of x [i], seed and first + i. */
    double temperature, top_p;
    int64_t top_k;
    uint64_t seed, first;
} lcm_decode_opts;

/* Concepts x [n, D] to sentences: *out receives n texts, each ended by a NUL byte; free it with
 * lcm_free. scores [n] may be NULL. opts NULL = defaults.
 * LCM_ERR_ARG: the decoder is not loaded, or an option is out of range; LCM_ERR_NUMERIC: a value of x is not finite. */
LCM_API lcm_status lcm_session_decode(lcm_ctx *ctx, char **out, double *scores, lcm_session *s, const float *x, size_t n,
                                      const lcm_decode_opts *opts);

/* How likely text[i] is under concept i of x [n, D]: logp [n] is the sum of ln p over its tokens (language and end
 * included), tokens [n] their number. lang as for encoding. LCM_ERR_ARG: the decoder is not loaded; LCM_ERR_LIMIT,
 * LCM_ERR_UTF8 name the text (from 1); LCM_ERR_NUMERIC: a value of x is not finite. */
LCM_API lcm_status lcm_session_score(lcm_ctx *ctx, double *logp, int64_t *tokens, lcm_session *s, const float *x,
                                     const char *const *text, const size_t *len, size_t n, const char *lang);

/* Noise of level `amount` (0 … 1) on concepts x [n, D], in place (arXiv 2412.08821 eq. 27):
 * sqrt(1-a) z + sqrt(a) eps on vectors z normalised by the concept model's normaliser, or by mean
 * and deviation of x itself when no concept model is loaded. Row i depends on seed and i. */
LCM_API lcm_status lcm_session_noise(lcm_ctx *ctx, float *x, lcm_session *s, size_t n, double amount, uint64_t seed);

typedef enum lcm_end {
    LCM_END_NONE = 0,   /* of a concept: the text goes on */
    LCM_END_OF_TEXT,    /* the end-of-text concept came */
    LCM_END_REPETITION, /* a concept like the one before came */
    LCM_END_COUNT,      /* as many as asked for */
    LCM_END_WINDOW      /* as many concepts, or tokens, as the model can read */
} lcm_end;

LCM_API const char *lcm_end_name(lcm_end end); /* "end_of_text"; static storage */

/* One generated concept; pointers are borrowed for the call. */
typedef struct lcm_concept {
    int64_t index;       /* from 0 */
    const char *text;
    const float *vector; /* [D] as predicted; NULL for a llama */
    /* NONE, or why this concept ends the text: it is not part of it then. Judged by what is fed back. */
    lcm_end end;
    /* Time to encode (the prompt, for index 0, and the text of this concept), to read the context, to
     * predict, to decode. */
    double encode_ms, context_ms, denoise_ms, decode_ms; /* a llama reads the prompt and decodes; the others are NAN */
    /* Of the prediction to the concept before it in the context; to the end of text (NAN without
     * one); to the encoding of its own text. */
    double l2_previous, cos_previous, cos_end_of_text, l2_round_trip; /* NAN for a llama */
    double score;   /* mean log-probability of a piece of the text, as the decoder sees it; NAN for a llama */
    int64_t tokens; /* llama: drawn since the sentence before; else 0 */
} lcm_concept;

/* Called for every concept as soon as its text is there. Return 0 to stop: LCM_ERR_CANCELLED. */
typedef int (*lcm_concept_fn)(void *user, const lcm_concept *concept);

typedef struct lcm_generated_text {
    /* Sentences of the prompt, those that an instruction-tuned model puts around it included; of them
     * too long for the encoder. 0 for a llama. */
    int64_t prompt_concepts, prompt_cut;
    int64_t concepts;                    /* generated, the ending one not counted */
    lcm_end end;
    double first_ms, total_ms;           /* until the first concept's text was there; in all */
    int64_t prompt_tokens, tokens;       /* llama: read (with <s>) and drawn; else 0 */
} lcm_generated_text;

/* Continues `text` (len bytes of UTF-8, at least one sentence; a llama also begins one: len 0), or answers it when the
 * model was tuned to. opts NULL = the bundle's. `out` and
 * `fn` may be NULL. LCM_ERR_ARG: options out of range, no sentence, or the model or decoder is not
 * loaded; LCM_ERR_LIMIT: the prompt is longer than the model reads; LCM_ERR_UTF8. */
LCM_API lcm_status lcm_session_generate(lcm_ctx *ctx, lcm_generated_text *out, lcm_session *s, const char *text, size_t len,
                                        const lcm_generation *opts, lcm_concept_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
