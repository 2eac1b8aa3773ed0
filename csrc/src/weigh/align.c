/* The sequences that the lines saw, laid over each other. See align.h.
 *
 * All lines see the same axles in the same order, whatever vehicles they belong to. A line may miss one or see something that is
 * none; so each line's sequence is aligned with the axles known from the lines before it, at the lowest cost (dynamic
 * programming: S. Needleman and C. Wunsch, J. Mol. Biol. 48 (1970), 443). */
#include "align.h"
#include "pending.h"

#include <math.h>
#include <string.h>

/* The least length, metres, that a wheel covers while it is on a line: as it was at the lines before. */
static double least_reach(const axle_stage *w, const axle_seen *a, int line)
{
    double reach = 0.03 + w->array->lines[line].width;
    for (int j = 0, before = -1; j < line; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (before >= 0) {
            const double on1 = time_on(&a->at[before]), on2 = time_on(&a->at[j]);
            const double v = (w->array->lines[j].x - w->array->lines[before].x) / (a->at[j].mid - a->at[before].mid);
            double seen = 0.85 * v * (on1 < on2 ? on1 : on2);
            if (seen > 0.35) seen = 0.35;
            if (seen > reach) reach = seen;
        }
        before = j;
    }
    return reach;
}

/* Whether it came from one line to the next faster than it can have been, after the times that it was on them. */
static bool too_fast(const axle_stage *w, const pass *p, const pass *q, double way)
{
    static const double LONGEST_M = 0.5, PULLS_MPS2 = 2.5, BRIEF_S = 1.0;
    const double on1 = time_on(p) / w->array->rate, on2 = time_on(q) / w->array->rate;
    if (on1 > BRIEF_S || on2 > BRIEF_S) return false; /* it may have stood there */
    const double v = LONGEST_M / (on1 < on2 ? on1 : on2);
    return (q->end - p->begin) / w->array->rate * sqrt(v * v + 2.0 * PULLS_MPS2 * way) < way;
}

/* What it costs that one wheel took so long from one line to the next: where it drove too fast at both to have slowed
 * down in between, or too slowly to have come so soon, these are two wheels. */
static double way_cost(const axle_stage *w, const axle_seen *a, int from, const pass *q, int to)
{
    const pass *p = &a->at[from];
    const double way = w->array->lines[to].x - w->array->lines[from].x, took = (q->mid - p->mid) / w->array->rate;
    if (!w->array->lines[from].plate && !w->array->lines[to].plate && too_fast(w, p, q, way)) return 12.0;
    const double reach = least_reach(w, a, to) * w->array->rate, v1 = reach / time_on(p), v2 = reach / time_on(q);
    if (took < 2.0 * way / (v1 < v2 ? v1 : v2)) return 0.0;
    const double braking = (v1 * v1 + v2 * v2) / (2.0 * way); /* m/s2, to stand in between */
    const double cost = 0.5 * braking * braking;
    return cost < 12.0 ? cost : 12.0;
}

/* What is known of an axle's sides from the lines before, with one more. */
static void note_sides(axle_seen *a, const pass *p)
{
    for (int s = 0; s < SIDES; ++s)
        if (a->side_n[s] <= 0.0 && !(p->saturated >> s & 1u)) a->side_n[s] = p->side_n[s];
}

/* The last line before this one that saw the axle, or -1. */
static int last_before(const axle_seen *a, int line)
{
    int before = -1;
    for (int j = 0; j < line; ++j)
        if (a->seen & (1u << j)) before = j;
    return before;
}

static double match_cost(const axle_stage *w, const axle_seen *a, const pass *p, int line)
{
    const int before = last_before(a, line);
    const double least = (w->array->lines[line].x - w->array->lines[before].x) / 60.0 * w->array->rate;
    if (p->mid - a->at[before].mid < least) return HUGE_VAL;
    const double way = way_cost(w, a, before, p, line);
    /* Side by side: a half may be silent at one of the lines. */
    double cost = 0.0;
    int common = 0;
    for (int s = 0; s < SIDES; ++s)
        if (p->side_n[s] > 0.0 && a->side_n[s] > 0.0 && !(p->saturated >> s & 1u)) {
            const double ratio = log(p->side_n[s] / a->side_n[s]), r = ratio / 0.25;
            if (fabs(ratio) > 1.4) return HUGE_VAL; /* four times heavier: another thing */
            cost += 0.5 * r * r;
            ++common;
        }
    if (common == 0) return 0.5 + way;
    cost /= common;
    return (cost < 4.0 ? cost : 4.0) + way;
}

static double last_time(const axle_seen *a, int line)
{
    double t = 0.0;
    for (int j = 0; j < line; ++j)
        if (a->seen & (1u << j)) t = a->at[j].mid;
    return t;
}

