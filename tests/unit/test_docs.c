/* data/docs: formats, folders, zstd, and every reason for which an item is dropped. */
#include "harness/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/io.h"
#include "data/docs.h"
#include "data/zstd_stream.h"
#include "harness/tmpdir.h"

#define LIT(s) (s), sizeof(s) - 1

typedef struct fixture {
    lcm_ctx *ctx;
    char *dir;
    lcm_buf got; /* documents, each followed by '|' */
    lcm_docs_report report;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL) return -1;
    f->ctx = lcm_ctx_new();
    f->dir = tmpdir_new();
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    tmpdir_free(f->dir);
    lcm_buf_free(&f->got);
    lcm_ctx_free(f->ctx);
    free(f);
    return 0;
}

static lcm_status read_inputs(fixture *f, const char *const *inputs, size_t n, const lcm_docs_opts *opts) {
    lcm_docs *d;
    lcm_doc doc;
    lcm_status st = lcm_docs_open(f->ctx, &d, inputs, n, opts);
    f->got.len = 0;
    assert_int_equal(lcm_buf_append(f->ctx, &f->got, "", 0), LCM_OK);
    if (st) {
        assert_null(d);
        return st;
    }
    for (;;) {
        st = lcm_docs_next(f->ctx, &doc, d);
        if (st || doc.text == NULL) break;
        assert_int_equal(strlen(doc.text), doc.len);
        assert_int_equal(lcm_buf_append(f->ctx, &f->got, doc.text, doc.len), LCM_OK);
        assert_int_equal(lcm_buf_append(f->ctx, &f->got, "|", 1), LCM_OK);
    }
    f->report = *lcm_docs_get_report(d);
    lcm_docs_close(d);
    return st;
}

static lcm_status read_one(fixture *f, const char *path, const lcm_docs_opts *opts) {
    return read_inputs(f, &path, 1, opts);
}

static int64_t n_dropped(const fixture *f) {
    int64_t n = 0;
    for (int i = 0; i < LCM_DOC_N_DROPS; i++) n += f->report.dropped[i];
    return n;
}

static void text_lines(void **state) {
    fixture *f = *state;
    static const char text[] = "\xEF\xBB\xBFone\r\n\n \t\r\ntwo words\nlast without end";
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "a.txt", LIT(text)), NULL), LCM_OK);
    assert_string_equal(f->got.data, "one|two words|last without end|");
    assert_int_equal(f->report.blank_lines, 2);
    assert_int_equal(f->report.docs, 3);
    assert_int_equal(f->report.bytes, 3 + 9 + 16);
    assert_int_equal(n_dropped(f), 0);
    /* U+2028, a lone CR and U+0085 are text, not line ends */
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "b.txt", LIT("a\xE2\x80\xA8" "b\rc\xC2\x85" "d\n")), NULL), LCM_OK);
    assert_string_equal(f->got.data, "a\xE2\x80\xA8" "b\rc\xC2\x85" "d|");
}

static void whole_files(void **state) {
    fixture *f = *state;
    lcm_docs_opts o = {.whole_file = true};
    const char *in[3];
    in[0] = tmpdir_write(f->dir, "a.txt", LIT("\n\nA line\r\nand more.\n\n \n\nNext\nparagraph.\n\n"));
    in[1] = tmpdir_write(f->dir, "b.txt", LIT(" \n\n"));
    in[2] = tmpdir_write(f->dir, "c.txt", LIT("C"));
    assert_int_equal(read_inputs(f, in, 3, &o), LCM_OK);
    assert_string_equal(f->got.data, "A line and more.\n\nNext paragraph.|C|");
    assert_int_equal(f->report.dropped[LCM_DOC_EMPTY], 1);
    assert_int_equal(f->report.files, 3);
    o.max_doc = 10;
    assert_int_equal(read_inputs(f, in, 3, &o), LCM_OK);
    assert_string_equal(f->got.data, "C|");
    assert_int_equal(f->report.dropped[LCM_DOC_TOO_LONG], 1);
}

