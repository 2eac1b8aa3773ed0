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

/* From the last axle of a vehicle to the first of the next are both overhangs and the gap: so far where they queue. */
static const double QUEUED_M = 8.0;

/* How much nearer than between two lorries: cars and motorcycles end sooner behind their wheels, and begin later before them. */
static double shorter(double kg, double car_m, double bike_m)
{
    static const double CAR_KG = 2000.0, BIKE_KG = 280.0;
    return kg > CAR_KG ? 0.0 : (kg > BIKE_KG ? car_m : bike_m);
}

static double shorter_behind(const axle_seen *last)
{
    return shorter(last->kg, 0.8, 1.3);
}

static double shorter_before(const axle_seen *first)
{
    return shorter(first->kg, 0.45, 0.95);
}

/* Density of what was seen before axle k, if it is the first of a vehicle that follows at a queue's distance. */
static double follows(const bf_wim *w, int k)
{
    static const double ODD = 0.2, ODD_FROM_M = 1.0, ODD_TO_M = 13.0, REACHES = 4.0;
    const lane_habits *h = &w->cut.habits;
    const distances *r = &w->cut.reaches[k];
    const double mean = h->close_m - shorter_behind(&w->train.at[k - 1]) - shorter_before(&w->train.at[k]);
    const double sigma = sqrt(h->close_var);
    double sum = 0.0;
    for (int i = 0; i < CELLS; ++i) {
        const double z = (NEAREST_M + CELL_M * (i + 0.5) - mean) / sigma;
        if (z < -REACHES) continue;
        if (z > REACHES) break;
        sum += exp(-0.5 * z * z) * (double)(r->upto[i + 1] - r->upto[i]);
    }
    return (1.0 - ODD) * sum / (2.5066283 * sigma) + ODD * reach_within(r, ODD_FROM_M, ODD_TO_M) / (ODD_TO_M - ODD_FROM_M);
}

/* Cost of a boundary before axle k: near, as often as this lane's vehicles follow each other like that, or far, or with a motion
 * of its own. */
static double boundary_cost(const bf_wim *w, int k)
{
    static const double FAR_M = 20.0, FAR_TO_M = 17.0, OWN = 0.01;
    const double share = w->cut.habits.close_share;
    const double far = (reach_within(&w->cut.reaches[k], QUEUED_M, FAR_TO_M) + (double)w->cut.reaches[k].beyond) / FAR_M;
    return -log(share * follows(w, k) + (1.0 - share) * far + OWN) + headway_cost(&w->cut.apart[k], w->train.at[k].entry.v);
}

/* What the loop did between axles k - 1 and k. */
static loop_sign sign_of(const bf_wim *w, int k)
{
    const loop_state *l = main_loop(w);
    if (!l) return LOOP_SILENT;
    const int pa = presence_of(w, l, &w->train.at[k - 1]), pb = presence_of(w, l, &w->train.at[k]);
    if (pa < 0 || pb < 0) return LOOP_SILENT;
    for (int i = pa; i < pb; ++i)
        if (!l->marks[i].shared) return LOOP_FREE;
    return pa == pb ? LOOP_HELD : LOOP_DIPPED;
}

/* The chance that a loop does not let go at a gap between two vehicles whose axles are so far apart: it feels metal some way
 * beyond its wires, and what is between the axles are both overhangs and the gap. */
static double holds_over(const bf_wim *w, const spacing *s)
{
    static const double FEELS_M = 0.35, OVERHANGS_M = 3.2, SPREAD_M = 0.9;
    const double apart = s->hi < HUGE_VAL ? 0.5 * (s->lo + s->hi) : s->lo;
    const double wide = w->array.sensors[main_loop(w)->sensor].s.width_m + 2.0 * FEELS_M;
    const double holds = 0.5 * erfc((apart - OVERHANGS_M - wide) / SPREAD_M * 0.70710678118654752);
    return holds + (1.0 - holds) * w->cut.habits.cut_sign[LOOP_HELD];
}

