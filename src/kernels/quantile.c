/* Hoare's selection with pseudo-random pivots. */
#include "kernels/quantile.h"

/* Afterwards v[k] is the k-th smallest, nothing left of it is larger, nothing right of it smaller.
 * Every scan stops at the pivot or at an element already swapped, also when comparisons are
 * false for NaN, so i and j stay in [lo, hi]. */
static void select_kth(real *v, int64_t n, int64_t k) {
    int64_t lo = 0, hi = n - 1;
    uint64_t state = (uint64_t)n;
    while (lo < hi) {
        int64_t i = lo, j = hi;
        real pivot;
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        pivot = v[lo + (int64_t)((state >> 33) % (uint64_t)(hi - lo + 1))];
        do {
            while (v[i] < pivot) i++;
            while (pivot < v[j]) j--;
            if (i <= j) {
                real x = v[i];
                v[i++] = v[j];
                v[j--] = x;
            }
        } while (i <= j);
        if (k <= j)
            hi = j;
        else if (k >= i)
            lo = i;
        else
            return;
    }
}

double lcm_quantile(real *v, int64_t n, double q) {
    double rank = q * (double)(n - 1), below, above;
    int64_t k = (int64_t)rank;
    select_kth(v, n, k);
    below = above = (double)v[k];
    if (k + 1 < n) {
        above = (double)v[k + 1];
        for (int64_t i = k + 2; i < n; i++)
            if ((double)v[i] < above) above = (double)v[i];
    }
    return below + (above - below) * (rank - (double)k);
}
