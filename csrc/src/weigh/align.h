/* Passes of all lines to axles. Called by train.c. */
#ifndef BF_ALIGN_H
#define BF_ALIGN_H

#include "axles.h"

/* The first line that has passes begins the row of axles; the `finished` passes of each of the others are laid over it. Into
 * `axles`, which is not `w->scratch2`; returns how many. */
int lay_lines(axle_stage *w, axle_seen *axles, const int *finished);

/* An axle leaves, before `count` others that wait: whether its passes would fit its neighbours better. A line that is out of step
 * pairs each pass with the axle before or behind its own, or with none; each decision falls with the few that wait, so what all
 * of them say is remembered, and pays for the skip. */
void note_step(axle_stage *w, const axle_seen *a, const axle_seen *waiting, int count);

/* Whether a pass hardly stands out of the noise: alone it is more likely none. */
bool is_faint(const axle_stage *w, const pass *p);

#endif