/* What it costs that axle k is the first of a vehicle, by what the loop did before it: it may hold over a gap, dip, or be free;
 * within a vehicle it mostly holds. */
static double loop_cost(const bf_wim *w, loop_sign sign, int k)
{
    const double *cut = w->cut.habits.cut_sign, *whole = w->cut.habits.whole_sign;
    if (sign == LOOP_SILENT) return 0.0;
    const double holds = holds_over(w, &w->cut.apart[k]), share = cut[LOOP_DIPPED] / (cut[LOOP_DIPPED] + cut[LOOP_FREE]);
    const double at_cut = sign == LOOP_HELD ? holds : (1.0 - holds) * (sign == LOOP_DIPPED ? share : 1.0 - share);
    return log(whole[sign]) - log(at_cut > 1e-4 ? at_cut : 1e-4);
}

/* Learns what the loop does between vehicles and within one, from cuts that were sure. */
static void note_signs(bf_wim *w, int count)
{
    static const double RATE = 0.04, WITHIN_RATE = 0.01, LEAST[LOOP_SIGNS] = {[LOOP_HELD] = 0.002, [LOOP_DIPPED] = 0.002, [LOOP_FREE] = 1e-6};
    lane_habits *h = &w->cut.habits;
    for (int k = 1; k <= count && k < w->train.count; ++k) {
        const loop_sign sign = sign_of(w, k);
        if (sign == LOOP_SILENT) continue;
        double *share = k == count ? h->cut_sign : h->whole_sign;
        const double rate = k == count ? RATE : WITHIN_RATE;
        for (int i = 0; i < LOOP_SIGNS; ++i) {
            share[i] += rate * ((i == (int)sign ? 1.0 : 0.0) - share[i]);
            if (share[i] < LEAST[i]) share[i] = LEAST[i];
        }
    }
}

/* What is found of the first vehicle of the train. */
typedef struct {
    int first;     /* its axles */
    bool headless; /* it has lost its first axles */
    bool certain;  /* the loop, the stream or the distance says where it ends */
    double doubt;  /* log odds that it has these axles */
    double more;   /* how much dearer it would be that the last vehicle has further axles than that it has none */
} parsing;

enum { END = TRAIN + 1 };

/* Costs of boundaries between the axles, what each run of them costs as a vehicle, and the likelihoods of all parsings of
 * the axles before and behind a boundary: minus logs. */
typedef struct {
    axle_row row;
    int count;
    bool apart[END]; /* no vehicle reaches over it */
    double cut[END + 1];
    double whole[END][BF_MAX_AXLES]; /* of [first axle][axles - 1] */
    double headless[BF_MAX_AXLES];   /* of the first axles, if those before them are missing */
    double before[END + 1], behind[END + 1];
} links;

static axle_row row_of(const bf_wim *w)
{
    const axle_row row = {w->train.at, w->cut.apart, w->cut.reaches, &w->cut.mix, &w->cut.habits};
    return row;
}

static void find_links(const bf_wim *w, links *l)
{
    const double longest = longest_spacing(w->train.at, w->train.count);
    l->row = row_of(w);
    l->count = w->train.count;
    l->cut[0] = 0.0;
    for (int k = 1; k < l->count; ++k) {
        const spacing *s = &w->cut.apart[k];
        l->apart[k] = s->lo > longest && spacing_cost(s, 0.0, longest) >= IMPOSSIBLE;
        l->cut[k] = l->apart[k] ? 0.0 : boundary_cost(w, k) + loop_cost(w, sign_of(w, k), k);
    }
}

/* How much it would take that the train begins in the middle of a vehicle: after a gap in the stream little, after a cut that
 * was in doubt more. Infinite where that cannot be. */
static double lost_head(const bf_wim *w)
{
    static const double AFTER_GAP = 0.0, DOUBT = 7.0;
    if (w->cut.gap_at >= 0) return AFTER_GAP;
    return w->cut.last_doubt < DOUBT ? fmax(w->cut.last_doubt, 0.0) : HUGE_VAL;
}

