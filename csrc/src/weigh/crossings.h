/* The footprints of axles to what a motion is fitted to: when which level of which flank passed which place, how long a print
 * took, where the vehicle stood. For load.c; and the motion of a pair of axles, for train.c (array.h). */
#ifndef BF_CROSSINGS_H
#define BF_CROSSINGS_H

#include "array.h"

/* Fills w->fit.crossings and `h`; returns how many crossings. */
int crossings_gather(bf_wim *w, const axle_seen *axles, int count, double t0, hints *h);

/* How a pass went: over the strip or back over it; or onto it and off again at its front, or at its rear. */
typedef enum { WAY_FORWARD, WAY_BACK, WAY_FRONT, WAY_REAR } way_over;

typedef struct {
    const pass *p;
    int axle;
    way_over way;
    int passes;    /* of that axle */
    double v;      /* m/s, roughly */
    double most_n; /* greatest peak of the axle */
} signed_pass;

/* What it costs that one motion, back between the times (scans) of `back`, made these passes: half the squares of the
 * residuals in units of a misread pass, of each wheel and pass. They are in the order of their axles. NaN: it cannot be fitted. */
double crossings_misfit(bf_wim *w, const signed_pass *passes, int count, int axles, const rest *back, int back_count);

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
