/* Sightings in the order of time: what was seen, where and when. */
#ifndef BF_ORDER_H
#define BF_ORDER_H

#include "tokens.h"

#define NEVER_NS (-(INT64_C(1) << 62))

/* What is too large for a record: an axle signature or tokens, freed with its last holder. */
typedef struct reading {
    int32_t holders;
    struct reading *next; /* of the same sighting */
    union {
        float axles[BF_AXLE_FEATURES];
        token_set tokens;
    } of;
} reading;

typedef struct {
    int64_t time_ns, number;
    uint64_t identity;  /* of the text that was read */
    reading *more;
    int32_t place;
    uint8_t kind;       /* bf_kind */
    uint8_t plate[BF_PLATE_ROW];
} seen;

reading *reading_hold(reading *r);
void reading_release(reading *r);
/* The first in the order of time, NULL when there is none. */
const seen *order_first(const bf_order *o);
int32_t order_count(const bf_order *o);
/* Takes the first out; its readings are the caller's to release. */
seen order_pop(bf_order *o);
void seen_release(seen *s);

/* 64 bits of a text, and of the names of a place. */
uint64_t number_of(const uint8_t *text, int32_t size);
uint64_t place_number(const uint8_t *lane, int32_t lane_size, const uint8_t *point, int32_t point_size);

#endif
