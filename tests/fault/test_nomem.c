/* Memory that runs out anywhere within a training step: the step reports it and the next one works.
 * The step arena takes chunks with aligned_alloc, which this program replaces; many sizes of the
 * first chunk move the points where the arena asks for more through all the ops of a step. */
#include "harness/test.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "sonar/model.h"

static int64_t allowed = INT64_MAX, refused;

void *aligned_alloc(size_t alignment, size_t size) {
    if (allowed-- > 0) return memalign(alignment, size);
    refused++;
    return NULL;
}

static const int32_t ids[] = {7, 5, 3, 8, 6, 5, 9, 3}, off[] = {0, 3, 8}, pos[] = {0, 1, 2, 0, 1, 2, 3, 4},
                     seg[] = {0, 0, 0, 1, 1, 1, 1, 1}, limit[] = {1, 2, 3, 1, 2, 3, 4, 5};

static double step(lcm_tape *t, lcm_sonar *m) {
    const lcm_sonar_batch b = {2, 8, ids, off, pos, seg, limit};
    lcm_loss loss;
    lcm_tape_reset(t, (lcm_tape_opts){.record = true, .train = true});
    lcm_tape_seed(t, 1, 1);
    loss = lcm_op_xent(t, lcm_sonar_decode_fwd(t, m, &b, lcm_sonar_encode_fwd(t, m, &b)), m->dec_embed, ids, NULL, 0.1, NULL);
    if (loss.out) lcm_tape_backward(t, loss.out, NULL);
    return loss.sum;
}

static void run_out_of_memory(int pooling) {
    lcm_sonar_config c = {.model_dim = 8, .encoder_layers = 1, .decoder_layers = 1, .attn_heads = 2, .ffn_inner_dim = 12,
                          .vocab_size = 10, .max_seq_len = 8, .pooling = pooling, .pooler_layers = 1, .share_embeddings = true,
                          .dropout = 0.1};
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_sonar *m;
    lcm_tape *t = lcm_tape_new(ctx, 1 << 20);
    double want;
    int failures = 0;
    assert_int_equal(lcm_sonar_new(ctx, &m, &c, LCM_SONAR_BOTH, true), LCM_OK);
    lcm_params_init(&m->params, 1);
    want = step(t, m);
    assert_int_equal(lcm_tape_status(t), LCM_OK);
    lcm_tape_free(t);
    for (size_t first = 64; first < 100000; first += first / 16 + 64)
        for (int64_t k = 0;; k++) {
            t = lcm_tape_new(ctx, first);
            assert_non_null(t);
            allowed = k;
            refused = 0;
            step(t, m);
            allowed = INT64_MAX;
            if (refused == 0) {
                assert_int_equal(lcm_tape_status(t), LCM_OK);
                lcm_tape_free(t);
                break;
            }
            failures++;
            assert_int_equal(lcm_tape_status(t), LCM_ERR_NOMEM);
            assert_true(step(t, m) == want);
            assert_int_equal(lcm_tape_status(t), LCM_OK);
            lcm_tape_free(t);
        }
    assert_true(failures > 100);
    lcm_sonar_free(m);
    lcm_ctx_free(ctx);
}

static void step_out_of_memory(void **state) {
    (void)state;
    run_out_of_memory(LCM_POOL_MAX);
    run_out_of_memory(LCM_SONAR_ATTENTION);
}

/* Parameters that do not fit: nothing is handed out, and the message says how much it was. */
static void parameters_out_of_memory(void **state) {
    lcm_sonar_config c = lcm_sonar_config_default();
    lcm_ctx *ctx = lcm_ctx_new();
    (void)state;
    for (int64_t k = 0; k < 2; k++) { /* the values, then the gradients */
        lcm_sonar *m;
        lcm_status st;
        allowed = k;
        st = lcm_sonar_new(ctx, &m, &c, LCM_SONAR_BOTH, true);
        allowed = INT64_MAX;
        assert_int_equal(st, LCM_ERR_NOMEM);
        assert_null(m);
        assert_non_null(strstr(lcm_ctx_message(ctx), "parameters need"));
    }
    lcm_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step_out_of_memory),
        cmocka_unit_test(parameters_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
