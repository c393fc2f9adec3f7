/* Sentences <-> concepts: tokeniser, encoder, decoder and search as one object.
 *
 * A codec belongs to one thread; the model file behind it may be shared. A sentence's vector does
 * not depend on what else is in the call, up to rounding: nothing is padded. */
#ifndef LCM_CODEC_H
#define LCM_CODEC_H

#include "sonar/beam.h"
#include "sonar/batch.h"
#include "sonar/encoder.h"
#include "sonar/sonar_io.h"

typedef struct lcm_codec lcm_codec;

/* The file is borrowed. */
lcm_status lcm_codec_new(lcm_ctx *ctx, lcm_codec **out, const lcm_sonar_file *file);
void lcm_codec_free(lcm_codec *c); /* NULL is allowed */
int64_t lcm_codec_dim(const lcm_codec *c);
/* Another decoder of the same space and vocabulary, borrowed: it says what lcm_beam_opts.predicted marks. LCM_ERR_SHAPE names
 * `path` and what does not fit. */
lcm_status lcm_codec_set_voice(lcm_ctx *ctx, lcm_codec *c, const lcm_sonar_file *voice, const char *path);
void lcm_codec_set_pooling(lcm_codec *c, int pooling); /* instead of the file's; of one that gives lcm_codec_dim numbers */

/* out (n, dim). cut (n, may be NULL) receives 1 for a sentence longer than the encoder's window
 * (max_seq_len + 2 tokens): its first tokens are encoded, as in the reference, without </s>.
 * lang: id of a language token, -1 for the file's default. LCM_ERR_UTF8, LCM_ERR_LIMIT name the
 * sentence. */
lcm_status lcm_codec_encode(lcm_ctx *ctx, real *out, uint8_t *cut, lcm_codec *c, const char *const *text,
                            const size_t *len, size_t n, int32_t lang);

/* Token ids of one sentence at a time are also of use to others. */
lcm_status lcm_codec_encode_ids(lcm_ctx *ctx, real *out, lcm_codec *c, const lcm_pieces *s, size_t n, int32_t lang);

/* Appends the best hypothesis' text of each vector (n, dim) to *out, each followed by a NUL byte.
 * scores (n) may be NULL. */
lcm_status lcm_codec_decode(lcm_ctx *ctx, lcm_buf *out, double *scores, lcm_codec *c, const real *concepts, size_t n,
                            int32_t lang, const lcm_beam_opts *opts);

typedef struct lcm_said {
    size_t which; /* of the concepts */
    double score; /* of its text */
} lcm_said;

/* Of n >= 1 concepts that could be the next one, the first whose text has a score of at least `min_score`, else the one of
 * the highest score: a concept that is no sentence's decodes to unlikely words. Its text goes to *out as above. With
 * min_score = 0 it is the best of all, since scores are below 0. */
lcm_status lcm_codec_decode_best(lcm_ctx *ctx, lcm_buf *out, lcm_said *said, lcm_codec *c, const real *concepts, size_t n,
                                 double min_score, int32_t lang, const lcm_beam_opts *opts);

#endif
