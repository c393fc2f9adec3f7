/* Results as a page: the one order in which facts and tables are written, in whatever markup. */
#ifndef LCM_REPORT_H
#define LCM_REPORT_H

#include "eval/page.h"

/* Pairs are what stands before and behind. */
typedef struct lcm_markup {
    void (*text)(lcm_page *p, const char *text); /* from files, made harmless */
    const char *title[2], *facts[2], *fact[2];
    const char *models[2], *metrics[2]; /* tables with their headings */
    const char *row[2];
    const char *head[2], *cell[2]; /* of columns of numbers, of texts: before; */
    const char *head_end, *cell_end;
    const char *rule[2]; /* below the head, of the same; NULL: none */
    const char *note[2];
    void (*plot)(lcm_page *p, const lcm_results *r, const lcm_result_metric *column); /* NULL: none */
} lcm_markup;

void lcm_report_section(lcm_page *p, const lcm_markup *m, const lcm_results *r);

const char *lcm_report_arrow(lcm_better b); /* behind a metric's name */

#endif
