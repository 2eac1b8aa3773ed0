/* The axles of one vehicle to loads: one motion for all of them, then the integral of force over way at each line.
 *
 * load of a wheel at a line = integral of F dx / width, with dx from the fitted motion (see contract of recordings);
 * lines are combined by their variances; their spread, pooled over the vehicle, gives the sigma. */
#include "beside.h"
#include "lines.h"

#include <math.h>
#include <string.h>
#ifdef BF_DEBUG
#include <stdio.h>
#endif

static const double GRAVITY = 9.80665;
/* The bow wave's dip can be counted into the pulse or not (docs/weighing.md): by how much of its depth loads may differ. */
static const double DIP_DOUBT = 0.5;
static const double MATTERS = 0.03;       /* of the gross weight */
static const double CALIBRATION = 0.0007; /* of all lines together */
static const double PLACE_SIGMA = 0.003; /* of a level crossing, before the fit has found its own */

static bool stood(const bf_wim *w, const footprint *f)
{
    const double still = (f->still_to - f->still_from) / w->rate;
    const bool plate = w->sensors[f->sensor].s.type == BF_PLATE; /* there the signal is steady while the wheel rolls too */
    double flank = f->rise[LEVELS - 1] - f->rise[0];
    if (f->fall[0] - f->fall[LEVELS - 1] < flank) flank = f->fall[0] - f->fall[LEVELS - 1];
    return still > (plate ? 3.0 : 1.0) && still > (plate ? 20.0 : 3.0) * flank / w->rate;
}

/* A wheel's middle is over a plate from the half level of the rise to that of the fall: the plate's length in that time. */
static double speed_on_plate(const bf_wim *w, const pass *p)
{
    double took = 0.0, width = 0.0;
    for (int i = 0; i < p->count; ++i) {
        const footprint *f = &w->prints[p->prints[i]];
        const bf_sensor *s = &w->sensors[f->sensor].s;
        const double t = 0.5 * (f->fall[LEVELS / 2] + f->fall[LEVELS / 2 - 1] - f->rise[LEVELS / 2] - f->rise[LEVELS / 2 - 1]);
        if (s->type != BF_PLATE || t <= took) continue;
        took = t;
        width = s->width_m;
        /* One that stood drove on and off as fast as its flanks tell: 0.2 to 0.8 of a footprint of 0.22 m. */
        const double on = f->rise[LEVELS - 1] - f->rise[0], off = f->fall[0] - f->fall[LEVELS - 1], flank = on < off ? on : off;
        if (stood(w, f) && flank > 0.0) took = width * flank / 0.13;
    }
    return took > 0.0 ? width / took * w->rate : -1.0;
}

double pass_speed(const bf_wim *w, const axle_seen *a, int line)
{
    /* Rough speed near a line: from its neighbours. */
    int i = line, k = line;
    for (int j = 0; j < w->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (j < line && (i == line || j > i)) i = j;
        if (j > line && k == line) k = j;
    }
    if (i == k) {
        const double v = a->seen & (1u << line) ? speed_on_plate(w, &a->at[line]) : -1.0;
        return v > 0.0 ? v : 1.0;
    }
    const double dt = (a->at[k].mid - a->at[i].mid) / w->rate;
    return dt > 0.0 ? (w->lines[k].x - w->lines[i].x) / dt : 1.0;
}

/* Length of an axle's tyre prints, metres, from the greatest load on a strip: they grow with the load. */
static double usual_print(double peak_kg, double width)
{
    double kg = peak_kg, print = 0.0;
    for (int i = 0; i < 4; ++i) {
        print = 0.12 + 1.6e-5 * (kg < 9000.0 ? kg : 9000.0);
        kg = peak_kg * print / width / 1.15;
    }
    return print;
}

