/* One number per concept of a store, kept beside it: STORE/NAME.safetensors with the tensor NAME, F32 [N], and as
 * metadata lcm.kind "concept_column", the store it was made for (lcm.store: the hash over its shards' hashes) and
 * how (lcm.config). Shards stay as they are. */
#ifndef LCM_DATA_COLUMN_H
#define LCM_DATA_COLUMN_H

#include "data/store.h"

/* Atomic. x (N) finite; origin: a JSON object, borrowed. */
lcm_status lcm_column_write(lcm_ctx *ctx, const lcm_store *s, const char *name, const real *x, const json_t *origin);

/* x (N). LCM_ERR_NOTFOUND; LCM_ERR_FORMAT: made for another store, or a value is not finite. */
lcm_status lcm_column_read(lcm_ctx *ctx, real *x, const lcm_store *s, const char *name);

#endif
