/* Two or more axles at once on a long plate: its signal is a stair, a step up where an axle comes and one down where it
 * goes, in the same order.
 *
 * In: a recorded trace of a plate. Out: a trace for each axle, as if it had been alone. Called by passage.c. */
#ifndef BF_STEPS_H
#define BF_STEPS_H

#include "footprint.h"

enum { STEPS_MOST = 6 };

typedef struct {
    int axles;                               /* 0 where it is no stair of at least two */
    double up[STEPS_MOST], down[STEPS_MOST]; /* scans */
    double before[STEPS_MOST], after[STEPS_MOST]; /* levels: before it comes, after it has gone */
    double load[STEPS_MOST];                 /* counts */
    double reach;                            /* scans around a step that belong to it */
} stair;

/* `base` and `noise` in counts. */
void steps_find(stair *s, const trace *t, double base, double noise);

/* Axle `which` alone, on the same baseline. */
void steps_alone(const stair *s, const trace *t, int which, double base, trace *out);

#endif
