/* The axles of one vehicle to loads: one motion for all of them, then the integral of force over way at each line.
 *
 * load of a wheel at a line = integral of F dx / width, with dx from the fitted motion (see contract of recordings);
 * lines are combined by their variances; their spread, pooled over the vehicle, gives the sigma. */
#include "load.h"
#include "beside.h"
#include "crossings.h"
#include "lines.h"

#include <math.h>
#include <string.h>

static const double GRAVITY = 9.80665;
/* The bow wave's dip can be counted into the pulse or not (docs/weighing.md): by how much of its depth loads may differ. */
static const double DIP_DOUBT = 0.5;
static const double MATTERS = 0.03;       /* of the gross weight */

/* Integral of F dx over a footprint, newton metres; where its centre lies, and its mean square distance from there. */
static double way_integral(const weigher *w, const motion *m, const footprint *f, double t0, double *centre, double *spread)
{
    double at = ((double)f->start - 0.5) / w->array->rate - t0;
    int near = 0;
    double x = motion_place_near(m, at, &near), area = 0.0, moment = 0.0, second = 0.0;
    const double zero = x;
    for (int i = 0; i < f->count; ++i) {
        at += f->points[i].n / w->array->rate;
        const double next = motion_place_near(m, at, &near);
        const double a = (double)f->points[i].value * (next - x);
        area += a;
        moment += a * 0.5 * (next + x);
        second += a * (0.5 * (next + x) - zero) * (0.5 * (next + x) - zero);
        x = next;
    }
    *centre = area > 0.0 ? moment / area : x;
    *spread = area > 0.0 ? second / area - (*centre - zero) * (*centre - zero) : 0.0;
    return area * w->array->sensors[f->sensor].newton;
}

double length_by_loop(const weigher *w, const bf_sensor *loop, const presence *p)
{
    if (p->split || p->shared || !(p->off < HUGE_VAL) || !(loop->width_m > 0.0)) return (double)NAN;
    const double on = p->on / w->array->rate - w->fit->motion_t0, off = p->off / w->array->rate - w->fit->motion_t0;
    const double way = motion_place(&w->fit->motion, off) - motion_place(&w->fit->motion, on);
    const double length = way - loop->width_m * (1.0 - 2.0 * p->covered);
    return length > 0.5 && length < 60.0 ? length : (double)NAN;
}

/* The mean of what a plate weighed while it carried the whole wheel needs no speed; the integral over the way uses the
 * flanks too. Both, by their variances; `*by_way` becomes the integral's part. */
static double with_plateau(const footprint *f, double newton, double by_integral_kg, double *variance, double *by_way)
{
    static const double EITHER = 0.002; /* relative, what is left of bounce and of the edges */
    const double mean = f->noise * f->noise / f->plateau_n + f->base_noise * f->base_noise;
    const double v0 = mean / (f->plateau * f->plateau) + EITHER * EITHER, v1 = *variance + 4.0 * EITHER * EITHER;
    *by_way = v0 / (v0 + v1);
    *variance = v0 * v1 / (v0 + v1);
    return *by_way * by_integral_kg + (1.0 - *by_way) * f->plateau * newton / GRAVITY;
}

/* What no vehicle has must not leave here, whatever the samples were: loads that axles have, with a sigma, axles one behind the
 * other. Where it had to be put right the cut is in doubt. An axle that the motion makes weightless, or a
 * mountain, has its rough load. */
static uint32_t keep_sane(const axle_seen *axles, bf_vehicle *v)
{
    static const double LEAST_KG = 1.0, MOST_KG = 100e3, LEAST_SPACING_M = 0.3, ROUGH = 0.5, ROUGH_KG = 1000.0;
    uint32_t flags = 0;
    double gross = 0.0, unknown = 0.0;
    for (int k = 0; k < v->axle_count; ++k) {
        bf_axle *a = &v->axles[k];
        if (!(a->load_kg >= LEAST_KG && a->load_kg <= MOST_KG)) {
            flags |= BF_CUT_UNCERTAIN | (a->load_kg > MOST_KG ? BF_SENSOR_FAULT : BF_PARTIAL);
            a->load_kg = fmin(fmax(axles[k].kg, LEAST_KG), MOST_KG);
            a->left_kg = a->right_kg = (double)NAN;
            a->sigma_kg = fmax(ROUGH * a->load_kg, ROUGH_KG);
            unknown += a->sigma_kg * a->sigma_kg;
        }
        if (!(a->sigma_kg >= LEAST_KG)) a->sigma_kg = LEAST_KG;
        if (k > 0 && !(a->position_m >= v->axles[k - 1].position_m + LEAST_SPACING_M)) {
            a->position_m = v->axles[k - 1].position_m + LEAST_SPACING_M;
            flags |= BF_CUT_UNCERTAIN;
        }
        gross += a->load_kg;
    }
    v->gross_kg = gross;
    const bool covers = v->gross_sigma_kg * v->gross_sigma_kg >= unknown && v->gross_sigma_kg < MOST_KG;
    if (unknown > 0.0 && !covers) v->gross_sigma_kg = sqrt(unknown);
    if (!(v->gross_sigma_kg >= LEAST_KG)) v->gross_sigma_kg = LEAST_KG;
    return flags;
}

