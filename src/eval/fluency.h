/* Fluency: how acceptable a sentence is to a token model, as a probability. It is ours, calibrated here, and no model of
 * arXiv 2412.08821.
 *
 *   P(acceptable) = sigma(slope * l + offset),  l = log-probability per token of the sentence by itself, end included
 *
 * slope and offset are fitted to minimal pairs of good and bad sentences (BLiMP: {"good": "…", "bad": "…", "uid": "…"} a
 * line). Every other phenomenon (uid, in the order they come) is fitted on, the others are what accuracy is measured on,
 * so that no phenomenon is in both. The file (JSON) tells the accuracy, and names the token model with a hash of its bytes. */
#ifndef LCM_EVAL_FLUENCY_H
#define LCM_EVAL_FLUENCY_H

#include "eval/sentences.h"
#include "llama/llama_io.h"

typedef struct lcm_fluency_fit {
    double slope, offset;
    int64_t fitted_pairs, fitted_uids, held_out_pairs, held_out_uids, bad_lines;
    double pair_accuracy;     /* held out: share of pairs whose good sentence is likelier as a whole; a tie is 1/2 */
    double sentence_accuracy; /* held out: share of sentences on the right side of P = 1/2 */
} lcm_fluency_fit;

typedef struct lcm_fluency {
    lcm_llama_file file;
    lcm_fluency_fit fit;
} lcm_fluency;

extern const lcm_field lcm_fluency_fields[]; /* of lcm_fluency_fit */

/* pairs: .jsonl, also .zst. max_pairs > 0: about so many, evenly spread. LCM_ERR_FORMAT: fewer than two phenomena. */
lcm_status lcm_fluency_calibrate(lcm_ctx *ctx, lcm_fluency_fit *out, const lcm_llama_file *file, const char *pairs, int64_t max_pairs);

/* Newton's method on the likelihood of y (n; 0 or 1) given x (n): *slope and *offset. Public to its test. */
void lcm_fluency_fit_logistic(double *slope, double *offset, const double *x, const uint8_t *y, int64_t n);

lcm_status lcm_fluency_save(lcm_ctx *ctx, const lcm_fluency_fit *fit, const char *model, const char *pairs, const char *path);
/* Opens the token model, too. LCM_ERR_FORMAT: not such a file, or the model's bytes have changed. */
lcm_status lcm_fluency_load(lcm_ctx *ctx, lcm_fluency *out, const char *path);
void lcm_fluency_close(lcm_fluency *f); /* leaves it empty */

/* A sentence about a calibration that does not tell good from bad: less likely sentences rate higher, or the share of
 * sentences on the right side is below what 1.96 standard deviations of guessing reach. False, and "" in out: it does. */
bool lcm_fluency_warning(char *out, size_t cap, const lcm_fluency_fit *f);

/* values (documents): mean P of a document's sentences, NAN without any; weights (documents): their number. */
lcm_status lcm_fluency_score(lcm_ctx *ctx, double *values, double *weights, const lcm_fluency *f, const lcm_sentences *text);

#endif
