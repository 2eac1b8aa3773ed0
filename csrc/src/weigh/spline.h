/* Cubic B-splines over time: the grid of a vehicle's motion and its basis. Called by equations.c and motion.c. */
#ifndef BF_SPLINE_H
#define BF_SPLINE_H

enum { SPLINE_MAX_COEFFS = 160 };

typedef struct {
    int coeffs, intervals;
    double knots[SPLINE_MAX_COEFFS + 4]; /* seconds */
} spline;

/* Knots where things happen (`events`, seconds, which are sorted here), between `from` and `to`. */
void spline_place(spline *s, double *events, int n, double from, double to);

int spline_interval(const spline *s, double t);
/* The same, looked for next to `near` first: times mostly follow each other. */
static inline int spline_interval_near(const spline *s, double t, int near)
{
    const int last = s->intervals - 1;
    for (int i = near; i <= near + 1 && i <= last; ++i)
        if (s->knots[i + 3] <= t && (i == last || s->knots[i + 4] > t)) return i;
    return spline_interval(s, t);
}
/* The four basis functions on an interval at a time; the same in powers of the time since its knot: p[function][power]. */
void spline_basis(const spline *s, int interval, double t, double b[4]);
void spline_powers(const spline *s, int interval, double p[4][4]);

static inline double spline_span(const spline *s, int interval)
{
    return s->knots[interval + 4] - s->knots[interval + 3];
}

#endif
