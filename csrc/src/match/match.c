/* The chain of one crossing: sightings in the order of time -> passages -> matches.
 *
 * In: an order of sightings (order.c), and how far time has come; out: events, each of which is about one vehicle. Stops where
 * the caller has to look first: at the end of an interval, at a booth, after a pause, at a vehicle that comes out of a closed
 * lane. Called by edge/core.py for edge/waiting/waits.py. Memory is bounded by what stands between the points.
 *
 * order.c puts sightings into the order of time, passages.c makes vehicles of them at a point of a lane, readers.c knows
 * which readers work, evidence.c says which vehicle upstream one downstream may be (plates.c, axles.c, tokens.c), segment.c
 * asks the queues (csrc/src/queue) and decides.
 */
#include "lines.h"
#include "segment.h"

#include <stdlib.h>
#include <string.h>

#define GAP_NS INT64_C(900000000000) /* without a sighting at any point */
#define MOST_SAME 256                /* sightings of one very time that are compared */
#define BOUND (1 << 16)              /* sightings that wait for others out of order */

/* A vehicle downstream, to be completed by what is read of it; or what was said of a booth, in the same order of time. */
typedef struct {
    int64_t time_ns, number;
    int32_t passage;  /* -1: a booth */
    int32_t lane;
    int32_t done;     /* ways that end here and have been asked */
} waiting;

struct bf_match {
    int32_t lanes, points, n_ways;
    struct { uint64_t where; int32_t place; } *names; /* a hash table */
    int32_t n_names;      /* a power of two */
    int32_t counts_only;  /* the one point is the booth: departures are counted, and nothing else is known */
    segment *ways;
    int32_t room_ways;
    point_of_lane *places;
    passages passages;
    waiting *pending;
    int32_t pending_from, pending_n, pending_room; /* a ring; the room is a power of two */
    int64_t last_ns, same_ns;
    struct { uint64_t identity; int32_t place; uint8_t kind; } same[MOST_SAME];
    int32_t n_same;
    int64_t counters[BF_COUNTERS];
};

bf_match *bf_match_create(int32_t lanes, int32_t points, int32_t most_ways, int32_t counts_only)
{
    if (lanes < 0 || points < 1 || most_ways < 0 || lanes > 4096 || points > 4096 || most_ways > 4096) {
        return NULL;
    }
    bf_match *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    m->lanes = lanes;
    m->points = points;
    m->counts_only = counts_only;
    m->room_ways = most_ways;
    m->last_ns = NEVER_NS;
    m->pending_room = 64;
    size_t places = (size_t)lanes * (size_t)points;
    m->ways = calloc((size_t)most_ways + 1, sizeof *m->ways);
    m->places = calloc(places + 1, sizeof *m->places);
    m->pending = calloc((size_t)m->pending_room, sizeof *m->pending);
    m->n_names = 4;
    while ((size_t)m->n_names < 4 * places) {
        m->n_names *= 2;
    }
    m->names = calloc((size_t)m->n_names, sizeof *m->names);
    for (int32_t i = 0; m->names != NULL && i < m->n_names; i++) {
        m->names[i].place = -1;
    }
    bool made = m->names != NULL && m->ways != NULL && m->places != NULL && m->pending != NULL;
    for (size_t i = 0; made && i < places; i++) {
        made = point_init(&m->places[i]) == BF_OK;
    }
    if (!made) {
        bf_match_free(m);
        return NULL;
    }
    return m;
}

void bf_match_free(bf_match *m)
{
    if (m == NULL) {
        return;
    }
    for (int32_t i = 0; m->ways != NULL && i < m->n_ways; i++) {
        segment_free(&m->ways[i]);
    }
    for (int32_t i = 0; m->places != NULL && i < m->lanes * m->points; i++) {
        point_free(&m->places[i]);
    }
    for (int32_t i = 0; i < m->passages.n; i++) {
        if (m->passages.all[i].holders > 0) {
            vehicle_release(&m->passages.all[i].of);
        }
    }
    free(m->names);
    free(m->ways);
    free(m->places);
    free(m->passages.all);
    free(m->pending);
    free(m);
}

