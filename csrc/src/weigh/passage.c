/* Measures what passed over a sensor. See passage.h. */
#include "passage.h"
#include "below.h"
#include "spike.h"
#include "steps.h"

#include <math.h>
#include <string.h>

/* So far out, at most, the baseline is averaged before a wheel. */
static const double FAR_S = 0.15;

/* So far from its foot it is read first, and so much of it must be there. */
static const double NEAR_S = 0.04, LEAST_S = 0.003;

/* Noise of a sample is not below a converter's rounding. */
static const double LEAST_NOISE = 0.3;

/* Nothing that is rubber passes in less. */
static const double LEAST_PASS_S = 0.0015;

/* Hum is looked for where the noise spans such a share of the peak, at rates at which it shows. */
static const double HUM_SHARE = 0.008, HUM_RATE_HZ = 250.0;

bool passage_is_faint(const channel *c, double peak, double begin)
{
    static const double FAINT = 0.03, SOON_S = 30.0;
    return peak < FAINT * c->last.peak && begin - (double)c->last.peak_at < SOON_S * c->rate_hz;
}

/* The tail begins with the wheel, within reach of the road's bow wave, or it is as slow as the sensor's droop. What comes
 * later, and comes and goes, is a light wheel. */
static bool is_tail(const channel *c, const footprint *f)
{
    static const double SLOW = 0.2; /* of the droop's time */
    if (!passage_is_faint(c, f->peak, f->begin)) return false;
    return f->rise[0] < c->last.tail_until || c->on.levelled || (f->fall[1] - f->rise[1]) * c->b.tau_k > SLOW;
}

/* How long the sensor is under a wheel, by its flank; not longer than it was. */
static double pulse_by(const footprint *f, double flank)
{
    static const double FLANKS = 5.0;
    const double span = f->fall[1] - f->rise[1];
    return FLANKS * flank < span ? FLANKS * flank : span;
}

/* Where a wheel certainly was not: before and after its flanks. */
static void find_feet(const footprint *f, double foot[2])
{
    foot[0] = f->rise[0] - 1.5 * (f->rise[LEVELS - 1] - f->rise[0]) - 2.0;
    foot[1] = f->fall[0] + 1.5 * (f->fall[0] - f->fall[LEVELS - 1]) + 2.0;
}

/* A baseline that was read: its value, the scan in its middle, and of how many samples it is the mean. */
typedef struct {
    double value, at, n;
} reading;

/* Index of the first sample at or behind `scan`, of `count` that begin at `start`. */
static int index_of(double scan, int64_t start, int count)
{
    const double off = ceil(scan - (double)start);
    return off > 0.0 ? (off < count ? (int)off : count) : 0;
}

/* Mean of the trace between two scans. As long as nothing was merged, each point is one sample. */
static reading trace_mean(const trace *t, double from, double to)
{
    const int single = t->length == t->count ? t->count : t->lead;
    const int first = index_of(from, t->start, single), end = index_of(floor(to) + 1.0, t->start, single);
    double sums[4] = {0.0}, n = end > first ? end - first : 0.0; /* four sums do not wait for each other */
    for (int i = first; i + 4 <= end; i += 4)
        for (int k = 0; k < 4; ++k) sums[k] += (double)t->value[i + k];
    for (int i = end - (end - first) % 4; i < end; ++i) sums[0] += (double)t->value[i];
    double sum = sums[0] + sums[1] + (sums[2] + sums[3]), moment = n * ((double)t->start + 0.5 * (first + end - 1));
    double scan = (double)(t->start + single);
    for (int i = single; i < t->count && scan <= to + 1.0; ++i) {
        const double k = t->n[i], middle = scan + 0.5 * k - 0.5;
        if (middle >= from && middle <= to) {
            sum += (double)t->value[i] * k;
            moment += middle * k;
            n += k;
        }
        scan += k;
    }
    return n > 0.0 ? (reading){sum / n, moment / n, n} : (reading){0.0, 0.0, 0.0};
}

/* The baseline out of reach of the bow wave before a wheel, whose pulse is `pulse` scans long: as much of it as there is,
 * against the noise. From the trace, where hum was taken out of it, else from the frames before. */
