/* token/: training both model types on generated text, ids, round trips, errors, sharing. */
#include "harness/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/rng.h"
#include "token/tokenizer.h"

static const char *const LANGS[] = {"eng_Latn", "fra_Latn", "zho_Hans"};
enum { N_SENTENCES = 600, VOCAB = 420, N_LANGS = 3, N_EXTRA = 2 };

/* ------------------------------------------------------------------ generated text */

/* Sentences of two-syllable words; the minimum of two draws makes some words frequent. */
typedef struct source {
    lcm_rng rng;
    int left;
    char line[256];
} source;

static source make_source(uint64_t seed, int n) { return (source){.rng = lcm_rng_make(seed, LCM_RNG_TEST), .left = n}; }

static lcm_status next_generated(void *user, const char **text, size_t *len) {
    static const char *const syllables[] = {"ka", "to", "mi", "re", "sun", "lo", "pe", "wen", "da", "gri", "é", "zu"};
    source *s = user;
    size_t n = 0;
    if (s->left-- == 0) return LCM_OK;
    for (int w = 3 + (int)lcm_rng_below(&s->rng, 6); w > 0; w--) {
        uint64_t a = lcm_rng_below(&s->rng, 12), b = lcm_rng_below(&s->rng, 12), c = lcm_rng_below(&s->rng, 12);
        n += (size_t)sprintf(s->line + n, "%s%s%s", n ? " " : "", syllables[a < b ? a : b], syllables[c]);
    }
    n += (size_t)sprintf(s->line + n, ".");
    *text = s->line;
    *len = n;
    return LCM_OK;
}

typedef struct list {
    const char *const *lines;
    size_t n;
} list;

static lcm_status next_of_list(void *user, const char **text, size_t *len) {
    list *l = user;
    if (l->n == 0) return LCM_OK;
    *text = *l->lines;
    *len = strlen(*text);
    l->lines++;
    l->n--;
    return LCM_OK;
}

static lcm_tokenizer_train_opts opts_for(lcm_tokenizer_type type) {
    lcm_tokenizer_train_opts o = lcm_tokenizer_train_defaults();
    o.type = type;
    o.vocab_size = VOCAB;
    return o;
}

static lcm_tokenizer *trained(lcm_ctx *ctx, const lcm_tokenizer_train_opts *o) {
    source s = make_source(1, N_SENTENCES);
    lcm_buf model = {0};
    lcm_tokenizer *tok;
    if (lcm_tokenizer_train(ctx, &model, o, next_generated, &s) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));
    if (lcm_tokenizer_load(ctx, &tok, model.data, model.len, LANGS, N_LANGS, N_EXTRA) != LCM_OK)
        fail_msg("%s", lcm_ctx_message(ctx));
    lcm_buf_free(&model);
    return tok;
}

/* ------------------------------------------------------------------ shared fixture: a unigram tokeniser */

typedef struct fixture {
    lcm_ctx *ctx;
    lcm_tokenizer *tok;
} fixture;

static int setup(void **state) {
    static fixture f;
    lcm_tokenizer_train_opts o = opts_for(LCM_TOKENIZER_UNIGRAM);
    f.ctx = lcm_ctx_new();
    f.tok = trained(f.ctx, &o);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    lcm_tokenizer_free(f->tok);
    lcm_ctx_free(f->ctx);
    return 0;
}

static lcm_ids encoded(fixture *f, const char *text) {
    lcm_ids ids = {0};
    assert_int_equal(lcm_tokenizer_encode(f->ctx, &ids, f->tok, text, strlen(text)), LCM_OK);
    return ids;
}

static void assert_decodes_to(fixture *f, const int32_t *ids, size_t n, const char *want) {
    lcm_buf got = {0};
    assert_int_equal(lcm_tokenizer_decode(f->ctx, &got, f->tok, ids, n), LCM_OK);
    assert_int_equal(got.len, strlen(want));
    if (got.len) assert_memory_equal(got.data, want, got.len);
    lcm_buf_free(&got);
}

