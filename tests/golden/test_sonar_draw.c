/* Drawing sentences: the reference's case that draws nothing (k = 1), token by token; and what no reference can tell,
 * frequencies, and independence of the other sentences of a call. */
#include "harness/test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/sonar_toy.h"
#include "kernels/xent.h"
#include "sonar/draw.h"
#include "token/tokenizer.h"

static const int32_t prompt[2] = {3, 30};

typedef struct fixture {
    lcm_ctx *ctx;
    lcm_sonar *m;
    lcm_sonar_net *net;
    real emb[4 * 32];
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->ctx = lcm_ctx_new();
    f->m = toy_decoder(f->ctx);
    assert_ok(f->ctx, lcm_sonar_net_view(f->ctx, &f->net, f->m));
    toy_embeddings(f->emb);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    lcm_sonar_net_free(f->net);
    lcm_sonar_free(f->m);
    lcm_ctx_free(f->ctx);
    free(f);
    return 0;
}

/* Tokens exactly; probabilities and scores to 1e-4, the stated accuracy of the golden numbers. */
static void check(const lcm_hypotheses *got, const json_t *want) {
    const json_t *w = json_array_get(want, 0), *seq = json_object_get(w, "seq"), *steps = json_object_get(w, "step_scores");
    const lcm_hypothesis *h = got->items;
    assert_int_equal(got->n, 1);
    assert_int_equal(h->n, json_array_size(seq));
    for (int64_t j = 0; j < h->n; j++) {
        assert_int_equal(h->ids[j], json_integer_value(json_array_get(seq, (size_t)j)));
        assert_true(fabs((double)h->step_scores[j] - json_number_value(json_array_get(steps, (size_t)j))) < 1e-4);
    }
    assert_true(fabs(h->score - json_number_value(json_object_get(w, "score"))) < 1e-4);
}

static void the_likeliest_token(void **state) {
    fixture *f = *state;
    json_t *golden = json_load_file(TEST_DATA "/golden/sonar/golden.json", 0, NULL), *want = json_object_get(golden, "topk1");
    lcm_beam_opts o = lcm_beam_opts_default();
    assert_int_equal(json_array_size(want), 4);
    o.draw = lcm_draw_opts_default();
    o.draw.sampler.top_k = 1;
    o.max_gen_len = 32 + 128; /* the vector's width counts as source length */
    for (int64_t together = 1; together <= 4; together *= 2)
        for (int64_t k = 0; k < 4; k += together) {
            lcm_hypotheses out[4];
            assert_ok(f->ctx, lcm_draw(f->ctx, out, f->net, f->emb + 32 * k, together, prompt, 2, &o));
            for (int64_t i = 0; i < together; i++) {
                check(&out[i], json_array_get(want, (size_t)(k + i)));
                lcm_hypotheses_free(&out[i]);
            }
        }
    json_decref(golden);
}

static void same(const lcm_hypotheses *a, const lcm_hypotheses *b) {
    assert_int_equal(a->items[0].n, b->items[0].n);
    assert_memory_equal(a->items[0].ids, b->items[0].ids, (size_t)a->items[0].n * sizeof(int32_t));
}

/* Temperature 0 is greedy search, and a sentence does not depend on its neighbours. */
static void alone_and_together(void **state) {
    fixture *f = *state;
    lcm_beam_opts o = lcm_beam_opts_default();
    int64_t differ = 0;
    o.beam_size = 1;
    for (int t = 0; t < 2; t++) {
        lcm_hypotheses all[4], one, greedy;
        o.draw = (lcm_draw_opts){.sampler = {.temperature = t ? 1.5 : 0}, .seed = 11, .first = 100};
        assert_ok(f->ctx, lcm_draw(f->ctx, all, f->net, f->emb, 4, prompt, 2, &o));
        for (int64_t i = 0; i < 4; i++) {
            o.draw.first = 100 + (uint64_t)i;
            assert_ok(f->ctx, lcm_draw(f->ctx, &one, f->net, f->emb + 32 * i, 1, prompt, 2, &o));
            same(&all[i], &one);
            assert_ok(f->ctx, lcm_beam_search(f->ctx, &greedy, f->net, f->emb + 32 * i, 1, prompt, 2, &o));
            if (t == 0) same(&one, &greedy);
            else differ += one.items[0].n != greedy.items[0].n || memcmp(one.items[0].ids, greedy.items[0].ids, (size_t)one.items[0].n * sizeof(int32_t));
            lcm_hypotheses_free(&greedy);
            lcm_hypotheses_free(&one);
            lcm_hypotheses_free(&all[i]);
        }
    }
    assert_true(differ > 0);
}

