/* Axles to vehicles: where one vehicle ends and the next begins, by the loop where there is one, and by geometry. */
#include "apart.h"
#include "loops.h"
#include "pattern.h"
#include "prints.h"

#include <math.h>
#include <string.h>

static const double IMPOSSIBLE = 12.0; /* a cost */
static const double CERTAIN = 10.0;    /* doubt of a cut that something else than geometry says */
static const double STANDING_S = 2.0; /* on a line, longer than a wheel that rolls */
static const double CREEPS = 4.0;     /* times as long on one line as on another: not by creeping alone */
static const double LEAST_STOPS = 0.05; /* share of vehicles */

/* Two that drive follow each other in time: so near behind nobody drives, in seconds from bumper to bumper. */
static double headway_cost(const spacing *s, double v)
{
    static const double OVERHANGS_M = 2.2, USUAL_S = 0.8, SPREAD_S = 0.2, SLOW_MPS = 4.0, FAST_MPS = 7.0;
    if (!(v > SLOW_MPS)) return 0.0;
    const double behind_s = (s->hi - OVERHANGS_M) / v, r = (USUAL_S - behind_s) / SPREAD_S;
    const double cost = r > 0.0 ? (r < 4.5 ? 0.5 * r * r : 10.0) : 0.0;
    return v < FAST_MPS ? cost * (v - SLOW_MPS) / (FAST_MPS - SLOW_MPS) : cost;
}

/* Steering axles weigh 4 to 7 t on heavy vehicles, 2 to 4 t on light lorries; other axles anything from 1 to 12 t. */
static double steering_cost(double kg)
{
    if (kg < 2000.0) return 0.0; /* of a car, perhaps */
    const double heavy = log(kg / 5600.0) / 0.26, light = log(kg / 3200.0) / 0.3, any = log(kg / 5000.0) / 0.6;
    const double steering = 0.7 / 0.26 * exp(-0.5 * heavy * heavy) + 0.3 / 0.3 * exp(-0.5 * light * light);
    const double cost = -log(steering + 0.01) + log(exp(-0.5 * any * any) / 0.6 + 0.01);
    return cost < 4.0 ? cost : 4.0;
}

/* Left share of what the lines saw of an axle; negative where its sides are not known. */
static double left_of(const bf_wim *w, const axle_seen *a)
{
    double left = 0.0, both = 0.0;
    for (int j = 0; j < w->line_count; ++j) {
        const double l = a->at[j].side_n[SIDE_LEFT], r = a->at[j].side_n[SIDE_RIGHT];
        if (!(a->seen >> j & 1u) || !(l > 0.0) || !(r > 0.0)) continue;
        left += l / (l + r);
        both += 1.0;
    }
    return both > 0.0 ? left / both : -1.0;
}

/* Cargo and springs lean to one side, all axles of a vehicle alike and each vehicle in its own way: the two axles before a
 * boundary against the two behind it. */
static double lean_cost(const bf_wim *w, int k)
{
    static const double ONE = 0.015, TWO = 0.03, MOST = 2.0, LIGHT = 350.0;
    double sum[2] = {0.0, 0.0}, n[2] = {0.0, 0.0};
    for (int i = k - 2; i < k + 2; ++i) {
        if (i < 0 || i >= w->train_count || w->train[i].kg < LIGHT) continue;
        const double left = left_of(w, &w->train[i]);
        if (left < 0.0) continue;
        sum[i >= k] += left;
        n[i >= k] += 1.0;
    }
    if (n[0] < 1.0 || n[1] < 1.0) return 0.0;
    const double d = sum[0] / n[0] - sum[1] / n[1];
    const double cost = log(TWO / ONE) - 0.5 * d * d * (1.0 / (ONE * ONE) - 1.0 / (TWO * TWO));
    return cost > -MOST ? cost : -MOST;
}

