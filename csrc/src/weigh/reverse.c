/* Roll-back: finds the passes of axles that went back over lines and came again, and takes them out of the row.
 * Called by train.c before it lays the lines over each other.
 *
 * A vehicle is rigid: each crossing of a line by an axle has its place on the vehicle's way. Going forward it meets new
 * places; rolling back it meets the last ones again in reverse order; going on, it meets them once more. So the passes of
 * all lines, in the order of time, are read as a walk over a stack of places: NEW pushes one, BACK goes down, AGAIN goes
 * up, and a TOUCH is a wheel that turned on the strip. The cheapest reading by loads, speeds and turns is looked for with
 * a beam search. First passes stay; the others are taken out. Where all passes as new ones read well nothing is done. */
#include "reverse.h"
#include "crossings.h"

#include <math.h>
#include <string.h>

enum { EVENTS = 64, AXLES = 12, BEAM = 24, READINGS = 12, ROOM = BEAM * READINGS, FIXED = 10 };
typedef enum { NEW, BACK, AGAIN, TOUCH } reading;

/* Costs. */
static const double FRESH = 0.7, TURN = 2.0, TOUCHED = 0.5, NOT_DUE = 7.0, NOT_RIGID = 7.0, SWAPPED = 0.7;
static const double SURE = 2.5;
static const double LEAST_SPACING_M = 0.55;

typedef struct {
    double mid, on_s;
    double side_n[SIDES];
    int line, index; /* of the pending pass, or -1: it left as part of an axle */
} event;

typedef struct {
    double cost;
    int depth, length;           /* places gone back; places on the stack */
    bool back;                   /* the way it goes */
    signed char stack[EVENTS];   /* events, by their places */
    signed char label[EVENTS];
    signed char crossed[BF_MAX_LINES]; /* new axles, of those that are pending */
    signed char first[BF_MAX_LINES][AXLES]; /* their events */
    int odd;                     /* labels other than NEW */
    signed char of[EVENTS];      /* whose axle an event is of: an earlier event, or -2 - k: the k-th new one on its line */
    signed char way[EVENTS];     /* way_over */
} walk;

static event event_of(const axle_stage *w, const pass *p, int line, int index)
{
    event e = {p->mid, 0.0, {0}, line, index};
    for (int i = 0; i < p->count; ++i) {
        const footprint *f = p->prints[i];
        const double on = (f->fall[1] - f->rise[1]) / w->array->rate;
        if (on > e.on_s) e.on_s = on;
    }
    memcpy(e.side_n, p->side_n, sizeof e.side_n);
    return e;
}

void reverse_note(axle_stage *w, const pass *p, int line)
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

static void insert(event *list, int *n, const event *e)
{
    int at = (*n)++;
    while (at > 0 && list[at - 1].mid > e->mid) {
        list[at] = list[at - 1];
        --at;
    }
    list[at] = *e;
}

/* The passes of all lines in their order: the last that left, and those that wait. 0 where there are too many. */
static int gather(const axle_stage *w, const int *finished, event *list)
{
    int n = 0;
    for (int i = w->recent_count > FIXED ? w->recent_count - FIXED : 0; i < w->recent_count; ++i) {
        const recent_pass *r = &w->recent[i];
        event e = {r->mid, r->on_s, {0}, r->line, -1};
        memcpy(e.side_n, r->side_n, sizeof e.side_n);
        insert(list, &n, &e);
    }
    for (int j = 0; j < w->array->line_count; ++j)
        for (int i = 0; i < finished[j]; ++i) {
            if (n == EVENTS) return 0;
            const event e = event_of(w, &w->pending[j][i], j, i);
            insert(list, &n, &e);
        }
    return n;
}

/* What it costs that two passes are of one axle. With `part` the second may have been on the strip in part. */
static double load_cost(const event *a, const event *b, bool same_line, bool part)
{
    static const double MOST = 5.0, STOOD_S = 1.0; /* the peak of one that stood is what it stood with, beside the middle less */
    const double on = a->on_s < b->on_s ? a->on_s : b->on_s, v = 0.25 / (on > 0.01 ? on : 0.01);
    const double sd = same_line ? 0.025 + 0.015 * v : 0.035 + 0.02 * v; /* the faster, the more it bounces */
    double sum = 0.0;
    int n = 0;
    for (int s = 0; s < SIDES; ++s) {
        if (a->side_n[s] <= 0.0 || b->side_n[s] <= 0.0) continue;
        double r = log(b->side_n[s] / a->side_n[s]);
        if (r < 0.0 ? part || b->on_s > STOOD_S : a->on_s > STOOD_S) r *= 0.1;
        sum += 0.5 * r * r / (sd * sd);
        ++n;
    }
    if (n == 0) return 1.0;
    sum /= n;
    return sum < MOST ? sum : MOST;
}

