/* The first stage: one strip's or plate's channel, frames of raw samples in, footprints out. Called by wim.c once a frame.
 *
 * Frames in which nothing happens cost a least, a most and a sum (history.c); the others are looked at sample by sample
 * (samples.c). What is on the sensor is recorded (wheel.c) and, when it has gone, measured (passage.c). The stage knows
 * nothing of the others: tests/core/test_stages.py runs it alone. */
#ifndef BF_CHANNEL_H
#define BF_CHANNEL_H

#include "channel_state.h"

void channel_init(channel *c, int sensor, int index, double rate_hz, int frame_scans, double tau_s);

/* Every used channel takes frame number `frame`, of which room->ranges are filled; the next one is in the history already, or
 * it is the last. */
void channels_frame(channel *list, int count, channel_room *room, int64_t frame);

/* The stream ends or has a gap: closes what is open. */
void channel_close(channel *c, channel_room *room);
void channel_restart(channel *c, int64_t scan);

/* A raw sample of the last frames, without spikes. */
double channel_recent(const channel *c, const history *h, int64_t scan);

/* Scan since which a wheel is on the sensor, or -1. */
int64_t channel_on_since(const channel *c);
/* An axle passed whose wheel this sensor should have seen. */
void channel_saw(channel *c, bool saw);
/* Wheels show that it is wired the other way round than the table says. */
bool channel_reversed(const channel *c);
/* Without any noise for so long that nothing is connected. */
bool channel_flat(const channel *c);
/* How it does at scan `now`; `usual_range` is the middle of those of its fellows. */
void channel_health(const channel *c, int64_t now, double usual_range, bf_channel_health *out);

#endif
