#include "kernels/onednn.h"

#include <dnnl.h>
#include <stdio.h>

void lcm_onednn_version_name(char *dst, size_t cap) {
    const dnnl_version_t *v = dnnl_version();
    snprintf(dst, cap, "%d.%d.%d", v->major, v->minor, v->patch);
}
