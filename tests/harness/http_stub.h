/* A web server of one thread on the loopback, for tests of what talks to one. */
#ifndef TEST_HTTP_STUB_H
#define TEST_HTTP_STUB_H

#include <stdbool.h>
#include <stddef.h>

/* What is sent for the n-th request (from 0), byte for byte; NULL closes without an answer. `request` is what
 * came: head and body, NUL-terminated. *hang seconds pass before anything is sent. */
typedef const char *(*http_stub_fn)(void *user, int n, const char *request, double *hang);

typedef struct http_stub http_stub;

http_stub *http_stub_start(http_stub_fn answer, void *user); /* fails the running test when it cannot */
const char *http_stub_url(const http_stub *s);               /* "http://127.0.0.1:PORT"; borrowed */
int http_stub_requests(const http_stub *s);                  /* that were read to their end */
void http_stub_stop(http_stub *s);

/* "HTTP/1.1 200 OK", length and body; one static buffer. */
const char *http_stub_ok(const char *body);

#endif
