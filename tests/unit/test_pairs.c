/* Pairs of source and target from JSON lines to chunks: what is kept, what is counted, what is refused. */
#include "harness/fixture.h"

#include <stdlib.h>
#include <string.h>

#include "data/prepare.h"
#include "modelfile/safetensors.h"
#include "train/chunks.h"

enum { DIM = 2 };

#define OK(call) assert_ok(f->ctx, call)

/* A vector that tells its sentence: the first number in it, and its length. "drop" is dropped. */
static lcm_status encode(lcm_ctx *ctx, void *user, real *out, uint8_t *fate, const char *const *s, const size_t *len,
                         size_t n) {
    (void)ctx;
    (void)user;
    for (size_t i = 0; i < n; i++) {
        const char *digit = s[i];
        while (digit < s[i] + len[i] && (*digit < '0' || *digit > '9')) digit++;
        out[i * DIM] = digit < s[i] + len[i] ? (real)strtol(digit, NULL, 10) : -1;
        out[i * DIM + 1] = (real)len[i];
        if (memmem(s[i], len[i], "drop", 4)) fate[i] = LCM_SENTENCE_DROPPED;
    }
    return LCM_OK;
}

static lcm_prepare_opts options(void) {
    lcm_prepare_opts o = {.dim = DIM, .dtype = LCM_DT_F32, .space = "0123456789abcdef", .encode = encode};
    o.docs.key = "target";
    o.docs.source_key = "source";
    o.batch = 3; /* pairs span batches */
    o.unit_docs = 2;
    return o;
}

static const char pairs[] =
    "{\"source\": \"I am 1. I am 2. I am 3.\", \"target\": \"Say 4. Say 5.\"}\n"
    "{\"source\": [\"Ten 10. And more.\", \"Two\\nlines 11.\"], \"target\": [\"All 12.\"]}\n"
    "{\"source\": \"Lonely 1.\", \"target\": \"  \"}\n"             /* empty */
    "{\"source\": [\" \", \"\"], \"target\": \"Lonely 1.\"}\n"      /* empty */
    "{\"source\": \"No target 1.\"}\n"                              /* no text */
    "{\"target\": \"No source 1.\", \"source\": [\"One.\", 2]}\n"   /* no text */
    "{\"source\": \"To drop 1. To drop 2.\", \"target\": \"Gone 3.\"}\n" /* no sentence on one side */
    "{\"source\": \"Gone 1. Gone 2.\", \"target\": \"To drop 3.\"}\n"    /* no sentence on one side */
    "{\"source\": \"To drop 20. Keep 21.\", \"target\": \"Keep 22. To drop 23. Keep 24.\"}\n";

static lcm_store *make_store(fixture *f, const char *text, const lcm_prepare_opts *o, const char *name) {
    const char *input = tmpdir_write(f->dir, "pairs.jsonl", text, strlen(text));
    const char *dir = tmpdir_path(f->dir, name);
    lcm_store *s;
    OK(lcm_prepare(f->ctx, dir, &input, 1, o));
    OK(lcm_store_open(f->ctx, &s, dir));
    OK(lcm_store_verify(f->ctx, s));
    return s;
}

static void check_numbers(fixture *f, const lcm_store *s, const int *want, int64_t n) {
    assert_int_equal(lcm_store_n_concepts(s), n);
    for (int64_t i = 0; i < n; i++) {
        real v[DIM];
        OK(lcm_store_vectors(f->ctx, v, s, i, 1));
        assert_int_equal((int)v[0], want[i]);
    }
}

static void pairs_become_documents(void **state) {
    static const int want[] = {1, 2, 3, 4, 5, 10, 11, 12, 21, 22, 24};
    fixture *f = *state;
    lcm_prepare_opts o = options();
    for (int64_t unit = 1; unit < 12; unit += 5) { /* any division into shards */
        lcm_store *s;
        const lcm_store_report *r;
        int64_t counts[3], targets[3];
        char name[16];
        const char *text;
        size_t len;
        o.unit_docs = unit;
        snprintf(name, sizeof name, "store%d", (int)unit);
        s = make_store(f, pairs, &o, name);
        r = lcm_store_get_report(s);
        assert_true(lcm_store_has_targets(s));
        assert_int_equal(lcm_store_n_docs(s), 3);
        lcm_store_doc_counts(counts, s);
        lcm_store_targets(targets, s);
        assert_memory_equal(counts, ((int64_t[]){5, 3, 3}), sizeof counts);
        assert_memory_equal(targets, ((int64_t[]){3, 2, 1}), sizeof targets);
        check_numbers(f, s, want, 11);
        OK(lcm_store_text(f->ctx, &text, &len, s, 6)); /* a sentence of a list is not cut, and is one line */
        assert_int_equal(len, 13);
        assert_memory_equal(text, "Two lines 11.", 13);
        assert_int_equal(r->docs_empty, 2);
        assert_int_equal(r->docs_no_text, 2);
        assert_int_equal(r->docs_no_sentence, 2);
        assert_int_equal(r->sentences_dropped, 5);
        lcm_store_close(s);
    }
}

