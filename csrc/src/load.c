/* The axles of one vehicle to loads: one motion for all of them, then the integral of force over way at each line.
 *
 * load of a wheel at a line = integral of F dx / width, with dx from the fitted motion (see contract of recordings);
 * lines are combined by their variances; their spread, pooled over the vehicle, gives the sigma. */
#include "array.h"

#include <math.h>
#include <string.h>

static const double GRAVITY = 9.80665;
static const double PLACE_SIGMA = 0.003; /* of a level crossing, before the fit has found its own */

typedef struct {
    double load_kg;
    double variance; /* relative: motion and noise, without the dynamic force */
    bool saturated, repeated;
} side_load;

static double pass_speed(const bf_wim *w, const axle_seen *a, int line)
{
    /* Rough speed near a line: from its neighbours. */
    int i = line, k = line;
    for (int j = 0; j < w->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (j < line && (i == line || j > i)) i = j;
        if (j > line && k == line) k = j;
    }
    if (i == k) return 1.0;
    const double dt = (a->at[k].mid - a->at[i].mid) / w->rate;
    return dt > 0.0 ? (w->lines[k].x - w->lines[i].x) / dt : 1.0;
}

static bool stood(const bf_wim *w, const footprint *f)
{
    const double still = (f->still_to - f->still_from) / w->rate;
    double flank = f->rise[LEVELS - 1] - f->rise[0];
    if (f->fall[0] - f->fall[LEVELS - 1] < flank) flank = f->fall[0] - f->fall[LEVELS - 1];
    return still > 1.0 && still > 3.0 * flank / w->rate;
}

static int gather(bf_wim *w, const axle_seen *axles, int count, double t0, rest *rests, int *rest_count)
{
    int n = 0;
    *rest_count = 0;
    for (int k = 0; k < count; ++k)
        for (int s = 0; s < SIDES; ++s)
            for (int q = 0; q < 2 * LEVELS; ++q) {
                const int set_id = (k * SIDES + s) * 2 * LEVELS + q;
                const int begin = n;
                for (int j = 0; j < w->line_count; ++j) {
                    if (!(axles[k].seen & (1u << j))) continue;
                    for (int i = 0; i < axles[k].at[j].count; ++i) {
                        const footprint *f = &w->prints[axles[k].at[j].prints[i]];
                        if (w->sensors[f->sensor].side != (side)s || f->cut_short) continue;
                        if (n == MOTION_MAX_CROSSINGS) return n;
                        const double at = q < LEVELS ? f->rise[q] : f->fall[q - LEVELS];
                        const double noise = q < LEVELS ? f->rise_noise[q] : f->fall_noise[q - LEVELS];
                        const double blur = noise / w->rate * pass_speed(w, &axles[k], j);
                        crossing_at *o = &w->crossings[n++];
                        o->t = at / w->rate - t0;
                        o->place = w->sensors[f->sensor].s.x_m;
                        o->sigma = sqrt(PLACE_SIGMA * PLACE_SIGMA + (blur < 0.1 ? blur * blur : 0.01));
                        o->set = set_id;
                        if (q == 0 && stood(w, f) && *rest_count < MOTION_MAX_RESTS) {
                            rests[*rest_count].from = f->still_from / w->rate - t0;
                            rests[*rest_count].to = f->still_to / w->rate - t0;
                            (*rest_count)++;
                        }
                    }
                }
                if (n - begin == 1) n = begin; /* alone it says nothing */
            }
    return n;
}

/* Integral of F dx over a footprint, newton metres, and where its centre lies. */
static double way_integral(const bf_wim *w, const motion *m, const footprint *f, double t0, double *centre)
{
    double at = ((double)f->start - 0.5) / w->rate - t0;
    double x = motion_place(m, at), area = 0.0, moment = 0.0;
    for (int i = 0; i < f->count; ++i) {
        at += f->points[i].n / w->rate;
        const double next = motion_place(m, at);
        const double a = (double)f->points[i].value * (next - x);
        area += a;
        moment += a * 0.5 * (next + x);
        x = next;
    }
    *centre = area > 0.0 ? moment / area : x;
    return area * w->sensors[f->sensor].newton;
}

