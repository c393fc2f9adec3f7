/* Full attention over packed segments for inference: every query sees every key of its segment.
 *
 * The same sums as lcm_k_attention_fwd without limits, four queries at a time and with the keys of a head
 * transposed, so that vectors run along keys. Queries and keys are the same tokens: q, k, v, o (T, H*K), row
 * stride H*K, segment s = rows off[s] … off[s+1]-1. A segment's result does not depend on the others. */
#ifndef LCM_ATTEND_H
#define LCM_ATTEND_H

#include "kernels/real.h"

/* Values of scratch that one thread needs for segments of up to `longest` rows. */
int64_t lcm_k_attend_scratch(int64_t longest, int64_t K);

/* scratch: 64-byte aligned, `threads` times that. */
void lcm_k_attend(real *o, const real *q, const real *k, const real *v, const int32_t *off, int64_t n_seg, int64_t H,
                  int64_t K, real *scratch, int64_t longest);

/* Bytes of the vectors it takes on this CPU, 64, 32 or 16; the same by vectors of at most `width` bytes, which is not
 * above that. All give the same bits. */
int lcm_k_attend_width(void);
void lcm_k_attend_by(int width, real *o, const real *q, const real *k, const real *v, const int32_t *off, int64_t n_seg,
                     int64_t H, int64_t K, real *scratch, int64_t longest);

#endif
