/* Tells that most lines are reversed. See turned.h. */
#include "turned.h"
#include "below.h"
#include "channel.h"

#include <math.h>

/* Pulses in a row, of three cars or a lorry. */
enum { PULSES = 6 };

/* A frame in so many is looked at. */
enum { LOOK_FRAMES = 16 };

/* A pulse's force for a metre of the sensor's width, as far as a wheel is within it: a light car's has twice as much. A lorry
 * in the next lane unloads the slab under this one by less. */
static const double LEAST_N_M = 5000.0, WITHIN_M = 0.1;

/* What disturbs all cables does so at once; a wheel comes to one line after the other. */
enum { APART_FRAMES = 2 };

static bool is_turned(const sensor_info *s, const channel *c)
{
    if (!c->used || c->below.run < PULSES) return false;
    return c->below.run_depth / c->below.run * fabs(s->newton) > LEAST_N_M * fmin(s->s.width_m, WITHIN_M);
}

/* The last frame with which something began on a channel, either way. */
static int64_t last_frame(const channel *c)
{
    const int64_t over = c->last.peak > 0.0 ? c->last.peak_at / c->b.scans : 0;
    return c->below.run > 0 && c->below.since > over ? c->below.since : over;
}

/* What was seen of the lines so far. */
typedef struct {
    int lines, channels; /* with a channel that is turned, or was before; channels that are now */
    bool busy;           /* something is on one of these */
    int64_t first, last; /* of when something last came to each line */
} survey;

static void survey_line(survey *all, const sensor_array *array, const channel *channels, const line_info *l)
{
    bool turned = false;
    int64_t at = 0;
    for (int i = 0; i < l->count; ++i) {
        const channel *c = &channels[l->sensors[i]];
        if (!c->used) continue;
        if (last_frame(c) > at) at = last_frame(c);
        turned = turned || channel_reversed(c);
        if (!is_turned(&array->sensors[l->sensors[i]], c)) continue;
        turned = true;
        all->channels++;
        all->busy = all->busy || c->phase != CH_IDLE;
    }
    if (turned) all->lines++;
    if (at < all->first) all->first = at;
    if (at > all->last) all->last = at;
}

void turned_look(const sensor_array *array, channel *channels, int64_t frame)
{
    if (frame % LOOK_FRAMES != 0) return;
    survey all = {0, 0, false, INT64_MAX, 0};
    for (int j = 0; j < array->line_count; ++j) survey_line(&all, array, channels, &array->lines[j]);
    if (all.channels == 0 || all.busy || 2 * all.lines < array->line_count) return;
    if (array->line_count > 1 && all.last - all.first < APART_FRAMES) return;
    for (int i = 0; i < array->sensor_count; ++i)
        if (is_turned(&array->sensors[i], &channels[i])) below_turn(&channels[i], (frame + 1) * channels[i].b.scans);
}
