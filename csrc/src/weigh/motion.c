/* Penalised B-spline fit of a vehicle's motion. See motion.h. */
#include "motion.h"

#include <math.h>
#include <string.h>

enum { ROBUST_ROUNDS = 3, SIGN_ROUNDS = 6 };

static void set_grid(motion *m, const crossing_at *o, int count, const hints *h, double from, double to)
{
    double events[MOTION_MAX_CROSSINGS + 2 * MOTION_MAX_RESTS];
    int n = 0;
    for (int i = 0; i < count; ++i) events[n++] = o[i].t;
    for (int i = 0; i < h->rest_count; ++i) {
        events[n++] = h->rests[i].from;
        events[n++] = h->rests[i].to;
    }
    spline_place(&m->grid, events, n, from, to);
}

static void add_hints(equations *e, const motion *m, const hints *h)
{
    static const double ROLLS_S = 0.6, STILL_MPS = 0.01, STILL_M = 0.003;
    for (int i = 0; i < h->rest_count; ++i) {
        /* A flat-topped pulse stays level while the wheel still brakes or already pulls away. */
        const double span = h->rests[i].to - h->rests[i].from, edge = ROLLS_S < 0.35 * span ? ROLLS_S : 0.35 * span;
        const double from = h->rests[i].from + edge, to = h->rests[i].to - edge;
        for (int q = 0; q <= 4; ++q) equations_add_speed(e, &m->grid, from + 0.25 * q * (to - from), 0.0, STILL_MPS);
        equations_add_step(e, &m->grid, from, to, 0.0, STILL_M);
    }
    for (int i = 0; i < h->passage_count; ++i)
        equations_add_step(e, &m->grid, h->passages[i].from, h->passages[i].to, h->passages[i].way, h->passages[i].sigma);
}

static void assemble(equations *e, const motion *m, const crossing_at *o, int count, const hints *h)
{
    equations_begin(e, &m->grid, o, count, h->aside_axles);
    add_hints(e, m, h);
}

static void jerk_penalty(penalty *p, const spline *s)
{
    penalty_clear(p, s->coeffs);
    for (int i = 0; i < s->intervals; ++i) {
        double power[4][4], row[4];
        spline_powers(s, i, power);
        for (int j = 0; j < 4; ++j) row[j] = 6.0 * power[j][3];
        penalty_add(p, i, row, 0.0, spline_span(s, i));
    }
}

/* Nobody brakes or pulls for long in a queue: together with the jerk's this makes the acceleration a process that forgets. */
static void acceleration_penalty(penalty *p, const spline *s)
{
    static const double FORGETS_S = 1.5;
    const double at[2] = {0.5 - 0.5 / sqrt(3.0), 0.5 + 0.5 / sqrt(3.0)}; /* exact for a square of a line */
    for (int i = 0; i < s->intervals; ++i) {
        double power[4][4], row[4];
        const double span = spline_span(s, i);
        spline_powers(s, i, power);
        for (int q = 0; q < 2; ++q) {
            for (int j = 0; j < 4; ++j) row[j] = (2.0 * power[j][2] + 6.0 * power[j][3] * at[q] * span) / FORGETS_S;
            penalty_add(p, i, row, 0.0, 0.5 * span);
        }
    }
}

/* A speed that wanders about its mean `v0` and comes back to it at the rate `back` (1/s): a stationary process of second
 * order, x''' + 2 back x'' + back^2 (x' - v0) = white noise. Times its density, with the stationary state at its beginning. */
static void wander_penalty(penalty *p, const spline *s, double back, double v0)
{
    static const double AT[3] = {0.5 - 0.3872983346207417, 0.5, 0.5 + 0.3872983346207417}, WEIGHT[3] = {5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0};
    double power[4][4], row[4];
    penalty_clear(p, s->coeffs);
    for (int i = 0; i < s->intervals; ++i) {
        const double span = spline_span(s, i);
        spline_powers(s, i, power);
        for (int q = 0; q < 3; ++q) {
            const double u = AT[q] * span;
            for (int j = 0; j < 4; ++j) {
                const double *c = power[j];
                row[j] = 6.0 * c[3] + 2.0 * back * (2.0 * c[2] + 6.0 * c[3] * u) + back * back * (c[1] + u * (2.0 * c[2] + 3.0 * u * c[3]));
            }
            penalty_add(p, i, row, back * back * v0, WEIGHT[q] * span);
        }
    }
    spline_powers(s, 0, power);
    for (int j = 0; j < 4; ++j) row[j] = power[j][1];
    penalty_add(p, 0, row, v0, 4.0 * back * back * back);
    for (int j = 0; j < 4; ++j) row[j] = 2.0 * power[j][2];
    penalty_add(p, 0, row, 0.0, 4.0 * back);
}

