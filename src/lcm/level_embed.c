/* Embedding of noise levels. */
#include "lcm/level_embed.h"

#include <stdio.h>

lcm_level_embed lcm_level_embed_new(lcm_params *p, int64_t E, lcm_linear_init init, const char *name) {
    lcm_level_embed e;
    char sub[LCM_PARAM_NAME];
    snprintf(sub, sizeof sub, "%s.fc1", name);
    e.fc1 = lcm_linear_new(p, LCM_TIMESTEP_FEATURES, E, true, init, sub);
    snprintf(sub, sizeof sub, "%s.fc2", name);
    e.fc2 = lcm_linear_new(p, E, E, true, init, sub);
    return e;
}

lcm_tensor *lcm_level_embed_fwd(lcm_tape *t, const lcm_level_embed *e, const int64_t *levels, int64_t n) {
    lcm_tensor *f = lcm_tensor_new(t, n, LCM_TIMESTEP_FEATURES);
    if (f == NULL) return NULL;
    lcm_timestep_features(f->x, levels, n, LCM_TIMESTEP_FEATURES);
    return lcm_linear_fwd(t, &e->fc2, lcm_op_act(t, lcm_linear_fwd(t, &e->fc1, f), LCM_ACT_SILU));
}

lcm_distinct_levels lcm_distinct_levels_make(lcm_tape *t, const int64_t *level, int64_t R, int64_t N) {
    lcm_distinct_levels d = {0, NULL, NULL};
    int32_t *row = lcm_tape_alloc(t, (size_t)R * sizeof *row);
    int32_t *seen = lcm_tape_alloc(t, (size_t)N * sizeof *seen);
    int64_t *distinct = lcm_tape_alloc(t, (size_t)(R < N ? R : N) * sizeof *distinct);
    if (row == NULL || seen == NULL || distinct == NULL) return d;
    for (int64_t i = 0; i < N; i++) seen[i] = -1;
    for (int64_t r = 0; r < R; r++) {
        LCM_ASSERT(level[r] >= 0 && level[r] < N);
        if (seen[level[r]] < 0) {
            seen[level[r]] = (int32_t)d.n;
            distinct[d.n++] = level[r];
        }
        row[r] = seen[level[r]];
    }
    d.level = distinct;
    d.row = row;
    return d;
}