/* A wheel that left one line cannot be on the next at once: it has the way between them to go, from the speeds that it had on
 * them, and pulls only so hard. */
static double way_cost(const axle_stage *w, const event *from, const event *to)
{
    static const double PRINT_M = 0.35, LONGEST_M = 0.5, PULLS_MPS2 = 2.5;
    const double way = w->array->lines[to->line].x - w->array->lines[from->line].x - PRINT_M;
    const double on = from->on_s < to->on_s ? from->on_s : to->on_s;
    if (way <= 0.0 || !(on > 0.0) || w->array->lines[from->line].plate || w->array->lines[to->line].plate) return 0.0;
    const double v = LONGEST_M / on, took = (to->mid - from->mid) / w->array->rate - 0.5 * (from->on_s + to->on_s);
    return took * sqrt(v * v + 2.0 * PULLS_MPS2 * way) < 0.7 * way ? NOT_RIGID : 0.0;
}

/* Nothing rolls back, or starts again on the same few centimetres, fast. */
static double pace_cost(const event *e, double usual)
{
    const double v = 0.25 / (e->on_s > 0.01 ? e->on_s : 0.01);
    if (v <= usual) return 0.0;
    const double r = (v - usual) / 0.5;
    return 0.5 * r * r;
}

/* Event of the `k`-th new axle on a line, or -1. */
static int crossing_of(const walk *h, int line, int k)
{
    return k < h->crossed[line] ? h->first[line][k] : -1;
}

static int line_before(const axle_stage *w, int line)
{
    int j = line - 1;
    while (j >= 0 && w->array->lines[j].missed_run >= 2) --j;
    return j;
}

/* The range of distances of axles k - 1 and k that the order of their crossings leaves, empty where they are not rigid. */
static void distance_left(const axle_stage *w, const walk *h, const event *list, int k, double *lo, double *hi)
{
    *lo = LEAST_SPACING_M;
    *hi = HUGE_VAL;
    for (int i = 0; i < w->array->line_count; ++i) {
        const int b = crossing_of(h, i, k);
        if (b < 0) continue;
        for (int j = i + 1; j < w->array->line_count; ++j) {
            const int a = crossing_of(h, j, k - 1);
            const double d = w->array->lines[j].x - w->array->lines[i].x;
            if (a < 0) continue;
            /* Both on their lines at a time, perhaps standing: either may have come first. */
            if (fabs(list[a].mid - list[b].mid) < 0.4 * w->array->rate * (list[a].on_s + list[b].on_s)) continue;
            if (list[b].mid < list[a].mid && d < *hi) *hi = d;
            if (list[b].mid > list[a].mid && d > *lo) *lo = d;
        }
    }
}

/* Axles that should have crossed a line: the one before has gone on by more than their distance can be. */
static double overdue_cost(const axle_stage *w, const walk *h, const event *list)
{
    static const double SLACK_M = 0.3;
    double cost = 0.0;
    int axles = 0;
    for (int j = 0; j < w->array->line_count; ++j)
        if (h->crossed[j] > axles) axles = h->crossed[j];
    for (int k = 1; k < axles; ++k) {
        double lo, hi;
        distance_left(w, h, list, k, &lo, &hi);
        if (lo > hi + 0.05) cost += NOT_RIGID;
        if (!(hi < HUGE_VAL)) continue;
        double gone = -HUGE_VAL;
        for (int j = 0; j < w->array->line_count; ++j)
            if (h->crossed[j] >= k) gone = w->array->lines[j].x;
        for (int j = 0; j < w->array->line_count; ++j)
            if (h->crossed[j] == k && w->array->lines[j].missed_run < 2 && w->array->lines[j].x + hi + SLACK_M < gone) {
                cost += NOT_DUE;
                break;
            }
    }
    return cost;
}

