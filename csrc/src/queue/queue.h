/* What the filter of a queue knows (queue.c writes it, queue_times.c and forecast.c read it), and the chances of the
 * times at which vehicles travel and booths become free.
 */
#ifndef BF_QUEUE_H
#define BF_QUEUE_H

#include "borderflow_core.h"
#include "duration.h"

#define QUEUE_GAPS 512       /* booth cycles kept for sampling */
#define QUEUE_LONGS 64
#define QUEUE_LONG 3.0       /* times the usual cycle: from there on one is long */
#define QUEUE_PROGRAMS 8
#define QUEUE_MAX_BOOTHS 16  /* booths of one lane that are told apart; more count as so many fast ones */

struct bf_queue {
    int64_t capacity;       /* a power of two */
    int64_t first, next;    /* passages kept: first <= pos < next */
    int64_t lo;             /* the head is in lo..next */
    double *entered;        /* by pos & (capacity - 1), seconds from the origin */
    uint8_t *mask, *gone, *brief;
    double *w, *fresh, *share, *density;
    double *hidden;         /* chance that one comes before it that nobody saw upstream */
    int64_t origin_ns;
    int has_origin, has_last, reopened;
    double t_last, t_newest;
    double starts[QUEUE_MAX_BOOTHS]; /* the last departures: when booths began to serve, newest at n_starts - 1 */
    int64_t n_starts;
    int64_t run;               /* departures in a row that left a busy booth */
    double entries_since;       /* entries since the last departure, to tell a dead downstream counter */
    duration free_flow, cycle;
    duration paces[QUEUE_PROGRAMS]; /* the cycle when this program was served last; n is 0: never */
    int32_t program;
    double gaps[QUEUE_GAPS];
    int64_t n_gaps;
    double longs[QUEUE_LONGS];  /* cycles out of all proportion: long inspections, pauses */
    int64_t n_longs;
    double long_share, long_n;
    double skip, unlisted, phantom; /* probabilities for each departure */
    double extra;                   /* departures that are not in the list, for whatever reason, but take a booth */
    double skip_brief, brief_n;     /* the same as skip for a passage close behind another: perhaps a double count */
    int64_t head;                   /* most probable head after the last departure */
    double booths;
    double seen_up, seen_down;      /* share of the vehicles that are seen at all: below 1 while a counter is dead */
    int counted;                    /* a counter upstream was seen to work */
    double skip_all;                /* `skip` while the counter downstream works */
    int64_t departures;
};

static inline int64_t queue_slot(const bf_queue *q, int64_t pos)
{
    return pos & (q->capacity - 1);
}

/* Seconds since the first time that this queue heard of; BF_ERR_ARGUMENT for a time too far away. */
bf_status queue_seconds(bf_queue *q, int64_t t_ns, double *t_s);
/* Chance that the passage in slot `i` never departs here. */
double queue_skip(const bf_queue *q, int64_t i);
/* How many booths are told apart of `number`, and by how much each is faster than one booth. */
int queue_split(double number, double *speed);
int queue_booths_of(const bf_queue *q, double *speed);
/* `pdf`: density that a booth becomes free at t, when a vehicle has been waiting for it since the last departure;
 * `cdf`: chance that a booth is free by t. */
void queue_cycle_at(const bf_queue *q, double t, double *pdf, double *cdf);
/* The same of a free journey that has taken `travel_s`. */
void queue_free_at(const bf_queue *q, double travel_s, double *pdf, double *cdf);

#endif
