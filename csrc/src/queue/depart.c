/* A departure: the head of the queue moves on.
 *
 * In: the time at which a vehicle arrived downstream, with whatever its identities say; out: which passage it most
 * probably is. Called by edge/core.py; learn.c learns from what is found here.
 *
 * A departure at t of passage k, which entered at a_k, has the time density of max(a_k + F, t_last + S) (F free travel, S
 * booth cycle; Lindley's recursion):
 *     f_F(t - a_k) F_S(t - t_last) + F_F(t - a_k) f_S(t - t_last)
 * so that an idle booth tells that the queue is empty without any identity, and identities multiply their likelihood
 * ratio on top. Skipped passages (vehicles that left, counts too many upstream), departures that are no listed passage
 * (counts too few upstream, counts too many downstream), overtaking and late-comers are transitions of small,
 * partly learned probability.
 */
#include "queue.h"

#include <math.h>
#include <string.h>

#define MAX_STRONG 16 /* candidates that may overtake, come late or move the head back */

static const double JUMP = 2e-4;          /* the head moves on by any number: a gap in the records */
static const double JUMP_SPAN = 128.0;
static const double LEAP = 2e-3;          /* more have left than is known, by any number with this mean: */
static const double LEAP_LEAST = 2.0, LEAP_SHARE = 0.08; /* so many, and of those that came since nobody was left */
static const double WEIGH_A_CYCLE = 2.0, BALANCE_KNOWN = 30.0; /* departures; passages */
static const double BACK = 2e-3;          /* the head was too far ahead and moves back */
static const double OVERTAKE = 0.01;
static const double LATE = 0.005;
static const double CHAOS = 0.02;         /* a departure that no booth cycle explains */
static const double CHAOS_SPAN_S = 600.0;
static const double TWICE_SPAN_S = 5.0;
static const double MOST_LLR = 30.0;
static const double NAMED = 20.0; /* likelihood ratio of identities that tell a passage alone */

typedef struct {
    int64_t pos;
    double ratio;
    double ahead, behind; /* likelihood that it is this one, for each head before it and after it */
} strong;

typedef struct {
    strong one[MAX_STRONG];
    int n;
} strong_list;

static double ratio_of(double llr)
{
    return exp(llr < -MOST_LLR ? -MOST_LLR : (llr > MOST_LLR ? MOST_LLR : llr));
}

static double chaos(void)
{
    return CHAOS / CHAOS_SPAN_S;
}

/* The passages that identity evidence favours most, strongest first. */
static void gather(const bf_queue *q, const int64_t *pos, const float *llr, int32_t n, strong_list *list)
{
    list->n = 0;
    for (int32_t i = 0; i < n; i++) {
        if (pos[i] < q->first || pos[i] >= q->next || !(llr[i] > 1.0f) || q->gone[queue_slot(q, pos[i])]) {
            continue;
        }
        double ratio = ratio_of((double)llr[i]);
        int full = list->n == MAX_STRONG;
        if (full && list->one[MAX_STRONG - 1].ratio >= ratio) {
            continue;
        }
        int at = full ? MAX_STRONG - 1 : list->n++;
        for (; at > 0 && list->one[at - 1].ratio < ratio; at--) {
            list->one[at] = list->one[at - 1];
        }
        list->one[at] = (strong){.pos = pos[i], .ratio = ratio};
    }
}

/* What identities say of each passage: the default by what was read upstream, then the candidates'. */
static void weigh_identities(bf_queue *q, const double *by_mask, const int64_t *pos, const float *llr, int32_t n)
{
    for (int64_t k = q->lo; k < q->next; k++) {
        q->density[queue_slot(q, k)] = by_mask[q->mask[queue_slot(q, k)]];
    }
    for (int32_t i = 0; i < n; i++) {
        if (pos[i] >= q->lo && pos[i] < q->next) {
            q->density[queue_slot(q, pos[i])] = ratio_of((double)llr[i]);
        }
    }
}

