/* One motion x(t) for one vehicle, fitted to when its axles passed the levels of their footprints.
 *
 * In: crossings (time, place of the line, which set they belong to). Out: place and speed at each instant.
 * Called by load.c. The motion is a cubic B-spline. A crossing says x(t) = place + offset of its set; a set holds the
 * same level of the same flank of the same wheel at all lines, so its offset is unknown but shared, and is eliminated.
 * Jerk is penalised; how much is chosen by the evidence (marginal likelihood). After: P. Eilers, B. Marx, Flexible
 * smoothing with B-splines and penalties, Statistical Science 11 (1996). */
#ifndef BF_MOTION_H
#define BF_MOTION_H

#include <stdbool.h>

enum { MOTION_MAX_COEFFS = 160, MOTION_MAX_CROSSINGS = 3072, MOTION_MAX_RESTS = 64, MOTION_MAX_PASSAGES = 384 };

typedef struct {
    double t;     /* seconds */
    double place; /* metres */
    double sigma; /* metres */
    double weight;
    double residual;
    double slope; /* metres further along for a metre to the right, against the usual strip of the array */
    int set;
    int interval;    /* filled by the fit: of the time at which the motion passes, with the basis there */
    double basis[4];
    double aim; /* the place with which the motion at that time is compared */
} crossing_at;

typedef struct {
    double from, to; /* seconds between which the vehicle stood */
} rest;

/* Roughly known: a tyre's print passes while the place moves on by `way`. Without it a vehicle that stops again and
 * again may be thought to pass every strip at a standstill, where no flank is in the wrong place. */
typedef struct {
    double from, to;   /* seconds */
    double way, sigma; /* metres */
} passage;

typedef struct {
    int coeffs, intervals;
    double knots[MOTION_MAX_COEFFS + 4];
    double c[MOTION_MAX_COEFFS];
    double poly[MOTION_MAX_COEFFS][4]; /* of each interval, in powers of the time since its knot */
    double chol[MOTION_MAX_COEFFS * MOTION_MAX_COEFFS];
    int first[MOTION_MAX_COEFFS]; /* column of the first entry of each row of it */
    double scale;      /* residuals as a multiple of their sigmas */
    double jerk;       /* chosen density of the jerk */
    bool sparse;       /* seen at one place only: smooth in between, whatever crossings allow */
} motion;

/* Crossings must be sorted by set. `extra_from` .. `extra_to` is the span in which the motion will be asked for.
 * Returns false when they cannot tell a motion. */
typedef struct {
    rest rests[MOTION_MAX_RESTS];
    passage passages[MOTION_MAX_PASSAGES];
    int rest_count, passage_count;
} hints;

bool motion_fit(motion *m, crossing_at *o, int count, const hints *h, double from, double to);

double motion_place(const motion *m, double t);
double motion_speed(const motion *m, double t);
double motion_acceleration(const motion *m, double t);
/* Adds weight * (x(t1) - x(t0)) to a linear functional of the motion, `f` of MOTION_MAX_COEFFS entries; and the
 * standard deviation of such a functional. */
void motion_add_step(const motion *m, double t0, double t1, double weight, double *f);
double motion_sigma(const motion *m, const double *f);
/* First time at which x(t) = place, by extrapolation where it lies outside. */
double motion_time(const motion *m, double place);

#endif
