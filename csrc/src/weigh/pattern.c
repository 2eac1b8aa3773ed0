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
    {"11", 10.0, {{3.1, 7.8}}},
    {"12", 7.0, {{3.1, 7.8}}},
    {"13", 2.5, {{3.0, 6.5}}},
    {"14", 0.7, {{3.0, 6.5}}},
    {"21", 0.3, {{2.8, 6.5}}},
    {"22", 3.0, {{2.8, 6.5}}},
    {"23", 0.5, {{2.8, 6.5}}},
    {"111", 3.0, {{3.1, 6.6}, {5.0, 12.5}}},
    {"111", 0.7, {{3.5, 7.0}, {3.5, 8.0}}},
    {"112", 5.0, {{3.1, 6.6}, {4.5, 13.0}}},
    {"113", 13.0, {{3.1, 4.6}, {4.3, 7.5}}},
    {"113", 1.0, {{3.1, 6.6}, {4.5, 12.5}}},
    {"114", 0.2, {{3.1, 6.6}, {3.5, 12.0}}},
    {"121", 0.8, {{3.1, 7.5}, {3.5, 12.0}}},
    {"122", 28.0, {{3.1, 7.0}, {6.0, 13.5}}},
    {"122", 0.8, {{3.1, 7.2}, {3.5, 6.5}}},
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
    {"1222", 1.5, {{3.1, 7.0}, {4.5, 9.0}, {4.0, 9.0}}},
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

/* Motorcycles, cars, vans, and what they pull. */
static double light_cost(const axle_seen *a, const spacing *s, int i, int j, double heaviest)
{
    const int n = j - i + 1;
    if (heaviest < 320.0 && n == 2 && s[j].hi > 1.2) return 2.5 + spacing_cost(&s[j], 1.2, 1.75);
    double cost = 2.9 + spacing_cost(&s[i + 1], 1.8, 4.7) + (s[i + 1].hi < 1.7 ? 6.0 : 0.0);
    int trailer = 0;
    for (int k = i; k <= j; ++k)
        if (a[k].kg < 0.06 * heaviest) cost += 5.0; /* no wheel's */
    for (int k = i + 2; k <= j; ++k) {
        if (trailer == 0) cost += 3.0 + spacing_cost(&s[k], 2.6, 7.0);
        else cost += 0.3 + spacing_cost(&s[k], 0.5, 1.4);
        if (a[k].kg > 1.25 * (a[i].kg + a[i + 1].kg) / 2.0) cost += 1.5;
        ++trailer;
    }
    return cost + (n > 5 ? 6.0 * (n - 5) : 0.0);
}

/* Axles of lorries and their trailers seldom weigh less than an empty trailer's: a car does. */
static double lightness(double kg, double heaviest)
{
    const double usual = 0.35 * heaviest < 2500.0 ? 0.35 * heaviest : 2500.0;
    if (kg >= usual) return 0.0;
    const double r = log(usual / kg) / 0.35, cost = 0.5 * r * r;
    return cost < 4.0 ? cost : 4.0;
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

/* Likelihood of the groups under the grammar: the sum over all ways to read them. A `headless` one has lost its first
 * groups: it may begin with any part. */
static double by_grammar(const char *groups, const spacing *const *link, int count, bool open, bool headless)
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
            next[c->to] += now[c->from] * c->share * size * exp(-link_cost(link[g], c->least_m, c->most_m));
        }
        memcpy(now, next, sizeof now);
    }
    for (int p = 0; p < PARTS; ++p) sum += now[p] * (open ? 1.0 : ENDS[p]);
    return sum;
}

static const double BY_GRAMMAR = 0.25;  /* share of vehicles that no row says */
static const double BELIEF_N = 60.0, MEMORY_N = 600.0; /* vehicles that the first shares count for, and that are kept */

/* Share of a row in this lane's traffic. */
static double share_of(const lane_mix *m, int row)
{
    return (BELIEF_N * 0.01 * KNOWN[row].share + m->seen[row]) / (BELIEF_N + m->vehicles);
}

