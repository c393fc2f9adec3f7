/* Measuring models. Every function answers with a report as JSON text, made for tables:
 *
 *   { "task": "…", …facts…, "rows": [ {…}, … ] }
 *
 * A fact is a number, a text or an object of numbers. All rows of a list have the same keys. A value
 * of a row is a number, a text, null where nothing could be measured, or an object with "mean" and
 * either "sd" (over seeds) or "low" and "high" (95 % confidence). The numbers are a function of files,
 * options and seeds, except those that end in "_per_second".
 *
 * *report is heap memory: free it with lcm_free (lcm/train.h). */
#ifndef LCM_EVAL_H
#define LCM_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lcm/bundle.h"
#include "lcm/eval_scorer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_eval_reconstruct_opts {
    const char *sonar;         /* model file */
    const char *const *inputs; /* text: .txt, .jsonl, each also .zst; folders of these; "-" */
    size_t n_inputs;
    bool presegmented;         /* one sentence per line */
    const char *lang;          /* of the segmenter, and of a model with languages; NULL: English, the model's default */
    int64_t max_tokens;        /* longer sentences are left out and counted; 0 = no limit */
    int64_t max_sentences;     /* the first so many; 0 = all */
    const double *noise;       /* levels of eq. 27 of arXiv 2412.08821, 0 … 1; one row each */
    size_t n_noise;
    int64_t beam, seed;
    bool likeliest;            /* as in lcm_decode_opts */
} lcm_eval_reconstruct_opts;

/* 40 tokens, all sentences, one level of no noise, beam 1, seed 1. */
LCM_API lcm_eval_reconstruct_opts lcm_eval_reconstruct_defaults(void);

/* Sentences through encoder and decoder: exact match with the text as the tokeniser normalises it,
 * BLEU (sacrebleu's 13a, exp), chrF2, ||encode(decode(x)) - x||. */
LCM_API lcm_status lcm_eval_reconstruct(lcm_ctx *ctx, char **report, const lcm_eval_reconstruct_opts *opts);

typedef struct lcm_eval_rvq_opts {
    const char *rvq;       /* codebook file (lcm train, kind "rvq") */
    const char *store;     /* concepts to quantise, with their sentences */
    const char *sonar;     /* model file of the store's space: also decode; NULL: errors only */
    const int64_t *counts; /* numbers of codebooks, one row each; NULL: 1, 2, 4, … and all */
    size_t n_counts;
    int64_t max_concepts;  /* the store's first so many; 0 = all */
    int64_t max_sentences; /* the first so many of these are decoded */
    int64_t beam;
    const char *curve;     /* file to draw error and BLEU into, as SVG; NULL: none */
} lcm_eval_rvq_opts;

/* All concepts, 500 sentences, beam 1. */
LCM_API lcm_eval_rvq_opts lcm_eval_rvq_defaults(void);

/* Concepts through the first k codebooks: relative_error = sum |z - quantised z|^2 / sum |z|^2 of the
 * normalised concepts, bits of a code; with sonar exact match, BLEU, chrF2 and l2 as in lcm_eval_reconstruct,
 * and the same without quantisation ("continuous"). LCM_ERR_SHAPE when spaces differ. */
LCM_API lcm_status lcm_eval_rvq(lcm_ctx *ctx, char **report, const lcm_eval_rvq_opts *opts);

typedef struct lcm_eval_fragility_opts {
    const char *store, *sonar; /* concepts, and the model file of their space */
    const char *model;         /* concept model whose normaliser scales the noise; NULL: fitted to the store */
    const char *judge;         /* another SONAR file: the score is the cosine in its space; NULL: BLEU */
    const double *noise;       /* levels of eq. 27 of arXiv 2412.08821, 0 … 1 */
    size_t n_noise;
    int64_t draws;             /* of noise at each level */
    int64_t max_concepts;      /* the store's first so many; 0 = all */
    int64_t beam, seed;
    bool write;                /* keep the result in the store: fragility.safetensors */
} lcm_eval_fragility_opts;

/* Levels .1 to .9, one draw, all concepts, beam 1, seed 1. */
LCM_API lcm_eval_fragility_opts lcm_eval_fragility_defaults(void);

