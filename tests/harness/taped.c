#include "harness/taped.h"

lcm_ctx *ctx;
lcm_tape *tape;

int taped_setup(void **state) {
    (void)state;
    ctx = lcm_ctx_new();
    tape = lcm_tape_new(ctx, 1 << 20);
    return ctx && tape ? 0 : -1;
}

int taped_teardown(void **state) {
    (void)state;
    lcm_tape_free(tape);
    lcm_ctx_free(ctx);
    tape = NULL;
    ctx = NULL;
    return 0;
}
