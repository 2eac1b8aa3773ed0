/* Means over lines against bounce, hop, scatter and load transfer. See blend.h.
 *
 * The error of a line is a random process: body bounce, axle hop, and what changes from line to line. How large each is
 * nobody knows beforehand, so all choices from a grid are tried and weighted by their evidence, pooled over the axles.
 * Load transfer is linear in unknowns that all axles share, with a prior from physics; they and the static loads are
 * eliminated in closed form (linear mixed model: D. Harville, JASA 72 (1977)). */
#include "blend.h"
#include "../clamp.h"

#include <math.h>
#include <string.h>

/* Relative standard deviations to choose from; body bounce lies at 1.2-3.8 Hz, axle hop at 8-15 Hz. */
static const double BOUNCE[] = {0.001, 0.005, 0.012, 0.025, 0.05, 0.09};
static const double HOP[] = {0.0, 0.015, 0.045};
static const double WHITE[] = {0.0007, 0.002, 0.006, 0.018, 0.05};
enum { N_BOUNCE = 6, N_HOP = 3, N_WHITE = 5, UNKNOWNS = 1 + MOVES };
/* How far the transfer between two groups may be from what is expected, relative: heights of loads, brakes. */
static const double OTHERWISE = 0.5, OTHERWISE_LEAST = 0.02;
/* What a hitch does, of one combination against another, whatever they do in the mean. */
static const double HITCHES = 0.25;

static double mean_cos(double from, double to, double tau)
{
    /* Mean of cos(2 pi f tau) over the frequencies. */
    const double a = 6.283185307179586 * tau * from, b = 6.283185307179586 * tau * to;
    return fabs(tau) < 1e-6 ? 1.0 : (sin(b) - sin(a)) / (b - a);
}

double median_of(const double *v, int n)
{
    double sorted[BF_MAX_LINES > BF_MAX_AXLES ? BF_MAX_LINES : BF_MAX_AXLES];
    for (int i = 0; i < n; ++i) {
        int k = i;
        while (k > 0 && sorted[k - 1] > v[i]) {
            sorted[k] = sorted[k - 1];
            --k;
        }
        sorted[k] = v[i];
    }
    return n % 2 ? sorted[n / 2] : 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]);
}

/* One path with its columns: relative loads, and what each unknown adds to them. */
typedef struct {
    int n;
    double middle, variance[BF_MAX_LINES];
    double y[BF_MAX_LINES], x[BF_MAX_LINES][UNKNOWNS];
    double bounce[BF_MAX_LINES][BF_MAX_LINES], hop[BF_MAX_LINES][BF_MAX_LINES];
} columns;

static void make_columns(columns *c, const series *s, const transfer *moves, int unknowns, double share)
{
    c->n = s->n;
    c->middle = median_of(s->kg, s->n);
    for (int i = 0; i < s->n; ++i) {
        c->variance[i] = s->variance[i];
        c->x[i][0] = 0.0;
        for (int u = 1; u < unknowns; ++u) {
            c->x[i][u] = moves->gain[u - 1][s->axle] * s->part * s->pull[i][(u - 1) % PULLS] / c->middle;
            c->x[i][0] += c->x[i][u];
        }
        c->y[i] = s->kg[i] / c->middle - 1.0 - share * c->x[i][0];
        for (int j = 0; j <= i; ++j) {
            const double tau = s->t[i] - s->t[j];
            c->bounce[i][j] = mean_cos(1.2, 3.8, tau);
            c->hop[i][j] = mean_cos(8.0, 15.0, tau);
        }
    }
}

/* In place, lower half; the other half is left alone. */
static double factor(double a[UNKNOWNS][UNKNOWNS], int n)
{
    double logdet = 0.0;
    for (int i = 0; i < n; ++i)
        for (int j = 0; j <= i; ++j) {
            double s = a[i][j];
            for (int k = 0; k < j; ++k) s -= a[i][k] * a[j][k];
            if (i == j) {
                a[i][i] = sqrt(s > 1e-12 ? s : 1e-12);
                logdet += 2.0 * log(a[i][i]);
            } else {
                a[i][j] = s / a[j][j];
            }
        }
    return logdet;
}