/* Mean square extents along the lane of the footprints of an axle, on straight strips and on strips at an angle. */
typedef struct {
    double straight, straight_n;
    double angled, angled_n, slope2;
} extents;

static void note_extent(extents *e, const sensor_info *s, double mean_square)
{
    static const double LEAST_SLOPE2 = 0.012; /* below 6 degrees the width of a tyre does not show */
    const double own = s->s.width_m * s->s.width_m / 12.0;
    if (s->s.type != BF_STRIP || s->side == SIDE_FULL || !(mean_square > own)) return;
    if (s->slope == 0.0) {
        e->straight += mean_square - own;
        e->straight_n += 1.0;
    } else if (s->slope * s->slope > LEAST_SLOPE2) {
        e->angled += mean_square - own;
        e->slope2 += s->slope * s->slope;
        e->angled_n += 1.0;
    }
}

/* A strip at an angle carries the parts of a tyre one after the other: the wider, the longer. Two tyres of 0.22 m side by
 * side have a mean square width of 0.033 m2, the widest single one (0.45 m) 0.017 m2. */
static int dual_tyres(const extents *e)
{
    static const double BETWEEN_M2 = 0.023;
    if (e->straight_n < 1.0 || e->angled_n < 1.0) return -1;
    const double width = (e->angled / e->angled_n - e->straight / e->straight_n) / (e->slope2 / e->angled_n);
    return width > BETWEEN_M2;
}

/* Where across the lane it drove, if strips at an angle tell. */
static double lateral(const motion *m)
{
    static const double TOLD_M = 0.13;
    double metres, sigma;
    return motion_lateral(m, &metres, &sigma) && sigma < TOLD_M ? metres : (double)NAN;
}

/* One vehicle while it is weighed: its axles, the motion fitted to them, and what that gives. */
typedef struct {
    weigher *w;
    const axle_seen *axles;
    int count;
    double from, to; /* scans between which it was over the array */
    double t0;       /* seconds at which the motion's time is 0 */
    bool fitted;
    hints h;
    side_load loads[BF_MAX_AXLES][BF_MAX_LINES][SIDES];
    double place[BF_MAX_AXLES];                      /* metres, of each axle against the motion's place */
    extents widths[BF_MAX_AXLES];
    double common[BF_MAX_AXLES][MOTION_MAX_COEFFS];  /* the mean relative step of an axle as a functional of the motion */
    double shared[BF_MAX_AXLES];                     /* its variance: the part that all lines have in common */
    tyre kind[BF_MAX_AXLES];
    double odd; /* of the motion: oddness() */
    double by_print[BF_MAX_AXLES]; /* how much of its passes was weighed by a usual print in place of the motion, added up */
    double print[BF_MAX_AXLES], print_n[BF_MAX_AXLES]; /* logarithms of ways over the strips, over the usual: sum, how many */
} weighing;

