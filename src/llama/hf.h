/* Llama folders as Hugging Face keeps them: config.json, model.safetensors, tokenizer.model.
 *
 * Tensors, their order of rows and the token ids are the same on both sides, so nothing is computed. */
#ifndef LCM_LLAMA_HF_H
#define LCM_LLAMA_HF_H

#include "llama/llama_io.h"

/* Reads a folder. What this model cannot do is LCM_ERR_UNSUPPORTED by name: another model_type or
 * activation, biases, scaled rotary positions, weights in several files, no SentencePiece tokeniser. A key out
 * of range, a tensor that is missing, unknown or not finite: LCM_ERR_FORMAT; one of another shape: LCM_ERR_SHAPE. */
lcm_status lcm_llama_import_hf(lcm_ctx *ctx, lcm_llama_file *out, const char *dir);

/* Writes a folder, each file atomically. dtype: of all tensors, F32, F16 or BF16.
 * LCM_ERR_NUMERIC: a value does not fit; LCM_ERR_IO. */
lcm_status lcm_llama_export_hf(lcm_ctx *ctx, const lcm_llama_file *f, const char *dir, lcm_dtype dtype);

#endif
