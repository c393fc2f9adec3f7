/* Stand-alone main for the fuzz targets: replays every file of the folders given, and every
 * prefix and a few byte flips of each, so that any compiler runs the corpus as a test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long n_runs;

static void run(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1); /* exact size: a read past the end is seen by ASan */
    if (copy == NULL) abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    n_runs++;
}

static void run_file(const char *path) {
    static uint8_t buf[1 << 20];
    FILE *f = fopen(path, "rb");
    size_t n;
    if (f == NULL) return;
    n = fread(buf, 1, sizeof buf, f);
    fclose(f);
    run(buf, n);
    for (size_t k = 0; k < n && k < 256; k++) run(buf, k);
    for (size_t k = 0; k < n; k += 1 + n / 256) {
        buf[k] ^= (uint8_t)(1u << (k % 8));
        run(buf, n);
        buf[k] ^= (uint8_t)(1u << (k % 8));
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        struct dirent *e;
        if (d == NULL) {
            fprintf(stderr, "no corpus folder '%s'\n", argv[i]);
            return 1;
        }
        while ((e = readdir(d)) != NULL) {
            char path[4096];
            if (e->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            run_file(path);
        }
        closedir(d);
    }
    printf("%ld inputs\n", n_runs);
    return n_runs ? 0 : 1;
}
