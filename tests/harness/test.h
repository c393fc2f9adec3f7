/* First line of every test program: cmocka with the headers it wants, and calls that must succeed. */
#ifndef TEST_TEST_H
#define TEST_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lcm/ctx.h"

/* Anything but LCM_OK fails the test with the context's message. */
#define assert_ok(ctx, call)                                                   \
    do {                                                                       \
        if ((call) != LCM_OK) fail_msg("%s: %s", #call, lcm_ctx_message(ctx)); \
    } while (0)

/* The message of the last failure holds this text. */
#define assert_says(ctx, text)                                                                                    \
    do {                                                                                                          \
        if (strstr(lcm_ctx_message(ctx), text) == NULL) fail_msg("message: %s", lcm_ctx_message(ctx));            \
    } while (0)

#endif
