/* Run folder under fire: killed while saving, damaged files, full disk, no permission, two runs. */
#include "harness/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "modelfile/checkpoint.h"

enum { N = 3000 };

typedef struct fixture {
    lcm_ctx *ctx;
    char dir[64];
    int warnings;
} fixture;

static void count_warning(void *user, lcm_log_level level, const char *line) {
    (void)line;
    if (level == LCM_LOG_WARN) ++*(int *)user;
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->ctx = lcm_ctx_new();
    lcm_ctx_set_log(f->ctx, LCM_LOG_WARN, count_warning, &f->warnings);
    strcpy(f->dir, "/tmp/lcm-ckpt-XXXXXX");
    *state = f;
    return mkdtemp(f->dir) ? 0 : -1;
}

static int teardown(void **state) {
    fixture *f = *state;
    lcm_status st = lcm_remove_tree(f->ctx, f->dir);
    lcm_ctx_free(f->ctx);
    free(f);
    return st == LCM_OK ? 0 : -1;
}

/* Every element of the model is the step, so that a mixture of two saves cannot go unseen. */
static lcm_status save(lcm_ctx *ctx, lcm_rundir *r, int64_t step, int keep) {
    real x[N];
    char note[32];
    lcm_st_writer *w;
    lcm_status st;
    lcm_ckpt_file files[2] = {{.name = "model.safetensors"}, {.name = "note.txt", .data = note}};
    for (int i = 0; i < N; i++) x[i] = (real)step;
    files[1].len = (size_t)snprintf(note, sizeof note, "%lld", (long long)step);
    LCM_TRY(lcm_st_writer_new(ctx, &w));
    files[0].st = w;
    st = lcm_st_writer_add_real(ctx, w, "x", LCM_DT_F32, (int64_t[]){N}, 1, x);
    if (st == LCM_OK) st = lcm_rundir_save(ctx, r, step, files, 2, keep);
    lcm_st_writer_free(w);
    return st;
}

/* Step of what loads now, its content checked; -1 when nothing does. */
static int64_t loaded_step(fixture *f) {
    char path[LCM_PATH_MAX], file[LCM_PATH_MAX];
    int64_t step = -7;
    real x[N];
    lcm_st *st;
    lcm_status status = lcm_rundir_latest(f->ctx, path, sizeof path, &step, f->dir);
    if (status == LCM_ERR_NOTFOUND || status == LCM_ERR_VERSION) return -1;
    if (status) fail_msg("latest: %s", lcm_ctx_message(f->ctx));
    assert_int_equal(lcm_path_join(f->ctx, file, sizeof file, path, "model.safetensors"), LCM_OK);
    if (lcm_st_open(f->ctx, &st, file) != LCM_OK) fail_msg("%s", lcm_ctx_message(f->ctx));
    assert_int_equal(lcm_st_read_real(f->ctx, x, lcm_st_find(st, "x"), N), LCM_OK);
    for (int i = 0; i < N; i++) assert_true(x[i] == (real)step);
    lcm_st_close(st);
    return step;
}

