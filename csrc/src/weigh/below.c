/* Tells a reversed channel from a moved baseline. See below.h. */
#include "below.h"

#include <math.h>

/* Pulses the wrong way round, and axles that this sensor alone missed meanwhile, before it is taken for reversed. */
enum { REVERSED_PULSES = 3, MOST_PULSES = 1000 };

/* Thresholds, and share of the last wheel's height, of a pulse that may be a wheel's. Shallower ones are the road's (a bow
 * wave) or the first baseline's, taken under a wheel. */
static const double DEEP = 3.0, DEEP_OF_WHEEL = 0.15;

/* For so long a level below is held by what is no wheel, and by a wheel that stops. */
static const double HELD_S = 0.3, WHEEL_HELD_S = 30.0;

void below_turn(channel *c, int64_t scan)
{
    c->source.sign = -c->source.sign;
    c->clip.known = false;
    lobes_init(&c->lobes);
    c->b.value = -c->b.value;
    c->b.slope = -c->b.slope;
    c->b.integral = -c->b.integral;
    c->b.since = scan;
    c->last.peak = 0.0;
    c->below.run = c->missed_run = 0;
    c->below.run_depth = 0.0;
    for (int i = 0; i < MEAN_RING; ++i) c->b.means[i].idle = false;
}

/* Deep pulses instead of footprints, while the other lines see axles, are wheels on a reversed channel: from then on it is
 * read the other way round. */
void below_over(channel *c, int64_t frame)
{
    below_baseline *n = &c->below;
    c->phase = CH_IDLE;
    if (n->depth < DEEP * channel_threshold(c) || n->depth < DEEP_OF_WHEEL * c->last.peak) return;
    if (n->run < MOST_PULSES) {
        n->run++;
        n->run_depth += n->depth;
    }
    if (n->run >= REVERSED_PULSES && c->missed_run >= REVERSED_PULSES) below_turn(c, frame * c->b.scans);
}

/* Beside a wheel that pulls the signal down the road's bow wave lifts it: that is no wheel the right way round. */
void below_footprint(channel *c, double peak)
{
    below_baseline *n = &c->below;
    if (n->run > 0 && peak < DEEP_OF_WHEEL * n->run_depth / n->run) return;
    n->run = 0;
    n->run_depth = 0.0;
}

void below_frame(channel *c, int64_t frame, double lo, double mean, double z)
{
    const double threshold = channel_threshold(c);
    below_baseline *n = &c->below;
    if (c->phase != CH_NEGATIVE) {
        c->phase = CH_NEGATIVE;
        n->depth = 0.0;
        n->level = z;
        n->level_since = n->since = frame;
        n->jumped = true;
    }
    /* A cable's doing is there at once; a wheel that stops on a reversed channel came over its flank. */
    if (frame == n->since + 1) n->jump_value = z;
    if (frame > n->since + 1 && fabs(z - n->jump_value) > threshold + 0.05 * fabs(n->jump_value)) n->jumped = false;
    const bool of_wheel = !n->jumped && c->missed_run > 0 && n->depth > DEEP * threshold;
    if (c->b.value - lo > n->depth) n->depth = c->b.value - lo;
    if (fabs(z - n->level) > 0.5 * threshold) {
        n->level = z;
        n->level_since = frame;
    }
    if ((double)((frame - n->level_since) * c->b.scans) <= (of_wheel ? WHEEL_HELD_S : HELD_S) * c->rate_hz) return;
    baseline_settle(&c->b, mean);
    c->b.slope = 0.0;
    c->phase = CH_IDLE;
}
