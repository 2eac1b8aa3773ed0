/* What a departure teaches: the pace of the booths, the free journey, how many leave, come unseen or are counted twice.
 *
 * In: a departure that depart.c has worked out. Out: the state of the queue, moved a little. Only what was clearly of one
 * kind is learned from.
 */
#include "queue.h"
#include "../clamp.h"

#include <math.h>
#include <string.h>

static const double UNLISTED_MOST = 0.15; /* share of the vehicles that a counter that works misses */
static const double PAUSE = 12.0;         /* and from there on nobody works at the booth */
static const double BALANCE_MEMORY = 2000.0;
static const double TURNS_PRIOR = 125.0;  /* passages that what is learned otherwise weighs beside the balance */
static const double NAMED_LEAST = 5.0;    /* vehicles known by identities, of the last hundred departures */
static const double STANDS_OUT = 5.0;     /* deviations of chance, from which on counts alone show the free journey, */
static const double BEYOND_DOUBT = 6.0;   /* and from which on nothing else does any more */
static const double COUNTED_N = 20.0;     /* journeys that this weighs */
static const double FREE_N = 3.0;          /* free journeys, before which it is not known how long one takes */
/* Counts alone: share of the vehicles unseen upstream; departures a passage until a balance is known, and the passages that weighs. */
static const double COUNTED_UNLISTED = 0.02, COUNTED_TURNS = 0.98, COUNTED_PRIOR = 120.0;
static const double USUAL_TURNS = 0.995;
static const double SIDE_N = 60.0;        /* departures after which the balance says so */
static const double SIDE_LEAST = 0.05;
static const double HELD_UP = 1.3;        /* deviations of a free journey, from which on it surely waited */
static const double HELD_UP_MANY = 2.5;   /* where vehicles come so close that many overtake on the way: several booths */

/* Whether one for each booth behind passage `pos` had arrived by the last departure: then there is a queue, and no booth
 * had a pause. */
static int others_wait(const bf_queue *q, int64_t pos, int booths)
{
    int64_t behind = pos;
    for (int n = 0; n < booths && behind < q->next; n++) {
        behind++;
        while (behind < q->next && q->gone[queue_slot(q, behind)]) {
            behind++;
        }
    }
    double pdf = 0.0, cdf = 0.0;
    if (behind < q->next) {
        duration_law law = queue_free_law(q);
        duration_at(&law, q->t_last - q->entered[queue_slot(q, behind)], &pdf, &cdf);
    }
    return cdf > 0.9;
}

/* How late passage `pos` would have been at the last departure, had nobody held it up: in deviations of a free journey. */
static double held_up(const bf_queue *q, int64_t pos)
{
    double travel = q->t_last - q->entered[queue_slot(q, pos)];
    duration_law law = queue_free_law(q);
    return travel > 0.0 ? (log(travel) - law.mean_ln) / law.sd : -9.0;
}

/* With c booths that are never idle the c-th departure back began the service that has ended now; in the mean over many
 * departures that is exact. */
static void learn_pace(bf_queue *q, const queue_step *s, const bf_departure *found)
{
    if (!q->has_last || q->reopened || !(s->gap > 0.0)) {
        return;
    }
    double busy = (s->busy + 0.5 * s->unlisted) / s->total, speed = 1.0;
    int booths = queue_booths_of(q, &speed), many = queue_counted(q) ? booths : 1; /* identities tell who was held up */
    double usual = pace_mean(&q->pace, 1.0);
    if (q->run >= booths && found->pos >= 0 && s->gap < PAUSE * usual && others_wait(q, found->pos, many)) {
        busy += s->odd / s->total; /* a long inspection is no usual cycle, and takes its time all the same */
    }
    double taken = s->gap * (double)booths * speed;
    if (found->p_phantom < 0.5) {
        pace_see(&q->pace, taken);
    }
    /* That it waited must be known by other things than how long the departure took: else only the expected is learned. */
    int waited = busy > 0.6;
    if (q->free_flow.n >= FREE_N) {
        waited = found->in_order && held_up(q, found->pos) > (many > 1 ? HELD_UP_MANY : HELD_UP) && others_wait(q, found->pos, many);
    }
    if (waited && found->p_phantom < 0.5 && taken < PAUSE * usual) {
        pace_learn(&q->pace, taken);
    }
    q->run = busy > 0.6 ? q->run + 1 : (found->p_phantom > 0.5 ? q->run : 0);
    if (busy > 0.6 && q->run >= booths && q->n_starts >= booths) {
        double cycle = (s->t - q->starts[(q->n_starts - booths) % QUEUE_MAX_BOOTHS]) * speed;
        pace_shape(&q->pace, cycle / pace_mean(&q->pace, 16.0), busy);
    }
}

