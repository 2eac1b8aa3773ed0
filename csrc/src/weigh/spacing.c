/* Distances between neighbouring axles. See spacing.h. */
#include "spacing.h"
#include "pass.h"

#include <math.h>

/* Half of the usual change of speed in a queue, m/s2; and how fast a driver changes it, m/s3. */
static const double QUEUE_MPS2 = 0.6, JERK_MPS3 = 2.0;
/* How hard a vehicle brakes to a stop and starts from it: usual, and what is tried. */
static const double BRAKING_MPS2[BRAKINGS] = {0.4, 0.6, 0.8, 1.05, 1.4, 1.9, 2.6};
static const double USUAL_BRAKING = 0.6, BRAKING_SPREAD = 0.6;
/* Moves in a queue are 5 to 25 m long: one that stops does it once in so many metres, seldom twice in fewer. */
static const double MOVE_M = 10.0, NEXT_STOP_M = 5.0, NEXT_STOP = 1.5;
/* Durations of stops: median and spread of the logarithm. */
static const double STOP_S = 15.0, STOP_SPREAD = 1.1;

/* A wheel's centre at a place: strips and plates are crossed from one edge to the other. */
typedef struct {
    double x, t; /* metres, seconds */
} node;

/* How far an axle went while it was on a strip, at the second level of its flanks, and how surely that is known: the deviation
 * of its logarithm. */
typedef struct {
    double m, sigma;
} way_on;

/* By the speeds from line to line, which under an even change of speed are the means of those at the lines. */
static way_on way_by_speed(const sensor_array *array, const axle_seen *a, const double *on)
{
    static const double UNEVEN = 4.0, SIGMAS[] = {0.6, 0.15, 0.06, 0.03};
    double sorted[BF_MAX_LINES], weakest = 0.0;
    int before = -1, n = 0;
    for (int j = 0; j < array->line_count; ++j) {
        if (!(a->seen >> j & 1u)) continue;
        const int i = before;
        before = j;
        if (i < 0 || !(a->at[j].mid > a->at[i].mid) || !(on[i] > 0.0) || !(on[j] > 0.0)) continue;
        const double v = (array->lines[j].x - array->lines[i].x) / (a->at[j].mid - a->at[i].mid) * array->rate;
        const double least = on[i] < on[j] ? on[i] : on[j], most = on[i] < on[j] ? on[j] : on[i];
        if (v * least > weakest) weakest = v * least;
        if (most > UNEVEN * least) continue; /* it stood at one of them */
        const double r = v * 2.0 / (1.0 / on[i] + 1.0 / on[j]);
        int k = n++;
        while (k > 0 && sorted[k - 1] > r) {
            sorted[k] = sorted[k - 1];
            --k;
        }
        sorted[k] = r;
    }
    way_on way = {n > 0 ? sorted[n / 2] : weakest, SIGMAS[n < 3 ? n : 3]};
    if (n > 1) way.sigma += 0.5 * log(sorted[n - 1] / sorted[0]);
    return way;
}

/* That, and how long a tyre's print is under such a load. */
static double reach_of(const sensor_array *array, axle_seen *a, const double *on)
{
    static const double USUAL = 0.2, ODD = 0.35, CLEAR = 0.1, BY_LOAD = 0.25, MOST_M = 0.45;
    const way_on seen = way_by_speed(array, a, on);
    int line = 0;
    while (!(a->seen >> line & 1u)) ++line;
    const int sensor = array->lines[line].sensors[0];
    const double least = array->lines[0].width + 0.05;
    a->print = (double)NAN;
    double reach = seen.m;
    if (!array->lines[line].plate && !array->slopes_differ && seen.m > 0.0) {
        const double usual = passage_of(array, a, sensor).way_m, odd = fmax(fabs(log(seen.m / usual)) - ODD, 0.0); /* it stood on all */
        const double sigma = seen.sigma + odd, own = 1.0 / (sigma * sigma), other = 1.0 / (USUAL * USUAL);
        reach = exp((log(seen.m) * own + log(usual) * other) / (own + other));
        const double kg = a->peak_n / 9.80665;
        if (sigma < CLEAR && kg > 0.0) a->print = log(seen.m) - BY_LOAD * log(kg);
    }
    return reach < least ? least : (reach > MOST_M ? MOST_M : reach);
}

