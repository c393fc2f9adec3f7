/* data/prepare: the store is a function of input and options, whoever makes it and however often
 * its makers are killed. */
#include "harness/fixture.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/claim.h"
#include "data/prepare.h"

enum { DIM = 6, N_DOCS = 90 };

static int setup(void **state) {
    alarm(120); /* a waiting process that waits for nobody ends the test */
    return fixture_setup(state);
}

/* What the calls share. All optional. */
typedef struct behaviour {
    int64_t calls, stop_after; /* encode: block for ever at this call, after a byte to `wake` */
    int wake;
    int64_t delay_us;
    int64_t cancel_units; /* progress: stop when this many units are made */
    const char *bad_text; /* encode: NaN for this sentence */
    lcm_prepare_progress last;
} behaviour;

static bool has(const char *s, size_t n, const char *word) { return memmem(s, n, word, strlen(word)) != NULL; }

/* A vector that depends on the sentence alone, exact in float16. */
static void fake_vector(real *v, const char *s, size_t n) {
    uint64_t h = lcm_hash64(LCM_HASH_INIT, s, n);
    for (int k = 0; k < DIM; k++) v[k] = (real)((double)(h >> (8 * k) & 0xFF) / 64);
}

static lcm_status fake_encode(lcm_ctx *ctx, void *user, real *out, uint8_t *fate, const char *const *sentences,
                              const size_t *lens, size_t n) {
    behaviour *b = user;
    (void)ctx;
    if (b->stop_after && ++b->calls >= b->stop_after) {
        if (write(b->wake, "x", 1) != 1) _exit(9);
        for (;;) pause();
    }
    if (b->delay_us) usleep((useconds_t)b->delay_us);
    for (size_t i = 0; i < n; i++) {
        fake_vector(out + i * DIM, sentences[i], lens[i]);
        if (b->bad_text && has(sentences[i], lens[i], b->bad_text)) out[i * DIM + 2] = NAN;
        if (has(sentences[i], lens[i], "drop")) fate[i] = LCM_SENTENCE_DROPPED;
        if (has(sentences[i], lens[i], "cut")) fate[i] = LCM_SENTENCE_SHORTENED;
    }
    return LCM_OK;
}

static lcm_status fake_progress(void *user, const lcm_prepare_progress *p) {
    behaviour *b = user;
    b->last = *p;
    return b->cancel_units && p->units >= b->cancel_units ? LCM_ERR_CANCELLED : LCM_OK;
}

static lcm_prepare_opts options(behaviour *b) {
    lcm_prepare_opts o = {.dim = DIM, .dtype = LCM_DT_F16, .space = "0123456789abcdef", .recipe = "fake"};
    o.unit_docs = 7;
    o.batch = 5;
    o.encode = fake_encode;
    o.progress = fake_progress;
    o.user = b;
    return o;
}

/* Two files; some documents are bad in each way, some sentences are dropped or cut. */
static void write_corpus(fixture *f) {
    lcm_buf t = {0}, j = {0};
    for (int i = 0; i < N_DOCS; i++) {
        lcm_buf *b = i % 2 ? &t : &j;
        const char *open = i % 2 ? "" : "{\"text\":\"", *close = i % 2 ? "\n" : "\"}\n";
        assert_int_equal(lcm_buf_printf(f->ctx, b, "%s", open), LCM_OK);
        for (int s = 0; s <= i % 5; s++)
            assert_int_equal(lcm_buf_printf(f->ctx, b, "This is sentence %d of story %d%s. ", s, i,
                                            (i + s) % 23 == 0 ? " to drop" : (i + s) % 29 == 0 ? " to cut" : ""), LCM_OK);
        assert_int_equal(lcm_buf_printf(f->ctx, b, "%s", close), LCM_OK);
        if (i % 31 == 0) assert_int_equal(lcm_buf_printf(f->ctx, b, "\n\xFF\n"), LCM_OK);
        if (i % 37 == 0) assert_int_equal(lcm_buf_printf(f->ctx, &j, "{\"txt\":1}\n{\n"), LCM_OK);
    }
    tmpdir_write(f->dir, "a.jsonl", j.data, j.len);
    tmpdir_write(f->dir, "b.txt", t.data, t.len);
    lcm_buf_free(&t);
    lcm_buf_free(&j);
}