/* ------------------------------------------------------------------ ids */

static void id_space_is_sonars(void **state) {
    fixture *f = *state;
    const char *const names[] = {"<pad>", "<unk>", "<s>", "</s>", "<0x00>"};
    int32_t id, first = 1 + VOCAB;
    for (int i = 0; i < 5; i++) assert_string_equal(lcm_tokenizer_piece(f->tok, i), names[i]);
    assert_string_equal(lcm_tokenizer_piece(f->tok, 4 + 255), "<0xFF>");
    assert_int_equal(lcm_tokenizer_pieces(f->tok), VOCAB);
    assert_int_equal(lcm_tokenizer_size(f->tok), first + N_LANGS + N_EXTRA);
    for (int i = 0; i < N_LANGS; i++) {
        assert_int_equal(lcm_tokenizer_lang_id(f->ctx, &id, f->tok, LANGS[i]), LCM_OK);
        assert_int_equal(id, first + i);
        assert_string_equal(lcm_tokenizer_lang(f->tok, i), LANGS[i]);
    }
    assert_string_equal(lcm_tokenizer_piece(f->tok, first + 2), "__zho_Hans__");
    assert_string_equal(lcm_tokenizer_piece(f->tok, first + 3), "<extra_0>");
    assert_null(lcm_tokenizer_piece(f->tok, first + N_LANGS + N_EXTRA));
    assert_null(lcm_tokenizer_piece(f->tok, -1));
    assert_null(lcm_tokenizer_lang(f->tok, N_LANGS));
}

static void unknown_language_names_the_nearest(void **state) {
    fixture *f = *state;
    int32_t id = 77;
    assert_int_equal(lcm_tokenizer_lang_id(f->ctx, &id, f->tok, "fr_Latn"), LCM_ERR_NOTFOUND);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "'fr_Latn'"));
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "'fra_Latn'"));
    assert_int_equal(lcm_tokenizer_lang_id(f->ctx, &id, f->tok, "zho_Hant"), LCM_ERR_NOTFOUND);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "'zho_Hans'"));
    assert_int_equal(id, 77);
}

static void sequences_are_framed(void **state) {
    fixture *f = *state;
    static const char text[] = "kato mire.";
    lcm_ids plain = encoded(f, text), s = {0};
    int32_t lang;
    assert_true(plain.len > 0);
    assert_int_equal(lcm_tokenizer_lang_id(f->ctx, &lang, f->tok, "fra_Latn"), LCM_OK);
    assert_int_equal(lcm_tokenizer_encode_source(f->ctx, &s, f->tok, lang, text, sizeof text - 1), LCM_OK);
    assert_int_equal(s.len, plain.len + 2);
    assert_int_equal(s.data[0], lang);
    assert_memory_equal(s.data + 1, plain.data, plain.len * sizeof *plain.data);
    assert_int_equal(s.data[s.len - 1], LCM_ID_EOS);

    s.len = 0;
    assert_int_equal(lcm_tokenizer_encode_target(f->ctx, &s, f->tok, lang, text, sizeof text - 1), LCM_OK);
    assert_int_equal(s.len, plain.len + 3);
    assert_int_equal(s.data[0], LCM_ID_EOS);
    assert_int_equal(s.data[1], lang);
    assert_memory_equal(s.data + 2, plain.data, plain.len * sizeof *plain.data);
    assert_int_equal(s.data[s.len - 1], LCM_ID_EOS);
    assert_decodes_to(f, s.data, s.len, text);

    s.len = 0;
    assert_int_equal(lcm_tokenizer_encode_source(f->ctx, &s, f->tok, lang, "", 0), LCM_OK);
    assert_int_equal(s.len, 2);
    assert_int_equal(lcm_tokenizer_encode_source(f->ctx, &s, f->tok, LCM_ID_EOS, text, 1), LCM_ERR_ARG);
    assert_int_equal(lcm_tokenizer_encode_target(f->ctx, &s, f->tok, lang + 2, text, 1), LCM_ERR_ARG);
    assert_int_equal(s.len, 2);
    lcm_ids_free(&plain);
    lcm_ids_free(&s);
}