/* Where counts alone show it. Returns whether they do. */
static int learn_from_counts(bf_queue *q, const queue_step *s)
{
    /* A booth that was idle for longer than a service had waited for the one that comes. */
    double speed = 1.0, booths = (double)queue_booths_of(q, &speed), cycle = pace_mean(&q->pace, 16.0) / speed;
    double idle = clamp(s->gap * booths / cycle - 0.7, 0.0, 1.5);
    journey_see(&q->journey, s->t, 1.0 + (idle - 1.0) / booths, q->entered, q->first, q->next, q->capacity);
    double mean_ln = 0.0, sd_ln = 0.0;
    if (!queue_counted(q)) {
        return 0;
    }
    double out = journey_tell(&q->journey, &mean_ln, &sd_ln);
    q->journey_told = q->journey_told || out > BEYOND_DOUBT;
    if (out < STANDS_OUT) {
        return q->journey_told;
    }
    duration *d = &q->free_flow;
    d->mean_ln = mean_ln;
    d->var_ln = sd_ln * sd_ln;
    d->n = d->n < COUNTED_N ? COUNTED_N : d->n;
    return 1;
}

static void learn_free_flow(bf_queue *q, const queue_step *s, const bf_departure *found)
{
    double idle = s->idle / s->total;
    if (learn_from_counts(q, s)) {
        return;
    }
    if (!q->has_last && found->pos >= 0) {
        duration_learn(&q->free_flow, found->wait_s, 0.3);
    } else if (q->has_last && idle > 0.6 && found->pos >= 0 && found->p > 0.5 && found->in_order) {
        duration_learn(&q->free_flow, found->wait_s, idle);
    }
}

/* Where identities tell it, or the booth had waited for it, all before it have gone: so many were listed, and so many
 * departed. */
static void learn_balance(bf_queue *q, const queue_step *s, const bf_departure *found)
{
    queue_balance *b = &q->balance;
    b->departures += found->p_phantom < 0.5;
    b->named *= 0.99;
    if (!(s->named || s->idle > 0.8 * s->total) || found->pos < 0 || !(found->p > 0.9) || !found->in_order) {
        return;
    }
    b->named += s->named;
    int64_t listed = found->pos + 1 - b->from_pos;
    if (b->from_pos >= 0 && listed <= 0) { /* it was overtaken */
        return;
    }
    if (b->from_pos >= 0 && listed > 0 && q->seen_up == 1.0 && q->seen_down == 1.0) {
        double keep = b->listed > BALANCE_MEMORY ? BALANCE_MEMORY / b->listed : 1.0;
        b->listed = keep * b->listed + (double)listed;
        b->served = keep * b->served + (double)b->departures;
    }
    b->from_pos = found->pos + 1;
    b->departures = 0;
}

int queue_counted(const bf_queue *q)
{
    return q->balance.named <= NAMED_LEAST;
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
    const queue_balance *b = &q->balance;
    q->phantom += rate * (s->phantom / total - q->phantom);
    if (b->named > NAMED_LEAST) { /* identities count those that leave, whether the queue grows or not */
        q->unlisted += rate * (s->unlisted / total - q->unlisted);
        q->extra += rate * ((s->unlisted + s->away + s->late) / total - q->extra);
        q->skip = 1.0 - (b->served + TURNS_PRIOR * USUAL_TURNS) / (b->listed + TURNS_PRIOR) * (1.0 - q->unlisted);
    } else {
        /* Counts alone do not tell one that left and one that came unseen from nothing at all: what is believed of a departure
         * would confirm itself. Only the balance counts. */
        q->unlisted += rate * (COUNTED_UNLISTED - q->unlisted);
        q->extra += rate * (COUNTED_UNLISTED - q->extra);
        double turns = (b->served + COUNTED_PRIOR * COUNTED_TURNS) / (b->listed + COUNTED_PRIOR);
        q->skip = 1.0 - turns * (1.0 - q->unlisted);
    }
    q->skip = clamp(q->skip, 0.004, 0.8);
    /* Where a counter sees all of them few are unseen, whatever the rest says: what is not read of a vehicle must not
     * make it a stranger, and by that the next one too. */
    double side = queue_side_road(q), most = q->counted ? UNLISTED_MOST + side : 0.9;
    q->unlisted = clamp(q->unlisted, 0.004 + side, most);
    q->extra = clamp(q->extra, 0.004 + side, most);
    q->phantom = clamp(q->phantom, 0.003, 0.04);
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
