/* The weighing core's surface: takes blocks of samples, cuts them into frames, and runs the parts in their order.
 * channel.c -> train.c -> cut.c -> load.c -> the ring of finished vehicles. See array.h. */
#include "loops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double SAME_LINE_M = 0.02;

/* Below the wheel of the lightest vehicle, and above what an indicator's division (mostly 5 to 20 kg) makes of a
 * baseline between two steps. */
static const double LEAST_WHEEL_N = 245.0;

static bool in_range(double v, double lo, double hi)
{
    return v >= lo && v <= hi; /* false for NaN */
}

static int compare_lines(const void *a, const void *b)
{
    const double x = ((const line_info *)a)->x, y = ((const line_info *)b)->x;
    return (x > y) - (x < y);
}

static void set_newton(sensor_info *s, double temperature_c)
{
    const double f = 1.0 + s->s.temp_coeff_per_c * (temperature_c - s->s.reference_temperature_c);
    s->newton = fabs(s->s.gain_n) / (f > 0.05 ? f : 0.05); /* its sign is the channel's */
}

static void find_sides(bf_wim *w)
{
    double lo = HUGE_VAL, hi = -HUGE_VAL;
    for (int i = 0; i < w->sensor_count; ++i) {
        const bf_sensor *s = &w->sensors[i].s;
        if (s->type == BF_LOOP || isnan(s->y0_m) || isnan(s->y1_m)) continue;
        if (s->y0_m < lo) lo = s->y0_m;
        if (s->y1_m > hi) hi = s->y1_m;
    }
    for (int i = 0; i < w->sensor_count; ++i) {
        sensor_info *s = &w->sensors[i];
        s->side = SIDE_FULL;
        if (s->s.type == BF_LOOP || isnan(s->s.y0_m) || isnan(s->s.y1_m)) continue;
        if (s->s.y1_m - s->s.y0_m > 0.65 * (hi - lo)) continue;
        s->side = 0.5 * (s->s.y0_m + s->s.y1_m) < 0.5 * (lo + hi) ? SIDE_LEFT : SIDE_RIGHT;
    }
}

/* Strips at an angle to the lane. */
static void find_slopes(bf_wim *w)
{
    static const double TRACK_M = 2.0, DIFFERENT = 0.005;
    double lo = HUGE_VAL, hi = -HUGE_VAL, least = HUGE_VAL, most = -HUGE_VAL;
    for (int i = 0; i < w->sensor_count; ++i) {
        sensor_info *s = &w->sensors[i];
        if (s->s.type == BF_LOOP || !isfinite(s->s.y0_m) || !isfinite(s->s.y1_m)) continue;
        if (s->s.y0_m < lo) lo = s->s.y0_m;
        if (s->s.y1_m > hi) hi = s->s.y1_m;
        s->y_m = 0.5 * (s->s.y0_m + s->s.y1_m);
        if (s->s.type == BF_STRIP && fabs(s->s.angle_deg) < 80.0) s->slope = tan(s->s.angle_deg * 0.017453292519943295);
    }
    for (int i = 0; i < w->sensor_count; ++i) {
        if (w->sensors[i].s.type == BF_LOOP) continue;
        if (w->sensors[i].slope < least) least = w->sensors[i].slope;
        if (w->sensors[i].slope > most) most = w->sensors[i].slope;
    }
    w->slopes_differ = most - least > DIFFERENT;
    const double middle = hi > lo ? 0.5 * (lo + hi) : 0.0;
    w->side_y_m[SIDE_LEFT] = middle - 0.5 * TRACK_M;
    w->side_y_m[SIDE_RIGHT] = middle + 0.5 * TRACK_M;
    w->side_y_m[SIDE_FULL] = middle;
}

