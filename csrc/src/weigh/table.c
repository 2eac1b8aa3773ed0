/* Reads the sensor table. See table.h. */
#include "table.h"

#include <math.h>
#include <stdlib.h>

static const double SAME_LINE_M = 0.02;

/* Below the wheel of the lightest vehicle, and above what an indicator's division (mostly 5 to 20 kg) makes of a
 * baseline between two steps. */
static const double LEAST_WHEEL_N = 245.0;

static int compare_lines(const void *a, const void *b)
{
    const double x = ((const line_info *)a)->x, y = ((const line_info *)b)->x;
    return (x > y) - (x < y);
}

void table_set_newton(sensor_info *s, double temperature_c)
{
    const double f = 1.0 + s->s.temp_coeff_per_c * (temperature_c - s->s.reference_temperature_c);
    s->newton = fabs(s->s.gain_n) / (f > 0.05 ? f : 0.05); /* its sign is the channel's */
}

static void find_sides(sensor_array *array)
{
    double lo = HUGE_VAL, hi = -HUGE_VAL;
    for (int i = 0; i < array->sensor_count; ++i) {
        const bf_sensor *s = &array->sensors[i].s;
        if (s->type == BF_LOOP || isnan(s->y0_m) || isnan(s->y1_m)) continue;
        if (s->y0_m < lo) lo = s->y0_m;
        if (s->y1_m > hi) hi = s->y1_m;
    }
    for (int i = 0; i < array->sensor_count; ++i) {
        sensor_info *s = &array->sensors[i];
        s->side = SIDE_FULL;
        if (s->s.type == BF_LOOP || isnan(s->s.y0_m) || isnan(s->s.y1_m)) continue;
        if (s->s.y1_m - s->s.y0_m > 0.65 * (hi - lo)) continue;
        s->side = 0.5 * (s->s.y0_m + s->s.y1_m) < 0.5 * (lo + hi) ? SIDE_LEFT : SIDE_RIGHT;
    }
}

/* Strips at an angle to the lane. */
static void find_slopes(sensor_array *array)
{
    static const double TRACK_M = 2.0, DIFFERENT = 0.005;
    double lo = HUGE_VAL, hi = -HUGE_VAL, least = HUGE_VAL, most = -HUGE_VAL;
    for (int i = 0; i < array->sensor_count; ++i) {
        sensor_info *s = &array->sensors[i];
        if (s->s.type == BF_LOOP || !isfinite(s->s.y0_m) || !isfinite(s->s.y1_m)) continue;
        if (s->s.y0_m < lo) lo = s->s.y0_m;
        if (s->s.y1_m > hi) hi = s->s.y1_m;
        s->y_m = 0.5 * (s->s.y0_m + s->s.y1_m);
        if (s->s.type == BF_STRIP && fabs(s->s.angle_deg) < 80.0) s->slope = tan(s->s.angle_deg * 0.017453292519943295);
    }
    for (int i = 0; i < array->sensor_count; ++i) {
        if (array->sensors[i].s.type == BF_LOOP) continue;
        if (array->sensors[i].slope < least) least = array->sensors[i].slope;
        if (array->sensors[i].slope > most) most = array->sensors[i].slope;
    }
    array->slopes_differ = most - least > DIFFERENT;
    const double middle = hi > lo ? 0.5 * (lo + hi) : 0.0;
    array->side_y_m[SIDE_LEFT] = middle - 0.5 * TRACK_M;
    array->side_y_m[SIDE_RIGHT] = middle + 0.5 * TRACK_M;
    array->side_y_m[SIDE_FULL] = middle;
}

/* The line at the place of a sensor, or a new one; null where there is no room for it. */
static line_info *line_at(sensor_array *array, const bf_sensor *s)
{
    int j = 0;
    while (j < array->line_count && fabs(array->lines[j].x - s->x_m) > SAME_LINE_M) ++j;
    if (j == BF_MAX_LINES) return NULL;
    line_info *line = &array->lines[j];
    if (j == array->line_count) {
        line->x = s->x_m;
        line->width = s->width_m;
        array->line_count++;
    }
    return line->count < LINE_SENSORS ? line : NULL;
}

static bf_status find_lines(sensor_array *array, int32_t *fault)
{
    for (int i = 0; i < array->sensor_count; ++i) {
        sensor_info *s = &array->sensors[i];
        s->line = -1;
        if (s->s.type == BF_LOOP) continue;
        line_info *line = line_at(array, &s->s);
        if (!line) {
            *fault = i;
            return BF_ERR_SENSORS;
        }
        line->sensors[line->count++] = i;
        line->plate = line->plate || s->s.type == BF_PLATE;
    }
    qsort(array->lines, (size_t)array->line_count, sizeof array->lines[0], compare_lines);
    for (int j = 0; j < array->line_count; ++j)
        for (int i = 0; i < array->lines[j].count; ++i) array->sensors[array->lines[j].sensors[i]].line = j;
    return array->line_count > 0 ? BF_OK : BF_ERR_SENSORS;
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

static void add_loop(const bf_sensor *s, int index, presences *loops)
{
    static const double LOWER = 0.1; /* of the threshold: a loop lets go a little below it */
    if (loops->count == LOOPS) return;
    loop_state *l = &loops->at[loops->count++];
    l->sensor = index;
    l->channel = s->channel;
    l->level = s->threshold_counts;
    l->lower = l->level - LOWER * fabs(l->level);
}

void table_channel(const sensor_array *array, int index, int frame_scans, channel *c)
{
    const sensor_info *s = &array->sensors[index];
    channel_init(c, index, s->s.channel, array->rate, frame_scans, s->s.coupling_tau_s);
    if (s->s.gain_n < 0.0) c->wired = c->source.sign = -1;
    if (s->s.type != BF_PLATE) return;
    c->plate = true;
    c->b.least = LEAST_WHEEL_N / s->newton;
}

bf_status table_check(const bf_sensor *sensors, size_t count, int channels, int32_t *fault)
{
    if (count == 0 || count > BF_MAX_SENSORS) return BF_ERR_SENSORS;
    for (size_t i = 0; i < count; ++i) {
        if (check_sensor(&sensors[i], channels) == BF_OK) continue;
        *fault = (int32_t)i;
        return BF_ERR_SENSORS;
    }
    return BF_OK;
}

bf_status table_read(const bf_sensor *sensors, size_t count, double temperature_c, sensor_array *array, presences *loops,
                     int32_t *fault)
{
    array->sensor_count = (int)count;
    for (int i = 0; i < array->sensor_count; ++i) {
        array->sensors[i].s = sensors[i];
        table_set_newton(&array->sensors[i], temperature_c);
        if (sensors[i].type == BF_LOOP) add_loop(&sensors[i], i, loops);
    }
    find_sides(array);
    find_slopes(array);
    return find_lines(array, fault);
}
