/* Results as one HTML page: per task facts, tables, a plot per metric. No script, no font, no
 * address: it looks the same from a mail as from a disk. Colours follow the reader's setting. */
#include <math.h>
#include <string.h>

#include "eval/axis.h"
#include "eval/report.h"

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
    lcm_page_put(p, lcm_report_arrow(column->better));
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

static const lcm_markup markup = {
    .text = lcm_page_html,
    .title = {"<h1>", "</h1>\n"},
    .facts = {"<ul>\n", "</ul>\n"},
    .fact = {"<li>", "</li>\n"},
    .models = {"<h2>Models</h2>\n<div class=\"wide\"><table>\n", "</table></div>\n"},
    .metrics = {"<h2>Metrics</h2>\n<div class=\"wide\"><table>\n", "</table></div>\n"},
    .row = {"<tr>", "</tr>\n"},
    .head = {"<th>", "<th class=\"text\">"},
    .cell = {"<td>", "<td class=\"text\">"},
    .head_end = "</th>",
    .cell_end = "</td>",
    .note = {"<p>", "</p>\n"},
    .plot = plot,
};

lcm_status lcm_results_html(lcm_ctx *ctx, char **out, const lcm_results *r, size_t n) {
    lcm_page p = {.ctx = ctx};
    lcm_page_put(&p, head);
    lcm_page_put(&p, "<title>");
    for (size_t i = 0; i < n; i++) {
        if (i) lcm_page_put(&p, ", ");
        lcm_page_html(&p, r[i].task);
    }
    lcm_page_put(&p, " – lcm eval</title>\n</head>\n<body>\n");
    for (size_t i = 0; i < n; i++) lcm_report_section(&p, &markup, &r[i]);
    lcm_page_put(&p, "</body>\n</html>\n");
    return lcm_page_finish(&p, out);
}
