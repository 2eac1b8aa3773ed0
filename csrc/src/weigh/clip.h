/* Where an amplifier ends: the rails of the converter, and a level below them at which the signal is flat where noise should
 * be. In: raw samples of a wheel. Out: whether it is cut off. Owned by channel.c. */
#ifndef BF_CLIP_H
#define BF_CLIP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    bool known;
    int ceiling; /* raw, the way round of a wheel: where the amplifier ended last */
    int last, equal; /* samples in a row that are equal to the last one */
} clip;

/* Both rails, and the count next to them: some converters never give the last one (a T7 ends at 0xFFFE). */
enum { RAIL_HIGH = 32766, RAIL_LOW = -32767 };
static inline bool at_rail(int raw)
{
    return raw >= RAIL_HIGH || raw <= RAIL_LOW;
}

/* A wheel comes. */
void clip_begin(clip *c);

/* Takes the next samples of a wheel: raw, and conditioned. True where it is cut off. `half` is the conditioned level above which
 * it is more than half of its highest; `range` what an idle frame usually spans. */
bool clip_take(clip *c, const int32_t *raw, const double *y, int n, double half, double range);

#endif