/* `all`: no further axles come. */
static void find_costs(links *l, double head, bool all)
{
    for (int b = 0; b < l->count; ++b) {
        int n = 1;
        for (; n <= BF_MAX_AXLES && b + n <= l->count && (n == 1 || !l->apart[b + n - 1]); ++n) {
            const bool open = !all && b + n == l->count;
            l->whole[b][n - 1] = vehicle_cost(&l->row, b, b + n - 1, open ? OPEN : WHOLE);
            if (b == 0) l->headless[n - 1] = head < HUGE_VAL ? head + vehicle_cost(&l->row, 0, n - 1, open ? HEADLESS_OPEN : HEADLESS) : HUGE_VAL;
        }
        for (; n <= BF_MAX_AXLES; ++n) {
            l->whole[b][n - 1] = HUGE_VAL;
            if (b == 0) l->headless[n - 1] = HUGE_VAL;
        }
    }
}

/* Minus log of the sum of two likelihoods. */
static double both_of(double a, double b)
{
    const double least = fmin(a, b);
    return least < HUGE_VAL ? least - log1p(exp(-fabs(a - b))) : HUGE_VAL;
}

static double run_cost(const links *l, int b, int e)
{
    const double whole = l->whole[b][e - b - 1];
    return b == 0 ? both_of(l->headless[e - 1], whole) : whole;
}

/* Sums over all parsings: of the axles before each boundary, and of those behind it with the boundary itself. */
static void sum_parsings(links *l)
{
    l->before[0] = 0.0;
    for (int e = 1; e <= l->count; ++e) {
        l->before[e] = HUGE_VAL;
        for (int b = e - 1; b >= 0 && e - b <= BF_MAX_AXLES; --b)
            l->before[e] = both_of(l->before[e], l->before[b] + l->cut[b] + run_cost(l, b, e));
    }
    l->behind[l->count] = 0.0;
    for (int b = l->count - 1; b > 0; --b) {
        double sum = HUGE_VAL;
        for (int e = b + 1; e <= l->count && e - b <= BF_MAX_AXLES; ++e) sum = both_of(sum, run_cost(l, b, e) + l->behind[e]);
        l->behind[b] = l->cut[b] + sum;
    }
}

/* How many axles the first vehicle most likely has, and the log odds of that. */
static int first_vehicle(const links *l, double *odds)
{
    static const double CERTAIN_ODDS = 20.0;
    int first = 1;
    double best = HUGE_VAL, others = HUGE_VAL;
    for (int e = 1; e <= l->count && e <= BF_MAX_AXLES; ++e) {
        const double cost = run_cost(l, 0, e) + l->behind[e];
        if (cost < best) {
            others = both_of(others, best);
            best = cost;
            first = e;
        } else {
            others = both_of(others, cost);
        }
    }
    *odds = fmin(others - best, CERTAIN_ODDS);
    return first;
}

/* How much dearer it is that the last vehicle has further axles, which have not come yet, than that it has none. */
static double more_cost(bf_wim *w, links *l)
{
    const int count = w->train.count;
    w->train.at[count] = w->train.at[count - 1];
    w->train.at[count].misfit_m = -1.0;
    w->cut.apart[count] = spacing_ahead(w, &w->train.at[count - 1]);
    if (w->cut.apart[count].lo < longest_spacing(w->train.at, count)) return 0.0; /* it will be seen by driving on */
    spacing_reach(&w->cut.apart[count], &w->cut.reaches[count]);
    double with = HUGE_VAL, without = HUGE_VAL;
    for (int b = count - 1; b >= 0 && count - b < BF_MAX_AXLES; --b) {
        if (b < count - 1 && l->apart[b + 1]) break;
        const double before = l->before[b] + l->cut[b];
        without = both_of(without, before + vehicle_cost(&l->row, b, count - 1, WHOLE));
        with = both_of(with, before + vehicle_cost(&l->row, b, count, AHEAD));
    }
    return with - without;
}