/* Fragility of concepts (eq. 26): minus the mean score of sentences against what is decoded from their noised
 * concepts, -1 … 0; BLEU is sacrebleu's sentence BLEU over 100. Mean scores by level, fragility by length, the most
 * fragile sentences. LCM_ERR_ARG: spaces differ, or `write` with max_concepts. */
LCM_API lcm_status lcm_eval_fragility(lcm_ctx *ctx, char **report, const lcm_eval_fragility_opts *opts);

typedef struct lcm_eval_next_opts {
    const char *sonar;
    const char *store;              /* concept store whose documents are predicted; NULL: none */
    const char *cloze;              /* story cloze items (.jsonl, .jsonl.zst); NULL: none */
    const char *train_store;        /* what the baselines "mean" and "nearest" learn from; NULL: without them */
    const char *scorer;             /* file of kind "llama" for "mi"; NULL: without */
    const lcm_eval_scorer *remote_scorer; /* in its place; NULL: none */
    const char *const *models;      /* concept models */
    size_t n_models;
    const int64_t *seeds;           /* of models that draw noise; one evaluation each */
    size_t n_seeds;
    int64_t max_docs;               /* the first so many documents of the store; 0 = all */
    int64_t max_len;                /* longer documents are wrapped into chunks of so many concepts */
    int64_t batch_docs;             /* chunks whose concepts are a batch of the contrastive accuracy */
    int64_t round_trips;            /* predictions decoded and encoded again, evenly spread; 0 = all */
    lcm_generation generation;      /* beam, temperature, and how diffusion models denoise; the rest is unused */
} lcm_eval_next_opts;

/* No input, seed 1, all documents in chunks of 128, batches of 32, 2000 round trips, beam 1. */
LCM_API lcm_eval_next_opts lcm_eval_next_defaults(void);

/* Teacher-forced prediction of every sentence of the store but the first of each chunk (the end of text
 * is not predicted): l2, l2_r, ca, par and, with a scorer, mi of arXiv 2412.08821 §2.4.1, and cosine. Cloze items: share whose
 * right ending is nearer to the prediction than the wrong one, and of those that have one, than the
 * wrong one with the story's names ("hard"), with bootstrap intervals over items. For every model and
 * the baselines truth, copy-last, mean and nearest. LCM_ERR_ARG when spaces differ; LCM_ERR_IO when a remote scorer fails. */
LCM_API lcm_status lcm_eval_next(lcm_ctx *ctx, char **report, const lcm_eval_next_opts *opts);

typedef struct lcm_eval_stories_opts {
    const char *sonar;
    const char *const *models;
    size_t n_models;
    const char *const *prompts;     /* text; the first `given` sentences of each document are the prompt */
    size_t n_prompts;
    const char *const *vocab;       /* text whose words are the known ones */
    size_t n_vocab;
    const char *lang, *end_of_text; /* end_of_text NULL: what the model's file names; "": none */
    int64_t stories, given;
    const int64_t *seeds;
    size_t n_seeds;
    int64_t print;                  /* so many stories of each model go into the report, unpicked */
    lcm_generation generation;      /* its `seed` is unused */
    const char *decoder;            /* SONAR file whose decoder says what models predict; NULL: that of `sonar` */
} lcm_eval_stories_opts;

/* 100 stories, 3 sentences given, 12 concepts, seed 1, beam 1. */
LCM_API lcm_eval_stories_opts lcm_eval_stories_defaults(void);

/* Continues documents and counts: doubled words per 1000, share of words outside the vocabulary,
 * distinct sentences and n-grams, sentence length, why stories ended, and ||encode(decode(v)) - v||
 * of the generated concepts. The same for the real continuations, and for these after the
 * autoencoder, which no concept model can do better than. "stories" lists those asked for.
 * LCM_ERR_ARG: a model that was tuned to answer, with sentences around its prompts (lcm_eval_run puts them there). */
LCM_API lcm_status lcm_eval_stories(lcm_ctx *ctx, char **report, const lcm_eval_stories_opts *opts);