/* From the last axle of a vehicle to the first of the next are both overhangs and the gap: so far where they queue. */
static const double BUMPERS_M = 2.5, QUEUED_M = 8.0;

/* Cost of a boundary before axle k: near, as often as this lane's vehicles follow each other like that, or far. */
static double boundary_cost(const bf_wim *w, const spacing *s, int k)
{
    static const double FAR_M = 20.0;
    const axle_seen *a = &w->train[k];
    const double near = 2.0 * spacing_cost(&s[k], BUMPERS_M, QUEUED_M), far = spacing_cost(&s[k], QUEUED_M, 1e9);
    const double likelihood = w->close_share * exp(-near) / (QUEUED_M - BUMPERS_M) + (1.0 - w->close_share) * exp(-far) / FAR_M;
    double cost = likelihood > 1e-9 ? -log(likelihood) : 20.0;
    if (s[k].hi < 2.0) cost += 8.0; /* bumpers do not stand between these */
    return cost + headway_cost(&s[k], a->entry.v) + steering_cost(a->kg) + lean_cost(w, k);
}

typedef enum { OPEN, APART } tie;

/* What it costs that a loop does not let go at a gap between two vehicles whose axles are so far apart: it feels metal some
 * way beyond its wires, and what is between the axles are both overhangs and the gap. */
static double held_cost(const bf_wim *w, const loop_state *l, const spacing *s)
{
    static const double FEELS_M = 0.35, OVERHANGS_M = 3.2, SPREAD_M = 0.9, MOST = 9.0;
    if (l->varies) return MOST; /* its amplitude would have shown the gap */
    const double reach = w->sensors[l->sensor].s.width_m + 2.0 * FEELS_M, apart = s->hi < HUGE_VAL ? 0.5 * (s->lo + s->hi) : s->lo;
    const double holds = 0.5 * erfc((apart - OVERHANGS_M - reach) / SPREAD_M * 0.70710678118654752);
    const double cost = -log(holds > 1e-4 ? holds : 1e-4);
    return cost < MOST ? cost : MOST;
}

/* What the loop says about axles k - 1 and k, before geometry is asked. */
static tie tie_of(const bf_wim *w, const spacing *s, int k, double *cost)
{
    *cost = 0.0;
    const loop_state *l = main_loop(w);
    if (!l) return OPEN;
    const int pa = presence_of(w, l, &w->train[k - 1]), pb = presence_of(w, l, &w->train[k]);
    if (pa < 0 || pb < 0) return OPEN;
    if (pa != pb) return APART;
    *cost = held_cost(w, l, s);
    return OPEN;
}

/* The cheapest parsing of the train into vehicles. */
typedef struct {
    int first;     /* axles of its first vehicle */
    bool headless; /* which has lost its first axles */
    bool certain;  /* the loop, the stream or the distance says so */
    double doubt;  /* how much dearer the best parsing with another first vehicle would be */
    double more;   /* how much dearer it would be that the last vehicle has further axles than that it has none */
} parsing;

enum { END = TRAIN + 1 };

/* Distances, ties and costs of boundaries between the axles, and what each run of them costs as a vehicle. */
typedef struct {
    spacing s[END];
    tie ties[END];
    double cut[END + 1];
    double whole[END][BF_MAX_AXLES]; /* of [first axle][axles - 1] */
    double headless[BF_MAX_AXLES];   /* of the first axles, if those before them are missing */
    double best[END + 1];            /* of the axles before this one, parsed */
    int from[END + 1];
    double tail[END + 1];            /* of the axles from this one on */
} links;

