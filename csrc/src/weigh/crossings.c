/* The footprints of axles to what a motion is fitted to: crossings, passages, rests. See crossings.h. */
#include "crossings.h"

#include <math.h>
#include <string.h>

static const double GRAVITY = 9.80665;
static const double PLACE_SIGMA = 0.003; /* metres, of a level crossing, before the fit has found its own */

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

double print_place(const bf_wim *w, const sensor_info *s, side of, double aside_m)
{
    return s->s.x_m + s->slope * (w->side_y_m[of] + aside_m - s->y_m);
}

int side_wheel(side of)
{
    return of == SIDE_LEFT ? -1 : (of == SIDE_RIGHT ? 1 : 0);
}

static void add_rest(const bf_wim *w, const footprint *f, double t0, hints *h)
{
    if (!stood(w, f) || h->rest_count == MOTION_MAX_RESTS) return;
    h->rests[h->rest_count].from = f->still_from / w->rate - t0;
    h->rests[h->rest_count].to = f->still_to / w->rate - t0;
    h->rest_count++;
}

usual_passage passage_of(const bf_wim *w, const axle_seen *a, int sensor)
{
    static const double LEVEL = 0.9, SPREAD = 0.3; /* of the print: its length where it was measured, and how sure */
    static const double TYRE_M = 0.35, TYRE_SPREAD_M = 0.15; /* across, which strips at an angle see too */
    double most = 0.0;
    for (int j = 0; j < w->line_count; ++j)
        if ((a->seen >> j & 1u) && a->at[j].peak_n > most) most = a->at[j].peak_n;
    const double print = usual_print(most / GRAVITY, w->sensors[sensor].s.width_m), slope = fabs(w->sensors[sensor].slope);
    const double own = SPREAD * print, across = TYRE_SPREAD_M * slope;
    const usual_passage p = {LEVEL * print + TYRE_M * slope, sqrt(own * own + across * across)};
    return p;
}

static void add_passage(const bf_wim *w, const axle_seen *a, int line, const footprint *f, double t0, hints *h)
{
    if (h->passage_count == MOTION_MAX_PASSAGES) return;
    passage *p = &h->passages[h->passage_count++];
    const usual_passage usual = passage_of(w, a, f->sensor);
    int lines = 0;
    for (int j = 0; j < w->line_count; ++j)
        if (a->seen >> j & 1u) ++lines;
    p->from = f->rise[1] / w->rate - t0;
    p->to = f->fall[1] / w->rate - t0;
    p->way = usual.way_m;
    p->sigma = usual.sigma_m * sqrt(lines); /* one print, however often it is seen */
    p->share = 1.0 / a->at[line].count;
}

/* Both edges of a plate are places that the same part of a footprint passes: when a share q of it has come over the
 * leading edge, and when 1 - q of it is left before the trailing edge. So one plate tells a speed. */
