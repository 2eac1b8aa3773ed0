/* Axle configurations and their shares of the traffic, as costs for cut.c. See pattern.h.
 *
 * A vehicle is written as the number of axles in each of its groups: "122" is a tractor with a tandem that pulls a
 * semitrailer with a tandem. Sources: the FHWA classes by axle spacings, axle-group counts of European lorries (113
 * 39 %, 1211 15 %, 122 12 %, 11 9 %, 22 8 %, 111 and 112 5 %), configurations of NOM-012 (T3-S2-R4) and of the
 * Canadian MoU (B-trains). Shares, in per cent, are judged for both continents together; ranges of the distance between
 * groups are those that are built, without tolerance. What no row says is read by a grammar: a tractor or truck with what
 * it may pull, trailer by trailer. The lane learns how often it sees each row (lane_mix). */
#include "pattern.h"

#include <math.h>
#include <string.h>

enum { LINKS = 4, GROUPS_MOST = 12 };

static const double GROUP_M = 2.3;    /* axles that lie nearer to each other are one group */
static const double LIGHT_KG = 2600.0; /* heaviest axle of cars and vans */

typedef struct {
    const char *groups;
    double share;
    double link[LINKS][2]; /* metres from the last axle of a group to the first of the next */
} configuration;

static const configuration KNOWN[] = {
    {"11", 14.0, {{3.1, 7.8}}},
    {"11", 1.5, {{2.3, 3.6}}},
    {"12", 9.0, {{3.1, 7.8}}},
    {"12", 0.5, {{2.6, 3.6}}},
    {"13", 2.5, {{3.0, 6.5}}},
    {"14", 0.7, {{3.0, 6.5}}},
    {"21", 0.3, {{2.8, 6.5}}},
    {"22", 3.0, {{2.8, 6.5}}},
    {"23", 0.5, {{2.8, 6.5}}},
    {"111", 3.0, {{3.1, 6.6}, {5.0, 12.5}}},
    {"111", 0.7, {{2.4, 7.0}, {3.4, 8.9}}},
    {"112", 5.0, {{3.1, 6.6}, {4.5, 13.0}}},
    {"112", 0.7, {{2.5, 6.6}, {3.4, 8.9}}},
    {"113", 13.0, {{3.1, 4.6}, {4.3, 7.5}}},
    {"113", 1.0, {{3.1, 6.6}, {4.5, 12.5}}},
    {"114", 0.2, {{3.1, 6.6}, {3.5, 12.0}}},
    {"121", 0.8, {{3.1, 7.5}, {3.5, 12.0}}},
    {"122", 28.0, {{3.1, 7.0}, {6.0, 13.5}}},
    {"122", 2.5, {{2.7, 7.0}, {3.0, 9.0}}},
    {"123", 6.0, {{3.1, 7.0}, {4.5, 13.0}}},
    {"124", 0.6, {{3.1, 7.0}, {4.0, 12.5}}},
    {"131", 0.2, {{3.1, 6.6}, {3.5, 12.0}}},
    {"132", 0.5, {{3.1, 6.6}, {3.5, 12.0}}},
    {"133", 0.3, {{3.1, 6.6}, {3.5, 12.0}}},
    {"212", 0.3, {{2.8, 6.5}, {3.5, 12.0}}},
    {"222", 0.3, {{2.8, 6.5}, {3.5, 12.0}}},
    {"1111", 0.8, {{3.1, 7.0}, {3.5, 8.0}, {3.3, 9.0}}},
    {"1111", 0.5, {{3.1, 6.6}, {6.0, 13.0}, {2.3, 3.4}}},
    {"1112", 1.0, {{3.1, 7.0}, {3.5, 8.0}, {3.3, 9.0}}},
    {"1121", 0.3, {{3.1, 7.0}, {3.5, 9.0}, {2.3, 9.0}}},
    {"1122", 0.2, {{3.1, 7.0}, {3.5, 9.0}, {3.3, 9.0}}},
    {"1211", 4.0, {{3.1, 6.6}, {3.5, 7.0}, {3.6, 8.0}}},
    {"1211", 5.0, {{3.1, 6.6}, {7.0, 13.0}, {2.4, 3.3}}},
    {"1212", 0.6, {{3.1, 7.0}, {3.5, 7.0}, {3.5, 9.0}}},
    {"1212", 0.4, {{3.1, 7.0}, {6.0, 12.5}, {2.3, 3.4}}},
    {"1213", 0.3, {{3.1, 7.0}, {5.0, 12.5}, {2.3, 3.4}}},
    {"1221", 0.5, {{3.1, 7.0}, {4.5, 12.5}, {2.3, 9.0}}},
    {"1222", 1.5, {{3.1, 7.0}, {3.6, 9.0}, {3.5, 9.0}}},
    {"1223", 0.5, {{3.1, 7.0}, {4.0, 9.0}, {4.0, 9.0}}},
    {"1231", 0.2, {{3.1, 7.0}, {4.0, 12.0}, {2.3, 9.0}}},
    {"1232", 2.0, {{3.1, 7.0}, {4.0, 8.0}, {4.5, 9.0}}},
    {"1233", 0.5, {{3.1, 7.0}, {4.0, 8.0}, {4.5, 9.0}}},
    {"1333", 0.2, {{3.1, 6.6}, {3.0, 9.0}, {4.0, 12.0}}},
    {"1335", 0.2, {{3.1, 6.6}, {3.0, 9.0}, {4.0, 12.0}}},
    {"11111", 1.5, {{3.1, 6.6}, {5.0, 8.0}, {2.3, 4.0}, {5.0, 8.0}}},
    {"12111", 0.8, {{3.1, 6.2}, {5.0, 8.0}, {2.3, 4.0}, {5.0, 8.0}}},
    {"12112", 0.3, {{3.1, 7.0}, {4.0, 9.0}, {2.3, 5.0}, {4.0, 9.0}}},
    {"12122", 0.2, {{3.1, 7.0}, {4.0, 9.0}, {2.3, 5.0}, {4.0, 9.0}}},
    {"12211", 0.2, {{3.1, 7.0}, {4.0, 9.0}, {2.3, 5.0}, {4.0, 9.0}}},
    {"12212", 0.8, {{3.1, 7.0}, {4.0, 9.0}, {2.3, 5.0}, {4.0, 9.0}}},
    {"12222", 1.5, {{3.1, 7.0}, {5.0, 12.0}, {2.3, 5.0}, {5.0, 12.0}}},
    {"13332", 0.3, {{3.1, 6.6}, {3.0, 9.0}, {3.0, 9.0}, {3.0, 9.0}}},
    {"13333", 0.2, {{3.1, 6.6}, {3.0, 9.0}, {3.0, 9.0}, {3.0, 9.0}}},
};
enum { CONFIGURATIONS = sizeof KNOWN / sizeof *KNOWN };
_Static_assert((int)CONFIGURATIONS <= (int)MIX_ROWS, "lane_mix has a place for each row");