static void forward(double a[UNKNOWNS][UNKNOWNS], int n, double *b)
{
    for (int i = 0; i < n; ++i) {
        for (int k = 0; k < i; ++k) b[i] -= a[i][k] * b[k];
        b[i] /= a[i][i];
    }
}

/* One choice of the dynamics: what it makes of one path. */
typedef struct {
    double mean, variance; /* relative, at the expected transfer */
    double g[UNKNOWNS];    /* what an unknown takes off the mean */
} estimate;

/* Adds the path's part to the normal equations of the unknowns (a, b); returns its log evidence, but for those. Inlined for each
 * number of unknowns that is usual, so that the short loops over them are unrolled. */
static inline __attribute__((always_inline)) double reduce(const columns *c, const int unknowns, double b2, double h2, double w2,
                                                           double a[restrict UNKNOWNS][UNKNOWNS], double *restrict b, estimate *restrict e)
{
    double l[BF_MAX_LINES][BF_MAX_LINES], z[BF_MAX_LINES][UNKNOWNS + 2]; /* ones, loads, unknowns: whitened */
    double logdet = 0.0, oo = 0.0, orr = 0.0, rr = 0.0, og[UNKNOWNS] = {0};
    for (int i = 0; i < c->n; ++i) {
        double *zi = z[i];
        zi[0] = 1.0;
        zi[1] = c->y[i];
        for (int u = 0; u < unknowns; ++u) zi[2 + u] = c->x[i][u];
        for (int j = 0; j < i; ++j) {
            double s = b2 * c->bounce[i][j] + h2 * c->hop[i][j];
            for (int k = 0; k < j; ++k) s -= l[i][k] * l[j][k];
            l[i][j] = s / l[j][j];
        }
        double s = b2 + h2 + w2 + c->variance[i];
        for (int k = 0; k < i; ++k) {
            s -= l[i][k] * l[i][k];
            for (int u = 0; u < unknowns + 2; ++u) zi[u] -= l[i][k] * z[k][u];
        }
        l[i][i] = sqrt(s > 1e-9 ? s : 1e-9);
        for (int u = 0; u < unknowns + 2; ++u) zi[u] /= l[i][i];
        logdet += 2.0 * log(l[i][i]);
        oo += zi[0] * zi[0];
        orr += zi[0] * zi[1];
        rr += zi[1] * zi[1];
        for (int u = 0; u < unknowns; ++u) og[u] += zi[0] * zi[2 + u];
        for (int u = 0; u < unknowns; ++u) {
            for (int v = 0; v <= u; ++v) a[u][v] += zi[2 + u] * zi[2 + v];
            b[u] += zi[2 + u] * zi[1];
        }
    }
    e->mean = orr / oo;
    e->variance = 1.0 / oo;
    for (int u = 0; u < unknowns; ++u) {
        e->g[u] = og[u] / oo;
        for (int v = 0; v <= u; ++v) a[u][v] -= og[u] * og[v] / oo;
        b[u] -= og[u] * orr / oo;
    }
    return -0.5 * (logdet + log(oo) + rr - orr * orr / oo);
}

static double reduce_path(const columns *c, int unknowns, double b2, double h2, double w2, double a[UNKNOWNS][UNKNOWNS], double *b, estimate *e)
{
    switch (unknowns) {
    case 0: return reduce(c, 0, b2, h2, w2, a, b, e);
    case 1 + PULLS: return reduce(c, 1 + PULLS, b2, h2, w2, a, b, e);
    case 1 + 2 * PULLS: return reduce(c, 1 + 2 * PULLS, b2, h2, w2, a, b, e);
    default: return reduce(c, unknowns, b2, h2, w2, a, b, e);
    }
}

static double usual_bounce(double speed_mps)
{
    return 0.001 + 0.001 * (speed_mps < 40.0 ? speed_mps : 40.0);
}

