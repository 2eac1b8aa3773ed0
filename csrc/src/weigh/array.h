/* What the parts of the weighing share: the sensor table as lines, passes over a line, axles, the state of the core.
 * The way of the data: channel.c -> (footprint) -> train.c -> (axle_seen) -> cut.c -> load.c -> (bf_vehicle). */
#ifndef BF_ARRAY_H
#define BF_ARRAY_H

#include "blend.h"
#include "borderflow_core.h"
#include "channel.h"
#include "distance.h"
#include "footprint.h"
#include "motion.h"

enum {
    PRINTS = 1024,      /* footprints held at a time */
    PASS_PRINTS = 12,   /* footprints of one axle on one line, with repeats where it rolled back */
    PENDING = 64,       /* passes of a line that belong to no axle yet */
    TRAIN = 96,         /* axles that belong to no vehicle yet */
    LOOP_MARKS = 64,
    LOOPS = 4,
    LINE_SENSORS = 8,
    RING = 64,          /* finished vehicles not yet taken */
    RECENT = 24,        /* passes that left as parts of axles, remembered */
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

/* One axle over one line: the footprints of its wheels. */
typedef struct {
    int count;
    int prints[PASS_PRINTS];
    double begin, end, mid; /* scans */
    double peak_n, side_n[SIDES];
    unsigned saturated; /* bit for each side: side_n is less than it was */
    bool came_back; /* its axle came over the line again, which was taken out */
} pass;

/* An axle at one end of the array: place, time and speed of its first or last crossing of an edge. */
typedef struct {
    double x, t, v, a; /* metres, seconds, m/s, m/s2 */
    bool stood;        /* on the line there */
} run;

typedef struct {
    unsigned seen; /* bit for each line */
    pass at[BF_MAX_LINES];
    double peak_n, side_n[SIDES];
    double kg; /* roughly, from the speeds between the lines */
    double misfit_m; /* of one motion for it and the axle before it; negative where they were never over the array
                      * together */
    double apart_m, apart_sigma_m; /* behind the axle before it, by that motion; NaN where not known; sigma: only where they creep */
    run entry, exit;
    double print;     /* how long its tyres' prints are for what they bear: a logarithm; NaN where not known */
    double left;      /* share of what the lines saw of it; negative where its sides are not known */
    bool lost_before; /* the stream had a gap before it */
    bool came_back;
} axle_seen;

/* What is remembered of a pass that left. */
typedef struct {
    double mid, on_s, side_n[SIDES];
    int line;
} recent_pass;

/* A stretch of presence over a loop. */
typedef struct {
    double on, off; /* scans; off is infinite while it lasts */
    bool split;     /* begins at a dip of the amplitude, not with the loop free */
    bool shared;    /* ends at such a dip */
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
    int64_t between, full; /* frames at middling and at full amplitude */
    presence marks[LOOP_MARKS];
    int count;
} loop_state;

/* How often the lane sees the configurations of pattern.c. */
enum { MIX_ROWS = 64 };
typedef struct {
    double seen[MIX_ROWS], vehicles;
} lane_mix;

/* What a loop does between two axles. */
typedef enum { LOOP_HELD, LOOP_DIPPED, LOOP_FREE, LOOP_SIGNS, LOOP_SILENT } loop_sign;

/* What this lane's vehicles have in common, from cuts that were sure: shares left, that of all vehicles, and the variances of a
 * vehicle's own and of its axles'; distances of those that follow closely. */
typedef struct {
    double left, left_between, left_within;
    double steered[2], other[2]; /* axle_seen.print of first and of other axles: mean and variance */
    double close_m, close_var;
    double close_share; /* of the vehicles, that follow at a queue's distance */
    double stop_share;  /* of the vehicles, that stood while they were over the array */
    double cut_sign[LOOP_SIGNS], whole_sign[LOOP_SIGNS]; /* shares of what the loop does between vehicles and between the axles of one */
} lane_habits;

/* What is mounted, and what passing axles have told of it. */
typedef struct {
    double rate; /* scans per second */
    int sensor_count, line_count;
    sensor_info sensors[BF_MAX_SENSORS];
    line_info lines[BF_MAX_LINES];
    double side_y_m[SIDES]; /* where wheels mostly are across the lane */
    bool slopes_differ;     /* strips at different angles: they tell where across the lane the wheels are */
} sensor_array;

/* The loops. */
typedef struct {
    loop_state at[LOOPS];
    int count;
    bool ignored; /* they are at fault */
} presences;

/* How far the samples are. */
typedef struct {
    int frame_scans;
    uint64_t scans; /* taken so far, gaps included */
    int64_t lost;   /* of them in gaps: stream time = internal scan + lost */
    int64_t done;   /* frames processed */
    int64_t now;    /* scans processed: done x frame_scans */
} progress;

/* Footprints are kept in slots until their vehicle has left. */
typedef struct {
    footprint at[PRINTS];
    int free[PRINTS];
    int free_count;
} print_slots;

/* Passes that are not yet parts of axles. */
typedef struct {
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
    axle_seen scratch[PENDING + BF_MAX_LINES * 4];
    axle_seen scratch2[PENDING + BF_MAX_LINES * 4];
} open_passes;

/* Axles that are not yet parts of vehicles. */
typedef struct {
    axle_seen at[TRAIN + 1]; /* the last is room for one that may follow */
    int count;
    bool changed; /* since cut.c looked at it */
} axle_train;

/* How the axles of the train are cut into vehicles. */
typedef struct {
    spacing apart[TRAIN + 1]; /* of each axle behind the one before it */
    distances reaches[TRAIN + 1];
    axle_seen left; /* the last axle of the vehicle that left last; its footprints are gone */
    lane_habits habits;
    lane_mix mix;
    double last_doubt; /* of the last cut */
    int64_t gap_at;    /* scan of the last gap in the stream, or of its beginning; -1 once a vehicle came after it */
    bool broken;       /* a gap is cutting off what is over the array */
} cutter;

/* Finished vehicles that nobody has taken yet. */
typedef struct {
    bf_vehicle at[RING];
    int head, count;
} vehicle_ring;

/* What one vehicle's fit works in, and what the lane's loads have in common. */
typedef struct {
    motion motion;
    double motion_t0; /* seconds at which its time is 0 */
    bool motion_fitted;
    crossing_at crossings[MOTION_MAX_CROSSINGS];
    trace beside; /* beside.c */
    lane_ways ways;
} fitter;

struct bf_wim {
    bf_wim_options options;
    sensor_array array;
    channel channels[BF_MAX_SENSORS];
    channel_room room;
    presences loops;
    progress stream;
    print_slots prints;
    open_passes passes;
    axle_train train;
    cutter cut;
    fitter fit;
    vehicle_ring out;
};

/* train.c: takes a footprint; turns those that are there into axles. True where the train is full before all are in it. */
void train_footprint(struct bf_wim *w, const footprint *f);
bool train_update(struct bf_wim *w, bool at_end);

/* train.c: what axle k of the train and the one before it say of their motion and their distance. */
void train_tie(struct bf_wim *w, int k);

/* reverse.c: takes out the passes of axles that rolled back and came again. True while that may be going on. `finished`
 * are the passes of each line that are complete. */
bool reverse_filter(struct bf_wim *w, int *finished, bool at_end);
void reverse_note(struct bf_wim *w, const pass *p, int line);

/* cut.c: takes vehicles off the front of the train. */
void cut_update(struct bf_wim *w, bool at_end);

/* load.c: which wheel it was: a strip across the whole lane at an angle sees the two of an axle one after the other. */
side print_side(const struct bf_wim *w, const pass *p, int index);

/* load.c: the length of the vehicle that was weighed last, whose presence over a loop is `p`. */
double length_by_loop(const struct bf_wim *w, const bf_sensor *loop, const presence *p);

/* load.c: weighs the axles as one vehicle; the rough speed of an axle near a line, and its rough load, where it is `reach_m`
 * on a strip. */
void weigh(struct bf_wim *w, const axle_seen *axles, int count, bf_vehicle *out);
double pass_speed(const struct bf_wim *w, const axle_seen *a, int line);
double rough_load(const struct bf_wim *w, const axle_seen *a, double reach_m);
/* One motion for two neighbouring axles: its residual, negative where they were never over the array together, and how far
 * apart they are by it if nothing stopped in between, with its sigma where they creep; NaN where it cannot tell. */
typedef struct {
    double misfit_m, apart_m, apart_sigma_m;
} joint_motion;
joint_motion joint_fit(struct bf_wim *w, const axle_seen *pair);

#endif
