/* A channel's samples without spikes and droop. See samples.h. */
#include "samples.h"
#include "wide.h"

#include <stdlib.h>

/* A spike stands out from the samples beside it by the noise and so many counts, and by a share of the wheel's height. */
static const double SPIKE_COUNTS = 8.0, SPIKE_SHARE = 0.25;

static int sample_at(const history *h, int64_t at, sample_source from)
{
    return from.sign * history_sample(h, at, from.channel);
}

/* Median of the samples around `at`, over the edges of frames. */
static int median_around(const history *h, int64_t at, sample_source from, int64_t first, int64_t last)
{
    int v[2 * SPIKE_MOST + 1];
    int n = 0;
    for (int64_t i = at - from.spike_width; i <= at + from.spike_width; ++i) {
        const int s = sample_at(h, i < first ? first : (i > last ? last : i), from);
        int k = n++;
        while (k > 0 && v[k - 1] > s) {
            v[k] = v[k - 1];
            --k;
        }
        v[k] = s;
    }
    return v[n / 2];
}

int sample_clean(const history *h, int64_t at, sample_source from, const baseline *b, double integral)
{
    const int s = sample_at(h, at, from), half = from.spike_width;
    if (half == 0) return s;
    const int64_t first = history_first(h), last = history_last(h);
    const int limit = (int)(b->range + SPIKE_COUNTS);
    if (at - half >= first && at + half <= last &&
        (abs(s - sample_at(h, at - half, from)) <= limit || abs(s - sample_at(h, at + half, from)) <= limit))
        return s;
    const int m = median_around(h, at, from, first, last), off = abs(s - m);
    return off > limit && off > SPIKE_SHARE * fabs(m - b->value + integral) ? m : s;
}

/* Marks what stands out from the samples on both its sides. */
static void find_suspects(frame_samples *s, int half, int limit)
{
    const int32_t *restrict raw = s->raw, *restrict before = s->raw - half, *restrict after = s->raw + half;
    int32_t *restrict suspect = s->suspect;
    int32_t any = 0;
    for (int i = 0; i < s->n; ++i) {
        suspect[i] = (abs(raw[i] - before[i]) > limit) & (abs(raw[i] - after[i]) > limit);
        any |= suspect[i];
    }
    s->suspects = any != 0;
}

enum { BLOCK = 1 << 3 }; /* samples that are looked at together; a frame has that many at least */

/* Of what stands out, most lies on a flank: below what comes before and above what comes after, or the other way round. Then
 * it is the median of all, or near to it: no more than half of the window lie far off on one side. */
static inline void clear_by(const int32_t *restrict raw, const int half, int limit, int32_t *restrict suspect)
{
    for (int i = 0; i < BLOCK; ++i) {
        int32_t lower = 0, higher = 0;
        for (int k = -half; k <= half; ++k) {
            lower += raw[i + k] < raw[i] - limit;
            higher += raw[i + k] > raw[i] + limit;
        }
        suspect[i] &= (lower > half) | (higher > half);
    }
}

WIDE_VECTORS static void clear_flanks(const int32_t *raw, int half, int limit, int32_t *suspect)
{
    _Static_assert(SPIKE_MOST == 3, "each width is unrolled");
    if (half == 3) clear_by(raw, 3, limit, suspect);
    else if (half == 2) clear_by(raw, 2, limit, suspect);
    else clear_by(raw, 1, limit, suspect);
}

/* One channel's samples of a frame, of a multiple of four. */
static void take_column(int32_t *restrict raw, const int16_t *restrict column, int n, size_t stride, int sign)
{
    for (int i = 0; i < n; i += 4, column += 4 * stride) {
        raw[i] = column[0];
        raw[i + 1] = column[stride];
        raw[i + 2] = column[2 * stride];
        raw[i + 3] = column[3 * stride];
    }
    for (int i = 0; sign < 0 && i < n; ++i) raw[i] = -raw[i];
}

static bool any_of(const int32_t *suspect)
{
    int32_t any = 0;
    for (int i = 0; i < BLOCK; ++i) any |= suspect[i];
    return any != 0;
}

WIDE_VECTORS void samples_load(frame_samples *s, const history *h, int64_t frame, sample_source from, const baseline *b)
{
    const int n = h->frame_scans, half = from.spike_width;
    const int64_t first = history_first(h), last = history_last(h);
    const int16_t *column = h->at[frame & (HISTORY_FRAMES - 1)] + from.channel;
    s->start = frame * n;
    s->n = n;
    s->raw = s->room + SPIKE_MOST;
    take_column(s->raw, column, n, (size_t)h->channels, from.sign);
    for (int i = 1; i <= SPIKE_MOST; ++i) {
        const int64_t before = s->start - i, after = s->start + n - 1 + i;
        s->raw[-i] = sample_at(h, before < first ? first : before, from);
        s->raw[n - 1 + i] = sample_at(h, after > last ? last : after, from);
    }
    s->suspects = false;
    if (half == 0) return;
    const int limit = (int)(b->range + SPIKE_COUNTS);
    find_suspects(s, half, limit);
    for (int i = 0; s->suspects && i < n; i += BLOCK)
        if (any_of(s->suspect + i)) clear_flanks(s->raw + i, half, limit, s->suspect + i);
    /* Where one side is not there. */
    for (int i = 0; i < half && i < n; ++i) {
        const bool begins = s->start + i - half < first, ends = s->start + n - 1 - i + half > last;
        if (begins) s->suspect[i] = 1;
        if (ends) s->suspect[n - 1 - i] = 1;
        s->suspects = s->suspects || begins || ends;
    }
}

static void take_spike_out(frame_samples *s, const history *h, int i, sample_source from, const baseline *b, double integral)
{
    const int clean = sample_clean(h, s->start + i, from, b, integral);
    s->suspect[i] = clean != s->raw[i] ? 2 : 1;
    s->x[i] = clean;
}

WIDE_VECTORS void samples_condition(frame_samples *s, const history *h, int first, sample_source from, const baseline *b, double integral)
{
    for (int i = first; i < s->n; ++i) s->x[i] = s->raw[i];
    if (!(b->tau_k > 0.0)) {
        if (s->suspects)
            for (int i = first; i < s->n; ++i)
                if (s->suspect[i]) take_spike_out(s, h, i, from, b, integral);
        s->y = s->x;
        return;
    }
    s->y = s->undrooped;
    for (int i = first; i < s->n; ++i) {
        if (s->suspects && s->suspect[i]) take_spike_out(s, h, i, from, b, integral);
        integral += (s->x[i] - b->value) * b->tau_k;
        s->integral[i] = integral;
        s->y[i] = s->x[i] + integral;
    }
}

int samples_spikes(const frame_samples *s)
{
    int found = 0;
    if (s->suspects)
        for (int i = 0; i < s->n; ++i) found += s->suspect[i] == 2;
    return found;
}
