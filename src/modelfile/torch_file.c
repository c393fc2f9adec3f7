/* Checkpoints of torch.save: containers, state dictionary, reading through views. */
#include "modelfile/torch_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

static const uint8_t zip_magic[4] = {'P', 'K', 3, 4};
/* Protocol 2, then the number 0x1950a86a20f9469cfc6c as LONG1, then the end. */
static const uint8_t legacy_magic[15] = {0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

typedef struct place {
    const lcm_pickle_storage *storage;
    const uint8_t *data; /* legacy */
    zip_uint64_t entry;  /* archive */
} place;

struct lcm_torch {
    lcm_pickle *pickle;
    zip_t *zip;
    place *places; /* distinct storages by key */
    size_t n_places;
    lcm_torch_tensor *tensors;
    size_t n, cap;
    uint8_t *pickle_bytes; /* of an archive: strings lie in it */
    char *names, layout[160];
    /* The entry that is being read in order, and the storage that is held for views. */
    zip_file_t *open;
    size_t open_place;
    uint64_t open_at;
    uint8_t *held;
    size_t held_place;
};

bool lcm_torch_is(const uint8_t *bytes, size_t len) {
    return (len >= sizeof zip_magic && memcmp(bytes, zip_magic, sizeof zip_magic) == 0) ||
           (len >= sizeof legacy_magic && memcmp(bytes, legacy_magic, sizeof legacy_magic) == 0);
}

/* ---- Storages ---- */

static int compare_keys(const lcm_pickle_storage *a, const lcm_pickle_storage *b) {
    size_t n = a->key_len < b->key_len ? a->key_len : b->key_len;
    int c = memcmp(a->key, b->key, n);
    return c ? c : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static int by_key(const void *a, const void *b) {
    return compare_keys(((const place *)a)->storage, ((const place *)b)->storage);
}

/* One place per key, which has one type and one size. */
static lcm_status collect_places(lcm_ctx *ctx, lcm_torch *t) {
    size_t n = lcm_pickle_storages(t->pickle), kept = 0;
    LCM_TRY(lcm_calloc(ctx, &t->places, n + 1, sizeof *t->places));
    for (size_t i = 0; i < n; i++) t->places[i].storage = lcm_pickle_storage_at(t->pickle, i);
    qsort(t->places, n, sizeof *t->places, by_key);
    for (size_t i = 0; i < n; i++) {
        const lcm_pickle_storage *s = t->places[i].storage, *last = kept ? t->places[kept - 1].storage : NULL;
        if (last == NULL || compare_keys(last, s) != 0) t->places[kept++] = t->places[i];
        else if (last->dtype != s->dtype || last->numel != s->numel)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "storage '%.*s' has two types or sizes", (int)s->key_len, s->key);
    }
    t->n_places = kept;
    return LCM_OK;
}

static place *find_place(const lcm_torch *t, const lcm_pickle_storage *s) {
    place key = {.storage = s};
    return bsearch(&key, t->places, t->n_places, sizeof *t->places, by_key);
}

static size_t storage_bytes(const lcm_pickle_storage *s) { return (size_t)s->numel * lcm_dtype_size(s->dtype); }

/* ---- The archive ---- */

static lcm_status zip_failed(lcm_ctx *ctx, lcm_status code, zip_error_t *e, const char *what) {
    return lcm_fail(ctx, code, "%s: %s", what, zip_error_strerror(e));
}

/* The only form of entry that torch.save makes. */
static lcm_status check_entry(lcm_ctx *ctx, const lcm_torch *t, zip_stat_t *s, zip_uint64_t i) {
    const zip_uint64_t need = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if (zip_stat_index(t->zip, i, 0, s) != 0 || (s->valid & need) != need)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "zip: entry %llu has no description", (unsigned long long)i);
    if (s->encryption_method != ZIP_EM_NONE) LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "zip: '%.80s' is encrypted", s->name);
    if (s->comp_method != ZIP_CM_STORE || s->comp_size != s->size)
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "zip: '%.80s' is compressed; torch.save only stores", s->name);
    return LCM_OK;
}