double longest_spacing(const axle_seen *axles, int count)
{
    double most = 0.0;
    for (int i = 0; i < count; ++i)
        if (axles[i].kg > most) most = axles[i].kg;
    return most > LIGHT_KG ? 13.5 : 6.5;
}

/* Two axles of one vehicle have one motion; where both were over the array at a time it can be seen whether they do. */
static double motion_cost(const axle_seen *b)
{
    if (b->misfit_m < 0.0) return 0.0;
    const double r = b->misfit_m / 0.004, c = 0.5 * r * r;
    return c < 9.0 ? c : 9.0;
}

/* Whether the groups, of which the last may still grow where `open`, can be those of the configuration. */
static bool fits(const configuration *c, const char *groups, int count, bool open)
{
    for (int g = 0; g < count; ++g) {
        if (c->groups[g] == '\0') return false;
        if (c->groups[g] != groups[g] && !(open && g == count - 1 && groups[g] < c->groups[g])) return false;
    }
    return open || c->groups[count] == '\0';
}

/* What a group of axles may be, by its part in the vehicle. */
typedef enum { STEER, DRIVE, SEMI, DOLLY, REAR, COUPLED, PONY, PARTS } part;

/* Shares of one, two, three, four axles in it, and of its being the last. Judged from the rows above. */
static const double SIZES[PARTS][4] = {
    [STEER] = {0.95, 0.05, 0.0, 0.0},    [DRIVE] = {0.38, 0.52, 0.07, 0.03}, [SEMI] = {0.08, 0.57, 0.32, 0.03},
    [DOLLY] = {0.82, 0.18, 0.0, 0.0},    [REAR] = {0.38, 0.5, 0.12, 0.0},    [COUPLED] = {0.1, 0.6, 0.3, 0.0},
    [PONY] = {0.3, 0.55, 0.15, 0.0},
};
static const double ENDS[PARTS] = {[DRIVE] = 0.4, [SEMI] = 0.88, [REAR] = 0.92, [COUPLED] = 0.93, [PONY] = 1.0};

