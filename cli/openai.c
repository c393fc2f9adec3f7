/* Requests and answers of the OpenAI interface. */
#include "openai.h"

#include <jansson.h>
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

static char *request_text(const cli_openai *o, const lcm_eval_request *r) {
    json_t *j = o->chat ? json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", r->chat)
                        : json_pack("{s:s}", "prompt", r->prompt);
    char *text = NULL;
    bool ok = j && json_object_set_new(j, "max_tokens", json_integer(r->max_tokens)) == 0 &&
              json_object_set_new(j, "temperature", json_real(r->temperature)) == 0 &&
              json_object_set_new(j, "seed", json_integer(r->seed)) == 0 &&
              (o->model == NULL || json_object_set_new(j, "model", json_string(o->model)) == 0);
    if (ok) text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}

/* choices[0].message.content or choices[0].text; NULL when it is not there. */
static const char *answer_of(const json_t *root, bool chat) {
    const json_t *first = json_array_get(json_object_get(root, "choices"), 0);
    if (chat) return json_string_value(json_object_get(json_object_get(first, "message"), "content"));
    return json_string_value(json_object_get(first, "text"));
}

int cli_openai_complete(void *user, char **text, const lcm_eval_request *request, char *error, size_t cap) {
    const cli_openai *o = user;
    char *body = request_text(o, request), *reply;
    const char *answer;
    json_t *root;
    size_t len;
    bool sent;
    *text = NULL;
    if (body == NULL) snprintf(error, cap, "%.200s: a request cannot be written: out of memory", o->url);
    sent = body && cli_http_post(&reply, &len, o->url, body, &o->http, error, cap);
    free(body);
    if (!sent) return -1;
    root = json_loadb(reply, len, JSON_REJECT_DUPLICATES, NULL);
    free(reply);
    answer = answer_of(root, o->chat);
    if (root == NULL) snprintf(error, cap, "%.200s: the answer is not JSON", o->url);
    else if (answer == NULL) snprintf(error, cap, "%.200s: the answer has no choices[0].%s", o->url, o->chat ? "message.content" : "text");
    else if ((*text = strdup(answer)) == NULL) snprintf(error, cap, "out of memory: answer of %.200s", o->url);
    json_decref(root);
    return *text ? 0 : -1;
}
