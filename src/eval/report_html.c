/* Results as one HTML page: per task facts, tables, a plot per metric. No script, no font, no
 * address: it looks the same from a mail as from a disk. Colours follow the reader's setting. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/axis.h"
#include "eval/page.h"

enum { WIDTH = 720, LABEL = 190, VALUE = 200, ROW = 26, TOP = 8, BOTTOM = 30 }; /* pixels */
enum { LABEL_CHARS = 21 };

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    "<style>\n"
    ":root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #5b6570; --line: #d5dae0; --bar: #0072b2;"
    " --fill: #9cc8e6; --other: #d55e00; }\n"
    "@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #15181c; --soft: #9aa4af; --line: #343b43;"
    " --bar: #7cc4f2; --fill: #24506e; --other: #f2a26b; } }\n"
    "body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;"
    " margin: 2rem auto; padding: 0 1rem; }\n"
    "h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; margin: 1.2rem 0 0; }\n"
    "p, li, caption { color: var(--soft); } ul { padding-left: 1.2rem; } li { overflow-wrap: anywhere; }\n"
    ".wide { overflow-x: auto; }\n"
    "table { border-collapse: collapse; font-variant-numeric: tabular-nums; }\n"
    "th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }\n"
    "th:first-child, td:first-child, .text { text-align: left; } th { white-space: normal; max-width: 12rem; }\n"
    "small { color: var(--soft); }\n"
    "svg { width: 100%; max-width: 45rem; height: auto; font: 13px system-ui, sans-serif; }\n"
    "svg text { fill: var(--ink); } svg .soft { fill: var(--soft); font-size: 12px; }\n"
    "svg .grid { stroke: var(--line); } svg .bar { fill: var(--fill); } svg .mark { stroke: var(--bar); stroke-width: 2; }\n"
    "svg .dot { fill: var(--bar); }\n"
    "</style>\n";

static const char *arrow(lcm_better b) { return b == LCM_BETTER_HIGHER ? " ↑" : b == LCM_BETTER_LOWER ? " ↓" : ""; }

/* ---- facts and tables ---- */

static void item(lcm_page *p, const char *what, const char *text, int64_t number) {
    lcm_page_put(p, "<li>");
    lcm_page_html(p, what);
    lcm_page_put(p, ": ");
    if (text) lcm_page_html(p, text);
    else lcm_page_int(p, number);
    lcm_page_put(p, "</li>\n");
}

static void facts(lcm_page *p, const lcm_results *r) {
    const char *key;
    json_t *v;
    lcm_page_put(p, "<ul>\n");
    for (size_t i = 0; i < r->n_files; i++) item(p, "data", r->files[i], 0);
    item(p, "documents", NULL, (int64_t)r->documents.n);
    item(p, "sentences", NULL, r->sentences);
    for (size_t i = 0; i < r->n_skipped; i++) {
        lcm_page_put(p, "<li>skipped, ");
        lcm_page_html(p, r->skipped[i].why);
        lcm_page_put(p, ": ");
        lcm_page_int(p, r->skipped[i].n);
        lcm_page_put(p, "</li>\n");
    }
    json_object_foreach(r->facts, key, v) {
        char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        item(p, key, text ? text : json_is_string(v) ? json_string_value(v) : "", 0);
        free(text);
    }
    lcm_page_put(p, "</ul>\n");
}

static void cell_number(lcm_page *p, double v, int digits) {
    lcm_page_put(p, "<td>");
    lcm_page_number(p, v, digits);
    lcm_page_put(p, "</td>");
}

static void cell_text(lcm_page *p, const char *text) {
    lcm_page_put(p, "<td class=\"text\">");
    lcm_page_html(p, text);
    lcm_page_put(p, "</td>");
}

static void models(lcm_page *p, const lcm_results *r) {
    lcm_page_put(p, "<h2>Models</h2>\n<div class=\"wide\"><table>\n<tr><th>model</th><th class=\"text\">kind</th><th>parameters</th>"
                    "<th>trained on</th><th>training FLOP</th><th>training s</th><th>seeds</th><th>evaluation s</th></tr>\n");
    for (size_t i = 0; i < r->n_rows; i++) {
        const lcm_result_row *row = &r->rows[i];
        const lcm_train_record *t = &row->train;
        lcm_page_put(p, "<tr>");
        cell_text(p, row->model);
        cell_text(p, row->kind);
        lcm_page_put(p, "<td>");
        lcm_page_parameters(p, row->parameters, row->fixed);
        lcm_page_put(p, "</td><td>");
        lcm_page_count(p, t->unit[0] ? t->items : NAN);
        lcm_page_put(p, t->unit[0] ? " " : "");
        lcm_page_html(p, t->unit);
        lcm_page_put(p, "</td>");
        cell_number(p, t->flops > 0 ? t->flops : NAN, 3);
        cell_number(p, t->seconds > 0 ? t->seconds : NAN, 4);
        lcm_page_put(p, "<td>");
        for (size_t k = 0; k < row->n_seeds; k++) {
            lcm_page_put(p, k ? ", " : "");
            lcm_page_int(p, row->seeds[k]);
        }
        lcm_page_put(p, row->n_seeds ? "</td>" : "–</td>");
        cell_number(p, row->seconds, 4);
        lcm_page_put(p, "</tr>\n");
    }
    lcm_page_put(p, "</table></div>\n");
}

