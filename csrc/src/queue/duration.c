#include "duration.h"
#include "../clamp.h"

#include <math.h>

static const double FIRST_N = 3.0; /* observations that only correct what was thought before */

static double normal_cdf(double z)
{
    return 0.5 * erfc(-z * 0.70710678118654752440);
}

double duration_sd(const duration *d)
{
    /* The uncertainty of the mean itself counts: a few observations do not make a narrow density. */
    double var = d->var_ln * (1.0 + 1.0 / d->n);
    double floor_var = d->sd_floor * d->sd_floor;
    return sqrt(var > floor_var ? var : floor_var);
}

/* Adds `share` of a normal distribution of ln x to density and distribution. */
static void add_normal(double share, double z, double sd, double *pdf, double *cdf)
{
    if (z * z < 80.0) {
        *pdf += share * 0.39894228040143267794 * exp(-0.5 * z * z) / sd;
    }
    *cdf += z > 6.0 ? share : (z < -8.0 ? 0.0 : share * normal_cdf(z));
}

void duration_at(const duration_law *law, double x, double *pdf, double *cdf)
{
    *pdf = 0.0;
    *cdf = 0.0;
    if (x <= 1e-3) {
        return;
    }
    double ln = log(x) - law->mean_ln;
    add_normal(1.0 - law->odd, ln / law->sd, law->sd, pdf, cdf);
    add_normal(law->odd, (ln - law->off) / law->odd_sd, law->odd_sd, pdf, cdf);
    *pdf /= x;
}

void duration_learn(duration *d, double x, double weight)
{
    if (x <= 1e-3 || weight <= 0.0) {
        return;
    }
    double ln = log(x), delta = ln - d->mean_ln;
    double sd = duration_sd(d);
    delta = clamp(delta, -4.0 * sd, 4.0 * sd); /* one strange value must not carry the mean away */
    if (d->n < d->memory) {
        d->n += weight;
    }
    double rate = weight / d->n;
    rate = rate > 0.7 ? 0.7 : rate;
    double square = delta * delta;
    if (d->n < FIRST_N && square > d->var_ln) { /* how far the prior was off says nothing of the spread */
        square = d->var_ln;
    }
    d->mean_ln += rate * delta;
    d->var_ln = (1.0 - rate) * (d->var_ln + rate * square);
    double floor_var = d->sd_floor * d->sd_floor;
    if (d->var_ln < floor_var) {
        d->var_ln = floor_var;
    }
}
