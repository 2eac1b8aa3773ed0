/* The stages of vehicles and weights alone: axles on standard input, vehicles on standard output.
 *
 *     vehicles RATE_HZ [ON]            ON: how far a wheel goes while it is on a strip, m
 *     an axle:    TIME SPEED KG        when its middle is over the first line, s; m/s, steady; both wheels
 *     a vehicle:  AXLES FLAGS WHOLE GROSS SIGMA PLACE:KG...
 */
#include "cut.h"
#include "made.h"

#include <stdio.h>
#include <stdlib.h>

static const double GRAVITY = 9.80665, PRINT_M = 0.2;

/* An axle at a steady speed, as all lines see it. */
static axle_seen axle_at(const sensor_array *array, print_slots *prints, double t, double v, double kg, double on_m)
{
    axle_seen a;
    memset(&a, 0, sizeof a);
    const double on = on_m / v * array->rate, peak = 0.5 * kg * GRAVITY * MADE_WIDTH_M / (PRINT_M + MADE_WIDTH_M);
    a.left = 0.5;
    for (int j = 0; j < MADE_LINES; ++j) {
        pass *p = &a.at[j];
        for (int s = 0; s < 2; ++s) {
            footprint *f = prints->free[--prints->free_count];
            *f = made_print(2 * j + s, (t + array->lines[j].x / v) * array->rate, on, peak);
            p->prints[p->count++] = f;
            p->side_n[s] = a.side_n[s] = peak;
            p->begin = f->begin;
            p->end = f->end;
            p->mid = f->centre;
        }
        p->peak_n = 2.0 * peak;
        a.seen |= 1u << j;
    }
    a.peak_n = 2.0 * peak;
    find_runs(array, &a);
    return a;
}

static void tell(vehicle_ring *out)
{
    for (; out->count > 0; out->count--, out->head = (out->head + 1) % RING) {
        const bf_vehicle *v = &out->at[out->head];
        printf("%d %u %.6g %.17g %.17g", (int)v->axle_count, (unsigned)v->flags, v->whole, v->gross_kg, v->gross_sigma_kg);
        for (int k = 0; k < v->axle_count; ++k) printf(" %.6g:%.6g", v->axles[k].position_m, v->axles[k].load_kg);
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    static sensor_array array;
    static channel channels[BF_MAX_SENSORS];
    static presences loops;
    static print_slots prints;
    static fitter fit;
    static weigher weights;
    static axle_train train;
    static axle_stage axles;
    static cutter cut;
    static vehicle_ring out;
    progress stream = {.frame_scans = 64};
    const double on_m = argc > 2 ? atof(argv[2]) : PRINT_M + MADE_WIDTH_M;
    if (argc < 2 || made_array(atof(argv[1]), &array, &loops) != BF_OK) return 2;
    prints_init(&prints);
    fit.array = axles.array = &array;
    weights = (weigher){.array = &array, .fit = &fit, .ways = lane_unknown(), .tyres = tyres_unknown()};
    fit.tyres = &weights.tyres;
    axles.channels = channels;
    axles.train = &train;
    axles.stream = &stream;
    cut = (cutter){.array = &array, .loops = &loops, .stream = &stream, .axles = &axles, .fit = &fit, .weigher = &weights, .prints = &prints, .train = &train, .out = &out};
    cut_init(&cut);
    double t, v, kg;
    while (scanf("%lf %lf %lf", &t, &v, &kg) == 3) {
        const axle_seen a = axle_at(&array, &prints, t, v, kg, on_m);
        while ((double)stream.now < a.at[MADE_LINES - 1].end) {
            stream.now = ++stream.done * stream.frame_scans;
            if (train.count > 0) cut_update(&cut, false);
            tell(&out);
        }
        if (train.count == TRAIN) return 3;
        train.at[train.count++] = a;
        train.changed = true;
    }
    if (train.count > 0) cut_update(&cut, true);
    tell(&out);
    return prints.free_count == PRINTS ? 0 : 4;
}