/* Axles as groups: how many are in each, and the distances from group to group. */
typedef struct {
    char groups[GROUPS_MOST + 1];
    const spacing *link[GROUPS_MOST];
    int count, loose;
    double cost; /* of the distances within groups */
} grouping;

static void group_axles(const spacing *s, int i, int j, grouping *g)
{
    memset(g, 0, sizeof *g);
    g->groups[0] = '1';
    g->count = 1;
    for (int k = i + 1; k <= j; ++k) {
        if (0.5 * (s[k].lo + s[k].hi) < GROUP_M && g->groups[g->count - 1] < '9') {
            g->groups[g->count - 1]++;
            g->cost += k == i + 1 ? spacing_cost(&s[k], 1.5, GROUP_M) : spacing_cost(&s[k], 0.7, GROUP_M);
        } else if (g->count < GROUPS_MOST) {
            g->link[g->count] = &s[k];
            g->groups[g->count++] = '1';
        } else {
            ++g->loose;
        }
    }
}

static double row_likelihood(int row, const grouping *g, bool open)
{
    const configuration *c = &KNOWN[row];
    if (!fits(c, g->groups, g->count, open)) return 0.0;
    double off = 0.0;
    for (int k = 1; k < g->count; ++k) off += link_cost(g->link[k], c->link[k - 1][0], c->link[k - 1][1]);
    return exp(-off);
}

/* What nobody builds is rare, and rarer the longer it is; one group of axles alone drives nowhere. */
static double oddity(const grouping *g)
{
    static const double ONE_GROUP = 9.0;
    double off = 9.0 + 2.5 * g->count + 3.0 * g->loose + (g->count == 1 ? ONE_GROUP : 0.0);
    for (int k = 1; k < g->count; ++k) off += spacing_cost(g->link[k], k == 1 ? 3.0 : 2.3, k == 1 ? 7.6 : 13.0);
    for (int k = 0; k < g->count; ++k)
        if (g->groups[k] > '5') off += 3.0 * (g->groups[k] - '5');
    return exp(-off);
}

/* What follows on single axles may be a trailer, whose axles bear about the same, or another lorry, whose rear axle mostly
 * bears more than its front axle: the first against the second, where the last two groups are single axles. */
static double evenness_cost(const axle_seen *a, const grouping *g, int j)
{
    static const double USUAL = 0.3, SPREAD = 0.22, MOST = 3.0;
    if (g->count < 4 || g->groups[g->count - 1] != '1' || g->groups[g->count - 2] != '1') return 0.0;
    const double r = log(a[j].kg / a[j - 1].kg) / SPREAD, usual = USUAL / SPREAD;
    const double cost = 0.5 * r * r - (fabs(r) < usual ? 0.5 * r * r : 0.5 * usual * usual);
    return cost < MOST ? cost : MOST;
}

/* Cargo is spread over all groups: axles behind the driven ones seldom bear much more than these. */
static double burden_cost(const axle_seen *a, const spacing *s, int i, int j)
{
    static const double MORE = 0.35, SPREAD = 0.2, MOST = 4.0;
    double kg[GROUPS_MOST] = {0}, n[GROUPS_MOST] = {0}, cost = 0.0;
    int g = 0;
    for (int k = i; k <= j; ++k) {
        if (k > i && 0.5 * (s[k].lo + s[k].hi) >= GROUP_M && ++g == GROUPS_MOST) break;
        kg[g] += a[k].kg;
        n[g] += 1.0;
    }
    for (int k = 2; k <= g && k < GROUPS_MOST; ++k) {
        const double r = (log(kg[k] / n[k] * n[1] / kg[1]) - MORE) / SPREAD;
        if (r > 0.0) cost += 0.5 * r * r;
    }
    return cost < MOST ? cost : MOST;
}

static double heaviest_of(const axle_seen *a, int i, int j)
{
    double most = 0.0;
    for (int k = i; k <= j; ++k)
        if (a[k].kg > most) most = a[k].kg;
    return most;
}

