/* The pace of the booths of a lane: how long a departure takes while somebody waits, now and over the next ones.
 *
 * Officers change, booths open and close, often without a word, and no memory is right for all of these: a short one
 * follows, a long one is sure. So five means of different memory are kept, and after every cycle each is told what it had
 * foretold of the mean of the next 4, 16, 64 and 256; for a queue of n vehicles they weigh by how well they foretold that
 * many (a mixture of experts). In: cycles. Out: what the next n will take. Called by learn.c and forecast.c.
 */
#include "chance.h"
#include "pace.h"

#include <math.h>
#include <string.h>

#define FEW_GAPS 64    /* below that the learned density helps */
#define PRIOR_GAPS 2   /* and weighs as much as so many cycles */
#define GAP_MEMORY 180 /* of the services kept the newest weigh most */

static const double MEMORY[PACE_MEMORIES] = {6.0, 18.0, 54.0, 160.0, 480.0};
static const int HORIZON[PACE_HORIZONS] = {4, 16, 64, 256}; /* all below PACE_KEPT */
static const double LOSS_MEMORY = 150.0;
static const double DRIFT = 0.03, DRIFT_N = 60.0; /* of ln of the pace, and the cycles that takes, before any was seen */
static const double MOST = 2.5;           /* mean cycles: more does not move the means */
static const double FIRST_N = 1.0;         /* cycles that what is thought before any was seen weighs */
static const double SEEN_MEMORY = 60.0, SEEN_LEAST = 30.0, SEEN_OVER = 1.2; /* cycles; the means are at most so many times theirs */
static const double EXCESS_MEMORY = 400.0, EXCESS_FIRST_N = 300.0;
static const double USUAL_LONG = 4.5;     /* a long inspection, in mean cycles, while none was seen */
static const double WIDEST = 0.8;         /* variance of ln of the usual services */
static const double CHANGED = 0.6, CHANGED_SD = 8.0; /* the last cycles are so far from usual, relatively and in deviations */
static const double SPREAD_MEMORY = 100.0;
static const int LONG_MEAN = 3; /* which of the means is what is usual */
static const double LONG = 3.0;           /* times the usual cycle: from there on one is long */
static const double LONG_MEMORY = 400.0;
static const double OTHER_N = 3.0;        /* cycles that what was known before weighs, after a change of program */
static const double OTHER_PACE = 0.12;    /* variance of ln of the pace from one program to another */

static double spread(const queue_pace *p)
{
    return exp(p->shape.var_ln) - 1.0; /* square of the coefficient of variation */
}

/* What all means together say of each horizon. */
static void weigh(queue_pace *p)
{
    for (int h = 0; h < PACE_HORIZONS; h++) {
        double total = 0.0, mean_ln = 0.0, loss = 0.0;
        for (int m = 0; m < PACE_MEMORIES; m++) {
            double l = p->loss[h][m] > 1e-4 ? p->loss[h][m] : 1e-4, w = 1.0 / (l * l * l);
            total += w;
            mean_ln += w * log(p->mean[m]);
            loss += w * l;
        }
        p->best[h] = exp(mean_ln / total);
        double left = loss / total - spread(p) / (double)HORIZON[h];
        p->sd_ln[h] = sqrt(left > 0.0025 ? left : 0.0025);
    }
}

static void begin_losses(queue_pace *p)
{
    for (int h = 0; h < PACE_HORIZONS; h++) {
        for (int m = 0; m < PACE_MEMORIES; m++) {
            double apart = 0.5 * (MEMORY[m] + (double)HORIZON[h]) / DRIFT_N;
            p->loss[h][m] = 0.5 / MEMORY[m] + 0.5 / (double)HORIZON[h] + DRIFT * (apart < 2.0 ? apart : 2.0);
        }
    }
}

void pace_begin(queue_pace *p, double cycle_s)
{
    memset(p, 0, sizeof *p);
    for (int m = 0; m < PACE_MEMORIES; m++) {
        p->mean[m] = cycle_s;
    }
    p->n = FIRST_N;
    p->spread = 0.3;
    p->excess_n = EXCESS_FIRST_N;
    p->shape = (duration){.mean_ln = -0.18, .var_ln = 0.36, .n = 0.5, .memory = 80.0, .sd_floor = 0.05};
    p->long_share = 0.02; /* 1 to 3 % of inspections are long, as far as anybody has published */
    p->long_n = 50.0;
    p->deck_of = -1;
    begin_losses(p);
    weigh(p);
}

