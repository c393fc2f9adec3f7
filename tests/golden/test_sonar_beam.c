/* Beam search against the reference's outputs: 19 configurations on four vectors. Token sequences
 * must be equal: the smallest gap between ranked candidates is 2e-4, far above f32 rounding. Scores
 * agree to 1e-4, the stated accuracy of the golden numbers. */
#include "harness/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/sonar_toy.h"
#include "sonar/beam.h"

typedef struct fixture {
    lcm_ctx *ctx;
    lcm_sonar *m;
    lcm_sonar_net *net;
    real emb[4 * 32];
    json_t *golden;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    json_error_t err;
    f->ctx = lcm_ctx_new();
    f->m = toy_decoder(f->ctx);
    assert_int_equal(lcm_sonar_net_view(f->ctx, &f->net, f->m), LCM_OK);
    toy_embeddings(f->emb);
    f->golden = json_load_file(TEST_DATA "/golden/sonar/golden.json", 0, &err);
    assert_non_null(f->golden);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    lcm_sonar_net_free(f->net);
    lcm_sonar_free(f->m);
    lcm_ctx_free(f->ctx);
    json_decref(f->golden);
    free(f);
    return 0;
}

typedef struct beam_case {
    const char *name;
    lcm_beam_opts o;
} beam_case;

static void check_list(const lcm_hypotheses *got, const json_t *want, const char *name, size_t k) {
    if ((size_t)got->n != json_array_size(want)) fail_msg("%s/%zu: %lld hypotheses, not %zu", name, k, (long long)got->n, json_array_size(want));
    for (int64_t i = 0; i < got->n; i++) {
        json_t *w = json_array_get(want, (size_t)i), *seq = json_object_get(w, "seq"), *steps = json_object_get(w, "step_scores");
        const lcm_hypothesis *h = &got->items[i];
        assert_int_equal(h->n, json_array_size(seq));
        for (int64_t j = 0; j < h->n; j++) {
            double s = json_number_value(json_array_get(steps, (size_t)j));
            if (h->ids[j] != json_integer_value(json_array_get(seq, (size_t)j)))
                fail_msg("%s/%zu: hypothesis %lld differs at token %lld", name, k, (long long)i, (long long)j);
            if (!(fabs(h->step_scores[j] - s) < 1e-4)) fail_msg("%s/%zu: step score %g, not %g", name, k, (double)h->step_scores[j], s);
        }
        if (!(fabs(h->score - json_number_value(json_object_get(w, "score"))) < 1e-4))
            fail_msg("%s/%zu: score %g, not %g", name, k, h->score, json_number_value(json_object_get(w, "score")));
    }
}

static void run_case(fixture *f, const beam_case *c, int64_t together) {
    static const int32_t prompt[2] = {3, 30};
    json_t *want = json_object_get(json_object_get(f->golden, "beam"), c->name);
    if (want == NULL) fail_msg("no golden case '%s'", c->name);
    for (size_t k = 0; k < 4; k += (size_t)together) {
        lcm_hypotheses out[4];
        lcm_status st = lcm_beam_search(f->ctx, out, f->net, f->emb + 32 * k, together, prompt, 2, &c->o);
        if (st) fail_msg("%s: %s", c->name, lcm_ctx_message(f->ctx));
        for (int64_t i = 0; i < together; i++) {
            check_list(&out[i], json_array_get(want, k + (size_t)i), c->name, k + (size_t)i);
            lcm_hypotheses_free(&out[i]);
        }
    }
}

static void all_cases(void **state) {
    static const int32_t b5[] = {5}, b7[] = {7}, b305[] = {30, 5}, b8910[] = {8, 9, 10};
    static const lcm_token_seq ban[] = {{b5, 1}, {b7, 1}}, ban2[] = {{b305, 2}, {b7, 1}, {b8910, 3}};
    lcm_beam_opts d = lcm_beam_opts_default();
    beam_case cases[] = {{"default", d}, {"beam1", d}, {"beam2", d}, {"beam8", d}, {"lenpen0", d}, {"lenpen2", d},
                         {"nonorm", d}, {"maxseq8", d}, {"maxseq3", d}, {"maxgen", d}, {"mingen6", d}, {"temp2", d},
                         {"temp05", d}, {"unkpen", d}, {"echo", d}, {"ngram2", d}, {"ngram1", d}, {"ban", d}, {"ban2", d}};
    size_t n = sizeof cases / sizeof *cases;
    d.max_gen_len = 32 + 128;
    for (size_t i = 0; i < n; i++) cases[i].o.max_gen_len = 32 + 128; /* the vector's width counts as source length */
    cases[1].o.beam_size = 1;
    cases[2].o.beam_size = 2;
    cases[3].o.beam_size = 8;
    cases[4].o.len_penalty = 0;
    cases[5].o.len_penalty = 2;
    cases[6].o.normalize_scores = false;
    cases[7].o.max_seq_len = 8;
    cases[8].o.max_seq_len = 3;
    cases[9].o.max_gen_len = 6;
    cases[10].o.min_gen_len = 6;
    cases[11].o.temperature = 2;
    cases[12].o.temperature = 0.5;
    cases[13].o.unk_penalty = 5;
    cases[14].o.echo_prompt = true;
    cases[15].o.ngram_block = 2;
    cases[16].o.ngram_block = 1;
    cases[17].o.banned = ban;
    cases[17].o.n_banned = 2;
    cases[18].o.banned = ban2;
    cases[18].o.n_banned = 3;
    for (size_t i = 0; i < n; i++) {
        run_case(*state, &cases[i], 1);
        run_case(*state, &cases[i], 2); /* sentences that share a call do not influence each other */
        run_case(*state, &cases[i], 4);
    }
}

