/* Continuing a text. */
#include "llama/story.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/rng.h"
#include "llama/llama_decoder.h"
#include "text/segment.h"

typedef struct job {
    const lcm_llama_file *f;
    const lcm_llama_story_opts *opts;
    lcm_llama_sentence_fn fn;
    void *user;
    lcm_llama_decoder *decoder;
    lcm_candidate *scratch;
    lcm_rng rng;
    lcm_ids pending; /* tokens whose text was not delivered; the first may have been in part: */
    size_t skip;     /* bytes of it that were */
    lcm_buf text;    /* of pending */
    lcm_spans spans;
    lcm_llama_story sum;
    int64_t told; /* tokens when the last sentence was delivered */
    double mark, context_ms;
} job;

static double lap(job *j) {
    double now = lcm_now(), ms = 1e3 * (now - j->mark);
    j->mark = now;
    return ms;
}

/* A word begins here: only then can a sentence have ended. */
static bool begins_word(const job *j, int32_t id) {
    const char *piece = lcm_llama_piece(j->f->tok, id);
    return piece && strncmp(piece, "\xE2\x96\x81", 3) == 0;
}

static lcm_status render(lcm_ctx *ctx, job *j, size_t n) {
    j->text.len = 0;
    LCM_TRY(lcm_buf_append(ctx, &j->text, "", 0));
    return lcm_llama_decode(ctx, &j->text, j->f->tok, j->pending.data, n);
}

static lcm_status find_sentences(lcm_ctx *ctx, job *j) {
    lcm_segment_opts seg = lcm_segment_opts_default();
    if (j->opts->lang) seg.lang = j->opts->lang;
    LCM_TRY(render(ctx, j, j->pending.len));
    if (j->skip > j->text.len) j->skip = j->text.len;
    while ((j->text.data[j->skip] & 0xC0) == 0x80) j->skip++; /* bytes that became a character only now */
    return lcm_segment_text(ctx, &j->spans, j->text.data + j->skip, j->text.len - j->skip, &seg);
}

static lcm_status deliver(lcm_ctx *ctx, job *j, lcm_span s) {
    char *begin = j->text.data + j->skip + s.begin, *end = j->text.data + j->skip + s.end, kept = *end;
    lcm_llama_sentence out = {.index = j->sum.sentences++, .text = begin, .tokens = j->sum.tokens - j->told,
                              .decode_ms = lap(j), .context_ms = j->context_ms};
    lcm_status st;
    j->told = j->sum.tokens;
    j->context_ms = 0;
    *end = '\0';
    st = j->fn ? j->fn(ctx, j->user, &out) : LCM_OK;
    *end = kept;
    j->mark = lcm_now(); /* the caller's time is nobody's */
    return st;
}

/* Drops the tokens before byte `at` of the text; one that reaches beyond stays, with the bytes to skip. The
 * tokeniser takes the space in front of a text's first word away, so lengths are asked, not added up. */
static lcm_status forget(lcm_ctx *ctx, job *j, size_t at) {
    size_t n = j->pending.len, whole = j->text.len, begin;
    do LCM_TRY(render(ctx, j, --n));
    while (n > 0 && j->text.len > at);
    memmove(j->pending.data, j->pending.data + n, (j->pending.len - n) * sizeof *j->pending.data);
    j->pending.len -= n;
    LCM_TRY(render(ctx, j, j->pending.len));
    begin = whole > j->text.len ? whole - j->text.len : 0;
    j->skip = at > begin ? at - begin : 0;
    return LCM_OK;
}

