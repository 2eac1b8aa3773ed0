/* Which readers and loops work, judged by the vehicles that pass them, and what it says that something was not read.
 *
 * A reader that sees nine of ten vehicles is thought dead after three or four misses in a row, one that sees one of ten after
 * some forty; it works again with the first reading. What a dead reader did not read says nothing of a vehicle. What one that
 * works did not read does: where nine of ten tags are read at both points, an untagged vehicle is not the one whose tag
 * was read. Called by segment.c (in) and evidence.c.
 */
#include "readers.h"
#include "../clamp.h"

#include <math.h>
#include <string.h>

static const double HAZARD = 0.003;       /* chance that a reader dies at a passage */
static const double ALIVE_MEMORY = 60.0;  /* passages */
static const double SHARE_MEMORY = 200.0;
static const double READS_MEMORY = 300.0; /* vehicles */

void bf_alive_init(bf_alive *a)
{
    *a = (bf_alive){.share = 0.5, .n = 2.0}; /* nobody has seen it work yet */
}

int32_t bf_alive_note(bf_alive *a, int32_t sees)
{
    int32_t before = a->works;
    if (sees) {
        if (before) { /* misses count once a reading has shown that it was alive meanwhile */
            double vehicles = 1.0 + (double)a->misses;
            a->n = clamp(a->n + vehicles, 0.0, ALIVE_MEMORY);
            a->share = clamp(a->share + (1.0 - a->share * vehicles) / a->n, 0.002, 0.999);
        }
        a->works = 1;
        a->misses = 0;
        a->odds = 0.0;
        return !before;
    }
    a->misses++;
    if (before) {
        double missed = 1.0 - a->share;
        a->odds = (a->odds + HAZARD) / (missed > 0.02 ? missed : 0.02);
        a->works = a->odds < 1.0;
    }
    return before && !a->works;
}

void end_init(lane_end *e)
{
    memset(e, 0, sizeof *e);
    for (int kind = 0; kind < KINDS; kind++) {
        bf_alive_init(&e->readers[kind]);
        e->dead |= (uint8_t)(1 << kind);
    }
    bf_alive_init(&e->loop);
}

bool end_note(lane_end *e, uint8_t mask, bool looped, int64_t died[KINDS])
{
    uint8_t dead = e->dead;
    for (int kind = 0; kind < KINDS; kind++) {
        uint8_t bit = (uint8_t)(1 << kind);
        died[kind] = 0;
        if (!(mask & bit) && (dead & bit)) {
            e->readers[kind].misses++; /* it is dead, and goes on being so */
        } else if (bf_alive_note(&e->readers[kind], (mask & bit) != 0)) {
            e->dead ^= bit;
            if (!e->readers[kind].works) {
                died[kind] = e->readers[kind].misses;
            }
        }
    }
    if (looped) {
        e->n = e->n + 1.0 < SHARE_MEMORY ? e->n + 1.0 : SHARE_MEMORY;
        e->read_share += ((mask ? 1.0 : 0.0) - e->read_share) / e->n;
    }
    return bf_alive_note(&e->loop, looped) != 0;
}

double end_seen(const lane_end *e)
{
    return e->loop.works || e->n == 0.0 ? 1.0 : clamp(e->read_share, 0.02, 0.98);
}

static void weigh_reads(bf_reads *r)
{
    double total = r->total + 0.8;
    const double *c = r->counts;
    for (int up = 0; up < 2; up++) {
        for (int down = 0; down < 2; down++) {
            double joint = (c[2 * up + down] + 0.2) / total;
            double alone = (c[2 * up] + c[2 * up + 1] + 0.4) * (c[down] + c[2 + down] + 0.4) / (total * total);
            r->evidence[2 * up + down] = clamp(log(joint / alone), -6.0, 2.0);
        }
    }
    r->evidence[3] = r->mismatch;
}

void bf_reads_init(bf_reads *r, double mismatch)
{
    *r = (bf_reads){.counts = {1.0, 1.0, 1.0, 1.0}, .total = 4.0, .mismatch = mismatch, .fresh = 1};
    weigh_reads(r);
}

void bf_reads_learn(bf_reads *r, int32_t upstream, int32_t downstream)
{
    r->counts[2 * (upstream != 0) + (downstream != 0)] += 1.0;
    r->total += 1.0;
    if (--r->fresh > 0) {
        return;
    }
    if (r->total > READS_MEMORY) { /* the older fade */
        double keep = READS_MEMORY / r->total;
        for (int i = 0; i < 4; i++) {
            r->counts[i] *= keep;
        }
        r->total = READS_MEMORY;
    }
    r->fresh = (int32_t)clamp((double)((int)r->total / 16), 1.0, 16.0); /* it moves slowly once there are many */
    weigh_reads(r);
}
