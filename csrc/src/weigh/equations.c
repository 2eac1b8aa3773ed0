/* Crossings, steps and penalties to normal equations, and their solution. See equations.h. */
#include "equations.h"
#include "wide.h"

#include <math.h>
#include <string.h>

/* Before strips at an angle tell: how far to the side vehicles run, how much wider or narrower than usual their axles are, and
 * how much further out the flanks of a tyre, or of two side by side, may lie on such strips. */
static const double ASIDE_M = 0.3, WIDER_M = 0.15, LONGER_M = 0.08;

enum { FLANKS = 2, OFFSETS = 3, BESIDE = 2 };

/* Adds weight * row * row^T, for a row of four neighbouring entries. */
static void add4(envelope *m, int at, const double row[4], double weight)
{
    const int n = m->n;
    double *restrict a = m->a + at * n + at;
    const double r0 = row[0], r1 = row[1], r2 = row[2], r3 = row[3], w[4] = {weight * r0, weight * r1, weight * r2, weight * r3};
    a[0] += w[0] * r0;
    a += n;
    a[0] += w[1] * r0, a[1] += w[1] * r1;
    a += n;
    a[0] += w[2] * r0, a[1] += w[2] * r1, a[2] += w[2] * r2;
    a += n;
    a[0] += w[3] * r0, a[1] += w[3] * r1, a[2] += w[3] * r2, a[3] += w[3] * r3;
}

/* The crossings of one group, and what is eliminated with them. Its columns: some neighbouring ones of the spline, and two of
 * those behind. */
typedef struct {
    int lo, hi;       /* columns of the spline */
    int count;        /* of columns */
    int beside[BESIDE];
    double mean[OFFSETS][SPLINE_MAX_COEFFS + BESIDE];
    double total[OFFSETS], aim[OFFSETS], with_longer[FLANKS];
} group;

static int column(const group *g, int i)
{
    return i < g->hi - g->lo ? g->lo + i : g->beside[i - (g->hi - g->lo)];
}

/* What one crossing's wheel, further to the side or on a wider axle, takes off its place. */
static void beside_of(const crossing_at *o, double x[BESIDE])
{
    x[0] = -o->slope;
    x[1] = -o->slope * o->wheel;
}

static void begin_group(group *g, const crossing_at *o, int count, int coeffs, bool aside)
{
    g->lo = coeffs;
    g->hi = 0;
    for (int i = 0; i < count; ++i) {
        if (o[i].interval < g->lo) g->lo = o[i].interval;
        if (o[i].interval + 4 > g->hi) g->hi = o[i].interval + 4;
    }
    g->count = g->hi - g->lo;
    if (aside) {
        g->beside[0] = coeffs;
        g->beside[1] = coeffs + 1 + o->axle;
        g->count += BESIDE;
    }
    for (int q = 0; q < OFFSETS; ++q) {
        memset(g->mean[q], 0, sizeof(double) * (size_t)g->count);
        g->total[q] = g->aim[q] = 0.0;
    }
    memset(g->with_longer, 0, sizeof g->with_longer);
}

static void add_to_mean(group *g, int q, const crossing_at *o, double weight, const double x[BESIDE])
{
    const int wide = g->hi - g->lo;
    for (int b = 0; b < 4; ++b) g->mean[q][o->interval - g->lo + b] += weight * o->basis[b];
    for (int i = wide; i < g->count; ++i) g->mean[q][i] += weight * x[i - wide];
    g->aim[q] += weight * o->aim;
}

static void add_crossing(equations *e, group *g, const crossing_at *o)
{
    const int n = e->data.n;
    const double w = o->weight;
    double x[BESIDE];
    beside_of(o, x);
    add4(&e->data, o->interval, o->basis, w);
    for (int b = 0; b < 4; ++b) e->right[o->interval + b] += w * o->basis[b] * o->aim;
    for (int i = g->hi - g->lo; i < g->count && o->slope != 0.0; ++i) {
        const int at = g->beside[i - (g->hi - g->lo)];
        const double own = w * x[i - (g->hi - g->lo)];
        for (int b = 0; b < 4; ++b) e->data.a[at * n + o->interval + b] += own * o->basis[b];
        for (int j = g->hi - g->lo; j <= i; ++j) e->data.a[at * n + g->beside[j - (g->hi - g->lo)]] += own * x[j - (g->hi - g->lo)];
        e->right[at] += own * o->aim;
    }
    add_to_mean(g, o->flank, o, w, x);
    g->total[o->flank] += w;
    if (o->longer == 0.0) return;
    add_to_mean(g, FLANKS, o, w * o->longer, x);
    g->total[FLANKS] += w * o->longer * o->longer;
    g->with_longer[o->flank] += w * o->longer;
}

