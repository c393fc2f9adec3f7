/* text/: hand-made sentences, the reference's own string tests, and properties on random text.
 *
 * In the tables a bar marks where a sentence begins: the text is the string without its bars, and
 * cutting it must bring exactly the bars back. */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/io.h"
#include "base/rng.h"
#include "text/abbrev.h"
#include "text/compat.h"
#include "text/resplit.h"
#include "text/segment.h"

static lcm_ctx *ctx;

static int make_ctx(void **state) {
    (void)state;
    ctx = lcm_ctx_new();
    return ctx == NULL;
}

static int free_ctx(void **state) {
    (void)state;
    lcm_ctx_free(ctx);
    return 0;
}

static void check_cuts(const char *lang, int64_t cap, const char *marked) {
    lcm_segment_opts opts = {.lang = lang, .max_chars = cap};
    char *text = strdup(marked);
    lcm_spans s = {0};
    lcm_buf got = {0};
    size_t len = 0, last = 0;
    for (const char *m = marked; *m != 0; m++) {
        if (*m != '|') text[len++] = *m;
    }
    text[len] = 0;
    assert_int_equal(lcm_segment_text(ctx, &s, text, len, &opts), LCM_OK);
    for (size_t i = 0; i < s.len; i++) {
        assert_int_equal(lcm_buf_append(ctx, &got, text + last, s.data[i].begin - last), LCM_OK);
        if (i > 0) assert_int_equal(lcm_buf_append(ctx, &got, "|", 1), LCM_OK);
        last = s.data[i].begin;
    }
    assert_int_equal(lcm_buf_append(ctx, &got, text + last, len - last), LCM_OK);
    assert_string_equal(got.data, marked);
    lcm_buf_free(&got);
    lcm_spans_free(&s);
    free(text);
}

static void check_all(const char *lang, const char *const *cases, size_t n) {
    for (size_t i = 0; i < n; i++) check_cuts(lang, 0, cases[i]);
}
#define CHECK_ALL(lang, ...)                                                                                 \
    do {                                                                                                     \
        static const char *const cases_[] = {__VA_ARGS__};                                                   \
        check_all(lang, cases_, sizeof cases_ / sizeof *cases_);                                             \
    } while (0)

static void plain_sentences(void **state) {
    (void)state;
    CHECK_ALL("en", "A hen sat down. |It was late! |Was it cold? |Yes.", "no punctuation at all",
              "What?! |Really?! |Go!!! |Now.", "  Leading space. |Then more.  ",
              "It cost 3.14 coins. |Ten were left.", "She counted 1,000.50 of them. |Good.",
              "Read http://example.org/?Q=1&R=2! |It is good.",
              "Ask at www.example.org/a?B for it. |Thanks.");
}

static void missing_space(void **state) {
    (void)state;
    CHECK_ALL("en", "The pond was deep.|Then the duck swam.", "Go!|(He ran.)|“Yes.”",
              "Is it deep?|It is!|Good.", "We wrote it in Node.Js today.", "Open Example.Com now.",
              "The duck said no.|\"Why?\" it was asked.", "\"Come in.\"|The hen came. |\"Sit.\"|\"No.\"",
              "v.2 of U.S.A. law");
}

static void quotes(void **state) {
    (void)state;
    CHECK_ALL("en", "He said, \"Go!\" |Then he ran.", "\"Go!\" he said.",
              "\"Hi Ann, why are you sad?\" asked the robot.",
              "\"I lost my hat,\" said Ann. |\"Help me.\" |Ben ran.", "\"It is late.\" |Ben yawned.",
              "\"Go!\" Ben said. |\"No!\" The old hen cried. |\"Why?\" Mr. Fox asked.",
              "Ben asked, \"Why?\" |Ann said that she did not know.", "\"Look!\" |Ben said, \"It is a hen.\"",
              "\"Look!\" |Then Ben said nothing.", "(He left.) |Then he came (by bus). |He sat [down.] |So.",
              "He (the fox) ran. |It was \"fun\". |She agreed.", "'Go!' |Then he ran. |'Go!' he said.",
              "\xE2\x80\x9CGo!\xE2\x80\x9D |Then he ran.", "\"One. |Two. |Three,\" he said.");
}

