/* Presences over loops. See loops.c. */
#ifndef BF_LOOPS_H
#define BF_LOOPS_H

#include "array.h"

/* Takes a frame of samples. Called by wim.c. */
void loop_sample_frame(bf_wim *w, loop_state *l, int64_t frame);

/* The loop that vehicles are cut by, or null. */
const loop_state *main_loop(const bf_wim *w);

/* Index of the presence in which an axle was over the loop, or -1. */
int presence_of(const bf_wim *w, const loop_state *l, const axle_seen *a);

#endif
