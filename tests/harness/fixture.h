/* A context and an empty folder for every test: *state is a fixture. */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include "harness/test.h"
#include "harness/tmpdir.h"

typedef struct fixture {
    lcm_ctx *ctx;
    char *dir;
} fixture;

int fixture_setup(void **state);
int fixture_teardown(void **state); /* removes the folder */

#endif
