/* Builds SentencePiece models and character maps byte by byte, so that one fault at a time can be put in. */
#ifndef SPM_BUILD_H
#define SPM_BUILD_H

#include "harness/test.h"

#include <stdlib.h>
#include <string.h>

#include "token/spm_check.h"
#include "token/tokenizer.h"

/* ------------------------------------------------------------------ writing protobuf */

static inline void put(lcm_buf *b, const void *data, size_t len) { assert_int_equal(lcm_buf_append(NULL, b, data, len), 0); }

static inline void put_varint(lcm_buf *b, uint64_t v) {
    for (; v >= 128; v >>= 7) put(b, &(char){(char)(v | 128)}, 1);
    put(b, &(char){(char)v}, 1);
}

static inline void put_int(lcm_buf *b, int field, uint64_t v) {
    put_varint(b, (uint64_t)field << 3);
    put_varint(b, v);
}

static inline void put_float(lcm_buf *b, int field, float v) {
    put_varint(b, (uint64_t)field << 3 | 5);
    put(b, &v, 4);
}

static inline void put_bytes(lcm_buf *b, int field, const void *data, size_t len) {
    put_varint(b, (uint64_t)field << 3 | 2);
    put_varint(b, len);
    put(b, data, len);
}

static inline void put_message(lcm_buf *b, int field, lcm_buf *message) {
    put_bytes(b, field, message->data, message->len);
    lcm_buf_free(message);
}

static inline void put_piece_n(lcm_buf *b, const char *text, size_t len, float score, int type) {
    lcm_buf p = {0};
    put_bytes(&p, 1, text, len);
    put_float(&p, 2, score);
    if (type != LCM_SPM_NORMAL) put_int(&p, 3, (uint64_t)type);
    put_message(b, 1, &p);
}

static inline void put_piece(lcm_buf *b, const char *text, int type) {
    put_piece_n(b, text, strlen(text), type == LCM_SPM_NORMAL ? -1.5f : 0.0f, type);
}

/* ------------------------------------------------------------------ a good model in parts */

static inline void put_head(lcm_buf *b) {
    put_piece(b, "<unk>", LCM_SPM_UNKNOWN);
    put_piece(b, "<s>", LCM_SPM_CONTROL);
    put_piece(b, "</s>", LCM_SPM_CONTROL);
}

static inline void put_body(lcm_buf *b) {
    static const char *const texts[] = {"\xe2\x96\x81", "a", "b", "ab", ("\xe2\x96\x81" "a")};
    for (int i = 0; i < 5; i++) put_piece(b, texts[i], LCM_SPM_NORMAL);
}

static inline void put_good(lcm_buf *b) {
    put_head(b);
    put_body(b);
}

static inline void put_trainer_int(lcm_buf *b, int field, uint64_t v) {
    lcm_buf t = {0};
    put_int(&t, field, v);
    put_message(b, 2, &t);
}

/* ------------------------------------------------------------------ character maps */

enum { BLOCK = 256, MAX_BASES = 300 };

/* Base k is unit 256 (k + 1). Untouched units have the top bit set and match no byte. */
typedef struct map {
    uint32_t units[BLOCK * (MAX_BASES + 1)];
    uint32_t n;
    lcm_buf values;
} map;

static inline map *new_map(int n_bases) {
    map *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->n = (uint32_t)(BLOCK * (n_bases + 1));
    for (uint32_t i = 0; i < m->n; i++) m->units[i] = 0x80000000u;
    m->units[0] = (uint32_t)BLOCK << 10; /* the root leads to base 0 */
    put(&m->values, "bb", 3);
    return m;
}

static inline uint32_t base(int k) { return (uint32_t)(BLOCK * (k + 1)); }

static inline void edge(map *m, int from, uint8_t c, int to, bool is_key) {
    uint32_t at = base(from) ^ c;
    m->units[at] = (at ^ base(to)) << 10 | (uint32_t)is_key << 8 | c;
    if (is_key) m->units[base(to)] = 0x80000000u; /* value 0: the first replacement */
}

static inline lcm_buf map_bytes(map *m) {
    lcm_buf b = {0};
    uint32_t trie_bytes = m->n * 4;
    put(&b, &trie_bytes, 4);
    put(&b, m->units, trie_bytes);
    put(&b, m->values.data, m->values.len);
    lcm_buf_free(&m->values);
    free(m);
    return b;
}

static inline void put_map(lcm_buf *b, map *m) {
    lcm_buf spec = {0}, bytes = map_bytes(m);
    put_message(&spec, 2, &bytes);
    put_message(b, 3, &spec);
}

/* A chain of `n` bytes 'a'; a key ends after each of the first `n_keys`. */
static inline map *chain_map(int n, int n_keys) {
    map *m = new_map(n + 1);
    for (int k = 0; k < n; k++) edge(m, k, 'a', k + 1, k < n_keys);
    return m;
}

static inline lcm_tokenizer *load_model(lcm_ctx *ctx, lcm_buf *b) { /* frees b */
    lcm_tokenizer *tok;
    if (lcm_tokenizer_load(ctx, &tok, b->data, b->len, NULL, 0, 0) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));
    lcm_buf_free(b);
    return tok;
}

/* What a fault builder must lead to. */
typedef struct hostile {
    const char *name;
    void (*build)(lcm_buf *b);
    lcm_status code;
    const char *says;
} hostile;

#define HOSTILE(name, code, says) {#name, name, code, says}

/* Each builder's model is refused with its status and one line that contains `says`. */
static inline void assert_refused(const hostile *cases, size_t n) {
    lcm_ctx *ctx = lcm_ctx_new();
    for (size_t i = 0; i < n; i++) {
        const hostile *h = &cases[i];
        lcm_buf b = {0};
        lcm_tokenizer *tok;
        lcm_status st;
        h->build(&b);
        st = lcm_tokenizer_load(ctx, &tok, b.data, b.len, NULL, 0, 0);
        if (st != h->code || strstr(lcm_ctx_message(ctx), h->says) == NULL || strchr(lcm_ctx_message(ctx), '\n'))
            fail_msg("%s: %s, '%s'", h->name, lcm_status_name(st), st ? lcm_ctx_message(ctx) : "");
        assert_null(tok);
        lcm_buf_free(&b);
    }
    lcm_ctx_free(ctx);
}

#endif
