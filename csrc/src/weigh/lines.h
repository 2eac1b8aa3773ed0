/* The loads that the lines saw, to the loads of a vehicle's axles. In: loads of each side at each line, from load.c. Out:
 * loads, sides and sigmas of the axles, what of them errs together, flags. Calls blend.c. */
#ifndef BF_LINES_H
#define BF_LINES_H

#include "axle.h"
#include "weigher.h"

typedef struct {
    double load_kg;
    double variance; /* relative: motion and noise, without the dynamic force */
    double dip;      /* share of the peak, of the bow wave beside it */
    bool saturated, repeated;
} side_load;

/* Variances, kg2: each axle's own, without and with what braking may have moved; that of all axles together. */
typedef struct {
    double own[BF_MAX_AXLES], moved[BF_MAX_AXLES];
    double gross;
    double moved_kg; /* summed deviations of what braking may have moved */
} line_sigmas;

/* Fills load, sides and lines of the axles of `out`; returns flags. `place` of the axles, metres backwards. */
uint32_t lines_weigh(weigher *w, const axle_seen *axles, int count, side_load loads[BF_MAX_AXLES][BF_MAX_LINES][SIDES],
                     const double *place, double speed_mps, line_sigmas *sigmas, bf_vehicle *out);

#endif