/* Takes one offset out of the equations. */
static void eliminate(equations *e, const group *g, int q)
{
    const int n = e->data.n;
    for (int i = 0; i < g->count; ++i) {
        if (g->mean[q][i] == 0.0) continue;
        const double f = g->mean[q][i] / g->total[q];
        const int r = column(g, i), wide = g->hi - g->lo < i + 1 ? g->hi - g->lo : i + 1;
        double *row = e->data.a + r * n;
        e->right[r] -= f * g->aim[q];
        for (int j = 0; j < wide; ++j) row[g->lo + j] -= f * g->mean[q][j];
        for (int j = wide; j <= i; ++j) row[column(g, j)] -= f * g->mean[q][j];
    }
}

static void end_group(equations *e, group *g)
{
    for (int k = g->lo; k < g->hi; ++k)
        if (g->lo < e->data.first[k]) e->data.first[k] = g->lo;
    for (int q = 0; q < FLANKS; ++q)
        if (g->total[q] > 0.0) eliminate(e, g, q);
    if (!(g->total[FLANKS] > 0.0)) return;
    g->total[FLANKS] += 1.0 / (LONGER_M * LONGER_M);
    for (int q = 0; q < FLANKS; ++q) {
        if (!(g->total[q] > 0.0)) continue;
        const double f = g->with_longer[q] / g->total[q];
        for (int i = 0; i < g->count; ++i) g->mean[FLANKS][i] -= f * g->mean[q][i];
        g->aim[FLANKS] -= f * g->aim[q];
        g->total[FLANKS] -= f * g->with_longer[q];
    }
    eliminate(e, g, FLANKS);
}

void equations_begin(equations *e, const spline *s, const crossing_at *o, int count, int axles)
{
    const int coeffs = s->coeffs, n = axles > 0 ? coeffs + 1 + axles : coeffs;
    e->data.n = n;
    for (int i = 0; i < n; ++i) e->data.first[i] = i > 3 && i < coeffs ? i - 3 : 0;
    memset(e->data.a, 0, sizeof(double) * (size_t)(n * n));
    memset(e->right, 0, sizeof(double) * (size_t)n);
    for (int i = coeffs; i < n; ++i) e->data.a[i * n + i] = i == coeffs ? 1.0 / (ASIDE_M * ASIDE_M) : 1.0 / (WIDER_M * WIDER_M);
    group g;
    for (int i = 0, j; i < count; i = j) {
        for (j = i; j < count && o[j].group == o[i].group; ++j) continue;
        begin_group(&g, o + i, j - i, coeffs, axles > 0);
        for (int k = i; k < j; ++k) add_crossing(e, &g, &o[k]);
        end_group(e, &g);
    }
}

void equations_add_speed(equations *e, const spline *s, double t, double speed, double sigma)
{
    const int at = spline_interval(s, t);
    const double u = t - s->knots[at + 3], w = 1.0 / (sigma * sigma);
    double p[4][4], row[4];
    spline_powers(s, at, p);
    for (int j = 0; j < 4; ++j) row[j] = p[j][1] + u * (2.0 * p[j][2] + 3.0 * u * p[j][3]);
    add4(&e->data, at, row, w);
    for (int b = 0; b < 4; ++b) e->right[at + b] += w * speed * row[b];
}

