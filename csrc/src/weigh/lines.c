/* Sides and lines to axles: which halves belong together, which line is not to be believed, and the sigmas. See lines.h. */
#include "lines.h"
#include "blend.h"

#include <math.h>
#include <string.h>

/* What four lines tell of a bounce is little: its part of the variance is taken so much larger. Measured with
 * tests/accuracy over several roads of one class, each of which sits under the array for good. */
static const double BOUNCE_DOUBT = 1.5;
/* Springs of a group hang in their friction: what one of its axles bears too much the other one lacks. That is left
 * behind by the same movements that the lines see as scatter, so it is taken in proportion to it. */
static const double STUCK = 0.5, STUCK_MOST = 0.012, STUCK_ALONE = 0.3;
static const double CANCELS = 0.4; /* what is left of it in the gross weight */
/* A gain is no better known than calibration leaves it: ten passes, of which a line weighs each within 1.6 % on the best of sites
 * (COST 323, class A(5)), leave 0.5 %. Lines that are calibrated alike err apart; all vehicles err together. */
static const double LINE_GAIN = 0.005;
/* Both sides of a vehicle bear about the same: cargo and the fall of the road shift a few per cent. More than that, over
 * all axles, and the wheels of one side run beside the strips or half on them. A wheel of less may be a motorcycle's, which
 * has no other side. */
static const double LEANS = 0.08, AXLE_LEANS = 0.22, ONE_TRACK_KG = 350.0;
/* Of the difference of the sides, for sides that do differ. */
static const double LOST = 1.25;
static const double SATURATED_VAR = 0.25; /* a load that was cut off */
/* A half-axle's load with the other half from the usual share. */
static const double HALF = 0.02;

static bool stands_on(const weigher *w, const footprint *f)
{
    return f->still_to - f->still_from > 1.0 * w->array->rate;
}

/* What is known of the accelerations while an axle was weighed, for their mean over the lines: a functional of the motion, and
 * the doubt of how springs answer. */
typedef struct {
    double f[MOTION_MAX_COEFFS], doubt;
} pull_mean;

/* Accelerations while the axle was weighed at a line: at the flanks, and in the middle unless it stood there. Adds it, times
 * `weight`, to the mean. */
static void pull_at(const weigher *w, const pass *p, double weight, double pull[PULLS], pull_mean *mean)
{
    double doubt;
    pull[0] = pull[1] = 0.0;
    if (!w->fit->motion_fitted) return;
    const footprint *f = p->prints[p->count - 1];
    const double at[3] = {f->rise[LEVELS / 2], f->fall[LEVELS / 2 - 1], p->mid};
    double t[3];
    for (int i = 0; i < 3; ++i) t[i] = at[i] / w->array->rate - w->fit->motion_t0;
    const int n = stands_on(w, f) ? 2 : 3;
    transfer_pull(&w->fit->motion, t, n, pull, &doubt);
    for (int i = 0; i < n; ++i) motion_add_acceleration(&w->fit->motion, t[i], weight / n, mean->f);
    mean->doubt += weight * doubt;
}

static double pull_sigma(const weigher *w, const pull_mean *mean)
{
    /* The levels of a print err together, and both halves of a line: the motion's own sigma is half of what is found against
     * simulated drivers. */
    static const double TOGETHER = 2.0;
    return hypot(TOGETHER * motion_sigma(&w->fit->motion, mean->f), mean->doubt);
}

/* Side by side: what the left side weighs of both, or -1. */
static double left_share(const weigher *w, side_load loads[BF_MAX_LINES][SIDES])
{
    double left = 0.0, both = 0.0;
    for (int j = 0; j < w->array->line_count; ++j) {
        const double l = loads[j][SIDE_LEFT].load_kg, r = loads[j][SIDE_RIGHT].load_kg;
        if (l > 0.0 && r > 0.0 && !loads[j][SIDE_LEFT].saturated && !loads[j][SIDE_RIGHT].saturated) {
            left += l;
            both += l + r;
        }
    }
    return both > 0.0 ? left / both : -1.0;
}

