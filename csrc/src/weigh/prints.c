/* Slots of footprints, given back. See prints.h. */
#include "prints.h"

void release_pass(bf_wim *w, const pass *p)
{
    for (int i = 0; i < p->count; ++i) w->prints.free[w->prints.free_count++] = p->prints[i];
}

void release_axle(bf_wim *w, const axle_seen *a)
{
    for (int j = 0; j < w->array.line_count; ++j)
        if (a->seen & (1u << j)) release_pass(w, &a->at[j]);
}