static reading far_before(const channel *c, double foot, double pulse)
{
    static const double LEAST_FRAMES = 3.5;
    const trace *t = &c->on.t;
    const double to = foot - LOBE_FAR0 * pulse, least = LEAST_FRAMES * c->b.frame_scans;
    double reach = (LOBE_FAR1 - LOBE_FAR0) * pulse > least ? (LOBE_FAR1 - LOBE_FAR0) * pulse : least;
    double from = to - FAR_S * c->rate_hz;
    if (from < (double)t->start) from = (double)t->start;
    if (from < c->last.lobe_until) from = c->last.lobe_until + 1.0;
    if (from < (double)c->b.since) from = (double)c->b.since + 1.0;
    if (to - from > reach) reach = to - from;
    if (to - reach <= c->last.lobe_until) return (reading){0.0, 0.0, 0.0};
    if (to - reach >= (double)t->start && to - reach > (double)c->b.since) return trace_mean(t, to - reach, to);
    reading r = {0.0, 0.0, 0.0};
    r.n = baseline_between(&c->b, to - reach, to, c->on.began, &r.value, &r.at) * c->b.frame_scans;
    return r;
}

/* The dip behind the wheel will be compared with the baseline further out, as that is seen. */
static void learn_later(channel *c, const footprint *f, double foot, double pulse, const reading *near, double noise, const hum *h)
{
    c->lobes.waiting = true;
    c->last.behind = *h;
    c->lobes.near_value = near->value;
    c->lobes.peak = f->peak;
    c->lobes.noise = noise / sqrt(near->n);
    c->lobes.from = foot + LOBE_FAR0 * pulse;
    c->lobes.to = c->lobes.from + (LOBE_FAR1 - LOBE_FAR0) * pulse;
    c->lobes.sum = c->lobes.n = 0.0;
}

/* The baseline beside a strip's footprint where the road's bow wave dips below it: read next to the foot and put up by
 * the dip's usual depth, and read from farther out where nothing else is there. Before and after; learns on the way. */
static void beyond_lobes(channel *c, footprint *f, const double foot[2], double noise, reading base[2], const hum *h)
{
    static const double CLEAR = 4.0; /* thresholds: so high a peak tells of the dip beside it */
    enum { LEAST_NEAR = 4 };         /* samples */
    const double pulse[2] = {pulse_by(f, f->rise[LEVELS - 1] - f->rise[0]), pulse_by(f, f->fall[0] - f->fall[LEVELS - 1])};
    const bool clear = f->peak > CLEAR * channel_threshold(c);
    f->lobe = 0.0;
    for (int i = 0; i < 2; ++i) {
        const double reach = LOBE_NEAR * pulse[i];
        const reading near = i == LOBE_BEFORE ? trace_mean(&c->on.t, foot[0] - reach, foot[0]) : trace_mean(&c->on.t, foot[1], foot[1] + reach);
        double share_sigma;
        if (near.n < LEAST_NEAR) {
            /* Nothing but the dip was seen behind it. */
            if (i == LOBE_AFTER && lobes_share(&c->lobes, i, &share_sigma) > 0.0) base[i].value = base[0].value;
            continue;
        }
        reading far = {0.0, 0.0, 0.0};
        double far_sigma = HUGE_VAL;
        if (i == LOBE_BEFORE) far = far_before(c, foot[0], pulse[0]);
        else if (clear) learn_later(c, f, foot[1], pulse[1], &near, noise, h);
        if (far.n > 0.0) {
            const double drift = baseline_drifted(&c->b, near.at - far.at);
            far_sigma = sqrt(noise * noise / far.n + drift * drift);
            if (clear) lobes_learn(&c->lobes, i, near.value, far.value, f->peak, sqrt(far_sigma * far_sigma + noise * noise / near.n));
        }
        const double share = lobes_share(&c->lobes, i, &share_sigma);
        if (share <= 0.0 && !(far.n > 0.0)) continue;
        const double sigma = sqrt(noise * noise / near.n + share_sigma * share_sigma * f->peak * f->peak);
        const double a = 1.0 / (sigma * sigma), b = far.n > 0.0 ? 1.0 / (far_sigma * far_sigma) : 0.0;
        base[i].value = (a * (near.value + share * f->peak) + b * far.value) / (a + b);
        base[i].at = (a * near.at + b * far.at) / (a + b);
        f->lobe += share;
    }
    c->last.lobe_until = foot[1] + LOBE_FAR0 * pulse[LOBE_AFTER];
}

