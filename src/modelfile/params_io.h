/* A parameter set as tensors of a safetensors file: vectors have rank 1, matrices rank 2. */
#ifndef LCM_PARAMS_IO_H
#define LCM_PARAMS_IO_H

#include "modelfile/safetensors.h"
#include "nn/params.h"

/* Adds every parameter; x is the flat block (NULL = p->x). Data is borrowed until the commit. */
lcm_status lcm_params_put(lcm_ctx *ctx, lcm_st_writer *w, const lcm_params *p, const real *x, lcm_dtype dtype);

/* Reads every parameter by name. LCM_ERR_NOTFOUND, LCM_ERR_SHAPE, LCM_ERR_NUMERIC name the tensor. */
lcm_status lcm_params_get(lcm_ctx *ctx, lcm_params *p, const lcm_st *st);

#endif
