/* Least-squares fit of mains hum. See hum.h. */
#include "hum.h"

#include <math.h>
#include <string.h>

enum { UNKNOWN = 2 + 2 + 2 * HARMONICS }; /* level and slope, two for the frequency, cosines and sines */

static const double TURN = 6.283185307179586;
static const double MAINS_HZ[2] = {50.0, 60.0};
static const double OFF_HZ = 0.4;     /* usual deviation of the mains; of a generator or a clock that is wrong */
static const double NEAR_S = 0.3;     /* samples further away say little of the phase under the wheel */
static const double LOUD = 12.0;      /* power of a harmonic against its variance, to be believed */
static const double LEAST_PERIODS = 1.5;

/* Mean of a sine wave over `n` samples against its value in the middle. */
static double fade(double step, double n)
{
    const double half = 0.5 * step * n;
    return n > 1.0 ? sin(half) / half : 1.0;
}

/* Cosine and sine of the fundamental and its harmonics, faded over `n` samples, at one time after the other. Neighbouring times
 * are mostly equally far apart: then the waves are turned on by as much, and now and then taken anew. */
typedef struct {
    double step, u, by, turn_cos, turn_sin, n;
    int turns;
    double cosine, sine;                          /* of the fundamental, not faded */
    double fades[HARMONICS], c[HARMONICS], s[HARMONICS];
} waves;

static void waves_begin(waves *w, double step)
{
    memset(w, 0, sizeof *w);
    w->step = step;
    w->u = HUGE_VAL;
}

static void waves_at(waves *w, double u, double n, int harmonics)
{
    enum { ANEW = 64 };
    const double by = u - w->u;
    if (by == w->by && ++w->turns < ANEW) {
        const double turned = w->cosine * w->turn_cos - w->sine * w->turn_sin;
        w->sine = w->sine * w->turn_cos + w->cosine * w->turn_sin;
        w->cosine = turned;
    } else {
        w->cosine = cos(w->step * u);
        w->sine = sin(w->step * u);
        w->turns = 0;
        if (by != w->by && fabs(by) < HUGE_VAL) {
            w->by = by;
            w->turn_cos = cos(w->step * by);
            w->turn_sin = sin(w->step * by);
        }
    }
    w->u = u;
    if (n != w->n) {
        for (int k = 0; k < HARMONICS; ++k) w->fades[k] = fade(w->step * (k + 1), n);
        w->n = n;
    }
    double c = w->cosine, s = w->sine;
    for (int k = 0; k < harmonics; ++k) {
        w->c[k] = w->fades[k] * c;
        w->s[k] = w->fades[k] * s;
        const double next = c * w->cosine - s * w->sine;
        s = s * w->cosine + c * w->sine;
        c = next;
    }
}

typedef struct {
    double at, value, n;
} block;

/* Neighbouring samples together, so that ten unknowns are fitted to hundreds of numbers and not to thousands. */
static int make_blocks(const trace *t, double foot0, double foot1, double rate_hz, block *list, int most)
{
    const double size = rate_hz / 600.0, near = NEAR_S * rate_hz;
    double scan = (double)t->start;
    block b = {0};
    int count = 0;
    for (int i = 0; i < t->count && count < most; ++i) {
        const double k = t->n[i], at = scan + 0.5 * k - 0.5;
        const bool use = k <= 2.0 * size + 1.0 && ((at <= foot0 && at > foot0 - near) || (at >= foot1 && at < foot1 + near));
        scan += k;
        if (use) {
            b.at += k * at;
            b.value += k * (double)t->value[i];
            b.n += k;
        }
        if (b.n > 0.0 && (!use || b.n + 1.0 > size)) {
            list[count].at = b.at / b.n;
            list[count].value = b.value / b.n;
            list[count++].n = b.n;
            b.at = b.value = b.n = 0.0;
        }
    }
    return count;
}

static bool cholesky_solve(double a[UNKNOWN][UNKNOWN + 1], int n, double *x)
{
    for (int i = 0; i < n; ++i)
        for (int j = 0; j <= i; ++j) {
            double s = a[i][j];
            for (int k = 0; k < j; ++k) s -= a[i][k] * a[j][k];
            if (i == j) {
                if (!(s > 1e-9)) return false;
                a[i][i] = sqrt(s);
            } else {
                a[i][j] = s / a[j][j];
            }
        }
    for (int i = 0; i < n; ++i) {
        x[i] = a[i][UNKNOWN];
        for (int k = 0; k < i; ++k) x[i] -= a[i][k] * x[k];
        x[i] /= a[i][i];
    }
    for (int i = n - 1; i >= 0; --i) {
        for (int k = i + 1; k < n; ++k) x[i] -= a[k][i] * x[k];
        x[i] /= a[i][i];
    }
    return true;
}

/* Level, slope, then cosine and sine of as many harmonics as are asked for, then the drift of the first where `size` (its
 * amplitude) is above zero. Returns the variance of a sample that is left. */