/* ROOT/data.pkl; there is one. */
static lcm_status find_pickle(lcm_ctx *ctx, lcm_torch *t, zip_uint64_t *entry, char *root, size_t cap) {
    static const char tail[] = "/data.pkl";
    zip_int64_t n = zip_get_num_entries(t->zip, 0);
    int found = 0;
    for (zip_int64_t i = 0; i < n; i++) {
        const char *name = zip_get_name(t->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW), *at = name ? strrchr(name, '/') : NULL;
        if (at == NULL || strcmp(at, tail) != 0 || (size_t)(at - name) >= cap || found++) continue;
        *entry = (zip_uint64_t)i;
        snprintf(root, cap, "%.*s", (int)(at - name), name);
    }
    if (found != 1) LCM_FAIL(ctx, LCM_ERR_FORMAT, "zip: %d entries 'data.pkl', a file of torch.save has one", found);
    return LCM_OK;
}

static lcm_status read_entry(lcm_ctx *ctx, lcm_torch *t, uint8_t *dst, zip_uint64_t entry, size_t n) {
    zip_file_t *f = zip_fopen_index(t->zip, entry, 0);
    size_t got = 0;
    uint8_t beyond;
    lcm_status st = LCM_OK;
    if (f == NULL) return zip_failed(ctx, LCM_ERR_FORMAT, zip_get_error(t->zip), "zip");
    while (st == LCM_OK && got < n) {
        zip_int64_t k = zip_fread(f, dst + got, n - got);
        if (k <= 0) st = zip_failed(ctx, LCM_ERR_FORMAT, zip_file_get_error(f), "zip: an entry cannot be read");
        else got += (size_t)k;
    }
    if (st == LCM_OK && zip_fread(f, &beyond, 1) != 0) /* at the end libzip compares the sums */
        st = zip_failed(ctx, LCM_ERR_FORMAT, zip_file_get_error(f), "zip: an entry is damaged");
    zip_fclose(f);
    return st;
}

static lcm_status place_entries(lcm_ctx *ctx, lcm_torch *t, const char *root) {
    char name[512];
    zip_stat_t s;
    for (size_t i = 0; i < t->n_places; i++) {
        const lcm_pickle_storage *p = t->places[i].storage;
        zip_int64_t at;
        snprintf(name, sizeof name, "%s/data/%.*s", root, (int)p->key_len, p->key);
        at = zip_name_locate(t->zip, name, ZIP_FL_ENC_RAW);
        if (at < 0) LCM_FAIL(ctx, LCM_ERR_FORMAT, "zip: no entry '%.80s' for a storage", name);
        LCM_TRY(check_entry(ctx, t, &s, (zip_uint64_t)at));
        if (s.size != storage_bytes(p))
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "storage '%.*s' of %lld %s is an entry of %llu bytes", (int)p->key_len, p->key,
                     (long long)p->numel, lcm_dtype_name(p->dtype), (unsigned long long)s.size);
        t->places[i].entry = (zip_uint64_t)at;
    }
    return LCM_OK;
}

/* torch writes "little" or, before 2.1, nothing. */
static lcm_status check_order(lcm_ctx *ctx, lcm_torch *t, const char *root) {
    char name[512];
    uint8_t text[6];
    zip_stat_t s;
    zip_int64_t at;
    snprintf(name, sizeof name, "%s/byteorder", root);
    at = zip_name_locate(t->zip, name, ZIP_FL_ENC_RAW);
    if (at < 0) return LCM_OK;
    LCM_TRY(check_entry(ctx, t, &s, (zip_uint64_t)at));
    if (s.size == sizeof text) {
        LCM_TRY(read_entry(ctx, t, text, (zip_uint64_t)at, sizeof text));
        if (memcmp(text, "little", sizeof text) == 0) return LCM_OK;
    }
    LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "zip: the byte order of the file is not little-endian");
}

