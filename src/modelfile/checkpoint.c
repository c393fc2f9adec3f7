/* Run folder. The order of the steps in lcm_rundir_save is the whole point of this file. */
#include "modelfile/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"

enum { MANIFEST_FORMAT = 1, NAME_CAP = 64 };

struct lcm_rundir {
    char *dir;
    int lock;
};

static void step_name(char name[NAME_CAP], int64_t step) { snprintf(name, NAME_CAP, "step_%08" PRId64, step); }

/* The step of a folder name in canonical form; -1 for any other name. */
static int64_t step_of(const char *name) {
    char again[NAME_CAP];
    int64_t step;
    if (strncmp(name, "step_", 5) != 0) return -1;
    step = strtoll(name + 5, NULL, 10);
    if (step < 0) return -1;
    step_name(again, step);
    return strcmp(name, again) == 0 ? step : -1;
}

static bool is_leftover(const char *name) {
    char stem[NAME_CAP];
    size_t n = strlen(name);
    if (strncmp(name, "latest.tmp-", 11) == 0) return true;
    if (n < 4 || n >= sizeof stem || strcmp(name + n - 4, ".tmp") != 0) return false;
    memcpy(stem, name, n - 4);
    stem[n - 4] = '\0';
    return step_of(stem) >= 0;
}

static lcm_status remove_leftovers(lcm_ctx *ctx, const char *dir) {
    DIR *d = opendir(dir);
    struct dirent *e;
    lcm_status st = LCM_OK;
    if (d == NULL) LCM_FAIL(ctx, LCM_ERR_IO, "cannot open folder '%s': %s", dir, strerror(errno));
    while (st == LCM_OK && (e = readdir(d)) != NULL) {
        char path[LCM_PATH_MAX];
        if (!is_leftover(e->d_name)) continue;
        st = lcm_path_join(ctx, path, sizeof path, dir, e->d_name);
        if (st == LCM_OK) st = lcm_remove_tree(ctx, path);
    }
    closedir(d);
    return st;
}

static lcm_status take_lock(lcm_ctx *ctx, lcm_rundir *r) {
    char path[LCM_PATH_MAX];
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, r->dir, "lock"));
    r->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (r->lock < 0) LCM_FAIL(ctx, LCM_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    if (flock(r->lock, LOCK_EX | LOCK_NB) == 0) return LCM_OK;
    if (errno == EWOULDBLOCK) LCM_FAIL(ctx, LCM_ERR_BUSY, "run folder '%s' is in use by another run", r->dir);
    LCM_FAIL(ctx, LCM_ERR_IO, "cannot lock '%s': %s", path, strerror(errno));
}

lcm_status lcm_rundir_open(lcm_ctx *ctx, lcm_rundir **out, const char *dir) {
    lcm_rundir *r;
    lcm_status st;
    *out = NULL;
    LCM_TRY(lcm_mkdirs(ctx, dir));
    LCM_TRY(lcm_calloc(ctx, &r, 1, sizeof *r));
    r->lock = -1;
    r->dir = lcm_strdup(dir);
    st = r->dir ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory");
    if (st == LCM_OK) st = take_lock(ctx, r);
    if (st == LCM_OK) st = remove_leftovers(ctx, dir);
    if (st) {
        lcm_rundir_close(r);
        return st;
    }
    *out = r;
    return LCM_OK;
}

void lcm_rundir_close(lcm_rundir *r) {
    if (r == NULL) return;
    if (r->lock >= 0) close(r->lock);
    free(r->dir);
    free(r);
}

const char *lcm_rundir_path(const lcm_rundir *r) { return r->dir; }

/* --- manifest ------------------------------------------------------------------------------- */

static bool good_file_name(const char *name) {
    size_t n = strlen(name);
    return n > 0 && n < 256 && name[0] != '.' && strchr(name, '/') == NULL && strcmp(name, "manifest.json") != 0;
}

