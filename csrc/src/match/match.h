/* What the files of the chain order -> match share: a vehicle as it was read, and the stretch between two points.
 *
 * order.c puts sightings into the order of time, passages.c makes vehicles of them at a point of a lane, readers.c knows
 * which readers work, evidence.c says which vehicle upstream one downstream may be (plates.c, axles.c, tokens.c), segment.c
 * asks the queues (csrc/src/queue) and decides, match.c leads from one to the next.
 */
#ifndef BF_MATCH_H
#define BF_MATCH_H

#include "borderflow_core.h"

#include <stdbool.h>
#include <stdint.h>

#define TOGETHER_NS INT64_C(3000000000) /* sightings of one vehicle lie closer than this */
#define NEVER_NS (-(INT64_C(1) << 62))
#define MOST_TAGS 8     /* of one vehicle; more are left aside */
#define MOST_PLATES 4   /* tractor and trailer, front and rear */
#define MOST_TOKENS 8
#define MOST_BEGINS 2   /* ways that begin at one point: to the next one, and to the booth */
#define KINDS 3         /* of identities: tag, plate, axles; bit 1 << kind is set where it was read */
#define TAG 1
#define PLATE 2
#define AXLES 4
#define DEAD_SHIFT 3    /* and, by so many bits higher, where its reader was dead */
#define STATES 64
#define ENTRIES 1024    /* passages of a lane that are kept; a power of two, and the capacity of its queue */
#define RECENT 16       /* passages at a point that a sighting may belong to */
#define POOL 4096       /* readings of plates and axles that are kept between two points */

/* ---- order.c: what was seen --------------------------------------------------------------------------------- */

/* The tokens of one plate in one period, as edge/exchange/tokens.py packs them. */
typedef struct {
    int64_t period;
    int32_t length, cut;
    uint8_t packed[8 * (2 + 2 * BF_TOKEN_CHARACTERS)];
} token_set;

/* What is too large for a record: an axle signature or tokens, freed with its last holder. */
typedef struct reading {
    int32_t holders;
    struct reading *next; /* of the same sighting */
    union {
        float axles[BF_AXLE_FEATURES];
        token_set tokens;
    } of;
} reading;

typedef struct {
    int64_t time_ns, number;
    uint64_t identity;  /* of the text that was read */
    reading *more;
    int32_t place;
    uint8_t kind;       /* bf_kind */
    uint8_t plate[BF_PLATE_ROW];
} seen;

reading *reading_hold(reading *r);
void reading_release(reading *r);
/* The first in the order of time, NULL when there is none. */
const seen *order_first(const bf_order *o);
int32_t order_count(const bf_order *o);
/* Takes the first out; its readings are the caller's to release. */
seen order_pop(bf_order *o);
void seen_release(seen *s);

/* 64 bits of a text, and of the names of a place. */
uint64_t number_of(const uint8_t *text, int32_t size);
uint64_t place_number(const uint8_t *lane, int32_t lane_size, const uint8_t *point, int32_t point_size);

/* ---- lines.c: plain lines of a file ------------------------------------------------------------------------------ */

typedef struct {
    int64_t time_ns;
    uint64_t where;     /* place_number */
    const uint8_t *id;
    int32_t id_size, kind;
} plain_line;

/* How many bytes the first line takes with its end; 0 where it is not a plain one. */
int32_t line_read(const uint8_t *data, int32_t size, plain_line *line);

/* ---- passages.c: vehicles at a point ------------------------------------------------------------------------- */

/* All that was read of one vehicle at one point. */
typedef struct {
    int64_t time_ns;
    uint64_t tags[MOST_TAGS];
    uint8_t plates[MOST_PLATES][BF_PLATE_ROW];
    reading *axles;
    reading *tokens[MOST_TOKENS];
    uint8_t n_tags, n_plates, n_tokens;
    uint8_t mask;
    bool looped;
} vehicle;

typedef struct {
    vehicle of;
    int64_t pos[MOST_BEGINS]; /* in the queues of the ways that begin here */
    int32_t place;
    int32_t holders, next_free;
} passage;

typedef struct {
    passage *all;
    int32_t n, room, first_free;
} passages;

typedef struct known_identities known_identities;