static void json_lines(void **state) {
    fixture *f = *state;
    static const char text[] = "{\"text\":\"a\\n\\nb \\u00e9\",\"id\":1}\n"
                               "\n"
                               "{\"id\":2}\n"
                               "{\"text\":7}\n"
                               "{\"text\":null}\n"
                               "{\"text\":\" \\n\"}\n"
                               "[\"text\"]\n"
                               "{\"text\":\"x\"} trailing\n"
                               "{\"text\":\"x\",\"text\":\"y\"}\n"
                               "{\"text\":\"\\ud800\"}\n"
                               "{\"text\":\"nul \\u0000\"}\n"
                               "{\"text\":\"x\",\"n\":1e400}\n"
                               "{\"text\":\"ok\"}\n"
                               "{\"text\":\"\xC0\x80\"}\n"
                               "{\"text\":\"\xED\xA0\x80\"}\n"
                               "{\"text\":\"cut";
    const char *path = tmpdir_write(f->dir, "a.jsonl", LIT(text));
    lcm_docs_opts o = {.key = "id"};
    assert_int_equal(read_one(f, path, NULL), LCM_OK);
    assert_string_equal(f->got.data, "a\n\nb \xC3\xA9|ok|");
    assert_int_equal(f->report.blank_lines, 1);
    assert_int_equal(f->report.dropped[LCM_DOC_NO_TEXT], 3);
    assert_int_equal(f->report.dropped[LCM_DOC_EMPTY], 1);
    assert_int_equal(f->report.dropped[LCM_DOC_BAD_JSON], 5);
    assert_int_equal(f->report.dropped[LCM_DOC_BAD_ESCAPE], 2);
    assert_int_equal(f->report.dropped[LCM_DOC_BAD_UTF8], 2);
    assert_int_equal(f->report.docs + n_dropped(f) + f->report.blank_lines, 16);
    assert_int_equal(read_one(f, path, &o), LCM_OK); /* "id" is a number or missing */
    assert_int_equal(f->report.docs, 0);
}

static void json_nesting(void **state) {
    fixture *f = *state;
    size_t n = 100000;
    char *line = malloc(n + 1);
    assert_non_null(line);
    memset(line, '[', n);
    line[n] = '\n';
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "deep.jsonl", line, n + 1), NULL), LCM_OK);
    assert_int_equal(f->report.dropped[LCM_DOC_BAD_JSON], 1);
    free(line);
}

static void bad_text(void **state) {
    fixture *f = *state;
    static const char text[] = "good\nbad \xFF\nnul \0 byte\ncesu \xED\xA0\xBD\xED\xB8\x80\ngood too\n";
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "a.txt", LIT(text)), NULL), LCM_OK);
    assert_string_equal(f->got.data, "good|good too|");
    assert_int_equal(f->report.dropped[LCM_DOC_BAD_UTF8], 3);
}

static void gather(void *user, lcm_log_level level, const char *line) {
    lcm_buf *b = user;
    lcm_ctx *ctx = lcm_ctx_new();
    assert_int_equal(level, LCM_LOG_WARN);
    assert_int_equal(lcm_buf_printf(ctx, b, "%s\n", strrchr(line, '/') + 1), LCM_OK); /* without the temporary folder */
    lcm_ctx_free(ctx);
}

/* What was the matter with the first of each, and how many there are. */
static void drops_are_told(void **state) {
    fixture *f = *state;
    lcm_docs_opts o = {.max_doc = 40};
    lcm_buf told = {0};
    const char *in[3];
    in[0] = tmpdir_write(f->dir, "a.txt", LIT("good\nbad \xFF\nnul \0 byte\n"));
    in[1] = tmpdir_write(f->dir, "b.jsonl", LIT("{\"text\": \"\\ud83d\"}\n{\"text\": 1}\n{\"text\": \"\"}\n[]\n{\"text\": \"\\u0000\"}\n"));
    in[2] = tmpdir_write(f->dir, "c\033.txt", LIT("this line has forty-one bytes, 1 too many\n"));
    lcm_ctx_set_log(f->ctx, LCM_LOG_WARN, gather, &told);
    assert_int_equal(read_inputs(f, in, 3, &o), LCM_OK);
    lcm_docs_log_drops(f->ctx, &f->report);
    assert_string_equal(told.data, "b.jsonl:3: text\n"
                                   "c?.txt:1: more than 40 bytes\n"
                                   "a.txt:2: byte 5 is 0xff, and more\n"
                                   "b.jsonl:4: not an object\n"
                                   "b.jsonl:1: invalid Unicode '\\uD83D' near '\"\\ud83d\"', and more\n"
                                   "b.jsonl:2: text\n");
    told.len = 0;
    o.whole_file = true;
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "w.txt", LIT("one\n\ntwo \xC3\nthree \xFF")), &o), LCM_OK);
    lcm_docs_log_drops(f->ctx, &f->report);
    assert_string_equal(told.data, "w.txt:3: byte 5 is 0xc3\n");
    lcm_buf_free(&told);
    lcm_ctx_set_log(f->ctx, LCM_LOG_WARN, NULL, NULL);
}