/* Speed and acceleration at nodes[0] from it and those that follow it in time order `sign` away from it, by least squares. */
static void fit_run(const node *nodes, int count, run *r)
{
    static const double SPAN_S = 2.5, LEAST_A_S = 0.25;
    double s[5] = {0}, y[3] = {0};
    int n = 0;
    for (int i = 0; i < count && (i < 3 || fabs(nodes[i].t - nodes[0].t) < SPAN_S); ++i, ++n) {
        const double t = nodes[i].t - nodes[0].t, x = nodes[i].x - nodes[0].x;
        double p = 1.0;
        for (int k = 0; k < 5; ++k, p *= t) {
            s[k] += p;
            if (k < 3) y[k] += p * x;
        }
    }
    r->a = 0.0;
    if (n >= 3 && fabs(nodes[n - 1].t - nodes[0].t) > LEAST_A_S) {
        const double det = s[0] * (s[2] * s[4] - s[3] * s[3]) - s[1] * (s[1] * s[4] - s[3] * s[2]) + s[2] * (s[1] * s[3] - s[2] * s[2]);
        if (det > 0.0) {
            const double b = s[0] * (y[1] * s[4] - s[3] * y[2]) - y[0] * (s[1] * s[4] - s[3] * s[2]) + s[2] * (s[1] * y[2] - y[1] * s[2]);
            const double c = s[0] * (s[2] * y[2] - y[1] * s[3]) - s[1] * (s[1] * y[2] - y[1] * s[2]) + y[0] * (s[1] * s[3] - s[2] * s[2]);
            r->v = b / det;
            r->a = 2.0 * c / det;
            if (r->a > 1.5) r->a = 1.5;
            if (r->a < -2.5) r->a = -2.5;
            return;
        }
    }
    const double d = s[0] * s[2] - s[1] * s[1];
    if (n >= 2 && d > 0.0) r->v = (s[0] * y[1] - s[1] * y[0]) / d;
}

void find_runs(const sensor_array *array, axle_seen *a)
{
    double on[BF_MAX_LINES] = {0};
    double rise[BF_MAX_LINES] = {0}, fall[BF_MAX_LINES] = {0};
    for (int j = 0; j < array->line_count; ++j) {
        if (!(a->seen >> j & 1u)) continue;
        const pass *p = &a->at[j];
        for (int i = 0; i < p->count; ++i) {
            const footprint *f = p->prints[i];
            const int level = array->lines[j].plate ? LEVELS / 2 : 1;
            rise[j] += f->rise[level] / array->rate / p->count;
            fall[j] += f->fall[level] / array->rate / p->count;
        }
        on[j] = fall[j] - rise[j];
    }
    const double reach = reach_of(array, a, on);
    a->kg = fmax(rough_load(array, a, reach), 1.0);
    for (int end = 0; end < 2; ++end) {
        node nodes[2 * BF_MAX_LINES];
        int n = 0, edge = -1;
        run *r = end ? &a->exit : &a->entry;
        for (int q = 0; q < array->line_count; ++q) {
            const int j = end ? array->line_count - 1 - q : q;
            if (!(a->seen >> j & 1u)) continue;
            const double half = 0.5 * (array->lines[j].plate ? array->lines[j].width : reach);
            if (edge < 0) edge = j;
            const node first = {array->lines[j].x - half, rise[j]}, last = {array->lines[j].x + half, fall[j]};
            const bool stood = on[j] > 2.0 * half / 0.2; /* slower than 0.2 m/s in the mean */
            nodes[n++] = end ? last : first;
            if (stood) break;
            nodes[n++] = end ? first : last;
        }
        r->x = nodes[0].x;
        r->t = nodes[0].t;
        r->stood = n == 1;
        r->v = pass_speed(array, a, edge);
        r->a = 0.0;
        if (r->stood) {
            /* From rest to the strip's edge, or from there to rest, at a usual acceleration. */
            r->v = sqrt(QUEUE_MPS2 * reach);
            r->a = end ? QUEUE_MPS2 : -QUEUE_MPS2;
        } else {
            fit_run(nodes, n, r);
        }
        if (!(r->v > 0.1)) r->v = 0.1;
    }
}

