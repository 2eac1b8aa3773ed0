/* One strip's or plate's channel: raw samples in, footprints out. Called by wim.c once for each frame.
 *
 * A frame is a fixed number of scans counted from the start of the stream, so that nothing depends on how the stream
 * was cut into blocks. Frames in which nothing happens cost a minimum, a maximum and a sum; the others are looked at
 * sample by sample. */
#ifndef BF_CHANNEL_H
#define BF_CHANNEL_H

#include "borderflow_core.h"
#include "footprint.h"
#include "hum.h"
#include "lobe.h"

enum { HISTORY_FRAMES = 16, MEAN_RING = 128 };

/* The last frames of all channels, interleaved as they came. */
typedef struct {
    int channels, frame_scans, shift; /* frame_scans = 1 << shift */
    int64_t frames;                   /* complete ones so far */
    int16_t *samples;                 /* [HISTORY_FRAMES * frame_scans][channels] */
} history;

static inline int history_sample(const history *h, int64_t scan, int channel)
{
    const size_t slot = (size_t)(scan & ((int64_t)HISTORY_FRAMES * h->frame_scans - 1));
    return h->samples[slot * (size_t)h->channels + (size_t)channel];
}

typedef struct {
    float mean; /* conditioned */
    bool idle;
} frame_mean;

typedef enum { CH_START, CH_IDLE, CH_WHEEL, CH_NEGATIVE } channel_phase;

typedef struct {
    int sensor, channel, frame_scans, spike_width, confirm;
    bool plate;            /* it carries a whole wheel at once */
    double least; /* counts that the lightest wheel gives; 0 where a sensor sees but a part of a wheel */
    double spread;         /* what maximum minus minimum of a frame of white noise is, in standard deviations */
    double by_range, per_scan; /* threshold for a count of range; 1 / frame_scans */
    double rate_hz, tau_k; /* tau_k = 1 / (tau x rate), 0 when DC-coupled */
    int wired, sign;       /* what raw counts are multiplied by: as the table says, and as wheels show that it is */
    channel_phase phase;
    double base, slope;    /* tracked baseline in counts, and its change in a scan */
    double integral;       /* what the high-pass took away so far */
    double range;          /* usual maximum minus minimum of an idle frame */
    double drift;          /* usual |slope| */
    int start_frames;
    int above;             /* consecutive samples above the threshold */
    double top;            /* highest of the current footprint */
    int64_t last_high, last_low_start, began, last_end;
    int64_t quiet;
    double quiet_sum;
    int64_t level_since;   /* since when the signal stays near level_value */
    double level_value;
    bool jumped;           /* it rose at once and has not moved since: no wheel does that */
    double jump_value;
    double depth;          /* of the present excursion below the baseline, which began with frame negative_since */
    int64_t negative_since;
    bool saturated, has_ceiling;
    int ceiling; /* raw, the way round of a wheel: where the amplifier ended last */
    int last_raw, equal_run; /* samples in a row that are equal to the last one */
    int rail_frames;         /* frames in a row at an end of the range */
    double saturated_share;  /* of the last few footprints */
    int negative_run;        /* pulses of a wheel's size in a row that went below the baseline */
    uint64_t footprints, saturated_samples, spikes, missed;
    double last_peak;   /* of the last footprint, which ended at last_peak_at */
    int64_t last_peak_at;
    int flat_frames, missed_run, swing_frames;
    frame_mean means[MEAN_RING];
    lobes lobes;
    hum behind; /* the last wheel */
    double tail_until; /* until this scan something faint may be the last wheel's tail */
    bool levelled;     /* what ends now has not come down, it only stays where it is */
    double lobe_until; /* until this scan a dip may be the last wheel's */
    trace t;
} channel;

void channel_init(channel *c, int sensor, int index, double rate_hz, int frame_scans, double tau_s);

/* Called with each finished footprint. */
typedef void (*footprint_sink)(void *context, const footprint *f);

/* Takes frame number `frame`; the next one is in the history already. `lo`, `hi` and `sum` are of the raw samples. */
void channel_frame(channel *c, const history *h, int64_t frame, int lo, int hi, int64_t sum, footprint_sink sink,
                   void *context);

/* The stream ends or has a gap: closes what is open. */
void channel_close(channel *c, const history *h, footprint_sink sink, void *context);
void channel_restart(channel *c, int64_t scan);

/* A raw sample of the last frames, without spikes. */
double channel_recent(channel *c, const history *h, int64_t scan);

double channel_threshold(const channel *c);
double channel_noise(const channel *c); /* standard deviation of one sample, counts */

/* Both rails, and the count next to them: some converters never give the last one (a T7 ends at 0xFFFE). */
static inline bool at_rail(int raw)
{
    return raw >= 32766 || raw <= -32767;
}

#endif
