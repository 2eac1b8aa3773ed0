/* Force traces of bounded size, and the measures of a footprint: flanks, centroid, peak, area. See footprint.h. */
#include "footprint.h"
#include "wide.h"

#include <math.h>
#include <string.h>

static const double FOOT = 1.5; /* of a flank between its lowest and highest level, to where the force ends */

const double footprint_level[LEVELS] = {0.2, 0.4, 0.6, 0.8};

void trace_begin(trace *t, int64_t scan)
{
    t->count = t->lead = 0;
    t->step = 0.0;
    t->start = scan;
    t->length = 0;
}

/* Merges neighbours that differ less than `tolerance`; a stretch takes in at most one neighbour in a pass, so that
 * slopes are not flattened. Returns the new count. Which ones are alike, and what each makes with the next one, is found for
 * all first: whether noise lets two merge is nothing that a processor could foresee. */
WIDE_VECTORS static int merge_pass(float *restrict value, int32_t *restrict n, int count, double tolerance, int at_least)
{
    static const int32_t MOST = INT32_MAX / 4;
    unsigned char alike[TRACE_POINTS];
    float both[TRACE_POINTS];
    for (int i = 0; i + 1 < count; ++i) {
        const double v0 = (double)value[i], v1 = (double)value[i + 1], n0 = n[i], n1 = n[i + 1];
        alike[i] = (fabs(v0 - v1) <= tolerance) & (n[i] < MOST) & (n[i + 1] < MOST);
        both[i] = (float)((v0 * n0 + v1 * n1) / (n0 + n1));
    }
    alike[count - 1] = 0;
    int out = 0, left = count - at_least;
    for (int i = 0; i < count; ++out) {
        const int with = alike[i] & (left > 0), last = i + with;
        value[out] = *(with ? &both[i] : &value[i]);
        n[out] = n[i] + (with ? n[last] : 0);
        left -= with;
        i = last + 1;
    }
    return out;
}

/* Merges until no more than `limit` are left; `*step` is the tolerance to begin with, and the last one. */
static int shrink(float *value, int32_t *n, int count, int limit, double *step)
{
    if (*step < 1e-3) *step = 1e-3;
    while (count > limit) {
        const int before = count;
        count = merge_pass(value, n, count, *step, limit);
        if (count > before - before / 16) *step *= 1.5;
    }
    return count;
}

static void make_room(trace *t, float tolerance)
{
    /* It began with this tolerance; the last time a larger one was needed, and a little less is tried now. */
    const double last = t->step / 2.25;
    t->step = last > (double)tolerance ? last : (double)tolerance;
    t->count = shrink(t->value, t->n, t->count, TRACE_POINTS / 2, &t->step);
    t->lead = 0;
}

/* Some samples, each a stretch of its own. */
static void add_singly(trace *t, const double *values, int n, float tolerance)
{
    for (int i = 0; i < n;) {
        if (t->count == TRACE_POINTS) make_room(t, tolerance);
        const int room = TRACE_POINTS - t->count, take = n - i < room ? n - i : room;
        float *value = t->value + t->count;
        int32_t *each = t->n + t->count;
        for (int k = 0; k < take; ++k) {
            value[k] = (float)values[i + k];
            each[k] = 1;
        }
        t->count += take;
        i += take;
    }
}

/* A wheel that is on for so long that room had to be made stands or creeps: a few samples that span no more than the noise
 * does are one stretch from the start. */
enum { TOGETHER = 8 };
static const double NOISE = 4.0; /* what an idle frame spans, in tolerances */

static bool add_together(trace *t, const double *values, float tolerance)
{
    double lo = values[0], hi = values[0], sum = 0.0;
    for (int k = 0; k < TOGETHER; ++k) {
        lo = values[k] < lo ? values[k] : lo;
        hi = values[k] > hi ? values[k] : hi;
        sum += values[k];
    }
    if (hi - lo > NOISE * (double)tolerance) return false;
    if (t->count == TRACE_POINTS) make_room(t, tolerance);
    t->value[t->count] = (float)(sum / TOGETHER);
    t->n[t->count++] = TOGETHER;
    return true;
}

