/* Results as Markdown. */
#include "eval/report.h"

static const lcm_markup markup = {.text = lcm_page_md, .title = {"# ", "\n\n"}, .facts = {"", ""}, .fact = {"- ", "\n"},
                                  .models = {"\n", ""}, .metrics = {"\n", ""}, .row = {"|", "\n"},
                                  .head = {" ", " "}, .cell = {" ", " "}, .head_end = " |", .cell_end = " |",
                                  .rule = {"---:|", "---|"}, .note = {"\n", "\n"}};

lcm_status lcm_results_md(lcm_ctx *ctx, char **out, const lcm_results *r, size_t n) {
    lcm_page p = {.ctx = ctx};
    for (size_t i = 0; i < n; i++) {
        if (i) lcm_page_put(&p, "\n");
        lcm_report_section(&p, &markup, &r[i]);
    }
    return lcm_page_finish(&p, out);
}
