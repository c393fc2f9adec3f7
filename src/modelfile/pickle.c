/* The unpickler: opcodes, the stack, the white list. */
#include "modelfile/pickle.h"

#include <stdlib.h>
#include <string.h>

typedef enum use { USE_DICT, USE_SIZE, USE_TENSOR, USE_TENSOR_OLD, USE_PARAMETER, USE_STORAGE } use;

/* All that a pickle may name. */
static const struct {
    const char *module, *name;
    use use;
    lcm_dtype dtype;
} globals[] = {
    {"collections", "OrderedDict", USE_DICT, 0},
    {"torch", "Size", USE_SIZE, 0},
    {"torch._utils", "_rebuild_tensor_v2", USE_TENSOR, 0},
    {"torch._utils", "_rebuild_tensor", USE_TENSOR_OLD, 0},
    {"torch._utils", "_rebuild_parameter", USE_PARAMETER, 0},
    {"torch", "DoubleStorage", USE_STORAGE, LCM_DT_F64},
    {"torch", "FloatStorage", USE_STORAGE, LCM_DT_F32},
    {"torch", "HalfStorage", USE_STORAGE, LCM_DT_F16},
    {"torch", "BFloat16Storage", USE_STORAGE, LCM_DT_BF16},
    {"torch", "LongStorage", USE_STORAGE, LCM_DT_I64},
    {"torch", "IntStorage", USE_STORAGE, LCM_DT_I32},
    {"torch", "ShortStorage", USE_STORAGE, LCM_DT_I16},
    {"torch", "CharStorage", USE_STORAGE, LCM_DT_I8},
    {"torch", "ByteStorage", USE_STORAGE, LCM_DT_U8},
    {"torch", "BoolStorage", USE_STORAGE, LCM_DT_BOOL},
};
enum { N_GLOBALS = sizeof globals / sizeof *globals };

/* Opcodes with a name but without leave, for the message. */
static const struct {
    uint8_t op;
    const char *name;
} refused[] = {
    {'i', "INST"},    {'o', "OBJ"},     {'P', "PERSID"},  {0x81, "NEWOBJ"},      {0x92, "NEWOBJ_EX"},
    {0x82, "EXT1"},   {0x83, "EXT2"},   {0x84, "EXT4"},   {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"},
    {'I', "INT"},     {'L', "LONG"},    {'F', "FLOAT"},   {'S', "STRING"},       {'V', "UNICODE"},
    {'0', "POP"},     {'1', "POP_MARK"}, {'2', "DUP"},    {'d', "DICT"},         {'l', "LIST"},
    {'p', "PUT"},     {'g', "GET"},     {'T', "BINSTRING"}, {'U', "SHORT_BINSTRING"}, {0x8b, "LONG4"},
    {'B', "BINBYTES"}, {'C', "SHORT_BINBYTES"}, {0x8e, "BINBYTES8"}, {0x96, "BYTEARRAY8"}, {0x8d, "BINUNICODE8"},
    {0x8f, "EMPTY_SET"}, {0x90, "ADDITEMS"}, {0x91, "FROZENSET"},
};

/* Values lie in blocks of fixed size: an arena that doubles could not keep the promise about memory. */
typedef struct block block;
struct block {
    block *next;
    size_t cap, used;
};

enum { BLOCK_BYTES = 16384 };

struct lcm_pickle {
    block *blocks;
    const lcm_pickle_storage **storages;
    size_t n_storages, storages_cap;
    size_t in_blocks, memory;
};

typedef lcm_pickle_value value;

typedef struct machine {
    lcm_ctx *ctx;
    lcm_pickle *p;
    const uint8_t *begin, *at, *end;
    const value **stack;
    size_t n, cap;
    size_t *marks; /* heights of the stack */
    size_t n_marks, marks_cap;
    const value **memo;
    size_t n_memo, memo_cap;
} machine;

#define BAD(m, ...) LCM_FAIL((m)->ctx, LCM_ERR_FORMAT, __VA_ARGS__)

static size_t here(const machine *m) { return (size_t)(m->at - m->begin); }

lcm_status lcm_pickle_new(lcm_ctx *ctx, lcm_pickle **out) {
    lcm_pickle *p;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &p, 1, sizeof *p));
    *out = p;
    return LCM_OK;
}

