/* The queue of one lane between two points: who is still in it.
 *
 * In come passages at the upstream point (bf_queue_enter), what was read of them, and what is known of the booths; the
 * departures that move the queue on are depart.c's. Called by edge/core.py.
 *
 * Model. Vehicles of a lane stay in order but for a few. The hidden state is the head h: the passage that departs next;
 * everything before it has gone. A discrete Bayes filter keeps a weight `w` for every possible head.
 */
#include "queue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CAPACITY 65536

static const double HORIZON_S = 1e9;      /* times further than this from the origin are refused */
static const double BRIEF_S = 3.0;        /* behind another: perhaps a double count */
static const double DOUBLE_MOST = 0.05;    /* share of the passages that are double counts: in dense traffic most brief ones are vehicles */
static const double BRIEF_MEMORY = 200.0;
static const double WEIGHT_FLOOR = 1e-10;

double queue_skip_brief(const bf_queue *q, double skip)
{
    double most = DOUBLE_MOST / q->brief_share, brief = q->skip_brief < most ? q->skip_brief : most;
    return brief > skip ? brief : skip;
}

double queue_skip(const bf_queue *q, int64_t i)
{
    return q->brief[i] && (q->mask[i] & QUEUE_READ) == 0 ? queue_skip_brief(q, q->skip) : q->skip;
}

bf_queue *bf_queue_create(int32_t capacity, double free_flow_s, double free_flow_sd_ln, double cycle_s)
{
    if (capacity < 16 || capacity > MAX_CAPACITY || (capacity & (capacity - 1)) != 0 ||
        !(free_flow_s > 0.1 && free_flow_s < 1e5) || !(free_flow_sd_ln > 0.01 && free_flow_sd_ln < 5.0) ||
        !(cycle_s > 0.1 && cycle_s < 1e5)) {
        return NULL;
    }
    bf_queue *q = calloc(1, sizeof *q);
    if (q == NULL) {
        return NULL;
    }
    size_t n = (size_t)capacity;
    q->capacity = capacity;
    q->entered = calloc(n, sizeof *q->entered);
    q->mask = calloc(n, 1);
    q->gone = calloc(n, 1);
    q->brief = calloc(n, 1);
    q->w = calloc(n, sizeof *q->w);
    q->fresh = calloc(n, sizeof *q->fresh);
    q->share = calloc(n, sizeof *q->share);
    q->density = calloc(n, sizeof *q->density);
    q->hidden = calloc(n, sizeof *q->hidden);
    if (!q->entered || !q->mask || !q->gone || !q->brief || !q->w || !q->fresh || !q->share || !q->density || !q->hidden) {
        bf_queue_free(q);
        return NULL;
    }
    q->w[0] = 1.0;
    q->free_flow = (duration){.mean_ln = log(free_flow_s), .var_ln = free_flow_sd_ln * free_flow_sd_ln, .n = 1.0,
                              .memory = 150.0, .sd_floor = 0.03};
    journey_begin(&q->journey, free_flow_s);
    pace_begin(&q->pace, cycle_s);
    q->balance.from_pos = -1;
    q->skip = 0.03;
    q->skip_brief = 0.15;
    q->brief_n = 8.0;
    q->brief_share = DOUBLE_MOST;
    q->unlisted = 0.025;
    q->extra = 0.025;
    q->phantom = 0.01;
    q->booths = 1.0;
    q->seen_up = 1.0;
    q->seen_down = 1.0;
    return q;
}

void bf_queue_free(bf_queue *q)
{
    if (q == NULL) {
        return;
    }
    free(q->entered);
    free(q->mask);
    free(q->gone);
    free(q->brief);
    free(q->w);
    free(q->fresh);
    free(q->share);
    free(q->density);
    free(q->hidden);
    free(q);
}

bf_status queue_seconds(bf_queue *q, int64_t t_ns, double *t_s)
{
    if (!q->has_origin) {
        q->origin_ns = t_ns;
        q->has_origin = 1;
    }
    /* Unsigned difference: hostile times must not overflow. */
    double t = (double)(int64_t)((uint64_t)t_ns - (uint64_t)q->origin_ns) * 1e-9;
    if (!(fabs(t) < HORIZON_S)) {
        return BF_ERR_ARGUMENT;
    }
    *t_s = t;
    return BF_OK;
}

bf_status bf_queue_enter(bf_queue *q, int64_t t_ns, int64_t *pos)
{
    double t = 0.0;
    if (q == NULL || pos == NULL || queue_seconds(q, t_ns, &t) != BF_OK) {
        return BF_ERR_ARGUMENT;
    }
    if (q->next - q->first >= q->capacity - 1) { /* the oldest passage falls out; it counts as gone */
        if (q->lo == q->first) {
            q->w[queue_slot(q, q->lo + 1)] += q->w[queue_slot(q, q->lo)];
            q->lo++;
        }
        q->first++;
    }
    int64_t i = queue_slot(q, q->next);
    q->entered[i] = t;
    q->mask[i] = 0;
    q->gone[i] = 0;
    q->hidden[i] = 1.0 - q->seen_up;
    q->brief[i] = q->next > q->first && fabs(t - q->entered[queue_slot(q, q->next - 1)]) < BRIEF_S;
    q->brief_share += ((double)q->brief[i] - q->brief_share) / BRIEF_MEMORY;
    *pos = q->next++;
    q->w[queue_slot(q, q->next)] = 0.0;
    q->entries_since += 1.0;
    return BF_OK;
}

