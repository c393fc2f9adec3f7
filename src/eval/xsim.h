/* Similarity search between two lists of concepts: which row of one is the translation of a row of the other?
 *
 * Candidates are the k nearest rows by cosine. Of these the one wins with the highest margin (Artetxe and Schwenk,
 * arXiv 1811.01136), which weighs the cosine against how near either row is to its own neighbourhood, so that a row
 * that is near to everything does not win everywhere:
 *
 *     a = cos(x, y)     b = (mean cosine of x to its k nearest y + mean cosine of y to its k nearest x) / 2
 *     ratio a / b       distance a - b       absolute a
 *
 * The share of rows whose partner is not found is xsim; with perturbed translations among the candidates, xsim++
 * (arXiv 2306.12907). */
#ifndef LCM_XSIM_H
#define LCM_XSIM_H

#include "base/ctx_int.h"
#include "kernels/real.h"

typedef enum lcm_margin { LCM_MARGIN_RATIO = 0, LCM_MARGIN_DISTANCE, LCM_MARGIN_ABSOLUTE } lcm_margin;

extern const char *const lcm_margin_names[]; /* ends with NULL */

/* to_y (n): for each row of x (n, D) the best row of y (m, D), the first of equals; to_x (m, may be NULL): the same the
 * other way round. Rows have unit length (lcm_unit_rows). n, m, k >= 1; k above n or m counts as that. Memory:
 * (n + m) k and a block of products. LCM_ERR_NUMERIC: a value is not finite. */
lcm_status lcm_xsim_match(lcm_ctx *ctx, int64_t *to_y, int64_t *to_x, const real *x, int64_t n, const real *y, int64_t m, int64_t D,
                          lcm_margin margin, int64_t k);

#endif
