/* libFuzzer target of the chain from sightings to matches: the first bytes make a crossing (lanes, points, ways, queues), the
 * rest what is seen there and what the caller does meanwhile, as edge/core.py does. `make fuzz` builds and runs it. */
#include "borderflow_core.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_WAYS = 4, MOST_LANES = 4, EVENTS = 16, LOOKS = 64, TEXT = 256 };
#define SECOND_NS INT64_C(1000000000)

typedef struct {
    const uint8_t *at, *end;
} bytes;

typedef struct {
    int32_t lanes, points, ways;
    bf_match *match;
    bf_order *order;
    bf_plates *plates;
    bf_queue *queues[MOST_WAYS][MOST_LANES];
    int64_t now_ns;
    bf_pace pace;
    bf_event events[EVENTS];
} crossing;

static uint8_t next(bytes *b)
{
    return b->at < b->end ? *b->at++ : 0;
}

/* Mostly what clocks say; seldom anything at all. */
static int64_t span_ns(bytes *b)
{
    static const int64_t UNIT[8] = {1, 1000, 1000000, 100000000, SECOND_NS, 10 * SECOND_NS, 600 * SECOND_NS, INT64_C(1) << 53};
    const uint8_t unit = next(b);
    return (int64_t)(int8_t)next(b) * UNIT[unit % 8];
}

/* Times are between -2^62 and 2^62, and so is what is added to them here. */
static void pass_time(crossing *c, int64_t by_ns)
{
    static const int64_t MOST_NS = INT64_C(1) << 60;
    c->now_ns += by_ns;
    if (c->now_ns > MOST_NS) c->now_ns = MOST_NS;
    if (c->now_ns < -MOST_NS) c->now_ns = -MOST_NS;
}

/* A few plates, and such as differ from them in a character. */
static int32_t plate(bytes *b, char *text)
{
    const uint8_t which = next(b), other = next(b);
    const int32_t n = 1 + which % 9;
    for (int32_t i = 0; i < n; ++i) text[i] = "AB0O8I1Z2"[(which + i * (which >> 4)) % 9];
    if (other & 1) text[other % (uint8_t)n] = (char)other;
    return n;
}

/* Tokens of one or two periods, some of which agree with those of others. */
static int32_t tokens(bytes *b, uint8_t *out)
{
    int32_t used = 0;
    for (int32_t period = 0, most = 1 + next(b) % 2; period < most; ++period) {
        const uint64_t number = next(b) % 2;
        const int32_t length = 1 + next(b) % 4, cut = next(b) % 5;
        memcpy(out + used, &number, 8);
        memcpy(out + used + 8, &length, 4);
        memcpy(out + used + 12, &cut, 4);
        used += 16;
        for (int32_t i = 0; i < 2 + 2 * length; ++i, used += 8) memset(out + used, next(b) % 4, 8);
    }
    return used;
}

static int32_t axles(bytes *b, uint8_t *out)
{
    double numbers[16];
    const int32_t n = next(b) % 9;
    for (int32_t i = 0; i < n; ++i) {
        numbers[i] = (i > 0 ? numbers[i - 1] : 0.0) + next(b) / 20.0;
        numbers[n + i] = next(b) * 50.0;
    }
    if (n > 0) memcpy(out, numbers, 2 * (size_t)n * sizeof(double));
    return 2 * n * (int32_t)sizeof(double);
}

static int32_t anything(bytes *b, uint8_t *out)
{
    int32_t n = next(b);
    if (n > b->end - b->at) n = (int32_t)(b->end - b->at);
    if (n > 0) memcpy(out, b->at, (size_t)n);
    b->at += n;
    return n;
}