static bf_status find_lines(bf_wim *w, int32_t *fault)
{
    for (int i = 0; i < w->sensor_count; ++i) {
        sensor_info *s = &w->sensors[i];
        s->line = -1;
        if (s->s.type == BF_LOOP) continue;
        int j = 0;
        while (j < w->line_count && fabs(w->lines[j].x - s->s.x_m) > SAME_LINE_M) ++j;
        if (j == w->line_count) {
            if (j == BF_MAX_LINES) {
                *fault = i;
                return BF_ERR_SENSORS;
            }
            w->lines[j].x = s->s.x_m;
            w->lines[j].width = s->s.width_m;
            w->line_count++;
        }
        if (w->lines[j].count == 8) {
            *fault = i;
            return BF_ERR_SENSORS;
        }
        w->lines[j].sensors[w->lines[j].count++] = i;
        w->channels[i].plate = s->s.type == BF_PLATE;
        if (s->s.type == BF_PLATE) w->channels[i].least = LEAST_WHEEL_N / s->newton;
        w->lines[j].plate = w->lines[j].plate || s->s.type == BF_PLATE;
    }
    qsort(w->lines, (size_t)w->line_count, sizeof w->lines[0], compare_lines);
    for (int j = 0; j < w->line_count; ++j)
        for (int i = 0; i < w->lines[j].count; ++i) w->sensors[w->lines[j].sensors[i]].line = j;
    return w->line_count > 0 ? BF_OK : BF_ERR_SENSORS;
}

static bf_status check_sensor(const bf_sensor *s, int channels)
{
    if (s->type < BF_STRIP || s->type > BF_LOOP) return BF_ERR_SENSORS;
    if (s->channel < 0 || s->channel >= channels) return BF_ERR_SENSORS;
    if (!in_range(s->x_m, -1000.0, 1000.0)) return BF_ERR_SENSORS;
    if (s->type == BF_LOOP) return isfinite(s->threshold_counts) ? BF_OK : BF_ERR_SENSORS;
    if (!in_range(s->width_m, 1e-4, 20.0) || !in_range(fabs(s->gain_n), 1e-9, 1e9)) return BF_ERR_SENSORS;
    if (!in_range(s->coupling_tau_s, 0.0, 1e9)) return BF_ERR_SENSORS;
    if (!in_range(s->temp_coeff_per_c, -1.0, 1.0)) return BF_ERR_SENSORS;
    return in_range(s->reference_temperature_c, -273.0, 1000.0) ? BF_OK : BF_ERR_SENSORS;
}

bf_status bf_wim_create(const bf_wim_options *options, const bf_sensor *sensors, size_t sensor_count, bf_wim **out,
                        int32_t *fault)
{
    if (!options || !sensors || !out || !fault) return BF_ERR_ARGUMENT;
    *out = NULL;
    *fault = -1;
    if (sensor_count == 0 || sensor_count > BF_MAX_SENSORS) return BF_ERR_SENSORS;
    if (options->channels < 1 || options->channels > BF_MAX_CHANNELS) return BF_ERR_ARGUMENT;
    if (!in_range(options->rate_hz, 5.0, 1e6) || !in_range(options->temperature_c, -273.0, 1000.0))
        return BF_ERR_ARGUMENT;
    for (size_t i = 0; i < sensor_count; ++i)
        if (check_sensor(&sensors[i], options->channels) != BF_OK) {
            *fault = (int32_t)i;
            return BF_ERR_SENSORS;
        }
    bf_wim *w = calloc(1, sizeof *w);
    if (!w) return BF_ERR_MEMORY;
    w->options = *options;
    w->rate = options->rate_hz;
    w->channel_count = options->channels;
    w->sensor_count = (int)sensor_count;
    w->past.shift = 3; /* frames of about 13 ms */
    while (w->past.shift < 12 && (double)(2 << w->past.shift) < 0.0192 * w->rate) w->past.shift++;
    w->frame_scans = 1 << w->past.shift;
    for (size_t i = 0; i < sensor_count; ++i) {
        sensor_info *s = &w->sensors[i];
        s->s = sensors[i];
        set_newton(s, options->temperature_c);
        channel_init(&w->channels[i], (int)i, sensors[i].channel, w->rate, w->frame_scans, sensors[i].coupling_tau_s);
        if (sensors[i].gain_n < 0.0) w->channels[i].wired = w->channels[i].sign = -1;
        if (sensors[i].type == BF_LOOP && w->loop_count < 4) {
            loop_state *l = &w->loops[w->loop_count++];
            l->sensor = (int)i;
            l->channel = sensors[i].channel;
            l->level = sensors[i].threshold_counts;
            l->lower = l->level - 0.1 * fabs(l->level);
        }
    }
    find_sides(w);
    find_slopes(w);
    const bf_status status = find_lines(w, fault);
    if (status != BF_OK) {
        bf_wim_destroy(w);
        return status;
    }
    for (int i = 0; i < PRINTS; ++i) w->free_prints[i] = i;
    w->free_count = PRINTS;
    w->first_at = HUGE_VAL;
    w->gap_at = 0; /* before the first sample as after a gap: what stood on the array was not seen to come */
    w->stop_share = 0.3;
    w->last_doubt = 10.0;
    w->close_share = 0.4;
    w->ways = lane_unknown();
    const size_t frame_samples = (size_t)w->frame_scans * (size_t)w->channel_count;
    w->past.channels = w->channel_count;
    w->past.frame_scans = w->frame_scans;
    w->past.samples = calloc(frame_samples * HISTORY_FRAMES, sizeof(int16_t));
    w->staging = calloc(frame_samples, sizeof(int16_t));
    if (!w->past.samples || !w->staging) {
        bf_wim_destroy(w);
        return BF_ERR_MEMORY;
    }
    *out = w;
    return BF_OK;
}

