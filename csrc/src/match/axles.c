/* How likely two axle signatures are of one vehicle, without any identity.
 *
 * In come one signature from the downstream point and many from the upstream point; out goes, for each, the
 * log-likelihood that they are of one vehicle, by spacings and loads. `bf_axle_model` makes ratios of these: "another
 * vehicle" is what this traffic looks like, the mean likelihood against vehicles seen lately, so that fleets of equal
 * tractors do not pass for proof; deviations and scale are learned from sure matches. Called by evidence.c.
 */
#include "borderflow_core.h"
#include "../clamp.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FEATURES BF_AXLE_FEATURES
#define MOST_AXLES BF_AXLE_MOST

/* Log-likelihood of two axle signatures, each a row of FEATURES floats: number of axles, spacings (m), loads (kg). */
static double axle_pair(const float *a, const float *b, double spacing_m, double spacing_sd, double load_sd, double scale)
{
    int n = (int)a[0];
    double sum = 0.0;
    for (int i = 1; i < n; i++) {
        double x = (double)a[i], y = (double)b[i], m = 0.5 * (x + y);
        double var = spacing_sd * spacing_sd * m * m + spacing_m * spacing_m;
        double z2 = (x - y) * (x - y) / var;
        /* A misread feature now and then: the tail is flat, not Gaussian. */
        sum += log(0.985 * exp(-0.5 * (z2 < 100.0 ? z2 : 100.0)) + 1e-3) - 0.5 * log(var);
    }
    for (int i = 0; i < n; i++) {
        double x = (double)a[MOST_AXLES + i], y = (double)b[MOST_AXLES + i] * scale, m = 0.5 * (x + y);
        double var = load_sd * load_sd * m * m + 1e4;
        double z2 = (x - y) * (x - y) / var;
        sum += log(0.985 * exp(-0.5 * (z2 < 100.0 ? z2 : 100.0)) + 1e-3) - 0.5 * log(var);
    }
    return sum;
}

static const double SHORT_M = 2.5;
static const int LEAST_KNOWN = 20;  /* vehicles; fewer are no traffic to compare with */
static const double MEMORY = 300.0;

static int axle_count(const float *row)
{
    float n = row[0];
    return n >= 2.0f && n <= (float)MOST_AXLES ? (int)n : 0;
}

bf_status bf_axles_compare(const float *query, const float *rows, int32_t n, double spacing_m, double spacing_sd,
                           double load_sd, double scale, float *loglik)
{
    if (query == NULL || n < 0 || (n > 0 && (rows == NULL || loglik == NULL)) ||
        !(spacing_m > 1e-4 && spacing_m < 10.0) || !(spacing_sd > 1e-4 && spacing_sd < 1.0) ||
        !(load_sd > 1e-4 && load_sd < 1.0) || !(scale > 0.1 && scale < 10.0)) {
        return BF_ERR_ARGUMENT;
    }
    int axles = axle_count(query);
    for (int32_t k = 0; k < n; k++) {
        const float *row = rows + (size_t)k * FEATURES;
        int same = axle_count(row);
        if (axles == 0 || same == 0) {
            loglik[k] = -1e9f; /* no signature there */
        } else if (axles != same) {
            loglik[k] = -1e8f; /* another number of axles: only a miscount makes them one vehicle */
        } else {
            double sum = axle_pair(query, row, spacing_m, spacing_sd, load_sd, scale);
            loglik[k] = isfinite(sum) ? (float)sum : -1e8f;
        }
    }
    return BF_OK;
}

void bf_axle_model_init(bf_axle_model *m)
{
    memset(m, 0, sizeof *m);
    m->spacing_m = 0.04;
    m->spacing_sd = 0.015;
    m->load_sd = 0.08;
    m->scale = 1.0;
    m->n = 20.0;
}

/* What another vehicle of this traffic scores: the mean likelihood against those seen lately. */
static double another(const bf_axle_model *m, const float *query, double best)
{
    int32_t kept = m->seen < BF_AXLE_REFERENCE ? (int32_t)m->seen : BF_AXLE_REFERENCE;
    if (kept < LEAST_KNOWN) {
        return best - 4.0;
    }
    float population[BF_AXLE_REFERENCE];
    bf_axles_compare(query, m->reference[0], kept, m->spacing_m, m->spacing_sd, m->load_sd, 1.0, population);
    double top = (double)population[0], sum = 0.0, other = -50.0;
    for (int32_t i = 1; i < kept; i++) {
        top = (double)population[i] > top ? (double)population[i] : top;
    }
    if (top >= -1e7) {
        for (int32_t i = 0; i < kept; i++) {
            sum += exp((double)population[i] - top);
        }
        other = top + log(sum / (double)kept + 1e-9);
    }
    return other > best - 12.0 ? other : best - 12.0;
}

