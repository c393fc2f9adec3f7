/* SONAR checkpoints from elsewhere as one SONAR file of ours.
 *
 * Names understood: fairseq2's (encoder_frontend.embed.weight …, the released .pt files); those of Hugging Face's M2M100 classes,
 * with or without "model.", "encoder.", "decoder."; fairseq's own. The last two order the first four rows of the
 * embedding as <s> <pad> </s> <unk>; they are put back. Sizes come from the shapes; what no shape shows (heads,
 * max_seq_len, pooling) is SONAR's own: heads of 64, 512 tokens, mean, unless set. Tensors "pooler.…", which only fairseq2's
 * names have, mean attention pooling. Of the decoder's cross-attention the query, the key and the norm, of the pooler's
 * self-attention the query and the key are checked and left out (sonar/model.h, sonar/pooler.h say why). A stored output projection that differs
 * from the decoder's embedding replaces it, as it does in PyTorch. Equal tables of encoder and decoder are stored once. */
#ifndef LCM_SONAR_IMPORT_H
#define LCM_SONAR_IMPORT_H

#include "modelfile/import.h"
#include "sonar/sonar_io.h"

/* Tensors of one file by the names of fairseq2, and what the file is. */
typedef struct lcm_sonar_source {
    lcm_weights *file;
    const char *label; /* for messages */
} lcm_sonar_source;

typedef struct lcm_sonar_import_opts {
    int parts;                /* LCM_SONAR_ENCODER | LCM_SONAR_DECODER; 0 = all that the files hold */
    int dtype;                /* lcm_import_dtype */
    const char *const *set;   /* "attn_heads=4" …, over what the shapes say */
    size_t n_set;
    const void *tokenizer;    /* bytes of the SentencePiece model */
    size_t tokenizer_len;
    const char *const *langs; /* NULL: by the rows that the embedding has beyond the pieces, none or SONAR's 202 */
    int n_langs;
    uint64_t space;           /* 0: the hash of the tokeniser and of the encoder's values as F32, or without one the decoder's */
    const json_t *provenance; /* or NULL */
} lcm_sonar_import_opts;

/* Whether the names are those of a SONAR or M2M100 model. */
bool lcm_sonar_import_is(const lcm_weights *w);

/* Reads everything once, then writes `path` (atomic). Each part comes from the file that has it, and if several do, from
 * the one that has nothing else. LCM_ERR_NOTFOUND: a tensor is missing; LCM_ERR_FORMAT: one too many, or two files with the
 * same part; LCM_ERR_SHAPE; LCM_ERR_NUMERIC; LCM_ERR_UNSUPPORTED: a final norm in the encoder's stack; LCM_ERR_ARG: sizes cannot be told, set or langs do not fit. What was found is logged. */
lcm_status lcm_sonar_import(lcm_ctx *ctx, const char *path, const lcm_sonar_source *src, size_t n_src,
                            const lcm_sonar_import_opts *opts);

#endif