/* `all`: no further axles come. Else, `ahead`: it is asked whether some do. */
static parsing parse(bf_wim *w, links *l, bool all, bool ahead)
{
    find_links(w, l);
    find_costs(l, lost_head(w), all);
    sum_parsings(l);
    parsing found = {0};
    found.first = first_vehicle(l, &found.doubt);
    const int k = found.first;
    found.headless = l->headless[k - 1] < l->whole[0][k - 1];
    found.certain = k < l->count && l->apart[k];
    if (ahead) found.more = more_cost(w, l);
    return found;
}

/* Axles of a weighed vehicle before the first spacing that no vehicle has: its motion is known better now than when it
 * was cut, and the axles behind belong to the next one. Where it may have stood in between, the fit knows no better. */
static int within_reach(const bf_wim *w, const bf_vehicle *v)
{
    const double longest = longest_spacing(w->train.at, v->axle_count) + 1.5;
    for (int i = 1; i < v->axle_count; ++i) {
        if (v->axles[i].position_m - v->axles[i - 1].position_m <= longest) continue;
        const double more = loop_cost(w, sign_of(w, i), i); /* one presence on the loop speaks for one vehicle */
        if (spacing_cost(&w->cut.apart[i], 0.0, longest) > 6.0 + more) return i;
    }
    return v->axle_count;
}

/* Whether what comes first was over the loop when the stream went on after a gap. */
static bool on_loop_since_gap(const bf_wim *w)
{
    static const double AT_ONCE_S = 0.3;
    const loop_state *l = main_loop(w);
    const int mark = l && w->cut.gap_at >= 0 ? presence_of(w, l, &w->train.at[0]) : -1;
    return mark >= 0 && l->marks[mark].on - (double)w->cut.gap_at < AT_ONCE_S * w->array.rate;
}

/* Whether the first vehicle after a gap in the stream, or after its beginning, may have passed with axles in it: one that
 * came by before would be no further ahead than axles of a vehicle are, at the speed seen, or where it started from a stand
 * so near to the array. */
static bool axles_in_gap(const bf_wim *w, double speed_mps)
{
    static const double LONGEST_M = 13.5, NEXT_M = 2.5, PULLS_MPS2 = 0.15;
    const axle_seen *a = &w->train.at[0];
    if (w->cut.gap_at < 0) return false;
    int live = 0;
    while (live < w->array.line_count - 1 && w->array.lines[live].missed_run >= MISS_RUN) ++live;
    if (w->passes.first_line > live) return true; /* that wheel was beyond the first line when the stream began */
    const double span = w->array.lines[w->array.line_count - 1].x - w->array.lines[0].x, ahead = LONGEST_M - span > NEXT_M ? LONGEST_M - span : NEXT_M;
    const double v = a->entry.v, waited = a->entry.t - (double)w->cut.gap_at / w->array.rate;
    if (waited * fmax(v, fabs(speed_mps)) < ahead) return true;
    return a->entry.stood || (a->entry.a > PULLS_MPS2 && 0.5 * v * v / a->entry.a < ahead);
}

/* Whether the first axle of the train follows the last one that left so closely that its vehicle is one of those that
 * drive or stand at the bumper of the one before: within one presence over the loop, nearer than bumpers with a metre between them, or
 * within a second. */
static bool close_behind(const bf_wim *w)
{
    static const double NEAR_M = 4.2, BRIEF_S = 1.0, DRIVING_MPS = 4.0;
    const axle_seen *a = &w->cut.left, *b = &w->train.at[0];
    if (a->seen == 0 || b->lost_before) return false;
    const loop_state *l = main_loop(w);
    if (l) {
        const int pa = presence_of(w, l, a), pb = presence_of(w, l, b);
        if (pa >= 0 && (pa == pb || (l->marks[pa].shared && pb == pa + 1))) return true;
    }
    const spacing s = spacing_of(w, a, b);
    return (s.hi - s.lo < 2.0 && 0.5 * (s.lo + s.hi) < NEAR_M) || (b->entry.v > DRIVING_MPS && b->entry.t - a->entry.t < BRIEF_S);
}

