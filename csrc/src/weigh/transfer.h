/* Load that braking and pulling move between the axles of a vehicle: what physics lets expect, and the pull itself.
 *
 * In: where the axles are and what they weigh, and the fitted motion. Out: what 1 m/s2 moves between neighbouring groups
 * of axles, and the acceleration as a body on springs feels it. Called by lines.c, which asks the lines how much of it is
 * there. */
#ifndef BF_TRANSFER_H
#define BF_TRANSFER_H

#include "borderflow_core.h"
#include "motion.h"

enum {
    COUPLES = 6,               /* pairs of neighbouring groups; what lies further back goes with the last */
    PULLS = 2,                 /* forwards and backwards: a towing vehicle pulls at the hitch, but brakes each unit */
    MOVES = PULLS * COUPLES
};

extern const double SPRING_GROUP_M; /* axles nearer to each other share a group of springs */

/* `gain[i][k]`: kilograms that axle k gains for 1 m/s2 if couple i / PULLS is as expected. */
typedef struct {
    int couples;
    double gain[MOVES][BF_MAX_AXLES];
} transfer;

void transfer_expect(transfer *t, const double *place_m, const double *kg, int count);

/* Mean of the acceleration (m/s2) that the body feels at `n` times; [0] its part forwards, [1] backwards (negative). `doubt`:
 * sigma of it, as nobody knows how its springs answer. */
void transfer_pull(const motion *m, const double *times, int n, double pull[PULLS], double *doubt);

#endif
