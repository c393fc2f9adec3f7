/* Context: error message and log sink. */
#include "base/ctx_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lcm_ctx {
    lcm_status code;
    char message[512];
    lcm_log_level level;
    lcm_log_fn log;
    void *log_user;
};

const char *lcm_status_name(lcm_status code) {
    static const char *const names[] = {"ok",     "argument", "memory",  "input/output", "format",
                                        "version", "not found", "shape",  "utf-8",        "limit",
                                        "numeric", "cancelled", "unsupported", "busy",    "internal"};
    int i = -(int)code;
    if (i < 0 || i >= (int)(sizeof names / sizeof *names)) return "unknown";
    return names[i];
}

lcm_ctx *lcm_ctx_new(void) { return calloc(1, sizeof(lcm_ctx)); }

void lcm_ctx_free(lcm_ctx *ctx) { free(ctx); }

void lcm_ctx_set_log(lcm_ctx *ctx, lcm_log_level level, lcm_log_fn fn, void *user) {
    ctx->level = level;
    ctx->log = fn;
    ctx->log_user = user;
}

const char *lcm_ctx_message(const lcm_ctx *ctx) { return ctx->message; }

lcm_status lcm_ctx_code(const lcm_ctx *ctx) { return ctx->code; }

/* Names out of hostile files end up in messages: one line it stays, and no terminal is steered. */
static void record(lcm_ctx *ctx, lcm_status code, const char *text) {
    size_t i = 0;
    for (; text[i] && i < sizeof ctx->message - 1; i++)
        ctx->message[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    ctx->message[i] = '\0';
    ctx->code = code;
}

lcm_status lcm_fail(lcm_ctx *ctx, lcm_status code, const char *fmt, ...) {
    va_list ap;
    char text[sizeof ctx->message];
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap); /* aside: an argument may be the old message */
    va_end(ap);
    record(ctx, code, text);
    return code;
}

lcm_status lcm_fail_within(lcm_ctx *ctx, lcm_status code, const char *fmt, ...) {
    va_list ap;
    char text[sizeof ctx->message];
    int n;
    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0) n = 0;
    if ((size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, ": %s", ctx->message);
    record(ctx, code, text);
    return code;
}

void lcm_log(lcm_ctx *ctx, lcm_log_level level, const char *fmt, ...) {
    va_list ap;
    char line[1024];
    if (ctx->log == NULL || level > ctx->level) return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    ctx->log(ctx->log_user, level, line);
}
