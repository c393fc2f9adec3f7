/* data/store: what is written is read back at any shard size, and nothing else is believed. */
#include "harness/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/half.h"
#include "base/rng.h"
#include "data/store.h"

enum { DIM = 5, MAX_CONCEPTS = 400, MAX_DOCS = 60 };

/* The same value in float16, float32 and double: multiples of 1/64 below 16. */
static void make_vector(real *v, int64_t concept) {
    for (int k = 0; k < DIM; k++) v[k] = (real)((double)((concept * 31 + k * 7) % 1024) / 64 - 8);
}

static size_t make_text(char *text, int64_t concept) {
    return (size_t)sprintf(text, "%*s\xC3\xA9 %lld.", (int)(concept % 4), "", (long long)concept);
}

/* A store with the given concepts per document, `per_shard` documents to a shard. */
static void write_store(fixture *f, const int64_t *counts, int64_t n_docs, int64_t per_shard, lcm_dtype dtype) {
    int64_t concept = 0, index = 0;
    for (int64_t d = 0; d < n_docs; index++) {
        lcm_store_report report = {.docs_empty = 1, .sentences_shortened = index};
        lcm_shard *s;
        assert_int_equal(lcm_shard_new(f->ctx, &s, DIM, dtype), LCM_OK);
        for (int64_t k = 0; k < per_shard && d < n_docs; k++, d++) {
            bool kept;
            for (int64_t i = 0; i < counts[d]; i++, concept++) {
                real v[DIM];
                char text[64];
                size_t len = make_text(text, concept);
                make_vector(v, concept);
                assert_int_equal(lcm_shard_add(f->ctx, s, v, text, len), LCM_OK);
            }
            assert_int_equal(lcm_shard_end_doc(f->ctx, s, &kept), LCM_OK);
            assert_int_equal(kept, counts[d] > 0);
        }
        assert_int_equal(lcm_shard_write(f->ctx, s, f->dir, index, "space-1", &report), LCM_OK);
        lcm_shard_free(s);
    }
    assert_int_equal(lcm_store_finish(f->ctx, f->dir, index, NULL), LCM_OK);
}

static void check_store(fixture *f, const lcm_store *s, const int64_t *counts, int64_t n_docs) {
    int64_t concept = 0, doc = 0, all[MAX_DOCS];
    static real rows[MAX_CONCEPTS * DIM];
    lcm_store_doc_counts(all, s);
    for (int64_t d = 0; d < n_docs; d++) {
        int64_t first, count;
        if (counts[d] == 0) continue;
        assert_int_equal(lcm_store_doc(f->ctx, &first, &count, s, doc), LCM_OK);
        assert_int_equal(first, concept);
        assert_int_equal(count, counts[d]);
        assert_int_equal(all[doc], counts[d]);
        concept += count;
        doc++;
    }
    assert_int_equal(lcm_store_n_docs(s), doc);
    assert_int_equal(lcm_store_n_concepts(s), concept);
    assert_int_equal(lcm_store_vectors(f->ctx, rows, s, 0, concept), LCM_OK); /* spans all shards */
    for (int64_t i = 0; i < concept; i++) {
        real want[DIM], row[DIM];
        char want_text[64];
        const char *text;
        size_t len, want_len = make_text(want_text, i);
        make_vector(want, i);
        assert_memory_equal(rows + i * DIM, want, sizeof want);
        assert_int_equal(lcm_store_vectors(f->ctx, row, s, i, 1), LCM_OK);
        assert_memory_equal(row, want, sizeof want);
        assert_int_equal(lcm_store_text(f->ctx, &text, &len, s, i), LCM_OK);
        assert_int_equal(len, want_len);
        assert_memory_equal(text, want_text, len);
    }
}