/* Readings after a walk are added one by one. */
typedef struct {
    const axle_stage *w;
    const event *list;
    int at;
    const walk *h;
    walk *next;
    int *count;
} step;

/* The walk with one more reading, or NULL where there is no room. */
static walk *take(const step *s, reading how, int of, way_over way, double cost)
{
    if (*s->count >= ROOM) return NULL;
    walk *to = &s->next[(*s->count)++];
    *to = *s->h;
    to->label[s->at] = (signed char)how;
    to->of[s->at] = (signed char)of;
    to->way[s->at] = (signed char)way;
    to->cost += cost;
    if (how != NEW) to->odd++;
    return to;
}

/* What it costs that the axle which is next on the event's line passed it, after the line before. */
static double next_cost(const step *s, const event *e, bool part)
{
    const int before = line_before(s->w, e->line);
    if (before < 0) return part ? 0.0 : FRESH;
    const int first = crossing_of(s->h, before, s->h->crossed[e->line]);
    return first < 0 ? NOT_DUE : load_cost(&s->list[first], e, false, part) + way_cost(s->w, &s->list[first], e);
}

/* A place that was not met yet: passed, or only touched to roll back. */
static void read_new(const step *s, const event *e)
{
    const walk *h = s->h;
    const int k = h->crossed[e->line];
    walk *n = take(s, NEW, s->at, WAY_FORWARD, next_cost(s, e, false) + (h->back ? 0.25 * TURN : 0.0));
    if (n) {
        n->stack[n->length++] = (signed char)s->at;
        n->first[e->line][n->crossed[e->line]++] = (signed char)s->at;
        n->back = false;
        if (k > 0) {
            double lo, hi;
            distance_left(s->w, n, s->list, k, &lo, &hi);
            if (lo > hi + 0.05) n->cost += NOT_RIGID;
        }
    }
    if (h->back) return;
    n = take(s, TOUCH, -2 - k, WAY_FRONT, TOUCHED + TURN + pace_cost(e, 0.6) + next_cost(s, e, true));
    if (n) n->back = true;
}

/* Two places that were met nearly at a time may be met in either order: what it costs to take the second one first. */
static double swap_cost(const step *s, const event *p, int first)
{
    return SWAPPED + 4.0 * fabs(p->mid - s->list[first].mid) / s->w->array->rate / (p->on_s + 0.05);
}

/* Down the stack: back over a place, or onto it from behind and forward again. */
static void read_back(const step *s, const event *e, int top)
{
    const walk *h = s->h;
    for (int swap = 0; swap < 2 && top - swap >= 0; ++swap) {
        const event *p = &s->list[h->stack[top - swap]];
        if (p->line != e->line) continue;
        double cost = load_cost(p, e, true, false) + pace_cost(e, 0.8) + (h->back ? 0.0 : TURN);
        if (swap) cost += swap_cost(s, p, h->stack[top]);
        walk *n = take(s, BACK, h->stack[top - swap], WAY_BACK, cost);
        if (n && swap) {
            n->stack[top - 1] = h->stack[top];
            n->stack[top] = h->stack[top - 1];
        }
        if (n) {
            n->depth++;
            n->back = true;
        }
        if (swap) continue;
        n = take(s, TOUCH, h->stack[top], WAY_REAR,
                 TOUCHED + load_cost(p, e, true, true) + pace_cost(e, 0.6) + (h->back ? 0.0 : TURN) + 0.25 * TURN);
        if (n) n->back = false;
    }
}

/* While it turned on one strip, or a wheel stayed on one, other wheels were on the edges of theirs. */
static void read_beside(const step *s, const event *e, int top)
{
    const walk *h = s->h;
    for (int deeper = 1; deeper < 3 && top - deeper >= 0 && s->at > 0; ++deeper) {
        const event *p = &s->list[h->stack[top - deeper]], *before = &s->list[s->at - 1];
        const bool turned = h->label[s->at - 1] == TOUCH, held = deeper == 1 && h->stack[top] == s->at - 1 && before->index >= 0;
        if (p->line != e->line || !(turned || held) || fabs(e->mid - before->mid) > before->on_s * s->w->array->rate) continue;
        take(s, TOUCH, h->stack[top - deeper], WAY_REAR,
             TOUCHED + load_cost(p, e, true, true) + pace_cost(e, 0.6) + (turned ? 0.0 : TURN));
    }
}

