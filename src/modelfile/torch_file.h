/* PyTorch checkpoints (.pt): tensors by name, without PyTorch.
 *
 * Two containers: the ZIP archive of torch >= 1.6 (entries stored, ROOT/data.pkl and ROOT/data/KEY) and the stream of
 * older versions. The pickle goes through modelfile/pickle.h, which executes nothing. The tensors are those of the
 * state dictionary: the value of the key that "model_key" names, else of "model", "state_dict" or "module", else the
 * whole. A prefix "module." that all names have is dropped.
 *
 * Checked before a tensor is shown: its storage is in the file and has the size that the pickle says, and the
 * tensor lies within it. Compressed or encrypted entries are refused. Memory: what pickle.h promises, under 1 KB per tensor
 * and archive entry, and, while a tensor is read that is not contiguous, its storage. */
#ifndef LCM_TORCH_FILE_H
#define LCM_TORCH_FILE_H

#include "modelfile/pickle.h"

typedef struct lcm_torch lcm_torch;

typedef struct lcm_torch_tensor {
    const char *name; /* without "module." */
    const lcm_pickle_tensor *view;
    size_t storage; /* for lcm_torch_read */
} lcm_torch_tensor;

/* Whether the bytes begin as a file of torch.save does. */
bool lcm_torch_is(const uint8_t *bytes, size_t len);

/* Over `len` bytes that outlive the result. LCM_ERR_FORMAT, LCM_ERR_LIMIT, LCM_ERR_UNSUPPORTED, LCM_ERR_NOMEM. */
lcm_status lcm_torch_parse(lcm_ctx *ctx, lcm_torch **out, const uint8_t *bytes, size_t len);
void lcm_torch_free(lcm_torch *t); /* NULL is allowed */

/* By name, ascending. */
size_t lcm_torch_count(const lcm_torch *t);
const lcm_torch_tensor *lcm_torch_at(const lcm_torch *t, size_t i);
/* What kind of file it is, for people: "PyTorch (zip), key 'model', marked fs2". */
const char *lcm_torch_layout(const lcm_torch *t);

/* Copies elements first … first + n - 1 of a tensor, in row-major order of its shape, to dst in the tensor's own type.
 * Reading a contiguous tensor of an archive from its first element to its last checks the archive's
 * sum of it, too. LCM_ERR_FORMAT when the sum is wrong, LCM_ERR_NOMEM. */
lcm_status lcm_torch_read(lcm_ctx *ctx, lcm_torch *t, void *dst, const lcm_torch_tensor *x, int64_t first, int64_t n);

#endif