/* What may follow what, how often, and how far behind. */
typedef struct {
    part from, to;
    double share, least_m, most_m;
} coupling;

static const coupling COUPLINGS[] = {
    {STEER, DRIVE, 1.0, 3.0, 7.8},  {DRIVE, SEMI, 0.5, 3.4, 13.2},  {DRIVE, DOLLY, 0.05, 3.3, 8.0},
    {DRIVE, PONY, 0.05, 3.3, 8.5},  {SEMI, DOLLY, 0.06, 2.3, 6.0},  {SEMI, COUPLED, 0.06, 3.3, 9.0},
    {DOLLY, REAR, 1.0, 3.3, 12.5},  {REAR, DOLLY, 0.08, 2.3, 6.0},  {COUPLED, COUPLED, 0.05, 3.3, 9.0},
    {COUPLED, DOLLY, 0.02, 2.3, 6.0},
};
enum { COUPLING_COUNT = sizeof COUPLINGS / sizeof *COUPLINGS };

static double size_share(part p, char group, bool open)
{
    double share = 0.0;
    for (int n = group - '0'; n >= 1 && n <= 4; ++n) {
        share += SIZES[p][n - 1];
        if (!open) break;
    }
    return share;
}

/* Density of what was seen of a link that is built from .. to, all of it alike. */
static double linked(const distances *r, double from, double to)
{
    return reach_within(r, from, to) / (to - from);
}

/* Likelihood of the groups under the grammar: the sum over all ways to read them. A `headless` one has lost its first
 * groups: it may begin with any part. */
static double by_grammar(const char *groups, const distances *const *link, int count, bool open, bool headless)
{
    double now[PARTS] = {0}, sum = 0.0;
    const bool alone = open && count == 1;
    now[STEER] = size_share(STEER, groups[0], alone);
    for (int p = DRIVE; headless && p < PARTS; ++p) now[p] = 0.3 * size_share((part)p, groups[0], alone);
    for (int g = 1; g < count; ++g) {
        double next[PARTS] = {0};
        for (int i = 0; i < COUPLING_COUNT; ++i) {
            const coupling *c = &COUPLINGS[i];
            const double size = size_share(c->to, groups[g], open && g == count - 1);
            if (!(now[c->from] > 0.0) || !(size > 0.0)) continue;
            next[c->to] += now[c->from] * c->share * size * linked(link[g], c->least_m, c->most_m);
        }
        memcpy(now, next, sizeof now);
    }
    for (int p = 0; p < PARTS; ++p) sum += now[p] * (open ? 1.0 : ENDS[p]);
    return sum;
}