static const char *corpus[2];

static lcm_status prepare(fixture *f, const char *store, const lcm_prepare_opts *o) {
    corpus[0] = tmpdir_path(f->dir, "a.jsonl");
    corpus[1] = tmpdir_path(f->dir, "b.txt");
    return lcm_prepare(f->ctx, tmpdir_path(f->dir, store), corpus, 2, o);
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* All names and bytes of a folder. */
static lcm_buf read_folder(fixture *f, const char *name) {
    char path[LCM_PATH_MAX], *names[512];
    lcm_buf b = {0};
    size_t n = 0;
    DIR *d;
    struct dirent *e;
    strcpy(path, tmpdir_path(f->dir, name));
    d = opendir(path);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL)
        if (e->d_name[0] != '.' && n < 512) names[n++] = lcm_strdup(e->d_name);
    closedir(d);
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(lcm_buf_printf(f->ctx, &b, "%s:", names[i]), LCM_OK);
        assert_int_equal(lcm_read_file(f->ctx, &b, tmpdir_path(path, names[i]), 1 << 24), LCM_OK);
        free(names[i]);
    }
    return b;
}

static void same_folders(fixture *f, const char *a, const char *b) {
    lcm_buf x = read_folder(f, a), y = read_folder(f, b);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    lcm_buf_free(&x);
    lcm_buf_free(&y);
}

static void counts_by_hand(void **state) {
    fixture *f = *state;
    static const char text[] = "{\"text\":\"One. Two to drop. Three to cut.\"}\n\n{}\n{\"text\":\" \"}\n"
                               "{\"text\":\"Only this to drop.\"}\n{\"text\":\"\\u00a0\\u2003\"}\n{\"text\":\"Last one.\"}\nx\n";
    const char *in = tmpdir_write(f->dir, "c.jsonl", text, sizeof text - 1), *s;
    char dir[LCM_PATH_MAX];
    behaviour b = {0};
    lcm_prepare_opts o = options(&b);
    const lcm_store_report *r;
    lcm_store *store;
    real got[DIM], want[DIM];
    int64_t first, count;
    size_t len;
    strcpy(dir, tmpdir_path(f->dir, "store"));
    o.unit_docs = 2;
    assert_int_equal(lcm_prepare(f->ctx, dir, &in, 1, &o), LCM_OK);
    assert_int_equal(lcm_store_open(f->ctx, &store, dir), LCM_OK);
    assert_int_equal(lcm_store_verify(f->ctx, store), LCM_OK);
    r = lcm_store_get_report(store);
    assert_int_equal(r->docs, 2);
    assert_int_equal(r->concepts, 3);
    assert_int_equal(r->text_bytes, 4 + 13 + 9);
    assert_int_equal(r->blank_lines, 1);
    assert_int_equal(r->docs_no_text, 1);
    assert_int_equal(r->docs_empty, 1);
    assert_int_equal(r->docs_bad_json, 1);
    assert_int_equal(r->docs_no_sentence, 2); /* one all dropped, one only exotic white space */
    assert_int_equal(r->sentences_dropped, 2);
    assert_int_equal(r->sentences_shortened, 1);
    assert_int_equal(lcm_store_doc(f->ctx, &first, &count, store, 0), LCM_OK);
    assert_int_equal(count, 2);
    assert_int_equal(lcm_store_text(f->ctx, &s, &len, store, 1), LCM_OK);
    assert_int_equal(len, 13);
    assert_memory_equal(s, "Three to cut.", len);
    assert_int_equal(lcm_store_vectors(f->ctx, got, store, 1, 1), LCM_OK);
    fake_vector(want, "Three to cut.", 13);
    assert_memory_equal(got, want, sizeof got);
    assert_int_equal(b.last.docs, 4);
    assert_int_equal(b.last.docs_seen, 4);
    assert_int_equal(b.last.units, 2);
    assert_int_equal(b.last.sentences, 5);
    assert_int_equal(b.last.bytes_done, sizeof text - 1);
    assert_int_equal(b.last.bytes_total, sizeof text - 1);
    lcm_store_close(store);
}

