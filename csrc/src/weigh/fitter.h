/* What a motion is fitted in: for one vehicle or, in passing, for a pair of axles or the passes of a roll-back. For crossings.c
 * and those who ask it. */
#ifndef BF_FITTER_H
#define BF_FITTER_H

#include "array.h"
#include "motion.h"
#include "tyre.h"

typedef struct {
    const sensor_array *array;
    const tyre_laws *tyres; /* what this lane's prints tell of speeds */
    motion motion;
    double motion_t0; /* seconds at which its time is 0 */
    bool motion_fitted;
    crossing_at crossings[MOTION_MAX_CROSSINGS];
} fitter;

#endif