static const double BY_GRAMMAR = 0.25;  /* share of vehicles that no row says */
static const double BELIEF_N = 25.0, MEMORY_N = 600.0; /* vehicles that the first shares count for, and that are kept */

/* Share of a row in this lane's traffic. */
static double share_of(const lane_mix *m, int row)
{
    return (BELIEF_N * 0.01 * KNOWN[row].share + m->seen[row]) / (BELIEF_N + m->vehicles);
}

/* Axles as groups: how many are in each, and the distances from group to group. */
typedef struct {
    char groups[GROUPS_MOST + 1];
    const distances *link[GROUPS_MOST];
    int first[GROUPS_MOST + 1]; /* axle of each, against the first of all */
    int count, loose;
    double within; /* density of the distances within groups */
} grouping;

/* Axles of a group stand 1.2 to 1.45 m apart, two steering axles 1.7 to 2.2 m; few stand otherwise. */
static double within_group(const distances *r, bool steering)
{
    static const double USUAL = 0.8;
    return USUAL * (steering ? linked(r, 1.6, 2.2) : linked(r, 1.15, 1.48)) + (1.0 - USUAL) * linked(r, 0.8, GROUP_M);
}

static void group_axles(const axle_row *r, int i, int j, grouping *g)
{
    memset(g, 0, sizeof *g);
    g->groups[0] = '1';
    g->count = 1;
    g->within = 1.0;
    for (int k = i + 1; k <= j; ++k) {
        if (0.5 * (r->apart[k].lo + r->apart[k].hi) < GROUP_M && g->groups[g->count - 1] < '9') {
            g->groups[g->count - 1]++;
            g->within *= within_group(&r->reaches[k], k == i + 1);
        } else if (g->count < GROUPS_MOST) {
            g->link[g->count] = &r->reaches[k];
            g->first[g->count] = k - i;
            g->groups[g->count++] = '1';
        } else {
            ++g->loose;
        }
    }
    g->first[g->count] = j - i + 1;
}

static double row_likelihood(int row, const grouping *g, bool open)
{
    const configuration *c = &KNOWN[row];
    if (!fits(c, g->groups, g->count, open)) return 0.0;
    double likelihood = 1.0;
    for (int k = 1; k < g->count; ++k) likelihood *= linked(g->link[k], c->link[k - 1][0], c->link[k - 1][1]);
    return likelihood;
}

/* What nobody builds is rare, and rarer the longer it is; one group of axles alone drives nowhere. */
static double oddity(const grouping *g)
{
    static const double ONE_GROUP = 9.0;
    double off = 6.0 + 2.5 * g->count + 5.0 * g->loose + (g->count == 1 ? ONE_GROUP : 0.0), likelihood = 1.0;
    for (int k = 1; k < g->count; ++k) likelihood *= linked(g->link[k], k == 1 ? 3.0 : 2.3, k == 1 ? 7.6 : 13.0);
    for (int k = 0; k < g->count; ++k)
        if (g->groups[k] > '5') off += 3.0 * (g->groups[k] - '5');
    return likelihood * exp(-off);
}

/* One factor: values that a common one moves by `slope`, each with a deviation of its own. Log density of any number of them. */
typedef struct {
    double own, along, square; /* sums */
    int count;
} factor;

static void factor_add(factor *f, double off, double slope, double sigma)
{
    f->own -= 0.5 * off * off / (sigma * sigma) + log(2.5066283 * sigma);
    f->along += slope * off / (sigma * sigma);
    f->square += slope * slope / (sigma * sigma);
    f->count++;
}

static double factor_density(const factor *f)
{
    return exp(f->own + 0.5 * f->along * f->along / (1.0 + f->square) - 0.5 * log(1.0 + f->square));
}

/* Loads of an axle of a group, kg: the median, how much the cargo moves its logarithm, and what else does. Lorries alone, and
 * those that pull something. By 5,000 weighed lorries (docs/weighing.md). */