/* By read, not by a map: a bad disk must give EIO here, not SIGBUS. */
static lcm_status hash_file(lcm_ctx *ctx, uint64_t *hash, uint64_t *bytes, const char *path) {
    enum { BLOCK = 1 << 18 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    uint8_t *block;
    ssize_t n;
    if (fd < 0)
        LCM_FAIL(ctx, errno == ENOENT ? LCM_ERR_NOTFOUND : LCM_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    block = malloc(BLOCK);
    if (block == NULL) {
        close(fd);
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory");
    }
    *hash = LCM_HASH_INIT;
    *bytes = 0;
    while ((n = read(fd, block, BLOCK)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        *hash = lcm_hash64(*hash, block, (size_t)n);
        *bytes += (uint64_t)n;
    }
    if (n < 0) lcm_fail(ctx, LCM_ERR_IO, "cannot read '%s': %s", path, strerror(errno));
    free(block);
    close(fd);
    return n < 0 ? LCM_ERR_IO : LCM_OK;
}

static lcm_status verify_file(lcm_ctx *ctx, const char *dir, const char *name, const json_t *entry) {
    const json_t *size = json_object_get(entry, "bytes");
    const char *want = json_string_value(json_object_get(entry, "hash"));
    char path[LCM_PATH_MAX], has[20];
    uint64_t hash = 0, bytes = 0;
    if (!good_file_name(name) || !json_is_integer(size) || want == NULL)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s/manifest.json': bad entry '%.80s'", dir, name);
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, name));
    LCM_TRY(hash_file(ctx, &hash, &bytes, path));
    if (bytes != (uint64_t)json_integer_value(size))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' has %" PRIu64 " bytes, its manifest says %lld", path, bytes,
                 (long long)json_integer_value(size));
    snprintf(has, sizeof has, "%016" PRIx64, hash);
    if (strcmp(has, want) != 0)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s' has hash %s, its manifest says %.20s", path, has, want);
    return LCM_OK;
}

static lcm_status verify_manifest(lcm_ctx *ctx, const char *dir, json_t *m) {
    const char *base = strrchr(dir, '/'), *name;
    int64_t step = step_of(base ? base + 1 : dir);
    const json_t *format = json_object_get(m, "format"), *v = json_object_get(m, "step");
    json_t *files = json_object_get(m, "files"), *entry;
    if (!json_is_integer(format) || json_integer_value(format) < 1)
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s/manifest.json' has no 'format'", dir);
    if (json_integer_value(format) > MANIFEST_FORMAT)
        LCM_FAIL(ctx, LCM_ERR_VERSION, "'%s' has checkpoint format %lld, this build reads up to %d", dir,
                 (long long)json_integer_value(format), MANIFEST_FORMAT);
    if (!json_is_integer(v) || !json_is_object(files) || (step >= 0 && json_integer_value(v) != step))
        LCM_FAIL(ctx, LCM_ERR_FORMAT, "'%s/manifest.json' is not the manifest of this checkpoint", dir);
    json_object_foreach(files, name, entry) LCM_TRY(verify_file(ctx, dir, name, entry));
    return LCM_OK;
}

lcm_status lcm_checkpoint_verify(lcm_ctx *ctx, const char *dir) {
    char path[LCM_PATH_MAX];
    json_t *m;
    lcm_status st;
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, "manifest.json"));
    LCM_TRY(lcm_json_load(ctx, &m, path));
    st = verify_manifest(ctx, dir, m);
    json_decref(m);
    return st;
}

/* --- save ----------------------------------------------------------------------------------- */

typedef struct hashed_file {
    lcm_writer *w;
    uint64_t hash, bytes;
} hashed_file;

static lcm_status put_hashed(lcm_ctx *ctx, void *user, const void *data, size_t len) {
    hashed_file *f = user;
    f->hash = lcm_hash64(f->hash, data, len);
    f->bytes += len;
    return lcm_writer_put(ctx, f->w, data, len);
}

static lcm_status write_file(lcm_ctx *ctx, json_t *manifest, const char *dir, const lcm_ckpt_file *file) {
    hashed_file f = {.hash = LCM_HASH_INIT};
    char path[LCM_PATH_MAX], hex[20];
    lcm_status st;
    if (!good_file_name(file->name) || json_object_get(manifest, file->name))
        LCM_FAIL(ctx, LCM_ERR_ARG, "checkpoint file name '%.80s' is not allowed or given twice", file->name);
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, file->name));
    LCM_TRY(lcm_writer_open(ctx, &f.w, path));
    if (file->st) st = lcm_st_writer_emit(ctx, file->st, put_hashed, &f);
    else st = put_hashed(ctx, &f, file->data, file->len);
    if (st) {
        lcm_writer_abort(f.w);
        return st;
    }
    LCM_TRY(lcm_writer_commit(ctx, f.w));
    snprintf(hex, sizeof hex, "%016" PRIx64, f.hash);
    if (json_object_set_new(manifest, file->name, json_pack("{sIss}", "bytes", (json_int_t)f.bytes, "hash", hex)) != 0)
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: manifest");
    return LCM_OK;
}

