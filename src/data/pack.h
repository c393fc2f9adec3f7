/* Batches of variable-length items without padding.
 *
 * An item is a number below n with a length (concepts of a chunk, tokens of a sentence). Items
 * of a batch lie one after the other in memory, so the cost of a batch is the sum of its
 * lengths and the budget bounds that sum. The padded cost of frameworks that need rectangles
 * (longest · count) is in lcm_pack_padded. */
#ifndef LCM_DATA_PACK_H
#define LCM_DATA_PACK_H

#include <stdbool.h>

#include "base/ctx_int.h"

/* Batch b is items[begin[b]] … items[begin[b + 1] - 1]. */
typedef struct lcm_pack {
    int64_t *items, *begin;   /* n_items; n_batches + 1 */
    int64_t n_items, n_batches;
    int64_t n_long;           /* items dropped because they exceed the budget */
    int64_t n_empty;          /* items dropped because their length is 0 */
} lcm_pack;

void lcm_pack_free(lcm_pack *p); /* leaves it empty */

/* Walks `order` (n item numbers) and closes a batch when the next item would exceed `budget`.
 *
 * window > 1: each run of `window` items is first sorted by length (ties keep their order), cut
 * into batches, and the run's batches are put in an order drawn from (seed, epoch). Items of a
 * batch then have similar lengths, which evens out attention work, while which items
 * meet still depends on the epoch's order. window ≤ 1: no grouping.
 *
 * An item longer than the budget: LCM_ERR_LIMIT naming it, or with drop_long counted in n_long.
 * A negative length or an item outside 0 … n_lengths-1 is LCM_ERR_ARG. */
typedef struct lcm_pack_opts {
    int64_t budget, window;
    bool drop_long;
    uint64_t seed; /* of the order of a window's batches */
    int64_t epoch;
} lcm_pack_opts;

lcm_status lcm_pack_make(lcm_ctx *ctx, lcm_pack *out, const int64_t *lengths, int64_t n_lengths, const int64_t *order,
                         int64_t n, const lcm_pack_opts *opts);

/* Batches by padded cost, as the reference code's compute_length_splits: greedy while
 * longest · count ≤ max_tokens, over items in given order or sorted ascending (stable). Longer
 * items are dropped, or come last as batches of one when keep_long. */
lcm_status lcm_pack_padded(lcm_ctx *ctx, lcm_pack *out, const int64_t *lengths, int64_t n, int64_t max_tokens,
                           bool sort, bool keep_long);

/* ---- Endless batches over shuffled epochs ---- */

/* All that must be stored to go on where a run stopped. */
typedef struct lcm_batches_state {
    int64_t epoch, position; /* batches of this epoch that were handed out */
} lcm_batches_state;

typedef struct lcm_batches lcm_batches;

/* `lengths` is borrowed until the end. opts: budget, window, drop_long, seed; epoch is the first.
 * LCM_ERR_ARG when no item is left to hand out. */
lcm_status lcm_batches_new(lcm_ctx *ctx, lcm_batches **out, const int64_t *lengths, int64_t n, const lcm_pack_opts *opts);
void lcm_batches_free(lcm_batches *b);

/* Next batch: item numbers borrowed until the next call. Every item that is not dropped comes
 * exactly once per epoch; after the last batch the next epoch begins. */
lcm_status lcm_batches_next(lcm_ctx *ctx, const int64_t **items, int64_t *n_items, lcm_batches *b);

lcm_batches_state lcm_batches_tell(const lcm_batches *b);
lcm_status lcm_batches_seek(lcm_ctx *ctx, lcm_batches *b, lcm_batches_state state); /* LCM_ERR_ARG outside the epoch */
const lcm_pack *lcm_batches_epoch(const lcm_batches *b); /* of the current epoch; borrowed until it ends */

#endif
