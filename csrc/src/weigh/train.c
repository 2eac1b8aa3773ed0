/* Footprints to axles: wheels of one line are paired, and the sequences that the lines saw are laid over each other.
 *
 * All lines see the same axles in the same order, whatever vehicles they belong to. A line may miss one or see
 * something that is none; so each line's sequence is aligned with the axles known from the lines before it, at the
 * lowest cost (dynamic programming). An axle leaves here when it has passed the last line. */
#include "train.h"
#include "crossings.h"
#include "reverse.h"
#include "spacing.h"

#include <math.h>
#include <string.h>

static void drop_pending(axle_stage *w, int line, int index)
{
    if (index >= w->pending_count[line]) return;
    pass *list = w->pending[line];
    memmove(list + index, list + index + 1, sizeof(pass) * (size_t)(w->pending_count[line] - index - 1));
    w->pending_count[line]--;
}

static double print_mid(const footprint *f)
{
    return 0.5 * (f->rise[1] + f->fall[1]);
}

/* The wheels of one axle come onto a strip across the whole lane at an angle one after the other: as far apart as its
 * angle says for a track of about 2 m, against the length of their footprints. The longest time, in scans, for one that
 * was `on` for so long; 0 on other sensors, and at angles at which the two footprints touch. */
static double pairs_within(const sensor_info *s, double on)
{
    static const double TRACK_M = 2.0, PRINT_M = 0.15, LEAST_M = 0.45, MOST_M = 1.1, MOST = 1.35;
    const double apart = TRACK_M * fabs(s->slope);
    return s->side == SIDE_FULL && apart > LEAST_M && apart < MOST_M ? MOST * apart / PRINT_M * on : 0.0;
}

/* The halves of a line at an angle are passed at times that depend on where across the lane the wheels run: by how much they
 * may be apart, in lengths of footprints. */
static double aside_slack(const sensor_info *a, const sensor_info *b)
{
    static const double ASIDE_M = 0.4, PRINT_M = 0.2, MOST = 2.5;
    const double slack = ASIDE_M * (fabs(a->slope) + fabs(b->slope)) / PRINT_M;
    return slack < MOST ? slack : MOST;
}

static double print_on(const footprint *f)
{
    return f->fall[1] - f->rise[1];
}

