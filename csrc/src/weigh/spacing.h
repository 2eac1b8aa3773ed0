/* How far two neighbouring axles are apart, seen or not: directly where both were over the array at a time, else by the
 * speeds and accelerations with which the one left the array and the other came onto it. For cut.c and pattern.c. */
#ifndef BF_SPACING_H
#define BF_SPACING_H

#include "array.h"

enum { BRAKINGS = 7 };

/* Distance between two neighbouring axles if both are of one vehicle. */
typedef struct {
    double lo, hi; /* the likely range; hi is infinite where the second axle has not come yet */
    double doubt;  /* how far it can be off lo .. hi if the speed was not even in between; 0 where that was seen */
    bool unseen;   /* between the two nothing was over the array: it may have stood there */
    double uneven; /* minus log likelihood of the speeds at both ends, if it did not stop */
    bool stopped_by; /* and it stood just before or after */
    bool between_stops; /* before and after */
    double base;   /* the distance if the second had come when the first left */
    double stop_m[BRAKINGS]; /* way that a stop in between takes, by how hard it brakes and starts; infinite if none can be */
    double stop_cost;        /* minus log of the chance that there was a stop, besides what follows from the ways */
} spacing;

/* Between axles a and b, a before b. */
spacing spacing_of(const bf_wim *w, const axle_seen *a, const axle_seen *b);
/* Between axle a and one that would follow it in the same vehicle but has not come yet. */
spacing spacing_ahead(const bf_wim *w, const axle_seen *a);

/* Minus log likelihood that it lies in from .. to. */
double spacing_cost(const spacing *s, double from, double to);
/* The same of a link between groups of axles that is built from .. to: its density there; of one whose second axle has not
 * come, the chance that it is no shorter than what is known. */
double link_cost(const spacing *s, double from, double to);

/* What it costs that it stopped in between and the spacing is at most `to`; infinite where it cannot have. */
double stop_cost_of(const spacing *s, double to);

/* Where, when and how fast an axle came onto the array and left it; what it weighs, roughly. */
void find_runs(const bf_wim *w, axle_seen *a);

#endif
