/* The autoencoder's losses on pairs, in double: gradients against central differences, values against passes made singly. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "grad/check.h"
#include "sonar/objective.h"

enum { N = 2, EOS = 3, ENG = 10, FRA = 11, D = 8 };

typedef struct fixture {
    lcm_ctx *ctx;
    lcm_tape *tape;
    lcm_sonar *m;
    lcm_sonar_objective o;
} fixture;

static const int32_t words[] = {7, 5, 8, 6, 5, 9, 4, 4, 9, 6};
/* Source and target of different lengths, both directions in one batch. */
static const lcm_sonar_item items[N] = {{{words, 3}, {words + 3, 4}, ENG, FRA}, {{words + 5, 5}, {words + 1, 2}, FRA, ENG}};

static int setup(void **state) {
    lcm_sonar_config c = {.model_dim = D, .encoder_layers = 1, .decoder_layers = 2, .attn_heads = 2, .ffn_inner_dim = 12,
                          .vocab_size = 12, .max_seq_len = 10, .share_embeddings = true, .dropout = 0.1};
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL) return -1;
    f->ctx = lcm_ctx_new();
    f->tape = lcm_tape_new(f->ctx, 1 << 20);
    f->o = (lcm_sonar_objective){.token_noise_ratio = 0.5, .token_noise_span = 2, .mse_weight = 0.7, .denoise_weight = 0.3,
                                 .label_smoothing = 0.1};
    if (f->tape == NULL || lcm_sonar_new(f->ctx, &f->m, &c, LCM_SONAR_BOTH, true)) return -1;
    lcm_params_init(&f->m->params, 1);
    for (size_t i = 0; i < f->m->params.n; i++) {
        lcm_tensor *x = &f->m->params.items[i]->t;
        lcm_rng r = lcm_rng_make(i, LCM_RNG_TEST);
        for (int64_t k = 0; k < x->rows * x->cols; k++) x->x[k] += 0.2 * lcm_rng_normal(&r);
    }
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    lcm_sonar_free(f->m);
    lcm_tape_free(f->tape);
    lcm_ctx_free(f->ctx);
    free(f);
    return 0;
}

static lcm_tensor *run(lcm_tape *t, void *arg) {
    const fixture *f = arg;
    lcm_sonar_loss l;
    if (lcm_sonar_loss_fwd(f->ctx, &l, t, f->m, items, N, &f->o, 5, 2) != LCM_OK) fail_msg("%s", lcm_ctx_message(f->ctx));
    return l.loss.out;
}

static void test_gradients(void **state) {
    fixture *f = *state;
    lcm_tensor *leaf[GRAD_MAX_LEAVES];
    grad_problem p = grad_problem_make(run, f, leaf, 0);
    grad_report r;
    for (size_t i = 0; i < f->m->params.n; i++) leaf[p.n_leaf++] = &f->m->params.items[i]->t;
    p.elementwise_up_to = 48;
    p.directions = 32;
    grad_check(f->tape, &p, &r);
    if (r.bad) fail_msg("%lld of %lld wrong: %s", (long long)r.bad, (long long)r.checked, r.first);
    for (size_t i = 0; i < f->m->params.n; i++) { /* a bias of keys moves all scores of a row alike */
        const char *name = f->m->params.items[i]->name;
        assert_int_equal(r.flat[i], strstr(name, "k_proj.bias") != NULL);
    }
}

static lcm_sonar_loss loss(fixture *f, const lcm_sonar_item *it, int64_t n, const lcm_sonar_objective *o) {
    lcm_sonar_loss l;
    lcm_tape_reset(f->tape, (lcm_tape_opts){0});
    if (lcm_sonar_loss_fwd(f->ctx, &l, f->tape, f->m, it, n, o, 5, 2) != LCM_OK) fail_msg("%s", lcm_ctx_message(f->ctx));
    return l;
}

/* e of one sentence, [lang] pieces </s> */
static void encode(fixture *f, double *e, lcm_pieces s, int32_t lang) {
    int32_t ids[16], off[2] = {0, (int32_t)s.n + 2}, pos[16], seg[16] = {0};
    lcm_sonar_batch b = {1, s.n + 2, ids, off, pos, seg, NULL};
    lcm_tensor *z;
    ids[0] = lang;
    memcpy(ids + 1, s.ids, (size_t)s.n * sizeof *ids);
    ids[s.n + 1] = EOS;
    for (int32_t i = 0; i < 16; i++) pos[i] = i;
    lcm_tape_reset(f->tape, (lcm_tape_opts){0});
    z = lcm_sonar_encode_fwd(f->tape, f->m, &b);
    assert_non_null(z);
    memcpy(e, z->x, D * sizeof *e);
}

/* Sums of less than a hundred terms of order one in double. */
static void near(double a, double b) { assert_true(fabs(a - b) < 1e-11 * (1 + fabs(b))); }

static void test_values(void **state) {
    fixture *f = *state;
    lcm_sonar_objective plain = {.token_noise_span = 2, .label_smoothing = 0.1}, o = f->o;
    lcm_sonar_item self[N];
    lcm_sonar_loss all, translation, again;
    double mse = 0;
    o.token_noise_ratio = 0; /* nothing is masked: what is restored is what is said again */
    for (int i = 0; i < N; i++) {
        double x[D], y[D];
        self[i] = (lcm_sonar_item){items[i].target, items[i].target, items[i].target_lang, items[i].target_lang};
        encode(f, x, items[i].source, items[i].source_lang);
        encode(f, y, items[i].target, items[i].target_lang);
        for (int k = 0; k < D; k++) mse += (x[k] - y[k]) * (x[k] - y[k]) / D;
    }
    all = loss(f, items, N, &o);
    translation = loss(f, items, N, &plain);
    again = loss(f, self, N, &plain);
    assert_int_equal(all.n_targets, 4 + 2 + 2 * N);
    assert_int_equal(all.n_sentences, N);
    assert_int_equal(all.n_hits, translation.n_hits);
    near(all.mse, mse);
    near(all.xent, translation.xent);
    near(all.denoise, again.xent);
    near(all.loss.sum, all.xent + 0.3 * all.denoise + 0.7 * (double)all.n_targets * mse / N);
    assert_true(isnan(translation.mse) && isnan(translation.denoise));
    near(translation.loss.sum, translation.xent);
    assert_true(fabs(translation.xent - again.xent) > 1e-3);
}

/* The mask of a restored target is its own, and a function of seed and step. */
static void test_masks(void **state) {
    fixture *f = *state;
    lcm_sonar_objective o = {.token_noise_ratio = 0.5, .token_noise_span = 1, .denoise_weight = 1};
    double masked = loss(f, items, N, &o).denoise, clean;
    near(loss(f, items, N, &o).denoise, masked);
    o.token_noise_ratio = 0;
    clean = loss(f, items, N, &o).denoise;
    assert_true(fabs(clean - masked) > 1e-6);
    near(loss(f, items, N, &o).xent, loss(f, items, N, NULL).xent);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gradients, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_masks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
