/* Byte stream of a file, pipe or standard input, plain or zstd: the caller cannot tell.
 *
 * zstd is recognised by its magic number, which is never valid UTF-8 text, or by a `.zst` name.
 * Memory is one block each way plus the frame's window, at most 128 MiB; a frame that needs more
 * (`zstd --long` above 27) is refused. Concatenated and skippable frames are followed. */
#ifndef LCM_DATA_ZSTD_STREAM_H
#define LCM_DATA_ZSTD_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/ctx_int.h"

typedef struct lcm_instream lcm_instream;

/* Opens `path`, or standard input for "-". Folders and devices are refused.
 * LCM_ERR_NOTFOUND, LCM_ERR_IO. */
lcm_status lcm_instream_open(lcm_ctx *ctx, lcm_instream **out, const char *path);

/* Reads 1 … cap bytes; *n = 0 means the end. LCM_ERR_IO; LCM_ERR_FORMAT for a damaged or cut
 * zstd frame. After a failure the stream can only be closed. */
lcm_status lcm_instream_read(lcm_ctx *ctx, size_t *n, lcm_instream *s, void *dst, size_t cap);

/* Bytes taken from the file so far, before decompression. */
int64_t lcm_instream_consumed(const lcm_instream *s);

void lcm_instream_close(lcm_instream *s); /* NULL is allowed */

#endif
