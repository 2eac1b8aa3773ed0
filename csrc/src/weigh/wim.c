/* The weighing core's surface: takes blocks of samples, cuts them into frames, and runs the parts in their order.
 * channel.c -> (footprint) -> pending.c -> (pass) -> train.c -> (axle_seen) -> cut.c -> load.c -> (bf_vehicle). Each stage owns its state and knows
 * those before it, if at all, by their faces. */
#include "beside.h"
#include "cut.h"
#include "order.h"
#include "pending.h"
#include "table.h"
#include "turned.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct bf_wim {
    bf_wim_options options;
    progress stream;
    sensor_array array;
    channel channels[BF_MAX_SENSORS];
    channel_room room;
    line_order order;
    presences loops;
    print_slots prints;
    fitter fit;
    weigher weigher;
    axle_stage axles;
    axle_train train;
    cutter cut;
    vehicle_ring out;
};

static void take_footprint(void *context, const footprint *f)
{
    bf_wim *w = context;
    footprint whole = *f;
    order_take(&w->order, &w->array, f);
    beside_measure(&w->array, w->channels, &w->room, &whole);
    pending_take(&w->axles, &whole);
}

/* Each stage knows what it reads, and where it puts what it makes. */
static void connect(bf_wim *w)
{
    w->room.sink = take_footprint;
    w->room.context = w;
    order_init(&w->order);
    w->weigher = (weigher){.array = &w->array, .fit = &w->fit, .ways = lane_unknown(), .tyres = tyres_unknown()};
    w->fit.array = &w->array;
    w->fit.tyres = &w->weigher.tyres;
    prints_init(&w->prints);
    axle_stage *a = &w->axles;
    a->array = &w->array;
    a->channels = w->channels;
    a->loops = &w->loops;
    a->stream = &w->stream;
    a->fit = &w->fit;
    a->prints = &w->prints;
    a->train = &w->train;
    a->first_at = HUGE_VAL;
    cutter *c = &w->cut;
    c->array = &w->array;
    c->loops = &w->loops;
    c->stream = &w->stream;
    c->axles = a;
    c->fit = &w->fit;
    c->weigher = &w->weigher;
    c->prints = &w->prints;
    c->train = &w->train;
    c->out = &w->out;
    cut_init(c);
}

bf_status bf_wim_create(const bf_wim_options *options, const bf_sensor *sensors, size_t sensor_count, bf_wim **out,
                        int32_t *fault)
{
    if (!options || !sensors || !out || !fault) return BF_ERR_ARGUMENT;
    *out = NULL;
    *fault = -1;
    if (options->channels < 1 || options->channels > BF_MAX_CHANNELS) return BF_ERR_ARGUMENT;
    if (!in_range(options->rate_hz, 5.0, 1e6) || !in_range(options->temperature_c, -273.0, 1000.0)) return BF_ERR_ARGUMENT;
    bf_status status = table_check(sensors, sensor_count, options->channels, fault);
    if (status != BF_OK) return status;
    bf_wim *w = calloc(1, sizeof *w);
    if (!w) return BF_ERR_MEMORY;
    w->options = *options;
    w->array.rate = options->rate_hz;
    w->loops.used = options->use_loop;
    connect(w);
    status = history_init(&w->room.past, options->channels, w->array.rate)
                 ? table_read(sensors, sensor_count, options->temperature_c, &w->array, &w->loops, fault)
                 : BF_ERR_MEMORY;
    if (status != BF_OK) {
        bf_wim_destroy(w);
        return status;
    }
    w->stream.frame_scans = w->room.past.frame_scans;
    for (int i = 0; i < w->array.sensor_count; ++i)
        if (sensors[i].type != BF_LOOP) table_channel(&w->array, i, w->stream.frame_scans, &w->channels[i]);
    *out = w;
    return BF_OK;
}

void bf_wim_destroy(bf_wim *w)
{
    if (!w) return;
    history_free(&w->room.past);
    free(w);
}

/* Passes to axles, axles to vehicles. */
static void to_vehicles(bf_wim *w, bool at_end)
{
    while (train_update(&w->axles, at_end)) cut_update(&w->cut, true);
    if (w->train.count > 0) cut_update(&w->cut, at_end);
}

/* Looks at frame number `frame`, of which the successor is in the history (or which is the last). */
static void run_frame(bf_wim *w, int64_t frame)
{
    history_ranges(&w->room.past, frame, &w->room.ranges);
    channels_frame(w->channels, w->array.sensor_count, &w->room, frame);
    turned_look(&w->array, w->channels, frame);
    loops_frame(&w->loops, w->array.rate, &w->room.past, &w->room.ranges, frame);
    w->stream.done = frame + 1;
    w->stream.now = w->stream.done * w->stream.frame_scans;
    to_vehicles(w, false);
}

bf_status bf_wim_push(bf_wim *w, const int16_t *samples, size_t scans, size_t *used)
{
    if (!w || !used || (!samples && scans > 0)) return BF_ERR_ARGUMENT;
    history *h = &w->room.past;
    *used = 0;
    while (*used < scans && w->out.count < RING / 2) {
        *used += history_take(h, samples + *used * (size_t)h->channels, scans - *used);
        if (h->frames - w->stream.done >= 2) run_frame(w, w->stream.done);
    }
    w->stream.scans += *used;
    history_keep(h);
    return BF_OK;
}

