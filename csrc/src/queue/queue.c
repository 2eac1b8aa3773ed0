/* The queue of one lane between two points: who is still in it, and what the next one is going to wait.
 *
 * In come passages at the upstream point (bf_queue_enter) and at the downstream point (bf_queue_depart, with whatever
 * identity evidence there is); out go the most probable passage of each departure and, on bf_queue_predict, samples of
 * the wait of a vehicle that enters now. Called by edge/core.py.
 *
 * Model. Vehicles of a lane stay in order but for a few. The hidden state is the head h: the passage that departs next;
 * everything before it has gone. A discrete Bayes filter keeps a weight for every possible head. A departure at t of
 * passage k, which entered at a_k, has the time density of max(a_k + F, t_last + S) (F free travel, S booth cycle;
 * Lindley's recursion):
 *     f_F(t - a_k) F_S(t - t_last) + F_F(t - a_k) f_S(t - t_last)
 * so that an idle booth tells that the queue is empty without any identity, and identities multiply their likelihood
 * ratio on top. Skipped passages (vehicles that left, counts too many upstream), departures that are no listed passage
 * (counts too few upstream, counts too many downstream), overtaking and late-comers are transitions of small,
 * partly learned probability. F and S are learned from departures that were clearly of one kind.
 */
#include "queue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CAPACITY 65536
#define MASKS 64      /* tag, plate, axles: which of them were read upstream, and whose reader was dead */
#define READ 7        /* the bits of what was read */
#define MAX_STRONG 16 /* candidates that may overtake, come late or move the head back */

static const double HORIZON_S = 1e9;      /* times further than this from the origin are refused */
static const double JUMP = 2e-4;          /* the head moves on by any number: a gap in the records */
static const double JUMP_SPAN = 128.0;
static const double BACK = 2e-4;          /* the head was too far ahead and moves back */
static const double OVERTAKE = 0.01;
static const double LATE = 0.005;
static const double CHAOS = 0.02;         /* a departure that no booth cycle explains */
static const double CHAOS_SPAN_S = 600.0;
static const double UNLISTED_MOST = 0.15; /* share of the vehicles that a counter that works misses */
static const double OTHER_PACE = 0.35;    /* deviation of ln of the pace from one program to another */
static const double OTHER_N = 3.0;        /* cycles that what was known before weighs, after a change of program */
static const double TWICE_SPAN_S = 5.0;
static const double LONG_CYCLES = 12.0;
static const double BRIEF_S = 3.0;
static const double WEIGHT_FLOOR = 1e-10;

static double clamp(double x, double low, double high)
{
    return x < low ? low : (x > high ? high : x);
}

double queue_skip(const bf_queue *q, int64_t i)
{
    return q->brief[i] && q->skip_brief > q->skip && (q->mask[i] & READ) == 0 ? q->skip_brief : q->skip;
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
    q->cycle = (duration){.mean_ln = log(cycle_s), .var_ln = 0.36, .n = 0.5, .memory = 80.0, .sd_floor = 0.05};
    q->skip = 0.03;
    q->skip_brief = 0.15;
    q->brief_n = 8.0;
    q->unlisted = 0.025;
    q->extra = 0.025;
    q->phantom = 0.01;
    q->long_share = 0.02;
    q->long_n = 50.0;
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
    *pos = q->next++;
    q->w[queue_slot(q, q->next)] = 0.0;
    if (t > q->t_newest) {
        q->t_newest = t;
    }
    q->entries_since += 1.0;
    return BF_OK;
}

