/* Bundle: all that generation needs, as one folder.
 *
 *   sonar.safetensors   sentence encoder, decoder and tokeniser
 *   lcm.safetensors     concept model, made for the space of that encoder
 *   decoder.safetensors SONAR file of that space, if what the concept model predicts has a decoder of its own
 *   bundle.json         which files, and how to generate:
 *
 *     {"format": 1, "sonar": "sonar.safetensors", "lcm": "lcm.safetensors", "decoder": "decoder.safetensors",
 *      "end_of_text": "End of text.", "lang": "en", "generate": {"steps": 40, "guidance_scale": 3}}
 *
 * Paths are relative and stay inside the folder; an unknown key is an error; a missing one has its
 * default, and a missing "lcm" or "decoder" means none. A SONAR file by itself counts as a bundle without concept model.
 * Instead of both files, "llama" names a token-level model (docs/models/llama.md); such a file by itself counts as
 * a bundle, too. It continues texts, and has neither encoder nor decoder.
 * An open bundle is not changed by its use: threads may share it, each with a session of its own. */
#ifndef LCM_BUNDLE_H
#define LCM_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#include <stdbool.h>

#include "lcm/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the model reads when it goes on: the vector that it predicted, or the vector of the text
 * that this was decoded to. */
typedef enum lcm_feedback { LCM_FEEDBACK_VECTOR = 0, LCM_FEEDBACK_TEXT } lcm_feedback;

/* How to generate; the key "generate" of bundle.json has the same names. */
typedef struct lcm_generation {
    int64_t concepts;    /* sentences at most, ≥ 1 [16] */
    int64_t seed;        /* ≥ 0; same seed, same text [0] */
    int64_t beam;        /* hypotheses of the decoder, 1 … 64 [5] */
    int64_t candidates;  /* concepts drawn for each sentence, 1 … 64 [1]: the first whose text has a score (see */
    double min_score;    /* lcm_concept) of at least this is kept, else that of the highest; 0: always that [0] */
    /* The decoder draws its words from softmax(logits / decoder_temperature) and, of these, from the least set whose
     * probability reaches decoder_top_p; temperature 0: it searches for the likeliest sentence, with `beam` [0, 1 = all]. */
    double decoder_temperature, decoder_top_p;
    bool block_doubles;  /* the decoder writes no word twice in a row, if it is one piece of the vocabulary [false] */
    int feedback;        /* lcm_feedback [vector] */
    double eos_threshold;        /* end at this cosine with the end-of-text concept; 2: never [0.9] */
    double repetition_threshold; /* end at this cosine with the concept before; 0: never [0] */
    /* Diffusion models: noise levels visited [40], guidance [3] and its rescaling [0.7], standard
     * deviation of the first noise [0.6], divisor of predicted noise [1.00045]. */
    int64_t steps;
    double guidance_scale, guidance_rescale, initial_noise_scale, epsilon_scaling;
    /* Diffusion models: stop denoising when this share of noise is left [0]. A decoder trained on noised
     * concepts (arXiv 2412.08821 eq. 27) does the rest, better than the last steps do; needs
     * LCM_FEEDBACK_TEXT, since the vector stays noised. */
    double final_noise;
    double temperature; /* Base-LCM: noise on the normalised prediction; llama, quant: of the softmax, 0 = the likeliest [0] */
    /* Llama: draw from the k likeliest tokens [0 = all], or from the least set whose probability reaches p [0 or 1 = all];
     * quant: the same of units. Models that predict vectors refuse both. */
    int64_t top_k;
    double top_p;
} lcm_generation;

typedef struct lcm_bundle lcm_bundle;

/* What to load; a session can do only what its bundle has loaded. */
enum { LCM_LOAD_ENCODER = 1, LCM_LOAD_DECODER = 2, LCM_LOAD_MODEL = 4 };

/* path: a bundle folder, a SONAR file or a llama file. LCM_LOAD_MODEL brings the encoder along, for the concept
 * that ends a text; of a llama it loads all there is, and without it LCM_ERR_ARG says so. LCM_ERR_NOTFOUND: a file is missing, or the bundle has no concept model;
 * LCM_ERR_FORMAT (also: a value is not finite), LCM_ERR_VERSION, LCM_ERR_SHAPE; LCM_ERR_ARG: bundle.json names
 * an unknown key or a bad value, or the two files speak different spaces. */
LCM_API lcm_status lcm_bundle_open(lcm_ctx *ctx, lcm_bundle **out, const char *path, int parts);
LCM_API void lcm_bundle_close(lcm_bundle *b); /* after its sessions; NULL is allowed */

typedef struct lcm_bundle_info {
    const char *sonar, *lcm, *decoder; /* paths of the files; lcm NULL without model, sonar NULL for a llama */
    /* Sentence that ends a text ("": none): bundle.json's, else that of an instruction-tuned model's file,
     * else "End of text."; language of the segmenter. */
    const char *end_of_text, *lang;
    char space[17];
    int64_t dim;          /* D: numbers in a concept; 0 for a llama */
    const char *kind;     /* of the model; NULL when not loaded */
    int64_t max_concepts; /* longest document it reads; 0 when not loaded, or a llama */
    int64_t max_tokens;   /* the same for a llama, else 0 */
    lcm_generation generation;
    int instructed;       /* the concept model was tuned to answer: sentences of its own stand around each prompt */
} lcm_bundle_info;

LCM_API const lcm_bundle_info *lcm_bundle_get_info(const lcm_bundle *b); /* borrowed */

/* The files of a bundle, without loading them; "" for what there is not. Of a folder with a llama, sonar is "" and lcm the
 * llama. Errors as lcm_bundle_open's about bundle.json. */
enum { LCM_BUNDLE_PATH = 4096 };
typedef struct lcm_bundle_paths {
    char sonar[LCM_BUNDLE_PATH], lcm[LCM_BUNDLE_PATH], decoder[LCM_BUNDLE_PATH];
} lcm_bundle_paths;
LCM_API lcm_status lcm_bundle_files(lcm_ctx *ctx, lcm_bundle_paths *out, const char *path);

#ifdef __cplusplus
}
#endif
#endif
