/* Knots and basis of a cubic B-spline. See spline.h. */
#include "spline.h"

#include <stdbool.h>

int spline_interval(const spline *s, double t)
{
    int lo = 0, hi = s->intervals - 1;
    while (lo < hi) {
        const int middle = (lo + hi + 1) / 2;
        if (s->knots[middle + 3] <= t) lo = middle;
        else hi = middle - 1;
    }
    return lo;
}

/* After C. de Boor, A Practical Guide to Splines (1978). */
void spline_basis(const spline *s, int interval, double t, double b[4])
{
    const double *k = s->knots + interval;
    double left[4], right[4];
    b[0] = 1.0;
    for (int j = 1; j <= 3; ++j) {
        left[j] = t - k[4 - j];
        right[j] = k[3 + j] - t;
        double saved = 0.0;
        for (int r = 0; r < j; ++r) {
            const double term = b[r] / (right[r + 1] + left[j - r]);
            b[r] = saved + right[r + 1] * term;
            saved = left[j - r] * term;
        }
        b[j] = saved;
    }
}

void spline_powers(const spline *s, int interval, double p[4][4])
{
    /* A cubic is known by its value at four points. */
    const double t0 = s->knots[interval + 3], h = s->knots[interval + 4] - t0;
    double v[4][4];
    for (int i = 0; i < 4; ++i) spline_basis(s, interval, t0 + h * i / 3.0, v[i]);
    for (int j = 0; j < 4; ++j) {
        const double a = v[0][j], b = v[1][j], c = v[2][j], d = v[3][j];
        p[j][0] = a;
        p[j][1] = (-11.0 * a + 18.0 * b - 9.0 * c + 2.0 * d) / (2.0 * h);
        p[j][2] = 9.0 * (2.0 * a - 5.0 * b + 4.0 * c - d) / (2.0 * h * h);
        p[j][3] = 9.0 * (-a + 3.0 * b - 3.0 * c + d) / (2.0 * h * h * h);
    }
}

/* Shell sort: the events come nearly sorted by set. */
static void sort(double *v, int n)
{
    for (int gap = n / 2; gap > 0; gap /= 2)
        for (int i = gap; i < n; ++i) {
            const double value = v[i];
            int j = i;
            for (; j >= gap && v[j - gap] > value; j -= gap) v[j] = v[j - gap];
            v[j] = value;
        }
}

enum { MOST_INNER = SPLINE_MAX_COEFFS - 4 };

typedef struct {
    double at[MOST_INNER];
    int n;
    bool room;
} knots;

static void add(knots *k, double at)
{
    if (k->n == MOST_INNER) k->room = false;
    else k->at[k->n++] = at;
}

/* In a silence the vehicle may stop and start again soon after its beginning or shortly before its end: knots lie densely at
 * both ends and thin out towards the middle. Between two events that are near there is one knot, at the second. */
static void fill(knots *k, double last, double next, double least, double to)
{
    const double gap = next - last;
    double step = least, at = last;
    int ends = 0;
    while (at + 1.5 * step < last + 0.5 * gap && k->room) {
        at += step;
        step *= 1.6;
        add(k, at);
        ++ends;
    }
    for (int q = ends - 1; q >= -1 && k->room; --q) {
        const double mirrored = q >= 0 ? next - (k->at[k->n - 2 * (ends - 1 - q) - 1] - last) : next;
        if (mirrored >= to - 0.5 * least) break;
        add(k, mirrored);
    }
}

void spline_place(spline *s, double *events, int n, double from, double to)
{
    double least = 0.15; /* seconds between knots; more where there are too many */
    knots k = {.room = false};
    sort(events, n);
    while (!k.room) {
        k.n = 0;
        k.room = true;
        double last = from;
        for (int i = 0; i <= n && k.room; ++i) {
            const double next = i < n ? events[i] : to;
            if (next <= last || next - last < least) continue;
            fill(&k, last, next, least, to);
            last = next;
        }
        if (!k.room) least *= 1.4;
    }
    s->intervals = k.n + 1;
    s->coeffs = s->intervals + 3;
    for (int i = 0; i < 4; ++i) s->knots[i] = from - least * (3 - i);
    for (int i = 0; i < k.n; ++i) s->knots[4 + i] = k.at[i];
    for (int i = 0; i < 4; ++i) s->knots[4 + k.n + i] = to + least * i;
}
