/* The program's parts: suggestions, cgroup limits, option values. */
#include "harness/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static const char *string_at(const void *list, size_t i) { return ((const char *const *)list)[i]; }

static void suggestions(void **state) {
    const char *const words[] = {"info", "segment", "train", "selftest", "no", NULL};
    (void)state;
    assert_string_equal(cli_suggest("inof", string_at, words), "info");
    assert_string_equal(cli_suggest("infos", string_at, words), "info");
    assert_string_equal(cli_suggest("segmnet", string_at, words), "segment");
    assert_string_equal(cli_suggest("slftst", string_at, words), "selftest");
    assert_string_equal(cli_suggest("train", string_at, words), "train");
    assert_null(cli_suggest("", string_at, words));
    assert_null(cli_suggest("x", string_at, words));
    assert_null(cli_suggest("generate", string_at, words));
    assert_null(cli_suggest("a-word-that-is-longer-than-any-name-of-an-option", string_at, words));
}

static void write_file(const char *dir, const char *name, const char *text) {
    char path[512];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int limit_of(const char *dir) {
    char membership[512], root[512];
    snprintf(membership, sizeof membership, "%s/cgroup", dir);
    snprintf(root, sizeof root, "%s/fs", dir);
    return cli_cgroup_cpus(membership, root);
}

static void cgroup_limits(void **state) {
    char dir[] = "/tmp/lcm-cgroup-XXXXXX", command[128];
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(limit_of(dir), 0); /* nothing there */

    write_file(dir, "cgroup", "0::/a/b\n");
    write_file(dir, "fs/a/b/cpu.max", "max 100000\n");
    assert_int_equal(limit_of(dir), 0);
    write_file(dir, "fs/a/b/cpu.max", "350000 100000\n");
    assert_int_equal(limit_of(dir), 4); /* rounded up */
    write_file(dir, "fs/a/cpu.max", "200000 100000\n");
    assert_int_equal(limit_of(dir), 2); /* the parent is tighter */
    write_file(dir, "fs/a/b/cpu.max", "1000 100000\n");
    assert_int_equal(limit_of(dir), 1);

    write_file(dir, "cgroup", "3:cpuset:/x\n2:cpu,cpuacct:/not/visible/here\n");
    write_file(dir, "fs/cpu/cpu.cfs_quota_us", "300000\n"); /* a container sees its group as the root */
    write_file(dir, "fs/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(limit_of(dir), 3);
    write_file(dir, "fs/cpu/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(limit_of(dir), 0);
    write_file(dir, "cgroup", "no colons\n\n:\n");
    assert_int_equal(limit_of(dir), 0);

    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

typedef struct values {
    bool flag;
    int64_t n;
    double x;
    const char *text;
    int choice;
    cli_list set;
} values;

static const char *const choices[] = {"one", "two", NULL};
static const cli_command command = {.name = "try", .help = "try", .args = "[A]", .max_args = 1};

/* Parses a NULL-terminated list of words; the exit code, or -1 when the command would go on. */
static int parse(values *v, cli *c, const char *const *words) {
    static char copy[16][64], *argv[17]; /* static: c->args stays in use */
    int argc = 1;
    const cli_option table[] = {
        CLI_FLAG("flag", 'f', &v->flag, ""),
        CLI_INT("steps", 's', &v->n, 1, 100, ""),
        CLI_REAL("scale", 0, &v->x, -2.5, 10, ""),
        CLI_STRING("text", 0, &v->text, "T", ""),
        CLI_ENUM("choice", 0, &v->choice, choices, "C", ""),
        CLI_ASSIGN("set", 'S', &v->set, ""),
        CLI_END,
    };
    memset(v, 0, sizeof *v);
    argv[0] = copy[0];
    for (; *words; words++, argc++) argv[argc] = strcpy(copy[argc], *words);
    argv[argc] = NULL;
    c->command = &command;
    if (c->ctx == NULL) c->ctx = lcm_ctx_new();
    return cli_parse(c, argc, argv, table) ? -1 : c->exit_code;
}

#define PARSE(...) parse(&v, &c, (const char *const[]){__VA_ARGS__, NULL})

static void option_values(void **state) {
    cli c = {0};
    values v;
    (void)state;
    assert_int_equal(PARSE("pos", "-fs7", "--scale", "-2.5", "--set", "a.b=1", "--choice=two", "-S", "c="), -1);
    assert_true(v.flag);
    assert_int_equal(v.n, 7);
    assert_true(v.x == -2.5);
    assert_int_equal(v.choice, 1);
    assert_int_equal(v.set.n, 2);
    assert_string_equal(v.set.items[0], "a.b=1");
    assert_string_equal(v.set.items[1], "c=");
    assert_int_equal(c.n_args, 1);
    assert_string_equal(c.args[0], "pos");
    cli_list_free(&v.set);

    assert_int_equal(PARSE("--", "-f"), -1);
    assert_false(v.flag);
    assert_string_equal(c.args[0], "-f");
    assert_int_equal(PARSE("--steps=1"), -1);
    assert_int_equal(PARSE("--steps=100"), -1);
    assert_int_equal(PARSE("--scale=10"), -1);

    assert_int_equal(PARSE("--steps=0"), CLI_USAGE);
    assert_int_equal(PARSE("--steps=101"), CLI_USAGE);
    assert_int_equal(PARSE("--steps="), CLI_USAGE);
    assert_int_equal(PARSE("--steps=7x"), CLI_USAGE);
    assert_int_equal(PARSE("--steps=7.5"), CLI_USAGE);
    assert_int_equal(PARSE("--steps=99999999999999999999"), CLI_USAGE);
    assert_int_equal(PARSE("--scale=nan"), CLI_USAGE);
    assert_int_equal(PARSE("--scale=inf"), CLI_USAGE);
    assert_int_equal(PARSE("--scale=10.01"), CLI_USAGE);
    assert_int_equal(PARSE("--choice=tow"), CLI_USAGE);
    assert_int_equal(PARSE("--set=x"), CLI_USAGE);
    assert_int_equal(PARSE("--set", "=x"), CLI_USAGE);
    assert_int_equal(PARSE("--flag=1"), CLI_USAGE);
    assert_int_equal(PARSE("a", "b"), CLI_USAGE);
    cli_list_free(&v.set);
    lcm_ctx_free(c.ctx);
}

static void exit_codes(void **state) {
    cli c = {.command = &command, .ctx = lcm_ctx_new(), .quiet = true};
    (void)state;
    assert_int_equal(cli_status(&c, LCM_OK), CLI_OK);
    assert_int_equal(cli_status(&c, LCM_ERR_FORMAT), CLI_BAD_FILE);
    assert_int_equal(cli_status(&c, LCM_ERR_VERSION), CLI_BAD_FILE);
    assert_int_equal(cli_status(&c, LCM_ERR_SHAPE), CLI_BAD_FILE);
    assert_int_equal(cli_status(&c, LCM_ERR_UTF8), CLI_BAD_FILE);
    assert_int_equal(cli_status(&c, LCM_ERR_NOMEM), CLI_NO_MEMORY);
    assert_int_equal(cli_status(&c, LCM_ERR_IO), CLI_FAILED);
    assert_int_equal(cli_status(&c, LCM_ERR_CANCELLED), CLI_FAILED); /* cancelled, but by no signal */
    cli_catch_signals();
    raise(SIGINT);
    assert_true(cli_interrupted());
    assert_int_equal(cli_status(&c, LCM_ERR_CANCELLED), CLI_INTERRUPTED);
    lcm_ctx_free(c.ctx);
}

/* Standard error during a test goes to a file; returns what was written. */
static FILE *captured;
static int saved_fd;

static void capture(void) {
    captured = tmpfile();
    assert_non_null(captured);
    fflush(stderr);
    saved_fd = dup(STDERR_FILENO);
    assert_true(dup2(fileno(captured), STDERR_FILENO) >= 0);
}

static const char *release(void) {
    static char text[1024];
    size_t n;
    fflush(stderr);
    dup2(saved_fd, STDERR_FILENO);
    close(saved_fd);
    rewind(captured);
    n = fread(text, 1, sizeof text - 1, captured);
    text[n] = '\0';
    fclose(captured);
    return text;
}

static void progress_line(void **state) {
    cli c = {.command = &command};
    cli_progress p;
    const char *text;
    (void)state;

    capture();
    cli_progress_begin(&c, &p, "encode", "sentences", 400);
    cli_progress_at(&p, 1, NULL); /* too early */
    p.t0 -= 2000; /* as if so many seconds had passed: a busy machine adds one without changing a digit */
    p.t_last -= 20;
    cli_progress_at(&p, 100, "loss 1.25");
    cli_progress_at(&p, 101, NULL); /* too early again */
    cli_progress_end(&p);
    assert_string_equal(release(), "encode: 100/400 sentences (25%), 0.05/s, 1h40m left, loss 1.25\n");

    /* On a terminal the line is rewritten, and taken away before a message and at the end. */
    capture();
    cli_progress_begin(&c, &p, "encode", "sentences", 0);
    p.tty = true;
    p.t0 -= 2000;
    p.t_last -= 20;
    cli_progress_at(&p, 1000, NULL);
    cli_note(&c, "a\033b");
    p.t_last -= 20;
    cli_progress_at(&p, 2000, NULL);
    cli_progress_end(&p);
    text = release();
    assert_string_equal(text, "\rencode: 1000 sentences, 0.50/s\033[K\r\033[Klcm try: a\\x1bb\n"
                              "\rencode: 2000 sentences, 1.00/s\033[K\r\033[K");

    capture();
    c.quiet = true;
    cli_progress_begin(&c, &p, "encode", "sentences", 400);
    p.t_last -= 20;
    cli_progress_at(&p, 100, NULL);
    cli_progress_end(&p);
    assert_string_equal(release(), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suggestions),
        cmocka_unit_test(cgroup_limits),
        cmocka_unit_test(option_values),
        cmocka_unit_test(progress_line),
        cmocka_unit_test(exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