void train_footprint(axle_stage *w, const footprint *f)
{
    const sensor_info *s = &w->array->sensors[f->sensor];
    const int line = s->line;
    pass *list = w->pending[line];
    int *count = &w->pending_count[line];
    if (w->prints->free_count == 0) {
        /* Nothing ever leaves: give up the oldest pass of the fullest line. */
        int fullest = 0;
        for (int j = 1; j < w->array->line_count; ++j)
            if (w->pending_count[j] > w->pending_count[fullest]) fullest = j;
        if (w->pending_count[fullest] == 0) return;
        release_pass(w->prints, &w->pending[fullest][0]);
        drop_pending(w, fullest, 0);
    }
    if (f->begin < w->first_at) {
        w->first_at = f->begin;
        w->first_line = line;
    }
    footprint *slot = w->prints->free[--w->prints->free_count];
    *slot = *f;
    w->pending_changed = true;
    if (f->end > w->last_event) w->last_event = f->end;
    const double newton = f->peak * s->newton;
    /* What lines are compared by: a strip bears a quarter of a wheel where a plate bears all of it. */
    const double alike_n = s->s.type == BF_PLATE ? 0.25 * newton : newton;

    /* The other half of an axle: another sensor's footprint that overlaps this one by half of the shorter. */
    int best = -1;
    for (int i = *count - 1; i >= 0; --i) {
        const pass *p = &list[i];
        if (p->count == PASS_PRINTS) continue;
        bool same = false, overlaps = false;
        for (int k = 0; k < p->count; ++k) {
            const footprint *g = p->prints[k];
            if (g->sensor == f->sensor) {
                const double on = print_on(g) > print_on(f) ? print_on(g) : print_on(f);
                const double gap = print_mid(f) - print_mid(g), most = pairs_within(s, on);
                if (p->count == 1 && gap < most && gap > 0.15 * most && fabs(log(f->area / g->area)) < 0.5)
                    overlaps = true;
                else
                    same = true;
                continue;
            }
            const double from = f->rise[1] > g->rise[1] ? f->rise[1] : g->rise[1];
            const double to = f->fall[1] < g->fall[1] ? f->fall[1] : g->fall[1];
            const double a = f->fall[1] - f->rise[1], b = g->fall[1] - g->rise[1];
            if (to - from > (0.35 - aside_slack(s, &w->array->sensors[g->sensor])) * (a < b ? a : b)) overlaps = true;
            /* Where a wheel stands at a sensor's edge, the flanks tell little: the halves are on together. */
            const double on = f->begin > g->begin ? f->begin : g->begin, off = f->end < g->end ? f->end : g->end;
            const double fl = f->end - f->begin, gl = g->end - g->begin;
            if (off - on > 0.8 * (fl < gl ? fl : gl)) overlaps = true;
        }
        /* On a long plate those of two axles overlap: the nearest is the other half. */
        if (!same && overlaps && (best < 0 || fabs(p->mid - print_mid(f)) < fabs(list[best].mid - print_mid(f)))) best = i;
    }
    if (best >= 0) {
        pass *p = &list[best];
        p->prints[p->count++] = slot;
        p->peak_n += newton;
        p->side_n[s->side] += alike_n;
        if (f->saturated) p->saturated |= 1u << s->side;
        if (f->begin < p->begin) p->begin = f->begin;
        if (f->end > p->end) p->end = f->end;
        double sum = 0.0;
        for (int k = 0; k < p->count; ++k) sum += print_mid(p->prints[k]);
        p->mid = sum / p->count;
        return;
    }
    if (*count == PENDING) {
        release_pass(w->prints, &list[0]);
        drop_pending(w, line, 0);
    }
    pass fresh;
    memset(&fresh, 0, sizeof fresh);
    fresh.count = 1;
    fresh.prints[0] = slot;
    fresh.begin = f->begin;
    fresh.end = f->end;
    fresh.mid = print_mid(f);
    fresh.peak_n = newton;
    fresh.side_n[s->side] = alike_n;
    if (f->saturated) fresh.saturated = 1u << s->side;
    int at = *count;
    while (at > 0 && list[at - 1].mid > fresh.mid) {
        list[at] = list[at - 1];
        --at;
    }
    list[at] = fresh;
    (*count)++;
}

/* Passes of a line that no footprint can be added to any more. */
static int finished_passes(const axle_stage *w, int line)
{
    double open_from = HUGE_VAL;
    for (int i = 0; i < w->array->lines[line].count; ++i) {
        const int64_t since = channel_on_since(&w->channels[w->array->lines[line].sensors[i]]);
        if (since >= 0 && (double)since < open_from) open_from = (double)since;
    }
    int n = 0;
    while (n < w->pending_count[line] && w->pending[line][n].end < open_from) {
        const pass *p = &w->pending[line][n];
        const footprint *f = p->prints[0];
        /* At an angle, its other wheel may still come. */
        if (p->count == 1 && (double)w->stream->now - p->mid < pairs_within(&w->array->sensors[f->sensor], print_on(f))) break;
        ++n;
    }
    return n;
}

/* Scans for which a wheel was on a line, at the second level. */
static double time_on(const pass *p)
{
    double longest = 1.0;
    for (int i = 0; i < p->count; ++i) {
        const footprint *f = p->prints[i];
        if (f->fall[1] - f->rise[1] > longest) longest = f->fall[1] - f->rise[1];
    }
    return longest;
}

/* The least length, metres, that a wheel covers while it is on a line: as it was at the lines before. */
static double least_reach(const axle_stage *w, const axle_seen *a, int line)
{
    double reach = 0.03 + w->array->lines[line].width;
    for (int j = 0, before = -1; j < line; ++j) {
        if (!(a->seen & (1u << j))) continue;
        if (before >= 0) {
            const double on1 = time_on(&a->at[before]), on2 = time_on(&a->at[j]);
            const double v = (w->array->lines[j].x - w->array->lines[before].x) / (a->at[j].mid - a->at[before].mid);
            double seen = 0.85 * v * (on1 < on2 ? on1 : on2);
            if (seen > 0.35) seen = 0.35;
            if (seen > reach) reach = seen;
        }
        before = j;
    }
    return reach;
}

