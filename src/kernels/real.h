/* The number type of kernels, tape and models: float in the product, double in the library
 * that gradient checks run on. Chosen at compile time, never by name mangling. */
#ifndef LCM_REAL_H
#define LCM_REAL_H

#include <math.h>
#include <stdint.h>

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
static inline float r_exp(float x) { return expf(x); }
static inline float r_sqrt(float x) { return sqrtf(x); }
static inline float r_tanh(float x) { return tanhf(x); }
static inline float r_erf(float x) { return erff(x); }
#endif

#endif
