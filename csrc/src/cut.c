/* Axles to vehicles: where one vehicle ends and the next begins, by the loop where there is one, and by geometry. */
#include "pattern.h"

#include <math.h>
#include <string.h>
#ifdef BF_DEBUG
#include <stdio.h>
#endif

static void mark_on(loop_state *l, double at, bool split)
{
    if (l->count == LOOP_MARKS) {
        memmove(l->marks, l->marks + 1, sizeof(presence) * (LOOP_MARKS - 1));
        l->count--;
    }
    l->marks[l->count].on = at;
    l->marks[l->count].off = HUGE_VAL;
    l->marks[l->count].split = split;
    l->marks[l->count].shared = false;
    l->marks[l->count].covered = 0.0;
    l->count++;
}

void loop_sample_frame(bf_wim *w, loop_state *l, int64_t frame)
{
    const int n = w->frame_scans;
    const int64_t settle = (int64_t)(0.015 * w->rate);
    double sum = 0.0;
    for (int i = 0; i < n; ++i) {
        const int64_t at = frame * n + i;
        const double v = history_sample(&w->past, at, l->channel);
        sum += v;
        const bool want = l->present ? v > l->lower : v > l->level;
        if (want == l->present) {
            l->pending = false;
            continue;
        }
        if (!l->pending) {
            l->pending = true;
            l->change_at = at;
        }
        if (at - l->change_at >= settle) {
            l->pending = false;
            l->present = want;
            if (want) {
                mark_on(l, (double)l->change_at, false);
                l->top = l->valley = v;
                l->falling = false;
            } else if (l->count > 0) {
                l->marks[l->count - 1].off = (double)l->change_at;
                if (l->varies && l->top > l->level && l->level > 0.0) l->marks[l->count - 1].covered = l->level / l->top;
            }
        }
    }
    if (!l->present || l->count == 0) return;
    /* Dips of the amplitude: a gap between two vehicles that is shorter than the loop. */
    const double mean = sum / n, height = l->top - l->level;
    if (mean > l->top) l->top = mean;
    if (mean > l->level + 0.3 * height && mean < l->level + 0.7 * height) l->between++;
    else if (mean >= l->level + 0.9 * height) l->full++;
    l->varies = l->between > 10 && l->between * 2000 > l->full;
    if (!l->falling) {
        if (mean < l->top - 0.25 * height && height > 0.0) {
            l->falling = true;
            l->valley = mean;
            l->valley_at = frame * n + n / 2;
        }
    } else if (mean < l->valley) {
        l->valley = mean;
        l->valley_at = frame * n + n / 2;
    } else if (mean > l->valley + 0.25 * height) {
        l->marks[l->count - 1].off = (double)l->valley_at;
        l->marks[l->count - 1].shared = true;
        mark_on(l, (double)l->valley_at, true);
        l->top = mean;
        l->falling = false;
    }
}

/* When an axle was over the place x: linear between lines, extrapolated beyond. Scans. */
static double time_at(const bf_wim *w, const axle_seen *a, double x)
{
    int before = -1, after = -1, first = -1, last = -1;
    for (int j = 0; j < w->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (first < 0) first = j;
        last = j;
        if (w->lines[j].x <= x) before = j;
        else if (after < 0) after = j;
    }
    int i = before, k = after;
    if (i < 0) {
        i = first;
        k = first;
        for (int j = first + 1; j <= last; ++j)
            if (a->seen & (1u << j)) {
                k = j;
                break;
            }
    } else if (k < 0) {
        k = last;
        i = last;
        for (int j = last - 1; j >= first; --j)
            if (a->seen & (1u << j)) {
                i = j;
                break;
            }
    }
    if (i == k) return a->at[i].mid;
    const double f = (x - w->lines[i].x) / (w->lines[k].x - w->lines[i].x);
    return a->at[i].mid + f * (a->at[k].mid - a->at[i].mid);
}

