/* How likely two readings are of one vehicle: plates with reading errors, axle signatures without any identity.
 *
 * In come one reading from the downstream point and many from the upstream point; out goes, for each, the logarithm of
 * the likelihood ratio "same vehicle" against "another vehicle of this traffic". Called by edge/core.py.
 *
 * Plates (Oliveira-Neto et al. 2012/2013): with confusions C1, C2 of the two readers and a uniform alphabet,
 * J[a][b] = sum_t C1[t][a] C2[t][b] / 36; a pair of aligned characters scores ln(J / (q1 q2)). Missing and added characters
 * cost a gap each; there is no transposition, readers do not make any. Fleets have plates in sequence, so "another
 * vehicle" is a mixture: unrelated, or (with the share `fleet`) one of the same fleet whose plate differs in its
 * last two digits only.
 */
#include "borderflow_core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROW BF_PLATE_ROW
#define MOST (ROW - 1)
#define SYMBOLS 37 /* 0-9, A-Z, and one for everything else */
#define FEATURES BF_AXLE_FEATURES
#define MOST_AXLES BF_AXLE_MOST

struct bf_plates {
    float pair[SYMBOLS][64]; /* padded: the row index is a shift */
    float gap;
    double log_fleet, log_alone;
};

static int symbol(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'Z') {
        return c - 'A' + 10;
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 10;
    }
    return -1;
}

int32_t bf_plate_encode(const char *text, int32_t length, uint8_t *row)
{
    if (text == NULL || row == NULL || length < 0) {
        return 0;
    }
    memset(row, 0, ROW);
    int32_t n = 0;
    for (int32_t i = 0; i < length && n < MOST; i++) {
        unsigned char c = (unsigned char)text[i];
        int s = symbol(c);
        if (s >= 0) {
            row[n++] = (uint8_t)s;
        } else if (c == '?' || c == '*' || c == '_') { /* how readers write a character they could not read */
            row[n++] = SYMBOLS - 1;
        }
    }
    row[MOST] = (uint8_t)n;
    return n;
}

/* Characters that readers take for one another. */
static const char *const ALIKE[] = {"0ODQ", "1I7LT", "8B3", "5S", "2Z7", "6G", "4A", "CG", "UV", "VY", "MNH", "EF", "KX",
                                    "PR", "WM", "XY", "9P"};

static void confusion(double error, double c[36][36])
{
    for (int t = 0; t < 36; t++) {
        int alike[36] = {0}, n = 0;
        for (size_t g = 0; g < sizeof ALIKE / sizeof ALIKE[0]; g++) {
            int member = 0;
            for (const char *p = ALIKE[g]; *p; p++) {
                member |= symbol((unsigned char)*p) == t;
            }
            for (const char *p = ALIKE[g]; member && *p; p++) {
                int s = symbol((unsigned char)*p);
                if (s != t && !alike[s]) {
                    alike[s] = 1;
                    n++;
                }
            }
        }
        /* Half of the errors go to look-alikes, the rest anywhere: no table knows every reader. */
        double near = n ? 0.5 * error / n : 0.0, far = (error - near * n) / 35.0;
        for (int s = 0; s < 36; s++) {
            c[t][s] = s == t ? 1.0 - error : far + (alike[s] ? near : 0.0);
        }
    }
}

bf_plates *bf_plates_create(double error_upstream, double error_downstream, double gap, double fleet)
{
    if (!(error_upstream > 0.0 && error_upstream < 0.5) || !(error_downstream > 0.0 && error_downstream < 0.5) ||
        !(gap > 0.0 && gap < 0.5) || !(fleet >= 0.0 && fleet < 1.0)) {
        return NULL;
    }
    bf_plates *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    double(*c1)[36] = malloc(36 * sizeof *c1), (*c2)[36] = malloc(36 * sizeof *c2);
    if (c1 == NULL || c2 == NULL) {
        free(c1);
        free(c2);
        free(p);
        return NULL;
    }
    confusion(error_upstream, c1);
    confusion(error_downstream, c2);
    for (int a = 0; a < 36; a++) {
        for (int b = 0; b < 36; b++) {
            double joint = 0.0, qa = 0.0, qb = 0.0;
            for (int t = 0; t < 36; t++) {
                joint += c1[t][a] * c2[t][b] / 36.0;
                qa += c1[t][a] / 36.0;
                qb += c2[t][b] / 36.0;
            }
            p->pair[a][b] = (float)log(joint / (qa * qb));
        }
    }
    p->gap = (float)log(gap);
    p->log_fleet = fleet > 0.0 ? log(fleet) : -1e30;
    p->log_alone = log(1.0 - fleet);
    free(c1);
    free(c2);
    return p;
}

