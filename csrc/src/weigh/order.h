/* Whether wheels come to the lines in the order of their x_m: who exchanged two cables, or two numbers of the table, or looks
 * at traffic that runs the other way, gets vehicles that never were. In: footprints, from wim.c. Out: sensor_info.misplaced. */
#ifndef BF_ORDER_H
#define BF_ORDER_H

#include "array.h"
#include "footprint.h"

/* The first wheel after a while on an empty array, sensor by sensor. */
typedef struct {
    double at[BF_MAX_SENSORS], on[BF_MAX_SENSORS]; /* scan at which it came, negative: not yet; scans for which it was there */
    double last_end;                               /* of all footprints so far */
    bool open;
    uint64_t wrong; /* sensors that it came to out of order with each of the last `run` vehicles; bit for each */
    int run;
} line_order;

void order_init(line_order *o);
void order_take(line_order *o, sensor_array *array, const footprint *f);

#endif
