/* For programs that convert the reference's toy checkpoints: a context, a folder, a tokeniser of fitting size. */
#ifndef CONVERT_TOY_H
#define CONVERT_TOY_H

#include "harness/tmpdir.h"
#include "unit/spm_build.h"

#define CKPT(name) TEST_DATA "/golden/sonar/ckpt/" name

enum { D = 32, V = 40 };

static lcm_ctx *ctx;
static char *dir;
static char spm[4096], out[4096];
static const char *const settings[] = {"attn_heads=4", "max_seq_len=14"}; /* what the checkpoints do not say */

static inline int setup(void **state) {
    lcm_buf b = {0};
    (void)state;
    ctx = lcm_ctx_new();
    dir = tmpdir_new();
    put_good(&b);
    snprintf(spm, sizeof spm, "%s", tmpdir_write(dir, "toy.model", b.data, b.len));
    snprintf(out, sizeof out, "%s", tmpdir_path(dir, "out.safetensors"));
    lcm_buf_free(&b);
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    tmpdir_free(dir);
    lcm_ctx_free(ctx);
    return 0;
}

#endif
