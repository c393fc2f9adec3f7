/* A codec's second decoder: it says predicted concepts, and no others, and only if it fits. */
#include "harness/test.h"

#include <stdlib.h>
#include <string.h>

#include "harness/sonar_toy.h"
#include "harness/tmpdir.h"
#include "sonar/codec.h"

static const char *const langs[] = {"eng_Latn", "fra_Latn"};

typedef struct fixture {
    lcm_ctx *ctx;
    char *dir, path[512];
    lcm_sonar_file own, other;
    lcm_codec *codec;
} fixture;

static void open_toy(fixture *f, lcm_sonar_file *out, int64_t dim, const char *prefix, int n_langs) {
    snprintf(f->path, sizeof f->path, "%s/%s.safetensors", f->dir, prefix);
    toy_sonar_write(f->ctx, f->path, dim, prefix, langs, n_langs);
    assert_ok(f->ctx, lcm_sonar_load(f->ctx, out, f->path, LCM_SONAR_BOTH));
}

static int setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->ctx = lcm_ctx_new();
    f->dir = tmpdir_new();
    open_toy(f, &f->own, 12, "own", 1);
    assert_ok(f->ctx, lcm_codec_new(f->ctx, &f->codec, &f->own));
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    lcm_codec_free(f->codec);
    lcm_sonar_file_close(&f->own);
    lcm_sonar_file_close(&f->other);
    tmpdir_free(f->dir);
    lcm_ctx_free(f->ctx);
    free(f);
    return 0;
}

static char *said(fixture *f, bool predicted, double temperature) {
    lcm_beam_opts o = lcm_beam_opts_default();
    lcm_buf text = {0};
    real x[4 * 12];
    o.predicted = predicted;
    o.max_gen_len = 8;
    o.draw = (lcm_draw_opts){.sampler = {.temperature = temperature}, .seed = 3};
    for (int i = 0; i < 4 * 12; i++) x[i] = (real)((i * 7 % 11 - 5) * 0.4);
    assert_ok(f->ctx, lcm_codec_decode(f->ctx, &text, NULL, f->codec, x, 4, -1, &o));
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] == '\0') text.data[i] = '|';
    return text.data;
}

static void predicted_concepts_only(void **state) {
    fixture *f = *state;
    for (int draw = 0; draw < 2; draw++) {
        char *before[2], *after[2];
        assert_ok(f->ctx, lcm_codec_set_voice(f->ctx, f->codec, &f->own, "own"));
        for (int p = 0; p < 2; p++) before[p] = said(f, p, draw);
        assert_string_equal(before[0], before[1]);
        if (draw == 0) open_toy(f, &f->other, 12, "other", 1);
        f->other.space = f->own.space;
        assert_ok(f->ctx, lcm_codec_set_voice(f->ctx, f->codec, &f->other, "other"));
        for (int p = 0; p < 2; p++) after[p] = said(f, p, draw);
        assert_string_equal(after[0], before[0]);
        assert_string_not_equal(after[1], before[1]);
        for (int p = 0; p < 2; p++) {
            free(before[p]);
            free(after[p]);
        }
    }
}

static void misfits(void **state) {
    fixture *f = *state;
    char *before = said(f, true, 0), *after;
    open_toy(f, &f->other, 12, "stranger", 1);
    f->other.space = f->own.space + 1;
    assert_int_not_equal(lcm_codec_set_voice(f->ctx, f->codec, &f->other, "x.safetensors"), LCM_OK);
    assert_says(f->ctx, "x.safetensors");
    lcm_sonar_file_close(&f->other);
    open_toy(f, &f->other, 16, "wide", 1);
    f->other.space = f->own.space;
    assert_int_equal(lcm_codec_set_voice(f->ctx, f->codec, &f->other, "x.safetensors"), LCM_ERR_SHAPE);
    assert_says(f->ctx, "'x.safetensors' reads concepts of 16 numbers, the encoder gives 12");
    lcm_sonar_file_close(&f->other);
    open_toy(f, &f->other, 12, "polyglot", 2);
    f->other.space = f->own.space;
    assert_int_equal(lcm_codec_set_voice(f->ctx, f->codec, &f->other, "x.safetensors"), LCM_ERR_SHAPE);
    assert_says(f->ctx, "vocabulary");
    after = said(f, true, 0); /* a refused voice says nothing */
    assert_string_equal(after, before);
    free(before);
    free(after);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(predicted_concepts_only, setup, teardown),
                                       cmocka_unit_test_setup_teardown(misfits, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
