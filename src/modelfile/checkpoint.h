/* Run folder: checkpoints of one training run, of which `latest` can always be loaded.
 *
 *   RUN/lock                     held (flock) by the process that trains
 *   RUN/latest                   one line, the folder name of the newest checkpoint
 *   RUN/step_00001000/           files of the caller's choice, and
 *                manifest.json   {"format": 1, "step": 1000, "files": {NAME: {"bytes", "hash"}}}
 *   RUN/step_00002000.tmp/       being written, or left by a crash: removed by the next open
 *
 * A save writes into step_N.tmp, flushes every file, the manifest last, renames the folder,
 * flushes RUN, replaces `latest`, and only then removes what is superseded. Killed anywhere, or out
 * of disk, it leaves the checkpoint before it as it was. */
#ifndef LCM_CHECKPOINT_H
#define LCM_CHECKPOINT_H

#include "modelfile/safetensors.h"

typedef struct lcm_rundir lcm_rundir;

/* One file of a checkpoint: a safetensors writer, or plain bytes when `st` is NULL. */
typedef struct lcm_ckpt_file {
    const char *name; /* no '/', no leading '.', not "manifest.json" */
    lcm_st_writer *st;
    const void *data;
    size_t len;
} lcm_ckpt_file;

/* Creates the folder when needed, takes its lock and removes leftovers of a crash.
 * LCM_ERR_BUSY when another process, or another handle, holds it; LCM_ERR_IO. */
lcm_status lcm_rundir_open(lcm_ctx *ctx, lcm_rundir **out, const char *dir);
void lcm_rundir_close(lcm_rundir *r); /* NULL is allowed */
const char *lcm_rundir_path(const lcm_rundir *r);

/* Saves step `step` (≥ 0) and keeps the `keep_last` newest checkpoints up to it (0: all). Saving a
 * step again replaces it. Checkpoints of later steps (left by a run that was wound back) are not
 * touched, and nothing is removed before the new one was read back and verified; a failure to
 * remove is a warning. After an error the checkpoint before still loads. Where the disk may fill up
 * under a file-size limit, ignore SIGXFSZ. LCM_ERR_ARG, LCM_ERR_IO, LCM_ERR_NOMEM. */
lcm_status lcm_rundir_save(lcm_ctx *ctx, lcm_rundir *r, int64_t step, const lcm_ckpt_file *files, size_t n,
                           int keep_last);

/* Path of the checkpoint that `latest` names if it verifies, else of the newest that does (with a
 * warning for each that does not). Needs no lock, changes nothing. LCM_ERR_NOTFOUND when there is
 * none, LCM_ERR_VERSION when there are but of a later version of lcm. `step` may be NULL. */
lcm_status lcm_rundir_latest(lcm_ctx *ctx, char *path, size_t cap, int64_t *step, const char *dir);

/* Reads the whole checkpoint and compares it with its manifest. LCM_ERR_FORMAT, _NOTFOUND, _IO,
 * _VERSION. */
lcm_status lcm_checkpoint_verify(lcm_ctx *ctx, const char *path);

#endif
