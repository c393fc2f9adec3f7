/* Byte stream, plain or zstd. */
#include "data/zstd_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/mem.h"

enum { BLOCK = 1 << 17, WINDOW_LOG_MAX = 27 };

struct lcm_instream {
    char *path;
    int fd;
    bool is_stdin, started, at_eof, frame_open;
    int64_t consumed;
    ZSTD_DCtx *z; /* NULL for plain bytes */
    ZSTD_inBuffer in;
    char block[BLOCK];
};

static lcm_status fail_read(lcm_ctx *ctx, const lcm_instream *s, const char *what) {
    lcm_status code = errno == ENOENT ? LCM_ERR_NOTFOUND : LCM_ERR_IO;
    LCM_FAIL(ctx, code, "cannot %s '%s': %s", what, s->path, strerror(errno));
}

static lcm_status open_fd(lcm_ctx *ctx, lcm_instream *s) {
    struct stat sb;
    s->is_stdin = strcmp(s->path, "-") == 0;
    s->fd = s->is_stdin ? STDIN_FILENO : open(s->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (s->fd < 0) return fail_read(ctx, s, "open");
    if (fstat(s->fd, &sb) != 0) return fail_read(ctx, s, "stat");
    if (S_ISDIR(sb.st_mode)) LCM_FAIL(ctx, LCM_ERR_IO, "'%s' is a folder", s->path);
    /* /dev/zero never ends and never has a line */
    if (!s->is_stdin && (S_ISCHR(sb.st_mode) || S_ISBLK(sb.st_mode)))
        LCM_FAIL(ctx, LCM_ERR_IO, "'%s' is a device", s->path);
    return LCM_OK;
}

lcm_status lcm_instream_open(lcm_ctx *ctx, lcm_instream **out, const char *path) {
    lcm_instream *s;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &s, 1, sizeof *s));
    s->fd = -1;
    s->in.src = s->block;
    s->path = lcm_strdup(path);
    st = s->path ? open_fd(ctx, s) : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: path of %zu bytes", strlen(path));
    if (st) {
        lcm_instream_close(s);
        return st;
    }
    *out = s;
    return LCM_OK;
}

/* Refills the empty input block; in.size = 0 at the end. */
static lcm_status refill(lcm_ctx *ctx, lcm_instream *s) {
    s->in.pos = s->in.size = 0;
    while (!s->at_eof && s->in.size < 4) { /* four bytes, so that a magic number is whole */
        ssize_t n = read(s->fd, s->block + s->in.size, BLOCK - s->in.size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_read(ctx, s, "read");
        s->at_eof = n == 0;
        s->in.size += (size_t)n;
    }
    s->consumed += (int64_t)s->in.size;
    return LCM_OK;
}

static lcm_status start(lcm_ctx *ctx, lcm_instream *s) {
    static const char magic[4] = {'\x28', '\xB5', '\x2F', '\xFD'};
    size_t n = strlen(s->path);
    LCM_TRY(refill(ctx, s));
    s->started = true;
    if (!(n > 4 && strcmp(s->path + n - 4, ".zst") == 0) && !(s->in.size >= 4 && memcmp(s->block, magic, 4) == 0))
        return LCM_OK;
    if (s->in.size == 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' is empty, a zstd frame is expected", s->path);
    s->z = ZSTD_createDCtx();
    if (s->z == NULL || ZSTD_isError(ZSTD_DCtx_setParameter(s->z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: zstd decoder");
    return LCM_OK;
}

static lcm_status read_zstd(lcm_ctx *ctx, size_t *n, lcm_instream *s, void *dst, size_t cap) {
    ZSTD_outBuffer out = {dst, cap, 0};
    while (out.pos == 0) {
        size_t r;
        /* An open frame may still hold output although all input is taken, so input is only
         * asked for when there is none, and its end is judged after one more call. */
        if (s->in.pos == s->in.size) LCM_TRY(refill(ctx, s));
        if (s->in.size == 0 && !s->frame_open) break;
        r = ZSTD_decompressStream(s->z, &out, &s->in);
        if (ZSTD_isError(r))
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': zstd near byte %lld: %s", s->path, (long long)s->consumed,
                     ZSTD_getErrorName(r));
        s->frame_open = r != 0;
        if (s->frame_open && out.pos == 0 && s->in.size == 0)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s': the file ends within a zstd frame", s->path);
    }
    *n = out.pos;
    return LCM_OK;
}

lcm_status lcm_instream_read(lcm_ctx *ctx, size_t *n, lcm_instream *s, void *dst, size_t cap) {
    size_t left;
    *n = 0;
    if (!s->started) LCM_TRY(start(ctx, s));
    if (s->z) return read_zstd(ctx, n, s, dst, cap);
    if (s->in.pos == s->in.size) LCM_TRY(refill(ctx, s));
    left = s->in.size - s->in.pos;
    *n = left < cap ? left : cap;
    memcpy(dst, s->block + s->in.pos, *n);
    s->in.pos += *n;
    return LCM_OK;
}

int64_t lcm_instream_consumed(const lcm_instream *s) { return s->consumed; }

void lcm_instream_close(lcm_instream *s) {
    if (s == NULL) return;
    if (s->fd >= 0 && !s->is_stdin) close(s->fd);
    ZSTD_freeDCtx(s->z);
    free(s->path);
    free(s);
}
