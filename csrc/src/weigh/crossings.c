/* The footprints of axles to what a motion is fitted to: crossings, passages, rests. See crossings.h. */
#include "crossings.h"

#include <math.h>
#include <string.h>

static const double GRAVITY = 9.80665;
static const double PLACE_SIGMA = 0.003; /* metres, of a level crossing, before the fit has found its own */

static bool stood(const bf_wim *w, const footprint *f)
{
    const double still = (f->still_to - f->still_from) / w->array.rate;
    const bool plate = w->array.sensors[f->sensor].s.type == BF_PLATE; /* there the signal is steady while the wheel rolls too */
    double flank = f->rise[LEVELS - 1] - f->rise[0];
    if (f->fall[0] - f->fall[LEVELS - 1] < flank) flank = f->fall[0] - f->fall[LEVELS - 1];
    return still > (plate ? 3.0 : 1.0) && still > (plate ? 20.0 : 3.0) * flank / w->array.rate;
}

/* A wheel's middle is over a plate from the half level of the rise to that of the fall: the plate's length in that time. */
static double speed_on_plate(const bf_wim *w, const pass *p)
{
    double took = 0.0, width = 0.0;
    for (int i = 0; i < p->count; ++i) {
        const footprint *f = &w->prints.at[p->prints[i]];
        const bf_sensor *s = &w->array.sensors[f->sensor].s;
        const double t = 0.5 * (f->fall[LEVELS / 2] + f->fall[LEVELS / 2 - 1] - f->rise[LEVELS / 2] - f->rise[LEVELS / 2 - 1]);
        if (s->type != BF_PLATE || t <= took) continue;
        took = t;
        width = s->width_m;
        /* One that stood drove on and off as fast as its flanks tell: 0.2 to 0.8 of a footprint of 0.22 m. */
        const double on = f->rise[LEVELS - 1] - f->rise[0], off = f->fall[0] - f->fall[LEVELS - 1], flank = on < off ? on : off;
        if (stood(w, f) && flank > 0.0) took = width * flank / 0.13;
    }
    return took > 0.0 ? width / took * w->array.rate : -1.0;
}