/* What one line says of both sides of an axle. */
typedef struct {
    double kg, variance;
    bool cut_off;
    bool one_half;   /* from what the other one usually bears */
    bool right_only; /* the load is that of its right side: what the left one usually bears is not known */
} line_load;

/* Both halves were there. */
static line_load from_both(const side_load *l, const side_load *r, bool cut_off)
{
    const double kg = l->load_kg + r->load_kg, p = l->load_kg / kg, q = r->load_kg / kg;
    /* The motion's part of the error is the same for both, the noise is not: between the two. */
    return (line_load){.kg = kg, .variance = 0.7 * (p * l->variance + q * r->variance), .cut_off = cut_off};
}

/* One half was there, or is whole where the other one is cut off. */
static line_load from_half(const side_load *half, double part, bool known, bool right)
{
    if (known) return (line_load){.kg = half->load_kg / part, .variance = half->variance + HALF * HALF, .cut_off = half->saturated, .one_half = true};
    return (line_load){.kg = half->load_kg, .variance = half->variance, .cut_off = half->saturated, .right_only = right};
}

/* `share`: what the left side weighs of both; negative where that is not known. */
static line_load load_at(const side_load at[SIDES], double share)
{
    const side_load *l = &at[SIDE_LEFT], *r = &at[SIDE_RIGHT], *f = &at[SIDE_FULL];
    const bool left = l->load_kg > 0.0, right = r->load_kg > 0.0;
    /* What one half tells of both: not much where it is the lesser one by far. */
    const bool by_left = left && !(l->saturated && right);
    const double part = by_left ? share : 1.0 - share;
    const bool known = share >= 0.0 && part > 0.05;
    if (known && left && right && l->saturated != r->saturated) {
        line_load whole = from_half(by_left ? l : r, part, true, false);
        whole.one_half = false;
        return whole;
    }
    const bool cut_off = l->saturated || r->saturated || f->saturated;
    if (f->load_kg > 0.0) return (line_load){.kg = f->load_kg, .variance = f->variance, .cut_off = cut_off};
    if (left && right) return from_both(l, r, cut_off);
    line_load half = from_half(left ? l : r, part, known && (left || right), right);
    half.cut_off = cut_off;
    return half;
}

/* One axle as a series over the lines; [1] is used where its sides never meet at one line. True where a half is missing. */
static bool make_series(const weigher *w, const axle_seen *a, side_load loads[BF_MAX_LINES][SIDES], double share,
                        series path[2])
{
    bool lacks_half = false;
    pull_mean mean = {{0.0}, 0.0};
    const int lines = support(a->seen);
    for (int j = 0; j < w->array->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        const line_load here = load_at(loads[j], share);
        if (!(here.kg > 0.0)) continue;
        if (here.one_half && w->array->lines[j].count > 1 && here.kg > ONE_TRACK_KG) lacks_half = true;
        series *to = &path[here.right_only ? 1 : 0];
        to->kg[to->n] = here.kg;
        to->variance[to->n] = here.variance + (here.cut_off ? SATURATED_VAR : 0.0);
        to->t[to->n] = a->at[j].mid / w->array->rate;
        pull_at(w, &a->at[j], 1.0 / lines, to->pull[to->n], &mean);
        to->n++;
    }
    path[0].pull_sigma = path[1].pull_sigma = w->fit->motion_fitted ? pull_sigma(w, &mean) : 0.0;
    if (path[0].n > 0 && path[1].n > 0) path[0].part = path[1].part = 0.5;
    return lacks_half;
}

