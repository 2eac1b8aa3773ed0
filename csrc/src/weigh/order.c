/* Lets the first wheels of vehicles tell in which order the lines lie. See order.h. */
#include "order.h"

#include <math.h>

/* Vehicles in a row, before lines are taken for misplaced. */
enum { VEHICLES = 6, MOST_RUN = 1000 };

/* The array is empty of a vehicle after so many times what its wheel was on a sensor (12 m or more on the way), and no sooner
 * than that: what is behind its first axle would else come to a line before the first axle does. */
static const double EMPTY_PASSES = 60.0, EMPTY_S = 1.0;

/* How far aside of the middle a wheel meets a strip at an angle. */
static const double ASIDE_M = 2.0;

static void begin(line_order *o)
{
    for (int j = 0; j < BF_MAX_LINES; ++j) o->at[j] = -1.0;
    o->open = false;
}

void order_init(line_order *o)
{
    begin(o);
    o->last_end = -HUGE_VAL;
    o->wrong = 0;
    o->run = 0;
}

/* So much of the way between two lines may be due to where across the lane a wheel runs. */
static double doubt_m(const sensor_array *array, const line_info *a, const line_info *b)
{
    double slope = 0.0;
    for (int i = 0; i < a->count; ++i) slope = fmax(slope, fabs(array->sensors[a->sensors[i]].slope));
    for (int i = 0; i < b->count; ++i) slope = fmax(slope, fabs(array->sensors[b->sensors[i]].slope));
    return 2.0 * ASIDE_M * slope;
}

/* The lines, two neighbours each, that the vehicle came to in the other order; *told: how many such pairs could tell. */
static unsigned out_of_order(const line_order *o, const sensor_array *array, int *told)
{
    unsigned wrong = 0;
    int before = -1;
    *told = 0;
    for (int j = 0; j < array->line_count; ++j) {
        if (o->at[j] < 0.0) continue;
        const int i = before;
        before = j;
        if (i < 0 || array->lines[j].x - array->lines[i].x <= doubt_m(array, &array->lines[i], &array->lines[j])) continue;
        ++*told;
        if (o->at[j] < o->at[i]) wrong |= 1u << i | 1u << j;
    }
    return wrong;
}

static void judge(line_order *o, sensor_array *array)
{
    int told;
    const unsigned wrong = out_of_order(o, array, &told);
    if (told == 0) return;
    o->wrong = o->run > 0 ? o->wrong & wrong : wrong;
    o->run = o->wrong ? (o->run < MOST_RUN ? o->run + 1 : MOST_RUN) : 0;
    for (int j = 0; j < array->line_count; ++j) array->lines[j].misplaced = o->run >= VEHICLES && (o->wrong >> j & 1u);
}

void order_take(line_order *o, sensor_array *array, const footprint *f)
{
    const int line = array->sensors[f->sensor].line;
    const double on = f->fall[1] - f->rise[1], empty = fmax(EMPTY_PASSES * on, EMPTY_S * array->rate);
    if (f->begin > o->last_end + empty) {
        if (o->open) judge(o, array);
        begin(o);
        o->open = true;
    }
    o->last_end = fmax(o->last_end, f->fall[0]);
    if (o->open && o->at[line] < 0.0) o->at[line] = f->centre;
}