static void round_trip_at_any_shard_size(void **state) {
    fixture *f = *state;
    lcm_rng r = lcm_rng_make(8, LCM_RNG_TEST);
    static const int64_t shard_sizes[] = {1, 2, 7, 1000};
    for (int round = 0; round < 8; round++) {
        int64_t n_docs = 1 + (int64_t)lcm_rng_below(&r, MAX_DOCS), counts[MAX_DOCS], n_shards;
        int64_t per = shard_sizes[round / 2];
        lcm_store *s;
        for (int64_t d = 0; d < n_docs; d++) counts[d] = (int64_t)lcm_rng_below(&r, 6); /* empty ones: empty shards */
        n_shards = (n_docs + per - 1) / per;
        write_store(f, counts, n_docs, per, round & 1 ? LCM_DT_F16 : LCM_DT_F32);
        assert_int_equal(lcm_store_open(f->ctx, &s, f->dir), LCM_OK);
        check_store(f, s, counts, n_docs);
        assert_int_equal(lcm_store_verify(f->ctx, s), LCM_OK);
        assert_int_equal(lcm_store_dim(s), DIM);
        assert_int_equal(lcm_store_dtype(s), round & 1 ? LCM_DT_F16 : LCM_DT_F32);
        assert_string_equal(lcm_store_space(s), "space-1");
        assert_int_equal(lcm_store_get_report(s)->docs_empty, n_shards);
        assert_int_equal(lcm_store_get_report(s)->sentences_shortened, n_shards * (n_shards - 1) / 2);
        lcm_store_close(s);
    }
}

/* float16 keeps 11 significant bits: the relative error is at most 2^-11 in the normal range. */
static void half_rounds_to_nearest(void **state) {
    fixture *f = *state;
    lcm_rng r = lcm_rng_make(9, LCM_RNG_TEST);
    lcm_store_report report = {0};
    real in[200][DIM], out[200][DIM];
    lcm_shard *s;
    lcm_store *store;
    bool kept;
    assert_int_equal(lcm_shard_new(f->ctx, &s, DIM, LCM_DT_F16), LCM_OK);
    for (int i = 0; i < 200; i++) {
        for (int k = 0; k < DIM; k++) in[i][k] = (real)(lcm_rng_normal(&r) * pow(10, i % 5 - 2) + 1e-3);
        assert_int_equal(lcm_shard_add(f->ctx, s, in[i], "x", 1), LCM_OK);
    }
    assert_int_equal(lcm_shard_end_doc(f->ctx, s, &kept), LCM_OK);
    assert_int_equal(lcm_shard_write(f->ctx, s, f->dir, 0, "", &report), LCM_OK);
    lcm_shard_free(s);
    assert_int_equal(lcm_store_finish(f->ctx, f->dir, 1, NULL), LCM_OK);
    assert_int_equal(lcm_store_open(f->ctx, &store, f->dir), LCM_OK);
    assert_int_equal(lcm_store_vectors(f->ctx, out[0], store, 0, 200), LCM_OK);
    for (int i = 0; i < 200; i++)
        for (int k = 0; k < DIM; k++) {
            double bound = fmax(fabs((double)in[i][k]), 0x1p-14) * 0x1p-11;
            assert_true(fabs((double)out[i][k] - (double)in[i][k]) <= bound);
        }
    lcm_store_close(store);
}

static void values_that_are_not_finite(void **state) {
    fixture *f = *state;
    real v[DIM] = {0, 1, 70000, 0, 0};
    lcm_shard *s;
    bool kept;
    assert_int_equal(lcm_shard_new(f->ctx, &s, DIM, LCM_DT_F16), LCM_OK);
    assert_int_equal(lcm_shard_add(f->ctx, s, v, "x", 1), LCM_ERR_NUMERIC); /* float16 ends at 65504 */
    assert_string_equal(lcm_ctx_message(f->ctx), "value 2 of the vector is 70000, not finite in F16");
    assert_int_equal(lcm_shard_end_doc(f->ctx, s, &kept), LCM_OK);
    assert_false(kept);
    lcm_shard_free(s);
    assert_int_equal(lcm_shard_new(f->ctx, &s, DIM, LCM_DT_F32), LCM_OK);
    assert_int_equal(lcm_shard_add(f->ctx, s, v, "x", 1), LCM_OK);
    v[4] = NAN;
    assert_int_equal(lcm_shard_add(f->ctx, s, v, "x", 1), LCM_ERR_NUMERIC);
    v[4] = -INFINITY;
    assert_int_equal(lcm_shard_add(f->ctx, s, v, "x", 1), LCM_ERR_NUMERIC);
    lcm_shard_free(s);
}

