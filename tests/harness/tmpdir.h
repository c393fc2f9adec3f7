/* Scratch folders of tests. Failures abort the test. */
#ifndef TEST_TMPDIR_H
#define TEST_TMPDIR_H

#include <stddef.h>

/* New empty folder below $TMPDIR, else in memory (/dev/shm, where fsync is free), else in /tmp.
 * Heap; tmpdir_free removes the folder, too. */
char *tmpdir_new(void);
void tmpdir_free(char *dir);

/* Path of `name` in `dir`; one of eight static buffers, reused in turn. */
const char *tmpdir_path(const char *dir, const char *name);

/* Writes DIR/NAME and returns its path, as tmpdir_path does. */
const char *tmpdir_write(const char *dir, const char *name, const void *data, size_t len);

#endif
