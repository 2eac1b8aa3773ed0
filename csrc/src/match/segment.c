/* The stretch between two points: which vehicle downstream is which upstream.
 *
 * Passages come in (enter and mark upstream, depart downstream, in the order of time), matches go out. What identities say is
 * compared across all lanes (evidence.c), because drivers change lanes; the order of the vehicles is kept lane by lane by
 * the queues (csrc/src/queue). Called by match.c, one for each direction and pair of points. Memory is bounded: `ENTRIES`
 * passages a lane.
 */
#include "segment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OLDEST_NS (INT64_C(6) * 3600 * 1000000000) /* a vehicle that has not come after so long does not come */
#define RECENTLY 64 /* passages of a lane of which it may turn out that their reader was dead already */
#define NONE (-1)

static const double SURE = 0.9;
static const double STRONG_LLR = 3.0; /* identity evidence above this makes a match one by identity */
static const double AWAY_LLR = 2.0;   /* and above this one of another lane is looked at */

bf_status segment_init(segment *s, int32_t lanes, const int32_t *of, int32_t n, bf_queue *const *queues, bf_plates *plates,
                       bool main, int64_t *counters)
{
    memset(s, 0, sizeof *s);
    s->lanes = lanes;
    s->lanes_n = n;
    s->main = main;
    s->oldest = s->newest = NONE;
    s->queues = calloc((size_t)lanes, sizeof *s->queues);
    s->up = calloc((size_t)lanes, sizeof *s->up);
    s->down = calloc((size_t)lanes, sizeof *s->down);
    s->traces = calloc((size_t)lanes * ENTRIES, sizeof *s->traces);
    if (s->queues == NULL || s->up == NULL || s->down == NULL || s->traces == NULL) {
        return BF_ERR_MEMORY;
    }
    for (int32_t i = 0; i < lanes * ENTRIES; i++) {
        s->traces[i] = (trace){.pos = NONE, .entry = NONE};
    }
    for (int32_t i = 0; i < n; i++) {
        s->queues[of[i]] = queues[i];
        end_init(&s->up[of[i]]);
        end_init(&s->down[of[i]]);
    }
    return evidence_init(&s->evidence, n, plates, counters);
}

void segment_free(segment *s)
{
    free(s->queues);
    free(s->up);
    free(s->down);
    free(s->traces);
    evidence_free(&s->evidence);
}

/* ---- what is kept ------------------------------------------------------------------------------------------------ */

static trace *trace_of(segment *s, int32_t lane, int64_t pos)
{
    return &s->traces[lane * ENTRIES + (pos & (ENTRIES - 1))];
}

/* The entry of a passage, NULL when it has been forgotten. */
static entry *entry_of(segment *s, int32_t lane, int64_t pos)
{
    trace *t = trace_of(s, lane, pos);
    return pos >= 0 && t->pos == pos && t->entry != NONE ? &s->evidence.entries[t->entry] : NULL;
}

static void forget(segment *s, int32_t index)
{
    entry *e = &s->evidence.entries[index];
    trace *t = trace_of(s, e->lane, e->pos);
    if (t->pos == e->pos) {
        t->entry = NONE;
    }
    *(e->older == NONE ? &s->oldest : &s->evidence.entries[e->older].newer) = e->newer;
    *(e->newer == NONE ? &s->newest : &s->evidence.entries[e->newer].older) = e->older;
    s->live--;
    evidence_forget(&s->evidence, index);
}

/* Makes room for one more. */
static void expire(segment *s, int64_t now_ns)
{
    while (s->oldest != NONE && (now_ns - s->evidence.entries[s->oldest].of.time_ns >= OLDEST_NS ||
                                 s->live >= s->lanes_n * ENTRIES)) {
        forget(s, s->oldest);
    }
}

/* ---- upstream ---------------------------------------------------------------------------------------------------- */

static bf_status count(segment *s, int32_t lane)
{
    return bf_queue_counts(s->queues[lane], end_seen(&s->up[lane]), end_seen(&s->down[lane]));
}

/* The reader of that kind was dead when this one passed. */
static void mark_dead(segment *s, int32_t lane, int64_t pos, uint8_t bit)
{
    entry *e = entry_of(s, lane, pos);
    if (e != NULL) {
        e->dead |= bit;
    }
    bf_queue_mark(s->queues[lane], pos, bit << DEAD_SHIFT, 0);
}

