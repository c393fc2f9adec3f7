/* Protobuf walk over an untrusted SentencePiece model; see spm_check.h for what it keeps out. */
#include "token/spm_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"

/* A run of bytes that is read from the front. */
typedef struct span {
    const uint8_t *p;
    size_t len;
} span;

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

typedef struct field {
    uint32_t number;
    int wire;
    uint64_t value; /* varint and fixed */
    span bytes;            /* WIRE_BYTES */
} field;

typedef struct piece {
    const char *text;
    uint32_t len;
    uint8_t type;
} piece;

typedef struct model {
    piece *pieces;
    size_t n_pieces, cap;
    uint64_t model_type;
    lcm_spm_info info;
    bool has_trainer, has_normalizer, has_denormalizer, has_self_test;
} model;

static lcm_status read_varint(lcm_ctx *ctx, uint64_t *out, span *in) {
    uint64_t v = 0;
    for (int i = 0; i < 10 && (size_t)i < in->len; i++) {
        uint8_t b = in->p[i];
        if (i == 9 && b > 1) break;
        v |= (uint64_t)(b & 0x7f) << (7 * i);
        if (b < 0x80) {
            *out = v;
            in->p += i + 1;
            in->len -= (size_t)i + 1;
            return LCM_OK;
        }
    }
    LCM_FAIL(ctx, LCM_ERR_FORMAT, "tokenizer model: a broken number or the file is cut");
}

static lcm_status read_fixed(lcm_ctx *ctx, uint64_t *out, span *in, size_t n) {
    *out = 0;
    if (in->len < n) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tokenizer model: the file is cut");
    for (size_t i = 0; i < n; i++) *out |= (uint64_t)in->p[i] << (8 * i);
    in->p += n;
    in->len -= n;
    return LCM_OK;
}

/* Groups (wire types 3 and 4) are refused: SentencePiece never wrote them. */
static lcm_status read_field(lcm_ctx *ctx, field *f, span *in) {
    uint64_t tag = 0, n = 0;
    *f = (field){0};
    LCM_TRY(read_varint(ctx, &tag, in));
    if (tag >> 3 == 0 || tag >> 32 != 0)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "tokenizer model: field number %llu", (unsigned long long)(tag >> 3));
    f->number = (uint32_t)(tag >> 3);
    f->wire = (int)(tag & 7);
    switch (f->wire) {
    case WIRE_VARINT: return read_varint(ctx, &f->value, in);
    case WIRE_FIXED64: return read_fixed(ctx, &f->value, in, 8);
    case WIRE_FIXED32: return read_fixed(ctx, &f->value, in, 4);
    case WIRE_BYTES:
        LCM_TRY(read_varint(ctx, &n, in));
        if (n > in->len)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "tokenizer model: field %u of %llu bytes, %zu are left", f->number,
                     (unsigned long long)n, in->len);
        f->bytes = (span){in->p, (size_t)n};
        in->p += n;
        in->len -= (size_t)n;
        return LCM_OK;
    default: LCM_FAIL(ctx, LCM_ERR_FORMAT, "tokenizer model: field %u has wire type %d", f->number, f->wire);
    }
}

/* The library ignores a known field of a wrong wire type; here it is an error, so that both read alike. */
static lcm_status want(lcm_ctx *ctx, const field *f, int wire, const char *what) {
    if (f->wire != wire) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tokenizer model: %s has wire type %d", what, f->wire);
    return LCM_OK;
}

static lcm_status once(lcm_ctx *ctx, bool *seen, const char *what) {
    if (*seen) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tokenizer model: %s appears twice", what);
    *seen = true;
    return LCM_OK;
}

static lcm_status check_piece_text(lcm_ctx *ctx, size_t i, span s) {
    if (s.len == 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "piece %zu is empty", i);
    if (s.len > LCM_SPM_MAX_PIECE_BYTES)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "piece %zu: %zu bytes, the limit is %d", i, s.len, LCM_SPM_MAX_PIECE_BYTES);
    if (memchr(s.p, 0, s.len)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "piece %zu contains a NUL", i);
    if (lcm_utf8_valid_prefix((const char *)s.p, s.len) < s.len)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "piece %zu is not valid UTF-8", i);
    return LCM_OK;
}

static lcm_status check_score(lcm_ctx *ctx, size_t i, uint32_t bits) {
    float score;
    memcpy(&score, &bits, sizeof score);
    if (!isfinite(score)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "piece %zu: the score is not finite", i);
    return LCM_OK;
}