bf_status bf_axle_model_compare(const bf_axle_model *m, const float *query, const float *rows, int32_t n, float *llr)
{
    if (m == NULL) {
        return BF_ERR_ARGUMENT;
    }
    bf_status status = bf_axles_compare(query, rows, n, m->spacing_m, m->spacing_sd, m->load_sd, m->scale, llr);
    if (status != BF_OK) {
        return status;
    }
    double best = -50.0;
    for (int32_t i = 0; i < n; i++) {
        best = (double)llr[i] > best ? (double)llr[i] : best;
    }
    float other = (float)another(m, query, best);
    for (int32_t i = 0; i < n; i++) {
        float ratio = llr[i] - other;
        llr[i] = llr[i] < -5e8f ? -1e9f : (ratio < -6.0f ? -6.0f : (ratio > 12.0f ? 12.0f : ratio));
    }
    return BF_OK;
}

void bf_axle_model_note(bf_axle_model *m, const float *row)
{
    memcpy(m->reference[m->seen++ % BF_AXLE_REFERENCE], row, sizeof m->reference[0]);
}

static double fade(double old, double found, double rate, double least)
{
    double mean = (1.0 - rate) * old + rate * found;
    return sqrt(mean > least ? mean : least);
}

/* Two rows that can be compared, number by number. */
static bool comparable(const float *upstream, const float *downstream, int n)
{
    if (n != (int)downstream[0] || n < 2 || n > MOST_AXLES) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        bool spacing = i == 0 || (upstream[i] > 0.0f && downstream[i] > 0.0f);
        if (!spacing || upstream[MOST_AXLES + i] <= 0.0f || downstream[MOST_AXLES + i] <= 0.0f) {
            return false;
        }
    }
    return true;
}

/* Short spacings show the error in metres, long ones what grows with the length (the speed's error). Mean squares of either; false
 * where there are none. */
static bool short_error(const float *upstream, const float *downstream, int n, double *mean)
{
    double sum = 0.0;
    int count = 0;
    for (int i = 1; i < n; i++) {
        double a = (double)upstream[i], b = (double)downstream[i];
        if (fmin(a, b) < SHORT_M) {
            sum += (a - b) * (a - b);
            count++;
        }
    }
    *mean = count > 0 ? fmin(sum / (double)count, 0.09) : 0.0;
    return count > 0;
}

static bool long_error(const float *upstream, const float *downstream, int n, double spacing_m, double *mean)
{
    double sum = 0.0;
    int count = 0;
    for (int i = 1; i < n; i++) {
        double a = (double)upstream[i], b = (double)downstream[i];
        if (fmin(a, b) >= SHORT_M) {
            sum += ((a - b) * (a - b) - spacing_m * spacing_m) / (a * b);
            count++;
        }
    }
    *mean = count > 0 ? clamp(sum / (double)count, -0.002, 0.01) : 0.0;
    return count > 0;
}

void bf_axle_model_learn(bf_axle_model *m, const float *upstream, const float *downstream)
{
    int n = (int)upstream[0];
    if (!comparable(upstream, downstream, n)) {
        return;
    }
    m->n = fmin(m->n + 1.0, MEMORY);
    double rate = 1.0 / m->n, metres, relative, load = 0.0, gross_up = 0.0, gross_down = 0.0, scale_ln = log(m->scale);
    for (int i = 0; i < n; i++) {
        double a = (double)upstream[MOST_AXLES + i], b = (double)downstream[MOST_AXLES + i], off = log(b / a) - scale_ln;
        gross_up += a;
        gross_down += b;
        load += off * off;
    }
    if (short_error(upstream, downstream, n, &metres)) {
        m->spacing_m = fade(m->spacing_m * m->spacing_m, metres, rate, 2.5e-5);
    }
    if (long_error(upstream, downstream, n, m->spacing_m, &relative)) {
        m->spacing_sd = fade(m->spacing_sd * m->spacing_sd, relative, rate, 4e-6);
    }
    m->load_sd = fade(m->load_sd * m->load_sd, fmin(load / (double)n, 0.09), rate, 1e-4);
    /* `scale` multiplies the upstream row into downstream kilograms: the comparison multiplies its rows. */
    m->scale = exp(scale_ln + rate * (clamp(log(gross_down / gross_up), -0.3, 0.3) - scale_ln));
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

void bf_axle_signature(int32_t n, const double *positions_m, const double *loads_kg, float *row)
{
    double ordered[MOST_AXLES];
    memset(row, 0, BF_AXLE_FEATURES * sizeof *row);
    if (n < 2 || n > MOST_AXLES) {
        return; /* no signature */
    }
    for (int32_t i = 0; i < n; i++) {
        ordered[i] = fabs(positions_m[i]);
    }
    qsort(ordered, (size_t)n, sizeof *ordered, ascending);
    row[0] = (float)n;
    for (int32_t i = 0; i < n; i++) {
        row[i] = i > 0 ? (float)(ordered[i] - ordered[i - 1]) : row[0];
        row[MOST_AXLES + i] = (float)loads_kg[i];
    }
}
