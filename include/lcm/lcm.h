/* liblcm: Large Concept Models, from text to text.
 *
 * A concept is one vector per sentence. Four calls go from a text to its continuation:
 *
 *     lcm_ctx *ctx = lcm_ctx_new();
 *     lcm_bundle *b;   lcm_bundle_open(ctx, &b, "models/stories", LCM_LOAD_ENCODER | LCM_LOAD_DECODER | LCM_LOAD_MODEL);
 *     lcm_session *s;  lcm_session_new(ctx, &s, b);
 *     lcm_session_generate(ctx, NULL, s, text, strlen(text), NULL, on_concept, user);
 *
 * Rules that hold for every function:
 *
 *   errors    A function that can fail returns lcm_status; LCM_OK is 0. One line of detail is in the
 *             context it was given (lcm_ctx_message). Outputs come first and are NULL or untouched on failure.
 *   memory    A pointer that is returned is borrowed; what comes through `**out` is the caller's, to be
 *             given back with the matching _free, _close or lcm_free.
 *   threads   A context and a session belong to one thread at a time. Bundles are immutable and shared.
 *   manners   The library never exits, prints, reads the environment or installs a signal handler.
 *   numbers   Vectors are float32, row-major, [n, D]. Text is UTF-8.
 *
 * examples/continue_text.c is a whole program. */
#ifndef LCM_H
#define LCM_H

#include "lcm/blaser_score.h"
#include "lcm/build.h"
#include "lcm/bundle.h"
#include "lcm/concept_store.h"
#include "lcm/convert.h"
#include "lcm/ctx.h"
#include "lcm/curve.h"
#include "lcm/eval.h"
#include "lcm/eval_run.h"
#include "lcm/eval_scorer.h"
#include "lcm/export.h"
#include "lcm/language.h"
#include "lcm/modelinfo.h"
#include "lcm/quantize.h"
#include "lcm/session.h"
#include "lcm/status.h"
#include "lcm/text.h"
#include "lcm/train.h"
#include "lcm/vectors.h"
#include "lcm/vocab.h"

#endif