static double fit(hum *h, const block *list, int count, double rate_hz, int harmonics, double size, double rest, double *x)
{
    double a[UNKNOWN][UNKNOWN + 1] = {{0}};
    const int n = 2 + 2 * harmonics + (size > 0.0 ? 2 : 0);
    for (int pass = 0; pass < 2; ++pass) {
        double left = 0.0, samples = 0.0;
        waves w;
        waves_begin(&w, h->step);
        for (int i = 0; i < count; ++i) {
            const double u = list[i].at - h->at;
            double row[UNKNOWN] = {1.0, u / rate_hz}, value = list[i].value;
            waves_at(&w, u, list[i].n, harmonics);
            for (int k = 0; k < harmonics; ++k) {
                row[2 + 2 * k] = w.c[k];
                row[3 + 2 * k] = w.s[k];
            }
            if (size > 0.0) {
                row[n - 2] = u / rate_hz * w.c[0];
                row[n - 1] = u / rate_hz * w.s[0];
            }
            if (pass == 0) {
                for (int p = 0; p < n; ++p) {
                    for (int q = 0; q <= p; ++q) a[p][q] += list[i].n * row[p] * row[q];
                    a[p][UNKNOWN] += list[i].n * row[p] * value;
                }
            } else {
                for (int p = 0; p < n; ++p) value -= row[p] * x[p];
                left += list[i].n * value * value * list[i].n; /* a block's mean has the variance of a sample over n */
                samples += list[i].n;
            }
        }
        if (pass == 1) return samples > 0.0 ? left / samples * count / (count > n ? count - n : 1) : -1.0;
        if (size > 0.0) {
            const double drift = TURN * OFF_HZ * size;
            for (int p = n - 2; p < n; ++p) a[p][p] += rest / (drift * drift);
        }
        if (!cholesky_solve(a, n, x)) return -1.0;
    }
    return -1.0;
}

/* The mains that are heard best: sets h->step and returns the amplitude, 0 where there are none. `*rest` is the variance that is
 * left of a sample. */
static double find_mains(hum *h, const block *list, int count, double samples, double rate_hz, double *rest)
{
    static const double LEAST_POWER = 0.25; /* counts^2: half a count */
    double best = 0.0, step = 0.0, x[UNKNOWN];
    for (int m = 0; m < 2; ++m) {
        if (samples < LEAST_PERIODS * rate_hz / MAINS_HZ[m] || count < 2 * UNKNOWN) continue;
        h->step = TURN * MAINS_HZ[m] / rate_hz;
        const double left = fit(h, list, count, rate_hz, 1, 0.0, 0.0, x);
        if (left < 0.0) continue;
        const double power = 0.5 * (x[2] * x[2] + x[3] * x[3]);
        if (power * samples < LOUD * left || power < LEAST_POWER || power <= best) continue;
        best = power;
        *rest = left;
        step = h->step;
    }
    h->step = step;
    return sqrt(2.0 * best);
}

double hum_fit(hum *h, const trace *t, double foot0, double foot1, double rate_hz)
{
    enum { MOST = 768 };
    block list[MOST];
    memset(h, 0, sizeof *h);
    const int count = make_blocks(t, foot0, foot1, rate_hz, list, MOST);
    if (count == 0) return -1.0;
    double samples = 0.0, rest = -1.0, x[UNKNOWN];
    for (int i = 0; i < count; ++i) samples += list[i].n;
    const double first = list[0].at, last = list[count - 1].at, middle = 0.5 * (foot0 + foot1);
    h->at = middle < first ? first : (middle > last ? last : middle);
    const double size = find_mains(h, list, count, samples, rate_hz, &rest);
    if (!(size > 0.0)) return -1.0;
    const int harmonics = samples > 2.0 * LEAST_PERIODS * rate_hz / MAINS_HZ[0] ? HARMONICS : 1;
    rest = fit(h, list, count, rate_hz, harmonics, size, rest, x);
    if (rest < 0.0) return -1.0;
    for (int k = 0; k < harmonics; ++k) {
        const double c = x[2 + 2 * k], s = x[3 + 2 * k];
        if (k > 0 && 0.5 * (c * c + s * s) * samples < LOUD * rest) continue; /* nothing there */
        h->cosine[k] = c;
        h->sine[k] = s;
    }
    h->cosine_drift = x[2 + 2 * harmonics] / rate_hz;
    h->sine_drift = x[3 + 2 * harmonics] / rate_hz;
    h->reach = fmax(h->at - first, last - h->at) + 0.1 * rate_hz;
    h->present = true;
    return sqrt(rest);
}

static double mean_by(const hum *h, waves *w, double u, double n)
{
    waves_at(w, u, n, HARMONICS);
    double sum = u * (h->cosine_drift * w->c[0] + h->sine_drift * w->s[0]);
    for (int k = 0; k < HARMONICS; ++k) sum += h->cosine[k] * w->c[k] + h->sine[k] * w->s[k];
    return sum;
}

double hum_mean(const hum *h, double scan, double n)
{
    const double u = scan - h->at;
    if (!h->present || fabs(u) > h->reach) return 0.0;
    waves w;
    waves_begin(&w, h->step);
    return mean_by(h, &w, u, n);
}

void hum_take_out(const hum *h, trace *t, double from, double to)
{
    double scan = (double)t->start;
    waves w;
    waves_begin(&w, h->step);
    for (int i = 0; i < t->count; ++i) {
        const double k = t->n[i], at = scan + 0.5 * k - 0.5;
        scan += k;
        if (at >= from && at < to && fabs(at - h->at) <= h->reach) t->value[i] -= (float)mean_by(h, &w, at - h->at, k);
    }
}
