/* What the weighing of one vehicle works in, and what the lane's loads have in common. For load.c and the files that it calls, and
 * for who asks for a motion of axles (crossings.h). */
#ifndef BF_WEIGHER_H
#define BF_WEIGHER_H

#include "array.h"
#include "blend.h"
#include "motion.h"
#include "tyre.h"

typedef struct {
    sensor_array *array;
    motion motion;
    double motion_t0; /* seconds at which its time is 0 */
    bool motion_fitted;
    crossing_at crossings[MOTION_MAX_CROSSINGS];
    lane_ways ways;
    tyre_laws tyres;
} weigher;

#endif
