/* Sightings in the order of time: those that came go in, those that are due come out.
 *
 * Called by edge/core.py (in) and match.c (out). What a time far from the others means is decided before
 * (edge/waiting/timeline.py). A text is kept as a number of 64 bits, which is enough to tell vehicles apart, and as the row
 * of its plate. A binary heap: equal times go out as they came.
 */
#include "order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 256
#define MOST_AXLES 64

struct bf_order {
    seen *heap;
    int32_t n, room;
    int64_t number;
    int64_t done_ns; /* the latest that has gone out */
};

bf_order *bf_order_create(void)
{
    bf_order *o = calloc(1, sizeof *o);
    if (o != NULL) {
        o->room = FIRST_ROOM;
        o->done_ns = NEVER_NS;
        o->heap = calloc((size_t)o->room, sizeof *o->heap);
        if (o->heap == NULL) {
            free(o);
            return NULL;
        }
    }
    return o;
}

void bf_order_free(bf_order *o)
{
    if (o == NULL) {
        return;
    }
    for (int32_t i = 0; i < o->n; i++) {
        seen_release(&o->heap[i]);
    }
    free(o->heap);
    free(o);
}

reading *reading_hold(reading *r)
{
    if (r != NULL) {
        r->holders++;
    }
    return r;
}

void reading_release(reading *r)
{
    if (r != NULL && --r->holders == 0) {
        free(r);
    }
}

void seen_release(seen *s)
{
    while (s->more != NULL) {
        reading *next = s->more->next;
        reading_release(s->more);
        s->more = next;
    }
}

static bool before(const seen *a, const seen *b)
{
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->number < b->number;
}

static bf_status insert(bf_order *o, const seen *s)
{
    if (o->n == o->room) {
        seen *more = o->room < INT32_MAX / 2 ? realloc(o->heap, 2 * (size_t)o->room * sizeof *more) : NULL;
        if (more == NULL) {
            return BF_ERR_MEMORY;
        }
        o->heap = more;
        o->room *= 2;
    }
    int32_t i = o->n++;
    while (i > 0 && before(s, &o->heap[(i - 1) / 2])) {
        o->heap[i] = o->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    o->heap[i] = *s;
    return BF_OK;
}

const seen *order_first(const bf_order *o)
{
    return o->n > 0 ? &o->heap[0] : NULL;
}

int32_t order_count(const bf_order *o)
{
    return o->n;
}

seen order_pop(bf_order *o)
{
    seen first = o->heap[0], last = o->heap[--o->n];
    int32_t i = 0;
    for (int32_t child = 1; child < o->n; child = 2 * i + 1) {
        if (child + 1 < o->n && before(&o->heap[child + 1], &o->heap[child])) {
            child++;
        }
        if (!before(&o->heap[child], &last)) {
            break;
        }
        o->heap[i] = o->heap[child];
        i = child;
    }
    o->heap[i] = last;
    o->done_ns = first.time_ns > o->done_ns ? first.time_ns : o->done_ns;
    return first;
}

/* FNV-1a with a finish that spreads the bits. */
uint64_t number_of(const uint8_t *text, int32_t size)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (int32_t i = 0; i < size; i++) {
        h = (h ^ text[i]) * UINT64_C(0x100000001b3);
    }
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

uint64_t place_number(const uint8_t *lane, int32_t lane_size, const uint8_t *point, int32_t point_size)
{
    uint64_t a = number_of(lane, lane_size), b = number_of(point, point_size);
    return a ^ (b << 1 | b >> 63);
}

static reading *add_reading(seen *s, reading **last)
{
    reading *r = calloc(1, sizeof *r);
    if (r != NULL) {
        r->holders = 1;
        *(*last == NULL ? &s->more : &(*last)->next) = r;
        *last = r;
    }
    return r;
}

/* `data`: n positions and n loads. */
static bf_status take_axles(seen *s, const uint8_t *data, int32_t size)
{
    double numbers[2 * MOST_AXLES];
    int32_t n = size / (int32_t)(2 * sizeof(double));
    if (n > MOST_AXLES || size != n * (int32_t)(2 * sizeof(double))) {
        return BF_ERR_ARGUMENT;
    }
    reading *last = NULL, *r = add_reading(s, &last);
    if (r == NULL) {
        return BF_ERR_MEMORY;
    }
    if (n > 0) {
        memcpy(numbers, data, (size_t)size);
        bf_axle_signature(n, numbers, numbers + n, r->of.axles);
    }
    return BF_OK;
}

/* `data`: the tokens of each period. */
static bf_status take_tokens(seen *s, const uint8_t *data, int32_t size)
{
    static const char digits[] = "0123456789abcdef";
    reading *last = NULL;
    for (int32_t at = 0, used = 0; at < size; at += used) {
        token_set t;
        used = tokens_read(data + at, size - at, &t);
        if (used == 0) {
            return BF_ERR_ARGUMENT;
        }
        reading *r = add_reading(s, &last);
        if (r == NULL) {
            return BF_ERR_MEMORY;
        }
        r->of.tokens = t;
    }
    if (s->more == NULL) {
        return BF_ERR_ARGUMENT;
    }
    uint8_t text[16]; /* another computer may say as a tag what is the plate's first token here */
    for (int i = 0; i < 8; i++) {
        text[2 * i] = (uint8_t)digits[s->more->of.tokens.packed[i] >> 4];
        text[2 * i + 1] = (uint8_t)digits[s->more->of.tokens.packed[i] & 15];
    }
    s->identity = number_of(text, 16);
    return BF_OK;
}

/* Row of a plate in UTF-8: a character that is not ASCII is one that cannot be read. */
static void take_plate(seen *s, const uint8_t *data, int32_t size)
{
    char text[256];
    int32_t n = 0;
    for (int32_t i = 0; i < size && n < (int32_t)sizeof text; i++) {
        if (data[i] < 0x80) {
            text[n++] = (char)data[i];
        } else if (data[i] >= 0xc0) {
            text[n++] = '?';
        }
    }
    bf_plate_encode(text, n, s->plate);
}

bf_status bf_order_put(bf_order *o, int64_t time_ns, int32_t place, int32_t kind, const uint8_t *data, int32_t size,
                       int64_t *number, int32_t *late)
{
    if (o == NULL || size < 0 || (size > 0 && data == NULL) || number == NULL || late == NULL || place < 0 || kind < BF_SEEN_LOOP ||
        kind > BF_SEEN_BOOTH || time_ns <= NEVER_NS || time_ns >= -NEVER_NS) {
        return BF_ERR_ARGUMENT;
    }
    seen s = {.time_ns = time_ns, .number = o->number, .place = place, .kind = (uint8_t)kind};
    bf_status status = BF_OK;
    if (kind == BF_SEEN_AXLES) {
        status = take_axles(&s, data, size);
    } else if (kind == BF_SEEN_TOKENS) {
        status = take_tokens(&s, data, size);
    } else {
        s.identity = size > 0 ? number_of(data, size) : 0;
        if (kind == BF_SEEN_PLATE) {
            take_plate(&s, data, size);
        }
    }
    if (status == BF_OK) {
        status = insert(o, &s);
    }
    if (status != BF_OK) {
        seen_release(&s);
        return status;
    }
    *number = o->number++;
    *late = time_ns < o->done_ns;
    return BF_OK;
}
