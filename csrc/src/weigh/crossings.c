/* The footprints of axles to what a motion is fitted to: crossings, passages, rests. See crossings.h. */
#include "crossings.h"

#include <math.h>
#include <string.h>

static const double PLACE_SIGMA = 0.003; /* metres, of a level crossing, before the fit has found its own */

static void add_rest(const sensor_array *array, const footprint *f, double t0, hints *h)
{
    if (!print_stood(array, f) || h->rest_count == MOTION_MAX_RESTS) return;
    h->rests[h->rest_count].from = f->still_from / array->rate - t0;
    h->rests[h->rest_count].to = f->still_to / array->rate - t0;
    h->rest_count++;
}

/* Back and forth the way is as long; a wheel that turned on the strip went none that is known. */
static void add_passage(const fitter *w, const signed_pass *p, const footprint *f, double t0, hints *h)
{
    if (h->passage_count == MOTION_MAX_PASSAGES || p->way == WAY_FRONT || p->way == WAY_REAR) return;
    passage *to = &h->passages[h->passage_count++];
    const sensor_array *array = w->array;
    const tyre kind = array->sensors[f->sensor].slope == 0.0 ? p->kind : TYRE_ANY; /* what is learned is the length alone */
    const usual_passage usual = passage_of_peak(array, p->most_n, f->sensor, tyre_expect(w->tyres, kind, p->most_n));
    to->from = f->rise[1] / array->rate - t0;
    to->to = f->fall[1] / array->rate - t0;
    to->way = p->way == WAY_BACK ? -usual.way_m : usual.way_m;
    to->sigma = usual.sigma_m * sqrt(p->passes); /* one print, however often it is seen */
    to->share = 1.0 / p->p->count;
}

/* Both edges of a plate are places that the same part of a footprint passes: when a share q of it has come over the
 * leading edge, and when 1 - q of it is left before the trailing edge. So one plate tells a speed. */
static void add_edges(const sensor_array *array, const signed_pass *p, const footprint *f, int level, double t0, crossing_at o[2])
{
    const int other = LEVELS - 1 - level;
    const sensor_info *s = &array->sensors[f->sensor];
    const double rise = f->rise[level], fall = f->fall[other];
    const double noise[2] = {f->rise_noise[level], f->fall_noise[other]};
    const double half = 0.5 * s->s.width_m * (p->way == WAY_BACK ? -1.0 : 1.0), v = p->v;
    for (int i = 0; i < 2; ++i) {
        /* At the rates of weight transmitters a flank is a few samples: a crossing is known to a part of one. */
        const double blur = (noise[i] + 0.1) / array->rate * v;
        memset(&o[i], 0, sizeof o[i]);
        o[i].t = (i ? fall : rise) / array->rate - t0;
        o[i].place = s->s.x_m + (i ? half : -half);
        o[i].sigma = sqrt(PLACE_SIGMA * PLACE_SIGMA + (blur < 0.1 ? blur * blur : 0.01));
    }
}

/* Slope that most strips have. */
static double usual_slope(const sensor_array *array)
{
    double best = 0.0;
    int most = 0;
    for (int i = 0; i < array->sensor_count; ++i) {
        int alike = 0;
        for (int j = 0; j < array->sensor_count; ++j)
            if (array->sensors[i].line >= 0 && array->sensors[j].line >= 0 && fabs(array->sensors[i].slope - array->sensors[j].slope) < 1e-6) ++alike;
        if (alike > most) {
            most = alike;
            best = array->sensors[i].slope;
        }
    }
    return best;
}

/* What is gathered, and from whom. */
typedef struct {
    fitter *w;
    const signed_pass *passes; /* of one axle */
    int pass_count;
    double t0, usual; /* slope */
    hints *h;
    int n;
} gathering;

/* When one flank of a print was at a level: rising or falling. */
typedef struct {
    double at, noise; /* scans */
} level_time;

static level_time rise_at(const footprint *f, int level)
{
    const level_time t = {f->rise[level], f->rise_noise[level]};
    return t;
}

static level_time fall_at(const footprint *f, int level)
{
    const level_time t = {f->fall[level], f->fall_noise[level]};
    return t;
}

/* A wheel that turned on the strip shows one flank twice, and less than its peak: the level of a full pass is looked for in
 * what was kept of the force. Returns how many: none where it did not reach that level. */
static int turned_at(const footprint *f, double level, level_time t[2])
{
    static const double CLEAR = 1.15;
    double at = (double)f->start - 0.5, middle = 0.0, before = 0.0, up = -1.0, down = -1.0;
    if (f->peak < CLEAR * level) return 0;
    for (int i = 0; i < f->count; ++i) {
        const double value = (double)f->points[i].value, now = at + 0.5 * f->points[i].n;
        if (i > 0 && before < level && value >= level && up < 0.0) up = middle + (now - middle) * (level - before) / (value - before);
        if (i > 0 && before >= level && value < level) down = middle + (now - middle) * (before - level) / (before - value);
        middle = now;
        before = value;
        at += f->points[i].n;
    }
    if (up < 0.0 || down <= up) return 0;
    t[0].at = up;
    t[1].at = down;
    t[0].noise = f->rise_noise[0];
    t[1].noise = f->fall_noise[0];
    return 2;
}

