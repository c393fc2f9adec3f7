/* data/order, data/pack, data/wrap. */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "data/order.h"
#include "data/pack.h"
#include "data/wrap.h"

static int setup(void **state) {
    *state = lcm_ctx_new();
    return *state == NULL;
}

static int teardown(void **state) {
    lcm_ctx_free(*state);
    return 0;
}

/* "3 1/2" : items of a batch parted by spaces, batches by '/'; values instead of items if given. */
static const char *show(const lcm_pack *p, const int64_t *values) {
    static char text[512];
    size_t n = 0;
    text[0] = '\0';
    for (int64_t b = 0; b < p->n_batches; b++)
        for (int64_t i = p->begin[b]; i < p->begin[b + 1]; i++) {
            const char *sep = i > p->begin[b] ? " " : b ? "/" : "";
            int64_t v = values ? values[p->items[i]] : p->items[i];
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%lld", sep, (long long)v);
        }
    return text;
}

static void order_is_a_permutation(void **state) {
    static const int64_t sizes[] = {0, 1, 2, 3, 10, 1000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t n = sizes[s], order[1000], seen[1000] = {0};
        assert_int_equal(lcm_order_fill(*state, order, n, 5, 7), LCM_OK);
        for (int64_t i = 0; i < n; i++) {
            assert_in_range(order[i], 0, n - 1);
            seen[order[i]]++;
        }
        for (int64_t i = 0; i < n; i++) assert_int_equal(seen[i], 1);
    }
    assert_int_equal(lcm_order_fill(*state, NULL, -1, 5, 7), LCM_ERR_ARG);
    assert_int_equal(lcm_order_fill(*state, NULL, 0, 5, -1), LCM_ERR_ARG);
    assert_int_equal(lcm_order_fill(*state, NULL, (INT64_C(1) << 32) + 1, 5, 0), LCM_ERR_LIMIT);
}

static int64_t n_same(const int64_t *a, const int64_t *b, int64_t n) {
    int64_t same = 0;
    for (int64_t i = 0; i < n; i++) same += a[i] == b[i];
    return same;
}

/* Two random permutations agree in one place on average (variance 1); 10 is nine standard
 * deviations away. */
static void order_depends_on_seed_and_epoch(void **state) {
    int64_t a[1000], b[1000];
    assert_int_equal(lcm_order_fill(*state, a, 1000, 5, 7), LCM_OK);
    assert_int_equal(lcm_order_fill(*state, b, 1000, 5, 7), LCM_OK);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(lcm_order_fill(*state, b, 1000, 5, 8), LCM_OK);
    assert_true(n_same(a, b, 1000) < 10);
    assert_int_equal(lcm_order_fill(*state, b, 1000, 6, 7), LCM_OK);
    assert_true(n_same(a, b, 1000) < 10);
    /* the words of one epoch must not be the words of another, moved */
    assert_int_equal(lcm_order_fill(*state, b, 1000, 5, 7 + (INT64_C(1) << 31)), LCM_OK);
    assert_true(n_same(a, b, 1000) < 10);
}

/* Each of the 24 orders of 4 items over 24000 epochs: 1000 expected, binomial deviation 31. */
static void order_is_uniform(void **state) {
    int count[256] = {0}, n_orders = 0;
    for (int64_t epoch = 0; epoch < 24000; epoch++) {
        int64_t o[4];
        assert_int_equal(lcm_order_fill(*state, o, 4, 1, epoch), LCM_OK);
        count[o[0] | o[1] << 2 | o[2] << 4 | o[3] << 6]++;
    }
    for (int i = 0; i < 256; i++) {
        if (count[i] == 0) continue;
        n_orders++;
        assert_in_range(count[i], 1000 - 5 * 31, 1000 + 5 * 31);
    }
    assert_int_equal(n_orders, 24);
}