bf_status bf_match_way(bf_match *m, int32_t from, int32_t to, int32_t is_main, bf_plates *plates, const int32_t *lanes,
                       bf_queue *const *queues, int32_t n, int32_t *way)
{
    if (m == NULL || from < 0 || to < 0 || from >= m->points || to >= m->points || plates == NULL || lanes == NULL ||
        queues == NULL || n < 1 || n > m->lanes || m->n_ways >= m->room_ways || way == NULL) {
        return BF_ERR_ARGUMENT;
    }
    for (int32_t i = 0; i < n; i++) {
        if (lanes[i] < 0 || lanes[i] >= m->lanes || queues[i] == NULL) {
            return BF_ERR_ARGUMENT;
        }
    }
    segment *s = &m->ways[m->n_ways];
    bf_status status = segment_init(s, m->lanes, lanes, n, queues, plates, is_main != 0, m->counters);
    s->from = from;
    s->to = to;
    if (status != BF_OK) {
        segment_free(s);
        return status;
    }
    *way = m->n_ways++;
    return BF_OK;
}

bf_status bf_match_look(const bf_match *m, int32_t way, int32_t lane, bf_lane_ends *out)
{
    if (m == NULL || out == NULL || way < 0 || way >= m->n_ways || lane < 0 || lane >= m->lanes ||
        m->ways[way].queues[lane] == NULL) {
        return BF_ERR_ARGUMENT;
    }
    const segment *s = &m->ways[way];
    int read = 0;
    for (int32_t i = 0; i < s->lanes; i++) {
        read |= s->queues[i] != NULL ? ~s->up[i].dead : 0;
    }
    out->counts = s->up[lane].loop.works;
    out->identifies = (~s->down[lane].dead & read & (TAG | PLATE | AXLES)) != 0;
    return BF_OK;
}

bf_status bf_match_empty(bf_match *m, int32_t way, int32_t lane)
{
    if (m == NULL || way < 0 || way >= m->n_ways || lane < 0 || lane >= m->lanes || m->ways[way].queues[lane] == NULL) {
        return BF_ERR_ARGUMENT;
    }
    return segment_empty(&m->ways[way], lane);
}

bf_status bf_match_came_unseen(bf_match *m, int32_t way, int32_t lane, double share)
{
    if (m == NULL || way < 0 || way >= m->n_ways || lane < 0 || lane >= m->lanes || m->ways[way].queues[lane] == NULL) {
        return BF_ERR_ARGUMENT;
    }
    return segment_came_unseen(&m->ways[way], lane, share);
}