typedef struct {
    known_identities *known;
    int32_t recent[RECENT]; /* newest at (n_recent - 1) % RECENT */
    int64_t n_recent;
} point_of_lane;

void vehicle_copy(vehicle *to, const vehicle *from);
void vehicle_release(vehicle *v);
void passage_release(passages *all, int32_t index);
bf_status point_init(point_of_lane *p);
void point_free(point_of_lane *p);
/* The passage that this belongs to, -1 for a repetition or where memory ends; *is_new: nothing was read of it before. */
int32_t point_take(point_of_lane *p, passages *all, const seen *s, bool *is_new, int64_t *counters);

/* ---- readers.c: what works, and what it says that something was not read --------------------------------------- */

typedef struct {
    bf_alive readers[KINDS], loop;
    uint8_t dead;        /* bits of the readers that do not work, as far as is known */
    double read_share;   /* of the vehicles that the loop counts, those of which an identity is read */
    double n;
    int64_t complete;    /* upstream: passages before this one are complete */
    bool gap;            /* nothing was seen here while vehicles came: so it is not known who is before the next one */
} lane_end;

void end_init(lane_end *e);
/* A complete passage. True where the loop has changed; `died`: by kind, how many passages a reader that was found dead
 * has missed, else 0. */
bool end_note(lane_end *e, uint8_t mask, bool looped, int64_t died[KINDS]);
/* Share of the vehicles that make a passage here. */
double end_seen(const lane_end *e);

/* ---- evidence.c ---------------------------------------------------------------------------------------------- */

/* A passage upstream that has not been found downstream. */
typedef struct {
    vehicle of;
    int64_t pos;
    int32_t lane;
    int32_t older, newer;  /* by the time they came in */
    int32_t slots[MOST_PLATES + 1];
    int32_t n_slots;
    int32_t gain_at;       /* while one passage is compared */
    uint64_t gain_of;
    uint8_t n_pooled;      /* plates that are in the pool */
    uint8_t dead;          /* bits of what no reader looked for: it was dead */
} entry;

typedef struct {
    int32_t entry;
    double value;
} gain;

typedef struct {
    bf_plates *plates;
    entry *entries;
    int32_t capacity, touched, first_free; /* linked by `newer` */
    /* readings, in arrays that are walked through */
    uint8_t (*pool_plates)[BF_PLATE_ROW];
    float (*pool_axles)[BF_AXLE_FEATURES];
    int32_t *pool_lane, *pool_entry, *pool_free;
    int32_t pool_used, n_pool_free;
    struct tag_index *tags;
    int32_t *with_tokens;
    int32_t n_with_tokens;
    bf_reads reads[KINDS];
    bf_axle_model axles;
    /* while one passage is compared */
    gain *gains, *best;
    int32_t n_gains;
    uint64_t compared;
    float *ratios;
    int32_t *found;
    int64_t *counters;
} evidence;

bf_status evidence_init(evidence *e, int32_t lanes, bf_plates *plates, int64_t *counters);
void evidence_free(evidence *e);
int32_t evidence_begin(evidence *e);              /* a new entry, -1 where there is no room */
void evidence_add(evidence *e, int32_t index);    /* what was read of it until now can be found */
void evidence_forget(evidence *e, int32_t index); /* it was found, or will not come any more */
/* By what was read upstream: what it says that downstream this was read, and that not. */
void evidence_default(const evidence *e, int32_t downstream, double by_state[STATES]);
/* What identities say of passages upstream beyond the default stands in `gains`. */
void evidence_compare(evidence *e, const vehicle *v, int32_t lane);
void evidence_note(evidence *e, const vehicle *v);
/* Two passages that are surely of one vehicle; `dead` are the readers downstream that do not work. */
void evidence_learn(evidence *e, const entry *up, const vehicle *down, uint8_t dead);
static inline int32_t entry_state(const entry *e)
{
    return e->of.mask | e->dead << DEAD_SHIFT;
}

/* tokens.c: the first set of tokens in `data`: how many bytes it takes, 0 where there is none. */
int32_t tokens_read(const uint8_t *data, int32_t size, token_set *t);
/* Ln likelihood ratio of two sets of tokens; false where they do not agree. */
bool tokens_compare(const token_set *row, const token_set *query, double *score);

/* ---- segment.c: the stretch between two points ------------------------------------------------------------------ */

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