double rough_load(const bf_wim *w, const axle_seen *a, double reach_m)
{
    double v[BF_MAX_LINES], peak_kg = 0.0;
    int n = 0;
    for (int j = 0; j < w->line_count; ++j)
        if ((a->seen & (1u << j)) && w->lines[j].plate) {
            peak_kg += a->at[j].peak_n / GRAVITY; /* the whole load */
            ++n;
        }
    if (n > 0) return peak_kg / n;
    for (int j = 0; j < w->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        /* The mean force while it was on the strip, whatever the speed. */
        double kg = 0.0;
        for (int i = 0; i < a->at[j].count; ++i) {
            const footprint *f = &w->prints[a->at[j].prints[i]];
            const sensor_info *s = &w->sensors[f->sensor];
            const double on = f->fall[1] - f->rise[1];
            if (on > 0.0) kg += f->area / on * reach_m * s->newton / s->s.width_m / GRAVITY;
        }
        int k = n++;
        while (k > 0 && v[k - 1] > kg) {
            v[k] = v[k - 1];
            --k;
        }
        v[k] = kg;
    }
    return n > 0 ? v[(n - 1) / 2] : 0.0;
}

side print_side(const bf_wim *w, const pass *p, int index)
{
    const footprint *f = &w->prints[p->prints[index]];
    const sensor_info *s = &w->sensors[f->sensor];
    if (s->side != SIDE_FULL || s->slope == 0.0) return s->side;
    for (int i = 0; i < p->count; ++i) {
        const footprint *g = &w->prints[p->prints[i]];
        if (i == index || g->sensor != f->sensor) continue;
        return (f->centre < g->centre) == (s->slope > 0.0) ? SIDE_LEFT : SIDE_RIGHT;
    }
    return SIDE_FULL;
}

/* Where along the lane a wheel is when its middle is over a strip, if it runs `aside` metres right of the usual. */
static double print_place(const bf_wim *w, const sensor_info *s, side of, const double *aside)
{
    return s->s.x_m + s->slope * (w->side_y_m[of] + (aside ? aside[of] : 0.0) - s->y_m);
}

/* How far across the lane wheels are from the usual; what is left of it once strips at an angle have told. */
static const double ASIDE_M = 0.3, ASIDE_LEFT_M = 0.02;

enum { SETS = 3 * LEVELS }; /* of one wheel: rising and falling flanks at strips, and edges of plates */

static void add_rest(const bf_wim *w, const footprint *f, double t0, hints *h)
{
    if (!stood(w, f) || h->rest_count == MOTION_MAX_RESTS) return;
    h->rests[h->rest_count].from = f->still_from / w->rate - t0;
    h->rests[h->rest_count].to = f->still_to / w->rate - t0;
    h->rest_count++;
}

static void add_passage(const bf_wim *w, const axle_seen *a, const footprint *f, double t0, hints *h)
{
    static const double LEVEL = 0.9, SPREAD = 0.3; /* of the print: its length where it was measured, and how sure */
    static const double TYRE_M = 0.35, TYRE_SPREAD_M = 0.15; /* across, which strips at an angle see too */
    if (h->passage_count == MOTION_MAX_PASSAGES) return;
    passage *p = &h->passages[h->passage_count++];
    double most = 0.0;
    int lines = 0;
    for (int j = 0; j < w->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (a->at[j].peak_n > most) most = a->at[j].peak_n;
        ++lines;
    }
    const double print = usual_print(most / GRAVITY, w->sensors[f->sensor].s.width_m);
    const double slope = fabs(w->sensors[f->sensor].slope), own = SPREAD * print, across = TYRE_SPREAD_M * slope;
    p->from = f->rise[1] / w->rate - t0;
    p->to = f->fall[1] / w->rate - t0;
    p->way = LEVEL * print + TYRE_M * slope;
    p->sigma = sqrt((own * own + across * across) * lines); /* one print, however often it is seen */
}

/* Both edges of a plate are places that the same part of a footprint passes: when a share q of it has come over the
 * leading edge, and when 1 - q of it is left before the trailing edge. So one plate tells a speed. */
static void add_edges(const bf_wim *w, const axle_seen *a, int line, const footprint *f, int level, int set_id, double t0,
                      crossing_at o[2])
{
    const int other = LEVELS - 1 - level;
    const sensor_info *s = &w->sensors[f->sensor];
    const double rise = f->rise[level], fall = f->fall[other];
    const double noise[2] = {f->rise_noise[level], f->fall_noise[other]};
    const double half = 0.5 * s->s.width_m, v = pass_speed(w, a, line);
    for (int i = 0; i < 2; ++i) {
        /* At the rates of weight transmitters a flank is a few samples: a crossing is known to a part of one. */
        const double blur = (noise[i] + 0.1) / w->rate * v;
        o[i].t = (i ? fall : rise) / w->rate - t0;
        o[i].place = s->s.x_m + (i ? half : -half);
        o[i].sigma = sqrt(PLACE_SIGMA * PLACE_SIGMA + (blur < 0.1 ? blur * blur : 0.01));
        o[i].slope = 0.0;
        o[i].set = set_id;
    }
}

