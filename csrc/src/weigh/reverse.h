/* Takes out the passes of axles that rolled back and came again. Called by train.c. */
#ifndef BF_REVERSE_H
#define BF_REVERSE_H

#include "axles.h"

/* True while that may be going on. `finished` are the passes of each line that are complete. */
bool reverse_filter(axle_stage *w, int *finished, bool at_end);

/* A pass leaves as part of an axle. */
void reverse_note(axle_stage *w, const pass *p, int line);

#endif
