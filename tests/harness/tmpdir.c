#include "harness/tmpdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "harness/test.h"

char *tmpdir_new(void) {
    const char *const bases[] = {getenv("TMPDIR"), "/dev/shm", "/tmp"};
    char path[LCM_PATH_MAX], *copy, *made = NULL;
    for (int i = 0; i < 3 && made == NULL; i++) {
        if (bases[i] == NULL || *bases[i] == '\0') continue;
        snprintf(path, sizeof path, "%s/lcm-test-XXXXXX", bases[i]);
        made = mkdtemp(path);
    }
    assert_non_null(made);
    copy = lcm_strdup(path);
    assert_non_null(copy);
    return copy;
}

void tmpdir_free(char *dir) {
    lcm_ctx *ctx = lcm_ctx_new();
    assert_int_equal(lcm_remove_tree(ctx, dir), LCM_OK);
    lcm_ctx_free(ctx);
    free(dir);
}

const char *tmpdir_path(const char *dir, const char *name) {
    static char paths[8][LCM_PATH_MAX];
    static int next;
    char *p = paths[next++ % 8];
    snprintf(p, LCM_PATH_MAX, "%s/%s", dir, name);
    return p;
}

const char *tmpdir_write(const char *dir, const char *name, const void *data, size_t len) {
    const char *path = tmpdir_path(dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    return path;
}
