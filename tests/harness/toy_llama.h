/* Toy Llamas for tests, and the toy tokeniser of the golden files. */
#ifndef TEST_TOY_LLAMA_H
#define TEST_TOY_LLAMA_H

#include "llama/llama_io.h"

/* Two layers, four heads of 6, dropout off; grouped: two key heads and an output projection of its own. The
 * vocabulary is the toy tokeniser's, with three rows more. */
lcm_llama_config toy_llama_config(bool grouped);
lcm_llama *toy_llama(lcm_ctx *ctx, const lcm_llama_config *c, bool with_grad); /* random; NULL on failure */
lcm_tokenizer *toy_llama_tokenizer(lcm_ctx *ctx);
/* A file of one layer with that tokeniser, random; gives back path. A failure ends the running test. */
const char *toy_llama_file(lcm_ctx *ctx, const char *path);

/* The parameters of a golden file, and its configuration. */
lcm_llama *golden_llama(lcm_ctx *ctx, const lcm_st *st, bool with_grad);

#endif