void trace_add(trace *t, const double *values, int n, float tolerance)
{
    int i = 0;
    if (t->step > 0.0)
        for (; i + TOGETHER <= n; i += TOGETHER)
            if (!add_together(t, values + i, tolerance)) add_singly(t, values + i, TOGETHER, tolerance);
    add_singly(t, values + i, n - i, tolerance);
    t->length += n;
}

void trace_begins(trace *t)
{
    t->lead = t->length == t->count ? t->count - 1 : 0;
}

/* Scan at which the flank passes `level`: the time spent below it between a point that is surely below and one that
 * is surely above. That averages the noise instead of picking its first excursion. `times` are the middles of the
 * stretches, `from` .. `to` the flank in its order of rising (step +1 or -1), and `rises` where it leaves the baseline. */
static double crossing(const float *p, const double *edges, int from, int rises, int to, int step, double level,
                       double margin, double *slope)
{
    int a = from, b = to;
    for (int i = rises; i != to; i += step) {
        if ((double)p[i] >= level + margin) {
            b = i;
            break;
        }
    }
    for (int i = b; i != from; i -= step) {
        if ((double)p[i] < level - margin) {
            a = i;
            break;
        }
    }
    /* Between the middles of a and b, linear between middles. */
    double below = 0.0;
    const double ta = 0.5 * (edges[a] + edges[a + 1]), tb = 0.5 * (edges[b] + edges[b + 1]);
    for (int i = a; i != b; i += step) {
        const int k = i + step;
        const double v0 = (double)p[i] - level, v1 = (double)p[k] - level;
        const double dt = fabs(0.5 * (edges[k] + edges[k + 1]) - 0.5 * (edges[i] + edges[i + 1]));
        if (v0 < 0.0 && v1 < 0.0) {
            below += dt;
        } else if (v0 < 0.0) {
            below += dt * (v0 / (v0 - v1));
        } else if (v1 < 0.0) {
            below += dt * (v1 / (v1 - v0));
        }
    }
    const double rise = (double)p[b] - (double)p[a];
    *slope = (a != b && fabs(tb - ta) > 0.0) ? rise / fabs(tb - ta) : 0.0;
    return ta + (step > 0 ? below : -below);
}

/* A trace without its baseline: values, and the edges of the stretches in scans. */
typedef struct {
    int count;
    int from, to; /* outside of these nothing comes up to any level that is asked for */
    float value[TRACE_POINTS];
    int32_t n[TRACE_POINTS];
    double edges[TRACE_POINTS + 1];
} levelled;

/* Mean of a plate's signal while it carries the whole wheel: from well after the rise to well before the fall, without
 * what is far off the median (a wheel that rolled to the edge and back). */
static void find_plateau(footprint *f, const levelled *l)
{
    const double rise = f->rise[LEVELS - 1] - f->rise[0], fall = f->fall[0] - f->fall[LEVELS - 1];
    double from = f->rise[LEVELS - 1] + 0.6 * rise, to = f->fall[LEVELS - 1] - 0.6 * fall;
    const double least = 0.3 * (f->fall[LEVELS - 1] - f->rise[LEVELS - 1]);
    f->plateau = f->plateau_n = 0.0;
    if (to - from < least || to - from < 1.0) return;
    double sum = 0.0, n = 0.0;
    for (int i = 0; i < l->count; ++i) {
        const double middle = 0.5 * (l->edges[i] + l->edges[i + 1]);
        if (middle < from || middle > to || (double)l->value[i] < 0.85 * f->peak) continue;
        sum += (double)l->value[i] * l->n[i];
        n += l->n[i];
    }
    if (n < 1.0 || n < 0.5 * (to - from)) return;
    f->plateau = sum / n;
    f->plateau_n = n;
}

/* Takes the line between the baselines off. What lies further before the wheel than it was on the sensor is none of its
 * flanks, and is left out. */
