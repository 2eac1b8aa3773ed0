/* The state of the stage of axles, for train.c and reverse.c, and the train of axles that it fills. */
#ifndef BF_AXLES_H
#define BF_AXLES_H

#include "channel.h"
#include "loops.h"
#include "prints.h"
#include "fitter.h"

enum {
    PENDING = 64,       /* passes of a line that belong to no axle yet */
    TRAIN = 96,         /* axles that belong to no vehicle yet */
    RECENT = 24         /* passes that left as parts of axles, remembered */
};

/* What is remembered of a pass that left. */
typedef struct {
    double mid, on_s, side_n[SIDES];
    int line;
} recent_pass;

/* How far the samples are. */
typedef struct {
    int frame_scans;
    uint64_t scans; /* taken so far, gaps included */
    int64_t lost;   /* of them in gaps: stream time = internal scan + lost */
    int64_t done;   /* frames processed */
    int64_t now;    /* scans processed: done x frame_scans */
} progress;

/* Axles that are not yet parts of vehicles. */
typedef struct {
    axle_seen at[TRAIN + 1]; /* the last is room for one that may follow */
    int count;
    bool changed; /* since cut.c looked at it */
} axle_train;

/* Passes that are not yet parts of axles, and whom the stage asks. */
typedef struct {
    sensor_array *array;
    channel *channels;
    const presences *loops;
    const progress *stream;
    fitter *fit;
    print_slots *prints;
    axle_train *train;
    pass pending[BF_MAX_LINES][PENDING];
    int pending_count[BF_MAX_LINES];
    bool pending_changed;
    double last_event;
    recent_pass recent[RECENT];
    int recent_count;
    int reverse_waiting; /* what reverse.c looked at last, and found */
    double reverse_sum;
    bool reversing;
    double first_at; /* scan at which the first wheel came after the last gap, and onto which line */
    int first_line;
    int lone_run[SIDE_FULL]; /* lorries' axles in a row without a wheel on that half of any line */
    double behind[BF_MAX_LINES], before[BF_MAX_LINES]; /* what speaks for it that the passes of a line are of the axles one
                        * behind those that they were taken for; of those one before */
    axle_seen scratch[PENDING + BF_MAX_LINES * 4];
    axle_seen scratch2[PENDING + BF_MAX_LINES * 4];
} axle_stage;

#endif