static int doubles(const lcm_hypotheses *h) {
    int n = 0;
    for (int64_t i = 0; i < h->n; i++)
        for (int64_t k = 1; k < h->items[i].n; k++) n += h->items[i].ids[k] == h->items[i].ids[k - 1];
    return n;
}

/* Of the tokens that the random decoder doubles, those marked are not doubled; nothing else is banned. */
static void marked_tokens_do_not_follow_themselves(void **state) {
    fixture *f = *state;
    static const int32_t prompt[2] = {3, 30};
    uint8_t all[4096], none[4096] = {0};
    int free_doubles = 0;
    memset(all, 1, sizeof all);
    for (int64_t beam = 1; beam <= 5; beam += 4)
        for (int k = 0; k < 4; k++) {
            lcm_beam_opts o = lcm_beam_opts_default();
            lcm_hypotheses plain, unmarked, marked;
            o.beam_size = beam;
            o.max_gen_len = 20;
            assert_int_equal(lcm_beam_search(f->ctx, &plain, f->net, f->emb + 32 * k, 1, prompt, 2, &o), LCM_OK);
            o.not_twice = none;
            assert_int_equal(lcm_beam_search(f->ctx, &unmarked, f->net, f->emb + 32 * k, 1, prompt, 2, &o), LCM_OK);
            o.not_twice = all;
            assert_int_equal(lcm_beam_search(f->ctx, &marked, f->net, f->emb + 32 * k, 1, prompt, 2, &o), LCM_OK);
            free_doubles += doubles(&plain);
            assert_int_equal(doubles(&marked), 0);
            assert_int_equal(unmarked.items[0].n, plain.items[0].n);
            assert_memory_equal(unmarked.items[0].ids, plain.items[0].ids, (size_t)plain.items[0].n * sizeof(int32_t));
            lcm_hypotheses_free(&plain);
            lcm_hypotheses_free(&unmarked);
            lcm_hypotheses_free(&marked);
        }
    assert_true(free_doubles > 0);
}

static void bad_options(void **state) {
    fixture *f = *state;
    static const int32_t prompt[2] = {3, 30};
    lcm_beam_opts o = lcm_beam_opts_default();
    lcm_hypotheses out[1];
    o.max_seq_len = 2;
    assert_int_equal(lcm_beam_search(f->ctx, out, f->net, f->emb, 1, prompt, 2, &o), LCM_ERR_ARG);
    assert_string_equal(lcm_ctx_message(f->ctx), "a prompt of 2 tokens does not fit in 2");
    o = lcm_beam_opts_default();
    o.beam_size = 0;
    assert_int_equal(lcm_beam_search(f->ctx, out, f->net, f->emb, 1, prompt, 2, &o), LCM_ERR_ARG);
    o.beam_size = 1;
    o.temperature = 0;
    assert_int_equal(lcm_beam_search(f->ctx, out, f->net, f->emb, 1, prompt, 2, &o), LCM_ERR_ARG);
}

static void nan_is_an_error(void **state) {
    fixture *f = *state;
    static const int32_t prompt[2] = {3, 30};
    real bad[64] = {0};
    lcm_hypotheses out[2];
    bad[40] = NAN;
    assert_int_equal(lcm_beam_search(f->ctx, out, f->net, bad, 2, prompt, 2, NULL), LCM_ERR_NUMERIC);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "sentence 1"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_cases), cmocka_unit_test(marked_tokens_do_not_follow_themselves),
                                       cmocka_unit_test(bad_options), cmocka_unit_test(nan_is_an_error)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
