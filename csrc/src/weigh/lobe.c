/* How deep the bow wave's dip is beside a footprint: a running estimate. See lobe.h. */
#include "lobe.h"

#include <math.h>

const double LOBE_NEAR = 0.6, LOBE_FAR0 = 4.5, LOBE_FAR1 = 6.5;

static const double UNKNOWN = 0.01;      /* deviation before anything was seen */
static const double WANDER = 0.0004;     /* what it changes by from axle to axle: temperature of the road */
static const double SCATTER = 0.2;       /* from wheel to wheel, relative */
static const double LEAST = 0.0015;      /* a shallower dip is left alone */
static const double AFTER_BEFORE = 0.8;  /* behind a wheel, when only the side before was seen */

void lobes_init(lobes *l)
{
    for (int i = 0; i < 2; ++i) {
        l->side[i].share = 0.0;
        l->side[i].var = UNKNOWN * UNKNOWN;
    }
    l->waiting = false;
}

void lobes_learn(lobes *l, int side, double near_value, double far_value, double peak, double sigma)
{
    lobe_side *s = &l->side[side];
    const double seen = (far_value - near_value) / peak;
    if (fabs(seen) > 0.08) return; /* no road bends that much: something else was there */
    const double scatter = SCATTER * (fabs(s->share) > LEAST ? fabs(s->share) : LEAST);
    const double var = sigma * sigma / (peak * peak) + scatter * scatter;
    s->var += WANDER * WANDER;
    const double k = s->var / (s->var + var);
    s->share += k * (seen - s->share);
    s->var *= 1.0 - k;
}

double lobes_share(const lobes *l, int side, double *sigma)
{
    const lobe_side *s = &l->side[side], *b = &l->side[LOBE_BEFORE];
    double share = s->share, var = s->var;
    if (side == LOBE_AFTER && b->share > LEAST) {
        /* Both sides of one road: alike until the other is known. */
        const double guess = AFTER_BEFORE * b->share, guess_var = b->var + 0.04 * b->share * b->share;
        share = (share * guess_var + guess * var) / (var + guess_var);
        var = var * guess_var / (var + guess_var);
    }
    *sigma = sqrt(var) + SCATTER * fabs(share);
    return share > LEAST && share > (side == LOBE_AFTER ? 2.0 : 3.0) * sqrt(var) ? share : 0.0;
}
