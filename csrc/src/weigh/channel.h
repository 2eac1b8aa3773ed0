/* The first stage: one strip's or plate's channel, frames of raw samples in, footprints out. Called by wim.c once a frame.
 *
 * Frames in which nothing happens cost a least, a most and a sum (history.c); the others are looked at sample by sample
 * (samples.c). What is on the sensor is recorded (wheel.c) and, when it has gone, measured (passage.c). The stage knows
 * nothing of the others: tests/core/test_stages.py runs it alone. */
#ifndef BF_CHANNEL_H
#define BF_CHANNEL_H

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

void channel_init(channel *c, int sensor, int index, double rate_hz, int frame_scans, double tau_s);

/* Every used channel takes frame number `frame`, of which room->ranges are filled; the next one is in the history already, or
 * it is the last. */
void channels_frame(channel *list, int count, channel_room *room, int64_t frame);

/* The stream ends or has a gap: closes what is open. */
void channel_close(channel *c, channel_room *room);
void channel_restart(channel *c, int64_t scan);

/* A raw sample of the last frames, without spikes. */
double channel_recent(const channel *c, const history *h, int64_t scan);

double channel_threshold(const channel *c);
double channel_noise(const channel *c); /* standard deviation of one sample, counts */

/* Scan since which a wheel is on the sensor, or -1. */
int64_t channel_on_since(const channel *c);
/* An axle passed whose wheel this sensor should have seen. */
void channel_saw(channel *c, bool saw);
/* Wheels show that it is wired the other way round than the table says. */
bool channel_reversed(const channel *c);
/* How it does at scan `now`; `usual_range` is the middle of those of its fellows. */
void channel_health(const channel *c, int64_t now, double usual_range, bf_channel_health *out);

#endif