static lcm_status open_zip(lcm_ctx *ctx, lcm_torch *t, const uint8_t *bytes, size_t len) {
    zip_error_t e;
    zip_source_t *src;
    lcm_status st = LCM_OK;
    zip_error_init(&e);
    src = zip_source_buffer_create(bytes, len, 0, &e);
    if (src) t->zip = zip_open_from_source(src, ZIP_RDONLY | ZIP_CHECKCONS, &e);
    if (t->zip == NULL) {
        st = zip_failed(ctx, zip_error_code_zip(&e) == ZIP_ER_MEMORY ? LCM_ERR_NOMEM : LCM_ERR_FORMAT, &e, "zip");
        zip_source_free(src);
    }
    zip_error_fini(&e);
    return st;
}

static lcm_status parse_zip(lcm_ctx *ctx, lcm_torch *t, const lcm_pickle_value **root, uint8_t **copy,
                            const uint8_t *bytes, size_t len) {
    char folder[256];
    zip_uint64_t entry = 0;
    zip_stat_t s;
    size_t used;
    LCM_TRY(open_zip(ctx, t, bytes, len));
    LCM_TRY(find_pickle(ctx, t, &entry, folder, sizeof folder));
    LCM_TRY(check_entry(ctx, t, &s, entry));
    if (s.size > LCM_PICKLE_MAX_BYTES)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "pickle of %llu bytes, limit is %d", (unsigned long long)s.size, LCM_PICKLE_MAX_BYTES);
    if (s.size > len) LCM_FAIL(ctx, LCM_ERR_FORMAT, "zip: an entry of %llu bytes in a file of %zu", (unsigned long long)s.size, len);
    LCM_TRY(lcm_calloc(ctx, copy, (size_t)s.size + 1, 1));
    LCM_TRY(read_entry(ctx, t, *copy, entry, (size_t)s.size));
    LCM_TRY(lcm_pickle_read(ctx, t->pickle, root, &used, *copy, (size_t)s.size));
    LCM_TRY(collect_places(ctx, t));
    LCM_TRY(check_order(ctx, t, folder));
    snprintf(t->layout, sizeof t->layout, "PyTorch (zip)");
    return place_entries(ctx, t, folder);
}

/* ---- Before torch 1.6: magic, protocol, machine, object, list of keys; then per key its size and elements ---- */

static lcm_status check_machine(lcm_ctx *ctx, const lcm_pickle_value *protocol, const lcm_pickle_value *machine) {
    const lcm_pickle_value *little = lcm_pickle_get(machine, "little_endian");
    if (protocol->kind != LCM_PICKLE_INT || protocol->u.i != 1001)
        LCM_FAIL(ctx, LCM_ERR_VERSION, "PyTorch: another protocol than 1001");
    if (little == NULL || little->kind != LCM_PICKLE_BOOL || !little->u.i)
        LCM_FAIL(ctx, LCM_ERR_UNSUPPORTED, "PyTorch: the byte order of the file is not little-endian");
    return LCM_OK;
}

static lcm_status place_elements(lcm_ctx *ctx, lcm_torch *t, const lcm_pickle_value *keys, const uint8_t *at, const uint8_t *end) {
    if (keys->kind != LCM_PICKLE_LIST) LCM_FAIL(ctx, LCM_ERR_FORMAT, "PyTorch: no list of storages");
    for (uint32_t i = 0; i < keys->n; i++) {
        const lcm_pickle_value *key = keys->u.items[i];
        lcm_pickle_storage named = {0};
        place *p;
        int64_t numel;
        if (key->kind == LCM_PICKLE_STRING) named.key = key->u.str.s, named.key_len = key->u.str.len;
        p = named.key ? find_place(t, &named) : NULL;
        if (p == NULL || p->data) LCM_FAIL(ctx, LCM_ERR_FORMAT, "PyTorch: storage %u of the list is unknown or listed twice", i);
        if ((size_t)(end - at) < sizeof numel) LCM_FAIL(ctx, LCM_ERR_FORMAT, "PyTorch: the file ends before storage %u", i);
        memcpy(&numel, at, sizeof numel);
        at += sizeof numel;
        if (numel != p->storage->numel || (size_t)(end - at) < storage_bytes(p->storage))
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "storage '%.*s' of %lld %s: %lld are announced, %zu bytes are left",
                     (int)p->storage->key_len, p->storage->key, (long long)p->storage->numel,
                     lcm_dtype_name(p->storage->dtype), (long long)numel, (size_t)(end - at));
        p->data = at;
        at += storage_bytes(p->storage);
    }
    for (size_t i = 0; i < t->n_places; i++)
        if (t->places[i].data == NULL)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "storage '%.*s' is not in the file", (int)t->places[i].storage->key_len,
                     t->places[i].storage->key);
    return LCM_OK;
}