static void put(crossing *c, bytes *b, uint8_t how)
{
    uint8_t data[TEXT];
    const int32_t kind = how % 6, lane = next(b) % c->lanes, point = next(b) % c->points;
    int64_t number;
    int32_t late, size;
    pass_time(c, span_ns(b));
    if (how & 64) size = anything(b, data);
    else size = kind == BF_SEEN_TOKENS ? tokens(b, data) : (kind == BF_SEEN_AXLES ? axles(b, data) : plate(b, (char *)data));
    bf_order_put(c->order, c->now_ns, lane * c->points + point, kind, data, size, &number, &late);
    if (c->now_ns > c->pace.newest_ns) c->pace.newest_ns = c->now_ns;
}

/* Goes on as long as the caller has to look; opens closed lanes out of which somebody came. */
static void look(crossing *c, bytes *b)
{
    bf_lane_ends ends;
    const int32_t way = next(b) % MOST_WAYS, lane = next(b) % MOST_LANES;
    if (bf_match_look(c->match, way, lane, &ends) != BF_OK) return;
    if (bf_queue_is_closed(c->queues[way][lane])) bf_queue_booths(c->queues[way][lane], 1.0);
}

static void run(crossing *c, bytes *b, bool everything)
{
    bf_run ran = {.why = BF_STOP_LOOK};
    const int64_t due_ns = c->now_ns - span_ns(b), limit_ns = c->now_ns + span_ns(b);
    for (int i = 0; i < LOOKS && ran.why == BF_STOP_LOOK; ++i) {
        if (bf_match_run(c->match, c->order, due_ns, limit_ns, everything, c->events, EVENTS, &ran) != BF_OK) return;
        if (ran.why == BF_STOP_LOOK) look(c, b);
    }
}

static void settle(crossing *c, bytes *b)
{
    bf_run ran = {.why = BF_STOP_LOOK};
    for (int i = 0; i < LOOKS && ran.why == BF_STOP_LOOK; ++i)
        if (bf_match_settle(c->match, c->now_ns, c->events, EVENTS, &ran) != BF_OK) return;
    look(c, b);
}

/* A line as a file has it, or bytes. */
static void lines(crossing *c, bytes *b, bool made)
{
    static const char *const MEDIUM[] = {"loop", "rfid", "plate", "?"};
    uint8_t text[2 * TEXT];
    char id[16] = {0};
    int32_t size = 0;
    bf_run ran = {.why = BF_STOP_LOOK};
    for (int32_t i = next(b) % 2; made && i >= 0; --i) {
        const int second = next(b), minute = next(b) % 60, place = next(b) % (c->lanes * c->points), medium = next(b) % 4;
        id[plate(b, id)] = '\0';
        for (char *p = id; *p; ++p) *p = *p < ' ' || *p > '~' ? '?' : *p;
        size += snprintf((char *)text + size, sizeof text - (size_t)size,
                         "{\"time\": \"1970-01-01T00:%02d:%02d.%dZ\", \"lane\": \"L%d\", \"point\": \"P%d\", \"medium\": \"%s\", \"id\": \"%s\"}\n",
                         minute, second % 60, second, place / c->points, place % c->points, MEDIUM[medium], id);
    }
    if (!made) size = anything(b, text);
    c->pace.used = c->pace.lines = c->pace.late = 0;
    c->pace.limit_ns = c->now_ns + span_ns(b);
    for (int i = 0; i < LOOKS && ran.why == BF_STOP_LOOK; ++i)
        if (bf_match_lines(c->match, c->order, text, size, &c->pace, c->events, EVENTS, &ran) != BF_OK) return;
    if (c->pace.newest_ns > c->now_ns) c->now_ns = c->pace.newest_ns;
}

static void name(crossing *c, bytes *b, bool made)
{
    uint8_t text[2][TEXT];
    int32_t size[2];
    const int32_t place = next(b) % (c->lanes * c->points);
    for (int i = 0; i < 2; ++i) {
        if (made) size[i] = snprintf((char *)text[i], TEXT, "%c%d", "LP"[i], i ? place % c->points : place / c->points);
        else size[i] = anything(b, text[i]);
    }
    bf_match_name(c->match, place, text[0], size[0], text[1], size[1]);
}

