/* One channel's samples of a frame: taken out of the interleaved stream, without spikes, and as they were before the
 * high-pass of an AC-coupled channel.
 *
 * In: the history, and the channel's baseline. Out: arrays for channel.c, which works on frames in which something is on
 * the sensor. */
#ifndef BF_SAMPLES_H
#define BF_SAMPLES_H

#include "baseline.h"
#include "history.h"

enum { SPIKE_MOST = 3 }; /* samples of a spike, and of the room beside a frame */

/* Which column, which way round, and how wide a spike may be. */
typedef struct {
    int channel, sign, spike_width;
} sample_source;

typedef struct {
    int64_t start; /* scan of the first */
    int n;
    bool suspects; /* among `suspect` */
    int32_t room[SPIKE_MOST + FRAME_MOST + SPIKE_MOST];
    int32_t *raw; /* in `room`: the way round in which a wheel is positive; SPIKE_MOST more on both sides */
    int32_t suspect[FRAME_MOST]; /* stands out from what is beside it: 0 none, 1 suspected, 2 taken for a spike */
    double x[FRAME_MOST];        /* without spikes */
    double undrooped[FRAME_MOST];
    double *y;                   /* and without the high-pass: `undrooped`, or x where DC-coupled */
    double integral[FRAME_MOST]; /* what it took away; only where AC-coupled */
} frame_samples;

/* Takes frame number `frame` and looks for what stands out. */
void samples_load(frame_samples *s, const history *h, int64_t frame, sample_source from, const baseline *b);

/* Fills x, y and the integral from sample `first` on, whose predecessor left `integral`. */
void samples_condition(frame_samples *s, const history *h, int first, sample_source from, const baseline *b, double integral);

/* How many were taken for spikes. */
int samples_spikes(const frame_samples *s);

/* One sample without spikes; `integral` as it was before it. */
int sample_clean(const history *h, int64_t at, sample_source from, const baseline *b, double integral);

#endif
