/* Footprints are kept in slots; a pass and an axle hold numbers of slots. Giving them back. */
#ifndef BF_PRINTS_H
#define BF_PRINTS_H

#include "array.h"

void release_pass(bf_wim *w, const pass *p);
void release_axle(bf_wim *w, const axle_seen *a);

#endif