/* Way and time to a stop from speed v and acceleration a, braking at b. */
static void stop_from(double v, double a, double b, double *way, double *time)
{
    if (a <= -b) {
        *time = v / -a;
        *way = 0.5 * v * *time;
        return;
    }
    double t = (a + b) / JERK_MPS3;
    const double left = v + a * t - 0.5 * JERK_MPS3 * t * t;
    if (left <= 0.0) t = (a + sqrt(a * a + 2.0 * JERK_MPS3 * v)) / JERK_MPS3;
    *way = v * t + 0.5 * a * t * t - JERK_MPS3 * t * t * t / 6.0;
    *time = t;
    if (left > 0.0) {
        *way += 0.5 * left * left / b;
        *time += left / b;
    }
}

/* Ways of stops between an axle's leaving and the next one's coming, or, where that has not come, until now. */
static void find_stops(double stop_share, const run *from, const run *to, double dt, spacing *s)
{
    for (int i = 0; i < BRAKINGS; ++i) {
        double way, time, way2 = 0.0, time2 = 0.0;
        stop_from(from->v, from->a, BRAKING_MPS2[i], &way, &time);
        if (to) stop_from(to->v, -to->a, BRAKING_MPS2[i], &way2, &time2); /* the same with time running back */
        s->stop_m[i] = time + time2 < 1.1 * dt + 0.2 ? way + way2 : HUGE_VAL;
    }
    s->stop_cost = -log(stop_share);
    s->unseen = true;
    s->stopped_by = from->stood || (to && to->stood);
    s->between_stops = from->stood && to && to->stood;
}

static spacing seen_spacing(double least, double most, double slack)
{
    spacing s = {0};
    s.lo = least - 0.1 - slack;
    s.hi = most + 0.1 + slack;
    return s;
}

/* How far apart two axles are by one of them being over a line while the other was between two. */
typedef struct {
    double least, most;
    double slack; /* what an uneven motion between the lines may bend */
    int n;
} overlap;

/* Where axle `p` was when `q` was at its lines; `sign` is 1 where p is the first of the two. */
static void look_across(const sensor_array *array, const axle_seen *p, const axle_seen *q, double sign, overlap *o)
{
    static const double HALF_MPS2 = 0.6;
    for (int j = 0; j < array->line_count; ++j) {
        if (!(q->seen & (1u << j))) continue;
        const double t = q->at[j].mid;
        int i = -1;
        for (int k = 0; k < array->line_count; ++k)
            if ((p->seen & (1u << k)) && p->at[k].mid <= t) i = k;
        int k = i + 1;
        while (k < array->line_count && !(p->seen & (1u << k))) ++k;
        if (i < 0 || k >= array->line_count) continue;
        const double dt = (p->at[k].mid - p->at[i].mid) / array->rate;
        const double f = (t - p->at[i].mid) / (p->at[k].mid - p->at[i].mid);
        const double d = sign * (array->lines[i].x + f * (array->lines[k].x - array->lines[i].x) - array->lines[j].x);
        o->slack = fmax(o->slack, f * (1.0 - f) * dt * dt * HALF_MPS2);
        o->least = fmin(o->least, d);
        o->most = fmax(o->most, d);
        o->n++;
    }
}

/* What the second axle went between the first one's leaving and its own coming, and the deviation of that. */
typedef struct {
    double way, sd;
} way_between;

