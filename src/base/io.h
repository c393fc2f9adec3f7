/* Files: whole-file reads with a cap, read-only maps, writes that are complete or absent. */
#ifndef LCM_IO_H
#define LCM_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

/* Offset of the first byte that is not strict UTF-8 (no overlongs, surrogates, > U+10FFFF);
 * `len` when all are. */
size_t lcm_utf8_valid_prefix(const char *s, size_t len);

/* Reads a regular file, pipe or (path "-") standard input into *out, at most `max` bytes.
 * LCM_ERR_NOTFOUND, LCM_ERR_IO, LCM_ERR_LIMIT. */
lcm_status lcm_read_file(lcm_ctx *ctx, lcm_buf *out, const char *path, size_t max);

/* Read-only private map of a regular file. data is NULL when the file is empty. */
typedef struct lcm_map {
    const uint8_t *data;
    size_t len;
} lcm_map;

lcm_status lcm_map_open(lcm_ctx *ctx, lcm_map *out, const char *path);
void lcm_map_close(lcm_map *m);

/* Atomic replacement: bytes go to "PATH.tmp-PID", fsync, then rename and fsync of the folder.
 * Either the old file or the complete new one exists at any moment. On failure the aside file
 * is removed and the old file is untouched. */
typedef struct lcm_writer lcm_writer;
lcm_status lcm_writer_open(lcm_ctx *ctx, lcm_writer **out, const char *path);
lcm_status lcm_writer_put(lcm_ctx *ctx, lcm_writer *w, const void *data, size_t len);
lcm_status lcm_writer_commit(lcm_ctx *ctx, lcm_writer *w); /* frees w, also on failure */
void lcm_writer_abort(lcm_writer *w);                      /* frees w; NULL is allowed */

lcm_status lcm_write_file(lcm_ctx *ctx, const char *path, const void *data, size_t len); /* atomic */

lcm_status lcm_mkdirs(lcm_ctx *ctx, const char *path); /* like mkdir -p */
bool lcm_is_dir(const char *path);
bool lcm_exists(const char *path);
lcm_status lcm_fsync_dir(lcm_ctx *ctx, const char *path);
/* Removes a folder and what is in it (regular files and folders only; follows no link). */
lcm_status lcm_remove_tree(lcm_ctx *ctx, const char *path);
/* Joins with '/', NUL-terminated into dst; LCM_ERR_LIMIT when it does not fit. */
lcm_status lcm_path_join(lcm_ctx *ctx, char *dst, size_t cap, const char *dir, const char *name);

enum { LCM_PATH_MAX = 4096 };

double lcm_now(void); /* monotonic seconds */

/* FNV-1a 64 of bytes, continuing from `h` (start with LCM_HASH_INIT). Identity, not security. */
#define LCM_HASH_INIT UINT64_C(0xcbf29ce484222325)
uint64_t lcm_hash64(uint64_t h, const void *data, size_t len);

#endif
