/* What identities say of two passages: whether the vehicle downstream is one of those that passed upstream.
 *
 * In: passages upstream with all that was read of them; for a passage downstream out come likelihood ratios, by the
 * passage upstream. Tags are compared exactly, plates by the readers' confusions (plates.c), axle signatures against what
 * this traffic looks like (axles.c), tokens with those of other computers (tokens.c); that something was *not* read is
 * evidence too (readers.c). Called by segment.c. Memory is bounded: `POOL` readings of plates and axles.
 */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

#define FOUND 256 /* more readings than this are never like one another, unless a reader is stuck */

static const double TAG_LLR = 14.0, MOST_LLR = 20.0;
static const float LEAST_PLATE_LLR = -2.0f; /* plates that are less like one another are others */
static const float ELSEWHERE_LLR = 2.0f;    /* signatures in other lanes that are less like one another say nothing */
static const double MISMATCH[KINDS] = {-6.0, -5.0, -6.0}; /* of two readings that differ: tags, plates, axles */

/* ---- tags: which entries have one --------------------------------------------------------------------------- */

#define NONE (-1)

/* Chained by the tag; entries with one tag stand in the order in which they came. */
typedef struct {
    uint64_t tag;
    int32_t entry, next;
} tag_node;

struct tag_index {
    int32_t *bucket;
    tag_node *nodes;
    int32_t buckets, room, used, first_free;
};

static struct tag_index *tags_create(int32_t room)
{
    struct tag_index *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    t->room = room;
    t->buckets = 1;
    while (t->buckets < room) {
        t->buckets *= 2;
    }
    t->bucket = malloc((size_t)t->buckets * sizeof *t->bucket);
    t->nodes = calloc((size_t)room, sizeof *t->nodes);
    t->first_free = NONE;
    for (int32_t i = 0; t->bucket != NULL && i < t->buckets; i++) {
        t->bucket[i] = NONE;
    }
    return t;
}

static void tags_free(struct tag_index *t)
{
    if (t != NULL) {
        free(t->bucket);
        free(t->nodes);
        free(t);
    }
}

static int32_t *tag_bucket(struct tag_index *t, uint64_t tag)
{
    return &t->bucket[tag & (uint64_t)(t->buckets - 1)];
}

/* False when there is no room. */
static bool tag_add(struct tag_index *t, uint64_t tag, int32_t of)
{
    int32_t *at = tag_bucket(t, tag);
    for (; *at != NONE; at = &t->nodes[*at].next) {
        if (t->nodes[*at].tag == tag && t->nodes[*at].entry == of) {
            return true;
        }
    }
    int32_t node = t->first_free;
    if (node != NONE) {
        t->first_free = t->nodes[node].next;
    } else if (t->used < t->room) {
        node = t->used++;
    } else {
        return false;
    }
    t->nodes[node] = (tag_node){tag, of, NONE};
    *at = node;
    return true;
}

static void tag_remove(struct tag_index *t, uint64_t tag, int32_t of)
{
    for (int32_t *at = tag_bucket(t, tag); *at != NONE; at = &t->nodes[*at].next) {
        int32_t node = *at;
        if (t->nodes[node].tag == tag && t->nodes[node].entry == of) {
            *at = t->nodes[node].next;
            t->nodes[node].next = t->first_free;
            t->first_free = node;
            return;
        }
    }
}

/* ---- upstream ------------------------------------------------------------------------------------------------- */

bf_status evidence_init(evidence *e, int32_t lanes, bf_plates *plates, int64_t *counters)
{
    memset(e, 0, sizeof *e);
    e->plates = plates;
    e->counters = counters;
    e->capacity = lanes * ENTRIES;
    size_t n = (size_t)e->capacity;
    e->entries = calloc(n, sizeof *e->entries);
    e->pool_plates = calloc(POOL, sizeof *e->pool_plates);
    e->pool_axles = calloc(POOL, sizeof *e->pool_axles);
    e->pool_lane = calloc(POOL, sizeof *e->pool_lane);
    e->pool_entry = calloc(POOL, sizeof *e->pool_entry);
    e->pool_free = calloc(POOL, sizeof *e->pool_free);
    e->ratios = calloc(POOL, sizeof *e->ratios);
    e->found = calloc(POOL, sizeof *e->found);
    e->with_tokens = calloc(n, sizeof *e->with_tokens);
    e->gains = calloc(n, sizeof *e->gains);
    e->best = calloc(n, sizeof *e->best);
    e->tags = tags_create(2 * e->capacity);
    for (int kind = 0; kind < KINDS; kind++) {
        bf_reads_init(&e->reads[kind], MISMATCH[kind]);
    }
    bf_axle_model_init(&e->axles);
    e->first_free = 0;
    if (e->entries == NULL || e->pool_plates == NULL || e->pool_axles == NULL || e->pool_lane == NULL ||
        e->pool_entry == NULL || e->pool_free == NULL || e->ratios == NULL || e->found == NULL ||
        e->with_tokens == NULL || e->gains == NULL || e->best == NULL || e->tags == NULL || e->tags->bucket == NULL ||
        e->tags->nodes == NULL) {
        return BF_ERR_MEMORY;
    }
    return BF_OK;
}

