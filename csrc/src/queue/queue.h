/* What the filter of a queue knows, and what its files share.
 *
 * queue.c keeps the list of passages, depart.c moves the head of the queue at each departure, learn.c learns from it,
 * queue_times.c says how likely times are, pace.c how soon booths serve, forecast.c runs the queue on.
 */
#ifndef BF_QUEUE_H
#define BF_QUEUE_H

#include "borderflow_core.h"
#include "journey.h"
#include "pace.h"

#define QUEUE_SAMPLES 1024
#define QUEUE_MAX_BOOTHS 16  /* booths of one lane that are told apart; more count as so many fast ones */
#define QUEUE_MASKS 64       /* tag, plate, axles: which of them were read upstream, and whose reader was dead */
#define QUEUE_READ 7         /* the bits of what was read */

/* How many of the passages depart: sums over the stretches between two moments at which nobody was left. */
typedef struct {
    double listed, served;          /* fading */
    double named;                   /* of the last hundred departures, those whose passage an identity told */
    int64_t from_pos, departures;   /* since the last such moment */
} queue_balance;

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
    double t_last;
    double starts[QUEUE_MAX_BOOTHS]; /* the last departures: when booths began to serve, newest at n_starts - 1 */
    int64_t n_starts;
    int64_t run;               /* departures in a row that left a busy booth */
    double entries_since;       /* entries since the last departure, to tell a dead downstream counter */
    duration free_flow;
    journey journey;
    int journey_told;           /* whether counts alone have shown it */
    queue_pace pace;
    queue_balance balance;
    double skip, unlisted, phantom; /* probabilities for each departure */
    double extra;                   /* departures that are not in the list, for whatever reason, but take a booth */
    double skip_brief, brief_n;     /* the same as skip for a passage close behind another: perhaps a double count */
    double brief_share;             /* of the passages, fading */
    int64_t head;                   /* most probable head after the last departure */
    double booths;
    double seen_up, seen_down;      /* share of the vehicles that are seen at all: below 1 while a counter is dead */
    int counted;                    /* a counter upstream was seen to work */
    double skip_all;                /* `skip` while the counter downstream works */
    int64_t departures;
    double strata[QUEUE_SAMPLES]; /* of the last forecast, see forecast.c */
    int32_t strata_n;
};

/* One departure while it is worked out: likelihoods summed over heads, by what they say. */
typedef struct {
    double t, gap;          /* its time, and the time since the departure before */
    double busy_pdf;        /* density that a booth that was waited for becomes free now */
    double free_cdf;        /* chance that a booth is free by now */
    double all_busy;        /* chance that none was at the departure before */
    double belief;          /* power of the densities of times: how far they are believed */
    double listed;          /* it is one of the passages, in order */
    double busy, odd, idle; /* of these: it waited for the booth; no booth cycle explains it; the booth waited for it */
    double wait1, wait2;    /* of these: moments of the wait */
    double unlisted, phantom, away; /* not seen upstream; no vehicle at all; from elsewhere */
    double hidden;          /* not seen upstream because nothing looked there; part of unlisted */
    double out_of_order, late; /* one that overtook, came late or moves the head back; of these: came late */
    double best;            /* the most probable passage, and its likelihood */
    int64_t best_pos;
    int named;              /* identities alone are good reason for it */
    double total;
    int64_t old_lo;
} queue_step;

static inline int64_t queue_slot(const bf_queue *q, int64_t pos)
{
    return pos & (q->capacity - 1);
}

/* Seconds since the first time that this queue heard of; BF_ERR_ARGUMENT for a time too far away. */
bf_status queue_seconds(bf_queue *q, int64_t t_ns, double *t_s);
/* Moves the support up to where the weight is, and normalises. */
void queue_settle(bf_queue *q);
/* The new weights, made in `fresh`, take the place of the old. */
void queue_turn(bf_queue *q);
/* Learns from a departure that has moved the head. */
void queue_learn(bf_queue *q, const queue_step *s, const bf_departure *found);
/* Whether hardly any vehicle is known by its identity: there are counts alone. */
int queue_counted(const bf_queue *q);
/* Share of the departures that joined between the points, by a side road; 0 where that is nothing beside miscounts. */
double queue_side_road(const bf_queue *q);
/* Of the passages: the share that takes its turn, and how many more turns are taken for each. */
void queue_turns(const bf_queue *q, double *skip, double *extra);
/* The same of a passage of which nothing was read, close behind another, where that of others is `skip`. */
double queue_skip_brief(const bf_queue *q, double skip);
/* Chance that the passage in slot `i` never departs here. */
double queue_skip(const bf_queue *q, int64_t i);
/* How many booths are told apart of `number`, and by how much each is faster than one booth. */
int queue_split(double number, double *speed);
int queue_booths_of(const bf_queue *q, double *speed);
/* `pdf`: density that a booth becomes free at t, when a vehicle has been waiting for it since the last departure;
 * `cdf`: chance that a booth is free by t; `all_busy`: chance that none was just after the last departure. */
void queue_cycle_at(const bf_queue *q, double t, double *pdf, double *cdf, double *all_busy);
/* The law of free journeys; from `queue_far` on one is over. */
duration_law queue_free_law(const bf_queue *q);
double queue_far(const duration_law *law);

#endif