void lcm_pickle_free(lcm_pickle *p) {
    if (p == NULL) return;
    while (p->blocks) {
        block *next = p->blocks->next;
        free(p->blocks);
        p->blocks = next;
    }
    free(p->storages);
    free(p);
}

size_t lcm_pickle_storages(const lcm_pickle *p) { return p->n_storages; }
const lcm_pickle_storage *lcm_pickle_storage_at(const lcm_pickle *p, size_t i) { return p->storages[i]; }
size_t lcm_pickle_memory(const lcm_pickle *p) { return p->memory; }

bool lcm_pickle_is_string(const value *v, const char *text) {
    return v->kind == LCM_PICKLE_STRING && v->u.str.len == strlen(text) && memcmp(v->u.str.s, text, v->u.str.len) == 0;
}

const value *lcm_pickle_get(const value *dict, const char *key) {
    if (dict->kind != LCM_PICKLE_DICT) return NULL;
    for (size_t i = dict->n; i-- > 0;)
        if (lcm_pickle_is_string(dict->u.items[2 * i], key)) return dict->u.items[2 * i + 1];
    return NULL;
}

/* ---- Bytes ---- */

static lcm_status take(machine *m, const uint8_t **out, size_t n) {
    *out = m->at;
    if ((size_t)(m->end - m->at) < n) BAD(m, "pickle: it ends within the opcode at byte %zu", here(m) - 1);
    m->at += n;
    return LCM_OK;
}

/* Little-endian, n ≤ 8. */
static lcm_status take_uint(machine *m, uint64_t *out, size_t n) {
    const uint8_t *b;
    LCM_TRY(take(m, &b, n));
    *out = 0;
    for (size_t i = 0; i < n; i++) *out |= (uint64_t)b[i] << (8 * i);
    return LCM_OK;
}

/* Up to the end of the line, which is consumed. */
static lcm_status take_line(machine *m, const char **s, size_t *len) {
    const uint8_t *stop = memchr(m->at, '\n', (size_t)(m->end - m->at));
    *s = (const char *)m->at;
    *len = 0;
    if (stop == NULL) BAD(m, "pickle: it ends within the opcode at byte %zu", here(m) - 1);
    *len = (size_t)(stop - m->at);
    m->at = stop + 1;
    return LCM_OK;
}

/* ---- Values and the stack ---- */

static lcm_status allocate(machine *m, void *out, size_t bytes) {
    block *b = m->p->blocks;
    void *p = NULL;
    memcpy(out, &p, sizeof p);
    bytes = (bytes + 7) / 8 * 8;
    if (b == NULL || b->cap - b->used < bytes) {
        size_t cap = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        b = malloc(sizeof *b + cap);
        if (b == NULL) LCM_FAIL(m->ctx, LCM_ERR_NOMEM, "out of memory: pickle");
        *b = (block){m->p->blocks, cap, 0};
        m->p->blocks = b;
        m->p->in_blocks += sizeof *b + cap;
    }
    p = (char *)(b + 1) + b->used;
    b->used += bytes;
    memcpy(out, &p, sizeof p);
    return LCM_OK;
}

static lcm_status push(machine *m, const value *v) {
    LCM_TRY(lcm_grow(m->ctx, &m->stack, &m->cap, m->n + 1, sizeof *m->stack));
    m->stack[m->n++] = v;
    return LCM_OK;
}

static lcm_status push_new(machine *m, value v) {
    value *copy;
    LCM_TRY(allocate(m, &copy, sizeof *copy));
    *copy = v;
    return push(m, copy);
}

