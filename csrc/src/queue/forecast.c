/* What a vehicle that enters now is going to wait: the queue as the filter knows it, run on to its turn many times.
 *
 * In: the state of the filter (queue.h) and a moment. Out: samples of the wait, sorted, and the numbers beside them.
 * Randomness follows from the moment, so that the same state and moment give the same samples. Called by edge/core.py.
 */
#include "chance.h"
#include "queue.h"
#include "../clamp.h"

#include <math.h>
#include <string.h>

#define MAX_HIDDEN 50 /* unseen vehicles between two that were seen */
#define BITS 16
#define MOST_TURNS 1024
#define ONE 65536.0

static const double LONG_QUEUE = 3.0;     /* vehicles for each booth, from which on booths count as one fast one */

/* ---- who stands between the points ------------------------------------------------------------------------------ */

/* Into `share` the weights of the heads at `t`, into `out` how many that makes. Returns their sum. */
static double heads_at(bf_queue *q, double t, int64_t end, bf_forecast *out)
{
    const duration_law law = queue_free_law(q);
    double gap = t - q->t_last, fs = 0.0, cs = 0.0, busy = 1.0, far = queue_far(&law);
    queue_cycle_at(q, t, &fs, &cs, &busy);
    if (q->reopened || !q->has_last || q->booths < 0.5 || gap < 0.0) {
        cs = 0.0; /* that nobody departed tells nothing */
    }
    double total = 0.0, mean = 0.0, square = 0.0, count = 0.0;
    for (int64_t h = end; h >= q->lo; h--) {
        int64_t i = queue_slot(q, h);
        double w = q->w[i];
        if (h == end) {
            for (int64_t later = end + 1; later <= q->next; later++) {
                w += q->w[queue_slot(q, later)];
            }
        } else {
            count += q->gone[i] ? 0.0 : 1.0 / (1.0 - q->hidden[i]);
            if (cs > 0.0 && w > 0.0) { /* were it the head, it would have been served by now */
                double ff = 0.0, cf = 1.0, travel = t - q->entered[i];
                if (travel < far) {
                    duration_at(&law, travel, &ff, &cf);
                }
                w *= clamp(1.0 - cf * cs, 1e-4, 1.0);
            }
        }
        q->share[i] = w;
        total += w;
        mean += w * count;
        square += w * count * count;
    }
    total = total > 0.0 ? total : 1.0;
    mean /= total;
    double var = square / total - mean * mean;
    out->queue_n = mean;
    out->queue_sd_n = var > 0.0 ? sqrt(var) : 0.0;
    return total;
}

static void describe(const bf_queue *q, double turns, double booths, bf_forecast *out)
{
    out->queue_n *= turns;
    out->free_flow_s = exp(q->free_flow.mean_ln);
    out->free_flow_low_s = exp(q->free_flow.mean_ln - 1.2816 * duration_sd(&q->free_flow));
    out->cycle_s = pace_mean(&q->pace, out->queue_n) / booths;
    out->cycle_sd_s = out->cycle_s * sqrt(exp(q->pace.shape.var_ln) - 1.0);
    out->skip = q->skip;
    out->unlisted = q->unlisted;
    out->phantom = q->phantom;
    out->departures = q->departures;
    out->entries_since = q->entries_since;
    out->learned_cycles = q->pace.n_gaps;
    out->side_road = queue_side_road(q);
    out->free_flow_n = q->free_flow.n;
}

/* ---- one run of the queue ---------------------------------------------------------------------------------------- */

/* A passage as every run meets it. */
typedef struct {
    double entered;
    uint32_t skip;              /* chance that it takes no turn, in 1 / ONE */
    uint32_t hidden;            /* whether others may come before it that nobody saw */
} turn;

/* What all runs share, and what each draws anew. */
typedef struct {
    const turn *turns;          /* from the first possible head on; NULL where there are more than are listed */
    bf_queue *q;
    const double *deck;
    double t;
    int64_t end;
    int booths, old_booths;     /* with and without those that open now */
    double speed;               /* of each booth */
    uint64_t skip, skip_brief, extra; /* chances, in 1 / ONE */
    double began[QUEUE_MAX_BOOTHS]; /* when the booth of the b-th last departure began to serve */
    uint64_t seed;
    double travel, pace;        /* of this run */
    double ready[QUEUE_MAX_BOOTHS]; /* when each booth is free, the next one first */
} run;

static double cycle_of(const run *r, uint64_t bits)
{
    return r->deck[bits & (QUEUE_DECK - 1)] * r->pace;
}

static void find_began(run *r)
{
    static const double LONG_AGO_S = 1e6;
    const bf_queue *q = r->q;
    for (int b = 0; b < r->old_booths; b++) {
        int known = q->has_last && b < q->n_starts;
        double began = known ? q->starts[(q->n_starts - 1 - b) % QUEUE_MAX_BOOTHS] : r->t - LONG_AGO_S;
        r->began[b] = q->reopened ? r->t : began;
    }
}

/* When the booth of the b-th last departure is free. `waiting`: somebody has been waiting, so every booth is still busy:
 * only services that are longer than what has passed. */