static lcm_status parse_legacy(lcm_ctx *ctx, lcm_torch *t, const lcm_pickle_value **root, const uint8_t *bytes, size_t len) {
    const lcm_pickle_value *part[4];
    size_t at = sizeof legacy_magic, used;
    for (int i = 0; i < 4; i++, at += used) LCM_TRY(lcm_pickle_read(ctx, t->pickle, &part[i], &used, bytes + at, len - at));
    LCM_TRY(check_machine(ctx, part[0], part[1]));
    LCM_TRY(collect_places(ctx, t));
    *root = part[2];
    snprintf(t->layout, sizeof t->layout, "PyTorch (before 1.6)");
    return place_elements(ctx, t, part[3], bytes + at, bytes + len);
}

/* ---- The state dictionary ---- */

static void describe(lcm_torch *t, const char *fmt, int n, const char *s) {
    size_t used = strlen(t->layout);
    snprintf(t->layout + used, sizeof t->layout - used, fmt, n, s);
}

static const lcm_pickle_value *state_dict(lcm_torch *t, const lcm_pickle_value *root) {
    static const char *const usual[] = {"model", "state_dict", "module"};
    const lcm_pickle_value *key = lcm_pickle_get(root, "model_key"), *v = NULL;
    char name[80];
    if (key && key->kind == LCM_PICKLE_STRING && key->u.str.len < sizeof name) {
        snprintf(name, sizeof name, "%.*s", (int)key->u.str.len, key->u.str.s);
        v = lcm_pickle_get(root, name);
    }
    for (size_t i = 0; v == NULL && i < sizeof usual / sizeof *usual; i++) {
        v = lcm_pickle_get(root, usual[i]);
        if (v && v->kind != LCM_PICKLE_DICT) v = NULL;
        if (v) snprintf(name, sizeof name, "%s", usual[i]);
    }
    if (v) describe(t, ", key '%.*s'", 80, name);
    if (lcm_pickle_get(root, "fs2")) describe(t, ", %.*s", 10, "marked fs2");
    return v ? v : root;
}

static const char prefix[] = "module.";

static bool all_prefixed(const lcm_pickle_value *d) {
    for (uint32_t i = 0; i < d->n; i++) {
        const lcm_pickle_value *k = d->u.items[2 * i];
        if (k->kind != LCM_PICKLE_STRING || k->u.str.len < sizeof prefix || memcmp(k->u.str.s, prefix, sizeof prefix - 1) != 0)
            return false;
    }
    return d->n > 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const lcm_torch_tensor *)a)->name, ((const lcm_torch_tensor *)b)->name);
}