static void to_powers(motion *m)
{
    for (int i = 0; i < m->grid.intervals; ++i) {
        double p[4][4];
        spline_powers(&m->grid, i, p);
        for (int k = 0; k < 4; ++k) {
            m->poly[i][k] = 0.0;
            for (int j = 0; j < 4; ++j) m->poly[i][k] += m->c[i + j] * p[j][k];
        }
    }
}

/* The polynomial of a time, and how far into it that is; a time outside counts from the nearest end. `*near`: of the last time. */
static inline const double *poly_at(const motion *m, double t, int *near, double *u, double *inside)
{
    const double a = m->grid.knots[3], b = m->grid.knots[3 + m->grid.intervals];
    *inside = t < a ? a : (t > b ? b : t);
    const int i = *near = spline_interval_near(&m->grid, *inside, *near);
    *u = *inside - m->grid.knots[i + 3];
    return m->poly[i];
}

double motion_place_near(const motion *m, double t, int *near)
{
    double u, inside;
    const double *p = poly_at(m, t, near, &u, &inside);
    const double x = p[0] + u * (p[1] + u * (p[2] + u * p[3]));
    return inside == t ? x : x + (t - inside) * (p[1] + u * (2.0 * p[2] + 3.0 * u * p[3]));
}

double motion_place(const motion *m, double t)
{
    int near = 0;
    return motion_place_near(m, t, &near);
}

static double speed_near(const motion *m, double t, int *near)
{
    double u, inside;
    const double *p = poly_at(m, t, near, &u, &inside);
    return p[1] + u * (2.0 * p[2] + 3.0 * u * p[3]);
}

double motion_speed(const motion *m, double t)
{
    int near = 0;
    return speed_near(m, t, &near);
}

double motion_acceleration_near(const motion *m, double t, int *near)
{
    double u, inside;
    const double *p = poly_at(m, t, near, &u, &inside);
    return 2.0 * p[2] + 6.0 * u * p[3];
}

double motion_acceleration(const motion *m, double t)
{
    int near = 0;
    return motion_acceleration_near(m, t, &near);
}

static double median_abs(const crossing_at *o, int count)
{
    /* By bisection on a histogram of |residual| / sigma, in steps of 2 %. */
    int bins[512] = {0};
    int n = 0;
    for (int i = 0; i < count; ++i) {
        const double r = fabs(o[i].residual) / o[i].sigma;
        int b = r > 1e-3 ? (int)(log(r / 1e-3) / 0.03) : 0;
        if (b > 511) b = 511;
        bins[b]++;
        n++;
    }
    int seen = 0;
    for (int b = 0; b < 512; ++b) {
        seen += bins[b];
        if (2 * seen >= n) return 1e-3 * exp((b + 0.5) * 0.03);
    }
    return 1.0;
}

/* A crossing errs in time, not in place: measured in metres, every error would be smaller if the wheels had passed more
 * slowly, and the fit would find them slow. So the residual that is made small is the one in time, times the speed of
 * the last round: to first order the motion at the time when it passed, against a place as far off. */
static void aim_at_times(const motion *m, crossing_at *o, int count)
{
    static const double MOST_S = 0.02, LEAST_MPS = 0.05;
    int near = 0;
    for (int i = 0; i < count; ++i) {
        const double v = speed_near(m, o[i].t, &near), r = o[i].residual;
        double late = fabs(v) > LEAST_MPS ? r / v : 0.0;
        if (fabs(late) > MOST_S) late = late > 0.0 ? MOST_S : -MOST_S;
        o[i].interval = spline_interval_near(&m->grid, o[i].t - late, near);
        spline_basis(&m->grid, o[i].interval, o[i].t - late, o[i].basis);
        o[i].aim = o[i].place - late * v;
    }
}

