/* Conditioning of one channel: baseline, droop, spikes, and where a footprint begins and ends. See channel.h. */
#include "channel.h"
#include "spike.h"
#include "steps.h"

#include <math.h>
#include <string.h>

/* Frames of which the first baseline is made: 0.1 s, but not less than three. */
enum { START_FRAMES = 8, LEAST_START_FRAMES = 3 };

/* Mean range of 8, 16, 32 ... samples of normal noise, in its standard deviations: L. Tippett, Biometrika 17 (1925). */
static const double RANGES[] = {2.85, 3.53, 4.14, 4.7, 5.25, 5.77, 6.26, 6.73, 7.2, 7.6};

/* So many equal samples in a row do not happen by chance on a channel whose noise spans that many counts. */
enum { FLAT_SAMPLES = 16, FLAT_NOISE = 6, FLAT_AGAIN = 2 };

/* Pulses the wrong way round, and axles that this sensor alone missed meanwhile, before it is taken for reversed. */
enum { REVERSED_PULSES = 3 };

/* Frames in a row that swing over the threshold on both sides: no wheel, the noise has grown. */
enum { SWING_FRAMES = 6 };

/* While a wheel stands on a sensor the baseline is not seen; it may move this fast: 1 % of full scale in a minute. */
static const double DRIFT_COUNTS_PER_S = 5.5;

/* So far out, at most, the baseline is averaged. */
static const double FAR_S = 0.15;

void channel_init(channel *c, int sensor, int index, double rate_hz, int frame_scans, double tau_s)
{
    memset(c, 0, sizeof *c);
    c->sensor = sensor;
    c->channel = index;
    c->rate_hz = rate_hz;
    c->frame_scans = frame_scans;
    int shift = 0;
    while (shift < 9 && (8 << shift) < frame_scans) ++shift;
    c->spread = RANGES[shift];
    c->by_range = 5.64 / c->spread;
    c->per_scan = 1.0 / frame_scans; /* a power of two: exact */
    c->tau_k = tau_s > 0.0 ? 1.0 / (tau_s * rate_hz) : 0.0;
    const int width = (int)(rate_hz * 0.0006 + 0.05);
    c->spike_width = width > 3 ? 3 : width;
    const int confirm = (int)(rate_hz * 0.0006);
    c->confirm = confirm < 2 ? 2 : confirm;
    c->wired = c->sign = 1;
    lobes_init(&c->lobes);
    channel_restart(c, 0);
}

/* A raw sample the way round in which a wheel is positive. */
static int sample_at(const channel *c, const history *h, int64_t at)
{
    return c->sign * history_sample(h, at, c->channel);
}

void channel_restart(channel *c, int64_t scan)
{
    c->phase = CH_START;
    c->start_frames = 0;
    c->integral = 0.0;
    c->slope = 0.0;
    c->above = 0;
    c->last_end = scan;
    c->lobes.waiting = false;
    c->lobe_until = c->tail_until = (double)scan;
    for (int i = 0; i < MEAN_RING; ++i) c->means[i].idle = false;
}

double channel_threshold(const channel *c)
{
    const double by_noise = c->by_range * c->range + 3.0;
    return by_noise > c->least ? by_noise : c->least;
}

double channel_noise(const channel *c)
{
    return c->range / c->spread;
}

/* Median of an odd, small number of samples around `at`, over the edges of frames. */
static int median_around(const history *h, const channel *c, int64_t at, int half, int64_t first, int64_t last)
{
    int v[7];
    int n = 0;
    for (int64_t i = at - half; i <= at + half; ++i) {
        const int64_t j = i < first ? first : (i > last ? last : i);
        const int s = sample_at(c, h, j);
        int k = n++;
        while (k > 0 && v[k - 1] > s) {
            v[k] = v[k - 1];
            --k;
        }
        v[k] = s;
    }
    return v[n / 2];
}

/* Sample `at`, with a spike of up to `spike_width` samples taken out. */
static double clean_sample(channel *c, const history *h, int64_t at, bool count)
{
    const int s = sample_at(c, h, at), half = c->spike_width;
    if (half == 0) return s;
    const int64_t oldest = (h->frames - HISTORY_FRAMES) * h->frame_scans;
    const int64_t first = oldest > 0 ? oldest : 0, last = h->frames * h->frame_scans - 1;
    const double limit = c->range + 8.0;
    if (at - half >= first && at + half <= last) {
        /* A spike stands out from the samples on both its sides. */
        if (fabs((double)(s - sample_at(c, h, at - half))) <= limit ||
            fabs((double)(s - sample_at(c, h, at + half))) <= limit)
            return s;
    }
    const int m = median_around(h, c, at, half, first, last);
    const double off = fabs((double)(s - m));
    if (off > limit && off > 0.25 * fabs((double)m - c->base + c->integral)) {
        if (count) c->spikes++;
        return m;
    }
    return s;
}

