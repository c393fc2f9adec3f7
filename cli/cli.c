/* Messages, data output, progress, signals. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Messages */

static void clear_progress(cli *c) {
    if (c->progress == NULL || !c->progress->tty || !c->progress->drawn) return;
    fputs("\r\033[K", stderr);
    c->progress->drawn = false;
}

/* Bytes of the control character (C0, DEL, or C1 in UTF-8) at s, 0 when it is none. */
static size_t control_length(const char *s) {
    unsigned char a = (unsigned char)s[0], b = a ? (unsigned char)s[1] : 0;
    if (a == 0xC2 && b >= 0x80 && b <= 0x9F) return 2;
    return (a && a < 0x20) || a == 0x7F ? 1 : 0;
}

/* Writes text with control characters as \xNN. */
static bool put_text(FILE *f, const char *text) {
    while (*text) {
        size_t n = 0, k;
        while (text[n] && control_length(text + n) == 0) n++;
        if (n && fwrite(text, 1, n, f) != n) return false;
        text += n;
        for (k = control_length(text); k > 0; k--)
            if (fprintf(f, "\\x%02x", (unsigned char)*text++) < 0) return false;
    }
    return true;
}

static void talk(cli *c, const char *label, const char *fmt, va_list ap) {
    char line[2048];
    clear_progress(c);
    fputs("lcm", stderr);
    if (c->command) fprintf(stderr, " %s", c->command->name);
    fputs(": ", stderr);
    if (label) fprintf(stderr, c->color ? "\033[1;31m%s:\033[0m " : "%s: ", label);
    vsnprintf(line, sizeof line, fmt, ap);
    put_text(stderr, line);
    fputc('\n', stderr);
}

int cli_error(cli *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    talk(c, "error", fmt, ap);
    va_end(ap);
    return CLI_FAILED;
}

int cli_usage_error(cli *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    talk(c, NULL, fmt, ap);
    va_end(ap);
    if (c->command) fprintf(stderr, "See 'lcm %s --help'.\n", c->command->name);
    else fputs("See 'lcm --help'.\n", stderr);
    return CLI_USAGE;
}

void cli_note(cli *c, const char *fmt, ...) {
    va_list ap;
    if (c->quiet) return;
    va_start(ap, fmt);
    talk(c, NULL, fmt, ap);
    va_end(ap);
}

void cli_log(void *user, lcm_log_level level, const char *line) {
    cli *c = user;
    clear_progress(c);
    fprintf(stderr, "lcm: %s", level == LCM_LOG_WARN ? "warning: " : level == LCM_LOG_ERROR ? "error: " : "");
    put_text(stderr, line);
    fputc('\n', stderr);
}

int cli_status(cli *c, lcm_status st) {
    if (st == LCM_OK) return CLI_OK;
    if (st == LCM_ERR_CANCELLED && cli_interrupted()) {
        cli_note(c, "interrupted");
        return cli_interrupted_code();
    }
    cli_error(c, "%s", *lcm_ctx_message(c->ctx) ? lcm_ctx_message(c->ctx) : lcm_status_name(st));
    switch (st) {
    case LCM_ERR_FORMAT:
    case LCM_ERR_VERSION:
    case LCM_ERR_SHAPE:
    case LCM_ERR_UTF8: return CLI_BAD_FILE;
    case LCM_ERR_NOMEM: return CLI_NO_MEMORY;
    default: return CLI_FAILED;
    }
}

/* Data output */

bool cli_write(cli *c, const void *data, size_t len) {
    if (c->out_errno) return false;
    if (len && fwrite(data, 1, len, stdout) != len) c->out_errno = errno ? errno : EIO;
    return c->out_errno == 0;
}

bool cli_print(cli *c, const char *fmt, ...) {
    va_list ap;
    if (c->out_errno) return false;
    va_start(ap, fmt);
    if (vprintf(fmt, ap) < 0) c->out_errno = errno ? errno : EIO;
    va_end(ap);
    return c->out_errno == 0;
}

bool cli_print_text(cli *c, const char *text) {
    if (c->out_errno) return false;
    if (!put_text(stdout, text)) c->out_errno = errno ? errno : EIO;
    return c->out_errno == 0;
}

bool cli_flush(cli *c) {
    if (c->out_errno == 0 && fflush(stdout) != 0) c->out_errno = errno ? errno : EIO;
    return c->out_errno == 0;
}

static int dump_to_stdout(const char *data, size_t len, void *user) { return cli_write(user, data, len) ? 0 : -1; }