static lcm_status push_int(machine *m, int64_t i) { return push_new(m, (value){.kind = LCM_PICKLE_INT, .u.i = i}); }

static lcm_status push_empty(machine *m, lcm_pickle_kind kind) { return push_new(m, (value){.kind = (uint8_t)kind}); }

/* The k topmost values become *args; they may not reach below the last mark. */
static lcm_status pop(machine *m, const value ***args, size_t k) {
    size_t floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;
    *args = m->stack; /* gcc cannot know that what follows a failure does not run */
    if (m->n - floor < k) BAD(m, "pickle: the opcode at byte %zu finds too little on the stack", here(m) - 1);
    m->n -= k;
    *args = m->stack + m->n;
    return LCM_OK;
}

static lcm_status pop_to_mark(machine *m, const value ***args, size_t *k) {
    *args = m->stack;
    *k = 0;
    if (m->n_marks == 0) BAD(m, "pickle: the opcode at byte %zu finds no mark", here(m) - 1);
    *k = m->n - m->marks[--m->n_marks];
    m->n -= *k;
    *args = m->stack + m->n;
    return LCM_OK;
}

static lcm_status mark(machine *m) {
    LCM_TRY(lcm_grow(m->ctx, &m->marks, &m->marks_cap, m->n_marks + 1, sizeof *m->marks));
    m->marks[m->n_marks++] = m->n;
    return LCM_OK;
}

/* Appends to the growing array of a value, which doubles. Values on the stack are const for all others. */
static lcm_status extend(machine *m, value *v, const value *const *items, size_t k, size_t unit) {
    size_t need = v->n * unit + k;
    if (k == 0) return LCM_OK;
    if (need > v->cap) {
        size_t cap = v->cap ? v->cap : 2;
        const value **grown;
        while (cap < need) cap *= 2;
        LCM_TRY(allocate(m, &grown, cap * sizeof *grown));
        if (v->n) memcpy(grown, v->u.items, v->n * unit * sizeof *grown);
        v->u.items = grown;
        v->cap = (uint32_t)cap;
    }
    memcpy(v->u.items + v->n * unit, items, k * sizeof *items);
    v->n += (uint32_t)(k / unit);
    return LCM_OK;
}

static lcm_status tuple(machine *m, const value *const *items, size_t k) {
    value v = {.kind = LCM_PICKLE_TUPLE};
    LCM_TRY(extend(m, &v, items, k, 1));
    return push_new(m, v);
}

static lcm_status append(machine *m, const value *const *items, size_t k, lcm_pickle_kind kind, size_t unit) {
    const value **target;
    if (k % unit) BAD(m, "pickle: a key without a value at byte %zu", here(m) - 1);
    LCM_TRY(pop(m, &target, 1));
    m->n++; /* it stays */
    if ((*target)->kind != kind)
        BAD(m, "pickle: the opcode at byte %zu adds %s to something else", here(m) - 1,
            kind == LCM_PICKLE_DICT ? "pairs" : "items");
    return extend(m, (value *)*target, items, k, unit);
}

static lcm_status string(machine *m, size_t len) {
    const uint8_t *s;
    LCM_TRY(take(m, &s, len));
    if (lcm_utf8_valid_prefix((const char *)s, len) != len || memchr(s, '\0', len))
        BAD(m, "pickle: the string at byte %zu is not UTF-8 without NUL", here(m) - len);
    return push_new(m, (value){.kind = LCM_PICKLE_STRING, .u.str = {(const char *)s, len}});
}

/* LONG1: two's complement, little-endian. */
static lcm_status long1(machine *m) {
    uint64_t len, v = 0;
    const uint8_t *b;
    LCM_TRY(take_uint(m, &len, 1));
    LCM_TRY(take(m, &b, (size_t)len));
    if (len > 8) return push_empty(m, LCM_PICKLE_LONG);
    for (size_t i = 0; i < len; i++) v |= (uint64_t)b[i] << (8 * i);
    if (len && len < 8 && b[len - 1] & 0x80) v |= ~UINT64_C(0) << (8 * len);
    return push_int(m, (int64_t)v);
}

