/* Mutual information of predicted concepts, against a scorer whose answers can be added up by hand. */
#include "harness/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/next_concept.h"
#include "harness/eval_world.h"

enum { DIM = TOY_D };

typedef eval_world fixture;

#define ok(f, call) assert_ok((f)->ctx, call)

/* A token is a byte. A text loses a nat per byte and wins back a tenth per byte of its context; contexts are as long as
 * the sentences make them, so the mean tells which ones were given. */
typedef struct byte_scorer {
    int64_t texts;
    size_t limit; /* bytes of a text, at most; 0: any */
} byte_scorer;

static lcm_status score_bytes(lcm_ctx *ctx, void *self, lcm_scored_text *texts, size_t n) {
    byte_scorer *b = self;
    for (size_t i = 0; i < n; i++) {
        if (b->limit && texts[i].len > b->limit) LCM_FAIL(ctx, LCM_ERR_LIMIT, "text %zu", i + 1);
        texts[i].tokens = (int64_t)texts[i].len;
        texts[i].alone = -1e4 - (double)texts[i].len;
        texts[i].behind = texts[i].alone + 0.1 * (double)(texts[i].context_len - 1);
    }
    b->texts += (int64_t)n;
    return LCM_OK;
}

/* Sentence i has i + 1 letters. *off (n+1) */
static void count_out_texts(fixture *f, lcm_sentences *s, const int32_t *off, int64_t n) {
    char letters[64];
    memset(letters, 'x', sizeof letters);
    for (int32_t i = 0; i < off[n]; i++) ok(f, lcm_sentences_add(f->ctx, s, letters, (size_t)i + 1));
}

/* Of the sentences decoded from predictions, behind the last ten true ones of their own document. */
static void mi_of_predictions_against_loops(void **state) {
    static const int32_t off[] = {0, 13, 14, 17};
    static int32_t from[] = {1, 1, 1}, to[] = {13, 1, 3};
    fixture *f = *state;
    real *x = toy_concepts(17, DIM, 3);
    lcm_forecast_job job = {3, DIM, x, off, from, to};
    lcm_forecaster oracle = lcm_forecast_baseline(&lcm_baselines[0], NULL);
    lcm_sentences texts = {0}, said = {0};
    byte_scorer b = {0, 0};
    lcm_scorer scorer = {.score = score_bytes, .self = &b};
    lcm_next_opts o = {.batch_docs = 3, .codec = f->codec, .beam = lcm_beam_opts_default(), .scorer = &scorer, .texts = &texts};
    lcm_next_scores s;
    double sum = 0, tokens = 0;
    size_t longest = 0;
    o.beam.beam_size = 1;
    count_out_texts(f, &texts, off, 3);
    ok(f, lcm_sentences_decode(f->ctx, &said, f->codec, x, 17, &o.beam));
    for (int d = 0; d < 3; d++)
        for (int32_t t = 1; t < to[d]; t++) {
            size_t len, context = 0;
            lcm_sentences_at(&said, off[d] + t, &len);
            for (int32_t i = t > 10 ? t - 10 : 0; i < t; i++) context += (size_t)(off[d] + i) + 1 + (context > 0); /* a space between */
            sum += 0.1 * (double)context; /* over |s|, times the weight |s| */
            tokens += (double)len;
            if (len > longest) longest = len;
        }
    ok(f, lcm_next_evaluate(f->ctx, &s, &oracle, &job, 1, &o));
    assert_int_equal(s.n[4], 14);
    assert_int_equal(b.texts, 14);
    assert_true(fabs(s.mean[4] - sum / tokens) < 1e-9 * sum / tokens);
    assert_int_equal(s.n[1], 14); /* the same sentences, encoded */

    b.limit = longest - 1; /* beyond the scorer's window: a document without values, and no failure */
    ok(f, lcm_next_evaluate(f->ctx, &s, &oracle, &job, 1, &o));
    assert_int_equal(scorer.too_long, 1 + (s.n[4] == 0));
    assert_true(s.n[4] == 12 || s.n[4] == 2 || s.n[4] == 0);
    lcm_sentences_free(&texts);
    lcm_sentences_free(&said);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(mi_of_predictions_against_loops)};
    return cmocka_run_group_tests(tests, eval_world_setup, eval_world_teardown);
}
