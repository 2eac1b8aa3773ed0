/* The free journey from counts alone.
 *
 * While nobody waits, each departure follows its passage by the free journey; so among the times from every passage to
 * every later departure that one is frequent, and stands out of the others, which are as frequent as passages are (the
 * cross-correlogram of two point processes: D. R. Cox and P. A. W. Lewis, Proc. 6th Berkeley Symp. 3 (1972), 401).
 * A queue adds only to the others. It needs no guess of who is who: a wrong one cannot confirm itself. In: times; out: mean and
 * deviation of ln of the free journey. Called by learn.c.
 */
#include "journey.h"

#include <math.h>
#include <string.h>

#define HALF 3   /* bins on each side of the middle of a peak */
#define APART 3  /* bins between it and its flanks */
#define FLANK 8  /* bins of each of these */

static const double RANGE_LN = 1.8;   /* bins reach so far from the usual, each way */
static const double USUAL_SD_LN = 0.5;
static const double WAVES = 0.02;      /* of the rate at which passages come, from one time to another */
static const double FADE = 1.0 - 1.0 / 2000.0; /* a departure */
static const double SD_LEAST = 0.04, SD_MOST = 0.3;

void journey_begin(journey *j, double usual_s)
{
    memset(j, 0, sizeof *j);
    for (int i = 0; i <= JOURNEY_BINS; i++) {
        j->edge_s[i] = usual_s * exp(RANGE_LN * (2.0 * (double)i / JOURNEY_BINS - 1.0));
    }
}

/* How many of the passages fall into each bin; returns how many into any. */
static int count(const journey *j, double t, const double *entered, int64_t first, int64_t next, int64_t capacity,
                 int in_bin[JOURNEY_BINS])
{
    int bin = 0, n = 0;
    for (int64_t pos = next - 1; pos >= first; pos--) {
        double travel = t - entered[pos & (capacity - 1)];
        while (bin < JOURNEY_BINS && travel >= j->edge_s[bin + 1]) {
            bin++;
        }
        if (bin == JOURNEY_BINS) {
            break;
        }
        if (travel >= j->edge_s[bin]) {
            in_bin[bin]++;
            n++;
        }
    }
    return n;
}

void journey_see(journey *j, double t, double weight, const double *entered, int64_t first, int64_t next, int64_t capacity)
{
    int in_bin[JOURNEY_BINS] = {0};
    int n = count(j, t, entered, first, next, capacity, in_bin);
    weight /= 1.0 + (double)n; /* of one pair: where many come, one says little */
    for (int i = 0; i < JOURNEY_BINS; i++) {
        j->pairs[i] = FADE * j->pairs[i] + weight * (double)in_bin[i];
    }
    j->sum = FADE * j->sum + weight * (double)n;
    j->square = FADE * j->square + weight * weight * (double)n;
}

static double pairs_of(const journey *j, int from, int to)
{
    double pairs = 0.0;
    for (int i = from; i < to; i++) {
        pairs += j->pairs[i];
    }
    return pairs;
}

static double rate_of(const journey *j, int from, int to)
{
    return pairs_of(j, from, to) / (j->edge_s[to] - j->edge_s[from]);
}

/* Pairs a second beside a peak around bin `at`: where traffic grows or falls the higher of both sides, so that a slope is no peak. */
static double beside(const journey *j, int at)
{
    double below = rate_of(j, at - HALF - APART - FLANK, at - HALF - APART);
    double above = rate_of(j, at + HALF + APART + 1, at + HALF + APART + FLANK + 1);
    return below > above ? below : above;
}

/* By how many deviations the pairs around bin `at` stand out. */
static double stands_out(const journey *j, int at)
{
    int from = at - HALF, to = at + HALF + 1;
    double chance = beside(j, at) * (j->edge_s[to] - j->edge_s[from]), waves = WAVES * chance;
    double unit = j->sum > 0.0 ? j->square / j->sum : 1.0;
    return (pairs_of(j, from, to) - chance) / sqrt(unit * (chance + unit) + waves * waves);
}

double journey_tell(const journey *j, double *mean_ln, double *sd_ln)
{
    const int rim = HALF + APART + FLANK;
    double most = 0.0, out = 0.0;
    int best = -1;
    for (int at = rim; at < JOURNEY_BINS - rim; at++) {
        double here = stands_out(j, at), off = RANGE_LN * (2.0 * ((double)at + 0.5) / JOURNEY_BINS - 1.0) / USUAL_SD_LN;
        double score = here > 0.0 ? here * here - off * off : 0.0; /* twice ln of likelihood and prior */
        if (score > most) {
            most = score;
            best = at;
            out = here;
        }
    }
    if (out < 1.0) {
        return 0.0;
    }
    double rate = beside(j, best), sum = 0.0, first = 0.0, second = 0.0;
    for (int i = best - HALF - 1; i <= best + HALF + 1; i++) {
        double over = j->pairs[i] - rate * (j->edge_s[i + 1] - j->edge_s[i]), x = 0.5 * log(j->edge_s[i] * j->edge_s[i + 1]);
        sum += over;
        first += over * x;
        second += over * x * x;
    }
    if (!(sum > 0.0)) {
        return 0.0;
    }
    double var = second / sum - first / sum * (first / sum);
    *mean_ln = first / sum;
    *sd_ln = var > SD_LEAST * SD_LEAST ? (var < SD_MOST * SD_MOST ? sqrt(var) : SD_MOST) : SD_LEAST;
    return out;
}