static void find_links(const bf_wim *w, links *l)
{
    const int count = w->train_count;
    const double longest = longest_spacing(w->train, count);
    memset(&l->s[0], 0, sizeof l->s[0]);
    l->cut[0] = 0.0;
    for (int k = 1; k < count; ++k) {
        l->s[k] = spacing_of(w, &w->train[k - 1], &w->train[k]);
        double more;
        l->ties[k] = tie_of(w, &l->s[k], k, &more);
        if (l->ties[k] == OPEN && l->s[k].lo > longest && spacing_cost(&l->s[k], 0.0, longest) >= IMPOSSIBLE) l->ties[k] = APART;
        l->cut[k] = l->ties[k] == APART ? 0.0 : boundary_cost(w, l->s, k) + more;
    }
}

/* How much it would take that the train begins in the middle of a vehicle: after a gap in the stream little, after a cut that
 * was in doubt more. Infinite where that cannot be. */
static double lost_head(const bf_wim *w)
{
    static const double AFTER_GAP = -2.0, AFTER_DOUBT = 2.0, DOUBT = 5.0;
    if (w->gap_at >= 0) return AFTER_GAP;
    return w->last_doubt < DOUBT ? AFTER_DOUBT + w->last_doubt : HUGE_VAL;
}

/* `all`: no further axles come. */
static void find_costs(const bf_wim *w, links *l, bool all)
{
    const int count = w->train_count;
    const double head = lost_head(w);
    for (int b = 0; b < count; ++b)
        for (int n = 1; n <= BF_MAX_AXLES; ++n) {
            l->whole[b][n - 1] = HUGE_VAL;
            if (b == 0) l->headless[n - 1] = HUGE_VAL;
            if (b + n > count || (n > 1 && l->ties[b + n - 1] == APART)) {
                for (; n <= BF_MAX_AXLES; ++n) {
                    l->whole[b][n - 1] = HUGE_VAL;
                    if (b == 0) l->headless[n - 1] = HUGE_VAL;
                }
                break;
            }
            const bool open = !all && b + n == count;
            l->whole[b][n - 1] = vehicle_cost(&w->mix, w->train, l->s, b, b + n - 1, open, false);
            if (b == 0 && head < HUGE_VAL)
                l->headless[n - 1] = head + vehicle_cost(&w->mix, w->train, l->s, 0, n - 1, open, true);
        }
}

static double run_cost(const links *l, int b, int e)
{
    const double whole = l->whole[b][e - b - 1];
    return b == 0 && l->headless[e - 1] < whole ? l->headless[e - 1] : whole;
}

static void parse_forward(links *l, int count)
{
    l->best[0] = 0.0;
    for (int e = 1; e <= count; ++e) {
        l->best[e] = HUGE_VAL;
        l->from[e] = e - 1;
        for (int b = e - 1; b >= 0 && e - b <= BF_MAX_AXLES; --b) {
            const double c = l->best[b] + l->cut[b] + run_cost(l, b, e);
            if (c < l->best[e]) {
                l->best[e] = c;
                l->from[e] = b;
            }
        }
    }
}

/* Cost of the best parsing whose first vehicle has not `first` axles. */
static double parse_other(links *l, int count, int first)
{
    double other = HUGE_VAL;
    l->tail[count] = 0.0;
    for (int b = count - 1; b >= 0; --b) {
        l->tail[b] = HUGE_VAL;
        for (int e = b + 1; e <= count && e - b <= BF_MAX_AXLES; ++e) {
            const double c = run_cost(l, b, e) + (e < count ? l->cut[e] + l->tail[e] : 0.0);
            if (b == 0 && e != first && c < other) other = c;
            if (c < l->tail[b]) l->tail[b] = c;
        }
    }
    return other;
}

