/* Pages. */
#include "eval/page.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "eval/axis.h"

static void append(lcm_page *p, const char *s, size_t n) {
    if (p->st == LCM_OK) p->st = lcm_buf_append(p->ctx, &p->text, s, n);
}

void lcm_page_put(lcm_page *p, const char *text) { append(p, text, strlen(text)); }

void lcm_page_int(lcm_page *p, int64_t v) {
    char s[32];
    snprintf(s, sizeof s, "%" PRId64, v);
    lcm_page_put(p, s);
}

/* A locale may write the decimal point otherwise, in several bytes. 1e+06 becomes 1e06. */
static void put_pointed(lcm_page *p, const char *raw) {
    for (size_t i = 0; raw[i];) {
        size_t plain = strspn(raw + i, "0123456789-e");
        append(p, raw + i, plain);
        i += plain;
        if (raw[i] == '\0') break;
        if (raw[i] == '+') i++;
        else {
            lcm_page_put(p, ".");
            i += strcspn(raw + i, "0123456789+-e");
        }
    }
}

void lcm_page_number(lcm_page *p, double v, int digits) {
    char raw[64];
    if (!isfinite(v)) {
        lcm_page_put(p, "–");
        return;
    }
    snprintf(raw, sizeof raw, "%.*g", digits, v);
    put_pointed(p, raw);
}

void lcm_page_count(lcm_page *p, double v) {
    char text[32];
    lcm_axis_label(text, v);
    lcm_page_put(p, isnan(v) ? "–" : text);
}

void lcm_page_parameters(lcm_page *p, int64_t trained, int64_t fixed) {
    lcm_page_count(p, trained ? (double)trained : NAN);
    if (fixed == 0) return;
    lcm_page_put(p, " + ");
    lcm_page_count(p, (double)fixed);
    lcm_page_put(p, " fixed");
}

void lcm_page_px(lcm_page *p, double v) {
    long t = lround(fmin(fmax(v, -10000), 100000) * 10);
    char s[32];
    snprintf(s, sizeof s, "%s%ld.%ld", t < 0 ? "-" : "", labs(t) / 10, labs(t) % 10);
    lcm_page_put(p, s);
}

/* marked: characters that stand for something; each is written as a numeric reference. */
static void put_text(lcm_page *p, const char *s, const char *marked) {
    size_t len = strlen(s);
    while (len) {
        size_t good = lcm_utf8_valid_prefix(s, len);
        for (size_t i = 0; i < good; i++) {
            unsigned char c = (unsigned char)s[i];
            char ref[8];
            snprintf(ref, sizeof ref, "&#%d;", c);
            if (c < ' ' || c == 127) lcm_page_put(p, "?");
            else if (strchr(marked, c)) lcm_page_put(p, ref);
            else append(p, s + i, 1);
        }
        s += good;
        len -= good;
        if (len == 0) break;
        lcm_page_put(p, "?");
        s++;
        len--;
    }
}

void lcm_page_html(lcm_page *p, const char *text) { put_text(p, text, "<>&\"'"); }
void lcm_page_md(lcm_page *p, const char *text) { put_text(p, text, "<>&|\\`*[]~"); }

void lcm_page_cell(lcm_page *p, const lcm_result_metric *m) {
    lcm_page_number(p, m->mean, 4);
    if (!isnan(m->low)) {
        lcm_page_put(p, " [");
        lcm_page_number(p, m->low, 4);
        lcm_page_put(p, ", ");
        lcm_page_number(p, m->high, 4);
        lcm_page_put(p, "]");
    }
    if (!isnan(m->sd)) {
        lcm_page_put(p, " ± ");
        lcm_page_number(p, m->sd, 2);
    }
}

lcm_status lcm_page_finish(lcm_page *p, char **out) {
    *out = NULL;
    lcm_page_put(p, ""); /* an empty page is a text, too */
    if (p->st) lcm_buf_free(&p->text);
    else *out = p->text.data;
    return p->st;
}