static void special_spellings_are_text(void **state) {
    fixture *f = *state;
    static const char text[] = "</s> <s> <unk> <pad> __eng_Latn__ <0x41> <extra_0>";
    lcm_ids ids = encoded(f, text);
    for (size_t i = 0; i < ids.len; i++) {
        assert_true(ids.data[i] > LCM_ID_EOS);
        assert_true(ids.data[i] <= VOCAB);
    }
    assert_decodes_to(f, ids.data, ids.len, text);
    lcm_ids_free(&ids);
}

static void specials_vanish_when_decoding(void **state) {
    fixture *f = *state;
    lcm_ids ids = encoded(f, "kato");
    int32_t first_lang = 1 + VOCAB;
    for (int32_t id = first_lang; id < lcm_tokenizer_size(f->tok); id++)
        assert_int_equal(lcm_ids_push(f->ctx, &ids, id), LCM_OK);
    for (int32_t id = 0; id < 4; id++) {
        if (id != LCM_ID_UNK) assert_int_equal(lcm_ids_push(f->ctx, &ids, id), LCM_OK);
    }
    assert_decodes_to(f, ids.data, ids.len, "kato");
    assert_int_equal(lcm_ids_push(f->ctx, &ids, LCM_ID_UNK), LCM_OK);
    assert_decodes_to(f, ids.data, ids.len, "kato \xe2\x81\x87 ");
    assert_decodes_to(f, ids.data, 0, "");
    lcm_ids_free(&ids);
}

static void bad_ids_are_refused(void **state) {
    fixture *f = *state;
    lcm_buf out = {0};
    int32_t bad[] = {5, -1}, high[] = {0, 5, lcm_tokenizer_size(f->tok)};
    assert_int_equal(lcm_tokenizer_decode(f->ctx, &out, f->tok, bad, 2), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "token 1: id -1"));
    assert_int_equal(lcm_tokenizer_decode(f->ctx, &out, f->tok, high, 3), LCM_ERR_ARG);
    assert_non_null(strstr(lcm_ctx_message(f->ctx), "token 2"));
    assert_int_equal(out.len, 0);
}

/* ------------------------------------------------------------------ text */