static void abbreviations(void **state) {
    (void)state;
    CHECK_ALL("en", "Dr. Fox met Mrs. Hen and Mr. Owl. |They sat.", "Prof. Owl, i.e. Grandpa, slept. |So.",
              "He saw St. Paul. |Good.", "She lives on Main St. |The house is big.",
              "Ask Gen. Fox vs. Col. Hen. |Go.", "Bring nuts, e.g. Brazil nuts. |Bring tea etc. |Then eat.",
              "She works at Fox Inc. |The firm is old.", "Fox Inc. Chief Hen left. |Good.",
              "He said no. |Then he sat. |It is No. 7 here. |No. |It is.", "See p. 12 and Fig. 3. |Look.",
              "At 5 p.m. |Ann slept. |At 6 a.m. she woke.", "I met a doc. |Tom too.",
              "The U.S. Navy left the U.S. |The end.", "The cat sat. |Tom sat. |The sun. |Mary.",
              "It came on Jan. 3. |Snow fell.", "Lt.-Gen. Fox spoke. |All listened.",
              "MR. FOX CAME. |HE SAT.", "Hen v. Fox began at 5 p.m. Eastern time. |P. Fox spoke.");
}

static void initials_and_numbers(void **state) {
    (void)state;
    CHECK_ALL("en", "J. R. R. Hen wrote it. |I read it.", "J.R.R. Hen wrote it. |I read it.",
              "Ann B. Fox sang. |So am I. |Tom sang.", "This is plan B. |The next is plan C.",
              "I. M. Fox built it.", "1. First of all. |2. Second of all.", "Steps: 1. Mix it. |2. Bake it.",
              "He was 5. |Then he was 6.", "We ran. |3 hens sat. |It is 7. 8. 2001 now.",
              "IV. The end\n\n|It was late.", "a. First part. |Then more.");
}

static void ellipses(void **state) {
    (void)state;
    CHECK_ALL("en", "Wait... |Then he left.", "Wait... then he left.", "Wait\xE2\x80\xA6 |Then he left.",
              "Wait\xE2\x80\xA6 then he left.", "\"Well\xE2\x80\xA6\" |Ann sat.", "Hm . . . |So.");
}

static void lines(void **state) {
    (void)state;
    CHECK_ALL("en", "one line\n\n|another line", "one\r\n\r\n|two", "one \n \t\n |two", "one\xE2\x80\xA9|two",
              "one\ntwo\nthree", "The hen went to the\nmarket. |It was\nfar.\n|Then she\ncame back.",
              "He came.\n|She left.", "\"Go!\"\nhe said.", "Things to bring\n|- a hat\n|- a coat\n|1) tea",
              "# The Hen\n|once there was a hen",
              "The Little Hen\n|Once there was a little hen who lived near a pond.",
              "When the old brown hen had gone to\nMarket Town she came back again late.");
}

static void german(void **state) {
    (void)state;
    CHECK_ALL("deu_Latn", "Am 3. Mai kam er. |Es war warm.", "Wir sahen Peter. |Er ging.",
              "Wir riefen Herrn M\xC3\xBCller. |Er kam.", "Dr. Igel a\xC3\x9F z.B. Obst. |Gut.",
              "Im 19. Jahrhundert war das so. |Heute nicht.", "Er wurde 5. |Dann wurde er 6.",
              "Das Tor fiel in der 89. Minute. |Er lief mit der 7. |Dann kam er.",
              "\xC2\xBBKomm!\xC2\xAB sagte er. |Er ging. |\xC2\xBBJa!\xC2\xAB |Dann lief er.",
              "\xE2\x80\x9EKomm!\xE2\x80\x9C |Dann lief er.");
}

static void romance(void **state) {
    (void)state;
    CHECK_ALL("fr", "M. Renard et Mme Poule sont l\xC3\xA0. |Bonjour !",
              "\xC2\xAB Viens ! \xC2\xBB dit-il. |\xC2\xAB Va ! \xC2\xBB |Il partit.",
              "\xC2\xAB Va ! \xC2\xBB\n|Il partit. \xC2\xBB");
    CHECK_ALL("es",
              "El Sr. Zorro vive aqu\xC3\xAD. |\xC2\xBFQu\xC3\xA9 hace? |\xC2\xA1"
              "Come!",
              "Vive en EE.UU. |El pa\xC3\xADs es grande.");
    CHECK_ALL("it", "Il Sig. Volpe dorme. |La Sig.ra Gallina mangia ecc. |Poi esce.");
    CHECK_ALL("pt", "O Sr. Raposo dorme. |A Dra. Galinha come.");
    CHECK_ALL("xx", "J. R. Hen sat. |Inc. |The end.");
}

