/* Penalised B-spline fit of a vehicle's motion. See motion.h. */
#include "motion.h"

#include <math.h>
#include <string.h>

enum { ROBUST_ROUNDS = 3, SIGN_ROUNDS = 6 };

static int interval_of(const motion *m, double t)
{
    int lo = 0, hi = m->intervals - 1;
    while (lo < hi) {
        const int middle = (lo + hi + 1) / 2;
        if (m->knots[middle + 3] <= t) lo = middle;
        else hi = middle - 1;
    }
    return lo;
}

/* The four cubic basis functions on an interval (de Boor). */
static void basis_at(const motion *m, int interval, double t, double b[4])
{
    const double *k = m->knots + interval;
    double left[4], right[4];
    b[0] = 1.0;
    for (int j = 1; j <= 3; ++j) {
        left[j] = t - k[4 - j];
        right[j] = k[3 + j] - t;
        double saved = 0.0;
        for (int r = 0; r < j; ++r) {
            const double term = b[r] / (right[r + 1] + left[j - r]);
            b[r] = saved + right[r + 1] * term;
            saved = left[j - r] * term;
        }
        b[j] = saved;
    }
}

/* The same in powers of u = t - knot: p[function][power]. */
static void basis_powers(const motion *m, int interval, double p[4][4])
{
    /* A cubic is known by its value at four points. */
    const double t0 = m->knots[interval + 3], h = m->knots[interval + 4] - t0;
    double v[4][4];
    for (int i = 0; i < 4; ++i) basis_at(m, interval, t0 + h * i / 3.0, v[i]);
    for (int j = 0; j < 4; ++j) {
        const double a = v[0][j], b = v[1][j], c = v[2][j], d = v[3][j];
        p[j][0] = a;
        p[j][1] = (-11.0 * a + 18.0 * b - 9.0 * c + 2.0 * d) / (2.0 * h);
        p[j][2] = 9.0 * (2.0 * a - 5.0 * b + 4.0 * c - d) / (2.0 * h * h);
        p[j][3] = 9.0 * (-a + 3.0 * b - 3.0 * c + d) / (2.0 * h * h * h);
    }
}

/* Knots: where things happen, not nearer than `least` and not further than the span allows. */
static void place_knots(motion *m, const crossing_at *o, int count, const rest *rests, int rest_count, double from,
                        double to)
{
    double events[MOTION_MAX_CROSSINGS + 2 * MOTION_MAX_RESTS];
    int n = 0;
    for (int i = 0; i < count; ++i) events[n++] = o[i].t;
    for (int i = 0; i < rest_count; ++i) {
        events[n++] = rests[i].from;
        events[n++] = rests[i].to;
    }
    /* Shell sort: the events come nearly sorted by set. */
    for (int gap = n / 2; gap > 0; gap /= 2)
        for (int i = gap; i < n; ++i) {
            const double v = events[i];
            int j = i;
            for (; j >= gap && events[j - gap] > v; j -= gap) events[j] = events[j - gap];
            events[j] = v;
        }
    const int most = MOTION_MAX_COEFFS - 3; /* intervals */
    double least = 0.15;
    double inner[MOTION_MAX_COEFFS];
    int k;
    for (;;) {
        k = 0;
        double last = from;
        bool room = true;
        for (int i = 0; i <= n; ++i) {
            const double e = i < n ? events[i] : to;
            if (e <= last) continue;
            const double gap = e - last;
            if (gap < least) continue;
            /* In a silence the vehicle may stop and start again soon after its beginning or shortly before its end:
             * knots lie densely at both ends and thin out towards the middle. */
            double step = least;
            double at = last;
            int ends = 0;
            while (at + 1.5 * step < last + 0.5 * gap && room) {
                at += step;
                step *= 1.6;
                if (k >= most - 1) room = false;
                else inner[k++] = at;
                ++ends;
            }
            for (int q = ends - 1; q >= -1 && room; --q) {
                const double mirrored = q >= 0 ? e - (inner[k - 2 * (ends - 1 - q) - 1] - last) : e;
                if (mirrored >= to - 0.5 * least) break;
                if (k >= most - 1) room = false;
                else inner[k++] = mirrored;
            }
            last = e;
            if (!room) break;
        }
        if (room) break;
        least *= 1.4;
    }
    m->intervals = k + 1;
    m->coeffs = m->intervals + 3;
    const double edge = least;
    for (int i = 0; i < 4; ++i) m->knots[i] = from - edge * (3 - i);
    for (int i = 0; i < k; ++i) m->knots[4 + i] = inner[i];
    for (int i = 0; i < 4; ++i) m->knots[4 + k + i] = to + edge * i;
}

