/* What a channel shows while nothing is on its sensor: its baseline, how that moves, and its noise.
 *
 * In: least, most and mean of frames. Out: the baseline now and before a scan, the noise, and the threshold above which
 * something is on the sensor. Owned by channel.c, which asks it for what a footprint stands on. Counts, the way round in
 * which a wheel is positive. */
#ifndef BF_BASELINE_H
#define BF_BASELINE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

enum { MEAN_RING = 128 };

typedef struct {
    float mean; /* conditioned */
    bool idle;
} frame_mean;

/* Least and most of a frame. */
typedef struct {
    int lo, hi;
} frame_range;

typedef struct {
    double value, slope; /* tracked, and its change in a scan */
    double integral;     /* what the high-pass of an AC-coupled channel took away so far */
    double range;        /* usual most minus least of an idle frame */
    double drift;        /* usual |slope| */
    double by_range, least; /* threshold for a count of range; and of the lightest wheel, 0 where a sensor sees part of one */
    double per_scan, frame_scans; /* 1 / frame_scans, exact as that is a power of two */
    double tau_k;        /* 1 / (tau x rate), 0 where DC-coupled */
    double rate_hz, spread; /* spread: range of a frame of white noise in standard deviations */
    int64_t since;       /* frames that begin before this scan say nothing */
    double steady;       /* where the raw signal of an AC-coupled channel stays */
    int64_t steady_since; /* frame */
    int start_frames;
    int scans;           /* of a frame */
    frame_mean means[MEAN_RING];
} baseline;

void baseline_init(baseline *b, double rate_hz, int frame_scans, double tau_s);
void baseline_restart(baseline *b, int64_t scan);

/* Takes one of the first frames; true when there are enough to go by. */
bool baseline_start(baseline *b, int64_t frame, const frame_range *r, double mean);

#define BASELINE_NOISE 0.02 /* how fast the noise follows */

/* The usual range of a frame after one of `range`, which is no sure measure of the noise. */
static inline double usual_range_after(double usual, double range, double share)
{
    const double most = 2.0 * usual + 2.0;
    return usual + share * ((range < most ? range : most) - usual);
}

static inline void baseline_swing(baseline *b, double range, double share)
{
    b->range = usual_range_after(b->range, range, share);
}

/* An alpha-beta tracker takes the mean of a frame of `scans`, a scan being `per_scan` of it; and how fast it drifts. */
static inline void track_baseline(double *value, double *slope, double *drift, double mean, double scans, double per_scan)
{
    static const double ALPHA = 0.25, BETA = 0.01, SLOWLY = 0.005;
    const double predicted = *value + *slope * scans, off = mean - predicted;
    *value = predicted + ALPHA * off;
    *slope += BETA * off * per_scan;
    *drift += SLOWLY * (fabs(*slope) - *drift);
}

/* What is beyond it is no noise of that usual range. */
static inline double threshold_over(double by_range, double usual_range, double least)
{
    const double by_noise = by_range * usual_range + 3.0;
    return by_noise > least ? by_noise : least;
}

/* The mean of a frame as it was before the high-pass; the high-pass then has it. */
static inline double baseline_conditioned(baseline *b, double mean)
{
    if (!(b->tau_k > 0.0)) return mean;
    const double step = (mean - b->value) * b->tau_k * b->frame_scans, y = mean + b->integral + 0.5 * step;
    b->integral += step;
    return y;
}

/* Follows an idle frame, whose conditioned mean is `mean`, and its noise. A dead channel is no
 * measure of its noise. */
static inline void baseline_follow(baseline *b, double mean, int range)
{
    track_baseline(&b->value, &b->slope, &b->drift, mean, b->frame_scans, b->per_scan);
    if (range > 0) baseline_swing(b, range, BASELINE_NOISE);
}

double baseline_noise(const baseline *b); /* standard deviation of one sample */

