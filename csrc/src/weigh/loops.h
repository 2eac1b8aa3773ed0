/* Loops: stretches of presence, from the samples; and which of them an axle was in. Called by wim.c and cut.c. */
#ifndef BF_LOOPS_H
#define BF_LOOPS_H

#include "axle.h"
#include "history.h"

enum { LOOP_MARKS = 64, LOOPS = 4 };

/* A stretch of presence over a loop. */
typedef struct {
    double on, off; /* scans; off is infinite while it lasts */
    bool split;     /* begins at a dip of the amplitude, not with the loop free */
    bool shared;    /* ends at such a dip */
    bool lost;      /* ends where the samples do */
    double covered; /* share of the loop that is covered where the threshold is crossed */
} presence;

typedef struct {
    int sensor, channel;
    double level, lower;
    bool present, pending;
    int64_t change_at;
    double top, valley; /* of the amplitude in this presence */
    int64_t valley_at;
    bool falling, varies; /* varies: the amplitude tells how much of the loop is covered */
    bool middling; /* the amplitude was neither low nor full in the last frame */
    int64_t between, full; /* frames at middling and at full amplitude */
    presence marks[LOOP_MARKS];
    int count;
} loop_state;

/* The loops. */
typedef struct {
    loop_state at[LOOPS];
    int count;
    bool used;    /* vehicles are cut by them */
    bool ignored; /* they are at fault */
} presences;

/* Every loop takes frame number `frame`, of which `ranges` are those. */
void loops_frame(presences *loops, double rate_hz, const history *past, const frame_ranges *ranges, int64_t frame);

/* The stream ends or has a gap at scan `now`. */
void loops_close(presences *loops, int64_t now);

/* The loop that vehicles are cut by, or null. */
const loop_state *main_loop(const presences *loops);

/* Index of the presence in which an axle was over the loop, or -1. */
int presence_of(const sensor_array *array, const loop_state *l, const axle_seen *a);

#endif