double pass_speed(const bf_wim *w, const axle_seen *a, int line)
{
    /* Rough speed near a line: from its neighbours. */
    int i = line, k = line;
    for (int j = 0; j < w->array.line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (j < line && (i == line || j > i)) i = j;
        if (j > line && k == line) k = j;
    }
    if (i == k) {
        const double v = a->seen & (1u << line) ? speed_on_plate(w, &a->at[line]) : -1.0;
        return v > 0.0 ? v : 1.0;
    }
    const double dt = (a->at[k].mid - a->at[i].mid) / w->array.rate;
    return dt > 0.0 ? (w->array.lines[k].x - w->array.lines[i].x) / dt : 1.0;
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
    static const double STOOD = 0.6; /* of the peak: less is the mean of a wheel that stood half on a strip */
    double v[BF_MAX_LINES], peak_kg = 0.0;
    int n = 0;
    for (int j = 0; j < w->array.line_count; ++j)
        if ((a->seen & (1u << j)) && w->array.lines[j].plate) {
            peak_kg += a->at[j].peak_n / GRAVITY; /* the whole load */
            ++n;
        }
    if (n > 0) return peak_kg / n;
    for (int j = 0; j < w->array.line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        /* The mean force while it was on the strip, whatever the speed. */
        double kg = 0.0;
        for (int i = 0; i < a->at[j].count; ++i) {
            const footprint *f = &w->prints.at[a->at[j].prints[i]];
            const sensor_info *s = &w->array.sensors[f->sensor];
            const double on = f->fall[1] - f->rise[1];
            if (on > 0.0) kg += fmax(f->area / on, STOOD * f->peak) * reach_m * s->newton / s->s.width_m / GRAVITY;
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
    const footprint *f = &w->prints.at[p->prints[index]];
    const sensor_info *s = &w->array.sensors[f->sensor];
    if (s->side != SIDE_FULL || s->slope == 0.0) return s->side;
    for (int i = 0; i < p->count; ++i) {
        const footprint *g = &w->prints.at[p->prints[i]];
        if (i == index || g->sensor != f->sensor) continue;
        return (f->centre < g->centre) == (s->slope > 0.0) ? SIDE_LEFT : SIDE_RIGHT;
    }
    return SIDE_FULL;
}

double print_place(const bf_wim *w, const sensor_info *s, side of, double aside_m)
{
    return s->s.x_m + s->slope * (w->array.side_y_m[of] + aside_m - s->y_m);
}

int side_wheel(side of)
{
    return of == SIDE_LEFT ? -1 : (of == SIDE_RIGHT ? 1 : 0);
}

static void add_rest(const bf_wim *w, const footprint *f, double t0, hints *h)
{
    if (!stood(w, f) || h->rest_count == MOTION_MAX_RESTS) return;
    h->rests[h->rest_count].from = f->still_from / w->array.rate - t0;
    h->rests[h->rest_count].to = f->still_to / w->array.rate - t0;
    h->rest_count++;
}

static usual_passage passage_of_peak(const bf_wim *w, double peak_n, int sensor)
{
    static const double LEVEL = 0.9, SPREAD = 0.3; /* of the print: its length where it was measured, and how sure */
    static const double TYRE_M = 0.35, TYRE_SPREAD_M = 0.15; /* across, which strips at an angle see too */
    const double print = usual_print(peak_n / GRAVITY, w->array.sensors[sensor].s.width_m), slope = fabs(w->array.sensors[sensor].slope);
    const double own = SPREAD * print, across = TYRE_SPREAD_M * slope;
    const usual_passage p = {LEVEL * print + TYRE_M * slope, sqrt(own * own + across * across)};
    return p;
}

static double most_peak(const bf_wim *w, const axle_seen *a)
{
    double most = 0.0;
    for (int j = 0; j < w->array.line_count; ++j)
        if ((a->seen >> j & 1u) && a->at[j].peak_n > most) most = a->at[j].peak_n;
    return most;
}

usual_passage passage_of(const bf_wim *w, const axle_seen *a, int sensor)
{
    return passage_of_peak(w, most_peak(w, a), sensor);
}

/* Back and forth the way is as long; a wheel that turned on the strip went none that is known. */
static void add_passage(const bf_wim *w, const signed_pass *p, const footprint *f, double t0, hints *h)
{
    if (h->passage_count == MOTION_MAX_PASSAGES || p->way == WAY_FRONT || p->way == WAY_REAR) return;
    passage *to = &h->passages[h->passage_count++];
    const usual_passage usual = passage_of_peak(w, p->most_n, f->sensor);
    to->from = f->rise[1] / w->array.rate - t0;
    to->to = f->fall[1] / w->array.rate - t0;
    to->way = p->way == WAY_BACK ? -usual.way_m : usual.way_m;
    to->sigma = usual.sigma_m * sqrt(p->passes); /* one print, however often it is seen */
    to->share = 1.0 / p->p->count;
}

/* Both edges of a plate are places that the same part of a footprint passes: when a share q of it has come over the
 * leading edge, and when 1 - q of it is left before the trailing edge. So one plate tells a speed. */
static void add_edges(const bf_wim *w, const signed_pass *p, const footprint *f, int level, double t0, crossing_at o[2])
{
    const int other = LEVELS - 1 - level;
    const sensor_info *s = &w->array.sensors[f->sensor];
    const double rise = f->rise[level], fall = f->fall[other];
    const double noise[2] = {f->rise_noise[level], f->fall_noise[other]};
    const double half = 0.5 * s->s.width_m * (p->way == WAY_BACK ? -1.0 : 1.0), v = p->v;
    for (int i = 0; i < 2; ++i) {
        /* At the rates of weight transmitters a flank is a few samples: a crossing is known to a part of one. */
        const double blur = (noise[i] + 0.1) / w->array.rate * v;
        memset(&o[i], 0, sizeof o[i]);
        o[i].t = (i ? fall : rise) / w->array.rate - t0;
        o[i].place = s->s.x_m + (i ? half : -half);
        o[i].sigma = sqrt(PLACE_SIGMA * PLACE_SIGMA + (blur < 0.1 ? blur * blur : 0.01));
    }
}

/* Slope that most strips have. */
static double usual_slope(const bf_wim *w)
{
    double best = 0.0;
    int most = 0;
    for (int i = 0; i < w->array.sensor_count; ++i) {
        int alike = 0;
        for (int j = 0; j < w->array.sensor_count; ++j)
            if (w->array.sensors[i].line >= 0 && w->array.sensors[j].line >= 0 && fabs(w->array.sensors[i].slope - w->array.sensors[j].slope) < 1e-6) ++alike;
        if (alike > most) {
            most = alike;
            best = w->array.sensors[i].slope;
        }
    }
    return best;
}

/* What is gathered, and from whom. */
typedef struct {
    bf_wim *w;
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
    const bf_wim *w = g->w;
    const sensor_info *s = &w->array.sensors[f->sensor];
    const double blur = at.noise / w->array.rate * p->v;
    const double cut_off = f->saturated ? CUT_OFF_M * CUT_OFF_M : 0.0;
    crossing_at *o = &g->w->fit.crossings[g->n++];
    memset(o, 0, sizeof *o);
    o->t = at.at / w->array.rate - g->t0;
    o->place = print_place(w, s, of, 0.0);
    o->sigma = sqrt(PLACE_SIGMA * PLACE_SIGMA + (blur < 0.1 ? blur * blur : 0.01) + cut_off);
    o->flank = front ? 0 : 1;
    if (!w->array.slopes_differ) return;
    o->slope = s->slope - g->usual;
    if (fabs(fabs(s->slope) - fabs(g->usual)) > OTHER_ANGLE) o->longer = front ? -1.0 : 1.0;
}

/* The peak of a full pass of the axle's wheel over the sensor of `f`. */
static double full_peak(const gathering *g, const footprint *f)
{
    double peak = 0.0;
    for (int q = 0; q < g->pass_count; ++q)
        for (int i = 0; i < g->passes[q].p->count && g->passes[q].way <= WAY_BACK; ++i) {
            const footprint *o = &g->w->prints.at[g->passes[q].p->prints[i]];
            if (o->sensor == f->sensor && o->peak > peak) peak = o->peak;
        }
    return peak > 0.0 ? peak : HUGE_VAL;
}

/* One flank of one wheel at one level, in all passes; or, of plates, one level at both edges. */
static void add_set(gathering *g, side of, int level, bool front, bool plates)
{
    const bf_wim *w = g->w;
    const int begin = g->n, axle = g->passes[0].axle;
    for (int q = 0; q < g->pass_count; ++q)
        for (int i = 0; i < g->passes[q].p->count; ++i) {
            const signed_pass *p = &g->passes[q];
            const footprint *f = &w->prints.at[p->p->prints[i]];
            const bool plate = w->array.sensors[f->sensor].s.type == BF_PLATE;
            if (print_side(w, p->p, i) != of || f->cut_short || plate != plates) continue;
            if (g->n + 2 > MOTION_MAX_CROSSINGS) return;
            if (plate && p->way <= WAY_BACK) {
                add_edges(w, p, f, level, g->t0, &g->w->fit.crossings[g->n]);
                g->n += 2;
            } else if (!plate) {
                level_time t[2];
                const int n = flank_times(p, f, level, front, p->way > WAY_BACK ? full_peak(g, f) : 0.0, t);
                for (int k = 0; k < n; ++k) add_level(g, p, of, f, t[k], front);
            }
            if (level > 0 || !front) continue;
            add_rest(w, f, g->t0, g->h);
            if (!plate) add_passage(w, p, f, g->t0, g->h);
        }
    if (g->n - begin == 1) g->n = begin; /* alone it says nothing */
    for (int i = begin; i < g->n; ++i) {
        crossing_at *o = &g->w->fit.crossings[i];
        o->group = ((axle * SIDES + (int)of) * 2 + plates) * LEVELS + level;
        o->axle = axle;
        o->wheel = side_wheel(of);
    }
}

/* All of the passes, which are in the order of their axles. */
static int gather(bf_wim *w, const signed_pass *passes, int count, int axles, double t0, hints *h)
{
    gathering g = {.w = w, .t0 = t0, .usual = w->array.slopes_differ ? usual_slope(w) : 0.0, .h = h};
    h->rest_count = h->passage_count = h->back_count = 0;
    h->aside_axles = w->array.slopes_differ ? axles : 0;
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

int crossings_gather(bf_wim *w, const axle_seen *axles, int count, double t0, hints *h)
{
    signed_pass passes[BF_MAX_AXLES * BF_MAX_LINES];
    int n = 0;
    for (int k = 0; k < count; ++k) {
        int lines = 0;
        for (int j = 0; j < w->array.line_count; ++j) lines += (int)(axles[k].seen >> j & 1u);
        for (int j = 0; j < w->array.line_count; ++j) {
            if (!(axles[k].seen >> j & 1u)) continue;
            const signed_pass p = {&axles[k].at[j], k, WAY_FORWARD, lines, pass_speed(w, &axles[k], j), most_peak(w, &axles[k])};
            passes[n++] = p;
        }
    }
    return gather(w, passes, n, count, t0, h);
}

double crossings_misfit(bf_wim *w, const signed_pass *passes, int count, int axles, const rest *back, int back_count)
{
    static const double SIGMA_M = 0.008, MOST = 6.0;
    double from = HUGE_VAL, to = -HUGE_VAL, cost = 0.0;
    hints h;
    for (int i = 0; i < count; ++i) {
        from = fmin(from, passes[i].p->begin);
        to = fmax(to, passes[i].p->end);
    }
    const double t0 = from / w->array.rate;
    const int n = gather(w, passes, count, axles, t0, &h);
    for (int i = 0; i < back_count && i < MOTION_MAX_BACKS; ++i, ++h.back_count) {
        h.backs[i].from = back[i].from / w->array.rate - t0;
        h.backs[i].to = back[i].to / w->array.rate - t0;
    }
    w->fit.motion.sparse = w->array.line_count == 1;
    if (n == 0) return 0.0;
    if (!motion_fit(&w->fit.motion, w->fit.crossings, n, &h, -0.02, (to - from) / w->array.rate + 0.02)) return (double)NAN;
    for (int i = 0, j; i < n; i = j) {
        double sum = 0.0;
        for (j = i; j < n && w->fit.crossings[j].group == w->fit.crossings[i].group; ++j) {
            const double r = w->fit.crossings[j].residual * PLACE_SIGMA / w->fit.crossings[j].sigma / SIGMA_M;
            sum += fmin(0.5 * r * r, MOST);
        }
        cost += sum / (2 * LEVELS); /* flanks and levels of a print say the same */
    }
    return cost;
}

/* Mean place of an axle against the first place of a fitted motion; adds it, times `sign`, to a functional of that. */
static double mean_place(const bf_wim *w, const axle_seen *a, double t0, double sign, double *f)
{
    double sum = 0.0, n = 0.0;
    for (int j = 0; j < w->array.line_count; ++j) n += a->seen >> j & 1u;
    for (int j = 0; j < w->array.line_count; ++j) {
        if (!(a->seen >> j & 1u)) continue;
        const double t = a->at[j].mid / w->array.rate - t0;
        sum += motion_place(&w->fit.motion, t) - w->array.lines[j].x;
        motion_add_step(&w->fit.motion, w->fit.motion.grid.knots[3], t, sign / n, f);
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
        for (int j = 0; j < w->array.line_count; ++j) {
            if (!(pair[k].seen & (1u << j))) continue;
            if (pair[k].at[j].begin < from) from = pair[k].at[j].begin;
            if (pair[k].at[j].end > to) to = pair[k].at[j].end;
            if (k == 0 && pair[k].at[j].mid > last) last = pair[k].at[j].mid;
            if (k == 1 && pair[k].at[j].mid < last) ++within;
        }
    hints h;
    const double t0 = from / w->array.rate;
    const int n = crossings_gather(w, pair, 2, t0, &h);
    w->fit.motion.sparse = w->array.line_count == 1;
    if (!motion_fit(&w->fit.motion, w->fit.crossings, n, &h, -0.02, (to - from) / w->array.rate + 0.02)) return found;
    found.apart_m = mean_place(w, &pair[1], t0, 1.0, f) - mean_place(w, &pair[0], t0, -1.0, f);
    if (motion_wanders(&w->fit.motion)) found.apart_sigma_m = motion_sigma(&w->fit.motion, f);
    if (within == 0) return found;
    double sum = 0.0;
    for (int i = 0; i < n; ++i) { /* in metres of a crossing that is known well */
        const double r = w->fit.crossings[i].residual * PLACE_SIGMA / w->fit.crossings[i].sigma;
        sum += r * r;
    }
    found.misfit_m = sqrt(sum / n);
    return found;
}