static void other_scripts(void **state) {
    (void)state;
    CHECK_ALL("zh", "他走了。|她笑了！|真的吗？|是。", "“走吧。”|他说。");
    CHECK_ALL("ja", "「行こう。」と彼は言った。|彼は行った！|本当？|はい。",
              "彼は言った。|「行こう。」|彼女は笑った。");
    CHECK_ALL("ko", "\"갑니다.\"고 말했다. |그는 갔다.");
    CHECK_ALL("sv", "Hon kom tillbaka. |44-åringen sov. |Se art. 3 där.");
    CHECK_ALL("hi", "वह गया। |वह हँसी।");
    CHECK_ALL("ar", "هل ذهب؟ |نعم.");
    CHECK_ALL("el", "Πού είναι; |Εδώ.");
    CHECK_ALL("th", "เขาไปแล้ว เธอหัวเราะ");
}

static void cap_falls_back_in_order(void **state) {
    (void)state;
    check_cuts("en", 20, "This is a long |sentence that |should be split |into multiple parts");
    check_cuts("en", 20, "one two; |three four five six, |seven eight nine ten");
    check_cuts("en", 10, "abcdefghij|klmnopqrst|uvw");
    check_cuts("en", 5, "héllo|wörld");
    check_cuts("th", 8, "เขาไป|แล้วเธอ|หัวเราะ");
    /* one grapheme of 1 + 6 code points against a cap of 3: the cap wins */
    check_cuts("en", 3, "a\xCC\x81\xCC\x81|\xCC\x81\xCC\x81\xCC\x81|\xCC\x81|yz");
    check_cuts("zh", 5, "一二，|三四五，|六七八九");
    check_cuts("en", 19, "exactly nineteen ch");
    check_cuts("en", 18, "exactly nineteen |ch");
}

/* --- the reference's tests, same inputs and outputs --- */

static void check_buf(lcm_buf *b, const char *want) {
    assert_int_equal(b->len, strlen(want));
    if (b->len > 0) assert_memory_equal(b->data, want, b->len);
    lcm_buf_free(b);
}

static void reference_resplit(void **state) {
    const char *text = "This is a long sentence that should be split into multiple parts.";
    const char *want[] = {"This is a long ", "sentence that ", "should be split ", "into multiple parts."};
    lcm_spans s = {0};
    (void)state;
    assert_int_equal(lcm_resplit(ctx, &s, text, (lcm_span){0, strlen(text)}, " ", 20), LCM_OK);
    assert_int_equal(s.len, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(s.data[i].end - s.data[i].begin, strlen(want[i]));
        assert_memory_equal(text + s.data[i].begin, want[i], strlen(want[i]));
    }
    lcm_spans_free(&s);
}

static void reference_splitter(void **state) {
    (void)state;
    check_cuts("eng", 200, "This is a long sentence. |It should be split into two parts.");
    check_cuts("eng", 50, "This is a long sentence?|It should be split into two parts.");
}