/* Finishes all that is open. The frame that is not full yet is left out: it is shorter than any wheel's flank. */
static void flush(bf_wim *w)
{
    if (w->room.past.frames > w->stream.done) run_frame(w, w->stream.done);
    for (int i = 0; i < w->array.sensor_count; ++i) channel_close(&w->channels[i], &w->room);
    to_vehicles(w, true);
    loops_close(&w->loops, w->stream.now);
}

static bool anything_open(const bf_wim *w)
{
    for (int i = 0; i < w->array.sensor_count; ++i)
        if (channel_on_since(&w->channels[i]) >= 0) return true;
    for (int j = 0; j < w->array.line_count; ++j)
        if (w->axles.pending_count[j] > 0) return true;
    for (int i = 0; i < w->loops.count; ++i)
        if (w->loops.at[i].present) return true;
    return w->train.count == 1;
}

static void interrupt(bf_wim *w, uint64_t scans)
{
    w->cut.broken = anything_open(w);
    flush(w);
    w->cut.broken = false;
    w->stream.lost += history_drop(&w->room.past) + (int64_t)scans;
    w->stream.scans += scans;
    w->cut.gap_at = w->stream.now;
    w->axles.first_at = HUGE_VAL;
    w->order.open = false;
    for (int i = 0; i < w->array.sensor_count; ++i) if (w->channels[i].used) channel_restart(&w->channels[i], w->stream.now);
}

bf_status bf_wim_gap(bf_wim *w, uint64_t scans)
{
    if (!w || scans > UINT64_C(1) << 60 || w->stream.scans > UINT64_C(1) << 61) return BF_ERR_ARGUMENT;
    if (scans > 0) interrupt(w, scans);
    return BF_OK;
}

bf_status bf_wim_finish(bf_wim *w)
{
    if (!w) return BF_ERR_ARGUMENT;
    interrupt(w, 0);
    return BF_OK;
}

int bf_wim_next(bf_wim *w, bf_vehicle *out)
{
    if (!w || !out || w->out.count == 0) return 0;
    *out = w->out.at[w->out.head];
    w->out.head = (w->out.head + 1) % RING;
    w->out.count--;
    return 1;
}

bf_status bf_wim_set_temperature(bf_wim *w, double temperature_c)
{
    if (!w || !in_range(temperature_c, -100.0, 150.0)) return BF_ERR_ARGUMENT;
    for (int i = 0; i < w->array.sensor_count; ++i) table_set_newton(&w->array.sensors[i], temperature_c);
    return BF_OK;
}

bf_status bf_wim_ignore_loops(bf_wim *w, int32_t ignore)
{
    if (!w) return BF_ERR_ARGUMENT;
    if (w->loops.ignored && !ignore)
        for (int i = 0; i < w->loops.count; ++i) w->loops.at[i].count = 0; /* what it said while at fault cuts no vehicle */
    w->loops.ignored = ignore != 0;
    return BF_OK;
}

uint64_t bf_wim_scans(const bf_wim *w)
{
    return w ? w->stream.scans : 0;
}

int64_t bf_wim_open_since(const bf_wim *w)
{
    if (!w) return -1;
    double first = HUGE_VAL;
    for (int i = 0; i < w->array.sensor_count; ++i) {
        const int64_t since = channel_on_since(&w->channels[i]);
        if (since >= 0 && (double)since < first) first = (double)since;
    }
    for (int j = 0; j < w->array.line_count; ++j)
        if (w->axles.pending_count[j] > 0 && w->axles.pending[j][0].begin < first) first = w->axles.pending[j][0].begin;
    if (w->train.count > 0)
        for (int j = 0; j < w->array.line_count; ++j)
            if ((w->train.at[0].seen & (1u << j)) && w->train.at[0].at[j].begin < first) first = w->train.at[0].at[j].begin;
    return first < HUGE_VAL ? (int64_t)first + w->stream.lost : -1;
}

/* Middle of the idle ranges of all sensors that weigh. */
static double usual_range(const bf_wim *w)
{
    double sorted[BF_MAX_SENSORS];
    int n = 0;
    for (int i = 0; i < w->array.sensor_count; ++i) {
        if (!w->channels[i].used) continue;
        int k = n++;
        while (k > 0 && sorted[k - 1] > w->channels[i].b.range) {
            sorted[k] = sorted[k - 1];
            --k;
        }
        sorted[k] = w->channels[i].b.range;
    }
    return n > 0 ? sorted[n / 2] : 0.0;
}

bf_status bf_wim_health(const bf_wim *w, size_t sensor, bf_channel_health *out)
{
    if (!w || !out || sensor >= (size_t)w->array.sensor_count) return BF_ERR_ARGUMENT;
    memset(out, 0, sizeof *out);
    out->channel = w->array.sensors[sensor].s.channel;
    const channel *c = &w->channels[sensor];
    if (!c->used) return BF_OK;
    channel_health(c, w->stream.now, usual_range(w), out);
    const bool misses = out->state == BF_CH_DEAD && !channel_flat(c); /* its wheels were looked for at another place */
    if ((out->state == BF_CH_OK || misses) && w->array.sensors[sensor].misplaced) out->state = BF_CH_MISPLACED;
    return BF_OK;
}
