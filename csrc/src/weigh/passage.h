/* What passed over a sensor: from the recording of a wheel to its footprint.
 *
 * In: the recording in channel.on. Out: a footprint, or none where it was no wheel; what the channel knows afterwards of its
 * baseline and of the road. Called by channel.c. */
#ifndef BF_PASSAGE_H
#define BF_PASSAGE_H

#include "channel_state.h"

/* The wheel ends with scan `at`; `cut_short`: it was still there. Hands its footprints on. */
void passage_end(channel *c, channel_room *room, int64_t at, bool cut_short);

/* Whether something so weak may be what the baseline made of the last wheel's tail. */
bool passage_is_faint(const channel *c, double peak, double begin);

/* An idle frame behind a wheel: shows how deep the dip next to it was. */
void passage_behind(channel *c, int64_t frame, double mean);

#endif
