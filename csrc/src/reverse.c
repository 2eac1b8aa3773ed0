/* Roll-back: finds the passes of axles that went back over lines and came again, and takes them out of the row.
 * Called by train.c before it lays the lines over each other.
 *
 * A vehicle is rigid: rolling back, its axles cross the lines again in the reverse order in which they came, and going
 * on in the same order as at first. Over all lines together the passes read ... x y | y x | x y ..., with the same loads.
 * The first passes stay; the vehicle is as far after the last as after them. */
#include "prints.h"

#include <math.h>
#include <string.h>
#ifdef BF_DEBUG
#include <stdio.h>
#endif

enum { EVENTS = RECENT + 8 * 24, DEEPEST = 6 };

static const double SAME_LOAD = 0.2; /* of the logarithm: braking shifts load between the axles */
static const double ALIKE = 0.1; /* where nothing but the order and the loads speaks for a roll-back */
static const double EDGE = 1.6; /* a wheel that turns at the strip's edge leaves a fifth of its load there */
static const double SLOW_ON_S = 0.07; /* on a strip: slower than 3 m/s, as all that rolls back */

typedef struct {
    double mid, on_s;
    double side_n[SIDES];
    int line, index; /* of the pending pass, or -1: it left as part of an axle */
} event;

static event event_of(const bf_wim *w, const pass *p, int line, int index)
{
    event e = {p->mid, 0.0, {0}, line, index};
    for (int i = 0; i < p->count; ++i) {
        const footprint *f = &w->prints[p->prints[i]];
        const double on = (f->fall[1] - f->rise[1]) / w->rate;
        if (on > e.on_s) e.on_s = on;
    }
    memcpy(e.side_n, p->side_n, sizeof e.side_n);
    return e;
}

void reverse_note(bf_wim *w, const pass *p, int line)
{
    if (w->recent_count == RECENT) {
        memmove(w->recent, w->recent + 1, sizeof(recent_pass) * (RECENT - 1));
        w->recent_count--;
    }
    recent_pass *r = &w->recent[w->recent_count++];
    const event e = event_of(w, p, line, -1);
    r->line = line;
    r->mid = e.mid;
    r->on_s = e.on_s;
    memcpy(r->side_n, e.side_n, sizeof r->side_n);
}

/* The passes of all lines in their order: the last that left, and those that wait. */
static int gather(const bf_wim *w, const int *finished, event *list)
{
    int n = 0;
    for (int i = 0; i < w->recent_count; ++i) {
        const recent_pass *r = &w->recent[i];
        event e = {r->mid, r->on_s, {0}, r->line, -1};
        memcpy(e.side_n, r->side_n, sizeof e.side_n);
        int at = n++;
        while (at > 0 && list[at - 1].mid > e.mid) {
            list[at] = list[at - 1];
            --at;
        }
        list[at] = e;
    }
    for (int j = 0; j < w->line_count; ++j)
        for (int i = 0; i < finished[j] && n < EVENTS; ++i) {
            const event e = event_of(w, &w->pending[j][i], j, i);
            int at = n++;
            while (at > 0 && list[at - 1].mid > e.mid) {
                list[at] = list[at - 1];
                --at;
            }
            list[at] = e;
        }
    return n;
}

/* Whether `again` can be the axle of `first` once more; one of them on the strip's edge only, where it `touches` or had
 * `touched`. */
static bool same_axle(const event *first, const event *again, double tolerance, bool touches, bool touched)
{
    if (first->line != again->line || again->on_s < SLOW_ON_S) return false;
    for (int s = 0; s < SIDES; ++s) {
        if ((first->side_n[s] > 0.0) != (again->side_n[s] > 0.0)) return false;
        if (first->side_n[s] <= 0.0) continue;
        const double ratio = log(again->side_n[s] / first->side_n[s]);
        if ((ratio > tolerance && !touched) || (ratio < -tolerance && !touches) || fabs(ratio) > EDGE) return false;
    }
    return true;
}

/* Whether most lines before had seen no axle that this one had not, when the pass came: then it is no new axle. */
static bool not_due(const bf_wim *w, const event *list, int which)
{
    static const int LIKELY_DEAD = 2;
    const int line = list[which].line;
    int seen[BF_MAX_LINES] = {0};
    int live = 0, due = 0;
    for (int i = 0; i < which; ++i)
        if (list[i].index >= 0) seen[list[i].line]++;
    for (int j = 0; j < line; ++j) {
        if (w->lines[j].missed_run >= LIKELY_DEAD) continue;
        ++live;
        if (seen[j] > seen[line]) ++due;
    }
    return live > 0 && 2 * due <= live;
}

/* How many of the last events from `turn` on read like a roll-back over the `deep` events before it: of all that it
 * takes if it is over. 0 where they do not. `turned` says that it turned on a strip (the event before `turn`), `touched`
 * that it went on again on a strip. */