int cli_print_json(cli *c, json_t *value, int indent) {
    int failed;
    if (value == NULL) {
        cli_error(c, "out of memory");
        return CLI_NO_MEMORY;
    }
    failed = json_dump_callback(value, dump_to_stdout, c, JSON_INDENT((size_t)indent) | JSON_REAL_PRECISION(9));
    json_decref(value);
    if (failed && c->out_errno == 0) {
        cli_error(c, "out of memory");
        return CLI_NO_MEMORY;
    }
    cli_write(c, "\n", 1);
    return CLI_OK;
}

int cli_close_output(cli *c, int code) {
    bool had_error = ferror(stdout) != 0;
    errno = 0;
    if (fclose(stdout) != 0 && c->out_errno == 0) c->out_errno = errno ? errno : EIO;
    if (had_error && c->out_errno == 0) c->out_errno = EIO;
    if (c->out_errno == 0) return code;
    c->command = NULL;
    cli_error(c, "cannot write to standard output: %s", strerror(c->out_errno));
    return code ? code : CLI_FAILED;
}

/* Text input */

static int read_failed(cli *c, const char *path, FILE *f, char *data) {
    int code = errno == ENOMEM ? CLI_NO_MEMORY : CLI_FAILED;
    cli_error(c, "cannot read '%s': %s", path, strerror(errno));
    if (f && f != stdin) fclose(f);
    free(data);
    return code;
}

int cli_read_file(cli *c, const char *path, char **out, size_t *len) {
    const size_t limit = (size_t)1 << 31;
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    size_t cap = 1 << 16, n = 0;
    char *data = f ? malloc(cap) : NULL;
    if (f && data == NULL) errno = ENOMEM;
    if (f == NULL || data == NULL) return read_failed(c, path, f, data);
    for (;;) {
        errno = 0;
        n += fread(data + n, 1, cap - 1 - n, f);
        if (ferror(f)) return read_failed(c, path, f, data);
        if (n < cap - 1) break;
        char *grown = cap < limit ? realloc(data, cap * 2) : NULL;
        if (grown == NULL) {
            errno = cap < limit ? ENOMEM : EFBIG; /* set here: gcc moves stores to errno across realloc */
            return read_failed(c, path, f, data);
        }
        data = grown;
        cap *= 2;
    }
    if (f != stdin) fclose(f);
    data[n] = '\0';
    *out = data;
    *len = n;
    return CLI_OK;
}

/* Progress */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void format_duration(char *dst, size_t cap, double s) {
    long n = lround(s);
    if (n < 60) snprintf(dst, cap, "%lds", n);
    else if (n < 3600) snprintf(dst, cap, "%ldm%02lds", n / 60, n % 60);
    else snprintf(dst, cap, "%ldh%02ldm", n / 3600, n / 60 % 60);
}

void cli_progress_begin(cli *c, cli_progress *p, const char *what, const char *unit, double total) {
    const char *term = getenv("TERM");
    memset(p, 0, sizeof *p);
    p->c = c;
    p->what = what;
    p->unit = unit;
    p->total = total;
    p->t0 = p->t_last = now();
    p->tty = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
    c->progress = p;
}

static void draw(cli_progress *p, double t, double done, const char *note) {
    char left[32] = "", line[256];
    double seconds = t - p->t0, rate = seconds > 0 ? (done - p->start) / seconds : 0;
    int n = snprintf(line, sizeof line, "%s: %.0f", p->what, done);
    if (p->total > 0) {
        n += snprintf(line + n, sizeof line - (size_t)n, "/%.0f %s (%.0f%%)", p->total, p->unit, 100 * done / p->total);
        if (rate > 0) format_duration(left, sizeof left, (p->total - done) / rate);
    } else {
        n += snprintf(line + n, sizeof line - (size_t)n, " %s", p->unit);
    }
    if (rate > 0) n += snprintf(line + n, sizeof line - (size_t)n, rate < 10 ? ", %.2f/s" : ", %.0f/s", rate);
    if (*left) n += snprintf(line + n, sizeof line - (size_t)n, ", %s left", left);
    if (note) snprintf(line + n, sizeof line - (size_t)n, ", %.100s", note);
    fprintf(stderr, p->tty ? "\r%s\033[K" : "%s\n", line);
    p->drawn = true;
}

void cli_progress_at(cli_progress *p, double done, const char *note) {
    double t;
    if (p->c->quiet) return;
    t = now();
    if (t - p->t_last < (p->tty ? 0.1 : 10.0)) return;
    p->t_last = t;
    draw(p, t, done, note);
}

void cli_progress_end(cli_progress *p) {
    clear_progress(p->c);
    p->c->progress = NULL;
}

/* Signals */

static volatile sig_atomic_t caught;

static void on_signal(int sig) { caught = sig; }

void cli_catch_signals(void) {
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sa.sa_flags = SA_RESETHAND | SA_RESTART; /* reset: the second signal kills */
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

bool cli_interrupted(void) { return caught != 0; }

int cli_interrupted_code(void) { return 128 + (int)caught; }