static double entry_speed(const bf_wim *w, const axle_seen *a)
{
    int i = -1;
    for (int j = 0; j < w->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (i >= 0) return (w->lines[j].x - w->lines[i].x) / ((a->at[j].mid - a->at[i].mid) / w->rate);
        i = j;
    }
    return pass_speed(w, a, i); /* by a plate alone */
}

static double exit_speed(const bf_wim *w, const axle_seen *a)
{
    int i = -1;
    for (int j = w->line_count - 1; j >= 0; --j) {
        if (!(a->seen & (1u << j))) continue;
        if (i >= 0) return (w->lines[i].x - w->lines[j].x) / ((a->at[i].mid - a->at[j].mid) / w->rate);
        i = j;
    }
    return pass_speed(w, a, i);
}

static spacing spacing_of(const bf_wim *w, const axle_seen *a, const axle_seen *b)
{
    spacing s = {0};
    double least = HUGE_VAL, most = -HUGE_VAL, slack = 0.0;
    int n = 0;
    for (int swap = 0; swap < 2; ++swap) {
        /* Where was the one when the other was at a line? */
        const axle_seen *p = swap ? b : a, *q = swap ? a : b;
        for (int j = 0; j < w->line_count; ++j) {
            if (!(q->seen & (1u << j))) continue;
            const double t = q->at[j].mid;
            int i = -1;
            for (int k = 0; k < w->line_count; ++k)
                if ((p->seen & (1u << k)) && p->at[k].mid <= t) i = k;
            if (i < 0) continue;
            int k = i + 1;
            while (k < w->line_count && !(p->seen & (1u << k))) ++k;
            if (k >= w->line_count) continue;
            const double dt = (p->at[k].mid - p->at[i].mid) / w->rate;
            const double f = (t - p->at[i].mid) / (p->at[k].mid - p->at[i].mid);
            double d = w->lines[i].x + f * (w->lines[k].x - w->lines[i].x) - w->lines[j].x;
            if (swap) d = -d;
            const double bend = f * (1.0 - f) * dt * dt * 0.6; /* half of 1.2 m/s2 */
            if (bend > slack) slack = bend;
            if (d < least) least = d;
            if (d > most) most = d;
            ++n;
        }
    }
    if (n > 0) {
        s.lo = least - 0.1 - (n == 1 ? slack : 0.0);
        s.hi = most + 0.1 + (n == 1 ? slack : 0.0);
        s.least = s.lo;
        return s;
    }
    int last = 0, first = 0;
    for (int j = 0; j < w->line_count; ++j)
        if (a->seen & (1u << j)) last = j;
    for (int j = w->line_count - 1; j >= 0; --j)
        if (b->seen & (1u << j)) first = j;
    double base = w->lines[last].x - w->lines[first].x;
    double dt = (b->at[first].mid - a->at[last].mid) / w->rate;
    if (w->lines[last].plate && w->lines[first].plate) {
        /* From leaving a plate to coming onto one: it may have stood on either. */
        const footprint *p = &w->prints[a->at[last].prints[0]], *q = &w->prints[b->at[first].prints[0]];
        base += 0.5 * (w->lines[last].width + w->lines[first].width);
        dt = (q->rise[LEVELS / 2] - p->fall[LEVELS / 2]) / w->rate;
    }
    const double v1 = exit_speed(w, a), v2 = entry_speed(w, b), way = 0.5 * (v1 + v2) * dt;
    const double stop_way = v1 * v1 / 2.8 + v2 * v2 / 2.4, doubt = 0.2 * dt * dt < 0.35 * way + 0.3 * dt ? 0.2 * dt * dt : 0.35 * way + 0.3 * dt;
    s.lo = base + way - doubt - 0.3;
    s.hi = base + way + doubt + 0.3;
    s.least = s.lo;
    if (dt > v1 / 1.4 + v2 / 1.2 && base + stop_way < s.lo) s.least = base + stop_way;
    if (w->lines[0].plate) {
        /* Plates give the speed at both ends and nothing between. Mostly it changed evenly. */
        const double even = 0.3 + 0.006 * dt * dt + 0.02 * way;
        if (even < doubt + 0.3) {
            s.doubt = doubt + 0.3 - even;
            s.lo += s.doubt;
            s.hi -= s.doubt;
        }
    }
    return s;
}

