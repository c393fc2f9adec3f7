/* C face of libsentencepiece: the only C++ in the tree is behind it, in spm_shim.cc.
 *
 * Ids here are raw ids, the positions in the model file. No C++ exception leaves these calls.
 * The caller must have passed the model through lcm_spm_check first: the library indexes by
 * what the file says. */
#ifndef LCM_SPM_SHIM_H
#define LCM_SPM_SHIM_H

#include "token/tokenizer.h"

typedef struct lcm_spm lcm_spm; /* immutable after loading */

typedef struct lcm_sentence {
    const char *text;
    size_t len;
} lcm_sentence;

lcm_status lcm_spm_load(lcm_ctx *ctx, lcm_spm **out, const void *model, size_t len);
void lcm_spm_free(lcm_spm *m);
const char *lcm_spm_piece(const lcm_spm *m, int raw); /* borrowed; raw in range */

/* Appends raw ids to `ids` and the normalised text, U+2581 for each space, to `normal`; either
 * may be NULL. `text` is valid UTF-8. May leave part of the output behind on failure. */
lcm_status lcm_spm_encode(lcm_ctx *ctx, lcm_ids *ids, lcm_buf *normal, const lcm_spm *m, const char *text,
                          size_t len);

lcm_status lcm_spm_decode(lcm_ctx *ctx, lcm_buf *out, const lcm_spm *m, const int32_t *raw, size_t n);

/* Trains on n sentences. The library's trainer may end the process on input it did not foresee:
 * only the child of lcm_tokenizer_train calls this. */
lcm_status lcm_spm_train(lcm_ctx *ctx, lcm_buf *model_out, const lcm_tokenizer_train_opts *opts,
                         const lcm_sentence *sentences, size_t n);

#endif