/* Whether it came from one line to the next faster than it can have been, after the times that it was on them. */
static bool too_fast(const axle_stage *w, const pass *p, const pass *q, double way)
{
    static const double LONGEST_M = 0.5, PULLS_MPS2 = 2.5, BRIEF_S = 1.0;
    const double on1 = time_on(p) / w->array->rate, on2 = time_on(q) / w->array->rate;
    if (on1 > BRIEF_S || on2 > BRIEF_S) return false; /* it may have stood there */
    const double v = LONGEST_M / (on1 < on2 ? on1 : on2);
    return (q->end - p->begin) / w->array->rate * sqrt(v * v + 2.0 * PULLS_MPS2 * way) < way;
}

/* What it costs that one wheel took so long from one line to the next: where it drove too fast at both to have slowed
 * down in between, or too slowly to have come so soon, these are two wheels. */
static double way_cost(const axle_stage *w, const axle_seen *a, int from, const pass *q, int to)
{
    const pass *p = &a->at[from];
    const double way = w->array->lines[to].x - w->array->lines[from].x, took = (q->mid - p->mid) / w->array->rate;
    if (!w->array->lines[from].plate && !w->array->lines[to].plate && too_fast(w, p, q, way)) return 12.0;
    const double reach = least_reach(w, a, to) * w->array->rate, v1 = reach / time_on(p), v2 = reach / time_on(q);
    if (took < 2.0 * way / (v1 < v2 ? v1 : v2)) return 0.0;
    const double braking = (v1 * v1 + v2 * v2) / (2.0 * way); /* m/s2, to stand in between */
    const double cost = 0.5 * braking * braking;
    return cost < 12.0 ? cost : 12.0;
}

/* What is known of an axle's sides from the lines before, with one more. */
static void note_sides(axle_seen *a, const pass *p)
{
    for (int s = 0; s < SIDES; ++s)
        if (a->side_n[s] <= 0.0 && !(p->saturated >> s & 1u)) a->side_n[s] = p->side_n[s];
}

static double match_cost(const axle_stage *w, const axle_seen *a, const pass *p, int line)
{
    int before = -1;
    for (int j = 0; j < line; ++j)
        if (a->seen & (1u << j)) before = j;
    const double least = (w->array->lines[line].x - w->array->lines[before].x) / 60.0 * w->array->rate;
    if (p->mid - a->at[before].mid < least) return HUGE_VAL;
    const double way = way_cost(w, a, before, p, line);
    /* Side by side: a half may be silent at one of the lines. */
    double cost = 0.0;
    int common = 0;
    for (int s = 0; s < SIDES; ++s)
        if (p->side_n[s] > 0.0 && a->side_n[s] > 0.0 && !(p->saturated >> s & 1u)) {
            const double ratio = log(p->side_n[s] / a->side_n[s]), r = ratio / 0.25;
            if (fabs(ratio) > 1.4) return HUGE_VAL; /* four times heavier: another thing */
            cost += 0.5 * r * r;
            ++common;
        }
    if (common == 0) return 0.5 + way;
    cost /= common;
    return (cost < 4.0 ? cost : 4.0) + way;
}

static double last_time(const axle_seen *a, int line)
{
    double t = 0.0;
    for (int j = 0; j < line; ++j)
        if (a->seen & (1u << j)) t = a->at[j].mid;
    return t;
}

enum { MOST = PENDING + BF_MAX_LINES * 4 };

static int support(unsigned seen)
{
    int n = 0;
    for (; seen; seen &= seen - 1) ++n;
    return n;
}

