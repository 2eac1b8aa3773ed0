/* Frames without copies, and their least, most and sum. See history.h. */
#include "history.h"
#include "wide.h"

#include <stdlib.h>
#include <string.h>

static const double FRAME_S = 0.0096; /* a frame is the power of two of scans next above this, at least */
enum { LEAST_SHIFT = 3, MOST_SHIFT = 12, ROWS = 8, VECTOR = 8 /* samples that a vector has at least */ };

bool history_init(history *h, int channels, double rate_hz)
{
    memset(h, 0, sizeof *h);
    h->shift = LEAST_SHIFT;
    while (h->shift < MOST_SHIFT && (double)(1 << h->shift) < FRAME_S * rate_hz) h->shift++;
    h->channels = channels;
    h->frame_scans = 1 << h->shift;
    const size_t samples = (size_t)h->frame_scans * (size_t)channels;
    h->memory = calloc(samples * (HISTORY_FRAMES + 1), sizeof(int16_t));
    if (!h->memory) return false;
    for (size_t i = 0; i < HISTORY_FRAMES; ++i) h->at[i] = h->own[i] = h->memory + i * samples;
    h->filling = h->memory + HISTORY_FRAMES * samples;
    return true;
}

void history_free(history *h)
{
    free(h->memory);
}

size_t history_take(history *h, const int16_t *samples, size_t scans)
{
    const size_t frame = (size_t)h->frame_scans, channels = (size_t)h->channels, fill = (size_t)h->fill;
    const size_t slot = (size_t)(h->frames & (HISTORY_FRAMES - 1));
    const bool whole = fill + scans >= frame;
    if (fill == 0 && whole) {
        h->at[slot] = samples;
        h->frames++;
        return frame;
    }
    const size_t take = whole ? frame - fill : scans;
    memcpy(h->filling + fill * channels, samples, take * channels * sizeof(int16_t));
    h->fill += (int)take;
    if (whole) {
        int16_t *full = h->filling;
        h->filling = h->own[slot];
        h->at[slot] = h->own[slot] = full;
        h->fill = 0;
        h->frames++;
    }
    return take;
}

int history_drop(history *h)
{
    const int fill = h->fill;
    h->fill = 0;
    return fill;
}

void history_keep(history *h)
{
    const size_t bytes = (size_t)h->frame_scans * (size_t)h->channels * sizeof(int16_t);
    for (int i = 0; i < HISTORY_FRAMES; ++i) {
        if (h->at[i] == h->own[i]) continue;
        memcpy(h->own[i], h->at[i], bytes);
        h->at[i] = h->own[i];
    }
}

static inline int16_t least16(int16_t a, int16_t b)
{
    return a < b ? a : b;
}

static inline int16_t most16(int16_t a, int16_t b)
{
    return a > b ? a : b;
}

/* Eight rows of `n` samples: the least, most and sum modulo 65536 of each column. A plain loop over int16, which a compiler
 * turns into vectors on any machine, with the same result. */
static inline void take_rows(const int16_t *restrict s, int n, int16_t *restrict lo, int16_t *restrict hi, uint16_t *restrict sum)
{
    const int16_t *restrict s1 = s + n, *restrict s2 = s1 + n, *restrict s3 = s2 + n;
    const int16_t *restrict s4 = s3 + n, *restrict s5 = s4 + n, *restrict s6 = s5 + n, *restrict s7 = s6 + n;
    for (int i = 0; i < n; ++i) {
        const int16_t a = s[i], b = s1[i], c = s2[i], d = s3[i], e = s4[i], f = s5[i], g = s6[i], k = s7[i];
        lo[i] = least16(least16(least16(a, b), least16(c, d)), least16(least16(e, f), least16(g, k)));
        hi[i] = most16(most16(most16(a, b), most16(c, d)), most16(most16(e, f), most16(g, k)));
        sum[i] = (uint16_t)((a + b + c + d) + (e + f + g + k));
    }
}