static void strict_names_file_and_line(void **state) {
    fixture *f = *state;
    lcm_docs_opts o = {.strict = true};
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "s.txt", LIT("good\n\nbad \xFF\nmore\n")), &o), LCM_ERR_UTF8);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "s.txt:3: bad_utf8"));
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "s.jsonl", LIT("{\"text\":\"a\"}\n{\"txt\":\"a\"}\n")), &o),
                     LCM_ERR_FORMAT);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "s.jsonl:2: no_text: text"));
    o.max_doc = 3;
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "l.txt", LIT("abc\nabcd\n")), &o), LCM_ERR_LIMIT);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "l.txt:2: too_long"));
}

/* A line of exactly the limit passes, one more byte does not, and the next line is intact,
 * wherever the reader's own blocks end. */
static void line_limit(void **state) {
    fixture *f = *state;
    for (size_t limit = 65530; limit < 65545; limit++) {
        lcm_docs_opts o = {.max_doc = limit};
        char *text = malloc(3 * limit + 8), *p = text;
        assert_non_null(text);
        memset(p, 'a', limit), p += limit, *p++ = '\n';
        memset(p, 'b', limit + 1), p += limit + 1, *p++ = '\n';
        *p++ = 'c', *p++ = '\n';
        assert_int_equal(read_one(f, tmpdir_write(f->dir, "a.txt", text, (size_t)(p - text)), &o), LCM_OK);
        assert_int_equal(f->got.len, limit + 1 + 2);
        assert_string_equal(f->got.data + limit, "|c|");
        assert_int_equal(f->report.dropped[LCM_DOC_TOO_LONG], 1);
        free(text);
    }
}

static size_t compress(char *dst, size_t cap, const char *src, size_t len) {
    size_t n = ZSTD_compress(dst, cap, src, len, 3);
    assert_false(ZSTD_isError(n));
    return n;
}

static void folder_sorted_and_zstd(void **state) {
    fixture *f = *state;
    static const uint8_t skippable[] = {0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 'x', 'y', 'z'};
    char z[512];
    size_t n;
    memcpy(z, skippable, sizeof skippable);
    n = sizeof skippable;
    n += compress(z + n, sizeof z - n, LIT("b1\nb"));
    n += compress(z + n, sizeof z - n, LIT("2\n")); /* the frame border is not a line border */
    tmpdir_write(f->dir, "b.txt.zst", z, n);
    tmpdir_write(f->dir, "c.jsonl.zst", z, compress(z, sizeof z, LIT("{\"text\":\"c\"}\n")));
    tmpdir_write(f->dir, "B.txt", LIT("B\n"));
    tmpdir_write(f->dir, "a.txt", LIT("a\n"));
    tmpdir_write(f->dir, "d.txt", "", 0);
    tmpdir_write(f->dir, ".hidden.txt", LIT("hidden\n"));
    tmpdir_write(f->dir, "notes.md", LIT("notes\n"));
    assert_int_equal(mkdir(tmpdir_path(f->dir, "sub.txt"), 0777), 0);
    assert_int_equal(read_one(f, f->dir, NULL), LCM_OK);
    assert_string_equal(f->got.data, "B|a|b1|b2|c|");
    assert_int_equal(f->report.files, 5);
    assert_int_equal(f->report.skipped_files, 2);
}

static void zstd_damage(void **state) {
    fixture *f = *state;
    static char text[200000], z[200000];
    size_t n;
    for (size_t i = 0; i < sizeof text; i++) text[i] = i % 50 == 49 ? '\n' : (char)('a' + i * i % 23);
    n = compress(z, sizeof z, text, sizeof text);
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "ok.txt.zst", z, n), NULL), LCM_OK);
    assert_int_equal(f->report.docs, 4000);
    /* no prefix of the file passes for a shorter file */
    for (size_t k = 0; k < n; k += 1 + n / 61)
        assert_int_equal(read_one(f, tmpdir_write(f->dir, "cut.txt.zst", z, k), NULL), LCM_ERR_FORMAT);
    memcpy(z + n, "junk", 4);
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "tail.txt.zst", z, n + 4), NULL), LCM_ERR_FORMAT);
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "plain.txt.zst", LIT("plain\n")), NULL), LCM_ERR_FORMAT);
}

/* 64 MiB of one line in a few kilobytes: counted, and the buffer stays at the limit. */
static void zstd_bomb(void **state) {
    fixture *f = *state;
    size_t big = 64 << 20, n;
    char *text = malloc(big), *z = malloc(1 << 20);
    lcm_docs_opts o = {.max_doc = 1 << 16};
    assert_non_null(text);
    assert_non_null(z);
    memset(text, 'x', big);
    memcpy(text + big - 5, "\nend\n", 5);
    n = compress(z, 1 << 20, text, big);
    assert_true(n < 100000);
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "bomb.txt.zst", z, n), &o), LCM_OK);
    assert_string_equal(f->got.data, "end|");
    assert_int_equal(f->report.dropped[LCM_DOC_TOO_LONG], 1);
    free(text);
    free(z);
}