double channel_recent(channel *c, const history *h, int64_t scan)
{
    return clean_sample(c, h, scan, false);
}

static void begin_wheel(channel *c, const history *h, int64_t at)
{
    /* Take in what came before: up to the oldest frame, but not the wheel before. */
    int64_t from = (h->frames - HISTORY_FRAMES + 1) * c->frame_scans;
    if (from < 0) from = 0;
    if (from < c->last_end) from = c->last_end;
    if (from > at) from = at;
    double integral = c->integral;
    if (c->tau_k > 0.0)
        for (int64_t i = at; i >= from; --i) integral -= (clean_sample(c, h, i, false) - c->base) * c->tau_k;
    c->lobes.waiting = false;
    trace_begin(&c->t, from);
    c->top = 0.0;
    c->saturated = false;
    for (int64_t i = from; i <= at; ++i) {
        const double x = c->means[(i / c->frame_scans) & (MEAN_RING - 1)].idle ? sample_at(c, h, i) : clean_sample(c, h, i, false);
        integral += (x - c->base) * c->tau_k;
        const double y = x + integral;
        if (y - c->base > c->top) c->top = y - c->base;
        trace_add(&c->t, (float)y, (float)(c->range * 0.25));
    }
    c->t.lead = c->t.count - 1;
    c->phase = CH_WHEEL;
    c->began = at;
    c->last_high = at;
    c->quiet = 0;
    c->quiet_sum = 0.0;
    c->level_since = at;
    c->level_value = 0.0;
    c->jumped = true;
    c->equal_run = 0;
}

/* Baseline before scan `until`: the mean of the idle frames nearest to it. */
static bool base_before(const channel *c, int64_t until, double *value, double *at)
{
    const int64_t last = until / c->frame_scans - 1;
    const int want = 1 + (int)(0.06 * c->rate_hz) / c->frame_scans;
    double sum = 0.0, where = 0.0;
    int n = 0;
    for (int64_t f = last; f > last - 40 && f >= 0 && n < want; --f) {
        const frame_mean *m = &c->means[f & (MEAN_RING - 1)];
        if ((f + 1) * c->frame_scans <= c->last_end || !m->idle) break;
        sum += (double)m->mean;
        where += ((double)f + 0.5) * c->frame_scans - 0.5;
        ++n;
    }
    if (n == 0) return false;
    *value = sum / n;
    *at = where / n;
    return true;
}

/* Mean of the idle frames that lie between two scans, all of them; how many there are. */
static int idle_mean(const channel *c, double from, double to, double *value, double *at)
{
    const int64_t first = (int64_t)ceil(from / c->frame_scans), last = (int64_t)floor(to / c->frame_scans) - 1;
    if (from <= (double)c->last_end || last - first >= MEAN_RING - 2 || c->began / c->frame_scans - first >= MEAN_RING - 2) return 0;
    double sum = 0.0;
    int n = 0;
    for (int64_t f = first; f <= last; ++f, ++n) {
        if (!c->means[f & (MEAN_RING - 1)].idle) return 0;
        sum += (double)c->means[f & (MEAN_RING - 1)].mean;
    }
    if (n == 0) return 0;
    *value = sum / n;
    *at = 0.5 * (double)((first + last + 1) * c->frame_scans) - 0.5;
    return n;
}

/* How far the baseline may have moved in so many scans. */
static double drifted(const channel *c, double scans)
{
    return (2.0 * c->drift + 0.1 * DRIFT_COUNTS_PER_S / c->rate_hz) * scans;
}

/* Mean of the trace between two scans; the number of samples that went into it. */
static double trace_mean(const trace *t, double from, double to, double *value, double *at)
{
    double sum = 0.0, moment = 0.0, n = 0.0;
    /* Before the wheel each point is one sample. */
    const int lead = t->lead;
    const double first = ceil(from - (double)t->start), last = floor(to - (double)t->start);
    const int i0 = first > 0.0 ? (first < lead ? (int)first : lead) : 0, i1 = last < lead ? (last < 0.0 ? 0 : (int)last + 1) : lead;
    for (int i = i0; i < i1; ++i) {
        sum += (double)t->points[i].value;
        moment += (double)(t->start + i);
        n += 1.0;
    }
    double scan = (double)(t->start + lead);
    for (int i = lead; i < t->count && scan <= to + 1.0; ++i) {
        const double k = t->points[i].n, middle = scan + 0.5 * k - 0.5;
        if (middle >= from && middle <= to) {
            sum += (double)t->points[i].value * k;
            moment += middle * k;
            n += k;
        }
        scan += k;
    }
    if (n > 0.0) {
        *value = sum / n;
        *at = moment / n;
    }
    return n;
}

