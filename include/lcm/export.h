/* Model files: rewriting them for distribution, and replaying the sample that rides along. */
#ifndef LCM_EXPORT_H
#define LCM_EXPORT_H

#include <stddef.h>
#include <stdint.h>

#include "lcm/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lcm_export_dtype { LCM_EXPORT_KEEP = 0, LCM_EXPORT_F32, LCM_EXPORT_F16, LCM_EXPORT_BF16, LCM_EXPORT_INT8 } lcm_export_dtype;

typedef enum lcm_export_part { LCM_EXPORT_ALL = 0, LCM_EXPORT_ENCODER, LCM_EXPORT_DECODER } lcm_export_part;

typedef struct lcm_export_opts {
    int dtype;              /* lcm_export_dtype of matrices; vectors are stored as F32 unless kept */
    int selftest;           /* compute a sample and add it */
    const char *provenance; /* JSON object that replaces the file's, or NULL */
    int part;               /* lcm_export_part, of a SONAR model; a part has no sample */
} lcm_export_opts;

/* Rewrites the model file `in` (any kind) as `out`, which may be the same path; atomic. The space
 * is kept, so concept models go on matching. Tensors and metadata are all carried over, but for a sample
 * of the file when dtype changes the numbers that it belongs to: leaving it out is logged as a warning.
 * INT8 (docs/formats.md) is for SONAR models, and for inference: they cannot be trained or converted further.
 * LCM_ERR_NUMERIC: a value does not fit F16; LCM_ERR_UNSUPPORTED: INT8 of another kind, or of a file that is int8
 * already; LCM_ERR_ARG: a part of another kind, or with a sample; LCM_ERR_FORMAT: no model file, or provenance is no JSON
 * object; LCM_ERR_NOTFOUND: a sample of an unknown kind was asked for. */
LCM_API lcm_status lcm_export(lcm_ctx *ctx, const char *in, const char *out, const lcm_export_opts *opts);

/* Writes the llama file `in` as a folder that Hugging Face's transformers reads: config.json, model.safetensors,
 * tokenizer.model. opts: dtype (KEEP and F32: float32) and nothing else, else LCM_ERR_ARG; NULL = float32.
 * LCM_ERR_FORMAT: another kind of model; LCM_ERR_NUMERIC: a value does not fit F16. lcm_convert goes the other way. */
LCM_API lcm_status lcm_export_hf(lcm_ctx *ctx, const char *in, const char *dir, const lcm_export_opts *opts);

typedef struct lcm_selftest_report {
    char kind[32];
    int64_t vectors, texts; /* compared */
    int64_t texts_different;
    double worst, tolerance; /* largest relative distance |a-b| / |b| of a vector; what is allowed */
    int passed;
} lcm_selftest_report;

/* Replays the sample in a model file: a SONAR model encodes its sentences and decodes its vectors,
 * a concept model predicts from its prompt with its seed. LCM_ERR_NOTFOUND: the file has no sample. A
 * sample that does not match is LCM_OK with passed = 0. */
LCM_API lcm_status lcm_selftest(lcm_ctx *ctx, lcm_selftest_report *report, const char *path);

#ifdef __cplusplus
}
#endif
#endif
