/* The state of the stage of weights: what the lane's loads and tyres have in common. For load.c and the files that it calls. */
#ifndef BF_WEIGHER_H
#define BF_WEIGHER_H

#include "blend.h"
#include "fitter.h"

typedef struct {
    sensor_array *array;
    fitter *fit;
    lane_ways ways;
    tyre_laws tyres;
} weigher;

#endif
