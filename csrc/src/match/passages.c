/* Passages: what loops, readers and WIM arrays say at one point of one lane, put together to vehicles.
 *
 * Sightings come in the order of time; a vehicle is what lies close together. Repeated reads of one identity (a vehicle
 * that stands before the reader, a reader that is stuck, a copied sticker) are one passage, and counted. Called by match.c.
 */
#include "passages.h"

#include <stdlib.h>
#include <string.h>

#define TWICE_NS INT64_C(400000000)    /* two counts of one loop closer than this are one vehicle */
#define FAR_NS INT64_C(30000000000)    /* no passage before this is looked at */
#define AGAIN_NS INT64_C(600000000000) /* the same identity at the same point within this time is the same passage */
#define MINUTE_NS INT64_C(60000000000)
#define STUCK_READS 20 /* so many reads of one identity within a minute: reader stuck or sticker copied */
#define KEPT 1024      /* identities */
#define BUCKETS 1024   /* a power of two */
#define NONE (-1)

typedef struct {
    uint64_t identity;
    int64_t last_ns, began_ns; /* of the minute in which `reads` are counted */
    int32_t reads;
    int16_t older, newer, chain;
} known;

/* Identities that were read lately, in the order of their last reading. */
struct known_identities {
    known all[KEPT + 1];
    int16_t bucket[BUCKETS];
    int16_t oldest, newest, first_free;
    int32_t n;
};

bf_status point_init(point_of_lane *p)
{
    memset(p, 0, sizeof *p);
    known_identities *k = p->known = calloc(1, sizeof *k);
    if (k == NULL) {
        return BF_ERR_MEMORY;
    }
    for (int i = 0; i < BUCKETS; i++) {
        k->bucket[i] = NONE;
    }
    k->oldest = k->newest = NONE;
    k->first_free = NONE; /* those never used come after */
    return BF_OK;
}

void point_free(point_of_lane *p)
{
    free(p->known);
}

static int16_t *bucket_of(known_identities *k, uint64_t identity)
{
    return &k->bucket[identity & (BUCKETS - 1)];
}

/* Takes `i` out of its bucket and out of the order, and keeps what it holds. */
static void take_out(known_identities *k, int16_t i)
{
    known *one = &k->all[i];
    int16_t *at = bucket_of(k, one->identity);
    while (*at != i) {
        at = &k->all[*at].chain;
    }
    *at = one->chain;
    *(one->older == NONE ? &k->oldest : &k->all[one->older].newer) = one->newer;
    *(one->newer == NONE ? &k->newest : &k->all[one->newer].older) = one->older;
    k->n--;
}

static void put_in(known_identities *k, int16_t i)
{
    known *one = &k->all[i];
    int16_t *at = bucket_of(k, one->identity);
    one->chain = *at;
    *at = i;
    one->older = k->newest;
    one->newer = NONE;
    *(k->newest == NONE ? &k->oldest : &k->all[k->newest].newer) = i;
    k->newest = i;
    k->n++;
}

/* Whether this identity was read here a moment ago. */
static bool repeated(known_identities *k, uint64_t identity, int64_t time_ns, int64_t *counters)
{
    int16_t i = *bucket_of(k, identity);
    while (i != NONE && k->all[i].identity != identity) {
        i = k->all[i].chain;
    }
    int64_t last_ns = NEVER_NS;
    if (i != NONE) {
        take_out(k, i);
        last_ns = k->all[i].last_ns;
    } else {
        i = k->first_free;
        if (i == NONE) {
            i = (int16_t)k->n; /* nothing was ever given back, so those below are all in use */
        } else {
            k->first_free = k->all[i].chain;
        }
        k->all[i] = (known){.identity = identity, .last_ns = NEVER_NS, .began_ns = NEVER_NS};
    }
    known *one = &k->all[i];
    if (time_ns - one->began_ns > MINUTE_NS) {
        one->began_ns = time_ns;
        one->reads = 0;
    }
    one->reads++;
    one->last_ns = time_ns > last_ns ? time_ns : last_ns;
    put_in(k, i);
    bool stuck = one->reads == STUCK_READS;
    /* An identity is not kept for longer than it serves. */
    while (k->n > KEPT || k->all[k->oldest].last_ns < time_ns - AGAIN_NS) {
        int16_t oldest = k->oldest;
        take_out(k, oldest);
        k->all[oldest].chain = k->first_free;
        k->first_free = oldest;
    }
    counters[BF_COUNT_STUCK_READER] += stuck;
    if (time_ns - last_ns < AGAIN_NS) {
        counters[BF_COUNT_REPEATED_READ]++;
        return true;
    }
    return false;
}

void vehicle_release(vehicle *v)
{
    reading_release(v->axles);
    for (int i = 0; i < v->n_tokens; i++) {
        reading_release(v->tokens[i]);
    }
    v->axles = NULL;
    v->n_tokens = 0;
}

