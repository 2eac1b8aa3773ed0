/* What the lines weighed of one vehicle's wheels, to loads with a variance: means over lines by generalised least squares.
 *
 * In: for each wheel path what each line weighed, when, and how surely; what acceleration moved onto it. Out: static
 * loads, their variances, and that of the sum. Called by lines.c. */
#ifndef BF_BLEND_H
#define BF_BLEND_H

#include "borderflow_core.h"
#include "transfer.h"

enum { BLEND_MAX_PATHS = 2 * BF_MAX_AXLES };

/* What one wheel path (an axle, or one side of it) weighed at each line. */
typedef struct {
    int n;
    int axle;
    double part; /* of the axle's load that it bears */
    double kg[BF_MAX_LINES], t[BF_MAX_LINES], variance[BF_MAX_LINES]; /* relative */
    double pull[BF_MAX_LINES][PULLS];                                 /* accelerations, m/s2 */
    double pull_sigma;                                                /* of them all, m/s2 */
} series;

/* A rigid body does what the textbook says; what a hitch does is another matter. */
typedef enum { HAULS_NOTHING, HAULS_TRAILERS, HAULS } hauls;
typedef struct {
    double mean, var;
} known_share;

/* What the vehicles of a lane have shown so far; each one is judged in the light of those before it. */
typedef struct {
    known_share share[HAULS]; /* how much of the expected transfer there is: 0 none, 1 all of it */
    double rough;            /* ln of body bounce against what is usual at a speed */
    double vehicles;         /* that taught it */
} lane_ways;

typedef struct {
    double kg[BLEND_MAX_PATHS];
    double bounce_var[BLEND_MAX_PATHS]; /* kg2: the dynamic force and what differs from line to line */
    double moved_var[BLEND_MAX_PATHS];  /* kg2: what may be left of the transfer */
    double moved_sum_var;               /* kg2, of the sum over all paths: a transfer at one instant cancels */
    double scatter;                     /* relative: deviation of a line as the lines show it */
    double together;                    /* correlation of the bounce of two axles: they meet the same bumps */
    hauls kind;
    lane_ways seen;                     /* what this vehicle says of it, the lane's before it taken in */
} blended;

void blend(const series *path, int count, const transfer *moves, const lane_ways *before, double speed_mps, blended *out);

lane_ways lane_unknown(void);
/* Takes in what a vehicle showed: slowly, and never for good, as another kind of vehicle may come. */
void lane_learn(lane_ways *lane, const blended *b);

double median_of(const double *v, int n); /* of up to 24 numbers */

#endif