/* Up the stack: once more over a place, or onto it and back again. */
static void read_again(const step *s, const event *e, int top)
{
    const walk *h = s->h;
    for (int swap = 0; swap < 2 && h->depth - swap > 0; ++swap) {
        const event *p = &s->list[h->stack[top + 1 + swap]];
        if (p->line != e->line) continue;
        double cost = load_cost(p, e, true, false) + pace_cost(e, 1.2) + (h->back ? 0.25 * TURN : 0.0);
        if (swap) cost += swap_cost(s, p, h->stack[top + 1]);
        walk *n = take(s, AGAIN, h->stack[top + 1 + swap], WAY_FORWARD, cost);
        if (n && swap) {
            n->stack[top + 2] = h->stack[top + 1];
            n->stack[top + 1] = h->stack[top + 2];
        }
        if (n) {
            n->depth--;
            n->back = false;
        }
        if (swap || h->back) continue;
        n = take(s, TOUCH, h->stack[top + 1], WAY_FRONT, TOUCHED + load_cost(p, e, true, true) + pace_cost(e, 0.6) + TURN);
        if (n) n->back = true;
    }
}

/* All readings of event `at` after the walk `h`. */
static void read_on(const axle_stage *w, const event *list, int at, const walk *h, walk *next, int *count)
{
    const event *e = &list[at];
    const step s = {w, list, at, h, next, count};
    const int top = h->length - 1 - h->depth; /* the last place that it is beyond */
    if (e->index < 0) {
        /* It left as a new one. */
        walk *n = take(&s, NEW, at, WAY_FORWARD, 0.0);
        if (n) n->stack[n->length++] = (signed char)at;
        return;
    }
    if (h->depth == 0) read_new(&s, e);
    read_back(&s, e, top);
    read_beside(&s, e, top);
    read_again(&s, e, top);
}

static void keep_best(walk *next, int *count)
{
    for (int i = 0; i < *count && i < BEAM; ++i) {
        int best = i;
        for (int k = i + 1; k < *count; ++k)
            if (next[k].cost < next[best].cost) best = k;
        if (best != i) {
            const walk t = next[i];
            next[i] = next[best];
            next[best] = t;
        }
    }
    if (*count > BEAM) *count = BEAM;
}

/* All passes read as new ones. */
static walk plain_walk(const axle_stage *w, const event *list, int n)
{
    walk h;
    memset(&h, 0, sizeof h);
    for (int at = 0; at < n; ++at) {
        walk next[READINGS];
        int count = 0;
        h.depth = 0;
        h.back = false;
        read_on(w, list, at, &h, next, &count);
        h = next[0]; /* the new one comes first */
    }
    h.cost += overdue_cost(w, &h, list);
    return h;
}

/* The axle of an event: of those that are new, or behind them of those in the train; -1 where it has left. */
static int axle_of(const axle_stage *w, const event *list, const walk *h, int at)
{
    if (h->of[at] <= -2) return -2 - h->of[at];
    const event *e = &list[h->of[at]];
    for (int k = 0; e->index >= 0 && k < AXLES; ++k)
        if (crossing_of(h, e->line, k) == h->of[at]) return k;
    for (int t = 0; e->index < 0 && t < w->train->count; ++t)
        if ((w->train->at[t].seen >> e->line & 1u) && fabs(w->train->at[t].at[e->line].mid - e->mid) < 0.5) return AXLES + t;
    return -1;
}

/* Axles in the order of the row, those of the train first: from `first` to before `end`. */
typedef struct {
    int first, end;
} row_part;

/* `id`: axle_of. */
static bool part_has(const axle_stage *w, row_part s, int id)
{
    const int place = id < 0 ? -1 : id < AXLES ? w->train->count + id : id - AXLES;
    return place >= s.first && place < s.end;
}