/* Index of the presence in which an axle was over the loop, or -1. */
static int presence_of(const bf_wim *w, const loop_state *l, const axle_seen *a)
{
    const double t = time_at(w, a, w->sensors[l->sensor].s.x_m);
    int best = -1;
    double least = HUGE_VAL;
    for (int i = 0; i < l->count; ++i) {
        const presence *p = &l->marks[i];
        const double off = t < p->on ? p->on - t : (t > p->off ? t - p->off : 0.0);
        if (off < least) {
            least = off;
            best = i;
        }
    }
    const double v = exit_speed(w, a);
    return least / w->rate * (v > 0.2 ? v : 0.2) < 1.0 ? best : -1;
}

static const loop_state *main_loop(const bf_wim *w)
{
    return w->options.use_loop && !w->ignore_loops && w->loop_count > 0 ? &w->loops[0] : NULL;
}

/* Cost of a boundary before axle k: from the last axle of a vehicle to the first of the next are both overhangs and the
 * gap, mostly 2.6 to 7 m where they queue. */
static double boundary_cost(const axle_seen *a, const spacing *s, int k)
{
    double cost = 1.8 + 2.0 * spacing_cost(&s[k], 2.6, 1e9);
    if (s[k].hi < 2.0) cost += 8.0; /* bumpers do not stand between these */
    if (s[k].doubt > 0.0 && s[k].lo + s[k].hi > 20.0) cost -= 1.0; /* as far as few trailers reach */
    if (s[k].lo > 7.0) cost += s[k].lo > 11.8 ? 0.25 : 0.5;
    if (a[k].misfit_m >= 0.0 && a[k].misfit_m < 0.0015) cost += 3.0;
    if (a[k].kg > 9500.0) cost += 2.0; /* no steering axle weighs that */
    return cost;
}

typedef enum { TOGETHER, OPEN, APART } tie;

/* What the loop and gaps in the stream say about axles k - 1 and k, before geometry is asked. */
static tie tie_of(const bf_wim *w, int k, double *cost)
{
    const axle_seen *a = &w->train[k - 1], *b = &w->train[k];
    *cost = 0.0;
    if (b->lost_before && !a->lost_before) return APART;
    const loop_state *l = main_loop(w);
    if (l) {
        const int pa = presence_of(w, l, a), pb = presence_of(w, l, b);
        if (pa >= 0 && pb >= 0) {
            if (pa != pb) return APART;
            *cost = l->varies ? 9.0 : 5.0; /* a loop whose amplitude varies would have shown the gap */
        }
    }
    return OPEN;
}

/* The first boundary in the train by the cheapest parsing, or `count` where all is one vehicle. `doubt` is how much
 * dearer the best parsing with another first vehicle would be. */
static int first_boundary(const bf_wim *w, bool all, bool *certain, double *doubt)
{
    const int count = w->train_count;
    spacing s[TRAIN];
    tie ties[TRAIN];
    double cut_cost[TRAIN + 1], best[TRAIN + 1];
    int from[TRAIN + 1];
    memset(&s[0], 0, sizeof s[0]);
    for (int k = 1; k < count; ++k) {
        s[k] = spacing_of(w, &w->train[k - 1], &w->train[k]);
        double more;
        ties[k] = tie_of(w, k, &more);
        const double longest = longest_spacing(w->train, count);
        if (ties[k] == OPEN && s[k].least > longest) ties[k] = APART;
        cut_cost[k] = ties[k] == APART ? 0.0 : boundary_cost(w->train, s, k) + more;
    }
    cut_cost[0] = 0.0;
    best[0] = 0.0;
    for (int e = 1; e <= count; ++e) {
        best[e] = HUGE_VAL;
        from[e] = e - 1;
        for (int b = e - 1; b >= 0 && e - b <= BF_MAX_AXLES; --b) {
            if (b < e - 1 && ties[b + 1] == APART) break;
            const double c = best[b] + cut_cost[b] + vehicle_cost(w->train, s, b, e - 1, !all && e == count);
            if (c < best[e]) {
                best[e] = c;
                from[e] = b;
            }
        }
    }
    int k = count;
    while (from[k] > 0) k = from[k];
    *certain = k < count && ties[k] == APART;
    *doubt = 10.0;
    if (!*certain) {
        double other = HUGE_VAL;
        double tail[TRAIN + 1];
        tail[count] = 0.0;
        for (int b = count - 1; b >= 0; --b) {
            tail[b] = HUGE_VAL;
            for (int e = b + 1; e <= count && e - b <= BF_MAX_AXLES; ++e) {
                if (e - b > 1 && ties[e - 1] == APART) break;
                const double c = vehicle_cost(w->train, s, b, e - 1, !all && e == count) + (e < count ? cut_cost[e] + tail[e] : 0.0);
                if (b == 0 && e != k && c < other) other = c;
                if (c < tail[b]) tail[b] = c;
            }
        }
        *doubt = other - best[count];
    }
    return k;
}

