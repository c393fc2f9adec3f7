/* Import: the parameters of a model of ours, each taken from a tensor of a file from elsewhere.
 *
 * Two passes over the values, piece by piece: lcm_import_check before anything is written, then the writer's. */
#ifndef LCM_IMPORT_H
#define LCM_IMPORT_H

#include "modelfile/weights.h"
#include "nn/params.h"

typedef enum lcm_import_dtype {
    LCM_IMPORT_KEEP = 0, /* as the source; F64 becomes F32 */
    LCM_IMPORT_F32,
    LCM_IMPORT_F16 /* matrices; vectors are F32 */
} lcm_import_dtype;

typedef struct lcm_import_item {
    char name[LCM_PARAM_NAME]; /* ours */
    lcm_weights *file;
    const lcm_weight *t;
    /* Our rows 0 … 3 (<pad> <unk> <s> </s>) are the source's 1, 3, 0, 2: the order of fairseq and Hugging Face. */
    bool fairseq_rows;
    uint64_t hash; /* of the values as F32, once checked */
} lcm_import_item;

typedef struct lcm_import {
    lcm_import_item **items;
    size_t n, cap;
} lcm_import;

/* Parameter `p` is tensor t of `file`. LCM_ERR_SHAPE names both shapes, LCM_ERR_FORMAT: not floating point. */
lcm_status lcm_import_add(lcm_ctx *ctx, lcm_import *imp, const lcm_param *p, lcm_weights *file, const lcm_weight *t,
                          bool fairseq_rows);
void lcm_import_free(lcm_import *imp);

/* LCM_ERR_SHAPE unless t has exactly this shape; a vector is cols alone. */
lcm_status lcm_import_shape(lcm_ctx *ctx, const lcm_weight *t, int64_t rows, int64_t cols, bool is_vector);

/* Reads every value. LCM_ERR_NUMERIC names the first that is not finite, or does not fit `dtype`. */
lcm_status lcm_import_check(lcm_ctx *ctx, lcm_import *imp, int dtype);

/* Hands all items to the writer; they must live until its commit. */
lcm_status lcm_import_put(lcm_ctx *ctx, const lcm_import *imp, lcm_st_writer *w, int dtype);

/* Whether two items hold the same values. */
lcm_status lcm_import_same(lcm_ctx *ctx, bool *same, lcm_import_item *a, lcm_import_item *b);

#endif