/* Whether a pass hardly stands out of the noise: alone it is more likely none. */
static bool is_faint(const axle_stage *w, const pass *p)
{
    static const double FAINT = 4.0; /* thresholds */
    for (int k = 0; k < p->count; ++k) {
        const footprint *f = p->prints[k];
        if (f->peak > FAINT * channel_threshold(&w->channels[f->sensor])) return false;
    }
    return true;
}

/* What it costs that `line` does not see an axle. One that few of the lines before saw is likely none at all: it must
 * not hold up those behind it. */
static double miss_cost(const axle_stage *w, const axle_seen *a, int line)
{
    static const double USUAL = 4.0, FAINT = 0.5;
    const unsigned before = a->seen & ((1u << line) - 1u);
    const double share = (double)support(before) / line;
    bool faint = support(before) == 1;
    for (int j = 0; j < line; ++j)
        if (before >> j & 1u) faint = faint && is_faint(w, &a->at[j]);
    return (faint ? FAINT : USUAL) * share * share;
}

/* Lays the `np` passes of `line` over the axles; returns the new number of axles. */
static int align(axle_stage *w, axle_seen *axles, int na, int line, int np)
{
    static const double FRESH = 5.0;
    double cost[MOST + 1][PENDING + 1];
    unsigned char from[MOST + 1][PENDING + 1];
    const pass *p = w->pending[line];
    if (np == 0) return na;
    for (int a = 0; a <= na; ++a)
        for (int k = 0; k <= np; ++k) {
            double best = a == 0 && k == 0 ? 0.0 : HUGE_VAL;
            unsigned char how = 0;
            if (a > 0 && cost[a - 1][k] + miss_cost(w, &axles[a - 1], line) < best) {
                best = cost[a - 1][k] + miss_cost(w, &axles[a - 1], line);
                how = 1;
            }
            if (k > 0 && cost[a][k - 1] + FRESH < best) {
                best = cost[a][k - 1] + FRESH;
                how = 2;
            }
            if (a > 0 && k > 0) {
                double c = match_cost(w, &axles[a - 1], &p[k - 1], line);
                if (from[a - 1][k - 1] == 3 && a > 1 && k > 1) {
                    /* Neighbours take about as long from line to line, unless they stop. */
                    const double d1 = p[k - 1].mid - last_time(&axles[a - 1], line);
                    const double d0 = p[k - 2].mid - last_time(&axles[a - 2], line);
                    if (d0 > 0.0 && d1 > 0.0) {
                        const double r = log(d1 / d0) / 0.6, s = 0.5 * r * r;
                        c += s < 3.0 ? s : 3.0;
                    }
                }
                if (cost[a - 1][k - 1] + c < best) {
                    best = cost[a - 1][k - 1] + c;
                    how = 3;
                }
            }
            cost[a][k] = best;
            from[a][k] = how;
        }
    /* Axles at the end may not have arrived yet: they cost nothing. */
    int a = 0;
    for (int i = 1; i <= na; ++i)
        if (cost[i][np] < cost[a][np]) a = i;
    int out = 0, k = np;
    unsigned char path[MOST + PENDING];
    for (int i = na; i > a; --i) path[out++] = 1;
    while (a > 0 || k > 0) {
        const unsigned char how = from[a][k];
        if (how == 0 || out >= MOST + PENDING) break;
        path[out++] = how;
        if (how != 2) --a;
        if (how != 1) --k;
    }
    if (out > MOST) return na;
    axle_seen *to = w->scratch2;
    int ia = 0, ik = 0, n = 0;
    for (int i = out - 1; i >= 0; --i) {
        if (path[i] == 2) {
            memset(&to[n], 0, sizeof to[n]);
            to[n].peak_n = p[ik].peak_n;
        } else {
            to[n] = axles[ia++];
        }
        if (path[i] != 1) {
            to[n].seen |= 1u << line;
            to[n].at[line] = p[ik++];
            if (p[ik - 1].peak_n > to[n].peak_n) to[n].peak_n = p[ik - 1].peak_n;
            note_sides(&to[n], &p[ik - 1]);
        }
        ++n;
    }
    memcpy(axles, to, sizeof(axle_seen) * (size_t)n);
    return n;
}

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
            release_pass(w->prints, p);
            drop_pending(w, j, i--);
        }
}

