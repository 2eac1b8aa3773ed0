/* The stage of axles: passes in (pending.h), axles out, at the end of the train. Called by wim.c; cut.c takes them off its front. */
#ifndef BF_TRAIN_H
#define BF_TRAIN_H

#include "axles.h"

/* Turns the passes that are there into axles. True where the train is full before all are in it. */
bool train_update(axle_stage *w, bool at_end);

/* Whether wheels are over the array that are not in the train yet. */
bool train_awaits(const axle_stage *w);

/* Whether a sensor is wired the other way round or elsewhere than the table says, or dead, whatever was seen of the present axles. */
bool train_at_fault(const axle_stage *w);

/* The line onto which the first wheel came after the last gap in the stream. */
int train_first_line(const axle_stage *w);

#endif
