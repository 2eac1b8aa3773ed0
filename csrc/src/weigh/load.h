/* The stage of weights: axles of one vehicle in, its loads, distances and their sigmas out. Called by cut.c. */
#ifndef BF_LOAD_H
#define BF_LOAD_H

#include "axle.h"
#include "loops.h"
#include "weigher.h"

/* Weighs the axles as one vehicle. */
void weigh(weigher *w, const axle_seen *axles, int count, bf_vehicle *out);

/* The length of the vehicle that was weighed last, whose presence over a loop is `p`. */
double length_by_loop(const weigher *w, const bf_sensor *loop, const presence *p);

#endif
