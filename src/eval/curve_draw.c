/* Learning curves: panels of series below one another, over one x axis. */
#include "eval/curve_draw.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "eval/axis.h"

enum { WIDTH = 960, LEFT = 70, RIGHT = 24, PANEL = 300, LR_PANEL = 90, GAP = 42 }; /* pixels */
enum { DETAIL = 800, MAX_PANELS = 16, MAX_METRICS = 8 };

/* Okabe and Ito: told apart by colour-blind readers too, the two that are dark on white first. */
static const char *const colors[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                     "#e69f00", "#56b4e9", "#000000", "#8a6d00"};
static const char *const dashes[] = {"", " stroke-dasharray=\"6 3\"", " stroke-dasharray=\"2 2\"",
                                     " stroke-dasharray=\"8 3 2 3\""};

typedef struct xy {
    double x, y;
} xy;

/* One metric of one run. */
typedef struct series {
    const char *color, *dash, *run;
    const char *metric;
    bool points; /* a validation metric */
    xy *raw, *line; /* line: the moving mean, or NULL when the raw values are the line */
    size_t n, n_line;
} series;

typedef struct panel {
    char names[MAX_METRICS][64];
    size_t n_names, n_series;
    series *series;
    lcm_axis y;
    double top, height;
    bool lr;
} panel;

typedef struct chart {
    lcm_ctx *ctx;
    const lcm_curve_run *runs;
    size_t n_runs;
    lcm_curve_opts opts;
    panel panels[MAX_PANELS + 1]; /* and lr */
    size_t n_panels;
    lcm_axis x;
    lcm_buf *out;
    lcm_status st; /* the first failure of what is written; later writes do nothing */
} chart;

/* ---- text ---- */

