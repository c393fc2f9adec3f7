/* Writes ZIP archives byte by byte, so that one fault at a time can be put in. */
#ifndef ZIP_BUILD_H
#define ZIP_BUILD_H

#include "harness/test.h"

#include <string.h>

#include "base/mem.h"

typedef struct zip_faults {
    int method, flags;          /* of every entry */
    size_t extra_size;          /* added to the sizes that headers state */
    uint32_t crc_xor;
    const char *local_name;     /* instead of the name, in the local headers; of the same length */
    size_t offset_shift;        /* added to the offsets of local headers */
    uint16_t extra_entries;     /* added to the counts at the end */
} zip_faults;

typedef struct zip_build {
    lcm_buf b, central;
    int n;
    zip_faults f;
} zip_build;

static inline uint32_t zip_crc(const void *data, size_t n) {
    const uint8_t *p = data;
    uint32_t c = 0xffffffffu;
    while (n--) {
        c ^= *p++;
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    }
    return ~c;
}

static inline void zip_le(lcm_buf *b, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++, v >>= 8) assert_int_equal(lcm_buf_append(NULL, b, &(char){(char)v}, 1), 0);
}

static inline void zip_text(lcm_buf *b, const void *s, size_t n) { assert_int_equal(lcm_buf_append(NULL, b, s, n), 0); }

/* From the version needed to the length of the extra field: what both headers have. */
static inline void zip_common(lcm_buf *b, const zip_build *z, const char *name, const void *data, size_t len) {
    zip_le(b, 20, 2);
    zip_le(b, (uint64_t)z->f.flags, 2);
    zip_le(b, (uint64_t)z->f.method, 2);
    zip_le(b, 0x00210000, 4); /* 1 January 1980 */
    zip_le(b, zip_crc(data, len) ^ z->f.crc_xor, 4);
    zip_le(b, len + z->f.extra_size, 4);
    zip_le(b, len + z->f.extra_size, 4);
    zip_le(b, strlen(name), 2);
    zip_le(b, 0, 2);
}

static inline void zip_add(zip_build *z, const char *name, const void *data, size_t len) {
    size_t at = z->b.len + z->f.offset_shift;
    const char *local = z->f.local_name ? z->f.local_name : name;
    zip_text(&z->b, "PK\3\4", 4);
    zip_common(&z->b, z, local, data, len);
    zip_text(&z->b, local, strlen(local));
    zip_text(&z->b, data, len);
    zip_text(&z->central, "PK\1\2", 4);
    zip_le(&z->central, 20, 2);
    zip_common(&z->central, z, name, data, len);
    zip_le(&z->central, 0, 2 + 2 + 2 + 4); /* comment, disk, attributes */
    zip_le(&z->central, at, 4);
    zip_text(&z->central, name, strlen(name));
    z->n++;
}

/* Appends the central directory and the end record. */
static inline void zip_end(zip_build *z, const char *comment) {
    size_t at = z->b.len, entries = (size_t)z->n + z->f.extra_entries;
    zip_text(&z->b, z->central.data ? z->central.data : "", z->central.len);
    zip_text(&z->b, "PK\5\6", 4);
    zip_le(&z->b, 0, 4);
    zip_le(&z->b, entries, 2);
    zip_le(&z->b, entries, 2);
    zip_le(&z->b, z->central.len, 4);
    zip_le(&z->b, at, 4);
    zip_le(&z->b, strlen(comment), 2);
    zip_text(&z->b, comment, strlen(comment));
    lcm_buf_free(&z->central);
}

#endif
