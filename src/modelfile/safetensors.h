/* Safetensors: named tensors in one file, readable by stock tools.
 *
 * Layout: 8 bytes little-endian header length N, N bytes of JSON
 *   {"__metadata__": {string: string}, NAME: {"dtype", "shape", "data_offsets": [begin, end]}, …}
 * padded with spaces, then the data, little-endian and row-major, tiled by the ranges without hole
 * or overlap. The reader accepts what the reference crate (huggingface/safetensors) accepts, within
 * the limits below; any other byte sequence is LCM_ERR_FORMAT, and never read out of bounds. */
#ifndef LCM_SAFETENSORS_H
#define LCM_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/io.h"
#include "kernels/real.h"

enum {
    LCM_ST_MAX_HEADER = 100000000, /* bytes; the reference crate's limit */
    LCM_ST_MAX_ENTRY = 1 << 16,    /* bytes of JSON for one tensor */
    LCM_ST_MAX_META = 16 << 20,    /* bytes of JSON for __metadata__ */
    LCM_ST_MAX_NAME = 512,         /* bytes of a tensor name */
    LCM_ST_MAX_RANK = 8
};

typedef enum lcm_dtype {
    LCM_DT_F64 = 0,
    LCM_DT_F32,
    LCM_DT_F16,
    LCM_DT_BF16,
    LCM_DT_I64,
    LCM_DT_I32,
    LCM_DT_I16,
    LCM_DT_I8,
    LCM_DT_U64,
    LCM_DT_U32,
    LCM_DT_U16,
    LCM_DT_U8,
    LCM_DT_BOOL,
    LCM_DT_COUNT
} lcm_dtype;

#ifdef LCM_REAL_F64
#define LCM_DT_REAL LCM_DT_F64
#else
#define LCM_DT_REAL LCM_DT_F32
#endif

size_t lcm_dtype_size(lcm_dtype t);      /* bytes of one element */
const char *lcm_dtype_name(lcm_dtype t); /* as in the file: "F32" */

/* Borrowed from the lcm_st. `data` has the alignment that the file gave it, possibly none: copy
 * elements out (lcm_st_read_real, memcpy) or check lcm_st_aligned before a cast. */
typedef struct lcm_st_tensor {
    const char *name;
    lcm_dtype dtype;
    int ndim; /* 0 is a scalar */
    int64_t dims[LCM_ST_MAX_RANK];
    const void *data;
    size_t nbytes;
} lcm_st_tensor;

typedef struct lcm_st lcm_st;

/* Maps a file. The pages are read when touched, so nobody may shorten the file while it is open:
 * the process would get SIGBUS. Replace files by rename (lcm_st_writer_commit does).
 * LCM_ERR_NOTFOUND, LCM_ERR_IO, LCM_ERR_FORMAT, LCM_ERR_NOMEM; *out is NULL then. */
lcm_status lcm_st_open(lcm_ctx *ctx, lcm_st **out, const char *path);

/* The same over `len` bytes that outlive the result. */
lcm_status lcm_st_parse(lcm_ctx *ctx, lcm_st **out, const void *bytes, size_t len);
void lcm_st_close(lcm_st *st); /* NULL is allowed */

/* Tensors in the order of their data. */
size_t lcm_st_count(const lcm_st *st);
const lcm_st_tensor *lcm_st_at(const lcm_st *st, size_t i);
const lcm_st_tensor *lcm_st_find(const lcm_st *st, const char *name); /* NULL when absent; O(log n) */

/* The tensor `name`, which must have exactly this shape (dims NULL: any).
 * LCM_ERR_NOTFOUND, LCM_ERR_SHAPE naming both shapes. */
lcm_status lcm_st_require(lcm_ctx *ctx, const lcm_st_tensor **out, const lcm_st *st, const char *name,
                          const int64_t *dims, int ndim);

/* __metadata__: the value of a key (NULL when absent), and the i-th key (NULL past the end). */
const char *lcm_st_meta(const lcm_st *st, const char *key);
const char *lcm_st_meta_key(const lcm_st *st, size_t i);

int64_t lcm_st_elements(const lcm_st_tensor *t); /* product of dims */
bool lcm_st_aligned(const lcm_st_tensor *t);     /* data is aligned to its element size */

/* Copies all `count` elements. _real takes F64, F32, F16, BF16; _i64 takes the integers (not U64)
 * and BOOL. LCM_ERR_SHAPE when the tensor has another number of elements, LCM_ERR_FORMAT for
 * another dtype. */
lcm_status lcm_st_read_real(lcm_ctx *ctx, real *dst, const lcm_st_tensor *t, int64_t count);
lcm_status lcm_st_read_i64(lcm_ctx *ctx, int64_t *dst, const lcm_st_tensor *t, int64_t count);

/* Writer: collect borrowed tensors, then commit any number of times. The bytes depend on the
 * content only, not on the order of the calls: tensors sorted by element size (largest first, so
 * each is aligned to its own), then by name; data starts at a multiple of 64. */
typedef struct lcm_st_writer lcm_st_writer;

lcm_status lcm_st_writer_new(lcm_ctx *ctx, lcm_st_writer **out);
void lcm_st_writer_free(lcm_st_writer *w); /* NULL is allowed */

/* Copies key and value (UTF-8); a key set again is replaced. LCM_ERR_UTF8. */
lcm_status lcm_st_writer_meta(lcm_ctx *ctx, lcm_st_writer *w, const char *key, const char *value);

/* `data` holds elements of `dtype`, borrowed until the last commit; dims are ≥ 0.
 * LCM_ERR_ARG for a name given twice, too long, or not UTF-8; LCM_ERR_LIMIT when sizes overflow. */
lcm_status lcm_st_writer_add(lcm_ctx *ctx, lcm_st_writer *w, const char *name, lcm_dtype dtype, const int64_t *dims,
                             int ndim, const void *data);

/* `data` holds reals and is converted to `dtype` (F64, F32, F16, BF16) while it is written. */
lcm_status lcm_st_writer_add_real(lcm_ctx *ctx, lcm_st_writer *w, const char *name, lcm_dtype dtype,
                                  const int64_t *dims, int ndim, const real *data);

/* The values come piece by piece: `fill` writes elements first … first + n - 1 of the tensor to dst. Each commit asks
 * for all of them in order; a failure ends it and is returned. */
typedef lcm_status (*lcm_st_fill)(lcm_ctx *ctx, void *user, real *dst, int64_t first, int64_t n);
lcm_status lcm_st_writer_add_stream(lcm_ctx *ctx, lcm_st_writer *w, const char *name, lcm_dtype dtype,
                                    const int64_t *dims, int ndim, lcm_st_fill fill, void *user);

/* Atomic (lcm_writer): the old file or the complete new one. */
lcm_status lcm_st_writer_commit(lcm_ctx *ctx, lcm_st_writer *w, const char *path);

/* Appends the file's bytes to *out. */
lcm_status lcm_st_writer_commit_buf(lcm_ctx *ctx, lcm_st_writer *w, lcm_buf *out);

/* Hands the file's bytes to `sink` piece by piece; its first failure stops and is returned. */
typedef lcm_status (*lcm_st_sink)(lcm_ctx *ctx, void *user, const void *data, size_t len);
lcm_status lcm_st_writer_emit(lcm_ctx *ctx, lcm_st_writer *w, lcm_st_sink sink, void *user);

#endif