typedef struct {
    double kg, cargo, own;
} usual_load;
static const usual_load ALONE[2][3] = {
    {{4000.0, 0.22, 0.28}, {4400.0, 0.15, 0.22}, {4400.0, 0.15, 0.25}},
    {{5300.0, 0.40, 0.30}, {5000.0, 0.40, 0.22}, {4500.0, 0.40, 0.25}},
};
static const usual_load PULLING[3][3] = {
    {{5300.0, 0.08, 0.22}, {4800.0, 0.12, 0.22}, {4800.0, 0.12, 0.25}},
    {{6000.0, 0.30, 0.24}, {5200.0, 0.33, 0.17}, {4800.0, 0.33, 0.20}},
    {{4400.0, 0.42, 0.25}, {4300.0, 0.45, 0.18}, {4200.0, 0.45, 0.18}},
};
static const double ODD_LOADS = 0.06, ANY_KG = 4200.0, ANY_LOG = 0.6;

/* Axles of a group bear alike: density of the log ratios of neighbours. */
static double alike(const axle_seen *a, int count)
{
    static const double USUAL = 0.85, NEAR = 0.08, WIDE = 0.3;
    double density = 1.0;
    for (int k = 1; k < count; ++k) {
        const double r = log(a[k].kg / a[k - 1].kg), near = r / NEAR, wide = r / WIDE;
        density *= USUAL * exp(-0.5 * near * near) / (2.5066283 * NEAR) + (1.0 - USUAL) * exp(-0.5 * wide * wide) / (2.5066283 * WIDE);
    }
    return density;
}

/* Density of the log loads of the groups, `n` axles in all, as those of a lorry alone or pulling, or of what has lost its head. */
static double loads_density(const axle_seen *a, const grouping *g, int n, bool pulls, bool headless)
{
    factor usual = {0};
    double any = 1.0, within = 1.0;
    for (int k = 0; k < g->count && g->first[k] < n; ++k) {
        const int last = g->first[k + 1] < n ? g->first[k + 1] : n, size = last - g->first[k];
        double sum = 0.0;
        for (int i = g->first[k]; i < last; ++i) sum += a[i].kg;
        const int place = headless ? 2 : (k < 2 ? k : 2), column = size < 3 ? size - 1 : 2;
        const usual_load *u = pulls || headless ? &PULLING[place][column] : &ALONE[place > 1 ? 1 : place][column];
        const double kg = sum / size > 1.0 ? sum / size : 1.0, z = log(kg / ANY_KG) / ANY_LOG;
        factor_add(&usual, log(kg / u->kg), u->cargo, u->own);
        any *= exp(-0.5 * z * z) / (2.5066283 * ANY_LOG);
        within *= alike(&a[g->first[k]], size);
    }
    return within * ((1.0 - ODD_LOADS) * factor_density(&usual) + ODD_LOADS * any);
}

/* Cars, vans and motorcycles, and what they pull: shares, distances, loads. */
enum { CAR = CONFIGURATIONS, CAR_TRAILER, MOTORCYCLE, LIGHT_END };
_Static_assert((int)LIGHT_END <= (int)MIX_ROWS, "lane_mix has a place for each");
static const double LIGHT_SHARES[] = {0.14, 0.02, 0.02};

static double light_loads(const axle_seen *a, int n, double kg, double common, double own)
{
    factor f = {0};
    for (int k = 0; k < n; ++k) factor_add(&f, log((a[k].kg > 1.0 ? a[k].kg : 1.0) / kg), common, own);
    return factor_density(&f);
}

static double car_likelihood(const distances *link, const axle_seen *a, int n)
{
    static const double KG = 850.0, COMMON = 0.35, OWN = 0.24;
    return (0.7 * linked(link, 2.2, 3.2) + 0.3 * linked(link, 2.9, 4.6)) * light_loads(a, n < 2 ? n : 2, KG, COMMON, OWN);
}

