/* `lcm eval run` as a program: a server on the loopback, and the exit codes. Baselines only: no model is needed. */
#include "harness/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/io.h"
#include "harness/http_stub.h"
#include "harness/tmpdir.h"

static char *dir;

static void put(const char *name, const char *text) { tmpdir_write(dir, name, text, strlen(text)); }

static int setup(void **state) {
    (void)state;
    dir = tmpdir_new();
    put("story.txt", "The cat sat. It was warm. The dog came.\nTom ran. Ann sang. They were glad.\nShort.\n");
    put("task.json", "{\"format\": 1, \"kind\": \"completion\", \"given\": 2, \"data\": [\"story.txt\"]}");
    put("bad.json", "{\"format\": 1,");
    put("old.json", "{\"format\": 9, \"kind\": \"next\"}");
    put("key.json", "{\"format\": 1, \"kind\": \"completion\", \"gven\": 2}");
    put("judge.txt", "Mark from 0 to 5: {text}");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    tmpdir_free(dir);
    return 0;
}

/* Exit code; what was printed is in out and err of the folder. */
static int lcm(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int lcm(const char *fmt, ...) {
    char args[4096], line[8192];
    va_list ap;
    int status;
    va_start(ap, fmt);
    vsnprintf(args, sizeof args, fmt, ap);
    va_end(ap);
    snprintf(line, sizeof line, "cd '%s' && LCM_TEST_KEY=sesame '%s' eval run %s >out 2>err </dev/null", dir, LCM_BIN, args);
    status = system(line);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(const char *file, const char *text) {
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_buf b = {0};
    assert_int_equal(lcm_read_file(ctx, &b, tmpdir_path(dir, file), 1 << 24), LCM_OK);
    if (b.data == NULL || strstr(b.data, text) == NULL) fail_msg("no '%s' in %s: %s", text, file, b.data ? b.data : "");
    lcm_buf_free(&b);
    lcm_ctx_free(ctx);
}

typedef struct server {
    const char *answer; /* NULL: none */
    double hang;
    bool saw_key;
} server;

static const char *serve(void *user, int n, const char *request, double *hang) {
    server *s = user;
    (void)n;
    s->saw_key |= strstr(request, "Authorization: Bearer sesame") != NULL;
    *hang = s->hang;
    return s->answer;
}

static void a_server_has_a_row(void **state) {
    char *good = strdup(http_stub_ok("{\"choices\": [{\"text\": \" The dog came.\"}]}"));
    server s = {.answer = good};
    http_stub *stub = http_stub_start(serve, &s);
    (void)state;
    assert_int_equal(lcm("task.json -b copy-last --url far=%s --key-env LCM_TEST_KEY -o results", http_stub_url(stub)), 0);
    assert_int_equal(http_stub_requests(stub), 2);
    assert_true(s.saw_key);
    expect("out", "| far | url |");
    expect("err", "results are in results");
    expect("results/results.json", "\"too few sentences\": 1");
    expect("results/report.md", "- skipped, too few sentences: 1");
    expect("results/report.html", "<h1>completion</h1>");
    expect("results/texts.jsonl", "{\"document\":\"story.txt:1\",\"model\":\"far\",\"seed\":1,\"text\":[\"The dog came.\"]}");
    http_stub_stop(stub);
    free(good);
}

static void a_judge_has_a_column(void **state) {
    char *good = strdup(http_stub_ok("{\"choices\": [{\"message\": {\"content\": \"4, I think\"}}]}"));
    server s = {.answer = good};
    http_stub *stub = http_stub_start(serve, &s);
    (void)state;
    assert_int_equal(lcm("task.json -b copy-last --judge wise=%s/v1/chat/completions --judge-prompt wise=judge.txt", http_stub_url(stub)), 0);
    expect("out", "| judge:wise ↑ |");
    expect("out", "4 [4, 4]");
    http_stub_stop(stub);
    assert_int_equal(lcm("task.json -b copy-last --judge wise=http://127.0.0.1:1/ --attempts 1 --judge-prompt wise=judge.txt"), 1);
    expect("err", "judge:wise: left out:");
    expect("out", "| copy-last | baseline |");
    free(good);
}

/* A token is a word, or a line end; it costs 2 nats at first and 1 where the prompt has had the word before. */
typedef struct echo_server {
    char answer[8192];
    int fails_from; /* number of the first request that gets no answer; 0: none */
    bool deaf;      /* without echo */
} echo_server;

static void put_tokens(json_t *tokens, json_t *values, char *prompt) {
    for (char *s = prompt; *s;) {
        size_t n = *s == '\n' ? 1 : 1 + strcspn(s + 1, " \n");
        char keep = s[n], *before;
        s[n] = '\0';
        json_array_append_new(tokens, json_string(s));
        before = strstr(prompt, *s == ' ' ? s + 1 : s);
        json_array_append_new(values, s == prompt ? json_null() : json_real(before < s ? -1 : -2));
        s[n] = keep;
        s += n;
    }
}

static const char *echo(void *user, int n, const char *request, double *hang) {
    echo_server *s = user;
    const char *body = strstr(request, "\r\n\r\n");
    json_t *in = json_loads(body ? body + 4 : "", 0, NULL), *tokens = json_array(), *values = json_array(), *out;
    char prompt[512], *text;
    (void)hang;
    assert_non_null(in);
    snprintf(prompt, sizeof prompt, "%s", json_string_value(json_object_get(in, "prompt")));
    put_tokens(tokens, values, prompt);
    json_array_append_new(tokens, json_string(" and"));
    json_array_append_new(values, json_real(-3));
    out = json_pack("{s:s, s:[{s:s+, s:{s:o, s:o}}], s:{s:i}}", "model", "words", "choices", "text", s->deaf ? "" : prompt, " and", "logprobs",
                    "tokens", tokens, "token_logprobs", values, "usage", "completion_tokens", 1);
    text = json_dumps(out, JSON_COMPACT);
    snprintf(s->answer, sizeof s->answer, "%s", http_stub_ok(text));
    free(text);
    json_decref(out);
    json_decref(in);
    return s->fails_from && n >= s->fails_from ? NULL : s->answer;
}

/* mi of a row, from results.json. */
static double mi_of(const char *name, size_t row, size_t document) {
    json_t *root = json_load_file(tmpdir_path(dir, "scored/results.json"), 0, NULL);
    json_t *metric = json_object_get(json_object_get(json_array_get(json_object_get(root, "rows"), row), "metrics"), name);
    json_t *value = json_array_get(json_object_get(metric, "values"), document);
    double x = json_is_number(value) ? json_number_value(value) : (double)NAN;
    assert_non_null(value);
    json_decref(root);
    return x;
}

static void a_server_scores(void **state) {
    echo_server s = {.fails_from = 0};
    http_stub *stub = http_stub_start(echo, &s);
    (void)state;
    assert_int_equal(lcm("task.json -b copy-last,lead-1 --scorer %s/v1 -o scored", http_stub_url(stub)), 0);
    /* Story 1 is "The cat sat. It was warm." Its last sentence again is three words that have been there, of two nats alone; its
     * first one costs as little. Story 2: "Tom ran. Ann sang." */
    assert_true(mi_of("mi", 0, 0) == 1 && mi_of("mi", 1, 0) == 1 && mi_of("mi", 0, 1) == 1);
    /* With the line end behind it, which has been there, too, but in the prompt alone as well: (3 + 0) / 4. */
    assert_true(mi_of("mi_compat", 0, 0) == 3.0 / 4 && mi_of("mi_compat", 0, 1) == 2.0 / 3);
    expect("scored/results.json", "/v1/completions\"");
    expect("scored/results.json", "\"model\": \"words\"");
    expect("scored/results.json", "\"sentences_of_other_tokens\": 0");
    http_stub_stop(stub);
}

static void scorers_that_fail(void **state) {
    echo_server s = {.deaf = true};
    http_stub *stub = http_stub_start(echo, &s);
    (void)state;
    assert_int_equal(lcm("task.json -b copy-last --scorer %s -o scored", http_stub_url(stub)), 1);
    expect("err", "the server has no \"echo\", without which it cannot tell how likely a given text is");
    s = (echo_server){.fails_from = 8}; /* two for the probe, all four of the first row's mi, half of its mi_compat */
    assert_int_equal(http_stub_requests(stub), 1);
    http_stub_stop(stub);
    stub = http_stub_start(echo, &s);
    assert_int_equal(lcm("task.json -b lead-1,copy-last --scorer %s --attempts 1 -o scored", http_stub_url(stub)), 1);
    expect("err", "scorer: left out: http://127.0.0.1:");
    expect("out", "| copy-last | baseline |");
    assert_int_equal(http_stub_requests(stub), 9); /* not asked again */
    assert_true(mi_of("mi", 0, 0) == 1 && isnan(mi_of("mi_compat", 0, 0)) && isnan(mi_of("mi", 1, 0)));
    assert_true(mi_of("words", 0, 0) == 3);
    http_stub_stop(stub);
    assert_int_equal(lcm("task.json -b copy-last --scorer http://127.0.0.1:1 --attempts 1"), 1);
    expect("err", "http://127.0.0.1:1/v1/completions: ");
    assert_int_equal(lcm("task.json -b copy-last --scorer http://h/v1/chat/completions"), 2);
    expect("err", "a chat does not tell");
    assert_int_equal(lcm("task.json -b copy-last --scorer ftp://h"), 2);
    assert_int_equal(lcm("task.json -b copy-last --scorer-model x"), 2);
}

/* The others keep their rows, and the exit code tells. */
static void servers_that_fail(void **state) {
    char *garbage = strdup(http_stub_ok("<html>busy</html>"));
    server s = {.answer = garbage};
    http_stub *stub = http_stub_start(serve, &s);
    time_t t0;
    (void)state;
    assert_int_equal(lcm("task.json -b copy-last --url far=%s", http_stub_url(stub)), 1);
    expect("err", "far: left out: 'far': ");
    expect("err", "the answer is not JSON");
    expect("out", "| copy-last | baseline |");
    s.hang = 60;
    t0 = time(NULL);
    assert_int_equal(lcm("task.json -b copy-last --url far=%s --timeout 0.2 --attempts 1", http_stub_url(stub)), 1);
    assert_true(time(NULL) - t0 < 30); /* 0.2 s, and what a busy machine adds; the server would take 60 */
    expect("err", "no complete answer within 0.2 s");
    http_stub_stop(stub);
    assert_int_equal(lcm("task.json --url far=http://127.0.0.1:1 --attempts 1 -o none"), 1); /* nobody listens there */
    expect("err", "far: left out:");
    expect("none/results.json", "\"failed\"");
    free(garbage);
}

static void exit_codes(void **state) {
    (void)state;
    assert_int_equal(lcm("task.json -b lead-1 --json"), 0);
    expect("out", "\"lcm.eval/1\"");
    assert_int_equal(lcm("--help"), 0);
    expect("out", "--judge-prompt");
    assert_int_equal(lcm("task.json"), 1);
    expect("err", "no model, baseline or URL");
    assert_int_equal(lcm("bad.json -b lead-1"), 3);
    assert_int_equal(lcm("old.json -b lead-1"), 3);
    assert_int_equal(lcm("key.json -b lead-1"), 1);
    expect("err", "key.json: unknown key 'gven'");
    assert_int_equal(lcm("none.json -b lead-1"), 1);
    assert_int_equal(lcm("task.json -b best"), 1);
    assert_int_equal(lcm("task.json -m none"), 1);
    assert_int_equal(lcm("task.json -b lead-1 --data none.txt"), 1);
    assert_int_equal(lcm("task.json --url far=ftp://h"), 2);
    assert_int_equal(lcm("task.json --url http://h"), 2);
    assert_int_equal(lcm("task.json --url =http://h"), 2);
    assert_int_equal(lcm("task.json --url far=http://h --key-env LCM_NO_SUCH_VARIABLE"), 2);
    expect("err", "'LCM_NO_SUCH_VARIABLE' is not set");
    assert_int_equal(lcm("task.json -b lead-1 --judge wise=http://h"), 2);
    expect("err", "has no --judge-prompt");
    assert_int_equal(lcm("task.json -b lead-1 --seeds 1,x"), 2);
    assert_int_equal(lcm("task.json -b lead-1 extra.json"), 2);
    assert_int_equal(lcm(" "), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_has_a_row),
        cmocka_unit_test(a_judge_has_a_column),
        cmocka_unit_test(a_server_scores),
        cmocka_unit_test(scorers_that_fail),
        cmocka_unit_test(servers_that_fail),
        cmocka_unit_test(exit_codes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