typedef enum lcm_eval_margin { LCM_EVAL_MARGIN_RATIO = 0, LCM_EVAL_MARGIN_DISTANCE, LCM_EVAL_MARGIN_ABSOLUTE } lcm_eval_margin;

enum { LCM_EVAL_MAX_NEIGHBOURS = 1024 };

typedef struct lcm_eval_xsim_opts {
    const char *sonar;                     /* model file; its encoder is used */
    const char *source, *target;           /* line i of one translates line i of the other: .txt, .jsonl, each also .zst */
    const char *extra;                     /* more candidates in the target's language, such as perturbed targets; NULL: none */
    const char *source_key, *target_key;   /* of JSON lines; NULL: "text" */
    const char *source_lang, *target_lang; /* as in lcm_session_encode; NULL: the model's default */
    int margin;                            /* lcm_eval_margin */
    int64_t k;                             /* neighbours, 1 … LCM_EVAL_MAX_NEIGHBOURS */
} lcm_eval_xsim_opts;

/* Ratio, 4 neighbours. */
LCM_API lcm_eval_xsim_opts lcm_eval_xsim_defaults(void);

/* Share of lines whose translation is not the one that similarity search finds among all, in both directions ("xsim");
 * with `extra` also from source to target with these among the candidates ("xsim++"). Finding another line of the same
 * text is no error. Pairs of which a line is empty or no text are left out and counted. LCM_ERR_FORMAT: the files have
 * unequal numbers of lines; LCM_ERR_ARG: no pair is left; LCM_ERR_NOTFOUND: a file, a language. */
LCM_API lcm_status lcm_eval_xsim(lcm_ctx *ctx, char **report, const lcm_eval_xsim_opts *opts);

typedef struct lcm_eval_translate_opts {
    const char *sonar;                     /* model file */
    const char *source, *target;           /* line i of one translates line i of the other: .txt, .jsonl, each also .zst */
    const char *source_key, *target_key;   /* of JSON lines; NULL: "text" */
    const char *source_lang, *target_lang; /* as in lcm_session_encode; NULL: the model's default */
    int64_t beam;
} lcm_eval_translate_opts;

/* Beam 5. */
LCM_API lcm_eval_translate_opts lcm_eval_translate_defaults(void);

/* Every line translated into the language of the other file, in both directions, against the line there: exact match,
 * BLEU (sacrebleu's 13a, exp), chrF2. Beside it what two texts get that are no translation: the source as it is, and
 * the line of the target after the right one. Equal languages and files measure reconstruction. Lines left out and
 * errors as in lcm_eval_xsim. */
LCM_API lcm_status lcm_eval_translate(lcm_ctx *ctx, char **report, const lcm_eval_translate_opts *opts);

typedef enum lcm_eval_format { LCM_EVAL_MARKDOWN = 0, LCM_EVAL_HTML, LCM_EVAL_RESULTS } lcm_eval_format;

/* Result files ("schema": "lcm.eval/1", docs/evaluation.md) as Markdown, as one HTML page with plots that needs nothing
 * from elsewhere, or as one result file. Those of one task become one table, in which models of one name, kind and size
 * are one row over the seeds of their training. *out is a text, to be freed with lcm_free. LCM_ERR_FORMAT,
 * LCM_ERR_VERSION; LCM_ERR_ARG: files of one task that differ in documents or settings, a row that is there twice, or
 * one result file wanted of two tasks. */
LCM_API lcm_status lcm_eval_report(lcm_ctx *ctx, char **out, const char *const *paths, size_t n_paths, lcm_eval_format format);

/* Two result files, document by document (paired bootstrap, 10000 resamples): a row per metric with both means, their
 * difference, its interval and p, and in words whether it is real: p below .05 after Holm's correction for the number
 * of metrics, from 20 documents on. Compared are the models named (both or none NULL), else the only ones, else those
 * of the same name. LCM_ERR_ARG: different tasks, no common document, metric or model. LCM_ERR_NOTFOUND: a model. */
LCM_API lcm_status lcm_eval_compare(lcm_ctx *ctx, char **report, const char *path_a, const char *path_b, const char *model_a,
                                    const char *model_b);

#ifdef __cplusplus
}
#endif
#endif
