/* Passes to axles: which of them have passed the array and go into the train, and which passes belong to none. See train.h.
 *
 * An axle leaves here when it has passed the last line, or will not any more. */
#include "train.h"
#include "align.h"
#include "crossings.h"
#include "pending.h"
#include "reverse.h"
#include "spacing.h"

#include <math.h>
#include <string.h>

static bool wheel_on(const axle_stage *w)
{
    for (int i = 0; i < w->array->sensor_count; ++i)
        if (channel_on_since(&w->channels[i]) >= 0) return true;
    return false;
}

static bool loop_busy(const axle_stage *w)
{
    if (w->loops->ignored) return false;
    for (int i = 0; i < w->loops->count; ++i)
        if (w->loops->at[i].present && (double)(w->stream->now - w->loops->at[i].change_at) < 900.0 * w->array->rate) return true;
    return false;
}

/* Whether axles that have not reached the last line will not do so any more. A vehicle may stand between two lines for
 * minutes, so only speed, or a very long silence, says so. */
static bool given_up(const axle_stage *w, const axle_seen *axles, int n)
{
    if (wheel_on(w) || n == 0 || loop_busy(w)) return false;
    const axle_seen *a = &axles[n - 1];
    double first = HUGE_VAL, last = 0.0, x0 = 0.0, x1 = 0.0;
    for (int j = 0; j < w->array->line_count; ++j)
        if (a->seen & (1u << j)) {
            if (a->at[j].mid < first) {
                first = a->at[j].mid;
                x0 = w->array->lines[j].x;
            }
            if (a->at[j].mid > last) {
                last = a->at[j].mid;
                x1 = w->array->lines[j].x;
            }
        }
    const double waited = ((double)w->stream->now - w->last_event) / w->array->rate;
    double limit = 600.0;
    if (x1 > x0 && last > first) {
        const double v = (x1 - x0) / ((last - first) / w->array->rate);
        const double way = w->array->lines[w->array->line_count - 1].x - x1;
        if (v * v > 2.0 * 3.0 * way + 9.0) limit = 4.0 * way / v + 0.3; /* it cannot have stopped on the way */
    }
    return waited > limit;
}

/* A footprint at one line alone, far too weak for an axle of what passes here, is nothing to wait for. */
static void drop_weak(axle_stage *w)
{
    for (int j = 0; j < w->array->line_count; ++j)
        for (int i = 0; i < w->pending_count[j]; ++i) {
            const pass *p = &w->pending[j][i];
            if (((double)w->stream->now - p->end) / w->array->rate < 60.0) continue;
            if (!is_faint(w, p)) continue;
            pending_give_up(w, j, i--);
        }
}

/* Lorries' axles in a row on one half of the lane alone, that no row of drivers makes: the other half is dead at all lines. */
enum { LONE_AXLES = 24 };

static void note_lone(axle_stage *w, const axle_seen *a)
{
    static const double LORRY_N_M = 60000.0; /* highest force of a wheel for a metre of a strip's width; motorcycles keep below */
    for (int s = 0; s < SIDE_FULL; ++s) {
        const double other = a->side_n[SIDE_RIGHT - s];
        if (a->side_n[s] > 0.0 || a->side_n[SIDE_FULL] > 0.0) w->lone_run[s] = 0;
        else if (other > LORRY_N_M * w->array->lines[0].width && w->lone_run[s] < LONE_AXLES) w->lone_run[s]++;
    }
}

/* Whether a wheel as heavy as this axle's came over a sensor meanwhile: it works, whatever hinders its line. */
static bool felt(const axle_stage *w, const axle_seen *a, int sensor)
{
    static const double ALIKE = 3.0;
    const channel *c = &w->channels[sensor];
    const sensor_info *s = &w->array->sensors[sensor];
    double first = HUGE_VAL;
    for (int j = 0; j < w->array->line_count; ++j)
        if (a->seen >> j & 1u) first = fmin(first, a->at[j].begin);
    const double ratio = c->last.peak * s->newton / a->side_n[s->side];
    return !c->plate && (double)c->last.peak_at >= first && ratio < ALIKE && ratio > 1.0 / ALIKE;
}