void bf_plates_free(bf_plates *p)
{
    free(p);
}

static float better(float a, float b)
{
    return a > b ? a : b;
}

/* Best alignment of a[0..na) with b[0..nb). */
static float align(const bf_plates *p, const uint8_t *a, int na, const uint8_t *b, int nb)
{
    float row[ROW];
    for (int j = 0; j <= nb; j++) {
        row[j] = (float)j * p->gap;
    }
    for (int i = 1; i <= na; i++) {
        float diagonal = row[0];
        row[0] = (float)i * p->gap;
        for (int j = 1; j <= nb; j++) {
            float same = diagonal + p->pair[a[i - 1]][b[j - 1]];
            diagonal = row[j];
            row[j] = better(same, better(row[j], row[j - 1]) + p->gap);
        }
    }
    return row[nb];
}

/* One character more in `longer`: the best place for the gap, by the sums from both ends. */
static float align_one(const bf_plates *p, const uint8_t *longer, const uint8_t *shorter, int n)
{
    float tail[ROW];
    tail[n] = 0.0f;
    for (int i = n - 1; i >= 0; i--) {
        tail[i] = tail[i + 1] + p->pair[longer[i + 1]][shorter[i]];
    }
    float head = 0.0f, best = tail[0];
    for (int i = 0; i < n; i++) {
        head += p->pair[longer[i]][shorter[i]];
        best = better(best, head + tail[i + 1]);
    }
    return best + p->gap;
}

/* Index of the last but one digit: what follows it may differ within a fleet. */
static int fleet_cut(const uint8_t *row, int n)
{
    int seen = 0;
    for (int i = n - 1; i >= 0; i--) {
        if (row[i] < 10 && ++seen == 2) {
            return i;
        }
    }
    return n > 2 ? n - 2 : 0;
}

bf_status bf_plates_compare(const bf_plates *p, const uint8_t *query, const uint8_t *rows, int32_t n, float *llr,
                            float *raw)
{
    if (p == NULL || query == NULL || n < 0 || (n > 0 && (rows == NULL || llr == NULL)) || query[MOST] > MOST) {
        return BF_ERR_ARGUMENT;
    }
    uint8_t a[ROW];
    int na = query[MOST];
    for (int i = 0; i < MOST; i++) {
        a[i] = query[i] < SYMBOLS ? query[i] : SYMBOLS - 1;
    }
    int cut = fleet_cut(a, na);
    for (int32_t k = 0; k < n; k++) {
        const uint8_t *b = rows + (size_t)k * ROW;
        int nb = b[MOST];
        float score = -1e9f, prefix = 0.0f;
        if (na == 0 || nb == 0 || nb > MOST) {
            llr[k] = score;
            if (raw != NULL) {
                raw[k] = score;
            }
            continue;
        }
        if (na == nb) {
            float sum = 0.0f;
            for (int i = 0; i < na; i++) {
                if (i == cut) {
                    prefix = sum;
                }
                sum += p->pair[a[i]][b[i] < SYMBOLS ? b[i] : SYMBOLS - 1];
            }
            score = sum;
        } else {
            uint8_t c[ROW];
            for (int i = 0; i < nb; i++) {
                c[i] = b[i] < SYMBOLS ? b[i] : SYMBOLS - 1;
            }
            if (na == nb + 1) {
                score = align_one(p, a, c, nb);
            } else if (nb == na + 1) {
                score = align_one(p, c, a, na);
            } else {
                score = align(p, a, na, c, nb);
            }
            prefix = score - 7.0f; /* two digits of the score of an exact match */
        }
        if (raw != NULL) {
            raw[k] = score;
        }
        /* ln of (1 - fleet) + fleet exp(prefix): what another vehicle of this traffic would score. */
        if (score > -3.0f && p->log_fleet > -1e29) {
            double x = p->log_fleet + (double)prefix, y = p->log_alone;
            double top = x > y ? x : y;
            score -= (float)(top + log1p(exp((x > y ? y : x) - top)));
        }
        llr[k] = score;
    }
    return BF_OK;
}

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