WIDE_VECTORS static void take_level(levelled *l, const trace *t, const footprint_base *base)
{
    const double at0 = base->at[0], base0 = base->value[0], at1 = base->at[1], base1 = base->value[1];
    const int skip = 2 * t->lead > t->count ? 2 * t->lead - t->count : 0;
    const double slope = at1 > at0 ? (base1 - base0) / (at1 - at0) : 0.0, far = at1 - at0;
    const float *restrict from = t->value + skip;
    float *restrict value = l->value;
    double *restrict edges = l->edges;
    const int count = t->count - skip;
    double at = (double)(t->start + skip) - 0.5; /* sample times are whole scans */
    memcpy(l->n, t->n + skip, sizeof *l->n * (size_t)count);
    if (t->length == t->count) { /* nothing was merged */
        for (int i = 0; i <= count; ++i) edges[i] = at + i;
    } else {
        for (int i = 0; i < count; at += l->n[i++]) edges[i] = at;
        edges[count] = at;
    }
    for (int i = 0; i < count; ++i) {
        const double off = 0.5 * (edges[i] + edges[i + 1]) - at0, behind = off > 0.0 ? off : 0.0, along = behind < far ? behind : far;
        value[i] = (float)((double)from[i] - (base0 + slope * along));
    }
    l->count = count;
}

/* Time over which the peak is averaged: an eighth of that above half of it. A wheel that stood or crept beside the peak
 * spent long at a lower level: its quicker flank then tells how long it takes over a strip while it moves. */
static double peak_window(const levelled *l, int top_at, double top, double high, bool plate)
{
    const float *p = l->value;
    const double *edges = l->edges;
    const int count = l->count;
    static const double USUAL = 8.0, OF_FLANK = 0.4;
    if (plate) return high / 8.0;
    double quick = HUGE_VAL;
    for (int way = -1; way <= 1; way += 2) {
        int a = way < 0 ? l->from : l->to, upper; /* from outside inwards */
        while (a != top_at && (double)p[a] < 0.8 * top) a -= way;
        upper = a;
        while (a > 0 && a < count - 1 && (double)p[a] > 0.2 * top) a += way;
        const double took = fabs(0.5 * (edges[upper] + edges[upper + 1]) - 0.5 * (edges[a] + edges[a + 1]));
        if (took < quick) quick = took;
    }
    return high > USUAL * quick && quick >= 1.0 ? OF_FLANK * quick : high / 8.0;
}

/* The highest mean over a window that is within the time spent above half of `top`, and the index in its middle. */
static double highest_mean(const levelled *l, double window, double top, int *at)
{
    const float *p = l->value;
    const double *edges = l->edges;
    /* Around the top the mean is above half of it, and so is some point of the best window. */
    int outer0 = l->from, outer1 = l->to;
    while ((double)p[outer0] <= 0.5 * top) ++outer0;
    while ((double)p[outer1] <= 0.5 * top) --outer1;
    int first = outer0, last = outer1;
    while (first > 0 && edges[outer0] - edges[first] < window) --first;
    while (last < l->count - 1 && edges[last + 1] - edges[outer1 + 1] < window) ++last;
    double best = 0.0, sum = 0.0;
    int head = first;
    for (int i = first; i <= last; ++i) {
        sum += (double)p[i] * l->n[i];
        while (head < i && edges[i + 1] - edges[head + 1] >= window) {
            sum -= (double)p[head] * l->n[head];
            ++head;
        }
        const double span = edges[i + 1] - edges[head];
        if (span >= window && sum / span > best) {
            best = sum / span;
            *at = (head + i) / 2;
        }
    }
    return best;
}

enum { BLOCK = 16 }; /* values that are looked at together */

static bool any_from(const float *v, float level)
{
    int any = 0;
    for (int k = 0; k < BLOCK; ++k) any |= v[k] >= level;
    return any != 0;
}

/* The same for all values that are floats: the least of them that is not below `level`. */
static float float_from(double level)
{
    const float near = (float)level;
    return (double)near < level ? nextafterf(near, HUGE_VALF) : near;
}

/* Index of the first value from `i` on that is at least `level`, or `end`; of the last one from `i` down. */
static int first_from(const float *v, int i, int end, double level)
{
    const float least = float_from(level);
    while (i + BLOCK <= end && !any_from(v + i, least)) i += BLOCK;
    while (i < end && v[i] < least) ++i;
    return i;
}

static int last_to(const float *v, int i, int end, double level)
{
    const float least = float_from(level);
    while (i - BLOCK >= end && !any_from(v + i - BLOCK + 1, least)) i -= BLOCK;
    while (i > end && v[i] < least) --i;
    return i;
}

