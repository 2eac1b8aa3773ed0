/* How far the last axle of a vehicle and the first of the next are apart: what that costs, and what a lane learns of it. For cut.c. */
#ifndef BF_BOUNDARY_H
#define BF_BOUNDARY_H

#include "pattern.h"

/* Cost of a boundary before axle k: minus log of the density of what was seen, for a metre. */
double boundary_cost(const axle_row *r, int k);

/* How often vehicles follow at a queue's distance, and at which: from a boundary with that probability. */
void boundary_learn(lane_habits *h, const axle_seen *last, const axle_seen *first, const spacing *s, double weight);

#endif
