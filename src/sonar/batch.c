/* Packing token sequences. */
#include "sonar/batch.h"

#include <string.h>

#include "token/tokenizer.h"

lcm_status lcm_sonar_packer_begin(lcm_ctx *ctx, lcm_sonar_packer *p, lcm_arena *arena, int64_t n, int64_t T) {
    size_t bytes = (size_t)T * sizeof(int32_t);
    memset(p, 0, sizeof *p);
    p->ids = lcm_arena_alloc(arena, bytes);
    p->pos = lcm_arena_alloc(arena, bytes);
    p->seg = lcm_arena_alloc(arena, bytes);
    p->limit = lcm_arena_alloc(arena, bytes);
    p->off = lcm_arena_alloc(arena, (size_t)(n + 1) * sizeof(int32_t));
    if (!p->ids || !p->pos || !p->seg || !p->limit || !p->off)
        LCM_FAIL(ctx, LCM_ERR_NOMEM, "out of memory: a batch of %lld tokens", (long long)T);
    p->off[0] = 0;
    p->b = (lcm_sonar_batch){0, 0, p->ids, p->off, p->pos, p->seg, p->limit};
    return LCM_OK;
}

void lcm_sonar_packer_push(lcm_sonar_packer *p, const int32_t *head, int64_t n_head, lcm_pieces s, const int32_t *tail,
                           int64_t n_tail) {
    int64_t at = p->b.T, len = n_head + s.n + n_tail;
    memcpy(p->ids + at, head, (size_t)n_head * sizeof *head);
    if (s.n > 0) memcpy(p->ids + at + n_head, s.ids, (size_t)s.n * sizeof *s.ids); /* NULL has no pieces */
    if (n_tail > 0) memcpy(p->ids + at + n_head + s.n, tail, (size_t)n_tail * sizeof *tail);
    for (int64_t i = 0; i < len; i++) {
        p->pos[at + i] = (int32_t)i;
        p->seg[at + i] = (int32_t)p->b.n;
        p->limit[at + i] = (int32_t)(i + 1);
    }
    p->b.T += len;
    p->off[++p->b.n] = (int32_t)p->b.T;
}

void lcm_sonar_packer_push_target(lcm_sonar_packer *p, int32_t *target, lcm_pieces s, int32_t lang) {
    int32_t head[2] = {LCM_ID_EOS, lang}, *to = target + p->b.T;
    lcm_sonar_packer_push(p, head, 1 + (lang >= 0), s, NULL, 0);
    if (lang >= 0) *to++ = lang;
    if (s.n > 0) memcpy(to, s.ids, (size_t)s.n * sizeof *to);
    to[s.n] = LCM_ID_EOS;
}