static void bad_text_leaves_the_output(void **state) {
    fixture *f = *state;
    static const char *const bad[] = {"a\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "kato\xe2\x96"};
    static const size_t at[] = {1, 0, 0, 0, 4};
    lcm_ids ids = encoded(f, "kato");
    lcm_buf out = {0};
    size_t n = ids.len;
    char where[32], *huge = calloc(LCM_TOKENIZER_MAX_TEXT + 1, 1);
    assert_non_null(huge);
    for (int i = 0; i < 5; i++) {
        snprintf(where, sizeof where, "byte %zu", at[i]);
        assert_int_equal(lcm_tokenizer_encode(f->ctx, &ids, f->tok, bad[i], strlen(bad[i])), LCM_ERR_UTF8);
        assert_non_null(strstr(lcm_ctx_message(f->ctx), where));
        assert_int_equal(lcm_tokenizer_encode_target(f->ctx, &ids, f->tok, 1 + VOCAB, bad[i], strlen(bad[i])),
                         LCM_ERR_UTF8);
        assert_int_equal(lcm_tokenizer_normalize(f->ctx, &out, f->tok, bad[i], strlen(bad[i])), LCM_ERR_UTF8);
    }
    assert_int_equal(lcm_tokenizer_encode(f->ctx, &ids, f->tok, huge, LCM_TOKENIZER_MAX_TEXT + 1), LCM_ERR_LIMIT);
    assert_int_equal(ids.len, n);
    assert_int_equal(out.len, 0);
    free(huge);
    lcm_ids_free(&ids);
}

/* Random scalar values: ASCII, two to four bytes, spaces and U+2581 more often than chance. */
static size_t random_text(lcm_rng *r, char *dst, int n_chars) {
    static const uint32_t tops[] = {0x80, 0x80, 0x800, 0x3100, 0x10000, 0x110000};
    size_t n = 0;
    while (n_chars-- > 0) {
        uint32_t c = (uint32_t)lcm_rng_below(r, tops[lcm_rng_below(r, 6)]);
        if (lcm_rng_below(r, 8) == 0) c = lcm_rng_below(r, 2) ? ' ' : 0x2581;
        if (c >= 0xd800 && c < 0xe000) continue;
        if (c < 0x80) {
            dst[n++] = (char)c;
        } else if (c < 0x800) {
            dst[n++] = (char)(0xc0 | c >> 6), dst[n++] = (char)(0x80 | (c & 63));
        } else if (c < 0x10000) {
            dst[n++] = (char)(0xe0 | c >> 12), dst[n++] = (char)(0x80 | (c >> 6 & 63));
            dst[n++] = (char)(0x80 | (c & 63));
        } else {
            dst[n++] = (char)(0xf0 | c >> 18), dst[n++] = (char)(0x80 | (c >> 12 & 63));
            dst[n++] = (char)(0x80 | (c >> 6 & 63)), dst[n++] = (char)(0x80 | (c & 63));
        }
    }
    return n;
}

/* With byte fallback nothing is unknown and decoding gives the normalised text, for any text. */
static void check_round_trip(lcm_ctx *ctx, const lcm_tokenizer *tok) {
    lcm_rng r = lcm_rng_make(3, LCM_RNG_TEST);
    lcm_ids ids = {0};
    lcm_buf back = {0}, normal = {0};
    char text[160];
    for (int i = 0; i < 2000; i++) {
        size_t n = random_text(&r, text, (int)lcm_rng_below(&r, 40));
        ids.len = back.len = normal.len = 0;
        assert_int_equal(lcm_tokenizer_encode(ctx, &ids, tok, text, n), LCM_OK);
        for (size_t k = 0; k < ids.len; k++) assert_true(ids.data[k] > LCM_ID_EOS && ids.data[k] <= VOCAB);
        assert_int_equal(lcm_tokenizer_decode(ctx, &back, tok, ids.data, ids.len), LCM_OK);
        assert_int_equal(lcm_tokenizer_normalize(ctx, &normal, tok, text, n), LCM_OK);
        assert_int_equal(back.len, normal.len);
        if (back.len) assert_memory_equal(back.data, normal.data, back.len);
    }
    lcm_ids_free(&ids);
    lcm_buf_free(&back);
    lcm_buf_free(&normal);
}

static void decoding_is_total(void **state) {
    static const lcm_tokenizer_type types[] = {LCM_TOKENIZER_UNIGRAM, LCM_TOKENIZER_BPE};
    static const lcm_normalization norms[] = {LCM_NORM_NMT_NFKC, LCM_NORM_IDENTITY};
    fixture *f = *state;
    for (int t = 0; t < 2; t++) {
        for (int k = 0; k < 2; k++) {
            lcm_tokenizer_train_opts o = opts_for(types[t]);
            lcm_tokenizer *tok;
            o.normalization = norms[k];
            tok = trained(f->ctx, &o);
            check_round_trip(f->ctx, tok);
            lcm_tokenizer_free(tok);
        }
    }
}

static void assert_normal(lcm_ctx *ctx, const lcm_tokenizer *tok, const char *text, const char *want) {
    lcm_buf got = {0};
    assert_int_equal(lcm_tokenizer_normalize(ctx, &got, tok, text, strlen(text)), LCM_OK);
    assert_int_equal(got.len, strlen(want));
    if (got.len) assert_memory_equal(got.data, want, got.len);
    lcm_buf_free(&got);
}

static void normalization_is_as_asked(void **state) {
    fixture *f = *state;
    lcm_tokenizer_train_opts o = opts_for(LCM_TOKENIZER_UNIGRAM);
    lcm_tokenizer *identity;
    o.normalization = LCM_NORM_IDENTITY;
    identity = trained(f->ctx, &o);
    assert_normal(f->ctx, f->tok, "  \xef\xac\x81ne \t \xe2\x91\xa0  ", "fine 1"); /* fi ligature, circled 1 */
    assert_normal(f->ctx, identity, "  \xef\xac\x81ne   \xe2\x91\xa0  ", "\xef\xac\x81ne \xe2\x91\xa0");
    assert_normal(f->ctx, f->tok, "   ", "");
    lcm_tokenizer_free(identity);
}

/* Without byte fallback a run of unknown characters is one <unk>. */
static void unknown_runs_merge(void **state) {
    fixture *f = *state;
    lcm_tokenizer_train_opts o = opts_for(LCM_TOKENIZER_BPE);
    static const char text[] = "kato \xe8\x88\xb9\xe6\xb8\xaf mire"; /* two unseen characters */
    fixture g = {f->ctx, NULL};
    int n_unk = 0;
    lcm_ids ids;
    o.byte_fallback = false;
    o.vocab_size = 120;
    g.tok = trained(f->ctx, &o);
    ids = encoded(&g, text);
    for (size_t i = 0; i < ids.len; i++) n_unk += ids.data[i] == LCM_ID_UNK;
    assert_int_equal(n_unk, 1);
    assert_decodes_to(&g, ids.data, ids.len, "kato  \xe2\x81\x87  mire");
    lcm_ids_free(&ids);
    lcm_tokenizer_free(g.tok);
}

/* ------------------------------------------------------------------ training */

static lcm_buf train_bytes(lcm_ctx *ctx, const lcm_tokenizer_train_opts *o) {
    source s = make_source(1, N_SENTENCES);
    lcm_buf model = {0};
    if (lcm_tokenizer_train(ctx, &model, o, next_generated, &s) != LCM_OK) fail_msg("%s", lcm_ctx_message(ctx));
    return model;
}

static void training_is_deterministic(void **state) {
    fixture *f = *state;
    for (int type = 1; type <= 2; type++) {
        lcm_tokenizer_train_opts o = opts_for((lcm_tokenizer_type)type);
        lcm_buf a, b, c;
        o.max_sentences = N_SENTENCES / 2;
        o.vocab_size = VOCAB - 20; /* half the text holds fewer pieces */
        o.seed = 5;
        a = train_bytes(f->ctx, &o);
        b = train_bytes(f->ctx, &o);
        o.seed = 6; /* another half of the sentences */
        c = train_bytes(f->ctx, &o);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.data, b.data, a.len);
        assert_true(a.len != c.len || memcmp(a.data, c.data, a.len) != 0);
        lcm_buf_free(&a);
        lcm_buf_free(&b);
        lcm_buf_free(&c);
    }
}

