/* Evaluation tasks over arbitrary bytes: a line with the task file, then the lines of its data. What is accepted is read
 * the same again, says what it is, names only metrics that the task's kind has or is refused for them, and its data are
 * documents with as many contexts as references. */

#include "target.h"

#include "eval/task_score.h"

enum { MAX_DATA = 4096 }; /* bytes: segmenting more only takes longer */

static void read_data(lcm_ctx *ctx, const lcm_eval_task *t, const char *name, const char *lines, size_t len) {
    char file[96];
    const char *path = file;
    lcm_task_data d;
    lcm_results r;
    folder_write(name, lines, len);
    snprintf(file, sizeof file, "%s/%s", folder(), name);
    check(lcm_results_init(ctx, &r, t->name) == LCM_OK);
    if (lcm_task_data_read(ctx, &d, &r, t, &path, 1) == LCM_OK) {
        bool cloze = t->kind == LCM_EVAL_CLOZE;
        check(d.n > 0 && d.given.n_docs == d.n && (size_t)d.n == r.documents.n);
        check(t->kind == LCM_EVAL_NEXT || d.reference.n_docs == d.n);
        check(t->max_documents == 0 || d.n <= t->max_documents);
        for (int64_t i = 0, n; i < d.n; i++) {
            lcm_sentences_doc(&d.given, i, &n);
            check(n > 0 && (t->max_given == 0 || n <= t->max_given));
            if (t->kind == LCM_EVAL_NEXT) continue;
            lcm_sentences_doc(&d.reference, i, &n);
            check(cloze ? n == 2 || n == 3 : n > 0 && n <= t->sentences);
        }
        lcm_task_data_free(&d);
    }
    lcm_results_free(&r);
}

static void use(lcm_ctx *ctx, const lcm_eval_task *t, const lcm_eval_task *again) {
    const lcm_eval_slot slot = {"{text}", "", 0};
    const unsigned all = LCM_NEEDS_COHERENCE | LCM_NEEDS_FLUENCY | LCM_NEEDS_SCORER;
    json_t *facts = lcm_eval_task_facts(t), *same = lcm_eval_task_facts(again);
    lcm_buf out = {0};
    lcm_status st;
    check(facts && same && json_equal(facts, same));
    check(t->kind >= LCM_EVAL_NEXT && t->kind <= LCM_EVAL_SUMMARISE && t->name[0] && t->text_key[0]);
    st = lcm_task_check_metrics(ctx, t, all);
    check(st == LCM_OK || (st == LCM_ERR_ARG && t->n_metrics > 0));
    check(lcm_eval_fill(ctx, &out, t->prompt, &slot, 1) == LCM_OK && out.len + 6 <= strlen(t->prompt));
    lcm_buf_free(&out);
    json_decref(facts);
    json_decref(same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data, *end = memchr(data, '\n', size);
    size_t len = end ? (size_t)(end - text) : size, rest = end ? size - len - 1 : 0;
    lcm_ctx *ctx = lcm_ctx_new();
    lcm_eval_task t, again;
    check(ctx != NULL);
    if (lcm_eval_task_parse(ctx, &t, text, len, "fuzz/task.json") == LCM_OK) {
        check(lcm_eval_task_parse(ctx, &again, text, len, "fuzz/task.json") == LCM_OK);
        use(ctx, &t, &again);
        for (int i = 0; i < 2 && rest > 0 && rest <= MAX_DATA; i++) read_data(ctx, &t, i ? "a.jsonl" : "a.txt", end + 1, rest);
        lcm_eval_task_free(&again);
    } else check(t.root == NULL && t.data == NULL && t.metrics == NULL);
    lcm_eval_task_free(&t);
    lcm_ctx_free(ctx);
    return 0;
}
