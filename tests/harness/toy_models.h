/* Toy concept models for tests: the sizes of the golden files, and random documents. */
#ifndef TEST_TOY_MODELS_H
#define TEST_TOY_MODELS_H

#include "lcm/base.h"
#include "lcm/one_tower.h"
#include "lcm/quant.h"
#include "lcm/registry.h"
#include "lcm/two_tower.h"

enum { TOY_D = 12, TOY_M = 16, TOY_H = 2 };

/* Two layers, two heads, dropout off. */
lcm_transformer_config
toy_transformer(bool modern);          /* modern: rms, SwiGLU, output bias; else standard, ReLU 64 */
lcm_base_config toy_base_config(void); /* rms, rope, SwiGLU, pre */
lcm_one_tower_config toy_one_tower_config(void); /* rms, learned positions, SwiGLU, 20 noise steps, guidance */
lcm_quant_config toy_quant_config(void); /* 4 codebooks of 8 units, guidance; of both kinds */
lcm_two_tower_config toy_two_tower_config(void); /* the same towers, 20 noise steps, guidance */

/* Every parameter random, modulators too: a fresh two-tower model is blind to its context. */
void toy_randomize(lcm_model *m, uint64_t seed);

/* n rows of D values, of roughly unit variance around a per-channel offset. Heap. */
real *toy_concepts(int64_t n, int64_t D, uint64_t seed);

#endif
