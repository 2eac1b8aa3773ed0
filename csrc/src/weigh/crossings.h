/* The footprints of axles to what a motion is fitted to: when which level of which flank passed which place, how long a print
 * took, where the vehicle stood. For load.c; and the motion of a pair of axles, for train.c (array.h). */
#ifndef BF_CROSSINGS_H
#define BF_CROSSINGS_H

#include "array.h"

/* Fills w->crossings and `h`; returns how many crossings. `aside`: metres that the left and the right wheels run right of the
 * usual, null where that is not known yet. */
int crossings_gather(bf_wim *w, const axle_seen *axles, int count, double t0, const double *aside, hints *h);

/* How far right of the usual the left and the right wheels run, by the strips at an angle: they are passed so much later.
 * From the residuals of a fit that believed those strips little. `known`: the share of what was unknown that they told. */
void crossings_aside(const crossing_at *o, int count, double aside[SIDES], double known[2]);

/* Where along the lane a wheel is when its middle is over a strip, if it runs `aside` metres right of the usual. */
double print_place(const bf_wim *w, const sensor_info *s, side of, const double *aside);

/* How far an axle usually goes while it is on a strip, between the second levels of its flanks: as long as the print that its
 * load gives it. */
typedef struct {
    double way_m, sigma_m;
} usual_passage;
usual_passage passage_of(const bf_wim *w, const axle_seen *a, int sensor);

#endif
