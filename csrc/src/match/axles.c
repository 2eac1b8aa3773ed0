/* How likely two axle signatures are of one vehicle, without any identity.
 *
 * In come one signature from the downstream point and many from the upstream point; out goes, for each, the
 * log-likelihood that they are of one vehicle, by spacings and loads. What another vehicle of this traffic would score is
 * for the caller to say (edge/waiting/readings.py). Called by edge/core.py.
 */
#include "borderflow_core.h"

#include <math.h>
#include <stddef.h>

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