/* Before the lines are asked: bounce grows with speed, and is seldom far from its usual size in this lane. A body that
 * bounces shakes its axles too: hop comes with bounce of at least its size, and not at a walking pace. */
static double prior(double bounce, double hop, double white, double speed_mps, const lane_ways *lane)
{
    static const double FEW = 5.0;
    const double usual = usual_bounce(speed_mps) * exp(lane->rough) + 2.0 * hop;
    const double spread = 0.5 + 0.3 * FEW / (FEW + lane->vehicles);
    const double r = log(bounce / usual) / spread, line = log(white / 0.004), hopping = hop / (0.003 + 3.0 * usual_bounce(speed_mps));
    return -0.5 * (r * r + line * line + hopping * hopping);
}

/* Sums over the choices, weighted by exp(log evidence - top). */
typedef struct {
    double top, total;
    double kg[BLEND_MAX_PATHS], kg2[BLEND_MAX_PATHS], bounce[BLEND_MAX_PATHS], moved[BLEND_MAX_PATHS];
    double moved_sum, scatter2, share, share2, log_bounce;
    double unknown[UNKNOWNS]; /* their means */
} sums;

static void scale_sums(sums *s, double by, int count)
{
    double *all[] = {s->kg, s->kg2, s->bounce, s->moved};
    for (int q = 0; q < 4; ++q)
        for (int i = 0; i < count; ++i) all[q][i] *= by;
    s->total *= by;
    s->moved_sum *= by;
    s->scatter2 *= by;
    s->share *= by;
    s->share2 *= by;
    s->log_bounce *= by;
    for (int u = 0; u < UNKNOWNS; ++u) s->unknown[u] *= by;
}

/* Correlation of what two axles deviate by at the same line, from all of them; few lines say little of it. */
static double correlation(const columns *c, const series *path, int count, int unknowns, const double *mean)
{
    static const double USUAL = 0.4, WORTH = 3.0;
    double own = 0.0, all = 0.0, sum[BF_MAX_LINES] = {0};
    int most = 0, n = 0;
    for (int i = 0; i < count; ++i)
        if (c[i].n > most) most = c[i].n;
    for (int i = 0; i < count; ++i) {
        double r[BF_MAX_LINES], middle = 0.0;
        if (c[i].n < most || path[i].part < 1.0) continue;
        for (int j = 0; j < most; ++j) {
            r[j] = c[i].y[j];
            for (int u = 0; u < unknowns; ++u) r[j] -= c[i].x[j][u] * mean[u];
            middle += r[j] / most;
        }
        for (int j = 0; j < most; ++j) {
            sum[j] += r[j] - middle;
            own += (r[j] - middle) * (r[j] - middle);
        }
        ++n;
    }
    if (n < 2 || most < 2 || !(own > 0.0)) return USUAL;
    for (int j = 0; j < most; ++j) all += sum[j] * sum[j];
    const double seen = (all - own) / ((n - 1) * own), worth = (most - 1) * (n - 1);
    const double r = (worth * seen + WORTH * USUAL) / (worth + WORTH);
    return r < 0.0 ? 0.0 : (r > 0.95 ? 0.95 : r);
}

/* All of it or none, and the heights of loads beside that. */
static const double MOST_SHARE_VAR = 0.5;

lane_ways lane_unknown(void)
{
    /* Nothing is put right before it was seen. */
    const lane_ways l = {.share = {{0.0, MOST_SHARE_VAR}, {0.0, MOST_SHARE_VAR}}, .rough = 0.0, .vehicles = 0.0};
    return l;
}

void lane_learn(lane_ways *lane, const blended *b)
{
    static const double MOST_STEP = 0.3, MOST_SHARE = 2.0, WANDER = 0.01, LEAST_VAR = 0.0025, MEMORY = 20.0;
    const lane_ways *seen = &b->seen;
    const known_share *to = &seen->share[b->kind];
    known_share *share = &lane->share[b->kind];
    if (!isfinite(to->mean) || !isfinite(to->var) || !isfinite(seen->rough)) return;
    /* Braking loads the front and never the rear; twice the usual height of gravity is as much as there is. */
    share->mean = clamp(share->mean + clamp(to->mean - share->mean, -MOST_STEP, MOST_STEP), 0.0, MOST_SHARE);
    share->var = clamp(fmax(to->var, 0.5 * share->var) + WANDER * WANDER, LEAST_VAR, MOST_SHARE_VAR);
    if (lane->vehicles < MEMORY) lane->vehicles += 1.0;
    lane->rough = clamp(lane->rough + (seen->rough - lane->rough) / (1.0 + lane->vehicles), -2.5, 2.0);
}