/* Learnt pieces must compress: the words are two syllables, a third of the characters is generous. */
static void training_learns_words(void **state) {
    fixture *f = *state;
    for (int type = 1; type <= 2; type++) {
        lcm_tokenizer_train_opts o = opts_for((lcm_tokenizer_type)type);
        lcm_tokenizer *tok = trained(f->ctx, &o);
        source s = make_source(2, 100); /* other sentences of the same language */
        lcm_ids ids = {0};
        size_t n_bytes = 0, len = 0;
        const char *text;
        while (text = NULL, next_generated(&s, &text, &len) == LCM_OK && text) {
            assert_int_equal(lcm_tokenizer_encode(f->ctx, &ids, tok, text, len), LCM_OK);
            n_bytes += len;
        }
        assert_true(ids.len * 3 < n_bytes);
        lcm_ids_free(&ids);
        lcm_tokenizer_free(tok);
    }
}

typedef struct bad_option {
    lcm_tokenizer_train_opts o;
    const char *says;
} bad_option;

static void bad_options_are_refused(void **state) {
    fixture *f = *state;
    bad_option cases[8];
    for (int i = 0; i < 8; i++) cases[i].o = opts_for(LCM_TOKENIZER_BPE);
    cases[0].o.type = (lcm_tokenizer_type)3, cases[0].says = "type 3";
    cases[1].o.normalization = (lcm_normalization)2, cases[1].says = "normalization 2";
    cases[2].o.vocab_size = 259, cases[2].says = "259 pieces"; /* specials and bytes leave nothing */
    cases[3].o.vocab_size = (1 << 20) + 1, cases[3].says = "1048577 pieces";
    cases[4].o.character_coverage = 1.01, cases[4].says = "1.01";
    cases[5].o.character_coverage = 0.0 / 0.0, cases[5].says = "nan";
    cases[6].o.max_sentence_bytes = 15, cases[6].says = "15 bytes";
    cases[7].o.max_sentences = -1, cases[7].says = "-1";
    for (int i = 0; i < 8; i++) {
        lcm_buf model = {0};
        source s = make_source(1, 10);
        assert_int_equal(lcm_tokenizer_train(f->ctx, &model, &cases[i].o, next_generated, &s), LCM_ERR_ARG);
        assert_non_null(strstr(lcm_ctx_message(f->ctx), cases[i].says));
        assert_null(model.data);
        assert_int_equal(s.left, 10);
    }
}

