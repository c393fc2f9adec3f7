/* The table of what can be trained: a new kind is one line here. */
#include "train/run.h"

const lcm_run_kind *const lcm_run_kinds[] = {
    &lcm_run_sonar,
    &lcm_run_distill,
    &lcm_run_rvq,
    &lcm_run_base,
    &lcm_run_one_tower,
    &lcm_run_quant_c,
    &lcm_run_quant_d,
    &lcm_run_two_tower,
    &lcm_run_llama,
    &lcm_run_coherence,
    NULL,
};
