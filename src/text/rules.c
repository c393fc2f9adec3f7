#include "text/rules.h"

#include <string.h>

#include "text/chars.h"
#include "text/segment.h"

enum {
    AHEAD_MAX = 16,  /* opening quotes and dashes skipped before the first letter */
    WORD_MAX = 32,   /* bytes of a token worth looking up */
    ABBREV_MAX = 5,  /* bytes; a shorter word before a number may be one in a language without lists */
    URL_MAX = 128,   /* bytes looked back over for "://" */
    QUOTE_MAX = 512, /* bytes looked back over for the words before a quote */
    HEADING_MAX = 60 /* code points of a line that may be a heading */
};

/* End marks before the gap. */
typedef struct tail {
    uint32_t mark;   /* the last end mark, 0 = none */
    bool one_stop;   /* exactly one '.', nothing behind it */
    bool closed;     /* quotes or brackets behind the marks */
    size_t word_end; /* where the marks begin */
} tail;

/* First letter or digit behind the gap. */
typedef struct head {
    int cls;   /* USentenceBreak, U_SB_OTHER when there is none nearby */
    size_t at; /* its offset; `right` when nothing was skipped */
    lcm_span word;
} head;

bool lcm_rule_is_end_mark(unsigned c) {
    int cls;
    if (c < 0x80) return c == '.' || c == '!' || c == '?';
    if (c == 0x2026) return true;
    cls = lcm_char_class(c);
    return cls == U_SB_ATERM || cls == U_SB_STERM;
}

static bool is_letter_class(int cls) { return cls == U_SB_UPPER || cls == U_SB_LOWER || cls == U_SB_OLETTER; }

size_t lcm_rule_count_lines(const char *text, size_t begin, size_t end) {
    size_t n = 0;
    uint32_t before = 0;
    for (size_t at = begin; at < end;) {
        uint32_t c = lcm_char_next(text, &at);
        if (c == 0x2029) n += 2; /* paragraph separator: as good as a blank line */
        if (c == '\r' || c == 0x85 || c == 0x2028 || (c == '\n' && before != '\r')) n++;
        before = c;
    }
    return n;
}

static tail look_back(const lcm_gap *g) {
    tail t = {0};
    size_t at = g->left, marks = 0;
    bool spaced = false;
    t.word_end = g->left;
    while (at > g->sentence) {
        uint32_t c = lcm_char_prev(g->text, &at);
        int cls = lcm_char_class(c);
        if (lcm_rule_is_end_mark(c) || ((c == ';' || c == 0x37E) && lcm_lang_semicolon_asks(g->lang))) {
            if (t.mark == 0) t.mark = c;
            t.word_end = at;
            marks++;
        } else if (cls == U_SB_CLOSE && t.mark == 0) {
            t.closed = true;
        } else if (cls == U_SB_SP && t.closed && !spaced && t.mark == 0) {
            spaced = true; /* "! »" */
        } else if (cls != U_SB_EXTEND && cls != U_SB_FORMAT) {
            break;
        }
    }
    t.one_stop = marks == 1 && t.mark == '.' && !t.closed;
    return t;
}

static lcm_span word_at(const lcm_gap *g, size_t begin) {
    size_t at = begin, end = begin;
    while (at < g->len && at - begin < WORD_MAX) {
        int cls = lcm_char_class(lcm_char_next(g->text, &at));
        if (!is_letter_class(cls) && cls != U_SB_EXTEND) break;
        end = at;
    }
    return (lcm_span){begin, end};
}

static head look_ahead(const lcm_gap *g, size_t from) {
    head h = {U_SB_OTHER, from, {from, from}};
    size_t at = from;
    for (int i = 0; i < AHEAD_MAX && at < g->len; i++) {
        size_t here = at;
        uint32_t c = lcm_char_next(g->text, &at);
        int cls = lcm_char_class(c);
        if (is_letter_class(cls) || cls == U_SB_NUMERIC) {
            h.cls = cls;
            h.at = here;
            h.word = word_at(g, here);
            break;
        }
        if (cls == U_SB_SEP || c == '\n' || c == '\r') break;
    }
    return h;
}

/* Token before the full stop at `end`, from the last space or quote on; empty when it is too long. */
static lcm_span token_before(const lcm_gap *g, size_t end) {
    size_t at = end, begin = end;
    while (at > g->sentence) {
        uint32_t c = lcm_char_prev(g->text, &at);
        if (lcm_char_is_space(c) || lcm_char_class(c) == U_SB_CLOSE || c == 0x2014 || c == '/') break;
        if (end - at > WORD_MAX) return (lcm_span){end, end};
        begin = at;
    }
    return (lcm_span){begin, end};
}

static bool one_capital(const lcm_gap *g, lcm_span s) {
    size_t at = s.begin;
    return s.begin < s.end && lcm_char_class(lcm_char_next(g->text, &at)) == U_SB_UPPER && at == s.end;
}

static bool next_is_initial(const lcm_gap *g, const head *h) {
    return one_capital(g, h->word) && h->word.end < g->len && g->text[h->word.end] == '.';
}

