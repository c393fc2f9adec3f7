/* Two files whose lines translate each other. */
#ifndef LCM_ALIGNED_H
#define LCM_ALIGNED_H

#include "eval/sentences.h"

enum { LCM_ALIGNED_MAX_LINE = 1 << 20 }; /* bytes; longer lines are left out */

typedef struct lcm_aligned_report {
    int64_t lines, pairs;   /* of either file; kept */
    lcm_docs_report file[2]; /* why lines of either were left out; a pair is, when either of its lines is */
} lcm_aligned_report;

/* Appends sentence i of `path[0]` and its translation, which stands on the same line of `path[1]`, to a and b. Files as
 * in data/docs.h, text or JSON lines with the sentence under key[i] (NULL: "text"); a file may be given twice, with
 * two keys. LCM_ERR_FORMAT: unequal numbers of lines; LCM_ERR_ARG: a folder, standard input twice. */
lcm_status lcm_aligned_read(lcm_ctx *ctx, lcm_sentences *a, lcm_sentences *b, lcm_aligned_report *report, const char *const path[2],
                            const char *const key[2]);

#endif