void bf_match_counters(const bf_match *m, int64_t *counters)
{
    memcpy(counters, m->counters, sizeof m->counters);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

typedef struct {
    bf_event *events;
    int32_t most;
    bf_run *run;
} output;

static bool full(const output *out)
{
    return out->run->made >= out->most;
}

static void emit(output *out, const bf_event *event)
{
    out->events[out->run->made++] = *event;
}

/* ---- downstream -------------------------------------------------------------------------------------------------- */

static bf_status wait_for_more(bf_match *m, const waiting *w)
{
    if (m->pending_n == m->pending_room) {
        waiting *more = m->pending_room < INT32_MAX / 4 ? calloc(2 * (size_t)m->pending_room, sizeof *more) : NULL;
        if (more == NULL) {
            return BF_ERR_MEMORY;
        }
        for (int32_t i = 0; i < m->pending_n; i++) {
            more[i] = m->pending[(m->pending_from + i) & (m->pending_room - 1)];
        }
        free(m->pending);
        m->pending = more;
        m->pending_from = 0;
        m->pending_room *= 2;
    }
    m->pending[(m->pending_from + m->pending_n++) & (m->pending_room - 1)] = *w;
    return BF_OK;
}

static void next_pending(bf_match *m)
{
    m->pending_from = (m->pending_from + 1) & (m->pending_room - 1);
    m->pending_n--;
}

/* Asks the ways that end at the point of `w`; *look where the caller must, before it goes on. */
static bf_status arrive(bf_match *m, waiting *w, output *out, bool *look)
{
    const passage *p = &m->passages.all[w->passage];
    int32_t point = p->place % m->points;
    if (m->counts_only && point == 0 && w->done == 0) {
        bf_event event = {.what = BF_SERVED, .lane = w->lane, .time_ns = p->of.time_ns, .pos = -1};
        emit(out, &event);
    }
    while (w->done < m->n_ways) {
        int32_t way = w->done;
        segment *s = &m->ways[way];
        if (s->to != point || s->queues[w->lane] == NULL) {
            w->done++;
            continue;
        }
        if (full(out)) {
            *look = true;
            return BF_OK;
        }
        bf_event event;
        bf_status status = segment_depart(s, w->lane, &p->of, &event);
        if (status != BF_OK) {
            return status;
        }
        w->done++;
        event.way = way;
        emit(out, &event);
        if (s->main && bf_queue_is_closed(s->queues[w->lane])) { /* perhaps the lane is open, whatever was said */
            *look = true;
            return BF_OK;
        }
    }
    return BF_OK;
}

/* Completes vehicles downstream and what was said of booths up to `time_ns`. */
static bf_status settle(bf_match *m, int64_t time_ns, output *out, bool *look)
{
    while (m->pending_n > 0 && m->pending[m->pending_from].time_ns <= time_ns - BF_TOGETHER_NS) {
        waiting *w = &m->pending[m->pending_from];
        if (full(out)) {
            *look = true;
            return BF_OK;
        }
        if (w->passage < 0) {
            bf_event event = {.what = BF_BOOTH, .lane = w->lane, .time_ns = w->time_ns, .pos = w->number};
            emit(out, &event);
            next_pending(m);
            *look = true;
            return BF_OK;
        }
        int32_t index = w->passage;
        bf_status status = arrive(m, w, out, look);
        if (status != BF_OK) {
            return status;
        }
        if (w->done >= m->n_ways) {
            next_pending(m);
            passage_release(&m->passages, index);
        }
        if (*look) {
            return BF_OK;
        }
    }
    return BF_OK;
}

/* ---- upstream ---------------------------------------------------------------------------------------------------- */

/* Whether the same line came before. */
static bool again(bf_match *m, const seen *s)
{
    if (s->time_ns != m->same_ns) {
        m->same_ns = s->time_ns;
        m->n_same = 0;
    }
    for (int32_t i = 0; i < m->n_same; i++) {
        if (m->same[i].kind == s->kind && m->same[i].place == s->place && m->same[i].identity == s->identity) {
            return true;
        }
    }
    if (m->n_same < MOST_SAME) {
        m->same[m->n_same].kind = s->kind;
        m->same[m->n_same].place = s->place;
        m->same[m->n_same++].identity = s->identity;
    }
    return false;
}

/* One passage in the ways that begin at its point: new there, or more is known of it. */
static bf_status begin(bf_match *m, int32_t index, bool is_new, bool read, output *out)
{
    passage *p = &m->passages.all[index];
    int32_t lane = p->place / m->points, point = p->place % m->points, n = 0;
    bf_event event = {.what = BF_ENTERED, .lane = lane, .time_ns = p->of.time_ns, .pos = -1};
    for (int32_t way = 0; way < m->n_ways && n < MOST_BEGINS; way++) {
        segment *s = &m->ways[way];
        if (s->from != point || s->queues[lane] == NULL) {
            continue;
        }
        bf_status status = is_new ? segment_enter(s, lane, &p->of, &p->pos[n])
                                  : segment_mark(s, lane, p->pos[n], &p->of, read);
        if (status != BF_OK) {
            return status;
        }
        event.pos = s->main ? p->pos[n] : event.pos;
        n++;
    }
    if (is_new && point == 0) {
        emit(out, &event);
    }
    return BF_OK;
}

static bool ends_at(const bf_match *m, int32_t lane, int32_t point)
{
    for (int32_t way = 0; way < m->n_ways; way++) {
        if (m->ways[way].to == point && m->ways[way].queues[lane] != NULL) {
            return true;
        }
    }
    return m->counts_only && point == 0;
}

static bf_status take(bf_match *m, const seen *s, output *out)
{
    if (again(m, s)) {
        m->counters[BF_COUNT_DUPLICATE]++;
        return BF_OK;
    }
    int32_t lane = s->place / m->points;
    if (s->kind == BF_SEEN_BOOTH) {
        waiting w = {.time_ns = s->time_ns, .number = s->number, .passage = -1, .lane = lane};
        return wait_for_more(m, &w);
    }
    bool is_new = false;
    int32_t index = point_take(&m->places[s->place], &m->passages, s, &is_new, m->counters);
    if (index < 0) {
        return BF_OK;
    }
    bf_status status = begin(m, index, is_new, s->kind != BF_SEEN_LOOP, out);
    if (status == BF_OK && is_new && ends_at(m, lane, s->place % m->points)) {
        waiting w = {.time_ns = s->time_ns, .passage = index, .lane = lane};
        status = wait_for_more(m, &w);
        m->passages.all[index].holders += status == BF_OK;
    }
    return status;
}

static bf_status run(bf_match *m, bf_order *order, int64_t due_ns, int64_t limit_ns, bool everything, output *out)
{
    const seen *first;
    while ((first = order_first(order)) != NULL && (first->time_ns <= due_ns || everything || order_count(order) > BOUND)) {
        if (first->place < 0 || first->place >= m->lanes * m->points) {
            return BF_ERR_ARGUMENT;
        }
        int64_t time_ns = first->time_ns;
        if (time_ns >= limit_ns) {
            out->run->why = BF_STOP_LIMIT;
            out->run->time_ns = time_ns;
            return BF_OK;
        }
        bool look = false;
        bf_status status = settle(m, time_ns, out, &look);
        if (status != BF_OK) {
            return status;
        }
        if (look || out->run->made + 2 > out->most) {
            out->run->why = BF_STOP_LOOK;
            return BF_OK;
        }
        if (time_ns > m->last_ns) {
            int64_t last_ns = m->last_ns;
            m->last_ns = time_ns;
            if (last_ns != NEVER_NS && time_ns > last_ns + GAP_NS) {
                bf_event event = {.what = BF_GAP, .lane = -1, .time_ns = last_ns, .pos = -1};
                emit(out, &event);
                out->run->why = BF_STOP_LOOK;
                return BF_OK;
            }
        }
        seen s = order_pop(order);
        status = take(m, &s, out);
        seen_release(&s);
        if (status != BF_OK) {
            return status;
        }
    }
    out->run->why = BF_STOP_DONE;
    return BF_OK;
}

bf_status bf_match_name(bf_match *m, int32_t place, const uint8_t *lane, int32_t lane_size, const uint8_t *point,
                        int32_t point_size)
{
    if (m == NULL || place < 0 || place >= m->lanes * m->points || lane == NULL || point == NULL || lane_size < 0 ||
        point_size < 0) {
        return BF_ERR_ARGUMENT;
    }
    uint64_t where = place_number(lane, lane_size, point, point_size);
    int32_t i = (int32_t)(where & (uint64_t)(m->n_names - 1)), tried = 0;
    while (m->names[i].place >= 0 && m->names[i].where != where && tried++ < m->n_names) {
        i = (i + 1) & (m->n_names - 1);
    }
    m->names[i].where = where;
    m->names[i].place = place;
    return BF_OK;
}

static int32_t place_of(const bf_match *m, uint64_t where)
{
    int32_t i = (int32_t)(where & (uint64_t)(m->n_names - 1));
    while (m->names[i].place >= 0 && m->names[i].where != where) {
        i = (i + 1) & (m->n_names - 1);
    }
    return m->names[i].place;
}

/* All that is due by the newest line; `why` of the output says whether that is all. */
static bf_status run_due(bf_match *m, bf_order *order, bf_pace *pace, output *out)
{
    int64_t settled_ns = pace->newest_ns - pace->reorder_ns;
    bf_status status = run(m, order, settled_ns, pace->limit_ns, false, out);
    if (status != BF_OK || out->run->why != BF_STOP_DONE) {
        return status;
    }
    if (settled_ns >= pace->limit_ns) {
        out->run->why = BF_STOP_LIMIT;
        out->run->time_ns = settled_ns;
        return BF_OK;
    }
    bool look = false;
    status = settle(m, settled_ns, out, &look);
    out->run->why = look ? BF_STOP_LOOK : BF_STOP_DONE;
    return status;
}

static bf_status run_lines(bf_match *m, bf_order *order, const uint8_t *data, int32_t size, bf_pace *pace, output *out)
{
    for (;;) {
        if (pace->newest_ns >= pace->run_ns) {
            bf_status status = run_due(m, order, pace, out);
            if (status != BF_OK || out->run->why != BF_STOP_DONE) {
                return status;
            }
            pace->run_ns = pace->newest_ns + pace->run_every_ns;
        }
        plain_line line;
        out->run->why = BF_STOP_DONE;
        if (pace->used >= size) {
            return BF_OK;
        }
        out->run->why = BF_STOP_LINE;
        int32_t taken = line_read(data + pace->used, size - pace->used, &line);
        int32_t place = taken > 0 ? place_of(m, line.where) : -1;
        if (place < 0 || line.time_ns > pace->newest_ns + BF_FAR_NS || line.time_ns < pace->newest_ns - BF_FAR_NS) {
            return BF_OK;
        }
        int64_t number = 0;
        int32_t late = 0;
        bf_status status = bf_order_put(order, line.time_ns, place, line.kind, line.id, line.id_size, &number, &late);
        if (status != BF_OK) {
            return status;
        }
        pace->used += taken;
        pace->lines++;
        pace->late += late;
        pace->newest_ns = line.time_ns > pace->newest_ns ? line.time_ns : pace->newest_ns;
    }
}

bf_status bf_match_lines(bf_match *m, bf_order *order, const uint8_t *data, int32_t size, bf_pace *pace,
                         bf_event *events, int32_t most, bf_run *out)
{
    if (m == NULL || order == NULL || size < 0 || (size > 0 && data == NULL) || pace == NULL || pace->used < 0 ||
        events == NULL || most < 4 || out == NULL) {
        return BF_ERR_ARGUMENT;
    }
    *out = (bf_run){.why = BF_STOP_DONE};
    output to = {events, most, out};
    bf_status status = run_lines(m, order, data, size, pace, &to);
    out->last_ns = m->last_ns;
    return status;
}

bf_status bf_match_run(bf_match *m, bf_order *order, int64_t due_ns, int64_t limit_ns, int32_t everything,
                       bf_event *events, int32_t most, bf_run *out)
{
    if (m == NULL || order == NULL || events == NULL || most < 4 || out == NULL) {
        return BF_ERR_ARGUMENT;
    }
    *out = (bf_run){.why = BF_STOP_DONE};
    output to = {events, most, out};
    bf_status status = run(m, order, due_ns, limit_ns, everything != 0, &to);
    out->last_ns = m->last_ns;
    return status;
}

bf_status bf_match_settle(bf_match *m, int64_t time_ns, bf_event *events, int32_t most, bf_run *out)
{
    if (m == NULL || events == NULL || most < 4 || out == NULL || time_ns <= NEVER_NS) {
        return BF_ERR_ARGUMENT;
    }
    *out = (bf_run){.why = BF_STOP_DONE, .last_ns = m->last_ns};
    output to = {events, most, out};
    bool look = false;
    bf_status status = settle(m, time_ns, &to, &look);
    out->why = look ? BF_STOP_LOOK : BF_STOP_DONE;
    return status;
}