void passage_behind(channel *c, int64_t frame, double mean)
{
    lobes *l = &c->lobes;
    const double start = (double)(frame * c->b.scans), end = start + c->b.frame_scans;
    if (start >= l->from) {
        l->sum += mean - hum_mean(&c->last.behind, 0.5 * (start + end) - 0.5, c->b.frame_scans);
        l->n += 1.0;
    }
    if (end < l->to || l->n < 1.0) return;
    const double noise = channel_noise(c) / sqrt(l->n * c->b.frame_scans), drift = baseline_drifted(&c->b, 2.0 * (l->to - l->from));
    l->waiting = false;
    lobes_learn(l, LOBE_AFTER, l->near_value, l->sum / l->n, l->peak, sqrt(noise * noise + l->noise * l->noise + drift * drift));
}

/* Takes the hum out of the trace, and fills `h` with it as it is behind the wheel; returns the noise that is left. A wheel
 * that was on for many periods has it before and behind with phases of their own. */
static double take_out_hum(channel *c, const footprint *f, hum *h)
{
    static const double LONG_S = 0.3;
    trace *t = &c->on.t;
    const double end = (double)(t->start + t->length);
    double foot[2];
    find_feet(f, foot);
    if (foot[1] - foot[0] < LONG_S * c->rate_hz) {
        const double rest = hum_fit(h, t, foot[0], foot[1], c->rate_hz);
        if (h->present) hum_take_out(h, t, -HUGE_VAL, HUGE_VAL);
        return rest;
    }
    hum before;
    const double middle = 0.5 * (foot[0] + foot[1]);
    const double rest0 = hum_fit(&before, t, foot[0], end, c->rate_hz), rest1 = hum_fit(h, t, (double)t->start, foot[1], c->rate_hz);
    if (before.present) hum_take_out(&before, t, -HUGE_VAL, middle);
    if (h->present) hum_take_out(h, t, middle, HUGE_VAL);
    if (!h->present) {
        *h = before;
        return rest0;
    }
    return before.present && rest0 > rest1 ? rest0 : rest1;
}

/* A DC-coupled baseline does not jump: what looks so is a wheel that still leans on the sensor's edge. */
static void bound_change(const channel *c, reading base[2], double noise, double n, double peak)
{
    static const double NOISES = 4.0, OF_PEAK = 0.004;
    const double drift = baseline_unseen(&c->b) + c->b.drift;
    const double most = 1.0 + NOISES * noise / sqrt(n) + drift * (base[1].at - base[0].at) + OF_PEAK * peak;
    if (base[1].value > base[0].value + most) base[1].value = base[0].value + most;
    if (base[1].value < base[0].value - most) base[1].value = base[0].value - most;
}

/* Baseline before and behind a wheel whose flanks are known, read where the wheel certainly was not; `base` is what there is
 * to begin with. Returns of how many samples the poorer of them is made. */
static double read_baseline(channel *c, footprint *f, double noise, reading base[2], const hum *h)
{
    double foot[2];
    const double window = NEAR_S * c->rate_hz > 4.0 ? NEAR_S * c->rate_hz : 4.0, least = LEAST_S * c->rate_hz;
    find_feet(f, foot);
    const reading before = trace_mean(&c->on.t, foot[0] - window, foot[0]), after = trace_mean(&c->on.t, foot[1], foot[1] + window);
    double n0 = before.n;
    if (before.n >= least) base[0] = before;
    else if (baseline_before(&c->b, (int64_t)floor(foot[0]), &base[0].value, &base[0].at)) n0 = c->b.frame_scans;
    if (after.n >= least) {
        base[1] = after;
    } else if (c->on.quiet <= c->confirm) {
        base[1].value = base[0].value; /* nothing after it: cut short */
        base[1].at = base[0].at + 1.0;
    }
    if (!c->plate) beyond_lobes(c, f, foot, noise, base, h);
    const double poorer = fmax(1.0, fmin(n0, after.n));
    if (c->b.tau_k <= 0.0) bound_change(c, base, noise, poorer, f->peak);
    return n0 < after.n ? n0 : after.n;
}

/* Footprints of several axles that were on a long plate at once; false where it was one. */
static bool give_steps(channel *c, channel_room *room, const footprint *all, const reading base[2], double noise)
{
    stair s;
    trace alone;
    int good = 0;
    footprint list[STEPS_MOST];
    steps_find(&s, &c->on.t, base[0].value, noise);
    for (int i = 0; i < s.axles; ++i) {
        list[i] = *all;
        steps_alone(&s, &c->on.t, i, base[0].value, &alone);
        const footprint_base flat = {{base[0].at, base[1].at}, {base[0].value, base[0].value}};
        if (footprint_measure(&list[i], &alone, &flat, noise, channel_threshold(c), true)) ++good;
    }
    if (good < 2 || good < s.axles) return false;
    for (int i = 0; i < s.axles; ++i) room->sink(room->context, &list[i]);
    c->footprints += (uint64_t)s.axles - 1;
    return true;
}

