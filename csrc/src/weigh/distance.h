/* What is known of the distance between two neighbouring axles. Filled by spacing.c, kept beside the train (array.h). */
#ifndef BF_DISTANCE_H
#define BF_DISTANCE_H

#include <stdbool.h>

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

/* Likelihood of what was seen for each distance, added up from NEAREST_M on in cells of CELL_M; what lies further away is in
 * `beyond`. Where the second axle has not come: the chance that it had not, added up in the same way. */
enum { CELLS = 166 };
#define NEAREST_M 0.4
#define CELL_M 0.1
typedef struct {
    float upto[CELLS + 1];
    float beyond;
} distances;

#endif
