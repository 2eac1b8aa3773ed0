/* A mounted array and footprints as a wheel makes them, for the later stages alone: four lines of two halves at 0, 1.2, 2.9 and
 * 4.1 m, sensor 2 j left and 2 j + 1 right, one newton a count. */
#ifndef BF_MADE_H
#define BF_MADE_H

#include "table.h"

#include <math.h>
#include <string.h>

enum { MADE_LINES = 4, MADE_SENSORS = 2 * MADE_LINES };
#define MADE_WIDTH_M 0.07

static inline bf_status made_array(double rate_hz, sensor_array *array, presences *loops)
{
    static const double X_M[MADE_LINES] = {0.0, 1.2, 2.9, 4.1};
    bf_sensor rows[MADE_SENSORS];
    int32_t fault;
    memset(rows, 0, sizeof rows);
    for (int i = 0; i < MADE_SENSORS; ++i) {
        rows[i].type = BF_STRIP;
        rows[i].channel = i;
        rows[i].x_m = X_M[i / 2];
        rows[i].width_m = MADE_WIDTH_M;
        rows[i].y0_m = i % 2 ? 1.75 : 0.0;
        rows[i].y1_m = i % 2 ? 3.5 : 1.75;
        rows[i].gain_n = 1.0;
    }
    array->rate = rate_hz;
    return table_read(rows, MADE_SENSORS, 20.0, array, loops, &fault);
}

/* A trapezoid whose flanks take a quarter of its time, half as high at `mid` -+ `on` / 2 scans. */
static inline footprint made_print(int sensor, double mid, double on, double peak)
{
    footprint f;
    memset(&f, 0, sizeof f);
    const double flank = 0.25 * on, from = mid - 0.5 * on - 0.5 * flank, to = mid + 0.5 * on + 0.5 * flank;
    f.sensor = sensor;
    f.start = (int64_t)floor(from);
    f.begin = from;
    f.end = to;
    f.centre = mid;
    f.peak = peak;
    f.area = peak * on;
    f.still_from = f.still_to = mid;
    for (int q = 0; q < LEVELS; ++q) {
        f.rise[q] = from + footprint_level[q] * flank;
        f.fall[q] = to - footprint_level[q] * flank;
        f.rise_noise[q] = f.fall_noise[q] = 0.02;
    }
    const int each = (int)ceil((to - from) / (KEPT_POINTS - 2));
    for (double at = floor(from); at < to && f.count < KEPT_POINTS; at += each) {
        const double t = at + 0.5 * (each - 1), up = (t - from) / flank, down = (to - t) / flank;
        f.points[f.count].value = (float)(peak * fmax(0.0, fmin(1.0, fmin(up, down))));
        f.points[f.count++].n = each;
    }
    return f;
}

#endif