static void add_edges(const bf_wim *w, const axle_seen *a, int line, const footprint *f, int level, double t0, crossing_at o[2])
{
    const int other = LEVELS - 1 - level;
    const sensor_info *s = &w->sensors[f->sensor];
    const double rise = f->rise[level], fall = f->fall[other];
    const double noise[2] = {f->rise_noise[level], f->fall_noise[other]};
    const double half = 0.5 * s->s.width_m, v = pass_speed(w, a, line);
    for (int i = 0; i < 2; ++i) {
        /* At the rates of weight transmitters a flank is a few samples: a crossing is known to a part of one. */
        const double blur = (noise[i] + 0.1) / w->rate * v;
        memset(&o[i], 0, sizeof o[i]);
        o[i].t = (i ? fall : rise) / w->rate - t0;
        o[i].place = s->s.x_m + (i ? half : -half);
        o[i].sigma = sqrt(PLACE_SIGMA * PLACE_SIGMA + (blur < 0.1 ? blur * blur : 0.01));
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

/* What is gathered, and from whom. */
typedef struct {
    bf_wim *w;
    const axle_seen *axles;
    double t0, usual; /* slope */
    hints *h;
    int n;
} gathering;

/* A level of one flank of a strip's footprint. */
static void add_level(gathering *g, int axle, int line, side of, const footprint *f, int level, bool front)
{
    static const double CUT_OFF_M = 0.03; /* levels of a peak that was cut off are not those of the other lines */
    static const double OTHER_ANGLE = 0.02;
    const bf_wim *w = g->w;
    const sensor_info *s = &w->sensors[f->sensor];
    const double at = front ? f->rise[level] : f->fall[level], noise = front ? f->rise_noise[level] : f->fall_noise[level];
    const double blur = noise / w->rate * pass_speed(w, &g->axles[axle], line);
    const double cut_off = f->saturated ? CUT_OFF_M * CUT_OFF_M : 0.0;
    crossing_at *o = &g->w->crossings[g->n++];
    memset(o, 0, sizeof *o);
    o->t = at / w->rate - g->t0;
    o->place = print_place(w, s, of, 0.0);
    o->sigma = sqrt(PLACE_SIGMA * PLACE_SIGMA + (blur < 0.1 ? blur * blur : 0.01) + cut_off);
    o->flank = front ? 0 : 1;
    if (!w->slopes_differ) return;
    o->slope = s->slope - g->usual;
    if (fabs(fabs(s->slope) - fabs(g->usual)) > OTHER_ANGLE) o->longer = front ? -1.0 : 1.0;
}

/* One flank of one wheel at one level, at all lines; or, of plates, one level at both edges. */
static void add_set(gathering *g, int axle, side of, int level, bool front, bool plates)
{
    const bf_wim *w = g->w;
    const axle_seen *a = &g->axles[axle];
    const int begin = g->n;
    for (int j = 0; j < w->line_count; ++j)
        for (int i = 0; (a->seen >> j & 1u) && i < a->at[j].count; ++i) {
            const footprint *f = &w->prints[a->at[j].prints[i]];
            const bool plate = w->sensors[f->sensor].s.type == BF_PLATE;
            if (print_side(w, &a->at[j], i) != of || f->cut_short || plate != plates) continue;
            if (g->n + 2 > MOTION_MAX_CROSSINGS) return;
            if (plate) {
                add_edges(w, a, j, f, level, g->t0, &g->w->crossings[g->n]);
                g->n += 2;
            } else {
                add_level(g, axle, j, of, f, level, front);
            }
            if (level > 0 || !front) continue;
            add_rest(w, f, g->t0, g->h);
            if (!plate) add_passage(w, a, j, f, g->t0, g->h);
        }
    if (g->n - begin == 1) g->n = begin; /* alone it says nothing */
    for (int i = begin; i < g->n; ++i) {
        crossing_at *o = &g->w->crossings[i];
        o->group = ((axle * SIDES + (int)of) * 2 + plates) * LEVELS + level;
        o->axle = axle;
        o->wheel = side_wheel(of);
    }
}

int crossings_gather(bf_wim *w, const axle_seen *axles, int count, double t0, hints *h)
{
    gathering g = {.w = w, .axles = axles, .t0 = t0, .usual = w->slopes_differ ? usual_slope(w) : 0.0, .h = h};
    h->rest_count = h->passage_count = 0;
    h->aside_axles = w->slopes_differ ? count : 0;
    for (int k = 0; k < count; ++k)
        for (int s = 0; s < SIDES; ++s)
            for (int plates = 0; plates < 2; ++plates)
                for (int level = 0; level < LEVELS; ++level)
                    for (int front = 1; front >= plates; --front) add_set(&g, k, (side)s, level, front, plates);
    return g.n;
}

/* Mean place of an axle against the first place of a fitted motion; adds it, times `sign`, to a functional of that. */
static double mean_place(const bf_wim *w, const axle_seen *a, double t0, double sign, double *f)
{
    double sum = 0.0, n = 0.0;
    for (int j = 0; j < w->line_count; ++j) n += a->seen >> j & 1u;
    for (int j = 0; j < w->line_count; ++j) {
        if (!(a->seen >> j & 1u)) continue;
        const double t = a->at[j].mid / w->rate - t0;
        sum += motion_place(&w->motion, t) - w->lines[j].x;
        motion_add_step(&w->motion, w->motion.grid.knots[3], t, sign / n, f);
    }
    return sum / n;
}

joint_motion joint_fit(bf_wim *w, const axle_seen *pair)
{
    joint_motion found = {-1.0, (double)NAN, (double)NAN};
    double f[MOTION_MAX_COEFFS] = {0};
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
    const int n = crossings_gather(w, pair, 2, t0, &h);
    w->motion.sparse = w->line_count == 1;
    if (!motion_fit(&w->motion, w->crossings, n, &h, -0.02, (to - from) / w->rate + 0.02)) return found;
    found.apart_m = mean_place(w, &pair[1], t0, 1.0, f) - mean_place(w, &pair[0], t0, -1.0, f);
    if (motion_wanders(&w->motion)) found.apart_sigma_m = motion_sigma(&w->motion, f);
    if (within == 0) return found;
    double sum = 0.0;
    for (int i = 0; i < n; ++i) { /* in metres of a crossing that is known well */
        const double r = w->crossings[i].residual * PLACE_SIGMA / w->crossings[i].sigma;
        sum += r * r;
    }
    found.misfit_m = sqrt(sum / n);
    return found;
}
