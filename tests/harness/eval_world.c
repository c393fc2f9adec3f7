#include "harness/eval_world.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "harness/sonar_toy.h"
#include "lcm/model_io.h"

lcm_model *eval_world_base(eval_world *w) {
    lcm_base_config c = toy_base_config();
    lcm_model *m;
    assert_ok(w->ctx, lcm_model_create(w->ctx, &m, "base", &c, false));
    toy_randomize(m, 1);
    return m;
}

lcm_model *eval_world_tower(eval_world *w) {
    lcm_two_tower_config c = toy_two_tower_config();
    lcm_model *m;
    assert_ok(w->ctx, lcm_model_create(w->ctx, &m, "two_tower", &c, false));
    toy_randomize(m, 2);
    return m;
}

lcm_store *eval_world_store(eval_world *w, const char *dir, int64_t docs, int64_t D, const char *space) {
    real *x = toy_concepts(docs * 4, D, 5);
    lcm_store_report report = {0};
    lcm_shard *shard;
    lcm_store *s;
    assert_ok(w->ctx, lcm_mkdirs(w->ctx, dir));
    assert_ok(w->ctx, lcm_shard_new(w->ctx, &shard, D, LCM_DT_F32));
    for (int64_t d = 0, at = 0; d < docs; d++) {
        bool kept;
        for (int64_t i = 0; i <= d * 7 % 4; i++, at++) assert_ok(w->ctx, lcm_shard_add(w->ctx, shard, x + at * D, "word", 4));
        assert_ok(w->ctx, lcm_shard_end_doc(w->ctx, shard, &kept));
    }
    assert_ok(w->ctx, lcm_shard_write(w->ctx, shard, dir, 0, space, &report));
    assert_ok(w->ctx, lcm_store_finish(w->ctx, dir, 1, NULL));
    assert_ok(w->ctx, lcm_store_open(w->ctx, &s, dir));
    lcm_shard_free(shard);
    free(x);
    return s;
}

static void save(eval_world *w, lcm_model *m, const char *path) {
    lcm_model_save_opts o = {.dtype = LCM_DT_F32, .space = w->file.space};
    assert_ok(w->ctx, lcm_model_save(w->ctx, m, &o, path));
    lcm_model_free(m);
}

int eval_world_setup(void **state) {
    static eval_world w;
    memset(&w, 0, sizeof w);
    w.ctx = lcm_ctx_new();
    w.dir = tmpdir_new();
    strncpy(w.sonar, tmpdir_path(w.dir, "sonar.safetensors"), sizeof w.sonar - 1);
    strncpy(w.base, tmpdir_path(w.dir, "base.safetensors"), sizeof w.base - 1);
    strncpy(w.tower, tmpdir_path(w.dir, "tower.safetensors"), sizeof w.tower - 1);
    strncpy(w.store, tmpdir_path(w.dir, "store"), sizeof w.store - 1);
    toy_sonar_write(w.ctx, w.sonar, TOY_D, "eval/", NULL, 0);
    assert_ok(w.ctx, lcm_sonar_load(w.ctx, &w.file, w.sonar, LCM_SONAR_BOTH));
    assert_ok(w.ctx, lcm_codec_new(w.ctx, &w.codec, &w.file));
    save(&w, eval_world_base(&w), w.base);
    save(&w, eval_world_tower(&w), w.tower);
    lcm_store_close(eval_world_store(&w, w.store, 12, TOY_D, w.file.space_hex));
    *state = &w;
    return 0;
}

int eval_world_teardown(void **state) {
    eval_world *w = *state;
    lcm_codec_free(w->codec);
    lcm_sonar_file_close(&w->file);
    tmpdir_free(w->dir);
    lcm_ctx_free(w->ctx);
    return 0;
}
