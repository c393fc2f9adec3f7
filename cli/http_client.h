/* HTTP POST of JSON, one exchange at a time: what scoring external models needs, and no more.
 *
 * The only user of libcurl. http and https, no redirects (a key must not follow one), a deadline for
 * every attempt, a limit on the answer. What may pass by itself (no connection, no answer in time,
 * 408, 429, 5xx) is tried again after a pause that doubles, or that the server asks for. */
#ifndef LCM_HTTP_CLIENT_H
#define LCM_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cli_http_opts {
    double seconds;     /* of one attempt, from the first byte sent to the last received */
    int attempts;
    double pause;       /* seconds before the second attempt */
    size_t max_reply;   /* bytes */
    const char *bearer; /* key for "Authorization: Bearer …", or NULL */
} cli_http_opts;

enum { CLI_HTTP_MAX_PAUSE = 60 }; /* seconds between two attempts at most */

/* 120 s, 4 attempts, 1 s, 16 MiB, no key. */
cli_http_opts cli_http_defaults(void);

/* Sends `body` to `url`; *reply (heap, NUL-terminated, *len bytes) is the body of a 2xx answer. False:
 * `error` (cap bytes) holds one sentence, *reply is NULL. */
bool cli_http_post(char **reply, size_t *len, const char *url, const char *body, const cli_http_opts *o, char *error, size_t cap);

#endif
