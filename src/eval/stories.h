/* Continued documents, and what can be counted on them. */
#ifndef LCM_STORIES_H
#define LCM_STORIES_H

#include "eval/sentences.h"
#include "eval/surface.h"
#include "lcm/generate.h"

enum { LCM_STOPS = LCM_STOP_REPETITION + 1 };

/* Continuations of n documents: document i of `text`. */
typedef struct lcm_stories {
    lcm_sentences text;
    real *x;    /* (text.n, D) concept of each sentence: as predicted, or encoded from real text */
    real *back; /* (text.n, D) encode(decode(x)) */
    real *own;  /* (text.n, D) encode(text): what is read back with text feedback */
    real *own_back; /* (text.n, D) encode(decode(own)) */
    int64_t D, stops[LCM_STOPS];
} lcm_stories;

void lcm_stories_free(lcm_stories *s); /* leaves it empty */

/* Sentences first … first+count-1 (fewer where the document ends) of every document of `s`, whose
 * concepts are x (s->n, D). decoded: the text is what the autoencoder makes of it. Stops stay 0. */
lcm_status lcm_stories_real(lcm_ctx *ctx, lcm_stories *out, lcm_codec *codec, const lcm_sentences *s, const real *x,
                            int64_t first, int64_t count, bool decoded, const lcm_beam_opts *beam);

/* Continues `prompts`. The concept that ends a story is no part of it. text_feedback: the model reads
 * back the concept of the decoded text in place of the one that it predicted. */
lcm_status lcm_stories_generate(lcm_ctx *ctx, lcm_stories *out, lcm_codec *codec, const lcm_model *m,
                                const lcm_prompts *prompts, const lcm_generate_config *config, bool text_feedback,
                                const lcm_beam_opts *beam);

/* One row per number of a story table. */
typedef struct lcm_story_counts {
    lcm_surface surface;
    double l2_r;                         /* mean ||back - x|| */
    double l2_r_text;                    /* mean ||own_back - own|| */
    int64_t stops[LCM_STOPS];
} lcm_story_counts;

typedef struct lcm_story_column {
    const char *name;
    double (*value)(const lcm_story_counts *c); /* NAN: not defined */
} lcm_story_column;

extern const lcm_story_column lcm_story_columns[]; /* ends with name = NULL */
enum { LCM_STORY_COLUMNS = 15 };

/* vocab may be NULL. values (LCM_STORY_COLUMNS). */
lcm_status lcm_stories_measure(lcm_ctx *ctx, double *values, const lcm_stories *s, const lcm_strset *vocab);

#endif