static int entries(const char *dir) {
    DIR *d = opendir(dir);
    int n = 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static lcm_rundir *open_run(fixture *f) {
    lcm_rundir *r;
    if (lcm_rundir_open(f->ctx, &r, f->dir) != LCM_OK) fail_msg("%s", lcm_ctx_message(f->ctx));
    return r;
}

static void keeps_the_newest(void **state) {
    fixture *f = *state;
    lcm_rundir *r = open_run(f);
    char path[128];
    assert_int_equal(loaded_step(f), -1);
    for (int64_t step = 0; step <= 50; step += 10) assert_int_equal(save(f->ctx, r, step, 2), LCM_OK);
    assert_int_equal(loaded_step(f), 50);
    assert_int_equal(entries(f->dir), 2 + 2); /* lock, latest, step 40 and 50 */
    snprintf(path, sizeof path, "%s/step_00000040/manifest.json", f->dir);
    assert_true(lcm_exists(path));
    /* wound back to 40: a later step is not superseded by an earlier one */
    assert_int_equal(save(f->ctx, r, 45, 1), LCM_OK);
    assert_int_equal(loaded_step(f), 45);
    assert_int_equal(entries(f->dir), 2 + 2); /* 45 and 50 */
    /* the same step again, and one beyond eight digits */
    assert_int_equal(save(f->ctx, r, 45, 1), LCM_OK);
    assert_int_equal(loaded_step(f), 45);
    assert_int_equal(save(f->ctx, r, INT64_C(1234567890), 0), LCM_OK);
    assert_int_equal(loaded_step(f), 1234567890);
    assert_int_equal(f->warnings, 0);
    lcm_rundir_close(r);
}

/* The manifest is read by other programs and by later versions: its text is fixed. The hash is the
 * published FNV-1a 64 of "foobar". */
static void manifest_is_as_documented(void **state) {
    static const char want[] = "{\n \"format\": 1,\n \"step\": 7,\n \"files\": {\n  \"notes.txt\": {\n"
                               "   \"bytes\": 6,\n   \"hash\": \"85944171f73967e8\"\n  }\n }\n}";
    fixture *f = *state;
    lcm_rundir *r = open_run(f);
    lcm_ckpt_file file = {.name = "notes.txt", .data = "foobar", .len = 6};
    char path[128];
    lcm_buf b = {0};
    assert_int_equal(lcm_rundir_save(f->ctx, r, 7, &file, 1, 1), LCM_OK);
    snprintf(path, sizeof path, "%s/step_00000007/manifest.json", f->dir);
    assert_int_equal(lcm_read_file(f->ctx, &b, path, 1000), LCM_OK);
    assert_string_equal(b.data, want);
    b.len = 0;
    snprintf(path, sizeof path, "%s/latest", f->dir);
    assert_int_equal(lcm_read_file(f->ctx, &b, path, 1000), LCM_OK);
    assert_string_equal(b.data, "step_00000007\n");
    lcm_buf_free(&b);
    lcm_rundir_close(r);
}

static void refuses_bad_arguments(void **state) {
    static const char *const names[] = {"", "a/b", "../x", ".hidden", "manifest.json"};
    fixture *f = *state;
    lcm_rundir *r = open_run(f);
    lcm_ckpt_file two[2] = {{.name = "a", .data = "1", .len = 1}, {.name = "a", .data = "2", .len = 1}};
    assert_int_equal(save(f->ctx, r, 3, 0), LCM_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lcm_ckpt_file one = {.name = names[i], .data = "x", .len = 1};
        assert_int_equal(lcm_rundir_save(f->ctx, r, 5, &one, 1, 1), LCM_ERR_ARG);
    }
    assert_int_equal(lcm_rundir_save(f->ctx, r, 5, two, 2, 1), LCM_ERR_ARG);
    assert_int_equal(lcm_rundir_save(f->ctx, r, -1, two, 1, 1), LCM_ERR_ARG);
    assert_int_equal(entries(f->dir), 3);
    assert_int_equal(loaded_step(f), 3);
    lcm_rundir_close(r);
}

static void second_run_is_busy(void **state) {
    fixture *f = *state;
    lcm_rundir *r = open_run(f), *other;
    int status;
    pid_t child;
    assert_int_equal(lcm_rundir_open(f->ctx, &other, f->dir), LCM_ERR_BUSY);
    assert_null(other);
    child = fork();
    if (child == 0) {
        lcm_ctx *ctx = lcm_ctx_new();
        _exit(lcm_rundir_open(ctx, &other, f->dir) == LCM_ERR_BUSY ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    lcm_rundir_close(r);
    lcm_rundir_close(open_run(f));
}

static void killed_at_any_moment(void **state) {
    enum { KILLS = 80 };
    fixture *f = *state;
    lcm_rng rng = lcm_rng_make(20240701, LCM_RNG_TEST);
    int64_t last = -1, moved = 0;
    double one_save;
    {
        lcm_rundir *r = open_run(f);
        double t = lcm_now();
        assert_int_equal(save(f->ctx, r, ++last, 2), LCM_OK);
        one_save = lcm_now() - t;
        lcm_rundir_close(r);
    }
    for (int k = 0; k < KILLS; k++) {
        int status;
        int64_t now;
        pid_t child = fork();
        if (child == 0) { /* as a trainer does: open, resume, save on and on */
            lcm_ctx *ctx = lcm_ctx_new();
            lcm_rundir *r;
            if (lcm_rundir_open(ctx, &r, f->dir)) _exit(10);
            for (int64_t step = last + 1;; step++)
                if (save(ctx, r, step, 2)) _exit(11);
        }
        usleep((useconds_t)(1e6 * 4 * one_save * lcm_rng_uniform(&rng)) + 1);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSIGNALED(status)) fail_msg("the saving child ended by itself: %d", WEXITSTATUS(status));
        now = loaded_step(f);
        assert_true(now >= last); /* never back, never nothing */
        moved += now > last;
        last = now;
    }
    assert_int_equal(f->warnings, 0); /* `latest` itself was good every time */
    assert_true(moved > KILLS / 8);   /* else the kills came before the first save: a vacuous test */
    lcm_rundir_close(open_run(f));
    assert_true(entries(f->dir) <= 2 + 4); /* lock, latest, two kept, and at most a step whose `latest` never came */
}

/* One damage per round to one file of the newest of two checkpoints. */
static void damaged_files_are_skipped(void **state) {
    static const char *const names[] = {"model.safetensors", "note.txt", "manifest.json"};
    fixture *f = *state;
    lcm_rng rng = lcm_rng_make(7, LCM_RNG_TEST);
    lcm_rundir *r = open_run(f);
    int harmless = 0;
    assert_int_equal(save(f->ctx, r, 1, 0), LCM_OK);
    for (int round = 0; round < 120; round++) {
        char path[128];
        struct stat sb;
        uint64_t at;
        int64_t got;
        assert_int_equal(save(f->ctx, r, 2, 0), LCM_OK);
        assert_int_equal(loaded_step(f), 2);
        snprintf(path, sizeof path, "%s/step_00000002/%s", f->dir, names[round % 3]);
        assert_int_equal(stat(path, &sb), 0);
        at = lcm_rng_below(&rng, (uint64_t)sb.st_size);
        f->warnings = 0;
        if (round % 4 == 0) assert_int_equal(truncate(path, (off_t)at), 0);
        else if (round % 40 == 1) assert_int_equal(unlink(path), 0);
        else {
            int fd = open(path, O_RDWR);
            uint8_t c;
            assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
            c ^= (uint8_t)(1u << lcm_rng_below(&rng, 8));
            assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
            close(fd);
        }
        got = loaded_step(f);
        if (got == 2 && round % 3 == 2) harmless++; /* white space of the manifest became other white space */
        else {
            assert_int_equal(got, 1);
            assert_int_equal(f->warnings, 1);
        }
    }
    assert_true(harmless < 10); /* of 40: a blank has two neighbours that are blanks too */
    lcm_rundir_close(r);
}

static void damaged_latest_is_survived(void **state) {
    static const char *const says[] = {"", "\n", "step_00000009\n", "step_00000002", "../x\n", "step_2\n", "step_-0000002\n"};
    fixture *f = *state;
    lcm_rundir *r = open_run(f);
    char path[128];
    for (int64_t step = 1; step <= 2; step++) assert_int_equal(save(f->ctx, r, step, 0), LCM_OK);
    snprintf(path, sizeof path, "%s/latest", f->dir);
    for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
        assert_int_equal(lcm_write_file(f->ctx, path, says[i], strlen(says[i])), LCM_OK);
        f->warnings = 0;
        assert_int_equal(loaded_step(f), 2);
        assert_int_equal(f->warnings, 1);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(loaded_step(f), 2);
    assert_int_equal(f->warnings, 1);
    lcm_rundir_close(r);
}

static void later_format_is_named(void **state) {
    fixture *f = *state;
    lcm_rundir *r = open_run(f);
    char path[128];
    const char text[] = "{\"format\": 2, \"anything\": true}";
    assert_int_equal(save(f->ctx, r, 1, 0), LCM_OK);
    snprintf(path, sizeof path, "%s/step_00000001/manifest.json", f->dir);
    assert_int_equal(lcm_write_file(f->ctx, path, text, strlen(text)), LCM_OK);
    assert_int_equal(lcm_rundir_latest(f->ctx, path, sizeof path, NULL, f->dir), LCM_ERR_VERSION);
    lcm_rundir_close(r);
}

static void manifest_cannot_point_outside(void **state) {
    fixture *f = *state;
    lcm_rundir *r = open_run(f);
    char path[128];
    const char text[] = "{\"format\":1,\"step\":1,\"files\":{\"../latest\":{\"bytes\":14,\"hash\":\"0\"}}}";
    assert_int_equal(save(f->ctx, r, 1, 0), LCM_OK);
    snprintf(path, sizeof path, "%s/step_00000001/manifest.json", f->dir);
    assert_int_equal(lcm_write_file(f->ctx, path, text, strlen(text)), LCM_OK);
    snprintf(path, sizeof path, "%s/step_00000001", f->dir);
    assert_int_equal(lcm_checkpoint_verify(f->ctx, path), LCM_ERR_FORMAT);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "bad entry '../latest'"));
    lcm_rundir_close(r);
}

