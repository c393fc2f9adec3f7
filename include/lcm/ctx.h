/* Context: holds the last error message and the log sink. One thread at a time. */
#ifndef LCM_CTX_H
#define LCM_CTX_H

#include "lcm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lcm_ctx lcm_ctx;

typedef enum lcm_log_level { LCM_LOG_NONE = 0, LCM_LOG_ERROR, LCM_LOG_WARN, LCM_LOG_INFO, LCM_LOG_DEBUG } lcm_log_level;

/* Receives one finished line without newline; `line` is borrowed for the call. */
typedef void (*lcm_log_fn)(void *user, lcm_log_level level, const char *line);

/* Creates a context; NULL when memory is exhausted. Silent until a log sink is set. */
LCM_API lcm_ctx *lcm_ctx_new(void);
LCM_API void lcm_ctx_free(lcm_ctx *ctx); /* NULL is allowed */

/* Messages above `level` are dropped. `fn` NULL silences. */
LCM_API void lcm_ctx_set_log(lcm_ctx *ctx, lcm_log_level level, lcm_log_fn fn, void *user);

/* One line about the last failure on this context; "" before any. Borrowed until the next
 * failing call on the same context. */
LCM_API const char *lcm_ctx_message(const lcm_ctx *ctx);
LCM_API lcm_status lcm_ctx_code(const lcm_ctx *ctx);

#ifdef __cplusplus
}
#endif
#endif
