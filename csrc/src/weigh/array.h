/* What is mounted: the sensor table as lines of sensors at one place along the lane. Filled by table.c; lines.c and train.c note
 * in it what passing axles tell of the sensors. */
#ifndef BF_ARRAY_H
#define BF_ARRAY_H

#include "borderflow_core.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    LINE_SENSORS = 8,
    MISS_RUN = 4        /* axles in a row that a line missed before it counts as dead */
};

typedef enum { SIDE_LEFT = 0, SIDE_RIGHT = 1, SIDE_FULL = 2, SIDES = 3 } side;

typedef struct {
    bf_sensor s;
    int line; /* -1 for loops */
    side side;
    double newton; /* for one count, at the present temperature */
    double slope;  /* how much further a strip at an angle lies for a metre to the right; 0 where its y is not known */
    double y_m;    /* of its middle */
    bool misplaced; /* wheels come to it in another order than the table says; order.c */
} sensor_info;

typedef struct {
    double x;
    int sensors[LINE_SENSORS];
    int count;
    int missed_run; /* axles in a row that only the other lines saw */
    double width;
    bool plate; /* a plate among its sensors */
    /* Left shares of axles here (y) and at the other lines (x), from one half each: fading sums. Two halves whose cables
     * were exchanged mirror what the others see. */
    double xx, xy, yy, shares;
    bool swapped; /* they were, and are read so */
    double off, off_var, off_seen; /* relative, from the other lines: mean and variance over the last vehicles, and of how many */
} line_info;

/* What is mounted, and what passing axles have told of it. */
typedef struct {
    double rate; /* scans per second */
    int sensor_count, line_count;
    sensor_info sensors[BF_MAX_SENSORS];
    line_info lines[BF_MAX_LINES];
    double side_y_m[SIDES]; /* where wheels mostly are across the lane */
    bool slopes_differ;     /* strips at different angles: they tell where across the lane the wheels are */
} sensor_array;

#endif
