/* Slots of footprints, given back. See prints.h. */
#include "prints.h"

void prints_init(print_slots *s)
{
    for (int i = 0; i < PRINTS; ++i) s->free[i] = &s->at[i];
    s->free_count = PRINTS;
}

void release_pass(print_slots *s, const pass *p)
{
    for (int i = 0; i < p->count; ++i) s->free[s->free_count++] = p->prints[i];
}

void release_axle(print_slots *s, const axle_seen *a)
{
    for (int j = 0; j < BF_MAX_LINES; ++j)
        if (a->seen & (1u << j)) release_pass(s, &a->at[j]);
}