/* In place, lower half; row i has nothing before column first[i], which is kept so (envelope storage). */
static bool cholesky(double *a, const int *first, int n)
{
    for (int i = 0; i < n; ++i) {
        double *ai = a + i * n;
        for (int j = first[i]; j <= i; ++j) {
            const double *aj = a + j * n;
            double s = ai[j];
            for (int k = first[i] > first[j] ? first[i] : first[j]; k < j; ++k) s -= ai[k] * aj[k];
            if (j < i) {
                ai[j] = s / aj[j];
            } else {
                if (!(s > 0.0)) return false;
                ai[i] = sqrt(s);
            }
        }
    }
    return true;
}

static void solve(const double *a, const int *first, int n, double *b)
{
    for (int i = 0; i < n; ++i) {
        double s = b[i];
        for (int k = first[i]; k < i; ++k) s -= a[i * n + k] * b[k];
        b[i] = s / a[i * n + i];
    }
    for (int i = n - 1; i >= 0; --i) {
        b[i] /= a[i * n + i];
        for (int k = first[i]; k < i; ++k) b[k] -= a[i * n + k] * b[i];
    }
}

/* Adds weight * row * row^T, for a row of four neighbouring entries. */
static void add4(double *a, int n, int at, const double row[4], double weight)
{
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j <= i; ++j) a[(at + i) * n + at + j] += weight * row[i] * row[j];
}

typedef struct {
    double data[MOTION_MAX_COEFFS * MOTION_MAX_COEFFS];
    double penalty[MOTION_MAX_COEFFS * MOTION_MAX_COEFFS];
    double right[MOTION_MAX_COEFFS];
} equations;

static void assemble(equations *e, motion *m, const crossing_at *o, int count)
{
    const int n = m->coeffs;
    for (int i = 0; i < n; ++i) m->first[i] = i > 3 ? i - 3 : 0;
    memset(e->data, 0, sizeof(double) * (size_t)(n * n));
    memset(e->right, 0, sizeof(double) * (size_t)n);
    for (int i = 0; i < count;) {
        double mean[MOTION_MAX_COEFFS];
        double total = 0.0, place = 0.0;
        int lo = n, hi = 0, j = i;
        for (; j < count && o[j].set == o[i].set; ++j) {
            if (o[j].interval < lo) lo = o[j].interval;
            if (o[j].interval + 4 > hi) hi = o[j].interval + 4;
        }
        for (int k = lo; k < hi; ++k) {
            mean[k] = 0.0;
            if (lo < m->first[k]) m->first[k] = lo;
        }
        for (int k = i; k < j; ++k) {
            const double w = o[k].weight;
            total += w;
            place += w * o[k].aim;
            for (int b = 0; b < 4; ++b) mean[o[k].interval + b] += w * o[k].basis[b];
            add4(e->data, n, o[k].interval, o[k].basis, w);
            for (int b = 0; b < 4; ++b) e->right[o[k].interval + b] += w * o[k].basis[b] * o[k].aim;
        }
        if (total > 0.0) {
            for (int r = lo; r < hi; ++r) {
                if (mean[r] == 0.0) continue;
                const double f = mean[r] / total;
                e->right[r] -= f * place;
                for (int s = lo; s <= r; ++s) e->data[r * n + s] -= f * mean[s];
            }
        }
        i = j;
    }
}

static void add_row(equations *e, const motion *m, double t, bool speed, double value, double weight)
{
    const int n = m->coeffs, at = interval_of(m, t);
    double row[4];
    if (speed) {
        double p[4][4];
        const double u = t - m->knots[at + 3];
        basis_powers(m, at, p);
        for (int j = 0; j < 4; ++j) row[j] = p[j][1] + u * (2.0 * p[j][2] + 3.0 * u * p[j][3]);
    } else {
        basis_at(m, at, t, row);
    }
    add4(e->data, n, at, row, weight);
    for (int b = 0; b < 4; ++b) e->right[at + b] += weight * value * row[b];
}

