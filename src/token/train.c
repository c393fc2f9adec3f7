/* Training of a tokeniser: collects the sentences, then lets a child process run the library.
 *
 * The library's trainer checks its own state with conditions that end the process when they fail
 * (exit, not an exception). A child keeps that, its log lines and its settings away from the caller. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/rng.h"
#include "token/spm_check.h"
#include "token/spm_shim.h"

enum { N_SPECIALS = 3, N_BYTES = 256, CHILD_DONE = 0 };

typedef struct corpus {
    lcm_sentence *items; /* each text on the heap */
    size_t len, cap;
    int64_t n_seen; /* non-empty sentences so far */
} corpus;

lcm_tokenizer_train_opts lcm_tokenizer_train_defaults(void) {
    return (lcm_tokenizer_train_opts){.vocab_size = 8192,
                                      .type = LCM_TOKENIZER_UNIGRAM,
                                      .normalization = LCM_NORM_NMT_NFKC,
                                      .byte_fallback = true,
                                      .character_coverage = 0.9995,
                                      .max_sentence_bytes = 16384};
}

static lcm_status check_opts(lcm_ctx *ctx, const lcm_tokenizer_train_opts *o) {
    int least = N_SPECIALS + (o->byte_fallback ? N_BYTES : 0) + 1;
    if (o->type != LCM_TOKENIZER_UNIGRAM && o->type != LCM_TOKENIZER_BPE)
        LCM_FAIL(ctx, LCM_ERR_ARG, "tokenizer training: type %d, 1 (unigram) and 2 (BPE) exist", (int)o->type);
    if (o->normalization != LCM_NORM_NMT_NFKC && o->normalization != LCM_NORM_IDENTITY)
        LCM_FAIL(ctx, LCM_ERR_ARG, "tokenizer training: normalization %d, 0 and 1 exist", (int)o->normalization);
    if (o->vocab_size < least || o->vocab_size > LCM_SPM_MAX_PIECES)
        LCM_FAIL(ctx, LCM_ERR_ARG, "tokenizer training: vocabulary of %d pieces, %d to %d are possible",
                 o->vocab_size, least, LCM_SPM_MAX_PIECES);
    if (!(o->character_coverage >= 0.98 && o->character_coverage <= 1))
        LCM_FAIL(ctx, LCM_ERR_ARG, "tokenizer training: character coverage %g, 0.98 to 1 are possible",
                 o->character_coverage);
    if (o->max_sentence_bytes < 16 || o->max_sentence_bytes > 65536)
        LCM_FAIL(ctx, LCM_ERR_ARG, "tokenizer training: sentences of %d bytes, 16 to 65536 are possible",
                 o->max_sentence_bytes);
    if (o->max_sentences < 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "tokenizer training: at most %lld sentences", (long long)o->max_sentences);
    return LCM_OK;
}

static void corpus_free(corpus *c) {
    for (size_t i = 0; i < c->len; i++) free((char *)c->items[i].text);
    free(c->items);
}

static lcm_status check_sentence(lcm_ctx *ctx, const lcm_tokenizer_train_opts *opts, long long i, const char *text,
                                 size_t len) {
    size_t valid;
    if (len > (size_t)opts->max_sentence_bytes)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "sentence %lld: %zu bytes, the limit is %d", i, len, opts->max_sentence_bytes);
    valid = lcm_utf8_valid_prefix(text, len);
    if (valid < len) LCM_FAIL(ctx, LCM_ERR_UTF8, "sentence %lld is not valid UTF-8 at byte %zu", i, valid);
    return LCM_OK;
}

/* Reservoir sampling: after n sentences each of them is kept with probability max_sentences / n. */
static lcm_status corpus_add(lcm_ctx *ctx, corpus *c, const lcm_tokenizer_train_opts *opts, lcm_rng *rng,
                             const char *text, size_t len) {
    uint64_t slot = c->len;
    char *copy;
    c->n_seen++;
    if (opts->max_sentences > 0 && c->n_seen > opts->max_sentences) {
        if (c->n_seen > UINT32_MAX) LCM_FAIL(ctx, LCM_ERR_LIMIT, "tokenizer training: more than 2^32 sentences");
        slot = lcm_rng_below(rng, (uint64_t)c->n_seen);
        if (slot >= c->len) return LCM_OK;
    }
    LCM_TRY(lcm_grow(ctx, &c->items, &c->cap, c->len + 1, sizeof *c->items));
    LCM_TRY(lcm_calloc(ctx, &copy, len, 1));
    memcpy(copy, text, len);
    if (slot < c->len) {
        free((char *)c->items[slot].text);
    } else {
        c->len++;
    }
    c->items[slot] = (lcm_sentence){copy, len};
    return LCM_OK;
}