/* Values of the reference code's compute_length_splits edge case. */
static void padded_reference_values(void **state) {
    static const int64_t len[] = {2, 1, 3, 90, 2, 3, 1, 1};
    static const struct {
        int64_t max;
        bool sort;
        const char *want;
    } cases[] = {{10, false, "2 1 3/2 3 1/1/90"},
                 {8, false, "2 1/3 2/3 1/1/90"},
                 {8, true, "1 1 1 2/2 3/3/90"},
                 {10, true, "1 1 1 2 2/3 3/90"}};
    for (size_t i = 0; i < 4; i++) {
        lcm_pack p;
        assert_int_equal(lcm_pack_padded(*state, &p, len, 8, cases[i].max, cases[i].sort, true), LCM_OK);
        assert_string_equal(show(&p, len), cases[i].want);
        assert_int_equal(p.n_long, 0);
        lcm_pack_free(&p);
        assert_int_equal(lcm_pack_padded(*state, &p, len, 8, cases[i].max, cases[i].sort, false), LCM_OK);
        assert_null(strstr(show(&p, len), "90"));
        assert_int_equal(p.n_long, 1);
        assert_int_equal(p.n_items, 7);
        lcm_pack_free(&p);
    }
}

/* The reference's random case: every batch within 37, all rows once, and sorting needs less
 * than two thirds of the batches (0.58 is expected for lengths below 10). */
static void padded_random_case(void **state) {
    int64_t len[1000], seen[1000];
    lcm_pack p[2];
    lcm_rng r = lcm_rng_make(3, LCM_RNG_TEST);
    for (int i = 0; i < 1000; i++) len[i] = (int64_t)lcm_rng_below(&r, 10);
    for (int sort = 0; sort < 2; sort++) {
        memset(seen, 0, sizeof seen);
        assert_int_equal(lcm_pack_padded(*state, &p[sort], len, 1000, 37, sort, false), LCM_OK);
        for (int64_t b = 0; b < p[sort].n_batches; b++) {
            int64_t longest = 0, n = p[sort].begin[b + 1] - p[sort].begin[b];
            for (int64_t i = 0; i < n; i++) {
                int64_t item = p[sort].items[p[sort].begin[b] + i];
                seen[item]++;
                if (len[item] > longest) longest = len[item];
            }
            assert_true(n > 0 && longest * n <= 37);
        }
        for (int i = 0; i < 1000; i++) assert_int_equal(seen[i], 1);
    }
    assert_true(3 * p[1].n_batches < 2 * p[0].n_batches);
    lcm_pack_free(&p[0]);
    lcm_pack_free(&p[1]);
}

static void sums_by_hand(void **state) {
    static const int64_t len[] = {4, 0, 3, 3, 10, 11, 1}, order[] = {6, 5, 4, 3, 2, 1, 0};
    lcm_pack_opts o = {.budget = 10, .drop_long = true};
    lcm_pack p;
    assert_int_equal(lcm_pack_make(*state, &p, len, 7, order, 7, &o), LCM_OK);
    assert_string_equal(show(&p, NULL), "6/4/3 2 0");
    assert_int_equal(p.n_long, 1);
    assert_int_equal(p.n_empty, 1);
    lcm_pack_free(&p);
    o.drop_long = false;
    assert_int_equal(lcm_pack_make(*state, &p, len, 7, order, 7, &o), LCM_ERR_LIMIT);
    assert_string_equal(lcm_ctx_message(*state), "item 5: length 11, the budget is 10");
    assert_null(p.items);
    o.budget = 0;
    assert_int_equal(lcm_pack_make(*state, &p, len, 7, order, 7, &o), LCM_ERR_ARG);
}

static void bad_items_are_refused(void **state) {
    static const int64_t len[] = {1, -1}, order[][1] = {{2}, {-1}, {1}};
    lcm_pack_opts o = {.budget = 10};
    lcm_pack p;
    for (int i = 0; i < 3; i++) assert_int_equal(lcm_pack_make(*state, &p, len, 2, order[i], 1, &o), LCM_ERR_ARG);
    assert_int_equal(lcm_pack_padded(*state, &p, len, 2, 10, true, true), LCM_ERR_ARG);
    assert_null(p.items);
}

/* Any lengths, budget and window: within budget, every kept item once, batches as full as
 * greedy cutting makes them. */
