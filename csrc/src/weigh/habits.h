/* What vehicles of this lane have in common, as cut.c learns it and pattern.c uses it. */
#ifndef BF_HABITS_H
#define BF_HABITS_H

#include <stdbool.h>

/* How often the lane sees the configurations of pattern.c. */
enum { MIX_ROWS = 64 };
typedef struct {
    double seen[MIX_ROWS], vehicles;
} lane_mix;

/* What a loop does between two axles. */
typedef enum { LOOP_HELD, LOOP_DIPPED, LOOP_FREE, LOOP_SIGNS, LOOP_SILENT } loop_sign;

/* What this lane's vehicles have in common, from cuts that were sure: shares left, that of all vehicles, and the variances of a
 * vehicle's own and of its axles'; distances of those that follow closely. */
typedef struct {
    double left, left_between, left_within;
    double lean_n, close_n, exact_n, steered_n, other_n; /* how much each was learned from */
    double steered[2], other[2]; /* axle_seen.print of first and of other axles: mean and variance */
    double close_m, close_var;
    double close_share; /* of the vehicles, that follow at a queue's distance */
    double stop_share;  /* of the vehicles, that stood while they were over the array */
    double cut_sign[LOOP_SIGNS], whole_sign[LOOP_SIGNS]; /* shares of what the loop does between vehicles and between the axles of one */
} lane_habits;

/* One more is seen, with that probability: how far what is known moves towards it. What was believed first counts for so many;
 * what was seen long ago is forgotten. */
static inline double habit_rate(double *n, double weight, double first)
{
    static const double LEAST = 0.03;
    *n += weight;
    const double rate = 1.0 / (first + *n);
    return weight * (rate > LEAST ? rate : LEAST);
}

#endif