/* Slope that most strips have. */
static double usual_slope(const bf_wim *w)
{
    double best = 0.0;
    int most = 0;
    for (int i = 0; i < w->sensor_count; ++i) {
        int alike = 0;
        for (int j = 0; j < w->sensor_count; ++j)
            if (w->sensors[i].line >= 0 && w->sensors[j].line >= 0 && fabs(w->sensors[i].slope - w->sensors[j].slope) < 1e-6) ++alike;
        if (alike > most) {
            most = alike;
            best = w->sensors[i].slope;
        }
    }
    return best;
}

/* Levels of a peak that was cut off are not those of the other lines. */
static const double CUT_OFF_M = 0.03;

/* `aside`: metres that the left and the right wheels run right of the usual, null where that is not known yet. */
static int gather(bf_wim *w, const axle_seen *axles, int count, double t0, const double *aside, hints *h)
{
    const double usual = w->slopes_differ ? usual_slope(w) : 0.0;
    int n = 0;
    h->rest_count = h->passage_count = 0;
    for (int k = 0; k < count; ++k)
        for (int s = 0; s < SIDES; ++s)
            for (int q = 0; q < SETS; ++q) {
                const int set_id = (k * SIDES + s) * SETS + q;
                const int begin = n;
                for (int j = 0; j < w->line_count; ++j) {
                    if (!(axles[k].seen & (1u << j))) continue;
                    for (int i = 0; i < axles[k].at[j].count; ++i) {
                        const footprint *f = &w->prints[axles[k].at[j].prints[i]];
                        const bool plate = w->sensors[f->sensor].s.type == BF_PLATE;
                        if (print_side(w, &axles[k].at[j], i) != (side)s || f->cut_short || plate != (q >= 2 * LEVELS)) continue;
                        if (n + 1 >= MOTION_MAX_CROSSINGS) return n;
                        if (plate) {
                            add_edges(w, &axles[k], j, f, q - 2 * LEVELS, set_id, t0, &w->crossings[n]);
                            n += 2;
                            if (q == 2 * LEVELS) add_rest(w, f, t0, h);
                            continue;
                        }
                        /* Rolling back it leaves over the edge by which it came. */
                        const bool front = q < LEVELS;
                        const int level = q < LEVELS ? q : q - LEVELS;
                        const double at = front ? f->rise[level] : f->fall[level];
                        const double noise = front ? f->rise_noise[level] : f->fall_noise[level];
                        const double blur = noise / w->rate * pass_speed(w, &axles[k], j);
                        crossing_at *o = &w->crossings[n++];
                        o->t = at / w->rate - t0;
                        o->place = print_place(w, &w->sensors[f->sensor], (side)s, aside);
                        o->slope = w->slopes_differ ? w->sensors[f->sensor].slope - usual : 0.0;
                        const double across = o->slope * (aside ? ASIDE_LEFT_M : ASIDE_M);
                        const double cut_off = f->saturated ? CUT_OFF_M * CUT_OFF_M : 0.0;
                        o->sigma = sqrt(PLACE_SIGMA * PLACE_SIGMA + across * across + (blur < 0.1 ? blur * blur : 0.01) + cut_off);
                        o->set = set_id;
                        if (q == 0) add_rest(w, f, t0, h);
                        if (q == 0) add_passage(w, &axles[k], f, t0, h);
                    }
                }
                if (n - begin == 1) n = begin; /* alone it says nothing */
            }
    return n;
}

/* Mean place of an axle against the first place of a fitted motion. */
static double mean_place(const bf_wim *w, const axle_seen *a, double t0)
{
    double sum = 0.0, n = 0.0;
    for (int j = 0; j < w->line_count; ++j) {
        if (!(a->seen >> j & 1u)) continue;
        sum += motion_place(&w->motion, a->at[j].mid / w->rate - t0) - w->lines[j].x;
        n += 1.0;
    }
    return sum / n;
}

