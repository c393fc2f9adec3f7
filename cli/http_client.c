/* libcurl behind one function. */
#include "http_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

typedef struct body {
    char *data;
    size_t len, max;
    bool too_long, no_memory;
} body;

typedef struct attempt {
    CURLcode code;
    long status;
    double asked_pause; /* Retry-After, 0 without */
    body reply;
    char detail[CURL_ERROR_SIZE];
} attempt;

cli_http_opts cli_http_defaults(void) {
    return (cli_http_opts){.seconds = 120, .attempts = 4, .pause = 1, .max_reply = (size_t)16 << 20};
}

static size_t take(char *data, size_t size, size_t n, void *user) {
    body *b = user;
    char *grown;
    n *= size;
    b->too_long = n > b->max - b->len;
    grown = b->too_long ? NULL : realloc(b->data, b->len + n + 1);
    b->no_memory = grown == NULL && !b->too_long;
    if (grown == NULL) return 0; /* curl stops with CURLE_WRITE_ERROR */
    memcpy(grown + b->len, data, n);
    b->data = grown;
    b->len += n;
    grown[b->len] = '\0';
    return n;
}

static struct curl_slist *headers_of(const cli_http_opts *o) {
    struct curl_slist *h = curl_slist_append(NULL, "Content-Type: application/json"), *more = NULL;
    char line[4200];
    if (h) more = curl_slist_append(h, "Expect:"); /* no pause for "100 Continue" */
    if (more && o->bearer) {
        int n = snprintf(line, sizeof line, "Authorization: Bearer %s", o->bearer);
        more = n > 0 && (size_t)n < sizeof line ? curl_slist_append(h, line) : NULL;
    }
    if (more == NULL) curl_slist_free_all(h);
    return more;
}

static CURLcode set_options(CURL *c, const char *url, const char *text, const struct curl_slist *headers, const cli_http_opts *o,
                            attempt *a) {
    CURLcode code = curl_easy_setopt(c, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
    if (code == CURLE_OK) code = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    if (code == CURLE_OK) code = curl_easy_setopt(c, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
    if (code == CURLE_OK) code = curl_easy_setopt(c, CURLOPT_POSTFIELDS, text);
    if (code == CURLE_OK) code = curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    if (code == CURLE_OK) code = curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    if (code == CURLE_OK) code = curl_easy_setopt(c, CURLOPT_WRITEDATA, &a->reply);
    if (code == CURLE_OK) code = curl_easy_setopt(c, CURLOPT_ERRORBUFFER, a->detail);
    if (code == CURLE_OK) code = curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(o->seconds * 1000));
    if (code == CURLE_OK) code = curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    return code;
}

static void try_once(attempt *a, const char *url, const char *text, const cli_http_opts *o) {
    CURL *c = curl_easy_init();
    struct curl_slist *headers = headers_of(o);
    memset(a, 0, sizeof *a);
    a->reply.max = o->max_reply;
    a->code = c && headers ? set_options(c, url, text, headers, o, a) : CURLE_OUT_OF_MEMORY;
    if (a->code == CURLE_OK) a->code = curl_easy_perform(c);
    if (a->code == CURLE_OK) {
        curl_off_t pause = 0;
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a->status);
        if (curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &pause) == CURLE_OK) a->asked_pause = (double)pause;
    }
    if (a->reply.no_memory) a->code = CURLE_OUT_OF_MEMORY;
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
}

static bool may_pass(const attempt *a) {
    switch (a->code) {
    case CURLE_OK: return a->status == 408 || a->status == 429 || a->status >= 500;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: return true;
    default: return false;
    }
}

static void rest(double seconds) {
    struct timespec t;
    if (seconds > CLI_HTTP_MAX_PAUSE) seconds = CLI_HTTP_MAX_PAUSE;
    t.tv_sec = (time_t)seconds;
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}

static void describe(const attempt *a, const char *url, const cli_http_opts *o, int tried, char *error, size_t cap) {
    char why[512], times[32] = "";
    if (tried > 1) snprintf(times, sizeof times, " (%d attempts)", tried);
    if (a->reply.too_long) snprintf(why, sizeof why, "the answer exceeds %zu bytes", o->max_reply);
    else if (a->code == CURLE_OPERATION_TIMEDOUT) snprintf(why, sizeof why, "no complete answer within %g s", o->seconds);
    else if (a->code != CURLE_OK) snprintf(why, sizeof why, "%s", *a->detail ? a->detail : curl_easy_strerror(a->code));
    else snprintf(why, sizeof why, "HTTP status %ld: %.200s", a->status, a->reply.len ? a->reply.data : "no text");
    snprintf(error, cap, "%.200s: %s%s", url, why, times);
    for (char *s = error; *s; s++)
        if (*s == '\n' || *s == '\r' || *s == '\t') *s = ' ';
}

bool cli_http_post(char **reply, size_t *len, const char *url, const char *text, const cli_http_opts *o, char *error, size_t cap) {
    double pause = o->pause;
    *reply = NULL;
    *len = 0;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        snprintf(error, cap, "libcurl cannot start");
        return false;
    }
    for (int tried = 1;; tried++, pause *= 2) {
        attempt a;
        bool done;
        try_once(&a, url, text, o);
        done = a.code == CURLE_OK && a.status >= 200 && a.status < 300;
        if (done) {
            *reply = a.reply.data ? a.reply.data : calloc(1, 1);
            *len = a.reply.len;
            done = *reply != NULL;
            if (!done) snprintf(error, cap, "out of memory: answer of %.200s", url);
        } else if (may_pass(&a) && tried < o->attempts) {
            free(a.reply.data);
            rest(a.asked_pause > pause ? a.asked_pause : pause);
            continue;
        } else {
            describe(&a, url, o, tried, error, cap);
            free(a.reply.data);
        }
        curl_global_cleanup();
        return done;
    }
}
