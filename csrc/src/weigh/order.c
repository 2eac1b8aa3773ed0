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

/* A wheel's print with a strip's width, about; halves of a line that a wheel comes to so far apart are not of one line. */
static const double PRINT_M = 0.25, APART_M = 0.3;

static void begin(line_order *o)
{
    for (int i = 0; i < BF_MAX_SENSORS; ++i) o->at[i] = -1.0;
    o->open = false;
}

void order_init(line_order *o)
{
    begin(o);
    o->last_end = -HUGE_VAL;
    o->wrong = 0;
    o->run = 0;
}

/* So much of the way between two sensors may be due to where across the lane a wheel runs. */
static double doubt_m(const sensor_info *a, const sensor_info *b)
{
    return 2.0 * ASIDE_M * fmax(fabs(a->slope), fabs(b->slope));
}

/* Whether the first wheel came to two sensors as it cannot where the table says that they lie; *told: whether they could tell. */
static bool contradicts(const line_order *o, const sensor_array *array, int a, int b, bool *told)
{
    const sensor_info *s = &array->sensors[a], *t = &array->sensors[b];
    if (s->line < 0 || t->line < 0 || o->at[a] < 0.0 || o->at[b] < 0.0) return false;
    const double way = t->s.x_m - s->s.x_m, later = o->at[b] - o->at[a];
    if (s->line == t->line) {
        const bool apart = fabs(later) * PRINT_M > (APART_M + doubt_m(s, t)) * fmax(o->on[a], o->on[b]);
        *told = *told || s->side != t->side;
        return s->side != t->side && apart;
    }
    if (s->side != t->side || fabs(way) <= doubt_m(s, t)) return false;
    *told = true;
    return way * later < 0.0;
}

/* The sensors that the vehicle came to out of order; *told: whether any could tell. */
static uint64_t out_of_order(const line_order *o, const sensor_array *array, bool *told)
{
    uint64_t wrong = 0;
    *told = false;
    for (int a = 0; a < array->sensor_count; ++a)
        for (int b = a + 1; b < array->sensor_count; ++b)
            if (contradicts(o, array, a, b, told)) wrong |= UINT64_C(1) << a | UINT64_C(1) << b;
    return wrong;
}

static void judge(line_order *o, sensor_array *array)
{
    bool told;
    const uint64_t wrong = out_of_order(o, array, &told);
    if (!told) return;
    o->wrong = o->run > 0 ? o->wrong & wrong : wrong;
    o->run = o->wrong ? (o->run < MOST_RUN ? o->run + 1 : MOST_RUN) : 0;
    for (int i = 0; i < array->sensor_count; ++i) array->sensors[i].misplaced = o->run >= VEHICLES && (o->wrong >> i & 1u);
}

void order_take(line_order *o, sensor_array *array, const footprint *f)
{
    const double on = f->fall[1] - f->rise[1], empty = fmax(EMPTY_PASSES * on, EMPTY_S * array->rate);
    if (f->begin > o->last_end + empty) {
        if (o->open) judge(o, array);
        begin(o);
        o->open = true;
    }
    o->last_end = fmax(o->last_end, f->fall[0]);
    if (!o->open || o->at[f->sensor] >= 0.0) return;
    o->at[f->sensor] = f->centre;
    o->on[f->sensor] = on;
}
