/* What must hold for any Llama: the cache gives the full pass, a document does not see another, the sampler keeps
 * to its set, a file gives back what was written, a score is the sum of what the decoder says. */
#include "harness/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/rng.h"
#include "harness/golden.h"
#include "harness/tmpdir.h"
#include "harness/toy_llama.h"
#include "kernels/gemm.h"
#include "kernels/xent.h"
#include "llama/llama_decoder.h"
#include "kernels/token_sampler.h"
#include "llama/score.h"
#include "llama/story.h"

/* Sums over at most 400 keys and 40 products in another order. A key too many or too few moves logits by 1e-2. */
static const double TOLERANCE = 5e-5;

static lcm_ctx *ctx;
static lcm_tape *tape;
static lcm_llama_file file;

static int setup(void **state) {
    lcm_llama_config c = toy_llama_config(true);
    (void)state;
    ctx = lcm_ctx_new();
    tape = lcm_tape_new(ctx, 1 << 20);
    file = (lcm_llama_file){toy_llama(ctx, &c, false), toy_llama_tokenizer(ctx)};
    return ctx && tape && file.model && file.tok ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    lcm_llama_file_close(&file);
    lcm_tape_free(tape);
    lcm_ctx_free(ctx);
    return 0;
}

static void draw_ids(int32_t *ids, int64_t n, uint64_t seed) {
    lcm_rng r = lcm_rng_make(seed, LCM_RNG_TEST);
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)lcm_rng_below(&r, (uint64_t)file.model->config.vocab_size);
}

/* Logits (T, V) of a full pass over packed documents; heap. */
static real *full(const int32_t *ids, const int32_t *off, int64_t n) {
    int64_t V = file.model->config.vocab_size, T = off[n];
    real *logits = malloc((size_t)(T * V) * sizeof *logits);
    lcm_tensor *h;
    lcm_tape_reset(tape, (lcm_tape_opts){0});
    h = lcm_llama_fwd(tape, file.model, &(lcm_llama_batch){n, T, ids, off});
    assert_non_null(h);
    lcm_k_linear_fwd(NULL, logits, h->x, file.model->head->x, NULL, T, h->cols, V);
    return logits;
}

static void cache_gives_the_full_pass(void **state) {
    enum { LEN = 330 };
    /* one token; below and above the length from which attention is matrix products; over a chunk of rows */
    static const int32_t portions[][8] = {{LEN}, {1, 1, 3, 15, 16, 40, 254}, {300, 1, 29}, {14, 1, 1, 300, 13, 1}};
    int32_t ids[LEN], off[2] = {0, LEN}, slot = 0;
    int64_t V = file.model->config.vocab_size;
    lcm_llama_decoder *d;
    real *expected;
    (void)state;
    draw_ids(ids, LEN, 1);
    expected = full(ids, off, 1);
    assert_int_equal(lcm_llama_decoder_new(ctx, &d, file.model, 1, LEN), LCM_OK);
    for (size_t p = 0; p < sizeof portions / sizeof *portions; p++) {
        int32_t at = 0;
        for (int k = 0; k < 8 && portions[p][k]; k++) {
            int32_t part[2] = {0, portions[p][k]};
            const real *logits = lcm_llama_decoder_feed(d, 1, &slot, part, ids + at);
            at += part[1];
            assert_close(logits, expected + (at - 1) * V, V, TOLERANCE);
            assert_int_equal(lcm_llama_decoder_length(d, 0), at);
        }
        assert_int_equal(at, LEN);
        /* what was cut off leaves no trace */
        lcm_llama_decoder_cut(d, 0, 17);
        assert_close(lcm_llama_decoder_feed(d, 1, &slot, (int32_t[]){0, 4}, ids + 17), expected + 20 * V, V, TOLERANCE);
        lcm_llama_decoder_cut(d, 0, 0);
    }
    lcm_llama_decoder_free(d);
    free(expected);
}