/* When the pass had a level of the front or of the rear flank on the strip. `full`: peak of a full pass, counts. */
static int flank_times(const signed_pass *p, const footprint *f, int level, bool front, double full, level_time t[2])
{
    if (p->way == WAY_FRONT || p->way == WAY_REAR) {
        if (front != (p->way == WAY_FRONT)) return 0;
        return turned_at(f, footprint_level[level] * full, t);
    }
    t[0] = front == (p->way == WAY_FORWARD) ? rise_at(f, level) : fall_at(f, level);
    return 1;
}

/* A level of one flank of a strip's footprint. */
static void add_level(gathering *g, const signed_pass *p, side of, const footprint *f, level_time at, bool front)
{
    static const double CUT_OFF_M = 0.03; /* levels of a peak that was cut off are not those of the other lines */
    static const double OTHER_ANGLE = 0.02;
    const fitter *w = g->w;
    const sensor_info *s = &w->array->sensors[f->sensor];
    const double blur = at.noise / w->array->rate * p->v;
    const double cut_off = f->saturated ? CUT_OFF_M * CUT_OFF_M : 0.0;
    crossing_at *o = &g->w->crossings[g->n++];
    memset(o, 0, sizeof *o);
    o->t = at.at / w->array->rate - g->t0;
    o->place = print_place(w->array, s, of, 0.0);
    o->sigma = sqrt(PLACE_SIGMA * PLACE_SIGMA + (blur < 0.1 ? blur * blur : 0.01) + cut_off);
    o->flank = front ? 0 : 1;
    if (!w->array->slopes_differ) return;
    o->slope = s->slope - g->usual;
    if (fabs(fabs(s->slope) - fabs(g->usual)) > OTHER_ANGLE) o->longer = front ? -1.0 : 1.0;
}

/* The peak of a full pass of the axle's wheel over the sensor of `f`. */
static double full_peak(const gathering *g, const footprint *f)
{
    double peak = 0.0;
    for (int q = 0; q < g->pass_count; ++q)
        for (int i = 0; i < g->passes[q].p->count && g->passes[q].way <= WAY_BACK; ++i) {
            const footprint *o = g->passes[q].p->prints[i];
            if (o->sensor == f->sensor && o->peak > peak) peak = o->peak;
        }
    return peak > 0.0 ? peak : HUGE_VAL;
}

/* One flank of one wheel at one level, in all passes; or, of plates, one level at both edges. */
static void add_set(gathering *g, side of, int level, bool front, bool plates)
{
    const fitter *w = g->w;
    const int begin = g->n, axle = g->passes[0].axle;
    for (int q = 0; q < g->pass_count; ++q)
        for (int i = 0; i < g->passes[q].p->count; ++i) {
            const signed_pass *p = &g->passes[q];
            const footprint *f = p->p->prints[i];
            const bool plate = w->array->sensors[f->sensor].s.type == BF_PLATE;
            if (print_side(w->array, p->p, i) != of || f->cut_short || plate != plates) continue;
            if (g->n + 2 > MOTION_MAX_CROSSINGS) return;
            if (plate && p->way <= WAY_BACK) {
                add_edges(w->array, p, f, level, g->t0, &g->w->crossings[g->n]);
                g->n += 2;
            } else if (!plate) {
                level_time t[2];
                const int n = flank_times(p, f, level, front, p->way > WAY_BACK ? full_peak(g, f) : 0.0, t);
                for (int k = 0; k < n; ++k) add_level(g, p, of, f, t[k], front);
            }
            if (level > 0 || !front) continue;
            add_rest(w->array, f, g->t0, g->h);
            if (!plate) add_passage(g->w, p, f, g->t0, g->h);
        }
    if (g->n - begin == 1) g->n = begin; /* alone it says nothing */
    for (int i = begin; i < g->n; ++i) {
        crossing_at *o = &g->w->crossings[i];
        o->group = ((axle * SIDES + (int)of) * 2 + plates) * LEVELS + level;
        o->axle = axle;
        o->wheel = side_wheel(of);
    }
}

/* All of the passes, which are in the order of their axles. */
static int gather(fitter *w, const signed_pass *passes, int count, int axles, double t0, hints *h)
{
    gathering g = {.w = w, .t0 = t0, .usual = w->array->slopes_differ ? usual_slope(w->array) : 0.0, .h = h};
    h->rest_count = h->passage_count = h->back_count = 0;
    h->aside_axles = w->array->slopes_differ ? axles : 0;
    for (int i = 0, j; i < count; i = j) {
        for (j = i; j < count && passes[j].axle == passes[i].axle; ++j) continue;
        g.passes = passes + i;
        g.pass_count = j - i;
        for (int s = 0; s < SIDES; ++s)
            for (int plates = 0; plates < 2; ++plates)
                for (int level = 0; level < LEVELS; ++level)
                    for (int front = 1; front >= plates; --front) add_set(&g, (side)s, level, front, plates);
    }
    return g.n;
}

