/* Axles to vehicles: where one vehicle ends and the next begins, by the loop where there is one, and by geometry. */
#include "cut.h"
#include "apart.h"
#include "boundary.h"
#include "crossings.h"
#include "pattern.h"

#include <math.h>
#include <string.h>

static const double IMPOSSIBLE = 12.0; /* a cost */
static const double CERTAIN = 10.0;    /* doubt of a cut that something else than geometry says */
static const double STANDING_S = 2.0; /* on a line, longer than a wheel that rolls */
static const double CREEPS = 4.0;     /* times as long on one line as on another: not by creeping alone */
static const double LEAST_STOPS = 0.05; /* share of vehicles */

static const double FREE_BY_FAULT = 1e-6; /* chance that a loop is free where it cannot be: its cable, its detector */

/* Whether the loop was free after presence i, of a vehicle that drove at `v`: for some time, and while it went some way. A cable or a
 * detector that lets go for a moment is no gap between two vehicles, nor is a dip. */
static bool was_free(const cutter *w, const loop_state *l, int i, double v)
{
    static const double BRIEF_S = 0.1, BRIEF_M = 0.3, CREEP_MPS = 0.3;
    if (l->marks[i].shared) return false;
    if (l->marks[i].lost || i + 1 >= l->count) return true;
    const double free_s = (l->marks[i + 1].on - l->marks[i].off) / w->array->rate;
    return free_s > BRIEF_S && free_s * fmax(v, CREEP_MPS) > BRIEF_M;
}

/* What the loop did between axles k - 1 and k. */
static loop_sign sign_of(const cutter *w, int k)
{
    const loop_state *l = main_loop(w->loops);
    if (!l) return LOOP_SILENT;
    const int pa = presence_of(w->array, l, &w->train->at[k - 1]), pb = presence_of(w->array, l, &w->train->at[k]);
    if (pa < 0 || pb < 0) return LOOP_SILENT;
    for (int i = pa; i < pb; ++i)
        if (was_free(w, l, i, w->train->at[k].entry.v)) return LOOP_FREE;
    return pa == pb ? LOOP_HELD : LOOP_DIPPED;
}

/* The chance that a loop does not let go at a gap between two vehicles whose axles are so far apart: it feels metal some way
 * beyond its wires, and what is between the axles are both overhangs and the gap. */
static double holds_over(const cutter *w, const spacing *s)
{
    static const double FEELS_M = 0.35, OVERHANGS_M = 3.2, SPREAD_M = 0.9;
    const double apart = s->hi < HUGE_VAL ? 0.5 * (s->lo + s->hi) : s->lo;
    const double wide = w->array->sensors[main_loop(w->loops)->sensor].s.width_m + 2.0 * FEELS_M;
    const double holds = 0.5 * erfc((apart - OVERHANGS_M - wide) / SPREAD_M * 0.70710678118654752);
    return holds + (1.0 - holds) * w->habits.cut_sign[LOOP_HELD];
}

/* What it costs that axle k is the first of a vehicle, by what the loop did before it: it may hold over a gap, dip, or be free;
 * within a vehicle it mostly holds. */
static double loop_cost(const cutter *w, loop_sign sign, int k)
{
    const double *cut = w->habits.cut_sign, *whole = w->habits.whole_sign;
    if (sign == LOOP_SILENT) return 0.0;
    const double holds = holds_over(w, &w->apart[k]), share = cut[LOOP_DIPPED] / (cut[LOOP_DIPPED] + cut[LOOP_FREE]);
    const double at_cut = sign == LOOP_HELD ? holds : (1.0 - holds) * (sign == LOOP_DIPPED ? share : 1.0 - share);
    const double fault = sign == LOOP_FREE ? FREE_BY_FAULT : 1e-4; /* free between two axles that are nearer than the loop is long */
    return log(whole[sign]) - log(at_cut > fault ? at_cut : fault);
}