/* Between which scans it rolled back: from before the first to after the last of neighbouring passes that say so. */
static int backs_of(const axle_stage *w, const event *list, int n, const walk *h, row_part s, rest *back)
{
    int count = 0;
    for (int i = 0, j; i < n; i = j + 1) {
        bool here = false;
        for (j = i; j < n && (h->label[j] == BACK || h->label[j] == TOUCH); ++j) here = here || part_has(w, s, axle_of(w, list, h, j));
        if (!here || count == MOTION_MAX_BACKS) continue;
        const double on = 0.5 * list[i].on_s * w->array->rate, off = 0.5 * list[j - 1].on_s * w->array->rate;
        back[count].from = h->way[i] == WAY_FRONT || i == 0 ? list[i].mid - on : list[i - 1].mid;
        back[count].to = h->way[j - 1] == WAY_REAR || j == n ? list[j - 1].mid + off : list[j].mid;
        ++count;
    }
    return count;
}

/* What it costs that one motion of a rigid body is to have made the passes of a part of the row as they are read. */
static double part_cost(axle_stage *w, const event *list, int n, const walk *h, row_part s)
{
    static const double PRINT_M = 0.25;
    signed_pass passes[EVENTS];
    rest back[MOTION_MAX_BACKS];
    int count = 0, axles = 0;
    for (int id = 0; id < AXLES + w->train->count; ++id) {
        const int begin = count;
        double most = 0.0;
        if (!part_has(w, s, id)) continue;
        for (int i = 0; i < n; ++i) {
            const event *e = &list[i];
            if (axle_of(w, list, h, i) != id || (e->index < 0 && id < AXLES)) continue;
            const pass *p = e->index < 0 ? &w->train->at[id - AXLES].at[e->line] : &w->pending[e->line][e->index];
            const signed_pass one = {p, axles, (way_over)h->way[i], 0, PRINT_M / fmax(e->on_s, 0.01), 0.0, TYRE_ANY};
            most = fmax(most, p->peak_n);
            passes[count++] = one;
        }
        for (int i = begin; i < count; ++i) {
            passes[i].passes = count - begin;
            passes[i].most_n = most;
        }
        if (count > begin) ++axles;
    }
    if (count == 0) return 0.0;
    const double cost = crossings_misfit(w->fit, passes, count, axles, back, backs_of(w, list, n, h, s, back));
    return isfinite(cost) ? cost : HUGE_VAL;
}

static double rigid_cost(axle_stage *w, const event *list, int n, const walk *h)
{
    const row_part all = {0, w->train->count + AXLES};
    return part_cost(w, list, n, h, all);
}

/* The same where the axles may be of two vehicles, each with its own motion: bumper to bumper one motion for both, which
 * costs `best`, fits not quite, and that says nothing for a roll-back. Where a roll-back is read as going on, it does not fit
 * at all. */
static double apart_cost(axle_stage *w, const event *list, int n, const walk *h, double best)
{
    static const double NOT_AT_ALL = 15.0; /* true ones read as going on: 20 to 200; the gap of a queue that shrinks: to 11 */
    int last = 0;
    if (best > NOT_AT_ALL) return best;
    for (int j = 0; j < w->array->line_count; ++j)
        if (h->crossed[j] > last) last = h->crossed[j];
    for (int cut = 1; cut < w->train->count + last; ++cut) {
        const row_part front = {0, cut}, rear = {cut, w->train->count + AXLES};
        const double cost = part_cost(w, list, n, h, front);
        if (cost < best) best = fmin(best, TURN + cost + part_cost(w, list, n, h, rear));
    }
    return best;
}

static void take_out(axle_stage *w, const event *list, int n, const walk *h, int *finished)
{
    /* From the last to the first, so that the places of the others stay. */
    for (int i = n - 1; i >= 0; --i) {
        if (list[i].index < 0 || h->label[i] == NEW) continue;
        const int j = list[i].line, k = list[i].index;
        release_pass(w->prints, &w->pending[j][k]);
        memmove(&w->pending[j][k], &w->pending[j][k + 1], sizeof(pass) * (size_t)(w->pending_count[j] - k - 1));
        w->pending_count[j]--;
        finished[j]--;
    }
}

/* The axle that came again: it is in the train, or its pass waits. */
static void mark(axle_stage *w, const event *e)
{
    if (e->index >= 0) w->pending[e->line][e->index].came_back = true;
    for (int i = 0; i < w->train->count; ++i)
        if ((w->train->at[i].seen >> e->line & 1u) && w->train->at[i].at[e->line].mid >= e->mid) w->train->at[i].came_back = true;
}