/* A capitalised word that usually begins a sentence; "A" in "J. A. Smith" does not count. */
static bool next_is_starter(const lcm_gap *g, const head *h) {
    return !next_is_initial(g, h) &&
           lcm_lang_is_starter(g->lang, g->text + h->word.begin, h->word.end - h->word.begin);
}

static bool all_of(const lcm_gap *g, lcm_span s, const char *set) {
    for (size_t i = s.begin; i < s.end; i++) {
        if (g->text[i] == 0 || strchr(set, g->text[i]) == NULL) return false;
    }
    return s.begin < s.end;
}

static bool next_is_after_number(const lcm_gap *g, const head *h) {
    return lcm_lang_is_after_number(g->lang, g->text + h->word.begin, h->word.end - h->word.begin);
}

/* "1. First", "Steps: 1. Mix", "3. Mai", "in der 89. Minute". */
static bool is_list_number(const lcm_gap *g, lcm_span w, const head *h) {
    size_t at = w.begin;
    lcm_span before;
    if (w.end - w.begin > 3 || !all_of(g, w, "0123456789")) return false;
    if (h->cls == U_SB_NUMERIC) return true; /* "12. 5. 2018" */
    while (at > g->sentence && g->text[at - 1] == ' ') at--;
    if (at == g->sentence || g->text[at - 1] == ':' || next_is_after_number(g, h)) return true;
    before = token_before(g, at);
    return !next_is_starter(g, h) &&
           lcm_lang_is_before_ordinal(g->lang, g->text + before.begin, before.end - before.begin);
}

/* "IV. The ..." and "a. First" at the start of a line. */
static bool is_list_letter(const lcm_gap *g, lcm_span w) {
    if (w.begin != g->sentence || w.begin != g->line) return false;
    if (all_of(g, w, "IVX")) return true;
    return w.end - w.begin == 1 && is_letter_class(lcm_char_class((unsigned char)g->text[w.begin]));
}

/* "U.S", "J.R.R", "n.Chr"-like: letters in groups of one or two, with stops between. */
static bool is_dotted(const lcm_gap *g, lcm_span w) {
    size_t at = w.begin;
    int run = 0, stops = 0;
    while (at < w.end) {
        uint32_t c = lcm_char_next(g->text, &at);
        if (c == '.') {
            if (run == 0) return false;
            stops++;
            run = 0;
        } else if (!is_letter_class(lcm_char_class(c)) || ++run > 2) {
            return false;
        }
    }
    return stops > 0 && run > 0;
}

/* Does the one full stop behind `token` belong to the token? */
static bool stop_is_inner(const lcm_gap *g, const tail *t, const head *h) {
    lcm_span w = token_before(g, t->word_end), last = w;
    lcm_abbrev_kind kind;
    const char *dash = w.begin < w.end ? memrchr(g->text + w.begin, '-', w.end - w.begin) : NULL;
    bool capital = h->cls == U_SB_UPPER && h->at == g->right;
    if (w.begin == w.end) return false;
    if (is_list_number(g, w, h) || is_list_letter(g, w)) return true;
    if (dash != NULL) last.begin = (size_t)(dash - g->text) + 1;
    kind = lcm_lang_abbrev(g->lang, g->text + w.begin, w.end - w.begin);
    if (kind == LCM_ABBREV_NONE) kind = lcm_lang_abbrev(g->lang, g->text + last.begin, last.end - last.begin);
    if (kind == LCM_ABBREV_NONE && is_dotted(g, w)) kind = LCM_ABBREV_MAYBE;
    if (kind == LCM_ABBREV_JOIN) return true;
    if (kind == LCM_ABBREV_END) return next_is_after_number(g, h);
    if (kind == LCM_ABBREV_NUMBER && h->cls == U_SB_NUMERIC) return true;
    if (h->cls == U_SB_NUMERIC && !lcm_lang_has_lists(g->lang)) return w.end - w.begin < ABBREV_MAX;
    if (kind == LCM_ABBREV_MAYBE) return capital && !next_is_starter(g, h);
    if (!capital || !one_capital(g, last)) return false;
    if (lcm_lang_is_pronoun(g->lang, g->text + last.begin, last.end - last.begin))
        return next_is_initial(g, h);
    return !next_is_starter(g, h);
}

/* Was the quote that ends before the gap introduced by 'Tom asked, "'? Then it has its speaker. */
static bool is_introduced(const lcm_gap *g) {
    size_t begin = g->left - g->sentence > QUOTE_MAX ? g->left - QUOTE_MAX : g->sentence;
    for (size_t i = begin; i + 2 < g->left; i++) {
        const char *s = g->text + i;
        if ((s[0] == ',' || s[0] == ':') && s[1] == ' ' && (s[2] == '"' || s[2] == '\'')) return true;
    }
    return false;
}

/* 'Tom said.', 'The old cat said', 'Mr. Bear said': a name of up to three words, then a verb of speech
 * that introduces nothing ('Tom said, "'). 'Then Tom said' is a sentence of its own. */
