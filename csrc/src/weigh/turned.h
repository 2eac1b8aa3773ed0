/* An array wired the wrong way round, or with a gain of the wrong sign, for the most part: no line then sees an axle that
 * another one misses, which is how a single reversed channel is told (below.c). Called by wim.c, for frames. */
#ifndef BF_TURNED_H
#define BF_TURNED_H

#include "array.h"
#include "channel_state.h"

/* Half of the lines, or more, saw wheels below the baseline alone: their channels are read the other way round from here. */
void turned_look(const sensor_array *array, channel *channels, int64_t frame);

#endif