/* Index of the first of the highest values, 0 where none is above 0. */
WIDE_VECTORS static int highest_at(const float *v, int count)
{
    float most[BLOCK] = {0.0f}, top = 0.0f;
    int i = 0;
    for (; i + BLOCK <= count; i += BLOCK)
        for (int k = 0; k < BLOCK; ++k) most[k] = v[i + k] > most[k] ? v[i + k] : most[k];
    for (; i < count; ++i) top = v[i] > top ? v[i] : top;
    for (int k = 0; k < BLOCK; ++k) top = most[k] > top ? most[k] : top;
    return top > 0.0f ? first_from(v, 0, count, (double)top) : 0;
}

/* The peak: the highest mean over about a tenth of the time spent above half of the highest point. Returns where it is, or -1
 * where nothing reaches the threshold. */
static int find_peak(footprint *f, levelled *l, double threshold, bool plate)
{
    static const double LEAST = 0.6;        /* of the highest point */
    static const double LEAST_LEVEL = 0.06; /* of the highest point: a tenth of the least peak; see find_outline */
    const float *p = l->value;
    int top_at = highest_at(p, l->count);
    const double top = p[top_at] > 0.0f ? (double)p[top_at] : 0.0;
    if (top < threshold) return -1;
    const double level = threshold < LEAST_LEVEL * top ? threshold : LEAST_LEVEL * top;
    l->from = first_from(p, 0, top_at, level);
    l->to = last_to(p, l->count - 1, top_at, level);
    int left = top_at, right = top_at;
    while (left > 0 && (double)p[left - 1] > 0.5 * top) --left;
    while (right < l->count - 1 && (double)p[right + 1] > 0.5 * top) ++right;
    const double window = peak_window(l, top_at, top, l->edges[right + 1] - l->edges[left], plate);
    const double best = highest_mean(l, window, top, &top_at);
    f->peak = best > LEAST * top ? best : LEAST * top;
    return top_at;
}

/* Flanks: the outermost crossings, so that a stop or a roll-back inside does not count as one. */
static void find_flanks(footprint *f, const levelled *l, int top_at, int first, int last, double noise)
{
    static const double MARGIN = 0.06, NOISES = 2.5, MOST_MARGIN = 0.19; /* shares of the peak; standard deviations */
    double margin = MARGIN * f->peak;
    if (margin < NOISES * noise) margin = NOISES * noise;
    if (margin > MOST_MARGIN * f->peak) margin = MOST_MARGIN * f->peak;
    for (int q = 0; q < LEVELS; ++q) {
        const double level = footprint_level[q] * f->peak;
        double s;
        f->rise[q] = crossing(l->value, l->edges, 0, first, top_at, 1, level, margin, &s);
        f->rise_noise[q] = s > 0.0 ? noise / s : 0.0;
        f->fall[q] = crossing(l->value, l->edges, l->count - 1, last, top_at, -1, level, margin, &s);
        f->fall_noise[q] = s > 0.0 ? noise / s : 0.0;
    }
}

/* Index of the first of the edges lo .. hi - 1 that is beyond `at`, or at it, or `hi`. */
static int edge_past(const double *edges, int lo, int hi, double at, bool beyond)
{
    while (lo < hi) {
        const int middle = (lo + hi) / 2;
        if (beyond ? !(edges[middle] <= at) : edges[middle] >= at) hi = middle;
        else lo = middle + 1;
    }
    return lo;
}

/* What lies further out than a flank's length is baseline: its noise is none of the wheel's. Area and centroid of the rest,
 * which is kept. */
static void find_area(footprint *f, levelled *l, int top_at, double noise)
{
    double out0 = f->rise[0] - FOOT * (f->rise[LEVELS - 1] - f->rise[0]) - 1.5;
    double out1 = f->fall[0] + FOOT * (f->fall[0] - f->fall[LEVELS - 1]) + 1.5;
    if (f->begin < out0) out0 = f->begin;
    if (f->end > out1) out1 = f->end;
    const int cut0 = edge_past(l->edges + 1, 0, top_at, out0, true), cut1 = edge_past(l->edges, top_at + 1, l->count, out1, false);
    double area = 0.0, moment = 0.0;
    for (int i = cut0; i < cut1; ++i) {
        const double a = (double)l->value[i] * l->n[i];
        area += a;
        moment += a * 0.5 * (l->edges[i] + l->edges[i + 1]);
    }
    f->area = area;
    f->centre = area > 0.0 ? moment / area : 0.5 * (f->begin + f->end);
    f->start = (int64_t)floor(l->edges[cut0] + 0.75);
    f->count = cut1 - cut0;
    double step = noise;
    if (f->count > KEPT_POINTS) f->count = shrink(l->value + cut0, l->n + cut0, f->count, KEPT_POINTS, &step);
    for (int i = 0; i < f->count; ++i) f->points[i] = (stretch){l->value[cut0 + i], l->n[cut0 + i]};
}

