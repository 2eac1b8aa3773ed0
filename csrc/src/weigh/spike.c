/* Bridges spikes in a trace. See spike.h. */
#include "spike.h"

#include <math.h>

static const double LEAST_RATE_HZ = 2000.0; /* slower, and a front is not told from a wheel's */
static const double WHEEL_S = 0.004;        /* what is reached for so long is a wheel */
static const double TAILS_S[] = {0.010, 0.006, 0.004}; /* the next wheel may come while it fades */
static const double CLEAR = 12.0;           /* deviations of the noise */
static const double FRONT = 0.7;            /* of the wheel's height, within two samples */

/* The height above the base that is reached by `n` samples. */
static double reached(const trace *t, double base, double n)
{
    double lo = 0.0, hi = 70000.0;
    for (int round = 0; round < 16; ++round) {
        const double middle = 0.5 * (lo + hi);
        double above = 0.0;
        for (int i = 0; i < t->count; ++i)
            if ((double)t->value[i] - base > middle) above += t->n[i];
        if (above >= n) lo = middle;
        else hi = middle;
    }
    return lo;
}

static double mean3(const float *p, int from)
{
    return ((double)p[from] + (double)p[from + 1] + (double)p[from + 2]) / 3.0;
}

static bool single(const trace *t, int from, int to)
{
    for (int i = from; i < to; ++i)
        if (t->n[i] != 1) return false;
    return true;
}

int spikes_take_out(trace *t, double rate_hz, double base, double noise, double top, double steepest)
{
    float *p = t->value;
    const int longest = (int)(TAILS_S[0] * rate_hz);
    int found = 0;
    double height = -1.0;
    if (rate_hz < LEAST_RATE_HZ || steepest < 0.2 * FRONT * top || steepest < CLEAR * noise) return 0; /* the usual case */
    for (int i = 3; i + longest + 3 < t->count; ++i) {
        const double front = (double)p[i + 1] - (double)p[i - 1];
        if (fabs(front) < CLEAR * noise) continue;
        if (height < 0.0) height = reached(t, base, WHEEL_S * rate_hz);
        if (fabs(front) < FRONT * height || !single(t, i - 3, i + longest + 3)) continue;
        const double before = mean3(p, i - 3);
        int tail = 0;
        for (int k = 0; k < 3 && tail == 0; ++k) {
            const int after = (int)(TAILS_S[k] * rate_hz);
            if (fabs(mean3(p, i + after) - before) < 0.4 * fabs(front)) tail = after;
        }
        if (tail == 0) continue; /* it stays: a cable, or a saturated wheel */
        int end = i + 2;
        while (end < i + tail && fabs((double)p[end] - before) > 3.0 * noise) ++end;
        const double last = mean3(p, end);
        for (int k = i; k < end; ++k) p[k] = (float)(before + (last - before) * (k - i + 1) / (end - i + 1));
        ++found;
        i = end;
    }
    return found;
}