double vehicle_cost(const lane_mix *m, const axle_seen *a, const spacing *s, int i, int j, bool open, bool headless)
{
    static const double LONE = 9.0, LOST_HEAD = 5.0;
    const int n = j - i + 1;
    if (n == 1 && !headless) return open ? 0.0 : LONE;
    const double heaviest = heaviest_of(a, i, j);
    double cost = n > 12 ? 5.0 * (n - 12) : 0.0;
    for (int k = i + 1; k <= j; ++k) cost += motion_cost(&a[k]);
    if (heaviest < LIGHT_KG && !headless) return cost + light_cost(a, s, i, j, heaviest);
    grouping g;
    group_axles(s, i, j, &g);
    cost += g.cost;
    for (int k = i + 1; k <= j; ++k) cost += lightness(a[k].kg, heaviest);
    if (headless) {
        const double l = by_grammar(g.groups, g.link, g.count, open, true);
        return cost + LOST_HEAD - log(l > 1e-30 ? l : 1e-30);
    }
    if (a[i].kg < 0.3 * heaviest && a[i].kg < 1500.0) cost += 6.0; /* a car does not pull a truck */
    cost += evenness_cost(a, &g, j) + burden_cost(a, s, i, j);
    double likelihood = oddity(&g) + BY_GRAMMAR * by_grammar(g.groups, g.link, g.count, open, false);
    for (int c = 0; c < CONFIGURATIONS; ++c) {
        const double l = row_likelihood(c, &g, open);
        if (l > 0.0) likelihood += (1.0 - BY_GRAMMAR) * share_of(m, c) * l;
    }
    return cost - log(likelihood > 1e-30 ? likelihood : 1e-30);
}

static void add_range(link_shares *l, double from, double to, double share)
{
    l->from[l->count] = from;
    l->to[l->count] = to;
    l->share[l->count++] = share;
}

void pattern_link(const lane_mix *m, const axle_seen *a, const spacing *s, int count, int k, link_shares *out)
{
    static const double ANY = 1e-4, GROUP_FROM_M = 1.0; /* what no row says is possible, too */
    grouping g;
    out->count = 0;
    if (heaviest_of(a, 0, count - 1) < LIGHT_KG) {
        if (k == 1) add_range(out, 1.8, 4.7, 1.0);
        else add_range(out, 0.6, 7.0, 1.0);
        return;
    }
    group_axles(s, 0, count - 1, &g);
    int link = 0;
    for (int i = 1; i < g.count; ++i)
        if (g.link[i] == &s[k]) link = i;
    add_range(out, link ? GROUP_M : GROUP_FROM_M, link ? 13.2 : GROUP_M, ANY);
    for (int c = 0; link && c < CONFIGURATIONS; ++c) {
        const configuration *row = &KNOWN[c];
        if (!fits(row, g.groups, g.count, false)) continue;
        double off = 0.0;
        for (int i = 1; i < g.count; ++i)
            if (i != link) off += link_cost(g.link[i], row->link[i - 1][0], row->link[i - 1][1]);
        add_range(out, row->link[link - 1][0], row->link[link - 1][1], share_of(m, c) * exp(-off));
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

void mix_learn(lane_mix *m, const axle_seen *a, const spacing *s, int count)
{
    if (count < 2 || heaviest_of(a, 0, count - 1) < LIGHT_KG) return;
    grouping g;
    group_axles(s, 0, count - 1, &g);
    double each[CONFIGURATIONS], sum = BY_GRAMMAR * by_grammar(g.groups, g.link, g.count, false, false) + 1e-12;
    for (int c = 0; c < CONFIGURATIONS; ++c) {
        each[c] = (1.0 - BY_GRAMMAR) * share_of(m, c) * row_likelihood(c, &g, false);
        sum += each[c];
    }
    for (int c = 0; c < CONFIGURATIONS; ++c) m->seen[c] += each[c] / sum;
    m->vehicles += 1.0;
    if (m->vehicles < MEMORY_N) return;
    for (int c = 0; c < CONFIGURATIONS; ++c) m->seen[c] *= 0.5;
    m->vehicles *= 0.5;
}
