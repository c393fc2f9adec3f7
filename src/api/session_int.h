/* What the files of src/api share about a session. */
#ifndef LCM_SESSION_INT_H
#define LCM_SESSION_INT_H

#include "api/bundle_int.h"
#include "lcm/session.h"
#include "sonar/codec.h"

struct lcm_session {
    const lcm_bundle *bundle;
    lcm_codec *codec;
    real *wide; /* rows as `real`, for calls with float rows */
    size_t wide_cap;
};

/* LCM_ERR_ARG "…: the decoder is not loaded" when one of `parts` is missing. */
lcm_status lcm_session_needs(lcm_ctx *ctx, const lcm_session *s, int parts);

/* lcm_session_generate of a bundle that is a llama. */
lcm_status lcm_session_tell(lcm_ctx *ctx, lcm_generated_text *out, lcm_session *s, const char *text, size_t len,
                            const lcm_generation *opts, lcm_concept_fn fn, void *user);

#endif