/* Documents of different lengths fed together, in slots that are not in order. */
static void documents_are_independent(void **state) {
    enum { DOCS = 4, TOTAL = 420 };
    const int32_t off[DOCS + 1] = {0, 1, 270, 290, TOTAL}, slot[DOCS] = {2, 0, 3, 1};
    int32_t ids[TOTAL], next[DOCS] = {5, 6, 7, 8}, one[DOCS + 1] = {0, 1, 2, 3, 4};
    int64_t V = file.model->config.vocab_size;
    lcm_llama_decoder *d;
    real *together, *logits;
    (void)state;
    draw_ids(ids, TOTAL, 2);
    together = full(ids, off, DOCS);
    assert_int_equal(lcm_llama_decoder_new(ctx, &d, file.model, DOCS, 300), LCM_OK);
    logits = lcm_llama_decoder_feed(d, DOCS, slot, off, ids);
    for (int i = 0; i < DOCS; i++) {
        int32_t n = off[i + 1] - off[i], alone_off[2] = {0, n};
        real *alone = full(ids + off[i], alone_off, 1);
        assert_close(together + off[i] * V, alone, n * V, TOLERANCE);
        assert_close(logits + i * V, alone + (n - 1) * V, V, TOLERANCE);
        free(alone);
    }
    logits = lcm_llama_decoder_feed(d, DOCS, slot, one, next);
    for (int i = 0; i < DOCS; i++) {
        int32_t n = off[i + 1] - off[i], own[TOTAL + 1], alone_off[2] = {0, n + 1};
        real *alone;
        memcpy(own, ids + off[i], (size_t)n * sizeof *own);
        own[n] = next[i];
        alone = full(own, alone_off, 1);
        assert_close(logits + i * V, alone + n * V, V, TOLERANCE);
        free(alone);
    }
    lcm_llama_decoder_free(d);
    free(together);
}

static void the_future_is_not_seen(void **state) {
    enum { LEN = 40, SEEN = 25 };
    int32_t ids[LEN], off[2] = {0, LEN};
    int64_t V = file.model->config.vocab_size;
    real *a, *b;
    (void)state;
    draw_ids(ids, LEN, 3);
    a = full(ids, off, 1);
    for (int i = SEEN; i < LEN; i++) ids[i] = (ids[i] + 1) % (int32_t)V;
    b = full(ids, off, 1);
    assert_memory_equal(a, b, SEEN * (size_t)V * sizeof *a);
    assert_memory_not_equal(a + SEEN * V, b + SEEN * V, (size_t)V * sizeof *a);
    free(a);
    free(b);
}

/* ---- Sampler ---- */

enum { WORDS = 50, DRAWS = 4000 };

static void draw_logits(real *x, lcm_rng *r) {
    for (int i = 0; i < WORDS; i++) x[i] = (real)(2 * lcm_rng_normal(r));
    x[7] = x[8] = x[9]; /* ties */
}

static int rank_of(const real *x, int32_t id) {
    int rank = 0;
    for (int32_t i = 0; i < WORDS; i++) rank += x[i] > x[id] || (x[i] == x[id] && i < id);
    return rank;
}

static void sampler_keeps_to_its_set(void **state) {
    lcm_rng r = lcm_rng_make(4, LCM_RNG_TEST);
    lcm_candidate scratch[WORDS];
    real x[WORDS];
    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        lcm_sampler_opts o = {.temperature = 0.2 + 2 * lcm_rng_uniform(&r), .top_k = 1 + (int64_t)lcm_rng_below(&r, WORDS + 5)};
        double p = 0.05 + 0.95 * lcm_rng_uniform(&r), u = lcm_rng_uniform(&r), all = 0, before = 0;
        int32_t id;
        draw_logits(x, &r);
        id = lcm_sample_token(x, WORDS, &o, u, scratch);
        assert_true(rank_of(x, id) < o.top_k);
        if (o.top_k == 1) assert_int_equal(rank_of(x, id), 0);
        /* the more likely ones together have not reached p */
        o = (lcm_sampler_opts){.temperature = o.temperature, .top_p = p};
        id = lcm_sample_token(x, WORDS, &o, u, scratch);
        for (int32_t k = 0; k < WORDS; k++) {
            double q = exp((double)x[k] / o.temperature);
            all += q;
            if (rank_of(x, k) < rank_of(x, id)) before += q;
        }
        assert_true(before < p * all * (1 + 1e-12));
        /* greedy, three ways */
        assert_int_equal(rank_of(x, lcm_sample_token(x, WORDS, &(lcm_sampler_opts){0}, u, NULL)), 0);
        assert_int_equal(rank_of(x, lcm_sample_token(x, WORDS, &(lcm_sampler_opts){.temperature = 1, .top_k = 1}, u, scratch)), 0);
        assert_int_equal(rank_of(x, lcm_sample_token(x, WORDS, &(lcm_sampler_opts){.temperature = 1, .top_p = 1e-9}, u, scratch)), 0);
    }
}