static lcm_status real8(machine *m) { /* big-endian, unlike everything else */
    const uint8_t *b;
    uint64_t bits = 0;
    double r;
    LCM_TRY(take(m, &b, 8));
    for (int i = 0; i < 8; i++) bits = bits << 8 | b[i];
    memcpy(&r, &bits, sizeof r);
    return push_new(m, (value){.kind = LCM_PICKLE_REAL, .u.r = r});
}

/* ---- Memo. Picklers number from 0 without gaps, so an index beyond the next is a lie about memory. ---- */

static lcm_status put(machine *m, uint64_t i) {
    if (m->n == 0) BAD(m, "pickle: nothing to remember at byte %zu", here(m) - 1);
    if (i > m->n_memo)
        BAD(m, "pickle: memo %llu at byte %zu, the next is %zu", (unsigned long long)i, here(m), m->n_memo);
    if (i == m->n_memo) {
        LCM_TRY(lcm_grow(m->ctx, &m->memo, &m->memo_cap, m->n_memo + 1, sizeof *m->memo));
        m->n_memo++;
    }
    m->memo[i] = m->stack[m->n - 1];
    return LCM_OK;
}

static lcm_status get(machine *m, uint64_t i) {
    if (i >= m->n_memo) BAD(m, "pickle: memo %llu at byte %zu is not there", (unsigned long long)i, here(m));
    return push(m, m->memo[i]);
}

/* ---- Globals and what they are applied to ---- */

static bool equals(const char *name, const char *s, size_t len) { return strlen(name) == len && memcmp(name, s, len) == 0; }

static int shown(size_t len) { return len < 80 ? (int)len : 80; }

static lcm_status global(machine *m, const char *module, size_t n_module, const char *name, size_t n_name) {
    for (int i = 0; i < N_GLOBALS; i++)
        if (equals(globals[i].module, module, n_module) && equals(globals[i].name, name, n_name))
            return push_new(m, (value){.kind = LCM_PICKLE_GLOBAL, .global = (uint8_t)i});
    LCM_FAIL(m->ctx, LCM_ERR_UNSUPPORTED, "pickle: the global '%.*s.%.*s' is not allowed", shown(n_module), module,
             shown(n_name), name);
}

static lcm_status global_lines(machine *m) {
    const char *module, *name;
    size_t n_module, n_name;
    LCM_TRY(take_line(m, &module, &n_module));
    LCM_TRY(take_line(m, &name, &n_name));
    return global(m, module, n_module, name, n_name);
}

static lcm_status global_stack(machine *m) {
    const value **a;
    LCM_TRY(pop(m, &a, 2));
    if (a[0]->kind != LCM_PICKLE_STRING || a[1]->kind != LCM_PICKLE_STRING)
        BAD(m, "pickle: a global without a name at byte %zu", here(m) - 1);
    return global(m, a[0]->u.str.s, a[0]->u.str.len, a[1]->u.str.s, a[1]->u.str.len);
}

