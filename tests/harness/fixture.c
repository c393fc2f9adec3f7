#include "harness/fixture.h"

#include <stdlib.h>

int fixture_setup(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL) return -1;
    f->ctx = lcm_ctx_new();
    f->dir = tmpdir_new();
    *state = f;
    return f->ctx ? 0 : -1;
}

int fixture_teardown(void **state) {
    fixture *f = *state;
    tmpdir_free(f->dir);
    lcm_ctx_free(f->ctx);
    free(f);
    return 0;
}