/* Counts for each sensor of a line the axles that it should have seen: those that its side showed elsewhere. */
static void note_missed(axle_stage *w, const axle_seen *a, int line)
{
    for (int i = 0; i < w->array->lines[line].count; ++i) {
        const int sensor = w->array->lines[line].sensors[i];
        const side half = w->array->sensors[sensor].side;
        bool saw = false;
        if (a->seen & (1u << line))
            for (int k = 0; k < a->at[line].count; ++k) saw = saw || a->at[line].prints[k]->sensor == sensor;
        if (saw) channel_saw(&w->channels[sensor], true);
        else if (a->side_n[half] > 0.0 ? !felt(w, a, sensor) : half != SIDE_FULL && w->lone_run[half] == LONE_AXLES)
            channel_saw(&w->channels[sensor], false);
    }
}

/* Axles come and this line seems to miss them, though it has passes to offer from before they came: those belong to
 * nothing that is still on its way, and would keep the lines out of step. */
static double due_at(const axle_stage *w, const axle_seen *a, int line)
{
    int first = 0;
    while (!(a->seen >> first & 1u)) ++first;
    if (first < line) return -1.0;
    const double v = pass_speed(w->array, a, first);
    return a->at[first].mid - (w->array->lines[first].x - w->array->lines[line].x) / (v > 0.1 ? v : 0.1) * w->array->rate;
}

static void drop_stale(axle_stage *w, int line, double due)
{
    while (w->pending_count[line] > 0 && w->pending[line][0].mid < due) {
        pending_give_up(w, line, 0);
    }
}

/* A plate alone weighs a wheel and tells its speed; a strip alone tells neither. */
static bool on_plate(const axle_stage *w, const axle_seen *a)
{
    for (int j = 0; j < w->array->line_count; ++j)
        if ((a->seen & (1u << j)) && w->array->lines[j].plate) return true;
    return false;
}

/* Whether what the line saw of axle `a` weighs like the axle before it, and less like `a` itself elsewhere. */
static bool likes_better(const axle_seen *a, const axle_seen *before, int line)
{
    static const double CLEAR = 0.01;
    if (!(before->seen >> line & 1u)) return false;
    double own = 0.0, other = 0.0;
    for (int s = 0; s < SIDES; ++s)
        if (a->side_n[s] > 0.0 && a->at[line].side_n[s] > 0.0 && before->at[line].side_n[s] > 0.0) {
            own += fabs(log(a->at[line].side_n[s] / a->side_n[s]));
            other += fabs(log(a->at[line].side_n[s] / before->at[line].side_n[s]));
        }
    return own > other + CLEAR;
}

/* Whether the last line may have seen this axle rolling back, not coming: it has not the motion of the one before. */
static bool doubtful(axle_stage *w, const axle_seen *axles, int i, int last_line)
{
    static const double ONE_MOTION_M = 0.004;
    if (axles[i].seen != (2u << last_line) - 1u) return true;
    const axle_seen *before = i > 0 ? &axles[i - 1] : (w->train->count > 0 ? &w->train->at[w->train->count - 1] : NULL);
    if (!before) return false;
    const axle_seen pair[2] = {*before, axles[i]};
    if (likes_better(&axles[i], before, last_line)) return true;
    const double misfit = joint_fit(w->fit, pair).misfit_m;
    return misfit > ONE_MOTION_M && ((double)w->stream->now - axles[i].at[last_line].end) / w->array->rate < 60.0;
}

/* Place of an axle at a time between two of its crossings; before and after them NaN. */
static double place_at(const axle_stage *w, const axle_seen *a, double t)
{
    int before = -1;
    for (int j = 0; j < w->array->line_count; ++j) {
        if (!(a->seen >> j & 1u)) continue;
        if (before >= 0 && t >= a->at[before].mid && t <= a->at[j].mid)
            return w->array->lines[before].x + (w->array->lines[j].x - w->array->lines[before].x) * (t - a->at[before].mid) / (a->at[j].mid - a->at[before].mid);
        before = j;
    }
    return (double)NAN;
}

/* An axle that came onto the array while the one before it was over it has the same way to go: when that one has gone
 * further than the distance between them, lines that it has not crossed are not going to see it. A wheel that turned on
 * a line leaves such passes; they must not be taken for axles of the next vehicle. */
static bool overdue(const axle_stage *w, const axle_seen *before, const axle_seen *a)
{
    static const double SLACK_M = 0.4;
    int line = 0;
    while (!(a->seen >> line & 1u)) ++line;
    const double apart = place_at(w, before, a->at[line].mid) - w->array->lines[line].x;
    if (!(apart > 0.0)) return false;
    int due = 0, seen = 0;
    for (int j = line + 1; j < w->array->line_count; ++j) {
        if (w->array->lines[j].missed_run >= 2 || w->array->lines[j].x + apart + SLACK_M > before->exit.x) continue;
        ++due;
        if (a->seen >> j & 1u) ++seen;
    }
    return due > 0 && seen == 0;
}