static int reads_back(const bf_wim *w, const event *list, int n, int turn, int deep, bool turned, bool touched,
                      bool *over)
{
    const int last = turn - (turned ? 1 : 0), first = last - deep;
    const int whole = 2 * deep + (turned ? 1 : 0) + (touched ? 1 : 0);
    if (whole == 0) return 0;
    if (first - (touched ? 1 : 0) < 0) return 0;
    const int length = n - turn < whole ? n - turn : whole;
    bool impossible = false, alike = deep > 1, lines = false;
    for (int i = 0; i < length; ++i) {
        int of;
        bool touches = false, edge = false;
        if (i < deep) {
            of = last - 1 - i;
        } else if (touched && i == deep) {
            of = first - 1;
            touches = true;
        } else if (i - deep - (touched ? 1 : 0) < deep) {
            of = first + i - deep - (touched ? 1 : 0);
        } else {
            of = turn - 1;
            edge = true;
        }
        const event *e = &list[turn + i];
        if (e->index < 0 || !same_axle(&list[of], e, SAME_LOAD, touches, edge)) return 0;
        alike = alike && same_axle(&list[of], e, ALIKE, touches, edge);
        lines = lines || e->line != list[turn].line;
        if (not_due(w, list, turn + i)) impossible = true;
    }
    *over = length == whole;
    if (*over && !impossible && !(alike && lines)) return 0;
    return length;
}

static void take_out(bf_wim *w, const event *list, int from, int count, int *finished)
{
    /* From the last to the first, so that the places of the others stay. */
    for (int i = from + count - 1; i >= from; --i) {
        const int j = list[i].line, k = list[i].index;
        release_pass(w, &w->pending[j][k]);
        memmove(&w->pending[j][k], &w->pending[j][k + 1], sizeof(pass) * (size_t)(w->pending_count[j] - k - 1));
        w->pending_count[j]--;
        finished[j]--;
    }
}

/* The axle that turned: it is in the train, or its pass waits. */
static void mark(bf_wim *w, const event *e)
{
    if (e->index >= 0) w->pending[e->line][e->index].came_back = true;
    for (int i = 0; i < w->train_count; ++i)
        if ((w->train[i].seen >> e->line & 1u) && w->train[i].at[e->line].mid >= e->mid) w->train[i].came_back = true;
}

/* Whether what was seen from some turn at or before `until` on, up to now, can be a roll-back that is not over. */
static bool not_over(const bf_wim *w, const event *list, int n, int until)
{
    for (int turn = until; turn > 0 && turn >= n - 2 * DEEPEST; --turn) {
        if (list[turn].index < 0) break;
        for (int deep = DEEPEST; deep >= 0; --deep)
            for (int how = 0; how < 4; ++how) {
                bool over = false;
                if (reads_back(w, list, n, turn, deep, how & 1, how & 2, &over) == n - turn && !over) return true;
            }
    }
    return false;
}

bool reverse_filter(bf_wim *w, int *finished)
{
    event list[EVENTS];
    int n = gather(w, finished, list);
    for (int turn = 1; turn < n; ++turn) {
        if (list[turn].index < 0 || list[turn].on_s < SLOW_ON_S) continue;
        for (int deep = DEEPEST; deep >= 0; --deep)
            for (int how = 0; how < 4; ++how) {
                bool over = false;
                const int length = reads_back(w, list, n, turn, deep, how & 1, how & 2, &over);
                if (length == 0 || !over) continue;
                if (turn + length == n && not_over(w, list, n, turn - 1)) return true; /* a longer one may explain more */
#ifdef BF_DEBUG
                fprintf(stderr, "back now %.2f turn %.2f deep %d how %d length %d:", (double)w->now / w->rate, list[turn].mid / w->rate, deep, how, length);
                for (int i = 0; i < n; ++i) fprintf(stderr, " %s%d@%.2f(%.0f)", list[i].index < 0 ? "-" : "", list[i].line, list[i].mid / w->rate, list[i].side_n[0]);
                fprintf(stderr, "\n");
#endif
                const bool edge = (how & 1) && list[turn - 1].index >= 0 &&
                                  !same_axle(&list[turn - 1], &list[turn + length - 1], SAME_LOAD, false, false);
                mark(w, &list[edge ? turn + length - 1 : turn - 1]);
                if (edge) {
                    /* It turned at the strip's edge; the whole pass is the last. */
                    take_out(w, list, turn, length - 1, finished);
                    take_out(w, list, turn - 1, 1, finished);
                } else {
                    take_out(w, list, turn, length, finished);
                }
                n = gather(w, finished, list);
                deep = -1;
                turn = 0;
                break;
            }
    }
    /* One that is not over yet: what comes next will tell. */
    return not_over(w, list, n, n - 1);
}