/* One motion for all axles. */
static void fit_motion(weighing *v)
{
    weigher *w = v->w;
    v->from = HUGE_VAL;
    v->to = -HUGE_VAL;
    for (int k = 0; k < v->count; ++k)
        for (int j = 0; j < w->array->line_count; ++j) {
            if (!(v->axles[k].seen >> j & 1u)) continue;
            v->from = fmin(v->from, v->axles[k].at[j].begin);
            v->to = fmax(v->to, v->axles[k].at[j].end);
        }
    v->t0 = v->from / w->array->rate;
    const double span = (v->to - v->from) / w->array->rate;
    double heaviest = 0.0;
    for (int k = 0; k < v->count; ++k) heaviest = fmax(heaviest, most_peak(w->array, &v->axles[k]));
    for (int k = 0; k < v->count; ++k) v->kind[k] = tyre_of(k, heaviest);
    w->fit->motion.sparse = w->array->line_count == 1;
    const int n = crossings_gather(w->fit, v->axles, v->count, true, v->t0, &v->h);
    v->fitted = motion_fit(&w->fit->motion, w->fit->crossings, n, &v->h, -0.02, span + 0.02);
    w->fit->motion_t0 = v->t0;
    w->fit->motion_fitted = v->fitted;
}

/* How far a wheel went while it was on a sensor, and what its force adds up to over that way. */
typedef struct {
    double integral, centre, extent; /* newton metres; place of the middle of the force; mean square from there */
    double step, step_sigma;         /* metres between the second levels of its flanks */
} passed;

static passed pass_over(weighing *v, int k, int j, const footprint *f)
{
    weigher *w = v->w;
    const double ta = f->rise[1] / w->array->rate - v->t0, tb = f->fall[1] / w->array->rate - v->t0;
    passed p = {0};
    if (v->fitted) {
        p.integral = way_integral(w, &w->fit->motion, f, v->t0, &p.centre, &p.extent);
        p.step = motion_place(&w->fit->motion, tb) - motion_place(&w->fit->motion, ta);
        double way[MOTION_MAX_COEFFS] = {0};
        motion_add_step(&w->fit->motion, ta, tb, 1.0, way);
        p.step_sigma = motion_sigma(&w->fit->motion, way);
    } else {
        const double speed = pass_speed(w->array, &v->axles[k], j);
        p.integral = f->area / w->array->rate * speed * w->array->sensors[f->sensor].newton;
        p.step = speed * (tb - ta);
        p.step_sigma = 0.2 * p.step;
        p.centre = speed * (f->centre / w->array->rate - v->t0);
    }
    return p;
}

/* How much longer a print usually is than the way that the motion gives it, as a logarithm; and how sure that is. */
static double longer_than(const weighing *v, int k, const footprint *f, double *sigma)
{
    static const double LEAST_WENT_M = 0.001;
    const weigher *w = v->w;
    const double ta = f->rise[1] / w->array->rate - v->t0, tb = f->fall[1] / w->array->rate - v->t0;
    const double went = fmax(fabs(motion_place(&w->fit->motion, tb) - motion_place(&w->fit->motion, ta)), LEAST_WENT_M);
    const usual_passage usual = passage_of(w->array, &v->axles[k], f->sensor);
    *sigma = usual.sigma_m / usual.way_m;
    return log(usual.way_m / went);
}

static bool tells_print(const weighing *v, const footprint *f)
{
    const sensor_info *info = &v->w->array->sensors[f->sensor];
    return v->fitted && info->s.type == BF_STRIP && info->slope == 0.0;
}

/* A motion by which wheels went much less or further on a strip than a print is long is wrong, and not only there: relative
 * variance of its ways. Nothing where all are possible: the motion has taken the prints in. */
static double oddness(const weighing *v)
{
    static const double FREE = 3.0; /* deviations: 2.5 times as long as usual no print is */
    double sum = 0.0, n = 0.0, sigma;
    for (int k = 0; k < v->count; ++k)
        for (int j = 0; j < v->w->array->line_count; ++j)
            for (int i = 0; (v->axles[k].seen >> j & 1u) && i < v->axles[k].at[j].count; ++i) {
                const footprint *f = v->axles[k].at[j].prints[i];
                if (!tells_print(v, f)) continue;
                const double off = longer_than(v, k, f, &sigma), over = fmax(fabs(off) - FREE * sigma, 0.0);
                sum += over * over;
                n += 1.0;
            }
    return n > 0.0 ? sum / n : 0.0;
}

/* A way that is odd has a variance of its own, from two deviations on. And what the force weighs over a usual print's length is
 * known apart from any motion: where that is wrong both are taken, as logarithms, by their variances. Returns by how much the
 * load changes; `*by_way` becomes the motion's part. */
