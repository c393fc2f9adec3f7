/* Concept store: documents as sequences of concept vectors with their sentences, on disk.
 *
 * A folder of shards `shard-000000.safetensors`, … and `manifest.json`. A shard of N concepts in
 * n documents holds
 *
 *   embeddings    F16 or F32 [N, D]   one row per sentence, the encoder's own scale
 *   doc_offsets   I64 [n + 1]         rows of document i: doc_offsets[i] … doc_offsets[i + 1] - 1
 *   text_offsets  I64 [N + 1]         bytes of sentence i in `text`, likewise
 *   text          U8  [bytes]         UTF-8, nothing between sentences
 *   doc_targets   I64 [n]             of pairs only: how many leading rows of document i are its source
 *
 * and, as metadata, what its making counted and a hash of these. The manifest is written last,
 * so a folder without one is unfinished. The store speaks the space of one encoder, named by
 * `space` (16 hex digits, as lcm.space of model files); models of another space must refuse it.
 *
 * An open store is immutable and may be read by many threads, each with its own context. Shards
 * are mapped: shortening a file under an open store is SIGBUS; replace files, never edit them. */
#ifndef LCM_DATA_STORE_H
#define LCM_DATA_STORE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/config.h"
#include "modelfile/safetensors.h"

enum { LCM_STORE_VERSION = 1, LCM_STORE_MAX_DIM = 65536, LCM_STORE_MAX_SPACE = 128 };

/* What became of the input. Of a shard: of its part of the input; of a store: the sum. */
typedef struct lcm_store_report {
    int64_t docs, concepts, text_bytes;          /* in the store */
    int64_t blank_lines;                         /* between documents */
    int64_t docs_empty, docs_too_long, docs_bad_utf8, docs_bad_json, docs_bad_escape, docs_no_text; /* lcm_doc_drop */
    int64_t docs_no_sentence;                    /* dropped: no sentence was left (of a pair: on either side) */
    int64_t sentences_dropped, sentences_shortened; /* by the encoder; shortened ones are in the store */
} lcm_store_report;

extern const lcm_field lcm_store_report_fields[];
void lcm_store_report_add(lcm_store_report *sum, const lcm_store_report *part);

/* ---- Reading ---- */

typedef struct lcm_store lcm_store;

/* Reads the manifest and every shard's header and offsets, which must agree; vectors and text are
 * not touched. LCM_ERR_NOTFOUND, LCM_ERR_VERSION, LCM_ERR_FORMAT, LCM_ERR_SHAPE. */
lcm_status lcm_store_open(lcm_ctx *ctx, lcm_store **out, const char *dir);
void lcm_store_close(lcm_store *s); /* NULL is allowed */

/* Reads everything: hashes, finite values, valid text. LCM_ERR_FORMAT; LCM_ERR_NUMERIC names
 * document and sentence (of the store, from 0); LCM_ERR_UTF8. */
lcm_status lcm_store_verify(lcm_ctx *ctx, const lcm_store *s);

int64_t lcm_store_n_docs(const lcm_store *s);
int64_t lcm_store_n_concepts(const lcm_store *s);
int64_t lcm_store_dim(const lcm_store *s);
lcm_dtype lcm_store_dtype(const lcm_store *s);
const char *lcm_store_space(const lcm_store *s); /* borrowed */
const char *lcm_store_dir(const lcm_store *s);   /* borrowed */
uint64_t lcm_store_hash(const lcm_store *s);     /* over the hashes of its shards */
const lcm_store_report *lcm_store_get_report(const lcm_store *s);

/* Document i is concepts *first … *first + *count - 1. LCM_ERR_ARG when i is out of range. */
lcm_status lcm_store_doc(lcm_ctx *ctx, int64_t *first, int64_t *count, const lcm_store *s, int64_t i);

/* counts[i] = concepts of document i, for all lcm_store_n_docs documents. */
void lcm_store_doc_counts(int64_t *counts, const lcm_store *s);

/* Whether the documents are pairs; targets[i] = concepts of document i that are its source, of all
 * documents; 0 when they are no pairs. */
bool lcm_store_has_targets(const lcm_store *s);
void lcm_store_targets(int64_t *targets, const lcm_store *s);

/* Copies rows first … first+count-1 to dst [count, D]; a range may span documents and shards. */
lcm_status lcm_store_vectors(lcm_ctx *ctx, real *dst, const lcm_store *s, int64_t first, int64_t count);

/* Sentence of concept i, borrowed until the store is closed, not NUL-terminated.
 * LCM_ERR_UTF8 when the file's text is not valid. */
lcm_status lcm_store_text(lcm_ctx *ctx, const char **text, size_t *len, const lcm_store *s, int64_t i);

/* ---- Writing ---- */

/* A shard in the making, held in memory. */
typedef struct lcm_shard lcm_shard;

/* dtype F16 or F32. LCM_ERR_ARG. */
lcm_status lcm_shard_new(lcm_ctx *ctx, lcm_shard **out, int64_t dim, lcm_dtype dtype);
void lcm_shard_free(lcm_shard *s); /* NULL is allowed */

/* Appends a concept to the document in the making. LCM_ERR_NUMERIC when a value is not finite, or
 * not in the range of dtype; nothing is appended then. */
lcm_status lcm_shard_add(lcm_ctx *ctx, lcm_shard *s, const real *vector, const char *text, size_t len);

/* Ends the document; *kept is false when it has no concept and therefore is none. */
lcm_status lcm_shard_end_doc(lcm_ctx *ctx, lcm_shard *s, bool *kept);

/* Every document of the shard will be a pair, to be ended by lcm_shard_end_pair. Before the first concept. */
void lcm_shard_set_pairs(lcm_shard *s);

/* Ends a pair whose first `source` concepts are its source; *kept is false when the source or the
 * target is without a concept: nothing of the pair is stored then. */
lcm_status lcm_shard_end_pair(lcm_ctx *ctx, lcm_shard *s, int64_t source, bool *kept);

/* Writes DIR/shard-INDEX.safetensors atomically. `report` gives the drop counts; its docs, concepts
 * and text_bytes are filled in. The bytes are a function of the arguments. */
lcm_status lcm_shard_write(lcm_ctx *ctx, lcm_shard *s, const char *dir, int64_t index, const char *space,
                           lcm_store_report *report);

/* "DIR/shard-000012.safetensors" into path[LCM_PATH_MAX]. */
lcm_status lcm_shard_path(lcm_ctx *ctx, char *path, const char *dir, int64_t index);

/* Writes DIR/manifest.json over shards 0 … n-1, which must all be there, of one space, dim and
 * dtype. `origin` (borrowed, any JSON object: sources, options) is kept under that key. */
lcm_status lcm_store_finish(lcm_ctx *ctx, const char *dir, int64_t n_shards, const json_t *origin);

#endif