/* A header that asks for a window of 1 GiB is refused before anything is allocated. */
static void zstd_window(void **state) {
    fixture *f = *state;
    static const uint8_t frame[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xA0, 0x01, 0x00, 0x00};
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "w.txt.zst", frame, sizeof frame), NULL), LCM_ERR_FORMAT);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "memory"));
}

static void bad_inputs(void **state) {
    fixture *f = *state;
    lcm_docs_opts txt = {.format = LCM_DOCS_TXT};
    const char *loop = tmpdir_path(f->dir, "loop.txt");
    assert_int_equal(read_inputs(f, NULL, 0, NULL), LCM_ERR_ARG);
    assert_int_equal(read_one(f, tmpdir_path(f->dir, "missing.txt"), NULL), LCM_ERR_NOTFOUND);
    assert_int_equal(read_one(f, f->dir, NULL), LCM_ERR_NOTFOUND); /* nothing to read in it */
    assert_int_equal(symlink("loop.txt", loop), 0);
    assert_int_equal(read_one(f, loop, NULL), LCM_ERR_IO);
    assert_int_equal(read_one(f, f->dir, NULL), LCM_ERR_IO);
    assert_int_equal(unlink(loop), 0);
    assert_int_equal(read_one(f, "/dev/zero", &txt), LCM_ERR_IO);
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "data.bin", LIT("x\n")), NULL), LCM_ERR_ARG);
    assert_int_equal(read_one(f, tmpdir_path(f->dir, "data.bin"), &txt), LCM_OK);
    assert_string_equal(f->got.data, "x|");
    assert_int_equal(read_one(f, tmpdir_write(f->dir, "new\nline\xFF.txt", LIT("x\n")), NULL), LCM_OK);
}

static void standard_input(void **state) {
    fixture *f = *state;
    lcm_docs_opts json = {.format = LCM_DOCS_JSONL};
    char z[256];
    const char *plain = tmpdir_write(f->dir, "a", LIT("one\ntwo\n"));
    const char *packed = tmpdir_write(f->dir, "b", z, compress(z, sizeof z, LIT("{\"text\":\"three\"}\n")));
    int saved = dup(STDIN_FILENO), fd;
    assert_true(saved > 0);
    fd = open(plain, O_RDONLY);
    assert_true(dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    close(fd);
    assert_int_equal(read_one(f, "-", NULL), LCM_OK);
    assert_string_equal(f->got.data, "one|two|");
    fd = open(packed, O_RDONLY);
    assert_true(dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    close(fd);
    assert_int_equal(read_one(f, "-", &json), LCM_OK);
    assert_string_equal(f->got.data, "three|");
    close(STDIN_FILENO);
    assert_int_equal(read_one(f, "-", NULL), LCM_ERR_IO); /* closed */
    assert_true(dup2(saved, STDIN_FILENO) == STDIN_FILENO);
    close(saved);
}

static void progress_reaches_the_total(void **state) {
    fixture *f = *state;
    const char *in[2];
    lcm_docs *d;
    lcm_doc doc;
    int64_t done, total, size;
    in[0] = tmpdir_write(f->dir, "a.txt", LIT("one\ntwo\n"));
    in[1] = tmpdir_write(f->dir, "b.txt", LIT("three\n"));
    assert_int_equal(lcm_docs_open(f->ctx, &d, in, 2, NULL), LCM_OK);
    lcm_docs_progress(d, &done, &total);
    assert_int_equal(done, 0);
    assert_int_equal(total, 14);
    do assert_int_equal(lcm_docs_next(f->ctx, &doc, d), LCM_OK);
    while (doc.text);
    lcm_docs_progress(d, &done, &total);
    assert_int_equal(done, total);
    assert_int_equal(lcm_docs_n_files(d), 2);
    assert_string_equal(lcm_docs_file(d, 1, &size), in[1]);
    assert_int_equal(size, 6);
    lcm_docs_close(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(whole_files, setup, teardown),
        cmocka_unit_test_setup_teardown(json_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(json_nesting, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_text, setup, teardown),
        cmocka_unit_test_setup_teardown(drops_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(strict_names_file_and_line, setup, teardown),
        cmocka_unit_test_setup_teardown(line_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(folder_sorted_and_zstd, setup, teardown),
        cmocka_unit_test_setup_teardown(zstd_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(zstd_bomb, setup, teardown),
        cmocka_unit_test_setup_teardown(zstd_window, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_inputs, setup, teardown),
        cmocka_unit_test_setup_teardown(standard_input, setup, teardown),
        cmocka_unit_test_setup_teardown(progress_reaches_the_total, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
