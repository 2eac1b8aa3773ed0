/* The sliver of a light wheel on the other half: a motorcycle's wheel over the joint of two halves may leave less than a
 * threshold's worth on one of them. Called by wim.c (measure) and load.c (fill). */
#ifndef BF_BESIDE_H
#define BF_BESIDE_H

#include "channel.h"
#include "lines.h"

/* What the other half of its line bore while `f` was measured, as a share of `f`'s area: into f->beside and its sigma,
 * which stays 0 where that is not known. */
void beside_measure(const sensor_array *array, channel *channels, const channel_room *room, footprint *f);

/* One axle: gives halves without a footprint what was measured beside the other one, where the lines together show that
 * something was there. */
void beside_fill(const sensor_array *array, const axle_seen *a, side_load loads[BF_MAX_LINES][SIDES], bf_axle *out);

#endif
