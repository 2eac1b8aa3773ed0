/* Which vehicle upstream one downstream may be, by all that was read of both. */
#ifndef BF_EVIDENCE_H
#define BF_EVIDENCE_H

#include "passages.h"

#define DEAD_SHIFT 3    /* and, by so many bits higher, where its reader was dead */
#define STATES 64
#define ENTRIES 1024    /* passages of a lane that are kept; a power of two, and the capacity of its queue */
#define POOL 4096       /* readings of plates and axles that are kept between two points */

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

#endif
