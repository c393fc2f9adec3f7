/* Concept stores: documents as sequences of vectors, what concept models are trained on. */
#ifndef LCM_CONCEPT_STORE_H
#define LCM_CONCEPT_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "lcm/bundle.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_concept_store_progress {
    int64_t docs, sentences;         /* encoded by this process */
    int64_t bytes_done, bytes_total; /* of the input on disk; total is -1 when unknown */
    int waiting;                     /* for parts that other processes hold */
} lcm_concept_store_progress;

/* Return 0 to stop: LCM_ERR_CANCELLED. What is finished is kept for the next call. */
typedef int (*lcm_concept_store_fn)(void *user, const lcm_concept_store_progress *progress);

typedef struct lcm_concept_store_opts {
    int half;         /* store F16 instead of F32 */
    const char *key;  /* of the text in JSON lines; NULL = "text" */
    /* JSON lines are pairs: the source under this key, the target under `key`. NULL = no pairs. */
    const char *source_key;
    const char *lang; /* of the segmenter; NULL = the bundle's */
    int presegmented; /* every line of a document is a sentence */
    int whole_file;   /* a .txt file is one document, not one per line */
    int strict;       /* an item that would be dropped or shortened is an error */
    lcm_concept_store_fn progress; /* or NULL */
    void *user;
} lcm_concept_store_opts;

/* What is in the store, and what is not: nothing is lost without a count. */
typedef struct lcm_concept_store_report {
    int64_t docs, concepts, text_bytes;
    int64_t docs_empty, docs_too_long, docs_bad_utf8, docs_bad_json, docs_bad_escape, docs_no_text, docs_no_sentence; /* dropped; a
                                               pair for either of its sides */
    int64_t sentences_dropped, sentences_shortened; /* by the encoder; shortened ones are in the store */
} lcm_concept_store_report;

/* Encodes documents into the new store `dir`. Inputs: .txt (a document per line), .jsonl (a text
 * is a string or a list of sentences), both also as .zst, folders of these, "-". Several processes may work on one store; a killed call is resumed
 * by the same call. opts and report may be NULL. LCM_ERR_ARG: the encoder is not loaded, or the folder
 * was begun with other inputs or options; LCM_ERR_NOTFOUND, LCM_ERR_FORMAT, LCM_ERR_UTF8, LCM_ERR_IO. */
LCM_API lcm_status lcm_concept_store_make(lcm_ctx *ctx, lcm_concept_store_report *report, const lcm_bundle *b,
                                          const char *dir, const char *const *inputs, size_t n_inputs,
                                          const lcm_concept_store_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
