/* Takes the stair of a long plate apart. See steps.h. */
#include "steps.h"

#include <math.h>
#include <string.h>

static const double LEAST = 0.1;   /* of the highest level: a smaller step is bounce */
static const double ALIKE = 0.15;  /* an axle goes with what it came with */
static const double FLAT = 0.08;
static const double APART = 2.3; /* widths of the window: nearer ones may be parts of one flank */
enum { FINEST = 128, COARSEST = 12, STEPS = 2 * STEPS_MOST };

/* Running sum of a trace, so that a mean costs the same over any stretch. */
typedef struct {
    int n;
    double at[TRACE_POINTS + 1], sum[TRACE_POINTS + 1];
} running;

static double sum_to(const running *r, double scan)
{
    int lo = 0, hi = r->n;
    if (scan <= r->at[0]) return 0.0;
    if (scan >= r->at[r->n]) return r->sum[r->n];
    while (hi - lo > 1) {
        const int middle = (lo + hi) / 2;
        if (r->at[middle] <= scan) lo = middle;
        else hi = middle;
    }
    return r->sum[lo] + (r->sum[hi] - r->sum[lo]) * (scan - r->at[lo]) / (r->at[hi] - r->at[lo]);
}

/* Mean of the signal between two scans; the baseline where there is no trace. */
static double level(const running *r, double from, double to, double base)
{
    const double a = from > r->at[0] ? from : r->at[0], b = to < r->at[r->n] ? to : r->at[r->n];
    return b > a ? (sum_to(r, b) - sum_to(r, a)) / (b - a) : base;
}

/* Steps at one width of the window: places where the levels on both sides of it differ most. */
static int find_at(const running *r, double from, double to, double width, double least, double base, double *at)
{
    int n = 0;
    double best = 0.0, best_at = 0.0;
    for (double x = from - width; x < to + width; x += 0.25 * width) {
        const double d = level(r, x + 0.5 * width, x + width, base) - level(r, x - width, x - 0.5 * width, base);
        if (fabs(d) > least && (best == 0.0 || d * best > 0.0)) {
            if (fabs(d) > fabs(best)) {
                best = d;
                best_at = x;
            }
            if (x - best_at < 1.5 * width) continue;
        }
        if (best != 0.0) {
            if (n == STEPS) return STEPS + 1;
            at[n++] = best_at;
            if (x - best_at < 1.0 * width) x = best_at + 1.0 * width;
            best = 0.0;
        }
    }
    if (best != 0.0 && n < STEPS) at[n++] = best_at;
    return n;
}

/* Whether the steps read like axles that come and go in their order. */
static bool read_steps(stair *s, const running *r, const double *at, int n, double width, double base, double noise)
{
    int ups = 0, downs = 0;
    double levels[STEPS + 1], slant[STEPS + 1] = {0};
    levels[0] = base;
    levels[n] = base;
    for (int i = 1; i < n; ++i) {
        if (at[i] - at[i - 1] < APART * width) return false;
        const double a = at[i - 1] + 0.7 * width, b = at[i] - 0.7 * width, middle = 0.5 * (a + b);
        levels[i] = level(r, a, b, base);
        slant[i] = fabs(level(r, a, middle, base) - level(r, middle, b, base));
    }
    for (int i = 0; i < n; ++i) {
        const double d = levels[i + 1] - levels[i];
        /* Between steps it is level; else these are parts of one flank. */
        if (fmax(slant[i], slant[i + 1]) > FLAT * fabs(d) + 3.0 * noise) return false;
        if (d > 0.0) {
            if (ups == STEPS_MOST) return false;
            s->up[ups] = at[i];
            s->before[ups] = levels[i];
            s->load[ups++] = d;
        } else {
            if (downs >= ups) return false;
            if (fabs(-d - s->load[downs]) > ALIKE * s->load[downs] + 4.0 * noise) return false;
            s->down[downs] = at[i];
            s->after[downs] = levels[i + 1];
            s->load[downs] = 0.5 * (s->load[downs] - d);
            ++downs;
        }
    }
    s->axles = ups;
    s->reach = width;
    return ups == downs && ups > 1;
}

void steps_find(stair *s, const trace *t, double base, double noise)
{
    double top = 0.0, from = 0.0, to = 0.0, scan = (double)t->start;
    running r;
    memset(s, 0, sizeof *s);
    r.n = t->count;
    r.at[0] = scan;
    r.sum[0] = 0.0;
    for (int i = 0; i < t->count; ++i) {
        r.at[i + 1] = r.at[i] + t->n[i];
        r.sum[i + 1] = r.sum[i] + (double)t->value[i] * t->n[i];
    }
    for (int i = 0; i < t->count; ++i)
        if ((double)t->value[i] - base > top) top = (double)t->value[i] - base;
    for (int i = 0; i < t->count; ++i) {
        if ((double)t->value[i] - base > 0.1 * top) {
            if (from == 0.0) from = scan;
            to = scan + t->n[i];
        }
        scan += t->n[i];
    }
    const double least = LEAST * top > 6.0 * noise ? LEAST * top : 6.0 * noise;
    for (int parts = COARSEST; parts <= FINEST; parts *= 2) {
        const double width = (to - from) / parts;
        double at[STEPS + 1];
        if (width < 4.0) break;
        const int n = find_at(&r, from, to, width, least, base, at);
        if (n >= 4 && n <= STEPS && read_steps(s, &r, at, n, width, base, noise)) return;
        s->axles = 0;
    }
}

static void add(trace *out, double value, int32_t n)
{
    if (n <= 0 || out->count == TRACE_POINTS) return;
    out->value[out->count] = (float)value;
    out->n[out->count++] = n;
    out->length += n;
}

void steps_alone(const stair *s, const trace *t, int which, double base, trace *out)
{
    const double edge[4] = {s->up[which] - s->reach, s->up[which] + s->reach, s->down[which] - s->reach, s->down[which] + s->reach};
    double scan = (double)t->start;
    trace_begin(out, t->start);
    for (int i = 0; i < t->count; ++i) {
        const double middle = scan + 0.5 * t->n[i], value = t->value[i];
        scan += t->n[i];
        double alone = base;
        if (middle >= edge[0] && middle < edge[1]) alone = base + value - s->before[which];
        else if (middle >= edge[1] && middle < edge[2]) alone = base + s->load[which];
        else if (middle >= edge[2] && middle < edge[3]) alone = base + value - s->after[which];
        add(out, alone, t->n[i]);
    }
}
