/* What a vehicle that enters now is going to wait: the queue as the filter knows it, run on to its turn many times.
 *
 * In: the state of the filter (queue.h) and a moment. Out: samples of the wait, sorted, and the numbers beside them.
 * Randomness follows from the moment, so that the same state and moment give the same samples. Called by edge/core.py.
 */
#include "queue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GAP_MEMORY 180 /* of the booth cycles kept the newest weigh most */
#define FEW_GAPS 64    /* below that the learned density helps */
#define PRIOR_GAPS 2   /* and weighs as much as so many cycles */
#define MAX_SAMPLES 1024
#define MAX_HIDDEN 50 /* unseen vehicles between two that were seen */

static const double PACE_DRIFT = 0.005;   /* variance of ln of the pace over the time of a wait: officers change */

static double clamp(double x, double low, double high)
{
    return x < low ? low : (x > high ? high : x);
}

/* xorshift64*: small, fast, and the same everywhere. */
static uint64_t draw(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1DULL;
}

static double uniform(uint64_t *state)
{
    return (double)(draw(state) >> 11) * 0x1p-53;
}

/* Quantile of the standard normal distribution to three digits. */
static double normal_quantile(double u)
{
    double p = u < 0.5 ? u : 1.0 - u;
    double s = sqrt(-2.0 * log(p)); /* Abramowitz and Stegun 26.2.23 */
    double z = s - (2.515517 + s * (0.802853 + s * 0.010328)) / (1.0 + s * (1.432788 + s * (0.189269 + s * 0.001308)));
    return u < 0.5 ? -z : z;
}

