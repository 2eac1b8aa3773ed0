/* What one pass of an axle tells alone, or the passes of one axle: roughly its speed and load, and which wheel it was. */
#ifndef BF_PASS_H
#define BF_PASS_H

#include "axle.h"
#include "tyre.h"

/* Whether a wheel stood while it was on the sensor. */
bool print_stood(const sensor_array *array, const footprint *f);

/* Which wheel it was: a strip across the whole lane at an angle sees the two of an axle one after the other. */
side print_side(const sensor_array *array, const pass *p, int index);

/* -1 for the left wheel, 1 for the right one, 0 where both are seen at once. */
int side_wheel(side of);

/* Where along the lane a wheel is when its middle is over a strip, if it runs `aside_m` metres right of the usual. */
double print_place(const sensor_array *array, const sensor_info *s, side of, double aside_m);

/* Rough speed of an axle near a line, m/s; its rough load, kg, where its wheels are `reach_m` on a strip. */
double pass_speed(const sensor_array *array, const axle_seen *a, int line);
double rough_load(const sensor_array *array, const axle_seen *a, double reach_m);

/* Greatest force that a line saw of it, newtons. */
double most_peak(const sensor_array *array, const axle_seen *a);

/* How far an axle usually goes while it is on a strip, between the second levels of its flanks: as long as the print that its
 * load gives it. */
typedef struct {
    double way_m, sigma_m;
} usual_passage;
usual_passage passage_of(const sensor_array *array, const axle_seen *a, int sensor);
usual_passage passage_of_peak(const sensor_array *array, double peak_n, int sensor, tyre_expected of);

#endif