/* Learns how often vehicles follow at a queue's distance, and at which, from two cuts that were sure. */
static void note_distance(bf_wim *w, double doubt)
{
    static const double RATE = 0.04, LEAST = 0.03, VAGUE_M = 6.0, LONG_S = 120.0, SURE = 4.0, EXACT_M = 2.0, LEAST_M = 0.7;
    const axle_seen *a = &w->cut.left, *b = &w->train.at[0];
    lane_habits *h = &w->cut.habits;
    if (a->seen == 0 || fmin(doubt, w->cut.last_doubt) < SURE) return;
    const spacing s = spacing_of(w, a, b);
    const bool close = s.hi < QUEUED_M + 1.0, far = s.lo > QUEUED_M || b->entry.t - a->exit.t > LONG_S;
    if (!far && !(close && s.hi - s.lo < VAGUE_M)) return;
    h->close_share += RATE * ((close ? 1.0 : 0.0) - h->close_share);
    h->close_share = fmin(fmax(h->close_share, LEAST), 1.0 - LEAST);
    if (far || s.hi - s.lo > EXACT_M) return;
    const double off = 0.5 * (s.lo + s.hi) + shorter_behind(a) + shorter_before(b) - h->close_m;
    h->close_m += RATE * off;
    h->close_var += RATE * (fmin(off * off, 9.0 * h->close_var) - h->close_var);
    h->close_var = fmax(h->close_var, LEAST_M * LEAST_M);
}

/* Learns how often vehicles stand while they are over the array. */
static void note_stop(bf_wim *w, int count)
{
    bool stood = false;
    for (int k = 0; k < count; ++k) {
        const axle_seen *a = &w->train.at[k];
        stood = stood || a->entry.stood || a->exit.stood;
        double briefest = HUGE_VAL, longest = 0.0;
        for (int j = 0; j < w->array.line_count; ++j)
            if (a->seen >> j & 1u) {
                briefest = fmin(briefest, a->at[j].end - a->at[j].begin);
                longest = fmax(longest, a->at[j].end - a->at[j].begin);
            }
        if (longest > STANDING_S * w->array.rate && longest > CREEPS * briefest) stood = true;
    }
    w->cut.habits.stop_share += 0.05 * ((stood ? 1.0 : 0.0) - w->cut.habits.stop_share);
    if (w->cut.habits.stop_share < LEAST_STOPS) w->cut.habits.stop_share = LEAST_STOPS;
}

/* Takes axles off the train. */
static void leave_train(bf_wim *w, int from, int count)
{
    for (int i = from; i < from + count; ++i) release_axle(w, &w->train.at[i]);
    const size_t left = (size_t)(w->train.count - from - count);
    memmove(w->train.at + from, w->train.at + from + count, sizeof(axle_seen) * left);
    memmove(w->cut.apart + from, w->cut.apart + from + count, sizeof(spacing) * left);
    memmove(w->cut.reaches + from, w->cut.reaches + from + count, sizeof(distances) * left);
    w->train.count -= count;
}

/* What bears nothing beside the other axles of a vehicle is none: a wheel that turned on a line, a part of one at the edge of a
 * plate. Takes the first such off the train; false where there is none. */
static bool drop_ghost(bf_wim *w, const bf_vehicle *v)
{
    static const double SHARE = 0.03, MOST_KG = 150.0;
    double heaviest = 0.0;
    for (int k = 0; k < v->axle_count; ++k) heaviest = fmax(heaviest, v->axles[k].load_kg);
    for (int k = 0; k < v->axle_count; ++k) {
        if (v->axles[k].load_kg > SHARE * heaviest || v->axles[k].load_kg > MOST_KG) continue;
        leave_train(w, k, 1);
        if (k < w->train.count) train_tie(w, k);
        return true;
    }
    return false;
}

