/* What a departure teaches: the pace of the booths, the free journey, how many leave, come unseen or are counted twice.
 *
 * In: a departure that depart.c has worked out. Out: the state of the queue, moved a little. Only what was clearly of one
 * kind is learned from.
 */
#include "queue.h"

#include <math.h>
#include <string.h>

static const double UNLISTED_MOST = 0.15; /* share of the vehicles that a counter that works misses */
static const double LONG = 3.0;           /* times the usual cycle: from there on one is long */
static const double PAUSE = 12.0;         /* and from there on nobody works at the booth */
static const double LONG_MEMORY = 400.0;
static const double BALANCE_MEMORY = 2000.0;
static const double TURNS_PRIOR = 125.0;  /* passages that what is learned otherwise weighs beside the balance */
static const double SIDE_N = 60.0;        /* departures after which the balance says so */
static const double SIDE_LEAST = 0.05;
static const double BALANCE_N = 60.0;     /* passages after which the balance says how many leave */
static const double CHANGED_N = 3.0;      /* cycles that what was known before weighs, after a change of pace */

static double clamp(double x, double low, double high)
{
    return x < low ? low : (x > high ? high : x);
}

/* Whether the one behind passage `pos` had arrived by the last departure: then there is a queue, and the booth had no pause. */
static int others_wait(const bf_queue *q, int64_t pos)
{
    int64_t behind = pos + 1;
    while (behind < q->next && q->gone[queue_slot(q, behind)]) {
        behind++;
    }
    double pdf = 0.0, cdf = 0.0;
    if (behind < q->next) {
        duration_law law = queue_free_law(q);
        duration_at(&law, q->t_last - q->entered[queue_slot(q, behind)], &pdf, &cdf);
    }
    return cdf > 0.9;
}

/* Booths that open or close without a word show in the last cycles: then the old ones say little. */
static void watch_pace(queue_pace *p, double cycle)
{
    p->recent[p->n_recent++ % QUEUE_RECENT] = cycle;
    if (p->n_recent < 3 * QUEUE_RECENT) {
        return;
    }
    double sum = 0.0;
    for (int i = 0; i < QUEUE_RECENT; i++) {
        sum += p->recent[i];
    }
    double usual = exp(p->cycle.mean_ln + 0.5 * p->cycle.var_ln), ratio = sum / QUEUE_RECENT / usual;
    double sd = sqrt((exp(p->cycle.var_ln) - 1.0) / QUEUE_RECENT);
    if (fabs(ratio - 1.0) < 0.4 || fabs(ratio - 1.0) < 4.0 * sd) {
        return;
    }
    p->cycle.mean_ln += log(ratio);
    p->cycle.n = p->cycle.n < CHANGED_N ? p->cycle.n : CHANGED_N;
    for (int64_t i = 0; i < QUEUE_RECENT; i++) {
        p->gaps[i] = p->recent[i];
    }
    p->n_gaps = QUEUE_RECENT;
    p->n_recent = 0;
    p->deck_of = -1;
}

static void learn_cycle(queue_pace *p, double cycle, double weight)
{
    int is_long = p->n_gaps > QUEUE_RECENT && cycle > LONG * exp(p->cycle.mean_ln);
    p->long_n = p->long_n < LONG_MEMORY ? p->long_n + 1.0 : LONG_MEMORY;
    p->long_share += ((double)is_long - p->long_share) / p->long_n;
    if (is_long) {
        p->longs[p->n_longs++ % QUEUE_LONGS] = cycle;
        return;
    }
    duration_learn(&p->cycle, cycle, weight);
    p->gaps[p->n_gaps++ % QUEUE_GAPS] = cycle;
    watch_pace(p, cycle);
}

/* With c booths that are never idle the c-th departure back began the service that has ended now; in the mean over many
 * departures that is exact. */
static void learn_pace(bf_queue *q, const queue_step *s, const bf_departure *found)
{
    if (!q->has_last || q->reopened || !(s->gap > 0.0)) {
        return;
    }
    double busy = (s->busy + 0.5 * s->unlisted) / s->total, speed = 1.0;
    int booths = queue_booths_of(q, &speed);
    double usual = exp(q->pace.cycle.mean_ln);
    if (q->run >= booths && found->pos >= 0 && s->gap < PAUSE * usual && others_wait(q, found->pos)) {
        busy += s->odd / s->total; /* a long inspection is no usual cycle, and takes its time all the same */
    }
    q->run = busy > 0.6 ? q->run + 1 : (found->p_phantom > 0.5 ? q->run : 0);
    if (busy > 0.6 && q->run >= booths && q->n_starts >= booths) {
        learn_cycle(&q->pace, (s->t - q->starts[(q->n_starts - booths) % QUEUE_MAX_BOOTHS]) * speed, busy);
    }
}

