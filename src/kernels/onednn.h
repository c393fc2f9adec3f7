/* Which oneDNN is loaded. */
#ifndef LCM_ONEDNN_H
#define LCM_ONEDNN_H

#include <stddef.h>

/* "MAJOR.MINOR.PATCH" into dst. */
void lcm_onednn_version_name(char *dst, size_t cap);

#endif