/* The means are told what came of what they had said. */
static void judge(queue_pace *p)
{
    int64_t now = p->kept - 1;
    for (int h = 0; h < PACE_HORIZONS; h++) {
        int64_t then = now - HORIZON[h];
        if (then < 0) {
            continue;
        }
        const int64_t at = then % PACE_KEPT;
        double came_ln = log((p->until[now % PACE_KEPT] - p->until[at]) / (double)HORIZON[h]);
        double memory = LOSS_MEMORY + 2.0 * (double)HORIZON[h];
        for (int m = 0; m < PACE_MEMORIES; m++) {
            double off = came_ln - p->said_ln[at][m], square = off * off;
            p->loss[h][m] += ((square < 1.0 ? square : 1.0) - p->loss[h][m]) / memory;
        }
    }
}

/* Booths that open or close without a word show in the last cycles: then the old ones say nothing. */
static void watch(queue_pace *p, double x)
{
    double usual = p->mean[LONG_MEAN], off = x / usual - 1.0, sum = 0.0;
    p->recent[p->n_recent++ % PACE_RECENT] = x;
    for (int i = 0; i < PACE_RECENT; i++) {
        sum += p->recent[i];
    }
    double ratio = sum / PACE_RECENT / usual, sd = sqrt(p->spread / PACE_RECENT);
    p->spread += ((off < 3.0 ? off * off : 9.0) - p->spread) / ((double)p->n_recent < SPREAD_MEMORY ? (double)p->n_recent : SPREAD_MEMORY);
    if (p->n_recent < 3 * PACE_RECENT || fabs(ratio - 1.0) < CHANGED || fabs(ratio - 1.0) < CHANGED_SD * sd) {
        return;
    }
    for (int m = 0; m < PACE_MEMORIES; m++) {
        p->mean[m] *= MEMORY[m] > PACE_RECENT ? sum / PACE_RECENT / p->mean[m] : 1.0;
    }
    p->seen = p->seen > sum / PACE_RECENT ? p->seen : sum / PACE_RECENT;
    p->n = 0.5 * PACE_RECENT; /* some of these were of before */
    p->n_recent = 2 * PACE_RECENT;
}

void pace_learn(queue_pace *p, double cycle_s)
{
    double most = MOST * p->best[0], x = cycle_s < most ? cycle_s : most;
    p->n = p->n < MEMORY[PACE_MEMORIES - 1] ? p->n + 1.0 : p->n;
    for (int m = 0; m < PACE_MEMORIES; m++) {
        p->mean[m] += (x - p->mean[m]) / (p->n < MEMORY[m] ? p->n : MEMORY[m]);
    }
    watch(p, x);
    p->excess_n = p->excess_n < EXCESS_MEMORY ? p->excess_n + 1.0 : EXCESS_MEMORY;
    p->excess += ((cycle_s - x) - p->excess) / p->excess_n;
    int64_t at = p->kept % PACE_KEPT;
    p->until[at] = (p->kept > 0 ? p->until[(p->kept - 1) % PACE_KEPT] : 0.0) + x;
    for (int m = 0; m < PACE_MEMORIES; m++) {
        p->said_ln[at][m] = log(p->mean[m]);
    }
    p->kept++;
    judge(p);
    weigh(p);
}

void pace_see(queue_pace *p, double cycle_s)
{
    p->seen_n = p->seen_n < SEEN_MEMORY ? p->seen_n + 1.0 : SEEN_MEMORY;
    p->seen += (cycle_s - p->seen) / p->seen_n;
    double most = SEEN_OVER * p->seen;
    int over = 0;
    for (int m = 0; m < PACE_MEMORIES && p->seen_n >= SEEN_LEAST; m++) {
        over = over || p->mean[m] > most;
        p->mean[m] = p->mean[m] > most ? most : p->mean[m];
    }
    if (over) {
        weigh(p);
    }
}

void pace_shape(queue_pace *p, double cycles, double weight)
{
    int is_long = p->n_gaps > 8 && cycles > LONG * exp(p->shape.mean_ln);
    p->long_n = p->long_n < LONG_MEMORY ? p->long_n + 1.0 : LONG_MEMORY;
    p->long_share += ((double)is_long - p->long_share) / p->long_n;
    p->long_share = p->long_share < 0.15 ? p->long_share : 0.15;
    if (is_long) {
        p->longs[p->n_longs++ % QUEUE_LONGS] = cycles;
        return;
    }
    duration_learn(&p->shape, cycles, weight);
    p->shape.var_ln = p->shape.var_ln < WIDEST ? p->shape.var_ln : WIDEST;
    /* How long they are in the mean is known better: 1, long ones included. */
    p->shape.mean_ln = log(1.0 - p->long_share * (USUAL_LONG - 1.0)) - 0.5 * p->shape.var_ln;
    p->gaps[p->n_gaps++ % QUEUE_GAPS] = cycles;
}