/* Nothing more will be read upstream of the oldest passage that was not complete; `next` is the newest one. */
static bf_status complete(segment *s, int32_t lane, int64_t next)
{
    lane_end *end = &s->up[lane];
    int64_t pos = end->complete++, died[KINDS];
    const trace *t = trace_of(s, lane, pos);
    bool changed = end_note(end, t->mask, t->looped, died);
    for (int kind = 0; kind < KINDS; kind++) {
        if (died[kind] > 0) {
            int64_t missed = died[kind] < RECENTLY ? died[kind] : RECENTLY;
            for (int64_t earlier = pos - missed + 1 > 0 ? pos - missed + 1 : 0; earlier < next; earlier++) {
                mark_dead(s, lane, earlier, (uint8_t)(1 << kind));
            }
        }
    }
    return changed ? count(s, lane) : BF_OK;
}

bf_status segment_enter(segment *s, int32_t lane, const vehicle *v, int64_t *pos)
{
    lane_end *end = &s->up[lane];
    uint8_t dead = end->dead;
    bf_status status = bf_queue_enter(s->queues[lane], v->time_ns, pos);
    if (status != BF_OK) {
        return status;
    }
    while (end->complete < *pos && (trace_of(s, lane, end->complete)->time_ns < v->time_ns - BF_TOGETHER_NS ||
                                    *pos - end->complete >= ENTRIES)) {
        status = complete(s, lane, *pos);
        if (status != BF_OK) {
            return status;
        }
    }
    expire(s, v->time_ns);
    int32_t index = evidence_begin(&s->evidence);
    if (index < 0) { /* cannot be: room was made */
        return BF_ERR_MEMORY;
    }
    *trace_of(s, lane, *pos) = (trace){*pos, v->time_ns, index, v->mask, v->looped};
    entry *e = &s->evidence.entries[index];
    vehicle_copy(&e->of, v);
    e->pos = *pos;
    e->lane = lane;
    e->dead = dead;
    e->older = s->newest;
    e->newer = NONE;
    *(s->newest == NONE ? &s->oldest : &s->evidence.entries[s->newest].newer) = index;
    s->newest = index;
    s->live++;
    if (end->gap) {
        end->gap = false;
        status = count(s, lane);
    }
    int32_t state = v->mask | dead << DEAD_SHIFT;
    if (v->mask) {
        evidence_add(&s->evidence, index);
    }
    if (state && status == BF_OK) {
        status = bf_queue_mark(s->queues[lane], *pos, state, 0);
    }
    return status;
}

bf_status segment_mark(segment *s, int32_t lane, int64_t pos, const vehicle *v, bool read)
{
    trace *t = trace_of(s, lane, pos);
    if (t->pos == pos) {
        t->mask = v->mask;
        t->looped = v->looped;
    }
    entry *e = entry_of(s, lane, pos);
    if (e == NULL) {
        return BF_OK;
    }
    vehicle_copy(&e->of, v);
    if (!read || !v->mask) {
        return BF_OK;
    }
    evidence_add(&s->evidence, t->entry);
    return bf_queue_mark(s->queues[lane], pos, v->mask, 0);
}

bf_status segment_came_unseen(segment *s, int32_t lane, double share)
{
    s->up[lane].gap = true;
    return bf_queue_counts(s->queues[lane], share, end_seen(&s->down[lane]));
}

bf_status segment_empty(segment *s, int32_t lane)
{
    for (int32_t index = s->oldest; index != NONE;) {
        const entry *e = &s->evidence.entries[index];
        int32_t newer = e->newer;
        if (e->lane == lane) {
            bf_queue_mark(s->queues[lane], e->pos, 0, 1);
            forget(s, index);
        }
        index = newer;
    }
    return BF_OK;
}

/* ---- downstream -------------------------------------------------------------------------------------------------- */

/* One departure while it is worked out. */
typedef struct {
    const vehicle *v;
    int32_t lane;
    double by_state[STATES]; /* what the default says */
    int64_t pos[ENTRIES];    /* candidates in this lane */
    float llr[ENTRIES];
    int32_t n;
    double elsewhere;        /* likelihood that it came in another lane */
    int32_t nearest;         /* the most likely one of these */
    bf_departure found;
} departure;

static double value_of(const segment *s, const departure *d, const gain *g)
{
    return d->by_state[entry_state(&s->evidence.entries[g->entry])] + g->value;
}

static void candidates(segment *s, departure *d)
{
    double best = -INFINITY, live = s->live > 20 ? (double)s->live : 20.0;
    d->n = 0;
    d->elsewhere = 0.0;
    d->nearest = NONE;
    for (int32_t i = 0; i < s->evidence.n_gains; i++) {
        const gain *g = &s->evidence.gains[i];
        const entry *e = &s->evidence.entries[g->entry];
        double value = value_of(s, d, g);
        if (e->lane == d->lane) {
            d->pos[d->n] = e->pos;
            d->llr[d->n++] = (float)value;
        } else if (value >= AWAY_LLR && d->v->time_ns > e->of.time_ns) {
            d->elsewhere += exp(value < 30.0 ? value : 30.0) * 4.0 / live;
            if (value > best) {
                best = value;
                d->nearest = g->entry;
            }
        }
    }
}

