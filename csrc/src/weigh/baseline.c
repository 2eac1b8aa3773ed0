/* Follows a channel's baseline and noise. See baseline.h. */
#include "baseline.h"

#include <math.h>
#include <string.h>

/* Frames of which the first baseline is made: 0.1 s, but not less than three. */
enum { START_FRAMES = 8, LEAST_START_FRAMES = 3 };
static const double START_S = 0.1;

/* Mean range of 8, 16, 32 ... samples of normal noise, in its standard deviations: L. Tippett, Biometrika 17 (1925). */
static const double RANGES[] = {2.85, 3.53, 4.14, 4.7, 5.25, 5.77, 6.26, 6.73, 7.2, 7.6};
enum { FIRST_OF_RANGES = 8 };

/* A wheel is what stands out of the noise by so many standard deviations of a sample, and by three counts. */
static const double CLEAR = 5.64;

/* While a wheel stands on a sensor the baseline is not seen; it may move this fast: 1 % of full scale in a minute. */
static const double DRIFT_COUNTS_PER_S = 5.5;

/* So much of the baseline is read before a wheel. */
static const double BEFORE_S = 0.06;
enum { BEFORE_FRAMES = 40 };

void baseline_init(baseline *b, double rate_hz, int frame_scans, double tau_s)
{
    memset(b, 0, sizeof *b);
    int shift = 0;
    while (shift < 9 && (FIRST_OF_RANGES << shift) < frame_scans) ++shift;
    b->spread = RANGES[shift];
    b->by_range = CLEAR / b->spread;
    b->scans = frame_scans;
    b->frame_scans = frame_scans;
    b->per_scan = 1.0 / frame_scans;
    b->rate_hz = rate_hz;
    b->tau_k = tau_s > 0.0 ? 1.0 / (tau_s * rate_hz) : 0.0;
}

void baseline_restart(baseline *b, int64_t scan)
{
    b->start_frames = 0;
    b->integral = 0.0;
    b->slope = 0.0;
    b->since = scan;
    for (int i = 0; i < MEAN_RING; ++i) b->means[i].idle = false;
}

/* The quietest of the first frames counts. */
bool baseline_start(baseline *b, int64_t frame, const frame_range *r, double mean)
{
    static const double QUIETEST = 1.1; /* of some frames it spans a little less than the usual one */
    const double range = (double)(r->hi - r->lo);
    if (b->start_frames == 0 || range < b->range) {
        b->range = range;
        b->value = mean;
    }
    frame_mean *slot = baseline_slot(b, frame);
    slot->mean = (float)mean;
    slot->idle = true;
    b->start_frames++;
    if (b->start_frames < LEAST_START_FRAMES ||
        (b->start_frames < START_FRAMES && b->start_frames * b->frame_scans < START_S * b->rate_hz))
        return false;
    b->range *= QUIETEST;
    return true;
}

double baseline_settle(baseline *b, double level)
{
    const double off = level - b->value;
    if (!(b->tau_k > 0.0)) {
        b->value = level;
        return 0.0;
    }
    b->integral -= off;
    return -off;
}

bool baseline_steady(baseline *b, int64_t frame, double raw, bool first)
{
    static const double STAYS = 0.5, TAUS = 4.0, SLOWLY = 0.02; /* thresholds; times of the high-pass; share of a frame */
    if (first || fabs(raw - b->steady) > STAYS * baseline_threshold(b)) {
        b->steady = raw;
        b->steady_since = frame;
    }
    const bool steady = (double)(frame - b->steady_since) * b->frame_scans * b->tau_k > TAUS;
    if (steady) b->steady += SLOWLY * (raw - b->steady);
    return steady;
}

double baseline_noise(const baseline *b)
{
    return b->range / b->spread;
}

double baseline_drifted(const baseline *b, double scans)
{
    return (2.0 * b->drift + 0.1 * DRIFT_COUNTS_PER_S / b->rate_hz) * scans;
}

double baseline_unseen(const baseline *b)
{
    return 2.0 * b->drift + DRIFT_COUNTS_PER_S / b->rate_hz;
}

bool baseline_before(const baseline *b, int64_t until, double *value, double *at)
{
    const int64_t last = until / b->scans - 1;
    const int want = 1 + (int)(BEFORE_S * b->rate_hz) / b->scans;
    double sum = 0.0, where = 0.0;
    int n = 0;
    for (int64_t f = last; f > last - BEFORE_FRAMES && f >= 0 && n < want; --f) {
        const frame_mean *m = &b->means[f & (MEAN_RING - 1)];
        if ((f + 1) * b->scans <= b->since || !m->idle) break;
        sum += (double)m->mean;
        where += ((double)f + 0.5) * b->scans - 0.5;
        ++n;
    }
    if (n == 0) return false;
    *value = sum / n;
    *at = where / n;
    return true;
}

int baseline_between(const baseline *b, double from, double to, int64_t now, double *value, double *at)
{
    const int64_t first = (int64_t)ceil(from / b->scans), last = (int64_t)floor(to / b->scans) - 1;
    if (from <= (double)b->since || last - first >= MEAN_RING - 2 || now / b->scans - first >= MEAN_RING - 2) return 0;
    double sum = 0.0;
    int n = 0;
    for (int64_t f = first; f <= last; ++f, ++n) {
        if (!b->means[f & (MEAN_RING - 1)].idle) return 0;
        sum += (double)b->means[f & (MEAN_RING - 1)].mean;
    }
    if (n == 0) return 0;
    *value = sum / n;
    *at = 0.5 * (double)((first + last + 1) * b->scans) - 0.5;
    return n;
}
