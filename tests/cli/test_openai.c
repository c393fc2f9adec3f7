/* The HTTP client and the OpenAI interface against a server on the loopback that behaves well, and badly. */
#include "harness/test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness/http_stub.h"
#include "openai.h"

#define TEXT_ANSWER "{\"choices\": [{\"text\": \"It rained.\"}]}"
#define CHAT_ANSWER "{\"choices\": [{\"message\": {\"content\": \"It snowed.\"}}]}"

static const lcm_eval_request request = {.prompt = "Once \"upon\"\n", .chat = "Go on: Once", .max_tokens = 7, .seed = 3, .temperature = 0.5};

typedef struct script {
    const char *const *answers; /* by number of the request; the last one stays */
    int n;
    double hang;
    char seen[4096]; /* the last request */
} script;

static const char *play(void *user, int n, const char *in, double *hang) {
    script *s = user;
    strncpy(s->seen, in, sizeof s->seen - 1);
    *hang = s->hang;
    return s->answers[n < s->n ? n : s->n - 1];
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One request to a server that plays the script; the pauses are as short as they can be. */
static int ask(script *s, const char *path, cli_openai *o, char **text, char error[512], int *requests) {
    http_stub *stub = http_stub_start(play, s);
    cli_openai made;
    char url[128];
    int code;
    strcpy(url, http_stub_url(stub));
    strcat(url, path);
    assert_true(cli_openai_open(&made, url));
    made.model = o->model;
    if (o->http.attempts) made.http = o->http;
    made.http.pause = 0.001;
    code = cli_openai_complete(&made, text, &request, error, 512);
    if (requests) *requests = http_stub_requests(stub);
    http_stub_stop(stub);
    return code;
}

static json_t *body_of(const script *s) {
    const char *body = strstr(s->seen, "\r\n\r\n");
    json_t *j = body ? json_loads(body + 4, 0, NULL) : NULL;
    assert_non_null(j);
    return j;
}

static void addresses(void **state) {
    static const char *const pairs[][2] = {{"http://h:8080", "http://h:8080/v1/completions"},
                                           {"http://h/v1/", "http://h/v1/completions"},
                                           {"https://h/api/v1", "https://h/api/v1/completions"},
                                           {"http://h/v1/chat/completions", "http://h/v1/chat/completions"},
                                           {"http://h/x/completions", "http://h/x/completions"}};
    char longest[3000];
    cli_openai o;
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_true(cli_openai_open(&o, pairs[i][0]));
        assert_string_equal(o.url, pairs[i][1]);
        assert_int_equal(o.chat, i == 3);
    }
    assert_false(cli_openai_open(&o, "ftp://h"));
    assert_false(cli_openai_open(&o, "file:///etc/passwd"));
    assert_false(cli_openai_open(&o, "h:8080"));
    memset(longest, 'a', sizeof longest - 1);
    memcpy(longest, "http://", 7);
    longest[sizeof longest - 1] = '\0';
    assert_false(cli_openai_open(&o, longest));
}

static void requests_and_answers(void **state) {
    char *text, error[512] = "";
    const char *answers[1] = {strdup(http_stub_ok(TEXT_ANSWER))}, *chats[1] = {strdup(http_stub_ok(CHAT_ANSWER))};
    script s = {.answers = answers, .n = 1};
    cli_openai o = {.model = "gemma", .http = {.seconds = 20, .attempts = 1, .max_reply = 1000, .bearer = "sesame"}};
    json_t *j;
    (void)state;
    assert_int_equal(ask(&s, "", &o, &text, error, NULL), 0);
    assert_string_equal(text, "It rained.");
    free(text);
    assert_ptr_equal(strstr(s.seen, "POST /v1/completions HTTP/1.1\r\n"), s.seen);
    assert_non_null(strstr(s.seen, "\r\nAuthorization: Bearer sesame\r\n"));
    j = body_of(&s);
    assert_string_equal(json_string_value(json_object_get(j, "prompt")), request.prompt);
    assert_string_equal(json_string_value(json_object_get(j, "model")), "gemma");
    assert_int_equal(json_integer_value(json_object_get(j, "max_tokens")), 7);
    assert_int_equal(json_integer_value(json_object_get(j, "seed")), 3);
    assert_true(json_real_value(json_object_get(j, "temperature")) == 0.5);
    json_decref(j);

    s.answers = chats;
    o = (cli_openai){0};
    assert_int_equal(ask(&s, "/v1/chat/completions", &o, &text, error, NULL), 0);
    assert_string_equal(text, "It snowed.");
    free(text);
    assert_null(strstr(s.seen, "Authorization"));
    j = body_of(&s);
    assert_null(json_object_get(j, "model"));
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(j, "messages"), 0), "content")), request.chat);
    json_decref(j);
    free((char *)(uintptr_t)answers[0]);
    free((char *)(uintptr_t)chats[0]);
}