enum { MOST = PENDING + BF_MAX_LINES * 4 };

/* Whether a pass hardly stands out of the noise: alone it is more likely none. */
bool is_faint(const axle_stage *w, const pass *p)
{
    static const double FAINT = 4.0; /* thresholds */
    for (int k = 0; k < p->count; ++k) {
        const footprint *f = p->prints[k];
        if (f->peak > FAINT * channel_threshold(&w->channels[f->sensor])) return false;
    }
    return true;
}

/* What it costs that `line` does not see an axle. One that few of the lines before saw is likely none at all: it must
 * not hold up those behind it. */
static double miss_cost(const axle_stage *w, const axle_seen *a, int line)
{
    static const double USUAL = 4.0, FAINT = 0.5;
    const unsigned before = a->seen & ((1u << line) - 1u);
    const double share = (double)support(before) / line;
    bool faint = support(before) == 1;
    for (int j = 0; j < line; ++j)
        if (before >> j & 1u) faint = faint && is_faint(w, &a->at[j]);
    return (faint ? FAINT : USUAL) * share * share;
}

/* How the lines before and this one go on together, from the end: an axle that it does not see, a pass of none of them, or both. */
typedef enum { BEGIN, AXLE_ONLY, PASS_ONLY, BOTH } step;

/* Neighbours take about as long from line to line, unless they stop. */
static double uneven_cost(const axle_seen *axles, const pass *p, int line)
{
    static const double SPREAD = 0.6, MOST_COST = 3.0;
    const double d1 = p[0].mid - last_time(&axles[0], line), d0 = p[-1].mid - last_time(&axles[-1], line);
    if (!(d0 > 0.0) || !(d1 > 0.0)) return 0.0;
    const double r = log(d1 / d0) / SPREAD;
    return fmin(0.5 * r * r, MOST_COST);
}

/* What skipping the first axles or passes costs where it has shown that the line is out of step. */
static double owed(double cost, double shown)
{
    static const double LEAST = 1.0;
    return cost - shown > LEAST ? cost - shown : fmin(cost, LEAST);
}

/* The costs of all paths to axle a and pass k, and how the cheapest came there. */
typedef struct {
    double cost[MOST + 1][PENDING + 1];
    unsigned char from[MOST + 1][PENDING + 1];
} paths;

/* `miss`: what it costs that the line did not see the axle before; `all`: nor any before that. */
static void cheapest_to(const axle_stage *w, const axle_seen *axles, int line, int a, int k, double miss, double all, paths *t)
{
    static const double FRESH = 5.0;
    const pass *p = w->pending[line];
    double by[4] = {a == 0 && k == 0 ? 0.0 : HUGE_VAL, HUGE_VAL, HUGE_VAL, HUGE_VAL};
    if (a > 0) by[AXLE_ONLY] = k > 0 ? t->cost[a - 1][k] + miss : owed(all, w->behind[line]);
    if (k > 0) by[PASS_ONLY] = a > 0 ? t->cost[a][k - 1] + FRESH : owed(k * FRESH, w->before[line]);
    if (a > 0 && k > 0) {
        by[BOTH] = t->cost[a - 1][k - 1] + match_cost(w, &axles[a - 1], &p[k - 1], line);
        if (t->from[a - 1][k - 1] == BOTH) by[BOTH] += uneven_cost(&axles[a - 1], &p[k - 1], line);
    }
    step best = BEGIN;
    for (step how = AXLE_ONLY; how <= BOTH; ++how)
        if (by[how] < by[best]) best = how;
    t->cost[a][k] = by[best];
    t->from[a][k] = (unsigned char)best;
}

/* The cheapest path over `na` axles and `np` passes; returns its length, steps from its end. */
static int cheapest_path(const axle_stage *w, const axle_seen *axles, int na, int line, int np, unsigned char path[MOST + PENDING])
{
    paths t;
    double all = 0.0;
    for (int i = 0; i <= na; ++i) {
        const double miss = i > 0 ? miss_cost(w, &axles[i - 1], line) : 0.0;
        all += miss;
        for (int k = 0; k <= np; ++k) cheapest_to(w, axles, line, i, k, miss, all, &t);
    }
    /* Axles at the end may not have arrived yet: they cost nothing. */
    int a = 0, k = np, out = 0;
    for (int i = 1; i <= na; ++i)
        if (t.cost[i][np] < t.cost[a][np]) a = i;
    for (int i = na; i > a; --i) path[out++] = AXLE_ONLY;
    while ((a > 0 || k > 0) && t.from[a][k] != BEGIN && out < MOST + PENDING) {
        const step how = (step)t.from[a][k];
        path[out++] = (unsigned char)how;
        if (how != PASS_ONLY) --a;
        if (how != AXLE_ONLY) --k;
    }
    return out;
}

