/* Which rows of axles are vehicles, and how often they are seen: minus log likelihoods for cut.c. */
#ifndef BF_PATTERN_H
#define BF_PATTERN_H

#include "spacing.h"

/* Cost of axles i .. j being one vehicle, or, where `open`, its first axles, or, where `headless`, what is left of one
 * whose first axles were not seen or were given to the vehicle before. `s[k]` lies between axle k - 1 and k; the last of an
 * open one may be an axle that has not come yet (spacing_ahead). */
double vehicle_cost(const lane_mix *m, const axle_seen *a, const spacing *s, int i, int j, bool open, bool headless);

/* How link `k` of a vehicle (between axles k - 1 and k) may be built: ranges, each as likely as its row is for all that is known
 * of the others. And the density of that at `d` metres. */
enum { LINK_RANGES = MIX_ROWS + 1 };
typedef struct {
    int count;
    double from[LINK_RANGES], to[LINK_RANGES], share[LINK_RANGES];
} link_shares;
void pattern_link(const lane_mix *m, const axle_seen *a, const spacing *s, int count, int k, link_shares *out);
double link_density(const link_shares *l, double d);

/* A vehicle that was surely told apart: its configuration is seen more often here. `s[0]` is not used. */
void mix_learn(lane_mix *m, const axle_seen *a, const spacing *s, int count);

/* The largest distance that two neighbouring axles of one vehicle may have. */
double longest_spacing(const axle_seen *axles, int count);

#endif
