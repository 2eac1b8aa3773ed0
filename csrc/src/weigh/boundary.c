/* Where one vehicle ends and the next begins: how far apart their axles are. See boundary.h. */
#include "boundary.h"

#include <math.h>

/* Two that drive follow each other in time: so near behind nobody drives, in seconds from bumper to bumper. */
static double headway_cost(const spacing *s, double v)
{
    static const double OVERHANGS_M = 2.2, USUAL_S = 0.8, SPREAD_S = 0.2, SLOW_MPS = 4.0, FAST_MPS = 7.0;
    if (!(v > SLOW_MPS)) return 0.0;
    const double behind_s = (s->hi - OVERHANGS_M) / v, r = (USUAL_S - behind_s) / SPREAD_S;
    const double cost = r > 0.0 ? (r < 4.5 ? 0.5 * r * r : 10.0) : 0.0;
    return v < FAST_MPS ? cost * (v - SLOW_MPS) / (FAST_MPS - SLOW_MPS) : cost;
}

/* From the last axle of a vehicle to the first of the next are both overhangs and the gap: so far where they queue. */
static const double QUEUED_M = 8.0;

/* How much nearer than between two lorries: cars and motorcycles end sooner behind their wheels, and begin later before them. */
static double shorter(double kg, double car_m, double bike_m)
{
    static const double CAR_KG = 2000.0, BIKE_KG = 280.0;
    return kg > CAR_KG ? 0.0 : (kg > BIKE_KG ? car_m : bike_m);
}

static double shorter_behind(const axle_seen *last)
{
    return shorter(last->kg, 0.8, 1.3);
}

static double shorter_before(const axle_seen *first)
{
    return shorter(first->kg, 0.45, 0.95);
}

/* Nearer than this no two vehicles can be with their axles: what stands out behind a last and before a first one does not fold. */
static double nearest_m(const axle_row *r, int k)
{
    static const double LORRIES_M = 2.2, ANY_M = 0.3;
    return fmax(LORRIES_M - shorter_behind(&r->axles[k - 1]) - shorter_before(&r->axles[k]), ANY_M);
}

/* Density of what was seen before axle k, if it is the first of a vehicle that follows at a queue's distance. */
static double follows(const axle_row *r, int k)
{
    static const double ODD = 0.2, ODD_TO_M = 13.0, REACHES = 4.0;
    const double from_m = nearest_m(r, k);
    const lane_habits *h = r->habits;
    const distances *reach = &r->reaches[k];
    const double mean = h->close_m - shorter_behind(&r->axles[k - 1]) - shorter_before(&r->axles[k]);
    const double sigma = sqrt(h->close_var);
    double sum = 0.0;
    for (int i = 0; i < CELLS; ++i) {
        const double z = (NEAREST_M + CELL_M * (i + 0.5) - mean) / sigma;
        if (z < -REACHES) continue;
        if (z > REACHES) break;
        sum += exp(-0.5 * z * z) * (double)(reach->upto[i + 1] - reach->upto[i]);
    }
    return (1.0 - ODD) * sum / (2.5066283 * sigma) + ODD * reach_within(reach, from_m, ODD_TO_M) / (ODD_TO_M - from_m);
}

/* Cost of a boundary before axle k: near, as often as this lane's vehicles follow each other like that, or far, or with a motion
 * of its own. */
double boundary_cost(const axle_row *r, int k)
{
    static const double FAR_M = 20.0, FAR_TO_M = 17.0, OWN = 0.01, FOLDED = 6.0; /* as seldom is a distance so wrong */
    const double share = r->habits->close_share;
    const double far = (reach_within(&r->reaches[k], QUEUED_M, FAR_TO_M) + (double)r->reaches[k].beyond) / FAR_M;
    const double folded = r->apart[k].hi < nearest_m(r, k) ? FOLDED : 0.0;
    return -log(share * follows(r, k) + (1.0 - share) * far + OWN) + folded + headway_cost(&r->apart[k], r->axles[k].entry.v);
}

void boundary_learn(lane_habits *h, const axle_seen *last, const axle_seen *first, const spacing *s, double weight)
{
    static const double FIRST = 15.0, FIRST_EXACT = 8.0, LEAST = 0.03, VAGUE_M = 6.0, LONG_S = 120.0, EXACT_M = 2.0, LEAST_M = 0.7;
    const bool close = s->hi < QUEUED_M + 1.0, far = s->lo > QUEUED_M || first->entry.t - last->exit.t > LONG_S;
    if (!far && !(close && s->hi - s->lo < VAGUE_M)) return;
    h->close_share += habit_rate(&h->close_n, weight, FIRST) * ((close ? 1.0 : 0.0) - h->close_share);
    h->close_share = fmin(fmax(h->close_share, LEAST), 1.0 - LEAST);
    if (far || s->hi - s->lo > EXACT_M) return;
    const double off = 0.5 * (s->lo + s->hi) + shorter_behind(last) + shorter_before(first) - h->close_m;
    const double rate = habit_rate(&h->exact_n, weight, FIRST_EXACT);
    h->close_m += rate * off;
    h->close_var += rate * (fmin(off * off, 9.0 * h->close_var) - h->close_var);
    h->close_var = fmax(h->close_var, LEAST_M * LEAST_M);
}