/* Learns what the loop does between vehicles and within one, from cuts that were sure. */
static void note_signs(cutter *w, int count, double weight)
{
    static const double RATE = 0.04, WITHIN_RATE = 0.01, LEAST[LOOP_SIGNS] = {[LOOP_HELD] = 0.002, [LOOP_DIPPED] = 0.002, [LOOP_FREE] = FREE_BY_FAULT};
    lane_habits *h = &w->habits;
    for (int k = 1; k <= count && k < w->train->count; ++k) {
        const loop_sign sign = sign_of(w, k);
        if (sign == LOOP_SILENT) continue;
        double *share = k == count ? h->cut_sign : h->whole_sign;
        const double rate = weight * (k == count ? RATE : WITHIN_RATE);
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

static axle_row row_of(const cutter *w)
{
    const axle_row row = {w->train->at, w->apart, w->reaches, &w->mix, &w->habits};
    return row;
}

static double known_boundary(run_costs *known, const axle_row *row, int k)
{
    double *cost = &known->boundary[k];
    if (isnan(*cost)) *cost = boundary_cost(row, k);
    return *cost;
}

static void find_links(cutter *w, links *l)
{
    const double longest = longest_spacing(w->train->at, w->train->count);
    l->row = row_of(w);
    l->count = w->train->count;
    l->cut[0] = 0.0;
    for (int k = 1; k < l->count; ++k) {
        const spacing *s = &w->apart[k];
        l->apart[k] = s->lo > longest && spacing_cost(s, 0.0, longest) >= IMPOSSIBLE;
        l->cut[k] = l->apart[k] ? 0.0 : known_boundary(&w->costs, &l->row, k) + loop_cost(w, sign_of(w, k), k);
    }
}

/* How much it would take that the train begins in the middle of a vehicle: after a gap in the stream little, after a cut that
 * was in doubt more. Infinite where that cannot be. */
static double lost_head(const cutter *w)
{
    static const double AFTER_GAP = 0.0, DOUBT = 7.0;
    if (w->gap_at >= 0) return AFTER_GAP;
    return w->last_doubt < DOUBT ? fmax(w->last_doubt, 0.0) : HUGE_VAL;
}

/* Of axles b .. b + n - 1 as one vehicle, to which more may come. */
static double cost_of(run_costs *known, const axle_row *row, int b, int n, bool open)
{
    double *cost = &known->as_vehicle[open][b][n - 1];
    if (isnan(*cost)) *cost = vehicle_cost(row, b, b + n - 1, open ? OPEN : WHOLE);
    return *cost;
}

static double headless_cost(run_costs *known, const axle_row *row, int n, bool open)
{
    double *cost = &known->headless[open][n - 1];
    if (isnan(*cost)) *cost = vehicle_cost(row, 0, n - 1, open ? HEADLESS_OPEN : HEADLESS);
    return *cost;
}

/* The first `count` axles of the train are other ones now, or the lane has learned. */
static void forget_costs(run_costs *known, int count)
{
    for (int b = 0; b < count; ++b) known->boundary[b] = (double)NAN;
    for (int open = 0; open < 2; ++open)
        for (int n = 0; n < BF_MAX_AXLES; ++n) {
            known->headless[open][n] = (double)NAN;
            for (int b = 0; b < count; ++b) known->as_vehicle[open][b][n] = (double)NAN;
        }
}

/* `all`: no further axles come. */
static void find_costs(links *l, run_costs *known, double head, bool all)
{
    for (int b = 0; b < l->count; ++b) {
        int n = 1;
        for (; n <= BF_MAX_AXLES && b + n <= l->count && (n == 1 || !l->apart[b + n - 1]); ++n) {
            const bool open = !all && b + n == l->count;
            l->whole[b][n - 1] = cost_of(known, &l->row, b, n, open);
            if (b == 0) l->headless[n - 1] = head < HUGE_VAL ? head + headless_cost(known, &l->row, n, open) : HUGE_VAL;
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
static double more_cost(cutter *w, links *l)
{
    const int count = w->train->count;
    w->train->at[count] = w->train->at[count - 1];
    w->train->at[count].misfit_m = -1.0;
    w->apart[count] = spacing_ahead(w->array, w->habits.stop_share, (double)w->stream->now / w->array->rate, &w->train->at[count - 1]);
    if (w->apart[count].lo < longest_spacing(w->train->at, count)) return 0.0; /* it will be seen by driving on */
    spacing_reach(&w->apart[count], &w->reaches[count]);
    double with = HUGE_VAL, without = HUGE_VAL;
    for (int b = count - 1; b >= 0 && count - b < BF_MAX_AXLES; --b) {
        if (b < count - 1 && l->apart[b + 1]) break;
        const double before = l->before[b] + l->cut[b];
        without = both_of(without, before + cost_of(&w->costs, &l->row, b, count - b, false));
        with = both_of(with, before + vehicle_cost(&l->row, b, count, AHEAD));
    }
    return with - without;
}

/* `all`: no further axles come. Else, `ahead`: it is asked whether some do. */
static parsing parse(cutter *w, links *l, bool all, bool ahead)
{
    find_links(w, l);
    find_costs(l, &w->costs, lost_head(w), all);
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
static int within_reach(const cutter *w, const bf_vehicle *v)
{
    const double longest = longest_spacing(w->train->at, v->axle_count) + 1.5;
    for (int i = 1; i < v->axle_count; ++i) {
        if (v->axles[i].position_m - v->axles[i - 1].position_m <= longest) continue;
        const double more = loop_cost(w, sign_of(w, i), i); /* one presence on the loop speaks for one vehicle */
        if (spacing_cost(&w->apart[i], 0.0, longest) > 6.0 + more) return i;
    }
    return v->axle_count;
}

/* Whether what comes first was over the loop when the stream went on after a gap. */
static bool on_loop_since_gap(const cutter *w)
{
    static const double AT_ONCE_S = 0.3;
    const loop_state *l = main_loop(w->loops);
    const int mark = l && w->gap_at >= 0 ? presence_of(w->array, l, &w->train->at[0]) : -1;
    return mark >= 0 && l->marks[mark].on - (double)w->gap_at < AT_ONCE_S * w->array->rate;
}

/* Whether the first vehicle after a gap in the stream, or after its beginning, may have passed with axles in it: one that
 * came by before would be no further ahead than axles of a vehicle are, at the speed seen, or where it started from a stand
 * so near to the array. */
static bool axles_in_gap(const cutter *w, double speed_mps)
{
    static const double LONGEST_M = 13.5, NEXT_M = 2.5, PULLS_MPS2 = 0.15;
    const axle_seen *a = &w->train->at[0];
    if (w->gap_at < 0) return false;
    int live = 0;
    while (live < w->array->line_count - 1 && w->array->lines[live].missed_run >= MISS_RUN) ++live;
    if (train_first_line(w->axles) > live) return true; /* that wheel was beyond the first line when the stream began */
    const double span = w->array->lines[w->array->line_count - 1].x - w->array->lines[0].x, ahead = LONGEST_M - span > NEXT_M ? LONGEST_M - span : NEXT_M;
    const double v = a->entry.v, waited = a->entry.t - (double)w->gap_at / w->array->rate;
    if (waited * fmax(v, fabs(speed_mps)) < ahead) return true;
    return a->entry.stood || (a->entry.a > PULLS_MPS2 && 0.5 * v * v / a->entry.a < ahead);
}

/* Whether the first axle of the train follows the last one that left so closely that its vehicle is one of those that
 * drive or stand at the bumper of the one before: within one presence over the loop, nearer than bumpers with a metre between them, or
 * within a second. */
static bool close_behind(const cutter *w)
{
    static const double NEAR_M = 4.2, BRIEF_S = 1.0, DRIVING_MPS = 4.0;
    const axle_seen *a = &w->left, *b = &w->train->at[0];
    if (a->seen == 0 || b->lost_before) return false;
    const loop_state *l = main_loop(w->loops);
    if (l) {
        const int pa = presence_of(w->array, l, a), pb = presence_of(w->array, l, b);
        if (pa >= 0 && (pa == pb || (l->marks[pa].shared && pb == pa + 1))) return true;
    }
    const spacing s = spacing_of(w->array, w->habits.stop_share, a, b);
    return (s.hi - s.lo < 2.0 && 0.5 * (s.lo + s.hi) < NEAR_M) || (b->entry.v > DRIVING_MPS && b->entry.t - a->entry.t < BRIEF_S);
}

/* Learns how often vehicles stand while they are over the array. */
static void note_stop(cutter *w, int count)
{
    bool stood = false;
    for (int k = 0; k < count; ++k) {
        const axle_seen *a = &w->train->at[k];
        stood = stood || a->entry.stood || a->exit.stood;
        double briefest = HUGE_VAL, longest = 0.0;
        for (int j = 0; j < w->array->line_count; ++j)
            if (a->seen >> j & 1u) {
                briefest = fmin(briefest, a->at[j].end - a->at[j].begin);
                longest = fmax(longest, a->at[j].end - a->at[j].begin);
            }
        if (longest > STANDING_S * w->array->rate && longest > CREEPS * briefest) stood = true;
    }
    w->habits.stop_share += 0.05 * ((stood ? 1.0 : 0.0) - w->habits.stop_share);
    if (w->habits.stop_share < LEAST_STOPS) w->habits.stop_share = LEAST_STOPS;
}

/* Whether an axle was on the array already when the stream began or went on after a gap: its first crossings are missing,
 * or one of them was under way. */
static bool came_unseen(const cutter *w, const axle_seen *a)
{
    static const double AT_ONCE_S = 0.1;
    if (w->gap_at < 0) return false;
    int first = 0, live = 0;
    while (!(a->seen >> first & 1u)) ++first;
    while (live < first && w->array->lines[live].missed_run >= MISS_RUN) ++live;
    return first > live || a->at[first].begin - (double)w->gap_at < AT_ONCE_S * w->array->rate;
}

/* What axle k of the train and the one before it say of their motion and their distance. */
static void tie(cutter *w, int k)
{
    axle_seen *a = &w->train->at[k];
    a->misfit_m = -1.0;
    a->apart_m = a->apart_sigma_m = (double)NAN;
    a->crept = false;
    if (k == 0) return;
    const joint_motion both = joint_fit(w->fit, a - 1);
    a->misfit_m = both.misfit_m;
    a->apart_m = both.apart_m;
    a->apart_sigma_m = both.apart_sigma_m;
    a->crept = both.crept;
    w->apart[k] = spacing_of(w->array, w->habits.stop_share, a - 1, a);
    spacing_reach(&w->apart[k], &w->reaches[k]);
}

/* Axles that have come into the train since it was looked at. */
static void meet(cutter *w)
{
    for (; w->tied < w->train->count; ++w->tied) {
        w->train->at[w->tied].lost_before = came_unseen(w, &w->train->at[w->tied]);
        tie(w, w->tied);
    }
}

/* Takes axles off the train. */
static void leave_train(cutter *w, int from, int count)
{
    forget_costs(&w->costs, w->train->count);
    for (int i = from; i < from + count; ++i) release_axle(w->prints, &w->train->at[i]);
    const size_t left = (size_t)(w->train->count - from - count);
    memmove(w->train->at + from, w->train->at + from + count, sizeof(axle_seen) * left);
    memmove(w->apart + from, w->apart + from + count, sizeof(spacing) * left);
    memmove(w->reaches + from, w->reaches + from + count, sizeof(distances) * left);
    w->train->count -= count;
    w->tied -= count;
}

/* What bears nothing beside the other axles of a vehicle is none: a wheel that turned on a line, a part of one at the edge of a
 * plate. Takes the first such off the train; false where there is none. */
static bool drop_ghost(cutter *w, const bf_vehicle *v)
{
    static const double SHARE = 0.03, MOST_KG = 150.0;
    double heaviest = 0.0;
    for (int k = 0; k < v->axle_count; ++k) heaviest = fmax(heaviest, v->axles[k].load_kg);
    for (int k = 0; k < v->axle_count; ++k) {
        if (v->axles[k].load_kg > SHARE * heaviest || v->axles[k].load_kg > MOST_KG) continue;
        leave_train(w, k, 1);
        if (k < w->train->count) tie(w, k);
        return true;
    }
    return false;
}

/* Room for one more vehicle; the oldest goes where nobody takes them. */
static bf_vehicle *next_room(vehicle_ring *out)
{
    if (out->count == RING) {
        out->head = (out->head + 1) % RING;
        out->count--;
    }
    return &out->at[(out->head + out->count) % RING];
}

static void weigh_first(const cutter *w, int count, bf_vehicle *v)
{
    memset(v, 0, sizeof *v);
    weigh(w->weigher, w->train->at, count, v);
}

/* Its length, where all its axles were over the loop in one presence, nobody else's were, and it is longer than from its first axle to
 * its last by what stands out at both ends. */
static double length_of(const cutter *w, int count, const bf_vehicle *v)
{
    static const double STANDS_OUT_M = 10.0;
    const loop_state *l = main_loop(w->loops);
    if (!l || !w->fit->motion_fitted) return (double)NAN;
    const int first = presence_of(w->array, l, &w->train->at[0]), last = presence_of(w->array, l, &w->train->at[count - 1]);
    const axle_seen *before = w->left.seen ? &w->left : NULL, *behind = count < w->train->count ? &w->train->at[count] : NULL;
    if (first < 0 || first != last) return (double)NAN;
    if (before && presence_of(w->array, l, before) == first) return (double)NAN;
    if (behind && presence_of(w->array, l, behind) == first) return (double)NAN;
    const double length_m = length_by_loop(w->weigher, &w->array->sensors[l->sensor].s, &l->marks[first]);
    const double between_m = v->axles[v->axle_count - 1].position_m;
    return length_m > between_m && length_m < between_m + STANDS_OUT_M ? length_m : (double)NAN;
}

/* What its axles, the vehicle before it and the sensors say of it. */
static uint32_t flags_of(const cutter *w, int count)
{
    uint32_t flags = (close_behind(w) ? BF_TAILGATING : 0u) | (train_at_fault(w->axles) ? BF_SENSOR_FAULT : 0u);
    for (int i = 0; i < count; ++i)
        if (w->train->at[i].came_back) flags |= BF_REVERSED;
    return flags;
}

static void to_stream_time(bf_vehicle *v, int64_t lost)
{
    v->first_axle_scan += (double)lost;
    v->exit_scan += (double)lost;
    v->way_from_scan += (double)lost;
}

/* False where what was to leave held an axle that is none: it is read anew. */
static bool emit(cutter *w, int count, uint32_t flags, double whole)
{
    static const double PARTIAL_WHOLE = 0.5, LEAST_KG = 40.0; /* of what may have lost an axle; what drives weighs more */
    if (count > BF_MAX_AXLES) count = BF_MAX_AXLES;
    bf_vehicle *v = next_room(w->out);
    weigh_first(w, count, v);
    if (drop_ghost(w, v)) return false;
    const int within = within_reach(w, v);
    if (within < count) {
        count = within;
        weigh_first(w, count, v);
    }
    v->flags |= flags | flags_of(w, count);
    v->length_m = length_of(w, count, v);
    w->left = w->train->at[count - 1];
    note_stop(w, count);
    const axle_row row = row_of(w);
    apart_settle(&row, v);
    if (v->flags & BF_SPACING_UNCERTAIN) v->length_m = (double)NAN; /* it may have stood: so may its end have */
    const bool since_gap = on_loop_since_gap(w);
    if ((w->broken && count == w->train->count) || since_gap || axles_in_gap(w, v->speed_mps)) v->flags |= BF_PARTIAL;
    v->whole = v->flags & BF_PARTIAL ? fmin(whole, PARTIAL_WHOLE) : whole;
    to_stream_time(v, w->stream->lost);
    /* One axle alone is no vehicle, unless a gap in the stream took the others. */
    if ((count >= 2 || (v->flags & BF_PARTIAL)) && v->gross_kg > LEAST_KG) {
        w->out->count++;
        if (!since_gap) w->gap_at = -1; /* there may be more of it */
    }
    leave_train(w, 0, count);
    return true;
}

typedef enum { NO, YES, BY_GEOMETRY } completeness;

/* Whether the vehicle whose axles are all in the train will get no more. */
static completeness complete(const cutter *w)
{
    static const double LONGEST_S = 300.0; /* that a vehicle stands without a wheel on the array */
    if (train_awaits(w->axles)) return NO;
    const axle_seen *a = &w->train->at[w->train->count - 1];
    const loop_state *l = main_loop(w->loops);
    if (l) {
        int p = presence_of(w->array, l, a);
        if (p >= 0) {
            while (p + 1 < l->count && !was_free(w, l, p, a->exit.v)) ++p; /* a dip lets nobody go */
            const double off = l->marks[p].off;
            if (!(off < HUGE_VAL)) return NO;
            /* A wheel that was behind the loop when it became free must have come by. */
            const bf_sensor *s = &w->array->sensors[l->sensor].s;
            const double way = w->array->lines[w->array->line_count - 1].x - (s->x_m + 0.5 * s->width_m);
            const double gone = ((double)w->stream->now - off) / w->array->rate, v = a->exit.v;
            return way <= 0.0 || gone * (v > 0.3 ? v : 0.3) > way + 0.5 ? YES : NO;
        }
    }
    return (double)w->stream->now / w->array->rate - a->exit.t > LONGEST_S ? YES : BY_GEOMETRY;
}

/* Learns how the vehicle that is first follows the one that left last, where nothing was behind that when it left. */
static void learn_gap(cutter *w, double weight)
{
    if (w->left.seen == 0 || !w->left_alone) return;
    const axle_seen *first = &w->train->at[0];
    const spacing s = spacing_of(w->array, w->habits.stop_share, &w->left, first);
    boundary_learn(&w->habits, &w->left, first, &s, weight);
}

/* What the lane learns of the first vehicle, and of where it ends: from each reading with its probability, as those that are sure
 * are not like the others. `all`: no further axles come. */
static void learn(cutter *w, const links *l, bool all)
{
    static const double LEAST = 0.02;
    const double begins = 1.0 / (1.0 + exp(-w->last_doubt));
    double sum = HUGE_VAL;
    for (int e = 1; e <= l->count && e <= BF_MAX_AXLES; ++e) sum = both_of(sum, run_cost(l, 0, e) + l->behind[e]);
    learn_gap(w, begins);
    for (int e = 1; e <= l->count && e <= BF_MAX_AXLES; ++e) {
        const double weight = begins * exp(sum - l->whole[0][e - 1] - l->behind[e]);
        if (!(weight > LEAST) || (e == l->count && !all)) continue;
        mix_learn(&w->mix, &l->row, e, weight);
        lean_learn(&w->habits, &l->row, e, weight);
        print_learn(&w->habits, &l->row, e, weight);
        note_signs(w, e, weight);
        if (e < l->count) boundary_learn(&w->habits, &w->train->at[e - 1], &w->train->at[e], &w->apart[e], weight);
    }
}

/* Whether the best reading is a poor one: a vehicle that is built has a density that grows with its axles. */
static bool odd(const links *l, const parsing *p)
{
    static const double TWO_AXLES = 7.0, AN_AXLE = 1.0;
    return l->whole[0][p->first - 1] > TWO_AXLES - AN_AXLE * (p->first - 2);
}

/* Lets the first vehicle of the train go. */
static void let_go(cutter *w, const links *l, const parsing *p, double given_up, bool all)
{
    static const double DOUBTED = 4.0;
    const double before = w->last_doubt, doubt = p->certain ? CERTAIN : fmin(p->doubt, given_up);
    /* Either end of it may be in doubt. */
    uint32_t flags = fmin(doubt, before) < DOUBTED || odd(l, p) ? BF_CUT_UNCERTAIN : 0;
    if (p->headless) flags |= w->gap_at >= 0 ? BF_PARTIAL : BF_CUT_UNCERTAIN;
    learn(w, l, all);
    w->left_alone = p->first == w->train->count;
    w->last_doubt = doubt;
    if (!emit(w, p->first, flags, 1.0 / (1.0 + exp(-doubt)) / (1.0 + exp(-before)))) w->last_doubt = before;
}

void cut_update(cutter *w, bool at_end)
{
    static const double SETTLED = 4.5, SURE_NO_MORE = 4.0;
    enum { ENOUGH = 8 }; /* axles behind it: more will not change what they say */
    links l;
    /* As long as nothing comes the parsing stays; only that something may still come grows less likely. When it is certain
     * that nothing does, nobody waits for the next look. */
    if (!at_end && !w->train->changed && (w->stream->done & 15) != 0 && complete(w) != YES) return;
    meet(w);
    w->train->changed = false;
    while (w->train->count > 0) {
        const completeness done = at_end ? YES : complete(w);
        bool all = done == YES;
        parsing p = parse(w, &l, all, done == BY_GEOMETRY);
        double given_up = CERTAIN;
        if (done == BY_GEOMETRY && p.more > SURE_NO_MORE) {
            all = true;
            given_up = p.more;
            p = parse(w, &l, true, false);
        }
        if (p.first == w->train->count && !all) return;
        /* A boundary that geometry alone gives may move while axles are still coming. */
        const int behind = w->train->count - p.first;
        const bool settled = p.certain || behind >= ENOUGH || (behind > 0 && p.doubt > SETTLED);
        if (!all && !settled && p.first < BF_MAX_AXLES) return;
        let_go(w, &l, &p, given_up, all);
    }
}

void cut_init(cutter *w)
{
    forget_costs(&w->costs, TRAIN + 1);
    w->gap_at = 0; /* before the first sample as after a gap: what stood on the array was not seen to come */
    w->last_doubt = 10.0;
    w->habits = (lane_habits){
        .left = 0.5, .left_between = 0.016 * 0.016, .left_within = 0.01 * 0.01, .steered = {(double)NAN}, .other = {(double)NAN},
        .close_m = 5.0, .close_var = 1.5 * 1.5, .close_share = 0.4, .stop_share = 0.3,
        .cut_sign = {[LOOP_HELD] = 0.002, [LOOP_DIPPED] = 0.3, [LOOP_FREE] = 0.7},
        .whole_sign = {[LOOP_HELD] = 0.9, [LOOP_DIPPED] = 0.1, [LOOP_FREE] = FREE_BY_FAULT},
    };
}
