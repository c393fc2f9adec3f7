/* Lock files. */
#include "data/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A holder removes the file before it unlocks, so a process that waited on the old file may get a
 * lock that nobody else can see. It counts only while the name still leads to it. */
static bool is_current(int fd, const char *path) {
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

lcm_status lcm_claim_take(lcm_ctx *ctx, lcm_claim *c, const char *path, bool wait) {
    size_t n = strlen(path);
    c->fd = -1;
    if (n >= sizeof c->path) LCM_FAIL(ctx, LCM_ERR_LIMIT, "path of %zu bytes is longer than %d", n, LCM_PATH_MAX - 1);
    memcpy(c->path, path, n + 1);
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666), bad, e;
        if (fd < 0) LCM_FAIL(ctx, LCM_ERR_IO, "cannot create '%s': %s", path, strerror(errno));
        do bad = flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
        while (bad && errno == EINTR);
        e = errno;
        if (!bad && is_current(fd, path)) {
            c->fd = fd;
            return LCM_OK;
        }
        close(fd);
        if (bad && e == EWOULDBLOCK) LCM_FAIL(ctx, LCM_ERR_BUSY, "'%s' is locked by another process", path);
        if (bad) LCM_FAIL(ctx, LCM_ERR_IO, "cannot lock '%s': %s", path, strerror(e));
    }
}

void lcm_claim_release(lcm_claim *c) {
    if (c->fd < 0) return;
    unlink(c->path);
    close(c->fd);
    c->fd = -1;
}
