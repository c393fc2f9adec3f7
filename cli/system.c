/* Threads and descriptors: what the machine allows, and one repair of its default. */
#include "cli.h"

#include <fcntl.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libgomp's threads wait for work by spinning 300 000 times before they sleep. As soon as
 * another program wants a CPU, the spinning threads take the time slices of the working one, and
 * a training step takes four times as long. A short spin keeps the quick hand-over between two
 * kernels and gives the CPU back. libgomp reads its environment in a constructor, before main,
 * and has no call for this: so set the variable and start anew, once. The variable itself keeps
 * this from looping. Where /proc is missing, go on without. */
void cli_calm_openmp(char **argv) {
    char self[4096];
    ssize_t n;
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return;
    self[n] = '\0';
    if (setenv("GOMP_SPINCOUNT", "2000", 0) != 0) return;
    execv(self, argv);
}

void cli_guard_descriptors(void) {
    /* Opened in a mode in which the wanted use fails: a write to a closed standard output is
     * still an error. */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : fd == 1 ? O_RDONLY : O_RDWR) != fd) _exit(CLI_FAILED);
}

/* CPUs of one cgroup folder: v2 has cpu.max "QUOTA PERIOD", v1 has two files. 0: no limit. */
static double group_quota(const char *folder) {
    char path[4400];
    double quota = 0, period = 0;
    FILE *f;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if ((f = fopen(path, "r")) != NULL) {
        if (fscanf(f, "%lf %lf", &quota, &period) != 2) quota = 0; /* "max 100000" */
        fclose(f);
        return quota > 0 && period > 0 ? quota / period : 0;
    }
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if ((f = fopen(path, "r")) == NULL) return 0;
    if (fscanf(f, "%lf", &quota) != 1) quota = 0;
    fclose(f);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if ((f = fopen(path, "r")) == NULL) return 0;
    if (fscanf(f, "%lf", &period) != 1) period = 0;
    fclose(f);
    return quota > 0 && period > 0 ? quota / period : 0;
}

/* The least quota of ROOT/GROUP and all folders above it. */
static double least_quota(const char *root, const char *group) {
    char folder[4300];
    double least = 0;
    size_t stem = strlen(root);
    if (snprintf(folder, sizeof folder, "%s%s", root, group) >= (int)sizeof folder) return 0;
    for (;;) {
        double q = group_quota(folder);
        char *slash;
        if (q > 0 && (least == 0 || q < least)) least = q;
        slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < stem) return least;
        *slash = '\0';
    }
}

int cli_cgroup_cpus(const char *membership, const char *root) {
    char line[4200], v1[512];
    double least = 0;
    FILE *f = fopen(membership, "r");
    if (f == NULL) return 0;
    snprintf(v1, sizeof v1, "%.500s/cpu", root);
    while (fgets(line, sizeof line, f)) { /* "ID:CONTROLLERS:PATH"; v2 has no controllers */
        char *controllers = strchr(line, ':'), *path, *save = NULL;
        double q = 0;
        if (controllers == NULL || (path = strchr(++controllers, ':')) == NULL) continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (*controllers == '\0') q = least_quota(root, path);
        for (char *w = strtok_r(controllers, ",", &save); w; w = strtok_r(NULL, ",", &save))
            if (strcmp(w, "cpu") == 0) q = least_quota(v1, path);
        if (q > 0 && (least == 0 || q < least)) least = q;
    }
    fclose(f);
    if (least <= 0) return 0;
    return least < 1 ? 1 : least > 4096 ? 4096 : (int)(least + 0.999);
}

int cli_cpus(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    int quota = cli_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
    if (quota > 0 && quota < n) n = quota;
    return n < 1 ? 1 : n;
}

int cli_set_threads(int64_t requested) {
    if (requested > 0) omp_set_num_threads((int)requested);
    else if (getenv("OMP_NUM_THREADS") == NULL) omp_set_num_threads(cli_cpus());
    return omp_get_max_threads();
}
