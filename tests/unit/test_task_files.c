/* Task files of lcm eval run, and the templates in them. */
#include "harness/fixture.h"

#include <string.h>

#include "eval/task_score.h"

#define ok(f, call) assert_ok((f)->ctx, call)
#define says(f, text) assert_says((f)->ctx, text)

static lcm_status parse(fixture *f, lcm_eval_task *t, const char *text) {
    return lcm_eval_task_parse(f->ctx, t, text, strlen(text), "tasks/a.json");
}

static void task_files(void **state) {
    fixture *f = *state;
    lcm_eval_task t;
    ok(f, parse(f, &t, "{\"format\": 1, \"kind\": \"completion\"}"));
    assert_string_equal(t.name, "completion");
    assert_string_equal(t.dir, "tasks");
    assert_int_equal(t.given, 3);
    assert_true(lcm_task_wants(&t, "chrf"));
    lcm_eval_task_free(&t);
    ok(f, parse(f, &t, "{\"format\": 1, \"kind\": \"summarise\", \"data\": [\"a.jsonl\", \"/b.jsonl\"], \"metrics\": [\"rougeL\"],"
                       " \"where\": {\"split\": \"test\"}, \"sentences\": 2, \"prompt\": \"Sum {text} up\"}"));
    assert_int_equal(t.n_data, 2);
    assert_string_equal(t.text_key, "document");
    assert_string_equal(json_string_value(json_object_get(t.where, "split")), "test");
    assert_true(lcm_task_wants(&t, "rougeL") && !lcm_task_wants(&t, "chrf"));
    ok(f, lcm_task_check_metrics(f->ctx, &t, LCM_NEEDS_FLUENCY));
    lcm_eval_task_free(&t);
}

static void hostile_task_files(void **state) {
    static const struct {
        const char *text, *message;
        lcm_status code;
    } bad[] = {
        {"", "line 1", LCM_ERR_FORMAT},
        {"[]", "an object is required", LCM_ERR_FORMAT},
        {"{\"kind\": \"next\"}", "'format' is missing", LCM_ERR_FORMAT},
        {"{\"format\": 1}", "'kind' is missing", LCM_ERR_FORMAT},
        {"{\"format\": 2, \"kind\": \"next\"}", "format 2, this build reads 1", LCM_ERR_VERSION},
        {"{\"format\": 1, \"kind\": \"chat\"}", "'chat' is not one of next, cloze, completion, summarise", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": 3}", "a string is required", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": \"next\", \"kind\": \"next\"}", "duplicate", LCM_ERR_FORMAT},
        {"{\"format\": 1, \"kind\": \"next\", \"prompts\": 3}", "unknown key 'prompts'", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": \"next\", \"given\": 3}", ".given: of no use", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": \"cloze\", \"text_key\": \"a\"}", ".text_key: of no use", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": \"completion\", \"given\": 0}", "0 is outside 1", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": \"completion\", \"sentences\": 99999999999999999999}", "line 1", LCM_ERR_FORMAT},
        {"{\"format\": 1, \"kind\": \"completion\", \"data\": \"a.txt\"}", ".data: a list", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": \"completion\", \"data\": [3]}", ".data[0]: a text", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": \"completion\", \"metrics\": {}}", ".metrics: a list", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": \"completion\", \"where\": []}", ".where: an object", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": \"completion\", \"where\": {\"a\": 1}}", ".where.a: a text", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": \"completion\", \"prompt\": \"no place\"}", ".prompt: {text} is missing", LCM_ERR_ARG},
        {"{\"format\": 1, \"kind\": \"completion\", \"temperature\": 1e999}", "", LCM_ERR_FORMAT},
        {"{\"format\": 1, \"kind\": \"completion\", \"name\": \"\xff\"}", "", LCM_ERR_FORMAT},
    };
    fixture *f = *state;
    lcm_eval_task t;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lcm_status st = parse(f, &t, bad[i].text);
        if (st != bad[i].code) fail_msg("%s: %d %s", bad[i].text, st, lcm_ctx_message(f->ctx));
        says(f, bad[i].message);
        assert_null(t.root);
    }
    ok(f, parse(f, &t, "{\"format\": 1, \"kind\": \"cloze\", \"metrics\": [\"rougeL\"]}"));
    assert_int_equal(lcm_task_check_metrics(f->ctx, &t, LCM_NEEDS_FLUENCY), LCM_ERR_ARG);
    says(f, "kind 'cloze' has accuracy, hard_accuracy");
    lcm_eval_task_free(&t);
    ok(f, parse(f, &t, "{\"format\": 1, \"kind\": \"completion\", \"metrics\": [\"coherence\"]}"));
    assert_int_equal(lcm_task_check_metrics(f->ctx, &t, LCM_NEEDS_FLUENCY), LCM_ERR_ARG);
    ok(f, lcm_task_check_metrics(f->ctx, &t, LCM_NEEDS_COHERENCE));
    lcm_eval_task_free(&t);
}

static void templates(void **state) {
    fixture *f = *state;
    lcm_buf out = {0};
    const lcm_eval_slot slots[2] = {{"{context}", "{text}", 6}, {"{text}", "B", 1}};
    ok(f, lcm_eval_fill(f->ctx, &out, "{context}-{text}-{other}{text", slots, 2));
    assert_string_equal(out.data, "{text}-B-{other}{text"); /* what was put in is left alone */
    lcm_buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(task_files),
        cmocka_unit_test(hostile_task_files),
        cmocka_unit_test(templates),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
