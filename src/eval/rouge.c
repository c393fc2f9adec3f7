/* ROUGE. */
#include "eval/rouge.h"

#include <stdlib.h>
#include <string.h>

#include "eval/porter.h"
#include "eval/symbols.h"
#include "text/chars.h"

const char *const lcm_rouge_names[LCM_ROUGE_KINDS] = {"rouge1", "rouge2", "rougeL", "rougeLsum"};

/* ---- words ---- */

typedef struct side {
    lcm_symbols words;
    size_t *line;     /* (n_lines + 1) first word of each line */
    size_t n_lines, line_cap;
} side;

/* What lower-casing makes of a character that matters here: a-z 0-9, or 0. Of the others, two become letters. */
static char plain(uint32_t c, bool *breaks) {
    *breaks = c == 0x130; /* I with dot: i and a combining dot */
    if (c == 0x130) return 'i';
    if (c == 0x212A) return 'k'; /* Kelvin */
    if (c >= 'A' && c <= 'Z') return (char)(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? (char)c : 0;
}

static lcm_status end_word(lcm_ctx *ctx, side *s, lcm_strset *words, lcm_buf *word, bool stem) {
    size_t n = word->len;
    word->len = 0;
    if (n == 0) return LCM_OK;
    if (stem && n > 3) n = lcm_porter_stem(word->data, n);
    return lcm_symbols_add(ctx, &s->words, words, word->data, n);
}

static lcm_status end_line(lcm_ctx *ctx, side *s) {
    LCM_TRY(lcm_grow(ctx, &s->line, &s->line_cap, s->n_lines + 2, sizeof *s->line));
    if (s->n_lines == 0) s->line[0] = 0;
    s->line[++s->n_lines] = s->words.n;
    return LCM_OK;
}

static lcm_status split(lcm_ctx *ctx, side *s, lcm_strset *words, const char *text, size_t len, bool stem) {
    lcm_buf word = {0};
    lcm_status st = LCM_OK;
    for (size_t i = 0; st == LCM_OK && i < len;) {
        bool line = text[i] == '\n', breaks;
        char c = plain(lcm_char_next(text, &i), &breaks);
        if (c) st = lcm_buf_append(ctx, &word, &c, 1);
        if (st == LCM_OK && (c == 0 || breaks)) st = end_word(ctx, s, words, &word, stem);
        if (st == LCM_OK && line) st = end_line(ctx, s);
    }
    if (st == LCM_OK) st = end_word(ctx, s, words, &word, stem);
    if (st == LCM_OK) st = end_line(ctx, s);
    lcm_buf_free(&word);
    return st;
}

/* ---- scores ---- */

static lcm_prf score(double hits, double predicted, double target) {
    lcm_prf s = {predicted > 0 ? hits / predicted : 0, target > 0 ? hits / target : 0, 0};
    if (s.precision + s.recall > 0) s.f = 2 * s.precision * s.recall / (s.precision + s.recall);
    return s;
}

/* row (m + 1) becomes the last row of the table of a (n) against b (m). left, when not NULL, has bit i (m + 1) + k set
 * where the entry to the left of (i, k) is larger than that above. */
static void lcs_table(uint32_t *row, uint8_t *left, const uint32_t *a, size_t n, const uint32_t *b, size_t m) {
    memset(row, 0, (m + 1) * sizeof *row);
    for (size_t i = 1; i <= n; i++) {
        uint32_t corner = 0; /* of the row before */
        for (size_t k = 1; k <= m; k++) {
            uint32_t above = row[k];
            size_t bit = i * (m + 1) + k;
            if (left && row[k - 1] > above) left[bit >> 3] |= (uint8_t)(1 << (bit & 7));
            row[k] = a[i - 1] == b[k - 1] ? corner + 1 : row[k - 1] > above ? row[k - 1] : above;
            corner = above;
        }
    }
}

/* Marks in hit (n) the words of a that the longest common subsequence with b takes; which of several, as rouge_score. */
static lcm_status mark_lcs(lcm_ctx *ctx, uint8_t *hit, const uint32_t *a, size_t n, const uint32_t *b, size_t m) {
    uint32_t *row;
    uint8_t *left = NULL;
    size_t bits = 0, i = n, k = m;
    lcm_status st;
    if (!lcm_mul_size(&bits, n + 1, m + 1)) LCM_FAIL(ctx, LCM_ERR_LIMIT, "%zu and %zu words are too many to compare", n, m);
    LCM_TRY(lcm_calloc(ctx, &row, m + 1, sizeof *row));
    st = lcm_calloc(ctx, &left, bits / 8 + 1, 1);
    if (st == LCM_OK) lcs_table(row, left, a, n, b, m);
    while (st == LCM_OK && i > 0 && k > 0) {
        size_t bit = i * (m + 1) + k;
        if (a[i - 1] == b[k - 1]) hit[--i] = 1, k--;
        else if (left[bit >> 3] >> (bit & 7) & 1) k--;
        else i--;
    }
    free(row);
    free(left);
    return st;
}

static lcm_status summary_lcs(lcm_ctx *ctx, double *hits, const side *p, const side *t, size_t n_words) {
    uint8_t *hit;
    int64_t *left[2] = {NULL, NULL}; /* of every word, not yet counted on each side */
    lcm_status st = lcm_calloc(ctx, &hit, t->words.n, 1);
    if (st == LCM_OK) st = lcm_calloc(ctx, &left[0], n_words * 2, sizeof **left);
    left[1] = left[0] + n_words;
    for (size_t i = 0; st == LCM_OK && i < p->words.n; i++) left[0][p->words.x[i]]++;
    for (size_t i = 0; st == LCM_OK && i < t->words.n; i++) left[1][t->words.x[i]]++;
    for (size_t a = 0; a < t->n_lines && p->words.n > 0 && t->words.n > 0; a++)
        for (size_t b = 0; st == LCM_OK && b < p->n_lines; b++)
            st = mark_lcs(ctx, hit + t->line[a], t->words.x + t->line[a], t->line[a + 1] - t->line[a], p->words.x + p->line[b],
                          p->line[b + 1] - p->line[b]);
    for (size_t i = 0; st == LCM_OK && i < t->words.n; i++) {
        uint32_t w = t->words.x[i];
        if (!hit[i] || left[0][w] == 0 || left[1][w] == 0) continue;
        left[0][w]--;
        left[1][w]--;
        ++*hits;
    }
    free(hit);
    free(left[0]);
    return st;
}

static lcm_status compare(lcm_ctx *ctx, lcm_prf out[LCM_ROUGE_KINDS], const side *p, const side *t, size_t n_words) {
    double np = (double)p->words.n, nt = (double)t->words.n, hits = 0;
    uint32_t *row;
    for (int n = 1; n <= 2; n++) {
        lcm_ngram_counts c = {0};
        LCM_TRY(lcm_ngram_add(ctx, &c, p->words.x, p->words.n, t->words.x, t->words.n, (size_t)n));
        out[n - 1] = score((double)c.match, (double)c.hyp, (double)c.ref);
    }
    LCM_TRY(lcm_calloc(ctx, &row, p->words.n + 1, sizeof *row));
    lcs_table(row, NULL, t->words.x, t->words.n, p->words.x, p->words.n);
    out[LCM_ROUGE_L] = score(row[p->words.n], np, nt);
    free(row);
    LCM_TRY(summary_lcs(ctx, &hits, p, t, n_words));
    out[LCM_ROUGE_LSUM] = score(hits, np, nt);
    return LCM_OK;
}

lcm_status lcm_rouge(lcm_ctx *ctx, lcm_prf out[LCM_ROUGE_KINDS], const char *predicted, size_t n_predicted, const char *target,
                     size_t n_target, bool stem) {
    side p = {0}, t = {0};
    lcm_strset words = {0};
    lcm_status st = split(ctx, &p, &words, predicted, n_predicted, stem);
    if (st == LCM_OK) st = split(ctx, &t, &words, target, n_target, stem);
    if (st == LCM_OK) st = compare(ctx, out, &p, &t, words.n);
    lcm_strset_free(&words);
    lcm_symbols_free(&p.words);
    lcm_symbols_free(&t.words);
    free(p.line);
    free(t.line);
    return st;
}

void lcm_rouge_best(lcm_prf best[LCM_ROUGE_KINDS], const lcm_prf next[LCM_ROUGE_KINDS]) {
    for (int k = 0; k < LCM_ROUGE_KINDS; k++)
        if (next[k].f > best[k].f) best[k] = next[k];
}
