/* Which rows of axles are vehicles, and how often they are seen: minus log likelihoods for cut.c. */
#ifndef BF_PATTERN_H
#define BF_PATTERN_H

#include "habits.h"
#include "spacing.h"

/* Axles one behind the other, and what this lane is used to. `apart[k]` and `reaches[k]` lie between axle k - 1 and k. */
typedef struct {
    const axle_seen *axles;
    const spacing *apart;
    const distances *reaches;
    const lane_mix *mix;
    const lane_habits *habits;
} axle_row;

typedef enum {
    WHOLE,    /* all axles are there */
    OPEN,     /* further ones may come */
    AHEAD,    /* the last one has not come yet */
    HEADLESS, /* the first ones were not seen or were given to the vehicle before */
    HEADLESS_OPEN,
} wholeness;

/* Cost of axles i .. j being one vehicle: minus log of its share of the traffic times the densities of distances (for a metre),
 * log loads and left shares. */
double vehicle_cost(const axle_row *r, int i, int j, wholeness how);

/* How link `k` of a vehicle (between axles k - 1 and k) may be built: ranges, each as likely as its row is for all that is known
 * of the others. And the density of that at `d` metres. */
enum { LINK_RANGES = MIX_ROWS + 1 };
typedef struct {
    int count;
    double from[LINK_RANGES], to[LINK_RANGES], share[LINK_RANGES];
} link_shares;
void pattern_link(const axle_row *r, int count, int k, link_shares *out);
double link_density(const link_shares *l, double d);

/* A vehicle that was surely told apart: its configuration is seen more often here. */
void mix_learn(lane_mix *m, const axle_row *r, int count, double weight);

/* Minus log density of the left shares of axles i .. j as those of one vehicle. */
double lean_cost(const axle_row *r, int i, int j);
void lean_learn(lane_habits *h, const axle_row *r, int count, double weight);
void print_learn(lane_habits *h, const axle_row *r, int count, double weight);

/* The largest distance that two neighbouring axles of one vehicle may have. */
double longest_spacing(const axle_seen *axles, int count);

#endif