static void assert_training_fails(lcm_ctx *ctx, const char *const *lines, size_t n, lcm_status code, const char *says) {
    lcm_tokenizer_train_opts o = opts_for(LCM_TOKENIZER_UNIGRAM);
    lcm_buf model = {0};
    list l = {lines, n};
    o.max_sentence_bytes = 64;
    assert_int_equal(lcm_tokenizer_train(ctx, &model, &o, next_of_list, &l), code);
    if (strstr(lcm_ctx_message(ctx), says) == NULL) fail_msg("'%s' lacks '%s'", lcm_ctx_message(ctx), says);
    assert_null(strchr(lcm_ctx_message(ctx), '\n'));
    assert_null(model.data);
}

static void bad_sentences_are_refused(void **state) {
    fixture *f = *state;
    static const char *const empty[] = {"", ""};
    static const char *const latin1[] = {"kato", "caf\xe9"};
    static const char *const longer[] = {
        "kato", "", "0123456789012345678901234567890123456789012345678901234567890123."};
    static const char *const few[] = {"kato mire", "kato sun"};
    assert_training_fails(f->ctx, empty, 0, LCM_ERR_ARG, "no sentences");
    assert_training_fails(f->ctx, empty, 2, LCM_ERR_ARG, "no sentences");
    assert_training_fails(f->ctx, latin1, 2, LCM_ERR_UTF8, "sentence 1 is not valid UTF-8 at byte 3");
    assert_training_fails(f->ctx, longer, 3, LCM_ERR_LIMIT, "sentence 2: 65 bytes, the limit is 64");
    assert_training_fails(f->ctx, few, 2, LCM_ERR_ARG, "Vocabulary size too high (420)");
}

/* Text of spaces alone trips a check that makes the library call exit(): it must reach us as a status,
 * with our own output neither lost nor written twice. */
static void a_trainer_that_exits_is_a_status(void **state) {
    fixture *f = *state;
    static const char *const spaces[] = {"   ", " ", "\t"};
    char seen[64] = {0};
    FILE *tmp = tmpfile();
    assert_non_null(tmp);
    fputs("once", tmp); /* stays in the buffer across the fork */
    assert_training_fails(f->ctx, spaces, 3, LCM_ERR_ARG, "gave up");
    assert_int_equal(fflush(tmp), 0);
    rewind(tmp);
    assert_non_null(fgets(seen, sizeof seen, tmp));
    assert_string_equal(seen, "once");
    fclose(tmp);
}

