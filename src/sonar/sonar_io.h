/* SONAR model files: parameters, configuration and tokeniser in one .safetensors.
 *
 * Tensors carry the reference's names; `tokenizer.model` (U8) holds the SentencePiece file and
 * `lcm.langs` in the metadata its languages. The space is the hash of the parameters as first
 * written; a conversion of storage keeps it, so concept models go on matching. */
#ifndef LCM_SONAR_IO_H
#define LCM_SONAR_IO_H

#include <jansson.h>

#include "modelfile/train_record.h"
#include "sonar/net.h"
#include "token/tokenizer.h"

typedef struct lcm_sonar_file {
    lcm_sonar_config config;
    lcm_sonar_net *net; /* ready for inference; the file stays mapped */
    lcm_sonar *model;   /* to be trained; one of the two, or none */
    lcm_tokenizer *tok;
    int32_t lang;     /* id of the default language: eng_Latn, else the first; -1 when there is none */
    uint64_t space;
    char space_hex[17];
} lcm_sonar_file;

/* For inference. parts: LCM_SONAR_ENCODER | LCM_SONAR_DECODER; 0 is the tokeniser alone. Tensors of other parts are ignored;
 * a missing or non-finite one is LCM_ERR_FORMAT, a misshapen one LCM_ERR_SHAPE, by name. LCM_ERR_NOTFOUND: no such file.
 * LCM_ERR_NOMEM before anything is read when the weights are larger than the memory that is left. */
lcm_status lcm_sonar_load(lcm_ctx *ctx, lcm_sonar_file *out, const char *path, int parts);
/* As a model to be trained, or looked at; parts 1 to 3. The numbers may be of any floating-point type, not int8. */
lcm_status lcm_sonar_load_model(lcm_ctx *ctx, lcm_sonar_file *out, const char *path, int parts, bool with_grad);
void lcm_sonar_file_close(lcm_sonar_file *f);

/* Appends the file's bytes. x: flat parameter values (NULL = the model's own). space 0: a new one,
 * the hash of tokeniser and values. provenance: JSON object or NULL. train: what it cost, or NULL. */
lcm_status lcm_sonar_write(lcm_ctx *ctx, lcm_buf *out, const lcm_sonar *m, const real *x, const lcm_tokenizer *tok,
                           lcm_dtype dtype, uint64_t space, const json_t *provenance,
                           const lcm_train_record *train);

/* What of a SONAR file is not parameters: metadata, languages and the tokeniser, which is borrowed until the commit. */
lcm_status lcm_sonar_put_meta(lcm_ctx *ctx, lcm_st_writer *w, const lcm_sonar_config *config, const lcm_tokenizer *tok,
                              uint64_t space, const json_t *provenance);

#endif
