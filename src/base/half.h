/* 16-bit floating point as storage: IEEE 754 binary16 and bfloat16, to and from float.
 *
 * Narrowing rounds to nearest, ties to even; overflow gives infinity, as the hardware does. A NaN
 * stays a NaN (made quiet, upper payload bits kept). Widening is exact. */
#ifndef LCM_HALF_H
#define LCM_HALF_H

#include <stdint.h>

float lcm_f16_to_f32(uint16_t h);
uint16_t lcm_f32_to_f16(float f);
float lcm_bf16_to_f32(uint16_t h);
uint16_t lcm_f32_to_bf16(float f);

#endif