bf_status bf_queue_mark(bf_queue *q, int64_t pos, int32_t mask, int32_t gone)
{
    if (q == NULL || mask < 0 || mask >= MASKS) {
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

bf_status bf_queue_program(bf_queue *q, int32_t program)
{
    if (q == NULL || program < 0 || program >= QUEUE_PROGRAMS) {
        return BF_ERR_ARGUMENT;
    }
    if (program == q->program) {
        return BF_OK;
    }
    q->paces[q->program] = q->cycle;
    q->program = program;
    if (q->paces[program].n > 0.0) {
        q->cycle = q->paces[program];
    } else {
        q->cycle.var_ln += OTHER_PACE * OTHER_PACE;
    }
    q->cycle.n = q->cycle.n < OTHER_N ? q->cycle.n : OTHER_N;
    q->n_gaps = 0;
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
        double longer = q->seen_down / downstream;
        q->cycle.mean_ln += log(longer);
        for (int i = 0; i < QUEUE_GAPS; i++) {
            q->gaps[i] *= longer;
        }
        q->run = 0;
        q->seen_down = downstream;
        q->skip = 1.0 - downstream * (1.0 - q->skip_all);
    }
    return BF_OK;
}

/* Moves the support up to where the weight is, and normalises. Returns the total before. */
static double settle(bf_queue *q)
{
    double total = 0.0;
    for (int64_t h = q->lo; h <= q->next; h++) {
        total += q->w[queue_slot(q, h)];
    }
    if (!(total > 0.0) || !isfinite(total)) { /* cannot happen with the floors above; start afresh rather than stop */
        for (int64_t h = q->lo; h <= q->next; h++) {
            q->w[queue_slot(q, h)] = 1.0 / (double)(q->next - q->lo + 1);
        }
        return 0.0;
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
    return total;
}

bf_status bf_queue_unwatched(bf_queue *q, double seconds)
{
    if (q == NULL || !(seconds >= 0.0)) {
        return BF_ERR_ARGUMENT;
    }
    double speed = 1.0;
    int booths = queue_booths_of(q, &speed);
    double mean = q->booths < 0.5 ? 0.0 : seconds * (double)booths * speed / exp(q->cycle.mean_ln + 0.5 * q->cycle.var_ln);
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
    double *swap = q->w;
    q->w = q->fresh;
    q->fresh = swap;
    settle(q);
    return BF_OK;
}

typedef struct {
    int64_t pos;
    double ratio;
} strong;

/* Adds the passages that identity evidence favours most to `list`, strongest first. */
static int gather(const bf_queue *q, const int64_t *pos, const float *llr, int32_t n, strong list[MAX_STRONG])
{
    int count = 0;
    for (int32_t i = 0; i < n; i++) {
        if (pos[i] < q->first || pos[i] >= q->next || !(llr[i] > 1.0f)) {
            continue;
        }
        double ratio = exp(clamp((double)llr[i], -30.0, 30.0));
        int at = count < MAX_STRONG ? count++ : MAX_STRONG - 1;
        if (at == MAX_STRONG - 1 && count == MAX_STRONG && list[at].ratio >= ratio && list[at].ratio > 0.0) {
            continue;
        }
        while (at > 0 && list[at - 1].ratio < ratio) {
            list[at] = list[at - 1];
            at--;
        }
        list[at] = (strong){pos[i], ratio};
    }
    return count;
}

bf_status bf_queue_depart(bf_queue *q, int64_t t_ns, const int64_t *pos, const float *llr, int32_t n,
                          const double *mask_llr, double elsewhere, bf_departure *out)
{
    double t = 0.0;
    if (q == NULL || out == NULL || mask_llr == NULL || n < 0 || (n > 0 && (pos == NULL || llr == NULL)) ||
        !(elsewhere >= 0.0 && elsewhere < 1e30) || queue_seconds(q, t_ns, &t) != BF_OK) {
        return BF_ERR_ARGUMENT;
    }
    double by_mask[MASKS];
    for (int i = 0; i < MASKS; i++) {
        by_mask[i] = exp(clamp(mask_llr[i], -30.0, 30.0));
        if (!isfinite(by_mask[i])) {
            return BF_ERR_ARGUMENT;
        }
    }
    double gap = t - q->t_last, fs = 0.0, cs = 0.0;
    queue_cycle_at(q, t, &fs, &cs);
    const double chaos = CHAOS / CHAOS_SPAN_S;

    /* Likelihood of each passage: default by what was read upstream, then the candidates'. */
    for (int64_t k = q->lo; k < q->next; k++) {
        q->density[queue_slot(q, k)] = by_mask[q->mask[queue_slot(q, k)]];
    }
    for (int32_t i = 0; i < n; i++) {
        if (pos[i] >= q->lo && pos[i] < q->next) {
            q->density[queue_slot(q, pos[i])] = exp(clamp((double)llr[i], -30.0, 30.0));
        }
    }
    strong list[MAX_STRONG] = {{0, 0.0}};
    int strongest = gather(q, pos, llr, n, list);

    double reach = 0.0, before = 0.0;          /* weight that arrives at k in order; any weight at or before k */
    double listed = 0.0, sat = 0.0, odd = 0.0, idle = 0.0, best = 0.0, wait1 = 0.0, wait2 = 0.0;
    int64_t best_pos = -1;
    for (int64_t h = q->lo; h <= q->next; h++) {
        q->fresh[queue_slot(q, h)] = 0.0;
    }
    for (int64_t k = q->lo; k < q->next; k++) {
        int64_t i = queue_slot(q, k);
        reach += q->w[i];
        before += q->w[i];
        q->share[i] = 0.0;
        if (q->gone[i]) {
            continue;
        }
        double skip = queue_skip(q, i);
        double prior = (reach * (1.0 - skip) + before * JUMP / JUMP_SPAN) * (1.0 - q->hidden[i]);
        reach *= skip;
        double travel = t - q->entered[i], ff = 0.0, cf = 0.0;
        queue_free_at(q, travel, &ff, &cf);
        double busy = cf * fs, arrived = ff * cs;
        double time = busy + arrived + cf * chaos;
        double joint = prior * time * q->density[i];
        if (!(joint > 0.0)) {
            continue;
        }
        int64_t head = queue_slot(q, k + 1);
        q->fresh[head] += joint;
        q->share[i] = joint;
        listed += joint;
        sat += joint * busy / time;
        odd += joint * cf * chaos / time;
        idle += joint * arrived / time;
        wait1 += joint * travel;
        wait2 += joint * travel * travel;
        if (joint > best) {
            best = joint;
            best_pos = k;
        }
    }

    /* No listed passage: unseen upstream (takes a booth cycle), counted twice downstream (takes no time), elsewhere. */
    double late_time = fs + chaos;
    double unlisted = q->unlisted * late_time;
    /* A second count of one vehicle comes within seconds, as a rule. */
    double phantom = q->phantom * (gap < 0.0 ? 1.0 : 0.3 / CHAOS_SPAN_S + (gap < TWICE_SPAN_S ? 0.7 / TWICE_SPAN_S : 0.0));
    double away = LATE * elsewhere * late_time;
    double stay = unlisted + phantom + away;
    /* Strong candidates may also overtake, come late, or say that the head is too far ahead. */
    double hidden_total = 0.0, extra_total = 0.0, best_extra = 0.0, late_total = 0.0;
    int64_t best_extra_pos = -1;
    int64_t lowest = q->lo;
    double stay_ahead[MAX_STRONG] = {0.0}, stay_behind[MAX_STRONG] = {0.0};
    for (int c = 0; c < strongest; c++) {
        int64_t k = list[c].pos;
        if (q->gone[queue_slot(q, k)]) {
            continue;
        }
        double travel = t - q->entered[queue_slot(q, k)], ff = 0.0, cf = 0.0;
        queue_free_at(q, travel, &ff, &cf);
        double time = cf * (fs + chaos) + ff * cs;
        double below = 0.0, above = 0.0; /* heads before and after k */
        for (int64_t h = q->lo; h <= q->next; h++) {
            double w = q->w[queue_slot(q, h)];
            if (h < k) {
                below += w;
            } else if (h > k) {
                above += w;
            }
        }
        double ahead = (double)(q->next - (q->lo > q->first ? q->lo : q->first));
        stay_ahead[c] = OVERTAKE / (ahead > 1.0 ? ahead : 1.0) * time * list[c].ratio;
        stay_behind[c] = LATE / 16.0 * cf * late_time * list[c].ratio;
        double back = above * BACK / 16.0 * time * list[c].ratio;
        double total = below * stay_ahead[c] + above * stay_behind[c] + back;
        extra_total += total;
        late_total += above * stay_behind[c];
        double with_order = total + (k >= q->lo ? q->share[queue_slot(q, k)] : 0.0);
        if (with_order > best_extra) {
            best_extra = with_order;
            best_extra_pos = k;
        }
        if (back > 0.0 && k + 1 < lowest) {
            for (int64_t h = k + 1; h < lowest; h++) {
                q->w[queue_slot(q, h)] = 0.0;
                q->fresh[queue_slot(q, h)] = 0.0;
            }
            lowest = k + 1;
        }
        if (back > 0.0) {
            q->fresh[queue_slot(q, k + 1)] += back;
        }
    }
    for (int64_t h = q->lo; h <= q->next; h++) {
        /* Before the next one listed come some that nobody saw upstream, while the counter there is dead. */
        double hidden = h < q->next ? q->hidden[queue_slot(q, h)] : 1.0 - q->seen_up;
        double here = stay + (hidden > 0.0 ? hidden * late_time : 0.0);
        hidden_total += q->w[queue_slot(q, h)] * (here - stay);
        for (int c = 0; c < strongest; c++) {
            here += h < list[c].pos ? stay_ahead[c] : (h > list[c].pos ? stay_behind[c] : 0.0);
        }
        q->fresh[queue_slot(q, h)] += q->w[queue_slot(q, h)] * here;
    }
    unlisted += hidden_total;
    double total = listed + stay + hidden_total + extra_total;
    if (!(total > 0.0) || !isfinite(total)) {
        total = 1e-300;
    }
    if (best_extra > best) {
        best = best_extra;
        best_pos = best_extra_pos;
    }

    int64_t old_lo = q->lo;
    double head_before = 0.0;
    for (int64_t h = old_lo; h <= q->next; h++) {
        head_before += q->w[queue_slot(q, h)] * (double)(h - q->first);
    }
    double *swap = q->w;
    q->w = q->fresh;
    q->fresh = swap;
    q->lo = lowest;
    settle(q);

    memset(out, 0, sizeof *out);
    out->pos = -1;
    out->p_unlisted = unlisted / total;
    out->p_phantom = phantom / total;
    out->p_elsewhere = away / total;
    out->p_busy = sat / total;
    if (listed > 0.0) {
        out->mean_s = wait1 / listed;
        double var = wait2 / listed - out->mean_s * out->mean_s;
        out->sd_s = var > 0.0 ? sqrt(var) : 0.0;
    }
    if (best > away && best > unlisted + phantom && best_pos >= 0) {
        out->pos = best_pos;
        out->p = best / total;
        out->wait_s = t - q->entered[queue_slot(q, best_pos)];
        out->in_order = best_pos >= old_lo && q->share[queue_slot(q, best_pos)] > 0.5 * best;
        if (out->p > 0.9) {
            q->gone[queue_slot(q, best_pos)] = 1;
        }
    } else if (away > unlisted + phantom) {
        out->p = away / total;
    }

    /* Learn. */
    double p_phantom = phantom / total;
    if (q->has_last && !q->reopened && gap > 0.0) {
        /* With c booths that are never idle the c-th departure back began the service that has ended now; in the mean
         * over many departures that is exact. */
        double p_sat = (sat + 0.5 * unlisted) / total, speed = 1.0;
        int booths = queue_booths_of(q, &speed);
        if (q->run >= booths && out->pos >= 0 && gap < LONG_CYCLES * exp(q->cycle.mean_ln)) {
            int64_t behind = out->pos + 1;
            while (behind < q->next && q->gone[queue_slot(q, behind)]) behind++;
            double ff = 0.0, cf = 0.0;
            if (behind < q->next) queue_free_at(q, q->t_last - q->entered[queue_slot(q, behind)], &ff, &cf);
            if (cf > 0.9) p_sat += odd / total;
        }
        q->run = p_sat > 0.6 ? q->run + 1 : (p_phantom > 0.5 ? q->run : 0);
        if (p_sat > 0.6 && q->run >= booths && q->n_starts >= booths) {
            double cycle = (t - q->starts[(q->n_starts - booths) % QUEUE_MAX_BOOTHS]) * speed;
            int is_long = q->n_gaps > 8 && cycle > QUEUE_LONG * exp(q->cycle.mean_ln);
            q->long_n = q->long_n < 400.0 ? q->long_n + 1.0 : 400.0;
            q->long_share += ((double)is_long - q->long_share) / q->long_n;
            if (is_long) {
                q->longs[q->n_longs++ % QUEUE_LONGS] = cycle;
            } else {
                duration_learn(&q->cycle, cycle, p_sat);
                q->gaps[q->n_gaps % QUEUE_GAPS] = cycle;
                q->n_gaps++;
            }
        }
    }
    if (idle / total > 0.6 && out->pos >= 0 && out->p > 0.5 && out->in_order && q->has_last) {
        duration_learn(&q->free_flow, out->wait_s, idle / total);
    } else if (!q->has_last && out->pos >= 0) {
        duration_learn(&q->free_flow, out->wait_s, 0.3);
    }
    const double rate = q->departures < 80 ? 1.0 / (double)(20 + q->departures) : 0.01;
    if (q->departures > 3 && q->seen_up == 1.0 && q->seen_down == 1.0) {
        q->unlisted += rate * (unlisted / total - q->unlisted);
        q->extra += rate * ((unlisted + away + late_total) / total - q->extra);
        q->phantom += rate * (p_phantom - q->phantom);
        if (listed > 0.5 * total) {
            /* Mean number of passages left behind, also by departures of which it is not sure: those that are sure are
             * mostly those that left none behind. */
            double head_after = 0.0;
            for (int64_t h = q->lo; h <= q->next; h++) {
                head_after += q->w[queue_slot(q, h)] * (double)(h - q->first);
            }
            double skipped = clamp(head_after - head_before - listed / total, -1.0, 3.0);
            q->skip += rate * (skipped / (1.0 + fabs(skipped)) - q->skip);
        }
        q->skip = clamp(q->skip, 0.004, 0.8);
        /* Where a counter sees all of them few are unseen, whatever the rest says: what is not read of a vehicle must not
         * make it a stranger, and by that the next one too. */
        double most = q->counted ? UNLISTED_MOST : 0.9;
        q->unlisted = clamp(q->unlisted, 0.004, most);
        q->extra = clamp(q->extra, 0.004, most);
        q->phantom = clamp(q->phantom, 0.003, 0.1);
    }
    if (out->pos >= 0 && out->p > 0.8 && out->in_order) {
        int64_t k = q->head > q->first ? q->head : q->first;
        for (; k <= out->pos; k++) {
            int64_t i = queue_slot(q, k);
            if (q->brief[i] && (q->mask[i] & READ) == 0 && (k == out->pos || !q->gone[i])) {
                q->brief_n = q->brief_n < 60.0 ? q->brief_n + 1.0 : 60.0;
                q->skip_brief += ((k < out->pos ? 1.0 : 0.0) - q->skip_brief) / q->brief_n;
            }
        }
        q->skip_brief = clamp(q->skip_brief, 0.004, 0.95);
    }
    double heaviest = -1.0;
    for (int64_t h = q->lo; h <= q->next; h++) {
        if (q->w[queue_slot(q, h)] > heaviest) {
            heaviest = q->w[queue_slot(q, h)];
            q->head = h;
        }
    }
    if (p_phantom < 0.5 || !q->has_last) {
        if (!q->has_last || t > q->t_last) {
            q->t_last = t;
        }
        q->starts[q->n_starts % QUEUE_MAX_BOOTHS] = t;
        q->n_starts++;
        q->has_last = 1;
        q->reopened = 0;
        q->entries_since = 0.0;
    }
    q->departures++;
    return BF_OK;
}