/* Something short that swings through the baseline: a spike that rings. A wheel's force stays on one side of it, and fills
 * nine tenths of the box between its flanks, or more. */
static bool rings(const footprint *f, double rate_hz)
{
    static const double SHORT_S = 0.006, FULL = 0.65;
    const double width = f->fall[1] - f->rise[1];
    return width < SHORT_S * rate_hz && f->area < FULL * f->peak * width - 2.0 * f->noise * sqrt(width > 1.0 ? width : 1.0);
}

/* Measures the recording; false where it was no wheel. `base` is what is known of the baseline, and then what was read. */
static bool measure(channel *c, footprint *f, reading base[2], double *noise)
{
    const trace *t = &c->on.t;
    const double threshold = channel_threshold(c);
    hum h = {0};
    footprint_base line = {{base[0].at, base[1].at}, {base[0].value, base[1].value}};
    if (!footprint_flanks(f, t, &line, *noise, threshold, c->plate)) return false;
    if (c->rate_hz > HUM_RATE_HZ && c->b.range > HUM_SHARE * f->peak) {
        const double rest = take_out_hum(c, f, &h);
        if (h.present) {
            *noise = rest > LEAST_NOISE ? rest : LEAST_NOISE;
            if (!footprint_flanks(f, t, &line, *noise, threshold, c->plate)) return false;
        }
    }
    const double seen = read_baseline(c, f, *noise, base, &h);
    line = (footprint_base){{base[0].at, base[1].at}, {base[0].value, base[1].value}};
    if (!footprint_measure(f, t, &line, *noise, threshold, c->plate)) return false;
    f->base_noise = *noise / sqrt(seen > 1.0 ? seen : 1.0);
    return f->fall[1] - f->rise[1] >= LEAST_PASS_S * c->rate_hz && (c->plate || !rings(f, c->rate_hz));
}

/* The baseline that the channel goes on with. A wheel that leans on the sensor's edge keeps the signal above what its weight
 * is read over: with that the next samples would be wheels. No dip lifts the signal. */
static void go_on(channel *c, int64_t at, double base, bool dips)
{
    static const double LIFTED = 0.5; /* thresholds */
    const int64_t quiet = c->on.quiet;
    c->b.since = at + 1 - quiet;
    if (quiet > c->confirm) {
        const double now = c->on.quiet_sum / (double)quiet;
        const bool lifted = now > base + LIFTED * channel_threshold(c);
        c->lobes.near_value += baseline_settle(&c->b, lifted || (quiet > 2 * c->b.scans && !dips) ? now : base);
    }
    c->b.slope = 0.0;
    c->phase = CH_IDLE;
    c->above = 0;
}

void passage_end(channel *c, channel_room *room, int64_t at, bool cut_short)
{
    footprint f;
    memset(&f, 0, sizeof f);
    const wheel *w = &c->on;
    const double end = (double)(w->t.start + w->t.length - 1), quiet = (double)w->quiet;
    double noise = channel_noise(c) > LEAST_NOISE ? channel_noise(c) : LEAST_NOISE;
    reading base[2] = {{c->b.value, (double)w->began, 0.0}, {c->b.value, end, 0.0}};
    if (w->quiet > c->confirm) base[1] = (reading){w->quiet_sum / quiet, end - 0.5 * quiet, quiet};
    if (!c->plate) c->spikes += (uint64_t)spikes_take_out(&c->on.t, c->rate_hz, c->b.value, noise, w->top, w->steepest);
    const bool good = measure(c, &f, base, &noise);
    f.sensor = c->sensor;
    f.saturated = w->saturated;
    f.cut_short = cut_short;
    go_on(c, at, base[1].value, f.lobe > 0.0);
    if (!good || is_tail(c, &f)) return;
    c->last.tail_until = f.fall[0] + LOBE_FAR0 * pulse_by(&f, f.fall[0] - f.fall[LEVELS - 1]);
    c->saturated_share += 0.25 * ((f.saturated ? 1.0 : 0.0) - c->saturated_share);
    below_footprint(c, f.peak);
    c->last.peak = f.peak;
    c->last.peak_at = at;
    c->footprints++;
    c->flat_frames = 0;
    if (!c->plate || cut_short || !give_steps(c, room, &f, base, noise)) room->sink(room->context, &f);
}
