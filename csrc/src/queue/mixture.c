/* What one may expect who comes into one of several lanes: quantiles of a mixture of samples.
 *
 * In: sorted samples of each lane, and the shares of vehicles that choose it; out: quantiles. Called by edge/core.py.
 */
#include "borderflow_core.h"

#include <math.h>
#include <stddef.h>

#define HALVINGS 20 /* of the range of all samples: to a hundredth of a second where it is hours */

/* How many of the `n` sorted samples are at most `x`. */
static int32_t up_to(const double *samples, int32_t n, double x)
{
    int32_t low = 0, high = n;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (samples[middle] <= x) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bf_status bf_mixture(const double *samples, int32_t stride, const bf_component *parts, int32_t n_parts, const double *q,
                     int32_t n_q, double *out)
{
    if (samples == NULL || parts == NULL || n_parts < 1 || q == NULL || n_q < 0 || out == NULL) {
        return BF_ERR_ARGUMENT;
    }
    double total = 0.0, least = INFINITY, most = -INFINITY;
    for (int32_t p = 0; p < n_parts; p++) {
        if (parts[p].row < 0 || parts[p].n < 1 || parts[p].n > stride || !(parts[p].weight > 0.0)) {
            return BF_ERR_ARGUMENT;
        }
        const double *mine = samples + (ptrdiff_t)parts[p].row * stride;
        total += parts[p].weight;
        least = fmin(least, mine[0]);
        most = fmax(most, mine[parts[p].n - 1]);
    }
    for (int32_t i = 0; i < n_q; i++) {
        double low = least, high = most;
        for (int halving = 0; halving < HALVINGS && low < high; halving++) {
            double middle = 0.5 * (low + high), reached = 0.0;
            for (int32_t p = 0; p < n_parts; p++) {
                const double *mine = samples + (ptrdiff_t)parts[p].row * stride;
                reached += parts[p].weight * (double)up_to(mine, parts[p].n, middle) / (double)parts[p].n;
            }
            if (reached < q[i] * total) {
                low = middle;
            } else {
                high = middle;
            }
        }
        out[i] = high;
    }
    return BF_OK;
}