/* The baseline beside a strip's footprint where the road's bow wave dips below it: read next to the foot and put up by
 * the dip's usual depth, and read from farther out where nothing else is there. Before and after; learns on the way. */
static void beyond_lobes(channel *c, footprint *f, double foot0, double foot1, double noise, double base[2], double at[2],
                         const hum *h)
{
    const double span = f->fall[1] - f->rise[1];
    double pulse[2] = {5.0 * (f->rise[LEVELS - 1] - f->rise[0]), 5.0 * (f->fall[0] - f->fall[LEVELS - 1])};
    for (int i = 0; i < 2; ++i)
        if (pulse[i] > span) pulse[i] = span;
    const bool clear = f->peak > 4.0 * channel_threshold(c);
    const double until = foot1 + LOBE_FAR0 * pulse[LOBE_AFTER];
    f->lobe = 0.0;
    for (int i = 0; i < 2; ++i) {
        const double near = LOBE_NEAR * pulse[i];
        double value = 0.0, where = 0.0, far = 0.0, far_at = 0.0, share_sigma;
        const double n = i == LOBE_BEFORE ? trace_mean(&c->t, foot0 - near, foot0, &value, &where)
                                          : trace_mean(&c->t, foot1, foot1 + near, &value, &where);
        if (n < 4.0) {
            /* Nothing but the dip was seen behind it. */
            if (i == LOBE_AFTER && lobes_share(&c->lobes, i, &share_sigma) > 0.0) base[i] = base[0];
            continue;
        }
        double far_sigma = HUGE_VAL;
        if (i == LOBE_BEFORE) {
            const double to = foot0 - LOBE_FAR0 * pulse[i];
            double reach = (LOBE_FAR1 - LOBE_FAR0) * pulse[i] > 3.5 * c->frame_scans ? (LOBE_FAR1 - LOBE_FAR0) * pulse[i]
                                                                                   : 3.5 * c->frame_scans;
            /* As much of it as there is, against the noise. */
            double from = to - FAR_S * c->rate_hz;
            if (from < (double)c->t.start) from = (double)c->t.start;
            if (from < c->lobe_until) from = c->lobe_until + 1.0;
            if (from < (double)c->last_end) from = (double)c->last_end + 1.0;
            if (to - from > reach) reach = to - from;
            double seen = 0.0;
            if (to - reach > c->lobe_until) {
                /* From the trace, where hum was taken out of it, else from the frames before. */
                if (to - reach >= (double)c->t.start && to - reach > (double)c->last_end) seen = trace_mean(&c->t, to - reach, to, &far, &far_at);
                else seen = idle_mean(c, to - reach, to, &far, &far_at) * c->frame_scans;
            }
            if (seen > 0.0) {
                const double drift = drifted(c, where - far_at);
                far_sigma = sqrt(noise * noise / seen + drift * drift);
                if (clear) lobes_learn(&c->lobes, i, value, far, f->peak, sqrt(far_sigma * far_sigma + noise * noise / n));
            }
        } else if (clear) {
            c->lobes.waiting = true;
            c->behind = *h;
            c->lobes.near_value = value;
            c->lobes.peak = f->peak;
            c->lobes.noise = noise / sqrt(n);
            c->lobes.from = foot1 + LOBE_FAR0 * pulse[i];
            c->lobes.to = c->lobes.from + (LOBE_FAR1 - LOBE_FAR0) * pulse[i];
            c->lobes.sum = c->lobes.n = 0.0;
        }
        const double share = lobes_share(&c->lobes, i, &share_sigma);
        if (share <= 0.0 && !(far_sigma < HUGE_VAL)) continue;
        const double sigma = sqrt(noise * noise / n + share_sigma * share_sigma * f->peak * f->peak);
        const double a = 1.0 / (sigma * sigma), b = far_sigma < HUGE_VAL ? 1.0 / (far_sigma * far_sigma) : 0.0;
        base[i] = (a * (value + share * f->peak) + b * far) / (a + b);
        at[i] = (a * where + b * far_at) / (a + b);
        f->lobe += share;
    }
    c->lobe_until = until;
}

/* So soon after a wheel, something far weaker may be what the baseline made of the wheel's tail. */
static bool is_faint(const channel *c, double peak, double begin)
{
    return peak < 0.03 * c->last_peak && begin - (double)c->last_peak_at < 30.0 * c->rate_hz;
}