/* What may pass is tried again, what cannot is not. */
static void repeats(void **state) {
    char *text, error[512], *good = strdup(http_stub_ok(TEXT_ANSWER));
    const char *busy[3] = {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", NULL, good};
    const char *limited[2] = {"HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", good};
    const char *refused[1] = {"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nwrong key"};
    const char *down[1] = {"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nOOM\n"};
    cli_openai o = {.http = {.seconds = 20, .attempts = 3, .max_reply = 1000}};
    int requests;
    double t0;
    (void)state;
    assert_int_equal(ask(&(script){.answers = busy, .n = 3}, "", &o, &text, error, &requests), 0);
    assert_int_equal(requests, 3);
    free(text);
    t0 = now();
    assert_int_equal(ask(&(script){.answers = limited, .n = 2}, "", &o, &text, error, &requests), 0);
    assert_int_equal(requests, 2);
    assert_true(now() - t0 >= 1); /* the server asked for a second, our own pause is a millisecond */
    free(text);
    assert_int_not_equal(ask(&(script){.answers = refused, .n = 1}, "", &o, &text, error, &requests), 0);
    assert_int_equal(requests, 1);
    assert_null(text);
    assert_non_null(strstr(error, "HTTP status 401: wrong key"));
    assert_int_not_equal(ask(&(script){.answers = down, .n = 1}, "", &o, &text, error, &requests), 0);
    assert_int_equal(requests, 3);
    assert_non_null(strstr(error, "HTTP status 500: OOM"));
    assert_non_null(strstr(error, "(3 attempts)"));
    assert_null(strchr(error, '\n'));
    free(good);
}

static void silence_has_a_deadline(void **state) {
    char *text, error[512], *good = strdup(http_stub_ok(TEXT_ANSWER));
    script s = {.answers = (const char *const[]){good}, .n = 1, .hang = 30};
    cli_openai o = {.http = {.seconds = 0.2, .attempts = 1, .max_reply = 1000}};
    double t0 = now();
    (void)state;
    assert_int_not_equal(ask(&s, "", &o, &text, error, NULL), 0);
    assert_true(now() - t0 < 10); /* 0.2 s, and what a busy machine adds; the server would take 30 */
    assert_non_null(strstr(error, "no complete answer within 0.2 s"));
    free(good);
}

static void garbage_is_named(void **state) {
    static const char *const bad[][2] = {
        {"<html>", "not JSON"},
        {"", "not JSON"},
        {"{\"choices\": []}", "no choices[0].text"},
        {"{\"choices\": [{\"text\": 5}]}", "no choices[0].text"},
        {"{\"choices\": {\"text\": \"x\"}}", "no choices[0].text"},
        {"[1]", "no choices[0].text"},
        {"{\"choices\": [{\"text\": \"\\u0000\"}]}", "not JSON"}, /* jansson refuses it: a C string would end there */
    };
    char *text, error[512], *large;
    cli_openai o = {.http = {.seconds = 20, .attempts = 2, .max_reply = 1000}};
    int requests;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *answer = strdup(http_stub_ok(bad[i][0]));
        error[0] = '\0';
        assert_int_not_equal(ask(&(script){.answers = (const char *const[]){answer}, .n = 1}, "", &o, &text, error, &requests), 0);
        if (strstr(error, bad[i][1]) == NULL) fail_msg("answer %zu: %s", i, error);
        assert_int_equal(requests, 1);
        free(answer);
    }
    large = malloc(5000);
    memset(large, ' ', 4999);
    large[4999] = '\0';
    {
        char *answer = strdup(http_stub_ok(large));
        assert_int_not_equal(ask(&(script){.answers = (const char *const[]){answer}, .n = 1}, "", &o, &text, error, &requests), 0);
        assert_non_null(strstr(error, "exceeds 1000 bytes"));
        free(answer);
    }
    free(large);
    /* no HTTP at all: curl takes it for an error, and so do we */
    assert_int_not_equal(ask(&(script){.answers = (const char *const[]){"SSH-2.0-OpenSSH_9.2\r\n"}, .n = 1}, "", &o, &text, error, NULL), 0);
}