static double usual_instead(const weighing *v, int k, const footprint *f, double *variance, double *by_way)
{
    static const double FREE = 2.0;
    double sigma;
    const double off = longer_than(v, k, f, &sigma), print = sigma * sigma, over = fmax(fabs(off) - FREE * sigma, 0.0);
    *variance += over * over;
    if (!(v->odd > 0.0)) return 0.0;
    const double by_motion = *variance + v->odd;
    *variance = by_motion * print / (by_motion + print);
    *by_way = print / (by_motion + print);
    return off * (1.0 - *by_way);
}

/* Adds one footprint's load to its side at its line; returns the weight of its place. */
static double add_print(weighing *v, int k, int j, side s, const footprint *f, passed *p, bf_axle *axle)
{
    static const double LEAST_STEP_M = 0.02;
    weigher *w = v->w;
    const sensor_info *info = &w->array->sensors[f->sensor];
    const double ta = f->rise[1] / w->array->rate - v->t0, tb = f->fall[1] / w->array->rate - v->t0;
    const bool moved = fabs(p->step) > LEAST_STEP_M;
    if (!moved) p->step = LEAST_STEP_M;
    if (v->fitted) note_extent(&v->widths[k], info, p->extent);
    double kg = fabs(p->integral) / info->s.width_m / GRAVITY, by_way = 1.0;
    const double whole = motion_place(&w->fit->motion, f->end / w->array->rate - v->t0) - motion_place(&w->fit->motion, f->begin / w->array->rate - v->t0);
    const double noise = f->base_noise * (whole > 0.0 ? whole : p->step) / (f->peak * p->step);
    double var = (p->step_sigma / p->step) * (p->step_sigma / p->step) + noise * noise;
    if (tells_print(v, f)) {
        kg *= exp(usual_instead(v, k, f, &var, &by_way));
        v->by_print[k] += 1.0 - by_way;
        v->print[k] += log(fabs(p->step) / passage_of(w->array, &v->axles[k], f->sensor).way_m);
        v->print_n[k] += 1.0;
    }
    if (f->plateau > 0.0) kg = with_plateau(f, info->newton, kg, &var, &by_way);
    if (v->fitted && moved) motion_add_step(&w->fit->motion, ta, tb, by_way / p->step, v->common[k]);
    side_load *l = &v->loads[k][j][s];
    l->load_kg += kg;
    l->variance = fmax(l->variance, var);
    l->dip = fmax(l->dip, f->lobe);
    l->saturated = l->saturated || f->saturated;
    axle->sensor_kg[f->sensor] += (float)kg;
    return 1.0 / (1e-6 + var);
}

/* Loads of each side of an axle at each line, and where it is. */
static void weigh_axle(weighing *v, int k, bf_axle *axle)
{
    weigher *w = v->w;
    const axle_seen *a = &v->axles[k];
    double sum = 0.0, weights = 0.0;
    memset(axle->sensor_kg, 0, sizeof axle->sensor_kg);
    for (int j = 0; j < w->array->line_count; ++j)
        for (int s = 0; s < SIDES; ++s)
            for (int i = 0; (a->seen >> j & 1u) && i < a->at[j].count; ++i) {
                if (print_side(w->array, &a->at[j], i) != (side)s) continue;
                const footprint *f = a->at[j].prints[i];
                passed p = pass_over(v, k, j, f);
                const double aside = v->fitted ? motion_aside(&w->fit->motion, k, side_wheel((side)s)) : 0.0;
                const double weight = add_print(v, k, j, (side)s, f, &p, axle);
                sum += weight * (p.centre - print_place(w->array, &w->array->sensors[f->sensor], (side)s, aside));
                weights += weight;
            }
    v->place[k] = weights > 0.0 ? sum / weights : 0.0;
    beside_fill(w->array, a, v->loads[k], axle);
}

/* What the motion makes all lines of an axle err by together is taken out of their own variances. */
static void part_shared(weighing *v, int k)
{
    static const double LEAST = 0.02; /* of a variance, that stays its own */
    const axle_seen *a = &v->axles[k];
    int prints = 0;
    for (int j = 0; j < v->w->array->line_count; ++j)
        if (a->seen >> j & 1u) prints += a->at[j].count;
    for (int i = 0; i < MOTION_MAX_COEFFS; ++i) v->common[k][i] /= prints > 0 ? prints : 1;
    v->shared[k] = 0.0;
    if (!v->fitted) return;
    const double sd = motion_sigma(&v->w->fit->motion, v->common[k]);
    v->shared[k] = sd * sd;
    for (int j = 0; j < v->w->array->line_count; ++j)
        for (int s = 0; s < SIDES; ++s) {
            double *own = &v->loads[k][j][s].variance;
            *own = *own > (1.0 + LEAST) * v->shared[k] ? *own - v->shared[k] : LEAST * *own;
        }
}

