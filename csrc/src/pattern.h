/* Which rows of axles are vehicles, and how often they are seen: minus log likelihoods for cut.c. */
#ifndef BF_PATTERN_H
#define BF_PATTERN_H

#include "array.h"

/* Distance between two neighbouring axles: the likely range. */
typedef struct {
    double lo, hi;
    double least; /* the shortest it can be, if it stood in between; else lo */
    double doubt; /* how far it can be off lo .. hi if the speed was not even in between; 0 where that was seen */
} spacing;

/* What it costs that a spacing known as lo .. hi lies in from .. to. */
double spacing_cost(const spacing *s, double from, double to);

/* Cost of axles i .. j being one vehicle, or, where `open`, its first axles. `s[k]` lies between axle k - 1 and k. */
double vehicle_cost(const axle_seen *a, const spacing *s, int i, int j, bool open);

/* The largest distance that two neighbouring axles of one vehicle may have. */
double longest_spacing(const axle_seen *axles, int count);

#endif
