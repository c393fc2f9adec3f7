/* Llama against Hugging Face's LlamaForCausalLM in float64 (tests/data/golden/README.md): logits, losses,
 * gradients and greedy continuations, with grouped heads, both kinds of output projection, another eps, another
 * base of the rotation and heads that are wider than hidden_size / heads. */
#include "harness/golden.h"

#include <stdlib.h>
#include <string.h>

#include "harness/toy_llama.h"
#include "kernels/gemm.h"
#include "llama/llama_decoder.h"
#include "kernels/token_sampler.h"

enum { N = 2, T = 21, V = 67, PROMPT = 5, GENERATED = 29 };

/* Two layers of sums over at most 48 products: 1e-6 or so against float64. A wrong eps, angle or head is 1e-2. */
static const double TOLERANCE = 2e-5;

typedef struct fixture {
    golden *g;
    lcm_ctx *ctx;
    lcm_llama *m;
    lcm_tape *t;
    int32_t ids[N * T], off[N + 1];
} fixture;

static void open_case(fixture *f, const char *name) {
    int64_t *ids;
    f->g = golden_open(name);
    f->ctx = lcm_ctx_new();
    f->m = golden_llama(f->ctx, golden_st(f->g), true);
    if (f->m == NULL) fail_msg("%s", lcm_ctx_message(f->ctx));
    f->t = lcm_tape_new(f->ctx, 1 << 20);
    ids = golden_i64(f->g, NULL, "ids");
    for (int i = 0; i < N * T; i++) f->ids[i] = (int32_t)ids[i];
    for (int i = 0; i <= N; i++) f->off[i] = i * T;
}

static void close_case(fixture *f) {
    lcm_llama_free(f->m);
    lcm_tape_free(f->t);
    lcm_ctx_free(f->ctx);
    golden_close(f->g);
}

static void check_logits(fixture *f) {
    real *logits = malloc(sizeof *logits * N * T * V);
    lcm_tensor *h;
    lcm_tape_reset(f->t, (lcm_tape_opts){0});
    h = lcm_llama_fwd(f->t, f->m, &(lcm_llama_batch){N, N * T, f->ids, f->off});
    assert_non_null(h);
    lcm_k_linear_fwd(NULL, logits, h->x, f->m->head->x, NULL, N * T, h->cols, V);
    assert_close(logits, golden_real(f->g, NULL, "logits"), N * T * V, TOLERANCE);
    free(logits);
}

/* The loss of all but a sequence's last token, weighted 0 for that. */
static void check_loss(fixture *f) {
    static const char *const names[] = {"model.layers.0.self_attn.k_proj.weight", "model.layers.1.mlp.gate_proj.weight",
                                        "model.norm.weight", "model.embed_tokens.weight"};
    const real *expected = golden_real(f->g, NULL, "loss");
    int32_t target[N * T];
    real w[N * T], rows[N * (T - 1)];
    lcm_loss loss;
    for (int i = 0; i < N * T; i++) {
        w[i] = i % T < T - 1;
        target[i] = i % T < T - 1 ? f->ids[i + 1] : 0;
    }
    lcm_tape_reset(f->t, (lcm_tape_opts){.record = true});
    loss = lcm_op_xent(f->t, lcm_llama_fwd(f->t, f->m, &(lcm_llama_batch){N, N * T, f->ids, f->off}), f->m->head, target, w, 0,
                       NULL);
    assert_non_null(loss.out);
    for (int i = 0; i < N * (T - 1); i++) rows[i] = loss.rows[i / (T - 1) * T + i % (T - 1)];
    assert_close(rows, expected, N * (T - 1), TOLERANCE);
    assert_int_equal(lcm_tape_backward(f->t, loss.out, NULL), LCM_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const lcm_tensor *p = &lcm_params_find(&f->m->params, names[i])->t;
        assert_close(p->g, golden_real(f->g, NULL, "grad.%s", names[i]), p->rows * p->cols, 10 * TOLERANCE);
    }
}

static void check_greedy(fixture *f) {
    int64_t *expected = golden_i64(f->g, NULL, "generated");
    lcm_llama_decoder *d;
    assert_int_equal(lcm_llama_decoder_new(f->ctx, &d, f->m, 1, GENERATED), LCM_OK);
    for (int k = 0; k < N; k++) {
        int32_t slot = 0, off[2] = {0, PROMPT}, id;
        real *logits = lcm_llama_decoder_feed(d, 1, &slot, off, f->ids + k * T);
        off[1] = 1;
        for (int i = PROMPT; i < GENERATED; i++) {
            id = lcm_sample_token(logits, V, &(lcm_sampler_opts){0}, 0, NULL);
            assert_int_equal(id, expected[k * GENERATED + i]);
            logits = lcm_llama_decoder_feed(d, 1, &slot, off, &id);
        }
        lcm_llama_decoder_cut(d, 0, 0);
    }
    lcm_llama_decoder_free(d);
}

static void run_case(const char *name) {
    fixture f;
    open_case(&f, name);
    check_logits(&f);
    check_loss(&f);
    check_greedy(&f);
    close_case(&f);
}

static void grouped_heads_and_own_projection(void **state) {
    (void)state;
    run_case("llama/grouped");
}

static void tied_projection_wide_heads_other_eps(void **state) {
    (void)state;
    run_case("llama/tied");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grouped_heads_and_own_projection),
        cmocka_unit_test(tied_projection_wide_heads_other_eps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
