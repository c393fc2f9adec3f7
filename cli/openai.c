/* Requests and answers of the OpenAI interface. */
#include "openai.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_in(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

bool cli_openai_open(cli_openai *out, const char *url) {
    size_t n = strlen(url);
    memset(out, 0, sizeof *out);
    out->http = cli_http_defaults();
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) return false;
    while (n && url[n - 1] == '/') n--;
    if (n + strlen("/v1/completions") >= sizeof out->url) return false;
    memcpy(out->url, url, n);
    if (!ends_in(out->url, "/completions")) {
        if (!ends_in(out->url, "/v1")) strcat(out->url, "/v1");
        strcat(out->url, "/completions");
    }
    out->chat = ends_in(out->url, "/chat/completions");
    return true;
}

static json_t *completion_request(const cli_openai *o, const lcm_eval_request *r) {
    json_t *j = o->chat ? json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", r->chat)
                        : json_pack("{s:s}", "prompt", r->prompt);
    bool ok = j && json_object_set_new(j, "max_tokens", json_integer(r->max_tokens)) == 0 &&
              json_object_set_new(j, "temperature", json_real(r->temperature)) == 0 &&
              json_object_set_new(j, "seed", json_integer(r->seed)) == 0;
    if (ok) return j;
    json_decref(j);
    return NULL;
}

/* Takes the request, which may be NULL; the answer, or NULL after saying why in `error`. */
static json_t *exchange(cli_openai *o, json_t *request, char *error, size_t cap) {
    bool ok = request && (o->model == NULL || json_object_set_new(request, "model", json_string(o->model)) == 0);
    char *body = ok ? json_dumps(request, JSON_COMPACT) : NULL, *reply;
    json_t *root = NULL;
    size_t len;
    if (body == NULL) snprintf(error, cap, "%.200s: a request cannot be written: out of memory", o->url);
    else if (cli_http_post(&reply, &len, o->url, body, &o->http, error, cap)) {
        const char *model;
        root = json_loadb(reply, len, JSON_REJECT_DUPLICATES, NULL);
        free(reply);
        if (root == NULL) snprintf(error, cap, "%.200s: the answer is not JSON", o->url);
        model = json_string_value(json_object_get(root, "model"));
        if (model) snprintf(o->served, sizeof o->served, "%s", model);
    }
    free(body);
    json_decref(request);
    return root;
}

static const json_t *first_choice(const json_t *root) { return json_array_get(json_object_get(root, "choices"), 0); }

int cli_openai_complete(void *user, char **text, const lcm_eval_request *request, char *error, size_t cap) {
    cli_openai *o = user;
    json_t *root = exchange(o, completion_request(o, request), error, cap);
    const json_t *first = first_choice(root);
    const char *answer = json_string_value(o->chat ? json_object_get(json_object_get(first, "message"), "content") : json_object_get(first, "text"));
    *text = NULL;
    if (root == NULL) return -1;
    if (answer == NULL) snprintf(error, cap, "%.200s: the answer has no choices[0].%s", o->url, o->chat ? "message.content" : "text");
    else if ((*text = strdup(answer)) == NULL) snprintf(error, cap, "out of memory: answer of %.200s", o->url);
    json_decref(root);
    return *text ? 0 : -1;
}

/* ---- how likely a given text is ---- */

/* Number of the prompt's tokens in the answer; -1 after saying what is wrong with it. */
static json_int_t echoed(const cli_openai *o, const json_t *root, const char *prompt, char *error, size_t cap) {
    const json_t *first = first_choice(root), *logprobs = json_object_get(first, "logprobs");
    const json_t *tokens = json_object_get(logprobs, "tokens"), *values = json_object_get(logprobs, "token_logprobs");
    const json_t *made = json_object_get(json_object_get(root, "usage"), "completion_tokens");
    const char *text = json_string_value(json_object_get(first, "text"));
    json_int_t n = (json_int_t)json_array_size(tokens) - json_integer_value(made);
    if (text == NULL) snprintf(error, cap, "%.200s: the answer has no choices[0].text", o->url);
    else if (strncmp(text, prompt, strlen(prompt)) != 0)
        snprintf(error, cap, "%.200s: the server has no \"echo\", without which it cannot tell how likely a given text is", o->url);
    else if (!json_is_array(tokens) || !json_is_array(values) || json_array_size(tokens) != json_array_size(values))
        snprintf(error, cap, "%.200s: the answer has no choices[0].logprobs of as many tokens as token_logprobs", o->url);
    else if (!json_is_integer(made) || json_integer_value(made) < 0 || n < 0)
        snprintf(error, cap, "%.200s: the answer has no usage.completion_tokens within its %zu tokens", o->url, json_array_size(tokens));
    else return n;
    return -1;
}

int cli_openai_score(void *user, const char *prompt, lcm_eval_token_fn token, void *to, char *error, size_t cap) {
    cli_openai *o = user;
    json_t *root = exchange(o, json_pack("{s:s, s:i, s:i, s:i, s:b}", "prompt", prompt, "max_tokens", 1, "temperature", 0, "logprobs", 1,
                                         "echo", 1), error, cap);
    const json_t *logprobs = json_object_get(first_choice(root), "logprobs");
    json_int_t n = root ? echoed(o, root, prompt, error, cap) : -1;
    int failed = n < 0;
    for (size_t i = 0; !failed && i < (size_t)n; i++) {
        const char *text = json_string_value(json_array_get(json_object_get(logprobs, "tokens"), i));
        const json_t *value = json_array_get(json_object_get(logprobs, "token_logprobs"), i);
        failed = text == NULL || !(json_is_number(value) || json_is_null(value));
        if (failed) snprintf(error, cap, "%.200s: choices[0].logprobs: token %zu is no text with a number or null", o->url, i);
        else failed = token(to, text, json_is_null(value) ? (double)NAN : json_number_value(value));
    }
    json_decref(root);
    return failed ? -1 : 0;
}
