/* What braking and pulling move between axles. See transfer.h.
 *
 * A rigid unit of mass m, its centre of gravity h above the road and its supports b apart, moves m h / (b g) kilograms
 * for 1 m/s2 (T. Gillespie, Fundamentals of vehicle dynamics, 1992, chapter 1). A semitrailer's front support is the
 * hitch over the group before it; pulled, it is held at the height of the hitch and tips only by what its centre of
 * gravity lies above that, but its force at the hitch tips the tractor. */
#include "transfer.h"

#include <math.h>
#include <string.h>

static const double GRAVITY = 9.80665;
const double SPRING_GROUP_M = 2.3;
static const double HITCH_M = 1.1, TRACTOR_M = 1.0, TRAILER_M = 1.8, TRUCK_M = 1.4, CAR_M = 0.6;
static const double CAR_KG = 3500.0;
static const double BORNE = 1.5; /* mass of a semitrailer, in what its own axles bear */

void transfer_expect(transfer *t, const double *place_m, const double *kg, int count)
{
    int group[BF_MAX_AXLES], groups = 0;
    double middle[BF_MAX_AXLES] = {0}, load[BF_MAX_AXLES] = {0}, gross = 0.0;
    int axles[BF_MAX_AXLES] = {0};
    memset(t, 0, sizeof *t);
    for (int k = 0; k < count; ++k) {
        if (k > 0 && fabs(place_m[k] - place_m[k - 1]) >= SPRING_GROUP_M) ++groups;
        group[k] = groups;
        middle[groups] += place_m[k];
        load[groups] += kg[k];
        axles[groups]++;
        gross += kg[k];
    }
    ++groups;
    for (int g = 0; g < groups; ++g) middle[g] /= axles[g];
    t->couples = groups - 1 < COUPLES ? groups - 1 : COUPLES;
    double towed = 0.0; /* behind the unit that is looked at */
    for (int u = groups - 2; u >= 0; --u) {
        const double base = middle[u + 1] - middle[u];
        double mass, height;
        if (u > 0) {
            mass = BORNE * load[u + 1];
            height = gross > CAR_KG ? TRAILER_M : CAR_M;
        } else {
            mass = gross - towed > 0.25 * gross ? gross - towed : 0.25 * gross;
            height = gross <= CAR_KG ? CAR_M : (groups > 2 ? TRACTOR_M : TRUCK_M);
        }
        double forwards = u > 0 ? mass * (height - HITCH_M) : mass * height + towed * HITCH_M;
        if (forwards < 0.0) forwards = 0.0;
        towed += u > 0 ? mass : 0.0;
        if (base < 1.0) continue;
        const double moved[PULLS] = {forwards / base / GRAVITY, mass * height / base / GRAVITY};
        const int c = u < COUPLES ? u : COUPLES - 1;
        for (int p = 0; p < PULLS; ++p)
            for (int k = 0; k < count; ++k) {
                if (group[k] == u + 1) t->gain[PULLS * c + p][k] += moved[p] / axles[u + 1];
                if (group[k] == u) t->gain[PULLS * c + p][k] -= moved[p] / axles[u];
            }
    }
}

/* Answer of a body on its springs to an acceleration that lasted for a step: pitch at 1 to 2 Hz, well damped. */
enum { STEPS = 40 };
static const double STEP_S = 0.03, PITCH_HZ = 1.2, DAMPING = 0.4;

void transfer_pull(const motion *m, const double *times, int n, double pull[PULLS])
{
    const double w = 6.283185307179586 * PITCH_HZ, decay = exp(-DAMPING * w * STEP_S), wd = w * sqrt(1.0 - DAMPING * DAMPING);
    const double cos_step = cos(wd * STEP_S), sin_step = sin(wd * STEP_S);
    double answer[STEPS], total = 0.0, size = exp(-0.5 * DAMPING * w * STEP_S), s = sin(0.5 * wd * STEP_S), c = cos(0.5 * wd * STEP_S);
    for (int i = 0; i < STEPS; ++i) {
        answer[i] = size * s;
        total += answer[i];
        size *= decay;
        const double next = s * cos_step + c * sin_step;
        c = c * cos_step - s * sin_step;
        s = next;
    }
    pull[0] = pull[1] = 0.0;
    for (int q = 0; q < n; ++q)
        for (int i = 0; i < STEPS; ++i) {
            const double a = motion_acceleration(m, times[q] - (i + 0.5) * STEP_S) * answer[i] / total / n;
            pull[a < 0.0] += a;
        }
}