/* Drops the passes of axles behind the last one that left where it shows that they are none. */
static void drop_overdue(axle_stage *w, const axle_seen *last, const axle_seen *behind, int count)
{
    for (int i = 0; i < count && overdue(w, last, &behind[i]); ++i)
        for (int j = 0; j < w->array->line_count; ++j)
            if (behind[i].seen >> j & 1u) {
                pending_give_up(w, j, 0);
            }
}

/* Whether an axle stood on the last line and nothing came since: it may have left it at its front, rolling back. */
static bool may_come_back(const axle_stage *w, const axle_seen *a, int last_line)
{
    static const double STOOD_S = 1.0, WAITS_S = 15.0;
    const pass *p = &a->at[last_line];
    if (!(a->seen >> last_line & 1u) || time_on(p) < STOOD_S * w->array->rate) return false;
    for (int j = 0; j < w->array->line_count; ++j)
        if (w->pending_count[j] > 0 && w->pending[j][w->pending_count[j] - 1].mid > p->end) return false;
    return ((double)w->stream->now - p->end) / w->array->rate < WAITS_S;
}

/* Scan since when there is a wheel on the line, or a pass of which one half is still to be told. */
static double open_since(const axle_stage *w, int line, int finished)
{
    double since = finished < w->pending_count[line] ? w->pending[line][finished].begin : HUGE_VAL;
    for (int i = 0; i < w->array->lines[line].count; ++i) {
        const int64_t on = channel_on_since(&w->channels[w->array->lines[line].sensors[i]]);
        if (on >= 0) since = fmin(since, (double)on);
    }
    return since;
}

/* Whether a line that does not know of this axle may have seen it before a later one did: its wheel there is not told yet,
 * because it leant on the edge or its baseline is waited for. Taken without it, the lines would be out of step. */
static bool may_be_told(const axle_stage *w, const axle_seen *a, const int *finished)
{
    static const double TOLD_S = 2.5;
    double reached = -1.0;
    for (int j = w->array->line_count - 1; j >= 0; --j) {
        if (a->seen >> j & 1u) {
            if (((double)w->stream->now - a->at[j].end) / w->array->rate < TOLD_S) reached = a->at[j].mid;
        } else if (w->array->lines[j].missed_run < MISS_RUN && open_since(w, j, finished[j]) < reached) {
            return true;
        }
    }
    return false;
}

/* How many of the axles have passed the last line that works. */
static int passed_last(axle_stage *w, const axle_seen *axles, int n, const int *finished, bool reversing)
{
    int last_line = w->array->line_count - 1, passed = 0;
    while (last_line > 0 && w->array->lines[last_line].missed_run >= MISS_RUN) --last_line;
    for (int i = 0; i < n; ++i)
        if (axles[i].seen >> last_line) passed = i + 1;
    while (reversing && passed > 0 && doubtful(w, axles, passed - 1, last_line)) --passed;
    if (passed > 0 && may_come_back(w, &axles[passed - 1], last_line)) --passed;
    for (int i = 0; i < passed; ++i)
        if (may_be_told(w, &axles[i], finished)) return i;
    return passed;
}

/* The passes of an axle leave the lists; false where they are too few to be one, and are given back. */
static bool take_passes(axle_stage *w, axle_seen *a)
{
    for (int j = 0; j < w->array->line_count; ++j) {
        if (!(a->seen & (1u << j))) continue;
        reverse_note(w, &a->at[j], j);
        a->came_back = a->came_back || a->at[j].came_back;
        pending_drop(w, j, 0);
    }
    if (support(a->seen) >= 2 || w->array->line_count == 1 || on_plate(w, a)) return true;
    release_axle(w->prints, a);
    return false;
}

/* Which lines saw it and which should have; until when what they still offer is stale. */
static void note_lines(axle_stage *w, const axle_seen *a, double *stale_before)
{
    note_lone(w, a);
    for (int j = 0; j < w->array->line_count; ++j) {
        line_info *l = &w->array->lines[j];
        const bool saw = a->seen >> j & 1u;
        l->missed_run = saw ? 0 : (l->missed_run < 1000 ? l->missed_run + 1 : l->missed_run);
        note_missed(w, a, j);
        if (!saw && l->missed_run >= 2) stale_before[j] = due_at(w, a, j);
    }
}

