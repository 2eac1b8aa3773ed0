/* The road's bow wave: beside a wheel the road bends and unloads a strip, so that its signal dips below the baseline for
 * up to half a metre on both sides of the footprint (1 to 3 % of the peak on hot asphalt).
 *
 * In: means of the signal next to footprints and farther out. Out: how deep the dip is, as a share of the peak. Called by
 * passage.c, which then does not take the dip for the baseline. */
#ifndef BF_LOBE_H
#define BF_LOBE_H

#include <stdbool.h>

enum { LOBE_BEFORE = 0, LOBE_AFTER = 1 };

typedef struct {
    double share, var; /* mean depth over LOBE_NEAR, as a share of the peak; its variance */
} lobe_side;

typedef struct {
    lobe_side side[2];
    /* What was read behind the last footprint, until the baseline farther out is seen. */
    bool waiting;
    double near_value, peak, noise, from, to, sum, n;
} lobes;

/* Distances from the foot of a pulse, in lengths of the pulse (0.11 to 0.25 m). */
extern const double LOBE_NEAR, LOBE_FAR0, LOBE_FAR1;

void lobes_init(lobes *l);
/* Learns from one flank: the signal near it and far from it, counts; `sigma` is of their difference. */
void lobes_learn(lobes *l, int side, double near_value, double far_value, double peak, double sigma);
/* The depth of a side, 0 where there is no dip to speak of. */
double lobes_share(const lobes *l, int side, double *sigma);

#endif