void bf_wim_destroy(bf_wim *w)
{
    if (!w) return;
    free(w->past.samples);
    free(w->staging);
    free(w);
}

static inline int16_t least16(int16_t a, int16_t b)
{
    return a < b ? a : b;
}

static inline int16_t most16(int16_t a, int16_t b)
{
    return a > b ? a : b;
}

/* Four rows of `n` samples into the running minimum, maximum and sum: plain loops that a compiler turns into vectors on any
 * machine, with the same result; four rows at a time, so that the running values are seldom read and written. */
static void add_rows(const int16_t *restrict p, int n, int16_t *restrict lo, int16_t *restrict hi, int32_t *restrict sum)
{
    const int16_t *restrict q = p + n, *restrict r = q + n, *restrict s = r + n;
    for (int i = 0; i < n; ++i) lo[i] = least16(lo[i], least16(least16(p[i], q[i]), least16(r[i], s[i])));
    for (int i = 0; i < n; ++i) hi[i] = most16(hi[i], most16(most16(p[i], q[i]), most16(r[i], s[i])));
    for (int i = 0; i < n; ++i) sum[i] += (p[i] + q[i]) + (r[i] + s[i]);
}

/* The upper half of a row into the lower one. */
static void fold(int16_t *lo, int16_t *hi, int32_t *sum, int n)
{
    const int16_t *restrict lo1 = lo + n, *restrict hi1 = hi + n;
    const int32_t *restrict sum1 = sum + n;
    int16_t *restrict lo0 = lo, *restrict hi0 = hi;
    int32_t *restrict sum0 = sum;
    for (int i = 0; i < n; ++i) {
        lo0[i] = lo1[i] < lo0[i] ? lo1[i] : lo0[i];
        hi0[i] = hi1[i] > hi0[i] ? hi1[i] : hi0[i];
        sum0[i] += sum1[i];
    }
}

/* Minimum, maximum and sum of each channel over a frame. Eight scans at a time are one long row, so that the length
 * of the vectors does not depend on the number of channels. */
static void frame_sums(const int16_t *s, int channels, int scans, int16_t *lo, int16_t *hi, int32_t *sum)
{
    const int part = scans < 32 ? scans / 4 : 8, row = part * channels;
    for (int i = 0; i < row; ++i) {
        lo[i] = INT16_MAX;
        hi[i] = INT16_MIN;
        sum[i] = 0;
    }
    for (int r = 0; r < scans; r += 4 * part) add_rows(s + (size_t)r * (size_t)channels, row, lo, hi, sum);
    for (int n = row / 2; n >= channels; n /= 2) fold(lo, hi, sum, n);
}

static void take_footprint(void *context, const footprint *f)
{
    train_footprint(context, f);
}

/* Passes to axles, axles to vehicles. */
static void to_vehicles(bf_wim *w, bool at_end)
{
    while (train_update(w, at_end)) cut_update(w, true);
    if (w->train_count > 0 && (at_end || (w->done & 3) == 0)) cut_update(w, at_end);
}