static bool ends_in_quote(const char *s, size_t n) {
    static const char *const marks[] = {"\"", "'", "\xE2\x80\x9D", "\xE2\x80\x99"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (n >= strlen(marks[i]) && memcmp(s + n - strlen(marks[i]), marks[i], strlen(marks[i])) == 0) return true;
    return false;
}

/* Whether more text cannot join the first two sentences: after a quotation the segmenter looks for a verb of speech
 * behind a name of at most three words. */
static bool settled(const job *j) {
    const char *text = j->text.data + j->skip;
    const lcm_span *s = j->spans.data;
    int words = 0;
    if (j->spans.len > 2 || !ends_in_quote(text + s[0].begin, s[0].end - s[0].begin)) return true;
    for (size_t i = s[1].begin; i < s[1].end; i++) words += text[i] == ' ';
    return words > 4;
}

/* Delivers what is complete: all but the last sentence of the text, or at its end the last one, too. */
static lcm_status tell_complete(lcm_ctx *ctx, job *j, bool ended) {
    LCM_TRY(find_sentences(ctx, j));
    while (j->spans.len > 0 && j->sum.sentences < j->opts->sentences && (ended || (j->spans.len > 1 && settled(j)))) {
        size_t next = j->spans.len > 1 ? j->skip + j->spans.data[1].begin : j->text.len;
        LCM_TRY(deliver(ctx, j, j->spans.data[0]));
        LCM_TRY(forget(ctx, j, next));
        LCM_TRY(find_sentences(ctx, j));
    }
    return LCM_OK;
}

static int32_t draw(job *j, const real *logits) {
    int64_t n = lcm_tokenizer_pieces(j->f->tok); /* rows that no piece belongs to are never drawn */
    return lcm_sample_token(logits, n, &j->opts->sampler, lcm_rng_uniform(&j->rng), j->scratch);
}

static lcm_status read_prompt(lcm_ctx *ctx, job *j, lcm_ids *prompt, const char *text, size_t len) {
    int64_t window = j->f->model->config.max_position_embeddings;
    LCM_TRY(lcm_ids_push(ctx, prompt, LCM_LLAMA_BOS));
    LCM_TRY(lcm_llama_encode(ctx, prompt, j->f->tok, text, len));
    j->sum.prompt_tokens = (int64_t)prompt->len;
    if (j->sum.prompt_tokens > window)
        LCM_FAIL(ctx, LCM_ERR_LIMIT, "the prompt has %zu tokens, the model reads %lld", prompt->len, (long long)window);
    return LCM_OK;
}

static lcm_status loop(lcm_ctx *ctx, job *j, const lcm_ids *prompt) {
    int64_t window = j->f->model->config.max_position_embeddings;
    int32_t slot = 0, off[2] = {0, (int32_t)prompt->len}, one[2] = {0, 1};
    const real *logits = lcm_llama_decoder_feed(j->decoder, 1, &slot, off, prompt->data);
    j->context_ms = lap(j);
    for (;;) {
        int32_t id = draw(j, logits);
        if (id == LCM_LLAMA_EOS) {
            j->sum.end = LCM_LLAMA_END_OF_TEXT;
            break;
        }
        j->sum.tokens++;
        LCM_TRY(lcm_ids_push(ctx, &j->pending, id));
        if (begins_word(j, id)) LCM_TRY(tell_complete(ctx, j, false));
        if (j->sum.sentences == j->opts->sentences) {
            j->sum.end = LCM_LLAMA_END_COUNT;
            return LCM_OK;
        }
        if (lcm_llama_decoder_length(j->decoder, 0) == window) {
            j->sum.end = LCM_LLAMA_END_WINDOW;
            break;
        }
        logits = lcm_llama_decoder_feed(j->decoder, 1, &slot, one, &id);
    }
    return tell_complete(ctx, j, true);
}

static lcm_status run(lcm_ctx *ctx, job *j, lcm_ids *prompt, const char *text, size_t len) {
    LCM_TRY(read_prompt(ctx, j, prompt, text, len));
    LCM_TRY(lcm_calloc(ctx, &j->scratch, (size_t)lcm_tokenizer_pieces(j->f->tok), sizeof *j->scratch));
    LCM_TRY(lcm_llama_decoder_new(ctx, &j->decoder, j->f->model, 1, j->f->model->config.max_position_embeddings));
    return loop(ctx, j, prompt);
}

lcm_status lcm_llama_tell(lcm_ctx *ctx, lcm_llama_story *out, const lcm_llama_file *f, const char *text, size_t len,
                          const lcm_llama_story_opts *opts, lcm_llama_sentence_fn fn, void *user) {
    job j = {.f = f, .opts = opts, .fn = fn, .user = user, .rng = lcm_rng_make(opts->seed, LCM_RNG_SAMPLE), .mark = lcm_now()};
    lcm_ids prompt = {0};
    lcm_status st = run(ctx, &j, &prompt, text, len);
    if (st == LCM_OK && out) *out = j.sum;
    lcm_ids_free(&prompt);
    lcm_ids_free(&j.pending);
    lcm_buf_free(&j.text);
    lcm_spans_free(&j.spans);
    lcm_llama_decoder_free(j.decoder);
    free(j.scratch);
    return st;
}