static lcm_status list_tensors(lcm_ctx *ctx, lcm_torch *t, const lcm_pickle_value *root) {
    const lcm_pickle_value *d = state_dict(t, root);
    size_t bytes = 1, skip = 0, others = 0;
    char *name;
    if (d->kind != LCM_PICKLE_DICT) LCM_FAIL(ctx, LCM_ERR_FORMAT, "PyTorch: the file holds no dictionary of tensors");
    if (all_prefixed(d)) {
        skip = sizeof prefix - 1;
        describe(t, ", prefix '%.*s' dropped", (int)sizeof prefix, prefix);
    }
    for (uint32_t i = 0; i < d->n; i++)
        if (d->u.items[2 * i]->kind == LCM_PICKLE_STRING) bytes += d->u.items[2 * i]->u.str.len + 1; /* in the pickle, perhaps often the same */
    LCM_TRY(lcm_calloc(ctx, &t->tensors, d->n + (size_t)1, sizeof *t->tensors));
    if (bytes > (size_t)LCM_PICKLE_MAX_BYTES * 2) LCM_FAIL(ctx, LCM_ERR_LIMIT, "PyTorch: names of %zu bytes", bytes);
    LCM_TRY(lcm_calloc(ctx, &t->names, bytes, 1));
    name = t->names;
    for (uint32_t i = 0; i < d->n; i++) {
        const lcm_pickle_value *k = d->u.items[2 * i], *v = d->u.items[2 * i + 1];
        size_t len;
        if (k->kind != LCM_PICKLE_STRING || v->kind != LCM_PICKLE_TENSOR) {
            others++;
            continue;
        }
        len = k->u.str.len - skip;
        if (len > LCM_ST_MAX_NAME) LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor name of %zu bytes, limit is %d", len, LCM_ST_MAX_NAME);
        memcpy(name, k->u.str.s + skip, len);
        t->tensors[t->n++] = (lcm_torch_tensor){name, v->u.tensor, (size_t)(find_place(t, v->u.tensor->storage) - t->places)};
        name += len + 1;
    }
    if (others) lcm_log(ctx, LCM_LOG_INFO, "%zu entries of the dictionary are no tensors and are left out", others);
    qsort(t->tensors, t->n, sizeof *t->tensors, by_name);
    for (size_t i = 1; i < t->n; i++)
        if (strcmp(t->tensors[i - 1].name, t->tensors[i].name) == 0)
            LCM_FAIL(ctx, LCM_ERR_FORMAT, "tensor '%.80s' appears twice", t->tensors[i].name);
    return LCM_OK;
}

lcm_status lcm_torch_parse(lcm_ctx *ctx, lcm_torch **out, const uint8_t *bytes, size_t len) {
    lcm_torch *t;
    const lcm_pickle_value *root = NULL;
    lcm_status st;
    *out = NULL;
    if (!lcm_torch_is(bytes, len)) LCM_FAIL(ctx, LCM_ERR_FORMAT, "not a file of torch.save");
    LCM_TRY(lcm_calloc(ctx, &t, 1, sizeof *t));
    t->open_place = t->held_place = SIZE_MAX;
    st = lcm_pickle_new(ctx, &t->pickle);
    if (st == LCM_OK)
        st = *bytes == 'P' ? parse_zip(ctx, t, &root, &t->pickle_bytes, bytes, len) : parse_legacy(ctx, t, &root, bytes, len);
    if (st == LCM_OK) st = list_tensors(ctx, t, root);
    if (st) lcm_torch_free(t);
    else *out = t;
    return st;
}

void lcm_torch_free(lcm_torch *t) {
    if (t == NULL) return;
    if (t->open) zip_fclose(t->open);
    if (t->zip) zip_discard(t->zip);
    lcm_pickle_free(t->pickle);
    free(t->pickle_bytes);
    free(t->places);
    free(t->tensors);
    free(t->names);
    free(t->held);
    free(t);
}

size_t lcm_torch_count(const lcm_torch *t) { return t->n; }
const lcm_torch_tensor *lcm_torch_at(const lcm_torch *t, size_t i) { return &t->tensors[i]; }
const char *lcm_torch_layout(const lcm_torch *t) { return t->layout; }

/* ---- Reading ---- */

static bool contiguous(const lcm_pickle_tensor *v) {
    int64_t step = 1;
    for (int i = v->ndim - 1; i >= 0; i--) {
        if (v->dims[i] != 1 && v->strides[i] != step) return false;
        step *= v->dims[i];
    }
    return true;
}