/* Looks at frame number `frame`, of which the successor is in the history (or which is the last). */
static void run_frame(bf_wim *w, int64_t frame)
{
    int16_t lo[8 * BF_MAX_CHANNELS], hi[8 * BF_MAX_CHANNELS];
    int32_t sum[8 * BF_MAX_CHANNELS];
    const size_t slot = (size_t)(frame & (HISTORY_FRAMES - 1));
    const size_t frame_samples = (size_t)w->frame_scans * (size_t)w->channel_count;
    frame_sums(w->past.samples + slot * frame_samples, w->channel_count, w->frame_scans, lo, hi, sum);
    for (int i = 0; i < w->sensor_count; ++i) {
        if (w->sensors[i].line < 0) continue;
        const int c = w->sensors[i].s.channel;
        channel_frame(&w->channels[i], &w->past, frame, lo[c], hi[c], sum[c], take_footprint, w);
    }
    for (int i = 0; i < w->loop_count; ++i) loop_sample_frame(w, &w->loops[i], frame);
    w->done = frame + 1;
    w->now = w->done * w->frame_scans;
    to_vehicles(w, false);
}

static void add_frame(bf_wim *w, const int16_t *samples)
{
    const size_t slot = (size_t)(w->past.frames & (HISTORY_FRAMES - 1));
    const size_t frame_samples = (size_t)w->frame_scans * (size_t)w->channel_count;
    memcpy(w->past.samples + slot * frame_samples, samples, frame_samples * sizeof(int16_t));
    w->past.frames++;
    if (w->past.frames - w->done >= 2) run_frame(w, w->done);
}

bf_status bf_wim_push(bf_wim *w, const int16_t *samples, size_t scans, size_t *used)
{
    if (!w || !used || (!samples && scans > 0)) return BF_ERR_ARGUMENT;
    *used = 0;
    const size_t channels = (size_t)w->channel_count, frame = (size_t)w->frame_scans;
    while (*used < scans && w->ring_count < RING / 2) {
        const size_t left = scans - *used;
        if (w->fill == 0 && left >= frame) {
            add_frame(w, samples + *used * channels);
            *used += frame;
            w->scans += frame;
            continue;
        }
        size_t take = frame - (size_t)w->fill;
        if (take > left) take = left;
        memcpy(w->staging + (size_t)w->fill * channels, samples + *used * channels, take * channels * sizeof(int16_t));
        w->fill += (int)take;
        *used += take;
        w->scans += take;
        if (w->fill == w->frame_scans) {
            w->fill = 0;
            add_frame(w, w->staging);
        }
    }
    return BF_OK;
}

/* Finishes all that is open. The frame that is not full yet is left out: it is shorter than any wheel's flank. */
static void flush(bf_wim *w)
{
    if (w->past.frames > w->done) run_frame(w, w->done);
    for (int i = 0; i < w->sensor_count; ++i)
        if (w->sensors[i].line >= 0) channel_close(&w->channels[i], &w->past, take_footprint, w);
    to_vehicles(w, true);
    for (int i = 0; i < w->loop_count; ++i) {
        loop_state *l = &w->loops[i];
        if (l->present && l->count > 0) l->marks[l->count - 1].off = (double)w->now;
        l->present = l->pending = l->falling = false;
    }
}

static bool anything_open(const bf_wim *w)
{
    for (int i = 0; i < w->sensor_count; ++i)
        if (w->sensors[i].line >= 0 && w->channels[i].phase == CH_WHEEL) return true;
    for (int j = 0; j < w->line_count; ++j)
        if (w->pending_count[j] > 0) return true;
    for (int i = 0; i < w->loop_count; ++i)
        if (w->loops[i].present) return true;
    return w->train_count == 1;
}

static void interrupt(bf_wim *w, uint64_t scans)
{
    w->broken = anything_open(w);
    flush(w);
    w->broken = false;
    w->lost += w->fill + (int64_t)scans;
    w->fill = 0;
    w->scans += scans;
    w->gap_at = w->now;
    w->first_at = HUGE_VAL;
    for (int i = 0; i < w->sensor_count; ++i) channel_restart(&w->channels[i], w->now);
}

