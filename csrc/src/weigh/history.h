/* The last frames of all channels, interleaved as they came. In: the caller's samples. Out: frames of a fixed number of
 * scans, counted from the start of the stream, so that nothing depends on how the stream was cut into blocks.
 *
 * A whole frame of the caller's block is not copied: it is looked at where it lies. What later frames may still ask for is
 * kept when the block ends. Filled by wim.c, read by channel.c, loops.c and beside.c. */
#ifndef BF_HISTORY_H
#define BF_HISTORY_H

#include "borderflow_core.h"

#include <stdbool.h>

enum { HISTORY_FRAMES = 16, FRAME_MOST = 4096 /* scans */ };

typedef struct {
    int channels, frame_scans, shift; /* frame_scans = 1 << shift */
    int64_t frames;                   /* complete ones so far */
    const int16_t *at[HISTORY_FRAMES]; /* frame f is at[f % HISTORY_FRAMES]: in the caller's block or in `own` */
    int16_t *own[HISTORY_FRAMES];
    int16_t *filling;                 /* the next frame, of which `fill` scans are there */
    int fill;
    int16_t *memory;
} history;

/* Frames of about 13 ms. False where there is no memory. */
bool history_init(history *h, int channels, double rate_hz);
void history_free(history *h);

/* Takes of `scans` scans what belongs to the next frame; returns how many those are. */
size_t history_take(history *h, const int16_t *samples, size_t scans);

/* Drops the scans of the frame that is not full yet; returns how many those are. */
int history_drop(history *h);

/* The caller's block ends: keeps what is not kept yet. */
void history_keep(history *h);

static inline int history_sample(const history *h, int64_t scan, int channel)
{
    const int16_t *frame = h->at[(scan >> h->shift) & (HISTORY_FRAMES - 1)];
    return frame[(scan & (h->frame_scans - 1)) * h->channels + channel];
}

/* Oldest and newest scan that is there. */
static inline int64_t history_first(const history *h)
{
    return h->frames > HISTORY_FRAMES ? (h->frames - HISTORY_FRAMES) << h->shift : 0;
}

static inline int64_t history_last(const history *h)
{
    return (h->frames << h->shift) - 1;
}

/* Least and most of each channel over a frame, and its sum modulo 65536; what lies behind the channels is room to work in. */
enum { FOLDED = 8 };
typedef struct {
    int16_t lo[FOLDED * BF_MAX_CHANNELS], hi[FOLDED * BF_MAX_CHANNELS];
    uint16_t low_bits[FOLDED * BF_MAX_CHANNELS];
} frame_ranges;

void history_ranges(const history *h, int64_t frame, frame_ranges *r);

/* Every sample of a channel in a frame, added up. */
int32_t history_add(const history *h, int64_t frame, int channel);

/* The sum of a channel over the frame of which these are the ranges. Where the samples span so little that their distances to
 * the least one add up to less than 65536, its low bits tell it. */
static inline int32_t history_sum(const history *h, int64_t frame, const frame_ranges *r, int channel)
{
    const int32_t n = h->frame_scans, lo = r->lo[channel];
    if (n * (r->hi[channel] - lo) >= 65536) return history_add(h, frame, channel);
    return n * lo + (uint16_t)(r->low_bits[channel] - (uint32_t)(n * lo));
}

#endif