bf_status bf_queue_mark(bf_queue *q, int64_t pos, int32_t mask, int32_t gone)
{
    if (q == NULL || mask < 0 || mask >= QUEUE_MASKS) {
        return BF_ERR_ARGUMENT;
    }
    if (pos >= q->first && pos < q->next) { /* one that has fallen out needs no mark */
        q->mask[queue_slot(q, pos)] |= (uint8_t)mask;
        if (gone) {
            q->gone[queue_slot(q, pos)] = 1;
        }
    }
    return BF_OK;
}

bf_status bf_queue_booths(bf_queue *q, double booths)
{
    if (q == NULL || !(booths >= 0.0 && booths <= 1000.0)) {
        return BF_ERR_ARGUMENT;
    }
    if (q->booths < 0.5 && booths >= 0.5) {
        q->reopened = 1;
    }
    q->booths = booths;
    return BF_OK;
}

int32_t bf_queue_is_closed(const bf_queue *q)
{
    return q != NULL && q->booths < 0.5;
}

bf_status bf_queue_program(bf_queue *q, int32_t program)
{
    if (q == NULL || program < 0 || program >= QUEUE_PROGRAMS) {
        return BF_ERR_ARGUMENT;
    }
    if (program == q->pace.program) {
        return BF_OK;
    }
    pace_program(&q->pace, program);
    q->run = 0;
    return BF_OK;
}

bf_status bf_queue_counts(bf_queue *q, double upstream, double downstream)
{
    if (q == NULL || !(upstream > 0.0 && upstream <= 1.0) || !(downstream > 0.0 && downstream <= 1.0)) {
        return BF_ERR_ARGUMENT;
    }
    q->seen_up = upstream;
    q->counted = 1;
    if (downstream != q->seen_down) {
        if (q->seen_down == 1.0) {
            q->skip_all = q->skip;
        }
        /* From one departure that is seen to the next it takes so many cycles. */
        pace_scale(&q->pace, q->seen_down / downstream);
        q->run = 0;
        q->seen_down = downstream;
        q->skip = 1.0 - downstream * (1.0 - q->skip_all);
    }
    return BF_OK;
}

void queue_settle(bf_queue *q)
{
    double total = 0.0;
    for (int64_t h = q->lo; h <= q->next; h++) {
        total += q->w[queue_slot(q, h)];
    }
    if (!(total > 0.0) || !isfinite(total)) { /* cannot happen with the floors above; start afresh rather than stop */
        for (int64_t h = q->lo; h <= q->next; h++) {
            q->w[queue_slot(q, h)] = 1.0 / (double)(q->next - q->lo + 1);
        }
        return;
    }
    for (int64_t h = q->lo; h <= q->next; h++) {
        double *w = &q->w[queue_slot(q, h)];
        *w /= total;
        if (*w < WEIGHT_FLOOR) {
            *w = 0.0;
        }
    }
    while (q->lo < q->next && q->w[queue_slot(q, q->lo)] <= 0.0) {
        q->lo++;
    }
}

void queue_turn(bf_queue *q)
{
    double *swap = q->w;
    q->w = q->fresh;
    q->fresh = swap;
    queue_settle(q);
}

bf_status bf_queue_unwatched(bf_queue *q, double seconds)
{
    if (q == NULL || !(seconds >= 0.0)) {
        return BF_ERR_ARGUMENT;
    }
    double speed = 1.0;
    int booths = queue_booths_of(q, &speed);
    double mean = q->booths < 0.5 ? 0.0 : seconds * (double)booths * speed / pace_mean(&q->pace, 16.0);
    mean = mean < (double)q->capacity ? mean : (double)q->capacity;
    for (int64_t h = q->lo; h <= q->next; h++) {
        q->fresh[queue_slot(q, h)] = 0.0;
    }
    /* The number of departures is Poisson's; those that pass the newest passage leave the queue empty. */
    double chance = exp(-mean), left = 1.0;
    for (int64_t k = 0; k <= q->next - q->lo && left > 1e-9; k++) {
        double share = k < q->next - q->lo ? chance : left;
        for (int64_t h = q->lo; h <= q->next; h++) {
            int64_t to = h + k < q->next ? h + k : q->next;
            q->fresh[queue_slot(q, to)] += share * q->w[queue_slot(q, h)];
        }
        left -= share;
        chance *= mean / (double)(k + 1);
    }
    queue_turn(q);
    return BF_OK;
}
