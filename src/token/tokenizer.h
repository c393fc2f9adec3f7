/* Tokeniser: text <-> ids of the SONAR vocabulary, over a SentencePiece model.
 *
 * Id space, exactly that of the SONAR reference code:
 *
 *     0 <pad>   1 <unk>   2 <s>   3 </s>   k+1 piece k of the model file
 *     then the languages in the order given, then `n_extra` reserved ids
 *
 * The model file is untrusted: token/spm_check.h accepts it before the library sees a byte.
 * A tokeniser is immutable after loading; threads may share it, each with its own context. */
#ifndef LCM_TOKENIZER_H
#define LCM_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

enum { LCM_ID_PAD = 0, LCM_ID_UNK = 1, LCM_ID_BOS = 2, LCM_ID_EOS = 3 };

enum {
    LCM_TOKENIZER_MAX_TEXT = 4 << 20, /* bytes of one encoded text */
    LCM_TOKENIZER_MAX_LANGS = 4096,   /* languages, and also reserved ids */
    LCM_TOKENIZER_MAX_LANG_NAME = 64  /* bytes of one language name */
};

typedef struct lcm_tokenizer lcm_tokenizer;

/* Growable ids on the heap; start with {0}. */
typedef struct lcm_ids {
    int32_t *data;
    size_t len, cap;
} lcm_ids;

lcm_status lcm_ids_push(lcm_ctx *ctx, lcm_ids *ids, int32_t id);
void lcm_ids_free(lcm_ids *ids); /* leaves an empty list */

/* Loads the `len` bytes of a SentencePiece .model (copied) with raw ids unk 0, <s> 1, </s> 2.
 * `langs` holds n_langs distinct names such as "eng_Latn" (copied); n_extra ids are reserved
 * after them. LCM_ERR_FORMAT, LCM_ERR_LIMIT (spm_check.h); LCM_ERR_UNSUPPORTED for a model type
 * other than unigram and BPE or other raw ids; LCM_ERR_ARG for bad languages. */
lcm_status lcm_tokenizer_load(lcm_ctx *ctx, lcm_tokenizer **out, const void *model, size_t len,
                              const char *const *langs, int n_langs, int n_extra);
void lcm_tokenizer_free(lcm_tokenizer *tok); /* NULL is allowed */

int32_t lcm_tokenizer_size(const lcm_tokenizer *tok);   /* all ids: 1 + pieces + languages + reserved */
int32_t lcm_tokenizer_pieces(const lcm_tokenizer *tok); /* pieces in the model file, specials included */
int lcm_tokenizer_n_langs(const lcm_tokenizer *tok);
int lcm_tokenizer_n_extra(const lcm_tokenizer *tok);
const char *lcm_tokenizer_lang(const lcm_tokenizer *tok, int i); /* name of language i; borrowed */

/* The model file's bytes as loaded; borrowed. They and the language list recreate the tokeniser. */
const void *lcm_tokenizer_model(const lcm_tokenizer *tok, size_t *len);

/* Printable form of any id: the piece with U+2581 for a space, "<pad>", "__eng_Latn__",
 * "<extra_0>"; NULL when out of range. Borrowed. */
const char *lcm_tokenizer_piece(const lcm_tokenizer *tok, int32_t id);

/* Reserves n_extra ids after the languages instead of those it has: an embedding may have more rows than the
 * tokeniser has ids. LCM_ERR_ARG beyond LCM_TOKENIZER_MAX_LANGS. */
lcm_status lcm_tokenizer_reserve(lcm_ctx *ctx, lcm_tokenizer *tok, int n_extra);

/* lang: a name as given to _load, or what token/langs.h knows as an alias of one ("en", "sat_Olck").
 * LCM_ERR_NOTFOUND names the language and the one that was probably meant. */
lcm_status lcm_tokenizer_lang_id(lcm_ctx *ctx, int32_t *id, const lcm_tokenizer *tok, const char *lang);

/* Appends the pieces of `text`, without specials. A run of unknown characters is one <unk>.
 * Spellings of specials ("</s>", "__eng_Latn__") are plain text. LCM_ERR_UTF8, LCM_ERR_LIMIT;
 * on failure *out keeps what it held. The same contract holds for source and target. */
