/* What the filter of a queue knows, and what its files share.
 *
 * queue.c keeps the list of passages, depart.c moves the head of the queue at each departure, learn.c learns from it,
 * queue_times.c says how likely times are, forecast.c runs the queue on.
 */
#ifndef BF_QUEUE_H
#define BF_QUEUE_H

#include "borderflow_core.h"
#include "duration.h"

#define QUEUE_GAPS 512       /* booth cycles kept for sampling */
#define QUEUE_LONGS 64       /* and of those that are out of all proportion */
#define QUEUE_DECK 256      /* cycles that a forecast draws from; a power of two */
#define QUEUE_SAMPLES 1024
#define QUEUE_PROGRAMS 8
#define QUEUE_MAX_BOOTHS 16  /* booths of one lane that are told apart; more count as so many fast ones */
#define PACE_MEMORIES 5      /* means of cycles that fade at different speeds */
#define PACE_HORIZONS 4      /* and how well each foretells the mean of so many cycles that follow, see pace.c */
#define PACE_RECENT 8        /* cycles by which a change of pace is known */
#define PACE_KEPT 512        /* more than the longest of these; a power of two */
#define QUEUE_MASKS 64       /* tag, plate, axles: which of them were read upstream, and whose reader was dead */
#define QUEUE_READ 7         /* the bits of what was read */

/* How soon vehicles are served by booths that are never idle. A cycle is the time from one departure to the next, times
 * the booths that are open; only pace.c looks into it. */
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
    queue_pace pace;
    queue_balance balance;
    double skip, unlisted, phantom; /* probabilities for each departure */
    double extra;                   /* departures that are not in the list, for whatever reason, but take a booth */
    double skip_brief, brief_n;     /* the same as skip for a passage close behind another: perhaps a double count */
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
    double head_before;     /* mean head before it, from `first` */
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
/* Mean head, counted from `first`. */
double queue_mean_head(const bf_queue *q);
/* Learns from a departure that has moved the head. */
void queue_learn(bf_queue *q, const queue_step *s, const bf_departure *found);
/* Share of the departures that joined between the points, by a side road; 0 where that is nothing beside miscounts. */
double queue_side_road(const bf_queue *q);
/* Of the passages: the share that takes its turn, and how many more turns are taken for each. */
void queue_turns(const bf_queue *q, double *skip, double *extra);
/* Chance that the passage in slot `i` never departs here. */
double queue_skip(const bf_queue *q, int64_t i);
/* How many booths are told apart of `number`, and by how much each is faster than one booth. */
int queue_split(double number, double *speed);
int queue_booths_of(const bf_queue *q, double *speed);
/* `pdf`: density that a booth becomes free at t, when a vehicle has been waiting for it since the last departure;
 * `cdf`: chance that a booth is free by t. */
void queue_cycle_at(const bf_queue *q, double t, double *pdf, double *cdf);
/* A number in [0, 1): the same everywhere; quantile of the standard normal distribution to three digits. */
double queue_uniform(uint64_t *seed);
double queue_normal_quantile(double u);
/* The law of free journeys; from `queue_far` on one is over. */
duration_law queue_free_law(const bf_queue *q);
double queue_far(const duration_law *law);

#endif