/* Of which row and how likely: `n` axles, of which `known` have come. */
static void light_likelihoods(const axle_row *r, int i, int n, int known, bool open, double by[3])
{
    static const double BIKE_KG = 160.0, BIKE_OWN = 0.3, TRAILER_KG = 480.0, TRAILER_OWN = 0.6, TANDEM = 0.5;
    const axle_seen *a = &r->axles[i];
    const distances *link = &r->reaches[i];
    by[0] = by[1] = by[2] = 0.0;
    if (n == 1) {
        by[0] = light_loads(a, 1, 850.0, 0.35, 0.24);
        by[2] = light_loads(a, 1, BIKE_KG, 0.0, BIKE_OWN);
        return;
    }
    const double car = car_likelihood(&link[1], a, known);
    if (n == 2) {
        by[0] = car;
        by[1] = open ? car : 0.0;
        by[2] = linked(&link[1], 1.2, 1.75) * light_loads(a, known, BIKE_KG, 0.0, BIKE_OWN);
    } else if (n <= 4) {
        const double first = car * linked(&link[2], 3.0, 6.0) * light_loads(&a[2], known - 2, TRAILER_KG, 0.0, TRAILER_OWN);
        by[1] = n == 3 ? (open ? first : (1.0 - TANDEM) * first) : TANDEM * first * linked(&link[3], 0.6, 1.2) * 1.5;
    }
}

static double heaviest_of(const axle_seen *a, int i, int j)
{
    double most = 0.0;
    for (int k = i; k <= j; ++k)
        if (a[k].kg > most) most = a[k].kg;
    return most;
}

/* Cargo and springs lean to one side, all axles of a vehicle alike and each vehicle in its own way. */
double lean_cost(const axle_row *r, int i, int j)
{
    static const double LIGHT_KG_LEAST = 350.0, ODD = 0.05, ANY = 0.05;
    const lane_habits *h = r->habits;
    const double between = sqrt(h->left_between), within = sqrt(h->left_within);
    factor f = {0};
    double any = 1.0;
    for (int k = i; k <= j; ++k) {
        const axle_seen *a = &r->axles[k];
        if (a->left < 0.0 || a->kg < LIGHT_KG_LEAST) continue;
        const double off = a->left - h->left, z = off / ANY;
        factor_add(&f, off, between, within);
        any *= exp(-0.5 * z * z) / (2.5066283 * ANY);
    }
    return f.count == 0 ? 0.0 : -log((1.0 - ODD) * factor_density(&f) + ODD * any + 1e-30);
}

void lean_learn(lane_habits *h, const axle_row *r, int count, double weight)
{
    static const double FIRST = 10.0, ODD = 0.06, LEAST = 0.004;
    double sum = 0.0, square = 0.0, n = 0.0;
    for (int k = 0; k < count; ++k) {
        const axle_seen *a = &r->axles[k];
        if (a->left < 0.0 || a->kg < 350.0 || fabs(a->left - h->left) > ODD) continue;
        sum += a->left;
        square += a->left * a->left;
        n += 1.0;
    }
    if (n < 2.0) return;
    const double rate = habit_rate(&h->lean_n, weight, FIRST);
    const double mean = sum / n, within = (square - sum * mean) / (n - 1.0), off = mean - h->left;
    h->left_within += rate * (fmin(within, 9.0 * h->left_within) - h->left_within);
    const double between = off * off - h->left_within / n;
    h->left += rate * off;
    h->left_between += rate * (between - h->left_between);
    h->left_within = fmax(h->left_within, LEAST * LEAST);
    h->left_between = fmax(h->left_between, LEAST * LEAST);
}

/* Steering axles have single tyres, whose prints are longer than those of twin tyres under the same axle load: minus log density
 * of the prints, where the lane has learned what is usual. */