static way_between way_unseen(const sensor_array *array, const run *from, const run *to, double dt)
{
    /* Even motion in between, bent as the accelerations at its ends say; they do not last. */
    const double after = fmax(dt, 0.0), fade = 1.0 / (1.0 + after * after / 9.0);
    const bool stood = from->stood || to->stood;
    way_between w = {0.5 * (from->v + to->v) * dt + (from->a - to->a) / 12.0 * dt * dt * fade, 0.0};
    if (w.way < 0.0 && dt > 0.0) w.way = 0.0;
    /* From rest, or to rest, at a usual acceleration, and steady else; it may have been in less of a hurry. */
    double hurry = 0.0;
    if (from->stood != to->stood) {
        const double v = from->stood ? to->v : from->v;
        hurry = fmax(0.0, 0.5 * (v * dt - 0.5 * v * v / QUEUE_MPS2 - w.way));
        w.way += hurry;
    }
    const double plain = 0.25 * after * sqrt(after), bent = 0.026 * after * after * sqrt(after), most_off = 0.2 * w.way + 0.2 * after;
    w.sd = fmin(array->lines[0].plate || stood ? plain : fmin(plain, bent), most_off);
    if (hurry > 0.0) w.sd = 0.6 * hurry;
    w.sd += 0.05 + 0.02 * w.way + (stood ? 0.05 * after : 0.0);
    return w;
}

/* One motion fitted to both is about twice as near, as measured over vehicles that did not stop. */
static double sd_of_fit(const sensor_array *array, const axle_seen *b, double after, bool stood)
{
    const double span = array->lines[array->line_count - 1].x - array->lines[0].x, brief = span < 3.0 ? 3.0 / span : 1.0;
    const double even = 0.03 + 0.06 * brief * pow(after, 1.7), uneven = 0.15 * fabs(b->apart_m) + 0.3;
    const double sd = fmin(even, uneven) + (stood ? 0.03 * after : 0.0);
    return b->crept && isfinite(b->apart_sigma_m) ? fmin(sd, 0.85 * b->apart_sigma_m) : sd;
}

/* One vehicle has one speed: shortly after the one end it is what the other end says. */
static double uneven_cost(const run *from, const run *to, double dt)
{
    const double off = to->v - from->v - 0.5 * (from->a + to->a) * dt;
    const double sd = 0.05 + 0.03 * (from->v + to->v) + 0.4 * fabs(dt);
    return fmin(0.5 * off * off / (sd * sd), 8.0);
}

spacing spacing_of(const sensor_array *array, double stop_share, const axle_seen *a, const axle_seen *b)
{
    static const double ONE_MOTION_M = 0.02;
    overlap both = {HUGE_VAL, -HUGE_VAL, 0.0, 0};
    look_across(array, a, b, 1.0, &both);
    look_across(array, b, a, -1.0, &both);
    if (both.n > 0) {
        if (b->misfit_m >= 0.0 && b->misfit_m < ONE_MOTION_M && isfinite(b->apart_m)) both.least = both.most = b->apart_m;
        return seen_spacing(both.least, both.most, both.n == 1 && both.least < both.most ? both.slack : 0.0);
    }
    spacing s = {0};
    const run *from = &a->exit, *to = &b->entry;
    const double dt = to->t - from->t;
    const bool plate = array->lines[0].plate, stood = from->stood || to->stood;
    const way_between w = way_unseen(array, from, to, dt);
    s.base = from->x - to->x;
    s.lo = s.base + w.way - 2.0 * w.sd;
    s.hi = s.base + w.way + 2.0 * w.sd;
    if (isfinite(b->apart_m) && array->line_count > 1 && !plate) {
        const double sd = sd_of_fit(array, b, fmax(dt, 0.0), stood);
        if (sd < w.sd || !from->stood || !to->stood) {
            s.lo = b->apart_m - 2.0 * sd;
            s.hi = b->apart_m + 2.0 * sd;
        }
    }
    find_stops(stop_share, from, to, dt, &s);
    if (!stood && !plate) s.uneven = uneven_cost(from, to, dt);
    if (plate) { /* plates give the speed at both ends and nothing between: mostly it changed evenly */
        s.doubt = fmax(0.0, 2.0 * w.sd - (0.3 + 0.006 * dt * dt + 0.02 * w.way));
        s.lo += s.doubt;
        s.hi -= s.doubt;
    }
    return s;
}

