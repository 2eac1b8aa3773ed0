/* Finds where a wheel's signal is cut off. See clip.h. */
#include "clip.h"

/* So many equal samples in a row do not happen by chance on a channel whose noise spans that many counts. Once it is known
 * where, a few samples are enough. */
enum { FLAT_SAMPLES = 16, FLAT_AGAIN = 2 };
static const double FLAT_NOISE = 6.0;

void clip_begin(clip *c)
{
    c->equal = 0;
}

bool clip_take(clip *c, const int32_t *raw, const double *y, int n, double half, double range)
{
    bool cut = false;
    for (int i = 0; i < n; ++i) {
        c->equal = raw[i] == c->last ? c->equal + 1 : 0;
        c->last = raw[i];
        if (at_rail(raw[i])) {
            cut = true;
            continue;
        }
        if (c->known && raw[i] > c->ceiling + 1) c->known = false;
        if (c->equal < FLAT_AGAIN) continue;
        if (c->equal >= FLAT_SAMPLES && range >= FLAT_NOISE && y[i] > half) {
            c->ceiling = raw[i];
            c->known = cut = true;
        } else if (c->known && raw[i] >= c->ceiling) {
            cut = true;
        }
    }
    return cut;
}