static void pack_properties(void **state) {
    lcm_rng r = lcm_rng_make(11, LCM_RNG_TEST);
    for (int round = 0; round < 200; round++) {
        int64_t n = (int64_t)lcm_rng_below(&r, 300), len[300], order[300], seen[300] = {0}, want_long = 0, want_empty = 0;
        lcm_pack_opts o = {.budget = 1 + (int64_t)lcm_rng_below(&r, 60), .window = (int64_t)lcm_rng_below(&r, 90),
                           .drop_long = true, .seed = (uint64_t)round, .epoch = round % 3};
        lcm_pack p;
        for (int64_t i = 0; i < n; i++) {
            len[i] = (int64_t)lcm_rng_below(&r, 50);
            want_long += len[i] > o.budget;
            want_empty += len[i] == 0;
        }
        assert_int_equal(lcm_order_fill(*state, order, n, o.seed, o.epoch), LCM_OK);
        assert_int_equal(lcm_pack_make(*state, &p, len, n, order, n, &o), LCM_OK);
        for (int64_t b = 0; b < p.n_batches; b++) {
            int64_t sum = 0;
            assert_true(p.begin[b + 1] > p.begin[b]);
            for (int64_t i = p.begin[b]; i < p.begin[b + 1]; i++) {
                sum += len[p.items[i]];
                seen[p.items[i]]++;
            }
            assert_true(sum <= o.budget);
            if (o.window <= 1 && b + 1 < p.n_batches) assert_true(sum + len[p.items[p.begin[b + 1]]] > o.budget);
        }
        for (int64_t i = 0; i < n; i++) assert_int_equal(seen[i], len[i] > 0 && len[i] <= o.budget);
        assert_int_equal(p.n_long, want_long);
        assert_int_equal(p.n_empty, want_empty);
        lcm_pack_free(&p);
    }
}

static int64_t spread(const lcm_pack *p, const int64_t *len) {
    int64_t total = 0;
    for (int64_t b = 0; b < p->n_batches; b++) {
        int64_t lo = INT64_MAX, hi = 0;
        for (int64_t i = p->begin[b]; i < p->begin[b + 1]; i++) {
            int64_t x = len[p->items[i]];
            lo = x < lo ? x : lo;
            hi = x > hi ? x : hi;
        }
        total += hi - lo;
    }
    return total;
}

/* Grouping brings like lengths together, yet batches do not come sorted and change each epoch. */
static void grouping(void **state) {
    int64_t len[2000], order[2000], rising = 0, first_items[2];
    lcm_rng r = lcm_rng_make(4, LCM_RNG_TEST);
    lcm_pack plain, grouped;
    for (int i = 0; i < 2000; i++) len[i] = 1 + (int64_t)lcm_rng_below(&r, 100);
    for (int epoch = 0; epoch < 2; epoch++) {
        lcm_pack_opts o = {.budget = 500, .seed = 9, .epoch = epoch};
        assert_int_equal(lcm_order_fill(*state, order, 2000, 9, epoch), LCM_OK);
        assert_int_equal(lcm_pack_make(*state, &plain, len, 2000, order, 2000, &o), LCM_OK);
        o.window = 500;
        assert_int_equal(lcm_pack_make(*state, &grouped, len, 2000, order, 2000, &o), LCM_OK);
        assert_true(5 * spread(&grouped, len) < spread(&plain, len));
        for (int64_t b = 1; b < grouped.n_batches; b++)
            rising += len[grouped.items[grouped.begin[b]]] > len[grouped.items[grouped.begin[b - 1]]];
        /* sorted batches would rise nearly always, random ones half the time */
        assert_in_range(rising, 0, (epoch + 1) * grouped.n_batches * 7 / 10);
        first_items[epoch] = grouped.items[0];
        lcm_pack_free(&plain);
        lcm_pack_free(&grouped);
    }
    assert_int_not_equal(first_items[0], first_items[1]);
}

