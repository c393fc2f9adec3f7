/* The stemmer. w[0..n) is the word; a stem is its beginning. */
#include "eval/porter.h"

#include <stdbool.h>
#include <string.h>

static bool is_vowel(char c) { return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u'; }

/* What Porter's conditions ask of the stem w[0..n). */
typedef struct stem_facts {
    int measure;    /* m of [C](VC)^m[V]; y is a vowel after a consonant */
    bool has_vowel;
    bool last[3];   /* whether the last, the one before, … is a consonant; false beyond the beginning */
} stem_facts;

static stem_facts facts(const char *w, size_t n) {
    stem_facts f = {0};
    bool before = false; /* at the beginning y is a consonant */
    for (size_t i = 0; i < n; i++) {
        bool consonant = !is_vowel(w[i]) && (w[i] != 'y' || i == 0 || !before);
        f.measure += i > 0 && consonant && !before;
        f.has_vowel |= !consonant;
        f.last[2] = f.last[1];
        f.last[1] = f.last[0];
        f.last[0] = before = consonant;
    }
    return f;
}

static bool ends_double_consonant(const char *w, size_t n) { return n >= 2 && w[n - 1] == w[n - 2] && facts(w, n).last[0]; }

/* Consonant, vowel, consonant but w, x, y; NLTK also takes two letters, vowel and consonant. */
static bool ends_cvc(const char *w, size_t n) {
    stem_facts f = facts(w, n);
    if (n == 2) return !f.last[1] && f.last[0];
    return n >= 3 && f.last[2] && !f.last[1] && f.last[0] && w[n - 1] != 'w' && w[n - 1] != 'x' && w[n - 1] != 'y';
}

static bool ends(const char *w, size_t n, const char *suffix) {
    size_t k = strlen(suffix);
    return n >= k && memcmp(w + n - k, suffix, k) == 0;
}

static size_t put(char *w, size_t stem, const char *text) {
    size_t k = strlen(text);
    memcpy(w + stem, text, k);
    return stem + k;
}

/* The first rule whose suffix fits decides, whether its condition holds or not. */
typedef struct rule {
    const char *from, *to;
} rule;

static size_t apply(char *w, size_t n, const rule *rules, int min_measure) {
    for (; rules->from; rules++) {
        size_t stem = n - strlen(rules->from), measured = stem;
        if (!ends(w, n, rules->from)) continue;
        if (strcmp(rules->from, "logi") == 0) measured++; /* geo, theo: the l counts with the stem */
        if (facts(w, measured).measure < min_measure) return n;
        if (strcmp(rules->from, "ion") == 0 && w[stem - 1] != 's' && w[stem - 1] != 't') return n;
        return put(w, stem, rules->to);
    }
    return n;
}

static size_t step1a(char *w, size_t n) {
    static const rule rules[] = {{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}, {0}};
    return n == 4 && ends(w, n, "ies") ? 3 : apply(w, n, rules, 0);
}

static size_t step1b(char *w, size_t n) {
    size_t stem = ends(w, n, "ed") ? n - 2 : ends(w, n, "ing") ? n - 3 : n;
    if (ends(w, n, "ied")) return n == 4 ? 3 : n - 2;
    if (ends(w, n, "eed")) return facts(w, n - 3).measure > 0 ? n - 1 : n;
    if (stem == n || !facts(w, stem).has_vowel) return n;
    if (ends(w, stem, "at") || ends(w, stem, "bl") || ends(w, stem, "iz")) return put(w, stem, "e");
    if (ends_double_consonant(w, stem)) return w[stem - 1] == 'l' || w[stem - 1] == 's' || w[stem - 1] == 'z' ? stem : stem - 1;
    return facts(w, stem).measure == 1 && ends_cvc(w, stem) ? put(w, stem, "e") : stem;
}

static size_t step1c(char *w, size_t n) {
    if (ends(w, n, "y") && n > 2 && facts(w, n - 1).last[0]) w[n - 1] = 'i';
    return n;
}

static size_t step2(char *w, size_t n) {
    static const rule rules[] = {
        {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},   {"izer", "ize"},    {"bli", "ble"},
        {"alli", "al"},     {"entli", "ent"},   {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
        {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},
        {"iviti", "ive"},   {"biliti", "ble"},  {"fulli", "ful"},   {"logi", "log"},    {0}};
    if (ends(w, n, "alli") && facts(w, n - 4).measure > 0) n -= 2; /* -al, which may begin a suffix anew */
    return apply(w, n, rules, 1);
}

static size_t step3(char *w, size_t n) {
    static const rule rules[] = {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
                                 {"ical", "ic"},  {"ful", ""},   {"ness", ""},    {0}};
    return apply(w, n, rules, 1);
}

static size_t step4(char *w, size_t n) {
    static const rule rules[] = {{"al", ""},  {"ance", ""}, {"ence", ""}, {"er", ""},  {"ic", ""},  {"able", ""}, {"ible", ""},
                                 {"ant", ""}, {"ement", ""}, {"ment", ""}, {"ent", ""}, {"ion", ""}, {"ou", ""},   {"ism", ""},
                                 {"ate", ""}, {"iti", ""},  {"ous", ""},  {"ive", ""}, {"ize", ""}, {0}};
    return apply(w, n, rules, 2);
}

static size_t step5(char *w, size_t n) {
    if (ends(w, n, "e")) {
        int m = facts(w, n - 1).measure;
        if (m > 1 || (m == 1 && !ends_cvc(w, n - 1))) n--;
    }
    return ends(w, n, "ll") && facts(w, n - 1).measure > 1 ? n - 1 : n;
}

size_t lcm_porter_stem(char *w, size_t n) {
    static const rule irregular[] = {{"sky", "sky"},         {"skies", "sky"},       {"dying", "die"},     {"lying", "lie"},
                                     {"tying", "tie"},       {"news", "news"},       {"innings", "inning"}, {"inning", "inning"},
                                     {"outings", "outing"},  {"outing", "outing"},   {"cannings", "canning"}, {"canning", "canning"},
                                     {"howe", "howe"},       {"proceed", "proceed"}, {"exceed", "exceed"}, {"succeed", "succeed"},
                                     {0}};
    for (const rule *r = irregular; r->from; r++)
        if (strlen(r->from) == n && memcmp(w, r->from, n) == 0) return put(w, 0, r->to);
    if (n <= 2) return n;
    n = step1c(w, step1b(w, step1a(w, n)));
    return step5(w, step4(w, step3(w, step2(w, n))));
}
