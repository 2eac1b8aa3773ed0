/* Mains hum beside and under a wheel: 50 or 60 Hz, up to half a hertz off, with two harmonics.
 *
 * In: the trace of a footprint, and where the wheel certainly was not. Out: the hum as a function of time, and the trace
 * without it. Called by passage.c where the noise is no small part of the peak. */
#ifndef BF_HUM_H
#define BF_HUM_H

#include "footprint.h"

enum { HARMONICS = 3 };

typedef struct {
    bool present;
    double step;                 /* radians of the fundamental in a scan */
    double at;                   /* scan that times are counted from */
    double cosine[HARMONICS], sine[HARMONICS];
    double cosine_drift, sine_drift; /* of the fundamental, in a scan: it is not quite at that frequency */
    double reach;                /* scans from `at` within which it was seen */
} hum;

/* Fits it to the samples before `foot0` and after `foot1`, but none further than 0.3 s from them. Returns the noise that is
 * left, standard deviation of a sample, or a negative number where there is no hum. */
double hum_fit(hum *h, const trace *t, double foot0, double foot1, double rate_hz);

/* Its mean over `n` samples around a scan; 0 far from where it was seen. */
double hum_mean(const hum *h, double scan, double n);

/* Takes it out of the samples between two scans. */
void hum_take_out(const hum *h, trace *t, double from, double to);

#endif