/* Counts for each sensor of a line the axles that it should have seen: those that its side showed elsewhere. */
static void note_missed(axle_stage *w, const axle_seen *a, int line)
{
    for (int i = 0; i < w->array->lines[line].count; ++i) {
        const int sensor = w->array->lines[line].sensors[i];
        bool saw = false;
        if (a->seen & (1u << line))
            for (int k = 0; k < a->at[line].count; ++k) saw = saw || a->at[line].prints[k]->sensor == sensor;
        if (saw || a->side_n[w->array->sensors[sensor].side] > 0.0) channel_saw(&w->channels[sensor], saw);
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
        release_pass(w->prints, &w->pending[line][0]);
        drop_pending(w, line, 0);
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
                release_pass(w->prints, &w->pending[j][0]);
                drop_pending(w, j, 0);
            }
}

/* The first line that has passes begins the row of axles; the others are laid over it. Returns how many axles. */
static int lay_lines(axle_stage *w, axle_seen *axles, const int *finished)
{
    int n = 0;
    for (int j = 0; j < w->array->line_count; ++j) {
        if (n > 0) {
            n = align(w, axles, n, j, finished[j]);
            continue;
        }
        for (; n < finished[j]; ++n) {
            memset(&axles[n], 0, sizeof axles[n]);
            axles[n].seen = 1u << j;
            axles[n].at[j] = w->pending[j][n];
            axles[n].peak_n = w->pending[j][n].peak_n;
            note_sides(&axles[n], &w->pending[j][n]);
        }
    }
    return n;
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
        drop_pending(w, j, 0);
    }
    if (support(a->seen) >= 2 || w->array->line_count == 1 || on_plate(w, a)) return true;
    release_axle(w->prints, a);
    return false;
}

/* Which lines saw it and which should have; until when what they still offer is stale. */
static void note_lines(axle_stage *w, const axle_seen *a, double *stale_before)
{
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

bool train_update(axle_stage *w, bool at_end)
{
    bool any = false;
    for (int j = 0; j < w->array->line_count; ++j) any = any || w->pending_count[j] > 0;
    if (!any) return false;
    const bool tick = ((w->stream->now / w->stream->frame_scans) & 7) == 0 && !wheel_on(w);
    if (!w->pending_changed && !at_end && !tick) return false;
    w->pending_changed = false;
    if (tick) drop_weak(w);

    axle_seen *axles = w->scratch;
    int finished[BF_MAX_LINES];
    for (int j = 0; j < w->array->line_count; ++j) {
        finished[j] = at_end ? w->pending_count[j] : finished_passes(w, j);
        if (finished[j] < w->pending_count[j]) w->pending_changed = true;
    }
    const bool reversing = reverse_filter(w, finished, at_end) && !at_end;
    const int n = lay_lines(w, axles, finished);
    int commit = passed_last(w, axles, n, finished, reversing);
    if (commit < n && (at_end || given_up(w, axles, n))) commit = n;

    double stale_before[BF_MAX_LINES] = {0};
    int left = -1; /* the last that went into the train */
    for (int i = 0; i < commit; ++i) {
        if (w->train->count == TRAIN) {
            w->pending_changed = true;
            for (int j = 0; j < w->array->line_count; ++j) drop_stale(w, j, stale_before[j]);
            return true;
        }
        if (!take_passes(w, &axles[i])) continue;
        note_lines(w, &axles[i], stale_before);
        join_train(w, &axles[i]);
        left = i;
    }
    if (left == commit - 1 && left >= 0 && !at_end) drop_overdue(w, &axles[left], &axles[commit], n - commit);
    for (int j = 0; j < w->array->line_count; ++j) drop_stale(w, j, stale_before[j]);
    return false;
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

bool train_reversed(const axle_stage *w)
{
    for (int i = 0; i < w->array->sensor_count; ++i)
        if (channel_reversed(&w->channels[i])) return true;
    return false;
}