static double between(const double *of, double n)
{
    double x = log(n < 1.0 ? 1.0 : n) / log(4.0) - 1.0; /* horizons grow by four */
    if (x <= 0.0) {
        return of[0];
    }
    int h = (int)x;
    return h >= PACE_HORIZONS - 1 ? of[PACE_HORIZONS - 1] : of[h] + (x - h) * (of[h + 1] - of[h]);
}

double pace_mean(const queue_pace *p, double n)
{
    return between(p->best, n) + p->excess;
}

double pace_sd(const queue_pace *p, double n)
{
    double known = p->n < 60.0 ? p->n : 60.0;
    double sd = between(p->sd_ln, n);
    return sqrt(sd * sd + p->shape.var_ln / known);
}

void pace_scale(queue_pace *p, double factor)
{
    for (int m = 0; m < PACE_MEMORIES; m++) {
        p->mean[m] *= factor;
    }
    p->excess *= factor;
    p->kept = 0;
    weigh(p);
}

void pace_program(queue_pace *p, int32_t program)
{
    double before = pace_mean(p, 16.0);
    p->of_program[p->program] = before;
    p->program = program;
    if (p->of_program[program] > 0.0) {
        pace_scale(p, p->of_program[program] / before);
    } else {
        pace_scale(p, 1.0);
        p->shape.var_ln += OTHER_PACE;
        p->shape.n = p->shape.n < OTHER_N ? p->shape.n : OTHER_N;
    }
    p->n = p->n < OTHER_N ? p->n : OTHER_N;
}

duration_law pace_law(const queue_pace *p)
{
    return (duration_law){p->shape.mean_ln + log(p->best[1]), duration_sd(&p->shape), 0.04, 1.2, 0.8};
}

/* ---- the deck: services to draw from ----------------------------------------------------------------------------- */

static double usual(const queue_pace *p, uint64_t *seed)
{
    int64_t kept = p->n_gaps < QUEUE_GAPS ? p->n_gaps : QUEUE_GAPS;
    /* While few are known, some come from the learned density. */
    if (kept < FEW_GAPS && chance_uniform(seed) * (double)(kept + PRIOR_GAPS) < (double)PRIOR_GAPS) {
        double u = chance_uniform(seed);
        u = u < 1e-3 ? 1e-3 : (u > 0.999 ? 0.999 : u);
        return exp(p->shape.mean_ln + sqrt(p->shape.var_ln) * normal_quantile(u));
    }
    /* The product of two uniforms prefers the newest cycles, with a memory of GAP_MEMORY. */
    int64_t span = 2 * (kept < GAP_MEMORY ? kept : GAP_MEMORY);
    int64_t back = (int64_t)(chance_uniform(seed) * chance_uniform(seed) * (double)(span < kept ? span : kept));
    return p->gaps[(p->n_gaps - 1 - back) % QUEUE_GAPS];
}

static double longer(const queue_pace *p, double u)
{
    int64_t have = p->n_longs < QUEUE_LONGS ? p->n_longs : QUEUE_LONGS;
    int64_t at = (int64_t)(u * (double)(have + 1));
    return at < have ? p->longs[at] : USUAL_LONG;
}

const double *pace_deck(queue_pace *p)
{
    int64_t known = p->n_gaps + p->n_longs;
    if (p->deck_of == known) {
        return p->deck;
    }
    uint64_t seed = (uint64_t)known * 2u + 0x9E3779B97F4A7C15ULL;
    int longs = (int)(p->long_share * QUEUE_DECK + 0.5); /* the shares of usual and long ones are exact */
    double sum = 0.0;
    for (int i = 0; i < QUEUE_DECK; i++) {
        p->deck[i] = i < longs ? longer(p, ((double)i + 0.5) / (double)longs) : usual(p, &seed);
        sum += p->deck[i];
    }
    for (int i = 0; i < QUEUE_DECK; i++) {
        p->deck[i] *= QUEUE_DECK / sum;
    }
    p->deck_of = known;
    return p->deck;
}