/* Lays the `np` passes of `line` over the axles; returns the new number of axles. */
static int align(axle_stage *w, axle_seen *axles, int na, int line, int np)
{
    unsigned char path[MOST + PENDING];
    if (np == 0) return na;
    const int n = cheapest_path(w, axles, na, line, np, path);
    if (n > MOST) return na;
    axle_seen *to = w->scratch2;
    const axle_seen *known = axles;
    const pass *p = w->pending[line];
    for (int i = n - 1; i >= 0; --i, ++to) {
        if (path[i] == PASS_ONLY) memset(to, 0, sizeof *to);
        else *to = *known++;
        if (path[i] == AXLE_ONLY) continue;
        to->seen |= 1u << line;
        to->at[line] = *p;
        to->peak_n = fmax(to->peak_n, p->peak_n);
        note_sides(to, p++);
    }
    memcpy(axles, w->scratch2, sizeof(axle_seen) * (size_t)n);
    return n;
}

int lay_lines(axle_stage *w, axle_seen *axles, const int *finished)
{
    int n = 0;
    for (int j = 0; j < w->array->line_count; ++j) {
        if (n > 0) {
            n = align(w, axles, n, j, finished[j]);
            continue;
        }
        for (; n < finished[j]; ++n) {
            memset(&axles[n], 0, sizeof axles[n]);
            axles[n].seen = 1u << j;
            axles[n].at[j] = w->pending[j][n];
            axles[n].peak_n = w->pending[j][n].peak_n;
            note_sides(&axles[n], &w->pending[j][n]);
        }
    }
    return n;
}

/* How ill a pass at a line fits an axle as the lines before know it: by its load, and by whether it needs a stop on the way. */
static double step_cost(const axle_stage *w, const axle_seen *a, const pass *p, int line)
{
    static const double SPREAD = 0.12, MOST_BY_LOAD = 3.0; /* of peaks, where the road is rough */
    static const double STOP = 1.0, SLOW = 2.5;            /* times as long as at the lesser of its speeds */
    const int before = last_before(a, line);
    if (before < 0 || !(match_cost(w, a, p, line) < HUGE_VAL)) return HUGE_VAL;
    double by_load = 0.0;
    for (int s = 0; s < SIDES; ++s)
        if (p->side_n[s] > 0.0 && a->at[before].side_n[s] > 0.0) {
            const double r = log(p->side_n[s] / a->at[before].side_n[s]) / SPREAD;
            by_load = fmax(by_load, 0.5 * r * r);
        }
    const double way = w->array->lines[line].x - w->array->lines[before].x, on = fmax(time_on(p), time_on(&a->at[before]));
    const bool stops = (p->mid - a->at[before].mid) * least_reach(w, a, line) > SLOW * way * on;
    return fmin(MOST_BY_LOAD, by_load) + (stops ? STOP : 0.0);
}

/* How well a pass fits the best of some axles. */
static double fits_one(const axle_stage *w, const axle_seen *axles, int count, const pass *p, int line)
{
    double best = HUGE_VAL;
    for (int i = 0; i < count; ++i) best = fmin(best, step_cost(w, &axles[i], p, line));
    return best;
}

/* Counts one axle's word, within bounds. */
static double counted(double sum, double more)
{
    static const double ONE = 2.0, MOST_COUNTED = 10.0;
    return fmin(MOST_COUNTED, fmax(0.0, sum + fmin(ONE, fmax(-ONE, more))));
}

void note_step(axle_stage *w, const axle_seen *a, const axle_seen *waiting, int count)
{
    static const double LEAST = 0.25, ALONE = 2.25;
    const axle_seen *last = w->train->count > 0 ? &w->train->at[w->train->count - 1] : NULL;
    for (int j = 1; j < w->array->line_count; ++j) {
        const bool saw = a->seen >> j & 1u, known = a->seen & ((1u << j) - 1u);
        if (known && !saw) w->behind[j] = 0.0;
        if (saw && !known) {
            w->before[j] = 0.0;
            if (support(a->seen) == 1) w->behind[j] = counted(w->behind[j], fmax(0.0, ALONE - fits_one(w, waiting, count, &a->at[j], j)));
        }
        if (!saw || !known) continue;
        const double own = step_cost(w, a, &a->at[j], j) - LEAST;
        w->behind[j] = counted(w->behind[j], own - fits_one(w, waiting, count < 1 ? count : 1, &a->at[j], j));
        w->before[j] = counted(w->before[j], own - fits_one(w, last, last != NULL, &a->at[j], j));
    }
}