static lcm_status read_piece(lcm_ctx *ctx, model *m, span in) {
    size_t i = m->n_pieces;
    bool has_text = false, has_score = false, has_type = false;
    piece out = {.type = LCM_SPM_NORMAL};
    field f;
    if (i == LCM_SPM_MAX_PIECES)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "tokenizer model: more than %d pieces", LCM_SPM_MAX_PIECES);
    while (in.len) {
        LCM_TRY(read_field(ctx, &f, &in));
        if (f.number == 1) {
            LCM_TRY(want(ctx, &f, WIRE_BYTES, "a piece's text"));
            LCM_TRY(once(ctx, &has_text, "a piece's text"));
            LCM_TRY(check_piece_text(ctx, i, f.bytes));
            out.text = (const char *)f.bytes.p;
            out.len = (uint32_t)f.bytes.len;
        } else if (f.number == 2) {
            LCM_TRY(want(ctx, &f, WIRE_FIXED32, "a piece's score"));
            LCM_TRY(once(ctx, &has_score, "a piece's score"));
            LCM_TRY(check_score(ctx, i, (uint32_t)f.value));
        } else if (f.number == 3) {
            LCM_TRY(want(ctx, &f, WIRE_VARINT, "a piece's type"));
            LCM_TRY(once(ctx, &has_type, "a piece's type"));
            if (f.value < LCM_SPM_NORMAL || f.value > LCM_SPM_BYTE)
                LCM_FAIL(ctx, LCM_ERR_FORMAT, "piece %zu: type %llu", i, (unsigned long long)f.value);
            out.type = (uint8_t)f.value;
        }
    }
    if (!has_text) LCM_FAIL(ctx, LCM_ERR_FORMAT, "piece %zu is empty", i);
    LCM_TRY(lcm_grow(ctx, &m->pieces, &m->cap, i + 1, sizeof *m->pieces));
    m->pieces[m->n_pieces++] = out;
    return LCM_OK;
}

static lcm_status check_surface(lcm_ctx *ctx, span s) {
    if (s.len > LCM_SPM_MAX_SURFACE_BYTES)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "tokenizer model: surface of <unk> of %zu bytes, the limit is %d", s.len,
                 LCM_SPM_MAX_SURFACE_BYTES);
    if (lcm_utf8_valid_prefix((const char *)s.p, s.len) < s.len)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "tokenizer model: surface of <unk> is not valid UTF-8");
    return LCM_OK;
}

static lcm_status read_trainer(lcm_ctx *ctx, model *m, span in) {
    bool has_type = false;
    field f;
    while (in.len) {
        LCM_TRY(read_field(ctx, &f, &in));
        switch (f.number) {
        case 3:
            LCM_TRY(want(ctx, &f, WIRE_VARINT, "model_type"));
            LCM_TRY(once(ctx, &has_type, "model_type"));
            m->model_type = f.value;
            break;
        case 35:
            LCM_TRY(want(ctx, &f, WIRE_VARINT, "byte_fallback"));
            m->info.byte_fallback = f.value != 0;
            break;
        case 44:
            LCM_TRY(want(ctx, &f, WIRE_BYTES, "unk_surface"));
            LCM_TRY(check_surface(ctx, f.bytes));
            break;
        default: break;
        }
    }
    return LCM_OK;
}

/* normalizer_spec and denormalizer_spec; `info` NULL for the latter. */
static lcm_status read_normalizer(lcm_ctx *ctx, lcm_spm_info *info, span in) {
    bool has_map = false;
    field f;
    while (in.len) {
        LCM_TRY(read_field(ctx, &f, &in));
        if (f.number == 2) {
            LCM_TRY(want(ctx, &f, WIRE_BYTES, "precompiled_charsmap"));
            LCM_TRY(once(ctx, &has_map, "precompiled_charsmap"));
            LCM_TRY(lcm_charsmap_check(ctx, f.bytes.p, f.bytes.len));
        } else if (f.number >= 3 && f.number <= 5) {
            LCM_TRY(want(ctx, &f, WIRE_VARINT, "a normalizer option"));
            if (info && f.number == 3) info->add_dummy_prefix = f.value != 0;
            if (info && f.number == 4) info->remove_extra_whitespaces = f.value != 0;
        }
    }
    return LCM_OK;
}

static lcm_status read_section(lcm_ctx *ctx, model *m, const field *f) {
    if (f->number > 5) return LCM_OK; /* unknown: skipped, as the library does */
    LCM_TRY(want(ctx, f, WIRE_BYTES, "a section"));
    switch (f->number) {
    case 1: return read_piece(ctx, m, f->bytes);
    case 2:
        LCM_TRY(once(ctx, &m->has_trainer, "trainer_spec"));
        return read_trainer(ctx, m, f->bytes);
    case 3:
        LCM_TRY(once(ctx, &m->has_normalizer, "normalizer_spec"));
        return read_normalizer(ctx, &m->info, f->bytes);
    case 4:
        LCM_TRY(once(ctx, &m->has_self_test, "self_test_data"));
        if (f->bytes.len > LCM_SPM_MAX_SELF_TEST_BYTES)
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "tokenizer model: self_test_data of %zu bytes, the limit is %d",
                     f->bytes.len, LCM_SPM_MAX_SELF_TEST_BYTES);
        return LCM_OK;
    default:
        LCM_TRY(once(ctx, &m->has_denormalizer, "denormalizer_spec"));
        return read_normalizer(ctx, NULL, f->bytes);
    }
}

