/* What works at one end of a lane, and what it says that something was not read. */
#ifndef BF_READERS_H
#define BF_READERS_H

#include "borderflow_core.h"

#include <stdbool.h>
#include <stdint.h>

#define KINDS 3         /* of identities: tag, plate, axles; bit 1 << kind is set where it was read */
#define TAG 1
#define PLATE 2
#define AXLES 4

typedef struct {
    bf_alive readers[KINDS], loop;
    uint8_t dead;        /* bits of the readers that do not work, as far as is known */
    double read_share;   /* of the vehicles that the loop counts, those of which an identity is read */
    double n;
    int64_t complete;    /* upstream: passages before this one are complete */
    bool gap;            /* nothing was seen here while vehicles came: so it is not known who is before the next one */
} lane_end;

void end_init(lane_end *e);
/* A complete passage. True where the loop has changed; `died`: by kind, how many passages a reader that was found dead
 * has missed, else 0. */
bool end_note(lane_end *e, uint8_t mask, bool looped, int64_t died[KINDS]);
/* Share of the vehicles that make a passage here. */
double end_seen(const lane_end *e);

#endif
