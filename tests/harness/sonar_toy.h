/* The toy SONAR of the golden files: weights are a hash of their names, so only outputs are stored. */
#ifndef TEST_SONAR_TOY_H
#define TEST_SONAR_TOY_H

#include "sonar/model.h"
#include "token/tokenizer.h"

/* Element i (from 1) is splitmix64(fnv1a(prefix key) + i * golden ratio) scaled to [-1, 1), then by
 * kind of tensor. */
void portable_fill(real *x, int64_t n, const char *prefix, const char *key);

lcm_sonar *toy_decoder(lcm_ctx *ctx);  /* D 32, 2 layers, V 40, 16 positions */
void toy_embeddings(real out[4 * 32]); /* the four vectors that the golden searches decode */

/* The toy tokeniser of the golden files, with these languages (n 0: none); NULL on failure. */
lcm_tokenizer *toy_tokenizer(lcm_ctx *ctx, const char *const *langs, int n);

/* A file of an autoencoder of one layer each way, `dim` channels (even), that tokeniser, and values portable_fill makes
 * with `prefix`. A failure ends the running test. */
void toy_sonar_write(lcm_ctx *ctx, const char *path, int64_t dim, const char *prefix, const char *const *langs, int n_langs);

#endif
