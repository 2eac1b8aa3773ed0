/* Normal equations of a motion: a spline of time, and what is unknown beside it.
 *
 * In: crossings (who passed which level of its footprint, where and when), ways between two times, speeds. Out: the equations,
 * solved with a penalty. Called by motion.c.
 *
 * A crossing says x(t) = place + offset of its flank + slope * (how far right of the usual its wheel runs). The offsets of a
 * group (one level of one wheel's print, at all lines) are nobody's interest and are eliminated at once: that of the front
 * flank, that of the rear one, and by how much both lie further out on strips at another angle, which a print's width is long
 * on. How far to the side the vehicle runs, and how much wider than usual each axle is, stay as unknowns behind the spline's. */
#ifndef BF_EQUATIONS_H
#define BF_EQUATIONS_H

#include <stdbool.h>

#include "spline.h"

enum { ASIDE_MAX_AXLES = 24, UNKNOWNS_MAX = SPLINE_MAX_COEFFS + 1 + ASIDE_MAX_AXLES, BAND = 4 };

typedef struct {
    double t;     /* seconds */
    double place; /* metres */
    double sigma; /* metres */
    double weight;
    double residual;
    double slope; /* metres further along for a metre to the right, against the usual strip of the array */
    int group;
    int flank;     /* of its group: 0 or 1 */
    double longer; /* -1, 1: before and behind the middle, on a strip at another angle than the usual one; else 0 */
    int axle, wheel; /* wheel: -1 left, 1 right, 0 both */
    int interval;    /* filled by the fit: of the time at which the motion passes, with the basis there */
    double basis[4];
    double aim; /* the place with which the motion at that time is compared */
} crossing_at;

/* Lower half of a symmetric matrix; row i has nothing before column first[i]. */
typedef struct {
    int n;
    int first[UNKNOWNS_MAX];
    double a[UNKNOWNS_MAX * UNKNOWNS_MAX];
} envelope;

/* The transpose of the factor L of such a matrix; row i has nothing behind column last[i], column i nothing before row first[i]. */
typedef struct {
    int n;
    int first[UNKNOWNS_MAX], last[UNKNOWNS_MAX];
    double a[UNKNOWNS_MAX * UNKNOWNS_MAX];
} upper_factor;

/* Over the spline's coefficients: the same with four entries in a row, [0] on the diagonal. */
typedef struct {
    double a[SPLINE_MAX_COEFFS][BAND];
    double right[SPLINE_MAX_COEFFS];
    double constant;
} penalty;

typedef struct {
    envelope data;
    double right[UNKNOWNS_MAX];
    penalty penalty;
} equations;

/* Begins with the crossings. `axles`: of the vehicle, where strips at different angles tell how far to the side it runs; else 0. */
void equations_begin(equations *e, const spline *s, const crossing_at *o, int count, int axles);
/* Adds weight * (row * c - value)^2 for the speed at a time; that the place moves on by `way` between two times. */
void equations_add_speed(equations *e, const spline *s, double t, double speed, double sigma);
void equations_add_step(equations *e, const spline *s, double from, double to, double way, double sigma);

void penalty_clear(penalty *p, int coeffs);
/* Adds weight * (row * c - value)^2, for four neighbouring coefficients. */
void penalty_add(penalty *p, int at, const double row[4], double value, double weight);
/* Log determinant, but for the place as a whole, which is free. */
double penalty_logdet(const penalty *p, int coeffs);

/* Solves data + penalty / density into `c`, leaving the factor; returns minus twice the log evidence, but for the penalty's
 * determinant and constants of the data. HUGE_VAL where it cannot be solved. */
double equations_solve(const equations *e, int coeffs, double density, upper_factor *factor, double *c);

/* Residuals against each group's own offsets. */
void equations_residuals(const double *c, int coeffs, crossing_at *o, int count);

/* Standard deviation of sum f * c, of the unknowns from `begin` on to `end`. */
double factor_sigma(const upper_factor *factor, const double *f, int begin, int end);

#endif