static double print_cost(const axle_row *r, int i, int j, bool light)
{
    static const double ODD = 0.1, ANY = 0.3;
    const lane_habits *h = r->habits;
    double cost = 0.0;
    if (isnan(h->other[0])) return 0.0;
    for (int k = i; k <= j; ++k) {
        const double *usual = k == i || light ? h->steered : h->other, print = r->axles[k].print;
        if (isnan(print)) continue;
        const double middle = 0.5 * (h->steered[0] + h->other[0]), z = (print - middle) / ANY, off = print - usual[0];
        cost -= log((1.0 - ODD) * exp(-0.5 * off * off / usual[1]) / sqrt(6.2831853 * usual[1]) + ODD * exp(-0.5 * z * z) / (2.5066283 * ANY));
    }
    return cost;
}

void print_learn(lane_habits *h, const axle_row *r, int count, double weight)
{
    static const double FIRST = 2.0, FIRST_VAR = 0.2 * 0.2, LEAST_VAR = 0.05 * 0.05;
    if (count < 2 || heaviest_of(r->axles, 0, count - 1) < LIGHT_KG) return;
    for (int k = 0; k < count; ++k) {
        const double print = r->axles[k].print;
        if (isnan(print)) continue;
        if (isnan(h->other[0])) {
            h->steered[0] = h->other[0] = print;
            h->steered[1] = h->other[1] = FIRST_VAR;
        }
        double *usual = k == 0 ? h->steered : h->other;
        const double off = print - usual[0], rate = habit_rate(k == 0 ? &h->steered_n : &h->other_n, weight, FIRST);
        usual[0] += rate * off;
        usual[1] += rate * (fmin(off * off, 9.0 * usual[1]) - usual[1]);
        usual[1] = fmax(usual[1], LEAST_VAR);
    }
}

static double light_share(const lane_mix *m, int row)
{
    return (BELIEF_N * LIGHT_SHARES[row - CAR] + m->seen[row]) / (BELIEF_N + m->vehicles);
}

/* What a lorry or what it pulls with these groups is, as the sum over all rows and the grammar. */
static double lorry_likelihood(const axle_row *r, const grouping *g, bool open)
{
    double likelihood = oddity(g) + BY_GRAMMAR * by_grammar(g->groups, g->link, g->count, open, false);
    for (int c = 0; c < CONFIGURATIONS; ++c) {
        const double l = row_likelihood(c, g, open);
        if (l > 0.0) likelihood += (1.0 - BY_GRAMMAR) * share_of(r->mix, c) * l;
    }
    return likelihood * g->within;
}

double vehicle_cost(const axle_row *r, int i, int j, wholeness how)
{
    static const double LONE = 9.0, LOST_HEAD = 3.0, LIGHT_MOST_KG = 3200.0;
    const int n = j - i + 1, known = how == AHEAD ? n - 1 : n;
    const bool headless = how == HEADLESS || how == HEADLESS_OPEN, open = how == OPEN || how == AHEAD || how == HEADLESS_OPEN;
    if (n == 1 && how == WHOLE) return LONE;
    double cost = n > 12 ? 5.0 * (n - 12) : 0.0;
    for (int k = i + 1; k < i + known; ++k) cost += motion_cost(&r->axles[k]);
    grouping g;
    group_axles(r, i, j, &g);
    const axle_seen *a = &r->axles[i];
    double likelihood;
    if (headless) {
        likelihood = g.within * by_grammar(g.groups, g.link, g.count, open, true) * loads_density(a, &g, known, true, true);
        cost += LOST_HEAD + print_cost(r, i, i + known - 1, false);
    } else {
        const bool pulls = g.count > 2;
        double loads = loads_density(a, &g, known, pulls, false);
        if (!pulls && open) loads = 0.5 * (loads + loads_density(a, &g, known, true, false));
        likelihood = (1.0 - LIGHT_SHARES[0] - LIGHT_SHARES[1] - LIGHT_SHARES[2]) * lorry_likelihood(r, &g, open) * loads;
        likelihood *= exp(-print_cost(r, i, i + known - 1, false));
        if (heaviest_of(r->axles, i, i + known - 1) < LIGHT_MOST_KG) {
            const double prints = exp(-print_cost(r, i, i + known - 1, true));
            double by[3];
            light_likelihoods(r, i, n, known, open, by);
            for (int c = 0; c < 3; ++c) likelihood += light_share(r->mix, CAR + c) * by[c] * prints;
        }
    }
    return cost + lean_cost(r, i, i + known - 1) - log(likelihood > 1e-60 ? likelihood : 1e-60);
}

