/* Footprints to passes: the wheels of an axle that one line saw. See pending.h. */
#include "pending.h"

#include <math.h>
#include <string.h>

void pending_drop(axle_stage *w, int line, int index)
{
    if (index >= w->pending_count[line]) return;
    pass *list = w->pending[line];
    memmove(list + index, list + index + 1, sizeof(pass) * (size_t)(w->pending_count[line] - index - 1));
    w->pending_count[line]--;
}

void pending_give_up(axle_stage *w, int line, int index)
{
    release_pass(w->prints, &w->pending[line][index]);
    pending_drop(w, line, index);
}

static double print_mid(const footprint *f)
{
    return 0.5 * (f->rise[1] + f->fall[1]);
}

/* The wheels of one axle come onto a strip across the whole lane at an angle one after the other: as far apart as its
 * angle says for a track of about 2 m, against the length of their footprints. The longest time, in scans, for one that
 * was `on` for so long; 0 on other sensors, and at angles at which the two footprints touch. */
static double pairs_within(const sensor_info *s, double on)
{
    static const double TRACK_M = 2.0, PRINT_M = 0.15, LEAST_M = 0.45, MOST_M = 1.1, MOST = 1.35;
    const double apart = TRACK_M * fabs(s->slope);
    return s->side == SIDE_FULL && apart > LEAST_M && apart < MOST_M ? MOST * apart / PRINT_M * on : 0.0;
}

/* The halves of a line at an angle are passed at times that depend on where across the lane the wheels run: by how much they
 * may be apart, in lengths of footprints. */
static double aside_slack(const sensor_info *a, const sensor_info *b)
{
    static const double ASIDE_M = 0.4, PRINT_M = 0.2, MOST = 2.5;
    const double slack = ASIDE_M * (fabs(a->slope) + fabs(b->slope)) / PRINT_M;
    return slack < MOST ? slack : MOST;
}

static double print_on(const footprint *f)
{
    return f->fall[1] - f->rise[1];
}

/* Whether two wheels of one line, on sensors of its own each, are on together as those of an axle are: their footprints overlap
 * by half of the shorter. */
static bool side_by_side(const axle_stage *w, const footprint *f, const footprint *g)
{
    static const double OVERLAP = 0.35, TOGETHER = 0.8;
    const double from = fmax(f->rise[1], g->rise[1]), to = fmin(f->fall[1], g->fall[1]);
    const double slack = aside_slack(&w->array->sensors[f->sensor], &w->array->sensors[g->sensor]);
    if (to - from > (OVERLAP - slack) * fmin(print_on(f), print_on(g))) return true;
    /* Where a wheel stands at a sensor's edge, the flanks tell little: the halves are on together. */
    return fmin(f->end, g->end) - fmax(f->begin, g->begin) > TOGETHER * fmin(f->end - f->begin, g->end - g->begin);
}

/* Whether the second wheel of an axle follows the first on a strip at an angle. */
static bool one_after_other(const axle_stage *w, const pass *p, const footprint *f)
{
    static const double LEAST = 0.15, ALIKE = 0.5;
    const footprint *g = p->prints[0];
    const double gap = print_mid(f) - print_mid(g), most = pairs_within(&w->array->sensors[f->sensor], fmax(print_on(f), print_on(g)));
    return p->count == 1 && gap < most && gap > LEAST * most && fabs(log(f->area / g->area)) < ALIKE;
}

/* Whether a footprint may be of the axle that made the pass. */
static bool fits(const axle_stage *w, const pass *p, const footprint *f)
{
    bool together = false;
    if (p->count == PASS_PRINTS) return false;
    for (int k = 0; k < p->count; ++k) {
        const footprint *g = p->prints[k];
        if (g->sensor == f->sensor && !one_after_other(w, p, f)) return false;
        together = together || g->sensor == f->sensor || side_by_side(w, f, g);
    }
    return together;
}

/* Adds a wheel to a pass, or begins one with it. */
static void add_wheel(const axle_stage *w, pass *p, footprint *f)
{
    static const double STRIP_BEARS = 0.25; /* of a wheel, of which a plate bears all: what lines are compared by */
    const sensor_info *s = &w->array->sensors[f->sensor];
    const double newton = f->peak * s->newton;
    p->begin = p->count ? fmin(p->begin, f->begin) : f->begin;
    p->end = fmax(p->end, f->end);
    p->prints[p->count++] = f;
    p->peak_n += newton;
    p->side_n[s->side] += s->s.type == BF_PLATE ? STRIP_BEARS * newton : newton;
    if (f->saturated) p->saturated |= 1u << s->side;
    double sum = 0.0;
    for (int k = 0; k < p->count; ++k) sum += print_mid(p->prints[k]);
    p->mid = sum / p->count;
}

/* Nothing ever leaves: gives up the oldest pass of the fullest line. False where there is none. */
static bool make_room(axle_stage *w)
{
    int fullest = 0;
    for (int j = 1; j < w->array->line_count; ++j)
        if (w->pending_count[j] > w->pending_count[fullest]) fullest = j;
    if (w->pending_count[fullest] == 0) return false;
    pending_give_up(w, fullest, 0);
    return true;
}

void pending_take(axle_stage *w, const footprint *f)
{
    const int line = w->array->sensors[f->sensor].line;
    pass *list = w->pending[line];
    int *count = &w->pending_count[line], best = -1;
    if (w->prints->free_count == 0 && !make_room(w)) return;
    if (f->begin < w->first_at) {
        w->first_at = f->begin;
        w->first_line = line;
    }
    footprint *slot = w->prints->free[--w->prints->free_count];
    *slot = *f;
    w->pending_changed = true;
    w->last_event = fmax(w->last_event, f->end);
    /* On a long plate those of two axles overlap: the nearest is the other half. */
    for (int i = *count - 1; i >= 0; --i)
        if (fits(w, &list[i], f) && (best < 0 || fabs(list[i].mid - print_mid(f)) < fabs(list[best].mid - print_mid(f)))) best = i;
    if (best >= 0) {
        add_wheel(w, &list[best], slot);
        return;
    }
    if (*count == PENDING) pending_give_up(w, line, 0);
    pass fresh;
    memset(&fresh, 0, sizeof fresh);
    add_wheel(w, &fresh, slot);
    int at = (*count)++;
    for (; at > 0 && list[at - 1].mid > fresh.mid; --at) list[at] = list[at - 1];
    list[at] = fresh;
}

/* Passes of a line that no footprint can be added to any more. */
int pending_finished(const axle_stage *w, int line)
{
    double open_from = HUGE_VAL;
    for (int i = 0; i < w->array->lines[line].count; ++i) {
        const int64_t since = channel_on_since(&w->channels[w->array->lines[line].sensors[i]]);
        if (since >= 0 && (double)since < open_from) open_from = (double)since;
    }
    int n = 0;
    while (n < w->pending_count[line] && w->pending[line][n].end < open_from) {
        const pass *p = &w->pending[line][n];
        const footprint *f = p->prints[0];
        /* At an angle, its other wheel may still come. */
        if (p->count == 1 && (double)w->stream->now - p->mid < pairs_within(&w->array->sensors[f->sensor], print_on(f))) break;
        ++n;
    }
    return n;
}

/* Scans for which a wheel was on a line, at the second level. */
double time_on(const pass *p)
{
    double longest = 1.0;
    for (int i = 0; i < p->count; ++i) {
        const footprint *f = p->prints[i];
        if (f->fall[1] - f->rise[1] > longest) longest = f->fall[1] - f->rise[1];
    }
    return longest;
}