/* Two beams of readings, of which the one is read on into the other. */
typedef struct {
    walk rooms[2][ROOM];
    walk *beam;
    int count;
} readings;

static void read_all(const axle_stage *w, const event *list, int n, readings *r)
{
    walk *next = r->rooms[1];
    r->beam = r->rooms[0];
    r->count = 1;
    memset(&r->beam[0], 0, sizeof r->beam[0]);
    for (int at = 0; at < n; ++at) {
        int more = 0;
        for (int i = 0; i < r->count; ++i) read_on(w, list, at, &r->beam[i], next, &more);
        keep_best(next, &more);
        walk *t = r->beam;
        r->beam = next;
        next = t;
        r->count = more;
    }
    for (int i = 0; i < r->count; ++i) r->beam[i].cost += overdue_cost(w, &r->beam[i], list);
}

/* Whether it tells of a roll-back that is over: nothing is on its way back, and who turned on a strip has come over it since. */
static bool is_closed(const walk *h, const event *list, int n)
{
    if (h->odd == 0 || h->depth > 0 || h->back) return false;
    for (int i = 0; i < n; ++i)
        if (h->label[i] == TOUCH && h->of[i] <= -2 && crossing_of(h, list[i].line, -2 - h->of[i]) < 0) return false;
    return true;
}

static const walk *cheapest(const readings *r)
{
    const walk *best = NULL;
    for (int i = 0; i < r->count; ++i)
        if (!best || r->beam[i].cost < best->cost) best = &r->beam[i];
    return best;
}

/* The best reading of a roll-back that is over, by what it and its motion (`motion_cost`) cost; NULL where none comes near
 * `most`. */
static const walk *best_closed(axle_stage *w, const event *list, int n, readings *r, double most, double *motion_cost)
{
    enum { LOOKS = 6 };
    const walk *best = NULL;
    bool seen[BEAM] = {false};
    double cost = HUGE_VAL;
    for (int look = 0; look < LOOKS; ++look) {
        int next = -1;
        for (int i = 0; i < r->count; ++i)
            if (!seen[i] && (next < 0 || r->beam[i].cost < r->beam[next].cost) && is_closed(&r->beam[i], list, n)) next = i;
        if (next < 0 || r->beam[next].cost > fmin(most, cost)) break;
        seen[next] = true;
        const double rigid = rigid_cost(w, list, n, &r->beam[next]), fits = r->beam[next].cost + rigid;
        if (fits >= cost && best) continue;
        best = &r->beam[next];
        cost = fits;
        *motion_cost = rigid;
    }
    return best;
}

/* The cheapest reading of a roll-back that is still going on, with what its motion costs, if it costs less than `most`; else
 * infinite. One that costs as much as a reading of less is told from it by its motion alone. */
static double best_open(axle_stage *w, const event *list, int n, const readings *r, double most)
{
    enum { LOOKS = 6 };
    double least = HUGE_VAL;
    bool seen[BEAM] = {false};
    for (int look = 0; look < LOOKS; ++look) {
        int next = -1;
        for (int i = 0; i < r->count; ++i)
            if (!seen[i] && r->beam[i].odd > 0 && !is_closed(&r->beam[i], list, n) && (next < 0 || r->beam[i].cost < r->beam[next].cost)) next = i;
        if (next < 0 || !(r->beam[next].cost < fmin(most, least))) break;
        seen[next] = true;
        least = fmin(least, r->beam[next].cost + rigid_cost(w, list, n, &r->beam[next]));
    }
    return least < most ? least : HUGE_VAL;
}

/* Whether a reading that is not the cheapest may still turn out to be right. */
static bool may_turn(const readings *r, const walk *best, int n)
{
    const walk *other = NULL;
    for (int i = 0; i < r->count; ++i)
        if (&r->beam[i] != best && memcmp(r->beam[i].label, best->label, (size_t)n) != 0 && (!other || r->beam[i].cost < other->cost))
            other = &r->beam[i];
    return other && other->odd > 0 && other->cost < best->cost + SURE && (other->depth > 0 || other->back);
}

/* When the middle of a wheel was first over the line: after its rise, as long again as that took from the lowest to the highest
 * level. Of one that turned or stood the fall is later. */
