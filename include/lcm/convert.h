/* Checkpoints of other programs as model files of lcm.
 *
 * Read are PyTorch's .pt files (both containers) and safetensors. A pickle is read by a machine that knows a list of opcodes
 * and names and executes nothing; docs/formats.md says which. What a file holds is told by the names of its tensors. */
#ifndef LCM_CONVERT_H
#define LCM_CONVERT_H

#include <stddef.h>

#include "lcm/bundle.h"
#include "lcm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_convert_opts {
    const char *kind;      /* "sonar", "llama", "lcm", "blaser": what it must be; NULL = as the names say */
    int parts;             /* sonar: LCM_LOAD_ENCODER, LCM_LOAD_DECODER or both; 0 = all there is */
    int dtype;             /* lcm_export_dtype; F64 becomes F32 in any case */
    const char *tokenizer; /* sonar: path of the SentencePiece model; required */
    /* sonar: "none", "nllb" (SONAR's 202), or the path of a text with one code per line in the order of their ids;
     * NULL = by the rows that the embedding has beyond the pieces: none, or SONAR's. */
    const char *langs;
    /* Path of a model file of ours whose SONAR space the result speaks. Concept models need it; a SONAR model has its own
     * without it, which all conversions of one encoder share. */
    const char *space_of;
    const char *const *set; /* configuration that no tensor shows, "attn_heads=4"; over what the shapes say */
    size_t n_set;
} lcm_convert_opts;

/* Converts the files src[0 … n-1], which belong to one model, to `out` (atomic). Everything is read and checked before
 * anything is written; values pass through in pieces, so memory is that of the headers and of the largest tensor that
 * a .pt file does not store in order. What was found is logged. opts NULL = defaults.
 * A folder by itself is a Llama as Hugging Face keeps it: config.json, model.safetensors and a SentencePiece tokenizer.model
 * (docs/models/llama.md). It is held in memory, and of the options only kind and dtype may be given.
 * LCM_ERR_FORMAT, LCM_ERR_LIMIT: a damaged or hostile file, or a tensor too many; LCM_ERR_UNSUPPORTED: a pickle's opcode or
 * name that is not on the list, or a model not implemented; LCM_ERR_NOTFOUND: a file or tensor is missing;
 * LCM_ERR_SHAPE; LCM_ERR_NUMERIC: a value is not finite, or does not fit F16; LCM_ERR_ARG: options. */
LCM_API lcm_status lcm_convert(lcm_ctx *ctx, const char *out, const char *const *src, size_t n,
                               const lcm_convert_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