spacing spacing_ahead(const sensor_array *array, double stop_share, double now_s, const axle_seen *a)
{
    spacing s = {0};
    const run *from = &a->exit;
    const double dt = now_s - from->t, after = dt > 0.0 ? dt : 0.0;
    int first = 0;
    while (first < array->line_count - 1 && array->lines[first].missed_run >= MISS_RUN) ++first;
    s.base = from->x - array->lines[first].x + 0.3;
    /* It may have slowed down, and gone on so; one that was starting goes faster. */
    const double gone = after < 2.0 ? after : 2.0;
    const double v = from->v + from->a * gone;
    s.lo = s.base + 0.5 * (v > 0.1 ? v : 0.1) * after;
    s.hi = HUGE_VAL;
    find_stops(stop_share, from, NULL, after, &s);
    const double z = log((after + 0.1) / STOP_S) / STOP_SPREAD, longer = 0.5 * erfc(z * 0.70710678118654752);
    s.stop_cost -= log(longer > 1e-9 ? longer : 1e-9);
    return s;
}

double stop_cost_of(const spacing *s, double to)
{
    const double way = to - s->base;
    if (!s->unseen || !(way > 0.05)) return HUGE_VAL;
    int i = 0;
    while (i < BRAKINGS && !(s->stop_m[i] <= way)) ++i;
    if (i == BRAKINGS) return HUGE_VAL;
    double b = BRAKING_MPS2[i];
    if (i > 0 && s->stop_m[i - 1] < HUGE_VAL)
        b += (BRAKING_MPS2[i - 1] - b) * (way - s->stop_m[i]) / (s->stop_m[i - 1] - s->stop_m[i]);
    const double r = b > USUAL_BRAKING ? log(b / USUAL_BRAKING) / BRAKING_SPREAD : 0.0;
    const double share = way < MOVE_M ? way / MOVE_M : 1.0;
    const double again = s->stopped_by && way < NEXT_STOP_M ? NEXT_STOP : 0.0;
    return s->stop_cost + again + 0.5 * r * r - log(share);
}

/* What it costs that it lies outside from .. to, without a stop in between. */
static double off_cost(const spacing *s, double from, double to)
{
    double lowest = s->lo, highest = s->hi, scale = 0.35;
    if (s->hi < HUGE_VAL) {
        const double middle = 0.5 * (s->lo + s->hi), half = 0.5 * (s->hi - s->lo);
        const double sure = half < 0.2 ? half : 0.2; /* the rest of the range is a spread, not a tolerance */
        lowest = middle - sure;
        highest = middle + sure;
        scale = half > 0.3 ? 0.5 * half : 0.15;
    }
    double off = 0.0;
    if (highest < from) off = from - highest;
    else if (lowest > to) off = lowest - to;
    off /= scale;
    const double cost = 0.5 * off * off + s->uneven + (s->between_stops && to - s->base < NEXT_STOP_M ? NEXT_STOP : 0.0);
    return cost < 12.0 ? cost : 12.0;
}

/* The cheaper of a motion without and with a stop, with what the width of the range adds to either. */
static double cost_of(const spacing *s, double from, double to, double width, double stop_width)
{
    static const double UNEVEN = 3.0;
    double cost = off_cost(s, from, to) + width;
    if (s->doubt > 0.0) {
        spacing uneven = *s;
        uneven.lo -= s->doubt;
        uneven.hi += s->doubt;
        const double c = off_cost(&uneven, from, to) + UNEVEN + width;
        if (c < cost) cost = c;
    }
    if (s->unseen && (s->hi < HUGE_VAL ? 0.5 * (s->lo + s->hi) : s->lo) > to) {
        const double stop = stop_cost_of(s, to) + stop_width;
        if (stop < cost) cost = stop;
    }
    return cost;
}

double spacing_cost(const spacing *s, double from, double to)
{
    return cost_of(s, from, to, 0.0, 1.5);
}