static void bad_arguments(void **state) {
    fixture *f = *state;
    static const int64_t counts[] = {2, 3};
    lcm_store_report report = {0};
    real v[DIM * 8] = {0};
    lcm_shard *shard;
    lcm_store *s;
    int64_t first, count;
    const char *text;
    size_t len;
    assert_int_equal(lcm_shard_new(f->ctx, &shard, 0, LCM_DT_F16), LCM_ERR_ARG);
    assert_int_equal(lcm_shard_new(f->ctx, &shard, LCM_STORE_MAX_DIM + 1, LCM_DT_F16), LCM_ERR_ARG);
    assert_int_equal(lcm_shard_new(f->ctx, &shard, DIM, LCM_DT_BF16), LCM_ERR_ARG);
    assert_null(shard);
    assert_int_equal(lcm_shard_new(f->ctx, &shard, DIM, LCM_DT_F32), LCM_OK);
    assert_int_equal(lcm_shard_add(f->ctx, shard, v, "x", 1), LCM_OK);
    assert_int_equal(lcm_shard_write(f->ctx, shard, f->dir, 0, "", &report), LCM_ERR_ARG); /* open document */
    lcm_shard_free(shard);
    assert_int_equal(lcm_store_finish(f->ctx, f->dir, 0, NULL), LCM_ERR_ARG);
    assert_int_equal(lcm_store_open(f->ctx, &s, f->dir), LCM_ERR_NOTFOUND);
    write_store(f, counts, 2, 1, LCM_DT_F32);
    assert_int_equal(lcm_store_open(f->ctx, &s, f->dir), LCM_OK);
    assert_int_equal(lcm_store_doc(f->ctx, &first, &count, s, 2), LCM_ERR_ARG);
    assert_int_equal(lcm_store_doc(f->ctx, &first, &count, s, -1), LCM_ERR_ARG);
    assert_int_equal(lcm_store_text(f->ctx, &text, &len, s, 5), LCM_ERR_ARG);
    assert_int_equal(lcm_store_vectors(f->ctx, v, s, 5, 0), LCM_OK);
    assert_int_equal(lcm_store_vectors(f->ctx, v, s, 4, 2), LCM_ERR_ARG);
    assert_int_equal(lcm_store_vectors(f->ctx, v, s, -1, 2), LCM_ERR_ARG);
    assert_int_equal(lcm_store_vectors(f->ctx, v, s, 1, INT64_MAX), LCM_ERR_ARG);
    lcm_store_close(s);
}

static lcm_status reopen(fixture *f) {
    lcm_store *s;
    lcm_status st = lcm_store_open(f->ctx, &s, f->dir);
    if (st) assert_null(s);
    lcm_store_close(s);
    return st;
}

/* Replaces the first `from` in DIR/NAME, opens, and puts the file back. */
static lcm_status reopen_with(fixture *f, const char *name, const char *from, const char *to) {
    lcm_buf b = {0};
    lcm_status st;
    char *at;
    FILE *out;
    assert_int_equal(lcm_read_file(f->ctx, &b, tmpdir_path(f->dir, name), 1 << 20), LCM_OK);
    at = memmem(b.data, b.len, from, strlen(from));
    assert_non_null(at);
    out = fopen(tmpdir_path(f->dir, name), "wb");
    assert_non_null(out);
    fwrite(b.data, 1, (size_t)(at - b.data), out);
    fwrite(to, 1, strlen(to), out);
    fwrite(at + strlen(from), 1, b.len - (size_t)(at - b.data) - strlen(from), out);
    fclose(out);
    st = reopen(f);
    tmpdir_write(f->dir, name, b.data, b.len);
    lcm_buf_free(&b);
    return st;
}