/* What the motion says of how long the tyres' prints are, to the lane's knowledge of them: where it is seen so well that what it
 * says is not that knowledge come back, and not wrong. What it errs by is the same for all axles. */
static void learn_tyres(const weighing *v)
{
    static const double CLEAR = 0.05, LEAST = 0.02; /* relative: as badly as it may be seen, and as well as it is at best */
    weigher *w = v->w;
    if (!v->fitted || v->odd > 0.0 || w->array->slopes_differ) return;
    for (int k = 0; k < v->count; ++k) {
        if (v->print_n[k] < 1.0 || v->shared[k] > CLEAR * CLEAR) continue;
        tyre_learn(&w->tyres, v->kind[k], most_peak(w->array, &v->axles[k]), v->print[k] / v->print_n[k],
                   sqrt(v->shared[k] * v->count + LEAST * LEAST));
    }
}

/* Mean speed; true where it changed by more than a quarter. */
static bool find_speed(const weighing *v, bf_vehicle *out)
{
    enum { LOOKS = 40 };
    static const double UNEVEN = 0.25;
    const motion *m = &v->w->fit->motion;
    if (!v->fitted) {
        out->speed_mps = pass_speed(v->w->array, &v->axles[0], 0);
        return false;
    }
    double lowest = HUGE_VAL, highest = 0.0;
    const double span = (v->to - v->from) / v->w->array->rate;
    for (int i = 0; i <= LOOKS; ++i) {
        const double speed = motion_speed(m, span * i / LOOKS);
        lowest = fmin(lowest, speed);
        highest = fmax(highest, speed);
    }
    out->speed_mps = (motion_place(m, span) - motion_place(m, 0.0)) / span;
    return highest - lowest > UNEVEN * highest;
}

/* Doubt of the loads by the bow wave's dip, relative. */
static double dip_doubt(const weighing *v)
{
    double dip = 0.0, seen = 0.0;
    for (int k = 0; k < v->count; ++k)
        for (int j = 0; j < v->w->array->line_count; ++j)
            for (int s = 0; s < SIDES; ++s)
                if (v->loads[k][j][s].load_kg > 0.0) {
                    dip += v->loads[k][j][s].dip;
                    seen += 1.0;
                }
    return seen > 0.0 ? DIP_DOUBT * dip / seen : 0.0;
}

/* The tyres of a vehicle are alike: where its motion rests on how long prints are, all of its axles are off together; and
 * where a load was weighed by a print, all lines are. kg. */
static double off_by_tyres(const weighing *v, int k, double kg)
{
    static const double ALIKE = 0.06; /* what vehicles' prints differ by in the mean of their axles */
    if (!(v->print_n[k] > 0.0)) return 0.0;
    const double sigma = tyre_expect(&v->w->tyres, v->kind[k], most_peak(v->w->array, &v->axles[k])).sigma;
    const double instead = TYRE_ANY_OF.sigma * v->by_print[k] / v->print_n[k];
    return hypot(ALIKE * fmin(v->shared[k] / (sigma * sigma), 1.0), instead) * kg;
}

/* Sigmas of axles and gross weight, with what the motion errs by; flags a change of speed where the weight suffers: by the
 * motion's doubt, or by load that braking moved between the axles. */
