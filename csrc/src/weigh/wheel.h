/* A wheel while it is on a sensor: the recording of it, and how it will be known that it has gone.
 *
 * In: conditioned samples, one after the other. Out: what became of them. Owned by channel.c, measured by passage.c. */
#ifndef BF_WHEEL_H
#define BF_WHEEL_H

#include "baseline.h"
#include "footprint.h"

typedef struct {
    trace t;
    double top;               /* highest above the baseline */
    int64_t began, last_high; /* scans: it was noticed; it was last above half of the highest */
    int64_t low_since;        /* the signal went down to the baseline */
    int64_t quiet;            /* samples that it has been there */
    double quiet_sum;
    int above;                /* samples in a row above the threshold, with which the next wheel comes */
    int64_t level_since;      /* since when the signal stays near level_value */
    double level_value;
    bool jumped;              /* it rose at once and has not moved since: no wheel does that */
    double jump_value;
    bool saturated;
    bool levelled;            /* it ends without having come down: it only stays where it is */
    int32_t steepest;         /* raw counts over two samples, anywhere in the recording */
} wheel;

/* What the samples of one frame are judged by. */
typedef struct {
    double base, threshold;
    double unseen;  /* by how much the baseline may move in a scan */
    double rate_hz;
    int confirm;    /* samples that something must stay above the threshold */
    /* What does not move for so long is baseline, where it is below such a share of the highest. */
    struct {
        double s, below;
    } still[2];
    float tolerance;
} wheel_rules;

typedef enum {
    WHEEL_ON,    /* the samples are used up and it is still there */
    WHEEL_GONE,  /* it has come down and the baseline was seen */
    WHEEL_LEVEL, /* it stays where it is: baseline */
    WHEEL_NEXT   /* the next one is there */
} wheel_event;

void wheel_begin(wheel *w, int64_t scan);
/* Samples from before it was noticed: `y` of the first is at the scan of wheel_begin, and so on. */
void wheel_lead(wheel *w, const double *y, int n, double base, float tolerance);
/* Raw samples of the recording; there is one more on both sides of them. */
void wheel_steepness(wheel *w, const int32_t *raw, int n);
/* It was noticed at this scan, the last one given. */
void wheel_noticed(wheel *w, int64_t scan);

/* Takes the samples y[0] .. y[n - 1], the first of them at `scan`; `*used` says how many it took until something happened,
 * including the sample with which it did. */
wheel_event wheel_take(wheel *w, const double *y, int n, int64_t scan, const wheel_rules *r, int *used);

/* A level that was reached within a millisecond or two and is held: the baseline jumped, because a cable came off or was
 * put on again. Returns the index of the sample with which that is certain, or n. */
int wheel_jump(wheel *w, const double *y, int n, int64_t scan, const wheel_rules *r);

#endif