/* Everything that a store tells about its documents, without the shard borders. */
static lcm_buf content(fixture *f, const char *name) {
    lcm_buf b = {0};
    lcm_store *s;
    assert_int_equal(lcm_store_open(f->ctx, &s, tmpdir_path(f->dir, name)), LCM_OK);
    assert_int_equal(lcm_store_verify(f->ctx, s), LCM_OK);
    assert_int_equal(lcm_buf_append(f->ctx, &b, lcm_store_get_report(s), sizeof(lcm_store_report)), LCM_OK);
    for (int64_t d = 0; d < lcm_store_n_docs(s); d++) {
        int64_t first, count;
        assert_int_equal(lcm_store_doc(f->ctx, &first, &count, s, d), LCM_OK);
        for (int64_t i = first; i < first + count; i++) {
            real v[DIM];
            const char *text;
            size_t len;
            assert_int_equal(lcm_store_text(f->ctx, &text, &len, s, i), LCM_OK);
            assert_int_equal(lcm_store_vectors(f->ctx, v, s, i, 1), LCM_OK);
            assert_int_equal(lcm_buf_append(f->ctx, &b, text, len), LCM_OK);
            assert_int_equal(lcm_buf_append(f->ctx, &b, v, sizeof v), LCM_OK);
        }
        assert_int_equal(lcm_buf_append(f->ctx, &b, "|", 1), LCM_OK);
    }
    lcm_store_close(s);
    return b;
}

static void units_do_not_matter(void **state) {
    fixture *f = *state;
    static const int64_t docs[] = {3, 20, 8, 100000}, bytes[] = {1, 500, 0, 1000};
    behaviour b = {0};
    lcm_prepare_opts o = options(&b);
    lcm_buf want;
    write_corpus(f);
    assert_int_equal(prepare(f, "want", &o), LCM_OK);
    want = content(f, "want");
    for (int i = 0; i < 4; i++) {
        char name[16];
        lcm_buf got;
        snprintf(name, sizeof name, "got%d", i);
        o.unit_docs = docs[i];
        o.unit_bytes = bytes[i];
        o.batch = i;
        assert_int_equal(prepare(f, name, &o), LCM_OK);
        got = content(f, name);
        assert_int_equal(got.len, want.len);
        assert_memory_equal(got.data, want.data, want.len);
        lcm_buf_free(&got);
    }
    lcm_buf_free(&want);
}

static pid_t start(fixture *f, const char *store, behaviour b) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        lcm_prepare_opts o = options(&b);
        lcm_status st = prepare(f, store, &o);
        if (st) fprintf(stderr, "child: %s\n", lcm_ctx_message(f->ctx));
        _exit(st ? 1 : b.last.units > 100 ? 100 : 2 + (int)b.last.units);
    }
    return pid;
}

/* Units that the process made; it must have succeeded. */
static int finish(pid_t pid) {
    int status;
    assert_true(waitpid(pid, &status, 0) == pid);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 2, 100);
    return WEXITSTATUS(status) - 2;
}

static void several_processes(void **state) {
    fixture *f = *state;
    behaviour quick = {0}, slow = {.delay_us = 300};
    lcm_prepare_opts o = options(&quick);
    pid_t pids[4];
    int made[4], sum = 0, n_workers = 0;
    write_corpus(f);
    assert_int_equal(prepare(f, "want", &o), LCM_OK);
    for (int i = 0; i < 4; i++) pids[i] = start(f, "got", slow);
    for (int i = 0; i < 4; i++) {
        made[i] = finish(pids[i]);
        sum += made[i];
        n_workers += made[i] > 0;
    }
    assert_int_equal(sum, quick.last.units); /* no unit was made twice */
    assert_true(n_workers >= 2);             /* 13 units of several milliseconds each */
    same_folders(f, "want", "got");
    /* one that comes when all is done has nothing to do */
    assert_int_equal(finish(start(f, "got", slow)), 0);
    same_folders(f, "want", "got");
}