/* ---- how likely a given text is ---- */

#define PROMPT "It was.\nWe sat."

typedef struct said {
    int n;
    char text[256];
    double value[8];
} said;

static int hear(void *to, const char *text, double log_prob) {
    said *s = to;
    assert_in_range(s->n, 0, 7);
    strcat(strcat(s->text, text), "|");
    s->value[s->n++] = log_prob;
    return s->n == 8; /* as if out of memory */
}

/* The answer of a server to PROMPT; a failure comes with `error`. */
static int score(const char *answer, said *s, char error[512], json_t **body) {
    char *reply = strdup(http_stub_ok(answer)), url[128];
    script play_it = {.answers = (const char *const[]){reply}, .n = 1};
    http_stub *stub = http_stub_start(play, &play_it);
    cli_openai o;
    int code;
    strcpy(url, http_stub_url(stub));
    assert_true(cli_openai_open(&o, url));
    o.model = body ? "gemma" : NULL;
    memset(s, 0, sizeof *s);
    *error = '\0';
    code = cli_openai_score(&o, PROMPT, hear, s, error, 512);
    http_stub_stop(stub);
    if (body) *body = body_of(&play_it);
    if (body) assert_string_equal(o.served, "org/gemma");
    free(reply);
    return code;
}

/* As vLLM answers, its beginning of sequence in the list, and as llama-cpp-python does, which leaves it out and has come to an
 * end instead of the token that was asked for. Offsets are not read: those of either are wrong here. */
static void tokens_of_a_prompt(void **state) {
    static const char vllm[] =
        "{\"model\": \"org/gemma\", \"choices\": [{\"text\": \"It was.\\nWe sat. And\", \"logprobs\": {\"text_offset\": [0, 3, 5, 9, 10, 12, 16, 17], "
        "\"tokens\": [\"<s>\", \"It\", \" was\", \".\\n\", \"We\", \" sat\", \".\", \" And\"], "
        "\"token_logprobs\": [null, -1, -2.5, -3, -4, -5, 0, -7]}}], \"usage\": {\"prompt_tokens\": 7, \"completion_tokens\": 1}}";
    static const char llama[] =
        "{\"choices\": [{\"text\": \"It was.\\nWe sat.\", \"logprobs\": {\"text_offset\": [0, 3, 7], \"tokens\": [\" It\", \" was.\", \"\\nWe sat.\"], "
        "\"token_logprobs\": [null, -1, -2], \"top_logprobs\": [null, {}, {}]}}], \"usage\": {\"prompt_tokens\": 4, \"completion_tokens\": 0}}";
    static const double want[] = {-1, -2.5, -3, -4, -5, 0};
    char error[512];
    json_t *body;
    said s;
    (void)state;
    assert_int_equal(score(vllm, &s, error, &body), 0);
    assert_string_equal(s.text, "<s>|It| was|.\n|We| sat|.|");
    assert_int_equal(s.n, 7);
    assert_true(isnan(s.value[0]));
    for (int i = 0; i < 6; i++) assert_true(s.value[i + 1] == want[i]);
    assert_string_equal(json_string_value(json_object_get(body, "prompt")), PROMPT);
    assert_string_equal(json_string_value(json_object_get(body, "model")), "gemma");
    assert_true(json_is_true(json_object_get(body, "echo")));
    assert_int_equal(json_integer_value(json_object_get(body, "logprobs")), 1);
    assert_int_equal(json_integer_value(json_object_get(body, "max_tokens")), 1);
    json_decref(body);
    assert_int_equal(score(llama, &s, error, NULL), 0);
    assert_string_equal(s.text, " It| was.|\nWe sat.|");
}