static bool is_key(const value *v) {
    if (v->kind != LCM_PICKLE_STRING || v->u.str.len == 0 || v->u.str.len > LCM_PICKLE_MAX_KEY) return false;
    for (size_t i = 0; i < v->u.str.len; i++) {
        char c = v->u.str.s[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-')) return false;
    }
    return true;
}

/* BINPERSID: ('storage', type, key, place, elements[, None]) */
static lcm_status storage(machine *m) {
    const value **arg, *const *a;
    lcm_pickle_storage *s;
    LCM_TRY(pop(m, &arg, 1));
    a = (*arg)->u.items;
    if ((*arg)->kind != LCM_PICKLE_TUPLE || (*arg)->n < 5 || (*arg)->n > 6 || !lcm_pickle_is_string(a[0], "storage") ||
        ((*arg)->n == 6 && a[5]->kind != LCM_PICKLE_NONE))
        LCM_FAIL(m->ctx, LCM_ERR_UNSUPPORTED, "pickle: the persistent object at byte %zu is not a storage", here(m) - 1);
    if (a[1]->kind != LCM_PICKLE_GLOBAL || globals[a[1]->global].use != USE_STORAGE || !is_key(a[2]) ||
        a[4]->kind != LCM_PICKLE_INT || a[4]->u.i < 0 || a[4]->u.i > INT64_MAX / 8)
        BAD(m, "pickle: the storage at byte %zu has no type, name or size", here(m) - 1);
    LCM_TRY(allocate(m, &s, sizeof *s));
    *s = (lcm_pickle_storage){globals[a[1]->global].dtype, a[2]->u.str.s, a[2]->u.str.len, a[4]->u.i};
    LCM_TRY(lcm_grow(m->ctx, &m->p->storages, &m->p->storages_cap, m->p->n_storages + 1, sizeof *m->p->storages));
    m->p->storages[m->p->n_storages++] = s;
    return push_new(m, (value){.kind = LCM_PICKLE_STORAGE, .u.storage = s});
}

static lcm_status numbers(machine *m, int64_t *out, int *n, const value *v, const char *what) {
    if (v->kind != LCM_PICKLE_TUPLE && v->kind != LCM_PICKLE_LIST) BAD(m, "pickle: a tensor's %s is no tuple", what);
    if (v->n > LCM_ST_MAX_RANK) BAD(m, "pickle: a tensor of rank %u, limit is %d", v->n, LCM_ST_MAX_RANK);
    for (uint32_t i = 0; i < v->n; i++) {
        const value *k = v->u.items[i];
        if (k->kind != LCM_PICKLE_INT || k->u.i < 0) BAD(m, "pickle: a tensor's %s is not of natural numbers", what);
        out[i] = k->u.i;
    }
    *n = (int)v->n;
    return LCM_OK;
}

/* The dimensions that matter (more than one element), by stride; then each stride must step over all
 * that lies below it. So no two elements share a place, and the last one is at the sum. */
static bool fits(const lcm_pickle_tensor *t) {
    int order[LCM_ST_MAX_RANK], n = 0;
    size_t last = (size_t)t->offset, reach;
    for (int i = 0; i < t->ndim; i++)
        if (t->dims[i] == 0) return t->offset <= t->storage->numel;
    for (int i = 0; i < t->ndim; i++) {
        int k = n;
        if (t->dims[i] == 1) continue;
        for (; k > 0 && t->strides[order[k - 1]] > t->strides[i]; k--) order[k] = order[k - 1];
        order[k] = i;
        n++;
    }
    reach = 0; /* distance of the last element of the dimensions so far from the first */
    for (int k = 0; k < n; k++) {
        size_t span, stride = (size_t)t->strides[order[k]];
        if (stride <= reach || !lcm_mul_size(&span, stride, (size_t)t->dims[order[k]] - 1) ||
            !lcm_add_size(&reach, reach, span))
            return false;
    }
    return lcm_add_size(&last, last, reach) && last < (size_t)t->storage->numel;
}

/* (storage, offset, size, stride, …) */
static lcm_status tensor(machine *m, const value *args, uint32_t least) {
    const value *const *a = args->u.items;
    lcm_pickle_tensor *t;
    int n_strides;
    if (args->n < least || a[0]->kind != LCM_PICKLE_STORAGE || a[1]->kind != LCM_PICKLE_INT || a[1]->u.i < 0)
        BAD(m, "pickle: a tensor at byte %zu without storage or offset", here(m) - 1);
    LCM_TRY(allocate(m, &t, sizeof *t));
    memset(t, 0, sizeof *t);
    t->storage = a[0]->u.storage;
    t->offset = a[1]->u.i;
    LCM_TRY(numbers(m, t->dims, &t->ndim, a[2], "shape"));
    LCM_TRY(numbers(m, t->strides, &n_strides, a[3], "stride"));
    if (n_strides != t->ndim) BAD(m, "pickle: a tensor of rank %d with %d strides", t->ndim, n_strides);
    if (!fits(t))
        BAD(m, "pickle: a tensor at byte %zu reaches beyond its storage '%.*s' of %lld elements, or overlaps itself",
            here(m) - 1, (int)t->storage->key_len, t->storage->key, (long long)t->storage->numel);
    for (int i = 0; i < t->ndim; i++)
        if (t->dims[i] == 1) t->strides[i] = 0; /* it was not looked at, and is never stepped over */
    return push_new(m, (value){.kind = LCM_PICKLE_TENSOR, .u.tensor = t});
}

static lcm_status reduce(machine *m) {
    const value **a, *args;
    LCM_TRY(pop(m, &a, 2));
    args = a[1];
    if (a[0]->kind != LCM_PICKLE_GLOBAL || args->kind != LCM_PICKLE_TUPLE)
        BAD(m, "pickle: a call at byte %zu of what is no function", here(m) - 1);
    switch (globals[a[0]->global].use) {
    case USE_DICT:
        if (args->n == 0) return push_empty(m, LCM_PICKLE_DICT);
        break;
    case USE_SIZE:
        if (args->n == 1 && args->u.items[0]->kind == LCM_PICKLE_TUPLE) return push(m, args->u.items[0]);
        break;
    case USE_TENSOR: return tensor(m, args, 6);
    case USE_TENSOR_OLD: return tensor(m, args, 4);
    case USE_PARAMETER:
        if (args->n >= 1 && args->u.items[0]->kind == LCM_PICKLE_TENSOR) return push(m, args->u.items[0]);
        break;
    case USE_STORAGE: break;
    }
    LCM_FAIL(m->ctx, LCM_ERR_UNSUPPORTED, "pickle: %s.%s at byte %zu is called with other arguments than torch.save's",
             globals[a[0]->global].module, globals[a[0]->global].name, here(m) - 1);
}

/* The attributes of an OrderedDict (torch keeps "_metadata" there) are dropped; nothing else may have any. */
static lcm_status build(machine *m) {
    const value **a;
    LCM_TRY(pop(m, &a, 2));
    if (a[0]->kind != LCM_PICKLE_DICT)
        LCM_FAIL(m->ctx, LCM_ERR_UNSUPPORTED, "pickle: BUILD at byte %zu on what is no dictionary", here(m) - 1);
    m->n++;
    return LCM_OK;
}

/* ---- The machine ---- */

static lcm_status refuse(machine *m, uint8_t op) {
    const char *name = "unknown";
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i].op == op) name = refused[i].name;
    LCM_FAIL(m->ctx, LCM_ERR_UNSUPPORTED, "pickle: the opcode 0x%02x (%s) at byte %zu is not allowed", op, name, here(m) - 1);
}

