/* Where the axles of a weighed vehicle are, and how well that is known. For cut.c. */
#ifndef BF_APART_H
#define BF_APART_H

#include "pattern.h"

/* In: a vehicle as load.c weighed it by one motion, and its axles. Fills position_sigma_m. Where the vehicle may have stood
 * with no wheel on the array, the distance between two axles becomes what motion and vehicles that are built leave of it. */
void apart_settle(const axle_row *r, bf_vehicle *v);

#endif