/* One vehicle while its lines are blended: what is fixed, and one choice of the dynamics at a time. */
typedef struct {
    int count, unknowns;
    hauls kind;
    columns c[BLEND_MAX_PATHS];
    estimate e[BLEND_MAX_PATHS];
    double a[UNKNOWNS][UNKNOWNS], b[UNKNOWNS]; /* normal equations of the unknowns; then their factor, and whitened */
} blending;

/* Adds to the log `evidence` of a choice what the lines say, given what is known of the unknowns. */
static double weigh_choice(blending *v, double evidence, double b2, double h2, double w2, double share_var, double spread)
{
    memset(v->a, 0, sizeof v->a);
    memset(v->b, 0, sizeof v->b);
    for (int i = 0; i < v->count; ++i) evidence += reduce_path(&v->c[i], v->unknowns, b2, h2, w2, v->a, v->b, &v->e[i]);
    for (int u = 0; u < v->unknowns; ++u) v->a[u][u] += 1.0 / (u == 0 ? share_var : spread * spread);
    evidence -= 0.5 * factor(v->a, v->unknowns);
    forward(v->a, v->unknowns, v->b);
    for (int u = 0; u < v->unknowns; ++u) evidence += 0.5 * v->b[u] * v->b[u];
    return evidence;
}

/* Adds the loads of a choice, and what may be left of the transfer. */
static void sum_loads(blending *v, double weight, sums *s)
{
    double all[UNKNOWNS] = {0}, moved_sum = 0.0;
    for (int i = 0; i < v->count; ++i) {
        double g[UNKNOWNS], shift = 0.0, moved = 0.0;
        const double middle = v->c[i].middle;
        for (int u = 0; u < v->unknowns; ++u) {
            g[u] = v->e[i].g[u];
            all[u] += middle * g[u];
        }
        forward(v->a, v->unknowns, g);
        for (int u = 0; u < v->unknowns; ++u) {
            shift += g[u] * v->b[u];
            moved += g[u] * g[u];
        }
        const double kg = middle * (1.0 + v->e[i].mean - shift);
        s->kg[i] += weight * kg;
        s->kg2[i] += weight * kg * kg;
        s->bounce[i] += weight * middle * middle * v->e[i].variance;
        s->moved[i] += weight * middle * middle * moved;
    }
    forward(v->a, v->unknowns, all);
    for (int u = 0; u < v->unknowns; ++u) moved_sum += all[u] * all[u];
    s->moved_sum += weight * moved_sum;
}

/* Adds what a choice says of the unknowns. */
static void sum_unknowns(blending *v, double weight, double share_before, sums *s)
{
    if (v->unknowns == 0) return;
    /* The first unknown's mean and variance: the first row of the inverse factor, transposed. */
    double first[UNKNOWNS] = {1.0}, share = 0.0, variance = 0.0;
    forward(v->a, v->unknowns, first);
    for (int u = 0; u < v->unknowns; ++u) {
        share += first[u] * v->b[u];
        variance += first[u] * first[u];
    }
    share += share_before;
    s->share += weight * share;
    s->share2 += weight * (variance + share * share);
    for (int u = v->unknowns - 1; u >= 0; --u) {
        for (int k = u + 1; k < v->unknowns; ++k) v->b[u] -= v->a[k][u] * v->b[k];
        v->b[u] /= v->a[u][u];
        s->unknown[u] += weight * v->b[u];
    }
}