static void aim_at_places(const motion *m, crossing_at *o, int count)
{
    for (int i = 0, near = 0; i < count; ++i) {
        near = o[i].interval = spline_interval_near(&m->grid, o[i].t, near);
        spline_basis(&m->grid, o[i].interval, o[i].t, o[i].basis);
        o[i].aim = o[i].place;
        o[i].weight = 1.0 / (o[i].sigma * o[i].sigma);
    }
}

/* What is known is where the lines are, and the times are what comes out: the density of a time of crossing is that of the
 * place times the speed (S. Rice, Mathematical Analysis of Random Noise, 1945). Without that factor a wheel whose speed is
 * known badly is taken to be slow on every line. ln v about the speed v0 of the last round is -(v - 2 v0)^2 / (2 v0^2). */
static void add_crossing_rates(equations *e, const motion *m, const hints *h)
{
    static const double LEAST_MPS = 0.03;
    for (int i = 0; i < h->passage_count; ++i) {
        const passage *p = &h->passages[i];
        for (int end = 0; end < 2; ++end) {
            const double t = end ? p->to : p->from, v = fmax(motion_speed(m, t), LEAST_MPS);
            equations_add_speed(e, &m->grid, t, 2.0 * v, v / sqrt(p->share));
        }
    }
}

static bool solve(motion *m, const equations *e, double density)
{
    return equations_solve(e, m->grid.coeffs, density, &m->factor, m->c) < HUGE_VAL;
}

/* How far off the crossings are, and which of them by far: with a stiff motion first. */
static bool robust_rounds(motion *m, equations *e, crossing_at *o, int count, const hints *h)
{
    static const double LEAST = 0.15, OUTLIES = 2.0;
    aim_at_places(m, o, count);
    jerk_penalty(&e->penalty, &m->grid);
    m->scale = 1.0;
    for (int round = 0; round < ROBUST_ROUNDS; ++round) {
        assemble(e, m, o, count, h);
        if (!solve(m, e, m->sparse ? 0.01 : 1.0)) return false;
        equations_residuals(m->c, m->grid.coeffs, o, count);
        m->scale = fmax(1.48 * median_abs(o, count), LEAST);
        for (int i = 0; i < count; ++i) {
            const double s = m->scale * o[i].sigma, r = fabs(o[i].residual);
            o[i].weight = (r > OUTLIES * s ? OUTLIES * s / r : 1.0) / (s * s);
        }
        to_powers(m);
        aim_at_times(m, o, count);
    }
    assemble(e, m, o, count, h);
    return true;
}

typedef enum { STEADY, CHANGES, CREEPS } pace;

/* CHANGES: it slowed or stopped so much that a calm stretch must not vouch for its whole motion. CREEPS: it was never seen
 * faster than a walk, and not standing. */
static pace pace_of(const motion *m, const hints *h)
{
    static const double CREEPS_MPS = 0.8;
    if (h->rest_count > 0 || h->back_count > 0) return CHANGES;
    double lowest = HUGE_VAL, highest = 0.0;
    for (int i = 0; i <= m->grid.intervals; ++i) {
        const double v = motion_speed(m, m->grid.knots[i + 3]);
        if (v < lowest) lowest = v;
        if (v > highest) highest = v;
    }
    if (highest <= CREEPS_MPS && !m->sparse) return CREEPS;
    return lowest < 0.5 * highest && lowest < 2.0 && highest > CREEPS_MPS ? CHANGES : STEADY;
}

static const double DENSITIES[] = {10.0, 2.0, 0.3, 0.03, 0.003, 0.0003}; /* of the jerk, m2/s5 */
enum { N_DENSITIES = 6 };

/* The jerk that the crossings speak for. */
static bool fit_jerk(motion *m, equations *e, pace how, int rest_count)
{
    /* Of stops only those on a strip are seen: where there is one, even a calm crawl between is no rule for the rest. */
    const int first = m->sparse && rest_count == 0 ? 3 : 0;
    const int last = first > 0 ? N_DENSITIES : (how == CHANGES ? (rest_count > 0 ? 2 : 3) : N_DENSITIES);
    double best = HUGE_VAL;
    if (how == CHANGES) acceleration_penalty(&e->penalty, &m->grid);
    m->jerk = m->sparse ? 0.01 : 1.0;
    for (int i = first; i < last; ++i) {
        const double cost = equations_solve(e, m->grid.coeffs, DENSITIES[i], &m->factor, m->c) + (m->grid.coeffs - 3) * log(DENSITIES[i]);
        if (cost < best) {
            best = cost;
            m->jerk = DENSITIES[i];
        }
    }
    return solve(m, e, m->jerk);
}

