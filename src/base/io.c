/* Files. Everything that can fail says which path and why. */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

size_t lcm_utf8_valid_prefix(const char *str, size_t len) {
    const uint8_t *s = (const uint8_t *)str;
    size_t i = 0;
    while (i < len) {
        uint8_t c = s[i];
        size_t n;
        uint32_t cp, min;
        if (c < 0x80) {
            i++;
            continue;
        }
        if (c >= 0xC2 && c <= 0xDF) n = 1, cp = c & 0x1Fu, min = 0x80;
        else if (c >= 0xE0 && c <= 0xEF) n = 2, cp = c & 0x0Fu, min = 0x800;
        else if (c >= 0xF0 && c <= 0xF4) n = 3, cp = c & 0x07u, min = 0x10000;
        else return i;
        if (len - i <= n) return i;
        for (size_t k = 1; k <= n; k++) {
            if ((s[i + k] & 0xC0) != 0x80) return i;
            cp = cp << 6 | (s[i + k] & 0x3Fu);
        }
        if (cp < min || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) return i;
        i += n + 1;
    }
    return len;
}

static lcm_status fail_errno(lcm_ctx *ctx, const char *what, const char *path) {
    int e = errno;
    return lcm_fail(ctx, e == ENOENT ? LCM_ERR_NOTFOUND : LCM_ERR_IO, "%s '%s': %s", what, path, strerror(e));
}

lcm_status lcm_read_file(lcm_ctx *ctx, lcm_buf *out, const char *path, size_t max) {
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    lcm_status st = LCM_OK;
    if (fd < 0) return fail_errno(ctx, "cannot open", path);
    for (;;) {
        ssize_t n;
        st = lcm_grow(ctx, &out->data, &out->cap, out->len + (1 << 16), 1);
        if (st) break;
        n = read(fd, out->data + out->len, out->cap - out->len - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            st = fail_errno(ctx, "cannot read", path);
            break;
        }
        out->len += (size_t)n;
        out->data[out->len] = '\0';
        if (out->len > max) {
            st = lcm_fail(ctx, LCM_ERR_LIMIT, "'%s' is larger than the limit of %zu bytes", path, max);
            break;
        }
        if (n == 0) break;
    }
    if (!is_stdin) close(fd);
    return st;
}

lcm_status lcm_map_open(lcm_ctx *ctx, lcm_map *out, const char *path) {
    struct stat sb;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block here */
    memset(out, 0, sizeof *out);
    if (fd < 0) return fail_errno(ctx, "cannot open", path);
    if (fstat(fd, &sb) != 0) {
        lcm_status st = fail_errno(ctx, "cannot stat", path);
        close(fd);
        return st;
    }
    if (!S_ISREG(sb.st_mode)) {
        close(fd);
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' is not a regular file", path);
    }
    if (sb.st_size > 0) {
        void *p = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            lcm_status st = fail_errno(ctx, "cannot map", path);
            close(fd);
            return st;
        }
        out->data = p;
        out->len = (size_t)sb.st_size;
    }
    close(fd);
    return LCM_OK;
}

void lcm_map_close(lcm_map *m) {
    if (m->data) munmap((void *)(uintptr_t)m->data, m->len);
    memset(m, 0, sizeof *m);
}

struct lcm_writer {
    int fd;
    char *path, *tmp;
};

lcm_status lcm_writer_open(lcm_ctx *ctx, lcm_writer **out, const char *path) {
    lcm_writer *w;
    size_t n = strlen(path) + 32;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &w, 1, sizeof *w));
    w->fd = -1;
    w->path = lcm_strdup(path);
    w->tmp = malloc(n);
    if (w->path == NULL || w->tmp == NULL) {
        lcm_writer_abort(w);
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: path of %zu bytes", n);
    }
    snprintf(w->tmp, n, "%s.tmp-%ld", path, (long)getpid());
    w->fd = open(w->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        lcm_status st = fail_errno(ctx, "cannot create", w->tmp);
        lcm_writer_abort(w);
        return st == LCM_ERR_NOTFOUND ? LCM_ERR_IO : st;
    }
    *out = w;
    return LCM_OK;
}

lcm_status lcm_writer_put(lcm_ctx *ctx, lcm_writer *w, const void *data, size_t len) {
    const char *p = data;
    while (len) {
        ssize_t n = write(w->fd, p, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(ctx, "cannot write", w->tmp);
        p += n;
        len -= (size_t)n;
    }
    return LCM_OK;
}

static lcm_status fsync_parent(lcm_ctx *ctx, const char *path) {
    const char *slash = strrchr(path, '/');
    char dir[LCM_PATH_MAX];
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof dir) LCM_FAIL(ctx, LCM_ERR_LIMIT, "path of %zu bytes is longer than %d", n, LCM_PATH_MAX);
    if (slash == NULL) memcpy(dir, ".", 2);
    else if (n == 0) memcpy(dir, ".", 2);
    else {
        memcpy(dir, path, n);
        dir[n] = '\0';
    }
    return lcm_fsync_dir(ctx, dir);
}

