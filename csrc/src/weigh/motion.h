/* One motion x(t) for one vehicle, fitted to when its axles passed the levels of their footprints.
 *
 * In: crossings (time, place of the line, whose level it is: equations.h). Out: place and speed at each instant.
 * Called by load.c. The motion is a cubic B-spline. Jerk is penalised; how much is chosen by the evidence (marginal
 * likelihood). After: P. Eilers, B. Marx, Flexible smoothing with B-splines and penalties, Statistical Science 11 (1996).
 * A creeping vehicle's speed wanders about its mean: there the doubt about how much and how fast is kept, all choices
 * weighted by their evidence. */
#ifndef BF_MOTION_H
#define BF_MOTION_H

#include <stdbool.h>

#include "equations.h"

enum { MOTION_MAX_COEFFS = SPLINE_MAX_COEFFS, MOTION_MAX_CROSSINGS = 3072, MOTION_MAX_RESTS = 64, MOTION_MAX_PASSAGES = 384, MOTION_MAX_WAYS = 12, MOTION_MAX_BACKS = 8 };

typedef struct {
    double from, to; /* seconds between which the vehicle stood */
} rest;

/* Roughly known: a tyre's print passes while the place moves on by `way`. Without it a vehicle that stops again and
 * again may be thought to pass every strip at a standstill, where no flank is in the wrong place. */
typedef struct {
    double from, to;   /* seconds */
    double way, sigma; /* metres */
    double share;      /* of its axle's pass over the line: one over its footprints */
} passage;

typedef struct {
    spline grid;
    double c[UNKNOWNS_MAX];            /* of the spline, and how far to the side it runs behind them */
    double poly[MOTION_MAX_COEFFS][4]; /* of each interval, in powers of the time since its knot */
    upper_factor factor;               /* of the precision of c */
    int ways;                          /* choices of the prior that deviate from c, times the root of their share: */
    double way[MOTION_MAX_WAYS][UNKNOWNS_MAX];
    double scale; /* residuals as a multiple of their sigmas */
    double jerk;  /* chosen density of the jerk */
    bool sparse;  /* seen at one place only: smooth in between, whatever crossings allow */
} motion;

typedef struct {
    rest rests[MOTION_MAX_RESTS];
    passage passages[MOTION_MAX_PASSAGES];
    rest backs[MOTION_MAX_BACKS]; /* between which it may have rolled back */
    int rest_count, passage_count, back_count;
    int aside_axles; /* of the vehicle, where strips at different angles tell how far to the side it runs; else 0 */
} hints;

/* Crossings must be sorted by group. `from` .. `to` is the span in which the motion will be asked for. Returns false when they
 * cannot tell a motion. */
bool motion_fit(motion *m, crossing_at *o, int count, const hints *h, double from, double to);

double motion_place(const motion *m, double t);
/* The same for one time after the other: `*near` is the interval of the last one, 0 at first. */
double motion_place_near(const motion *m, double t, int *near);
double motion_speed(const motion *m, double t);
double motion_acceleration(const motion *m, double t);
double motion_acceleration_near(const motion *m, double t, int *near);
/* Adds weight * (x(t1) - x(t0)) to a linear functional of the motion, `f` of MOTION_MAX_COEFFS entries; and the
 * standard deviation of such a functional. */
void motion_add_step(const motion *m, double t0, double t1, double weight, double *f);
double motion_sigma(const motion *m, const double *f);
/* Adds weight * x''(t) to such a functional. */
void motion_add_acceleration(const motion *m, double t, double weight, double *f);
/* First time at which x(t) = place, by extrapolation where it lies outside. */
double motion_time(const motion *m, double place);

/* Whether it is a creeping vehicle's: what sigma says of it then holds between its crossings too. */
bool motion_wanders(const motion *m);

/* Metres right of the usual that a wheel of an axle runs (-1 left, 1 right, 0 its middle); 0 where nothing tells. */
double motion_aside(const motion *m, int axle, int wheel);
/* That of the whole vehicle's middle, with its sigma; false where nothing tells. */
bool motion_lateral(const motion *m, double *metres, double *sigma);

#endif