lcm_status lcm_tokenizer_encode(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, const char *text,
                                size_t len);

/* Appends [lang] pieces [</s>], the encoder's input. `lang` is an id of lcm_tokenizer_lang_id. */
lcm_status lcm_tokenizer_encode_source(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, int32_t lang,
                                       const char *text, size_t len);

/* NLLB marked sources by where its training data came from; the three reserved ids stand for that. */
typedef enum lcm_source_tag { LCM_TAG_MINED = 0, LCM_TAG_MMT_BT, LCM_TAG_SMT_BT } lcm_source_tag;
/* Appends [lang, tag] pieces [</s>]. LCM_ERR_ARG unless the tokeniser has three reserved ids. */
lcm_status lcm_tokenizer_encode_tagged(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, int32_t lang,
                                       lcm_source_tag tag, const char *text, size_t len);

/* Appends [</s>, lang] pieces [</s>]: the decoder reads all but the last id and predicts all but
 * the first. The prompt at inference is the first two. */
lcm_status lcm_tokenizer_encode_target(lcm_ctx *ctx, lcm_ids *out, const lcm_tokenizer *tok, int32_t lang,
                                       const char *text, size_t len);

/* Appends the text of `ids`. Specials, languages and reserved ids vanish wherever they stand;
 * <unk> becomes the model's surface for it, by default " ⁇ ". LCM_ERR_ARG for an id out of range. */
lcm_status lcm_tokenizer_decode(lcm_ctx *ctx, lcm_buf *out, const lcm_tokenizer *tok, const int32_t *ids,
                                size_t n);

/* The text as the pieces see it: the model's character map applied, spaces collapsed. Appended.
 * With byte fallback, decode(encode(s)) equals normalise(s) for every valid UTF-8 s. */
lcm_status lcm_tokenizer_normalize(lcm_ctx *ctx, lcm_buf *out, const lcm_tokenizer *tok, const char *text,
                                   size_t len);

typedef enum lcm_tokenizer_type { LCM_TOKENIZER_UNIGRAM = 1, LCM_TOKENIZER_BPE = 2 } lcm_tokenizer_type;
typedef enum lcm_normalization { LCM_NORM_NMT_NFKC = 0, LCM_NORM_IDENTITY } lcm_normalization;

typedef struct lcm_tokenizer_train_opts {
    int vocab_size; /* pieces of the model file, specials and 256 bytes included; at most 2^20 */
    lcm_tokenizer_type type;
    lcm_normalization normalization;
    bool byte_fallback;        /* unknown characters become byte pieces: decoding is total */
    double character_coverage; /* part of the characters that get a piece; 0.98 … 1 */
    int max_sentence_bytes;    /* longer sentences are an error; 16 … 65536 */
    int64_t max_sentences;     /* 0: all; else a uniform sample of so many, drawn with `seed` */
    uint64_t seed;
} lcm_tokenizer_train_opts;

/* Unigram, 8192 pieces, nmt_nfkc, byte fallback, coverage 0.9995, 16384 bytes, all sentences. */
lcm_tokenizer_train_opts lcm_tokenizer_train_defaults(void);

/* Gives the next sentence: LCM_OK with *text NULL at the end. The text must stay valid until
 * the next call. Any failure stops the training and is returned. */
typedef lcm_status (*lcm_sentence_fn)(void *user, const char **text, size_t *len);

/* Trains a model and appends its bytes. The same sentences and options give the same bytes.
 * Memory: the sentences kept, then about thirty times that in a child process, which runs the library
 * because its trainer may end the process on odd input. Empty sentences are skipped, as are those
 * with U+2585, which the trainer needs for itself. LCM_ERR_ARG: bad options, no text, or a vocabulary
 * that this text cannot fill (the message names the largest possible); LCM_ERR_UTF8, LCM_ERR_LIMIT
 * name the sentence; LCM_ERR_IO when no process can be started. */
lcm_status lcm_tokenizer_train(lcm_ctx *ctx, lcm_buf *model_out, const lcm_tokenizer_train_opts *opts,
                               lcm_sentence_fn next, void *user);

#endif
