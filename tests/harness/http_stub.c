#include "harness/http_stub.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/test.h"

enum { ROOM = 1 << 20 };

struct http_stub {
    http_stub_fn answer;
    void *user;
    int listener, stop[2]; /* a byte in the pipe ends the thread, and any wait of it */
    atomic_int requests;
    char url[64], in[ROOM];
    pthread_t thread;
};

/* False when the test is over. */
static bool wait_for(const http_stub *s, int fd, int milliseconds) {
    struct pollfd p[2] = {{s->stop[0], POLLIN, 0}, {fd, POLLIN, 0}};
    poll(p, fd < 0 ? 1 : 2, milliseconds);
    return p[0].revents == 0;
}

/* Head and as much body as Content-Length says. */
static bool read_request(http_stub *s, int fd) {
    size_t n = 0;
    for (;;) {
        const char *end, *length;
        ssize_t got;
        s->in[n] = '\0';
        end = strstr(s->in, "\r\n\r\n");
        length = strcasestr(s->in, "content-length:");
        if (end && n >= (size_t)(end - s->in) + 4 + (length ? strtoul(length + 15, NULL, 10) : 0)) return true;
        if (!wait_for(s, fd, 10000)) return false;
        got = n < ROOM - 1 ? recv(fd, s->in + n, ROOM - 1 - n, 0) : 0;
        if (got <= 0) return false;
        n += (size_t)got;
    }
}

static void serve(http_stub *s, int fd) {
    double hang = 0;
    const char *out;
    if (!read_request(s, fd)) return;
    out = s->answer(s->user, s->requests++, s->in, &hang);
    if (hang > 0 && !wait_for(s, -1, (int)(hang * 1000))) return;
    for (size_t left = out ? strlen(out) : 0; left > 0;) {
        ssize_t sent = send(fd, out, left, MSG_NOSIGNAL);
        if (sent <= 0) return; /* the client has had enough */
        out += sent;
        left -= (size_t)sent;
    }
}

static void *run(void *user) {
    http_stub *s = user;
    while (wait_for(s, s->listener, -1)) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0) continue;
        serve(s, fd);
        close(fd);
    }
    return NULL;
}

http_stub *http_stub_start(http_stub_fn answer, void *user) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    http_stub *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->answer = answer;
    s->user = user;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->listener >= 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(pipe(s->stop), 0);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", ntohs(a.sin_port));
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
    return s;
}

const char *http_stub_url(const http_stub *s) { return s->url; }
int http_stub_requests(const http_stub *s) { return s->requests; }

void http_stub_stop(http_stub *s) {
    assert_int_equal(write(s->stop[1], "", 1), 1);
    pthread_join(s->thread, NULL);
    close(s->listener);
    close(s->stop[0]);
    close(s->stop[1]);
    free(s);
}

const char *http_stub_ok(const char *body) {
    static char text[ROOM];
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", strlen(body), body);
    return text;
}
