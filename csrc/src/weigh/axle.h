/* An axle as the lines saw it: what the stage of axles (train.h) hands to that of vehicles (cut.h). */
#ifndef BF_AXLE_H
#define BF_AXLE_H

#include "array.h"
#include "footprint.h"

enum { PASS_PRINTS = 12 }; /* footprints of one axle on one line, with repeats where it rolled back */

/* One axle over one line: the footprints of its wheels. */
typedef struct {
    int count;
    footprint *prints[PASS_PRINTS];
    double begin, end, mid; /* scans */
    double peak_n, side_n[SIDES];
    unsigned saturated; /* bit for each side: side_n is less than it was */
    bool came_back; /* its axle came over the line again, which was taken out */
    double sooner;  /* scan at which its middle was over the line before, in a pass that was taken out; 0 where it was not */
} pass;

/* An axle at one end of the array: place, time and speed of its first or last crossing of an edge. */
typedef struct {
    double x, t, v, a; /* metres, seconds, m/s, m/s2 */
    bool stood;        /* on the line there */
} run;

typedef struct {
    unsigned seen; /* bit for each line */
    pass at[BF_MAX_LINES];
    double peak_n, side_n[SIDES];
    double kg; /* roughly, from the speeds between the lines */
    double misfit_m; /* of one motion for it and the axle before it; negative where they were never over the array
                      * together */
    double apart_m, apart_sigma_m; /* behind the axle before it, by that motion; NaN where not known */
    bool crept; /* by that motion */
    run entry, exit;
    double print;     /* how long its tyres' prints are for what they bear: a logarithm; NaN where not known */
    double left;      /* share of what the lines saw of it; negative where its sides are not known */
    bool lost_before; /* the stream had a gap before it */
    bool came_back;
} axle_seen;

/* How many lines saw it. */
static inline int support(unsigned seen)
{
    int n = 0;
    for (; seen; seen &= seen - 1) ++n;
    return n;
}

#endif