static double weighted_median(const double *v, const double *wt, int n)
{
    int order[BF_MAX_LINES];
    double total = 0.0, sum = 0.0;
    for (int i = 0; i < n; ++i) {
        int k = i;
        while (k > 0 && v[order[k - 1]] > v[i]) {
            order[k] = order[k - 1];
            --k;
        }
        order[k] = i;
        total += wt[i];
    }
    for (int i = 0; i < n; ++i) {
        sum += wt[order[i]];
        if (2.0 * sum > total) return v[order[i]];
        if (2.0 * sum == total && i + 1 < n) return 0.5 * (v[order[i]] + v[order[i + 1]]);
    }
    return v[order[n - 1]];
}

void weigh(bf_wim *w, const axle_seen *axles, int count, bf_vehicle *out)
{
    rest rests[MOTION_MAX_RESTS] = {{0.0, 0.0}};
    int rest_count;
    double from = HUGE_VAL, to = -HUGE_VAL;
    for (int k = 0; k < count; ++k)
        for (int j = 0; j < w->line_count; ++j) {
            if (!(axles[k].seen & (1u << j))) continue;
            if (axles[k].at[j].begin < from) from = axles[k].at[j].begin;
            if (axles[k].at[j].end > to) to = axles[k].at[j].end;
        }
    const double t0 = from / w->rate;
    motion *m = &w->motion;
    m->reverses = false;
    const int crossings = gather(w, axles, count, t0, rests, &rest_count);
    const bool fitted = motion_fit(m, w->crossings, crossings, rests, rest_count, -0.02, (to - from) / w->rate + 0.02);

    unsigned flags = 0;
    if (rest_count) flags |= BF_STOPPED_ON_SENSOR;
    out->axle_count = count;
    out->length_m = (double)NAN;
    out->exit_scan = to;

    /* Loads of each side at each line. */
    static const side_load none;
    side_load loads[BF_MAX_AXLES][BF_MAX_LINES][SIDES];
    double place[BF_MAX_AXLES];
    for (int k = 0; k < count; ++k) {
        double place_sum = 0.0, place_weight = 0.0;
        for (int j = 0; j < w->line_count; ++j)
            for (int s = 0; s < SIDES; ++s) {
                loads[k][j][s] = none;
                if (!(axles[k].seen & (1u << j))) continue;
                for (int i = 0; i < axles[k].at[j].count; ++i) {
                    const footprint *f = &w->prints[axles[k].at[j].prints[i]];
                    const sensor_info *info = &w->sensors[f->sensor];
                    if (info->side != (side)s) continue;
                    double centre = 0.0, integral;
                    const double ta = f->rise[1] / w->rate - t0, tb = f->fall[1] / w->rate - t0;
                    double step, step_sigma;
                    if (fitted) {
                        integral = way_integral(w, m, f, t0, &centre);
                        step = motion_place(m, tb) - motion_place(m, ta);
                        step_sigma = motion_step_sigma(m, ta, tb);
                    } else {
                        const double v = pass_speed(w, &axles[k], j);
                        integral = f->area / w->rate * v * info->newton;
                        step = v * (tb - ta);
                        step_sigma = 0.2 * step;
                        centre = v * (f->centre / w->rate - t0);
                    }
                    if (step < 0.02) step = 0.02;
                    side_load *l = &loads[k][j][s];
                    const double kg = integral / info->s.width_m / GRAVITY;
                    const double whole = motion_place(m, f->end / w->rate - t0) - motion_place(m, f->begin / w->rate - t0);
                    const double noise = f->base_noise * (whole > 0.0 ? whole : step) / (f->peak * step);
                    const double var = (step_sigma / step) * (step_sigma / step) + noise * noise;
                    l->load_kg += kg;
                    if (var > l->variance) l->variance = var;
                    l->saturated = l->saturated || f->saturated;
                    const double weight = 1.0 / (1e-6 + var);
                    place_sum += weight * (centre - info->s.x_m);
                    place_weight += weight;
                }
            }
        place[k] = place_weight > 0.0 ? place_sum / place_weight : 0.0;
    }

    /* Combine the lines, axle by axle; what the sum of squares says about the spread is pooled over the vehicle. */
    double spread_sum = 0.0, spread_n = 0.0;
    double axle_kg[BF_MAX_AXLES], axle_var[BF_MAX_AXLES];
    static const double PRIOR_N = 3.0;
    const double mean_v = fitted ? fabs(motion_speed(m, 0.5 * (to - from) / w->rate)) : 1.0;
    const double prior = 0.004 + 0.0008 * (mean_v < 25.0 ? mean_v : 25.0);
    for (int round = 0; round < 2; ++round) {
        const double dyn2 = round == 0 ? prior * prior
                                       : (PRIOR_N * prior * prior + spread_sum) / (PRIOR_N + spread_n);
        if (round == 0) spread_sum = spread_n = 0.0;
        for (int k = 0; k < count; ++k) {
            bf_axle *axle = &out->axles[k];
            axle->left_kg = axle->right_kg = (double)NAN;
            axle->dual_tyres = -1;
            axle->lines = 0;
            double total = 0.0, variance = 0.0;
            double part[SIDES] = {0};
            bool has[SIDES] = {false};
            for (int s = 0; s < SIDES; ++s) {
                double v[BF_MAX_LINES], wt[BF_MAX_LINES];
                int n = 0;
                for (int j = 0; j < w->line_count; ++j) {
                    const side_load *l = &loads[k][j][s];
                    if (l->load_kg <= 0.0) continue;
                    v[n] = l->load_kg;
                    wt[n] = 1.0 / (dyn2 + l->variance + (l->saturated ? 1.0 : 0.0));
                    ++n;
                }
                if (n == 0) continue;
                const double mid = weighted_median(v, wt, n);
                double sw = 0.0, sv = 0.0;
                for (int i = 0; i < n; ++i) {
                    const double r = fabs(v[i] / mid - 1.0) * sqrt(wt[i]);
                    if (n > 2 && r > 3.0) wt[i] *= 3.0 / r * 3.0 / r;
                    sw += wt[i];
                    sv += wt[i] * v[i];
                }
                part[s] = sv / sw;
                has[s] = true;
                variance += part[s] * part[s] / sw;
                if (round == 0 && n > 1) {
                    for (int i = 0; i < n; ++i) {
                        const double r = v[i] / part[s] - 1.0;
                        const double q = r * r * wt[i] * dyn2;
                        spread_sum += q < 9.0 * dyn2 ? q : 9.0 * dyn2;
                    }
                    spread_n += n - 1;
                }
                if (n > axle->lines) axle->lines = n;
            }
            if (has[SIDE_LEFT]) axle->left_kg = part[SIDE_LEFT];
            if (has[SIDE_RIGHT]) axle->right_kg = part[SIDE_RIGHT];
            total = part[SIDE_LEFT] + part[SIDE_RIGHT];
            if (has[SIDE_FULL]) total = total > 0.0 ? 0.5 * (total + part[SIDE_FULL]) : part[SIDE_FULL];
            axle_kg[k] = total;
            axle_var[k] = variance + 0.003 * 0.003 * total * total;
        }
    }
    out->gross_kg = 0.0;
    double gross_var = 0.0;
    for (int k = 0; k < count; ++k) {
        out->axles[k].position_m = place[k] - place[0];
        out->axles[k].load_kg = axle_kg[k];
        out->axles[k].sigma_kg = sqrt(axle_var[k]);
        out->gross_kg += axle_kg[k];
        gross_var += axle_var[k];
    }
    out->gross_sigma_kg = sqrt(gross_var + 0.003 * 0.003 * out->gross_kg * out->gross_kg);

    const double t_first = fitted ? motion_time(m, place[0]) : axles[0].at[0].mid / w->rate - t0;
    out->first_axle_scan = (t_first + t0) * w->rate;
    if (fitted) {
        double lowest = HUGE_VAL, highest = 0.0;
        const double span = (to - from) / w->rate;
        for (int i = 0; i <= 40; ++i) {
            const double v = motion_speed(m, span * i / 40.0);
            if (v < lowest) lowest = v;
            if (v > highest) highest = v;
        }
        out->speed_mps = (motion_place(m, span) - motion_place(m, 0.0)) / span;
        if (highest - lowest > 0.25 * highest) flags |= BF_SPEED_CHANGE;
    } else {
        out->speed_mps = pass_speed(w, &axles[0], 0);
        flags |= BF_PARTIAL;
    }
    for (int k = 0; k < count; ++k) {
        if (axles[k].lost_before && k == 0) flags |= BF_PARTIAL;
        for (int j = 0; j < w->line_count; ++j) {
            if (!(axles[k].seen & (1u << j))) continue;
            for (int i = 0; i < axles[k].at[j].count; ++i)
                if (w->prints[axles[k].at[j].prints[i]].saturated) flags |= BF_SATURATED;
        }
    }
    out->flags = flags;
}
