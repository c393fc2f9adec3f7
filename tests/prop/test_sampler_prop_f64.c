/* The same properties with real = double, where tolerances are 5e8 times tighter. */
#include "prop/test_sampler_prop.c"