/* The longest stretch of standing: steady within the noise for much longer than the flanks take, and above `low`. */
static void find_still(footprint *f, const levelled *l, int first, int last, double noise, double low)
{
    static const double LONG = 8.0, STEADY = 0.04, NOISES = 4.0; /* flanks; share of the peak; standard deviations */
    const double rise = f->rise[LEVELS - 1] - f->rise[0], fall = f->fall[0] - f->fall[LEVELS - 1], quick = fall < rise ? fall : rise;
    const double band = NOISES * noise > STEADY * f->peak ? NOISES * noise : STEADY * f->peak;
    f->still_from = f->still_to = f->begin;
    if (f->end - f->begin <= LONG * quick) return;
    for (int i0 = first; i0 <= last;) {
        double lo = (double)l->value[i0], hi = lo;
        int i1 = i0;
        while (i1 < last) {
            const double v = (double)l->value[i1 + 1];
            const double nlo = v < lo ? v : lo, nhi = v > hi ? v : hi;
            if (nhi - nlo > band) break;
            lo = nlo;
            hi = nhi;
            ++i1;
        }
        if (l->edges[i1 + 1] - l->edges[i0] > f->still_to - f->still_from && lo > low) {
            f->still_from = l->edges[i0];
            f->still_to = l->edges[i1 + 1];
        }
        const int half = i1 - (i1 - i0) / 2;
        i0 = i0 + 1 > half ? i0 + 1 : half;
    }
}

/* The trace over its baseline, and what of it is above the noise: indices of the first and last such stretch, and the level. */
typedef struct {
    levelled l;
    int top_at, first, last;
    double low;
} outline;

static bool find_outline(outline *o, footprint *f, const trace *t, const footprint_base *base, double noise, double threshold,
                         bool plate)
{
    enum { LEAST_POINTS = 3 };
    static const double NOISES = 4.5; /* no sample of the baseline is so far off it */
    if (t->count < LEAST_POINTS) return false;
    take_level(&o->l, t, base);
    if (o->l.count < LEAST_POINTS) return false;
    o->top_at = find_peak(f, &o->l, threshold, plate);
    if (o->top_at < 0) return false;
    double low = threshold < 0.1 * f->peak ? threshold : 0.1 * f->peak;
    if (low < NOISES * noise) low = NOISES * noise < 0.5 * f->peak ? NOISES * noise : 0.5 * f->peak;
    int first = o->l.from, last = o->l.to;
    while (first < o->top_at && (double)o->l.value[first] < low) ++first;
    while (last > o->top_at && (double)o->l.value[last] < low) --last;
    o->low = low;
    o->first = first;
    o->last = last;
    f->begin = o->l.edges[first];
    f->end = o->l.edges[last + 1];
    find_flanks(f, &o->l, o->top_at, first, last, noise);
    return true;
}

bool footprint_flanks(footprint *f, const trace *t, const footprint_base *base, double noise, double threshold, bool plate)
{
    outline o;
    return find_outline(&o, f, t, base, noise, threshold, plate);
}

bool footprint_measure(footprint *f, const trace *t, const footprint_base *base, double noise, double threshold, bool plate)
{
    outline o;
    if (!find_outline(&o, f, t, base, noise, threshold, plate)) return false;
    f->noise = noise;
    f->plateau = f->plateau_n = 0.0;
    if (plate) find_plateau(f, &o.l);
    find_still(f, &o.l, o.first, o.last, noise, plate ? 0.1 * f->peak : o.low);
    find_area(f, &o.l, o.top_at, noise);
    return true;
}
