/* Judges. */
#include "eval/judge.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MARK_TOKENS = 16 };

bool lcm_judge_mark(double *mark, const char *answer, double lo, double hi) {
    for (const char *s = answer; *s; s++) {
        char *end;
        bool sign = *s == '-' && (s == answer || !isalnum((unsigned char)s[-1]));
        if (!isdigit((unsigned char)s[sign])) continue;
        *mark = strtod(s, &end);
        return *mark >= lo && *mark <= hi;
    }
    return false;
}

static lcm_status ask(lcm_ctx *ctx, double *value, lcm_judge_count *count, const lcm_eval_judge *j, const char *prompt) {
    lcm_eval_request r = {.prompt = prompt, .chat = prompt, .max_tokens = MARK_TOKENS, .seed = 1};
    char *answer = NULL, error[512] = "";
    count->asked++;
    if (j->complete(j->user, &answer, &r, error, sizeof error) != 0 || answer == NULL)
        LCM_FAIL(ctx, LCM_ERR_IO, "judge '%s': %s", j->name, *error ? error : "no answer");
    if (!lcm_judge_mark(value, answer, j->lo, j->hi)) {
        *value = NAN;
        count->unreadable++;
    }
    free(answer);
    return LCM_OK;
}

lcm_status lcm_judge_texts(lcm_ctx *ctx, double *values, lcm_judge_count *count, const lcm_eval_judge *j, const lcm_written *w) {
    lcm_buf context = {0}, text = {0}, prompt = {0};
    lcm_status st = LCM_OK;
    if (strstr(j->prompt, "{text}") == NULL) LCM_FAIL(ctx, LCM_ERR_ARG, "judge '%s': its prompt lacks {text}", j->name);
    if (!(j->lo < j->hi)) LCM_FAIL(ctx, LCM_ERR_ARG, "judge '%s': marks from %g to %g", j->name, j->lo, j->hi);
    for (int64_t d = 0; st == LCM_OK && d < w->text->n_docs; d++) {
        int64_t n, m, first = lcm_sentences_doc(w->text, d, &n), given = lcm_sentences_doc(w->given, d, &m);
        context.len = text.len = prompt.len = 0;
        if (n == 0) continue;
        st = lcm_sentences_join(ctx, &context, w->given, given, m);
        if (st == LCM_OK) st = lcm_sentences_join(ctx, &text, w->text, first, n);
        if (st == LCM_OK)
            st = lcm_eval_fill(ctx, &prompt, j->prompt,
                               (const lcm_eval_slot[]){{"{context}", context.data, context.len}, {"{text}", text.data, text.len}}, 2);
        if (st == LCM_OK) st = ask(ctx, &values[d], count, j, prompt.data);
    }
    lcm_buf_free(&context);
    lcm_buf_free(&text);
    lcm_buf_free(&prompt);
    return st;
}
