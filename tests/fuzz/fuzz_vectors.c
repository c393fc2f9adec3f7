/* Any bytes as a matrix of vectors: refused with a message, or a matrix of finite numbers that comes
 * back the same when it is written as npy. */
#include "target.h"

#include <math.h>

#include "lcm/train.h"
#include "lcm/vectors.h"

static void write_again(lcm_ctx *ctx, const float *x, int64_t n, int64_t dim) {
    size_t len, bytes = (size_t)(n * dim) * sizeof *x;
    char *head, *all;
    float *y;
    int64_t n2, dim2;
    check(lcm_vectors_header(ctx, &head, &len, LCM_VECTORS_NPY, n, dim) == LCM_OK);
    all = malloc(len + bytes + 1);
    check(all != NULL);
    memcpy(all, head, len);
    if (bytes) memcpy(all + len, x, bytes);
    check(lcm_vectors_parse(ctx, &y, &n2, &dim2, all, len + bytes) == LCM_OK);
    check(n2 == n && dim2 == dim && (bytes == 0 || memcmp(x, y, bytes) == 0));
    lcm_free(y);
    lcm_free(head);
    free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lcm_ctx *ctx = lcm_ctx_new();
    float *x;
    int64_t n, dim;
    if (ctx == NULL) return 0;
    if (lcm_vectors_parse(ctx, &x, &n, &dim, data, size) == LCM_OK) {
        check(n >= 0 && dim >= 0 && (uint64_t)(n * dim) <= 4 * (uint64_t)size); /* the shortest: "1," of JSON, f2 */
        for (int64_t i = 0; i < n * dim; i++) check(isfinite(x[i]));
        if (dim > 0) write_again(ctx, x, n, dim);
        lcm_free(x);
    } else check(x == NULL && lcm_ctx_message(ctx)[0] != '\0');
    lcm_ctx_free(ctx);
    return 0;
}