static void lists_are_texts_without_pairs(void **state) {
    static const int want[] = {4, 5};
    fixture *f = *state;
    lcm_prepare_opts o = options();
    lcm_store *s;
    o.docs.source_key = NULL;
    s = make_store(f, "{\"target\": [\"A 4. B 4.\", \"C 5.\"]}\n", &o, "store");
    assert_false(lcm_store_has_targets(s));
    check_numbers(f, s, want, 2);
    lcm_store_close(s);
}

static void strict_names_the_bad_pair(void **state) {
    static const char *const bad[][2] = {
        {"{\"source\": \"A 1.\", \"target\": \"\"}", ":2: empty: target"},
        {"{\"source\": 3, \"target\": \"A 1.\"}", ":2: no_text: source"},
        {"{\"source\": [\"a\", null], \"target\": \"A 1.\"}", ":2: no_text: source"},
    };
    fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        char text[256], name[16];
        const char *input;
        lcm_prepare_opts o = options();
        o.docs.strict = true;
        snprintf(name, sizeof name, "store%d", i);
        snprintf(text, sizeof text, "{\"source\": \"A 1.\", \"target\": \"B 2.\"}\n%s\n", bad[i][0]);
        input = tmpdir_write(f->dir, "pairs.jsonl", text, strlen(text));
        assert_int_equal(lcm_prepare(f->ctx, tmpdir_path(f->dir, name), &input, 1, &o), LCM_ERR_FORMAT);
        assert_non_null(strstr(lcm_ctx_message(f->ctx), bad[i][1]));
    }
}

static void text_files_hold_no_pairs(void **state) {
    fixture *f = *state;
    lcm_prepare_opts o = options();
    const char *input = tmpdir_write(f->dir, "a.txt", "A 1.\n", 5);
    assert_int_equal(lcm_prepare(f->ctx, tmpdir_path(f->dir, "store"), &input, 1, &o), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "only .jsonl"));
}

/* ---- shards ---- */

static void shards_are_of_one_sort(void **state) {
    static const real v[DIM] = {1, 2};
    fixture *f = *state;
    lcm_store_report report = {0};
    bool kept;
    for (int64_t i = 0; i < 2; i++) {
        lcm_shard *s;
        OK(lcm_shard_new(f->ctx, &s, DIM, LCM_DT_F32));
        if (i) lcm_shard_set_pairs(s);
        OK(lcm_shard_add(f->ctx, s, v, "a", 1));
        OK(lcm_shard_add(f->ctx, s, v, "b", 1));
        assert_int_equal(i ? lcm_shard_end_doc(f->ctx, s, &kept) : lcm_shard_end_pair(f->ctx, s, 1, &kept), LCM_ERR_ARG);
        assert_int_equal(i ? lcm_shard_end_pair(f->ctx, s, 3, &kept) : LCM_ERR_ARG, LCM_ERR_ARG);
        OK(i ? lcm_shard_end_pair(f->ctx, s, 1, &kept) : lcm_shard_end_doc(f->ctx, s, &kept));
        assert_true(kept);
        OK(lcm_shard_write(f->ctx, s, f->dir, i, "0123456789abcdef", &report));
        lcm_shard_free(s);
    }
    assert_int_equal(lcm_store_finish(f->ctx, f->dir, 2, NULL), LCM_ERR_FORMAT);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "pairs"));
}

/* The store with its first source made `source` concepts long, by writing over the file. */
static lcm_status open_damaged(fixture *f, const char *dir, int64_t source) {
    char path[LCM_PATH_MAX];
    lcm_buf b = {0};
    lcm_st *st;
    lcm_store *s = NULL;
    size_t at;
    lcm_status result;
    OK(lcm_shard_path(f->ctx, path, dir, 0));
    OK(lcm_read_file(f->ctx, &b, path, 1 << 20));
    OK(lcm_st_parse(f->ctx, &st, b.data, b.len));
    at = (size_t)((const char *)lcm_st_find(st, "doc_targets")->data - b.data);
    lcm_st_close(st);
    memcpy(b.data + at, &source, sizeof source);
    OK(lcm_write_file(f->ctx, path, b.data, b.len));
    lcm_buf_free(&b);
    result = lcm_store_open(f->ctx, &s, dir);
    if (result == LCM_OK) result = lcm_store_verify(f->ctx, s);
    lcm_store_close(s);
    return result;
}

