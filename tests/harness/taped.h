/* A context and a tape for every test, under these names. */
#ifndef TEST_TAPED_H
#define TEST_TAPED_H

#include "core/tape.h"
#include "harness/test.h"

extern lcm_ctx *ctx;
extern lcm_tape *tape;

int taped_setup(void **state);
int taped_teardown(void **state);

#define OK(call) assert_ok(ctx, call)

#endif
