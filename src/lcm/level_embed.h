/* How a network is told the noise level of a row: frequencies of the level, then two linear layers.
 *
 *   e = fc2(silu(fc1(features(t))))
 *
 * Source: Peebles & Xie 2023, as in the reference code of arXiv 2412.08821. */
#ifndef LCM_LCM_LEVEL_EMBED_H
#define LCM_LCM_LEVEL_EMBED_H

#include "diffusion/step_sampler.h"
#include "nn/layers.h"

typedef struct lcm_level_embed {
    lcm_linear fc1, fc2; /* (E, LCM_TIMESTEP_FEATURES), (E, E) */
} lcm_level_embed;

/* NAME.fc1, NAME.fc2 */
lcm_level_embed lcm_level_embed_new(lcm_params *p, int64_t E, lcm_linear_init init, const char *name);

/* levels (n) -> (n,E); no activation behind fc2 */
lcm_tensor *lcm_level_embed_fwd(lcm_tape *t, const lcm_level_embed *e, const int64_t *levels, int64_t n);

/* The distinct levels of a batch, in order of appearance: what depends on the level only is computed
 * once for each of them and copied to rows. With 100 levels and batches of 1000 rows a tenth of the work. */
typedef struct lcm_distinct_levels {
    int64_t n;
    const int64_t *level; /* (n) */
    const int32_t *row;   /* (R) which of them row r has; NULL when out of memory */
} lcm_distinct_levels;

/* level (R), each in 0 … N-1 */
lcm_distinct_levels lcm_distinct_levels_make(lcm_tape *t, const int64_t *level, int64_t R, int64_t N);

#endif
