/* Where a wheel comes onto a sensor and where it has gone, frame by frame. See channel.h. */
#include "channel.h"
#include "below.h"
#include "passage.h"

#include <math.h>
#include <string.h>

/* A spike is three samples wide, at most; where samples are 0.6 ms apart or more, none is told from a wheel. Something stays
 * above the threshold for as long, for two samples at least. */
static const double SPIKE_S = 0.0006;

/* Frames in a row that swing over the threshold on both sides: no wheel, the noise has grown. */
enum { SWING_FRAMES = 6 };

/* Something small that does not move for so long after a wheel has gone is baseline, not a wheel. Before and behind a wheel
 * on a plate the road's bow wave is in the baseline, and a second wheel may come within it. */
static const double TAIL_STILL_S = 2.0, STILL_S = 20.0, SMALL = 0.08, PLATE_SMALL = 0.04;

void channel_init(channel *c, int sensor, int index, double rate_hz, int frame_scans, double tau_s)
{
    memset(c, 0, sizeof *c);
    c->used = true;
    c->sensor = sensor;
    c->rate_hz = rate_hz;
    baseline_init(&c->b, rate_hz, frame_scans, tau_s);
    const int width = (int)(rate_hz * SPIKE_S + 0.05), confirm = (int)(rate_hz * SPIKE_S);
    c->source = (sample_source){index, 1, width > SPIKE_MOST ? SPIKE_MOST : width};
    c->confirm = confirm < 2 ? 2 : confirm;
    c->wired = 1;
    lobes_init(&c->lobes);
    channel_restart(c, 0);
}

void channel_restart(channel *c, int64_t scan)
{
    c->phase = CH_START;
    baseline_restart(&c->b, scan);
    c->above = 0;
    c->lobes.waiting = false;
    c->last.lobe_until = c->last.tail_until = (double)scan;
}

double channel_recent(const channel *c, const history *h, int64_t scan)
{
    return sample_clean(h, scan, c->source, &c->b, c->b.integral);
}

static float tolerance(const channel *c)
{
    return (float)(c->b.range * 0.25);
}

/* The samples of an earlier frame into room->before; those of idle frames hold no spikes. */
static void load_before(channel *c, channel_room *room, int64_t frame)
{
    sample_source from = c->source;
    if (baseline_was_idle(&c->b, frame)) from.spike_width = 0;
    samples_load(&room->before, &room->past, frame, from, &c->b);
}

/* What the high-pass had taken away before scan `from`, when it was `integral` after scan `at`. */
static double integral_before(channel *c, channel_room *room, int64_t from, int64_t at, double integral)
{
    if (!(c->b.tau_k > 0.0)) return 0.0;
    const int shift = room->past.shift;
    for (int64_t frame = at >> shift; frame >= from >> shift; --frame) {
        frame_samples *s = &room->before;
        load_before(c, room, frame);
        samples_condition(s, &room->past, 0, c->source, &c->b, integral);
        const int first = from > s->start ? (int)(from - s->start) : 0, last = at < s->start + s->n - 1 ? (int)(at - s->start) : s->n - 1;
        for (int i = last; i >= first; --i) integral -= (s->x[i] - c->b.value) * c->b.tau_k;
    }
    return integral;
}

/* A wheel is there at scan `at`, after which the high-pass has taken `integral`. Takes in what came before: up to the oldest
 * frame, but not the wheel before. */
static void begin_wheel(channel *c, channel_room *room, int64_t at, double integral)
{
    const history *h = &room->past;
    int64_t from = (h->frames - HISTORY_FRAMES + 1) * h->frame_scans;
    if (from < c->b.since) from = c->b.since;
    if (from < 0) from = 0;
    if (from > at) from = at;
    integral = integral_before(c, room, from, at, integral);
    c->lobes.waiting = false;
    wheel_begin(&c->on, from);
    clip_begin(&c->clip);
    for (int64_t frame = from >> h->shift; frame <= at >> h->shift; ++frame) {
        frame_samples *s = &room->before;
        load_before(c, room, frame);
        const int first = from > s->start ? (int)(from - s->start) : 0, end = at < s->start + s->n - 1 ? (int)(at - s->start) + 1 : s->n;
        samples_condition(s, h, first, c->source, &c->b, integral);
        if (c->b.tau_k > 0.0) integral = s->integral[end - 1];
        wheel_steepness(&c->on, s->raw + first, end - first);
        wheel_lead(&c->on, s->y + first, end - first, c->b.value, tolerance(c));
    }
    wheel_noticed(&c->on, at);
    c->phase = CH_WHEEL;
    c->above = 0;
}