static lcm_status collect(lcm_ctx *ctx, corpus *c, const lcm_tokenizer_train_opts *opts, lcm_sentence_fn next,
                          void *user) {
    lcm_rng rng = lcm_rng_make(opts->seed, LCM_RNG_ORDER);
    for (long long i = 0;; i++) {
        const char *text = NULL;
        size_t len = 0;
        LCM_TRY(next(user, &text, &len));
        if (text == NULL) break;
        LCM_TRY(check_sentence(ctx, opts, i, text, len));
        if (len) LCM_TRY(corpus_add(ctx, c, opts, &rng, text, len));
    }
    if (c->len == 0) LCM_FAIL(ctx, LCM_ERR_ARG, "tokenizer training: no sentences");
    return LCM_OK;
}

static bool write_all(int fd, const void *data, size_t len) {
    const char *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool read_all(lcm_ctx *ctx, lcm_buf *out, int fd) {
    char block[65536];
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n == 0;
        if (lcm_buf_append(ctx, out, block, (size_t)n) != LCM_OK) return false;
    }
}

/* Registered last in the child, so it runs first when the library calls exit(): neither the
 * caller's exit handlers nor its unwritten stdio buffers are run a second time. */
static void leave_at_once(void) { _exit(1); }

/* Sends the status, then the model or the message. */
static _Noreturn void child(lcm_ctx *ctx, int fd, const lcm_tokenizer_train_opts *opts, const corpus *c) {
    lcm_buf model = {0};
    int null = open("/dev/null", O_RDWR);
    lcm_status st;
    bool sent;
    if (null < 0 || atexit(leave_at_once) != 0) _exit(1);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    st = lcm_spm_train(ctx, &model, opts, c->items, c->len);
    sent = write_all(fd, &st, sizeof st);
    if (sent && st == LCM_OK) sent = write_all(fd, model.data, model.len);
    if (sent && st != LCM_OK) sent = write_all(fd, lcm_ctx_message(ctx), strlen(lcm_ctx_message(ctx)));
    _exit(sent ? CHILD_DONE : 1);
}

static lcm_status receive(lcm_ctx *ctx, lcm_buf *answer, int fd, pid_t pid) {
    bool whole = read_all(ctx, answer, fd);
    int how = 0;
    lcm_status st;
    close(fd); /* before the wait: a child still writing gets SIGPIPE */
    while (waitpid(pid, &how, 0) < 0 && errno == EINTR) continue;
    if (!whole || answer->len < sizeof st || !WIFEXITED(how) || WEXITSTATUS(how) != CHILD_DONE)
        LCM_FAIL(ctx, LCM_ERR_ARG, "tokenizer training: the trainer gave up on this text; more of it may help");
    memcpy(&st, answer->data, sizeof st);
    if (st != LCM_OK) LCM_FAIL(ctx, st, "%s", answer->data + sizeof st);
    return LCM_OK;
}

static lcm_status run_child(lcm_ctx *ctx, lcm_buf *answer, const lcm_tokenizer_train_opts *opts, const corpus *c) {
    int fds[2];
    pid_t pid;
    if (pipe2(fds, O_CLOEXEC) != 0) LCM_FAIL(ctx, LCM_ERR_IO, "tokenizer training: pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        child(ctx, fds[1], opts, c);
    }
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        LCM_FAIL(ctx, LCM_ERR_IO, "tokenizer training: fork: %s", strerror(errno));
    }
    return receive(ctx, answer, fds[0], pid);
}

lcm_status lcm_tokenizer_train(lcm_ctx *ctx, lcm_buf *model_out, const lcm_tokenizer_train_opts *opts,
                               lcm_sentence_fn next, void *user) {
    corpus c = {0};
    lcm_buf answer = {0};
    lcm_status st;
    LCM_TRY(check_opts(ctx, opts));
    st = collect(ctx, &c, opts, next, user);
    if (st == LCM_OK) st = run_child(ctx, &answer, opts, &c);
    if (st == LCM_OK) st = lcm_buf_append(ctx, model_out, answer.data + sizeof st, answer.len - sizeof st);
    lcm_buf_free(&answer);
    corpus_free(&c);
    return st;
}
