/* Concepts replaced by their quantised versions, to train a decoder on (arXiv 2412.08821 §2.3.5). */
#ifndef LCM_RVQ_MAP_H
#define LCM_RVQ_MAP_H

#include "quant/rvq_io.h"
#include "sonar/objective.h"

typedef struct lcm_rvq_map {
    lcm_concept_map map;
    const lcm_rvq_file *file;
    double cut_prob; /* share of sentences with the first k codebooks only … */
    double cut_from; /* … k uniform in ceil(cut_from K) … K, at least 1 */
} lcm_rvq_map;

/* The file is borrowed. */
lcm_rvq_map lcm_rvq_map_make(const lcm_rvq_file *file, double cut_prob, double cut_from);

#endif
