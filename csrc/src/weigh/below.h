/* Excursions below the baseline: a reversed channel, a cable, or a first baseline that was taken under a wheel. Called by
 * channel.c, for frames. */
#ifndef BF_BELOW_H
#define BF_BELOW_H

#include "channel_state.h"

/* A frame lies below the baseline: its mean by `z` (negative), its lowest sample at `lo`. */
void below_frame(channel *c, int64_t frame, double lo, double mean, double z);

/* The excursion has ended before frame `frame`. */
void below_over(channel *c, int64_t frame);

/* Wheels were seen to go below the baseline: from scan `scan` on it is read the other way round. */
void below_turn(channel *c, int64_t scan);
/* A wheel of that height came the right way round. */
void below_footprint(channel *c, double peak);

#endif
