/* What makes a safetensors file a model of ours: keys of its __metadata__ (and "lcm.train", in
 * modelfile/train_record.h).
 *
 *   lcm.format      "1"; a later number is refused with LCM_ERR_VERSION
 *   lcm.kind        what reads it: "sonar", "base", "one_tower", "two_tower", …
 *   lcm.config      JSON object, the typed configuration of that kind
 *   lcm.provenance  JSON object, where it comes from: corpus, revision; for people, may be absent
 *   lcm.prompt      JSON object, the sentences around source and target of an instruction-tuned model
 *                   (sonar/affixes.h); absent in others
 *   lcm.space       16 hex digits: the SONAR space that the vectors live in
 *
 * The space is born with a SONAR model and copied from then on: conversion to another number type
 * keeps it, concept models and stores inherit it. Two files fit together when theirs are equal. */
#ifndef LCM_MODEL_META_H
#define LCM_MODEL_META_H

#include <jansson.h>

#include "modelfile/train_record.h"

enum { LCM_MODEL_FORMAT = 1, LCM_KIND_CAP = 32 };

typedef struct lcm_model_meta {
    char kind[LCM_KIND_CAP];
    uint64_t space;
    json_t *config, *provenance; /* objects, owned */
    lcm_train_record train;      /* of modelfile/train_record.h; empty when the file has none */
    json_t *prompt;              /* object, owned; NULL when the file has none */
} lcm_model_meta;

/* Sets format, kind, config, provenance and space. kind: 1 to 31 of a-z 0-9 _; config and provenance:
 * JSON objects, borrowed;
 * provenance may be NULL. LCM_ERR_ARG. */
lcm_status lcm_model_meta_write(lcm_ctx *ctx, lcm_st_writer *w, const char *kind, uint64_t space, const json_t *config,
                                const json_t *provenance);

/* Sets a key to a JSON object, borrowed. LCM_ERR_ARG when it is none. */
lcm_status lcm_model_meta_put(lcm_ctx *ctx, lcm_st_writer *w, const char *key, const json_t *obj);

/* LCM_ERR_FORMAT for a missing or malformed key, LCM_ERR_VERSION. A missing provenance is read as {}.
 * *out is empty on failure. */
lcm_status lcm_model_meta_read(lcm_ctx *ctx, lcm_model_meta *out, const lcm_st *st);
void lcm_model_meta_free(lcm_model_meta *m); /* leaves it empty */

/* What a failure below means to the caller of a loader, once the file is open: a tensor that is missing, a value
 * that is not finite and a configuration out of range are LCM_ERR_FORMAT, a damaged file. */
lcm_status lcm_model_blame(lcm_status st);

/* lcm_st_open, lcm_model_meta_read, and the kind as expected (NULL: any, else LCM_ERR_FORMAT). */
lcm_status lcm_model_open(lcm_ctx *ctx, lcm_st **st, lcm_model_meta *meta, const char *path, const char *kind);

/* LCM_ERR_ARG, in one sentence with both spaces, unless `concepts` (a model or store named `what`)
 * was made for the space of `sonar`. */
lcm_status lcm_model_check_space(lcm_ctx *ctx, uint64_t concepts, const char *what, uint64_t sonar);

/* 16 lower-case hex digits and NUL; and back, false for anything else. */
void lcm_space_format(char hex[17], uint64_t space);
bool lcm_space_parse(uint64_t *space, const char *hex);

#endif