/* The victim stops for ever in the middle of a unit; the other one makes the rest, waits, and takes
 * the unit over when the victim is killed. */
static void killed_while_another_waits(void **state) {
    fixture *f = *state;
    behaviour quick = {0}, victim = {.stop_after = 6};
    lcm_prepare_opts o = options(&quick);
    int fds[2], status;
    char byte;
    pid_t a, b;
    write_corpus(f);
    assert_int_equal(prepare(f, "want", &o), LCM_OK);
    assert_int_equal(pipe(fds), 0);
    victim.wake = fds[1];
    a = start(f, "got", victim);
    assert_true(read(fds[0], &byte, 1) == 1); /* it holds a unit now */
    b = start(f, "got", quick);
    usleep(100000);
    assert_true(waitpid(b, &status, WNOHANG) == 0); /* cannot be done: a unit is missing */
    assert_false(lcm_exists(tmpdir_path(f->dir, "got/manifest.json")));
    kill(a, SIGKILL);
    assert_true(waitpid(a, &status, 0) == a);
    assert_true(finish(b) > 0);
    same_folders(f, "want", "got");
    close(fds[0]);
    close(fds[1]);
}

/* Killed again and again, a little further each time, with debris of a write; then finished. */
static void killed_and_resumed(void **state) {
    fixture *f = *state;
    behaviour quick = {0}, victim = {0};
    lcm_prepare_opts o = options(&quick);
    int fds[2], status;
    char byte;
    write_corpus(f);
    assert_int_equal(prepare(f, "want", &o), LCM_OK);
    assert_int_equal(pipe(fds), 0);
    victim.wake = fds[1];
    for (int i = 0; i < 4; i++) {
        pid_t a;
        victim.stop_after = 2 + 7 * i;
        a = start(f, "got", victim);
        assert_true(read(fds[0], &byte, 1) == 1);
        kill(a, SIGKILL);
        assert_true(waitpid(a, &status, 0) == a);
        assert_true(WIFSIGNALED(status));
    }
    tmpdir_write(f->dir, "got/shard-000009.safetensors.tmp-123", "half", 4);
    tmpdir_write(f->dir, "got/manifest.json.tmp-123", "half", 4);
    assert_true(lcm_exists(tmpdir_path(f->dir, "got/plan.json")));
    assert_int_equal(prepare(f, "got", &o), LCM_OK);
    same_folders(f, "want", "got");
    close(fds[0]);
    close(fds[1]);
}

static void cancelled_and_resumed(void **state) {
    fixture *f = *state;
    behaviour b = {0};
    lcm_prepare_opts o = options(&b);
    lcm_store *s;
    int64_t all;
    write_corpus(f);
    assert_int_equal(prepare(f, "want", &o), LCM_OK);
    all = b.last.units;
    b = (behaviour){.cancel_units = 3};
    assert_int_equal(prepare(f, "got", &o), LCM_ERR_CANCELLED);
    assert_int_equal(lcm_store_open(f->ctx, &s, tmpdir_path(f->dir, "got")), LCM_ERR_NOTFOUND);
    b = (behaviour){0};
    assert_int_equal(prepare(f, "got", &o), LCM_OK);
    assert_int_equal(b.last.units, all - 3);
    same_folders(f, "want", "got");
}

static void other_options_do_not_mix(void **state) {
    fixture *f = *state;
    behaviour b = {.cancel_units = 2};
    lcm_prepare_opts o = options(&b), other = o;
    other.recipe = "fake, other cap";
    write_corpus(f);
    for (int finished = 0; finished < 2; finished++) {
        assert_int_equal(prepare(f, "got", &o), finished ? LCM_OK : LCM_ERR_CANCELLED);
        assert_int_equal(prepare(f, "got", &other), LCM_ERR_ARG);
        assert_non_null(strstr(lcm_ctx_message(f->ctx), "begun with other inputs or options"));
        b.cancel_units = 0;
    }
    tmpdir_write(f->dir, "b.txt", "Another input.\n", 15);
    assert_int_equal(prepare(f, "got", &o), LCM_ERR_ARG);
}