bf_status bf_wim_gap(bf_wim *w, uint64_t scans)
{
    if (!w || scans > UINT64_C(1) << 60 || w->scans > UINT64_C(1) << 61) return BF_ERR_ARGUMENT;
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
    if (!w || !out || w->ring_count == 0) return 0;
    *out = w->ring[w->ring_head];
    w->ring_head = (w->ring_head + 1) % RING;
    w->ring_count--;
    return 1;
}

bf_status bf_wim_set_temperature(bf_wim *w, double temperature_c)
{
    if (!w || !in_range(temperature_c, -100.0, 150.0)) return BF_ERR_ARGUMENT;
    for (int i = 0; i < w->sensor_count; ++i) set_newton(&w->sensors[i], temperature_c);
    return BF_OK;
}

bf_status bf_wim_ignore_loops(bf_wim *w, int32_t ignore)
{
    if (!w) return BF_ERR_ARGUMENT;
    if (w->ignore_loops && !ignore)
        for (int i = 0; i < w->loop_count; ++i) w->loops[i].count = 0; /* what it said while at fault cuts no vehicle */
    w->ignore_loops = ignore != 0;
    return BF_OK;
}

uint64_t bf_wim_scans(const bf_wim *w)
{
    return w ? w->scans : 0;
}

int64_t bf_wim_open_since(const bf_wim *w)
{
    if (!w) return -1;
    double first = HUGE_VAL;
    for (int i = 0; i < w->sensor_count; ++i)
        if (w->sensors[i].line >= 0 && w->channels[i].phase == CH_WHEEL && (double)w->channels[i].began < first)
            first = (double)w->channels[i].began;
    for (int j = 0; j < w->line_count; ++j)
        if (w->pending_count[j] > 0 && w->pending[j][0].begin < first) first = w->pending[j][0].begin;
    if (w->train_count > 0)
        for (int j = 0; j < w->line_count; ++j)
            if ((w->train[0].seen & (1u << j)) && w->train[0].at[j].begin < first) first = w->train[0].at[j].begin;
    return first < HUGE_VAL ? (int64_t)first + w->lost : -1;
}

/* Far noisier than its fellows, and by more than a few counts. */
static const double NOISY = 8.0, NOISY_COUNTS = 40.0;

/* Middle of the idle ranges of all sensors that weigh. */
static double usual_range(const bf_wim *w)
{
    double sorted[BF_MAX_SENSORS];
    int n = 0;
    for (int i = 0; i < w->sensor_count; ++i) {
        if (w->sensors[i].line < 0) continue;
        int k = n++;
        while (k > 0 && sorted[k - 1] > w->channels[i].range) {
            sorted[k] = sorted[k - 1];
            --k;
        }
        sorted[k] = w->channels[i].range;
    }
    return n > 0 ? sorted[n / 2] : 0.0;
}

bf_status bf_wim_health(const bf_wim *w, size_t sensor, bf_channel_health *out)
{
    if (!w || !out || sensor >= (size_t)w->sensor_count) return BF_ERR_ARGUMENT;
    const channel *c = &w->channels[sensor];
    memset(out, 0, sizeof *out);
    out->channel = c->channel;
    if (w->sensors[sensor].line < 0) return BF_OK;
    out->baseline_counts = c->sign * c->base;
    out->noise_counts = c->range / 4.7;
    out->footprints = c->footprints;
    out->missed = c->missed;
    out->saturated_samples = c->saturated_samples;
    out->spikes = c->spikes;
    const double seconds = (double)c->flat_frames * c->frame_scans / w->rate;
    const double at_end = (double)c->rail_frames * c->frame_scans / w->rate;
    if (at_end > 1.0 || fabs(c->base) > 32000.0 || c->saturated_share > 0.4) out->state = BF_CH_SATURATED;
    else if (c->sign != c->wired) out->state = BF_CH_REVERSED;
    else if ((seconds > 5.0 && !c->plate) || c->missed_run >= 6) out->state = BF_CH_DEAD; /* a scale may show one weight */
    else if (c->phase == CH_WHEEL && (double)(w->now - c->began) > 900.0 * w->rate) out->state = BF_CH_STUCK;
    else if (c->range > 2000.0 || (c->range > NOISY_COUNTS && c->range > NOISY * usual_range(w))) out->state = BF_CH_NOISY;
    return BF_OK;
}