static void damaged_targets_are_refused(void **state) {
    static const int64_t bad[] = {-1, 0, 5, 6, INT64_MAX, 2}; /* 2 is possible, but not what was hashed */
    fixture *f = *state;
    lcm_prepare_opts o = options();
    char dir[LCM_PATH_MAX];
    lcm_store_close(make_store(f, pairs, &o, "store"));
    strcpy(dir, tmpdir_path(f->dir, "store"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(open_damaged(f, dir, bad[i]), LCM_ERR_FORMAT);
    assert_int_equal(open_damaged(f, dir, 3), LCM_OK);
}

/* ---- chunks ---- */

static real marks[5][DIM] = {{100, 0}, {101, 0}, {102, 0}, {103, 0}, {104, 0}};

/* One sentence each, but two before the target. */
static lcm_affixes affixes(void) {
    return (lcm_affixes){{marks[0], marks[1], marks[2], marks[4]}, {1, 1, 2, 1}};
}

static void check_chunk(fixture *f, const lcm_chunks *c, int64_t i, const int *want, int64_t n) {
    real x[32 * DIM];
    assert_int_equal(c->lengths[i], n);
    OK(lcm_chunks_read(f->ctx, x, c, i));
    for (int64_t k = 0; k < n; k++) assert_int_equal((int)x[k * DIM], want[k]);
}

static void supervised_chunks(void **state) {
    static const int first[] = {100, 1, 2, 3, 101, 102, 103, 4, 5, 104}, second[] = {100, 10, 11, 101, 102, 103, 12, 104};
    fixture *f = *state;
    lcm_prepare_opts po = options();
    lcm_chunks_opts o = {.max_len = 10, .min_len = 2, .supervised = true};
    lcm_affixes a = affixes();
    lcm_store *s = make_store(f, pairs, &po, "store");
    lcm_chunks c;
    OK(lcm_chunks_make(f->ctx, &c, s, &a, &o));
    assert_int_equal(c.n, 3);
    assert_int_equal(c.n_long + c.n_short, 0);
    check_chunk(f, &c, 0, first, 10);
    check_chunk(f, &c, 1, second, 8);
    assert_int_equal(c.source[0], 5); /* the prefix of the target is predicted */
    assert_int_equal(c.source[1], 4);
    assert_int_equal(c.source[2], 3);
    lcm_chunks_free(&c);
    /* one concept too many: the pair is left out, not cut */
    o.max_len = 9;
    OK(lcm_chunks_make(f->ctx, &c, s, &a, &o));
    assert_int_equal(c.n, 2);
    assert_int_equal(c.n_long, 1);
    check_chunk(f, &c, 0, second, 8);
    lcm_chunks_free(&c);
    lcm_store_close(s);
}

/* Of the same store, without supervision: whole documents, cut where the window ends. */
static void unsupervised_chunks(void **state) {
    static const int want[][3] = {{1, 2, 3}, {4, 5, 104}, {10, 11, 12}, {21, 22, 24}};
    fixture *f = *state;
    lcm_prepare_opts po = options();
    lcm_chunks_opts o = {.max_len = 3, .min_len = 2};
    lcm_affixes a = affixes();
    lcm_store *s = make_store(f, pairs, &po, "store");
    lcm_chunks c;
    OK(lcm_chunks_make(f->ctx, &c, s, &a, &o));
    assert_int_equal(c.n, 4);
    assert_int_equal(c.n_short, 2); /* two ends of text, each alone in a chunk */
    for (int i = 0; i < 4; i++) {
        check_chunk(f, &c, i, want[i], 3);
        assert_int_equal(c.source[i], 0);
    }
    lcm_chunks_free(&c);
    lcm_store_close(s);
}

static void a_store_without_targets_is_refused(void **state) {
    fixture *f = *state;
    lcm_prepare_opts po = options();
    lcm_chunks_opts o = {.max_len = 10, .min_len = 2, .supervised = true};
    lcm_affixes a = affixes();
    lcm_store *s;
    lcm_chunks c;
    po.docs.source_key = NULL;
    s = make_store(f, pairs, &po, "store");
    assert_int_equal(lcm_chunks_make(f->ctx, &c, s, &a, &o), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "--source-key"));
    assert_null(c.lengths);
    lcm_store_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(pairs_become_documents), TEST(lists_are_texts_without_pairs),      TEST(strict_names_the_bad_pair),
        TEST(text_files_hold_no_pairs), TEST(shards_are_of_one_sort),           TEST(damaged_targets_are_refused),
        TEST(supervised_chunks),      TEST(unsupervised_chunks),                TEST(a_store_without_targets_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
