/* 16-bit floating point, by bits: no table, no dependence on the CPU's rounding mode. */
#include "base/half.h"

#include <string.h>

static uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float lcm_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 31u, man = h & 0x3ffu;
    if (exp == 31) return float_of(sign | 0x7f800000u | man << 13);
    if (exp == 0) { /* zero and subnormals: man * 2^-24 is exact */
        float f = (float)man * 0x1p-24f;
        return sign ? -f : f;
    }
    return float_of(sign | (exp + 112) << 23 | man << 13);
}

uint16_t lcm_f32_to_f16(float f) {
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu, shift, man, half, low;
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (a >> 13 & 0x3ffu));
    if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and above round to infinity */
    if (a >= 0x38800000u) {                                  /* normal: a carry moves into the exponent */
        a += 0xfffu + (a >> 13 & 1u);
        return (uint16_t)(sign | ((a >> 13) - (112u << 10)));
    }
    if (a < 0x33000000u) return (uint16_t)sign; /* below half of the smallest subnormal */
    shift = 126 - (a >> 23);                    /* 14 … 24: the unit becomes 2^-24 */
    man = (a & 0x7fffffu) | 0x800000u;
    half = 1u << (shift - 1);
    low = man & (2 * half - 1);
    man >>= shift;
    if (low > half || (low == half && (man & 1u))) man++;
    return (uint16_t)(sign | man);
}

float lcm_bf16_to_f32(uint16_t h) { return float_of((uint32_t)h << 16); }

uint16_t lcm_f32_to_bf16(float f) {
    uint32_t u = bits_of(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}