static inline double baseline_threshold(const baseline *b)
{
    return threshold_over(b->by_range, b->range, b->least);
}

/* With nothing on the sensor the conditioned signal is at `level`. DC-coupled that is the baseline. AC-coupled the integral
 * has erred by what is between them; the baseline is what the raw signal comes back to, and stays. Returns by how much the
 * conditioned signal moves. */
double baseline_settle(baseline *b, double level);

/* Takes the raw mean of a frame of an AC-coupled channel in which something is on the sensor, the first time or again. True
 * where it has stayed where it is for so long that nothing but the baseline is left of any force. */
bool baseline_steady(baseline *b, int64_t frame, double raw, bool first);

/* How far it may have moved in so many scans. */
double baseline_drifted(const baseline *b, double scans);

/* While a wheel is on a sensor the baseline is not seen; by so much it may move in a scan. */
double baseline_unseen(const baseline *b);

/* Baseline before scan `until`: the mean of the idle frames nearest to it, and the scan in their middle. */
bool baseline_before(const baseline *b, int64_t until, double *value, double *at);

/* Mean of the idle frames that lie between two scans, all of them; how many there are. `now` is of the present. */
int baseline_between(const baseline *b, double from, double to, int64_t now, double *value, double *at);

static inline frame_mean *baseline_slot(baseline *b, int64_t frame)
{
    return &b->means[frame & (MEAN_RING - 1)];
}

static inline bool baseline_was_idle(const baseline *b, int64_t frame)
{
    return b->means[frame & (MEAN_RING - 1)].idle;
}

/* Two DC-coupled baselines side by side, as vectors of two: what baseline_threshold and baseline_follow do, for both at once. */
enum { PAIR = 2 };
typedef struct {
    double value[PAIR], slope[PAIR], range[PAIR], drift[PAIR], by_range[PAIR], least[PAIR];
    double per_scan, frame_scans, mean[PAIR];
} baseline_pair;

static inline void baselines_read(baseline_pair *p, const baseline *b0, const baseline *b1)
{
    const baseline_pair both = {{b0->value, b1->value}, {b0->slope, b1->slope}, {b0->range, b1->range}, {b0->drift, b1->drift},
                                {b0->by_range, b1->by_range}, {b0->least, b1->least}, b0->per_scan, b0->frame_scans, {0.0, 0.0}};
    *p = both;
}

/* Whether a frame with that least and most stays within the thresholds of both. */
static inline bool baselines_within(const baseline_pair *p, const int lo[PAIR], const int hi[PAIR])
{
    int out = 0;
    for (int i = 0; i < PAIR; ++i) {
        const double threshold = threshold_over(p->by_range[i], p->range[i], p->least[i]);
        out |= (hi[i] - p->value[i] >= threshold) | (lo[i] - p->value[i] <= -threshold);
    }
    return out == 0;
}

/* Both follow an idle frame whose samples add up to `sum`. */
static inline void baselines_follow(baseline_pair *p, const double sum[PAIR], const int lo[PAIR], const int hi[PAIR])
{
    for (int i = 0; i < PAIR; ++i) {
        p->mean[i] = sum[i] * p->per_scan;
        track_baseline(&p->value[i], &p->slope[i], &p->drift[i], p->mean[i], p->frame_scans, p->per_scan);
        p->range[i] = usual_range_after(p->range[i], hi[i] - lo[i], BASELINE_NOISE);
    }
}

static inline void baselines_write(const baseline_pair *p, baseline *b0, baseline *b1, int64_t frame)
{
    baseline *const both[PAIR] = {b0, b1};
    for (int i = 0; i < PAIR; ++i) {
        const frame_mean mean = {(float)p->mean[i], true};
        both[i]->value = p->value[i];
        both[i]->slope = p->slope[i];
        both[i]->range = p->range[i];
        both[i]->drift = p->drift[i];
        *baseline_slot(both[i], frame) = mean;
    }
}

#endif