static uint32_t sum_up(const weighing *v, const line_sigmas *sigmas, bool uneven, bf_vehicle *out)
{
    const motion *m = &v->w->fit->motion;
    double way[MOTION_MAX_COEFFS] = {0};
    const double dip = dip_doubt(v);
    double by_tyres = 0.0;
    out->gross_kg = 0.0;
    for (int k = 0; k < v->count; ++k) {
        bf_axle *axle = &out->axles[k];
        const double kg = axle->load_kg;
        axle->position_m = v->place[k] - v->place[0];
        axle->dual_tyres = dual_tyres(&v->widths[k]);
        const double tyres = off_by_tyres(v, k, kg);
        by_tyres += tyres;
        axle->sigma_kg = sqrt(1.0 + sigmas->own[k] + sigmas->moved[k] + tyres * tyres + (v->shared[k] + dip * dip) * kg * kg);
        out->gross_kg += kg;
        for (int i = 0; i < m->grid.coeffs && v->fitted; ++i) way[i] += kg * v->common[k][i];
    }
    const double by_motion = v->fitted ? motion_sigma(m, way) : 0.0; /* the motion is the same for all */
    out->gross_sigma_kg = sqrt(sigmas->gross + by_motion * by_motion + by_tyres * by_tyres + dip * dip * out->gross_kg * out->gross_kg);
    const bool matters = sigmas->moved_kg > MATTERS * out->gross_kg || by_motion > 0.5 * MATTERS * out->gross_kg;
    return uneven && matters ? BF_SPEED_CHANGE : 0;
}

/* What the sensors and footprints of the vehicle say of its weighing. */
static uint32_t sensor_flags(const weighing *v)
{
    const weigher *w = v->w;
    uint32_t flags = v->h.rest_count ? BF_STOPPED_ON_SENSOR : 0;
    if (!v->fitted || v->axles[0].lost_before) flags |= BF_PARTIAL;
    for (int k = 0; k < v->count; ++k)
        for (int j = 0; j < w->array->line_count; ++j)
            for (int i = 0; (v->axles[k].seen >> j & 1u) && i < v->axles[k].at[j].count; ++i)
                if (v->axles[k].at[j].prints[i]->saturated) flags |= BF_SATURATED;
    return flags;
}

/* The fitted motion for those who look at it. */
static void tell_way(const weighing *v, bf_vehicle *out)
{
    const double step = (v->to - v->from) / v->w->array->rate / (BF_WAY_POINTS - 1);
    int near = 0;
    out->way_from_scan = v->from;
    for (int i = 0; i < BF_WAY_POINTS; ++i)
        out->way_m[i] = v->fitted ? (float)(motion_place_near(&v->w->fit->motion, step * i, &near) - v->place[0]) : NAN;
    for (int k = 0; k < v->count; ++k)
        out->axles[k].way_m = v->fitted ? (float)(v->place[k] - v->place[0]) : NAN;
}

/* Where no motion is known: when the first line that saw the axle did. */
static double first_seen(const axle_seen *a, int lines)
{
    int line = 0;
    while (line < lines - 1 && !(a->seen >> line & 1u)) ++line;
    return a->at[line].mid;
}

/* Scan at which the first axle's middle was over x = 0: the first time, where it came again. Where the first line saw it,
 * it was over that line while the line did, also where the motion is misread. */
static double first_crossing(const weighing *v)
{
    const sensor_array *array = v->w->array;
    const axle_seen *a = &v->axles[0];
    const motion *m = &v->w->fit->motion;
    const pass *first = &a->at[0];
    if (!v->fitted) return first_seen(a, array->line_count);
    const double at = motion_time(m, v->place[0]);
    if (!(a->seen & 1u)) return (at + v->t0) * array->rate;
    const double over = motion_time(m, v->place[0] + array->lines[0].x);
    const double scan = first->sooner > 0.0 ? first->sooner : fmin(fmax((over + v->t0) * array->rate, first->begin), first->end);
    return scan + (at - over) * array->rate;
}

void weigh(weigher *w, const axle_seen *axles, int count, bf_vehicle *out)
{
    weighing all = {.w = w, .axles = axles, .count = count}, *v = &all;
    fit_motion(v);
    out->axle_count = count;
    out->length_m = (double)NAN;
    out->lateral_m = v->fitted ? lateral(&w->fit->motion) : (double)NAN;
    out->exit_scan = v->to;
    v->odd = oddness(v);
    for (int k = 0; k < count; ++k) {
        weigh_axle(v, k, &out->axles[k]);
        part_shared(v, k);
    }
    learn_tyres(v);
    const bool uneven = find_speed(v, out);
    line_sigmas sigmas;
    uint32_t flags = sensor_flags(v);
    flags |= lines_weigh(w, axles, count, v->loads, v->place, fabs(out->speed_mps), &sigmas, out);
    flags |= sum_up(v, &sigmas, uneven, out);
    out->first_axle_scan = first_crossing(v);
    out->flags = flags | keep_sane(axles, out);
    tell_way(v, out);
}