/* What the wheel that is on the sensor is judged by during this frame. */
static wheel_rules rules_of(const channel *c)
{
    wheel_rules r = {c->b.value, channel_threshold(c), baseline_unseen(&c->b), c->rate_hz, c->confirm, {{TAIL_STILL_S, 0.0}, {STILL_S, SMALL}},
                     tolerance(c)};
    const double began = (double)c->on.began;
    if (c->plate) r.still[0].below = PLATE_SMALL;
    if (passage_is_faint(c, c->on.top, began)) {
        r.still[1].below = HUGE_VAL;
        if (began < c->last.tail_until + 0.1 * c->rate_hz) r.still[0].below = HUGE_VAL;
    }
    return r;
}

static void jumped(channel *c, double x, int64_t at)
{
    c->b.value = x;
    c->b.integral = 0.0;
    c->b.slope = 0.0;
    c->b.since = at + 1;
    c->above = 0;
    c->phase = CH_IDLE;
}

/* The samples from `i` on, a wheel being on the sensor; returns how far it got when something happened. */
static int on_wheel(channel *c, channel_room *room, int i)
{
    frame_samples *s = &room->now;
    const wheel_rules r = rules_of(c);
    const int jump = i + wheel_jump(&c->on, s->y + i, s->n - i, s->start + i, &r);
    int used;
    const wheel_event event = wheel_take(&c->on, s->y + i, jump - i, s->start + i, &r, &used);
    wheel_steepness(&c->on, s->raw + i, used);
    if (clip_take(&c->clip, s->raw + i, s->y + i, used, r.base + 0.5 * c->on.top, c->b.range)) c->on.saturated = true;
    const int next = i + used;
    if (event == WHEEL_ON && next == jump && jump < s->n) {
        jumped(c, s->x[jump], s->start + jump);
        return jump + 1;
    }
    if (c->b.tau_k > 0.0) c->b.integral = s->integral[next - 1];
    if (event == WHEEL_ON) return next;
    passage_end(c, room, s->start + next - 1, false);
    if (event == WHEEL_NEXT) begin_wheel(c, room, s->start + next - 1, c->b.integral);
    return next;
}

/* The samples from `i` on, nothing being on the sensor; returns the one after that with which a wheel is there, or n. */
static int off_wheel(channel *c, channel_room *room, int i)
{
    frame_samples *s = &room->now;
    const double over = channel_threshold(c) + c->b.value;
    int above = c->above;
    for (; i < s->n; ++i) {
        above = s->y[i] > over ? above + 1 : 0;
        if (above < c->confirm) continue;
        if (c->b.tau_k > 0.0) c->b.integral = s->integral[i];
        begin_wheel(c, room, s->start + i, c->b.integral);
        if (at_rail(s->raw[i])) c->on.saturated = true;
        return i + 1;
    }
    if (c->b.tau_k > 0.0) c->b.integral = s->integral[i - 1];
    c->above = above;
    return i;
}

/* What a frame says of the converter: at its rails, or flat. */
static void note_rails(channel *c, const frame_range *r)
{
    static const int MOST = 1000000;
    const bool low = at_rail(r->lo), high = at_rail(r->hi);
    if (high || low) c->saturated_samples++;
    c->rail_frames = low && high ? (c->rail_frames < MOST ? c->rail_frames + 1 : MOST) : 0;
    c->flat_frames = r->hi == r->lo ? (c->flat_frames < MOST ? c->flat_frames + 1 : MOST) : 0;
}

/* A frame that was looked at sample by sample and held no wheel. */
static void quiet_frame(channel *c, const frame_samples *s, int64_t frame, double mean)
{
    static const double SPIKES_ALONE = 0.1, NOISE_GREW = 0.05, BELOW = 0.7;
    const double threshold = channel_threshold(c), z = mean - c->b.value;
    double lo = s->y[0], hi = s->y[0];
    for (int i = 1; i < s->n; ++i) {
        lo = s->y[i] < lo ? s->y[i] : lo;
        hi = s->y[i] > hi ? s->y[i] : hi;
    }
    if (hi - c->b.value < threshold && lo - c->b.value > -threshold) {
        baseline_slot(&c->b, frame)->idle = true;
        c->b.value += SPIKES_ALONE * z;
        c->phase = CH_IDLE;
        return;
    }
    if (z < -BELOW * threshold) {
        below_frame(c, frame, lo, mean, z);
        return;
    }
    if (c->phase == CH_NEGATIVE) below_over(c, frame);
    c->phase = CH_IDLE;
    /* Noise over the threshold without a wheel: the noise has grown. */
    baseline_swing(&c->b, hi - lo, NOISE_GREW);
    c->b.value += NOISE_GREW * z;
}