static void add_range(link_shares *l, double from, double to, double share)
{
    l->from[l->count] = from;
    l->to[l->count] = to;
    l->share[l->count++] = share;
}

void pattern_link(const axle_row *r, int count, int k, link_shares *out)
{
    static const double ANY = 1e-4, GROUP_FROM_M = 1.0; /* what no row says is possible, too */
    grouping g;
    out->count = 0;
    if (heaviest_of(r->axles, 0, count - 1) < LIGHT_KG) {
        if (k == 1) add_range(out, 1.8, 4.7, 1.0);
        else add_range(out, 0.6, 7.0, 1.0);
        if (k == 1) add_range(out, 3.1, 7.0, 0.3);
        return;
    }
    group_axles(r, 0, count - 1, &g);
    int link = 0;
    for (int i = 1; i < g.count; ++i)
        if (g.link[i] == &r->reaches[k]) link = i;
    add_range(out, link ? GROUP_M : GROUP_FROM_M, link ? 13.2 : GROUP_M, ANY);
    for (int c = 0; link && c < CONFIGURATIONS; ++c) {
        const configuration *row = &KNOWN[c];
        if (!fits(row, g.groups, g.count, false)) continue;
        double others = 1.0;
        for (int i = 1; i < g.count; ++i)
            if (i != link) others *= linked(g.link[i], row->link[i - 1][0], row->link[i - 1][1]);
        add_range(out, row->link[link - 1][0], row->link[link - 1][1], share_of(r->mix, c) * others);
    }
}

double link_density(const link_shares *l, double d)
{
    static const double EDGE_M = 0.2;
    double sum = 0.0;
    for (int i = 0; i < l->count; ++i) {
        const double out = d < l->from[i] ? l->from[i] - d : (d > l->to[i] ? d - l->to[i] : 0.0), z = out / EDGE_M;
        sum += l->share[i] / (l->to[i] - l->from[i]) * exp(-0.5 * z * z);
    }
    return sum;
}

void mix_learn(lane_mix *m, const axle_row *r, int count, double weight)
{
    if (count < 2) return;
    grouping g;
    group_axles(r, 0, count - 1, &g);
    double each[LIGHT_END] = {0}, sum = 1e-12, light[3] = {0};
    if (heaviest_of(r->axles, 0, count - 1) < LIGHT_KG) light_likelihoods(r, 0, count, count, false, light);
    const double loads = loads_density(r->axles, &g, count, g.count > 2, false) * g.within;
    sum += loads * BY_GRAMMAR * by_grammar(g.groups, g.link, g.count, false, false);
    for (int c = 0; c < CONFIGURATIONS; ++c) each[c] = (1.0 - BY_GRAMMAR) * share_of(m, c) * loads * row_likelihood(c, &g, false);
    for (int c = 0; c < 3; ++c) each[CAR + c] = light_share(m, CAR + c) * light[c];
    for (int c = 0; c < LIGHT_END; ++c) sum += each[c];
    for (int c = 0; c < LIGHT_END; ++c) m->seen[c] += weight * each[c] / sum;
    m->vehicles += weight;
    if (m->vehicles < MEMORY_N) return;
    for (int c = 0; c < LIGHT_END; ++c) m->seen[c] *= 0.5;
    m->vehicles *= 0.5;
}
