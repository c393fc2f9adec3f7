/* Sentences and what they stand for. */
#include "sonar/pairs.h"

static lcm_pieces pieces_of(const lcm_corpus *c, int64_t i) { return (lcm_pieces){c->ids + c->off[i], c->lengths[i]}; }

lcm_sonar_item lcm_sonar_item_of(const lcm_sonar_data *d, int64_t i) {
    return (lcm_sonar_item){pieces_of(d->source, i), pieces_of(d->target, i), d->source_lang ? d->source_lang[i] : d->lang,
                            d->target_lang ? d->target_lang[i] : d->lang};
}

int64_t lcm_sonar_longer_side(const lcm_sonar_data *d, int64_t i) {
    int64_t a = d->source->lengths[i], b = d->target->lengths[i];
    return a > b ? a : b;
}

void lcm_sonar_costs(int64_t *cost, const lcm_sonar_data *d) {
    for (int64_t i = 0; i < d->target->n; i++) cost[i] = lcm_sonar_longer_side(d, i) + 1 + (d->lang >= 0);
}