/* The free journey, as long as this departure is worked out. */
typedef struct {
    duration_law law;
    double far;
} free_journey;

/* Its density and distribution, 0 and 1 once it is long over. */
static void free_at(const free_journey *free, double travel, double *pdf, double *cdf)
{
    *pdf = 0.0;
    *cdf = 1.0;
    if (travel < free->far) {
        duration_at(&free->law, travel, pdf, cdf);
    }
}

/* How far the times of a lane of several booths are to be believed when there is nothing else. All departures of a cycle lean on
 * one guess of the pace and of the free journey: what is wrong with it is in each of them, so that a slightly false pace, believed
 * as if they were independent, proves an empty queue within an hour. A power of the likelihood below 1 holds that back (P. Gruenwald
 * and T. van Ommen, Bayesian Analysis 12 (2017), 1069): those of one cycle weigh no more than so many. */
static double belief_of(const bf_queue *q)
{
    double speed = 1.0, booths = (double)queue_booths_of(q, &speed);
    int counted = queue_counted(q) && q->balance.listed > BALANCE_KNOWN;
    return counted && booths > WEIGH_A_CYCLE ? WEIGH_A_CYCLE / booths : 1.0;
}

static double believed(const queue_step *s, double density)
{
    return s->belief < 1.0 ? pow(density, s->belief) : density;
}

/* How many more than is known have left in the mean, since it was last sure that nobody was left: the share of them changes
 * with the hour, so that it is off by as much of a long time as of a short one. */
static double leap_of(const bf_queue *q)
{
    int64_t since = q->next - (q->balance.from_pos > q->first ? q->balance.from_pos : q->first);
    return LEAP_LEAST + LEAP_SHARE * (double)since;
}

/* It is the next passage, or one behind some that do not depart here. */
static void in_order(bf_queue *q, queue_step *s, const free_journey *free)
{
    double reach = 0.0, before = 0.0; /* weight that arrives at k in order; any weight at or before k */
    double gone = 0.0, leap = queue_counted(q) ? LEAP : 0.0, stays = 1.0 - 1.0 / leap_of(q); /* weight that arrives at k because more have left than is known */
    for (int64_t h = q->lo; h <= q->next; h++) {
        q->fresh[queue_slot(q, h)] = 0.0;
    }
    for (int64_t k = q->lo; k < q->next; k++) {
        int64_t i = queue_slot(q, k);
        reach += q->w[i];
        before += q->w[i];
        gone = stays * gone + (1.0 - stays) * leap * q->w[i];
        q->share[i] = 0.0;
        if (q->gone[i]) {
            continue;
        }
        double skip = queue_skip(q, i);
        double prior = (reach * (1.0 - skip) + gone + before * JUMP / JUMP_SPAN) * (1.0 - q->hidden[i]);
        reach *= skip;
        double travel = s->t - q->entered[i], ff = 0.0, cf = 0.0;
        free_at(free, travel, &ff, &cf);
        if (s->all_busy < 1.0 && cf > 0.0) { /* it waited if it had come when all booths were busy, or before */
            double then = 0.0, waited = 0.0;
            free_at(free, q->t_last - q->entered[i], &then, &waited);
            cf = waited + (cf - waited) * s->all_busy;
        }
        double scale = prior * q->density[i];
        double busy = scale * cf * s->busy_pdf, odd = scale * cf * chaos(), idle = scale * ff * s->free_cdf;
        double joint = busy + odd + idle;
        if (!(joint > 0.0)) {
            continue;
        }
        if (s->belief < 1.0) {
            double part = believed(s, joint / scale) * scale / joint;
            busy *= part;
            odd *= part;
            idle *= part;
            joint *= part;
        }
        q->fresh[queue_slot(q, k + 1)] += joint;
        q->share[i] = joint;
        s->listed += joint;
        s->busy += busy;
        s->odd += odd;
        s->idle += idle;
        s->wait1 += joint * travel;
        s->wait2 += joint * travel * travel;
        if (joint > s->best) {
            s->best = joint;
            s->best_pos = k;
        }
    }
}