/* One row of such into another. */
static inline void combine(int16_t *restrict lo0, int16_t *restrict hi0, uint16_t *restrict sum0, const int16_t *restrict lo1,
                           const int16_t *restrict hi1, const uint16_t *restrict sum1, int n)
{
    for (int i = 0; i < n; ++i) {
        lo0[i] = least16(lo0[i], lo1[i]);
        hi0[i] = most16(hi0[i], hi1[i]);
        sum0[i] = (uint16_t)(sum0[i] + sum1[i]);
    }
}

/* The second half of a row into the first, a vector at a time; the last one may take in what lies behind, which is nobody's. */
static inline void fold(frame_ranges *r, int half)
{
    for (int from = 0; from < half; from += VECTOR) {
        int16_t lo[VECTOR], hi[VECTOR];
        uint16_t sum[VECTOR];
        for (int i = 0; i < VECTOR; ++i) lo[i] = least16(r->lo[from + i], r->lo[half + from + i]);
        for (int i = 0; i < VECTOR; ++i) hi[i] = most16(r->hi[from + i], r->hi[half + from + i]);
        for (int i = 0; i < VECTOR; ++i) sum[i] = (uint16_t)(r->low_bits[from + i] + r->low_bits[half + from + i]);
        memcpy(r->lo + from, lo, sizeof lo);
        memcpy(r->hi + from, hi, sizeof hi);
        memcpy(r->low_bits + from, sum, sizeof sum);
    }
}

/* What is left of a row that is too short for vectors: sample by sample, which does not wait for what was just written. */
static inline void add_up(frame_ranges *r, int row, int channels)
{
    for (int k = 0; k < channels; ++k) {
        int16_t lo = r->lo[k], hi = r->hi[k];
        uint16_t sum = r->low_bits[k];
        for (int i = k + channels; i < row; i += channels) {
            lo = least16(lo, r->lo[i]);
            hi = most16(hi, r->hi[i]);
            sum = (uint16_t)(sum + r->low_bits[i]);
        }
        r->lo[k] = lo;
        r->hi[k] = hi;
        r->low_bits[k] = sum;
    }
}

/* Asks for what lies some frames behind, before it is needed: a recording is read through faster than memory gives it of itself
 * (a tenth of the time of traffic). Small frames are in the cache. An address behind the block is never looked at. */
static inline void ask_ahead(const int16_t *frame, int samples)
{
#if defined(__GNUC__)
    enum { FRAMES = 4, LINE = 64, LEAST = 512 }; /* bytes */
    const int bytes = samples * (int)sizeof *frame;
    const uintptr_t from = (uintptr_t)frame + FRAMES * (uintptr_t)bytes;
    for (int i = 0; bytes >= LEAST && i < bytes; i += LINE) __builtin_prefetch((const void *)(from + (uintptr_t)i));
#else
    (void)frame, (void)samples;
#endif
}

/* Some scans side by side are one long row, so that the length of the vectors does not depend on the number of channels. */
WIDE_VECTORS void history_ranges(const history *h, int64_t frame, frame_ranges *r)
{
    const int16_t *s = h->at[frame & (HISTORY_FRAMES - 1)];
    const int n = h->frame_scans, channels = h->channels, part = n < ROWS * FOLDED ? n / ROWS : FOLDED, row = part * channels;
    ask_ahead(s, n * channels);
    take_rows(s, row, r->lo, r->hi, r->low_bits);
    for (int from = ROWS * part; from < n; from += ROWS * part) {
        frame_ranges more;
        take_rows(s + (size_t)from * (size_t)channels, row, more.lo, more.hi, more.low_bits);
        combine(r->lo, r->hi, r->low_bits, more.lo, more.hi, more.low_bits, row);
    }
    int left = row;
    for (int half = row / 2; half >= channels && half >= VECTOR; left = half, half /= 2) fold(r, half);
    if (left > channels) add_up(r, left, channels);
}

int32_t history_add(const history *h, int64_t frame, int channel)
{
    const int16_t *s = h->at[frame & (HISTORY_FRAMES - 1)] + channel;
    int32_t sum = 0;
    for (int i = 0; i < h->frame_scans; ++i, s += h->channels) sum += *s;
    return sum;
}