static void reference_strings(void **state) {
    static const struct {
        lcm_status (*fn)(lcm_ctx *, lcm_buf *, const char *, size_t);
        const char *in, *out;
    } cases[] = {
        {lcm_compat_remove_emojis, "Hello 😊, 🤣 how are you? 🤔", "Hello ,  how are you? "},
        {lcm_compat_remove_emojis, "中文句子。Hello", "Hello"}, /* the fault that compat keeps */
        {lcm_compat_remove_emojis, "한국어", ""},
        {lcm_compat_remove_emojis, "ﬁ ligature", " ligature"},
        {lcm_compat_remove_emojis, "naïve → ok", "naïve → ok"},
        {lcm_compat_keep_printable_ascii, "Hello\nWorld. This is a test sentence.",
         "HelloWorld. This is a test sentence."},
        {lcm_compat_keep_printable_ascii, "a\x7F\tbé~ ", "ab~ "},
        {lcm_compat_unescape, "Hello\\nWorld. This is a test\\nsentence.",
         "Hello\nWorld. This is a test\nsentence."},
        {lcm_compat_unescape, "\\x41\\102\\u00e9\\U0001F600\\\\\\'\\\"\\q\\\n.", "ABé😀\\'\"\\q."},
        {lcm_compat_unescape, "\\u20ac\\u07ff\\u0800\\uffff\\U00010000\\U0010ffff",
         "€\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lcm_buf b = {0};
        assert_int_equal(cases[i].fn(ctx, &b, cases[i].in, strlen(cases[i].in)), LCM_OK);
        check_buf(&b, cases[i].out);
    }
    assert_false(lcm_compat_is_empty("This is a long sentence with multiple words.", 44));
    assert_true(lcm_compat_is_empty("     ", 5));
    assert_true(lcm_compat_is_empty("?! ...", 6));
    assert_false(lcm_compat_is_empty("٣", 2));
}

static void bad_escapes(void **state) {
    static const char *const bad[] = {"abc\\",   "\\x4",        "\\x4g",     "\\u00e",
                                      "\\ud800", "\\U00110000", "\\U0010fff"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lcm_buf b = {0};
        assert_int_equal(lcm_compat_unescape(ctx, &b, bad[i], strlen(bad[i])), LCM_ERR_FORMAT);
        lcm_buf_free(&b);
    }
    {
        lcm_buf b = {0};
        assert_int_equal(lcm_compat_unescape(ctx, &b, "ok \xFF", 4), LCM_ERR_UTF8);
        assert_non_null(strstr(lcm_ctx_message(ctx), "byte 3"));
        lcm_buf_free(&b);
    }
}

/* --- contract --- */

static void bad_input(void **state) {
    lcm_spans s = {0};
    lcm_segment_opts opts = lcm_segment_opts_default();
    (void)state;
    assert_int_equal(lcm_segment(ctx, &s, "Kept. So.", 9, NULL), LCM_OK);
    assert_int_equal(s.len, 2);
    assert_int_equal(lcm_segment(ctx, &s, "fine. \xC0\xAF", 8, NULL), LCM_ERR_UTF8);
    assert_string_equal(lcm_ctx_message(ctx), "text is not UTF-8 at byte 6");
    opts.max_chars = -1;
    assert_int_equal(lcm_segment(ctx, &s, "a", 1, &opts), LCM_ERR_ARG);
    assert_string_equal(lcm_ctx_message(ctx), "max_chars is -1, must not be negative");
    for (const char *const *l = (const char *const[]){"", "e", "english", "1n", "en Latn", "ü", NULL};
         *l != NULL; l++) {
        opts = (lcm_segment_opts){.lang = *l};
        assert_int_equal(lcm_segment_text(ctx, &s, "a", 1, &opts), LCM_ERR_ARG);
    }
    assert_int_equal(s.len, 2); /* failures left it alone */
    assert_int_equal(s.data[1].end, 9);
    assert_int_equal(lcm_segment_text(ctx, &s, " \n ", 3, NULL), LCM_OK);
    assert_int_equal(s.len, 0);
    assert_int_equal(lcm_segment(ctx, &s, " \n ", 3, NULL), LCM_OK);
    assert_int_equal(s.len, 1);
    assert_int_equal(lcm_segment(ctx, &s, NULL, 0, NULL), LCM_OK);
    assert_int_equal(s.len, 0);
    assert_int_equal(lcm_segment(ctx, &s, "a\0. B", 5, NULL), LCM_OK);
    assert_int_equal(s.len, 2);
    lcm_spans_free(&s);
    lcm_spans_free(NULL);
}

static void languages(void **state) {
    (void)state;
    assert_true(lcm_lang_semicolon_asks(lcm_lang_find("ell_Grek")));
    assert_ptr_equal(lcm_lang_find("eng_Latn"), lcm_lang_find("EN-us"));
    assert_ptr_equal(lcm_lang_find("por_Latn"), lcm_lang_find("pt"));
    assert_ptr_equal(lcm_lang_find("zul_Latn"), lcm_lang_find("th"));
    assert_ptr_not_equal(lcm_lang_find("de"), lcm_lang_find("en"));
    assert_int_equal(lcm_lang_abbrev(lcm_lang_find("en"), "Dr", 2), LCM_ABBREV_JOIN);
    assert_int_equal(lcm_lang_abbrev(lcm_lang_find("en"), "r", 1), LCM_ABBREV_NONE); /* whole words only */
    assert_int_equal(lcm_lang_abbrev(lcm_lang_find("en"), "Dr Mr", 5), LCM_ABBREV_NONE);
    assert_int_equal(lcm_lang_abbrev(lcm_lang_find("th"), "Dr", 2), LCM_ABBREV_JOIN);
}

/* Spans tile the text at character boundaries, none is blank, and none exceeds the cap. */
static void check_contract(const char *text, size_t len, const lcm_segment_opts *opts) {
    lcm_spans s = {0};
    size_t end = 0;
    assert_int_equal(lcm_segment(ctx, &s, text, len, opts), LCM_OK);
    for (size_t i = 0; i < s.len; i++) {
        lcm_span t = lcm_span_trim(text, s.data[i]);
        assert_int_equal(s.data[i].begin, end);
        assert_true(s.data[i].end > end);
        end = s.data[i].end;
        assert_true(end == len || ((unsigned char)text[end] & 0xC0) != 0x80);
        assert_true(s.len == 1 || t.begin < t.end);
        if (opts->max_chars > 0) assert_true(lcm_span_chars(text, t) <= (size_t)opts->max_chars);
    }
    assert_int_equal(end, len);
    lcm_spans_free(&s);
}

static const char *const atoms[] = {" ",
                                    " ",
                                    " ",
                                    ". ",
                                    "! ",
                                    "? ",
                                    ".",
                                    "!",
                                    "\"",
                                    "\"",
                                    "'",
                                    "(",
                                    ")",
                                    "«",
                                    "» ",
                                    "…",
                                    "...",
                                    "\n",
                                    "\n\n",
                                    "\r\n",
                                    "\t",
                                    "The",
                                    "hen",
                                    "Dr",
                                    "e.g",
                                    "J",
                                    "I",
                                    "said",
                                    "Mai",
                                    "1",
                                    "23",
                                    ",",
                                    ";",
                                    ": ",
                                    "- ",
                                    "#",
                                    "中文",
                                    "。",
                                    "」",
                                    "と",
                                    "ไทย",
                                    "é",
                                    "\xCC\x81",
                                    "\xE2\x80\x8D",
                                    "\xEF\xBB\xBF",
                                    "\xE2\x80\xA8",
                                    "\xE2\x80\xA9",
                                    "\xC2\xA0",
                                    "\xC2\x85",
                                    "\xE2\x80\xAE",
                                    "😀",
                                    "👩\xE2\x80\x8D👧",
                                    "🇫🇷",
                                    "\xF4\x8F\xBF\xBF",
                                    "://",
                                    "/",
                                    "ß",
                                    "ǅ"};

static void random_text_keeps_the_contract(void **state) {
    static const char *const langs[] = {"en", "de", "fr", "ja"};
    static const int64_t caps[] = {0, 1, 2, 5, 17, 256};
    lcm_rng r = lcm_rng_make(11, LCM_RNG_TEST);
    (void)state;
    for (int round = 0; round < 4000; round++) {
        lcm_buf b = {0};
        lcm_segment_opts opts = {.lang = langs[round % 4], .max_chars = caps[round % 6]};
        uint64_t n = 1 + lcm_rng_below(&r, 60);
        for (uint64_t i = 0; i < n; i++) {
            const char *a = atoms[lcm_rng_below(&r, sizeof atoms / sizeof *atoms)];
            if (lcm_rng_below(&r, 20) == 0) { /* any assigned or unassigned code point */
                char any[3] = {(char)(0xE1 + lcm_rng_below(&r, 12)), (char)(0x80 + lcm_rng_below(&r, 64)),
                               (char)(0x80 + lcm_rng_below(&r, 64))};
                assert_int_equal(lcm_buf_append(ctx, &b, any, 3), LCM_OK);
            }
            assert_int_equal(lcm_buf_append(ctx, &b, a, strlen(a)), LCM_OK);
        }
        check_contract(b.data, b.len, &opts);
        lcm_buf_free(&b);
    }
}

/* A sentence cut out of a text is one sentence by itself. Holds without line ends, which are judged
 * by their neighbours, and without the cap, which counts from where a piece begins. */
static void cutting_twice_changes_nothing(void **state) {
    static const char *const words[] = {"The",  "hen", "Dr.", "ran.",  "\"Go!\"", "Tom",  "said.",
                                        "e.g.", "J.",  "5.",  "(no.)", "a",       "etc.", "St.",
                                        "why?", "No.", "7",   "...",   "“Oh",     "so.”"};
    lcm_segment_opts opts = {.lang = "en", .max_chars = 0};
    lcm_rng r = lcm_rng_make(12, LCM_RNG_TEST);
    size_t total = 0;
    (void)state;
    for (int round = 0; round < 2000; round++) {
        lcm_buf b = {0};
        lcm_spans s = {0}, again = {0};
        for (int i = 0; i < 20; i++) {
            assert_int_equal(
                lcm_buf_printf(ctx, &b, "%s ", words[lcm_rng_below(&r, sizeof words / sizeof *words)]),
                LCM_OK);
        }
        assert_int_equal(lcm_segment_text(ctx, &s, b.data, b.len, &opts), LCM_OK);
        for (size_t i = 0; i < s.len; i++) {
            size_t n = s.data[i].end - s.data[i].begin;
            assert_int_equal(lcm_segment_text(ctx, &again, b.data + s.data[i].begin, n, &opts), LCM_OK);
            if (again.len != 1) print_error("%.*s\n", (int)n, b.data + s.data[i].begin);
            assert_int_equal(again.len, 1);
        }
        total += s.len;
        lcm_spans_free(&s);
        lcm_spans_free(&again);
        lcm_buf_free(&b);
    }
    assert_true(total > 2000 * 4); /* the texts do come apart */
}

/* --- size --- */

static double cpu_seconds_for(const char *unit, const char *head, size_t bytes, int64_t cap) {
    lcm_segment_opts opts = {.lang = "en", .max_chars = cap};
    size_t n = strlen(unit), reps = bytes / n, at = strlen(head);
    char *text = malloc(at + reps * n);
    clock_t t;
    assert_non_null(text);
    memcpy(text, head, at);
    for (size_t i = 0; i < reps; i++) memcpy(text + at + i * n, unit, n);
    t = clock();
    check_contract(text, at + reps * n, &opts);
    t = clock() - t;
    free(text);
    return (double)t / CLOCKS_PER_SEC;
}

/* 8 times the bytes may take 8 times as long, and 3 times that for caches and a busy machine; quadratic
 * code takes 64 times as long. Times below 50 ms are not judged: a quadratic megabyte takes far more. */
static void time_is_linear(void **state) {
    /* clang-format off */
    static const char *const units[] = {
        "a", "a ", ".", "\xCC\x81", "\n", ")", ". ", "\"", "…\"", "A.", "! ) ", ".\"A", "( ", "x.\n",
        ". 1 ", "J. ", "\"A!\" Tom said ", "中", "ภาษาไทย", "👩\xE2\x80\x8D", ") \n", "#\n", "…"};
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        for (int64_t cap = 0; cap <= 256; cap += 256) {
            double small = cpu_seconds_for(units[i], "Oh. a", 125000, cap),
                   large = cpu_seconds_for(units[i], "Oh. a", 1000000, cap);
            if (large > 0.05 && large > 24 * small)
                print_error("unit '%s' cap %d: %g s, %g s\n", units[i], (int)cap, small, large);
            assert_true(large <= 0.05 || large <= 24 * small);
        }
    }
}