void equations_add_step(equations *e, const spline *s, double from, double to, double way, double sigma)
{
    const int n = e->data.n, at[2] = {spline_interval(s, from), spline_interval(s, to)};
    const double w = 1.0 / (sigma * sigma);
    double row[2][4];
    for (int q = 0; q < 2; ++q) spline_basis(s, at[q], q ? to : from, row[q]);
    for (int b = 0; b < 4; ++b) row[0][b] = -row[0][b];
    for (int q = 0; q < 2; ++q) {
        add4(&e->data, at[q], row[q], w);
        for (int b = 0; b < 4; ++b) e->right[at[q] + b] += w * way * row[q][b];
    }
    for (int b = 0; b < 4; ++b)
        for (int c = 0; c < 4; ++c) {
            const int r = at[1] + b, k = at[0] + c;
            const double v = w * row[1][b] * row[0][c];
            e->data.a[r > k ? r * n + k : k * n + r] += r == k ? 2.0 * v : v;
        }
    for (int r = at[0]; r < at[1] + 4; ++r)
        if (at[0] < e->data.first[r]) e->data.first[r] = at[0];
}

void penalty_clear(penalty *p, int coeffs)
{
    memset(p->a, 0, sizeof p->a[0] * (size_t)coeffs);
    memset(p->right, 0, sizeof(double) * (size_t)coeffs);
    p->constant = 0.0;
}

void penalty_add(penalty *p, int at, const double row[4], double value, double weight)
{
    for (int i = 0; i < 4; ++i) {
        for (int j = 0; j <= i; ++j) p->a[at + i][i - j] += weight * row[i] * row[j];
        p->right[at + i] += weight * value * row[i];
    }
    p->constant += weight * value * value;
}

double penalty_logdet(const penalty *p, int coeffs)
{
    static const double FREE = 1e-9;
    double l[SPLINE_MAX_COEFFS][BAND], logdet = 0.0;
    for (int i = 0; i < coeffs; ++i)
        for (int d = i < BAND - 1 ? i : BAND - 1; d >= 0; --d) { /* column i - d */
            double s = p->a[i][d] + (d == 0 ? FREE : 0.0);
            for (int k = d + 1; k < BAND && k <= i; ++k) s -= l[i][k] * l[i - d][k - d];
            if (d > 0) {
                l[i][d] = s / l[i - d][0];
            } else {
                l[i][0] = sqrt(s > 1e-15 ? s : 1e-15);
                logdet += 2.0 * log(l[i][0]);
            }
        }
    return logdet;
}

/* The equations with a penalty, transposed, for the factor to be made of it in place; `right`: their right side. */
static void take_equations(upper_factor *u, const equations *e, int coeffs, double w, double *right)
{
    static const double FREE = 1e-6; /* the place as a whole */
    const int n = u->n = e->data.n;
    for (int i = 0; i < n; ++i) u->last[i] = i;
    for (int i = 0; i < n; ++i) {
        const int first = u->first[i] = e->data.first[i];
        if (i > u->last[first]) u->last[first] = i;
    }
    for (int i = 0; i < n; ++i) {
        if (i > 0 && u->last[i] < u->last[i - 1]) u->last[i] = u->last[i - 1];
        memset(u->a + i * n + i, 0, sizeof(double) * (size_t)(u->last[i] + 1 - i));
    }
    for (int i = 0; i < n; ++i) {
        double *column = u->a + i;
        for (int j = u->first[i]; j <= i; ++j) column[j * n] = e->data.a[i * n + j];
        column[i * n] += FREE;
        right[i] = e->right[i];
        if (i >= coeffs) continue;
        for (int d = 0; d < BAND && d <= i; ++d) column[(i - d) * n] += w * e->penalty.a[i][d];
        right[i] += w * e->penalty.right[i];
    }
}

/* In place. Each row is taken from all behind it as soon as it is known, so that neighbours do not wait for each other; each number
 * loses its products in the order of the rows, as if they were summed. */
WIDE_VECTORS static bool make_factor(upper_factor *u)
{
    const int n = u->n;
    for (int k = 0; k < n; ++k) {
        double *restrict row = u->a + k * n;
        const int end = u->last[k] + 1;
        if (!(row[k] > 0.0)) return false;
        const double root = row[k] = sqrt(row[k]);
        for (int j = k + 1; j < end; ++j) row[j] /= root;
        for (int i = k + 1; i < end; ++i) {
            double *restrict to = u->a + i * n;
            const double f = row[i];
            if (f == 0.0) continue;
            for (int j = i; j < end; ++j) to[j] -= f * row[j];
        }
    }
    return true;
}

