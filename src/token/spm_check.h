/* Gate for untrusted SentencePiece models, in front of the C++ library.
 *
 * libsentencepiece 0.1.97 trusts the file: it follows the trie of the character map without
 * bounds, keeps at most 32 (map) or 64 (user symbols) matches in fixed arrays but reads as many
 * as the file makes, and recurses once per byte of a piece. Whatever this gate lets through
 * cannot reach those. It walks the protobuf itself and allocates in proportion to the file. */
#ifndef LCM_SPM_CHECK_H
#define LCM_SPM_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ctx_int.h"

enum {
    LCM_SPM_MAX_BYTES = 64 << 20,
    LCM_SPM_MAX_PIECES = 1 << 20,
    LCM_SPM_MAX_PIECE_BYTES = 4096,
    LCM_SPM_MAX_SURFACE_BYTES = 256,     /* what <unk> decodes to */
    LCM_SPM_MAX_SELF_TEST_BYTES = 1 << 20, /* sentences that the library encodes while loading */
    LCM_SPM_MAX_NESTED_SYMBOLS = 64,     /* user-defined pieces that start one another */
    LCM_SPM_MAX_MAP_BYTES = 4 << 20,
    LCM_SPM_MAX_MAP_KEY_BYTES = 256,
    LCM_SPM_MAX_MAP_NESTED_KEYS = 32,    /* keys that start one another */
    LCM_SPM_MAX_MAP_VALUE_BYTES = 64     /* one replacement; NFKC needs 33 */
};

typedef enum lcm_spm_type {
    LCM_SPM_NORMAL = 1,
    LCM_SPM_UNKNOWN,
    LCM_SPM_CONTROL,
    LCM_SPM_USER_DEFINED,
    LCM_SPM_UNUSED,
    LCM_SPM_BYTE
} lcm_spm_type;

typedef struct lcm_spm_info {
    int32_t n_pieces;
    bool byte_fallback, add_dummy_prefix, remove_extra_whitespaces;
} lcm_spm_info;

/* LCM_OK when the model is well-formed, within the limits above, unigram or BPE, and lays out
 * <unk>, <s>, </s> as raw ids 0, 1, 2. Else LCM_ERR_FORMAT, LCM_ERR_LIMIT (a limit above),
 * LCM_ERR_UNSUPPORTED (another model type or layout) or LCM_ERR_NOMEM; *info is then untouched. */
lcm_status lcm_spm_check(lcm_ctx *ctx, lcm_spm_info *info, const void *model, size_t len);

/* The part that looks at one precompiled character map: u32 trie bytes, Darts double array of u32
 * units, NUL-terminated replacements. Empty is valid. */
lcm_status lcm_charsmap_check(lcm_ctx *ctx, const uint8_t *map, size_t len);

#endif