joint_motion joint_fit(bf_wim *w, const axle_seen *pair)
{
    joint_motion found = {-1.0, (double)NAN};
    double from = HUGE_VAL, to = -HUGE_VAL, last = -HUGE_VAL;
    int within = 0;
    for (int k = 0; k < 2; ++k)
        for (int j = 0; j < w->line_count; ++j) {
            if (!(pair[k].seen & (1u << j))) continue;
            if (pair[k].at[j].begin < from) from = pair[k].at[j].begin;
            if (pair[k].at[j].end > to) to = pair[k].at[j].end;
            if (k == 0 && pair[k].at[j].mid > last) last = pair[k].at[j].mid;
            if (k == 1 && pair[k].at[j].mid < last) ++within;
        }
    hints h;
    const double t0 = from / w->rate;
    const int n = gather(w, pair, 2, t0, NULL, &h);
    w->motion.sparse = w->line_count == 1;
    if (!motion_fit(&w->motion, w->crossings, n, &h, -0.02, (to - from) / w->rate + 0.02)) return found;
    found.apart_m = mean_place(w, &pair[1], t0) - mean_place(w, &pair[0], t0);
    if (within == 0) return found;
    double sum = 0.0;
    for (int i = 0; i < n; ++i) { /* in metres of a crossing that is known well */
        const double r = w->crossings[i].residual * PLACE_SIGMA / w->crossings[i].sigma;
        sum += r * r;
    }
    found.misfit_m = sqrt(sum / n);
    return found;
}

/* How far right of the usual the left and the right wheels run, by the strips at an angle: they are passed so much later.
 * From the residuals of a fit that believed those strips little. */
static void find_aside(const crossing_at *o, int count, double aside[SIDES], double known[2])
{
    double top[2] = {0.0, 0.0}, bottom[2] = {1.0 / (ASIDE_M * ASIDE_M), 1.0 / (ASIDE_M * ASIDE_M)};
    for (int i = 0, j; i < count; i = j) {
        const int of = o[i].set / SETS % SIDES;
        double mean = 0.0, straight = 0.0, n = 0.0;
        for (j = i; j < count && o[j].set == o[i].set; ++j) {
            const double weight = o[j].slope == 0.0 ? 1.0 : 1e-6;
            mean += weight * o[j].residual;
            straight += weight * o[j].slope;
            n += weight;
        }
        for (int q = i; q < j && of != SIDE_FULL; ++q) {
            const double slope = o[q].slope - straight / n, weight = 1.0 / (PLACE_SIGMA * PLACE_SIGMA);
            top[of] += weight * slope * (o[q].residual - mean / n);
            bottom[of] += weight * slope * slope;
        }
    }
    for (int of = 0; of < 2; ++of) {
        aside[of] += top[of] / bottom[of];
        known[of] = 1.0 - 1.0 / (ASIDE_M * ASIDE_M * bottom[of]);
    }
    aside[SIDE_FULL] = 0.5 * (aside[SIDE_LEFT] + aside[SIDE_RIGHT]);
}

/* Integral of F dx over a footprint, newton metres; where its centre lies, and its mean square distance from there. */
static double way_integral(const bf_wim *w, const motion *m, const footprint *f, double t0, double *centre, double *spread)
{
    double at = ((double)f->start - 0.5) / w->rate - t0;
    double x = motion_place(m, at), area = 0.0, moment = 0.0, second = 0.0;
    const double zero = x;
    for (int i = 0; i < f->count; ++i) {
        at += f->points[i].n / w->rate;
        const double next = motion_place(m, at);
        const double a = (double)f->points[i].value * (next - x);
        area += a;
        moment += a * 0.5 * (next + x);
        second += a * (0.5 * (next + x) - zero) * (0.5 * (next + x) - zero);
        x = next;
    }
    *centre = area > 0.0 ? moment / area : x;
    *spread = area > 0.0 ? second / area - (*centre - zero) * (*centre - zero) : 0.0;
    return area * w->sensors[f->sensor].newton;
}