static void put(chart *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(chart *c, const char *fmt, ...) {
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (c->st == LCM_OK) c->st = lcm_buf_append(c->ctx, c->out, line, strlen(line));
}

/* One decimal, without printf's %f: a host program may have set a locale with a decimal comma. */
static void put_px(chart *c, const char *before, double v) {
    long t = lround(fmin(fmax(v, -2000), 20000) * 10);
    put(c, "%s%s%ld.%ld", before, t < 0 ? "-" : "", labs(t) / 10, labs(t) % 10);
}

/* Names come from file names and logs: XML has no control characters, SVG viewers want UTF-8. */
static void put_text(chart *c, const char *s) {
    size_t len = strlen(s);
    while (len) {
        size_t good = lcm_utf8_valid_prefix(s, len);
        for (size_t i = 0; i < good; i++) {
            unsigned char ch = (unsigned char)s[i];
            if (ch == '<' || ch == '>' || ch == '&' || ch == '"') put(c, "&#%d;", ch);
            else put(c, "%c", ch < ' ' || ch == 127 ? '?' : ch);
        }
        s += good;
        len -= good;
        if (len) {
            put(c, "?");
            s++;
            len--;
        }
    }
}

/* ---- data ---- */

static bool is_validation(const char *name) { return strncmp(name, "valid_", 6) == 0; }

static lcm_status collect(chart *c, series *s, const lcm_curve_run *run, const char *metric, bool log) {
    const lcm_metric_series *m = lcm_metrics_log_find(&run->log, metric), *items = NULL;
    *s = (series){.metric = metric, .run = run->name, .points = is_validation(metric)};
    if (c->opts.items) items = lcm_metrics_log_find(&run->log, "items");
    if (m == NULL) return LCM_OK;
    LCM_TRY(lcm_calloc(c->ctx, &s->raw, m->n, sizeof *s->raw));
    for (size_t i = 0, k = 0; i < m->n; i++) {
        double x = run->log.step[m->points[i].row], y = m->points[i].value;
        if (c->opts.items) {
            while (items && k < items->n && items->points[k].row < m->points[i].row) k++;
            if (items == NULL || k == items->n || items->points[k].row != m->points[i].row) continue;
            x = items->points[k].value;
        }
        if (!log || y > 0) s->raw[s->n++] = (xy){x, y};
    }
    return LCM_OK;
}

/* The mean of `window` points around each of at most DETAIL places; at the ends, of those that exist. */
static lcm_status smooth(chart *c, series *s) {
    size_t window = c->opts.smooth ? (size_t)c->opts.smooth : s->n / 50, half = window / 2;
    if (half == 0 || s->points) return LCM_OK;
    s->n_line = s->n < DETAIL ? s->n : DETAIL;
    LCM_TRY(lcm_calloc(c->ctx, &s->line, s->n_line, sizeof *s->line));
    for (size_t k = 0; k < s->n_line; k++) {
        size_t at = s->n_line > 1 ? (size_t)((double)k * (double)(s->n - 1) / (double)(s->n_line - 1)) : 0;
        size_t from = at > half ? at - half : 0, to = s->n - at > half ? at + half + 1 : s->n;
        double sum = 0;
        for (size_t i = from; i < to; i++) sum += s->raw[i].y;
        s->line[k] = (xy){s->raw[at].x, sum / (double)(to - from)};
    }
    return LCM_OK;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Widens lo … hi by what of the series must be seen. */
static lcm_status widen(chart *c, const series *s, double *lo, double *hi) {
    const xy *seen = s->line ? s->line : s->raw;
    for (size_t i = 0; i < (s->line ? s->n_line : s->n); i++) {
        *lo = fmin(*lo, seen[i].y);
        *hi = fmax(*hi, seen[i].y);
    }
    if (s->line && s->n) { /* a single spike of the light line must not flatten all others */
        double *sorted;
        LCM_TRY(lcm_calloc(c->ctx, &sorted, s->n, sizeof *sorted));
        for (size_t i = 0; i < s->n; i++) sorted[i] = s->raw[i].y;
        qsort(sorted, s->n, sizeof *sorted, compare_doubles);
        *lo = fmin(*lo, sorted[s->n / 100]);
        *hi = fmax(*hi, sorted[s->n - 1 - s->n / 100]);
        free(sorted);
    }
    return LCM_OK;
}

static void set_range(lcm_axis *a, double lo, double hi, bool log) {
    double pad = log ? pow(hi / lo, 0.03) : (hi - lo) * 0.03;
    a->log = log;
    if (log) {
        a->lo = hi > lo ? lo / pad : lo / 2;
        a->hi = hi > lo ? hi * pad : hi * 2;
    } else if (!(hi - lo > (fabs(lo) + fabs(hi)) * 1e-12)) { /* all the same */
        pad = lo == 0 ? 1 : fabs(lo) * 0.1;
        a->lo = lo - pad;
        a->hi = hi + pad;
    } else {
        a->lo = lo >= 0 && lo < hi * 0.4 ? 0 : lo - pad; /* near zero: show zero */
        a->hi = hi + pad;
    }
}

static lcm_status prepare_panel(chart *c, panel *p) {
    double lo = INFINITY, hi = -INFINITY;
    bool log = c->opts.log && !p->lr;
    LCM_TRY(lcm_calloc(c->ctx, &p->series, p->n_names * c->n_runs, sizeof *p->series));
    for (size_t m = 0; m < p->n_names; m++) {
        size_t plain = 0, found = 0;
        for (size_t k = 0; k < m; k++) plain += !is_validation(p->names[k]);
        for (size_t r = 0; r < c->n_runs; r++) {
            series *s = &p->series[p->n_series++];
            LCM_TRY(collect(c, s, &c->runs[r], p->names[m], log));
            if (!p->lr) LCM_TRY(smooth(c, s));
            s->color = colors[(c->n_runs > 1 ? r : m) % (sizeof colors / sizeof *colors)];
            s->dash = c->n_runs > 1 && !s->points ? dashes[plain % 4] : "";
            found += s->n;
            LCM_TRY(widen(c, s, &lo, &hi));
        }
        if (found == 0)
            LCM_FAIL(c->ctx, LCM_ERR_NOTFOUND, "no run has a%s value of '%s'%s", log ? " positive" : "", p->names[m],
                     c->opts.items ? " with a count of items" : "");
    }
    set_range(&p->y, lo, hi, log);
    return LCM_OK;
}

/* ---- panels ---- */

static lcm_status add_panel(chart *c, const char *names) {
    panel *p = &c->panels[c->n_panels];
    if (c->n_panels == MAX_PANELS) LCM_FAIL(c->ctx, LCM_ERR_ARG, "more than %d panels", MAX_PANELS);
    p->height = PANEL;
    for (const char *at = names;;) {
        size_t len = strcspn(at, ",");
        if (len == 0 || len >= sizeof p->names[0]) LCM_FAIL(c->ctx, LCM_ERR_ARG, "'%s' is no list of metrics", names);
        if (p->n_names == MAX_METRICS) LCM_FAIL(c->ctx, LCM_ERR_ARG, "'%s': more than %d metrics", names, MAX_METRICS);
        memcpy(p->names[p->n_names++], at, len);
        if (at[len] == '\0') break;
        at += len + 1;
    }
    c->n_panels++;
    return LCM_OK;
}

static lcm_status choose_panels(chart *c) {
    for (size_t i = 0; i < c->opts.n_panels; i++) LCM_TRY(add_panel(c, c->opts.panels[i]));
    if (c->n_panels == 0) {
        const char *valid = NULL;
        char names[80];
        for (size_t r = 0; r < c->n_runs && !valid; r++)
            for (size_t i = 0; i < c->runs[r].log.n_series && !valid; i++)
                if (is_validation(c->runs[r].log.series[i].name)) valid = c->runs[r].log.series[i].name;
        snprintf(names, sizeof names, "loss%s%s", valid ? "," : "", valid ? valid : "");
        LCM_TRY(add_panel(c, names));
    }
    for (size_t r = 0; r < c->n_runs; r++) {
        const lcm_metric_series *lr = lcm_metrics_log_find(&c->runs[r].log, "lr");
        if (lr == NULL || lr->n == 0) continue;
        c->panels[c->n_panels++] = (panel){.names = {"lr"}, .n_names = 1, .height = LR_PANEL, .lr = true};
        break;
    }
    return LCM_OK;
}

static lcm_status prepare(chart *c) {
    double lo = INFINITY, hi = -INFINITY;
    LCM_TRY(choose_panels(c));
    for (size_t i = 0; i < c->n_panels; i++) {
        const panel *p = &c->panels[i];
        lcm_status st = prepare_panel(c, &c->panels[i]);
        if (st == LCM_ERR_NOTFOUND && p->lr) { /* rates without a count of items */
            c->n_panels = i;
            break;
        }
        LCM_TRY(st);
        for (size_t s = 0; s < p->n_series; s++) {
            for (size_t k = 0; k < p->series[s].n; k++) {
                lo = fmin(lo, p->series[s].raw[k].x);
                hi = fmax(hi, p->series[s].raw[k].x);
            }
        }
    }
    c->x = (lcm_axis){.lo = lo >= 0 && lo < hi * 0.4 ? 0 : lo, .hi = hi, .from = LEFT, .to = WIDTH - RIGHT};
    if (!(c->x.hi > c->x.lo)) c->x.lo = lo - 1, c->x.hi = hi + 1;
    return LCM_OK;
}

/* ---- drawing ---- */

/* A polyline that looks the same with at most 2 points per pixel column: the lowest and highest of each group. */
static void put_line(chart *c, const panel *p, const xy *v, size_t n, const char *style) {
    size_t group = n > 2 * DETAIL ? (n + DETAIL - 1) / DETAIL : 1;
    put(c, "<path %s d=\"", style);
    for (size_t at = 0; at < n; at += group) {
        size_t end = at + group < n ? at + group : n, pick[2] = {at, at};
        for (size_t i = at; i < end; i++) {
            if (v[i].y < v[pick[0]].y) pick[0] = i;
            if (v[i].y > v[pick[1]].y) pick[1] = i;
        }
        if (pick[0] > pick[1]) pick[0] ^= pick[1], pick[1] ^= pick[0], pick[0] ^= pick[1];
        for (size_t k = 0; k < 1 + (size_t)(pick[0] != pick[1]); k++) {
            put_px(c, at + k ? "L" : "M", lcm_axis_at(&c->x, v[pick[k]].x));
            put_px(c, " ", lcm_axis_at(&p->y, v[pick[k]].y));
        }
    }
    put(c, "\"/>\n");
}

static void put_series(chart *c, const panel *p, const series *s) {
    const xy *last = s->line ? s->line + s->n_line - 1 : s->raw + s->n - 1;
    char style[160], label[32];
    if (s->n == 0) return;
    lcm_axis_label(label, last->y);
    put(c, "<g stroke=\"%s\" fill=\"none\" stroke-linejoin=\"round\"><title>", s->color);
    put_text(c, s->run);
    put(c, ": ");
    put_text(c, s->metric);
    put(c, " ends at %s</title>\n", label);
    if (s->line) put_line(c, p, s->raw, s->n, "stroke-width=\"1\" opacity=\"0.28\"");
    snprintf(style, sizeof style, "stroke-width=\"%s\"%s", s->points ? "1.2" : "2", s->dash);
    if (s->line) put_line(c, p, s->line, s->n_line, style);
    else put_line(c, p, s->raw, s->n, style);
    if (s->points && s->n <= 200) { /* more would touch one another */
        for (size_t i = 0; i < s->n; i++) {
            put_px(c, "<circle cx=\"", lcm_axis_at(&c->x, s->raw[i].x));
            put_px(c, "\" cy=\"", lcm_axis_at(&p->y, s->raw[i].y));
            put(c, "\" r=\"3\" fill=\"#fff\" stroke-width=\"1.5\"/>\n");
        }
    }
    put(c, "</g>\n");
}

static void put_axes(chart *c, const panel *p, bool last) {
    double ticks[LCM_AXIS_MAX_TICKS], bottom = p->top + p->height;
    char label[32];
    size_t n = lcm_axis_ticks(&p->y, p->lr ? 4 : 8, ticks);
    for (size_t i = 0; i < n; i++) {
        double y = lcm_axis_at(&p->y, ticks[i]);
        lcm_axis_label(label, ticks[i]);
        put_px(c, "<path class=\"grid\" d=\"M", LEFT);
        put_px(c, " ", y);
        put_px(c, "H", WIDTH - RIGHT);
        put_px(c, "\"/><text class=\"y\" x=\"", LEFT - 8);
        put_px(c, "\" y=\"", y + 4);
        put(c, "\">%s</text>\n", label);
    }
    n = lcm_axis_ticks(&c->x, 8, ticks);
    for (size_t i = 0; i < n; i++) {
        double x = lcm_axis_at(&c->x, ticks[i]);
        lcm_axis_label(label, ticks[i]);
        put_px(c, "<path class=\"grid\" d=\"M", x);
        put_px(c, " ", p->top);
        put_px(c, "V", bottom);
        put(c, "\"/>");
        if (last) {
            put_px(c, "<text class=\"x\" x=\"", x);
            put_px(c, "\" y=\"", bottom + 18);
            put(c, "\">%s</text>", label);
        }
        put(c, "\n");
    }
    put_px(c, "<path class=\"axis\" d=\"M", LEFT);
    put_px(c, " ", p->top);
    put_px(c, "V", bottom);
    put_px(c, "H", WIDTH - RIGHT);
    put(c, "\"/>\n");
}

/* The metrics of a panel, in a row above its frame; grey when the colours stand for runs. */
static void put_metric_legend(chart *c, const panel *p) {
    double x = LEFT, y = p->top - 9;
    for (size_t m = 0; m < p->n_names; m++) {
        const series *s = &p->series[m * c->n_runs]; /* of the first run */
        put(c, "<g stroke=\"%s\" fill=\"#fff\">", c->n_runs > 1 ? "#555" : s->color);
        put_px(c, "<path d=\"M", x);
        put_px(c, " ", y - 4);
        put_px(c, "H", x + 26);
        put(c, "\" stroke-width=\"%s\"%s/>", s->points ? "1.2" : "2", s->dash);
        if (s->points) {
            put_px(c, "<circle cx=\"", x + 13);
            put_px(c, "\" cy=\"", y - 4);
            put(c, "\" r=\"3\" stroke-width=\"1.5\"/>");
        }
        put_px(c, "</g><text x=\"", x + 33);
        put_px(c, "\" y=\"", y);
        put(c, "\">");
        put_text(c, p->names[m]);
        put(c, "</text>\n");
        x += 58 + 7.5 * (double)strlen(p->names[m]);
    }
}

/* Run names in rows from (LEFT, y) downwards; returns where the rows end. draw false: measures only. */
static double put_run_legend(chart *c, double y, bool draw) {
    double x = LEFT;
    for (size_t r = 0; r < c->n_runs; r++) {
        double width = 40 + 7.5 * (double)strlen(c->runs[r].name);
        if (x > LEFT && x + width > WIDTH - RIGHT) x = LEFT, y += 20;
        if (draw) {
            if (c->n_runs > 1) {
                put_px(c, "<path d=\"M", x);
                put_px(c, " ", y - 4);
                put_px(c, "h", 20);
                put(c, "\" stroke=\"%s\" stroke-width=\"4\"/>", colors[r % (sizeof colors / sizeof *colors)]);
            }
            put_px(c, "<text class=\"run\" x=\"", x + (c->n_runs > 1 ? 27 : 0));
            put_px(c, "\" y=\"", y);
            put(c, "\">");
            put_text(c, c->runs[r].name);
            put(c, "</text>\n");
        }
        x += width;
    }
    return y + 38;
}

static void draw(chart *c) {
    double y = put_run_legend(c, 28, false);
    for (size_t i = 0; i < c->n_panels; i++) {
        panel *p = &c->panels[i];
        p->top = y;
        p->y.from = y + p->height;
        p->y.to = y;
        y += p->height + (i + 1 < c->n_panels ? GAP : 48);
    }
    put(c, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n"
           "<title>Learning curves</title>\n<style>text{font:13px sans-serif;fill:#333}.x{text-anchor:middle}"
           ".y{text-anchor:end}.run{font-weight:bold}.grid{stroke:#e4e4e4}.axis{stroke:#555;fill:none}"
           "</style>\n", WIDTH, (int)y, WIDTH, (int)y);
    put(c, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", WIDTH, (int)y);
    put_run_legend(c, 28, true);
    for (size_t i = 0; i < c->n_panels; i++) {
        const panel *p = &c->panels[i];
        put(c, "<clipPath id=\"panel%zu\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>\n", i, LEFT,
            (int)p->top, WIDTH - RIGHT - LEFT + 4, (int)p->height + 2);
        put_axes(c, p, i + 1 == c->n_panels);
        put(c, "<g clip-path=\"url(#panel%zu)\">\n", i);
        for (size_t s = 0; s < p->n_series; s++) put_series(c, p, &p->series[s]);
        put(c, "</g>\n");
        put_metric_legend(c, p);
    }
    put(c, "<text class=\"x\" x=\"%d\" y=\"%d\">", (LEFT + WIDTH - RIGHT) / 2, (int)y - 8);
    put_text(c, c->opts.x_label ? c->opts.x_label : c->opts.items ? "items" : "step");
    put(c, "</text>\n</svg>\n");
}

lcm_status lcm_curve_draw(lcm_ctx *ctx, lcm_buf *out, const lcm_curve_run *runs, size_t n, const lcm_curve_opts *opts) {
    chart *c;
    LCM_TRY(lcm_calloc(ctx, &c, 1, sizeof *c));
    *c = (chart){.ctx = ctx, .runs = runs, .n_runs = n, .out = out};
    if (opts) c->opts = *opts;
    if (c->opts.smooth < 0) c->st = lcm_fail(ctx, LCM_ERR_ARG, "a mean of %lld points", (long long)c->opts.smooth);
    if (c->st == LCM_OK) c->st = prepare(c);
    if (c->st == LCM_OK) draw(c);
    for (size_t i = 0; i < MAX_PANELS + 1; i++) {
        for (size_t s = 0; s < c->panels[i].n_series; s++) {
            free(c->panels[i].series[s].raw);
            free(c->panels[i].series[s].line);
        }
        free(c->panels[i].series);
    }
    lcm_status st = c->st;
    free(c);
    return st;
}
