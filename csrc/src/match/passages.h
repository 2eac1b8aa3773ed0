/* Vehicles at a point of a lane: sightings in the order of time become passages. */
#ifndef BF_PASSAGES_H
#define BF_PASSAGES_H

#include "order.h"
#include "readers.h"

#define MOST_TAGS 8     /* of one vehicle; more are left aside */
#define MOST_PLATES 4   /* tractor and trailer, front and rear */
#define MOST_TOKENS 8
#define MOST_BEGINS 2   /* ways that begin at one point: to the next one, and to the booth */
#define RECENT 16       /* passages at a point that a sighting may belong to */

/* All that was read of one vehicle at one point. */
typedef struct {
    int64_t time_ns;
    uint64_t tags[MOST_TAGS];
    uint8_t plates[MOST_PLATES][BF_PLATE_ROW];
    reading *axles;
    reading *tokens[MOST_TOKENS];
    uint8_t n_tags, n_plates, n_tokens;
    uint8_t mask;
    bool looped;
} vehicle;

typedef struct {
    vehicle of;
    int64_t pos[MOST_BEGINS]; /* in the queues of the ways that begin here */
    int32_t place;
    int32_t holders, next_free;
} passage;

typedef struct {
    passage *all;
    int32_t n, room, first_free;
} passages;

typedef struct known_identities known_identities;

typedef struct {
    known_identities *known;
    int32_t recent[RECENT]; /* newest at (n_recent - 1) % RECENT */
    int64_t n_recent;
} point_of_lane;

void vehicle_copy(vehicle *to, const vehicle *from);
void vehicle_release(vehicle *v);
void passage_release(passages *all, int32_t index);
bf_status point_init(point_of_lane *p);
void point_free(point_of_lane *p);
/* The passage that this belongs to, -1 for a repetition or where memory ends; *is_new: nothing was read of it before. */
int32_t point_take(point_of_lane *p, passages *all, const seen *s, bool *is_new, int64_t *counters);

#endif