void vehicle_copy(vehicle *to, const vehicle *from)
{
    vehicle before = *to;
    *to = *from;
    reading_hold(to->axles);
    for (int i = 0; i < to->n_tokens; i++) {
        reading_hold(to->tokens[i]);
    }
    vehicle_release(&before);
}

/* A passage without a holder, -1 where memory ends. */
static int32_t passage_make(passages *all)
{
    if (all->first_free < 0 || all->n == 0) {
        if (all->n == all->room) {
            int32_t room = all->room > 0 ? 2 * all->room : 64;
            passage *more = all->room < INT32_MAX / 2 ? realloc(all->all, (size_t)room * sizeof *more) : NULL;
            if (more == NULL) {
                return -1;
            }
            all->all = more;
            all->room = room;
        }
        all->all[all->n].next_free = -1;
        all->first_free = all->n++;
    }
    int32_t i = all->first_free;
    all->first_free = all->all[i].next_free;
    memset(&all->all[i], 0, sizeof all->all[i]);
    for (int k = 0; k < MOST_BEGINS; k++) {
        all->all[i].pos[k] = -1; /* in no queue yet: one that refuses it must not be told more of its first one */
    }
    return i;
}

void passage_release(passages *all, int32_t index)
{
    passage *p = &all->all[index];
    if (--p->holders == 0) {
        vehicle_release(&p->of);
        p->next_free = all->first_free;
        all->first_free = index;
    }
}

static bool has(const vehicle *v, uint8_t kind)
{
    switch (kind) {
    case BF_SEEN_LOOP:
        return v->looped;
    case BF_SEEN_TAG:
        return v->n_tags > 0;
    case BF_SEEN_PLATE:
        return v->n_plates > 0;
    case BF_SEEN_TOKENS:
        return v->n_tokens > 0;
    default:
        return v->axles != NULL;
    }
}

/* The nearest passage that lacks this kind of sighting, or had it a moment ago. */
static int32_t nearest(const point_of_lane *p, const passages *all, const seen *s)
{
    int32_t best = -1;
    int64_t best_ns = BF_TOGETHER_NS;
    for (int64_t k = p->n_recent - 1; k >= 0 && k >= p->n_recent - RECENT; k--) {
        int32_t i = p->recent[k % RECENT];
        int64_t distance = s->time_ns - all->all[i].of.time_ns;
        if (distance > FAR_NS) {
            break;
        }
        if (-best_ns < distance && distance < best_ns &&
            ((-TWICE_NS < distance && distance < TWICE_NS) || !has(&all->all[i].of, s->kind))) {
            best = i;
            best_ns = distance < 0 ? -distance : distance;
        }
    }
    return best;
}

int32_t point_take(point_of_lane *p, passages *all, const seen *s, bool *is_new, int64_t *counters)
{
    *is_new = false;
    bool identity = s->kind == BF_SEEN_TAG || s->kind == BF_SEEN_PLATE || s->kind == BF_SEEN_TOKENS;
    if (identity && repeated(p->known, s->identity, s->time_ns, counters)) {
        return -1;
    }
    int32_t index = nearest(p, all, s);
    if (index < 0) {
        index = passage_make(all);
        if (index < 0) {
            return -1;
        }
        *is_new = true;
        passage *made = &all->all[index];
        made->of.time_ns = s->time_ns;
        made->place = s->place;
        made->holders = 1;
        int32_t *slot = &p->recent[p->n_recent % RECENT];
        if (p->n_recent++ >= RECENT) {
            passage_release(all, *slot);
        }
        *slot = index;
    }
    vehicle *v = &all->all[index].of;
    switch (s->kind) {
    case BF_SEEN_LOOP:
        if (v->looped) {
            counters[BF_COUNT_DOUBLE_COUNT]++;
            return -1;
        }
        v->looped = true;
        break;
    case BF_SEEN_TAG:
        if (v->n_tags < MOST_TAGS) {
            v->tags[v->n_tags++] = s->identity;
        }
        v->mask |= TAG;
        break;
    case BF_SEEN_PLATE:
        if (v->n_plates < MOST_PLATES) {
            memcpy(v->plates[v->n_plates++], s->plate, BF_PLATE_ROW);
        }
        v->mask |= PLATE;
        break;
    case BF_SEEN_TOKENS:
        for (reading *r = s->more; r != NULL && v->n_tokens < MOST_TOKENS; r = r->next) {
            v->tokens[v->n_tokens++] = reading_hold(r);
        }
        v->mask |= PLATE;
        break;
    default:
        reading_release(v->axles);
        v->axles = reading_hold(s->more);
        v->mask |= AXLES;
    }
    return index;
}