static void ten_megabytes_without_a_break(void **state) {
    (void)state;
    assert_true(cpu_seconds_for("x", "", 10u << 20, 256) < 60);
    assert_true(cpu_seconds_for(" ", "", 10u << 20, 256) < 60);
    assert_true(cpu_seconds_for("\xCC\x81", "a", 2000000, 256) < 60); /* 10^6 combining marks */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_sentences),
        cmocka_unit_test(missing_space),
        cmocka_unit_test(quotes),
        cmocka_unit_test(abbreviations),
        cmocka_unit_test(initials_and_numbers),
        cmocka_unit_test(ellipses),
        cmocka_unit_test(lines),
        cmocka_unit_test(german),
        cmocka_unit_test(romance),
        cmocka_unit_test(other_scripts),
        cmocka_unit_test(cap_falls_back_in_order),
        cmocka_unit_test(reference_resplit),
        cmocka_unit_test(reference_splitter),
        cmocka_unit_test(reference_strings),
        cmocka_unit_test(bad_escapes),
        cmocka_unit_test(bad_input),
        cmocka_unit_test(languages),
        cmocka_unit_test(random_text_keeps_the_contract),
        cmocka_unit_test(cutting_twice_changes_nothing),
        cmocka_unit_test(time_is_linear),
        cmocka_unit_test(ten_megabytes_without_a_break),
    };
    return cmocka_run_group_tests(tests, make_ctx, free_ctx);
}