/* Solves L d = f in place, from unknown `begin` on, before which f is 0. */
static inline void forwards(const upper_factor *u, int begin, double *restrict d)
{
    const int n = u->n;
    for (int k = begin; k < n; ++k) {
        const double *restrict row = u->a + k * n;
        const double found = d[k] = d[k] / row[k];
        for (int i = k + 1; i <= u->last[k]; ++i) d[i] -= row[i] * found;
    }
}

WIDE_VECTORS static void substitute(const upper_factor *u, double *restrict b)
{
    const int n = u->n;
    forwards(u, 0, b);
    for (int i = n - 1; i >= 0; --i) {
        const double *restrict column = u->a + i;
        const double found = b[i] = b[i] / column[i * n];
        for (int k = u->first[i]; k < i; ++k) b[k] -= column[k * n] * found;
    }
}

double equations_solve(const equations *e, int coeffs, double density, upper_factor *factor, double *c)
{
    const int n = e->data.n;
    const double w = 1.0 / density;
    double right[UNKNOWNS_MAX];
    take_equations(factor, e, coeffs, w, right);
    if (!make_factor(factor)) return HUGE_VAL;
    memcpy(c, right, sizeof(double) * (size_t)n);
    substitute(factor, c);
    double cost = w * e->penalty.constant;
    for (int i = 0; i < n; ++i) cost += 2.0 * log(factor->a[i * n + i]) - c[i] * right[i];
    return cost;
}

/* Sums of weighted residuals of a group over its offsets. */
typedef struct {
    double total[OFFSETS], sum[OFFSETS], with_longer[FLANKS];
} offsets;

/* Turns the sums into the offsets themselves. */
static void find_offsets(offsets *s)
{
    if (s->total[FLANKS] > 0.0) {
        double total = s->total[FLANKS] + 1.0 / (LONGER_M * LONGER_M), sum = s->sum[FLANKS];
        for (int q = 0; q < FLANKS; ++q) {
            const double f = s->total[q] > 0.0 ? s->with_longer[q] / s->total[q] : 0.0;
            total -= f * s->with_longer[q];
            sum -= f * s->sum[q];
        }
        s->sum[FLANKS] = sum / total;
    }
    for (int q = 0; q < FLANKS; ++q)
        s->sum[q] = s->total[q] > 0.0 ? (s->sum[q] - s->with_longer[q] * s->sum[FLANKS]) / s->total[q] : 0.0;
}

void equations_residuals(const double *c, int coeffs, crossing_at *o, int count)
{
    for (int i = 0, j; i < count; i = j) {
        offsets s = {{0}, {0}, {0}};
        for (j = i; j < count && o[j].group == o[i].group; ++j) {
            double x = -o[j].aim, beside[BESIDE];
            for (int b = 0; b < 4; ++b) x += o[j].basis[b] * c[o[j].interval + b];
            if (o[j].slope != 0.0) {
                beside_of(&o[j], beside);
                x += beside[0] * c[coeffs] + beside[1] * c[coeffs + 1 + o[j].axle];
            }
            o[j].residual = x;
            s.total[o[j].flank] += o[j].weight;
            s.sum[o[j].flank] += o[j].weight * x;
            if (o[j].longer == 0.0) continue;
            s.total[FLANKS] += o[j].weight * o[j].longer * o[j].longer;
            s.sum[FLANKS] += o[j].weight * o[j].longer * x;
            s.with_longer[o[j].flank] += o[j].weight * o[j].longer;
        }
        find_offsets(&s);
        for (int k = i; k < j; ++k) o[k].residual -= s.sum[o[k].flank] + o[k].longer * s.sum[FLANKS];
    }
}

WIDE_VECTORS double factor_sigma(const upper_factor *factor, const double *f, int begin, int end)
{
    const int n = factor->n;
    double d[UNKNOWNS_MAX], var = 0.0;
    while (begin < end && f[begin] == 0.0) ++begin;
    for (int i = begin; i < n; ++i) d[i] = i < end ? f[i] : 0.0;
    forwards(factor, begin, d);
    for (int i = begin; i < n; ++i) var += d[i] * d[i];
    return sqrt(var);
}
