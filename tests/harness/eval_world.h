/* What tests of eval/ work on, in one folder: a toy autoencoder, concept models and a store of its space. */
#ifndef TEST_EVAL_WORLD_H
#define TEST_EVAL_WORLD_H

#include "data/store.h"
#include "harness/test.h"
#include "harness/tmpdir.h"
#include "harness/toy_models.h"
#include "sonar/codec.h"

typedef struct eval_world {
    lcm_ctx *ctx;
    char *dir;
    char sonar[512], base[512], tower[512], store[512]; /* paths; concepts of TOY_D numbers */
    lcm_sonar_file file;                                /* sonar, loaded */
    lcm_codec *codec;
} eval_world;

int eval_world_setup(void **state); /* *state is an eval_world */
int eval_world_teardown(void **state);

/* The models of the files `base` and `tower`. */
lcm_model *eval_world_base(eval_world *w);
lcm_model *eval_world_tower(eval_world *w);

/* Writes and opens a store: documents of 1 … 4 concepts around those of toy_concepts, each of the text "word". */
lcm_store *eval_world_store(eval_world *w, const char *dir, int64_t docs, int64_t D, const char *space);

#endif