static double free_from(run *r, int b, int waiting)
{
    double ready = r->began[b] + cycle_of(r, chance_draw(&r->seed));
    for (int attempt = 0; waiting && attempt < 8 && ready < r->t; attempt++) {
        ready = r->began[b] + cycle_of(r, chance_draw(&r->seed));
    }
    return waiting && ready < r->t ? r->t : ready;
}

/* The booths before the first turn, of a vehicle that arrives then. Which of them was free before it does not matter: as long
 * as they are told alike, most stand in order as they come. */
static void begin(run *r, double arrives)
{
    for (int b = 0; b < r->booths; b++) {
        double ready = r->t;
        if (b < r->old_booths) { /* the others open now */
            ready = free_from(r, b, arrives < r->t);
        }
        ready = ready > arrives ? ready : arrives;
        int at = b;
        for (; at > 0 && r->ready[at - 1] > ready; at--) {
            r->ready[at] = r->ready[at - 1];
        }
        r->ready[at] = ready;
    }
}

/* One turn at the booth that is free first, of a vehicle that arrives then; when it begins. */
static double serve(run *r, double arrives, uint64_t bits)
{
    double start = r->ready[0] > arrives ? r->ready[0] : arrives, free = start + cycle_of(r, bits);
    int b = 0;
    for (; b + 1 < r->booths && r->ready[b + 1] < free; b++) {
        r->ready[b] = r->ready[b + 1];
    }
    r->ready[b] = free;
    return start;
}

/* Vehicles that nobody saw upstream take their turns before the next one that was seen. */
static void serve_hidden(run *r, double arrives, double hidden)
{
    for (int n = 0; n < MAX_HIDDEN && chance_uniform(&r->seed) < hidden; n++) {
        serve(r, arrives, chance_draw(&r->seed));
    }
}

static uint32_t skip_of(const run *r, int64_t i)
{
    const bf_queue *q = r->q;
    return (uint32_t)(q->gone[i] ? (uint64_t)ONE : (q->brief[i] && (q->mask[i] & QUEUE_READ) == 0 ? r->skip_brief : r->skip));
}

/* Lists what all runs have in common, where that is little enough. */
static void list_turns(run *r, turn turns[MOST_TURNS])
{
    const bf_queue *q = r->q;
    if (r->booths != 1 || r->end - q->lo > MOST_TURNS) {
        return;
    }
    for (int64_t k = q->lo; k < r->end; k++) {
        int64_t i = queue_slot(q, k);
        turns[k - q->lo] = (turn){q->entered[i], skip_of(r, i), q->hidden[i] > 0.0};
    }
    r->turns = turns;
}

/* The turns from head `h` on, of one booth; whether any was taken. The same as in `many_booths`, with what changes in registers:
 * most queues have one booth, or are long enough to count as one. */
static int one_booth(run *r, int64_t h)
{
    uint64_t seed = r->seed;
    double ready = 0.0;
    int first = 1;
    for (int64_t k = h - r->q->lo; k < r->end - r->q->lo; k++) {
        uint64_t bits = chance_draw(&seed);
        if ((bits >> 48) < r->turns[k].skip) {
            continue;
        }
        double arrives = r->turns[k].entered + r->travel;
        if (first || r->turns[k].hidden) {
            r->seed = seed;
            r->ready[0] = ready;
            if (first) {
                begin(r, arrives);
            }
            if (r->turns[k].hidden) {
                serve_hidden(r, arrives, r->q->hidden[queue_slot(r->q, k + r->q->lo)]);
            }
            seed = r->seed;
            ready = r->ready[0];
        }
        ready = (ready > arrives ? ready : arrives) + cycle_of(r, bits);
        if (!first && ((bits >> 32) & 0xFFFF) < r->extra) { /* one that is not in the list */
            ready = (ready > arrives ? ready : arrives) + cycle_of(r, bits >> BITS);
        }
        first = 0;
    }
    r->seed = seed;
    r->ready[0] = ready;
    return !first;
}

/* The turns from head `h` on, of several booths; whether any was taken. */
static int many_booths(run *r, int64_t h)
{
    const bf_queue *q = r->q;
    int first = 1;
    for (int64_t k = h; k < r->end; k++) {
        int64_t i = queue_slot(q, k);
        uint64_t bits = chance_draw(&r->seed);
        if ((bits >> 48) < skip_of(r, i)) {
            continue;
        }
        double arrives = q->entered[i] + r->travel;
        if (first) {
            begin(r, arrives);
        }
        if (q->hidden[i] > 0.0) {
            serve_hidden(r, arrives, q->hidden[i]);
        }
        serve(r, arrives, bits);
        if (!first && ((bits >> 32) & 0xFFFF) < r->extra) { /* one that is not in the list */
            serve(r, arrives, bits >> BITS);
        }
        first = 0;
    }
    return !first;
}