/* The tail begins with the wheel, within reach of the road's bow wave, or it is as slow as the sensor's droop. What comes
 * later, and comes and goes, is a light wheel. */
static bool is_tail(const channel *c, const footprint *f)
{
    if (!is_faint(c, f->peak, f->begin)) return false;
    return f->rise[0] < c->tail_until || c->levelled || (f->fall[1] - f->rise[1]) * c->tau_k > 0.2;
}

/* Until when the last wheel's tail may begin. */
static double tail_end(const footprint *f)
{
    const double span = f->fall[1] - f->rise[1], pulse = 5.0 * (f->fall[0] - f->fall[LEVELS - 1]);
    return f->fall[0] + LOBE_FAR0 * (pulse < span ? pulse : span);
}

/* Where a wheel certainly was not: before and after its flanks. */
static void find_feet(const footprint *f, double foot[2])
{
    foot[0] = f->rise[0] - 1.5 * (f->rise[LEVELS - 1] - f->rise[0]) - 2.0;
    foot[1] = f->fall[0] + 1.5 * (f->fall[0] - f->fall[LEVELS - 1]) + 2.0;
}

/* Takes the hum out of the trace, and fills `h` with it as it is behind the wheel; returns the noise that is left. A wheel
 * that was on for many periods has it before and behind with phases of their own. */
static double take_out_hum(channel *c, const footprint *f, hum *h)
{
    static const double LONG_S = 0.3;
    const double end = (double)(c->t.start + c->t.length);
    double foot[2];
    find_feet(f, foot);
    if (foot[1] - foot[0] < LONG_S * c->rate_hz) {
        const double rest = hum_fit(h, &c->t, foot[0], foot[1], c->rate_hz);
        if (h->present) hum_take_out(h, &c->t, -HUGE_VAL, HUGE_VAL);
        return rest;
    }
    hum before;
    const double middle = 0.5 * (foot[0] + foot[1]);
    const double rest0 = hum_fit(&before, &c->t, foot[0], end, c->rate_hz), rest1 = hum_fit(h, &c->t, (double)c->t.start, foot[1], c->rate_hz);
    if (before.present) hum_take_out(&before, &c->t, -HUGE_VAL, middle);
    if (h->present) hum_take_out(h, &c->t, middle, HUGE_VAL);
    if (!h->present) {
        *h = before;
        return rest0;
    }
    return before.present && rest0 > rest1 ? rest0 : rest1;
}

/* Baseline before and behind a wheel whose flanks are known, read where the wheel certainly was not. Returns of how many
 * samples the poorer of them is made. */
static double read_baseline(channel *c, footprint *f, double noise, double base[2], double at[2], const hum *h)
{
    double foot[2], n0, n1, value = 0.0, where = 0.0;
    const double window = 0.04 * c->rate_hz > 4.0 ? 0.04 * c->rate_hz : 4.0;
    find_feet(f, foot);
    n0 = trace_mean(&c->t, foot[0] - window, foot[0], &value, &where);
    if (n0 >= 0.003 * c->rate_hz) {
        base[0] = value;
        at[0] = where;
    } else if (base_before(c, (int64_t)floor(foot[0]), &value, &where)) {
        base[0] = value;
        at[0] = where;
        n0 = c->frame_scans;
    }
    n1 = trace_mean(&c->t, foot[1], foot[1] + window, &value, &where);
    if (n1 >= 0.003 * c->rate_hz) {
        base[1] = value;
        at[1] = where;
    } else if (c->quiet <= c->confirm) {
        base[1] = base[0]; /* nothing after it: cut short */
        at[1] = at[0] + 1.0;
    }
    if (!c->plate) beyond_lobes(c, f, foot[0], foot[1], noise, base, at, h);
    if (n0 < 1.0) n0 = 1.0;
    if (n1 < 1.0) n1 = 1.0;
    if (c->tau_k <= 0.0) {
        /* A baseline does not jump: what looks so is a wheel that still leans on the sensor's edge. */
        const double most = 1.0 + 4.0 * noise / sqrt(n0 < n1 ? n0 : n1) +
                            (3.0 * c->drift + DRIFT_COUNTS_PER_S / c->rate_hz) * (at[1] - at[0]) + 0.004 * f->peak;
        if (base[1] > base[0] + most) base[1] = base[0] + most;
        if (base[1] < base[0] - most) base[1] = base[0] - most;
    }
    return n0 < n1 ? n0 : n1;
}