static int64_t batch_hash(lcm_ctx *ctx, lcm_batches *b) {
    const int64_t *items;
    int64_t n, h = 17;
    assert_int_equal(lcm_batches_next(ctx, &items, &n, b), LCM_OK);
    for (int64_t i = 0; i < n; i++) h = (h * 31 + items[i]) % 1000000007;
    return h;
}

/* From any point of two epochs, a fresh object told where to go on hands out the same batches. */
static void resume_is_exact(void **state) {
    int64_t len[100], want[200];
    lcm_batches_state at[201];
    lcm_pack_opts o = {.budget = 64, .window = 20, .seed = 2};
    lcm_batches *b;
    int64_t per_epoch, n = 0;
    for (int i = 0; i < 100; i++) len[i] = 1 + i * 37 % 50;
    assert_int_equal(lcm_batches_new(*state, &b, len, 100, &o), LCM_OK);
    per_epoch = lcm_batches_epoch(b)->n_batches;
    for (at[0] = lcm_batches_tell(b); n < 2 * per_epoch + 3; at[n] = lcm_batches_tell(b)) {
        assert_true(n < 200);
        want[n++] = batch_hash(*state, b);
    }
    assert_int_equal(at[n].epoch, 2);
    lcm_batches_free(b);
    for (int64_t k = 0; k < n; k++) {
        assert_int_equal(lcm_batches_new(*state, &b, len, 100, &o), LCM_OK);
        assert_int_equal(lcm_batches_seek(*state, b, at[k]), LCM_OK);
        for (int64_t i = k; i < n && i < k + 30; i++) assert_int_equal(batch_hash(*state, b), want[i]);
        lcm_batches_free(b);
    }
}

static void batches_limits(void **state) {
    static const int64_t len[] = {5, 0, 9};
    lcm_pack_opts o = {.budget = 4, .drop_long = true};
    lcm_batches *b;
    assert_int_equal(lcm_batches_new(*state, &b, len, 3, &o), LCM_ERR_ARG);
    assert_null(b);
    o.budget = 9;
    assert_int_equal(lcm_batches_new(*state, &b, len, 3, &o), LCM_OK);
    assert_int_equal(lcm_batches_epoch(b)->n_empty, 1);
    assert_int_equal(lcm_batches_seek(*state, b, (lcm_batches_state){0, 3}), LCM_ERR_ARG);
    assert_int_equal(lcm_batches_seek(*state, b, (lcm_batches_state){-1, 0}), LCM_ERR_ARG);
    assert_int_equal(lcm_batches_seek(*state, b, (lcm_batches_state){4, 2}), LCM_OK);
    batch_hash(*state, b);
    assert_int_equal(lcm_batches_tell(b).epoch, 5);
    lcm_batches_free(b);
}

/* "0:0+3 1:2+1/..." : doc:first+count of each piece, chunks parted by '/'. */
static const char *show_wrap(const lcm_wrap *w) {
    static char text[512];
    size_t n = 0;
    text[0] = '\0';
    for (int64_t c = 0; c < w->n_chunks; c++)
        for (int64_t i = w->begin[c]; i < w->begin[c + 1]; i++) {
            const lcm_wrap_piece *p = &w->pieces[i];
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%lld:%lld+%lld",
                                  i > w->begin[c] ? " " : c ? "/" : "", (long long)p->doc, (long long)p->first,
                                  (long long)p->count);
        }
    return text;
}

