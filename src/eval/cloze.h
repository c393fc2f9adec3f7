/* Story cloze: is the right ending nearer to the predicted concept than a wrong one?
 *
 * Items are JSON objects, one a line: {"context": ["…", …], "right": "…", "wrong": "…"} and, for the
 * hard subset, "wrong_renamed": the wrong ending with the names of this story. Other keys are ignored. */
#ifndef LCM_CLOZE_H
#define LCM_CLOZE_H

#include "eval/forecast.h"
#include "eval/sentences.h"

typedef struct lcm_cloze {
    lcm_sentences context;  /* one document per item */
    lcm_sentences endings;  /* right, wrong, and where has_hard the renamed one */
    uint8_t *has_hard;      /* (n) */
    int64_t n, n_hard, n_cut;
    int64_t D;
    real *x, *ends;         /* concepts of contexts and endings */
    int32_t *off, *from, *to;
    size_t hard_cap;
} lcm_cloze;

/* Reads and encodes. LCM_ERR_FORMAT names file and line of an item that is not as above. */
lcm_status lcm_cloze_load(lcm_ctx *ctx, lcm_cloze *out, lcm_codec *codec, const char *path);
void lcm_cloze_free(lcm_cloze *c);
lcm_forecast_job lcm_cloze_job(const lcm_cloze *c);

/* Adds to score (n) 1 where the right ending is nearer (l2) to the prediction p (n, D) than the wrong
 * one, 1/2 for a tie; likewise hard (n), NAN for items without. */
void lcm_cloze_score(double *score, double *hard, const lcm_cloze *c, const real *p);

#endif