static void manifest_is_not_believed(void **state) {
    fixture *f = *state;
    static const int64_t counts[] = {2, 3, 1};
    static const struct {
        const char *from, *to;
        lcm_status want;
    } cases[] = {
        {"\"version\": 1", "\"version\": 2", LCM_ERR_VERSION},
        {"lcm.concept_store", "other", LCM_ERR_FORMAT},
        {"\"version\": 1,", "\"version\": 1, \"extra\": 1,", LCM_ERR_FORMAT},
        {"\"dim\": 5", "\"dim\": 4", LCM_ERR_SHAPE},
        {"\"dim\": 5", "\"dim\": -5", LCM_ERR_FORMAT},
        {"\"dtype\": \"F32\"", "\"dtype\": \"F16\"", LCM_ERR_SHAPE},
        {"\"space\": \"space-1\"", "\"space\": \"space-2\"", LCM_ERR_FORMAT},
        {"\"concepts\": 6", "\"concepts\": 7", LCM_ERR_FORMAT},
        {"\"docs\": 2", "\"docs\": 1", LCM_ERR_FORMAT},
        {"shard-000001", "../ard-00001", LCM_ERR_FORMAT},
        {"shard-000001", "shard-000000", LCM_ERR_FORMAT},
        {"\"shards\": [", "\"shards\": 7, \"x\": [", LCM_ERR_FORMAT},
        {"\"hash\": \"", "\"hash\": \"0", LCM_ERR_FORMAT},
        {"{", "", LCM_ERR_FORMAT},
    };
    write_store(f, counts, 3, 2, LCM_DT_F32);
    assert_int_equal(reopen(f), LCM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lcm_status st = reopen_with(f, "manifest.json", cases[i].from, cases[i].to);
        if (st != cases[i].want) print_message("case %zu: %s\n", i, lcm_ctx_message(f->ctx));
        assert_int_equal(st, cases[i].want);
    }
    assert_int_equal(reopen(f), LCM_OK);
    assert_int_equal(unlink(tmpdir_path(f->dir, "shard-000001.safetensors")), 0);
    assert_int_equal(reopen(f), LCM_ERR_NOTFOUND);
}

/* A shard whose tensors are given freely; `text` of 4 bytes, 2 concepts of width 1. */
static lcm_status view_of(fixture *f, const int64_t *docs, int64_t n_docs, const int64_t *spans, int64_t n_spans) {
    static const float rows[2] = {1, 2};
    static const char report[] = "{\"docs\":1,\"concepts\":2,\"text_bytes\":4}";
    int64_t rows_dims[2] = {2, 1}, text_dims = 4;
    lcm_st_writer *w;
    lcm_status st;
    assert_int_equal(lcm_st_writer_new(f->ctx, &w), LCM_OK);
    lcm_st_writer_meta(f->ctx, w, "lcm.format", "1");
    lcm_st_writer_meta(f->ctx, w, "lcm.kind", "concept_shard");
    lcm_st_writer_meta(f->ctx, w, "lcm.space", "s");
    lcm_st_writer_meta(f->ctx, w, "lcm.hash", "0");
    lcm_st_writer_meta(f->ctx, w, "lcm.report", report);
    lcm_st_writer_add(f->ctx, w, "embeddings", LCM_DT_F32, rows_dims, 2, rows);
    lcm_st_writer_add(f->ctx, w, "doc_offsets", LCM_DT_I64, &n_docs, 1, docs);
    lcm_st_writer_add(f->ctx, w, "text_offsets", LCM_DT_I64, &n_spans, 1, spans);
    lcm_st_writer_add(f->ctx, w, "text", LCM_DT_U8, &text_dims, 1, "abcd");
    assert_int_equal(lcm_st_writer_commit(f->ctx, w, tmpdir_path(f->dir, "shard-000000.safetensors")), LCM_OK);
    lcm_st_writer_free(w);
    st = lcm_store_finish(f->ctx, f->dir, 1, NULL);
    return st ? st : reopen(f);
}

static void offsets_are_checked(void **state) {
    fixture *f = *state;
    static const int64_t ok_docs[] = {0, 2}, ok_spans[] = {0, 1, 4};
    static const int64_t docs[][2] = {{1, 2}, {0, 1}, {0, 3}, {0, -1}, {2, 2}, {0, INT64_MAX}};
    static const int64_t spans[][3] = {{0, 5, 4}, {0, -1, 4}, {0, 1, 3}, {1, 1, 4}, {0, 1, INT64_MIN}, {0, 3, 2}};
    assert_int_equal(view_of(f, ok_docs, 2, ok_spans, 3), LCM_OK);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(view_of(f, docs[i], 2, ok_spans, 3), LCM_ERR_FORMAT);
        assert_int_equal(view_of(f, ok_docs, 2, spans[i], 3), LCM_ERR_FORMAT);
    }
    assert_int_equal(view_of(f, ok_docs, 0, ok_spans, 3), LCM_ERR_SHAPE);
    assert_int_equal(view_of(f, ok_docs, 1, ok_spans, 3), LCM_ERR_FORMAT);
    assert_int_equal(view_of(f, ok_docs, 2, ok_spans, 2), LCM_ERR_SHAPE);
}

