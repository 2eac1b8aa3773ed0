/* The stage of vehicles: axles off the train in, weighed vehicles out. Called by wim.c. */
#ifndef BF_CUT_H
#define BF_CUT_H

#include "habits.h"
#include "load.h"
#include "spacing.h"
#include "train.h"

enum { RING = 64 }; /* finished vehicles not yet taken */

/* Finished vehicles that nobody has taken yet. */
typedef struct {
    bf_vehicle at[RING];
    int head, count;
} vehicle_ring;

/* What runs of axles of the train cost as vehicles, by [first axle][axles - 1] and by whether more may come, those at its front
 * without a head, and boundaries before axles: axles that have come do not change, so each is asked once, until some leave. NaN:
 * not asked. */
typedef struct {
    double as_vehicle[2][TRAIN + 1][BF_MAX_AXLES], headless[2][BF_MAX_AXLES], boundary[TRAIN + 1];
} run_costs;

/* How the axles of the train are cut into vehicles. */
typedef struct {
    const sensor_array *array;
    const presences *loops;
    const progress *stream;
    const axle_stage *axles;
    fitter *fit;
    weigher *weigher;
    print_slots *prints;
    axle_train *train;
    vehicle_ring *out;
    int tied; /* axles of the train that it knows */
    spacing apart[TRAIN + 1]; /* of each axle behind the one before it */
    distances reaches[TRAIN + 1];
    run_costs costs;
    bool left_alone; /* nothing was behind the vehicle that left last */
    axle_seen left; /* the last axle of the vehicle that left last; its footprints are gone */
    lane_habits habits;
    lane_mix mix;
    double last_doubt; /* of the last cut */
    int64_t gap_at;    /* scan of the last gap in the stream, or of its beginning; -1 once a vehicle came after it */
    bool broken;       /* a gap is cutting off what is over the array */
} cutter;

void cut_init(cutter *w);

/* Takes vehicles off the front of the train. */
void cut_update(cutter *w, bool at_end);

#endif
