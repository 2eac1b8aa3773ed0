/* Distances between axles after the fit: measured, or what is known of them. See apart.h.
 *
 * The posterior of a distance that no strip saw: what the motion at both ends says, with a stop in between and without one,
 * times how often vehicles are built like that (pattern.c), on a grid. */
#include "apart.h"

#include <math.h>

static const double UNCERTAIN_M = 0.5;

/* Of a distance that one motion over the array tells: crossings and places of the lines, and a share of the distance. */
static const double SEEN_M = 0.006, SEEN_SHARE = 0.0015;

enum { GRID = 136 };
static const double GRID_FROM_M = 0.6, GRID_STEP_M = 0.1;

typedef struct {
    double mean, sigma;
    double wide; /* sigma where the speed was not even in between; that is seldom */
} estimate;

/* What the motion alone says of a distance `d`: it went on evenly, or it stopped somewhere. */
static double by_motion(const spacing *s, const estimate *even, double d)
{
    static const double LONGEST_STOP_M = 20.0, SELDOM = 0.2;
    const double z = (d - even->mean) / even->sigma, y = (d - even->mean) / even->wide;
    double went = exp(-0.5 * z * z) / (2.5066 * even->sigma);
    if (even->wide > even->sigma) went = (1.0 - SELDOM) * went + SELDOM * exp(-0.5 * y * y) / (2.5066 * even->wide);
    const double stop = stop_cost_of(s, d);
    return went * exp(-s->uneven) + (stop < 60.0 ? exp(-stop) / LONGEST_STOP_M : 0.0);
}

static estimate posterior(const axle_row *r, int count, int k, const estimate *even)
{
    double p[GRID], sum = 0.0, mean = 0.0, square = 0.0;
    link_shares built;
    pattern_link(r, count, k, &built);
    for (int i = 0; i < GRID; ++i) {
        const double d = GRID_FROM_M + GRID_STEP_M * i;
        p[i] = by_motion(&r->apart[k], even, d) * link_density(&built, d);
        sum += p[i];
        mean += p[i] * d;
    }
    if (!(sum > 1e-12)) return *even;
    mean /= sum;
    for (int i = 0; i < GRID; ++i) {
        const double off = GRID_FROM_M + GRID_STEP_M * i - mean;
        square += p[i] * off * off;
    }
    const estimate e = {mean, sqrt(square / sum + SEEN_M * SEEN_M), 0.0};
    return e;
}

/* The distance of axles k - 1 and k. `fitted` is what the motion of the whole vehicle says. */
static estimate settle(const axle_row *r, int count, int k, double fitted)
{
    static const double KNOWN_M = 0.05;
    const spacing *s = &r->apart[k];
    estimate e = {fitted, 0.0, 0.0};
    e.sigma = sqrt(SEEN_M * SEEN_M + SEEN_SHARE * SEEN_SHARE * fitted * fitted);
    if (!s->unseen) {
        /* Where the speed changes between the lines, the motion knows how little it knows of that. */
        const double misfit = fmax(r->axles[k].misfit_m, 0.0), sigma = r->axles[k].apart_sigma_m;
        e.sigma = sqrt(e.sigma * e.sigma + misfit * misfit + (isfinite(sigma) ? sigma * sigma : 0.0));
        return e;
    }
    const double spread = 0.25 * (s->hi - s->lo);
    e.sigma = sqrt(e.sigma * e.sigma + spread * spread);
    e.wide = e.sigma + 0.5 * s->doubt;
    return e.sigma < KNOWN_M ? e : posterior(r, count, k, &e);
}

void apart_settle(const axle_row *r, bf_vehicle *v)
{
    double at[BF_MAX_AXLES] = {0}, variance = 0.0;
    v->axles[0].position_sigma_m = 0.0;
    for (int k = 1; k < v->axle_count; ++k) {
        const estimate e = settle(r, v->axle_count, k, v->axles[k].position_m - v->axles[k - 1].position_m);
        at[k] = at[k - 1] + e.mean;
        variance += e.sigma * e.sigma;
        v->axles[k].position_sigma_m = sqrt(variance);
    }
    for (int k = 1; k < v->axle_count; ++k) v->axles[k].position_m = at[k];
    if (sqrt(variance) > UNCERTAIN_M) v->flags |= BF_SPACING_UNCERTAIN;
}