static void table(lcm_page *p, const lcm_results *r, const lcm_result_metric *const *columns, size_t n) {
    lcm_page_put(p, "<h2>Metrics</h2>\n<div class=\"wide\"><table>\n<tr><th>metric</th>");
    for (size_t i = 0; i < r->n_rows; i++) {
        lcm_page_put(p, "<th>");
        lcm_page_html(p, r->rows[i].model);
        lcm_page_put(p, "</th>");
    }
    lcm_page_put(p, "</tr>\n");
    for (size_t c = 0; c < n; c++) {
        lcm_page_put(p, "<tr><td>");
        lcm_page_html(p, columns[c]->name);
        lcm_page_put(p, arrow(columns[c]->better));
        lcm_page_put(p, "</td>");
        for (size_t i = 0; i < r->n_rows; i++) {
            const lcm_result_metric *m = lcm_result_find(&r->rows[i], columns[c]->name);
            lcm_page_put(p, "<td>");
            if (m) lcm_page_cell(p, m);
            lcm_page_put(p, "</td>");
        }
        lcm_page_put(p, "</tr>\n");
    }
    lcm_page_put(p, "</table></div>\n<p>Mean [95 % interval over documents] ± deviation over seeds. ↑ more is better, ↓ less is "
                    "better.</p>\n");
}

/* ---- plots ---- */

static void at(lcm_page *p, const char *before, double px) {
    lcm_page_put(p, before);
    lcm_page_px(p, px);
}

/* Bars begin at zero where zero is not far away; else only the marks are drawn, and the axis holds what differs. */
static bool bar_axis(lcm_axis *x, const lcm_results *r, const char *name) {
    double lo = INFINITY, hi = -INFINITY, pad;
    bool zero;
    for (size_t i = 0; i < r->n_rows; i++) {
        const lcm_result_metric *m = lcm_result_find(&r->rows[i], name);
        if (m == NULL || !(fabs(m->mean) < 1e30)) continue;
        lo = fmin(lo, fmin(m->mean, fabs(m->low) < 1e30 ? m->low : m->mean));
        hi = fmax(hi, fmax(m->mean, fabs(m->high) < 1e30 ? m->high : m->mean));
    }
    if (!(lo <= hi)) return false;
    zero = (lo >= 0 && lo < 0.6 * hi) || (hi <= 0 && hi > 0.6 * lo) || (lo < 0 && hi > 0) || lo == hi;
    if (zero) lo = fmin(lo, 0), hi = fmax(hi, 0);
    pad = hi > lo ? (hi - lo) * 0.05 : 1;
    x->lo = zero && lo == 0 ? 0 : lo - pad;
    x->hi = zero && hi == 0 ? 0 : hi + pad;
    x->log = false;
    x->from = LABEL;
    x->to = WIDTH - VALUE;
    return true;
}

static void short_label(lcm_page *p, const char *text) {
    char cut[4 * LABEL_CHARS + 4];
    size_t n = 0, chars = 0, len = strlen(text);
    while (n < len && chars < LABEL_CHARS && n < sizeof cut - 8) { /* whole characters; what is no UTF-8 is bytes */
        cut[n] = text[n];
        n++;
        if (n == len || ((unsigned char)text[n] & 0xC0) != 0x80) chars++;
    }
    cut[n] = '\0';
    lcm_page_html(p, cut);
    if (n < len) lcm_page_put(p, "…");
}

static void grid(lcm_page *p, const lcm_axis *x, double bottom) {
    double ticks[LCM_AXIS_MAX_TICKS];
    size_t n = lcm_axis_ticks(x, 5, ticks);
    for (size_t i = 0; i < n; i++) {
        double px = lcm_axis_at(x, ticks[i]);
        at(p, "<line class=\"grid\" x1=\"", px);
        at(p, "\" x2=\"", px);
        at(p, "\" y1=\"", TOP);
        at(p, "\" y2=\"", bottom);
        at(p, "\"/><text class=\"soft\" text-anchor=\"middle\" x=\"", px);
        at(p, "\" y=\"", bottom + 17);
        lcm_page_put(p, "\">");
        lcm_page_count(p, ticks[i]);
        lcm_page_put(p, "</text>\n");
    }
}

