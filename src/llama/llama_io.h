/* Llama model files: parameters under Hugging Face's names, configuration and tokeniser in one .safetensors.
 *
 * lcm.kind is "llama", lcm.space 0 (there are no concepts); `tokenizer.model` (U8) holds the SentencePiece file. */
#ifndef LCM_LLAMA_IO_H
#define LCM_LLAMA_IO_H

#include "llama/llama.h"
#include "llama/tokens.h"
#include "modelfile/model_meta.h"

typedef struct lcm_llama_file {
    lcm_llama *model;
    lcm_tokenizer *tok;
} lcm_llama_file;

/* A tensor that is missing, not finite or not the model's is LCM_ERR_FORMAT, a misshapen one, or a
 * vocabulary smaller than the tokeniser, LCM_ERR_SHAPE. LCM_ERR_NOTFOUND: no such file. Memory is only
 * taken once the file is known to hold what its configuration asks for. */
lcm_status lcm_llama_load(lcm_ctx *ctx, lcm_llama_file *out, const char *path, bool with_grad);
/* The tokeniser alone; the parameters are not looked at. */
lcm_status lcm_llama_load_tokenizer(lcm_ctx *ctx, lcm_tokenizer **out, const char *path);
/* Whether a file says that it is a llama; false, too, when it cannot be read. */
bool lcm_llama_is(const char *path);
void lcm_llama_file_close(lcm_llama_file *f); /* leaves it empty */

/* LCM_ERR_NUMERIC names a value of `x` (NULL = the model's own) that is not finite, or is not when stored as dtype. */
lcm_status lcm_llama_check_values(lcm_ctx *ctx, const lcm_llama *m, const real *x, lcm_dtype dtype);

/* Appends the file's bytes, after this check. x: flat parameter values (NULL = the model's own). provenance: JSON object or NULL.
 * train: what it cost, or NULL. */
lcm_status lcm_llama_write(lcm_ctx *ctx, lcm_buf *out, const lcm_llama *m, const real *x, const lcm_tokenizer *tok,
                           lcm_dtype dtype, const json_t *provenance, const lcm_train_record *train);

/* Values of a registered model out of a file that has these tensors and no others, but for those that
 * `extra` answers true for. Allocates the parameters. */
lcm_status lcm_llama_fill(lcm_ctx *ctx, lcm_llama *m, const lcm_st *st, bool (*extra)(const char *name), bool with_grad);

#endif
