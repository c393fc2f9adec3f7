/* Batches without padding. */
#include "data/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "data/order.h"

void lcm_pack_free(lcm_pack *p) {
    free(p->items);
    free(p->begin);
    memset(p, 0, sizeof *p);
}

/* Room for the worst case: n items in n batches. */
static lcm_status pack_alloc(lcm_ctx *ctx, lcm_pack *p, int64_t n) {
    lcm_status st = lcm_calloc(ctx, &p->items, (size_t)n, sizeof *p->items);
    if (st == LCM_OK) st = lcm_calloc(ctx, &p->begin, (size_t)n + 1, sizeof *p->begin);
    if (st) lcm_pack_free(p);
    return st;
}

/* Batches are begun and items appended in order; begin[n_batches] always marks the end. */
static void append(lcm_pack *p, int64_t item, bool new_batch) {
    if (new_batch || p->n_batches == 0) p->begin[p->n_batches++] = p->n_items;
    p->items[p->n_items++] = item;
    p->begin[p->n_batches] = p->n_items;
}

static lcm_status check_item(lcm_ctx *ctx, const int64_t *lengths, int64_t n_lengths, int64_t item) {
    if (item < 0 || item >= n_lengths)
        LCM_FAIL(ctx, LCM_ERR_ARG, "item %lld of %lld", (long long)item, (long long)n_lengths);
    if (lengths[item] < 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "item %lld: length %lld", (long long)item, (long long)lengths[item]);
    return LCM_OK;
}

typedef struct keyed {
    int64_t length, place, item;
} keyed;

static int by_length(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place; /* makes qsort stable */
}

/* Appends k items greedily, the first of them in a new batch when `fresh`. */
static void cut_sum(lcm_pack *p, const keyed *run, int64_t k, int64_t budget, int64_t *used, bool fresh) {
    for (int64_t i = 0; i < k; i++) {
        bool new_batch = (fresh && i == 0) || run[i].length > budget - *used;
        append(p, run[i].item, new_batch);
        *used = (new_batch ? 0 : *used) + run[i].length;
    }
}

/* Puts batches first … n_batches-1 of p into a random order. */
static lcm_status shuffle_batches(lcm_ctx *ctx, lcm_pack *p, int64_t first, lcm_rng *r) {
    int64_t k = p->n_batches - first, base = p->begin[first], n = p->n_items - base, pos = 0;
    int64_t *order = NULL, *items = NULL, *begin = NULL;
    lcm_status st = lcm_calloc(ctx, &order, (size_t)k, sizeof *order);
    if (st == LCM_OK) st = lcm_calloc(ctx, &items, (size_t)n, sizeof *items);
    if (st == LCM_OK) st = lcm_calloc(ctx, &begin, (size_t)k, sizeof *begin);
    if (st == LCM_OK) {
        for (int64_t i = 0; i < k; i++) order[i] = first + i;
        lcm_rng_shuffle(r, order, k);
        for (int64_t i = 0; i < k; i++) {
            int64_t from = p->begin[order[i]], count = p->begin[order[i] + 1] - from;
            memcpy(items + pos, p->items + from, (size_t)count * sizeof *items);
            begin[i] = base + pos;
            pos += count;
        }
        memcpy(p->items + base, items, (size_t)n * sizeof *items);
        memcpy(p->begin + first, begin, (size_t)k * sizeof *begin);
    }
    free(order);
    free(items);
    free(begin);
    return st;
}

static lcm_status pack_fill(lcm_ctx *ctx, lcm_pack *p, keyed *run, const int64_t *lengths, int64_t n_lengths,
                            const int64_t *order, int64_t n, const lcm_pack_opts *o) {
    bool grouped = o->window > 1;
    int64_t window = grouped ? o->window : 1, used = 0, i = 0;
    lcm_rng r = lcm_rng_make(o->seed, LCM_RNG_ORDER | (uint64_t)o->epoch << 32);
    /* the same stream as the epoch's order, far behind the words that 2^32 items can take */
    r.index = UINT64_C(1) << 60;
    while (i < n) {
        int64_t k = 0, first = p->n_batches;
        for (; i < n && k < window; i++) {
            int64_t item = order[i];
            LCM_TRY(check_item(ctx, lengths, n_lengths, item));
            if (lengths[item] > o->budget && !o->drop_long)
                LCM_FAIL(ctx, LCM_ERR_LIMIT, "item %lld: length %lld, the budget is %lld", (long long)item,
                         (long long)lengths[item], (long long)o->budget);
            if (lengths[item] > o->budget) p->n_long++;
            else if (lengths[item] == 0) p->n_empty++;
            else run[k] = (keyed){lengths[item], k, item}, k++;
        }
        if (grouped) qsort(run, (size_t)k, sizeof *run, by_length);
        cut_sum(p, run, k, o->budget, &used, grouped);
        if (grouped && p->n_batches > first) LCM_TRY(shuffle_batches(ctx, p, first, &r));
    }
    return LCM_OK;
}