static lcm_status write_manifest(lcm_ctx *ctx, const char *dir, int64_t step, json_t *files) {
    char path[LCM_PATH_MAX];
    json_t *m = json_pack("{sisIsO}", "format", MANIFEST_FORMAT, "step", (json_int_t)step, "files", files);
    char *text = m ? json_dumps(m, JSON_INDENT(1)) : NULL;
    lcm_status st = text ? lcm_path_join(ctx, path, sizeof path, dir, "manifest.json")
                         : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: manifest");
    if (st == LCM_OK) st = lcm_write_file(ctx, path, text, strlen(text));
    free(text);
    json_decref(m);
    return st;
}

static lcm_status write_all(lcm_ctx *ctx, const char *dir, int64_t step, const lcm_ckpt_file *files, size_t n) {
    json_t *entries;
    lcm_status st;
    LCM_TRY(lcm_remove_tree(ctx, dir));
    LCM_TRY(lcm_mkdirs(ctx, dir));
    entries = json_object();
    st = entries ? LCM_OK : lcm_fail(ctx, LCM_ERR_NOMEM, "out of memory: manifest");
    for (size_t i = 0; st == LCM_OK && i < n; i++) st = write_file(ctx, entries, dir, &files[i]);
    if (st == LCM_OK) st = write_manifest(ctx, dir, step, entries);
    json_decref(entries);
    return st;
}

/* Puts the finished folder in place. When the step exists the two change names in one move, so
 * that at no moment it is absent; `tmp` then holds the old one. */
static lcm_status publish(lcm_ctx *ctx, const char *tmp, const char *final) {
    unsigned flags = lcm_exists(final) ? RENAME_EXCHANGE : 0;
    if (renameat2(AT_FDCWD, tmp, AT_FDCWD, final, flags) == 0) return LCM_OK;
    LCM_FAIL(ctx, LCM_ERR_IO, "cannot rename '%s' to '%s': %s", tmp, final, strerror(errno));
}