/* False where what was to leave held an axle that is none: it is read anew. */
static bool emit(bf_wim *w, int count, uint32_t flags, double whole)
{
    static const double PARTIAL_WHOLE = 0.5; /* what may have lost an axle */
    if (count > BF_MAX_AXLES) count = BF_MAX_AXLES;
    bf_vehicle *v;
    if (w->out.count == RING) {
        w->out.head = (w->out.head + 1) % RING;
        w->out.count--;
    }
    v = &w->out.at[(w->out.head + w->out.count) % RING];
    memset(v, 0, sizeof *v);
    weigh(w, w->train.at, count, v);
    if (drop_ghost(w, v)) return false;
    const int within = within_reach(w, v);
    if (within < count) {
        count = within;
        memset(v, 0, sizeof *v);
        weigh(w, w->train.at, count, v);
    }
    v->flags |= flags | (close_behind(w) ? BF_TAILGATING : 0u);
    w->cut.left = w->train.at[count - 1];
    note_stop(w, count);
    for (int i = 0; i < count; ++i)
        if (w->train.at[i].came_back) v->flags |= BF_REVERSED;
    const loop_state *l = main_loop(w);
    if (l && w->fit.motion_fitted) {
        const int first = presence_of(w, l, &w->train.at[0]), last = presence_of(w, l, &w->train.at[count - 1]);
        if (first >= 0 && first == last) v->length_m = length_by_loop(w, &w->array.sensors[l->sensor].s, &l->marks[first]);
    }
    const axle_row row = row_of(w);
    apart_settle(&row, v);
    if (v->flags & BF_SPACING_UNCERTAIN) v->length_m = (double)NAN; /* it may have stood: so may its end have */
    v->first_axle_scan += (double)w->stream.lost;
    v->exit_scan += (double)w->stream.lost;
    v->way_from_scan += (double)w->stream.lost;
    const bool since_gap = on_loop_since_gap(w);
    if ((w->cut.broken && count == w->train.count) || since_gap || axles_in_gap(w, v->speed_mps)) v->flags |= BF_PARTIAL;
    v->whole = v->flags & BF_PARTIAL ? fmin(whole, PARTIAL_WHOLE) : whole;
    /* One axle alone is no vehicle, unless a gap in the stream took the others; nor is what weighs less than anything
     * that drives. */
    if ((count >= 2 || (v->flags & BF_PARTIAL)) && v->gross_kg > 40.0) {
        w->out.count++;
        if (!since_gap) w->cut.gap_at = -1; /* there may be more of it */
    }
    leave_train(w, 0, count);
    return true;
}

/* Whether wheels are over the array that are not in the train yet. */
static bool wheels_left(const bf_wim *w)
{
    double heaviest = 0.0;
    for (int i = 0; i < w->train.count; ++i)
        if (w->train.at[i].peak_n > heaviest) heaviest = w->train.at[i].peak_n;
    for (int j = 0; j < w->array.line_count; ++j)
        for (int i = 0; i < w->passes.pending_count[j]; ++i) {
            const pass *p = &w->passes.pending[j][i];
            if (p->peak_n > 0.15 * heaviest || (double)w->stream.now - p->end < 3.0 * w->array.rate) return true;
        }
    for (int i = 0; i < w->array.sensor_count; ++i)
        if (channel_on_since(&w->channels[i]) >= 0) return true;
    return false;
}

typedef enum { NO, YES, BY_GEOMETRY } completeness;