/* Every limit from nothing to more than enough: each write in turn is the one that fails. */
static void full_disk_leaves_the_previous(void **state) {
    fixture *f = *state;
    lcm_rundir *r = open_run(f);
    struct rlimit was, low;
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    int failed = 0, passed = 0;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(save(f->ctx, r, 1, 1), LCM_OK);
    for (rlim_t limit = 0; limit < 16000; limit += limit < 400 ? 1 : 1500) {
        lcm_status st;
        low = was;
        low.rlim_cur = limit;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
        st = save(f->ctx, r, 2, 1);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
        if (st == LCM_OK) {
            passed++;
            assert_int_equal(loaded_step(f), 2);
            assert_int_equal(save(f->ctx, r, 1, 1), LCM_OK);
            assert_int_equal(loaded_step(f), 1);
            continue;
        }
        failed++;
        assert_int_equal(st, LCM_ERR_IO);
        assert_non_null(strstr(lcm_ctx_message(f->ctx), "File too large"));
        assert_int_equal(loaded_step(f), 1);
        assert_int_equal(entries(f->dir), 3); /* no litter: lock, latest, step 1 */
    }
    assert_true(failed > 400 && passed > 0);
    signal(SIGXFSZ, old);
    lcm_rundir_close(r);
}

static void read_only_folder(void **state) {
    fixture *f = *state;
    lcm_rundir *r = open_run(f);
    uid_t me = geteuid();
    lcm_status opened, saved;
    int64_t step;
    assert_int_equal(save(f->ctx, r, 1, 1), LCM_OK);
    assert_int_equal(chmod(f->dir, 0555), 0);
    if (me == 0) assert_int_equal(seteuid(65534), 0); /* root may write anywhere */
    saved = save(f->ctx, r, 2, 1);
    lcm_rundir_close(r);
    opened = lcm_rundir_open(f->ctx, &r, f->dir);
    if (me != 0 && opened == LCM_OK) opened = save(f->ctx, r, 2, 1); /* its owner may open the lock for writing */
    step = loaded_step(f);
    if (me == 0) assert_int_equal(seteuid(me), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(saved, LCM_ERR_IO);
    assert_int_equal(opened, LCM_ERR_IO);
    assert_int_equal(step, 1); /* reading needs no permission to write */
    if (me != 0) lcm_rundir_close(r);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(keeps_the_newest),           CASE(manifest_is_as_documented),     CASE(refuses_bad_arguments),         CASE(second_run_is_busy),
        CASE(killed_at_any_moment),       CASE(damaged_files_are_skipped),     CASE(damaged_latest_is_survived),
        CASE(later_format_is_named),      CASE(manifest_cannot_point_outside), CASE(full_disk_leaves_the_previous),
        CASE(read_only_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
