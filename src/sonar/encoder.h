/* SONAR encoder for inference: packed token sequences to concepts.
 *
 * One sentence's result does not depend on the others of a pass: bit for bit with int8 weights, up to rounding
 * otherwise. An encoder belongs to one thread; the net may be shared. */
#ifndef LCM_SONAR_ENCODER_H
#define LCM_SONAR_ENCODER_H

#include "sonar/net.h"

typedef struct lcm_sonar_encoder lcm_sonar_encoder;

/* The net is borrowed. */
lcm_status lcm_sonar_encoder_new(lcm_ctx *ctx, lcm_sonar_encoder **out, const lcm_sonar_net *net);
void lcm_sonar_encoder_free(lcm_sonar_encoder *e); /* NULL is allowed */

/* Tokens of a pass that keep its working memory in the caches: a good size, not a limit. */
int64_t lcm_sonar_encoder_pass(const lcm_sonar_net *net);

/* pooling: the model's, which gives out (n, E), or another one of lcm_pool, (n, D). Memory of a pass is kept for the next.
 * LCM_ERR_NOMEM. */
lcm_status lcm_sonar_encoder_run(lcm_ctx *ctx, real *out, lcm_sonar_encoder *e, const lcm_sonar_batch *b, int pooling);

#endif