lcm_status lcm_writer_commit(lcm_ctx *ctx, lcm_writer *w) {
    lcm_status st = LCM_OK;
    int fd = w->fd;
    if (fsync(fd) != 0) st = fail_errno(ctx, "cannot flush", w->tmp);
    w->fd = -1;
    if (close(fd) != 0 && st == LCM_OK) st = fail_errno(ctx, "cannot close", w->tmp);
    if (st == LCM_OK && rename(w->tmp, w->path) != 0) st = fail_errno(ctx, "cannot rename to", w->path);
    if (st == LCM_OK) {
        free(w->tmp);
        w->tmp = NULL;
        st = fsync_parent(ctx, w->path);
    }
    lcm_writer_abort(w);
    return st;
}

void lcm_writer_abort(lcm_writer *w) {
    if (w == NULL) return;
    if (w->fd >= 0) close(w->fd);
    if (w->tmp) unlink(w->tmp);
    free(w->tmp);
    free(w->path);
    free(w);
}

lcm_status lcm_write_file(lcm_ctx *ctx, const char *path, const void *data, size_t len) {
    lcm_writer *w;
    lcm_status st;
    LCM_TRY(lcm_writer_open(ctx, &w, path));
    st = lcm_writer_put(ctx, w, data, len);
    if (st) {
        lcm_writer_abort(w);
        return st;
    }
    return lcm_writer_commit(ctx, w);
}

lcm_status lcm_mkdirs(lcm_ctx *ctx, const char *path) {
    char p[LCM_PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof p) LCM_FAIL(ctx, LCM_ERR_LIMIT, "path of %zu bytes is longer than %d", n, LCM_PATH_MAX);
    memcpy(p, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        char c = p[i];
        if (c != '/' && c != '\0') continue;
        p[i] = '\0';
        if (mkdir(p, 0777) != 0 && errno != EEXIST) return fail_errno(ctx, "cannot create folder", p);
        p[i] = c;
    }
    if (!lcm_is_dir(path)) LCM_FAIL(ctx, LCM_ERR_IO, "'%s' exists and is not a folder", path);
    return LCM_OK;
}

bool lcm_is_dir(const char *path) {
    struct stat sb;
    return stat(path, &sb) == 0 && S_ISDIR(sb.st_mode);
}

bool lcm_exists(const char *path) {
    struct stat sb;
    return stat(path, &sb) == 0;
}

lcm_status lcm_fsync_dir(lcm_ctx *ctx, const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), bad;
    if (fd < 0) return fail_errno(ctx, "cannot open folder", path);
    bad = fsync(fd) != 0 && errno != EINVAL; /* some file systems cannot flush a folder */
    if (bad) {
        lcm_status st = fail_errno(ctx, "cannot flush folder", path);
        close(fd);
        return st;
    }
    close(fd);
    return LCM_OK;
}

lcm_status lcm_remove_tree(lcm_ctx *ctx, const char *path) {
    struct stat sb;
    lcm_status st = LCM_OK;
    if (lstat(path, &sb) != 0) return errno == ENOENT ? LCM_OK : fail_errno(ctx, "cannot stat", path);
    if (S_ISDIR(sb.st_mode)) {
        DIR *d = opendir(path);
        struct dirent *e;
        if (d == NULL) return fail_errno(ctx, "cannot open folder", path);
        while (st == LCM_OK && (e = readdir(d)) != NULL) {
            char sub[LCM_PATH_MAX];
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
            st = lcm_path_join(ctx, sub, sizeof sub, path, e->d_name);
            if (st == LCM_OK) st = lcm_remove_tree(ctx, sub);
        }
        closedir(d);
        if (st) return st;
        if (rmdir(path) != 0) return fail_errno(ctx, "cannot remove folder", path);
        return LCM_OK;
    }
    if (unlink(path) != 0) return fail_errno(ctx, "cannot remove", path);
    return LCM_OK;
}

lcm_status lcm_path_join(lcm_ctx *ctx, char *dst, size_t cap, const char *dir, const char *name) {
    int n = snprintf(dst, cap, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= cap) LCM_FAIL(ctx, LCM_ERR_LIMIT, "path '%s/…' is longer than %zu bytes", dir, cap - 1);
    return LCM_OK;
}

double lcm_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

uint64_t lcm_hash64(uint64_t h, const void *data, size_t len) {
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}