/* One more choice, weighted by its evidence; the best so far has weight 1. */
static void try_choice(blending *v, double bounce, double hop, double white, double speed_mps, const lane_ways *before, sums *s)
{
    const known_share *share = &before->share[v->kind];
    static const double NEGLIGIBLE = 12.0, UNHEARD_OF = -20.0; /* of log evidence */
    const double b2 = bounce * bounce, h2 = hop * hop, w2 = white * white;
    const double otherwise = OTHERWISE * sqrt(share->mean * share->mean + share->var) + OTHERWISE_LEAST;
    const double spread = v->kind == HAULS_TRAILERS ? hypot(otherwise, HITCHES) : otherwise;
    double evidence = prior(bounce, hop, white, speed_mps, before);
    if (evidence < UNHEARD_OF) return;
    evidence = weigh_choice(v, evidence, b2, h2, w2, share->var, spread);
    if (evidence < s->top - NEGLIGIBLE) return;
    if (evidence > s->top) {
        scale_sums(s, s->top > -HUGE_VAL ? exp(s->top - evidence) : 0.0, v->count);
        s->top = evidence;
    }
    const double weight = exp(evidence - s->top);
    sum_loads(v, weight, s);
    sum_unknowns(v, weight, share->mean, s);
    s->scatter2 += weight * (b2 + h2 + w2);
    s->log_bounce += weight * log(bounce);
    s->total += weight;
}

/* What an axle's load moves by if the acceleration was another one, kg2. What one axle gains others lose: the sum stays. */
static double pull_variance(const series *path, const transfer *moves, const known_share *share)
{
    double gain[PULLS] = {0.0}, pull[PULLS] = {0.0};
    for (int u = 0; u < PULLS * moves->couples; ++u) gain[u % PULLS] += moves->gain[u][path->axle] * path->part;
    for (int i = 0; i < path->n; ++i)
        for (int p = 0; p < PULLS; ++p) pull[p] += path->pull[i][p];
    const double kg = gain[-pull[1] > pull[0]] * path->pull_sigma;
    return (share->mean * share->mean + share->var) * kg * kg;
}

void blend(const series *path, int count, const transfer *moves, const lane_ways *before, double speed_mps, blended *out)
{
    const hauls kind = moves->couples > 1 ? HAULS_TRAILERS : HAULS_NOTHING;
    blending v; /* large: what is not used is left alone */
    v.count = count;
    v.unknowns = moves->couples > 0 ? 1 + PULLS * moves->couples : 0;
    v.kind = kind;
    sums s;
    memset(&s, 0, sizeof s);
    s.top = -HUGE_VAL;
    for (int i = 0; i < count; ++i) make_columns(&v.c[i], &path[i], moves, v.unknowns, before->share[kind].mean);
    for (int ib = 0; ib < N_BOUNCE; ++ib)
        for (int ih = 0; ih < N_HOP; ++ih)
            for (int iw = 0; iw < N_WHITE; ++iw) try_choice(&v, BOUNCE[ib], HOP[ih], WHITE[iw], speed_mps, before, &s);
    out->moved_sum_var = s.moved_sum / s.total;
    out->scatter = sqrt(s.scatter2 / s.total);
    out->kind = kind;
    out->seen = *before;
    if (v.unknowns > 0) {
        known_share *share = &out->seen.share[kind];
        share->mean = s.share / s.total;
        share->var = s.share2 / s.total - share->mean * share->mean;
    }
    for (int i = 0; i < count; ++i) {
        out->kg[i] = s.kg[i] / s.total;
        const double between = s.kg2[i] / s.total - out->kg[i] * out->kg[i];
        out->bounce_var[i] = s.bounce[i] / s.total + (between > 0.0 ? between : 0.0);
        out->moved_var[i] = s.moved[i] / s.total + pull_variance(&path[i], moves, &out->seen.share[kind]);
    }
    out->seen.rough = s.log_bounce / s.total - log(usual_bounce(speed_mps));
    for (int u = 0; u < v.unknowns; ++u) s.unknown[u] /= s.total;
    out->together = correlation(v.c, path, count, v.unknowns, s.unknown);
}
