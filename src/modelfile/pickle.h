/* Pickles as PyTorch's checkpoints hold them, read as data.
 *
 * A stack machine over a white list: the opcodes that torch.save emits for dictionaries, strings, numbers and tensors,
 * and the globals of pickle.c's table (four functions, the storage types, OrderedDict, Size). Whatever else the stream
 * asks for is refused by name; nothing is imported, called or executed. REDUCE of a tensor function gives a
 * description of the tensor, checked against the size of its storage; BUILD drops its argument.
 *
 * Memory: at most LCM_PICKLE_BYTES_PER_BYTE bytes of heap for a byte of pickle, and 64 KiB. Time is linear. Neither
 * reading nor freeing recurses, so a pickle may nest or contain itself as it likes. */
#ifndef LCM_PICKLE_H
#define LCM_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modelfile/safetensors.h"

enum {
    LCM_PICKLE_MAX_BYTES = 16 << 20, /* of one pickle; a tensor takes about 100 */
    LCM_PICKLE_BYTES_PER_BYTE = 128,
    LCM_PICKLE_MAX_KEY = 64 /* bytes of a storage's name */
};

typedef enum lcm_pickle_kind {
    LCM_PICKLE_NONE = 0,
    LCM_PICKLE_BOOL,
    LCM_PICKLE_INT,
    LCM_PICKLE_LONG, /* more than 64 bits; its value is not kept */
    LCM_PICKLE_REAL,
    LCM_PICKLE_STRING,
    LCM_PICKLE_TUPLE,
    LCM_PICKLE_LIST,
    LCM_PICKLE_DICT,
    LCM_PICKLE_GLOBAL, /* a name of the white list */
    LCM_PICKLE_STORAGE,
    LCM_PICKLE_TENSOR
} lcm_pickle_kind;

typedef struct lcm_pickle_value lcm_pickle_value;

/* Elements of one type under a name: bytes somewhere else in the file. */
typedef struct lcm_pickle_storage {
    lcm_dtype dtype;
    const char *key; /* LCM_PICKLE_MAX_KEY letters, digits, '_' and '-' at most; not NUL-terminated */
    size_t key_len;
    int64_t numel;
} lcm_pickle_storage;

/* A view of a storage. Every element lies within it, no two share a place. */
typedef struct lcm_pickle_tensor {
    const lcm_pickle_storage *storage;
    int64_t offset; /* of the first element, in elements */
    int ndim;
    int64_t dims[LCM_ST_MAX_RANK], strides[LCM_ST_MAX_RANK];
} lcm_pickle_tensor;

struct lcm_pickle_value {
    uint8_t kind;   /* lcm_pickle_kind */
    uint8_t global; /* row of the white list */
    uint32_t n;     /* elements of a sequence, pairs of a dictionary */
    uint32_t cap;
    union {
        int64_t i; /* BOOL and INT */
        double r;
        struct {
            const char *s; /* in the pickle's bytes; UTF-8 without NUL, not NUL-terminated */
            size_t len;
        } str;
        const lcm_pickle_value **items; /* a dictionary's: key, value, key, value … */
        const lcm_pickle_storage *storage;
        const lcm_pickle_tensor *tensor;
    } u;
};

/* What one or more pickles of a file made. The bytes they were read from must outlive it. */
typedef struct lcm_pickle lcm_pickle;

lcm_status lcm_pickle_new(lcm_ctx *ctx, lcm_pickle **out);
void lcm_pickle_free(lcm_pickle *p); /* NULL is allowed */

/* Reads one pickle at the beginning of `bytes`; *used becomes its length. *root is borrowed from p.
 * LCM_ERR_FORMAT, LCM_ERR_LIMIT; LCM_ERR_UNSUPPORTED for an opcode, a global or a use of one that is not on the list. */
lcm_status lcm_pickle_read(lcm_ctx *ctx, lcm_pickle *p, const lcm_pickle_value **root, size_t *used,
                           const uint8_t *bytes, size_t len);

/* The storages that the pickles named, in order, repetitions included. */
size_t lcm_pickle_storages(const lcm_pickle *p);
const lcm_pickle_storage *lcm_pickle_storage_at(const lcm_pickle *p, size_t i);

/* The value of a string key: the last one set, as in Python. NULL when absent, or not a dictionary. */
const lcm_pickle_value *lcm_pickle_get(const lcm_pickle_value *dict, const char *key);
bool lcm_pickle_is_string(const lcm_pickle_value *v, const char *text);

size_t lcm_pickle_memory(const lcm_pickle *p); /* most heap used at once so far, in bytes */

#endif