static double first_over(const pass *p)
{
    double sum = 0.0;
    for (int i = 0; i < p->count; ++i) sum += 2.0 * p->prints[i]->rise[LEVELS - 1] - p->prints[i]->rise[0];
    return fmin(p->mid, sum / p->count);
}

/* A pass that is taken out was sooner than that which stays: if all of the wheel's force was on the line, its middle was. */
static void note_sooner(axle_stage *w, const event *out, const event *stays)
{
    static const double WHOLE = 0.97; /* of the peak */
    if (out->index < 0 || stays->index < 0 || out->mid > stays->mid) return;
    const pass *p = &w->pending[out->line][out->index];
    pass *q = &w->pending[stays->line][stays->index];
    if (p->peak_n > WHOLE * q->peak_n && (q->sooner <= 0.0 || first_over(p) < q->sooner)) q->sooner = first_over(p);
}

/* Marks the axles whose passes are about to be taken out. */
static void mark_all(axle_stage *w, const event *list, int n, const walk *h)
{
    for (int i = 0; i < n; ++i) {
        if (h->label[i] == NEW) continue;
        int of = -1; /* the pass that stays of it */
        for (int k = 0; k < n; ++k)
            if (h->label[k] == NEW && list[k].line == list[i].line && load_cost(&list[k], &list[i], true, true) < 2.0 &&
                (of < 0 || fabs(list[k].mid - list[i].mid) < fabs(list[of].mid - list[i].mid)))
                of = k;
        if (of < 0) continue;
        mark(w, &list[of]);
        note_sooner(w, &list[i], &list[of]);
    }
}

/* Finds the best reading of the passes; takes out what is no first pass. True where it is not clear yet. What loads, paces and
 * turns leave open, the motion decides: that of the wrong reading does not fit. */
static bool read_events(axle_stage *w, const event *list, int n, int *finished, bool at_end)
{
    static const double WORTH_A_FIT = 12.0;
    bool slow = false;
    for (int i = 0; i < n; ++i) slow = slow || (list[i].index >= 0 && pace_cost(&list[i], 0.8) < 3.0);
    if (!slow) return false;
    readings r;
    read_all(w, list, n, &r);
    const walk *best = cheapest(&r);
    double rigid = HUGE_VAL;
    if (!best) return false;
    const walk *closed = best_closed(w, list, n, &r, best->cost + WORTH_A_FIT, &rigid);
    if (!closed) {
        if (best->odd == 0) return may_turn(&r, best, n);
        if (!at_end) return true;
        closed = best;
    } else {
        const walk plain = plain_walk(w, list, n);
        double plainly = plain.cost + apart_cost(w, list, n, &plain, rigid_cost(w, list, n, &plain)), cost = closed->cost + rigid;
        if (plainly < cost + SURE) cost = closed->cost + apart_cost(w, list, n, closed, rigid);
        if (!(plainly < HUGE_VAL) || !(cost < HUGE_VAL)) { /* no motion can be fitted */
            plainly = plain.cost;
            cost = closed->cost;
        }
        const double going_on = at_end ? HUGE_VAL : best_open(w, list, n, &r, fmin(cost, plainly + SURE));
        if (going_on < fmin(cost, plainly)) return true;
        if (plainly < cost) return going_on < HUGE_VAL || may_turn(&r, best, n);
        if (plainly < cost + SURE && !at_end) return true;
    }
    mark_all(w, list, n, closed);
    take_out(w, list, n, closed, finished);
    return false;
}

bool reverse_filter(axle_stage *w, int *finished, bool at_end)
{
    event list[EVENTS];
    for (int j = 0; j < w->array->line_count; ++j)
        if (finished[j] > AXLES) return false;
    const int n = gather(w, finished, list);
    int waiting = 0;
    double sum = at_end ? 1.0 : 0.0;
    for (int i = 0; i < n; ++i) {
        waiting += list[i].index >= 0;
        sum += list[i].mid * (list[i].index + 2);
    }
    if (waiting == w->reverse_waiting && sum == w->reverse_sum) return w->reversing; /* as last time */
    w->reverse_waiting = waiting;
    w->reverse_sum = sum;
    w->reversing = read_events(w, list, n, finished, at_end);
    return w->reversing;
}
