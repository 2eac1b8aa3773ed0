/* The footprints of axles to what a motion is fitted to: when which level of which flank passed which place, how long a print
 * took, where the vehicle stood. For load.c; and the motion of a pair of axles, for train.c (array.h). */
#ifndef BF_CROSSINGS_H
#define BF_CROSSINGS_H

#include "array.h"

/* Fills w->crossings and `h`; returns how many crossings. */
int crossings_gather(bf_wim *w, const axle_seen *axles, int count, double t0, hints *h);

/* Where along the lane a wheel is when its middle is over a strip, if it runs `aside_m` metres right of the usual. */
double print_place(const bf_wim *w, const sensor_info *s, side of, double aside_m);

/* -1 for the left wheel, 1 for the right one, 0 where both are seen at once. */
int side_wheel(side of);

/* How far an axle usually goes while it is on a strip, between the second levels of its flanks: as long as the print that its
 * load gives it. */
typedef struct {
    double way_m, sigma_m;
} usual_passage;
usual_passage passage_of(const bf_wim *w, const axle_seen *a, int sensor);

#endif