/* Mean of the raw samples of a frame, the way round in which a wheel is positive. */
static inline double raw_mean(const channel *c, const channel_room *room, int64_t frame)
{
    return c->source.sign * history_sum(&room->past, frame, &room->ranges, c->source.channel) * c->b.per_scan;
}

/* AC-coupled, the raw signal comes back to its baseline even under a wheel that stands. Where it stays elsewhere, no wheel is
 * there: the baseline moved, and the integral would run away. */
static void steadied(channel *c, int64_t frame)
{
    if (fabs(c->b.steady - c->b.value) > channel_threshold(c)) jumped(c, c->b.steady, frame * c->b.scans - 1);
    else c->b.value = c->b.steady;
}

/* A frame in which something is on the sensor, or that is not idle. */
static void busy_frame(channel *c, channel_room *room, int64_t frame)
{
    frame_samples *s = &room->now;
    const bool idle = c->phase == CH_IDLE, coupled = c->b.tau_k > 0.0;
    bool held = c->phase == CH_WHEEL, stale = true;
    if (coupled && baseline_steady(&c->b, frame, raw_mean(c, room, frame), idle)) steadied(c, frame);
    samples_load(s, &room->past, frame, c->source, &c->b);
    double sum = 0.0;
    for (int i = 0; i < s->n;) {
        if (stale) samples_condition(s, &room->past, i, c->source, &c->b, c->b.integral);
        const double base = c->b.value;
        const int from = i;
        i = c->phase == CH_WHEEL ? on_wheel(c, room, i) : off_wheel(c, room, i);
        held = held || c->phase == CH_WHEEL;
        for (int k = from; k < i; ++k) sum += s->y[k];
        stale = base != c->b.value || (coupled && c->b.integral != s->integral[i - 1]);
    }
    c->spikes += (uint64_t)samples_spikes(s);
    const double mean = sum / s->n;
    baseline_slot(&c->b, frame)->mean = (float)mean;
    if (!held) quiet_frame(c, s, frame, mean);
}

/* Idle: follow the baseline and the noise. */
static inline void idle_frame(channel *c, const channel_room *room, int64_t frame, const frame_range *r)
{
    const double mean = baseline_conditioned(&c->b, raw_mean(c, room, frame)), start = (double)(frame * c->b.scans);
    frame_mean *slot = baseline_slot(&c->b, frame);
    slot->mean = (float)mean;
    slot->idle = true;
    if (c->lobes.waiting) passage_behind(c, frame, mean);
    if (start < c->last.lobe_until && mean < c->b.value + c->b.slope * c->b.frame_scans) {
        double sigma;
        if (lobes_share(&c->lobes, LOBE_AFTER, &sigma) > 0.0) return;
    }
    baseline_follow(&c->b, mean, r->hi - r->lo);
}

static void any_frame(channel *c, channel_room *room, int64_t frame, const frame_range *r, bool above, bool below)
{
    if (c->phase == CH_START) {
        if (baseline_start(&c->b, frame, r, raw_mean(c, room, frame))) c->phase = CH_IDLE;
        return;
    }
    if (c->phase == CH_NEGATIVE && !above && !below) {
        const int sign = c->source.sign;
        below_over(c, frame);
        if (c->source.sign == sign) idle_frame(c, room, frame, r);
        return;
    }
    c->swing_frames = above && below ? c->swing_frames + 1 : 0;
    if (c->swing_frames >= SWING_FRAMES) {
        c->swing_frames = 0;
        channel_restart(c, frame * c->b.scans);
        return;
    }
    busy_frame(c, room, frame);
}

/* One frame of one channel, whatever it holds. */
static void one_frame(channel *c, channel_room *room, int64_t frame)
{
    const int k = c->source.channel, lo = room->ranges.lo[k], hi = room->ranges.hi[k];
    const frame_range r = c->source.sign < 0 ? (frame_range){-hi, -lo} : (frame_range){lo, hi};
    note_rails(c, &r);
    const double threshold = baseline_threshold(&c->b), off = c->b.integral - c->b.value;
    const bool above = r.hi + off >= threshold, below = r.lo + off <= -threshold;
    if (c->phase == CH_IDLE && !above && !below) {
        idle_frame(c, room, frame, &r);
    } else {
        baseline_slot(&c->b, frame)->idle = false;
        any_frame(c, room, frame, &r, above, below);
    }
}

/* Whether nothing but the baseline and the noise of a channel would follow a frame that stays within the threshold. One that is
 * not used never becomes idle. */
