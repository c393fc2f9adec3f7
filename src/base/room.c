/* Memory that is left. */
#include "base/room.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* KEY's number in a file of "KEY number" lines, or the file's only number for NULL; UINT64_MAX: none, or "max". */
static uint64_t read_number(const char *path, const char *key) {
    char line[256];
    uint64_t value = UINT64_MAX;
    size_t n = key ? strlen(key) : 0;
    FILE *f = fopen(path, "r");
    if (f == NULL) return UINT64_MAX;
    while (value == UINT64_MAX && fgets(line, sizeof line, f))
        if (key == NULL || strncmp(line, key, n) == 0)
            if (sscanf(line + n, "%" SCNu64, &value) != 1) value = UINT64_MAX;
    fclose(f);
    return value;
}

/* The limit of one control group less what it holds. Its file cache can be dropped: not counted. */
static uint64_t group_left(const char *folder) {
    char path[4400];
    uint64_t max, now, cache;
    snprintf(path, sizeof path, "%s/memory.max", folder);
    max = read_number(path, NULL);
    if (max == UINT64_MAX) return UINT64_MAX;
    snprintf(path, sizeof path, "%s/memory.current", folder);
    now = read_number(path, NULL);
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    cache = read_number(path, "file ");
    if (now == UINT64_MAX) return max;
    if (cache != UINT64_MAX) now -= least(now, cache);
    return max - least(max, now);
}

/* Of the process's group and all above it (version 2 of control groups). */
static uint64_t groups_left(void) {
    static const char root[] = "/sys/fs/cgroup";
    char line[4200], folder[4300];
    uint64_t left = UINT64_MAX;
    FILE *f = fopen("/proc/self/cgroup", "r");
    *folder = '\0';
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0) snprintf(folder, sizeof folder, "%s%s", root, line + 3);
    }
    if (f) fclose(f);
    while (strlen(folder) >= sizeof root - 1) {
        left = least(left, group_left(folder));
        *strrchr(folder, '/') = '\0';
    }
    return left;
}

uint64_t lcm_room_left(void) {
    uint64_t kb = read_number("/proc/meminfo", "MemAvailable:");
    return least(kb == UINT64_MAX ? kb : kb * 1024, groups_left());
}

lcm_status lcm_room_check(lcm_ctx *ctx, size_t bytes, const char *what, const char *advice) {
    uint64_t left = lcm_room_left();
    if (bytes <= left) return LCM_OK;
    LCM_FAIL(ctx, LCM_ERR_NOMEM, "%s need %.2f GB of memory, %.2f GB are left; %s", what, (double)bytes / 1e9, (double)left / 1e9,
             advice);
}
