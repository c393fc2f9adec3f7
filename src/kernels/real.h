/* The number type of kernels, tape and models: float in the product, double in the library
 * that gradient checks run on. Chosen at compile time, never by name mangling. */
#ifndef LCM_REAL_H
#define LCM_REAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef LCM_REAL_F64
typedef double real;
#define LCM_REAL_NAME "f64"
static inline double r_exp(double x) { return exp(x); }
static inline double r_sqrt(double x) { return sqrt(x); }
static inline double r_tanh(double x) { return tanh(x); }
static inline double r_erf(double x) { return erf(x); }
#else
typedef float real;
#define LCM_REAL_NAME "f32"
/* exp, within 1 ulp. libm's expf is a call per element; this inlines into vector loops.
 * x = n ln 2 + r, |r| <= ln 2 / 2; polynomial of Cephes' expf; 2^n in two factors, so that
 * overflow gives infinity and the smallest results are subnormal. NaN stays NaN. */
static inline float r_exp(float x) {
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it leaves the nearest integer in the low bits */
    float t, n, r, y, a, b;
    int32_t bits, half;
    uint32_t fa, fb;
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    t = x * 1.44269504088896341f + round;
    n = t - round;
    r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    y = 1.9875691500e-4f;
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    memcpy(&bits, &t, sizeof bits);
    bits -= 0x4B400000; /* the bits of `round`: n as an integer */
    half = bits >> 1;
    fa = (uint32_t)(half + 127) << 23;
    fb = (uint32_t)(bits - half + 127) << 23;
    memcpy(&a, &fa, sizeof a);
    memcpy(&b, &fb, sizeof b);
    return y * a * b;
}
static inline float r_sqrt(float x) { return sqrtf(x); }
static inline float r_tanh(float x) { return tanhf(x); }
static inline float r_erf(float x) { return erff(x); }
#endif

#endif