static inline bool is_calm(const channel *c, double start, int lo, int hi)
{
    const int otherwise = (int)(c->phase ^ CH_IDLE) | (c->source.sign ^ 1) | c->lobes.waiting | c->rail_frames | c->flat_frames;
    return otherwise == 0 && hi < RAIL_HIGH && lo > RAIL_LOW && hi != lo && !(c->b.tau_k > 0.0) && !(start < c->last.lobe_until);
}

/* One frame of two neighbouring channels in which nothing happens, as in nearly all: the same as one_frame does with each, with
 * their numbers side by side in vectors. False, and nothing done, where something does happen. */
static inline bool calm_frame(channel *c, const channel_room *room, int64_t frame)
{
    const frame_ranges *all = &room->ranges;
    const int k[PAIR] = {c[0].source.channel, c[1].source.channel};
    const int lo[PAIR] = {all->lo[k[0]], all->lo[k[1]]}, hi[PAIR] = {all->hi[k[0]], all->hi[k[1]]};
    const double start = (double)(frame * c->b.scans);
    if (!is_calm(&c[0], start, lo[0], hi[0]) || !is_calm(&c[1], start, lo[1], hi[1])) return false;
    baseline_pair b;
    baselines_read(&b, &c[0].b, &c[1].b);
    if (!baselines_within(&b, lo, hi)) return false;
    const double sum[PAIR] = {history_sum(&room->past, frame, all, k[0]), history_sum(&room->past, frame, all, k[1])};
    baselines_follow(&b, sum, lo, hi);
    baselines_write(&b, &c[0].b, &c[1].b, frame);
    return true;
}

void channels_frame(channel *list, int count, channel_room *room, int64_t frame)
{
    int i = 0;
    for (; i + PAIR <= count; i += PAIR) {
        if (calm_frame(&list[i], room, frame)) continue;
        for (int k = i; k < i + PAIR; ++k)
            if (list[k].used) one_frame(&list[k], room, frame);
    }
    if (i < count && list[i].used) one_frame(&list[i], room, frame);
}

void channel_close(channel *c, channel_room *room)
{
    if (c->phase == CH_WHEEL) passage_end(c, room, c->on.t.start + c->on.t.length - 1, true);
}

int64_t channel_on_since(const channel *c)
{
    return c->used && c->phase == CH_WHEEL ? c->on.began : -1;
}

void channel_saw(channel *c, bool saw)
{
    static const int MOST = 1000;
    if (saw) {
        c->missed_run = 0;
        return;
    }
    c->missed++;
    if (c->missed_run < MOST) c->missed_run++;
}

bool channel_reversed(const channel *c)
{
    return c->source.sign != c->wired;
}

bool channel_flat(const channel *c)
{
    static const double FLAT_S = 5.0;
    return !c->plate && c->flat_frames * c->b.frame_scans > FLAT_S * c->rate_hz; /* a scale may show one weight */
}

static bf_channel_state state_of(const channel *c, int64_t now, double usual_range)
{
    static const double AT_END_S = 1.0, SATURATED = 0.4, FAR = 32000.0; /* share of the last footprints; counts */
    static const double STUCK_S = 900.0;
    static const double NOISE_MOST = 2000.0, NOISY = 8.0, NOISY_COUNTS = 40.0; /* counts of range; times its fellows' */
    enum { DEAD_AXLES = 6 };
    const double rail_s = c->rail_frames * c->b.frame_scans / c->rate_hz;
    if (rail_s > AT_END_S || fabs(c->b.value) > FAR || c->saturated_share > SATURATED) return BF_CH_SATURATED;
    if (channel_reversed(c)) return BF_CH_REVERSED;
    if (channel_flat(c) || c->missed_run >= DEAD_AXLES) return BF_CH_DEAD;
    if (c->phase == CH_WHEEL && (double)(now - c->on.began) > STUCK_S * c->rate_hz) return BF_CH_STUCK;
    if (c->b.range > NOISE_MOST || (c->b.range > NOISY_COUNTS && c->b.range > NOISY * usual_range)) return BF_CH_NOISY;
    return BF_CH_OK;
}

void channel_health(const channel *c, int64_t now, double usual_range, bf_channel_health *out)
{
    out->channel = c->source.channel;
    out->baseline_counts = c->source.sign * c->b.value;
    out->noise_counts = channel_noise(c);
    out->footprints = c->footprints;
    out->missed = c->missed;
    out->saturated_samples = c->saturated_samples;
    out->spikes = c->spikes;
    out->state = state_of(c, now, usual_range);
}
