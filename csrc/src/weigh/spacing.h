/* How far two neighbouring axles are apart, seen or not: directly where both were over the array at a time, else by the
 * speeds and accelerations with which the one left the array and the other came onto it. For cut.c and pattern.c. */
#ifndef BF_SPACING_H
#define BF_SPACING_H

#include "axle.h"
#include "distance.h"

/* Between axles a and b, a before b. `stop_share`: of the vehicles here, that stand while they are over the array. */
spacing spacing_of(const sensor_array *array, double stop_share, const axle_seen *a, const axle_seen *b);
/* Between axle a and one that would follow it in the same vehicle but has not come yet. */
spacing spacing_ahead(const sensor_array *array, double stop_share, double now_s, const axle_seen *a);

/* The likelihood of what was seen, for each distance. */
void spacing_reach(const spacing *s, distances *out);
/* Integral of that over from .. to, metres. */
double reach_within(const distances *r, double from, double to);

/* Minus log likelihood that it lies in from .. to. */
double spacing_cost(const spacing *s, double from, double to);

/* What it costs that it stopped in between and the spacing is at most `to`; infinite where it cannot have. */
double stop_cost_of(const spacing *s, double to);

/* Where, when and how fast an axle came onto the array and left it; what it weighs, roughly. */
void find_runs(const sensor_array *array, axle_seen *a);

#endif
