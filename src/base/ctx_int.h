/* Internal side of the context: how code below the API reports failure and talks.
 *
 * LCM_TRY and LCM_FAIL are the only macros in the tree that hide control flow. */
#ifndef LCM_CTX_INT_H
#define LCM_CTX_INT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "lcm/ctx.h"

/* Our own broken invariants only, never file content or caller data. */
#define LCM_ASSERT(cond) assert(cond)

/* Records code and formatted message (cut at 511 bytes) in ctx; returns `code`. */
lcm_status lcm_fail(lcm_ctx *ctx, lcm_status code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Prepends "prefix: " to the recorded message, to add where the failure happened. */
lcm_status lcm_fail_within(lcm_ctx *ctx, lcm_status code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

void lcm_log(lcm_ctx *ctx, lcm_log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define LCM_FAIL(ctx, code, ...) return lcm_fail((ctx), (code), __VA_ARGS__)

#define LCM_TRY(call)                             \
    do {                                          \
        lcm_status lcm_try_ = (call);             \
        if (lcm_try_ != LCM_OK) return lcm_try_;  \
    } while (0)

#endif