static lcm_status collect(machine *m, uint8_t op) {
    const value **items;
    size_t k;
    LCM_TRY(pop_to_mark(m, &items, &k));
    if (op == 't') return tuple(m, items, k);
    if (op == 'e') return append(m, items, k, LCM_PICKLE_LIST, 1);
    return append(m, items, k, LCM_PICKLE_DICT, 2);
}

static lcm_status combine(machine *m, size_t k, uint8_t op) {
    const value **items;
    LCM_TRY(pop(m, &items, k));
    if (op == 'a') return append(m, items, 1, LCM_PICKLE_LIST, 1);
    if (op == 's') return append(m, items, 2, LCM_PICKLE_DICT, 2);
    return tuple(m, items, k);
}

static lcm_status with_number(machine *m, uint8_t op, size_t bytes) {
    uint64_t v;
    LCM_TRY(take_uint(m, &v, bytes));
    switch (op) {
    case 0x80: return v >= 2 && v <= 5 ? LCM_OK : lcm_fail(m->ctx, LCM_ERR_VERSION, "pickle of protocol %d, 2 to 5 are read", (int)v);
    case 0x95: return LCM_OK; /* FRAME: a hint */
    case 'J': return push_int(m, (int32_t)v);
    case 'K': case 'M': return push_int(m, (int64_t)v);
    case 'X': case 0x8c: return string(m, (size_t)v);
    case 'q': case 'r': return put(m, v);
    default: return get(m, v);
    }
}