static bool is_attribution(const lcm_gap *g, size_t at) {
    for (int i = 0; i < 4; i++) {
        lcm_span w = word_at(g, at);
        size_t n = w.end - w.begin;
        bool verb = lcm_lang_is_speech_verb(g->lang, g->text + w.begin, n);
        if (i == 0 && lcm_lang_is_linker(g->lang, g->text + w.begin, n)) return false;
        if (n == 0 || verb) return verb && i > 0 && (w.end == g->len || strchr(",:", g->text[w.end]) == NULL);
        at = w.end;
        if (at + 2 < g->len && memcmp(g->text + at, "'s", 2) == 0) at += 2;
        if (at < g->len && g->text[at] == '.' &&
            lcm_lang_abbrev(g->lang, g->text + w.begin, n) == LCM_ABBREV_JOIN) {
            at++;
        }
        if (at >= g->len || g->text[at] != ' ') return false;
        at++;
    }
    return false;
}

static bool inside_url(const lcm_gap *g) {
    size_t begin = g->left;
    while (begin > g->sentence && g->left - begin < URL_MAX && (unsigned char)g->text[begin - 1] > ' ')
        begin--;
    return lcm_find_bytes(g->text + begin, g->left - begin, "://", 3) != NULL ||
           lcm_find_bytes(g->text + begin, g->left - begin, "www.", 4) != NULL;
}

/* "- item", "• item", "12. item", "3) item" */
static bool is_list_item(const lcm_gap *g) {
    size_t at = g->right, digits = 0;
    uint32_t c = lcm_char_next(g->text, &at);
    while (c >= '0' && c <= '9' && digits < 3 && at < g->len) {
        digits++;
        c = lcm_char_next(g->text, &at);
    }
    if (at >= g->len || !lcm_char_is_space((unsigned char)g->text[at])) return false;
    if (digits > 0) return c == '.' || c == ')';
    return c == '-' || c == '*' || c == '+' || c == 0x2022 || c == 0x2013 || c == 0x2014;
}

/* A line that ended although the next word would have fitted was ended on purpose. */
static bool is_short_line(const lcm_gap *g) {
    size_t at = g->left, chars, need, n = 0;
    bool in_word = true;
    head h = look_ahead(g, g->right);
    if (g->left - g->line > 4 * HEADING_MAX) return false;
    chars = lcm_span_chars(g->text, (lcm_span){g->line, g->left});
    if (chars > HEADING_MAX || (h.cls != U_SB_UPPER && h.cls != U_SB_NUMERIC)) return false;
    if (lcm_char_class(lcm_char_prev(g->text, &at)) == U_SB_SCONTINUE) return false;
    need = chars + 1;
    for (at = g->right; at < g->len && n < need && n < 2 * HEADING_MAX; n++) {
        uint32_t c = lcm_char_next(g->text, &at);
        if (c == '\n' || c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029) break;
        in_word = in_word && !lcm_char_is_space(c);
        if (in_word) need++;
    }
    return n >= need;
}

/* Behind a closing quote or bracket that stands alone at `at`, and the spaces after it; else `at`. At
 * most g->limit, where nothing follows. */
static size_t skip_stray_closer(const lcm_gap *g, size_t at) {
    size_t end = at;
    int8_t type = u_charType((UChar32)lcm_char_next(g->text, &end));
    if (type != U_END_PUNCTUATION && type != U_FINAL_PUNCTUATION) return at;
    if (end < g->limit && !lcm_char_is_space((unsigned char)g->text[end])) return at;
    return lcm_span_trim(g->text, (lcm_span){end, g->limit}).begin;
}

/* The part of the decision that only looks at marks and letters. */
static bool ends_sentence(const lcm_gap *g, const tail *t) {
    head h = look_ahead(g, g->right);
    size_t at = g->right;
    if (h.cls == U_SB_LOWER) return false;
    if (g->left == g->right && ((h.cls != U_SB_UPPER && h.cls != U_SB_OLETTER) || inside_url(g)))
        return false;
    if (t->closed) { /* a particle of quotation: Japanese "to", Korean any syllable without a space */
        uint32_t c = lcm_char_next(g->text, &at);
        if (c == 0x3068 || (g->left == g->right && c >= 0xAC00 && c <= 0xD7A3)) return false;
    }
    if (t->one_stop && stop_is_inner(g, t, &h)) return false;
    if (t->closed && t->mark != '.' && h.cls == U_SB_UPPER && h.at == g->right && is_attribution(g, h.at)) {
        return is_introduced(g);
    }
    return true;
}

size_t lcm_rule_break(const lcm_gap *g) {
    size_t lines = lcm_rule_count_lines(g->text, g->left, g->right);
    tail t = look_back(g);
    lcm_gap moved = *g;
    if (lines >= 2) return g->right;
    if (lines == 1 && (is_list_item(g) || g->text[g->line] == '#')) return g->right;
    if (t.mark == 0) return lines == 1 && is_short_line(g) ? g->right : 0;
    if (lines == 0 && g->left < g->right) moved.right = skip_stray_closer(g, g->right);
    if (moved.right == g->limit) return 0;
    if (moved.right != g->right) {
        t.closed = true;
        t.one_stop = false;
    }
    return ends_sentence(&moved, &t) ? moved.right : 0;
}