/* Adds a share of the likelihood that a distance of that mean and deviation gives to each cell. */
static void add_normal(double cells[CELLS + 1], double mean, double sigma, double share)
{
    static const double REACHES = 4.5; /* deviations */
    const double from = NEAREST_M, at = floor((mean - REACHES * sigma - from) / CELL_M);
    double below = 0.0; /* of the lower edge */
    if (at < 0.0) below = 0.5 * erfc(-(from - mean) / sigma * 0.70710678118654752);
    for (int i = at < 0.0 ? 0 : (at < CELLS ? (int)at : CELLS); i < CELLS; ++i) {
        const double z = (from + CELL_M * (i + 1) - mean) / sigma;
        const double up = z > REACHES ? 1.0 : 0.5 * erfc(-z * 0.70710678118654752);
        cells[i] += share * (up - below);
        below = up;
        if (z > REACHES) return;
    }
    cells[CELLS] += share * (1.0 - below);
}

static void reach_of_coming(const spacing *s, double cells[CELLS + 1])
{
    static const double TOLERANCE_M = 0.15, BUILT_M = 0.1, SELDOM = 0.2, ODD = 0.02, JERKY = 0.05, FAR_M = 20.0, LONGEST_STOP_M = 20.0;
    const double mean = 0.5 * (s->lo + s->hi), half = 0.5 * (s->hi - s->lo);
    const double spread = s->unseen ? 0.5 * half : 0.4 * half;
    const double sigma = sqrt(spread * spread + BUILT_M * BUILT_M), even = (1.0 - JERKY) * exp(-s->uneven) + JERKY;
    const double seldom = s->doubt > 0.0 ? SELDOM : 0.0;
    add_normal(cells, mean, sigma, even * (1.0 - seldom - ODD));
    if (seldom > 0.0) add_normal(cells, mean, sigma + 0.5 * s->doubt, even * seldom);
    add_normal(cells, mean, 4.0 * sigma + 2.0 * TOLERANCE_M, even * ODD);
    for (int i = 0; s->between_stops && i < CELLS; ++i)
        if (NEAREST_M + CELL_M * i < s->base + NEXT_STOP_M) cells[i] *= exp(-NEXT_STOP);
    if (!s->unseen) return;
    double stop = 0.0;
    for (int i = 0; i < CELLS; ++i) {
        const double cost = stop_cost_of(s, NEAREST_M + CELL_M * (i + 0.5));
        stop = cost < 60.0 ? exp(-cost) / LONGEST_STOP_M : 0.0;
        cells[i] += CELL_M * stop;
    }
    cells[CELLS] += FAR_M * stop;
}

static void reach_of_missing(const spacing *s, double cells[CELLS + 1])
{
    static const double SOFT_M = 0.35;
    for (int i = 0; i < CELLS; ++i) {
        const double d = NEAREST_M + CELL_M * (i + 0.5), short_of = (s->lo - d) / SOFT_M;
        const double went = short_of > 0.0 ? exp(-0.5 * short_of * short_of) : 1.0, stop = exp(-stop_cost_of(s, d));
        cells[i] = CELL_M * fmin(went + stop, 1.0);
    }
}

void spacing_reach(const spacing *s, distances *out)
{
    static const double LEAST = 1e-6; /* for a metre, whatever was seen */
    double cells[CELLS + 1] = {0}, sum = 0.0;
    if (s->hi < HUGE_VAL) reach_of_coming(s, cells);
    else reach_of_missing(s, cells);
    out->upto[0] = 0.0f;
    for (int i = 0; i < CELLS; ++i) {
        sum += cells[i] + LEAST * CELL_M;
        out->upto[i + 1] = (float)sum;
    }
    out->beyond = (float)(cells[CELLS] + LEAST);
}

static double reach_upto(const distances *r, double m)
{
    const double at = (m - NEAREST_M) / CELL_M;
    if (at <= 0.0) return 0.0;
    if (at >= CELLS) return (double)r->upto[CELLS];
    const int i = (int)at;
    return (double)r->upto[i] + (at - i) * ((double)r->upto[i + 1] - (double)r->upto[i]);
}

double reach_within(const distances *r, double from, double to)
{
    return reach_upto(r, to) - reach_upto(r, from);
}
