/* A line through the prints of each kind of axle, followed from vehicle to vehicle (recursive least squares). See tyre.h. */
#include "tyre.h"

#include <math.h>

static const double GRAVITY = 9.80665;
const tyre_expected TYRE_ANY_OF = {0.0, 0.3};

tyre_laws tyres_unknown(void)
{
    static const double OFFSET = 0.2, SLOPE = 0.3, OWN = 0.2;
    tyre_laws t;
    for (int k = 0; k < TYRES; ++k) {
        const tyre_law law = {{0.0, 0.0}, {{OFFSET * OFFSET, 0.0}, {0.0, SLOPE * SLOPE}}, OWN * OWN};
        t.kind[k] = law;
    }
    return t;
}

tyre tyre_of(int axle, double heaviest_n)
{
    static const double LIGHT_N = 10000.0; /* on a strip, which carries about a quarter of it */
    if (heaviest_n < LIGHT_N) return TYRE_LIGHT;
    return axle == 0 ? TYRE_STEERS : TYRE_BEARS;
}

double tyre_usual(double peak_n, double width_m)
{
    const double peak_kg = peak_n / GRAVITY;
    double kg = peak_kg, print = 0.0;
    for (int i = 0; i < 4; ++i) {
        print = 0.12 + 1.6e-5 * (kg < 9000.0 ? kg : 9000.0);
        kg = peak_kg * print / width_m / 1.15;
    }
    return print;
}

/* How much heavier than usual, as a logarithm. */
static double heavier(tyre kind, double peak_n)
{
    static const double USUAL_N[TYRES] = {10000.0, 12000.0, 15000.0, 2000.0};
    return log(fmax(peak_n, 10.0) / USUAL_N[kind]);
}

tyre_expected tyre_expect(const tyre_laws *t, tyre kind, double peak_n)
{
    /* A vehicle's tyres are alike: what a lane's tyres differ by does not become less by as much as it has axles. */
    static const double LEAST = 0.1;
    const tyre_law *law = &t->kind[kind];
    const double x = heavier(kind, peak_n);
    const double var = law->cov[0][0] + 2.0 * x * law->cov[0][1] + x * x * law->cov[1][1] + law->var;
    tyre_expected e = TYRE_ANY_OF;
    if (kind == TYRE_ANY) return e;
    e.mean = law->mean[0] + x * law->mean[1];
    e.sigma = fmin(fmax(sqrt(var), LEAST), TYRE_ANY_OF.sigma);
    return e;
}

void tyre_learn(tyre_laws *t, tyre kind, double peak_n, double ratio, double sigma)
{
    static const double FAR = 2.5, RATE = 0.03, WANDER = 0.003, LEAST_VAR = 0.05 * 0.05, MOST_VAR = 0.3 * 0.3;
    tyre_law *law = &t->kind[kind];
    const double x = heavier(kind, peak_n);
    double *m = law->mean, (*p)[2] = law->cov;
    const double px[2] = {p[0][0] + x * p[0][1], p[1][0] + x * p[1][1]};
    const double own = law->var + sigma * sigma, all = px[0] + x * px[1] + own;
    const double off = ratio - m[0] - x * m[1], bound = FAR * sqrt(all);
    const double taken = fmin(fmax(off, -bound), bound);
    if (kind == TYRE_ANY || !isfinite(off)) return;
    for (int i = 0; i < 2; ++i) m[i] += px[i] / all * taken;
    const double was = p[0][1];
    for (int i = 0; i < 2; ++i) p[i][i] += WANDER * WANDER - px[i] * px[i] / all;
    p[0][1] = p[1][0] = was - px[0] * px[1] / all;
    /* What one axle deviates by, as far as it is not how badly it was seen. */
    const double share = law->var / all;
    law->var += RATE * share * (taken * taken - all);
    law->var = fmin(fmax(law->var, LEAST_VAR), MOST_VAR);
}
