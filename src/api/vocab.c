/* include/lcm/vocab.h over the tokeniser. */
#include "lcm/vocab.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "data/docs.h"
#include "lcm/bundle.h"
#include "llama/llama_io.h"
#include "sonar/sonar_io.h"
#include "text/segment.h"

struct lcm_vocab {
    lcm_sonar_file sonar;
    lcm_tokenizer *own; /* of a llama or a SentencePiece file, else NULL */
    const lcm_tokenizer *tok;
};

enum { MAX_MODEL = 64 << 20 };

/* A safetensors header begins behind its length. */
static lcm_status is_safetensors(lcm_ctx *ctx, bool *yes, const char *path) {
    lcm_map map;
    LCM_TRY(lcm_map_open(ctx, &map, path));
    *yes = map.len > 8 && map.data[8] == '{';
    lcm_map_close(&map);
    return LCM_OK;
}

static lcm_status load_model(lcm_ctx *ctx, lcm_vocab *v, const char *path) {
    lcm_buf bytes = {0};
    lcm_status st = lcm_read_file(ctx, &bytes, path, MAX_MODEL);
    if (st == LCM_OK) st = lcm_tokenizer_load(ctx, &v->own, bytes.data, bytes.len, NULL, 0, 0);
    if (st) lcm_fail_within(ctx, st, "'%s'", path);
    lcm_buf_free(&bytes);
    v->tok = v->own;
    return st;
}

static lcm_status load(lcm_ctx *ctx, lcm_vocab *v, const char *path) {
    lcm_bundle_paths p;
    const char *file;
    bool packed;
    LCM_TRY(lcm_bundle_files(ctx, &p, path));
    file = p.sonar[0] ? p.sonar : p.lcm;
    LCM_TRY(is_safetensors(ctx, &packed, file));
    if (!packed) return load_model(ctx, v, file);
    if (lcm_llama_is(file)) {
        LCM_TRY(lcm_llama_load_tokenizer(ctx, &v->own, file));
        v->tok = v->own;
        return LCM_OK;
    }
    LCM_TRY(lcm_sonar_load(ctx, &v->sonar, p.sonar, 0));
    v->tok = v->sonar.tok;
    return LCM_OK;
}

lcm_status lcm_vocab_open(lcm_ctx *ctx, lcm_vocab **out, const char *path) {
    lcm_vocab *v;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_calloc(ctx, &v, 1, sizeof *v));
    st = load(ctx, v, path);
    if (st) {
        lcm_vocab_close(v);
        return st;
    }
    *out = v;
    return LCM_OK;
}

void lcm_vocab_close(lcm_vocab *v) {
    if (v == NULL) return;
    lcm_sonar_file_close(&v->sonar);
    lcm_tokenizer_free(v->own);
    free(v);
}

int32_t lcm_vocab_size(const lcm_vocab *v) { return lcm_tokenizer_size(v->tok); }

const char *lcm_vocab_piece(const lcm_vocab *v, int32_t id) { return lcm_tokenizer_piece(v->tok, id); }

lcm_status lcm_vocab_encode(lcm_ctx *ctx, int32_t **ids, size_t *n, const lcm_vocab *v, const char *text, size_t len) {
    lcm_ids list = {0};
    lcm_status st = lcm_tokenizer_encode(ctx, &list, v->tok, text, len);
    *ids = st ? NULL : list.data;
    *n = st ? 0 : list.len;
    if (st) lcm_ids_free(&list);
    return st;
}

lcm_status lcm_vocab_decode(lcm_ctx *ctx, char **text, const lcm_vocab *v, const int32_t *ids, size_t n) {
    lcm_buf b = {0};
    lcm_status st = lcm_buf_append(ctx, &b, "", 0);
    if (st == LCM_OK) st = lcm_tokenizer_decode(ctx, &b, v->tok, ids, n);
    *text = st ? NULL : b.data;
    if (st) lcm_buf_free(&b);
    return st;
}

/* ---- Training ---- */

/* Sentences of documents, one after the other. */
typedef struct feeder {
    lcm_ctx *ctx;
    const lcm_vocab_train_opts *opts;
    lcm_docs *docs;
    lcm_doc doc;
    lcm_spans spans;
    size_t next; /* span of doc */
    size_t max_bytes;
    lcm_vocab_report report;
} feeder;

static lcm_status cut(feeder *f) {
    lcm_segment_opts seg = lcm_segment_opts_default();
    f->spans.len = f->next = 0;
    if (f->opts->presegmented) return lcm_spans_push(f->ctx, &f->spans, 0, f->doc.len);
    if (f->opts->lang) seg.lang = f->opts->lang;
    return lcm_segment_text(f->ctx, &f->spans, f->doc.text, f->doc.len, &seg);
}

static lcm_status next_sentence(void *user, const char **text, size_t *len) {
    feeder *f = user;
    *text = NULL;
    for (;;) {
        for (; f->next < f->spans.len; f->next++) {
            lcm_span s = f->spans.data[f->next];
            if (s.end - s.begin > f->max_bytes) {
                f->report.sentences_long++;
                continue;
            }
            f->next++;
            f->report.sentences++;
            *text = f->doc.text + s.begin;
            *len = s.end - s.begin;
            return LCM_OK;
        }
        LCM_TRY(lcm_docs_next(f->ctx, &f->doc, f->docs));
        if (f->doc.text == NULL) return LCM_OK;
        LCM_TRY(cut(f));
    }
}

static lcm_status train(lcm_ctx *ctx, lcm_buf *model, feeder *f) {
    lcm_tokenizer_train_opts t = lcm_tokenizer_train_defaults();
    const lcm_vocab_train_opts *o = f->opts;
    const lcm_docs_report *read = lcm_docs_get_report(f->docs);
    if (o->pieces < 0 || o->pieces > 1 << 20) LCM_FAIL(ctx, LCM_ERR_ARG, "%" PRId64 " pieces, at most %d are possible", o->pieces, 1 << 20);
    if (o->pieces) t.vocab_size = (int)o->pieces;
    t.type = o->type == LCM_VOCAB_BPE ? LCM_TOKENIZER_BPE : LCM_TOKENIZER_UNIGRAM;
    t.max_sentences = o->max_sentences;
    t.seed = o->seed;
    f->max_bytes = (size_t)t.max_sentence_bytes;
    LCM_TRY(lcm_tokenizer_train(ctx, model, &t, next_sentence, f));
    f->report.docs = read->docs;
    for (int i = 0; i < LCM_DOC_N_DROPS; i++) f->report.docs_dropped += read->dropped[i];
    lcm_docs_log_drops(ctx, read);
    return LCM_OK;
}

lcm_status lcm_vocab_train(lcm_ctx *ctx, lcm_vocab_report *report, const char *path, const char *const *inputs,
                           size_t n_inputs, const lcm_vocab_train_opts *opts) {
    static const lcm_vocab_train_opts none;
    feeder f = {.ctx = ctx, .opts = opts ? opts : &none};
    lcm_docs_opts how = {.key = f.opts->key};
    lcm_buf model = {0};
    lcm_status st;
    LCM_TRY(lcm_docs_open(ctx, &f.docs, inputs, n_inputs, &how));
    st = train(ctx, &model, &f);
    if (st == LCM_OK) st = lcm_write_file(ctx, path, model.data, model.len);
    if (st == LCM_OK && report) *report = f.report;
    lcm_docs_close(f.docs);
    lcm_spans_free(&f.spans);
    lcm_buf_free(&model);
    return st;
}