static bool is_one_char(const piece *p) {
    uint32_t n = 1;
    while (n < p->len && ((uint8_t)p->text[n] & 0xc0) == 0x80) n++;
    return n == p->len;
}

/* The library looks a lone character of the text up among the control pieces too, and then fails.
 * The id space of this project shifts raw ids by one and needs <unk>, <s>, </s> in front. */
static lcm_status check_layout(lcm_ctx *ctx, const model *m) {
    size_t unk = m->n_pieces, n_text = 0;
    for (size_t i = 0; i < m->n_pieces; i++) {
        const piece *p = &m->pieces[i];
        n_text += p->type == LCM_SPM_NORMAL || p->type == LCM_SPM_USER_DEFINED;
        if (p->type == LCM_SPM_CONTROL && is_one_char(p))
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "piece %zu: a control piece of one character", i);
        if (p->type != LCM_SPM_UNKNOWN) continue;
        if (unk < m->n_pieces) LCM_FAIL(ctx, LCM_ERR_FORMAT, "pieces %zu and %zu are both <unk>", unk, i);
        unk = i;
    }
    if (unk == m->n_pieces) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tokenizer model: no piece is <unk>");
    if (n_text == 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tokenizer model: no piece of text");
    if (unk != 0 || m->n_pieces < 3 || m->pieces[1].type != LCM_SPM_CONTROL || m->pieces[2].type != LCM_SPM_CONTROL)
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "tokenizer model: pieces 0, 1, 2 must be <unk>, <s>, </s>");
    return LCM_OK;
}

/* All 256 bytes "<0x00>" … "<0xFF>" as byte pieces, or none. */
static lcm_status check_bytes(lcm_ctx *ctx, const model *m) {
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < m->n_pieces; i++) {
        const piece *p = &m->pieces[i];
        if (p->type != LCM_SPM_BYTE) continue;
        n++; /* distinct, since pieces are */
        if (p->len != 6 || memcmp(p->text, "<0x", 3) != 0 || p->text[5] != '>' || !strchr(hex, p->text[3]) ||
            !strchr(hex, p->text[4]))
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "piece %zu is of type byte but not spelt <0x00> to <0xFF>", i);
    }
    if (n != (m->info.byte_fallback ? 256u : 0u))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "tokenizer model: %zu byte pieces with byte_fallback %s", n,
                 m->info.byte_fallback ? "on" : "off");
    return LCM_OK;
}

static int compare_pieces(const void *a, const void *b) {
    const piece *x = a, *y = b;
    int d = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    return d ? d : (x->len > y->len) - (x->len < y->len);
}

static bool starts_with(const piece *p, const piece *prefix) {
    return p->len >= prefix->len && memcmp(p->text, prefix->text, prefix->len) == 0;
}

/* Sorts the pieces. In sorted order those that start piece i form a chain behind it. */
static lcm_status check_sorted(lcm_ctx *ctx, model *m) {
    const piece *chain[LCM_SPM_MAX_NESTED_SYMBOLS];
    int n_chain = 0;
    qsort(m->pieces, m->n_pieces, sizeof *m->pieces, compare_pieces);
    for (size_t i = 0; i < m->n_pieces; i++) {
        const piece *p = &m->pieces[i];
        if (i > 0 && compare_pieces(p - 1, p) == 0)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "piece '%.*s' appears twice", (int)(p->len < 64 ? p->len : 64), p->text);
        if (p->type != LCM_SPM_USER_DEFINED) continue;
        while (n_chain > 0 && !starts_with(p, chain[n_chain - 1])) n_chain--;
        if (n_chain == LCM_SPM_MAX_NESTED_SYMBOLS)
            LCM_FAIL(ctx, LCM_ERR_LIMIT, "tokenizer model: more than %d user-defined pieces start one another",
                     LCM_SPM_MAX_NESTED_SYMBOLS);
        chain[n_chain++] = p;
    }
    return LCM_OK;
}

static lcm_status check_model(lcm_ctx *ctx, model *m, span in) {
    field f;
    while (in.len) {
        LCM_TRY(read_field(ctx, &f, &in));
        LCM_TRY(read_section(ctx, m, &f));
    }
    if (m->model_type != 1 && m->model_type != 2)
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "tokenizer model: type %llu, only 1 (unigram) and 2 (BPE) are supported",
                 (unsigned long long)m->model_type);
    LCM_TRY(check_layout(ctx, m));
    LCM_TRY(check_sorted(ctx, m));
    return check_bytes(ctx, m);
}

lcm_status lcm_spm_check(lcm_ctx *ctx, lcm_spm_info *info, const void *data, size_t len) {
    model m = {.model_type = 1, .info = {.add_dummy_prefix = true, .remove_extra_whitespaces = true}};
    lcm_status st;
    if (len > LCM_SPM_MAX_BYTES)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "tokenizer model: %zu bytes, the limit is %d", len, LCM_SPM_MAX_BYTES);
    st = check_model(ctx, &m, (span){data, len});
    m.info.n_pieces = (int32_t)m.n_pieces;
    free(m.pieces);
    if (st == LCM_OK) *info = m.info;
    return st;
}
