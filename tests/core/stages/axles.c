/* The stage of axles alone: footprints on standard input, in the order of their ends, axles on standard output.
 *
 *     axles RATE_HZ
 *     a footprint:  SENSOR MIDDLE ON PEAK          scans, scans, newtons
 *     an axle:      SEEN CAME_BACK LEFT KG MIDDLE...  a middle for each line, nan where it did not see it
 */
#include "made.h"
#include "pending.h"
#include "train.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    static sensor_array array;
    static channel channels[BF_MAX_SENSORS]; /* no wheel is on any */
    static presences loops;
    static print_slots prints;
    static fitter fit;
    static tyre_laws tyres;
    static axle_train train;
    static axle_stage stage;
    progress stream = {.frame_scans = 64};
    if (argc != 2 || made_array(atof(argv[1]), &array, &loops) != BF_OK) return 2;
    prints_init(&prints);
    fit.array = stage.array = &array;
    tyres = tyres_unknown();
    fit.tyres = &tyres;
    stage.channels = channels;
    stage.loops = &loops;
    stage.stream = &stream;
    stage.fit = &fit;
    stage.prints = &prints;
    stage.train = &train;
    stage.first_at = HUGE_VAL;
    int sensor;
    double mid, on, peak;
    while (scanf("%d %lf %lf %lf", &sensor, &mid, &on, &peak) == 4) {
        if (sensor < 0 || sensor >= MADE_SENSORS) return 2;
        const footprint f = made_print(sensor, mid, on, peak);
        while ((double)stream.now < f.end) {
            stream.now = ++stream.done * stream.frame_scans;
            if (train_update(&stage, false)) return 3;
        }
        pending_take(&stage, &f);
    }
    train_update(&stage, true);
    for (int k = 0; k < train.count; ++k) {
        const axle_seen *a = &train.at[k];
        printf("%u %d %.6g %.6g", a->seen, a->came_back, a->left, a->kg);
        for (int j = 0; j < MADE_LINES; ++j) printf(" %.17g", a->seen >> j & 1u ? a->at[j].mid : (double)NAN);
        printf("\n");
        release_axle(&prints, a);
    }
    return prints.free_count == PRINTS ? 0 : 4; /* no slot is lost */
}