/* Whatever byte of a shard changes, opening or verification says so; a cut file does not open.
 * Nothing is read out of bounds (sanitizer build). */
static void damage_is_found(void **state) {
    fixture *f = *state;
    static const int64_t counts[] = {2, 3};
    const char *path;
    lcm_buf b = {0};
    write_store(f, counts, 2, 2, LCM_DT_F16);
    path = tmpdir_path(f->dir, "shard-000000.safetensors");
    assert_int_equal(lcm_read_file(f->ctx, &b, path, 1 << 20), LCM_OK);
    for (size_t i = 0; i < b.len; i++) {
        lcm_store *s;
        lcm_status st;
        b.data[i] ^= 0x10;
        tmpdir_write(f->dir, "shard-000000.safetensors", b.data, b.len);
        b.data[i] ^= 0x10;
        st = lcm_store_open(f->ctx, &s, f->dir);
        if (st == LCM_OK) st = lcm_store_verify(f->ctx, s);
        lcm_store_close(s);
        if (st == LCM_OK) print_message("byte %zu\n", i);
        assert_int_not_equal(st, LCM_OK);
    }
    for (size_t n = 0; n < b.len; n += 1 + n / 20) {
        tmpdir_write(f->dir, "shard-000000.safetensors", b.data, n);
        assert_int_not_equal(reopen(f), LCM_OK);
    }
    lcm_buf_free(&b);
}

/* Values that are not finite, with a hash that agrees: a store made elsewhere. */
static void verify_names_the_sentence(void **state) {
    fixture *f = *state;
    static const int64_t counts[] = {2, 3};
    char path[LCM_PATH_MAX];
    lcm_buf b = {0};
    lcm_store *s;
    lcm_st *st;
    const lcm_st_tensor *t;
    uint64_t h = LCM_HASH_INIT;
    char old_hash[17], new_hash[17];
    size_t at;
    static const char *const names[] = {"embeddings", "doc_offsets", "text_offsets", "text"};
    write_store(f, counts, 2, 2, LCM_DT_F32);
    strcpy(path, tmpdir_path(f->dir, "shard-000000.safetensors"));
    assert_int_equal(lcm_read_file(f->ctx, &b, path, 1 << 20), LCM_OK);
    assert_int_equal(lcm_st_parse(f->ctx, &st, b.data, b.len), LCM_OK);
    strcpy(old_hash, lcm_st_meta(st, "lcm.hash"));
    at = (size_t)((const char *)lcm_st_find(st, "embeddings")->data - b.data) + (3 * DIM + 4) * 4;
    memcpy(b.data + at, "\0\0\xC0\x7F", 4);
    for (int i = 0; i < 4; i++) t = lcm_st_find(st, names[i]), h = lcm_hash64(h, t->data, t->nbytes);
    lcm_st_close(st);
    snprintf(new_hash, sizeof new_hash, "%016llx", (unsigned long long)h);
    memcpy(memmem(b.data, b.len, old_hash, 16), new_hash, 16);
    tmpdir_write(f->dir, "shard-000000.safetensors", b.data, b.len);
    assert_int_equal(lcm_store_finish(f->ctx, f->dir, 1, NULL), LCM_OK);
    assert_int_equal(lcm_store_open(f->ctx, &s, f->dir), LCM_OK);
    assert_int_equal(lcm_store_verify(f->ctx, s), LCM_ERR_NUMERIC);
    assert_string_equal(lcm_ctx_message(f->ctx), "document 1, sentence 1: value 4 of the vector is nan");
    lcm_store_close(s);
    lcm_buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip_at_any_shard_size, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(half_rounds_to_nearest, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(values_that_are_not_finite, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(bad_arguments, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(manifest_is_not_believed, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(offsets_are_checked, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(damage_is_found, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(verify_names_the_sentence, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