/* Channels keep their numbers; what the table says of the two sensors is exchanged. */
static void swap_halves(weigher *w, line_info *l)
{
    sensor_info *a = &w->array->sensors[l->sensors[0]], *b = &w->array->sensors[l->sensors[1]];
    const sensor_info was = *a;
    *a = *b;
    *b = was;
    const int32_t channel_a = b->s.channel, channel_b = a->s.channel;
    a->s.channel = channel_a;
    b->s.channel = channel_b;
    l->swapped = !l->swapped;
}

/* Loads are seldom even: where the left half of one line sees, axle after axle, what the others see on the right, its two
 * cables are exchanged. Three lines are needed to tell which. From the next vehicle on they are read the right way. */
static void watch_halves(weigher *w, side_load loads[BF_MAX_AXLES][BF_MAX_LINES][SIDES], int count)
{
    static const double MEMORY = 200.0, ENOUGH = 24.0, UNEVEN = 0.006, MIRRORED = -0.85;
    for (int j = 0; j < w->array->line_count; ++j) {
        line_info *l = &w->array->lines[j];
        if (l->count != 2 || w->array->sensors[l->sensors[0]].side == SIDE_FULL || w->array->sensors[l->sensors[1]].side == SIDE_FULL) continue;
        for (int k = 0; k < count; ++k) {
            double others = 0.0, n = 0.0;
            for (int q = 0; q < w->array->line_count; ++q) {
                const double left = loads[k][q][SIDE_LEFT].load_kg, right = loads[k][q][SIDE_RIGHT].load_kg;
                if (q == j || !(left > 0.0) || !(right > 0.0)) continue;
                others += left / (left + right) - 0.5;
                n += 1.0;
            }
            const double left = loads[k][j][SIDE_LEFT].load_kg, right = loads[k][j][SIDE_RIGHT].load_kg;
            if (n < 2.0 || !(left > 0.0) || !(right > 0.0)) continue;
            const double x = others / n, y = left / (left + right) - 0.5, fade = 1.0 - 1.0 / MEMORY;
            if (fabs(x) > 0.2 || fabs(y) > 0.2) continue; /* beside the strip */
            l->xx = fade * l->xx + x * x;
            l->xy = fade * l->xy + x * y;
            l->yy = fade * l->yy + y * y;
            l->shares = fade * l->shares + 1.0;
        }
        if (l->shares < ENOUGH || l->xx < UNEVEN * UNEVEN * l->shares || l->xy > MIRRORED * sqrt(l->xx * l->yy)) continue;
        swap_halves(w, l);
        l->xx = l->xy = l->yy = l->shares = 0.0;
    }
}

/* How far from the middle the sides of the vehicle share its weight, over all axles whose sides are known. */
static double leaning(const double *share, const double *kg, int count)
{
    double left = 0.0, sum = 0.0, heaviest = 0.0;
    for (int k = 0; k < count; ++k) {
        if (kg[k] > heaviest) heaviest = kg[k];
        if (share[k] < 0.0) continue;
        left += share[k] * kg[k];
        sum += kg[k];
    }
    return sum > 0.0 && heaviest > ONE_TRACK_KG ? left / sum - 0.5 : 0.0;
}

/* Whether a line is off on every axle, and by more than the road does: a vehicle that bounces makes every line disagree,
 * and to believe the nearest ones then would only pick a phase. A gain that is wrong is so for vehicle after vehicle. */
