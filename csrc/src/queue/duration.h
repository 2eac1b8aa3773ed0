/* A duration that is lognormal, learned with fading memory: free travel times and booth cycles.
 *
 * In: observed durations in seconds with their weights. Out: density and distribution. Called by queue_times.c and queue.c.
 */
#ifndef BF_DURATION_H
#define BF_DURATION_H

typedef struct {
    double mean_ln, var_ln, n;
    double memory, sd_floor;
} duration;

/* Deviation of ln of the next observation: that of the mean itself counts too. */
double duration_sd(const duration *d);
/* Takes one observation; `weight` (0 to 1) is how sure it is one. */
void duration_learn(duration *d, double x_s, double weight);

/* A lognormal in two parts: the usual ones, and a share of `odd` that lies `off` higher in ln, with deviation `odd_sd`. */
typedef struct {
    double mean_ln, sd, odd, off, odd_sd;
} duration_law;

/* Density and distribution at `x_s`. */
void duration_at(const duration_law *law, double x_s, double *pdf, double *cdf);

#endif
