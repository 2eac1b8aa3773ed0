/* Footprints are kept in slots until their vehicle has left; passes point to them. */
#ifndef BF_PRINTS_H
#define BF_PRINTS_H

#include "axle.h"

enum { PRINTS = 1024 }; /* footprints held at a time */

typedef struct {
    footprint at[PRINTS];
    footprint *free[PRINTS];
    int free_count;
} print_slots;

void prints_init(print_slots *s);
void release_pass(print_slots *s, const pass *p);
void release_axle(print_slots *s, const axle_seen *a);

#endif
