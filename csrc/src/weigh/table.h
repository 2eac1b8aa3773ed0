/* The sensor table: as channels, loops, and lines of sensors at one place along the lane.
 *
 * In: the caller's rows. Out: what array.h keeps of them. Called by wim.c at creation, and when the temperature changes. */
#ifndef BF_TABLE_H
#define BF_TABLE_H

#include "channel.h"
#include "loops.h"

static inline bool in_range(double v, double lo, double hi)
{
    return v >= lo && v <= hi; /* false for NaN */
}

/* Whether every row can work by itself; `*fault` is the first that cannot. */
bf_status table_check(const bf_sensor *sensors, size_t count, int channels, int32_t *fault);

/* Takes rows that were checked. `*fault` is a row for which there is no room on its line. */
bf_status table_read(const bf_sensor *sensors, size_t count, double temperature_c, sensor_array *array, presences *loops,
                     int32_t *fault);

/* The channel of sensor `index`, which is no loop. */
void table_channel(const sensor_array *array, int index, int frame_scans, channel *c);

void table_set_newton(sensor_info *s, double temperature_c);

#endif
