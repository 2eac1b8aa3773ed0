/* How soon vehicles are served by booths that are never idle. A cycle is the time from one departure to the next, times the
 * booths that are open. In: cycles. Out: what the next ones are going to be. Called by the other files of the queue. */
#ifndef BF_PACE_H
#define BF_PACE_H

#include "duration.h"

#define QUEUE_GAPS 512       /* booth cycles kept for sampling */
#define QUEUE_LONGS 64       /* and of those that are out of all proportion */
#define QUEUE_DECK 256      /* cycles that a forecast draws from; a power of two */
#define QUEUE_PROGRAMS 8
#define PACE_MEMORIES 5      /* means of cycles that fade at different speeds */
#define PACE_HORIZONS 4      /* and how well each foretells the mean of so many cycles that follow, see pace.c */
#define PACE_RECENT 8        /* cycles by which a change of pace is known */
#define PACE_KEPT 512        /* more than the longest of these; a power of two */

/* Only pace.c looks into it. */
typedef struct {
    double mean[PACE_MEMORIES];     /* of cycles, s */
    double loss[PACE_HORIZONS][PACE_MEMORIES]; /* mean square of ln(what came / what that mean had said) */
    double best[PACE_HORIZONS], sd_ln[PACE_HORIZONS]; /* of all means together: what they say, and its deviation */
    double seen, seen_n;            /* mean of the last cycles, idle ones as well */
    double n;                       /* cycles that the means know, up to the longest memory */
    double recent[PACE_RECENT];     /* the last cycles */
    int64_t n_recent;
    double spread;                  /* of cycles: square of their coefficient of variation */
    double excess, excess_n;        /* of very long cycles over the most that moves the means, spread over all cycles */
    double said_ln[PACE_KEPT][PACE_MEMORIES], until[PACE_KEPT]; /* means, and the sum of the cycles, after each cycle */
    int64_t kept;
    double of_program[QUEUE_PROGRAMS]; /* the mean cycle when this program was served last; 0: never */
    int32_t program;
    duration shape;                 /* of one service in mean cycles, without long ones */
    double gaps[QUEUE_GAPS];        /* such services as they were */
    int64_t n_gaps;
    double longs[QUEUE_LONGS];      /* long inspections and pauses, in mean cycles */
    int64_t n_longs;
    double long_share, long_n;      /* of all cycles, and by how many that was learned */
    double deck[QUEUE_DECK];        /* what a forecast draws from: mean 1 */
    int64_t deck_of;                /* n_gaps + n_longs when the deck was made, -1: it is to be made */
} queue_pace;

void pace_begin(queue_pace *p, double cycle_s);
/* A booth that was never idle served one more: the time since the departure before, times the booths. */
void pace_learn(queue_pace *p, double cycle_s);
/* The same of any booths, idle or not: they can do no less than what they did. */
void pace_see(queue_pace *p, double cycle_s);
/* One service in mean cycles; weight as of `duration_learn`. */
void pace_shape(queue_pace *p, double cycles, double weight);
/* Mean of the next `n` cycles, and the deviation of its ln beyond that of their own spread. */
double pace_mean(const queue_pace *p, double n);
double pace_sd(const queue_pace *p, double n);
/* From now on all takes `factor` times as long. */
void pace_scale(queue_pace *p, double factor);
void pace_program(queue_pace *p, int32_t program);
/* One service, in seconds, as it goes just now. */
duration_law pace_law(const queue_pace *p);
/* QUEUE_DECK services in mean cycles. */
const double *pace_deck(queue_pace *p);

#endif