/* It is none of the passages: unseen upstream (takes a booth cycle), counted twice (takes no time), from elsewhere. */
static void none_of_them(const bf_queue *q, queue_step *s, double elsewhere)
{
    double time = believed(s, s->busy_pdf + chaos());
    /* A second count of one vehicle comes within seconds, as a rule. */
    double twice = 0.3 / CHAOS_SPAN_S + (s->gap < TWICE_SPAN_S ? 0.7 / TWICE_SPAN_S : 0.0);
    s->unlisted = q->unlisted * time;
    s->phantom = q->phantom * (s->gap < 0.0 ? 1.0 : believed(s, twice));
    s->away = LATE * elsewhere * time;
}

/* Strong candidates may also overtake, come late, or say that the head is too far ahead. */
static int64_t out_of_order(bf_queue *q, queue_step *s, strong_list *list, const free_journey *free)
{
    int64_t lowest = q->lo;
    double room = (double)(q->next - (q->lo > q->first ? q->lo : q->first));
    for (strong *c = list->one; c < list->one + list->n; c++) {
        int64_t k = c->pos;
        double ff = 0.0, cf = 0.0, below = 0.0, above = 0.0; /* weight of heads before and after k */
        free_at(free, s->t - q->entered[queue_slot(q, k)], &ff, &cf);
        double time = believed(s, cf * (s->busy_pdf + chaos()) + ff * s->free_cdf);
        for (int64_t h = q->lo; h <= q->next; h++) {
            below += h < k ? q->w[queue_slot(q, h)] : 0.0;
            above += h > k ? q->w[queue_slot(q, h)] : 0.0;
        }
        c->ahead = OVERTAKE / (room > 1.0 ? room : 1.0) * time * c->ratio;
        c->behind = LATE / 16.0 * believed(s, cf * (s->busy_pdf + chaos())) * c->ratio;
        double back = above * BACK / 16.0 * time * c->ratio;
        double total = below * c->ahead + above * c->behind + back;
        s->out_of_order += total;
        s->late += above * c->behind;
        double whole = total + (k >= q->lo ? q->share[queue_slot(q, k)] : 0.0);
        if (whole > s->best) {
            s->best = whole;
            s->best_pos = k;
        }
        if (back > 0.0) {
            for (int64_t h = k + 1; h < lowest; h++) {
                q->w[queue_slot(q, h)] = 0.0;
                q->fresh[queue_slot(q, h)] = 0.0;
            }
            lowest = k + 1 < lowest ? k + 1 : lowest;
            q->fresh[queue_slot(q, k + 1)] += back;
        }
    }
    return lowest;
}

/* The heads that stay where they are, because it was none of the passages or one out of order. */
static void stay(bf_queue *q, queue_step *s, const strong_list *list)
{
    double none = s->unlisted + s->phantom + s->away, time = believed(s, s->busy_pdf + chaos());
    for (int64_t h = q->lo; h <= q->next; h++) {
        /* Before the next one listed come some that nobody saw upstream, while the counter there is dead. */
        double hidden = h < q->next ? q->hidden[queue_slot(q, h)] : 1.0 - q->seen_up;
        double here = none + hidden * time;
        s->hidden += q->w[queue_slot(q, h)] * hidden * time;
        for (const strong *c = list->one; c < list->one + list->n; c++) {
            here += h < c->pos ? c->ahead : (h > c->pos ? c->behind : 0.0);
        }
        q->fresh[queue_slot(q, h)] += q->w[queue_slot(q, h)] * here;
    }
    s->unlisted += s->hidden;
}

/* Whether identities alone are good reason to take it for that passage. */
static int is_named(const strong_list *list, int64_t pos)
{
    for (const strong *c = list->one; c < list->one + list->n; c++) {
        if (c->pos == pos) {
            return c->ratio > NAMED;
        }
    }
    return 0;
}

