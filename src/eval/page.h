/* Writing reports: text with one sticky failure, numbers free of the locale, texts from files made harmless. */
#ifndef LCM_PAGE_H
#define LCM_PAGE_H

#include "base/mem.h"
#include "eval/results.h"

typedef struct lcm_page {
    lcm_ctx *ctx;
    lcm_buf text;
    lcm_status st; /* the first failure; later writes do nothing */
} lcm_page;

void lcm_page_put(lcm_page *p, const char *text); /* as it is */
void lcm_page_int(lcm_page *p, int64_t v);
void lcm_page_number(lcm_page *p, double v, int digits); /* significant digits; "–" for NAN */
void lcm_page_count(lcm_page *p, double v);              /* "2.5M"; "–" for NAN */
void lcm_page_parameters(lcm_page *p, int64_t trained, int64_t fixed); /* "2.5M", "2.5M + 1M fixed"; "–" for 0 */
void lcm_page_px(lcm_page *p, double v);                 /* one decimal */
/* Text as content or attribute of HTML; as a cell of a Markdown table. Control characters and what is not UTF-8
 * become '?'. */
void lcm_page_html(lcm_page *p, const char *text);
void lcm_page_md(lcm_page *p, const char *text);
/* "0.1 [0.05, 0.12] ± 0.01": mean, interval over documents and deviation over seeds, as far as they are there. */
void lcm_page_cell(lcm_page *p, const lcm_result_metric *m);

/* The text, to be freed with free(), or the failure. Ends the page. */
lcm_status lcm_page_finish(lcm_page *p, char **out);

/* Tables r (n) as a Markdown document, and as one HTML page with plots that needs nothing from elsewhere. */
lcm_status lcm_results_md(lcm_ctx *ctx, char **out, const lcm_results *r, size_t n);
lcm_status lcm_results_html(lcm_ctx *ctx, char **out, const lcm_results *r, size_t n);

#endif
