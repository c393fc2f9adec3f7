/* From documents to a concept store: read, cut into sentences, encode, write. Pairs of source and
 * target (docs.source_key) are cut each for itself and stored as one document, source first.
 *
 * The documents are divided, in input order, into units; each becomes one shard, written
 * atomically. Any number of processes may be started with the same inputs, options and folder:
 * every unit is claimed by one of them (data/claim.h), and each returns when the store is complete.
 * A killed run is resumed by starting it again; finished units are kept, nothing is counted or
 * stored twice, and the files are those of an uninterrupted single process, byte for byte, as
 * long as `encode` gives a sentence the same vector whatever stands next to it.
 *
 * All processes read all of the input, which costs little beside encoding. Memory: one unit of text
 * and its vectors. */
#ifndef LCM_DATA_PREPARE_H
#define LCM_DATA_PREPARE_H

#include "data/docs.h"
#include "data/store.h"
#include "lcm/text.h"

/* What an encoder did with a sentence. */
typedef enum lcm_sentence_fate {
    LCM_SENTENCE_KEPT = 0,
    LCM_SENTENCE_SHORTENED, /* encoded without its end; stored whole and counted */
    LCM_SENTENCE_DROPPED    /* not stored, its row is ignored; counted */
} lcm_sentence_fate;

/* Encodes n sentences (borrowed, not NUL-terminated): out is [n, dim]; fate[n] comes zeroed. */
typedef lcm_status (*lcm_prepare_encode)(lcm_ctx *ctx, void *user, real *out, uint8_t *fate,
                                         const char *const *sentences, const size_t *lens, size_t n);

/* Sentences of a document, as lcm_segment_text. */
typedef lcm_status (*lcm_prepare_segment)(lcm_ctx *ctx, void *user, lcm_spans *out, const char *text, size_t len);

typedef struct lcm_prepare_progress {
    int64_t docs, sentences, units;  /* encoded by this process */
    int64_t docs_seen;               /* in the input, up to where this process reads */
    int64_t bytes_done, bytes_total; /* of the input on disk; total is -1 when unknown */
    bool waiting;                    /* for units that other processes hold */
} lcm_prepare_progress;

/* Anything but LCM_OK stops the preparation, which returns it; LCM_ERR_CANCELLED is customary.
 * Finished units stay for the next run. */
typedef lcm_status (*lcm_prepare_report)(void *user, const lcm_prepare_progress *p);

typedef struct lcm_prepare_opts {
    lcm_docs_opts docs; /* strict: a sentence that is shortened or dropped is an error, too */
    int64_t dim;
    lcm_dtype dtype;   /* LCM_DT_F16 or LCM_DT_F32 */
    const char *space; /* of the encoder */
    /* Whatever else decides the result (language, caps, encoder settings), as the caller likes to
     * write it; NULL = "". Processes that differ in it do not mix. Kept in the manifest. */
    const char *recipe;
    int64_t unit_docs, unit_bytes; /* a unit ends at either; 0 = 1024 documents, 8 MiB */
    int64_t batch;                 /* sentences per call of encode, at most; 0 = 256 */
    lcm_prepare_segment segment;   /* NULL = lcm_segment_text with default options */
    lcm_prepare_encode encode;
    lcm_prepare_report progress; /* or NULL */
    void *user;                  /* of the three calls */
} lcm_prepare_opts;

/* Makes the store in folder `dir`, which is created. Also succeeds, at once, when it is already there.
 * LCM_ERR_ARG when the folder was begun with other inputs or options. LCM_ERR_FORMAT when the
 * inputs hold no document. LCM_ERR_BUSY only with standard input, which cannot be read a second
 * time, when another process holds units. Errors of reading, of the calls and of vectors that are
 * not finite (LCM_ERR_NUMERIC) name file, line and sentence. */
lcm_status lcm_prepare(lcm_ctx *ctx, const char *dir, const char *const *inputs, size_t n_inputs,
                       const lcm_prepare_opts *opts);

#endif
