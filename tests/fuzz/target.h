/* What the fuzz targets share: the entry, checks, and files for those whose input is one. */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void check(int ok) {
    if (!ok) abort();
}

static inline const char *folder(void);

static inline void folder_remove(void) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_remove_tree(ctx, folder());
    lcm_ctx_free(ctx);
}

/* The process's own, made by the first call and removed at exit. */
static inline const char *folder(void) {
    static char path[64];
    if (path[0] == '\0') {
        snprintf(path, sizeof path, "/tmp/lcm-fuzz-%ld", (long)getpid());
        check(lcm_mkdirs(NULL, path) == LCM_OK);
        atexit(folder_remove);
    }
    return path;
}

/* Writes a file of that folder over the one of the input before. Not by fopen(…, "w"): what is cut to nothing and closed,
 * ext4 writes to the disk at once, and that takes longer than all that most targets do with it. */
static inline void folder_write(const char *name, const void *data, size_t size) {
    char path[96];
    int fd;
    snprintf(path, sizeof path, "%s/%s", folder(), name);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    check(fd >= 0 && pwrite(fd, data, size, 0) == (ssize_t)size && ftruncate(fd, (off_t)size) == 0 && close(fd) == 0);
}

#endif
