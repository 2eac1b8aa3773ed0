/* What a channel knows between two frames, for the files that keep it: channel.c and, for what lies below the baseline and for
 * what has passed, below.c and passage.c. */
#ifndef BF_CHANNEL_STATE_H
#define BF_CHANNEL_STATE_H

#include "baseline.h"
#include "clip.h"
#include "footprint.h"
#include "history.h"
#include "hum.h"
#include "lobe.h"
#include "samples.h"
#include "wheel.h"

typedef enum { CH_START, CH_IDLE, CH_WHEEL, CH_NEGATIVE } channel_phase;

/* What the last wheel leaves behind. */
typedef struct {
    double peak;       /* of its footprint, which ended at scan peak_at */
    int64_t peak_at;
    double tail_until; /* until this scan something faint may be its tail */
    double lobe_until; /* until this scan a dip may be the road's bow wave */
    hum behind;        /* as it was behind it */
} last_wheel;

/* An excursion below the baseline. */
typedef struct {
    double depth;
    int64_t since;     /* frame with which it began */
    int64_t level_since; /* frame since when the mean stays near `level` */
    double level, jump_value;
    bool jumped;       /* it was there at once and has not moved since */
    int run;           /* pulses of a wheel's size in a row that went below the baseline */
    double run_depth;  /* their depths' sum, counts */
} below_baseline;

typedef struct {
    channel_phase phase;
    baseline b;
    int sensor, confirm; /* confirm: samples in a row above the threshold, that it is something */
    sample_source source;
    int wired;             /* what raw counts are multiplied by as the table says; source.sign as wheels show that it is */
    bool used, plate;      /* plate: it carries a whole wheel at once */
    double rate_hz;
    int above;             /* samples in a row above the threshold, before it is a wheel */
    int swing_frames;      /* frames in a row that went over the threshold on both sides */
    int rail_frames, flat_frames; /* frames in a row at the rails; without any noise */
    double saturated_share; /* of the last few footprints */
    int missed_run;        /* axles in a row that this sensor alone missed; train.c counts them */
    uint64_t footprints, saturated_samples, spikes, missed;
    lobes lobes;
    last_wheel last;
    below_baseline below;
    clip clip;
    wheel on;
} channel;

/* What a channel needs of the core: where it reads, room to work in, and who takes its footprints. */
typedef void (*footprint_sink)(void *context, const footprint *f);

typedef struct {
    history past;
    frame_ranges ranges; /* of the present frame */
    frame_samples now, before; /* of one channel: a frame, and one from before a wheel was noticed */
    footprint_sink sink;
    void *context;
} channel_room;

static inline double channel_threshold(const channel *c)
{
    return baseline_threshold(&c->b);
}

static inline double channel_noise(const channel *c)
{
    return baseline_noise(&c->b);
}

#endif