/* How much dearer it is that the last vehicle has further axles, which have not come yet, than that it has none. */
static double more_cost(bf_wim *w, links *l)
{
    const int count = w->train_count;
    w->train[count] = w->train[count - 1]; /* one that would follow weighs about as much */
    w->train[count].misfit_m = -1.0;
    l->s[count] = spacing_ahead(w, &w->train[count - 1]);
    if (l->s[count].lo < longest_spacing(w->train, count)) return 0.0; /* it will be seen by driving on */
    double with = HUGE_VAL, without = HUGE_VAL;
    for (int b = count - 1; b >= 0 && count - b < BF_MAX_AXLES; --b) {
        if (b < count - 1 && l->ties[b + 1] == APART) break;
        const double before = l->best[b] + l->cut[b];
        const double c = before + vehicle_cost(&w->mix, w->train, l->s, b, count - 1, false, false);
        const double d = before + vehicle_cost(&w->mix, w->train, l->s, b, count, true, false);
        if (c < without) without = c;
        if (d < with) with = d;
    }
    return with - without;
}

/* `all`: no further axles come. Else, `ahead`: it is asked whether some do. */
static parsing parse(bf_wim *w, links *l, bool all, bool ahead)
{
    const int count = w->train_count;
    find_links(w, l);
    find_costs(w, l, all);
    parse_forward(l, count);
    parsing found = {0};
    int k = count;
    while (l->from[k] > 0) k = l->from[k];
    found.first = k;
    found.headless = l->headless[k - 1] < l->whole[0][k - 1];
    found.certain = k < count && l->ties[k] == APART;
    found.doubt = 10.0;
    if (!found.certain) found.doubt = parse_other(l, count, k) - l->best[count];
    if (ahead) found.more = more_cost(w, l);
    return found;
}

/* Axles of a weighed vehicle before the first spacing that no vehicle has: its motion is known better now than when it
 * was cut, and the axles behind belong to the next one. Where it may have stood in between, the fit knows no better. */
