/* The table that an evaluation makes: rows are models, columns are metrics, and every metric keeps its value of
 * each document, so that two evaluations can be compared later, document by document.
 *
 * Order of use: init; documents, files, skipped; per model one row, per metric one lcm_results_metric, into whose
 * values the caller writes; finish (means and intervals); optionally merge_seeds; then JSON or a report.
 * Fields are there to be read; only `facts`, the record of a row and the values are written by others than results.c.
 * Texts are copied. All of it is freed by lcm_results_free. */
#ifndef LCM_RESULTS_H
#define LCM_RESULTS_H

#include <jansson.h>

#include "eval/strset.h"
#include "modelfile/train_record.h"

#define LCM_RESULTS_SCHEMA "lcm.eval/1"

typedef enum lcm_better { LCM_BETTER_LOWER = -1, LCM_BETTER_NEITHER = 0, LCM_BETTER_HIGHER = 1 } lcm_better;

typedef struct lcm_result_metric {
    char *name;
    lcm_better better;
    double *values, *weights;  /* (documents) NAN: not measured; weights NULL: 1 each. values NULL: a number of the
                                  whole corpus, such as BLEU, which no document has */
    double mean, low, high;    /* NAN: none; low … high is the 95 % interval over documents */
    double *seed_means;        /* (n_seeds of the row) after merge_seeds, else NULL */
    double sd;                 /* over seeds (n - 1); NAN with fewer than two */
} lcm_result_metric;

typedef struct lcm_result_row {
    char *model, *kind;        /* what the reader calls it; "two_tower", "baseline", … */
    int64_t parameters;        /* that were trained; 0: none */
    int64_t fixed;             /* numbers of the model beside them that were not: codebooks */
    lcm_train_record train;    /* of the model file; unit "" when unknown */
    double seconds;            /* wall clock of this row's evaluation; NAN: not measured */
    int64_t *seeds;            /* that its numbers come from; none when nothing was drawn */
    size_t n_seeds;
    lcm_result_metric *metrics;
    size_t n_metrics, metrics_cap;
} lcm_result_row;

typedef struct lcm_result_skip {
    char *why;
    int64_t n;
} lcm_result_skip;

typedef struct lcm_results {
    char *task;
    char **files;              /* data that was read */
    size_t n_files, files_cap;
    lcm_strset documents;      /* identifiers; document i is value i */
    int64_t sentences;         /* seen, in these documents */
    lcm_result_skip *skipped;
    size_t n_skipped, skipped_cap;
    json_t *facts;             /* object: settings of the evaluation, for people */
    lcm_result_row *rows;
    size_t n_rows, rows_cap;
} lcm_results;

enum { LCM_NO_SEED = -1 };

lcm_status lcm_results_init(lcm_ctx *ctx, lcm_results *out, const char *task);
void lcm_results_free(lcm_results *r); /* leaves it empty; also after a failed init */

lcm_status lcm_results_file(lcm_ctx *ctx, lcm_results *r, const char *path);
/* All documents come before the first metric. LCM_ERR_ARG when the identifier is there already. It should be the
 * same in every evaluation of the document, and stand for no other: "FILE:LINE", a key of the data, a hash. */
lcm_status lcm_results_document(lcm_ctx *ctx, lcm_results *r, const char *id, int64_t sentences);
lcm_status lcm_results_skip(lcm_ctx *ctx, lcm_results *r, const char *why, int64_t n); /* adds to that reason */

/* A new row, empty but for these; its number in *row. seed: LCM_NO_SEED when nothing is drawn. */
lcm_status lcm_results_row(lcm_ctx *ctx, size_t *row, lcm_results *r, const char *model, const char *kind, int64_t seed);
/* A new metric of the row: *values (documents), all NAN, to be filled in. weights NULL: no weights, else likewise,
 * all 1. Both are valid until the results are freed. LCM_ERR_ARG: the row has it already. */
lcm_status lcm_results_metric(lcm_ctx *ctx, double **values, double **weights, lcm_results *r, size_t row, const char *name,
                              lcm_better better);
/* A number of the whole corpus. */
lcm_status lcm_results_corpus_metric(lcm_ctx *ctx, lcm_results *r, size_t row, const char *name, lcm_better better,
                                     double value);

/* Means and intervals of all metrics from their values; the draws are a function of `seed` and the number of
 * documents. LCM_ERR_NUMERIC names a value or weight that is infinite or a weight below 0. */
lcm_status lcm_results_finish(lcm_ctx *ctx, lcm_results *r, uint64_t seed);

/* Rows of one model, kind and number of parameters become one, which has all their seeds: a document's value is
 * the mean over seeds, seed_means and sd tell the spread, intervals are over documents. Metrics that a seed lacks
 * are LCM_ERR_ARG. Of the training record the first is kept. */
lcm_status lcm_results_merge_seeds(lcm_ctx *ctx, lcm_results *r, uint64_t seed);

/* The rows of `from`, another evaluation of the same documents, move behind those of `into`, so that merge_seeds makes
 * one row of one model's training seeds: in the joined table a row with a training record stands for the seed of its
 * training, whatever noise its evaluation drew. `from` is left without rows, to be freed. LCM_ERR_ARG: another task,
 * other documents, or a row that is there already. */
lcm_status lcm_results_join(lcm_ctx *ctx, lcm_results *into, lcm_results *from);

const lcm_result_metric *lcm_result_find(const lcm_result_row *row, const char *name); /* NULL: none */
const char *lcm_results_document_at(const lcm_results *r, size_t i, size_t *len);       /* borrowed, no terminator */

/* The schema is described in docs/evaluation.md. The text is to be freed with free(). */
lcm_status lcm_results_write(lcm_ctx *ctx, char **text, const lcm_results *r);
/* Reads what was written. LCM_ERR_FORMAT for anything else, LCM_ERR_VERSION for another schema; `what` names the
 * source. Keys it does not know are passed over. */
lcm_status lcm_results_read(lcm_ctx *ctx, lcm_results *out, const char *text, size_t len, const char *what);
lcm_status lcm_results_load(lcm_ctx *ctx, lcm_results *out, const char *path); /* at most 1 GiB */

#endif