double length_by_loop(const bf_wim *w, const bf_sensor *loop, const presence *p)
{
    if (p->split || p->shared || !(p->off < HUGE_VAL) || !(loop->width_m > 0.0)) return (double)NAN;
    const double on = p->on / w->rate - w->motion_t0, off = p->off / w->rate - w->motion_t0;
    const double way = motion_place(&w->motion, off) - motion_place(&w->motion, on);
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

/* What no vehicle has must not leave here, whatever the samples were: loads above zero with a sigma, axles one behind the
 * other. Where it had to be put right the cut is in doubt. */
static uint32_t keep_sane(bf_vehicle *v)
{
    static const double LEAST_KG = 1.0, LEAST_SPACING_M = 0.3;
    uint32_t flags = 0;
    double gross = 0.0;
    for (int k = 0; k < v->axle_count; ++k) {
        bf_axle *a = &v->axles[k];
        if (!(a->load_kg >= LEAST_KG)) {
            a->load_kg = LEAST_KG;
            a->left_kg = a->right_kg = (double)NAN;
            a->sigma_kg = 1000.0;
            flags |= BF_CUT_UNCERTAIN;
        }
        if (!(a->sigma_kg >= LEAST_KG)) a->sigma_kg = LEAST_KG;
        if (k > 0 && !(a->position_m >= v->axles[k - 1].position_m + LEAST_SPACING_M)) {
            a->position_m = v->axles[k - 1].position_m + LEAST_SPACING_M;
            flags |= BF_CUT_UNCERTAIN;
        }
        gross += a->load_kg;
    }
    v->gross_kg = gross;
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

/* Where across the lane it drove, from its sides that strips at an angle tell. */
static double lateral(const double aside[SIDES], const double known[2])
{
    static const double TOLD = 0.8; /* of what was unknown */
    double sum = 0.0;
    int n = 0;
    for (int of = 0; of < 2; ++of)
        if (known[of] > TOLD) {
            sum += aside[of];
            ++n;
        }
    return n > 0 ? sum / n : (double)NAN;
}

void weigh(bf_wim *w, const axle_seen *axles, int count, bf_vehicle *out)
{
    hints h;
    double from = HUGE_VAL, to = -HUGE_VAL;
    for (int k = 0; k < count; ++k)
        for (int j = 0; j < w->line_count; ++j) {
            if (!(axles[k].seen & (1u << j))) continue;
            if (axles[k].at[j].begin < from) from = axles[k].at[j].begin;
            if (axles[k].at[j].end > to) to = axles[k].at[j].end;
        }
    const double t0 = from / w->rate;
    motion *m = &w->motion;
    m->sparse = w->line_count == 1;
    int crossings = gather(w, axles, count, t0, NULL, &h);
    bool fitted = motion_fit(m, w->crossings, crossings, &h, -0.02, (to - from) / w->rate + 0.02);
    double aside[SIDES] = {0.0, 0.0, 0.0}, known[2] = {0.0, 0.0};
    for (int round = 0; round < 2 && fitted && w->slopes_differ; ++round) {
        find_aside(w->crossings, crossings, aside, known);
        crossings = gather(w, axles, count, t0, aside, &h);
        fitted = motion_fit(m, w->crossings, crossings, &h, -0.02, (to - from) / w->rate + 0.02);
    }

    w->motion_t0 = t0;
    w->motion_fitted = fitted;
    unsigned flags = 0;
    bool uneven = false;
    if (h.rest_count) flags |= BF_STOPPED_ON_SENSOR;
    out->axle_count = count;
    for (int k = 0; k < count; ++k) memset(out->axles[k].sensor_kg, 0, sizeof out->axles[k].sensor_kg);
    for (int i = 0; i < w->sensor_count; ++i)
        if (w->channels[i].sign != w->channels[i].wired) flags |= BF_SENSOR_FAULT;
    out->length_m = (double)NAN;
    out->lateral_m = lateral(aside, known);
    out->exit_scan = to;

    /* Loads of each side at each line. */
    static const side_load none;
    side_load loads[BF_MAX_AXLES][BF_MAX_LINES][SIDES];
    double place[BF_MAX_AXLES];
    extents widths[BF_MAX_AXLES] = {{0}};
    double common[BF_MAX_AXLES][MOTION_MAX_COEFFS] = {{0}}; /* the mean relative step of an axle as a functional */
    double shared[BF_MAX_AXLES];                            /* its variance: the part that all lines have in common */
    for (int k = 0; k < count; ++k) {
        double place_sum = 0.0, place_weight = 0.0;
        for (int j = 0; j < w->line_count; ++j)
            for (int s = 0; s < SIDES; ++s) {
                loads[k][j][s] = none;
                if (!(axles[k].seen & (1u << j))) continue;
                for (int i = 0; i < axles[k].at[j].count; ++i) {
                    const footprint *f = &w->prints[axles[k].at[j].prints[i]];
                    const sensor_info *info = &w->sensors[f->sensor];
                    if (print_side(w, &axles[k].at[j], i) != (side)s) continue;
                    double centre = 0.0, integral, extent = 0.0;
                    const double ta = f->rise[1] / w->rate - t0, tb = f->fall[1] / w->rate - t0;
                    double step, step_sigma, by_way = 1.0;
                    if (fitted) {
                        integral = way_integral(w, m, f, t0, &centre, &extent);
                        note_extent(&widths[k], info, extent);
                        step = motion_place(m, tb) - motion_place(m, ta);
                        double way[MOTION_MAX_COEFFS] = {0};
                        motion_add_step(m, ta, tb, 1.0, way);
                        step_sigma = motion_sigma(m, way);
                    } else {
                        const double v = pass_speed(w, &axles[k], j);
                        integral = f->area / w->rate * v * info->newton;
                        step = v * (tb - ta);
                        step_sigma = 0.2 * step;
                        centre = v * (f->centre / w->rate - t0);
                    }
                    if (fabs(step) < 0.02) step = 0.02;
                    side_load *l = &loads[k][j][s];
                    double kg = fabs(integral) / info->s.width_m / GRAVITY;
                    const double whole = motion_place(m, f->end / w->rate - t0) - motion_place(m, f->begin / w->rate - t0);
                    const double noise = f->base_noise * (whole > 0.0 ? whole : step) / (f->peak * step);
                    double var = (step_sigma / step) * (step_sigma / step) + noise * noise;
                    if (f->plateau > 0.0) kg = with_plateau(f, info->newton, kg, &var, &by_way);
                    if (fitted && fabs(step) > 0.02) motion_add_step(m, ta, tb, by_way / step, common[k]);
                    l->load_kg += kg;
                    out->axles[k].sensor_kg[f->sensor] += (float)kg;
                    if (var > l->variance) l->variance = var;
                    if (f->lobe > l->dip) l->dip = f->lobe;
                    l->saturated = l->saturated || f->saturated;
                    const double weight = 1.0 / (1e-6 + var);
                    place_sum += weight * (centre - print_place(w, info, (side)s, aside));
                    place_weight += weight;
                }
            }
        beside_fill(w, &axles[k], loads[k], &out->axles[k]);
        int prints = 0;
        for (int j = 0; j < w->line_count; ++j)
            if (axles[k].seen & (1u << j)) prints += axles[k].at[j].count;
        for (int i = 0; i < MOTION_MAX_COEFFS; ++i) common[k][i] /= prints > 0 ? prints : 1;
        shared[k] = 0.0;
        if (fitted) {
            const double sd = motion_sigma(m, common[k]);
            shared[k] = sd * sd;
            for (int j = 0; j < w->line_count; ++j)
                for (int s = 0; s < SIDES; ++s) {
                    double *v = &loads[k][j][s].variance;
                    *v = *v > 1.02 * shared[k] ? *v - shared[k] : 0.02 * *v;
                }
        }
        place[k] = place_weight > 0.0 ? place_sum / place_weight : 0.0;
    }

    if (fitted) {
        double lowest = HUGE_VAL, highest = 0.0;
        const double span = (to - from) / w->rate;
        for (int i = 0; i <= 40; ++i) {
            const double v = motion_speed(m, span * i / 40.0);
            if (v < lowest) lowest = v;
            if (v > highest) highest = v;
        }
        out->speed_mps = (motion_place(m, span) - motion_place(m, 0.0)) / span;
        uneven = highest - lowest > 0.25 * highest;
    } else {
        out->speed_mps = pass_speed(w, &axles[0], 0);
        flags |= BF_PARTIAL;
    }
#ifdef BF_DEBUG
    fprintf(stderr, "vehicle %d axles coeffs %d scale %.2f jerk %g rests %d crossings %d\n", count, m->coeffs, m->scale, m->jerk, h.rest_count, crossings);
    for (int k = 0; k < count; ++k)
        for (int j = 0; j < w->line_count; ++j)
            for (int i = 0; (axles[k].seen >> j & 1) && i < axles[k].at[j].count; ++i) {
                const footprint *f = &w->prints[axles[k].at[j].prints[i]];
                double worst = 0;
                for (int o = 0; o < crossings; ++o) if (w->crossings[o].set / (SIDES * SETS) == k && w->crossings[o].place == w->lines[j].x && fabs(w->crossings[o].residual) > worst) worst = fabs(w->crossings[o].residual);
                fprintf(stderr, "  axle %d line %d t %.3f..%.3f (%.3f) v %.3f..%.3f peak %.0f still %.2f load %.0f sd %.4f worst %.4f\n", k, j, f->rise[1] / w->rate, f->fall[1] / w->rate, f->centre/w->rate,
                        motion_speed(m, f->rise[1] / w->rate - t0), motion_speed(m, f->fall[1] / w->rate - t0), f->peak, (f->still_to - f->still_from) / w->rate,
                        loads[k][j][w->sensors[f->sensor].side].load_kg, sqrt(loads[k][j][w->sensors[f->sensor].side].variance), worst);
            }
#endif
#ifdef BF_DEBUG
    for (int i = 0; i < h.rest_count; ++i) {
        double way[MOTION_MAX_COEFFS] = {0};
        motion_add_step(m, h.rests[i].from - 0.4, 0.5 * (h.rests[i].from + h.rests[i].to), 1.0, way);
        fprintf(stderr, "  rest %.2f..%.2f at %.4f first axle's centre sd %.4f place0 %.4f\n", h.rests[i].from + t0, h.rests[i].to + t0, motion_place(m, 0.5 * (h.rests[i].from + h.rests[i].to)) - place[0], motion_sigma(m, way), place[0]);
    }
#endif
    line_sigmas sigmas;
    flags |= lines_weigh(w, axles, count, loads, place, fabs(out->speed_mps), &sigmas, out);
    out->gross_kg = 0.0;
    double gross_var = sigmas.gross, way[MOTION_MAX_COEFFS] = {0};
    for (int k = 0; k < count; ++k) {
        bf_axle *axle = &out->axles[k];
        axle->position_m = place[k] - place[0];
        axle->dual_tyres = dual_tyres(&widths[k]);
        out->gross_kg += axle->load_kg;
        for (int i = 0; i < m->coeffs && fitted; ++i) way[i] += axle->load_kg * common[k][i];
        axle->sigma_kg = sqrt(1.0 + sigmas.own[k] + sigmas.moved[k] + shared[k] * axle->load_kg * axle->load_kg);
    }
    const double by_motion = fitted ? motion_sigma(m, way) : 0.0;
    double dip = 0.0, seen = 0.0;
    for (int k = 0; k < count; ++k)
        for (int j = 0; j < w->line_count; ++j)
            for (int s = 0; s < SIDES; ++s)
                if (loads[k][j][s].load_kg > 0.0) {
                    dip += loads[k][j][s].dip;
                    seen += 1.0;
                }
    /* Said only where the weight suffers: by the motion's doubt, or by load that braking moved between the axles. */
    if (uneven && (sigmas.moved_kg > MATTERS * out->gross_kg || by_motion > 0.5 * MATTERS * out->gross_kg)) flags |= BF_SPEED_CHANGE;
    dip *= seen > 0.0 ? DIP_DOUBT / seen : 0.0;
    for (int k = 0; k < count; ++k) {
        bf_axle *axle = &out->axles[k];
        axle->sigma_kg = sqrt(axle->sigma_kg * axle->sigma_kg + dip * dip * axle->load_kg * axle->load_kg);
    }
    gross_var += dip * dip * out->gross_kg * out->gross_kg;
    gross_var += by_motion * by_motion; /* the motion is the same for all */
    out->gross_sigma_kg = sqrt(gross_var + CALIBRATION * CALIBRATION * out->gross_kg * out->gross_kg);

    const double t_first = fitted ? motion_time(m, place[0]) : axles[0].at[0].mid / w->rate - t0;
    out->first_axle_scan = (t_first + t0) * w->rate;
    for (int k = 0; k < count; ++k) {
        if (axles[k].lost_before && k == 0) flags |= BF_PARTIAL;
        for (int j = 0; j < w->line_count; ++j) {
            if (!(axles[k].seen & (1u << j))) continue;
            for (int i = 0; i < axles[k].at[j].count; ++i)
                if (w->prints[axles[k].at[j].prints[i]].saturated) flags |= BF_SATURATED;
        }
    }
    out->flags = flags | keep_sane(out);
}