#define ANSWER(text, tokens, values, usage) \
    "{\"choices\": [{\"text\": " text ", \"logprobs\": {\"tokens\": " tokens ", \"token_logprobs\": " values "}}]" usage "}"
#define ECHO "\"It was.\\nWe sat.\""
#define MADE_NONE ", \"usage\": {\"completion_tokens\": 0}"

static void servers_that_do_not_tell(void **state) {
    static const char *const bad[][2] = {
        {"<html>", "not JSON"},
        {"{}", "no choices[0].text"},
        {"{\"choices\": [{\"text\": \" And\", \"logprobs\": null}], \"usage\": {\"completion_tokens\": 1}}", "the server has no \"echo\""},
        {"{\"choices\": [{\"text\": " ECHO ", \"logprobs\": {\"content\": []}}]" MADE_NONE "}", "no choices[0].logprobs of as many tokens"},
        {ANSWER(ECHO, "[\"a\", \"b\"]", "[-1]", MADE_NONE), "no choices[0].logprobs of as many tokens"},
        {ANSWER(ECHO, "5", "[-1]", MADE_NONE), "no choices[0].logprobs of as many tokens"},
        {ANSWER(ECHO, "[\"a\"]", "[-1]", ""), "no usage.completion_tokens within its 1 tokens"},
        {ANSWER(ECHO, "[\"a\"]", "[-1]", ", \"usage\": {\"completion_tokens\": 2}"), "no usage.completion_tokens within its 1 tokens"},
        {ANSWER(ECHO, "[\"a\"]", "[-1]", ", \"usage\": {\"completion_tokens\": -1}"), "no usage.completion_tokens within its 1 tokens"},
        {ANSWER(ECHO, "[\"a\", 7]", "[-1, -1]", MADE_NONE), "token 1 is no text with a number or null"},
        {ANSWER(ECHO, "[\"a\", \"b\"]", "[null, \"-1\"]", MADE_NONE), "token 1 is no text with a number or null"},
    };
    char error[512];
    said s;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(score(bad[i][0], &s, error, NULL), 0);
        if (strstr(error, "http://127.0.0.1:") != error || strstr(error, bad[i][1]) == NULL) fail_msg("answer %zu: %s", i, error);
    }
    assert_int_not_equal(score(ANSWER(ECHO, "[\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\"]",
                                      "[-1, -1, -1, -1, -1, -1, -1, -1, -1]", MADE_NONE), &s, error, NULL), 0);
    assert_int_equal(s.n, 8); /* no more than were wanted */
}

static void nobody_listens(void **state) {
    http_stub *stub = http_stub_start(play, NULL);
    char *text, error[512];
    cli_openai o;
    (void)state;
    assert_true(cli_openai_open(&o, http_stub_url(stub)));
    http_stub_stop(stub); /* its port is free now */
    o.http.pause = 0.001;
    o.http.attempts = 2;
    assert_int_not_equal(cli_openai_complete(&o, &text, &request, error, sizeof error), 0);
    assert_ptr_equal(strstr(error, "http://127.0.0.1:"), error);
    assert_non_null(strstr(error, "(2 attempts)"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),       cmocka_unit_test(requests_and_answers), cmocka_unit_test(repeats),
        cmocka_unit_test(silence_has_a_deadline), cmocka_unit_test(garbage_is_named), cmocka_unit_test(tokens_of_a_prompt),
        cmocka_unit_test(servers_that_do_not_tell), cmocka_unit_test(nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