static void learn_free_flow(bf_queue *q, const queue_step *s, const bf_departure *found)
{
    double idle = s->idle / s->total;
    if (!q->has_last && found->pos >= 0) {
        duration_learn(&q->free_flow, found->wait_s, 0.3);
    } else if (q->has_last && idle > 0.6 && found->pos >= 0 && found->p > 0.5 && found->in_order) {
        duration_learn(&q->free_flow, found->wait_s, idle);
    }
}

/* Where the booth had waited for it, all before it have gone: so many were listed, and so many departed. */
static void learn_balance(bf_queue *q, const queue_step *s, const bf_departure *found)
{
    queue_balance *b = &q->balance;
    b->departures += found->p_phantom < 0.5;
    if (!(s->idle > 0.8 * s->total) || found->pos < 0 || !(found->p > 0.9) || !found->in_order) {
        return;
    }
    int64_t listed = found->pos + 1 - b->from_pos;
    if (b->from_pos >= 0 && listed > 0 && q->seen_up == 1.0 && q->seen_down == 1.0) {
        double keep = b->listed > BALANCE_MEMORY ? BALANCE_MEMORY / b->listed : 1.0;
        b->listed = keep * b->listed + (double)listed;
        b->served = keep * b->served + (double)b->departures;
    }
    b->from_pos = found->pos + 1;
    b->departures = 0;
}

double queue_side_road(const bf_queue *q)
{
    const queue_balance *b = &q->balance;
    double share = b->served > SIDE_N ? 1.0 - b->listed / b->served : 0.0;
    return share > SIDE_LEAST ? share : 0.0;
}

static void learn_shares(bf_queue *q, const queue_step *s)
{
    if (q->departures <= 3 || q->seen_up != 1.0 || q->seen_down != 1.0) {
        return;
    }
    double rate = q->departures < 80 ? 1.0 / (double)(20 + q->departures) : 0.01, total = s->total;
    q->unlisted += rate * (s->unlisted / total - q->unlisted);
    q->extra += rate * ((s->unlisted + s->away + s->late) / total - q->extra);
    q->phantom += rate * (s->phantom / total - q->phantom);
    if (s->listed > 0.5 * total) {
        /* Mean number of passages left behind, also by departures of which it is not sure: those that are sure are
         * mostly those that left none behind. */
        double skipped = clamp(queue_mean_head(q) - s->head_before - s->listed / total, -1.0, 3.0);
        q->skip += rate * (skipped / (1.0 + fabs(skipped)) - q->skip);
    }
    if (q->balance.listed > BALANCE_N) { /* what has left since, net of what came unseen, is known better in the long run */
        double left = 1.0 - q->balance.served / q->balance.listed * (1.0 - q->unlisted);
        q->skip += rate * (clamp(left, 0.0, 0.3) - q->skip);
    }
    q->skip = clamp(q->skip, 0.004, 0.8);
    /* Where a counter sees all of them few are unseen, whatever the rest says: what is not read of a vehicle must not
     * make it a stranger, and by that the next one too. */
    double side = queue_side_road(q), most = q->counted ? UNLISTED_MOST + side : 0.9;
    q->unlisted = clamp(q->unlisted, 0.004 + side, most);
    q->extra = clamp(q->extra, 0.004 + side, most);
    q->phantom = clamp(q->phantom, 0.003, 0.1);
}

/* Of passages close behind another of which nothing was read: how many were double counts. */
static void learn_brief(bf_queue *q, const bf_departure *found)
{
    if (found->pos < 0 || !(found->p > 0.8) || !found->in_order) {
        return;
    }
    for (int64_t k = q->head > q->first ? q->head : q->first; k <= found->pos; k++) {
        int64_t i = queue_slot(q, k);
        if (q->brief[i] && (q->mask[i] & QUEUE_READ) == 0 && (k == found->pos || !q->gone[i])) {
            q->brief_n = q->brief_n < 60.0 ? q->brief_n + 1.0 : 60.0;
            q->skip_brief += ((k < found->pos ? 1.0 : 0.0) - q->skip_brief) / q->brief_n;
        }
    }
    q->skip_brief = clamp(q->skip_brief, 0.004, 0.95);
}

void queue_turns(const bf_queue *q, double *skip, double *extra)
{
    double usual = (1.0 - q->skip) / clamp(1.0 - q->extra, 0.1, 1.0);
    double turns = (TURNS_PRIOR * usual + q->balance.served) / (TURNS_PRIOR + q->balance.listed);
    if (q->seen_up != 1.0 || q->seen_down != 1.0) {
        turns = usual;
    }
    *skip = q->skip;
    *extra = turns / (1.0 - q->skip) - 1.0;
    if (*extra < 0.0) {
        *extra = 0.0;
        *skip = clamp(1.0 - turns, 0.0, 0.9);
    }
}

void queue_learn(bf_queue *q, const queue_step *s, const bf_departure *found)
{
    learn_pace(q, s, found);
    learn_free_flow(q, s, found);
    learn_balance(q, s, found);
    learn_shares(q, s);
    learn_brief(q, found);
}