int crossings_gather(fitter *w, const axle_seen *axles, int count, bool whole, double t0, hints *h)
{
    signed_pass passes[BF_MAX_AXLES * BF_MAX_LINES];
    double heaviest = 0.0;
    int n = 0;
    for (int k = 0; k < count; ++k) heaviest = fmax(heaviest, most_peak(w->array, &axles[k]));
    for (int k = 0; k < count; ++k) {
        const tyre kind = whole ? tyre_of(k, heaviest) : TYRE_ANY;
        int lines = 0;
        for (int j = 0; j < w->array->line_count; ++j) lines += (int)(axles[k].seen >> j & 1u);
        for (int j = 0; j < w->array->line_count; ++j) {
            if (!(axles[k].seen >> j & 1u)) continue;
            const signed_pass p = {&axles[k].at[j], k, WAY_FORWARD, lines, pass_speed(w->array, &axles[k], j), most_peak(w->array, &axles[k]), kind};
            passes[n++] = p;
        }
    }
    return gather(w, passes, n, count, t0, h);
}

double crossings_misfit(fitter *w, const signed_pass *passes, int count, int axles, const rest *back, int back_count)
{
    static const double SIGMA_M = 0.008, MOST = 6.0;
    double from = HUGE_VAL, to = -HUGE_VAL, cost = 0.0;
    hints h;
    for (int i = 0; i < count; ++i) {
        from = fmin(from, passes[i].p->begin);
        to = fmax(to, passes[i].p->end);
    }
    const double t0 = from / w->array->rate;
    const int n = gather(w, passes, count, axles, t0, &h);
    for (int i = 0; i < back_count && i < MOTION_MAX_BACKS; ++i, ++h.back_count) {
        h.backs[i].from = back[i].from / w->array->rate - t0;
        h.backs[i].to = back[i].to / w->array->rate - t0;
    }
    w->motion.sparse = w->array->line_count == 1;
    if (n == 0) return 0.0;
    if (!motion_fit(&w->motion, w->crossings, n, &h, -0.02, (to - from) / w->array->rate + 0.02)) return (double)NAN;
    for (int i = 0, j; i < n; i = j) {
        double sum = 0.0;
        for (j = i; j < n && w->crossings[j].group == w->crossings[i].group; ++j) {
            const double r = w->crossings[j].residual * PLACE_SIGMA / w->crossings[j].sigma / SIGMA_M;
            sum += fmin(0.5 * r * r, MOST);
        }
        cost += sum / (2 * LEVELS); /* flanks and levels of a print say the same */
    }
    return cost;
}

/* Mean place of an axle against the first place of a fitted motion; adds it, times `sign`, to a functional of that. */
static double mean_place(const fitter *w, const axle_seen *a, double t0, double sign, double *f)
{
    double sum = 0.0, n = 0.0;
    for (int j = 0; j < w->array->line_count; ++j) n += a->seen >> j & 1u;
    for (int j = 0; j < w->array->line_count; ++j) {
        if (!(a->seen >> j & 1u)) continue;
        const double t = a->at[j].mid / w->array->rate - t0;
        sum += motion_place(&w->motion, t) - w->array->lines[j].x;
        motion_add_step(&w->motion, w->motion.grid.knots[3], t, sign / n, f);
    }
    return sum / n;
}

joint_motion joint_fit(fitter *w, const axle_seen *pair)
{
    joint_motion found = {-1.0, (double)NAN, (double)NAN, false};
    double f[MOTION_MAX_COEFFS] = {0};
    double from = HUGE_VAL, to = -HUGE_VAL, last = -HUGE_VAL;
    int within = 0;
    for (int k = 0; k < 2; ++k)
        for (int j = 0; j < w->array->line_count; ++j) {
            if (!(pair[k].seen & (1u << j))) continue;
            if (pair[k].at[j].begin < from) from = pair[k].at[j].begin;
            if (pair[k].at[j].end > to) to = pair[k].at[j].end;
            if (k == 0 && pair[k].at[j].mid > last) last = pair[k].at[j].mid;
            if (k == 1 && pair[k].at[j].mid < last) ++within;
        }
    hints h;
    const double t0 = from / w->array->rate;
    const int n = crossings_gather(w, pair, 2, false, t0, &h);
    w->motion.sparse = w->array->line_count == 1;
    if (!motion_fit(&w->motion, w->crossings, n, &h, -0.02, (to - from) / w->array->rate + 0.02)) return found;
    found.apart_m = mean_place(w, &pair[1], t0, 1.0, f) - mean_place(w, &pair[0], t0, -1.0, f);
    found.apart_sigma_m = motion_sigma(&w->motion, f);
    found.crept = motion_wanders(&w->motion);
    if (within == 0) return found;
    double sum = 0.0;
    for (int i = 0; i < n; ++i) { /* in metres of a crossing that is known well */
        const double r = w->crossings[i].residual * PLACE_SIGMA / w->crossings[i].sigma;
        sum += r * r;
    }
    found.misfit_m = sqrt(sum / n);
    return found;
}