/* Frequencies of 10^5 draws: four standard deviations of a count of n p is 4 sqrt(n p), a part of 1e-2 here. */
static void sampler_draws_by_probability(void **state) {
    enum { MANY = 100000 };
    static const real x[4] = {0, 1, 2, -1};
    lcm_rng r = lcm_rng_make(5, LCM_RNG_TEST);
    lcm_candidate scratch[4];
    int count[4] = {0};
    (void)state;
    for (int i = 0; i < MANY; i++)
        count[lcm_sample_token(x, 4, &(lcm_sampler_opts){.temperature = 2, .top_k = 3}, lcm_rng_uniform(&r), scratch)]++;
    assert_int_equal(count[3], 0);
    for (int i = 0; i < 3; i++) {
        double p = exp((double)x[i] / 2) / (1 + exp(0.5) + exp(1)), n = MANY * p;
        assert_true(fabs(count[i] - n) < 4 * sqrt(n));
    }
}

static void sampler_survives_nan(void **state) {
    lcm_candidate scratch[3];
    real x[3] = {(real)NAN, 1, (real)NAN}, none[3] = {(real)NAN, (real)NAN, (real)NAN};
    (void)state;
    for (double u = 0; u < 1; u += 0.1) {
        assert_int_equal(lcm_sample_token(x, 3, &(lcm_sampler_opts){.temperature = 1}, u, scratch), 1);
        assert_in_range(lcm_sample_token(none, 3, &(lcm_sampler_opts){.temperature = 1, .top_p = 0.5}, u, scratch), 0, 2);
    }
}

/* ---- Scores ---- */

static double by_hand(const lcm_llama_text *x, bool end, int64_t *n) {
    lcm_ids ids = {0};
    int64_t V = file.model->config.vocab_size, context;
    real *logits;
    double sum = 0;
    lcm_ids_push(ctx, &ids, LCM_LLAMA_BOS);
    if (x->context) lcm_llama_encode(ctx, &ids, file.tok, x->context, x->context_len);
    context = (int64_t)ids.len;
    lcm_llama_encode(ctx, &ids, file.tok, x->text, x->len);
    if (end) lcm_ids_push(ctx, &ids, LCM_LLAMA_EOS);
    logits = full(ids.data, (int32_t[]){0, (int32_t)ids.len}, 1);
    lcm_k_log_softmax(logits, (int64_t)ids.len, V);
    for (int64_t i = context; i < (int64_t)ids.len; i++) sum += (double)logits[(i - 1) * V + ids.data[i]];
    *n = (int64_t)ids.len - context;
    free(logits);
    lcm_ids_free(&ids);
    return sum;
}