static void failures_name_the_place(void **state) {
    fixture *f = *state;
    static const char text[] = "First one.\n\nGood here. Bad value here.\nToo long to keep: drop.\n";
    const char *in = tmpdir_write(f->dir, "c.txt", text, sizeof text - 1);
    char dir[LCM_PATH_MAX];
    behaviour b = {.bad_text = "Bad value"};
    lcm_prepare_opts o = options(&b);
    strcpy(dir, tmpdir_path(f->dir, "store"));
    assert_int_equal(lcm_prepare(f->ctx, dir, &in, 1, &o), LCM_ERR_NUMERIC);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "c.txt:3: sentence 1: value 2 of the vector is nan"));
    b.bad_text = NULL; /* the failed run left a folder that the next one finishes */
    assert_int_equal(lcm_prepare(f->ctx, dir, &in, 1, &o), LCM_OK);
    strcpy(dir, tmpdir_path(f->dir, "strict"));
    o.docs.strict = true;
    assert_int_equal(lcm_prepare(f->ctx, dir, &in, 1, &o), LCM_ERR_LIMIT);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "c.txt:4: sentence 0 was dropped by the encoder"));
    in = tmpdir_write(f->dir, "d.txt", " \n\xFF\n", 4);
    o.docs.strict = false;
    strcpy(dir, tmpdir_path(f->dir, "none"));
    assert_int_equal(lcm_prepare(f->ctx, dir, &in, 1, &o), LCM_ERR_FORMAT);
    assert_string_equal(lcm_ctx_message(f->ctx), "no document in 1 files; 1 items were dropped");
}

static void bad_arguments(void **state) {
    fixture *f = *state;
    behaviour b = {0};
    lcm_prepare_opts good = options(&b), o = good;
    write_corpus(f);
    o.dim = 0;
    assert_int_equal(prepare(f, "got", &o), LCM_ERR_ARG);
    o = good, o.dtype = LCM_DT_I64;
    assert_int_equal(prepare(f, "got", &o), LCM_ERR_ARG);
    o = good, o.unit_docs = -1;
    assert_int_equal(prepare(f, "got", &o), LCM_ERR_ARG);
    o = good, o.encode = NULL;
    assert_int_equal(prepare(f, "got", &o), LCM_ERR_ARG);
    o = good, o.recipe = "\xFF";
    assert_int_equal(prepare(f, "got", &o), LCM_ERR_ARG);
    assert_false(lcm_exists(tmpdir_path(f->dir, "got")));
}

static void claims(void **state) {
    fixture *f = *state;
    const char *path = tmpdir_path(f->dir, "lock");
    lcm_claim a = LCM_CLAIM_NONE, b = LCM_CLAIM_NONE;
    assert_int_equal(lcm_claim_take(f->ctx, &a, path, false), LCM_OK);
    assert_int_equal(lcm_claim_take(f->ctx, &b, path, false), LCM_ERR_BUSY);
    lcm_claim_release(&b); /* holds nothing, frees nothing */
    assert_int_equal(lcm_claim_take(f->ctx, &b, path, false), LCM_ERR_BUSY);
    lcm_claim_release(&a);
    assert_false(lcm_exists(path));
    assert_int_equal(lcm_claim_take(f->ctx, &b, path, true), LCM_OK);
    lcm_claim_release(&b);
    tmpdir_write(f->dir, "lock", "", 0); /* a file alone is no lock */
    assert_int_equal(lcm_claim_take(f->ctx, &a, path, false), LCM_OK);
    lcm_claim_release(&a);
    assert_int_equal(lcm_claim_take(f->ctx, &a, tmpdir_path(f->dir, "no/such"), false), LCM_ERR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(claims, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(counts_by_hand, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(units_do_not_matter, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(several_processes, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(killed_while_another_waits, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(killed_and_resumed, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(cancelled_and_resumed, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(other_options_do_not_mix, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(failures_name_the_place, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(bad_arguments, setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