/* Adds that the place moves on by `way` from one time to the other. */
static void add_step(equations *e, motion *m, double from, double to, double way, double sigma)
{
    const int n = m->coeffs, at[2] = {interval_of(m, from), interval_of(m, to)};
    const double w = 1.0 / (sigma * sigma);
    double row[2][4];
    for (int q = 0; q < 2; ++q) basis_at(m, at[q], q ? to : from, row[q]);
    for (int b = 0; b < 4; ++b) row[0][b] = -row[0][b];
    for (int q = 0; q < 2; ++q) {
        add4(e->data, n, at[q], row[q], w);
        for (int b = 0; b < 4; ++b) e->right[at[q] + b] += w * way * row[q][b];
    }
    for (int b = 0; b < 4; ++b)
        for (int c = 0; c < 4; ++c) {
            const int r = at[1] + b, s = at[0] + c;
            const double v = w * row[1][b] * row[0][c];
            e->data[r > s ? r * n + s : s * n + r] += r == s ? 2.0 * v : v;
        }
    for (int r = at[0]; r < at[1] + 4; ++r)
        if (at[0] < m->first[r]) m->first[r] = at[0];
}

static void add_hints(equations *e, motion *m, const hints *h)
{
    static const double ROLLS_S = 0.6, STILL_MPS = 0.01, STILL_M = 0.003;
    for (int i = 0; i < h->rest_count; ++i) {
        /* A flat-topped pulse stays level while the wheel still brakes or already pulls away. */
        const double span = h->rests[i].to - h->rests[i].from, edge = ROLLS_S < 0.35 * span ? ROLLS_S : 0.35 * span;
        const double from = h->rests[i].from + edge, to = h->rests[i].to - edge;
        for (int q = 0; q <= 4; ++q) add_row(e, m, from + 0.25 * q * (to - from), true, 0.0, 1.0 / (STILL_MPS * STILL_MPS));
        add_step(e, m, from, to, 0.0, STILL_M);
    }
    for (int i = 0; i < h->passage_count; ++i)
        add_step(e, m, h->passages[i].from, h->passages[i].to, h->passages[i].way, h->passages[i].sigma);
}

static void jerk_penalty(equations *e, const motion *m)
{
    const int n = m->coeffs;
    memset(e->penalty, 0, sizeof(double) * (size_t)(n * n));
    for (int i = 0; i < m->intervals; ++i) {
        double p[4][4], row[4];
        basis_powers(m, i, p);
        for (int j = 0; j < 4; ++j) row[j] = 6.0 * p[j][3];
        add4(e->penalty, n, i, row, m->knots[i + 4] - m->knots[i + 3]);
    }
}

/* Nobody brakes or pulls for long in a queue: together with the jerk's this makes the acceleration a process that forgets. */
static void acceleration_penalty(equations *e, const motion *m)
{
    static const double FORGETS_S = 1.5;
    const double at[2] = {0.5 - 0.5 / sqrt(3.0), 0.5 + 0.5 / sqrt(3.0)}; /* exact for a square of a line */
    for (int i = 0; i < m->intervals; ++i) {
        double p[4][4], row[4];
        const double span = m->knots[i + 4] - m->knots[i + 3];
        basis_powers(m, i, p);
        for (int q = 0; q < 2; ++q) {
            for (int j = 0; j < 4; ++j) row[j] = (2.0 * p[j][2] + 6.0 * p[j][3] * at[q] * span) / FORGETS_S;
            add4(e->penalty, m->coeffs, i, row, 0.5 * span);
        }
    }
}

static void to_powers(motion *m)
{
    for (int i = 0; i < m->intervals; ++i) {
        double p[4][4];
        basis_powers(m, i, p);
        for (int k = 0; k < 4; ++k) {
            m->poly[i][k] = 0.0;
            for (int j = 0; j < 4; ++j) m->poly[i][k] += m->c[i + j] * p[j][k];
        }
    }
}

/* Residuals against each set's own offset; returns the weighted sum of squares. */
static double residuals(const motion *m, crossing_at *o, int count)
{
    double chi = 0.0;
    for (int i = 0; i < count;) {
        double total = 0.0, mean = 0.0;
        int j = i;
        for (; j < count && o[j].set == o[i].set; ++j) {
            double x = -o[j].aim;
            for (int b = 0; b < 4; ++b) x += o[j].basis[b] * m->c[o[j].interval + b];
            o[j].residual = x;
            total += o[j].weight;
            mean += o[j].weight * x;
        }
        mean = total > 0.0 ? mean / total : 0.0;
        for (; i < j; ++i) {
            o[i].residual -= mean;
            chi += o[i].weight * o[i].residual * o[i].residual;
        }
    }
    return chi;
}