/* Which passage it is, and how sure that is. */
static void report(bf_queue *q, const queue_step *s, bf_departure *out)
{
    memset(out, 0, sizeof *out);
    out->pos = -1;
    out->p_unlisted = s->unlisted / s->total;
    out->p_phantom = s->phantom / s->total;
    out->p_elsewhere = s->away / s->total;
    out->p_busy = s->busy / s->total;
    if (s->listed > 0.0) {
        out->mean_s = s->wait1 / s->listed;
        double var = s->wait2 / s->listed - out->mean_s * out->mean_s;
        out->sd_s = var > 0.0 ? sqrt(var) : 0.0;
    }
    double stranger = s->unlisted + s->phantom;
    if (s->best_pos >= 0 && s->best > s->away && s->best > stranger) {
        int64_t i = queue_slot(q, s->best_pos);
        out->pos = s->best_pos;
        out->p = s->best / s->total;
        out->wait_s = s->t - q->entered[i];
        out->in_order = s->best_pos >= s->old_lo && q->share[i] > 0.5 * s->best;
        if (out->p > 0.9) {
            q->gone[i] = 1;
        }
    } else if (s->away > stranger) {
        out->p = s->away / s->total;
    }
}

/* The head that is now most probable, and when the booth began to serve. */
static void move_on(bf_queue *q, const queue_step *s, double p_phantom)
{
    double heaviest = -1.0;
    for (int64_t h = q->lo; h <= q->next; h++) {
        if (q->w[queue_slot(q, h)] > heaviest) {
            heaviest = q->w[queue_slot(q, h)];
            q->head = h;
        }
    }
    if (p_phantom < 0.5 || !q->has_last) {
        if (!q->has_last || s->t > q->t_last) {
            q->t_last = s->t;
        }
        q->starts[q->n_starts % QUEUE_MAX_BOOTHS] = s->t;
        q->n_starts++;
        q->has_last = 1;
        q->reopened = 0;
        q->entries_since = 0.0;
    }
    q->departures++;
}

bf_status bf_queue_depart(bf_queue *q, int64_t t_ns, const int64_t *pos, const float *llr, int32_t n,
                          const double *mask_llr, double elsewhere, bf_departure *out)
{
    queue_step s = {.best_pos = -1};
    if (q == NULL || out == NULL || mask_llr == NULL || n < 0 || (n > 0 && (pos == NULL || llr == NULL)) ||
        !(elsewhere >= 0.0 && elsewhere < 1e30) || queue_seconds(q, t_ns, &s.t) != BF_OK) {
        return BF_ERR_ARGUMENT;
    }
    double by_mask[QUEUE_MASKS];
    for (int i = 0; i < QUEUE_MASKS; i++) {
        if (isnan(mask_llr[i])) {
            return BF_ERR_ARGUMENT;
        }
        by_mask[i] = ratio_of(mask_llr[i]);
    }
    s.gap = s.t - q->t_last;
    s.old_lo = q->lo;
    queue_cycle_at(q, s.t, &s.busy_pdf, &s.free_cdf, &s.all_busy);
    s.belief = belief_of(q);
    strong_list list;
    gather(q, pos, llr, n, &list);
    weigh_identities(q, by_mask, pos, llr, n);
    free_journey free = {.law = queue_free_law(q)};
    free.far = queue_far(&free.law);
    in_order(q, &s, &free);
    none_of_them(q, &s, elsewhere);
    int64_t lowest = out_of_order(q, &s, &list, &free);
    stay(q, &s, &list);
    s.total = s.listed + s.unlisted + s.phantom + s.away + s.out_of_order;
    if (!(s.total > 0.0) || !isfinite(s.total)) {
        s.total = 1e-300;
    }
    q->lo = lowest;
    queue_turn(q);
    s.named = is_named(&list, s.best_pos);
    report(q, &s, out);
    queue_learn(q, &s, out);
    move_on(q, &s, out->p_phantom);
    return BF_OK;
}