static double draw_gap(const bf_queue *q, uint64_t bits)
{
    /* While few cycles are known, some samples come from the learned density: its quantiles, in a mixed order. */
    static const double z[16] = {-0.08, 1.15, -0.89, 0.57, -1.53, 0.24, -0.40, 1.86,
                                 0.08, -1.15, 0.89, -0.57, 1.53, -0.24, 0.40, -1.86};
    if ((double)(bits >> 44) < q->long_share * 1048576.0) {
        int64_t have = q->n_longs < QUEUE_LONGS ? q->n_longs : QUEUE_LONGS;
        int64_t at = (int64_t)((bits & 0xFFFF) * (uint64_t)(have + 1) >> 16);
        return at < have ? q->longs[at] : 4.5 * exp(q->cycle.mean_ln);
    }
    int64_t kept = q->n_gaps < QUEUE_GAPS ? q->n_gaps : QUEUE_GAPS;
    if (kept < FEW_GAPS && (bits >> 48) * (uint64_t)(kept + PRIOR_GAPS) < ((uint64_t)PRIOR_GAPS << 16)) {
        return exp(q->cycle.mean_ln + sqrt(q->cycle.var_ln) * z[(bits >> 32) & 15]);
    }
    /* The product of two uniforms prefers the newest cycles, with a memory of GAP_MEMORY. */
    int64_t span = kept < GAP_MEMORY ? kept : GAP_MEMORY;
    uint64_t u = (bits & 0xFFFF) * ((bits >> 16) & 0xFFFF);
    int64_t back = (int64_t)((u * (uint64_t)(span * 2 < kept ? span * 2 : kept)) >> 32);
    return q->gaps[(q->n_gaps - 1 - back) % QUEUE_GAPS];
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bf_status bf_queue_predict(bf_queue *q, int64_t t_ns, int32_t n, int32_t more_booths, double *waits_s,
                           bf_forecast *out)
{
    double t = 0.0;
    if (q == NULL || out == NULL || waits_s == NULL || n < 1 || n > MAX_SAMPLES || more_booths < 0 || more_booths > 100 ||
        queue_seconds(q, t_ns, &t) != BF_OK) {
        return BF_ERR_ARGUMENT;
    }
    double speed = 1.0;
    int booths = queue_booths_of(q, &speed);
    double gap = t - q->t_last, fs = 0.0, cs = 0.0;
    queue_cycle_at(q, t, &fs, &cs);
    if (q->reopened || !q->has_last || q->booths < 0.5 || gap < 0.0) {
        cs = 0.0; /* that nobody departed tells nothing */
    }
    /* Passages after t are not known yet at t. */
    int64_t end = q->next;
    while (end > q->lo && q->entered[queue_slot(q, end - 1)] > t) {
        end--;
    }
    double total = 0.0, mean = 0.0, square = 0.0;
    double count = 0.0;
    for (int64_t h = end; h >= q->lo; h--) {
        int64_t i = queue_slot(q, h);
        double w = q->w[i];
        if (h == end) {
            for (int64_t later = end + 1; later <= q->next; later++) {
                w += q->w[queue_slot(q, later)];
            }
        } else {
            if (!q->gone[i]) {
                count += 1.0 / (1.0 - q->hidden[i]);
            }
            if (cs > 0.0 && w > 0.0) {
                double ff = 0.0, cf = 0.0;
                queue_free_at(q, t - q->entered[i], &ff, &cf);
                w *= clamp(1.0 - cf * cs, 1e-4, 1.0);
            }
        }
        q->share[i] = w;
        total += w;
        mean += w * count;
        square += w * count * count;
    }
    if (!(total > 0.0)) {
        total = 1.0;
    }
    mean /= total;
    memset(out, 0, sizeof *out);
    double inflate = (1.0 - q->skip) / clamp(1.0 - q->extra, 0.1, 1.0);
    out->queue_n = mean * inflate;
    double var = square / total - mean * mean;
    out->queue_sd_n = var > 0.0 ? sqrt(var) : 0.0;
    out->free_flow_s = exp(q->free_flow.mean_ln);
    out->free_flow_low_s = exp(q->free_flow.mean_ln - 1.2816 * duration_sd(&q->free_flow));
    out->cycle_s = exp(q->cycle.mean_ln + 0.5 * q->cycle.var_ln) / ((double)booths * speed);
    out->cycle_sd_s = out->cycle_s * sqrt(exp(q->cycle.var_ln) - 1.0);
    out->skip = q->skip;
    out->unlisted = q->unlisted;
    out->phantom = q->phantom;
    out->departures = q->departures;
    out->entries_since = q->entries_since;
    out->learned_cycles = q->n_gaps;
    out->free_flow_n = q->free_flow.n;

    int old_booths = booths;
    if (more_booths > 0) {
        booths = queue_split(floor(q->booths + 0.5) + (double)more_booths, &speed);
    }
    uint64_t seed = ((uint64_t)t_ns ^ 0x9E3779B97F4A7C15ULL) | 1u;
    for (int i = 0; i < 4; i++) {
        draw(&seed);
    }
    double free_sd = duration_sd(&q->free_flow);
    double rate_sd = sqrt(q->cycle.var_ln / (q->cycle.n < 60.0 ? q->cycle.n : 60.0) + PACE_DRIFT);
    uint64_t extra_at = (uint64_t)(q->extra * 65536.0);
    int64_t h = q->lo;
    double swept = q->share[queue_slot(q, h)];
    for (int32_t s = 0; s < n; s++) {
        /* Stratified head, and permuted strata for the free travel and the rate. */
        double target = ((double)s + 0.5) / (double)n * total;
        while (swept < target && h < end) {
            h++;
            swept += q->share[queue_slot(q, h)];
        }
        double uf = ((double)(((int64_t)s * 61 + 17) % n) + 0.5) / (double)n;
        double ur = ((double)(((int64_t)s * 37 + 5) % n) + 0.5) / (double)n;
        double travel = exp(q->free_flow.mean_ln + free_sd * normal_quantile(uf));
        double pace = exp(rate_sd * normal_quantile(ur)) / speed;
        double began[QUEUE_MAX_BOOTHS], ready[QUEUE_MAX_BOOTHS]; /* of each booth: its last start, and when it is free */
        for (int b = 0; b < booths; b++) {
            if (b >= old_booths) { /* opens now */
                began[b] = ready[b] = t;
                continue;
            }
            int known = q->has_last && b < q->n_starts;
            began[b] = q->reopened ? t : (known ? q->starts[(q->n_starts - 1 - b) % QUEUE_MAX_BOOTHS] : t - 1e6);
            ready[b] = began[b] + draw_gap(q, draw(&seed)) * pace;
        }
        double start = t;
        int first = 1;
        for (int64_t k = h; k <= end; k++) {
            uint64_t bits = draw(&seed);
            if (k < end) {
                int64_t i = queue_slot(q, k);
                if (q->gone[i] || (bits >> 48) < (uint64_t)(queue_skip(q, i) * 65536.0)) {
                    continue;
                }
            }
            double arrives = (k < end ? q->entered[queue_slot(q, k)] : t) + travel;
            for (int b = 0; first && arrives < t && b < booths; b++) {
                /* It waits, so every booth is still busy: only services that are longer than what has passed. */
                for (int attempt = 0; attempt < 8 && ready[b] < t; attempt++) {
                    ready[b] = began[b] + draw_gap(q, draw(&seed)) * pace;
                }
                ready[b] = ready[b] < t ? t : ready[b];
            }
            int turns = !first && ((bits >> 32) & 0xFFFF) < extra_at ? 2 : 1; /* one that is not in the list */
            double hidden = k < end ? q->hidden[queue_slot(q, k)] : 1.0 - q->seen_up;
            for (int more = 0; hidden > 0.0 && more < MAX_HIDDEN && uniform(&seed) < hidden; more++) {
                turns++;
            }
            for (; turns > 0; turns--) {
                int b = 0;
                for (int other = 1; other < booths; other++) {
                    b = ready[other] < ready[b] ? other : b;
                }
                start = ready[b] > arrives ? ready[b] : arrives;
                ready[b] = start + draw_gap(q, draw(&seed)) * pace;
            }
            first = 0;
        }
        waits_s[s] = start - t;
    }
    qsort(waits_s, (size_t)n, sizeof *waits_s, compare);
    out->p10_s = waits_s[(n - 1) / 10];
    out->p50_s = waits_s[n / 2];
    out->p90_s = waits_s[(9 * n) / 10 < n ? (9 * n) / 10 : n - 1];
    return BF_OK;
}
