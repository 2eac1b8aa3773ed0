/* Axle configurations and their shares of the traffic, as costs for cut.c. See pattern.h.
 *
 * A vehicle is written as the number of axles in each of its groups: "122" is a tractor with a tandem that pulls a
 * semitrailer with a tandem. Sources: the FHWA classes by axle spacings, axle-group counts of European lorries (113
 * 39 %, 1211 15 %, 122 12 %, 11 9 %, 22 8 %, 111 and 112 5 %), configurations of NOM-012 (T3-S2-R4) and of the
 * Canadian MoU (B-trains). Shares, in per cent, are judged for both continents together; ranges of the distance between
 * groups are those that are built, without tolerance. */
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
    double cost = 2.9 + spacing_cost(&s[i + 1], 1.8, 4.7);
    int trailer = 0;
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

double vehicle_cost(const axle_seen *a, const spacing *s, int i, int j, bool open)
{
    const int n = j - i + 1;
    if (n == 1) return open ? 0.0 : 9.0;
    double heaviest = 0.0, cost = 0.0;
    for (int k = i; k <= j; ++k)
        if (a[k].kg > heaviest) heaviest = a[k].kg;
    for (int k = i + 1; k <= j; ++k) cost += motion_cost(&a[k]);
    if (heaviest < LIGHT_KG) return cost + light_cost(a, s, i, j, heaviest);

    char groups[GROUPS_MOST + 1] = "1";
    const spacing *link[GROUPS_MOST];
    int count = 1, loose = 0;
    for (int k = i + 1; k <= j; ++k) {
        cost += lightness(a[k].kg, heaviest);
        if (0.5 * (s[k].lo + s[k].hi) < GROUP_M && groups[count - 1] < '9') {
            groups[count - 1]++;
            cost += k == i + 1 ? spacing_cost(&s[k], 1.5, GROUP_M) : spacing_cost(&s[k], 0.7, GROUP_M);
        } else if (count < GROUPS_MOST) {
            link[count] = &s[k];
            groups[count++] = '1';
        } else {
            ++loose;
        }
    }
    if (a[i].kg < 0.3 * heaviest && a[i].kg < 1500.0) cost += 6.0; /* a car does not pull a truck */
    /* The sum over the configurations that it can be. */
    double likelihood = 0.0;
    for (int c = 0; c < CONFIGURATIONS; ++c) {
        if (!fits(&KNOWN[c], groups, count, open)) continue;
        double off = 0.0;
        for (int g = 1; g < count; ++g) {
            const double from = KNOWN[c].link[g - 1][0], to = KNOWN[c].link[g - 1][1];
            off += link_cost(link[g], from, to);
        }
        likelihood += 0.01 * KNOWN[c].share * exp(-off);
    }
    /* What nobody has listed is rare, and rarer the longer it is. */
    double off = 6.0 + 2.5 * count + 3.0 * loose;
    for (int g = 1; g < count; ++g) off += spacing_cost(link[g], g == 1 ? 3.0 : 2.3, g == 1 ? 7.6 : 13.0);
    for (int g = 0; g < count; ++g)
        if (groups[g] > '5') off += 3.0 * (groups[g] - '5');
    likelihood += exp(-off);
    return cost - log(likelihood > 1e-30 ? likelihood : 1e-30) + (n > 12 ? 5.0 * (n - 12) : 0.0);
}