static bool doubt_line(weigher *w, const axle_seen *axles, int count, series path[BF_MAX_AXLES][2])
{
    static const double LEAST = 0.06, SURE = 4.0, FAR = 0.25, STEADY = 2.5, FEW = 6.0, MEMORY = 30.0;
    bool any = false;
    if (w->array->line_count < 3) return false;
    for (int j = 0; j < w->array->line_count; ++j) {
        double each[BF_MAX_AXLES], spread[BF_MAX_AXLES];
        int index[BF_MAX_AXLES], n = 0;
        for (int k = 0; k < count; ++k) {
            const series *s = &path[k][0];
            int i = 0;
            for (int q = 0; q < j; ++q)
                if (axles[k].seen & (1u << q)) ++i;
            index[k] = (axles[k].seen & (1u << j)) && i < s->n && s->variance[i] < SATURATED_VAR ? i : -1;
            if (index[k] >= 0 && s->n >= 3) each[n++] = s->kg[i] / median_of(s->kg, s->n) - 1.0;
        }
        if (n < 2) continue;
        line_info *l = &w->array->lines[j];
        const double off = median_of(each, n);
        for (int k = 0; k < n; ++k) spread[k] = fabs(each[k] - off);
        const double sure = SURE * 1.48 * median_of(spread, n) / sqrt((double)n);
        const double steady = STEADY * sqrt(l->off_var);
        const bool always = l->off_seen >= FEW && fabs(l->off) > LEAST && fabs(l->off) > steady && off * l->off > 0.0;
        if (fabs(off) < 0.5) {
            if (l->off_seen < MEMORY) l->off_seen += 1.0;
            const double d = off - l->off;
            l->off += d / l->off_seen;
            l->off_var += (d * d * (1.0 - 1.0 / l->off_seen) - l->off_var) / l->off_seen;
        }
        if (!always && fabs(off) < FAR + sure) continue;
        any = true;
        const double by = always && fabs(l->off) > fabs(off) ? l->off : off;
        for (int k = 0; k < count; ++k)
            if (index[k] >= 0) path[k][0].variance[index[k]] += by * by;
    }
    return any;
}

enum { WAYS = 2 }; /* of an axle: both sides together; and one alone where its sides never meet at one line */

/* What is made of all axles before their sigmas are known. */
typedef struct {
    series path[BF_MAX_AXLES][WAYS];
    double share[BF_MAX_AXLES], roughly[BF_MAX_AXLES]; /* of the left side; kg */
    bool halves; /* the table has such */
    bool lacks_half, leans;
    double stuck;
} gathered;

static void gather_paths(const weigher *w, const axle_seen *axles, int count, side_load loads[BF_MAX_AXLES][BF_MAX_LINES][SIDES],
                         gathered *g)
{
    static const series nothing;
    g->halves = g->lacks_half = false;
    for (int i = 0; i < w->array->sensor_count; ++i) g->halves = g->halves || (w->array->sensors[i].line >= 0 && w->array->sensors[i].side != SIDE_FULL);
    for (int k = 0; k < count; ++k) {
        g->share[k] = left_share(w, loads[k]);
        g->roughly[k] = 0.0;
        for (int i = 0; i < WAYS; ++i) {
            g->path[k][i] = nothing;
            g->path[k][i].axle = k;
            g->path[k][i].part = 1.0;
        }
        g->lacks_half = make_series(w, &axles[k], loads[k], g->share[k], g->path[k]) || g->lacks_half;
        for (int i = 0; i < WAYS; ++i)
            if (g->path[k][i].n > 0) g->roughly[k] += median_of(g->path[k][i].kg, g->path[k][i].n);
    }
    g->leans = fabs(leaning(g->share, g->roughly, count)) > LEANS;
}

/* One axle after the lines were blended. */
typedef struct {
    double kg, bounce, moved, part[WAYS];
} blended_axle;

static blended_axle take_axle(const gathered *g, int k, const blended *b, int *at)
{
    blended_axle a = {0.0, 0.0, 0.0, {0.0, 0.0}};
    for (int i = 0; i < WAYS; ++i) {
        if (g->path[k][i].n == 0) continue;
        a.part[i] = b->kg[*at];
        a.kg += b->kg[*at];
        a.bounce += BOUNCE_DOUBT * b->bounce_var[*at];
        a.moved += b->moved_var[(*at)++];
    }
    return a;
}

