/* Spikes that outlast the filter of single samples: a front within a sample or two and a tail of some milliseconds, as
 * switching and lightning make them. No wheel does that: it takes at least 1.5 ms onto a strip, and stays.
 *
 * In: a trace that was recorded. Out: the trace with them bridged. Called by passage.c when a wheel has passed. */
#ifndef BF_SPIKE_H
#define BF_SPIKE_H

#include "footprint.h"

/* `base`, `noise` of a sample, the highest above the base, and the steepest front over two samples of the recording, all in
 * counts. Returns how many there were. */
int spikes_take_out(trace *t, double rate_hz, double base, double noise, double top, double steepest);

#endif
