/* Loops: stretches of presence, from the samples; and which of them an axle was in. For cut.c. */
#include "loops.h"

#include <math.h>
#include <string.h>

static void mark_on(loop_state *l, double at, bool split)
{
    if (l->count == LOOP_MARKS) {
        memmove(l->marks, l->marks + 1, sizeof(presence) * (LOOP_MARKS - 1));
        l->count--;
    }
    l->marks[l->count++] = (presence){.on = at, .off = HUGE_VAL, .split = split};
}

/* It comes or lets go when that has held for a while. */
static void take_sample(loop_state *l, int64_t at, double v, int64_t settle)
{
    const bool want = l->present ? v > l->lower : v > l->level;
    if (want == l->present) {
        l->pending = false;
        return;
    }
    if (!l->pending) l->change_at = at;
    l->pending = at - l->change_at < settle;
    if (l->pending) return;
    l->present = want;
    if (want) {
        mark_on(l, (double)l->change_at, false);
        l->top = l->valley = v;
        l->falling = false;
    } else if (l->count > 0) {
        l->marks[l->count - 1].off = (double)l->change_at;
        if (l->varies && l->top > l->level && l->level > 0.0) l->marks[l->count - 1].covered = l->level / l->top;
    }
}

/* Whether the amplitude is neither low nor full for longer than a switch takes, which may fall into one frame but not into two. */
static void look_for_flanks(loop_state *l, double part)
{
    static const double LITTLE = 0.3, MUCH = 0.7, FULL = 0.9;
    static const int TWICE = 6; /* two in a row say more than as many switches */
    const bool middling = part > LITTLE && part < MUCH;
    if (middling) l->between += l->middling ? TWICE : 1;
    else if (part >= FULL) l->full++;
    l->middling = middling;
    l->varies = l->between > 10 && l->between * 2000 > l->full;
}

/* Dips of the amplitude: a gap between two vehicles that is shorter than the loop. `middle`: scan in the middle of the frame. */
static void look_for_dips(loop_state *l, double mean, int64_t middle)
{
    static const double DIP = 0.25; /* of the height of the amplitude */
    const double height = l->top - l->level;
    if (mean > l->top) l->top = mean;
    if (height > 0.0) look_for_flanks(l, (mean - l->level) / height);
    const bool falls = !l->falling && height > 0.0 && mean < l->top - DIP * height;
    if (falls || (l->falling && mean < l->valley)) {
        l->falling = true;
        l->valley = mean;
        l->valley_at = middle;
    } else if (l->falling && mean > l->valley + DIP * height) {
        l->marks[l->count - 1].off = (double)l->valley_at;
        l->marks[l->count - 1].shared = true;
        mark_on(l, (double)l->valley_at, true);
        l->top = mean;
        l->falling = false;
    }
}

static void take_frame(loop_state *l, double rate_hz, const history *past, const frame_ranges *ranges, int64_t frame)
{
    static const double SETTLE_S = 0.015;
    const int n = past->frame_scans;
    const double lo = ranges->lo[l->channel], hi = ranges->hi[l->channel], sum = history_sum(past, frame, ranges, l->channel);
    const bool steady = !l->pending && (l->present ? lo > l->lower : hi <= l->level);
    for (int i = steady ? n : 0; i < n; ++i) {
        const int64_t at = frame * n + i;
        take_sample(l, at, history_sample(past, at, l->channel), (int64_t)(SETTLE_S * rate_hz));
    }
    if (l->present && l->count > 0) look_for_dips(l, sum / n, frame * n + n / 2);
}

void loops_frame(presences *loops, double rate_hz, const history *past, const frame_ranges *ranges, int64_t frame)
{
    for (int i = 0; i < loops->count; ++i) take_frame(&loops->at[i], rate_hz, past, ranges, frame);
}

void loops_close(presences *loops, int64_t now)
{
    for (int i = 0; i < loops->count; ++i) {
        loop_state *l = &loops->at[i];
        if (l->present && l->count > 0) {
            l->marks[l->count - 1].off = (double)now;
            l->marks[l->count - 1].lost = true;
        }
        l->present = l->pending = l->falling = false;
    }
}

/* When an axle was over the loop: its time at a line there, else by its speed at the nearer end of the array, else between
 * the lines on both sides. Not by the mean speed between lines, where it may have stood. Scans. */
static double time_over(const sensor_array *array, const axle_seen *a, const bf_sensor *loop)
{
    const double x = loop->x_m;
    int over = -1, before = -1, after = -1;
    for (int j = 0; j < array->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        const double off = fabs(array->lines[j].x - x);
        if (off <= 0.5 * loop->width_m && (over < 0 || off < fabs(array->lines[over].x - x))) over = j;
        if (array->lines[j].x <= x) before = j;
        else if (after < 0) after = j;
    }
    if (over >= 0) return a->at[over].mid;
    if (before < 0) return (a->entry.t - (a->entry.x - x) / a->entry.v) * array->rate;
    if (after < 0) return (a->exit.t + (x - a->exit.x) / a->exit.v) * array->rate;
    const double f = (x - array->lines[before].x) / (array->lines[after].x - array->lines[before].x);
    return a->at[before].mid + f * (a->at[after].mid - a->at[before].mid);
}

/* Index of the presence in which an axle was over the loop, or -1. */
int presence_of(const sensor_array *array, const loop_state *l, const axle_seen *a)
{
    const double t = time_over(array, a, &array->sensors[l->sensor].s);
    int best = -1;
    double least = HUGE_VAL;
    for (int i = 0; i < l->count; ++i) {
        const presence *p = &l->marks[i];
        const double off = t < p->on ? p->on - t : (t > p->off ? t - p->off : 0.0);
        if (off < least) {
            least = off;
            best = i;
        }
    }
    const double v = a->exit.v;
    return least / array->rate * (v > 0.2 ? v : 0.2) < 1.0 ? best : -1;
}

const loop_state *main_loop(const presences *loops)
{
    return loops->used && !loops->ignored && loops->count > 0 ? &loops->at[0] : NULL;
}