void evidence_free(evidence *e)
{
    for (int32_t i = 0; e->entries != NULL && i < e->touched; i++) {
        vehicle_release(&e->entries[i].of);
    }
    free(e->entries);
    free(e->pool_plates);
    free(e->pool_axles);
    free(e->pool_lane);
    free(e->pool_entry);
    free(e->pool_free);
    free(e->ratios);
    free(e->found);
    free(e->with_tokens);
    free(e->gains);
    free(e->best);
    tags_free(e->tags);
}

/* Free entries are linked by `newer`, as 1 + index: so that all are free at first without being touched. */
int32_t evidence_begin(evidence *e)
{
    int32_t i = e->first_free;
    if (i >= e->capacity) {
        return -1;
    }
    entry *made = &e->entries[i];
    e->first_free = made->newer != 0 ? made->newer - 1 : i + 1;
    e->touched = i < e->touched ? e->touched : i + 1;
    memset(made, 0, sizeof *made);
    return i;
}

static void pool_reading(evidence *e, int32_t index, const uint8_t *plate, const float *axles)
{
    int32_t slot = 0;
    if (e->n_pool_free > 0) {
        slot = e->pool_free[--e->n_pool_free];
    } else if (e->pool_used < POOL) {
        slot = e->pool_used++;
    } else {
        e->counters[BF_COUNT_POOL_FULL]++;
        return;
    }
    if (plate != NULL) {
        memcpy(e->pool_plates[slot], plate, BF_PLATE_ROW);
    }
    if (axles != NULL) {
        memcpy(e->pool_axles[slot], axles, sizeof e->pool_axles[slot]);
    }
    e->pool_lane[slot] = e->entries[index].lane;
    e->pool_entry[slot] = index;
    e->entries[index].slots[e->entries[index].n_slots++] = slot;
}

void evidence_add(evidence *e, int32_t index)
{
    entry *of = &e->entries[index];
    for (int i = 0; i < of->of.n_tags; i++) {
        if (!tag_add(e->tags, of->of.tags[i], index)) {
            e->counters[BF_COUNT_POOL_FULL]++;
        }
    }
    while (of->n_pooled < of->of.n_plates) {
        pool_reading(e, index, of->of.plates[of->n_pooled++], NULL);
    }
    if (of->of.axles != NULL) {
        if (of->n_slots > 0) {
            memcpy(e->pool_axles[of->slots[0]], of->of.axles->of.axles, sizeof e->pool_axles[0]);
        } else {
            pool_reading(e, index, NULL, of->of.axles->of.axles);
        }
    }
    if (of->of.n_tokens > 0) {
        for (int32_t i = 0; i < e->n_with_tokens; i++) {
            if (e->with_tokens[i] == index) {
                return;
            }
        }
        e->with_tokens[e->n_with_tokens++] = index;
    }
}

void evidence_forget(evidence *e, int32_t index)
{
    entry *of = &e->entries[index];
    for (int32_t i = 0; i < of->n_slots; i++) {
        int32_t slot = of->slots[i];
        memset(e->pool_plates[slot], 0, sizeof e->pool_plates[slot]);
        memset(e->pool_axles[slot], 0, sizeof e->pool_axles[slot]);
        e->pool_lane[slot] = NONE;
        e->pool_entry[slot] = NONE;
        e->pool_free[e->n_pool_free++] = slot;
    }
    for (int i = 0; i < of->of.n_tags; i++) {
        tag_remove(e->tags, of->of.tags[i], index);
    }
    for (int32_t i = 0; of->of.n_tokens > 0 && i < e->n_with_tokens; i++) {
        if (e->with_tokens[i] == index) {
            e->with_tokens[i] = e->with_tokens[--e->n_with_tokens];
            break;
        }
    }
    vehicle_release(&of->of);
    of->newer = e->first_free + 1;
    e->first_free = index;
}

/* ---- downstream ----------------------------------------------------------------------------------------------- */

void evidence_default(const evidence *e, int32_t downstream, double by_state[STATES])
{
    double told[KINDS][3]; /* where upstream it was read, a reader that works did not read it, or no reader looked */
    for (int kind = 0; kind < KINDS; kind++) {
        int read = downstream >> kind & 1;
        bool unknown = !read && (downstream >> (kind + DEAD_SHIFT) & 1);
        told[kind][0] = unknown ? 0.0 : e->reads[kind].evidence[2 + read];
        told[kind][1] = unknown ? 0.0 : e->reads[kind].evidence[read];
        told[kind][2] = 0.0;
    }
    for (int state = 0; state < STATES; state++) {
        double sum = 0.0;
        for (int kind = 0; kind < KINDS; kind++) {
            int which = state >> kind & 1 ? 0 : (state >> (kind + DEAD_SHIFT) & 1 ? 2 : 1);
            sum += told[kind][which];
        }
        by_state[state] = sum;
    }
}

