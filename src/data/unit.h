/* One unit of preparation: documents collected, cut, encoded and written as a shard. */
#ifndef LCM_DATA_UNIT_H
#define LCM_DATA_UNIT_H

#include "data/prepare.h"

typedef struct lcm_unit_maker lcm_unit_maker;

/* `opts` is borrowed until the end. LCM_ERR_ARG for dim and dtype that no store can have. */
lcm_status lcm_unit_maker_new(lcm_ctx *ctx, lcm_unit_maker **out, const lcm_prepare_opts *opts);
void lcm_unit_maker_free(lcm_unit_maker *m); /* NULL is allowed */

void lcm_unit_clear(lcm_unit_maker *m);
lcm_status lcm_unit_add(lcm_ctx *ctx, lcm_unit_maker *m, const lcm_doc *doc); /* copies text; borrows doc->path */

/* Makes DIR/shard-INDEX of the documents added since the last clear; `report` comes with the
 * reader's counts and is completed. `tick` is called after each batch with its size. */
lcm_status lcm_unit_write(lcm_ctx *ctx, lcm_unit_maker *m, const char *dir, int64_t index, lcm_store_report *report,
                          lcm_status (*tick)(lcm_ctx *ctx, void *user, int64_t sentences), void *user);

#endif