/* Left share of what the lines saw of an axle; negative where its sides are not known. */
static double left_share(const axle_stage *w, const axle_seen *a)
{
    double left = 0.0, both = 0.0;
    for (int j = 0; j < w->array->line_count; ++j) {
        const double l = a->at[j].side_n[SIDE_LEFT], r = a->at[j].side_n[SIDE_RIGHT];
        if (!(a->seen >> j & 1u) || !(l > 0.0) || !(r > 0.0)) continue;
        left += l / (l + r);
        both += 1.0;
    }
    return both > 0.0 ? left / both : -1.0;
}

/* Puts an axle at the end of the train. */
static void join_train(axle_stage *w, axle_seen *a)
{
    find_runs(w->array, a);
    a->left = left_share(w, a);
    w->train->at[w->train->count++] = *a;
    w->train->changed = true;
}

/* Whether any passes are there to be looked at. */
static bool any_pending(const axle_stage *w)
{
    for (int j = 0; j < w->array->line_count; ++j)
        if (w->pending_count[j] > 0) return true;
    return false;
}

/* How many passes of each line are complete. */
static void find_finished(axle_stage *w, int finished[BF_MAX_LINES], bool at_end)
{
    w->pending_changed = false;
    for (int j = 0; j < w->array->line_count; ++j) {
        finished[j] = at_end ? w->pending_count[j] : pending_finished(w, j);
        if (finished[j] < w->pending_count[j]) w->pending_changed = true;
    }
}

/* The first `commit` of the axles leave for the train, as long as it has room; `last` is the last one that went into it, or -1.
 * False where it was full before. */
static bool let_go(axle_stage *w, axle_seen *axles, int n, int commit, double stale_before[BF_MAX_LINES], int *last)
{
    *last = -1;
    for (int i = 0; i < commit; ++i) {
        if (w->train->count == TRAIN) return false;
        note_step(w, &axles[i], &axles[i + 1], n - i - 1);
        if (!take_passes(w, &axles[i])) continue;
        note_lines(w, &axles[i], stale_before);
        join_train(w, &axles[i]);
        *last = i;
    }
    return true;
}

bool train_update(axle_stage *w, bool at_end)
{
    if (!any_pending(w)) return false;
    const bool tick = (w->stream->done & 7) == 0 && !wheel_on(w); /* time may have decided */
    if (!w->pending_changed && !at_end && !tick) return false;
    if (tick) drop_weak(w);
    int finished[BF_MAX_LINES], last;
    find_finished(w, finished, at_end);
    const bool reversing = reverse_filter(w, finished, at_end) && !at_end;
    axle_seen *axles = w->scratch;
    const int n = lay_lines(w, axles, finished);
    int commit = passed_last(w, axles, n, finished, reversing);
    if (commit < n && (at_end || given_up(w, axles, n))) commit = n;

    double stale_before[BF_MAX_LINES] = {0};
    const bool full = !let_go(w, axles, n, commit, stale_before, &last);
    if (!full && last == commit - 1 && last >= 0 && !at_end) drop_overdue(w, &axles[last], &axles[commit], n - commit);
    for (int j = 0; j < w->array->line_count; ++j) drop_stale(w, j, stale_before[j]);
    if (full) w->pending_changed = true;
    return full;
}

bool train_awaits(const axle_stage *w)
{
    double heaviest = 0.0;
    for (int i = 0; i < w->train->count; ++i)
        if (w->train->at[i].peak_n > heaviest) heaviest = w->train->at[i].peak_n;
    for (int j = 0; j < w->array->line_count; ++j)
        for (int i = 0; i < w->pending_count[j]; ++i) {
            const pass *p = &w->pending[j][i];
            if (p->peak_n > 0.15 * heaviest || (double)w->stream->now - p->end < 3.0 * w->array->rate) return true;
        }
    for (int i = 0; i < w->array->sensor_count; ++i)
        if (channel_on_since(&w->channels[i]) >= 0) return true;
    return false;
}

bool train_at_fault(const axle_stage *w)
{
    for (int i = 0; i < w->array->sensor_count; ++i)
        if (w->array->sensors[i].misplaced ||
            (w->channels[i].used && (channel_reversed(&w->channels[i]) || channel_flat(&w->channels[i]))))
            return true;
    return w->lone_run[SIDE_LEFT] == LONE_AXLES || w->lone_run[SIDE_RIGHT] == LONE_AXLES;
}

int train_first_line(const axle_stage *w)
{
    return w->first_line;
}