static void scores_are_sums_of_log_probabilities(void **state) {
    static const char *const contexts[] = {NULL, "A man went to town.", "", "One. Two. Three."},
                      *const texts[] = {"He saw a dog.", "", "The end came soon, and all was well again."};
    lcm_llama_text items[12];
    lcm_llama_score out[12];
    (void)state;
    for (int i = 0; i < 12; i++) {
        const char *c = contexts[i % 4], *x = texts[i / 4];
        items[i] = (lcm_llama_text){c, c ? strlen(c) : 0, x, strlen(x)};
    }
    for (int end = 0; end < 2; end++)
        for (int64_t batch = 1; batch <= 4096; batch *= 64) {
            assert_int_equal(lcm_llama_score_texts(ctx, out, &file, items, 12, &(lcm_llama_score_opts){end, batch}), LCM_OK);
            for (int i = 0; i < 12; i++) {
                int64_t n;
                double expected = by_hand(&items[i], end, &n);
                assert_int_equal(out[i].n_tokens, n);
                assert_int_equal(out[i].n_dropped, 0);
                assert_true(fabs(out[i].log_prob - expected) <= 1e-4 * (1 + fabs(expected)));
            }
        }
}

static void scores_respect_the_window(void **state) {
    char context[2000], text[2000];
    lcm_llama_text item = {context, 1800, text, 30};
    lcm_llama_score out;
    (void)state;
    for (int i = 0; i < 2000; i++) context[i] = text[i] = i % 5 == 4 ? ' ' : (char)('a' + i % 7);
    assert_int_equal(lcm_llama_score_texts(ctx, &out, &file, &item, 1, NULL), LCM_OK);
    assert_true(out.n_dropped > 0 && isfinite(out.log_prob));
    item.len = 2000;
    assert_int_equal(lcm_llama_score_texts(ctx, &out, &file, &item, 1, NULL), LCM_ERR_LIMIT);
    assert_non_null(strstr(lcm_ctx_message(ctx), "text 1: "));
    item.len = 5;
    text[2] = (char)0xFF;
    assert_int_equal(lcm_llama_score_texts(ctx, &out, &file, &item, 1, NULL), LCM_ERR_UTF8);
}

/* ---- Files ---- */

/* Neither written nor read. */
static void damaged_numbers_are_refused(const char *path, lcm_buf *good) {
    const float mark = 0.123456f, infinite = INFINITY;
    real *x = &file.model->params.x[5], kept = *x;
    lcm_llama_file again;
    lcm_buf b = {0};
    char *at;
    *x = (real)INFINITY;
    assert_int_equal(lcm_llama_write(ctx, &b, file.model, NULL, file.tok, LCM_DT_F32, NULL, NULL), LCM_ERR_NUMERIC);
    *x = 70000;
    assert_int_equal(lcm_llama_write(ctx, &b, file.model, NULL, file.tok, LCM_DT_F16, NULL, NULL), LCM_ERR_NUMERIC);
    assert_non_null(strstr(lcm_ctx_message(ctx), "model.embed_tokens.weight"));
    *x = mark;
    good->len = 0;
    assert_int_equal(lcm_llama_write(ctx, good, file.model, NULL, file.tok, LCM_DT_F32, NULL, NULL), LCM_OK);
    *x = kept;
    at = memmem(good->data, good->len, &mark, sizeof mark);
    assert_non_null(at);
    memcpy(at, &infinite, sizeof infinite);
    assert_int_equal(lcm_write_file(ctx, path, good->data, good->len), LCM_OK);
    assert_int_equal(lcm_llama_load(ctx, &again, path, false), LCM_ERR_FORMAT);
    assert_null(again.model);
    lcm_buf_free(&b);
}

static void file_gives_back_what_was_written(void **state) {
    char *dir = tmpdir_new();
    const char *path = tmpdir_path(dir, "m.safetensors");
    lcm_buf a = {0}, b = {0};
    lcm_llama_file again;
    (void)state;
    assert_int_equal(lcm_llama_write(ctx, &a, file.model, NULL, file.tok, LCM_DT_REAL, NULL, NULL), LCM_OK);
    assert_int_equal(lcm_write_file(ctx, path, a.data, a.len), LCM_OK);
    if (lcm_llama_load(ctx, &again, path, false) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));
    assert_memory_equal(again.model->params.x, file.model->params.x, (size_t)file.model->params.n_flat * sizeof(real));
    assert_int_equal(lcm_llama_write(ctx, &b, again.model, NULL, again.tok, LCM_DT_REAL, NULL, NULL), LCM_OK);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    lcm_llama_file_close(&again);
    damaged_numbers_are_refused(path, &a);
    lcm_buf_free(&a);
    lcm_buf_free(&b);
    tmpdir_free(dir);
}