/* Footprints of several axles that were on a long plate at once; false where it was one. */
static bool give_steps(channel *c, const footprint *all, const double base[2], const double base_at[2], double noise,
                       double threshold, footprint_sink sink, void *context)
{
    stair s;
    trace alone;
    int good = 0;
    footprint list[STEPS_MOST];
    steps_find(&s, &c->t, base[0], noise);
    for (int i = 0; i < s.axles; ++i) {
        footprint *f = &list[i];
        *f = *all;
        steps_alone(&s, &c->t, i, base[0], &alone);
        const double flat[2] = {base[0], base[0]};
        if (footprint_measure(f, &alone, base_at[0], flat[0], base_at[1], flat[1], noise, threshold, true, false)) ++good;
    }
    if (good < 2 || good < s.axles) return false;
    for (int i = 0; i < s.axles; ++i) sink(context, &list[i]);
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

static void end_wheel(channel *c, int64_t at, footprint_sink sink, void *context, bool cut_short)
{
    footprint f;
    memset(&f, 0, sizeof f);
    double noise = channel_noise(c) > 0.3 ? channel_noise(c) : 0.3;
    const double threshold = channel_threshold(c);
    const double start = (double)c->t.start, end = start + (double)c->t.length - 1.0;
    double base0 = c->base, at0 = (double)c->began, base1 = c->base, at1 = end;
    const double quiet_n = (double)c->quiet;
    if (c->quiet > c->confirm) {
        base1 = c->quiet_sum / quiet_n;
        at1 = end - 0.5 * quiet_n;
    }
    hum h = {0};
    double feet_base[2] = {base0, base1}, feet_at[2] = {at0, at1};
    if (!c->plate) c->spikes += (uint64_t)spikes_take_out(&c->t, c->rate_hz, c->base, noise);
    bool good = footprint_measure(&f, &c->t, at0, base0, at1, base1, noise, threshold, c->plate, true);
    if (good && c->rate_hz > 250.0 && c->range > 0.008 * f.peak) {
        const double rest = take_out_hum(c, &f, &h);
        if (h.present) {
            noise = rest > 0.3 ? rest : 0.3;
            good = footprint_measure(&f, &c->t, at0, base0, at1, base1, noise, threshold, c->plate, true);
        }
    }
    if (good) {
        double base[2] = {base0, base1}, base_at[2] = {at0, at1};
        const double seen = read_baseline(c, &f, noise, base, base_at, &h);
        base1 = base[1];
        memcpy(feet_base, base, sizeof base);
        memcpy(feet_at, base_at, sizeof base_at);
        good = footprint_measure(&f, &c->t, base_at[0], base[0], base_at[1], base[1], noise, threshold, c->plate, false);
        f.base_noise = noise / sqrt(seen > 1.0 ? seen : 1.0);
    }
    f.sensor = c->sensor;
    f.saturated = c->saturated;
    f.cut_short = cut_short;
    /* A wheel is at least a few centimetres of rubber: nothing passes in less than two milliseconds. */
    if (good && f.fall[1] - f.rise[1] < 0.0015 * c->rate_hz) good = false;
    if (good && !c->plate && rings(&f, c->rate_hz)) good = false;
    c->last_end = at + 1 - c->quiet;
    if (c->quiet > c->confirm) {
        c->base = base1;
        if (c->quiet > 2 * c->frame_scans && !(f.lobe > 0.0)) c->base = c->quiet_sum / quiet_n;
    }
    c->slope = 0.0;
    c->phase = CH_IDLE;
    c->above = 0;
    if (good && is_tail(c, &f)) good = false;
    if (good) {
        c->tail_until = tail_end(&f);
        c->saturated_share += 0.25 * ((f.saturated ? 1.0 : 0.0) - c->saturated_share);
        c->negative_run = 0;
        c->last_peak = f.peak;
        c->last_peak_at = at;
        c->footprints++;
        c->flat_frames = 0;
        if (!c->plate || f.cut_short || !give_steps(c, &f, feet_base, feet_at, noise, threshold, sink, context)) sink(context, &f);
    }
}

/* Flat where noise should be: an amplifier that ends before the converter does. Once it is known where, a few samples are
 * enough. */
static bool is_flat(channel *c, int raw, double z)
{
    if (c->equal_run >= FLAT_SAMPLES && c->range >= FLAT_NOISE && z > 0.5 * c->top) {
        c->ceiling = raw;
        c->has_ceiling = true;
        return true;
    }
    if (c->has_ceiling && raw > c->ceiling + 1) c->has_ceiling = false;
    return c->has_ceiling && raw >= c->ceiling && c->equal_run >= FLAT_AGAIN;
}

/* A level that was reached within a millisecond or two and is held: the baseline jumped, because a cable came off or
 * was put on again. The fastest wheel needs several times as long to drive onto a strip. */
static bool baseline_jumped(channel *c, int64_t at, double x, double z)
{
    const int64_t settled = c->began + c->confirm + 2;
    static const double LEAST_RATE_HZ = 1000.0; /* slower, and a wheel may rise from one sample to the next */
    if (!c->jumped || c->rate_hz < LEAST_RATE_HZ || at < settled) return false;
    if (at == settled) c->jump_value = z;
    if (fabs(z - c->jump_value) > channel_threshold(c) + 0.2 * fabs(c->jump_value)) c->jumped = false;
    if (!c->jumped || (double)(at - c->began) < 0.3 * c->rate_hz) return false;
    c->base = x;
    c->integral = 0.0;
    c->slope = 0.0;
    c->last_end = at + 1;
    c->above = 0;
    c->phase = CH_IDLE;
    return true;
}

static void wheel_sample(channel *c, int64_t at, double y, footprint_sink sink, void *context, const history *h)
{
    const double z = y - c->base;
    const double threshold = channel_threshold(c);
    const double held_s = (double)(at - c->began) / c->rate_hz;
    double low = 0.5 * threshold;
    if (held_s > 1.0) low += (2.0 * c->drift + DRIFT_COUNTS_PER_S / c->rate_hz) * (double)(at - c->began);
    if (low > 0.1 * c->top && 0.1 * c->top > 0.5 * threshold) low = 0.1 * c->top;
    trace_add(&c->t, (float)y, (float)(c->range * 0.25));
    if (z > c->top) c->top = z;
    if (z > 0.5 * c->top) c->last_high = at;
    if (z < low) {
        if (c->quiet == 0) {
            c->last_low_start = at;
            c->quiet_sum = 0.0;
        }
        c->quiet++;
        c->quiet_sum += y;
        c->above = 0;
        double need = 1.5 * (double)(c->last_low_start - c->last_high);
        double least = 0.025 * c->rate_hz;
        const double most = 1.0 * c->rate_hz;
        if (least < c->confirm + 1.0) least = c->confirm + 1.0; /* at few samples a second: enough for a baseline */
        if (need > most) need = most;
        if (need < least) need = least;
        if ((double)c->quiet >= need) end_wheel(c, at, sink, context, false);
        return;
    }
    if (c->quiet > 0 && z > threshold) {
        if (++c->above >= c->confirm) {
            if ((double)c->quiet > 0.003 * c->rate_hz) {
                /* The next wheel is there before the last one's baseline was waited for. */
                end_wheel(c, at, sink, context, false);
                begin_wheel(c, h, at);
            } else {
                c->quiet = 0;
                c->above = 0;
            }
        }
        return;
    }
    if (c->quiet > 0) {
        c->quiet++;
        c->quiet_sum += y;
        return;
    }
    /* Something small that does not move for long after the wheel has gone is baseline, not a wheel. Before and behind a
     * wheel on a plate the road's bow wave is in the baseline, and a second wheel may come within it. */
    const bool tail = is_faint(c, c->top, (double)c->began);
    const double long_s = (tail && (double)c->began < c->tail_until + 0.1 * c->rate_hz) || (c->plate && z < 0.04 * c->top) ? 2.0 : 20.0;
    if (fabs(z - c->level_value) > 0.5 * threshold) {
        c->level_value = z;
        c->level_since = at;
    } else if ((tail || z < 0.08 * c->top) && (double)(at - c->level_since) > long_s * c->rate_hz) {
        c->quiet = at - c->level_since;
        c->quiet_sum = y * (double)c->quiet;
        c->last_low_start = c->level_since;
        c->levelled = true;
        end_wheel(c, at, sink, context, false);
        c->levelled = false;
    }
}

/* An excursion below the baseline has ended. The shallow ones are the road's (a bow wave) or the first baseline's, taken
 * under a wheel. Deep ones instead of footprints, while the other lines see axles, are wheels on a reversed channel:
 * from then on it is read the other way round. */
static void negative_over(channel *c, int64_t at)
{
    c->phase = CH_IDLE;
    if (c->depth < 3.0 * channel_threshold(c) || c->depth < 0.15 * c->last_peak) return;
    if (c->negative_run < 1000) c->negative_run++;
    if (c->negative_run < REVERSED_PULSES || c->missed_run < REVERSED_PULSES) return;
    c->sign = -c->sign;
    c->has_ceiling = false;
    lobes_init(&c->lobes);
    c->base = -c->base;
    c->slope = -c->slope;
    c->integral = -c->integral;
    c->last_end = at;
    c->last_peak = 0.0;
    c->negative_run = c->missed_run = 0;
    for (int i = 0; i < MEAN_RING; ++i) c->means[i].idle = false;
}

/* An idle frame behind a wheel: far enough from it the baseline shows how deep the dip next to it was. */
static void learn_behind(channel *c, int64_t frame, double mean)
{
    lobes *l = &c->lobes;
    const double start = (double)(frame * c->frame_scans), end = start + c->frame_scans;
    if (start >= l->from) {
        l->sum += mean - hum_mean(&c->behind, 0.5 * (start + end) - 0.5, c->frame_scans);
        l->n += 1.0;
    }
    if (end < l->to || l->n < 1.0) return;
    const double noise = channel_noise(c) / sqrt(l->n * c->frame_scans), drift = drifted(c, 2.0 * (l->to - l->from));
    l->waiting = false;
    lobes_learn(l, LOBE_AFTER, l->near_value, l->sum / l->n, l->peak, sqrt(noise * noise + l->noise * l->noise + drift * drift));
}

/* Minimum, maximum and mean of a frame, the way round in which a wheel is positive. */
typedef struct {
    int lo, hi;
    double mean;
} frame_range;

/* What a frame says of the converter: at its rails, or flat. */
static void note_rails(channel *c, const frame_range *r)
{
    static const int MOST = 1000000;
    const bool low = at_rail(r->lo), high = at_rail(r->hi);
    if (high || low) c->saturated_samples++;
    c->rail_frames = low && high ? (c->rail_frames < MOST ? c->rail_frames + 1 : MOST) : 0;
    c->flat_frames = r->hi == r->lo ? (c->flat_frames < MOST ? c->flat_frames + 1 : MOST) : 0;
}

/* The first frames give baseline and noise; the quietest of them counts. */
static void start_frame(channel *c, const frame_range *r, frame_mean *slot)
{
    const double range = (double)(r->hi - r->lo);
    if (c->start_frames == 0 || range < c->range) {
        c->range = range;
        c->base = r->mean;
    }
    slot->mean = (float)r->mean;
    slot->idle = true;
    if (++c->start_frames < START_FRAMES &&
        (c->start_frames < LEAST_START_FRAMES || (double)c->start_frames * c->frame_scans < 0.1 * c->rate_hz))
        return;
    c->range *= 1.1;
    c->phase = CH_IDLE;
}

/* Idle: follow the baseline (an alpha-beta tracker), and the noise. */
static void idle_frame(channel *c, int64_t frame, const frame_range *r, frame_mean *slot)
{
    const int n = c->frame_scans;
    const double range = (double)(r->hi - r->lo);
    double y = r->mean;
    if (c->tau_k > 0.0) {
        const double step = (r->mean - c->base) * c->tau_k * n;
        y = r->mean + c->integral + 0.5 * step;
        c->integral += step;
    }
    slot->mean = (float)y;
    slot->idle = true;
    const double predicted = c->base + c->slope * n, off = y - predicted;
    if (c->lobes.waiting) learn_behind(c, frame, y);
    double depth_sigma;
    if ((double)(frame * n) < c->lobe_until && off < 0.0 && lobes_share(&c->lobes, LOBE_AFTER, &depth_sigma) > 0.0) return;
    c->base = predicted + 0.25 * off;
    c->slope += 0.01 * off * c->per_scan;
    c->drift += 0.005 * (fabs(c->slope) - c->drift);
    const double most = 2.0 * c->range + 2.0;
    if (r->hi > r->lo) c->range += 0.02 * ((range < most ? range : most) - c->range); /* a dead channel is no measure of its noise */
}

/* Minimum, maximum and sum of the samples of a frame with spikes and droop taken out. */
typedef struct {
    double lo, hi, sum;
    bool wheel; /* there was one in it */
} clean_range;

static void one_sample(channel *c, const history *h, int64_t at, clean_range *r, footprint_sink sink, void *context)
{
    const double x = clean_sample(c, h, at, true);
    const int raw = sample_at(c, h, at);
    c->integral += (x - c->base) * c->tau_k;
    const double y = x + c->integral, z = y - c->base;
    r->sum += y;
    if (y < r->lo) r->lo = y;
    if (y > r->hi) r->hi = y;
    if (c->phase == CH_WHEEL) {
        r->wheel = true;
        /* At the rail, or flat where noise should be: an amplifier that ends before the converter does. */
        c->equal_run = raw == c->last_raw ? c->equal_run + 1 : 0;
        c->last_raw = raw;
        if (at_rail(raw) || is_flat(c, raw, z)) c->saturated = true;
        if (!baseline_jumped(c, at, x, z)) wheel_sample(c, at, y, sink, context, h);
    } else if (z > channel_threshold(c)) {
        if (++c->above < c->confirm) return;
        begin_wheel(c, h, at);
        c->above = 0;
        r->wheel = true;
        if (at_rail(raw)) c->saturated = true;
    } else {
        c->above = 0;
    }
}

/* Below the baseline: a reversed channel, or the first baseline was taken under a wheel. */
static void below_frame(channel *c, int64_t frame, const clean_range *r, double z)
{
    const int n = c->frame_scans;
    const double threshold = channel_threshold(c);
    if (c->phase != CH_NEGATIVE) {
        c->phase = CH_NEGATIVE;
        c->depth = 0.0;
        c->level_value = z;
        c->level_since = c->negative_since = frame;
        c->jumped = true;
    }
    /* A cable's doing is there at once; a wheel that stops on a reversed channel came over its flank. */
    if (frame == c->negative_since + 1) c->jump_value = z;
    if (frame > c->negative_since + 1 && fabs(z - c->jump_value) > threshold + 0.05 * fabs(c->jump_value)) c->jumped = false;
    const bool wheel = !c->jumped && c->missed_run > 0 && c->depth > 3.0 * threshold;
    if (c->base - r->lo > c->depth) c->depth = c->base - r->lo;
    if (fabs(z - c->level_value) > 0.5 * threshold) {
        c->level_value = z;
        c->level_since = frame;
    }
    if ((double)((frame - c->level_since) * n) <= (wheel ? 30.0 : 0.3) * c->rate_hz) return;
    c->base = r->sum / n;
    if (c->tau_k > 0.0) c->integral = 0.0;
    c->slope = 0.0;
    c->phase = CH_IDLE;
}

/* A frame that was looked at sample by sample and held no wheel. */
static void quiet_frame(channel *c, int64_t frame, const clean_range *r, frame_mean *slot)
{
    const double threshold = channel_threshold(c), z = r->sum / c->frame_scans - c->base;
    if (r->hi - c->base < threshold && r->lo - c->base > -threshold) {
        slot->idle = true; /* spikes alone */
        c->base += 0.1 * z;
        c->phase = CH_IDLE;
        return;
    }
    if (z < -0.7 * threshold) {
        below_frame(c, frame, r, z);
        return;
    }
    if (c->phase == CH_NEGATIVE) negative_over(c, frame * c->frame_scans);
    c->phase = CH_IDLE;
    /* Noise over the threshold without a wheel: the noise has grown. */
    const double range = r->hi - r->lo, most = 2.0 * c->range + 2.0;
    c->range += 0.05 * ((range < most ? range : most) - c->range);
    c->base += 0.05 * z;
}

void channel_frame(channel *c, const history *h, int64_t frame, int lo, int hi, int64_t sum, footprint_sink sink,
                   void *context)
{
    const int n = c->frame_scans;
    frame_range r = {lo, hi, (double)sum * c->per_scan};
    if (c->sign < 0) {
        r.lo = -hi;
        r.hi = -lo;
        r.mean = -r.mean;
    }
    frame_mean *slot = &c->means[frame & (MEAN_RING - 1)];
    slot->idle = false;
    note_rails(c, &r);
    if (c->phase == CH_START) {
        start_frame(c, &r, slot);
        return;
    }
    const double threshold = channel_threshold(c), y0 = c->integral - c->base;
    const bool above = (double)r.hi + y0 >= threshold, below = (double)r.lo + y0 <= -threshold;
    if (c->phase == CH_NEGATIVE && !above && !below) negative_over(c, frame * n);
    if (c->phase == CH_IDLE && !above && !below) {
        idle_frame(c, frame, &r, slot);
        return;
    }
    c->swing_frames = above && below ? c->swing_frames + 1 : 0;
    if (c->swing_frames >= SWING_FRAMES) {
        c->swing_frames = 0;
        channel_restart(c, frame * n);
        return;
    }
    clean_range cleaned = {1e9, -1e9, 0.0, c->phase == CH_WHEEL};
    for (int i = 0; i < n; ++i) one_sample(c, h, frame * n + i, &cleaned, sink, context);
    slot->mean = (float)(cleaned.sum / n);
    if (c->phase != CH_WHEEL && !cleaned.wheel) quiet_frame(c, frame, &cleaned, slot);
}

void channel_close(channel *c, const history *h, footprint_sink sink, void *context)
{
    (void)h;
    if (c->phase == CH_WHEEL) end_wheel(c, c->t.start + c->t.length - 1, sink, context, true);
}