lcm_status lcm_pack_make(lcm_ctx *ctx, lcm_pack *out, const int64_t *lengths, int64_t n_lengths, const int64_t *order,
                         int64_t n, const lcm_pack_opts *opts) {
    lcm_pack p = {0};
    keyed *run;
    int64_t window = opts->window > 1 ? opts->window : 1;
    lcm_status st;
    memset(out, 0, sizeof *out);
    if (opts->budget < 1) LCM_FAIL(ctx, LCM_ERR_ARG, "batch budget %lld, at least 1", (long long)opts->budget);
    LCM_TRY(lcm_calloc(ctx, &run, (size_t)(window < n ? window : n), sizeof *run));
    st = pack_alloc(ctx, &p, n);
    if (st == LCM_OK) st = pack_fill(ctx, &p, run, lengths, n_lengths, order, n, opts);
    free(run);
    if (st) lcm_pack_free(&p);
    else *out = p;
    return st;
}

lcm_status lcm_pack_padded(lcm_ctx *ctx, lcm_pack *out, const int64_t *lengths, int64_t n, int64_t max_tokens,
                           bool sort, bool keep_long) {
    lcm_pack p = {0};
    keyed *run;
    int64_t k = 0, longest = 0, count = 0;
    lcm_status st;
    memset(out, 0, sizeof *out);
    LCM_TRY(lcm_calloc(ctx, &run, (size_t)n, sizeof *run));
    st = pack_alloc(ctx, &p, n);
    for (int64_t i = 0; i < n && st == LCM_OK; i++) {
        st = check_item(ctx, lengths, n, i);
        if (st == LCM_OK && lengths[i] <= max_tokens) run[k] = (keyed){lengths[i], k, i}, k++;
    }
    if (st == LCM_OK) {
        if (sort) qsort(run, (size_t)k, sizeof *run, by_length);
        for (int64_t i = 0; i < k; i++) {
            int64_t wide = run[i].length > longest ? run[i].length : longest;
            bool fits = wide == 0 || count + 1 <= max_tokens / wide;
            append(&p, run[i].item, !fits);
            longest = fits ? wide : run[i].length;
            count = fits ? count + 1 : 1;
        }
        p.n_long = n - k;
        for (int64_t i = 0; i < n && keep_long; i++)
            if (lengths[i] > max_tokens) append(&p, i, true);
        if (keep_long) p.n_long = 0;
        *out = p;
    } else lcm_pack_free(&p);
    free(run);
    return st;
}

struct lcm_batches {
    const int64_t *lengths;
    int64_t n, position;
    int64_t *order;
    lcm_pack_opts opts; /* opts.epoch is the current epoch */
    lcm_pack pack;
};

static lcm_status load_epoch(lcm_ctx *ctx, lcm_batches *b, int64_t epoch) {
    lcm_pack_opts o = b->opts;
    lcm_pack p;
    o.epoch = epoch;
    LCM_TRY(lcm_order_fill(ctx, b->order, b->n, o.seed, epoch));
    LCM_TRY(lcm_pack_make(ctx, &p, b->lengths, b->n, b->order, b->n, &o));
    lcm_pack_free(&b->pack);
    b->pack = p;
    b->opts = o;
    b->position = 0;
    return LCM_OK;
}

lcm_status lcm_batches_new(lcm_ctx *ctx, lcm_batches **out, const int64_t *lengths, int64_t n, const lcm_pack_opts *opts) {
    lcm_batches *b;
    lcm_status st;
    *out = NULL;
    if (n < 0) LCM_FAIL(ctx, LCM_ERR_ARG, "batches of %lld items", (long long)n);
    LCM_TRY(lcm_calloc(ctx, &b, 1, sizeof *b));
    b->lengths = lengths;
    b->n = n;
    b->opts = *opts;
    st = lcm_calloc(ctx, &b->order, (size_t)n, sizeof *b->order);
    if (st == LCM_OK) st = load_epoch(ctx, b, opts->epoch);
    if (st == LCM_OK && b->pack.n_batches == 0)
        st = lcm_fail(ctx, LCM_ERR_ARG, "no batch: of %lld items %lld exceed the budget of %lld, %lld are empty",
                      (long long)n, (long long)b->pack.n_long, (long long)opts->budget, (long long)b->pack.n_empty);
    if (st) {
        lcm_batches_free(b);
        return st;
    }
    *out = b;
    return LCM_OK;
}

void lcm_batches_free(lcm_batches *b) {
    if (b == NULL) return;
    lcm_pack_free(&b->pack);
    free(b->order);
    free(b);
}

lcm_status lcm_batches_next(lcm_ctx *ctx, const int64_t **items, int64_t *n_items, lcm_batches *b) {
    const int64_t *range;
    if (b->position == b->pack.n_batches) LCM_TRY(load_epoch(ctx, b, b->opts.epoch + 1));
    range = b->pack.begin + b->position++;
    *items = b->pack.items + range[0];
    *n_items = range[1] - range[0];
    return LCM_OK;
}

lcm_batches_state lcm_batches_tell(const lcm_batches *b) { return (lcm_batches_state){b->opts.epoch, b->position}; }

lcm_status lcm_batches_seek(lcm_ctx *ctx, lcm_batches *b, lcm_batches_state state) {
    if (state.epoch != b->opts.epoch) LCM_TRY(load_epoch(ctx, b, state.epoch));
    if (state.position < 0 || state.position > b->pack.n_batches)
        LCM_FAIL(ctx, LCM_ERR_ARG, "position %lld, epoch %lld has %lld batches", (long long)state.position,
                 (long long)state.epoch, (long long)b->pack.n_batches);
    b->position = state.position;
    return LCM_OK;
}

const lcm_pack *lcm_batches_epoch(const lcm_batches *b) { return &b->pack; }