/* Axles of a weighed vehicle before the first spacing that no vehicle has: its motion is known better now than when it
 * was cut, and the axles behind belong to the next one. Where it may have stood in between, the fit knows no better. */
static int within_reach(const bf_wim *w, const bf_vehicle *v)
{
    const double longest = longest_spacing(w->train, v->axle_count) + 1.5;
    for (int i = 1; i < v->axle_count; ++i) {
        if (v->axles[i].position_m - v->axles[i - 1].position_m <= longest) continue;
        const spacing s = spacing_of(w, &w->train[i - 1], &w->train[i]);
        if (s.least >= s.lo) return i;
    }
    return v->axle_count;
}

/* Whether what comes first was over the loop when the stream went on after a gap. */
static bool on_loop_since_gap(const bf_wim *w)
{
    static const double AT_ONCE_S = 0.3;
    const loop_state *l = main_loop(w);
    const int mark = l && w->gap_at >= 0 ? presence_of(w, l, &w->train[0]) : -1;
    return mark >= 0 && l->marks[mark].on - (double)w->gap_at < AT_ONCE_S * w->rate;
}

/* Whether the first vehicle after a gap in the stream may have passed with axles in it: its first axle came so soon that
 * one before it would have. */
static bool axles_in_gap(const bf_wim *w, double speed_mps)
{
    static const double LONGEST_M = 12.0;
    const axle_seen *a = &w->train[0];
    if (w->gap_at < 0) return false;
    double begin = HUGE_VAL;
    for (int j = 0; j < w->line_count; ++j)
        if ((a->seen & (1u << j)) && a->at[j].begin < begin) begin = a->at[j].begin;
    return (begin - (double)w->gap_at) / w->rate * fabs(speed_mps) < LONGEST_M;
}

static void emit(bf_wim *w, int count, uint32_t flags)
{
#ifdef BF_DEBUG
    fprintf(stderr, "emit %d of %d at %.2f:", count, w->train_count, (double)w->now / w->rate);
    for (int k = 0; k < w->train_count; ++k) {
        spacing s = {0};
        if (k) s = spacing_of(w, &w->train[k - 1], &w->train[k]);
        fprintf(stderr, " [%.2f..%.2f m%.1f] %.0f", s.lo, s.hi, w->train[k].misfit_m * 1e3, w->train[k].kg);
    }
    fprintf(stderr, "\n");
#endif
    if (count > BF_MAX_AXLES) count = BF_MAX_AXLES;
    bf_vehicle *v;
    if (w->ring_count == RING) {
        w->ring_head = (w->ring_head + 1) % RING;
        w->ring_count--;
    }
    v = &w->ring[(w->ring_head + w->ring_count) % RING];
    memset(v, 0, sizeof *v);
    weigh(w, w->train, count, v);
    const int whole = within_reach(w, v);
    if (whole < count) {
        count = whole;
        memset(v, 0, sizeof *v);
        weigh(w, w->train, count, v);
    }
    v->flags |= flags;
    for (int i = 0; i < count; ++i)
        if (w->train[i].came_back) v->flags |= BF_REVERSED;
    const loop_state *l = main_loop(w);
    if (l && w->motion_fitted) {
        const int first = presence_of(w, l, &w->train[0]), last = presence_of(w, l, &w->train[count - 1]);
        if (first >= 0 && first == last) v->length_m = length_by_loop(w, &w->sensors[l->sensor].s, &l->marks[first]);
    }
    v->first_axle_scan += (double)w->lost;
    v->exit_scan += (double)w->lost;
    const bool since_gap = on_loop_since_gap(w);
    if ((w->broken && count == w->train_count) || since_gap || axles_in_gap(w, v->speed_mps)) v->flags |= BF_PARTIAL;
    if (!since_gap) w->gap_at = -1; /* there may be more of it */
    /* One axle alone is no vehicle, unless a gap in the stream took the others; nor is what weighs less than anything
     * that drives. */
    if ((count >= 2 || (v->flags & BF_PARTIAL)) && v->gross_kg > 40.0) w->ring_count++;
    for (int i = 0; i < count; ++i) release_axle(w, &w->train[i]);
    memmove(w->train, w->train + count, sizeof(axle_seen) * (size_t)(w->train_count - count));
    w->train_count -= count;
}