/* What is said of a queue: booths, programs, counters, a pause, the wait of who comes now. */
static void tell_queue(crossing *c, bytes *b)
{
    double waits[8];
    bf_forecast forecast;
    const int32_t way = next(b) % MOST_WAYS, lane = next(b) % MOST_LANES;
    bf_queue *q = c->queues[way][lane];
    const uint8_t what = next(b), value = next(b);
    if (q == NULL) return;
    if (what % 8 == 0) bf_queue_booths(q, value / 16.0);
    if (what % 8 == 1) bf_queue_program(q, value % 9);
    if (what % 8 == 2) bf_queue_counts(q, value / 255.0, next(b) / 255.0);
    if (what % 8 == 3) bf_queue_unwatched(q, value * 60.0);
    if (what % 8 == 4) bf_queue_predict(q, c->now_ns, 1 + value % 8, value / 128, waits, &forecast);
    if (what % 8 == 5) bf_match_empty(c->match, way, lane);
    if (what % 8 == 6) bf_match_came_unseen(c->match, way, lane, value / 200.0);
    if (what % 8 == 7) bf_plates_confusion(c->plates, value & 1, "AB08"[value / 2 % 4], "AB08"[value / 8 % 4], value / 255.0);
}

static void operate(crossing *c, bytes *b)
{
    int64_t counters[BF_COUNTERS];
    const uint8_t op = next(b), what = op % 16;
    if (what < 8) put(c, b, next(b));
    else if (what < 11) run(c, b, op >= 240);
    else if (what == 11) settle(c, b);
    else if (what == 12) lines(c, b, op < 200);
    else if (what == 13) name(c, b, op < 128);
    else if (what == 14) tell_queue(c, b);
    else bf_match_counters(c->match, counters);
}

/* Ways between the points, each lane with a queue of its own. */
static void make_ways(crossing *c, bytes *b)
{
    static const int32_t LANES[MOST_LANES] = {0, 1, 2, 3};
    const int32_t most = 1 + next(b) % MOST_WAYS;
    for (int32_t i = 0; i < most; ++i) {
        bf_queue *queues[MOST_LANES] = {NULL};
        const uint8_t ends = next(b), lanes = next(b);
        const int32_t n = 1 + lanes % c->lanes;
        int32_t way;
        for (int32_t k = 0; k < n; ++k) queues[k] = bf_queue_create(1024, 5.0 + next(b), 0.3, 1.0 + next(b));
        const bf_status made = bf_match_way(c->match, ends % 4, ends / 4 % 4, ends & 128, c->plates, LANES, queues, n, &way);
        for (int32_t k = 0; k < n; ++k) {
            if (made == BF_OK) c->queues[way][k] = queues[k];
            else bf_queue_free(queues[k]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes b = {data, data + size};
    crossing c;
    memset(&c, 0, sizeof c);
    c.lanes = 1 + next(&b) % MOST_LANES;
    c.points = 1 + next(&b) % 4;
    c.pace.run_every_ns = span_ns(&b);
    c.pace.reorder_ns = span_ns(&b);
    c.match = bf_match_create(c.lanes, c.points, MOST_WAYS, next(&b) & 1);
    c.order = bf_order_create();
    c.plates = bf_plates_create(0.01, next(&b) / 512.0, 0.002, 0.03);
    if (c.match && c.order && c.plates) {
        make_ways(&c, &b);
        while (b.at < b.end) operate(&c, &b);
        run(&c, &b, true);
        settle(&c, &b);
    }
    bf_match_free(c.match);
    bf_order_free(c.order);
    bf_plates_free(c.plates);
    for (int i = 0; i < MOST_WAYS; ++i)
        for (int k = 0; k < MOST_LANES; ++k) bf_queue_free(c.queues[i][k]);
    return 0;
}