/* First tokens of 4000 drawn sentences against softmax(logits / T) without <unk> and, at first place, the end. */
static void frequencies(void **state) {
    enum { N = 4000, V = 40 };
    fixture *f = *state;
    lcm_beam_opts o = lcm_beam_opts_default();
    lcm_hypotheses *out = calloc(N, sizeof *out);
    lcm_sonar_decoder *dec;
    real *x = malloc(N * 32 * sizeof *x), *p;
    int count[V] = {0};
    double all = 0;
    o.draw = (lcm_draw_opts){.sampler = {.temperature = 1.3}, .seed = 5};
    o.max_gen_len = 3;
    o.min_gen_len = 2;
    for (int i = 0; i < N; i++) memcpy(x + 32 * i, f->emb, 32 * sizeof *x);
    assert_ok(f->ctx, lcm_draw(f->ctx, out, f->net, x, N, prompt, 2, &o));
    for (int i = 0; i < N; i++) {
        count[out[i].items[0].ids[0]]++;
        lcm_hypotheses_free(&out[i]);
    }
    assert_ok(f->ctx, lcm_sonar_decoder_new(f->ctx, &dec, f->net, 1, 1, 4));
    lcm_sonar_decoder_begin(dec, f->emb, 1);
    lcm_sonar_decoder_step(dec, &prompt[0]);
    p = lcm_sonar_decoder_step(dec, &prompt[1]);
    for (int v = 0; v < V; v++) p[v] = v == LCM_ID_UNK || v == LCM_ID_EOS ? 0 : (real)exp((double)p[v] / 1.3);
    for (int v = 0; v < V; v++) all += (double)p[v];
    for (int v = 0; v < V; v++) { /* five deviations of a count */
        double q = (double)p[v] / all;
        if (fabs(count[v] - N * q) > 5 * sqrt(N * q * (1 - q)) + 1e-9) fail_msg("token %d: %d times, %g expected", v, count[v], N * q);
    }
    lcm_sonar_decoder_free(dec);
    free(out);
    free(x);
}

static void refusals(void **state) {
    fixture *f = *state;
    lcm_beam_opts o = lcm_beam_opts_default();
    lcm_hypotheses out[2];
    real bad[64] = {0};
    o.draw.sampler.temperature = -1;
    assert_int_equal(lcm_draw(f->ctx, out, f->net, f->emb, 1, prompt, 2, &o), LCM_ERR_ARG);
    assert_says(f->ctx, "temperature -1 is outside 0 … 100");
    o.draw.sampler = (lcm_sampler_opts){.temperature = 1, .top_p = 1.5};
    assert_int_equal(lcm_draw(f->ctx, out, f->net, f->emb, 1, prompt, 2, &o), LCM_ERR_ARG);
    o.draw.sampler = (lcm_sampler_opts){.temperature = 1, .top_k = -2};
    assert_int_equal(lcm_draw(f->ctx, out, f->net, f->emb, 1, prompt, 2, &o), LCM_ERR_ARG);
    bad[40] = NAN;
    o.draw = lcm_draw_opts_default();
    assert_int_equal(lcm_draw(f->ctx, out, f->net, bad, 2, prompt, 2, &o), LCM_ERR_NUMERIC);
    assert_says(f->ctx, "sentence 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_likeliest_token), cmocka_unit_test(alone_and_together),
                                       cmocka_unit_test(frequencies), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