/* Whether the vehicle whose axles are all in the train will get no more. */
static bool complete(const bf_wim *w)
{
    const axle_seen *a = &w->train[w->train_count - 1];
    double heaviest = 0.0;
    for (int i = 0; i < w->train_count; ++i)
        if (w->train[i].peak_n > heaviest) heaviest = w->train[i].peak_n;
    for (int j = 0; j < w->line_count; ++j)
        for (int i = 0; i < w->pending_count[j]; ++i) {
            const pass *p = &w->pending[j][i];
            if (p->peak_n > 0.15 * heaviest || (double)w->now - p->end < 3.0 * w->rate) return false;
        }
    for (int i = 0; i < w->sensor_count; ++i)
        if (w->sensors[i].line >= 0 && w->channels[i].phase == CH_WHEEL) return false;
    double last = 0.0;
    for (int j = 0; j < w->line_count; ++j)
        if ((a->seen & (1u << j)) && a->at[j].end > last) last = a->at[j].end; /* it may have stood there */
    const double since = ((double)w->now - last) / w->rate, v = exit_speed(w, a);
    const loop_state *l = main_loop(w);
    if (l) {
        const int p = presence_of(w, l, a);
        if (p >= 0) {
            const double off = l->marks[p].off;
            if (!(off < HUGE_VAL)) return false;
            /* A wheel that was behind the loop when it became free must have come by. */
            const bf_sensor *s = &w->sensors[l->sensor].s;
            const double way = w->lines[w->line_count - 1].x - (s->x_m + 0.5 * s->width_m);
            const double gone = ((double)w->now - off) / w->rate;
            return way <= 0.0 || gone * (v > 0.3 ? v : 0.3) > way + 0.5;
        }
    }
    /* By geometry: it has driven further than its longest axle spacing, even if it brakes; one that may have stopped
     * meanwhile is waited for. */
    const double longest = longest_spacing(w->train, w->train_count) + 1.0, brake = 1.5;
    if (v * v > 2.0 * brake * longest) return v * since - 0.5 * brake * since * since > longest || since > v / brake;
    return since > (longest > 10.0 ? 45.0 : 20.0);
}

void cut_update(bf_wim *w, bool at_end)
{
    static const double SURE = 4.5;
    while (w->train_count > 0) {
        bool certain;
        double doubt;
        const bool all = at_end || complete(w);
        const int k = first_boundary(w, all, &certain, &doubt);
        if (k == w->train_count && !all) return;
        /* A boundary that geometry alone gives may move while axles are still coming. */
        const bool settled = certain || w->train_count - k >= 6 || (w->train_count > k && doubt > SURE);
        if (!all && !settled && k < BF_MAX_AXLES) return;
        emit(w, k, !certain && doubt < 2.0 ? BF_CUT_UNCERTAIN : 0);
    }
}