/* It is one that passed upstream in this lane. */
static void listed(segment *s, const departure *d, bf_event *out)
{
    const bf_departure *f = &d->found;
    const entry *e = entry_of(s, d->lane, f->pos);
    double base = e != NULL ? d->by_state[entry_state(e)] : 0.0;
    bool by_identity = false;
    if (e != NULL && e->gain_of == s->evidence.compared) {
        double value = value_of(s, d, &s->evidence.gains[e->gain_at]);
        by_identity = value - (base > 0.0 ? base : 0.0) > STRONG_LLR;
    }
    double known_s = 0.15 * f->mean_s > 90.0 ? 0.15 * f->mean_s : 90.0;
    double sure_s = 0.04 * f->mean_s > 20.0 ? 0.04 * f->mean_s : 20.0;
    bool known = f->p > 0.5 || f->sd_s < known_s;
    out->by_identity = by_identity;
    out->detour = by_identity && !f->in_order && f->wait_s > 1.5 * f->mean_s + 300.0;
    out->sure = known && (by_identity || f->p > SURE || f->sd_s < sure_s);
    out->wait_s = !known ? (double)NAN : (f->p > 0.5 || by_identity ? f->wait_s : f->mean_s);
    out->rough_s = f->mean_s;
    out->p = f->p;
    if (e != NULL && f->p > 0.5) {
        out->from_lane = d->lane;
        out->pos = f->pos;
        out->upstream_ns = e->of.time_ns;
    }
    if (e != NULL && f->p > SURE) {
        if (f->in_order) {
            evidence_learn(&s->evidence, e, d->v, s->down[d->lane].dead);
        }
        forget(s, trace_of(s, d->lane, f->pos)->entry);
    }
}

/* It passed upstream in another lane. */
static void from_elsewhere(segment *s, const departure *d, bf_event *out)
{
    const entry *e = &s->evidence.entries[d->nearest];
    double wait_s = (double)(d->v->time_ns - e->of.time_ns) * 1e-9;
    bf_queue_mark(s->queues[e->lane], e->pos, 0, 1);
    s->evidence.counters[BF_COUNT_LANE_CHANGE]++;
    out->by_identity = out->sure = out->readable = 1;
    out->detour = d->found.mean_s > 0.0 && wait_s > 1.5 * d->found.mean_s + 300.0;
    out->wait_s = out->rough_s = wait_s;
    out->sd_s = 0.0;
    out->p = d->found.p_elsewhere;
    out->from_lane = e->lane;
    out->pos = e->pos;
    out->upstream_ns = e->of.time_ns;
    forget(s, d->nearest);
}

bf_status segment_depart(segment *s, int32_t lane, const vehicle *v, bf_event *out)
{
    departure d = {.v = v, .lane = lane};
    lane_end *end = &s->down[lane];
    int64_t died[KINDS];
    bf_status status = end_note(end, v->mask, v->looped, died) ? count(s, lane) : BF_OK;
    if (status != BF_OK) {
        return status;
    }
    evidence_default(&s->evidence, v->mask | end->dead << DEAD_SHIFT, d.by_state);
    evidence_compare(&s->evidence, v, lane);
    candidates(s, &d);
    status = bf_queue_depart(s->queues[lane], v->time_ns, d.pos, d.llr, d.n, d.by_state, d.elsewhere, &d.found);
    if (status != BF_OK) {
        return status;
    }
    evidence_note(&s->evidence, v);
    *out = (bf_event){.what = BF_MATCHED, .lane = lane, .time_ns = v->time_ns, .pos = NONE, .from_lane = NONE,
                      .wait_s = (double)NAN, .rough_s = (double)NAN, .sd_s = d.found.sd_s, .readable = v->mask != 0,
                      .busy = d.found.p_busy > 0.5};
    if (d.found.pos >= 0) {
        listed(s, &d, out);
    } else if (d.nearest != NONE && d.found.p_elsewhere > 0.5) {
        from_elsewhere(s, &d, out);
    } else { /* nobody saw it upstream, or it is none at all */
        out->phantom = d.found.p_phantom > 0.5 && !v->mask;
        if (d.found.mean_s > 0.0 && d.found.p_phantom < 0.5) {
            out->rough_s = d.found.mean_s;
        }
    }
    return BF_OK;
}