/* All ways to wander, weighted by their evidence: their mean, what each deviates from it, and the factor of their middle. */
static bool fit_wander(motion *m, equations *e)
{
    static const double BACK[] = {0.4, 1.0, 2.5}, SHARE[] = {0.05, 0.14, 0.3, 0.6}; /* 1/s; of the mean speed */
    enum { N_BACK = 3, N_SHARE = 4 };
    _Static_assert(N_BACK * N_SHARE <= MOTION_MAX_WAYS, "room for all");
    const int coeffs = m->grid.coeffs, n = e->data.n;
    const double from = m->grid.knots[3], to = m->grid.knots[3 + m->grid.intervals];
    const double v0 = (motion_place(m, to) - motion_place(m, from)) / (to - from);
    double cost[MOTION_MAX_WAYS], least = HUGE_VAL, total = 0.0, back = 0.0, density = 0.0, mean[UNKNOWNS_MAX] = {0};
    if (!(v0 > 0.0)) return false;
    for (int i = 0; i < N_BACK * N_SHARE; ++i) {
        const double b = BACK[i / N_SHARE], sd = SHARE[i % N_SHARE] * v0, q = 4.0 * b * b * b * sd * sd;
        if (i % N_SHARE == 0) wander_penalty(&e->penalty, &m->grid, b, v0);
        cost[i] = equations_solve(e, coeffs, q, &m->factor, m->way[i]) + (coeffs - 1) * log(q) - penalty_logdet(&e->penalty, coeffs);
        least = fmin(least, cost[i]);
    }
    if (!(least < HUGE_VAL)) return false;
    for (int i = 0; i < N_BACK * N_SHARE; ++i) {
        cost[i] = exp(0.5 * (least - cost[i]));
        total += cost[i];
    }
    m->ways = N_BACK * N_SHARE;
    for (int i = 0; i < m->ways; ++i) {
        const double b = BACK[i / N_SHARE], sd = SHARE[i % N_SHARE] * v0, share = cost[i] / total;
        back += share * log(b);
        density += share * log(4.0 * b * b * b * sd * sd);
        for (int k = 0; k < n; ++k) mean[k] += share > 0.0 ? share * m->way[i][k] : 0.0;
    }
    for (int i = 0; i < m->ways; ++i) {
        const double root = sqrt(cost[i] / total);
        for (int k = 0; k < n; ++k) m->way[i][k] = root > 0.0 ? root * (m->way[i][k] - mean[k]) : 0.0;
    }
    wander_penalty(&e->penalty, &m->grid, exp(back), v0);
    m->jerk = exp(density);
    if (!solve(m, e, m->jerk)) return false;
    memcpy(m->c, mean, sizeof(double) * (size_t)n);
    return true;
}

static bool rolls_back(const hints *h, double t)
{
    for (int i = 0; i < h->back_count; ++i)
        if (t > h->backs[i].from && t < h->backs[i].to) return true;
    return false;
}

/* Vehicles do not drift backwards while they stand. */
static bool keep_forward(motion *m, equations *e, const hints *h)
{
    static const double DRIFTS_MPS = -0.01, STILL_MPS = 0.02;
    for (int round = 0; round < SIGN_ROUNDS; ++round) {
        bool again = false;
        for (int i = 0; i < m->grid.intervals; ++i)
            for (int q = 0; q < 3; ++q) {
                const double t = m->grid.knots[i + 3] + spline_span(&m->grid, i) * q / 3.0;
                if (motion_speed(m, t) >= DRIFTS_MPS || rolls_back(h, t)) continue;
                equations_add_speed(e, &m->grid, t, 0.0, STILL_MPS);
                again = true;
            }
        if (!again) break;
        if (!solve(m, e, m->jerk)) return false;
        to_powers(m);
    }
    return true;
}