/* The head is at `h`; the moment at which the one that enters now is served. */
static double run_on(run *r, int64_t h)
{
    const bf_queue *q = r->q;
    int any = r->turns != NULL ? one_booth(r, h) : many_booths(r, h);
    double arrives = r->t + r->travel;
    if (!any) {
        begin(r, arrives);
    }
    if (q->seen_up < 1.0) {
        serve_hidden(r, arrives, 1.0 - q->seen_up);
    }
    return serve(r, arrives, chance_draw(&r->seed));
}

/* Shell's sort with Ciura's steps: a hundred numbers are sorted before qsort has called anybody. */
static void sort(double *x, int32_t n)
{
    static const int32_t steps[] = {701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        for (int32_t i = steps[s]; i < n; i++) {
            double moved = x[i];
            int32_t at = i;
            for (; at >= steps[s] && x[at - steps[s]] > moved; at -= steps[s]) {
                x[at] = x[at - steps[s]];
            }
            x[at] = moved;
        }
    }
}

/* Quantiles of the standard normal distribution in the middle of `n` strata. */
static const double *strata_of(bf_queue *q, int32_t n)
{
    if (q->strata_n != n) {
        q->strata_n = n;
        for (int32_t i = 0; i < n; i++) {
            q->strata[i] = normal_quantile(((double)i + 0.5) / (double)n);
        }
    }
    return q->strata;
}

/* `n` runs from the heads in `share`, which sum to `total`, with strata of head, free travel and pace. */
static void sample(run *r, double total, double queue_n, int32_t n, double *waits_s)
{
    bf_queue *q = r->q;
    const double *z = strata_of(q, n);
    double free_sd = duration_sd(&q->free_flow);
    double mean_s = pace_mean(&q->pace, queue_n), rate_sd = pace_sd(&q->pace, queue_n);
    int64_t h = q->lo;
    double swept = q->share[queue_slot(q, h)];
    for (int32_t s = 0; s < n; s++) {
        double target = ((double)s + 0.5) / (double)n * total;
        while (swept < target && h < r->end) {
            h++;
            swept += q->share[queue_slot(q, h)];
        }
        r->travel = exp(q->free_flow.mean_ln + free_sd * z[(s * 61 + 17) % n]);
        r->pace = mean_s * exp(rate_sd * z[(s * 37 + 5) % n]) / r->speed;
        waits_s[s] = run_on(r, h) - r->t;
    }
    sort(waits_s, n);
}

/* The booths of a run, `more` of which open now. Of a long queue they count as one fast booth: the sum of many services has
 * the same mean and deviation. */
static void open_booths(run *r, int32_t more, double queue_n)
{
    r->booths = r->old_booths = queue_booths_of(r->q, &r->speed);
    if (more > 0) {
        r->booths = queue_split(floor(r->q->booths + 0.5) + (double)more, &r->speed);
    }
    if (queue_n > LONG_QUEUE * (double)r->booths) {
        r->speed *= (double)r->booths;
        r->booths = r->old_booths = 1;
    }
}

/* Mean and quantiles of the samples. */
static void summarize(const double *waits_s, int32_t n, bf_forecast *out)
{
    for (int32_t i = 0; i < n; i++) {
        out->mean_s += waits_s[i] / (double)n;
    }
    out->p10_s = waits_s[(n - 1) / 10];
    out->p50_s = waits_s[n / 2];
    out->p90_s = waits_s[(9 * n) / 10 < n ? (9 * n) / 10 : n - 1];
}

bf_status bf_queue_predict(bf_queue *q, int64_t t_ns, int32_t n, int32_t more_booths, double *waits_s,
                           bf_forecast *out)
{
    double t = 0.0;
    if (q == NULL || out == NULL || waits_s == NULL || n < 1 || n > QUEUE_SAMPLES || more_booths < 0 || more_booths > 100 ||
        queue_seconds(q, t_ns, &t) != BF_OK) {
        return BF_ERR_ARGUMENT;
    }
    memset(out, 0, sizeof *out);
    int64_t end = q->next; /* passages after t are not known yet at t */
    while (end > q->lo && q->entered[queue_slot(q, end - 1)] > t) {
        end--;
    }
    double total = heads_at(q, t, end, out), skip = 0.0, extra = 0.0, speed = 1.0;
    queue_turns(q, &skip, &extra);
    int booths = queue_booths_of(q, &speed);
    describe(q, (1.0 - skip) * (1.0 + extra), (double)booths * speed, out);
    double brief = queue_skip_brief(q, skip);
    run r = {.q = q, .deck = pace_deck(&q->pace), .t = t, .end = end, .skip = (uint64_t)(skip * ONE), .skip_brief = (uint64_t)(brief * ONE), .extra = (uint64_t)(extra * ONE),
             .seed = ((uint64_t)t_ns ^ 0x9E3779B97F4A7C15ULL) | 1u};
    open_booths(&r, more_booths, out->queue_n);
    find_began(&r);
    turn turns[MOST_TURNS];
    list_turns(&r, turns);
    for (int i = 0; i < 4; i++) {
        chance_draw(&r.seed);
    }
    sample(&r, total, out->queue_n, n, waits_s);
    summarize(waits_s, n, out);
    return BF_OK;
}
