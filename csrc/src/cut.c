/* Axles to vehicles: where one vehicle ends and the next begins, by the loop where there is one, and by geometry. */
#include "array.h"

#include <math.h>
#include <string.h>

static void mark_on(loop_state *l, double at, bool split)
{
    if (l->count == LOOP_MARKS) {
        memmove(l->marks, l->marks + 1, sizeof(presence) * (LOOP_MARKS - 1));
        l->count--;
    }
    l->marks[l->count].on = at;
    l->marks[l->count].off = HUGE_VAL;
    l->marks[l->count].split = split;
    l->count++;
}

void loop_sample_frame(bf_wim *w, loop_state *l, int64_t frame)
{
    const int n = w->frame_scans;
    const int64_t settle = (int64_t)(0.015 * w->rate);
    double sum = 0.0;
    for (int i = 0; i < n; ++i) {
        const int64_t at = frame * n + i;
        const double v = history_sample(&w->past, at, l->channel);
        sum += v;
        const bool want = l->present ? v > l->lower : v > l->level;
        if (want == l->present) {
            l->pending = false;
            continue;
        }
        if (!l->pending) {
            l->pending = true;
            l->change_at = at;
        }
        if (at - l->change_at >= settle) {
            l->pending = false;
            l->present = want;
            if (want) {
                mark_on(l, (double)l->change_at, false);
                l->top = l->valley = v;
                l->falling = false;
            } else if (l->count > 0) {
                l->marks[l->count - 1].off = (double)l->change_at;
            }
        }
    }
    if (!l->present || l->count == 0) return;
    /* Dips of the amplitude: a gap between two vehicles that is shorter than the loop. */
    const double mean = sum / n, height = l->top - l->level;
    if (mean > l->top) l->top = mean;
    if (!l->falling) {
        if (mean < l->top - 0.25 * height && height > 0.0) {
            l->falling = true;
            l->valley = mean;
            l->valley_at = frame * n + n / 2;
        }
    } else if (mean < l->valley) {
        l->valley = mean;
        l->valley_at = frame * n + n / 2;
    } else if (mean > l->valley + 0.25 * height) {
        l->marks[l->count - 1].off = (double)l->valley_at;
        mark_on(l, (double)l->valley_at, true);
        l->top = mean;
        l->falling = false;
    }
}

/* When an axle was over the place x: linear between lines, extrapolated beyond. Scans. */
static double time_at(const bf_wim *w, const axle_seen *a, double x)
{
    int before = -1, after = -1, first = -1, last = -1;
    for (int j = 0; j < w->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (first < 0) first = j;
        last = j;
        if (w->lines[j].x <= x) before = j;
        else if (after < 0) after = j;
    }
    int i = before, k = after;
    if (i < 0) {
        i = first;
        k = first;
        for (int j = first + 1; j <= last; ++j)
            if (a->seen & (1u << j)) {
                k = j;
                break;
            }
    } else if (k < 0) {
        k = last;
        i = last;
        for (int j = last - 1; j >= first; --j)
            if (a->seen & (1u << j)) {
                i = j;
                break;
            }
    }
    if (i == k) return a->at[i].mid;
    const double f = (x - w->lines[i].x) / (w->lines[k].x - w->lines[i].x);
    return a->at[i].mid + f * (a->at[k].mid - a->at[i].mid);
}

static double entry_speed(const bf_wim *w, const axle_seen *a)
{
    int i = -1;
    for (int j = 0; j < w->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (i >= 0) return (w->lines[j].x - w->lines[i].x) / ((a->at[j].mid - a->at[i].mid) / w->rate);
        i = j;
    }
    return 1.0;
}

static double exit_speed(const bf_wim *w, const axle_seen *a)
{
    int i = -1;
    for (int j = w->line_count - 1; j >= 0; --j) {
        if (!(a->seen & (1u << j))) continue;
        if (i >= 0) return (w->lines[i].x - w->lines[j].x) / ((a->at[i].mid - a->at[j].mid) / w->rate);
        i = j;
    }
    return 1.0;
}

/* Distance between two neighbouring axles, from the times at which both were between the lines. */
static double spacing(const bf_wim *w, const axle_seen *a, const axle_seen *b)
{
    double sum = 0.0, weight = 0.0;
    for (int j = 0; j < w->line_count; ++j) {
        if (!(b->seen & (1u << j))) continue;
        /* Where was the first when the second was at this line? */
        const double t = b->at[j].mid;
        int i = -1;
        for (int k = 0; k < w->line_count; ++k)
            if ((a->seen & (1u << k)) && a->at[k].mid <= t) i = k;
        if (i < 0) continue;
        int k = i + 1;
        while (k < w->line_count && !(a->seen & (1u << k))) ++k;
        if (k >= w->line_count) continue;
        const double f = (t - a->at[i].mid) / (a->at[k].mid - a->at[i].mid);
        sum += w->lines[i].x + f * (w->lines[k].x - w->lines[i].x) - w->lines[j].x;
        weight += 1.0;
    }
    if (weight > 0.0) return sum / weight;
    int last = 0, first = 0;
    for (int j = 0; j < w->line_count; ++j)
        if (a->seen & (1u << j)) last = j;
    for (int j = w->line_count - 1; j >= 0; --j)
        if (b->seen & (1u << j)) first = j;
    const double dt = (b->at[first].mid - a->at[last].mid) / w->rate;
    return w->lines[last].x - w->lines[first].x + 0.5 * (exit_speed(w, a) + entry_speed(w, b)) * dt;
}