/* The gain of an entry, 0 when nothing was said of it before. */
static double *gain_of(evidence *e, int32_t index)
{
    entry *of = &e->entries[index];
    if (of->gain_of != e->compared) {
        of->gain_of = e->compared;
        of->gain_at = e->n_gains;
        e->gains[e->n_gains++] = (gain){index, 0.0};
    }
    return &e->gains[of->gain_at].value;
}

static void compare_tags(evidence *e, const vehicle *v)
{
    for (int i = 0; i < v->n_tags; i++) {
        for (int32_t at = *tag_bucket(e->tags, v->tags[i]); at != NONE; at = e->tags->nodes[at].next) {
            if (e->tags->nodes[at].tag == v->tags[i]) {
                *gain_of(e, e->tags->nodes[at].entry) = TAG_LLR - MISMATCH[0];
            }
        }
    }
}

static void compare_plates(evidence *e, const vehicle *v)
{
    int32_t n = 0;
    for (int p = 0; p < v->n_plates; p++) {
        int32_t found = 0;
        if (bf_plates_find(e->plates, v->plates[p], e->pool_plates[0], e->pool_used, LEAST_PLATE_LLR, FOUND, e->found,
                           e->ratios, &found) != BF_OK) {
            continue;
        }
        for (int32_t i = 0; i < found; i++) {
            int32_t index = e->pool_entry[e->found[i]], at = 0;
            if (index == NONE || (double)e->ratios[i] <= MISMATCH[1]) {
                continue;
            }
            while (at < n && e->best[at].entry != index) {
                at++;
            }
            if (at == n) {
                e->best[n++] = (gain){index, (double)e->ratios[i]};
            } else if ((double)e->ratios[i] > e->best[at].value) {
                e->best[at].value = (double)e->ratios[i];
            }
        }
    }
    for (int32_t i = 0; i < n; i++) {
        double *sum = gain_of(e, e->best[i].entry);
        *sum = *sum + (e->best[i].value < MOST_LLR ? e->best[i].value : MOST_LLR) - MISMATCH[1];
    }
}

static void compare_axles(evidence *e, const float *axles, int32_t lane)
{
    if (bf_axle_model_compare(&e->axles, axles, e->pool_axles[0], e->pool_used, e->ratios) != BF_OK) {
        return;
    }
    for (int32_t slot = 0; slot < e->pool_used; slot++) {
        float ratio = e->ratios[slot];
        if (ratio > -1e8f && (e->pool_lane[slot] == lane || ratio > ELSEWHERE_LLR) && e->pool_entry[slot] != NONE) {
            double *sum = gain_of(e, e->pool_entry[slot]);
            *sum = *sum + (double)ratio - MISMATCH[2];
        }
    }
}

static void compare_tokens(evidence *e, const vehicle *v)
{
    for (int32_t i = 0; i < e->n_with_tokens; i++) {
        const vehicle *up = &e->entries[e->with_tokens[i]].of;
        double best = MISMATCH[1], score = 0.0;
        for (int q = 0; q < v->n_tokens; q++) {
            for (int r = 0; r < up->n_tokens; r++) {
                if (tokens_compare(&up->tokens[r]->of.tokens, &v->tokens[q]->of.tokens, &score) && score > best) {
                    best = score;
                }
            }
        }
        if (best > MISMATCH[1] && !(v->n_plates > 0 && up->n_plates > 0)) {
            double *sum = gain_of(e, e->with_tokens[i]);
            *sum = *sum + (best < MOST_LLR ? best : MOST_LLR) - MISMATCH[1];
        }
    }
}

void evidence_compare(evidence *e, const vehicle *v, int32_t lane)
{
    e->compared++;
    e->n_gains = 0;
    compare_tags(e, v);
    if (v->n_plates > 0 && e->pool_used > 0) {
        compare_plates(e, v);
    }
    if (v->axles != NULL && v->axles->of.axles[0] > 0.0f && e->pool_used > 0) {
        compare_axles(e, v->axles->of.axles, lane);
    }
    compare_tokens(e, v);
}

/* ---- learning ------------------------------------------------------------------------------------------------- */

void evidence_note(evidence *e, const vehicle *v)
{
    if (v->axles != NULL) {
        bf_axle_model_note(&e->axles, v->axles->of.axles);
    }
}

void evidence_learn(evidence *e, const entry *up, const vehicle *down, uint8_t dead)
{
    uint8_t both = up->of.mask & down->mask, either = up->of.mask | down->mask;
    dead |= up->dead;
    for (int kind = 0; kind < KINDS; kind++) {
        uint8_t bit = (uint8_t)(1 << kind);
        if (((either & bit) || kind == 0) && !(dead & bit & ~both)) {
            bf_reads_learn(&e->reads[kind], up->of.mask & bit, down->mask & bit);
        }
    }
    if (up->of.n_plates == 1 && down->n_plates == 1) {
        bf_plates_learn(e->plates, up->of.plates[0], down->plates[0]);
    }
    if (up->of.axles != NULL && down->axles != NULL) {
        bf_axle_model_learn(&e->axles, up->of.axles->of.axles, down->axles->of.axles);
    }
}
