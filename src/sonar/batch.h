/* Packs token sequences for the SONAR passes. */
#ifndef LCM_SONAR_BATCH_H
#define LCM_SONAR_BATCH_H

#include "sonar/model.h"

/* A sequence = optional first ids, then pieces, then an optional last id. */
typedef struct lcm_pieces {
    const int32_t *ids;
    int64_t n;
} lcm_pieces;

/* Reserves arrays for n sequences of T tokens in all, in the arena. Fill with lcm_sonar_packer_push. */
typedef struct lcm_sonar_packer {
    lcm_sonar_batch b; /* grows with every push */
    int32_t *ids, *off, *pos, *seg, *limit;
} lcm_sonar_packer;

lcm_status lcm_sonar_packer_begin(lcm_ctx *ctx, lcm_sonar_packer *p, lcm_arena *arena, int64_t n, int64_t T);
/* Appends head[0 … n_head-1], the pieces, tail[0 … n_tail-1] as one sequence. */
void lcm_sonar_packer_push(lcm_sonar_packer *p, const int32_t *head, int64_t n_head, lcm_pieces s, const int32_t *tail,
                           int64_t n_tail);
/* The decoder reads </s>, the language token unless lang is -1, and the pieces; what it is to answer at each place, one
 * place ahead and </s> at the last, goes to target + p->b.T, as of before the call. */
void lcm_sonar_packer_push_target(lcm_sonar_packer *p, int32_t *target, lcm_pieces s, int32_t lang);

#endif