/* Documents of 2, 5, 2 and 1 concepts at W = 3. */
static void wrap_by_hand(void **state) {
    static const int64_t len[] = {2, 5, 2, 1}, order[] = {3, 1, 0, 2}, holes[] = {0, 3, 0};
    lcm_wrap w;
    assert_int_equal(lcm_wrap_make(*state, &w, len, NULL, 4, 3, false), LCM_OK);
    assert_string_equal(show_wrap(&w), "0:0+2/1:0+3/1:3+2/2:0+2/3:0+1");
    lcm_wrap_free(&w);
    assert_int_equal(lcm_wrap_make(*state, &w, len, NULL, 4, 3, true), LCM_OK);
    assert_string_equal(show_wrap(&w), "0:0+2 1:0+1/1:1+3/1:4+1 2:0+2/3:0+1");
    lcm_wrap_free(&w);
    assert_int_equal(lcm_wrap_make(*state, &w, len, order, 4, 3, true), LCM_OK);
    assert_string_equal(show_wrap(&w), "3:0+1 1:0+2/1:2+3/0:0+2 2:0+1/2:1+1");
    lcm_wrap_free(&w);
    assert_int_equal(lcm_wrap_make(*state, &w, len, NULL, 4, 0, true), LCM_OK);
    assert_string_equal(show_wrap(&w), "0:0+2/1:0+5/2:0+2/3:0+1");
    lcm_wrap_free(&w);
    assert_int_equal(lcm_wrap_make(*state, &w, holes, NULL, 3, 3, false), LCM_OK);
    assert_string_equal(show_wrap(&w), "1:0+3");
    lcm_wrap_free(&w);
    assert_int_equal(lcm_wrap_make(*state, &w, NULL, NULL, 0, 3, true), LCM_OK);
    assert_int_equal(w.n_chunks, 0);
    assert_int_equal(w.begin[0], 0);
    lcm_wrap_free(&w);
}

static void wrap_bad_arguments(void **state) {
    static const int64_t len[] = {2, -1}, good[] = {2, 1}, order[] = {0, 2};
    lcm_wrap w;
    assert_int_equal(lcm_wrap_make(*state, &w, len, NULL, 2, 3, false), LCM_ERR_ARG);
    assert_int_equal(lcm_wrap_make(*state, &w, good, order, 2, 3, false), LCM_ERR_ARG);
    assert_int_equal(lcm_wrap_make(*state, &w, good, NULL, 2, -1, false), LCM_ERR_ARG);
    assert_null(w.pieces);
}

/* Every concept once, in order, and only the last chunk (of a document, or of all) is short. */
static void wrap_properties(void **state) {
    lcm_rng r = lcm_rng_make(12, LCM_RNG_TEST);
    for (int round = 0; round < 200; round++) {
        int64_t n = (int64_t)lcm_rng_below(&r, 30), len[30], order[30], next[30] = {0};
        int64_t w = 1 + (int64_t)lcm_rng_below(&r, 8);
        bool packing = round & 1;
        lcm_wrap p;
        for (int64_t i = 0; i < n; i++) len[i] = (int64_t)lcm_rng_below(&r, 20);
        assert_int_equal(lcm_order_fill(*state, order, n, 1, round), LCM_OK);
        assert_int_equal(lcm_wrap_make(*state, &p, len, order, n, w, packing), LCM_OK);
        for (int64_t c = 0; c < p.n_chunks; c++) {
            int64_t size = 0;
            bool doc_ends = false;
            for (int64_t i = p.begin[c]; i < p.begin[c + 1]; i++) {
                const lcm_wrap_piece *x = &p.pieces[i];
                assert_int_equal(x->first, next[x->doc]);
                next[x->doc] += x->count;
                size += x->count;
                doc_ends = next[x->doc] == len[x->doc];
            }
            if (!packing) assert_int_equal(p.begin[c + 1] - p.begin[c], 1);
            assert_true(size == w || (size < w && (packing ? c + 1 == p.n_chunks : doc_ends)));
        }
        for (int64_t i = 0; i < n; i++) assert_int_equal(next[i], len[i]);
        lcm_wrap_free(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_a_permutation), cmocka_unit_test(order_depends_on_seed_and_epoch),
        cmocka_unit_test(order_is_uniform),       cmocka_unit_test(padded_reference_values),
        cmocka_unit_test(padded_random_case),     cmocka_unit_test(sums_by_hand),
        cmocka_unit_test(bad_items_are_refused),  cmocka_unit_test(pack_properties),
        cmocka_unit_test(grouping),               cmocka_unit_test(resume_is_exact),
        cmocka_unit_test(batches_limits),         cmocka_unit_test(wrap_by_hand),
        cmocka_unit_test(wrap_bad_arguments),     cmocka_unit_test(wrap_properties),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
