/* The stretch between two points: what is known of who is between them. */
#ifndef BF_SEGMENT_H
#define BF_SEGMENT_H

#include "evidence.h"

/* A passage upstream as it was last known, by its place in the queue; it outlives the entry. */
typedef struct {
    int64_t pos, time_ns;
    int32_t entry;  /* -1: forgotten */
    uint8_t mask;
    bool looped;
} trace;

typedef struct {
    evidence evidence;
    int32_t from, to;       /* points */
    int32_t lanes, lanes_n; /* of the crossing; of this direction */
    bf_queue **queues;      /* by lane, NULL where it is of another direction */
    lane_end *up, *down;
    trace *traces;          /* lane * ENTRIES + pos & (ENTRIES - 1) */
    int32_t oldest, newest, live;
    bool main;              /* from the first point to the booth */
} segment;

bf_status segment_init(segment *s, int32_t lanes, const int32_t *of, int32_t n, bf_queue *const *queues, bf_plates *plates,
                       bool main, int64_t *counters);
void segment_free(segment *s);
/* A vehicle passed the upstream point; what is read of it may still follow by `segment_mark`. */
bf_status segment_enter(segment *s, int32_t lane, const vehicle *v, int64_t *pos);
/* More was read of a passage that has entered, or a loop counted it. */
bf_status segment_mark(segment *s, int32_t lane, int64_t pos, const vehicle *v, bool read);
/* A vehicle arrived downstream. */
bf_status segment_depart(segment *s, int32_t lane, const vehicle *v, bf_event *out);
bf_status segment_empty(segment *s, int32_t lane);
bf_status segment_came_unseen(segment *s, int32_t lane, double share);

#endif