/* Solves data + penalty / density; returns minus twice the log evidence, but for constants. */
static double solve_for(motion *m, equations *e, double density, bool *ok)
{
    const int n = m->coeffs;
    const double w = 1.0 / density;
    for (int i = 0; i < n; ++i)
        for (int j = m->first[i]; j <= i; ++j) m->chol[i * n + j] = e->data[i * n + j] + w * e->penalty[i * n + j];
    for (int i = 0; i < n; ++i) m->chol[i * n + i] += 1e-6; /* the place as a whole is free */
    *ok = cholesky(m->chol, m->first, n);
    if (!*ok) return HUGE_VAL;
    memcpy(m->c, e->right, sizeof(double) * (size_t)n);
    solve(m->chol, m->first, n, m->c);
    double logdet = 0.0, energy = 0.0;
    for (int i = 0; i < n; ++i) {
        logdet += 2.0 * log(m->chol[i * n + i]);
        energy -= m->c[i] * e->right[i];
    }
    return energy + logdet - (n - 3) * log(w);
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

/* Whether the vehicle slowed or stopped so much that a calm stretch must not vouch for its whole motion. */
static bool changes_speed(motion *m, int rest_count)
{
    if (rest_count > 0) return true;
    to_powers(m);
    double lowest = HUGE_VAL, highest = 0.0;
    for (int i = 0; i <= m->intervals; ++i) {
        const double v = motion_speed(m, m->knots[i + 3]);
        if (v < lowest) lowest = v;
        if (v > highest) highest = v;
    }
    /* One that only creeps changes nothing much: its jerk is small in proportion. */
    static const double CREEPS_MPS = 0.8;
    return lowest < 0.5 * highest && lowest < 2.0 && highest > CREEPS_MPS;
}

/* A crossing errs in time, not in place: measured in metres, every error would be smaller if the wheels had passed more
 * slowly, and the fit would find them slow. So the residual that is made small is the one in time, times the speed of
 * the last round: to first order the motion at the time when it passed, against a place as far off. */
static void aim_at_times(const motion *m, crossing_at *o, int count)
{
    static const double MOST_S = 0.02, LEAST_MPS = 0.05;
    for (int i = 0; i < count; ++i) {
        const double v = motion_speed(m, o[i].t), r = o[i].residual;
        double late = v > LEAST_MPS ? r / v : 0.0;
        if (fabs(late) > MOST_S) late = late > 0.0 ? MOST_S : -MOST_S;
        o[i].interval = interval_of(m, o[i].t - late);
        basis_at(m, o[i].interval, o[i].t - late, o[i].basis);
        o[i].aim = o[i].place - late * v;
    }
}

bool motion_fit(motion *m, crossing_at *o, int count, const hints *h, double from, double to)
{
    equations e;
    const rest *rests = h->rests;
    const int rest_count = h->rest_count;
    if (count < 2) return false;
    place_knots(m, o, count, rests, rest_count, from, to);
    for (int i = 0; i < count; ++i) {
        o[i].interval = interval_of(m, o[i].t);
        basis_at(m, o[i].interval, o[i].t, o[i].basis);
        o[i].aim = o[i].place;
        o[i].weight = 1.0 / (o[i].sigma * o[i].sigma);
    }
    jerk_penalty(&e, m);
    static const double densities[] = {10.0, 2.0, 0.3, 0.03, 0.003, 0.0003};
    double density = m->sparse ? 0.01 : 1.0, scale = 1.0;
    bool ok;
    for (int round = 0; round < ROBUST_ROUNDS; ++round) {
        assemble(&e, m, o, count);
        add_hints(&e, m, h);
        solve_for(m, &e, density, &ok);
        if (!ok) return false;
        residuals(m, o, count);
        scale = 1.48 * median_abs(o, count);
        if (scale < 0.15) scale = 0.15;
        for (int i = 0; i < count; ++i) {
            const double s = scale * o[i].sigma, r = fabs(o[i].residual);
            o[i].weight = (r > 2.0 * s ? 2.0 * s / r : 1.0) / (s * s);
        }
        to_powers(m);
        aim_at_times(m, o, count);
    }
    assemble(&e, m, o, count);
    add_hints(&e, m, h);
    double best = HUGE_VAL;
    const bool changes = changes_speed(m, rest_count);
    /* Of stops only those on a strip are seen: where there is one, even a calm crawl between is no rule for the rest. */
    const int choices = changes ? (rest_count > 0 ? 2 : 3) : (int)(sizeof densities / sizeof *densities);
    if (changes) acceleration_penalty(&e, m);
    for (int i = m->sparse && rest_count == 0 ? 3 : 0; i < (m->sparse && rest_count == 0 ? 6 : choices); ++i) {
        const double cost = solve_for(m, &e, densities[i], &ok);
        if (ok && cost < best) {
            best = cost;
            density = densities[i];
        }
    }
    solve_for(m, &e, density, &ok);
    if (!ok) return false;
    to_powers(m);
    /* Vehicles do not drift backwards while they stand. */
    for (int round = 0; round < SIGN_ROUNDS; ++round) {
        bool again = false;
        for (int i = 0; i < m->intervals; ++i)
            for (int q = 0; q < 3; ++q) {
                const double t = m->knots[i + 3] + (m->knots[i + 4] - m->knots[i + 3]) * q / 3.0;
                if (motion_speed(m, t) < -0.01) {
                    add_row(&e, m, t, true, 0.0, 1.0 / (0.02 * 0.02));
                    again = true;
                }
            }
        if (!again) break;
        solve_for(m, &e, density, &ok);
        if (!ok) return false;
        to_powers(m);
    }
    residuals(m, o, count);
    m->scale = scale;
    m->jerk = density;
    return true;
}

double motion_place(const motion *m, double t)
{
    const double a = m->knots[3], b = m->knots[3 + m->intervals];
    const double inside = t < a ? a : (t > b ? b : t);
    const int i = interval_of(m, inside);
    const double u = inside - m->knots[i + 3], *p = m->poly[i];
    const double x = p[0] + u * (p[1] + u * (p[2] + u * p[3]));
    return inside == t ? x : x + (t - inside) * (p[1] + u * (2.0 * p[2] + 3.0 * u * p[3]));
}

double motion_speed(const motion *m, double t)
{
    const double a = m->knots[3], b = m->knots[3 + m->intervals];
    const double inside = t < a ? a : (t > b ? b : t);
    const int i = interval_of(m, inside);
    const double u = inside - m->knots[i + 3], *p = m->poly[i];
    return p[1] + u * (2.0 * p[2] + 3.0 * u * p[3]);
}

double motion_acceleration(const motion *m, double t)
{
    const double a = m->knots[3], b = m->knots[3 + m->intervals];
    const double inside = t < a ? a : (t > b ? b : t);
    const int i = interval_of(m, inside);
    return 2.0 * m->poly[i][2] + 6.0 * (inside - m->knots[i + 3]) * m->poly[i][3];
}

void motion_add_step(const motion *m, double t0, double t1, double weight, double *f)
{
    const double ends[2] = {t0, t1};
    for (int k = 0; k < 2; ++k) {
        double b[4];
        double t = ends[k];
        if (t < m->knots[3]) t = m->knots[3];
        if (t > m->knots[3 + m->intervals]) t = m->knots[3 + m->intervals];
        const int i = interval_of(m, t);
        basis_at(m, i, t, b);
        for (int j = 0; j < 4; ++j) f[i + j] += k ? weight * b[j] : -weight * b[j];
    }
}

double motion_sigma(const motion *m, const double *f)
{
    const int n = m->coeffs;
    double d[MOTION_MAX_COEFFS], var = 0.0;
    int start = 0;
    while (start < n && f[start] == 0.0) d[start++] = 0.0;
    for (int i = start; i < n; ++i) {
        double s = f[i];
        for (int k = start > m->first[i] ? start : m->first[i]; k < i; ++k) s -= m->chol[i * n + k] * d[k];
        d[i] = s / m->chol[i * n + i];
        var += d[i] * d[i];
    }
    return sqrt(var);
}

double motion_time(const motion *m, double place)
{
    const double a = m->knots[3], b = m->knots[3 + m->intervals];
    const double xa = motion_place(m, a), xb = motion_place(m, b);
    if (place <= xa) {
        const double v = motion_speed(m, a);
        return a - (xa - place) / (v > 0.1 ? v : 0.1);
    }
    if (place >= xb) {
        const double v = motion_speed(m, b);
        return b + (place - xb) / (v > 0.1 ? v : 0.1);
    }
    for (int i = 0; i < m->intervals; ++i) {
        double t0 = m->knots[i + 3], t1 = m->knots[i + 4];
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
