/* Integrates the other half's signal over a light wheel's window. See beside.h. */
#include "beside.h"
#include "hum.h"

#include <math.h>

static const double NEAR_S = 0.04;  /* of baseline before and behind */
static const double SURE = 3.0;     /* deviations, over all lines */
static const double MOST = 0.8;     /* what is as heavy as the other half's part has a footprint of its own */
static const double LIGHT_KG = 350.0; /* wheels that may be a motorcycle's */
static const double LIGHT_N_M = 50000.0; /* their highest force, over the strip's width */
static const double AGREES = 4.0;   /* deviations, from what the lines say that saw both halves */

/* The only other half of a line, or -1. */
static int other_half(const sensor_array *array, int sensor)
{
    const sensor_info *s = &array->sensors[sensor];
    if (s->side == SIDE_FULL || s->s.type != BF_STRIP) return -1;
    const side wanted = s->side == SIDE_LEFT ? SIDE_RIGHT : SIDE_LEFT;
    int found = -1;
    for (int i = 0; i < array->lines[s->line].count; ++i) {
        const int k = array->lines[s->line].sensors[i];
        if (array->sensors[k].side != wanted) continue;
        if (found >= 0) return -1;
        found = k;
    }
    return found;
}

void beside_measure(const sensor_array *array, channel *channels, const channel_room *room, footprint *f)
{
    f->beside = f->beside_sigma = 0.0f;
    const int other = other_half(array, f->sensor);
    const sensor_info *s = &array->sensors[f->sensor];
    if (other < 0 || !(f->area > 0.0) || f->peak * s->newton > LIGHT_N_M * s->s.width_m) return;
    channel *c = &channels[other];
    const double foot0 = f->rise[0] - (f->rise[LEVELS - 1] - f->rise[0]), foot1 = f->fall[0] + (f->fall[0] - f->fall[LEVELS - 1]);
    const double near = NEAR_S * array->rate;
    if ((double)c->last.peak_at > foot0 - near) return; /* it has a footprint of its own */
    int64_t first = (room->past.frames - HISTORY_FRAMES + 1) * room->past.frame_scans;
    const int64_t last = room->past.frames * room->past.frame_scans - 1;
    if (first < c->last.peak_at) first = c->last.peak_at;
    if (first < 0) first = 0;
    if ((double)first > foot0 - 0.3 * near || (double)last < foot1 + 0.3 * near || last - first >= TRACE_POINTS) return;
    trace points, *t = &points;
    trace_begin(t, first);
    for (int64_t i = first; i <= last; ++i) {
        const double y = channel_recent(c, &room->past, i);
        trace_add(t, &y, 1, 0.0f);
    }
    double noise = channel_noise(c) > 0.3 ? channel_noise(c) : 0.3;
    hum h = {0};
    if (array->rate > 250.0) {
        const double left = hum_fit(&h, t, foot0, foot1, array->rate);
        if (h.present) {
            hum_take_out(&h, t, -HUGE_VAL, HUGE_VAL);
            noise = left > 0.3 ? left : 0.3;
        }
    }
    double sum[3] = {0.0}, n[3] = {0.0};
    for (int i = 0; i < t->count; ++i) {
        const double at = (double)(first + i);
        const int part = at < foot0 ? 0 : (at > foot1 ? 2 : 1);
        if (at < foot0 - near || at > foot1 + near) continue;
        sum[part] += (double)t->value[i];
        n[part] += 1.0;
    }
    if (n[0] < 3.0 || n[1] < 2.0 || n[2] < 3.0) return;
    const double base = 0.5 * (sum[0] / n[0] + sum[2] / n[2]);
    const double newton = array->sensors[other].newton / (f->area * s->newton);
    f->beside = (float)((sum[1] - n[1] * base) * newton);
    f->beside_sigma = (float)(noise * sqrt(n[1] + 0.25 * n[1] * n[1] * (1.0 / n[0] + 1.0 / n[2])) * newton);
}

/* The half of a line that has a load where the other one has none, or -1. */
static int lone_half(const side_load *l)
{
    if (l[SIDE_FULL].load_kg > 0.0 || (l[SIDE_LEFT].load_kg > 0.0) == (l[SIDE_RIGHT].load_kg > 0.0)) return -1;
    return l[SIDE_LEFT].load_kg > 0.0 ? SIDE_LEFT : SIDE_RIGHT;
}

void beside_fill(const sensor_array *array, const axle_seen *a, side_load loads[BF_MAX_LINES][SIDES], bf_axle *out)
{
    const footprint *at[BF_MAX_LINES] = {0};
    double sum = 0.0, weight = 0.0, seen[2] = {0.0, 0.0};
    for (int j = 0; j < array->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (loads[j][SIDE_LEFT].load_kg > 0.0 && loads[j][SIDE_RIGHT].load_kg > 0.0)
            for (int s = 0; s < 2; ++s) seen[s] += loads[j][s].load_kg;
        const int lone = lone_half(loads[j]);
        if (lone < 0 || a->at[j].count != 1 || loads[j][lone].load_kg > LIGHT_KG) continue;
        const footprint *f = a->at[j].prints[0];
        if (!(f->beside_sigma > 0.0f)) continue;
        const double var = (double)f->beside_sigma * (double)f->beside_sigma;
        at[j] = f;
        sum += (double)f->beside / var;
        weight += 1.0 / var;
    }
    const bool both = seen[0] > 0.0;
    if (!(weight > 0.0) || (!both && sum / sqrt(weight) < SURE)) return;
    for (int j = 0; j < array->line_count; ++j) {
        if (!at[j]) continue;
        double share = (double)at[j]->beside;
        const double sigma = (double)at[j]->beside_sigma;
        const int s = lone_half(loads[j]);
        const double expected = both ? seen[1 - s] / seen[s] : share;
        if (share > MOST || fabs(share - expected) > AGREES * sigma + 0.25 * expected) continue;
        if (share < 0.001) share = 0.001;
        side_load *other = &loads[j][s == SIDE_LEFT ? SIDE_RIGHT : SIDE_LEFT];
        other->load_kg = share * loads[j][s].load_kg;
        /* lines.c weighs variances by the share of the load. */
        other->variance = loads[j][s].variance + sigma * sigma / share;
        other->dip = loads[j][s].dip;
        out->sensor_kg[other_half(array, at[j]->sensor)] += (float)other->load_kg;
    }
}
