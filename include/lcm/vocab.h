/* Vocabulary: text to token ids and back; and training one. */
#ifndef LCM_VOCAB_H
#define LCM_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "lcm/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_vocab lcm_vocab;

/* path: a bundle folder, a SONAR file or a SentencePiece model. Immutable; threads may share it.
 * LCM_ERR_NOTFOUND, LCM_ERR_FORMAT, LCM_ERR_UNSUPPORTED, LCM_ERR_LIMIT. */
LCM_API lcm_status lcm_vocab_open(lcm_ctx *ctx, lcm_vocab **out, const char *path);
LCM_API void lcm_vocab_close(lcm_vocab *v); /* NULL is allowed */

LCM_API int32_t lcm_vocab_size(const lcm_vocab *v); /* ids 0 … size - 1 */

/* Printable form of an id: the piece with U+2581 for a space, "<pad>", "__eng_Latn__"; NULL when out
 * of range. Borrowed. */
LCM_API const char *lcm_vocab_piece(const lcm_vocab *v, int32_t id);

/* Ids of `text` without specials: *ids is heap memory of *n, lcm_free. LCM_ERR_UTF8, LCM_ERR_LIMIT. */
LCM_API lcm_status lcm_vocab_encode(lcm_ctx *ctx, int32_t **ids, size_t *n, const lcm_vocab *v, const char *text,
                                    size_t len);

/* Text of ids, NUL-terminated: lcm_free. Specials vanish. LCM_ERR_ARG: an id out of range. */
LCM_API lcm_status lcm_vocab_decode(lcm_ctx *ctx, char **text, const lcm_vocab *v, const int32_t *ids, size_t n);

typedef enum lcm_vocab_type { LCM_VOCAB_UNIGRAM = 0, LCM_VOCAB_BPE } lcm_vocab_type;

typedef struct lcm_vocab_train_opts {
    int64_t pieces;        /* specials and 256 bytes included; 260 … 2^20; 0 = 8192 */
    int type;              /* lcm_vocab_type */
    const char *key;       /* of the text in JSON lines; NULL = "text" */
    const char *lang;      /* of the segmenter; NULL = "en" */
    int presegmented;      /* every line is a sentence */
    int64_t max_sentences; /* 0 = all; else a uniform sample, which `seed` draws */
    uint64_t seed;
} lcm_vocab_train_opts;

typedef struct lcm_vocab_report {
    int64_t docs, sentences; /* read */
    int64_t docs_dropped;    /* empty, damaged, or without text */
    int64_t sentences_long;  /* dropped: over 16384 bytes */
} lcm_vocab_report;

/* Trains on documents (.txt, .jsonl, both also .zst, folders, "-") and writes a SentencePiece model
 * with byte fallback. The same input gives the same bytes. Memory: about thirty times the text. opts
 * and report may be NULL. LCM_ERR_ARG: options, or a text too small for so many pieces (the message
 * says how many are possible); errors of reading and writing. */
LCM_API lcm_status lcm_vocab_train(lcm_ctx *ctx, lcm_vocab_report *report, const char *path, const char *const *inputs,
                                   size_t n_inputs, const lcm_vocab_train_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