static void bar(lcm_page *p, const lcm_axis *x, const lcm_result_metric *m, double y) {
    double px = lcm_axis_at(x, m->mean), zero = lcm_axis_at(x, 0);
    if (x->lo <= 0 && x->hi >= 0) {
        at(p, "<rect class=\"bar\" x=\"", fmin(px, zero));
        at(p, "\" y=\"", y + 5);
        at(p, "\" width=\"", fabs(px - zero));
        at(p, "\" height=\"", ROW - 10);
        lcm_page_put(p, "\"/>");
    }
    if (fabs(m->low) < 1e30 && fabs(m->high) < 1e30) {
        at(p, "<line class=\"mark\" x1=\"", lcm_axis_at(x, m->low));
        at(p, "\" x2=\"", lcm_axis_at(x, m->high));
        at(p, "\" y1=\"", y + ROW / 2.0);
        at(p, "\" y2=\"", y + ROW / 2.0);
        lcm_page_put(p, "\"/>");
    }
    at(p, "<circle class=\"dot\" r=\"3.5\" cx=\"", px);
    at(p, "\" cy=\"", y + ROW / 2.0);
    lcm_page_put(p, "\"/>");
}

static void plot_row(lcm_page *p, const lcm_axis *x, const lcm_result_row *row, const lcm_result_metric *m, double y) {
    lcm_page_put(p, "<g><title>");
    lcm_page_html(p, row->model);
    lcm_page_put(p, ": ");
    lcm_page_cell(p, m);
    at(p, "</title><text text-anchor=\"end\" x=\"", LABEL - 10);
    at(p, "\" y=\"", y + ROW / 2.0 + 4.5);
    lcm_page_put(p, "\">");
    short_label(p, row->model);
    lcm_page_put(p, "</text>");
    bar(p, x, m, y);
    at(p, "<text x=\"", WIDTH - VALUE + 10);
    at(p, "\" y=\"", y + ROW / 2.0 + 4.5);
    lcm_page_put(p, "\">");
    lcm_page_number(p, m->mean, 4);
    if (!isnan(m->low)) {
        lcm_page_put(p, " <tspan class=\"soft\">");
        lcm_page_number(p, m->low, 4);
        lcm_page_put(p, " … ");
        lcm_page_number(p, m->high, 4);
        lcm_page_put(p, "</tspan>");
    }
    lcm_page_put(p, "</text></g>\n");
}

static void plot(lcm_page *p, const lcm_results *r, const lcm_result_metric *column) {
    lcm_axis x;
    double y = TOP;
    size_t shown = 0;
    if (!bar_axis(&x, r, column->name)) return;
    for (size_t i = 0; i < r->n_rows; i++) {
        const lcm_result_metric *m = lcm_result_find(&r->rows[i], column->name);
        shown += m && fabs(m->mean) < 1e30;
    }
    lcm_page_put(p, "<h3>");
    lcm_page_html(p, column->name);
    lcm_page_put(p, arrow(column->better));
    at(p, "</h3>\n<svg role=\"img\" viewBox=\"0 0 ", WIDTH);
    at(p, " ", TOP + ROW * (double)shown + BOTTOM);
    lcm_page_put(p, "\" aria-label=\"");
    lcm_page_html(p, column->name);
    lcm_page_put(p, " of the models\">\n");
    grid(p, &x, TOP + ROW * (double)shown);
    for (size_t i = 0; i < r->n_rows; i++) {
        const lcm_result_metric *m = lcm_result_find(&r->rows[i], column->name);
        if (m == NULL || !(fabs(m->mean) < 1e30)) continue;
        plot_row(p, &x, &r->rows[i], m, y);
        y += ROW;
    }
    lcm_page_put(p, "</svg>\n");
}

static void section(lcm_page *p, const lcm_results *r) {
    const lcm_result_metric **columns;
    size_t n;
    if (p->st == LCM_OK) p->st = lcm_results_metrics(p->ctx, &columns, &n, r);
    if (p->st) return;
    lcm_page_put(p, "<h1>");
    lcm_page_html(p, r->task);
    lcm_page_put(p, "</h1>\n");
    facts(p, r);
    if (r->n_rows) models(p, r);
    if (n) table(p, r, columns, n);
    for (size_t i = 0; i < n; i++) plot(p, r, columns[i]);
    free(columns);
}

lcm_status lcm_results_html(lcm_ctx *ctx, char **out, const lcm_results *r, size_t n) {
    lcm_page p = {.ctx = ctx};
    lcm_page_put(&p, head);
    lcm_page_put(&p, "<title>");
    for (size_t i = 0; i < n; i++) {
        if (i) lcm_page_put(&p, ", ");
        lcm_page_html(&p, r[i].task);
    }
    lcm_page_put(&p, " – lcm eval</title>\n</head>\n<body>\n");
    for (size_t i = 0; i < n; i++) section(&p, &r[i]);
    lcm_page_put(&p, "</body>\n</html>\n");
    return lcm_page_finish(&p, out);
}