static void tell_sides(const gathered *g, int k, const blended_axle *a, bf_axle *axle)
{
    axle->left_kg = axle->right_kg = (double)NAN;
    axle->dual_tyres = -1;
    axle->load_kg = a->kg;
    axle->lines = g->path[k][0].n + g->path[k][1].n;
    if (g->share[k] >= 0.0) {
        axle->left_kg = a->kg * g->share[k];
        axle->right_kg = a->kg - axle->left_kg;
    } else if (a->part[0] > 0.0 && a->part[1] > 0.0) {
        axle->left_kg = a->part[0];
        axle->right_kg = a->part[1];
    }
}

/* A wheel that ran beside its half, or on its edge: as much is lost as the sides differ by, at two sigmas. Else 0. */
static double lost_aside(const gathered *g, int k, const blended_axle *a)
{
    const bool one_side = g->share[k] < 0.0 && !(a->part[0] > 0.0 && a->part[1] > 0.0) && g->halves;
    const bool uneven = g->share[k] >= 0.0 && (g->leans || fabs(g->share[k] - 0.5) > AXLE_LEANS);
    if (!(a->kg > ONE_TRACK_KG) || !(one_side || uneven)) return 0.0;
    return (one_side ? 0.5 : LOST * fabs(g->share[k] - 0.5)) * a->kg;
}

/* What an axle's springs hold back of its load, kg. */
static double hangs(const gathered *g, const double *place, int count, int k, double kg)
{
    const bool grouped = (k > 0 && fabs(place[k] - place[k - 1]) < SPRING_GROUP_M) ||
                         (k + 1 < count && fabs(place[k + 1] - place[k]) < SPRING_GROUP_M);
    return (grouped ? g->stuck : STUCK_ALONE * g->stuck) * kg;
}

uint32_t lines_weigh(weigher *w, const axle_seen *axles, int count, side_load loads[BF_MAX_AXLES][BF_MAX_LINES][SIDES],
                     const double *place, double speed_mps, line_sigmas *sigmas, bf_vehicle *out)
{
    uint32_t flags = 0;
    series flat[BLEND_MAX_PATHS];
    gathered g;
    transfer moves;
    blended b;
    int paths = 0;
    gather_paths(w, axles, count, loads, &g);
    if (doubt_line(w, axles, count, g.path)) flags |= BF_UNEQUAL_LINES;
    transfer_expect(&moves, place, g.roughly, count);
    for (int k = 0; k < count; ++k)
        for (int i = 0; i < WAYS; ++i)
            if (g.path[k][i].n > 0) flat[paths++] = g.path[k][i];
    blend(flat, paths, &moves, &w->ways, speed_mps, &b);
    lane_learn(&w->ways, &b);

    double sum = 0.0, sum2 = 0.0, held = 0.0, aside = 0.0, calibrated = 0.0;
    g.stuck = fmin(STUCK * b.scatter, STUCK_MOST);
    sigmas->moved_kg = 0.0;
    for (int k = 0, at = 0; k < count; ++k) {
        const blended_axle a = take_axle(&g, k, &b, &at);
        tell_sides(&g, k, &a, &out->axles[k]);
        const double own = a.bounce, lost = lost_aside(&g, k, &a), hung = hangs(&g, place, count, k, a.kg);
        if (lost > 0.0) flags |= BF_OFF_LANE;
        aside += lost;
        const double gain = LINE_GAIN * a.kg / sqrt(fmax(out->axles[k].lines, 1.0));
        calibrated += gain;
        sigmas->own[k] = own + lost * lost + gain * gain;
        sigmas->moved[k] = a.moved + hung * hung;
        sigmas->moved_kg += sqrt(a.moved);
        held += CANCELS * hung * hung;
        sum += sqrt(own);
        sum2 += own;
    }
    sigmas->gross = sum2 + b.together * (sum * sum - sum2) + b.moved_sum_var + held + aside * aside + calibrated * calibrated;
    for (int j = 0; j < w->array->line_count; ++j) g.lacks_half = g.lacks_half || w->array->lines[j].swapped;
    if (g.lacks_half) flags |= BF_SENSOR_FAULT;
    watch_halves(w, loads, count);
    return flags;
}