static lcm_status step(machine *m, uint8_t op) {
    switch (op) {
    case 0x80: case 'K': case 0x8c: case 'q': case 'h': return with_number(m, op, 1);
    case 'M': return with_number(m, op, 2);
    case 'J': case 'X': case 'r': case 'j': return with_number(m, op, 4);
    case 0x95: return with_number(m, op, 8);
    case 0x94: return put(m, m->n_memo);
    case 'N': return push_empty(m, LCM_PICKLE_NONE);
    case 0x88: case 0x89: return push_new(m, (value){.kind = LCM_PICKLE_BOOL, .u.i = op == 0x88});
    case 0x8a: return long1(m);
    case 'G': return real8(m);
    case ')': return push_empty(m, LCM_PICKLE_TUPLE);
    case ']': return push_empty(m, LCM_PICKLE_LIST);
    case '}': return push_empty(m, LCM_PICKLE_DICT);
    case '(': return mark(m);
    case 't': case 'e': case 'u': return collect(m, op);
    case 0x85: case 'a': return combine(m, 1, op);
    case 0x86: case 's': return combine(m, 2, op);
    case 0x87: return combine(m, 3, op);
    case 'c': return global_lines(m);
    case 0x93: return global_stack(m);
    case 'Q': return storage(m);
    case 'R': return reduce(m);
    case 'b': return build(m);
    default: return refuse(m, op);
    }
}

static lcm_status run(machine *m, const value **root) {
    for (;;) {
        uint8_t op;
        if (m->at == m->end) BAD(m, "pickle: no end in %zu bytes", here(m));
        op = *m->at++;
        if (op == '.') break;
        LCM_TRY(step(m, op));
    }
    if (m->n != 1 || m->n_marks) BAD(m, "pickle: %zu values and %zu marks are left at its end", m->n, m->n_marks);
    *root = m->stack[0];
    return LCM_OK;
}

lcm_status lcm_pickle_read(lcm_ctx *ctx, lcm_pickle *p, const value **root, size_t *used, const uint8_t *bytes, size_t len) {
    machine m = {.ctx = ctx, .p = p, .begin = bytes, .at = bytes};
    lcm_status st;
    size_t heap;
    *root = NULL;
    m.end = bytes + (len < LCM_PICKLE_MAX_BYTES ? len : LCM_PICKLE_MAX_BYTES);
    st = lcm_grow(ctx, &m.stack, &m.cap, 64, sizeof *m.stack); /* never NULL: empty ranges are taken from it */
    if (st == LCM_OK) st = run(&m, root);
    if (st && m.at == m.end && len > LCM_PICKLE_MAX_BYTES)
        st = lcm_fail(ctx, LCM_ERR_LIMIT, "pickle of more than %d bytes", LCM_PICKLE_MAX_BYTES);
    *used = here(&m);
    heap = (m.cap + m.memo_cap + p->storages_cap) * sizeof(void *) + m.marks_cap * sizeof *m.marks + p->in_blocks;
    if (heap > p->memory) p->memory = heap;
    free(m.stack);
    free(m.marks);
    free(m.memo);
    if (st) *root = NULL;
    return st;
}
