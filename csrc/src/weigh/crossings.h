/* The footprints of axles to what a motion is fitted to: when which level of which flank passed which place, how long a print
 * took, where the vehicle stood. For load.c; and the motion of a pair of axles, for cut.c and train.c. */
#ifndef BF_CROSSINGS_H
#define BF_CROSSINGS_H

#include "pass.h"
#include "fitter.h"

/* Fills w->crossings and `h`; returns how many crossings. `whole`: they are all axles of a vehicle. */
int crossings_gather(fitter *w, const axle_seen *axles, int count, bool whole, double t0, hints *h);

/* How a pass went: over the strip or back over it; or onto it and off again at its front, or at its rear. */
typedef enum { WAY_FORWARD, WAY_BACK, WAY_FRONT, WAY_REAR } way_over;

typedef struct {
    const pass *p;
    int axle;
    way_over way;
    int passes;    /* of that axle */
    double v;      /* m/s, roughly */
    double most_n; /* greatest peak of the axle */
    tyre kind;
} signed_pass;

/* What it costs that one motion, back between the times (scans) of `back`, made these passes: half the squares of the
 * residuals in units of a misread pass, of each wheel and pass. They are in the order of their axles. NaN: it cannot be fitted. */
double crossings_misfit(fitter *w, const signed_pass *passes, int count, int axles, const rest *back, int back_count);

/* One motion for two neighbouring axles: its residual, negative where they were never over the array together, and how far
 * apart they are by it if nothing stopped in between, with its sigma; NaN where it cannot tell. */
typedef struct {
    double misfit_m, apart_m, apart_sigma_m;
    bool crept;
} joint_motion;
joint_motion joint_fit(fitter *w, const axle_seen *pair);

#endif