static lcm_status cancel(void *user, const char **text, size_t *len) {
    (void)user, (void)text, (void)len;
    return LCM_ERR_CANCELLED;
}

static void callback_failure_is_returned(void **state) {
    fixture *f = *state;
    lcm_tokenizer_train_opts o = lcm_tokenizer_train_defaults();
    lcm_buf model = {0};
    assert_int_equal(lcm_tokenizer_train(f->ctx, &model, &o, cancel, NULL), LCM_ERR_CANCELLED);
}

/* ------------------------------------------------------------------ loading and sharing */

static void bad_languages_are_refused(void **state) {
    fixture *f = *state;
    static const char *const twice[] = {"eng_Latn", "eng_Latn"}, *const empty[] = {""}, *const space[] = {"a b"};
    static const char *const longer[] = {"a2345678901234567890123456789012345678901234567890123456789012345"};
    const char *const *const cases[] = {twice, empty, space, longer};
    static const int n[] = {2, 1, 1, 1};
    size_t len;
    const void *model = lcm_tokenizer_model(f->tok, &len);
    for (int i = 0; i < 4; i++) {
        lcm_tokenizer *tok = (lcm_tokenizer *)&len;
        assert_int_equal(lcm_tokenizer_load(f->ctx, &tok, model, len, cases[i], n[i], 0), LCM_ERR_ARG);
        assert_null(tok);
    }
    lcm_tokenizer *tok;
    assert_int_equal(lcm_tokenizer_load(f->ctx, &tok, model, len, NULL, 0, -1), LCM_ERR_ARG);
    assert_int_equal(lcm_tokenizer_load(f->ctx, &tok, model, len, NULL, 0, 0), LCM_OK);
    assert_int_equal(lcm_tokenizer_size(tok), 1 + VOCAB);
    lcm_tokenizer_free(tok);
}

static void *encode_often(void *arg) {
    const fixture *f = arg;
    fixture own = {lcm_ctx_new(), f->tok};
    source s = make_source(9, 200);
    lcm_ids ids = {0};
    const char *text;
    size_t len = 0;
    intptr_t sum = 0;
    while (text = NULL, next_generated(&s, &text, &len) == LCM_OK && text) {
        ids.len = 0;
        if (lcm_tokenizer_encode(own.ctx, &ids, own.tok, text, len) != LCM_OK) break;
        for (size_t i = 0; i < ids.len; i++) sum = sum * 31 % 1000003 + ids.data[i];
    }
    lcm_ids_free(&ids);
    lcm_ctx_free(own.ctx);
    return (void *)sum;
}

static void threads_share_a_tokenizer(void **state) {
    fixture *f = *state;
    void *want = encode_often(f), *got;
    pthread_t th[4];
    assert_non_null(want);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&th[i], NULL, encode_often, f), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(th[i], &got);
        assert_ptr_equal(got, want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_space_is_sonars),
        cmocka_unit_test(unknown_language_names_the_nearest),
        cmocka_unit_test(sequences_are_framed),
        cmocka_unit_test(special_spellings_are_text),
        cmocka_unit_test(specials_vanish_when_decoding),
        cmocka_unit_test(bad_ids_are_refused),
        cmocka_unit_test(bad_text_leaves_the_output),
        cmocka_unit_test(decoding_is_total),
        cmocka_unit_test(normalization_is_as_asked),
        cmocka_unit_test(unknown_runs_merge),
        cmocka_unit_test(training_is_deterministic),
        cmocka_unit_test(training_learns_words),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(bad_sentences_are_refused),
        cmocka_unit_test(a_trainer_that_exits_is_a_status),
        cmocka_unit_test(callback_failure_is_returned),
        cmocka_unit_test(bad_languages_are_refused),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