/* Whether the vehicle whose axles are all in the train will get no more. */
static completeness complete(const bf_wim *w)
{
    static const double LONGEST_S = 300.0; /* that a vehicle stands without a wheel on the array */
    if (wheels_left(w)) return NO;
    const axle_seen *a = &w->train.at[w->train.count - 1];
    const loop_state *l = main_loop(w);
    if (l) {
        int p = presence_of(w, l, a);
        if (p >= 0) {
            while (l->marks[p].shared && p + 1 < l->count) ++p; /* a dip lets nobody go */
            const double off = l->marks[p].off;
            if (!(off < HUGE_VAL)) return NO;
            /* A wheel that was behind the loop when it became free must have come by. */
            const bf_sensor *s = &w->array.sensors[l->sensor].s;
            const double way = w->array.lines[w->array.line_count - 1].x - (s->x_m + 0.5 * s->width_m);
            const double gone = ((double)w->stream.now - off) / w->array.rate, v = a->exit.v;
            return way <= 0.0 || gone * (v > 0.3 ? v : 0.3) > way + 0.5 ? YES : NO;
        }
    }
    return (double)w->stream.now / w->array.rate - a->exit.t > LONGEST_S ? YES : BY_GEOMETRY;
}

/* What the lane learns of the first vehicle where it is sure that it is one, and that the one before it was. */
static void learn(bf_wim *w, const links *l, const parsing *p, double doubt)
{
    static const double SURE = 4.5;
    note_distance(w, doubt);
    if (p->headless || p->doubt < SURE) return;
    mix_learn(&w->cut.mix, &l->row, p->first);
    if (w->cut.last_doubt < SURE) return;
    lean_learn(&w->cut.habits, &l->row, p->first);
    print_learn(&w->cut.habits, &l->row, p->first);
    note_signs(w, p->first);
}

/* Whether the best reading is a poor one: a vehicle that is built has a density that grows with its axles. */
static bool odd(const links *l, const parsing *p)
{
    static const double TWO_AXLES = 7.0, AN_AXLE = 1.0;
    return l->whole[0][p->first - 1] > TWO_AXLES - AN_AXLE * (p->first - 2);
}

/* Lets the first vehicle of the train go. */
static void let_go(bf_wim *w, const links *l, const parsing *p, double given_up)
{
    static const double DOUBTED = 4.0;
    const double before = w->cut.last_doubt, doubt = p->certain ? CERTAIN : fmin(p->doubt, given_up);
    /* Either end of it may be in doubt. */
    uint32_t flags = fmin(doubt, before) < DOUBTED || odd(l, p) ? BF_CUT_UNCERTAIN : 0;
    if (p->headless) flags |= w->cut.gap_at >= 0 ? BF_PARTIAL : BF_CUT_UNCERTAIN;
    learn(w, l, p, doubt);
    w->cut.last_doubt = doubt;
    if (!emit(w, p->first, flags, 1.0 / (1.0 + exp(-doubt)) / (1.0 + exp(-before)))) w->cut.last_doubt = before;
}

void cut_update(bf_wim *w, bool at_end)
{
    static const double SETTLED = 4.5, SURE_NO_MORE = 4.0;
    enum { ENOUGH = 8 }; /* axles behind it: more will not change what they say */
    links l;
    /* As long as nothing comes the parsing stays; only that something may still come grows less likely. When it is certain
     * that nothing does, nobody waits for the next look. */
    if (!at_end && !w->train.changed && (w->stream.done & 15) != 0 && complete(w) != YES) return;
    w->train.changed = false;
    while (w->train.count > 0) {
        const completeness done = at_end ? YES : complete(w);
        bool all = done == YES;
        parsing p = parse(w, &l, all, done == BY_GEOMETRY);
        double given_up = CERTAIN;
        if (done == BY_GEOMETRY && p.more > SURE_NO_MORE) {
            all = true;
            given_up = p.more;
            p = parse(w, &l, true, false);
        }
        if (p.first == w->train.count && !all) return;
        /* A boundary that geometry alone gives may move while axles are still coming. */
        const int behind = w->train.count - p.first;
        const bool settled = p.certain || behind >= ENOUGH || (behind > 0 && p.doubt > SETTLED);
        if (!all && !settled && p.first < BF_MAX_AXLES) return;
        let_go(w, &l, &p, given_up);
    }
}
