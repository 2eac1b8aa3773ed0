/* The passes of each line that are not yet parts of axles: wheels that were on it together make one. Called by wim.c for each
 * footprint; the other files of the stage take passes out. */
#ifndef BF_PENDING_H
#define BF_PENDING_H

#include "axles.h"

void pending_take(axle_stage *w, const footprint *f);

/* Passes of a line that no footprint can be added to any more. */
int pending_finished(const axle_stage *w, int line);

/* A pass leaves the list: its footprints stay with who took it, or are given back. */
void pending_drop(axle_stage *w, int line, int index);
void pending_give_up(axle_stage *w, int line, int index);

/* Scans for which a wheel was on a line, at the second level. */
double time_on(const pass *p);

#endif