static void bad_sizes_are_named(void **state) {
    lcm_llama *m;
    lcm_llama_config c = toy_llama_config(false);
    (void)state;
    c.num_key_value_heads = 3;
    assert_int_equal(lcm_llama_new(ctx, &m, &c, false), LCM_ERR_SHAPE);
    assert_non_null(strstr(lcm_ctx_message(ctx), "num_key_value_heads 3"));
    c = toy_llama_config(false);
    c.num_attention_heads = 5;
    assert_int_equal(lcm_llama_new(ctx, &m, &c, false), LCM_ERR_SHAPE);
    c = toy_llama_config(false);
    c.head_dim = 7;
    assert_int_equal(lcm_llama_new(ctx, &m, &c, false), LCM_ERR_SHAPE);
    assert_null(m);
}

/* ---- Stories ---- */

typedef struct teller {
    lcm_buf text;
    int64_t n, tokens;
} teller;

static lcm_status listen(lcm_ctx *c, void *user, const lcm_llama_sentence *s) {
    teller *t = user;
    assert_int_equal(s->index, t->n++);
    t->tokens += s->tokens;
    return lcm_buf_printf(c, &t->text, "%s\n", s->text);
}

static void tell(teller *t, lcm_llama_story *story, const char *prompt, lcm_llama_story_opts o) {
    memset(t, 0, sizeof *t);
    if (lcm_llama_tell(ctx, story, &file, prompt, strlen(prompt), &o, listen, t) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));
    assert_int_equal(story->sentences, t->n);
}

/* Sentences come in the same order and form however many are asked for, and the same seed tells the same. */
static void stories_are_prefixes_of_each_other(void **state) {
    lcm_llama_story_opts o = {.sentences = 12, .seed = 3, .sampler = {.temperature = 1.2, .top_p = 0.99}};
    teller all, some;
    lcm_llama_story long_one, short_one;
    (void)state;
    tell(&all, &long_one, "Once upon a time.", o);
    assert_true(long_one.end == LCM_LLAMA_END_COUNT ? all.n == 12 : all.n < 12 || long_one.end == LCM_LLAMA_END_WINDOW);
    assert_true(all.n >= 2 && all.tokens <= long_one.tokens);
    for (o.sentences = 1; o.sentences < all.n; o.sentences++) {
        tell(&some, &short_one, "Once upon a time.", o);
        assert_int_equal(some.n, o.sentences);
        assert_int_equal(short_one.end, LCM_LLAMA_END_COUNT);
        assert_memory_equal(some.text.data, all.text.data, some.text.len);
        lcm_buf_free(&some.text);
    }
    lcm_buf_free(&all.text);
}

static void prompts_that_do_not_fit(void **state) {
    char prompt[3000];
    lcm_llama_story_opts o = {.sentences = 1};
    (void)state;
    memset(prompt, 'q', sizeof prompt);
    for (size_t i = 3; i < sizeof prompt; i += 4) prompt[i] = ' ';
    assert_int_equal(lcm_llama_tell(ctx, NULL, &file, prompt, sizeof prompt, &o, NULL, NULL), LCM_ERR_LIMIT);
    assert_non_null(strstr(lcm_ctx_message(ctx), "the model reads 400"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_gives_the_full_pass),
        cmocka_unit_test(documents_are_independent),
        cmocka_unit_test(the_future_is_not_seen),
        cmocka_unit_test(sampler_keeps_to_its_set),
        cmocka_unit_test(sampler_draws_by_probability),
        cmocka_unit_test(sampler_survives_nan),
        cmocka_unit_test(scores_are_sums_of_log_probabilities),
        cmocka_unit_test(scores_respect_the_window),
        cmocka_unit_test(file_gives_back_what_was_written),
        cmocka_unit_test(bad_sizes_are_named),
        cmocka_unit_test(stories_are_prefixes_of_each_other),
        cmocka_unit_test(prompts_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
