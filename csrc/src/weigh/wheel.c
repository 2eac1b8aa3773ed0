/* Records a wheel until it has gone. See wheel.h. */
#include "wheel.h"
#include "wide.h"

#include <stdlib.h>

/* After a wheel the baseline is waited for: half as long again as the signal took to come down from half its height, within
 * these bounds; a second, so that a creeping wheel's tail is not cut off. */
static const double WAIT = 1.5, LEAST_WAIT_S = 0.025, MOST_WAIT_S = 1.0;

/* The next wheel may come before; so much of the baseline must have been seen between them, or they are one. */
static const double BETWEEN_S = 0.003;

/* Gone is what is below half of the threshold. On a wheel that stood the baseline may have moved meanwhile: then below
 * that, but not above a tenth of the highest. */
static const double GONE = 0.5, GONE_OF_TOP = 0.1, STOOD_S = 1.0;

void wheel_begin(wheel *w, int64_t scan)
{
    trace_begin(&w->t, scan);
    w->top = 0.0;
    w->saturated = w->levelled = false;
    w->steepest = 0;
}

WIDE_VECTORS void wheel_lead(wheel *w, const double *y, int n, double base, float tolerance)
{
    double top = w->top;
    for (int i = 0; i < n; ++i)
        if (y[i] - base > top) top = y[i] - base;
    w->top = top;
    trace_add(&w->t, y, n, tolerance);
}

WIDE_VECTORS void wheel_steepness(wheel *w, const int32_t *raw, int n)
{
    int32_t most = w->steepest;
    for (int i = 0; i < n; ++i) {
        const int32_t front = abs(raw[i + 1] - raw[i - 1]);
        most = front > most ? front : most;
    }
    w->steepest = most;
}

void wheel_noticed(wheel *w, int64_t scan)
{
    trace_begins(&w->t);
    w->began = w->last_high = w->level_since = scan;
    w->quiet = 0;
    w->quiet_sum = 0.0;
    w->level_value = 0.0;
    w->jumped = true;
    w->above = 0;
}

/* Below this it is off the sensor. */
static inline double gone_below(double top, int64_t held, const wheel_rules *r)
{
    const double half = GONE * r->threshold;
    double low = half;
    if ((double)held > STOOD_S * r->rate_hz) low += r->unseen * (double)held;
    return low > GONE_OF_TOP * top && GONE_OF_TOP * top > half ? GONE_OF_TOP * top : low;
}

/* While it bears on the sensor. Returns the index of the sample that is off it, or with which `*event` came, or n. */
static int bearing(wheel *w, const double *y, int i, int n, int64_t scan, const wheel_rules *r, wheel_event *event)
{
    const double moved = 0.5 * r->threshold;
    const int64_t longest[2] = {(int64_t)(r->still[0].s * r->rate_hz), (int64_t)(r->still[1].s * r->rate_hz)};
    double top = w->top, level = w->level_value;
    int64_t high = w->last_high, level_since = w->level_since;
    for (; i < n; ++i) {
        const int64_t at = scan + i;
        const double z = y[i] - r->base, low = gone_below(top, at - w->began, r);
        if (z > top) top = z;
        if (z > 0.5 * top) high = at;
        if (z < low) break;
        if (fabs(z - level) > moved) {
            level = z;
            level_since = at;
        } else if ((at - level_since > longest[0] && z < r->still[0].below * top) ||
                   (at - level_since > longest[1] && z < r->still[1].below * top)) {
            *event = WHEEL_LEVEL;
            break;
        }
    }
    w->top = top;
    w->last_high = high;
    w->level_value = level;
    w->level_since = level_since;
    return i;
}

/* For how many samples the baseline is waited for. */
static double wait_of(const wheel *w, const wheel_rules *r)
{
    double need = WAIT * (double)(w->low_since - w->last_high), least = LEAST_WAIT_S * r->rate_hz;
    const double most = MOST_WAIT_S * r->rate_hz;
    if (least < r->confirm + 1.0) least = r->confirm + 1.0; /* at few samples a second: enough for a baseline */
    if (need > most) need = most;
    return need < least ? least : need;
}

/* After it has come down. Returns the index of the sample with which `*event` came, or with which it bears again, or n. */
static int waiting(wheel *w, const double *y, int i, int n, int64_t scan, const wheel_rules *r, wheel_event *event)
{
    double need = wait_of(w, r);
    int64_t quiet = w->quiet;
    double sum = w->quiet_sum;
    for (; i < n; ++i) {
        const double z = y[i] - r->base;
        if (z < gone_below(w->top, scan + i - w->began, r)) {
            w->above = 0;
            ++quiet;
            sum += y[i];
            if ((double)quiet < need) continue;
            *event = WHEEL_GONE;
            break;
        }
        if (z > 0.5 * w->top) {
            w->last_high = scan + i;
            need = wait_of(w, r);
        }
        if (!(z > r->threshold)) {
            ++quiet;
            sum += y[i];
        } else if (++w->above >= r->confirm) {
            w->above = 0;
            if ((double)quiet > BETWEEN_S * r->rate_hz) *event = WHEEL_NEXT;
            else quiet = 0;
            break;
        }
    }
    w->quiet = quiet;
    w->quiet_sum = sum;
    return i;
}

wheel_event wheel_take(wheel *w, const double *y, int n, int64_t scan, const wheel_rules *r, int *used)
{
    wheel_event event = WHEEL_ON;
    int i = 0;
    while (i < n && event == WHEEL_ON) {
        if (w->quiet == 0) {
            i = bearing(w, y, i, n, scan, r, &event);
            if (i == n || event != WHEEL_ON) break;
            w->low_since = scan + i;
            w->quiet_sum = 0.0;
        }
        i = waiting(w, y, i, n, scan, r, &event);
        if (i < n && event == WHEEL_ON) ++i; /* it bears again: that sample was looked at */
    }
    *used = i < n ? i + 1 : n;
    trace_add(&w->t, y, *used, r->tolerance);
    if (event == WHEEL_LEVEL) {
        w->quiet = scan + *used - 1 - w->level_since;
        w->quiet_sum = y[*used - 1] * (double)w->quiet;
        w->low_since = w->level_since;
        w->levelled = true;
    }
    return event;
}

int wheel_jump(wheel *w, const double *y, int n, int64_t scan, const wheel_rules *r)
{
    static const double HELD_S = 0.3, MOVED = 0.2, LEAST_RATE_HZ = 1000.0; /* slower, and a wheel may rise within a sample */
    const int64_t settled = w->began + r->confirm + 2; /* the fastest wheel needs several times as long to drive on */
    if (r->rate_hz < LEAST_RATE_HZ) w->jumped = false;
    for (int i = 0; i < n && w->jumped; ++i) {
        const double z = y[i] - r->base;
        if (scan + i < settled) continue;
        if (scan + i == settled) w->jump_value = z;
        if (fabs(z - w->jump_value) > r->threshold + MOVED * fabs(w->jump_value)) w->jumped = false;
        else if ((double)(scan + i - w->began) >= HELD_S * r->rate_hz) return i;
    }
    return n;
}
