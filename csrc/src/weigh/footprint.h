/* One wheel's pass over one sensor: the force trace and what is measured on it.
 * In: conditioned samples from channel.c. Out: `footprint` values for lines.c, motion.c and load.c. */
#ifndef BF_FOOTPRINT_H
#define BF_FOOTPRINT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    TRACE_POINTS = 2048, /* while it is being recorded */
    KEPT_POINTS = 128,   /* afterwards */
    LEVELS = 4
};

/* A stretch of signal: `n` samples of mean `value`. */
typedef struct {
    float value;
    int32_t n;
} stretch;

/* Stretches of a signal, one behind the other. Near-constant neighbours are merged when there is no room, so a trace is bounded
 * however long a wheel stands, and keeps its detail where the wheel moves. */
typedef struct {
    int count;
    int lead;      /* points before the wheel came, each of one sample; 0 where they were merged */
    double step;   /* by how much the last that were merged differed */
    int64_t start; /* scan of the first sample */
    int64_t length;
    float value[TRACE_POINTS];
    int32_t n[TRACE_POINTS];
} trace;

void trace_begin(trace *t, int64_t scan);
/* Adds `n` samples; neighbours that differ less than `tolerance` are merged first where there is no room. */
void trace_add(trace *t, const double *values, int n, float tolerance);

/* The wheel is there with the last sample. */
void trace_begins(trace *t);

typedef struct {
    int sensor;
    int64_t start;           /* scan at which the kept trace begins */
    double begin, end;       /* scans of the outer threshold crossings */
    double rise[LEVELS];     /* scans at which the flanks pass footprint_level[] of the peak */
    double fall[LEVELS];
    double rise_noise[LEVELS], fall_noise[LEVELS]; /* noise of those, in scans */
    double centre;           /* scan of the centroid in time */
    double peak;             /* counts */
    double area;             /* counts x scans */
    double noise;            /* counts, one sample */
    double base_noise;       /* counts, of the baseline under the wheel */
    double lobe;             /* depth of the bow wave's dip before and behind it, as shares of the peak, summed */
    double plateau;          /* counts, of a plate: mean while it carries the whole wheel; 0 where that cannot be told */
    double plateau_n;        /* scans that it is the mean of */
    float beside, beside_sigma; /* what the other half bore meanwhile, as a share of `area`; sigma 0: not known */
    bool saturated, cut_short;
    double still_from, still_to; /* scans between which the wheel stood on the sensor; equal when it did not */
    int count;
    stretch points[KEPT_POINTS]; /* value above the baseline */
} footprint;

extern const double footprint_level[LEVELS];

/* The line of the baseline under a wheel: two scans, and its values there. */
typedef struct {
    double at[2], value[2];
} footprint_base;

/* Measures a finished trace over its baseline. `noise` of a sample, `threshold` above which it is something: counts. False when
 * nothing in it stands clear of the noise. The first finds the peak and the flanks alone. */
bool footprint_flanks(footprint *f, const trace *t, const footprint_base *base, double noise, double threshold, bool plate);
bool footprint_measure(footprint *f, const trace *t, const footprint_base *base, double noise, double threshold, bool plate);

#endif
