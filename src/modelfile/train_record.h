/* What a model cost: the key "lcm.train" in the metadata of a model file, beside those of modelfile/model_meta.h.
 *
 * A JSON object of these fields; written at every checkpoint, so that the file of an interrupted run tells what it
 * has had so far, and a resumed run goes on counting. How operations are counted: docs/evaluation.md. */
#ifndef LCM_TRAIN_RECORD_H
#define LCM_TRAIN_RECORD_H

#include "base/config.h"
#include "modelfile/safetensors.h"

typedef struct lcm_train_record {
    int64_t steps;
    double items;     /* concepts or tokens read, each as often as it was */
    char unit[16];    /* "concepts", "tokens"; "" when there is no record */
    double flops;     /* floating-point operations of all forward and backward passes */
    double seconds;   /* wall clock in training steps, without validation and checkpoints. Alone it is no function of
                         configuration and data. 0, like flops 0: not counted */
    int64_t seed;
    int64_t trained;  /* numbers that the run moves … */
    int64_t fixed;    /* … and does not, of the parameters: codebooks, a frozen encoder. 0 and 0: an older record */
} lcm_train_record;

extern const lcm_field lcm_train_record_fields[];

lcm_status lcm_train_record_write(lcm_ctx *ctx, lcm_st_writer *w, const lcm_train_record *r);
/* A file without the key gives an empty record. LCM_ERR_FORMAT for anything but such an object. */
lcm_status lcm_train_record_read(lcm_ctx *ctx, lcm_train_record *out, const lcm_st *st);

#endif
