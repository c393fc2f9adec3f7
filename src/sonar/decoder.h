/* Incremental SONAR decoder: one token per row and step, with a cache of keys and values.
 *
 * Rows are hypotheses; all stand at the same position. A row's history may run through other
 * rows: the cache stores what each step wrote where, and an ancestry table says which slot a row
 * reads at each earlier position. Reordering beams therefore moves a few integers and no keys.
 * c_l(e), the constant that cross-attention adds (sonar/model.h), is computed once per concept. */
#ifndef LCM_SONAR_DECODER_H
#define LCM_SONAR_DECODER_H

#include "sonar/net.h"

typedef struct lcm_sonar_decoder lcm_sonar_decoder;

/* Room for max_concepts vectors, max_rows rows, max_len positions; later calls allocate nothing.
 * The net is borrowed. LCM_ERR_LIMIT when max_len exceeds the model's max_seq_len. */
lcm_status lcm_sonar_decoder_new(lcm_ctx *ctx, lcm_sonar_decoder **out, const lcm_sonar_net *net, int64_t max_concepts,
                                 int64_t max_rows, int64_t max_len);
void lcm_sonar_decoder_free(lcm_sonar_decoder *d); /* NULL is allowed */

/* Starts n sentences: concepts (n, E). Row i begins on concept i. */
void lcm_sonar_decoder_begin(lcm_sonar_decoder *d, const real *concepts, int64_t n);

/* Feeds token[r] to row r at the next position; returns the logits (rows, V), owned by d and valid
 * until the next call. */
real *lcm_sonar_decoder_step(lcm_sonar_decoder *d, const int32_t *token);

/* New rows: row i continues what row from[i] was. n <= max_rows. */
void lcm_sonar_decoder_reorder(lcm_sonar_decoder *d, const int32_t *from, int64_t n);

int64_t lcm_sonar_decoder_rows(const lcm_sonar_decoder *d);

#endif
