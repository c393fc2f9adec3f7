/* Lock files that divide work among processes and do not outlive their holder.
 *
 * The lock is the kernel's (flock), not the file: when a process dies, by kill -9 too, its claim
 * is free at once and nothing stale has to be recognised by age. Works between machines where
 * the file system does flock (local disks, NFS since Linux 2.6.12, not some cluster systems). */
#ifndef LCM_DATA_CLAIM_H
#define LCM_DATA_CLAIM_H

#include <stdbool.h>

#include "base/io.h"

typedef struct lcm_claim {
    int fd; /* -1: not held */
    char path[LCM_PATH_MAX];
} lcm_claim;

#define LCM_CLAIM_NONE {-1, {0}}

/* Takes the lock at `path`, creating the file. LCM_ERR_BUSY when a live process has it, or with
 * `wait`, waits for it. LCM_ERR_IO. */
lcm_status lcm_claim_take(lcm_ctx *ctx, lcm_claim *c, const char *path, bool wait);

/* Removes the file and gives the lock up. Nothing happens when it is not held. */
void lcm_claim_release(lcm_claim *c);

#endif
