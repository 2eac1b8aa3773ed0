/* The times of a queue: when a booth that is busy becomes free, and how long a free journey takes.
 *
 * In: what the filter has learned (queue.h). Out: densities and chances for depart.c and forecast.c.
 */
#include "queue.h"

#include <math.h>

static const double CHAOS_SPAN_S = 600.0; /* within which the first departure of all, or after a closure, may come */

int queue_split(double number, double *speed)
{
    double booths = floor(number + 0.5);
    *speed = 1.0;
    if (booths <= 1.0) {
        return 1;
    }
    if (booths > (double)QUEUE_MAX_BOOTHS) {
        *speed = booths / (double)QUEUE_MAX_BOOTHS;
        return QUEUE_MAX_BOOTHS;
    }
    return (int)booths;
}

int queue_booths_of(const bf_queue *q, double *speed)
{
    return queue_split(q->booths, speed);
}

duration_law queue_free_law(const bf_queue *q)
{
    return (duration_law){q->free_flow.mean_ln, duration_sd(&q->free_flow), 0.03, 0.3, 0.5};
}

double queue_far(const duration_law *law)
{
    double sd = 4.0 * law->sd, wide = law->off + 3.0 * law->odd_sd;
    return exp(law->mean_ln + (sd > wide ? sd : wide));
}

void queue_cycle_at(const bf_queue *q, double t, double *pdf, double *cdf, double *all_busy)
{
    *all_busy = 1.0;
    double gap = t - q->t_last;
    if (!q->has_last || q->reopened) {
        *pdf = gap > 0.0 || !q->has_last ? 1.0 / CHAOS_SPAN_S : 0.0;
        *cdf = 0.5;
        return;
    }
    double speed = 1.0;
    int booths = queue_booths_of(q, &speed);
    const duration_law law = pace_law(&q->pace);
    if (booths == 1) {
        duration_at(&law, gap, pdf, cdf);
        return;
    }
    double still_busy = 1.0, rate = 0.0;
    for (int i = 0; i < booths; i++) {
        if (i >= q->n_starts) { /* nobody has been there yet: it is free */
            *all_busy = still_busy = 0.0;
            break;
        }
        double since = q->starts[(q->n_starts - 1 - i) % QUEUE_MAX_BOOTHS];
        double f = 0.0, c = 0.0, f0 = 0.0, c0 = 0.0;
        duration_at(&law, (t - since) * speed, &f, &c);
        duration_at(&law, (q->t_last - since) * speed, &f0, &c0);
        double left = 1.0 - c > 1e-6 ? 1.0 - c : 1e-6, left0 = 1.0 - c0 > 1e-6 ? 1.0 - c0 : 1e-6;
        *all_busy *= left0;
        still_busy *= left / left0;
        rate += speed * f / left;
    }
    *pdf = gap > 0.0 ? still_busy * rate : 0.0;
    *cdf = 1.0 - *all_busy * still_busy;
}