/* Index of the presence in which an axle was over the loop, or -1. */
static int presence_of(const bf_wim *w, const loop_state *l, const axle_seen *a)
{
    const double t = time_at(w, a, w->sensors[l->sensor].s.x_m);
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
    const double v = exit_speed(w, a);
    return least / w->rate * (v > 0.2 ? v : 0.2) < 1.0 ? best : -1;
}

static const loop_state *main_loop(const bf_wim *w)
{
    return w->options.use_loop && w->loop_count > 0 ? &w->loops[0] : NULL;
}

/* The largest distance that two neighbouring axles of one vehicle may have. */
static double longest_spacing(const axle_seen *axles, int count)
{
    double most = 0.0;
    for (int i = 0; i < count; ++i)
        if (axles[i].peak_n > most) most = axles[i].peak_n;
    return most > 9000.0 ? 13.5 : 6.5;
}

static bool boundary(const bf_wim *w, int k, bool *by_loop)
{
    const axle_seen *a = &w->train[k - 1], *b = &w->train[k];
    *by_loop = false;
    if (b->lost_before) return true;
    const double d = spacing(w, a, b);
    const loop_state *l = main_loop(w);
    if (l) {
        const int pa = presence_of(w, l, a), pb = presence_of(w, l, b);
        if (pa >= 0 && pb >= 0) {
            *by_loop = true;
            return pa != pb;
        }
    }
    return d > longest_spacing(w->train, k);
}

static void emit(bf_wim *w, int count)
{
    if (count > BF_MAX_AXLES) count = BF_MAX_AXLES;
    bf_vehicle *v;
    if (w->ring_count == RING) {
        w->ring_head = (w->ring_head + 1) % RING;
        w->ring_count--;
    }
    v = &w->ring[(w->ring_head + w->ring_count) % RING];
    memset(v, 0, sizeof *v);
    weigh(w, w->train, count, v);
    v->first_axle_scan += (double)w->lost;
    v->exit_scan += (double)w->lost;
    if (count >= 2) w->ring_count++;
    for (int i = 0; i < count; ++i) release_axle(w, &w->train[i]);
    memmove(w->train, w->train + count, sizeof(axle_seen) * (size_t)(w->train_count - count));
    w->train_count -= count;
}

/* Whether the vehicle whose axles are all in the train will get no more. */
static bool complete(const bf_wim *w)
{
    const axle_seen *a = &w->train[w->train_count - 1];
    for (int j = 0; j < w->line_count; ++j)
        if (w->pending_count[j] > 0) return false;
    for (int i = 0; i < w->sensor_count; ++i)
        if (w->sensors[i].line >= 0 && w->channels[i].phase == CH_WHEEL) return false;
    double last = 0.0;
    for (int j = 0; j < w->line_count; ++j)
        if ((a->seen & (1u << j)) && a->at[j].mid > last) last = a->at[j].mid;
    const double since = ((double)w->now - last) / w->rate, v = exit_speed(w, a);
    const loop_state *l = main_loop(w);
    if (l) {
        const int p = presence_of(w, l, a);
        if (p >= 0) {
            const double off = l->marks[p].off;
            if (!(off < HUGE_VAL)) return false;
            /* A wheel that was behind the loop when it became free must have come by. */
            const bf_sensor *s = &w->sensors[l->sensor].s;
            const double way = w->lines[w->line_count - 1].x - (s->x_m + 0.5 * s->width_m);
            const double gone = ((double)w->now - off) / w->rate;
            return way <= 0.0 || gone * (v > 0.3 ? v : 0.3) > way + 0.5;
        }
    }
    return since * (v > 0.5 ? v : 0.5) > longest_spacing(w->train, w->train_count) + 1.0;
}

void cut_update(bf_wim *w, bool at_end)
{
    bool by_loop;
    for (int k = 1; k < w->train_count; ++k)
        if (boundary(w, k, &by_loop) || k >= BF_MAX_AXLES) {
            emit(w, k);
            k = 0;
        }
    if (w->train_count > 0 && (at_end || complete(w))) emit(w, w->train_count);
}
