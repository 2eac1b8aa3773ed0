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

double lognormal_pdf(double x, double mean_ln, double sd);
double lognormal_cdf(double x, double mean_ln, double sd);

#endif
