/* 16-bit numbers to real, exactly, n at a time. */
#ifndef LCM_WIDEN_H
#define LCM_WIDEN_H

#include "kernels/real.h"

void lcm_k_widen_f16(real *dst, const uint16_t *src, int64_t n);
void lcm_k_widen_bf16(real *dst, const uint16_t *src, int64_t n);

#endif
