/* Memory that is left, so that a model too large is refused with advice instead of killed. */
#ifndef LCM_ROOM_H
#define LCM_ROOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/ctx_int.h"

/* Bytes that this process may still use: the least of what the machine has available (MemAvailable: free
 * memory and caches that can be dropped) and what its control groups leave. UINT64_MAX when the system does
 * not say. Limits that make an allocation fail, such as RLIMIT_AS, need no forecast. */
uint64_t lcm_room_left(void);

/* LCM_ERR_NOMEM: "WHAT need 3.5 GB, 1.2 GB are left; ADVICE". */
lcm_status lcm_room_check(lcm_ctx *ctx, size_t bytes, const char *what, const char *advice);

#endif
