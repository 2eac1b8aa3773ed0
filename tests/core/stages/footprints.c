/* The first stage alone: int16 samples of one channel on standard input, a line for each footprint on standard output.
 *
 *     footprints RATE_HZ TAU_S PLATE BLOCK
 *
 * It is linked with the stage's own files and no others, which proves that its door is as narrow as channel.h says. */
#include "channel.h"

#include <stdio.h>
#include <stdlib.h>

static void print(void *context, const footprint *f)
{
    (void)context;
    printf("%.17g %.17g %.17g %.17g %.17g %.17g %.17g %d %d\n", f->begin, f->end, f->rise[1], f->fall[1], f->centre, f->peak, f->area,
           f->saturated, f->cut_short);
}

static void look(channel *c, channel_room *room, int64_t frame)
{
    history_ranges(&room->past, frame, &room->ranges);
    channels_frame(c, 1, room, frame);
}

int main(int argc, char **argv)
{
    static channel_room room;
    static channel c;
    if (argc != 5 || !history_init(&room.past, 1, atof(argv[1]))) return 2;
    room.sink = print;
    channel_init(&c, 0, 0, atof(argv[1]), room.past.frame_scans, atof(argv[2]));
    c.plate = atoi(argv[3]) != 0;
    const size_t block = (size_t)atol(argv[4]);
    int16_t *samples = malloc(block * sizeof *samples);
    int64_t done = 0;
    for (size_t n; samples && (n = fread(samples, sizeof *samples, block, stdin)) > 0;) {
        for (size_t i = 0; i < n;) {
            i += history_take(&room.past, samples + i, n - i);
            while (room.past.frames - done >= 2) look(&c, &room, done++);
        }
        history_keep(&room.past);
    }
    if (room.past.frames > done) look(&c, &room, done);
    channel_close(&c, &room);
    bf_channel_health health = {0};
    channel_health(&c, room.past.frames * room.past.frame_scans, 0.0, &health);
    printf("health %d %.17g %.17g %d %d\n", health.state, health.baseline_counts, health.noise_counts, (int)health.footprints,
           (int)health.spikes);
    history_free(&room.past);
    free(samples);
    return 0;
}