/* Bytes at … at + n - 1 of an archive's storage, in order if possible: so libzip sums them up. */
static lcm_status read_archive(lcm_ctx *ctx, lcm_torch *t, uint8_t *dst, size_t place_of, uint64_t at, size_t n) {
    const place *p = &t->places[place_of];
    uint8_t beyond;
    if (t->open_place != place_of || at == 0) {
        if (t->open) zip_fclose(t->open);
        t->open_place = SIZE_MAX;
        t->open = zip_fopen_index(t->zip, p->entry, 0);
        if (t->open == NULL) return zip_failed(ctx, LCM_ERR_FORMAT, zip_get_error(t->zip), "zip");
        t->open_place = place_of;
        t->open_at = 0;
    }
    if (t->open_at != at && zip_fseek(t->open, (zip_int64_t)at, SEEK_SET) != 0)
        return zip_failed(ctx, LCM_ERR_FORMAT, zip_file_get_error(t->open), "zip");
    t->open_at = at + n;
    while (n) {
        zip_int64_t k = zip_fread(t->open, dst, n);
        if (k <= 0) return zip_failed(ctx, LCM_ERR_FORMAT, zip_file_get_error(t->open), "zip: a storage cannot be read");
        dst += k;
        n -= (size_t)k;
    }
    if (t->open_at == storage_bytes(p->storage) && zip_fread(t->open, &beyond, 1) != 0)
        return lcm_fail(ctx, LCM_ERR_FORMAT, "storage '%.*s' is damaged: %s", (int)p->storage->key_len, p->storage->key,
                        zip_error_strerror(zip_file_get_error(t->open)));
    return LCM_OK;
}

/* All bytes of a storage, for views. */
static lcm_status hold(lcm_ctx *ctx, lcm_torch *t, const uint8_t **data, size_t place_of) {
    const place *p = &t->places[place_of];
    *data = p->data;
    if (p->data) return LCM_OK;
    if (t->held_place != place_of) {
        size_t n = storage_bytes(p->storage);
        free(t->held);
        t->held = NULL;
        t->held_place = SIZE_MAX;
        LCM_TRY(lcm_calloc(ctx, &t->held, n + 1, 1));
        LCM_TRY(read_archive(ctx, t, t->held, place_of, 0, n));
        t->held_place = place_of;
    }
    *data = t->held;
    return LCM_OK;
}

static void gather(uint8_t *dst, const uint8_t *data, const lcm_pickle_tensor *v, int64_t first, int64_t n) {
    size_t size = lcm_dtype_size(v->storage->dtype);
    int64_t index[LCM_ST_MAX_RANK] = {0}, at = v->offset;
    for (int i = v->ndim - 1; i >= 0; i--) {
        index[i] = first % v->dims[i];
        first /= v->dims[i];
        at += index[i] * v->strides[i];
    }
    for (; n > 0; n--, dst += size) {
        memcpy(dst, data + (size_t)at * size, size);
        for (int i = v->ndim - 1; i >= 0; i--) {
            at += v->strides[i];
            if (++index[i] < v->dims[i]) break;
            at -= v->dims[i] * v->strides[i];
            index[i] = 0;
        }
    }
}

lcm_status lcm_torch_read(lcm_ctx *ctx, lcm_torch *t, void *dst, const lcm_torch_tensor *x, int64_t first, int64_t n) {
    const lcm_pickle_tensor *v = x->view;
    size_t size = lcm_dtype_size(v->storage->dtype), at = (size_t)(v->offset + first) * size;
    const uint8_t *data;
    if (n == 0) return LCM_OK;
    if (t->zip && contiguous(v)) return read_archive(ctx, t, dst, x->storage, at, (size_t)n * size);
    LCM_TRY(hold(ctx, t, &data, x->storage));
    if (contiguous(v)) memcpy(dst, data + at, (size_t)n * size);
    else gather(dst, data, v, first, n);
    return LCM_OK;
}