static int within_reach(const bf_wim *w, const bf_vehicle *v)
{
    const double longest = longest_spacing(w->train, v->axle_count) + 1.5;
    for (int i = 1; i < v->axle_count; ++i) {
        if (v->axles[i].position_m - v->axles[i - 1].position_m <= longest) continue;
        const spacing s = spacing_of(w, &w->train[i - 1], &w->train[i]);
        double more; /* one presence on the loop speaks for one vehicle */
        if (tie_of(w, &s, i, &more) == APART || spacing_cost(&s, 0.0, longest) > 6.0 + more) return i;
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

/* Whether the first vehicle after a gap in the stream, or after its beginning, may have passed with axles in it: one that
 * came by before would be no further ahead than axles of a vehicle are, at the speed seen, or where it started from a stand
 * so near to the array. */
static bool axles_in_gap(const bf_wim *w, double speed_mps)
{
    static const double LONGEST_M = 13.5, NEXT_M = 2.5, PULLS_MPS2 = 0.15;
    const axle_seen *a = &w->train[0];
    if (w->gap_at < 0) return false;
    int live = 0;
    while (live < w->line_count - 1 && w->lines[live].missed_run >= MISS_RUN) ++live;
    if (w->first_line > live) return true; /* that wheel was beyond the first line when the stream began */
    const double span = w->lines[w->line_count - 1].x - w->lines[0].x, ahead = LONGEST_M - span > NEXT_M ? LONGEST_M - span : NEXT_M;
    const double v = a->entry.v, waited = a->entry.t - (double)w->gap_at / w->rate;
    if (waited * fmax(v, fabs(speed_mps)) < ahead) return true;
    return a->entry.stood || (a->entry.a > PULLS_MPS2 && 0.5 * v * v / a->entry.a < ahead);
}

/* Whether the first axle of the train follows the last one that left so closely that its vehicle is one of those that
 * drive or stand at the bumper of the one before: within one presence over the loop, nearer than bumpers with a metre between them, or
 * within a second. */
static bool close_behind(const bf_wim *w)
{
    static const double NEAR_M = 4.2, BRIEF_S = 1.0, DRIVING_MPS = 4.0;
    const axle_seen *a = &w->left, *b = &w->train[0];
    if (a->seen == 0 || b->lost_before) return false;
    const loop_state *l = main_loop(w);
    if (l) {
        const int pa = presence_of(w, l, a), pb = presence_of(w, l, b);
        if (pa >= 0 && (pa == pb || (l->marks[pa].shared && pb == pa + 1))) return true;
    }
    const spacing s = spacing_of(w, a, b);
    return (s.hi - s.lo < 2.0 && 0.5 * (s.lo + s.hi) < NEAR_M) || (b->entry.v > DRIVING_MPS && b->entry.t - a->entry.t < BRIEF_S);
}

/* Learns how often vehicles follow at a queue's distance, from two cuts that were sure. */
static void note_distance(bf_wim *w, double doubt)
{
    static const double RATE = 0.04, LEAST = 0.03, VAGUE_M = 6.0, LONG_S = 120.0, SURE = 4.0;
    const axle_seen *a = &w->left, *b = &w->train[0];
    if (a->seen == 0 || fmin(doubt, w->last_doubt) < SURE) return;
    const spacing s = spacing_of(w, a, b);
    const bool close = s.hi < QUEUED_M + 1.0, far = s.lo > QUEUED_M || b->entry.t - a->exit.t > LONG_S;
    if (!far && !(close && s.hi - s.lo < VAGUE_M)) return;
    w->close_share += RATE * ((close ? 1.0 : 0.0) - w->close_share);
    w->close_share = fmin(fmax(w->close_share, LEAST), 1.0 - LEAST);
}

/* Learns how often vehicles stand while they are over the array. */
static void note_stop(bf_wim *w, int count)
{
    bool stood = false;
    for (int k = 0; k < count; ++k) {
        const axle_seen *a = &w->train[k];
        stood = stood || a->entry.stood || a->exit.stood;
        double briefest = HUGE_VAL, longest = 0.0;
        for (int j = 0; j < w->line_count; ++j)
            if (a->seen >> j & 1u) {
                briefest = fmin(briefest, a->at[j].end - a->at[j].begin);
                longest = fmax(longest, a->at[j].end - a->at[j].begin);
            }
        if (longest > STANDING_S * w->rate && longest > CREEPS * briefest) stood = true;
    }
    w->stop_share += 0.05 * ((stood ? 1.0 : 0.0) - w->stop_share);
    if (w->stop_share < LEAST_STOPS) w->stop_share = LEAST_STOPS;
}

static void emit(bf_wim *w, int count, uint32_t flags)
{
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
    v->flags |= flags | (close_behind(w) ? BF_TAILGATING : 0u);
    w->left = w->train[count - 1];
    note_stop(w, count);
    for (int i = 0; i < count; ++i)
        if (w->train[i].came_back) v->flags |= BF_REVERSED;
    const loop_state *l = main_loop(w);
    if (l && w->motion_fitted) {
        const int first = presence_of(w, l, &w->train[0]), last = presence_of(w, l, &w->train[count - 1]);
        if (first >= 0 && first == last) v->length_m = length_by_loop(w, &w->sensors[l->sensor].s, &l->marks[first]);
    }
    apart_settle(w, w->train, v);
    if (v->flags & BF_SPACING_UNCERTAIN) v->length_m = (double)NAN; /* it may have stood: so may its end have */
    v->first_axle_scan += (double)w->lost;
    v->exit_scan += (double)w->lost;
    v->way_from_scan += (double)w->lost;
    const bool since_gap = on_loop_since_gap(w);
    if ((w->broken && count == w->train_count) || since_gap || axles_in_gap(w, v->speed_mps)) v->flags |= BF_PARTIAL;
    /* One axle alone is no vehicle, unless a gap in the stream took the others; nor is what weighs less than anything
     * that drives. */
    if ((count >= 2 || (v->flags & BF_PARTIAL)) && v->gross_kg > 40.0) {
        w->ring_count++;
        if (!since_gap) w->gap_at = -1; /* there may be more of it */
    }
    for (int i = 0; i < count; ++i) release_axle(w, &w->train[i]);
    memmove(w->train, w->train + count, sizeof(axle_seen) * (size_t)(w->train_count - count));
    w->train_count -= count;
}

/* Whether wheels are over the array that are not in the train yet. */
static bool wheels_left(const bf_wim *w)
{
    double heaviest = 0.0;
    for (int i = 0; i < w->train_count; ++i)
        if (w->train[i].peak_n > heaviest) heaviest = w->train[i].peak_n;
    for (int j = 0; j < w->line_count; ++j)
        for (int i = 0; i < w->pending_count[j]; ++i) {
            const pass *p = &w->pending[j][i];
            if (p->peak_n > 0.15 * heaviest || (double)w->now - p->end < 3.0 * w->rate) return true;
        }
    for (int i = 0; i < w->sensor_count; ++i)
        if (channel_on_since(&w->channels[i]) >= 0) return true;
    return false;
}

typedef enum { NO, YES, BY_GEOMETRY } completeness;

/* Whether the vehicle whose axles are all in the train will get no more. */
static completeness complete(const bf_wim *w)
{
    static const double LONGEST_S = 300.0; /* that a vehicle stands without a wheel on the array */
    if (wheels_left(w)) return NO;
    const axle_seen *a = &w->train[w->train_count - 1];
    const loop_state *l = main_loop(w);
    if (l) {
        const int p = presence_of(w, l, a);
        if (p >= 0) {
            const double off = l->marks[p].off;
            if (!(off < HUGE_VAL)) return NO;
            /* A wheel that was behind the loop when it became free must have come by. */
            const bf_sensor *s = &w->sensors[l->sensor].s;
            const double way = w->lines[w->line_count - 1].x - (s->x_m + 0.5 * s->width_m);
            const double gone = ((double)w->now - off) / w->rate, v = a->exit.v;
            return way <= 0.0 || gone * (v > 0.3 ? v : 0.3) > way + 0.5 ? YES : NO;
        }
    }
    return (double)w->now / w->rate - a->exit.t > LONGEST_S ? YES : BY_GEOMETRY;
}

void cut_update(bf_wim *w, bool at_end)
{
    static const double SURE = 4.5, SURE_NO_MORE = 4.0, DOUBTED = 3.0;
    links l;
    /* As long as nothing comes the parsing stays; only that something may still come grows less likely. When it is certain
     * that nothing does, nobody waits for the next look. */
    if (!at_end && !w->train_changed && (w->done & 15) != 0 && complete(w) != YES) return;
    w->train_changed = false;
    while (w->train_count > 0) {
        const completeness done = at_end ? YES : complete(w);
        bool all = done == YES;
        parsing p = parse(w, &l, all, done == BY_GEOMETRY);
        double given_up = CERTAIN;
        if (done == BY_GEOMETRY && p.more > SURE_NO_MORE) {
            all = true;
            given_up = p.more;
            p = parse(w, &l, true, false);
        }
        if (p.first == w->train_count && !all) return;
        /* A boundary that geometry alone gives may move while axles are still coming. */
        const bool settled = p.certain || w->train_count - p.first >= 6 || (w->train_count > p.first && p.doubt > SURE);
        if (!all && !settled && p.first < BF_MAX_AXLES) return;
        /* Either end of it may be in doubt. */
        uint32_t flags = (!p.certain && p.doubt < DOUBTED) || w->last_doubt < DOUBTED ? BF_CUT_UNCERTAIN : 0;
        if (p.headless) flags |= w->gap_at >= 0 ? BF_PARTIAL : BF_CUT_UNCERTAIN;
        if (!p.headless && p.doubt > SURE) mix_learn(&w->mix, w->train, l.s, p.first);
        const double doubt = p.certain ? CERTAIN : fmin(p.doubt, given_up);
        note_distance(w, doubt);
        w->last_doubt = doubt;
        emit(w, p.first, flags);
    }
}