bool motion_fit(motion *m, crossing_at *o, int count, const hints *h, double from, double to)
{
    equations e;
    m->ways = 0;
    if (count < 2) return false;
    set_grid(m, o, count, h, from, to);
    if (!robust_rounds(m, &e, o, count, h)) return false;
    const pace how = pace_of(m, h);
    for (int round = 0; round < (how == CREEPS ? 2 : 1); ++round) {
        if (round > 0) assemble(&e, m, o, count, h);
        if (how != STEADY) add_crossing_rates(&e, m, h);
        if (!(how == CREEPS ? fit_wander(m, &e) : fit_jerk(m, &e, how, h->rest_count))) return false;
        to_powers(m);
    }
    if (!keep_forward(m, &e, h)) return false;
    equations_residuals(m->c, m->grid.coeffs, o, count);
    return true;
}

void motion_add_step(const motion *m, double t0, double t1, double weight, double *f)
{
    const double ends[2] = {t0, t1};
    for (int k = 0; k < 2; ++k) {
        double b[4];
        double t = ends[k];
        if (t < m->grid.knots[3]) t = m->grid.knots[3];
        if (t > m->grid.knots[3 + m->grid.intervals]) t = m->grid.knots[3 + m->grid.intervals];
        const int i = spline_interval(&m->grid, t);
        spline_basis(&m->grid, i, t, b);
        for (int j = 0; j < 4; ++j) f[i + j] += k ? weight * b[j] : -weight * b[j];
    }
}

void motion_add_acceleration(const motion *m, double t, double weight, double *f)
{
    double u, inside, p[4][4];
    int i = 0;
    poly_at(m, t, &i, &u, &inside);
    spline_powers(&m->grid, i, p);
    for (int j = 0; j < 4; ++j) f[i + j] += weight * (2.0 * p[j][2] + 6.0 * u * p[j][3]);
}

/* With what the choices of the prior make of it. */
static double sigma_of(const motion *m, const double *f, int begin, int end)
{
    /* A driver who creeps is no linear process: speeds have a floor, and bursts above it. Measured over simulated ones. */
    static const double WANDER_DOUBT = 1.2;
    const double sd = factor_sigma(&m->factor, f, begin, end);
    double var = sd * sd;
    for (int i = 0; i < m->ways; ++i) {
        double off = 0.0;
        for (int k = begin; k < end; ++k) off += f[k] * m->way[i][k];
        var += off * off;
    }
    return (m->ways > 0 ? WANDER_DOUBT : 1.0) * sqrt(var);
}

double motion_sigma(const motion *m, const double *f)
{
    return sigma_of(m, f, 0, m->grid.coeffs);
}

double motion_time(const motion *m, double place)
{
    const double a = m->grid.knots[3], b = m->grid.knots[3 + m->grid.intervals];
    const double xa = motion_place(m, a), xb = motion_place(m, b);
    if (place <= xa) {
        const double v = motion_speed(m, a);
        return a - (xa - place) / (v > 0.1 ? v : 0.1);
    }
    if (place >= xb) {
        const double v = motion_speed(m, b);
        return b + (place - xb) / (v > 0.1 ? v : 0.1);
    }
    for (int i = 0; i < m->grid.intervals; ++i) {
        double t0 = m->grid.knots[i + 3], t1 = m->grid.knots[i + 4];
        if (motion_place(m, t1) < place) continue;
        for (int k = 0; k < 50; ++k) {
            const double t = 0.5 * (t0 + t1);
            if (motion_place(m, t) < place) t0 = t;
            else t1 = t;
        }
        return 0.5 * (t0 + t1);
    }
    return b;
}

bool motion_wanders(const motion *m)
{
    return m->ways > 0;
}

double motion_aside(const motion *m, int axle, int wheel)
{
    const int at = m->grid.coeffs;
    return m->factor.n > at ? m->c[at] + wheel * m->c[at + 1 + axle] : 0.0;
}

bool motion_lateral(const motion *m, double *metres, double *sigma)
{
    const int at = m->grid.coeffs;
    double f[UNKNOWNS_MAX] = {0};
    if (m->factor.n <= at) return false;
    f[at] = 1.0;
    *metres = m->c[at];
    *sigma = sigma_of(m, f, at, m->factor.n);
    return true;
}