static int newest_first(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Steps present in the folder, newest first; *steps is the caller's. */
static lcm_status list_steps(lcm_ctx *ctx, int64_t **steps, size_t *n, const char *dir) {
    DIR *d = opendir(dir);
    struct dirent *e;
    size_t cap = 0;
    lcm_status st = LCM_OK;
    *steps = NULL;
    *n = 0;
    if (d == NULL)
        LCM_FAIL(ctx, errno == ENOENT ? LCM_ERR_NOTFOUND : LCM_ERR_IO, "cannot open folder '%s': %s", dir,
                 strerror(errno));
    while (st == LCM_OK && (e = readdir(d)) != NULL) {
        int64_t step = step_of(e->d_name);
        if (step < 0) continue;
        st = lcm_grow(ctx, steps, &cap, *n + 1, sizeof **steps);
        if (st == LCM_OK) (*steps)[(*n)++] = step;
    }
    closedir(d);
    if (st) {
        free(*steps);
        *steps = NULL;
        return st;
    }
    if (*n) qsort(*steps, *n, sizeof **steps, newest_first);
    return LCM_OK;
}

/* A folder leaves its name first, so that a crash in mid-removal leaves no half checkpoint. */
static lcm_status remove_step(lcm_ctx *ctx, const char *dir, int64_t step) {
    char name[NAME_CAP], path[LCM_PATH_MAX], tmp[LCM_PATH_MAX + 8];
    step_name(name, step);
    LCM_TRY(lcm_path_join(ctx, path, sizeof path, dir, name));
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    LCM_TRY(lcm_remove_tree(ctx, tmp));
    if (rename(path, tmp) != 0) LCM_FAIL(ctx, LCM_ERR_IO, "cannot rename '%s': %s", path, strerror(errno));
    return lcm_remove_tree(ctx, tmp);
}

static lcm_status prune(lcm_ctx *ctx, const char *dir, const char *saved, int64_t step, int keep_last) {
    int64_t *steps;
    size_t n;
    int kept = 0;
    bool verified = false;
    lcm_status st = LCM_OK;
    LCM_TRY(list_steps(ctx, &steps, &n, dir));
    for (size_t i = 0; st == LCM_OK && i < n; i++) {
        if (steps[i] > step || kept++ < keep_last) continue;
        if (!verified) st = lcm_checkpoint_verify(ctx, saved);
        verified = true;
        if (st == LCM_OK) st = remove_step(ctx, dir, steps[i]);
    }
    free(steps);
    return st;
}

lcm_status lcm_rundir_save(lcm_ctx *ctx, lcm_rundir *r, int64_t step, const lcm_ckpt_file *files, size_t n,
                           int keep_last) {
    char name[NAME_CAP], final[LCM_PATH_MAX], tmp[LCM_PATH_MAX + 8], latest[LCM_PATH_MAX], line[NAME_CAP + 1];
    lcm_status st;
    if (step < 0 || keep_last < 0)
        LCM_FAIL(ctx, LCM_ERR_ARG, "checkpoint: step %" PRId64 " or keep_last %d is negative", step, keep_last);
    step_name(name, step);
    LCM_TRY(lcm_path_join(ctx, final, sizeof final, r->dir, name));
    LCM_TRY(lcm_path_join(ctx, latest, sizeof latest, r->dir, "latest"));
    snprintf(tmp, sizeof tmp, "%s.tmp", final);
    st = write_all(ctx, tmp, step, files, n);
    if (st == LCM_OK) st = publish(ctx, tmp, final);
    if (st) {
        lcm_ctx *quiet = lcm_ctx_new(); /* the first error is the one to report */
        if (quiet) lcm_remove_tree(quiet, tmp);
        lcm_ctx_free(quiet);
        return st;
    }
    LCM_TRY(lcm_fsync_dir(ctx, r->dir));
    snprintf(line, sizeof line, "%s\n", name);
    LCM_TRY(lcm_write_file(ctx, latest, line, strlen(line)));
    st = lcm_remove_tree(ctx, tmp);
    if (st == LCM_OK && keep_last > 0) st = prune(ctx, r->dir, final, step, keep_last);
    if (st) lcm_log(ctx, LCM_LOG_WARN, "%s is saved, old checkpoints stay: %s", name, lcm_ctx_message(ctx));
    return LCM_OK;
}

/* --- load ----------------------------------------------------------------------------------- */

/* Step that `latest` names; -1 when the file is absent (a run killed before its first save ended), or
 * says something else, which is a warning. */
static int64_t read_latest(lcm_ctx *ctx, const char *dir) {
    char path[LCM_PATH_MAX];
    lcm_buf b = {0};
    int64_t step = -1;
    lcm_status st = lcm_path_join(ctx, path, sizeof path, dir, "latest");
    if (st == LCM_OK) st = lcm_read_file(ctx, &b, path, NAME_CAP);
    if (st == LCM_OK && b.len > 0 && b.data[b.len - 1] == '\n') {
        b.data[b.len - 1] = '\0';
        step = step_of(b.data);
    }
    lcm_buf_free(&b);
    if (step < 0 && st != LCM_ERR_NOTFOUND)
        lcm_log(ctx, LCM_LOG_WARN, "'%s/latest' does not name a checkpoint, the newest is looked for", dir);
    return step;
}

static lcm_status try_step(lcm_ctx *ctx, char *path, size_t cap, const char *dir, int64_t step) {
    char name[NAME_CAP];
    lcm_status st;
    step_name(name, step);
    LCM_TRY(lcm_path_join(ctx, path, cap, dir, name));
    st = lcm_checkpoint_verify(ctx, path);
    if (st) lcm_log(ctx, LCM_LOG_WARN, "checkpoint %s is not used: %s", name, lcm_ctx_message(ctx));
    return st;
}

lcm_status lcm_rundir_latest(lcm_ctx *ctx, char *path, size_t cap, int64_t *step, const char *dir) {
    int64_t named = read_latest(ctx, dir), *steps, found = -1;
    size_t n;
    bool newer = false;
    lcm_status st = LCM_ERR_NOTFOUND;
    if (named >= 0) st = try_step(ctx, path, cap, dir, named);
    if (st == LCM_OK) found = named;
    else {
        newer = st == LCM_ERR_VERSION;
        LCM_TRY(list_steps(ctx, &steps, &n, dir));
        for (size_t i = 0; i < n && found < 0; i++) {
            if (steps[i] == named) continue;
            st = try_step(ctx, path, cap, dir, steps[i]);
            if (st == LCM_OK) found = steps[i];
            newer = newer || st == LCM_ERR_VERSION;
        }
        free(steps);
    }
    if (found < 0)
        LCM_FAIL(ctx, newer ? LCM_ERR_VERSION : LCM_ERR_NOTFOUND, "no checkpoint in '%s' can be loaded%s", dir,
                 newer ? ": written by a later version of lcm" : "");
    if (step) *step = found;
    return LCM_OK;
}
