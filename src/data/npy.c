/* NumPy arrays. */
#include "data/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"

static const char MAGIC[] = "\x93NUMPY";
enum { MAGIC_LEN = 6, MAX_HEADER = 65536, MAX_RANK = 2, ALIGN = 64 };

bool lcm_npy_is(const void *bytes, size_t len) { return len >= MAGIC_LEN && memcmp(bytes, MAGIC, MAGIC_LEN) == 0; }

/* ---- The dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } ---- */

typedef struct reader {
    const char *p, *end;
} reader;

typedef struct header {
    char descr[16];
    bool fortran;
    int64_t dims[MAX_RANK];
    int rank; /* MAX_RANK + 1: more */
    unsigned seen;
} header;

static void skip_space(reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n')) r->p++;
}

static bool take(reader *r, const char *word) {
    size_t n = strlen(word);
    skip_space(r);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0) return false;
    r->p += n;
    return true;
}

/* A quoted string without escapes, shorter than cap. */
static bool take_string(reader *r, char *dst, size_t cap) {
    char quote;
    size_t n = 0;
    skip_space(r);
    if (r->p == r->end || (*r->p != '\'' && *r->p != '"')) return false;
    for (quote = *r->p++; r->p < r->end && *r->p != quote; r->p++) {
        if (*r->p == '\\' || n + 1 >= cap) return false;
        dst[n++] = *r->p;
    }
    dst[n] = '\0';
    return r->p++ < r->end;
}

static bool take_int(reader *r, int64_t *out) {
    const char *from;
    int64_t v = 0;
    skip_space(r);
    for (from = r->p; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
        if (v > (INT64_MAX - 9) / 10) return false;
        v = v * 10 + (*r->p - '0');
    }
    *out = v;
    return r->p > from;
}

static bool take_shape(reader *r, header *h) {
    if (!take(r, "(")) return false;
    while (!take(r, ")")) {
        int64_t v;
        if (!take_int(r, &v)) return false;
        if (h->rank < MAX_RANK) h->dims[h->rank] = v;
        if (h->rank <= MAX_RANK) h->rank++;
        if (!take(r, ",")) return take(r, ")");
    }
    return true;
}

static bool take_bool(reader *r, bool *out) {
    *out = take(r, "True");
    return *out || take(r, "False");
}

static bool take_item(reader *r, header *h) {
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    char key[16];
    unsigned k = 0;
    if (!take_string(r, key, sizeof key) || !take(r, ":")) return false;
    while (k < 3 && strcmp(key, keys[k]) != 0) k++;
    if (k == 3 || h->seen & 1u << k) return false;
    h->seen |= 1u << k;
    return k == 0 ? take_string(r, h->descr, sizeof h->descr) : k == 1 ? take_bool(r, &h->fortran) : take_shape(r, h);
}

static bool take_header(reader *r, header *h) {
    if (!take(r, "{")) return false;
    while (!take(r, "}")) {
        if (!take_item(r, h)) return false;
        if (take(r, ",")) continue;
        if (!take(r, "}")) return false;
        break;
    }
    skip_space(r);
    return h->seen == 7 && r->p == r->end;
}

/* ---- The file ---- */

static lcm_status find_header(lcm_ctx *ctx, reader *r, const unsigned char *b, size_t len) {
    size_t n, at = 10;
    if (!lcm_npy_is(b, len) || len < 12) LCM_FAIL(ctx, LCM_ERR_FORMAT, "npy: no header");
    if (b[6] < 1 || b[6] > 3 || b[7] != 0)
        LCM_FAIL(ctx, LCM_ERR_VERSION, "npy: version %d.%d, this build reads 1.0 to 3.0", b[6], b[7]);
    n = (size_t)b[8] | (size_t)b[9] << 8;
    if (b[6] > 1) {
        n |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
        at = 12;
    }
    if (n > MAX_HEADER || n > len - at)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "npy: a header of %zu bytes, at most %d are read and %zu are there", n, MAX_HEADER, len - at);
    r->p = (const char *)b + at;
    r->end = r->p + n;
    return LCM_OK;
}

static lcm_status check_kind(lcm_ctx *ctx, int *item, const header *h) {
    if (h->fortran) LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "npy: Fortran order; write it in C order");
    if (h->rank < 1 || h->rank > MAX_RANK)
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "npy: %s%d dimensions, 1 or 2 are read", h->rank > MAX_RANK ? "more than " : "",
                 h->rank > MAX_RANK ? MAX_RANK : h->rank);
    *item = strcmp(h->descr, "<f4") == 0 ? 4 : strcmp(h->descr, "<f2") == 0 ? 2 : strcmp(h->descr, "<f8") == 0 ? 8 : 0;
    if (*item == 0) LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "npy: values of type '%s'; <f2, <f4 and <f8 are read", h->descr);
    return LCM_OK;
}

lcm_status lcm_npy_parse(lcm_ctx *ctx, lcm_npy *out, const void *bytes, size_t len) {
    header h = {0};
    reader r = {0};
    lcm_npy a = {0};
    size_t there, need;
    LCM_TRY(find_header(ctx, &r, bytes, len));
    if (!take_header(&r, &h)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "npy: the header is not a plain description of one array");
    LCM_TRY(check_kind(ctx, &a.item, &h));
    a.rows = h.rank == 1 ? 1 : h.dims[0];
    a.cols = h.dims[h.rank - 1];
    a.data = (const unsigned char *)r.end;
    there = len - (size_t)(a.data - (const unsigned char *)bytes);
    if (!lcm_mul_size(&need, (size_t)a.rows, (size_t)a.cols) || !lcm_mul_size(&need, need, (size_t)a.item) || need != there)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "npy: shape (%" PRId64 ", %" PRId64 ") of %s does not match %zu bytes of data", a.rows,
                 a.cols, h.descr, there);
    *out = a;
    return LCM_OK;
}

float lcm_npy_value(const lcm_npy *a, int64_t i) {
    const unsigned char *p = a->data + i * a->item;
    uint16_t half;
    float single;
    double wide;
    switch (a->item) {
    case 2: memcpy(&half, p, sizeof half); return lcm_f16_to_f32(half);
    case 4: memcpy(&single, p, sizeof single); return single;
    default: memcpy(&wide, p, sizeof wide); return (float)wide;
    }
}

lcm_status lcm_npy_header(lcm_ctx *ctx, lcm_buf *out, int64_t rows, int64_t cols) {
    char text[160], prefix[10];
    int n = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %" PRId64 "), }", rows, cols);
    while ((n + 1 + (int)sizeof prefix) % ALIGN) text[n++] = ' ';
    text[n++] = '\n';
    memcpy(prefix, MAGIC, MAGIC_LEN);
    memcpy(prefix + MAGIC_LEN, (char[]){1, 0, (char)n, 0}, 4);
    LCM_TRY(lcm_buf_append(ctx, out, prefix, sizeof prefix));
    return lcm_buf_append(ctx, out, text, (size_t)n);
}
