/* Training loss of the two-tower model. */
#include "lcm/noisy_targets.h"
#include "lcm/two_tower.h"

lcm_status lcm_two_tower_loss(lcm_ctx *ctx, lcm_model_loss *out, lcm_tape *t, const lcm_two_tower *m,
                              const lcm_concept_batch *b, const lcm_criterion *c, const lcm_draws *draws) {
    int64_t D = m->model.embed_dim, T;
    lcm_packed packed;
    lcm_tensor *context, *p;
    real *z;
    lcm_noisy_targets g;
    lcm_two_tower_mask mask;
    LCM_TRY(lcm_concept_batch_check(ctx, b, m->model.max_seq_len));
    T = b->off[b->n_docs];
    z = lcm_model_normalize(t, &m->model, b->x, T, 0);
    packed = lcm_packed_make(t, b->n_docs, b->off);
    LCM_TRY(lcm_tape_status(t));
    LCM_TRY(lcm_noisy_targets_make(ctx, &g, t, &m->model, z, b, c, draws));
    mask = lcm_two_tower_mask_make(t, b, g.dropped);
    LCM_TRY(lcm_tape_status(t));
    context = lcm_two_tower_encode(t, m, lcm_tensor_const(t, z, T, D), &packed);
    p = lcm_two_tower_denoise(t, m, lcm_tensor_const(t, g.noisy, g.R, D), g.level, context, &mask);
    out->n_targets = g.R;
    out->t = g.level;
    lcm_model_loss_finish(t, out, &m->model, p, g.target, g.w, NULL, &c->config);
    return lcm_decoder_loss_add(ctx, out, t, &m->model, p, g.target, lcm_targets_text(t, b, g.R), g.w, c, draws);
}
